"""Fit the tracker's confidence to weights without labels, and measure how honest it is.

    .venv/bin/python benchmarks/fit_confidence.py --scenes CLIPS STILLS [--fit] [--root EVAL]
        [--weights default] [--clips 60] [--no-masks]

`--fit` follows made clips whose target hides, and walks forward and back through videos of scenes
that are not held out; from the score, the colours, whether the target was just found again, and
whether the box was right (the way out agrees with the way home), a logistic is fitted: four numbers
for `ConfidenceConfig`; and with masks four more, of what these add to the shipped ones. With
`--no-masks` boxes heed no masks, as `track --no-masks`.
Without it the shipped numbers are measured: on made clips of held-out scenes, and, with a root that
holds the development suite's folders, on its sequences, whose annotations only score.

Printed are the area under the ROC of "the overlap is below .1", the expected calibration error of
"the overlap is above .5" over ten bins, the reliability diagram's bins, and how many hidden targets
were found again. Beside it CSRT on the same frames, whose `ok` is all that it says.
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
from cyclesiam.data.scenes import find_scenes, split_scenes
from cyclesiam.datasets.registry import TRACKING_DATASETS
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.evaluation.metrics.boxes import iou
from cyclesiam.tracking.confidence import TargetStatus
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.siamese import Network, SearchResult, TargetState
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from cyclesiam.validation.examples import ExampleConfig, make_examples
from cyclesiam.validation.occlusions import OcclusionClip, make_occlusion_clips
from cyclesiam.video import read_image

SUITE = {"otb": "otb", "uav123_10fps": "uav123", "vot2018": "vot2018", "davis2016": "davis2016"}
PATIENCE = 30  # frames within which a hidden target is to be found again


class Followed(NamedTuple):
    """(T, 4) boxes, and (T - 1,) of what is said past the first.

    fresh: just found again; odds: their logarithm, masks unheard; agreement: of masks, or NaN.
    """

    boxes: np.ndarray
    believed: np.ndarray
    scores: np.ndarray
    colours: np.ndarray
    fresh: np.ndarray
    odds: np.ndarray
    agreement: np.ndarray
    lost: np.ndarray


@dataclass
class Told:
    """What was said in frames, and what was true: overlaps with the truth, 0 where hidden."""

    believed: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    flags: list[bool] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)

    def add(self, followed: Followed, overlaps: np.ndarray) -> None:
        self.believed += followed.believed.tolist()
        self.scores += followed.scores.tolist()
        self.flags += followed.lost.tolist()
        self.overlaps += overlaps.tolist()


class Witness(Tracker):
    """A tracker that writes down the evidence of each frame, for one target."""

    def _settle(
        self, last: TargetState, seen: SearchResult, standing: TargetStatus, size: tuple[int, int]
    ) -> tuple[TargetState, np.ndarray]:
        config = self.config.confidence
        targets, believed = super()._settle(last, seen, standing, size)
        odds = logit(believed)
        fresh = standing.lost | (standing.recovered_left > 0)
        rest = (
            odds
            - config.bias
            - config.score_weight * targets.scores
            + config.recovered_penalty * fresh
        )
        colours = rest / config.color_weight
        found = (targets.scores, colours, fresh, odds)
        self.evidence.append(tuple(float(one[0]) for one in found))
        return targets, believed


def follow(
    network: Network, config: TrackerConfig, images: Iterable[np.ndarray], box: np.ndarray
) -> Followed:
    tracker, images = Witness(network, config), iter(images)
    tracker.evidence = []
    left, top, right, bottom = box.tolist()
    tracker.init(next(images), (left, top, right - left, bottom - top))
    results, agreement = [], []
    for image in images:
        results.append(tracker.update(image))
        agreement.append(tracker._followed.fit.iou.item())
    scores, colours, fresh, odds = np.array(tracker.evidence).T
    return Followed(
        np.array([box, *(result.box for result in results)]),
        np.array([result.score for result in results]),
        scores,
        colours,
        fresh,
        odds,
        np.array(agreement),
        np.array([result.state == "lost" for result in results]),
    )


def true_overlaps(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give the (T - 1,) overlaps past the first frame; 0 where there is nothing to be found."""
    return np.nan_to_num(iou(boxes[1:], truth[1:]))


