"""The idea of the paper: track to a turning point and back; the first frame is the answer.

Shapes: B clips of T frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cyclesiam.geometry.crops import context_windows
from cyclesiam.geometry.proposals import ChoiceConfig
from cyclesiam.tracking.siamese import (
    CropChange,
    Network,
    Observation,
    advance,
    embed_targets,
    observe,
    search_windows,
    start,
    unchanged,
)


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the targets of B clips were found just before the way home.

    Args:
        boxes: (B, 4) xyxy in image pixels, in frame `frame`.
        scores: (B,) the network's least belief on the way, 0..1; 1 if there was no walk.
        frame: 1, or 0 if there was no walk.
    """

    boxes: Tensor
    scores: Tensor
    frame: int


@dataclass(frozen=True, slots=True)
class HomeChange:
    """What training does to windows and crops of the last step, and inference never does."""

    template_windows: CropChange = unchanged
    template_crops: CropChange = unchanged
    search_windows: CropChange = unchanged
    search_crops: CropChange = unchanged


def palindrome(turn: int) -> list[int]:
    """Frames of a walk to frame `turn` and back to frame 0.

    >>> palindrome(2)
    [0, 1, 2, 1, 0]
    """
    if turn < 0:
        raise ValueError(f"a cycle turns at frame 0 or later, got {turn}")
    return [*range(turn), *range(turn, -1, -1)]


@torch.no_grad()
def walk(network: Network, clips: Tensor, boxes: Tensor, turn: int, config: ChoiceConfig) -> Walk:
    """Follow targets forward to frame `turn` and back to frame 1: plain inference.

    At every step the next template is cut at the last prediction, at the predicted size.

    Args:
        network: embeds and searches.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        boxes: (B, 4) xyxy targets in frame 0, in pixels.
        turn: last frame of the forward walk; 0 for no walk at all.
        config: how the network's answers are read.
    """
    scores = torch.ones_like(boxes[:, 0])
    at = 0
    for frame in palindrome(turn)[1:-1]:
        state = advance(network, start(network, clips[:, at], boxes), clips[:, frame], config)
        boxes, scores, at = state.boxes, torch.minimum(scores, state.scores), frame
    return Walk(boxes, scores, at)


def find_last(
    network: Network, clips: Tensor, truth: Tensor, turn: int, config: ChoiceConfig
) -> Walk:
    """Give where targets are before the way home: as it is known, or else by a walk.

    Args:
        network: embeds and searches.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        truth: (B, T, 4) xyxy in pixels; of frame 0, and where a clip was made of all frames; NaN
            where only tracking can tell.
        turn: last frame of the forward walk.
        config: how the network's answers are read.
    """
    frame = min(turn, 1)
    boxes, scores = truth[:, frame], torch.ones_like(truth[:, 0, 0])
    rows = boxes.isnan().any(dim=1).nonzero()[:, 0]
    if len(rows):
        walked = walk(network, clips[rows], truth[rows, 0], turn, config)
        boxes = boxes.index_copy(0, rows, walked.boxes)
        scores = scores.index_copy(0, rows, walked.scores.to(scores.dtype))
    return Walk(boxes, scores, frame)


def go_home(
    network: Network,
    clips: Tensor,
    walked: Walk,
    change: HomeChange,
    partners: Tensor | None = None,
) -> Observation:
    """Search frame 0 for the targets as they looked at the end of a walk.

    Args:
        network: embeds and searches; the only step through which gradients flow.
        clips: (B, T, 3, H, W) uint8 frames.
        walked: where the targets were last.
        change: augmentation of this step.
        partners: (B,) whose template each clip is searched for; another's makes a negative pair.
    """
    template = embed_targets(
        network,
        clips[:, walked.frame],
        walked.boxes,
        change.template_windows(context_windows(walked.boxes)),
        change.template_crops,
    )
    if partners is not None:
        template = tuple(part[partners] for part in template)
    windows = change.search_windows(search_windows(network, walked.boxes))
    return observe(network, template, clips[:, 0], windows, change.search_crops)


def run_cycle(
    network: Network, clips: Tensor, boxes: Tensor, turn: int, config: ChoiceConfig
) -> Observation:
    """Track forward to frame `turn` and back; return what the tracker sees in frame 0.

    Args:
        network: embeds templates and searches windows.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        boxes: (B, 4) xyxy targets in frame 0, in pixels.
        turn: last frame of the forward walk; 0 searches the frame that the template came from.
        config: how the network's answers are read on the way.

    Returns:
        The observation of frame 0. Gradients reach the last step only: its template, cut at the
        last prediction, and its search window.

    Source: CycleSiam (Yuan et al., IROS 2020), section III.A.
    """
    return go_home(network, clips, walk(network, clips, boxes, turn, config), HomeChange())
