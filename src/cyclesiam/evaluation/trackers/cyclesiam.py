"""This package's tracker as a `BoxTracker` and a `MultiObjectTracker`.

H, W: rows and columns of a frame.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from cyclesiam.evaluation.trackers.interface import InitialTarget
from cyclesiam.geometry.boxes import XYWH, xyxy_to_xywh
from cyclesiam.geometry.masks import box_to_mask, merge_masks
from cyclesiam.tracking.results import TrackResult
from cyclesiam.tracking.tracker import Tracker

OutputRegion = Literal["box", "bare_box", "rotated", "mask"]


class CycleSiamTracker:
    """Track targets with `Tracker`; of a lost target it returns the uncertain box.

    Args:
        tracker: used for this sequence alone.
        region: what `update` returns. `box`: the box, which masks refine. `bare_box`: the box
            without masks, which costs less. `rotated`: the rectangle of least area around the mask.
            `mask`: the upright box around the mask. Without a mask, the last two return the box.
    """

    def __init__(self, tracker: Tracker, *, region: OutputRegion = "box") -> None:
        no_masks = region == "bare_box" or (
            region == "box" and not tracker.config.mask.changes_boxes
        )
        self._tracker = _without_masks(tracker) if no_masks else tracker
        self._segmenter = tracker
        self._region = region
        self._labels: dict[int, int] = {}  # the tracker's id of an object to its label

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target in (H, W, 3) uint8 RGB, in place of any earlier one.

        Raises:
            TargetError: the box cannot be a target.
        """
        self._tracker.init(image, box_xywh)

    def update(self, image: np.ndarray) -> XYWH | tuple[float, ...]:
        """Return the target's region in the next frame, (H, W, 3) uint8 RGB.

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
        """Start on objects, in addition to those that are tracked already.

        Args:
            image: (H, W, 3) uint8 RGB, the frame in which they appear.
            objects: label of an object to the object.

        Returns:
            (H, W) uint8 label map of these objects, 0 elsewhere.

        Raises:
            TargetError: a box cannot be a target.
        """
        boxes = {label: target.box_xywh for label, target in objects.items()}
        if self._labels:
            for label, (box, mask) in objects.items():
                self._labels[self._segmenter.add(box, image=image, mask=mask)] = label
            size = image.shape[0], image.shape[1]
            filled = {
                label: box_to_mask((x, y, x + w, y + h), size).to_array()
                for label, (x, y, w, h) in boxes.items()
            }
            return merge_masks(filled, size)
        masks = [target.mask for target in objects.values() if target.mask is not None]
        results = self._segmenter.start(
            image, [*boxes.values()], masks if len(masks) == len(boxes) else None
        )
        self._labels = dict(zip(self._segmenter.ids, objects, strict=True))
        return self._label_map(image, results)

    def update_objects(self, image: np.ndarray) -> np.ndarray:
        """Return the (H, W) uint8 label map of all objects in the next frame."""
        return self._label_map(image, self._segmenter.step(image))

    def _label_map(self, image: np.ndarray, results: Sequence[TrackResult]) -> np.ndarray:
        """Merge the masks, or boxes without one, into a label map; the smaller one wins."""
        size = image.shape[0], image.shape[1]
        masks = {
            self._labels[result.id]: result.mask or box_to_mask(result.box, size)
            for result in results
        }
        return merge_masks({label: mask.to_array() for label, mask in masks.items()}, size)


def _without_masks(tracker: Tracker) -> Tracker:
    return Tracker(tracker.network, tracker.config, device=tracker.device, masks=False)
