"""The tracker that people use: pictures in, boxes out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from cyclesiam.arrays import AnyArray, empty_on_device, inference_context, new_array
from cyclesiam.errors import TargetError
from cyclesiam.geometry.boxes import xywh_to_xyxy
from cyclesiam.geometry.crops import frame_size
from cyclesiam.geometry.masks import Mask
from cyclesiam.tracking.batching import concat_targets, select_targets
from cyclesiam.tracking.confidence import (
    TargetStatus,
    box_confidence,
    init_status,
    update_status,
)
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.conflicts import resolve_conflicts
from cyclesiam.tracking.following import (
    Learning,
    Prediction,
    Run,
    TargetLabel,
    TrackState,
    at_once,
    forget_choice,
    make_results,
    segment,
    update,
)
from cyclesiam.tracking.inputs import to_frame, to_masks, validate_box
from cyclesiam.tracking.mask_boxes import correct_sizes, fit_boxes_to_masks, unknown_fit
from cyclesiam.tracking.median_flow import propagate_boxes
from cyclesiam.tracking.redetection import redetect, relocalize
from cyclesiam.tracking.results import MaskSource, TrackResult
from cyclesiam.tracking.siamese import (
    Network,
    SearchResult,
    TargetState,
    init_colors,
    init_filters,
    init_targets,
    localize,
    look,
    match_boxes,
    rescore,
    search_frame,
)
from cyclesiam.tracking.template_memory import init_templates

Result = TypeVar("Result")


def _computes(method: Callable[..., Result]) -> Callable[..., Result]:
    """Let a tracker's method compute as `geometry.arrays.tracking` says of its arrays."""

    @wraps(method)
    def call(self: "Tracker", *values: Any, **named: Any) -> Result:
        with inference_context(self._kind):
            return method(self, *values, **named)

    return call


