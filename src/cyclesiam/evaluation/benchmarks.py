"""What each benchmark is measured by: its protocols, result files and settings."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cyclesiam.datasets.registry import SEGMENTATION_DATASETS, TRACKING_DATASETS
from cyclesiam.datasets.segmentation_sequences import SegmentationDataset
from cyclesiam.datasets.sequences import TrackingDataset
from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.metrics.vot import EAO_INTERVALS, Interval
from cyclesiam.evaluation.results.evaluation import Protocol, ScoringRules
from cyclesiam.evaluation.results.files import Layout, ResultFolder

Dataset = TrackingDataset | SegmentationDataset
BENCHMARKS: tuple[str, ...] = tuple({**TRACKING_DATASETS, **SEGMENTATION_DATASETS})
"""Names of all benchmarks."""

SCORING_RULES: dict[Protocol, tuple[ScoringRules, ...]] = {
    "ope": ("pysot", "got10k"),
    "reset": ("pysot", "vot_toolkit"),
    "segmentation": ("pysot",),
}
"""Rules of scoring that a protocol knows, the usual one first; of masks there is only one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """One benchmark, run and scored by one protocol.

    Args:
        name: one of `BENCHMARKS`.
        protocol: one of `protocols_of(name)`.

    Raises:
        CycleSiamError: the benchmark has no such protocol.
        ValueError: no benchmark is called so.
    """

    name: str
    protocol: Protocol

    def __post_init__(self) -> None:
        there = protocols_of(self.name)
        if self.protocol not in there:
            raise CycleSiamError(
                f"{self.name} cannot be run by the protocol {self.protocol!r}; choose "
                f"{' or '.join(there)}"
            )

    @property
    def layout(self) -> Layout:
        """How its raw results are laid out."""
        if self.protocol == "segmentation":
            return "masks"
        if self.protocol == "reset":
            return "vot"
        return "nested" if self.name == "got10k" else "flat"

    @property
    def origin(self) -> float:
        """Coordinate of the first pixel's left and top edge in results of boxes.

        OTB's annotations and results count from 1, as MATLAB does; all others are taken as they
        are, by every toolkit.
        """
        return 1.0 if self.name.startswith("otb") else 0.0

    @property
    def interval(self) -> Interval | None:
        """Lengths over which the EAO is a mean."""
        return EAO_INTERVALS.get(self.name)

    def open(self, root: Path) -> Dataset:
        """Open its folder.

        Raises:
            DatasetError: the folder is not that benchmark.
        """
        readers = SEGMENTATION_DATASETS if self.protocol == "segmentation" else TRACKING_DATASETS
        return readers[self.name](Path(root))

    def results(self, folder: Path) -> ResultFolder:
        """Give one tracker's folder of raw results."""
        return ResultFolder(folder, self.layout)


def protocols_of(benchmark: str) -> tuple[Protocol, ...]:
    """List the protocols by which a benchmark can be run, the usual one first.

    Raises:
        ValueError: no benchmark is called so.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"no benchmark {benchmark!r}; there are {', '.join(BENCHMARKS)}")
    if benchmark.startswith("vot"):
        return ("reset", "ope")
    protocols: list[Protocol] = ["ope"] if benchmark in TRACKING_DATASETS else []
    if benchmark in SEGMENTATION_DATASETS:
        protocols.append("segmentation")
    return tuple(protocols)


def check_rules(protocol: Protocol, flavour: ScoringRules) -> None:
    """See that a protocol can be scored by some rules.

    Raises:
        CycleSiamError: it cannot.
    """
    there = SCORING_RULES[protocol]
    if flavour not in there:
        raise CycleSiamError(
            f"the protocol {protocol!r} has no flavour {flavour!r}; choose {' or '.join(there)}"
        )


def select_sequences(
    there: tuple[str, ...], wanted: Collection[str] | None, benchmark: str
) -> tuple[str, ...]:
    """Give the names of the wanted sequences in the benchmark's order; of None, all.

    Raises:
        DatasetError: the benchmark has no sequence of one of the names, or none is wanted.
    """
    if wanted is None:
        return there
    absent = [name for name in wanted if name not in there]
    if absent or not wanted:
        raise DatasetError(
            f"{benchmark}: no sequence {', '.join(absent) or 'was asked for'}. "
            f"Choose from {', '.join(there)}."
        )
    return tuple(name for name in there if name in wanted)
