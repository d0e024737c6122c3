"""The idea of the paper: track to a turning point and back; the first frame is the answer.

Shapes: B clips of T frames.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from cyclesiam.geometry.crops import context_windows, frame_size
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.tracking.siamese import (
    CropTransform,
    Network,
    SearchResult,
    TargetState,
    embed_templates,
    identity,
    init_targets,
    localize,
    look,
    search,
    search_windows,
)
from cyclesiam.training.feature_reuse import (
    CachedFeatures,
    FeatureNetwork,
    compute_features,
    search_cached,
)

TemplateFrom = Literal["last", "turn"]


@dataclass(frozen=True, slots=True)
class CycleTrack:
    """Where the targets of B clips were found before the way home.

    Args:
        boxes: (B, 4) xyxy in image pixels, in frame 1, or 0 if there was no walk.
        at_turn: (B, 4) xyxy in image pixels, in frame `turn`.
        scores: (B,) the network's least belief on the way, 0..1; 1 if there was no walk.
        turn: last frame of the forward walk.
        middle: the cycle within, of turn 2 or more.
    """

    boxes: Tensor
    at_turn: Tensor
    scores: Tensor
    turn: int
    middle: "Middle | None" = None

    @property
    def frame(self) -> int:
        """The frame of `boxes`, the last before home."""
        return min(self.turn, 1)


class Middle(NamedTuple):
    """A walk without its first frame: it began where the way out found the targets in frame 1.

    Args:
        began: (B, 4) xyxy in image pixels, there: what the way back is to find.
        walked: the rest, its frames counted from that one.
    """

    began: Tensor
    walked: CycleTrack


@dataclass(frozen=True, slots=True)
class CycleTransform:
    """What training does to windows and crops of the last step, and inference never does."""

    template_windows: CropTransform = identity
    template_crops: CropTransform = identity
    search_windows: CropTransform = identity
    search_crops: CropTransform = identity


def palindrome(turn: int) -> list[int]:
    """Frames of a walk to frame `turn` and back to frame 0.

    >>> palindrome(2)
    [0, 1, 2, 1, 0]
    """
    if turn < 0:
        raise ValueError(f"a cycle turns at frame 0 or later, got {turn}")
    return [*range(turn), *range(turn, -1, -1)]


@torch.no_grad()
def track_cycle(
    network: Network,
    clips: Tensor,
    boxes: Tensor,
    turn: int,
    config: SelectionConfig,
    *,
    share_features: bool = False,
) -> CycleTrack:
    """Follow targets forward to frame `turn` and back to frame 1: plain inference.

    At every step the next template is cut at the last prediction, at the predicted size.

    Args:
        network: embeds and searches.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        boxes: (B, 4) xyxy targets in frame 0, in pixels.
        turn: last frame of the forward walk; 0 for no walk at all.
        config: how the network's answers are read.
        share_features: look on the way back at what was seen on the way out, where the target is
            still well inside that; see `training.views`.
    """
    scores = torch.ones_like(boxes[:, 0])
    at, at_turn = 0, boxes
    found = [boxes]
    seen: dict[int, CachedFeatures] = {}
    for frame in palindrome(turn)[1:-1]:
        state, frames = init_targets(network, clips[:, at], boxes), clips[:, frame]
        if share_features:
            observation = _look_again(network, state, frames, seen, frame)
        else:
            observation = look(network, state, frames)
        state = localize(state, observation, network.search_size, frame_size(frames), config)
        boxes, scores, at = state.boxes, torch.minimum(scores, state.scores), frame
        at_turn = boxes if at == turn else at_turn
        found.append(boxes)
    middle = (
        Middle(found[1], CycleTrack(found[-2], at_turn, scores, turn - 1)) if turn > 1 else None
    )
    return CycleTrack(boxes, at_turn, scores, turn, middle)


def _look_again(
    network: Network,
    state: TargetState,
    frames: Tensor,
    seen: dict[int, CachedFeatures],
    frame: int,
) -> SearchResult:
    """Search a frame by what was seen of it, which is noted in `seen`."""
    if not isinstance(network, FeatureNetwork):
        raise ValueError("this network gives no features to compare: set share_features False")
    windows = search_windows(network, state.boxes)
    seen[frame] = compute_features(network, frames, windows, seen.get(frame))
    return search_cached(network, state.template, seen[frame], windows)


def last_positions(
    network: Network,
    clips: Tensor,
    truth: Tensor,
    turn: int,
    config: SelectionConfig,
    *,
    share_features: bool = False,
) -> CycleTrack:
    """Give where targets are before the way home: as it is known, or else by a walk.

    Args:
        network: embeds and searches.
        clips: (B, T, 3, H, W) uint8 frames, with T > turn.
        truth: (B, T, 4) xyxy in pixels; of frame 0, and where a clip was made of all frames; NaN
            where only tracking can tell.
        turn: last frame of the forward walk.
        config: how the network's answers are read.
        share_features: of a walk, see there.
    """
    known = _known_walk(truth, turn)
    if not turn:
        return known
    rows = truth[:, : turn + 1].isnan().any(dim=(1, 2)).nonzero()[:, 0]
    if not len(rows):
        return known
    everyone = len(rows) == len(truth)  # nothing to pick out: frames are large
    walked = track_cycle(
        network,
        clips if everyone else clips[rows],
        truth[rows, 0],
        turn,
        config,
        share_features=share_features,
    )
    return _put_in(known, rows, walked)


def _known_walk(truth: Tensor, turn: int) -> CycleTrack:
    """Give the walk of targets that are where (B, T, 4) truth says."""
    sure = torch.ones_like(truth[:, 0, 0])
    middle = None
    if turn > 1:
        middle = Middle(truth[:, 1], CycleTrack(truth[:, 2], truth[:, turn], sure, turn - 1))
    return CycleTrack(truth[:, min(turn, 1)], truth[:, turn], sure, turn, middle)


def _put_in(known: CycleTrack, rows: Tensor, walked: CycleTrack) -> CycleTrack:
    """Put (M,) rows that were walked into a walk of all."""

    def put(all_rows: Tensor, found: Tensor) -> Tensor:
        return all_rows.index_copy(0, rows, found.to(all_rows.dtype))

    middle = None
    if known.middle is not None and walked.middle is not None:
        began = put(known.middle.began, walked.middle.began)
        middle = Middle(began, _put_in(known.middle.walked, rows, walked.middle.walked))
    return CycleTrack(
        put(known.boxes, walked.boxes),
        put(known.at_turn, walked.at_turn),
        put(known.scores, walked.scores),
        known.turn,
        middle,
    )


def search_first_frame(
    network: Network,
    clips: Tensor,
    walked: CycleTrack,
    change: CycleTransform,
    partners: Tensor | None = None,
    template_from: TemplateFrom = "last",
) -> SearchResult:
    """Search frame 0, where the targets were last, for how they looked.

    Args:
        network: embeds and searches; the only step through which gradients flow.
        clips: (B, T, 3, H, W) uint8 frames.
        walked: where the targets were last.
        change: augmentation of this step.
        partners: (B,) whose template each clip is searched for; another's makes a negative pair.
        template_from: how they looked at the end of the walk, or where it turned, which is
            farther from home: there a target has changed as much as it does in long videos.
    """
    farther = template_from == "turn"
    frame, boxes = (walked.turn, walked.at_turn) if farther else (walked.frame, walked.boxes)
    template = embed_templates(
        network,
        clips[:, frame],
        boxes,
        change.template_windows(context_windows(boxes)),
        change.template_crops,
    )
    if partners is not None:
        template = tuple(part[partners] for part in template)
    windows = change.search_windows(search_windows(network, walked.boxes))
    return search(network, template, clips[:, 0], windows, change.search_crops)


def run_cycle(
    network: Network, clips: Tensor, boxes: Tensor, turn: int, config: SelectionConfig
) -> SearchResult:
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
    return search_first_frame(
        network, clips, track_cycle(network, clips, boxes, turn, config), CycleTransform()
    )
