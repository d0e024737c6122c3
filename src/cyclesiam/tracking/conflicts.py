"""Targets of similar appearance exclude each other: no two may choose the same thing.

Each target is searched for by itself, and where two look alike, both may find the same one. The
target with the higher score keeps it. The other has to choose again, elsewhere. Boxes that
overlapped in the frame before, because they were started so, may stay.

Shapes: B targets, L that have to choose again, N proposals.
"""

from cyclesiam.arrays import AnyArray, array_namespace, set_rows
from cyclesiam.geometry.boxes import box_iou
from cyclesiam.geometry.crops import boxes_to_crop
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.search import Localization, SearchResult, localize


def resolve_conflicts(
    last_boxes: AnyArray, targets: Localization, found: SearchResult, config: TrackerConfig
) -> Localization:
    """Return where targets are, after those whose box fits another target better chose again.

    Args:
        last_boxes: (B, 4) xyxy in image pixels, in the frame before.
        targets: where they are in this frame.
        found: the search of this frame.
        config: `selection` says how they choose, `max_target_overlap` what a conflict is.
    """
    if len(last_boxes) < 2:
        return targets
    limit = config.max_target_overlap
    new = (_pairwise_iou(targets.boxes) > limit) & (_pairwise_iou(last_boxes) <= limit)
    rank = (-targets.scores).argsort(stable=True).argsort()
    rivals = new & (rank[:, None] > rank)  # (B, B): row gives way to column
    if not rivals.any():
        return targets
    xp = array_namespace(rivals)
    rows = xp.where(rivals.any(axis=1))[0]
    windows = found.windows[rows]
    boxes, scores = found.proposals.boxes[rows], found.proposals.scores[rows]
    for number, row in enumerate(rows.tolist()):
        taken = boxes_to_crop(targets.boxes[rivals[row]], windows[number], found.search_size)
        overlaps = box_iou(boxes[number][:, None], taken[None])
        scores[number, (overlaps > limit / 2).any(axis=1)] = 0
    remaining = SearchResult(Proposals(boxes, scores), windows, found.search_size, found.frame_size)
    again = localize(last_boxes[rows], remaining, config.selection)
    return Localization(
        boxes=set_rows(targets.boxes, rows, again.boxes),
        scores=set_rows(targets.scores, rows, again.scores),
        chosen=set_rows(targets.chosen, rows, again.chosen),
    )


def _pairwise_iou(boxes: AnyArray) -> AnyArray:
    """Return the (B, B) overlaps of (B, 4) boxes with each other."""
    return box_iou(boxes[:, None], boxes[None])
