"""Fit the tracker's confidence to weights without labels, and measure its calibration.

    .venv/bin/python benchmarks/fit_confidence.py --scenes CLIPS STILLS [--fit] [--root EVAL]
        [--weights default] [--clips 60] [--no-masks]

With `--fit`, targets are tracked through synthetic occlusions, and forward and back through videos,
of scenes that are not held out. A logistic function is fitted to the score, the colors, whether the
target was just redetected, and whether the box was correct: known for occlusions, and for videos
where the tracks forward and back agree. The result is four coefficients of `ConfidenceConfig`. With
masks there are four more, fitted to the default confidences. `--no-masks` tracks without masks.

Without `--fit` the default coefficients are measured on occlusions of held-out scenes. With a root
that holds the folders of the development suite they are also measured on its sequences, whose
annotations only score.

Printed are the area under the ROC curve for "the IoU is below 0.1", the expected calibration error
for "the IoU is above 0.5" over ten bins, the bins, and how many occluded targets were redetected.
`--csrt` compares with CSRT on the same frames, which reports `ok` only.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from cyclesiam.arrays import logit
from cyclesiam.cli.options import load_network
from cyclesiam.data.discovery import moving_regions
from cyclesiam.data.scenes import Scene, find_scenes, read_downscaled, round_robin, split_scenes
from cyclesiam.datasets.registry import TRACKING_DATASETS
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.evaluation.metrics.boxes import iou
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.inputs import to_frame
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.step import (
    LocalizedTargets,
    finish,
    localize_targets,
    search_targets,
    start,
    update,
)
from cyclesiam.validation.calibration import MOTION_GAP
from cyclesiam.validation.occlusions import OcclusionClip, make_occlusion_clips
from cyclesiam.video import read_image

SUITE = {"otb": "otb", "uav123_10fps": "uav123", "vot2018": "vot2018", "davis2016": "davis2016"}
CYCLE_FRAMES = 45  # to the turn
MAX_DELAY = 30  # frames after its reappearance within which a target counts as redetected


class Track(NamedTuple):
    """(T, 4) boxes of a target, and (T - 1,) values for each frame after the first.

    recovering: lost or just redetected; odds: log odds without masks; mask_iou: NaN without a mask.
    """

    boxes: np.ndarray
    confidences: np.ndarray
    scores: np.ndarray
    colors: np.ndarray
    recovering: np.ndarray
    odds: np.ndarray
    mask_iou: np.ndarray
    lost: np.ndarray


@dataclass
class Report:
    """Reports for frames, and the true IoU of their boxes, 0 where the target is occluded."""

    confidences: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    lost: list[bool] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)

    def add(self, track: Track, ious: np.ndarray) -> None:
        self.confidences += track.confidences.tolist()
        self.scores += track.scores.tolist()
        self.lost += track.lost.tolist()
        self.ious += ious.tolist()


def track_clip(
    network: Network, config: TrackerConfig, images: Iterable[np.ndarray], box: np.ndarray
) -> Track:
    """Track one target, and record the inputs of the confidence in each frame."""
    images, boxes = iter(images), box[None].astype(np.float32)
    state, _ = start(network, to_frame(next(images), boxes), boxes, config)
    results, evidence = [], []
    for image in images:
        searched = search_targets(network, state, to_frame(image, boxes), config)
        localized = localize_targets(network, state, searched, config)
        prediction = finish(state, localized, config)
        state, (result,) = update(network, prediction, [(1, None)], config)
        results.append(result)
        evidence.append((*evidence_in(localized, config), state.mask_fit.iou.item()))
    scores, colors, recovering, odds, mask_ious = np.array(evidence).T
    return Track(
        np.array([box, *(result.box for result in results)]),
        np.array([result.score for result in results]),
        scores,
        colors,
        recovering,
        odds,
        mask_ious,
        np.array([result.state == "lost" for result in results]),
    )


def evidence_in(localized: LocalizedTargets, config: TrackerConfig) -> tuple[float, ...]:
    """Return score, color, whether it is recovering, and log odds of one target."""
    weights, status = config.confidence, localized.status
    scores, odds = localized.targets.scores, logit(localized.confidences)
    recovering = status.lost | (status.recovered_left > 0)
    rest = (
        odds - weights.bias - weights.score_weight * scores + weights.recovered_penalty * recovering
    )
    evidence = (scores, rest / weights.color_weight, recovering, odds)
    return tuple(float(one[0]) for one in evidence)


def true_ious(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the (T - 1,) IoUs after the first frame; 0 where the target is occluded."""
    return np.nan_to_num(iou(boxes[1:], truth[1:]))