def fit(network: Network, tracking: TrackerConfig, scenes: Sequence, clips: int) -> None:
    """Print the numbers that the evidence asks for."""
    inputs, masks, right = [], [], []
    for clip in make_occlusion_clips(scenes, clips, seed=2):
        followed = follow(network, tracking, clip.frames, clip.boxes[0])
        inputs.append(evidence_of(followed))
        masks.append(evidence_of_masks(followed))
        right.append(true_overlaps(followed.boxes, clip.boxes) > 0.5)
    config = ExampleConfig(zooms=0, pasted=0, cycles=clips, seed=5)
    for example in make_examples(scenes, config):
        walk = example.frames + example.frames[-2::-1]
        followed = follow(network, tracking, walk, example.boxes[0])
        agree = np.nan_to_num(iou(followed.boxes, followed.boxes[::-1]))
        inputs.append(evidence_of(followed))
        masks.append(evidence_of_masks(followed))
        right.append(agree[1:] > 0.5)
    weights = fit_logistic(np.concatenate(inputs), np.concatenate(right))
    print(f"{sum(map(len, right))} frames, {np.concatenate(right).mean():.2f} of them right")
    bias, of_score, of_colours, of_fresh = weights
    print(
        f"bias={bias:.2f}, of_score={of_score:.2f}, of_colours={of_colours:.2f}, "
        f"caution={-of_fresh:.2f}"
    )
    if tracking.mask.enabled and network.has_masks:
        added = fit_logistic(np.concatenate(masks), np.concatenate(right))
        names = "with_mask", "of_belief", "of_agreement", "without_mask"
        print(", ".join(f"{name}={value:.2f}" for name, value in zip(names, added, strict=True)))


def evidence_of(followed: Followed) -> np.ndarray:
    """Give (T - 1, 4) inputs of the logistic of boxes."""
    ones = np.ones_like(followed.scores)
    return np.column_stack((ones, followed.scores, followed.colours, followed.fresh))


def evidence_of_masks(followed: Followed) -> np.ndarray:
    """Give (T - 1, 4) inputs of the logistic of what is told."""
    nothing = np.isnan(followed.agreement)
    agreement = np.nan_to_num(followed.agreement)
    return np.column_stack((np.ones_like(nothing, float), followed.odds, agreement, nothing))


