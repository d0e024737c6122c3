"""The tracker that people use: images in, results out."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cyclesiam.arrays import AnyArray, empty_on_device, inference_context, new_array
from cyclesiam.deployment.loading import load_network, resolve_device
from cyclesiam.deployment.runtimes import Precision, RuntimeChoice, RuntimeConfig
from cyclesiam.errors import TargetError
from cyclesiam.geometry.boxes import xywh_to_xyxy
from cyclesiam.geometry.crops import frame_size
from cyclesiam.models.metadata import resolve_weights
from cyclesiam.tracking.batching import concat_targets, select_targets
from cyclesiam.tracking.config import TrackerConfig, load_config
from cyclesiam.tracking.inputs import to_frame, to_masks, validate_box
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.registry import TargetRegistry
from cyclesiam.tracking.results import TrackResult
from cyclesiam.tracking.segmentation import SegmentedTargets
from cyclesiam.tracking.state import TrackState
from cyclesiam.tracking.step import make_results, makes_masks, predict, start, update

Result = TypeVar("Result")


def _computes(method: Callable[..., Result]) -> Callable[..., Result]:
    """Run a tracker's method in the `inference_context` of its arrays."""

    @wraps(method)
    def call(self: "Tracker", *values: Any, **named: Any) -> Result:
        with inference_context(self._like):  # pyright: ignore[reportPrivateUsage]
            return method(self, *values, **named)

    return call