def fit(network: Network, tracking: TrackerConfig, scenes: Sequence, clips: int) -> None:
    """Print the coefficients fitted to clips of scenes."""
    inputs, masks, correct = [], [], []
    for clip in make_occlusion_clips(scenes, clips, seed=2):
        track = track_clip(network, tracking, clip.frames, clip.boxes[0])
        inputs.append(box_inputs(track))
        masks.append(mask_inputs(track))
        correct.append(true_ious(track.boxes, clip.boxes) > 0.5)
    for frames, box in moving_targets(scenes, clips, np.random.default_rng(5)):
        track = track_clip(network, tracking, frames + frames[-2::-1], box)
        ious = np.nan_to_num(iou(track.boxes, track.boxes[::-1]))
        inputs.append(box_inputs(track))
        masks.append(mask_inputs(track))
        correct.append(ious[1:] > 0.5)
    weights = fit_logistic(np.concatenate(inputs), np.concatenate(correct))
    print(f"{sum(map(len, correct))} frames, {np.concatenate(correct).mean():.2f} of them correct")
    bias, score, color, recovered = weights
    print(
        f"bias={bias:.2f}, score_weight={score:.2f}, color_weight={color:.2f}, "
        f"recovered_penalty={-recovered:.2f}"
    )
    if tracking.mask.enabled and network.has_masks:
        coefficients = fit_logistic(np.concatenate(masks), np.concatenate(correct))
        names = "mask_bias", "mask_logit_weight", "mask_iou_weight", "implausible_mask_bias"
        print(
            ", ".join(
                f"{name}={value:.2f}" for name, value in zip(names, coefficients, strict=True)
            )
        )


def moving_targets(
    scenes: Sequence[Scene], count: int, rng: np.random.Generator
) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """Yield parts of videos and the (4,) box of a region that moves in their first frame."""
    videos = [scene for scene in scenes if scene.frames > CYCLE_FRAMES]
    for scene in round_robin(videos, count, rng):
        first = int(rng.integers(scene.frames - CYCLE_FRAMES))
        frames = read_downscaled(scene, first, CYCLE_FRAMES + 1)
        regions = moving_regions(frames[0], frames[MOTION_GAP]) if frames else ()
        if len(regions):
            yield frames, regions[rng.integers(len(regions))]


def box_inputs(track: Track) -> np.ndarray:
    """Return the (T - 1, 4) inputs of the confidence of boxes."""
    ones = np.ones_like(track.scores)
    return np.column_stack((ones, track.scores, track.colors, track.recovering))


def mask_inputs(track: Track) -> np.ndarray:
    """Return the (T - 1, 4) inputs of the reported confidence."""
    no_mask = np.isnan(track.mask_iou)
    mask_iou = np.nan_to_num(track.mask_iou)
    return np.column_stack((np.ones_like(no_mask, float), track.odds, mask_iou, no_mask))


