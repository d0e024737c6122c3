"""Targets of equal looks exclude each other: a proposal belongs to one of them.

Each target is searched for by itself, and where two look alike, both may find the same one of them.
The better match keeps it; the other has to choose again, elsewhere. Boxes that lie on each other
already, because they were started so, stay.

Shapes: B targets, L that have to choose again, N proposals.
"""

from dataclasses import replace

from cyclesiam.arrays import AnyArray, array_namespace, set_rows
from cyclesiam.geometry.boxes import box_iou
from cyclesiam.geometry.crops import boxes_to_crop
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.tracking.batching import select_targets
from cyclesiam.tracking.siamese import SearchResult, TargetState, localize


def resolve_conflicts(
    before: TargetState,
    settled: TargetState,
    observation: SearchResult,
    search_size: int,
    frame_size: tuple[int, int],
    choice: SelectionConfig,
    most_shared: float,
) -> TargetState:
    """Let targets choose again that chose what matches another one better.

    Args:
        before: the targets in the frame before.
        settled: the targets as `settle` left them.
        observation: what was seen of the frame.
        search_size: side of the search crops in pixels.
        frame_size: height and width of the frame.
        choice: how they choose.
        most_shared: overlap of two boxes above which they are on one thing.
    """
    new = (_overlaps(settled.boxes) > most_shared) & (_overlaps(before.boxes) <= most_shared)
    rank = (-settled.scores).argsort(stable=True).argsort()
    rivals = new & (rank[:, None] > rank)  # (B, B): row gives way to column
    if not rivals.any():
        return settled
    xp = array_namespace(rivals)
    rows = xp.where(rivals.any(axis=1))[0]
    proposals, windows = observation.proposals, observation.windows[rows]
    boxes, scores = proposals.boxes[rows], proposals.scores[rows]
    for number, row in enumerate(rows.tolist()):
        taken = boxes_to_crop(settled.boxes[rivals[row]], windows[number], search_size)
        shared = box_iou(boxes[number][:, None], taken[None])
        scores[number, (shared > most_shared / 2).any(axis=1)] = 0
    seen = SearchResult(Proposals(boxes, scores), windows)
    last = select_targets(replace(before, chosen=None), rows)
    again = localize(last, seen, search_size, frame_size, choice)
    assert settled.chosen is not None
    assert again.chosen is not None
    return replace(
        settled,
        boxes=set_rows(settled.boxes, rows, again.boxes),
        scores=set_rows(settled.scores, rows, again.scores),
        chosen=set_rows(settled.chosen, rows, again.chosen),
    )


def _overlaps(boxes: AnyArray) -> AnyArray:
    """Give the (B, B) overlaps of (B, 4) boxes with each other."""
    return box_iou(boxes[:, None], boxes[None])
