"""Scores of segmentation: region similarity J and contour accuracy F of every object.

H, W: rows and columns of a frame.
"""

from collections.abc import Iterator

import numpy as np

from cyclesiam.datasets.segmentation_sequences import SegmentationDataset, SegmentationSequence
from cyclesiam.errors import DatasetError
from cyclesiam.evaluation.benchmarks import BenchmarkSpec, ScoringRules
from cyclesiam.evaluation.metrics.davis import mean_numbers, score_objects
from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.results.evaluation import Score
from cyclesiam.evaluation.results.files import ResultFolder, read_times
from cyclesiam.evaluation.results.label_maps import read_labels
from cyclesiam.evaluation.scorers.summary import BenchmarkScores, frames_per_second


def scored_frames(
    benchmark: BenchmarkSpec, sequence: SegmentationSequence, rules: ScoringRules
) -> dict[int, list[int]]:
    """Return the frames in which each object counts, by the objects' numbers.

    These are the annotated frames after the one in which the object appears.

    Args:
        benchmark: whether the last frame counts depends on it.
        sequence: of the benchmark.
        rules: by `davis2017`, the objects are 1 to the largest number: one that is skipped is an
            object that is never visible, and perfect where no result has its label.
    """
    numbers = sequence.objects
    if rules == "davis2017":
        numbers = range(1, max(numbers) + 1)
    end = len(sequence) - benchmark.skips_last_frame
    annotated = [t for t in range(end) if sequence.annotations[t] is not None]
    return {
        number: [t for t in annotated if t > sequence.first_frames.get(number, 0)]
        for number in numbers
    }


def read_pairs(
    results: ResultFolder, sequence: SegmentationSequence, frames: list[int]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Read frame number, result and ground truth, (H, W) label maps, one frame at a time.

    Args:
        results: of one tracker.
        sequence: of the benchmark.
        frames: annotated frames to read.

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
    """Scores label maps: the mean over objects, whichever sequence they are in.

    Args:
        benchmark: the benchmark.
        dataset: its sequences with label maps.
        results: of one tracker.
        rules: `pysot` or `davis2017`, by which objects count.
    """

    def __init__(
        self,
        benchmark: BenchmarkSpec,
        dataset: SegmentationDataset,
        results: ResultFolder,
        rules: ScoringRules,
    ) -> None:
        self._benchmark = benchmark
        self._rules: ScoringRules = rules
        self._dataset = dataset
        self._results = results
        self._objects: list[Score] = []
        self._speeds: list[float] = []

    def add(self, name: str) -> Score:
        """Score one sequence.

        Raises:
            DatasetError: annotation or results are missing or wrong.
        """
        sequence = self._dataset.read(name)
        times = read_times(self._results.time_file(name), len(sequence))
        speed = frames_per_second(times, len(sequence))
        objects = self._score_objects(sequence)
        self._objects.extend(objects)
        self._speeds.append(speed)
        return Score(name=name, frames=len(sequence), numbers={**_mean(objects), "fps": speed})

    def totals(self) -> BenchmarkScores:
        """Return the scores of all sequences that were added, at least one."""
        return BenchmarkScores(
            mean={**_mean(self._objects), "fps": mean_or_nan(self._speeds)},
            objects=tuple(self._objects),
        )

    def _score_objects(self, sequence: SegmentationSequence) -> list[Score]:
        scored = scored_frames(self._benchmark, sequence, self._rules)
        if not all(scored.values()):
            raise DatasetError(
                f"{sequence.name}: an object has no annotated frame that could be scored; the "
                "benchmark may keep them secret. Send the raw results to its server."
            )
        frames = sorted(set().union(*scored.values()))
        scores = score_objects(read_pairs(self._results, sequence, frames), scored)
        return [
            Score(
                name=f"{sequence.name}_{number}",
                frames=len(scored[number]),
                numbers=scores[number].numbers(),
            )
            for number in scored
        ]


def _mean(scores: list[Score]) -> dict[str, float]:
    return mean_numbers([score.numbers for score in scores])
