"""The cycle of the paper: track forward and back, then search the first frame for its own box.

The box of a clip's first frame is known, or discovered; no other frame needs a label. A tracker
that follows the target to another frame and back must find it again where it began:

    frame        0 --> 1 --> 2 --> 1 --> 0
                 `---- track_cycle ---'     plain inference, no gradients
    search_first_frame          `----->     the one step that is trained

Turn: the last frame of the forward half; 2 in the drawing. A clip has frames 0 to turn. With turn
0, frame 0 is searched for the template that was cropped there, and nothing is tracked.
Gap: the largest distance, in frames of the video, between neighboring frames of a clip.

Shapes: B clips of T frames; P boxes of a cycle, one for each frame before the last search.
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
        boxes: (B, P, 4) xyxy in image pixels, in the frames `palindrome(turn)[:-1]`, or in frame 0
            alone with turn 0.
        scores: (B,) lowest score of the tracked steps, 0..1; 1 where nothing was tracked.
        turn: last frame of the forward half.
    """

    boxes: Tensor
    scores: Tensor
    turn: int

    @property
    def last_boxes(self) -> Tensor:
        """The (B, 4) boxes that the last template is cropped at."""
        return self.boxes[:, -1]

    @property
    def last_frame(self) -> int:
        """The frame of `last_boxes`."""
        return min(self.turn, 1)

    def inner(self) -> "CycleTrack":
        """Return the cycle without its ends, for clips without frame 0; its turn must be above 1.

        It begins at the box that was tracked into frame 1, and must come back to that one.
        """
        return CycleTrack(self.boxes[:, 1:-1], self.scores, self.turn - 1)


@dataclass(frozen=True, slots=True)
class CycleTransform:
    """Augmentation of the trained step: changes of its windows and of its crops."""

    template_windows: CropTransform = identity
    template_crops: CropTransform = identity
    search_windows: CropTransform = identity
    search_crops: CropTransform = identity


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
        network: trained; gradients reach its last template and its last search only.
        ema: tracks; the running average of the network's weights.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        boxes: (B, T, 4) xyxy in pixels; NaN after frame 0 where only tracking can tell.
        turn: last frame of the forward half.
        config: how tracking selects among proposals.
        transform: augmentation of the last step; none by default.
        partners: see `search_first_frame`.

    Returns:
        The boxes on the way, and the proposals in frame 0, to be compared with the first boxes.
    """
    track = track_cycle(ema, clips, boxes, turn, config)
    result = search_first_frame(network, clips, track, transform or CycleTransform(), partners)
    return track, result


@torch.no_grad()
def track_cycle(
    network: Network, clips: Tensor, boxes: Tensor, turn: int, config: SelectionConfig
) -> CycleTrack:
    """Return where targets are on the way to frame `turn` and back to frame 1.

    A clip whose boxes are known in all these frames, as in synthetic clips, is not tracked.

    Args:
        network: embeds templates and searches.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        boxes: (B, T, 4) xyxy in pixels; NaN after frame 0 where only tracking can tell.
        turn: last frame of the forward half.
        config: how to select among proposals.
    """
    path = palindrome(turn)[:-1] or [0]
    known = torch.stack([boxes[:, frame] for frame in path], dim=1)
    scores = torch.ones_like(boxes[:, 0, 0])
    if not turn:
        return CycleTrack(known, scores, turn)
    rows = boxes[:, : turn + 1].isnan().any(dim=(1, 2)).nonzero()[:, 0]
    if not len(rows):
        return CycleTrack(known, scores, turn)
    unknown = clips if len(rows) == len(clips) else clips[rows]  # frames are large: rarely copied
    tracked, tracked_scores = _track_along(network, unknown, boxes[rows, 0], path, config)
    return CycleTrack(
        known.index_copy(0, rows, tracked.to(known.dtype)),
        scores.index_copy(0, rows, tracked_scores.to(scores.dtype)),
        turn,
    )


def _track_along(
    network: Network, clips: Tensor, boxes: Tensor, path: list[int], config: SelectionConfig
) -> tuple[Tensor, Tensor]:
    """Track (B, 4) boxes along frames; return (B, P, 4) boxes and (B,) lowest scores."""
    scores = torch.ones_like(boxes[:, 0])
    tracked = [boxes]
    for last, frame in pairwise(path):
        state = init_targets(network, clips[:, last], boxes)  # the template of the last prediction
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
    """Search frame 0 around the last boxes, for the template that is cropped at them.

    Args:
        network: embeds and searches, with gradients.
        clips: (B, T, 3, H, W) uint8 frames.
        track: where the targets were last.
        transform: augmentation.
        partners: (B,) the clip whose template each clip is searched for; another clip's makes a
            negative pair. Each its own by default.
    """
    boxes = track.last_boxes
    template = embed_templates(
        network,
        clips[:, track.last_frame],
        boxes,
        transform.template_windows(context_windows(boxes)),
        transform.template_crops,
    )
    if partners is not None:
        template = tuple(part[partners] for part in template)
    windows = transform.search_windows(search_windows(network, boxes))
    return search(network, template, clips[:, 0], windows, transform.search_crops)
