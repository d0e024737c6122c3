"""Validation without labels: how well a network tracks in held-out scenes.

The score of an example is the mean overlap after its first frame, 0..1; `examples` describes the
kinds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cyclesiam.errors import TargetError
from cyclesiam.geometry.boxes import box_iou
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from cyclesiam.validation.examples import KINDS, Example, ExampleKind
from cyclesiam.validation.progress import ShowProgress, show_nothing


@dataclass(frozen=True, slots=True)
class LabelFreeScores:
    """Scores of a network on examples.

    Args:
        kinds: the kind of each example.
        overlaps: the score of each example, 0..1.
    """

    kinds: tuple[ExampleKind, ...]
    overlaps: tuple[float, ...]

    @property
    def by_kind(self) -> dict[ExampleKind, float]:
        """Mean score of each kind that there is."""
        return {kind: float(values.mean()) for kind, values in _split(self).items()}

    @property
    def total(self) -> float:
        """Mean over the kinds, with equal weights: none is known to predict better."""
        return float(np.mean(list(self.by_kind.values())))


def label_free_score(
    network: Network,
    examples: Sequence[Example],
    config: TrackerConfig | None = None,
    *,
    device: torch.device | str = "cpu",
    show: ShowProgress = show_nothing,
) -> LabelFreeScores:
    """Score a network on every example.

    Args:
        network: for tracking, with its parameters on `device`.
        examples: from scenes that the network was not trained on.
        config: of the tracker; by default, without masks.
        device: where to compute.
        show: shows how many examples are done.
    """
    config = config or TrackerConfig(mask=MaskConfig(enabled=False))  # the network's own boxes
    tracker = Tracker(network, config, device=device)
    overlaps = tuple(
        _score(tracker, example) for example in show(examples, "scoring", len(examples))
    )
    return LabelFreeScores(tuple(example.kind for example in examples), overlaps)


def paired_gain(before: LabelFreeScores, after: LabelFreeScores) -> tuple[float, float]:
    """Compare the totals of two networks on the same examples.

    Returns:
        By how much `after` is higher, and the standard error of that difference. The error comes
        from the paired differences within each kind, and is infinite where a kind has one example.

    Raises:
        ValueError: the scores are of different examples.
    """
    if before.kinds != after.kinds:
        raise ValueError("scores of different examples cannot be compared")
    pairs = np.subtract(after.overlaps, before.overlaps)
    parts = _split(LabelFreeScores(after.kinds, tuple(pairs))).values()
    gain = float(np.mean([part.mean() for part in parts]))
    if any(len(part) < 2 for part in parts):
        return gain, float("inf")
    variances = [part.var(ddof=1) / len(part) for part in parts]
    return gain, float(np.sqrt(sum(variances)) / len(variances))


def _split(scores: LabelFreeScores) -> dict[ExampleKind, np.ndarray]:
    kinds, values = np.array(scores.kinds), np.array(scores.overlaps)
    return {kind: values[kinds == kind] for kind in KINDS if kind in scores.kinds}


def _score(tracker: Tracker, example: Example) -> float:
    """Return the mean overlap after frame 0, where the box is known."""
    try:
        boxes = _track(tracker, example.frames, example.boxes[0])
    except TargetError:  # a target too small or outside: the same for every network
        return 0.0
    known = np.isfinite(example.boxes[1:]).all(axis=1)
    return (
        float(_overlap(boxes[1:][known], example.boxes[1:][known]).mean()) if known.any() else 0.0
    )


def _track(tracker: Tracker, frames: list[np.ndarray], box: np.ndarray) -> np.ndarray:
    """Track from a box, xyxy; return the (T, 4) boxes, of which the first is the initial one."""
    left, top, right, bottom = box.tolist()
    tracker.init(frames[0], (left, top, right - left, bottom - top))
    return np.array([box, *(tracker.update(frame).box for frame in frames[1:])])


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    return box_iou(torch.from_numpy(boxes.copy()), torch.from_numpy(others.copy())).numpy()
