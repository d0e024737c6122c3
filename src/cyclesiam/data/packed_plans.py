"""Plans of a batch as a few arrays, which cross from the process that plans to the device.

Shapes: D plans of T frames, R rows of the batch, N layers; (H, W) the canvas.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cyclesiam.data.clip_plans import ClipPlan
from cyclesiam.data.clips import BatchRequest, ClipDataset
from cyclesiam.data.frame_store import SPARE, FrameStore
from cyclesiam.errors import TrainingError
from cyclesiam.synthetic.compositing import Layer
from cyclesiam.synthetic.panning import View

ALPHA_ONE = 240  # of alphas as bytes: all are sixteenths, since a blurred shape made them
BEHIND, TARGET, FRONT = 0, 1, 2
ROLES = {"behind": BEHIND, "target": TARGET, "front": FRONT}


class PackedViews(NamedTuple):
    """What canvases show of images.

    Args:
        offsets: (...) int64, of images in the flat array; -1 for none.
        sizes: (..., 2) int64, their height and width.
        maps: (..., 4) float32: scale and shift from a column of the canvas to one of the image,
            and from a row to a row.
    """

    offsets: Tensor
    sizes: Tensor
    maps: Tensor


class PackedLayers(NamedTuple):
    """Sprites to paste, the hindmost of all clips first, then the second of all, and so on.

    Args:
        counts: how many layers are hindmost, how many second, ...
        longest: most rows or columns of pixels that are resized.
        largest: largest side.
        plans: (N,) int64, where they are pasted.
        roles: (N,) int64, `BEHIND`, `TARGET` or `FRONT`.
        offsets: (N,) int64, of their pixels in the flat array.
        strides: (N,) int64, bytes from one row of pixels to the next.
        spans: (N, 2) int64, rows and columns of these pixels, which are resized to the side.
        sides: (N,) int64, of the sprites.
        alphas: (N,) int64, offsets of (S, S) alphas.
        maps: (N, T, 2, 3) float32, from pixel indices of the canvas to those of the sprite.
        shifts: (N, T, 4, 4, 2) float32, see `Deformation`.
        gains: (N, T, 3) float32.
    """

    counts: tuple[int, ...]
    longest: int
    largest: int
    plans: Tensor
    roles: Tensor
    offsets: Tensor
    strides: Tensor
    spans: Tensor
    sides: Tensor
    alphas: Tensor
    maps: Tensor
    shifts: Tensor
    gains: Tensor


class PackedPlans(NamedTuple):
    """The plans of a batch.

    Args:
        request: what was asked for.
        rows: (R,) int64, the plan that each row shows.
        backward: (R,) bool, whether it is shown back in time.
        views: (D, T) of the frames.
        masks: (D, 2) of the first and the last mask.
        boxes: (D, T, 4) float32 xyxy; NaN where unknown or a pasted target's.
        pasted: (D,) bool, whether boxes and masks are a pasted target's.
        layers: sprites; None without any.
        extra: bytes to put behind the frames in the flat array.
        names: (R,) files that the clips come from.
        problems: what could not be read.
    """

    request: BatchRequest
    rows: Tensor
    backward: Tensor
    views: PackedViews
    masks: PackedViews
    boxes: Tensor
    pasted: Tensor
    layers: PackedLayers | None
    extra: Tensor
    names: tuple[str, ...]
    problems: tuple[str, ...]


Packed = TypeVar("Packed", PackedViews, PackedLayers, PackedPlans)


def to_device(packed: Packed, device: torch.device) -> Packed:
    """Return arrays with all their tensors on a device."""
    moved: dict[str, Any] = {}
    for name, part in packed._asdict().items():
        if isinstance(part, Tensor):
            moved[name] = part.to(device)
        elif isinstance(part, PackedViews | PackedLayers):
            moved[name] = to_device(part, device)  # pyright: ignore[reportArgumentType]
    return packed._replace(**moved)


class PlanDataset(Dataset[PackedPlans]):
    """Packed plans by request, for the batches that `clips` would give.

    Args:
        clips: plans them; it reads from the store.
        store: frames.
    """

    def __init__(self, clips: ClipDataset, store: FrameStore) -> None:
        self.clips = clips
        self.store = store

    def __getitem__(self, request: BatchRequest) -> PackedPlans:
        problems: dict[str, None] = {}
        drawn = self.clips.config.clips_per_batch
        plans = self.clips.plan_clips(request, problems)
        place = {draw: index for index, draw in enumerate(plans)}
        packer = _Packer(self.store)
        packed = [*plans.values()]
        views = packer.views([[*plan.views] for plan in packed])
        masks = packer.views([[*(plan.masks or (None, None))] for plan in packed])
        layers = packer.layers(packed)
        unknown = np.full((request.turn + 1, 4), np.nan)
        boxes = [unknown if plan.boxes is None else plan.boxes for plan in packed]
        return PackedPlans(
            request,
            torch.tensor([place[row % drawn] for row in self.clips.rows]),
            torch.tensor([row >= drawn for row in self.clips.rows]),
            views,
            masks,
            torch.from_numpy(np.stack(boxes)).float(),
            torch.tensor([plan.boxes is None for plan in packed]),
            layers,
            torch.from_numpy(packer.extra()),
            tuple(plans[row % drawn].name for row in self.clips.rows),
            tuple(problems),
        )


class _Packer:
    """Turns images into offsets; those that the store lacks travel with the batch."""

    def __init__(self, store: FrameStore) -> None:
        self.store = store
        self._extra: list[np.ndarray] = []
        self._end = store.used

    def extra(self) -> np.ndarray:
        if self._end > self.store.used + SPARE:
            raise TrainingError(
                f"a batch brings along {(self._end - self.store.used) / 2**20:.0f} MB, more than "
                f"{SPARE / 2**20:.0f}; take smaller batches with --resident"
            )
        return np.concatenate([np.empty(0, np.uint8), *self._extra])

    def place(self, image: np.ndarray) -> tuple[int, int]:
        """Return the offset of an image, and the bytes from one of its rows to the next."""
        offset = self.store.offset(image)
        if offset is not None:
            return offset, image.strides[0]
        offset, copy = self._end, np.ascontiguousarray(image)
        self._extra.append(copy.reshape(-1))
        self._end += copy.nbytes
        return offset, copy.strides[0]

    def views(self, views: Sequence[Sequence[View | None]]) -> PackedViews:
        flat = [view for row in views for view in row]
        shape = len(views), len(views[0])
        offsets = [-1 if view is None else self.place(view.image)[0] for view in flat]
        sizes = [(2, 2) if view is None else view.image.shape[:2] for view in flat]
        maps = [(0.0,) * 4 if view is None else _view_map(view) for view in flat]
        return PackedViews(
            torch.tensor(offsets).reshape(shape),
            torch.tensor(sizes).reshape(*shape, 2),
            torch.tensor(maps, dtype=torch.float32).reshape(*shape, 4),
        )

    def layers(self, plans: Sequence[ClipPlan]) -> PackedLayers | None:
        depth = max(len(plan.layers) for plan in plans)
        sorted_layers = [
            (index, plan.layers[order])
            for order in range(depth)
            for index, plan in enumerate(plans)
            if order < len(plan.layers)
        ]
        if not sorted_layers:
            return None
        layers = [layer for _, layer in sorted_layers]
        sprites = [layer.sprite for layer in layers]
        places = [self.place(sprite.pixels) for sprite in sprites]
        alphas = [np.rint(sprite.alpha * ALPHA_ONE).astype(np.uint8) for sprite in sprites]
        deformations = [layer.deformations for layer in layers]
        shifts = np.stack([[change.shifts for change in changes] for changes in deformations])
        gains = np.stack([[change.gain for change in changes] for changes in deformations])
        return PackedLayers(
            tuple(sum(order < len(plan.layers) for plan in plans) for order in range(depth)),
            max(max(sprite.pixels.shape[:2]) for sprite in sprites),
            max(sprite.side for sprite in sprites),
            torch.tensor([index for index, _ in sorted_layers]),
            torch.tensor([ROLES[layer.role] for layer in layers]),
            torch.tensor([offset for offset, _ in places]),
            torch.tensor([stride for _, stride in places]),
            torch.tensor([sprite.pixels.shape[:2] for sprite in sprites]),
            torch.tensor([sprite.side for sprite in sprites]),
            torch.tensor([self.place(alpha)[0] for alpha in alphas]),
            torch.from_numpy(np.stack([_layer_maps(layer) for layer in layers])).float(),
            torch.from_numpy(shifts),
            torch.from_numpy(gains),
        )


def _view_map(view: View) -> tuple[float, float, float, float]:
    (scale_x, _, shift_x), (_, scale_y, shift_y) = view.to_image.tolist()
    if view.mirrored:
        scale_x, shift_x = -scale_x, shift_x + scale_x * (view.canvas[1] - 1)
    return scale_x, shift_x, scale_y, shift_y


def _layer_maps(layer: Layer) -> np.ndarray:
    """Return the (T, 2, 3) maps from pixel indices of the canvas to those of the sprite."""
    maps = np.stack([pose.to_frame(layer.sprite.side) for pose in layer.poses])
    linear = np.linalg.inv(maps[..., :2])
    return np.concatenate((linear, -linear @ maps[..., 2:]), axis=-1)
