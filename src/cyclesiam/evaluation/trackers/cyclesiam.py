"""Our tracker behind `BoxTracker` and `ObjectTracker`, as the benchmarks ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from cyclesiam.evaluation.trackers.interface import InitialTarget
from cyclesiam.geometry.boxes import XYWH, xyxy_to_xywh
from cyclesiam.geometry.masks import box_to_mask, merge_masks
from cyclesiam.tracking.results import TrackResult
from cyclesiam.tracking.tracker import Tracker

OutputRegion = Literal["box", "bare_box", "rotated", "mask"]


class CycleSiamTracker:
    """Follow targets with `Tracker`s; of a lost target the doubted box counts.

    Args:
        tracker: used for this sequence alone.
        region: what `update` answers: the box, in which the mask has its say; the box without
            masks, which costs less; the rectangle of least area around the mask, or the mask's
            extent; where there is no mask, the box.
    """

    def __init__(self, tracker: Tracker, *, region: OutputRegion = "box") -> None:
        bare = region == "bare_box" or (region == "box" and not tracker.config.mask.changes_boxes)
        self._tracker = _without_masks(tracker) if bare else tracker
        self._segmenter = tracker
        self._region = region
        self._numbers: dict[int, int] = {}  # of objects, by those that the tracker gave them

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target in (H, W, 3) uint8 RGB; any earlier one is forgotten.

        Raises:
            TargetError: the box cannot be a target.
        """
        self._tracker.init(image, box_xywh)

    def update(self, image: np.ndarray) -> XYWH | tuple[float, ...]:
        """Give the target's region in the next frame, (H, W, 3) uint8 RGB.

        Returns:
            x, y, w, h; or, for `rotated`, x1, y1, ... x4, y4.
        """
        result = self._tracker.update(image)
        if self._region == "box" or result.mask is None or result.rotated_box is None:
            return result.box_xywh
        if self._region == "rotated":
            return result.rotated_box
        return tuple(xyxy_to_xywh(result.mask.box()).tolist())

    def init_objects(self, image: np.ndarray, objects: Mapping[int, InitialTarget]) -> np.ndarray:
        """Start on objects beside those that are followed; see `ObjectTracker`.

        Raises:
            TargetError: a box cannot be a target.
        """
        boxes = {number: given.box_xywh for number, given in objects.items()}
        if self._numbers:
            for number, (box, mask) in objects.items():
                self._numbers[self._segmenter.add(box, image=image, mask=mask)] = number
            filled = {
                number: box_to_mask(
                    (x, y, x + w, y + h), (image.shape[0], image.shape[1])
                ).to_array()
                for number, (x, y, w, h) in boxes.items()
            }
            return merge_masks(filled, image.shape[:2])
        masks = [given.mask for given in objects.values() if given.mask is not None]
        results = self._segmenter.start(
            image, [*boxes.values()], masks if len(masks) == len(boxes) else None
        )
        self._numbers = dict(zip(self._segmenter.ids, objects, strict=True))
        return self._paint(image, results)

    def update_objects(self, image: np.ndarray) -> np.ndarray:
        """Give the (H, W) uint8 label map of all objects in the next frame."""
        return self._paint(image, self._segmenter.step(image))

    def _paint(self, image: np.ndarray, results: Sequence[TrackResult]) -> np.ndarray:
        """Paint masks by their objects' numbers; where there are only boxes, the smaller on top."""
        size = (image.shape[0], image.shape[1])
        masks = {
            self._numbers[result.id]: result.mask or box_to_mask(result.box, size)
            for result in results
        }
        return merge_masks({number: mask.to_array() for number, mask in masks.items()}, size)


def _without_masks(tracker: Tracker) -> Tracker:
    config = replace(tracker.config, mask=replace(tracker.config.mask, enabled=False))
    return Tracker(tracker.network, config, device=tracker.device)
