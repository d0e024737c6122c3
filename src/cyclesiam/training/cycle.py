"""The cycle of the paper: track forward and back, then search the first frame for its own box.

The box of a clip's first frame is known, or discovered; no other frame needs a label. A tracker
that follows the target to another frame and back must find it again where it began:

    frame        0 --> 1 --> 2 --> 1 --> 0
                 `-- track_cycle --'          by the EMA network: no gradients
    search_first_frame             `--->      by the trained network

Turn: the last frame of the forward half; 2 in the drawing. Frames 0 to turn are positions in the
clip. With turn 0, frame 0 is searched for the template cropped there, and nothing is tracked.
Gap: the largest distance, in frames of the video, between neighboring frames of a clip. The
curriculum chooses both; clips are made accordingly.

`objective.py` compares the result with the expected box. It drops cycles that drifted, and weights
the others by `CycleTrack.scores`. It may train a second pair in frame 1, see `CycleTrack.inner`.

Shapes: B clips of T frames; P = max(2 turn, 1) boxes of a cycle, one for each visit of a frame
before the final search, so that frame 1 counts twice.
Source: CycleSiam (Yuan et al., IROS 2020), section III.A.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cyclesiam.geometry.crops import context_windows
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.search import (
    CropTransform,
    SearchResult,
    embed_templates,
    identity,
    init_targets,
    localize,
    search,
    search_frame,
    search_windows,
)


def palindrome(turn: int) -> list[int]:
    """Return the frames of a cycle: from frame 0 to frame `turn` and back.

    >>> palindrome(2)
    [0, 1, 2, 1, 0]
    """
    if turn < 0:
        raise ValueError(f"a cycle turns at frame 0 or later, got {turn}")
    return [*range(turn), *range(turn, -1, -1)]


@dataclass(frozen=True, slots=True)
class CycleTrack:
    """Boxes of B targets along a cycle, up to the search of the first frame.

    Args:
        boxes: (B, P, 4) xyxy in image pixels, along `palindrome(turn)[:-1]`; with turn 0, in
            frame 0 only.
        scores: (B,) lowest score on the way, 0..1; 1 where nothing was tracked. The objective
            drops cycles with low scores, and weights the others by them.
        turn: last frame of the forward half.
    """

    boxes: Tensor
    scores: Tensor
    turn: int

    @property
    def template_boxes(self) -> Tensor:
        """The (B, 4) boxes at which the template of the final search is cropped."""
        return self.boxes[:, -1]

    @property
    def template_frame(self) -> int:
        """The frame of `template_boxes`: frame 1, or 0 with turn 0."""
        return min(self.turn, 1)

    def inner(self) -> "CycleTrack":
        """Return the pair in the middle: the cycle that begins and ends in frame 1.

        Its frames count from there, so it belongs to clips without frame 0. Its expected box is the
        one tracked into frame 1. It keeps the scores of the whole cycle. Needs a turn above 1.
        """
        return CycleTrack(self.boxes[:, 1:-1], self.scores, self.turn - 1)


@dataclass(frozen=True, slots=True)
class CycleTransform:
    """Augmentation of the final search: changes of its windows and of its crops."""

    jitter_template_windows: CropTransform = identity
    change_template_crops: CropTransform = identity
    jitter_search_windows: CropTransform = identity
    change_search_crops: CropTransform = identity


def run_cycle(
    network: Network,
    ema: Network,
    clips: Tensor,
    boxes: Tensor,
    turn: int,
    *,
    config: SelectionConfig,
    transform: CycleTransform | None = None,
    partners: Tensor | None = None,
) -> tuple[CycleTrack, SearchResult]:
    """Track forward to frame `turn` and back to frame 1, then search frame 0.

    Args:
        network: trained. Gradients reach it through the template and the search of frame 0; the
            tracked boxes are constants.
        ema: tracks, without gradients; the moving average of the network's weights.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        boxes: (B, T, 4) xyxy in pixels; NaN after frame 0 where only tracking can tell.
        turn: last frame of the forward half.
        config: how tracking selects among proposals.
        transform: augmentation of the final search; none by default.
        partners: see `search_first_frame`.

    Returns:
        The boxes on the way, and the proposals in frame 0, to be compared with the expected boxes.
    """
    track = track_cycle(ema, clips, boxes, turn, config)
    result = search_first_frame(network, clips, track, transform or CycleTransform(), partners)
    return track, result


@torch.no_grad()
def track_cycle(
    ema: Network, clips: Tensor, boxes: Tensor, turn: int, config: SelectionConfig
) -> CycleTrack:
    """Return where targets are on the way to frame `turn` and back to frame 1.

    A clip with a NaN box in frames 0 to turn is tracked from frame 0. Other clips, as synthetic
    ones, keep their known boxes, with score 1.

    Args:
        ema: embeds templates and searches.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        boxes: (B, T, 4) xyxy in pixels; NaN after frame 0 where only tracking can tell.
        turn: last frame of the forward half.
        config: how to select among proposals.
    """
    path = palindrome(turn)[:-1] or [0]
    given = torch.stack([boxes[:, frame] for frame in path], dim=1)
    scores = torch.ones_like(boxes[:, 0, 0])
    if not turn:
        return CycleTrack(given, scores, turn)
    rows = boxes[:, : turn + 1].isnan().any(dim=(1, 2)).nonzero()[:, 0]
    if not len(rows):
        return CycleTrack(given, scores, turn)
    unknown = clips if len(rows) == len(clips) else clips[rows]  # a copy, of mixed batches only
    tracked, tracked_scores = _track_along(ema, unknown, boxes[rows, 0], path, config)
    return CycleTrack(
        given.index_copy(0, rows, tracked.to(given.dtype)),
        scores.index_copy(0, rows, tracked_scores.to(scores.dtype)),
        turn,
    )


def _track_along(
    network: Network, clips: Tensor, boxes: Tensor, path: list[int], config: SelectionConfig
) -> tuple[Tensor, Tensor]:
    """Track (B, 4) boxes along frames; return (B, P, 4) boxes and (B,) lowest scores."""
    scores = torch.ones_like(boxes[:, 0])
    tracked = [boxes]
    for previous, frame in pairwise(path):
        state = init_targets(network, clips[:, previous], boxes)  # a new template in each frame
        result, _ = search_frame(network, state, clips[:, frame])
        targets = localize(boxes, result, config)
        boxes, scores = targets.boxes, torch.minimum(scores, targets.scores)
        tracked.append(boxes)
    return torch.stack(tracked, dim=1), scores


def search_first_frame(
    network: Network,
    clips: Tensor,
    track: CycleTrack,
    transform: CycleTransform,
    partners: Tensor | None = None,
) -> SearchResult:
    """Search frame 0 around the last tracked boxes, for the template that is cropped at them.

    Args:
        network: embeds and searches, with gradients.
        clips: (B, T, 3, H, W) uint8 frames.
        track: where the targets were last.
        transform: augmentation.
        partners: (B,) index of the clip that lends its template; another clip's makes a negative
            pair. The search window stays the clip's own. By default each has its own template.
    """
    boxes = track.template_boxes
    template = embed_templates(
        network,
        clips[:, track.template_frame],
        boxes,
        transform.jitter_template_windows(context_windows(boxes)),
        transform.change_template_crops,
    )
    if partners is not None:
        template = tuple(part[partners] for part in template)
    windows = transform.jitter_search_windows(search_windows(network, boxes))
    return search(network, template, clips[:, 0], windows, transform.change_search_crops)