def fit_logistic(inputs: np.ndarray, right: np.ndarray) -> list[float]:
    """Give the weights of (N, K) inputs that make (N,) answers likeliest."""
    given, wanted = torch.from_numpy(inputs).double(), torch.from_numpy(right).double()
    weights = torch.zeros(given.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(given @ weights, wanted)
        value.backward()
        return value

    optimiser.step(loss)
    return weights.tolist()


def measure_made(network: Network, config: TrackerConfig, clips: Sequence[OcclusionClip]) -> Told:
    told = Told()
    found: dict[str, list[tuple[bool, bool]]] = {}
    for clip in clips:
        followed = follow(network, config, clip.frames, clip.boxes[0])
        overlaps = true_overlaps(followed.boxes, clip.boxes)
        told.add(followed, overlaps)
        gone = int(np.flatnonzero(np.isnan(clip.boxes[:, 0]))[0])
        before = overlaps[gone - 9 : gone - 4].mean() > 0.3
        again = bool(
            (overlaps[clip.reappears_at - 1 : clip.reappears_at - 1 + PATIENCE] > 0.5).any()
        )
        found.setdefault(clip.kind, []).append((bool(before), again))
    for way, counts in found.items():
        followed_before = [again for before, again in counts if before]
        print(
            f"{way}: of {len(counts)} targets {np.mean([again for _, again in counts]):.2f} are "
            f"found within {PATIENCE} frames; of the {len(followed_before)} that were followed "
            f"before, {np.mean(followed_before):.2f}"
        )
    return told


def suite_sequences(root: Path) -> Iterator:
    for reader, folder in SUITE.items():
        if (root / folder).is_dir():
            yield from TRACKING_DATASETS[reader](root / folder).sequences()


def measure_suite(network: Network, config: TrackerConfig, root: Path) -> Told:
    told = Told()
    for sequence in suite_sequences(root):
        truth = np.asarray(sequence.boxes, float)
        followed = follow(network, config, map(read_image, sequence.frames), truth[0])
        known = np.isfinite(truth[1:]).all(axis=1)
        part = Followed(followed.boxes, *(values[known] for values in followed[1:]))
        told.add(part, true_overlaps(followed.boxes, truth)[known])
    return told


def measure_csrt(images: Iterable[np.ndarray], truth: np.ndarray) -> tuple[list[float], list[bool]]:
    """Give the overlaps of CSRT's boxes, and where it says that it lost the target."""
    images, tracker = iter(images), cv2.TrackerCSRT.create()
    left, top, right, bottom = truth[0]
    window = np.rint((left, top, right - left, bottom - top)).astype(int).tolist()
    tracker.init(np.ascontiguousarray(next(images)[..., ::-1]), window)
    boxes, flags, last = [truth[0]], [], truth[0]
    for image in images:
        ok, (x, y, w, h) = tracker.update(np.ascontiguousarray(image[..., ::-1]))
        last = np.array([x, y, x + w, y + h], float) if ok else last
        boxes.append(last)
        flags.append(not ok)
    return true_overlaps(np.array(boxes), truth).tolist(), flags


def area_under_roc(suspicion: np.ndarray, lost: np.ndarray) -> float:
    """Give the chance that a lost frame is suspected more than another; ties count half."""
    order = np.unique(suspicion, return_inverse=True)[1]
    counts = np.bincount(order)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[order]
    positives, negatives = lost.sum(), (~lost).sum()
    return float((ranks[lost].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def report(name: str, told: Told) -> None:
    believed, overlaps = np.array(told.believed), np.array(told.overlaps)
    lost, right = overlaps < 0.1, overlaps > 0.5
    bins = np.minimum((believed * 10).astype(int), 9)
    rows = [(bins == number) for number in range(10) if (bins == number).any()]
    error = sum(row.mean() * abs(believed[row].mean() - right[row].mean()) for row in rows)
    print(
        f"{name}: {len(lost)} frames, {lost.mean():.2f} lost, {right.mean():.2f} right; ROC area "
        f"of lost {area_under_roc(-believed, lost):.3f} (raw score "
        f"{area_under_roc(-np.array(told.scores), lost):.3f}, state `lost` "
        f"{area_under_roc(np.array(told.flags, float), lost):.3f}); calibration error {error:.3f}"
    )
    shares = ", ".join(f"{believed[row].mean():.2f} {right[row].mean():.2f}" for row in rows)
    print(f"  said and true, by tenths: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", nargs="+", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--no-masks", action="store_true")
    parser.add_argument("--csrt", action="store_true", help="also CSRT: slow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, _ = load_network(options.weights, "cpu", RuntimeConfig(threads=1))
    tracking = TrackerConfig(mask=MaskConfig(enabled=not options.no_masks))
    kept, held_out = split_scenes(find_scenes(options.scenes)[0], 0.1)
    if options.fit:
        fit(network, tracking, kept, options.clips)
        return
    clips = make_occlusion_clips(held_out, options.clips, seed=1)
    made = measure_made(network, tracking, clips)
    report("made clips", made)
    truths = [(clip.frames, clip.boxes) for clip in clips]
    if options.root:
        suite = measure_suite(network, tracking, options.root)
        report("development suite", suite)
        parts = zip(vars(made).values(), vars(suite).values(), strict=True)
        report("both", Told(*(one + other for one, other in parts)))
        truths += [
            ([read_image(frame) for frame in sequence.frames], np.asarray(sequence.boxes, float))
            for sequence in (suite_sequences(options.root) if options.csrt else ())
        ]
    if options.csrt:
        overlaps, flags = [], []
        for images, truth in truths:
            some, said = measure_csrt(images, truth)
            overlaps, flags = overlaps + some, flags + said
        area = area_under_roc(np.array(flags, float), np.array(overlaps) < 0.1)
        print(f"CSRT, the same frames: ROC area of `not ok` {area:.3f}")


if __name__ == "__main__":
    main()
