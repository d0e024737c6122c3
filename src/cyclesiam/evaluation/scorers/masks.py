"""Scores of segmentation: J and F of every object.

H, W: rows and columns.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np

from cyclesiam.datasets.segmentation_sequences import SegmentationDataset, SegmentationSequence
from cyclesiam.errors import DatasetError
from cyclesiam.evaluation.benchmarks import Benchmark, Dataset
from cyclesiam.evaluation.metrics.davis import mean_numbers, score_objects
from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.results.evaluation import Score, ScoringRules
from cyclesiam.evaluation.results.files import ResultFolder, read_times
from cyclesiam.evaluation.results.label_maps import read_labels
from cyclesiam.evaluation.scorers.summary import BenchmarkScores, frames_per_second


def judged_frames(sequence: SegmentationSequence, number: int, *, skips_last: bool) -> list[int]:
    """List the annotated frames in which an object counts: not the one that it was given in.

    Args:
        sequence: whose annotation.
        number: of the object.
        skips_last: whether the last frame does not count, as in DAVIS.
    """
    first = sequence.first_frames.get(number, 0)
    end = len(sequence) - skips_last
    return [t for t in range(first + 1, end) if sequence.annotations[t] is not None]


def object_ids(sequence: SegmentationSequence) -> range:
    """Give 1 to the largest number: one that is skipped is an object that is nowhere to be seen."""
    return range(1, max(sequence.objects) + 1)


def read_pairs(
    results: ResultFolder, sequence: SegmentationSequence, frames: list[int]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Read result and truth of frames: (H, W) label maps each, one frame at a time.

    Raises:
        DatasetError: a file is missing or wrong.
    """
    folder = results.run_file(sequence.name)
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: there is no result of the sequence {sequence.name}. Run the tracker on it, "
            "or leave it out with --sequences."
        )
    objects = 1 if sequence.single_object else max(sequence.objects)
    for frame in frames:
        truth = sequence.labels(frame)
        path = folder / f"{sequence.frames[frame].stem}.png"
        height, width = truth.shape
        labels = read_labels(
            path, (height, width), objects=objects, one_object=sequence.single_object
        )
        yield frame, labels, truth


class MaskScorer:
    """Scores label maps; every object weighs the same, whichever sequence it is in.

    Args:
        benchmark: whose protocol is `segmentation`.
        reader: of its label maps.
        results: of one tracker.
        flavour: there is only one.
    """

    def __init__(
        self, benchmark: Benchmark, reader: Dataset, results: ResultFolder, flavour: ScoringRules
    ) -> None:
        self._skips_last = benchmark.name.startswith("davis")
        self._reader = cast(SegmentationDataset, reader)
        self._results = results
        self._objects: list[Score] = []
        self._speeds: list[float] = []

    def add(self, name: str) -> Score:
        """Score one sequence."""
        sequence = self._reader.read(name)
        times = read_times(self._results.time_file(name), len(sequence))
        speed = frames_per_second(times, len(sequence))
        objects = self._score_objects(sequence)
        self._objects.extend(objects)
        self._speeds.append(speed)
        return Score(name=name, frames=len(sequence), numbers={**_mean(objects), "fps": speed})

    def totals(self) -> BenchmarkScores:
        """Score the benchmark."""
        return BenchmarkScores(
            mean={**_mean(self._objects), "fps": mean_or_nan(self._speeds)},
            objects=tuple(self._objects),
        )

    def _score_objects(self, sequence: SegmentationSequence) -> list[Score]:
        judged = {
            number: judged_frames(sequence, number, skips_last=self._skips_last)
            for number in object_ids(sequence)
        }
        frames = sorted({frame for of_one in judged.values() for frame in of_one})
        if not all(judged.values()):
            raise DatasetError(
                f"{sequence.name}: an object has no annotated frame that could be judged; the "
                "benchmark may keep them to itself. Send the raw results to its server."
            )
        scores = score_objects(read_pairs(self._results, sequence, frames), judged)
        return [
            Score(
                name=f"{sequence.name}_{number}",
                frames=len(judged[number]),
                numbers=scores[number].numbers(),
            )
            for number in judged
        ]


def _mean(scores: list[Score]) -> dict[str, float]:
    return mean_numbers([score.numbers for score in scores])