class Tracker:
    """Follow one or more targets from their boxes in one frame.

    `init` and `update` are OpenCV's and GOT-10k's verbs, for one target:

        tracker = Tracker(network)
        tracker.init(first_frame, (x, y, w, h))
        for frame in frames:
            result = tracker.update(frame)

    `start` and `step` are the same for several; `add`, `remove` and `correct` change which, at any
    frame.

    Args:
        network: embeds templates and searches crops.
        config: how its answers are read.
        device: where the network's parameters are, as PyTorch names it; on a CPU the tracker
            computes with NumPy, elsewhere with tensors there, where frames are sent once.
    """

    def __init__(
        self,
        network: Network,
        config: TrackerConfig | None = None,
        *,
        device: Any = "cpu",
    ) -> None:
        self.network = network
        self.config = config or TrackerConfig()
        self.device = str(device)
        self._kind = empty_on_device(self.device)
        self._followed: TrackState | None = None  # but for what is still being learnt
        self._learning: Learning | None = None
        self._last: AnyArray | None = None  # the frame at hand
        self._ids: list[int] = []  # of the rows
        self._names: dict[int, str] = {}
        self._next_id = 1
        self._steps = 0  # since the targets were started

    def init(self, image: np.ndarray, box_xywh: Sequence[float]) -> None:
        """Begin to follow one target, and forget all others.

        Args:
            image: (H, W, 3) uint8 RGB.
            box_xywh: its left, top, width and height in pixels.

        Raises:
            TargetError: the box is not four finite numbers, is empty, or lies outside the image.
            ValueError: the image is not (H, W, 3) uint8.
        """
        self.start(image, [box_xywh])

    def update(self, image: np.ndarray) -> TrackResult:
        """Follow the first target into the next frame, (H, W, 3) uint8 RGB."""
        return self.step(image)[0]

    @property
    def has_masks(self) -> bool:
        """Whether results have masks."""
        return self.config.mask.enabled and self.network.has_masks

    @_computes
    def start(
        self,
        image: np.ndarray,
        boxes_xywh: Sequence[Sequence[float]],
        masks: Sequence[np.ndarray] | None = None,
    ) -> tuple[TrackResult, ...]:
        """Begin to follow several targets; they are numbered from 1.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes_xywh: left, top, width and height of each, in pixels.
            masks: (H, W) of each, not zero on its pixels, where these are known: its colours are
                then learnt from them.

        Raises:
            TargetError, ValueError: as `init`.
        """
        frame = to_frame(image, self._kind)
        followed, found = self._begin(frame, boxes_xywh, masks)
        self._followed, self._learning, self._steps = followed, None, 0
        self._last, self._ids = frame, list(range(1, len(followed.targets.boxes) + 1))
        self._next_id, self._names = len(self._ids) + 1, {}
        return make_results(followed, followed.targets.boxes, self._labels(), self.config, found)

    @_computes
    def add(
        self,
        box_xywh: Sequence[float],
        *,
        name: str | None = None,
        image: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> int:
        """Begin to follow one more target, beside those that are followed already.

        Args:
            box_xywh: its left, top, width and height in pixels.
            name: what its results are to be called, beside its number.
            image: (H, W, 3) uint8 RGB, the present frame; the last one seen where not given.
            mask: (H, W), not zero on its pixels, where these are known.

        Returns:
            Its number, which no other target had or will have.

        Raises:
            TargetError: no frame was seen yet, or as `init`.
            ValueError: as `init`.
        """
        frame = self._present(image)
        new, _ = self._begin(frame, [box_xywh], None if mask is None else [mask])
        if self._followed is None:
            self._followed, self._steps = new, 0
        else:
            self._followed = concat_targets(forget_choice(self._known()), new)
        self._last = frame
        self._ids.append(self._next_id)
        if name is not None:
            self._names[self._next_id] = name
        self._next_id += 1
        return self._ids[-1]

    def remove(self, id: int) -> None:
        """Follow a target no longer; the others keep their numbers.

        Raises:
            TargetError: there is no such target.
        """
        row = self._row(id)
        del self._ids[row]
        self._names.pop(id, None)
        if not self._ids:
            self._followed = self._learning = None
            return
        rows = [number for number in range(len(self._ids) + 1) if number != row]
        self._followed = select_targets(self._known(), rows)

    @_computes
    def correct(
        self, id: int, box_xywh: Sequence[float], *, image: np.ndarray | None = None
    ) -> None:
        """Say where a target is: it begins anew there, under its old number.

        Args:
            id: its number.
            box_xywh: where it is in the present frame.
            image: that frame; the last one seen where not given.

        Raises:
            TargetError: there is no such target, or as `init`.
            ValueError: as `init`.
        """
        row, frame = self._row(id), self._present(image)
        new, _ = self._begin(frame, [box_xywh])
        count = len(self._ids)
        rows = [count if number == row else number for number in range(count)]
        self._followed = select_targets(concat_targets(forget_choice(self._known()), new), rows)
        self._last = frame

    @property
    def ids(self) -> tuple[int, ...]:
        """The numbers of the targets that are followed, in the order of results."""
        return tuple(self._ids)

    def _begin(
        self,
        frame: AnyArray,
        boxes_xywh: Sequence[Sequence[float]],
        masks: Sequence[np.ndarray] | None = None,
    ) -> tuple[TrackState, list[tuple[Mask, MaskSource]] | None]:
        """Give targets as they are started in a frame, and their masks there if any are wanted."""
        boxes = [validate_box(box, frame_size(frame)) for box in boxes_xywh]
        if not boxes:
            raise TargetError("there is no box to start from: give at least one x, y, w, h")
        corners = xywh_to_xyxy(new_array(self._kind, boxes))
        targets = init_targets(self.network, frame, corners)
        if self.config.online_filter.weight:
            targets = init_filters(self.network, targets, frame, self.config.online_filter)
        if self.config.color_model.weight or self.has_masks:
            given = None if masks is None else to_masks(masks, self._kind)
            targets = init_colors(self.network, targets, frame, self.config.color_model, given)
        beginning = init_templates(targets), init_status(targets)
        followed = TrackState(targets, *beginning, unknown_fit(targets.boxes))
        if not self.has_masks:
            return followed, None
        seen = look(self.network, targets, frame)
        known = match_boxes(targets, seen, self.network.search_size)
        sighting = Prediction(frame, seen, replace(followed, targets=known), ())
        found = segment(self.network, sighting, self.config)
        return replace(followed, fit=fit_boxes_to_masks(targets.boxes, found.boxes)), found.masks

    def _present(self, image: np.ndarray | None) -> AnyArray:
        if image is not None:
            return to_frame(image, self._kind)
        if self._last is None:
            raise TargetError("no frame was seen yet: give the image that the box is in")
        return self._last

    def _row(self, id: int) -> int:
        if id not in self._ids:
            known = ", ".join(map(str, self._ids)) or "none"
            raise TargetError(f"there is no target {id}; there are: {known}")
        return self._ids.index(id)

    @_computes
    def step(self, image: np.ndarray) -> tuple[TrackResult, ...]:
        """Follow all targets into the next frame, (H, W, 3) uint8 RGB.

        Returns:
            Their results, in the order of `ids`; none where all were removed.

        Raises:
            TargetError: no target was ever started.
        """
        sighting = self.find(image)
        if sighting is None:
            return ()
        learning = self.learn(sighting, at_once)
        self._known()
        return learning.told.result()[0]

    @_computes
    def find(self, image: np.ndarray) -> Prediction | None:
        """Settle all targets in the next frame, (H, W, 3) uint8 RGB: the first part of a step.

        `learn` is the other, which tells results; it may be done beside the next call, see `Ahead`.

        Returns:
            Where they are; None where all were removed.

        Raises:
            TargetError: no target was ever started.
        """
        if self._last is None:
            raise TargetError("a target must be set with .init(image, box) before .update(image)")
        before, frame = self._last, to_frame(image, self._kind)
        self._last = frame
        if self._followed is None:
            return None
        network, config = self.network, self.config
        followed, standing = self._followed, self._followed.standing
        if self._learning is not None:
            followed = self._learning.add_looks(followed)
        targets = followed.targets
        if standing.lost.any():
            targets, standing = redetect(
                network,
                self._known().targets,
                standing,
                frame,
                config.selection,
                config.confidence,
                config.redetection,
            )
        around = search_frame(network, targets, frame)
        if self._learning is not None:
            self._followed = self._learning.add_votes(self._followed)
        last = replace(self._followed.targets, boxes=targets.boxes)
        seen = rescore(network, last, around)
        targets, confidences = self._settle(last, seen, standing, frame_size(frame))
        doubted = confidences < config.confidence.lost_threshold
        last_boxes = self._followed.targets.boxes
        boxes = propagate_boxes(
            targets.boxes, last_boxes, doubted, before, frame, config.median_flow
        )
        targets = self._resize(replace(targets, boxes=boxes), confidences, frame_size(frame))
        standing = update_status(standing, targets, confidences, config.confidence)
        self._followed = replace(self._known(), targets=targets, standing=standing)
        return Prediction(frame, seen, self._followed, self._labels())

    def _settle(
        self, last: TargetState, seen: SearchResult, standing: TargetStatus, size: tuple[int, int]
    ) -> tuple[TargetState, AnyArray]:
        """Give where targets are in a frame (H, W), apart from each other, and how surely."""
        config, sizes = self.config, (self.network.search_size, size)
        settled = localize(last, seen, *sizes, config.selection)
        confidences = self._believe(settled, seen, standing)
        options = config.selection, config.confidence, config.redetection
        targets = relocalize(last, settled, seen, confidences, *sizes, *options)
        if len(self._ids) > 1:
            targets = resolve_conflicts(
                last, targets, seen, *sizes, config.selection, config.max_target_overlap
            )
        if targets is not settled:
            confidences = self._believe(targets, seen, standing)
        return targets, confidences

    def _resize(
        self, targets: TargetState, confidences: AnyArray, size: tuple[int, int]
    ) -> TargetState:
        """Let masks of the frames before have their say in the sizes of targets."""
        mask = self.config.mask
        if not self.has_masks or not mask.size_correction:
            return targets
        sure, fit = confidences >= self.config.confidence.confident_threshold, self._known().fit
        boxes = correct_sizes(
            targets.boxes, fit, sure, mask.size_tolerance, mask.size_correction, size
        )
        return replace(targets, boxes=boxes)

    def _labels(self) -> tuple[TargetLabel, ...]:
        return tuple((number, self._names.get(number)) for number in self._ids)

    def _known(self) -> TrackState:
        """Give what is known of the targets, once all that was to be learnt is."""
        assert self._followed is not None
        if self._learning is not None:
            self._followed, self._learning = self._learning.add_all(self._followed), None
        return self._followed

    def _believe(
        self, targets: TargetState, seen: SearchResult, standing: TargetStatus
    ) -> AnyArray:
        """Give the (B,) probabilities of boxes; those just found again are believed less."""
        fresh = standing.lost | (standing.recovered_left > 0)
        return box_confidence(targets, seen, self.config.confidence, fresh)

    def learn(self, sighting: Prediction, run: Run) -> Learning:
        """Tell where targets are, and let them learn; the next `find` waits for what it needs.

        Args:
            sighting: what `find` gave last.
            run: does what is to be done, at once or beside.

        Returns:
            What is on its way; the results are `told`.
        """
        self._steps += 1
        self._learning = update(self.network, sighting, self._steps, self.config, run)
        return self._learning
