"""What a tracker answered in each frame, read back from its raw results to be shown.

T: frames of a sequence.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.data.segmentation_sequences import SegmentationReader
from cyclesiam.data.sequences import SequenceReader
from cyclesiam.evaluation.evaluations import Evaluation


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """One tracker on one sequence, frame by frame.

    Args:
        name: of the sequence.
        frames: T picture files.
        truth: (T, 4) xyxy in continuous pixels, NaN where unknown.
        boxes: (T, 4) xyxy, the tracker's; NaN where it gave none. Of a polygon or mask, its extent.
        overlaps: (T,) as the benchmark's scores use it (in segmentation the mean J of the
            objects); NaN in frames that do not count.
        failures: frames in which a `reset` run failed.
        label_maps: T files of label maps, in segmentation only.
    """

    name: str
    frames: tuple[Path, ...]
    truth: np.ndarray
    boxes: np.ndarray
    overlaps: np.ndarray
    failures: tuple[int, ...] = ()
    label_maps: tuple[Path, ...] = ()


def read_answers(
    evaluation: Evaluation, reader: SequenceReader | SegmentationReader, name: str
) -> Answers:
    """Read the raw results of one sequence from `evaluation.run.results`.

    Args:
        evaluation: whose.
        reader: of its benchmark.
        name: of a sequence.

    Returns:
        The first run, where there are repetitions or restarts.

    Raises:
        DatasetError: annotation or results are missing or wrong.
    """
    raise NotImplementedError
