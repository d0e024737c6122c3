"""A tracker's results in each frame, read back from its raw results to be shown.

T: frames of a sequence.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.datasets.segmentation_sequences import SegmentationSequence
from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.evaluation.benchmarks import BenchmarkSpec, ScoringRules
from cyclesiam.evaluation.metrics.boxes import NO_GROUND_TRUTH, frame_ious_xywh
from cyclesiam.evaluation.metrics.davis import region_similarity
from cyclesiam.evaluation.metrics.region_overlap import region_overlaps
from cyclesiam.evaluation.metrics.regions import Region, RegionArray, RegionMask
from cyclesiam.evaluation.metrics.vot import FAILED, accuracy_frames, frames_with
from cyclesiam.evaluation.results.files import ResultFolder
from cyclesiam.evaluation.scorers.boxes import read_runs
from cyclesiam.evaluation.scorers.masks import read_pairs, scored_frames
from cyclesiam.evaluation.scorers.resets import read_reset_runs
from cyclesiam.geometry.boxes import xywh_to_xyxy
from cyclesiam.geometry.masks import mask_to_box, polygon_to_box


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameResults:
    """One tracker on one sequence, frame by frame.

    Args:
        name: of the sequence.
        frames: T image files.
        truth: (T, 4) xyxy in continuous pixels, NaN where unknown.
        boxes: (T, 4) xyxy, the tracker's; NaN where there is none. Of a polygon or mask, the
            smallest box around it.
        overlaps: (T,) as the benchmark's scores use it; in segmentation the mean J of the objects.
            NaN in frames that do not count.
        failures: frames in which a run with resets failed.
        label_maps: T files of label maps, in segmentation only.
    """

    name: str
    frames: tuple[Path, ...]
    truth: np.ndarray
    boxes: np.ndarray
    overlaps: np.ndarray
    failures: tuple[int, ...] = ()
    label_maps: tuple[Path, ...] = ()


def box_frame_results(
    benchmark: BenchmarkSpec, results: ResultFolder, sequence: TrackingSequence
) -> FrameResults:
    """Read the boxes of one pass, those of the first run.

    Raises:
        DatasetError: annotation or results are missing or wrong.
    """
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


def reset_frame_results(
    results: ResultFolder, sequence: TrackingSequence, rules: ScoringRules
) -> FrameResults:
    """Read the regions of the first run with resets.

    Args:
        results: of one tracker.
        sequence: of the benchmark.
        rules: `pysot` or `vot_toolkit`, by which regions overlap.

    Raises:
        DatasetError: annotation or results are missing or wrong.
    """
    runs = read_reset_runs(results, sequence)
    run, bounds = RegionArray.from_regions(runs.runs[0]), (runs.width, runs.height)
    is_toolkit = rules == "vot_toolkit"
    overlaps = region_overlaps(run, runs.truth, bounds, "vot_toolkit" if is_toolkit else "pysot")
    return FrameResults(
        name=sequence.name,
        frames=sequence.frames,
        truth=sequence.boxes,
        boxes=np.array([_region_to_box(region) for region in run]),
        overlaps=np.where(accuracy_frames(run), overlaps, np.nan),
        failures=tuple(frames_with(run, FAILED)),
    )


def _region_to_box(region: Region) -> np.ndarray:
    if isinstance(region, RegionMask) or len(region) == 1:
        return np.full(4, np.nan)
    return xywh_to_xyxy(region) if len(region) == 4 else polygon_to_box(region)


def mask_frame_results(
    benchmark: BenchmarkSpec,
    results: ResultFolder,
    sequence: SegmentationSequence,
    rules: ScoringRules,
) -> FrameResults:
    """Read label maps, those of the frames in which an object counts by the rules.

    Raises:
        DatasetError: annotation or results are missing or wrong.
    """
    nothing = np.full((len(sequence), 4), np.nan)
    truth, boxes, overlaps = nothing.copy(), nothing.copy(), nothing[:, 0].copy()
    counted_frames = scored_frames(benchmark, sequence, rules)
    scored = {number: {*frames} for number, frames in counted_frames.items()}
    frames = sorted(set().union(*scored.values()))
    for frame, labels, true_labels in read_pairs(results, sequence, frames):
        truth[frame], boxes[frame] = mask_to_box(true_labels), mask_to_box(labels)
        overlaps[frame] = np.mean(
            [
                region_similarity(labels == number, true_labels == number)
                for number, counted in scored.items()
                if frame in counted
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