class Tracker:
    """Track one or more targets from their boxes in one frame.

    `init` and `update` are OpenCV's and GOT-10k's verbs, for one target:

        tracker = Tracker()
        tracker.init(first_frame, (x, y, w, h))
        for frame in frames:
            result = tracker.update(frame)

    `start` and `step` are the same for several targets. `add`, `remove` and `correct` change the
    targets at any frame. What happens in a frame is written down in `tracking.step`.

    Images are copied: they may be drawn on, or written over, once a method has returned. One
    tracker belongs to one thread at a time. A network may be shared by trackers in many.

    Args:
        network: name of shipped weights, or a folder that `cyclesiam train` or `export` wrote; or a
            network that is loaded already.
        config: of the tracker; None for the one beside the weights, or the defaults.
        device: auto, cpu, cuda or cuda:N. auto is the CPU for weights that have graphs, as the
            shipped ones have, and for a loaded network; else the first CUDA device, if there is
            one. On the CPU the tracker computes with NumPy, elsewhere with tensors on that device.
        runtime: what runs a network that is given by name: auto, onnxruntime, openvino or pytorch.
        precision: of its numbers: auto, f32 or bf16. See `RuntimeConfig` for auto.
        threads: that compute; 0 for few.
        masks: whether to predict masks, if the network can.

    Raises:
        WeightsError: the weights or the config beside them cannot be read.
        MissingExtraError: what runs them is not installed.
        ValueError: the device, runtime or precision is unknown, or the network cannot run so.
    """

    def __init__(
        self,
        network: str | Path | Network = "default",
        config: TrackerConfig | None = None,
        *,
        device: Any = "auto",
        runtime: RuntimeChoice = "auto",
        precision: Precision = "auto",
        threads: int = 0,
        masks: bool = True,
    ) -> None:
        run = RuntimeConfig(runtime=runtime, precision=precision, threads=threads)
        device = str(device)
        if isinstance(network, str | Path):
            config = config or load_config(resolve_weights(network))
            device = resolve_device(device, network, run)
            network, _ = load_network(network, device, run, masks=masks and config.mask.enabled)
        elif run != RuntimeConfig():
            raise ValueError("runtime, precision and threads are for networks given by name")
        config = config or TrackerConfig()
        self.network: Network = network
        self.config = config if masks else config.without_masks()
        self.device = "cpu" if device == "auto" else device
        self._like = empty_on_device(self.device)  # the kind of array that it computes with
        self.registry = TargetRegistry()
        # What is known after the last frame; a future where that is still computed.
        self.state: TrackState | Future[TrackState] | None = None

    @property
    def has_masks(self) -> bool:
        """Whether results have masks."""
        return makes_masks(self.network, self.config)

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the tracked targets, in the order of results."""
        return self.registry.ids

    def init(self, image: np.ndarray, box_xywh: Sequence[float]) -> None:
        """Start to track one target, and forget all others.

        Args:
            image: (H, W, 3) uint8 RGB.
            box_xywh: its left, top, width and height in pixels.

        Raises:
            TargetError: the box is not four finite numbers, is empty, or lies outside the image.
            ImageError: the image is not (H, W, 3) uint8.
        """
        self.start(image, [box_xywh])

    def update(self, image: np.ndarray) -> TrackResult:
        """Track all targets into the next frame, and return the result of the first.

        Args:
            image: (H, W, 3) uint8 RGB.

        Raises:
            TargetError: no target was ever started, or none is left.
            ImageError: the image is not (H, W, 3) uint8, or has another size than the last.
        """
        results = self.step(image)
        if not results:
            raise TargetError(
                "no target is left to track: start one with .init(image, box) or .add(box)"
            )
        return results[0]

    @_computes
    def start(
        self,
        image: np.ndarray,
        boxes_xywh: Sequence[Sequence[float]],
        masks: Sequence[np.ndarray] | None = None,
    ) -> tuple[TrackResult, ...]:
        """Start to track several targets, and forget all others; their ids count from 1.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes_xywh: left, top, width and height of each, in pixels.
            masks: (H, W) of each, not zero on its pixels, where these are known. The color models
                are then counted on them.

        Returns:
            Their results in this frame.

        Raises:
            TargetError: there is no box, or one is not four finite numbers, is empty, or lies
                outside the image.
            ImageError: the image is not (H, W, 3) uint8.
        """
        frame = to_frame(image, self._like)
        state, segmented = self._start(frame, boxes_xywh, masks)
        self.state, self.registry = state, TargetRegistry()
        for _ in state.boxes:
            self.registry.add()
        masks_found = None if segmented is None else segmented.masks
        return make_results(state, state.boxes, self.registry.labels, self.config, masks_found)

    @_computes
    def step(self, image: np.ndarray) -> tuple[TrackResult, ...]:
        """Track all targets into the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            Their results, in the order of `ids`; none where all were removed.

        Raises:
            TargetError: no target was ever started.
            ImageError: the image is not (H, W, 3) uint8, or has another size than the last.
        """
        state = self.settled_state()
        if not self.ids:
            self.state = replace(state, frame=to_frame(image, self._like))
            return ()
        frame = to_frame(image, self._like, frame_size(state.frame))
        prediction = predict(self.network, state, frame, self.config)
        labels = self.registry.labels
        self.state, results = update(self.network, prediction, labels, self.config)
        return results

    @_computes
    def add(
        self,
        box_xywh: Sequence[float],
        *,
        name: str | None = None,
        image: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> int:
        """Start to track one more target.

        Args:
            box_xywh: its left, top, width and height in pixels.
            name: goes into its results, beside its id.
            image: (H, W, 3) uint8 RGB, the frame that the box is in; None for the last one.
            mask: (H, W), not zero on its pixels, where these are known.

        Returns:
            Its id, which no other target had or will have.

        Raises:
            TargetError: there was no frame yet, or the box is not four finite numbers, is empty,
                or lies outside the image.
            ImageError: the image is not (H, W, 3) uint8, or has another size than the last.
        """
        frame = self._present_frame(image)
        new, _ = self._start(frame, [box_xywh], None if mask is None else [mask])
        if self.ids:
            new = replace(concat_targets(self.settled_state(), new), frame=frame)
        self.state = new
        return self.registry.add(name)

    def remove(self, id: int) -> None:
        """Stop tracking a target; the others keep their ids.

        Raises:
            TargetError: no target has this id.
        """
        removed = self.registry.row(id)
        rows = [row for row in range(len(self.ids)) if row != removed]
        self.state = select_targets(self.settled_state(), rows)
        self.registry.remove(id)

    @_computes
    def correct(
        self, id: int, box_xywh: Sequence[float], *, image: np.ndarray | None = None
    ) -> None:
        """Start a target anew at another box; it keeps its id and name.

        Args:
            id: of the target.
            box_xywh: its left, top, width and height in the present frame, in pixels.
            image: (H, W, 3) uint8 RGB, the frame that the box is in; None for the last one.

        Raises:
            TargetError: no target has this id, or the box is not four finite numbers, is empty,
                or lies outside the image.
            ImageError: the image is not (H, W, 3) uint8, or has another size than the last.
        """
        corrected, frame = self.registry.row(id), self._present_frame(image)
        new, _ = self._start(frame, [box_xywh])
        rows = list(range(len(self.ids)))
        rows[corrected] = len(rows)
        both = concat_targets(self.settled_state(), new)
        self.state = replace(select_targets(both, rows), frame=frame)

    def settled_state(self) -> TrackState:
        """Return what is known of the targets after the last frame; wait while it is computed.

        Raises:
            TargetError: no target was ever started.
        """
        if self.state is None:
            raise TargetError("no target was ever started: start one with .init(image, box)")
        if isinstance(self.state, Future):
            self.state = self.state.result()
        return self.state

    def _start(
        self,
        frame: AnyArray,
        boxes_xywh: Sequence[Sequence[float]],
        masks: Sequence[np.ndarray] | None = None,
    ) -> tuple[TrackState, SegmentedTargets | None]:
        """Return the state of targets in the frame of their first boxes, and their masks there."""
        boxes = [validate_box(box, frame_size(frame)) for box in boxes_xywh]
        if not boxes:
            raise TargetError("there is no box to start from: give at least one x, y, w, h")
        if masks is not None and len(masks) != len(boxes):
            raise TargetError(f"there are {len(masks)} masks for {len(boxes)} boxes: give one each")
        corners = xywh_to_xyxy(new_array(self._like, boxes))
        known = None if masks is None else to_masks(masks, self._like, frame_size(frame))
        return start(self.network, frame, corners, self.config, known)

    def _present_frame(self, image: np.ndarray | None) -> AnyArray:
        if image is not None:
            size = frame_size(self.settled_state().frame) if self.ids else None
            return to_frame(image, self._like, size)
        if self.state is None:
            raise TargetError("there was no frame yet: pass the image that the box is in")
        return self.settled_state().frame
