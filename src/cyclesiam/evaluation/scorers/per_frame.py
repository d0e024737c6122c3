"""What a tracker answered in each frame, read back from its raw results to be shown.

T: frames of a sequence.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.datasets.segmentation_sequences import SegmentationDataset, SegmentationSequence
from cyclesiam.datasets.sequences import TrackingDataset, TrackingSequence
from cyclesiam.errors import DatasetError
from cyclesiam.evaluation.benchmarks import Benchmark
from cyclesiam.evaluation.metrics.boxes import NO_GROUND_TRUTH, frame_ious_xywh
from cyclesiam.evaluation.metrics.davis import region_similarity
from cyclesiam.evaluation.metrics.region_overlap import region_overlaps
from cyclesiam.evaluation.metrics.regions import Region, RegionArray, RegionMask
from cyclesiam.evaluation.metrics.vot import FAILED, accuracy_frames, frames_with
from cyclesiam.evaluation.results.evaluation import Evaluation
from cyclesiam.evaluation.results.files import ResultFolder
from cyclesiam.evaluation.scorers.boxes import read_runs
from cyclesiam.evaluation.scorers.masks import judged_frames as judged_masks
from cyclesiam.evaluation.scorers.masks import object_ids, read_pairs
from cyclesiam.evaluation.scorers.resets import read_reset_runs
from cyclesiam.geometry.masks import mask_to_box, polygon_to_box


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameResults:
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


def load_frame_results(
    evaluation: Evaluation, reader: TrackingDataset | SegmentationDataset, name: str
) -> FrameResults:
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
    run = evaluation.run
    if run.results is None:
        raise DatasetError(
            f"{run.tracker} on {run.benchmark}: where its raw results are is not on record. Score "
            "them again."
        )
    benchmark = Benchmark(name=run.benchmark, protocol=run.protocol)
    results = benchmark.results(Path(run.results))
    sequence = reader.read(name, require="some")
    if isinstance(sequence, SegmentationSequence):
        return _segmentation(sequence, results, skips_last=run.benchmark.startswith("davis"))
    if run.protocol == "reset":
        return _resets(sequence, results, toolkit=run.flavour == "vot_toolkit")
    return _one_pass(sequence, results, benchmark)


def _one_pass(
    sequence: TrackingSequence, results: ResultFolder, benchmark: Benchmark
) -> FrameResults:
    run = read_runs(benchmark, results, sequence)[0]
    corner = run.boxes[:, :2] - benchmark.origin
    overlaps = frame_ious_xywh(run.boxes, run.truth)
    return FrameResults(
        name=sequence.name,
        frames=sequence.frames,
        truth=sequence.boxes,
        boxes=np.concatenate((corner, corner + run.boxes[:, 2:]), axis=1),
        overlaps=np.where(overlaps == NO_GROUND_TRUTH, np.nan, overlaps),
    )


def _resets(sequence: TrackingSequence, results: ResultFolder, *, toolkit: bool) -> FrameResults:
    runs = read_reset_runs(results, sequence)
    run, bounds = RegionArray.from_regions(runs.runs[0]), (runs.width, runs.height)
    overlaps = region_overlaps(run, runs.truth, bounds, "vot_toolkit" if toolkit else "pysot")
    return FrameResults(
        name=sequence.name,
        frames=sequence.frames,
        truth=sequence.boxes,
        boxes=np.array([_extent(region) for region in run]),
        overlaps=np.where(accuracy_frames(run), overlaps, np.nan),
        failures=tuple(frames_with(run, FAILED)),
    )


def _extent(region: Region) -> np.ndarray:
    if isinstance(region, RegionMask) or len(region) == 1:
        return np.full(4, np.nan)
    if len(region) == 4:
        return np.concatenate((region[:2], region[:2] + region[2:]))
    return polygon_to_box(region)


def _segmentation(
    sequence: SegmentationSequence, results: ResultFolder, *, skips_last: bool
) -> FrameResults:
    nothing = np.full((len(sequence), 4), np.nan)
    truth, boxes, overlaps = nothing.copy(), nothing.copy(), nothing[:, 0].copy()
    judged = {
        number: set(judged_masks(sequence, number, skips_last=skips_last))
        for number in object_ids(sequence)
    }
    for frame, labels, true in read_pairs(results, sequence, sorted(set().union(*judged.values()))):
        truth[frame], boxes[frame] = mask_to_box(true), mask_to_box(labels)
        overlaps[frame] = np.mean(
            [
                region_similarity(labels == number, true == number)
                for number, frames in judged.items()
                if frame in frames
            ]
        )
    folder = results.run_file(sequence.name)
    return FrameResults(
        name=sequence.name,
        frames=sequence.frames,
        truth=truth,
        boxes=boxes,
        overlaps=overlaps,
        label_maps=tuple(folder / f"{path.stem}.png" for path in sequence.frames),
    )