def fit_logistic(inputs: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the K weights of (N, K) inputs under which (N,) labels are most likely."""
    x, expected = torch.from_numpy(inputs).double(), torch.from_numpy(labels).double()
    weights = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights, expected)
        value.backward()
        return value

    optimizer.step(loss)
    return weights.tolist()


def measure_occlusions(
    network: Network, config: TrackerConfig, clips: Sequence[OcclusionClip]
) -> Report:
    report = Report()
    redetected: dict[str, list[tuple[bool, bool]]] = {}
    for clip in clips:
        track = track_clip(network, config, clip.frames, clip.boxes[0])
        ious = true_ious(track.boxes, clip.boxes)
        report.add(track, ious)
        gone = int(np.flatnonzero(np.isnan(clip.boxes[:, 0]))[0])
        before = ious[gone - 9 : gone - 4].mean() > 0.3
        again = bool((ious[clip.reappears_at - 1 : clip.reappears_at - 1 + MAX_DELAY] > 0.5).any())
        redetected.setdefault(clip.kind, []).append((bool(before), again))
    for kind, counts in redetected.items():
        tracked_before = [again for before, again in counts if before]
        print(
            f"{kind}: of {len(counts)} targets {np.mean([again for _, again in counts]):.2f} are "
            f"redetected within {MAX_DELAY} frames; of the {len(tracked_before)} that were "
            f"tracked before, {np.mean(tracked_before):.2f}"
        )
    return report


def suite_sequences(root: Path) -> Iterator:
    for reader, folder in SUITE.items():
        if (root / folder).is_dir():
            yield from TRACKING_DATASETS[reader](root / folder).sequences()


def measure_suite(network: Network, config: TrackerConfig, root: Path) -> Report:
    report = Report()
    for sequence in suite_sequences(root):
        truth = np.asarray(sequence.boxes, float)
        track = track_clip(network, config, map(read_image, sequence.frames), truth[0])
        known = np.isfinite(truth[1:]).all(axis=1)
        part = Track(track.boxes, *(values[known] for values in track[1:]))
        report.add(part, true_ious(track.boxes, truth)[known])
    return report


def measure_csrt(images: Iterable[np.ndarray], truth: np.ndarray) -> tuple[list[float], list[bool]]:
    """Return the IoUs of CSRT's boxes, and in which frames it reports a loss."""
    images, tracker = iter(images), cv2.TrackerCSRT.create()
    left, top, right, bottom = truth[0]
    window = np.rint((left, top, right - left, bottom - top)).astype(int).tolist()
    tracker.init(np.ascontiguousarray(next(images)[..., ::-1]), window)
    boxes, lost, last = [truth[0]], [], truth[0]
    for image in images:
        ok, (x, y, w, h) = tracker.update(np.ascontiguousarray(image[..., ::-1]))
        last = np.array([x, y, x + w, y + h], float) if ok else last
        boxes.append(last)
        lost.append(not ok)
    return true_ious(np.array(boxes), truth).tolist(), lost


def area_under_roc(scores: np.ndarray, lost: np.ndarray) -> float:
    """Return the probability that a lost frame scores higher than another; ties count half."""
    order = np.unique(scores, return_inverse=True)[1]
    counts = np.bincount(order)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[order]
    positives, negatives = lost.sum(), (~lost).sum()
    return float((ranks[lost].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def print_report(name: str, report: Report) -> None:
    confidences, ious = np.array(report.confidences), np.array(report.ious)
    lost, correct = ious < 0.1, ious > 0.5
    bins = np.minimum((confidences * 10).astype(int), 9)
    rows = [(bins == number) for number in range(10) if (bins == number).any()]
    error = sum(row.mean() * abs(confidences[row].mean() - correct[row].mean()) for row in rows)
    print(
        f"{name}: {len(lost)} frames, {lost.mean():.2f} lost, {correct.mean():.2f} correct; ROC "
        f"area of lost {area_under_roc(-confidences, lost):.3f} (raw score "
        f"{area_under_roc(-np.array(report.scores), lost):.3f}, state `lost` "
        f"{area_under_roc(np.array(report.lost, float), lost):.3f}); calibration error {error:.3f}"
    )
    bins_text = ", ".join(
        f"{confidences[row].mean():.2f} {correct[row].mean():.2f}" for row in rows
    )
    print(f"  confidence and accuracy, by tenths: {bins_text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", nargs="+", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--no-masks", action="store_true")
    parser.add_argument("--csrt", action="store_true", help="also measure CSRT: slow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, _ = load_network(options.weights, "cpu", RuntimeConfig(threads=1))
    tracking = TrackerConfig(mask=MaskConfig(enabled=not options.no_masks))
    kept, held_out = split_scenes(find_scenes(options.scenes)[0], 0.1)
    if options.fit:
        fit(network, tracking, kept, options.clips)
        return
    clips = make_occlusion_clips(held_out, options.clips, seed=1)
    occlusions = measure_occlusions(network, tracking, clips)
    print_report("occlusion clips", occlusions)
    truths = [(clip.frames, clip.boxes) for clip in clips]
    if options.root:
        suite = measure_suite(network, tracking, options.root)
        print_report("development suite", suite)
        parts = zip(vars(occlusions).values(), vars(suite).values(), strict=True)
        print_report("both", Report(*(one + other for one, other in parts)))
        truths += [
            ([read_image(frame) for frame in sequence.frames], np.asarray(sequence.boxes, float))
            for sequence in (suite_sequences(options.root) if options.csrt else ())
        ]
    if options.csrt:
        ious, lost = [], []
        for images, truth in truths:
            more_ious, more_lost = measure_csrt(images, truth)
            ious, lost = ious + more_ious, lost + more_lost
        area = area_under_roc(np.array(lost, float), np.array(ious) < 0.1)
        print(f"CSRT, the same frames: ROC area of `not ok` {area:.3f}")


if __name__ == "__main__":
    main()
