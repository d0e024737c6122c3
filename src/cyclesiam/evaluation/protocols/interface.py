"""What a protocol does: run a tracker on a sequence, keep its raw result, score it, show it."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import cv2
import numpy as np

from cyclesiam.datasets.segmentation_sequences import SegmentationSequence
from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.benchmarks import (
    BenchmarkSpec,
    Dataset,
    Layout,
    ProtocolName,
    ProtocolSettings,
    ScoringRules,
)
from cyclesiam.evaluation.results.files import ResultFolder
from cyclesiam.evaluation.scorers.per_frame import FrameResults
from cyclesiam.evaluation.scorers.summary import Scorer
from cyclesiam.evaluation.trackers.interface import (
    BoxTracker,
    MasksAsBoxes,
    MaskTracker,
    MultiObjectTracker,
)

AnyTracker = BoxTracker | MaskTracker | MultiObjectTracker
MakeTracker = Callable[[], AnyTracker]
"""Makes a new tracker, which knows nothing of those made before."""
SequenceT = TypeVar("SequenceT", TrackingSequence, SegmentationSequence)


@dataclass(frozen=True)
class EvaluationProtocol(ABC, Generic[SequenceT]):
    """A way to run trackers on a benchmark.

    Args:
        benchmark: the benchmark.
        settings: what can be chosen of the protocol.

    Raises:
        CycleSiamError: the benchmark cannot be run by this protocol.
    """

    name: ClassVar[ProtocolName]
    title: ClassVar[str]
    """What it does, in words for a report."""
    rules: ClassVar[tuple[ScoringRules, ...]]
    """By which its results can be scored, the usual ones first."""

    benchmark: BenchmarkSpec
    settings: ProtocolSettings = field(default_factory=ProtocolSettings)

    def __post_init__(self) -> None:
        if self.name not in self.benchmark.protocols:
            raise CycleSiamError(
                f"{self.benchmark.name} cannot be run by the protocol {self.name!r}; choose "
                f"{' or '.join(self.benchmark.protocols)}"
            )

    def results(self, folder: Path) -> ResultFolder:
        """Return one tracker's folder of raw results in the layout of this protocol."""
        return ResultFolder(Path(folder), self.layout)

    def check_rules(self, rules: ScoringRules) -> None:
        """Check whether results can be scored by some rules.

        Raises:
            CycleSiamError: they cannot.
        """
        if rules not in self.rules:
            raise CycleSiamError(
                f"the protocol {self.name!r} has no flavour {rules!r}; choose "
                f"{' or '.join(self.rules)}"
            )

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """How its raw results are laid out."""

    @abstractmethod
    def open(self, root: Path) -> Dataset:
        """Open the benchmark's folder.

        Raises:
            DatasetError: the folder is not that benchmark.
        """

    @abstractmethod
    def run(self, make_tracker: MakeTracker, sequence: SequenceT, results: ResultFolder) -> float:
        """Run a tracker on a sequence and write the raw result.

        Args:
            make_tracker: called for each run, after the random number generators were seeded.
            sequence: of the benchmark.
            results: the tracker's folder.

        Returns:
            Frames per second that the tracker took.

        Raises:
            DatasetError: the annotation lacks what the protocol needs.
            SourceError: a frame cannot be read, or a result cannot be written.
            TargetError: the output of the tracker is not what the protocol needs.
        """

    @abstractmethod
    def is_complete(self, results: ResultFolder, sequence: SequenceT) -> bool:
        """Check whether the whole raw result of a sequence is on disk.

        Raises:
            DatasetError: a file is damaged.
        """

    @abstractmethod
    def scorer(self, dataset: Any, results: ResultFolder, rules: ScoringRules) -> Scorer:
        """Return a scorer of raw results.

        Args:
            dataset: what `open` returned.
            results: one tracker's.
            rules: one of the protocol's.
        """

    @abstractmethod
    def frame_results(
        self, results: ResultFolder, sequence: SequenceT, rules: ScoringRules
    ) -> FrameResults:
        """Read the raw result of a sequence, frame by frame, to be shown.

        Args:
            results: one tracker's.
            sequence: of the benchmark.
            rules: by which overlaps are computed, one of the protocol's.

        Raises:
            DatasetError: annotation or results are missing or wrong.
        """


def make_box_tracker(make_tracker: MakeTracker, run: int) -> BoxTracker:
    """Make a tracker for one run; of a tracker of masks, the smallest boxes around them are taken.

    Args:
        make_tracker: makes it.
        run: number of the run, which seeds its random numbers.
    """
    seed_everything(run)
    tracker = make_tracker()
    return MasksAsBoxes(tracker) if isinstance(tracker, MaskTracker) else tracker  # pyright: ignore[reportReturnType]


def seed_everything(seed: int) -> None:
    """Seed the random numbers of Python, NumPy and OpenCV, so that no run depends on others."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    cv2.setRNGSeed(seed)
