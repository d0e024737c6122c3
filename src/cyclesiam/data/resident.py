"""Render the plans of a batch where the frames are: PyTorch on a device, all clips at once.

It computes what OpenCV computes in `ClipPlan.render`, within a level or two of rounding.

Shapes: D plans of T frames, R rows of the batch, N layers; (H, W) the canvas. A sprite is
(4, M, M): three colors in whole levels 0..255, and alpha in 0..1. M is the largest side of a
sprite, with a rim around it in which colors are mirrored and alpha is 0.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cyclesiam.data.clip_plans import MASK_OFF, MASK_ON, MASK_UNKNOWN
from cyclesiam.data.clips import Batch
from cyclesiam.data.frame_store import GIGABYTE, FrameStore
from cyclesiam.data.packed_plans import (
    ALPHA_ONE,
    BEHIND,
    TARGET,
    PackedLayers,
    PackedPlans,
    PackedViews,
    to_device,
)
from cyclesiam.errors import TrainingError

RESERVE = 0.25  # ratio of the device's free memory that the network needs for itself
CUBIC = -0.75  # parameter of OpenCV's bicubic kernel
RIM = 2  # pixels around a sprite


class ResidentRenderer:
    """Renders batches from frames that a device holds.

    Args:
        store: the frames; a CPU renders from its array, another device gets a copy.
        canvas: height, width.
        device: renders.

    Raises:
        TrainingError: they do not fit into the device's memory.
    """

    def __init__(self, store: FrameStore, canvas: tuple[int, int], device: torch.device) -> None:
        self.canvas = canvas
        self.device = device
        self.used = store.used
        _check_memory(len(store.flat), device)
        self._pixels = torch.from_numpy(store.flat).to(device)

    @torch.no_grad()
    def __call__(self, plans: PackedPlans) -> Batch:
        """Render the rows of a batch; its tensors are on the device."""
        with_masks = (plans.masks.offsets[:, 0] >= 0).nonzero()[:, 0].to(self.device)
        plans = to_device(plans, self.device)
        self._pixels[self.used : self.used + len(plans.extra)] = plans.extra
        frames = render_views(self._pixels, plans.views, self.canvas)
        boxes, seen = plans.boxes, frames.new_full((len(frames), 2, *self.canvas), MASK_UNKNOWN)
        if len(with_masks):
            masks = PackedViews(*(part[with_masks] for part in plans.masks))
            shown = render_masks(self._pixels, masks, self.canvas) > 127
            seen[with_masks] = torch.where(shown, float(MASK_ON), float(MASK_OFF))
        if plans.layers is not None:
            target_boxes, target_masks = paste_layers(self._pixels, frames, plans.layers)
            boxes = torch.where(plans.pasted[:, None, None], target_boxes, boxes)
            seen = torch.where(plans.pasted[:, None, None, None], target_masks, seen)
        return self._pick_rows(plans, frames, boxes, seen)

    def _pick_rows(self, plans: PackedPlans, frames: Tensor, boxes: Tensor, seen: Tensor) -> Batch:
        """Return the batch: each row a plan, some back in time where the last box is known."""
        rows, last = plans.rows, frames.shape[1] - 1
        backward = (plans.backward & boxes[rows, -1].isfinite().all(dim=1)).long()[:, None]
        times = torch.arange(last + 1, device=self.device)
        times = times + backward * (last - 2 * times)  # (R, T)
        shown = frames[rows[:, None], times].byte()
        return Batch(
            plans.request,
            shown.movedim(2, -1).contiguous().movedim(-1, 2),  # channels-last
            boxes[rows[:, None], times],
            seen[rows, backward[:, 0]].byte(),
            plans.names,
            plans.problems,
        )


def _check_memory(size: int, device: torch.device) -> None:
    if device.type != "cuda":
        return
    free = torch.cuda.mem_get_info(device)[0]
    if size > (1 - RESERVE) * free:
        raise TrainingError(
            f"all frames need {size / GIGABYTE:.1f} GB on {device}, and {free / GIGABYTE:.1f} GB "
            f"are free, of which the network needs {RESERVE:.0%}; leave out --resident or some "
            "videos, or make frames smaller by: cyclesiam prepare --short-side 240"
        )


def render_views(pixels: Tensor, views: PackedViews, canvas: tuple[int, int]) -> Tensor:
    """Return (..., 3, H, W) float32 canvases in whole levels 0..255, of images.

    Args:
        pixels: flat uint8 array of all images.
        views: (...) of images; outside, these are mirrored.
        canvas: height, width.
    """
    return _render(pixels, views, canvas, channels=3, place=_mirror)


def render_masks(pixels: Tensor, views: PackedViews, canvas: tuple[int, int]) -> Tensor:
    """Return (..., H, W) float32 canvases in whole levels 0..255, of masks; they are 0 outside."""
    return _render(pixels, views, canvas, channels=1, place=_clamp)[..., 0, :, :]


def _render(
    pixels: Tensor,
    views: PackedViews,
    canvas: tuple[int, int],
    *,
    channels: int,
    place: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    """Sample images bilinearly where `place` puts positions along an axis, with its weights."""
    rows, columns = views.sizes.reshape(-1, 2, 1).unbind(dim=1)
    scale_x, shift_x, scale_y, shift_y = views.maps.reshape(-1, 4, 1).unbind(dim=1)
    step_x, step_y = (torch.arange(side, device=pixels.device) for side in canvas[::-1])
    x, weight_x = place(step_x * scale_x + shift_x, columns)  # (n, W)
    y, weight_y = place(step_y * scale_y + shift_y, rows)  # (n, H)
    left, top = (
        torch.minimum(position.floor().long(), size - 2)
        for position, size in ((x, columns), (y, rows))
    )
    first = views.offsets.reshape(-1, 1, 1)
    index = first + (top[:, :, None] * columns[:, :, None] + left[:, None]) * channels
    # Two pixels side by side are one slice of bytes: the slice that begins at each byte.
    pairs = pixels.as_strided((len(pixels) - 2 * channels + 1, 2 * channels), (1, 1))
    down, right = ((y - top)[:, :, None, None], (x - left)[:, None, :, None])
    both = pairs[index] * (1 - down) + pairs[index + columns[:, :, None] * channels] * down
    values = both[..., :channels] * (1 - right) + both[..., channels:] * right
    values = values * (weight_y[:, :, None] * weight_x[:, None])[..., None]
    return values.round_().movedim(-1, 1).reshape(*views.offsets.shape, channels, *canvas)


def _mirror(position: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror pixel indices into 0..size - 1 without repeating the border (`BORDER_REFLECT_101`)."""
    period = 2 * size - 2
    position = position.remainder(period)
    return torch.minimum(position, period - position), torch.ones_like(position)


def _clamp(position: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Clamp pixel indices; the weight falls to 0 within a pixel outside (`BORDER_CONSTANT`)."""
    inside = torch.minimum(position.clamp(min=0), size - 1.0)
    return inside, (1 - (position - inside).abs()).clamp(min=0)


def paste_layers(pixels: Tensor, frames: Tensor, layers: PackedLayers) -> tuple[Tensor, Tensor]:
    """Paste layers on frames, in place.

    Args:
        pixels: flat uint8 array of all images.
        frames: (D, T, 3, H, W) float32 in whole levels.
        layers: to paste.

    Returns:
        (D, T, 4) boxes of targets, NaN without one in the frame; and (D, 2, H, W) float32 masks of
        the first and the last frame, in the values of `Batch.masks`.
    """
    D, T, _, H, W = frames.shape
    sprites = deform_sprites(load_sprites(pixels, layers), layers)
    boxes = frames.new_full((D, T, 4), torch.nan)
    masks = frames.new_zeros(D, T, H, W)
    start = 0
    for count in layers.counts:
        some = slice(start, start + count)
        start += count
        patch = warp_sprites(sprites[some], layers.maps[some], (H, W))
        color, alpha = patch[:, :, :3].round(), patch[:, :, 3]
        plans, roles = layers.plans[some], layers.roles[some]
        part = frames[plans]
        frames[plans] = (part + (color - part) * alpha[:, :, None]).floor()
        role = roles[:, None, None, None]
        masks[plans] += ((role == TARGET).float() - masks[plans]) * alpha * (role != BEHIND)
        is_target = (roles == TARGET)[:, None, None]
        boxes[plans] = torch.where(is_target, _mask_boxes(alpha > 0.5), boxes[plans])
    ends = masks[:, [0, T - 1]] > 0.5
    return boxes, torch.where(ends, float(MASK_ON), float(MASK_OFF))


def load_sprites(pixels: Tensor, layers: PackedLayers) -> Tensor:
    """Return (N, 4, M, M) sprites: their pixels resized, and their alphas."""
    step = torch.arange(layers.longest, device=pixels.device)
    rows = step[:, None].minimum(layers.spans[:, 0, None, None] - 1)
    columns = step.minimum(layers.spans[:, 1, None, None] - 1)
    index = layers.offsets[:, None, None] + rows * layers.strides[:, None, None] + columns * 3
    colors = pixels.as_strided((len(pixels) - 2, 3), (1, 1))  # that begin at each byte
    pieces = colors[index].movedim(-1, 1).float()  # (N, 3, longest, longest)
    place, within = _places(layers)
    down = _resize_weights(place, layers.spans[:, 0], layers.sides, layers.longest)[:, None]
    right = _resize_weights(place, layers.spans[:, 1], layers.sides, layers.longest)[:, None]
    resized = (down @ pieces @ right.mT).round()
    index = place[:, :, None] * layers.sides[:, None, None] + place[:, None]
    alpha = pixels[layers.alphas[:, None, None] + index] * within / ALPHA_ONE
    return torch.cat((resized, alpha[:, None]), dim=1)


def _places(layers: PackedLayers) -> tuple[Tensor, Tensor]:
    """Return which pixel of its sprite each of M columns shows: all in order, and a rim around.

    Returns:
        (N, M) int64 indices, mirrored in the rim; (N, M, M) bool, false in the rim.
    """
    sides, M = layers.sides, layers.largest + 2 * RIM
    step = torch.arange(M, device=sides.device) - RIM
    place = torch.minimum(step.abs(), (2 * sides[:, None] - 2 - step).abs())
    place = torch.minimum(place, sides[:, None] - 1)  # far beyond a small sprite
    inside = (step >= 0) & (step < sides[:, None])
    return place, inside[:, :, None] & inside[:, None]


def _resize_weights(place: Tensor, spans: Tensor, sides: Tensor, longest: int) -> Tensor:
    """Return the (N, M, longest) weights of pixels in resized pixels: areas, or bilinear."""
    i, scale = place[:, :, None].float(), (spans / sides)[:, None, None]
    j = torch.arange(longest, device=spans.device).float()
    ends = torch.minimum((i + 1) * scale, j + 1) - torch.maximum(i * scale, j)
    area = ends.clamp(min=0) / scale
    middle = torch.minimum(((i + 0.5) * scale - 0.5).clamp(min=0), spans[:, None, None] - 1.0)
    linear = (1 - (middle - j).abs()).clamp(min=0)
    return torch.where((spans > sides)[:, None, None], area, linear)


def deform_sprites(sprites: Tensor, layers: PackedLayers) -> Tensor:
    """Return (N, T, 4, M, M): sprites as each frame deforms and lights them."""
    N, _, M, _ = sprites.shape
    T = layers.shifts.shape[1]
    place, within = _places(layers)
    weights = _cubic_weights(place, layers.sides)
    field = torch.einsum("nia,ntabc,njb->ntijc", weights, layers.shifts, weights)
    grid = field + torch.stack(
        (place[:, None].expand(N, M, M), place[:, :, None].expand(N, M, M)), dim=-1
    ).unsqueeze(1)
    grid = (grid + (RIM + 0.5)) * (2 / M) - 1
    changed = _sample(sprites, grid.reshape(N, T * M, M, 2)).reshape(N, 4, T, M, M)
    color = changed[:, :3].round() * layers.gains.mT[..., None, None]
    alpha = changed[:, 3:] * within[:, None, None]
    return torch.cat((color.clamp(0, 255).floor(), alpha), dim=1).transpose(1, 2)


def _cubic_weights(place: Tensor, sides: Tensor) -> Tensor:
    """Return the (N, M, 4) bicubic weights of four values that are resized to each side."""
    position = (place + 0.5) * 4 / sides[:, None] - 0.5
    floor = position.floor()
    t = position - floor
    far, near = t + 1, 1 - t
    taps = [
        ((CUBIC * far - 5 * CUBIC) * far + 8 * CUBIC) * far - 4 * CUBIC,
        ((CUBIC + 2) * t - (CUBIC + 3)) * t * t + 1,
        ((CUBIC + 2) * near - (CUBIC + 3)) * near * near + 1,
    ]
    taps.append(1 - taps[0] - taps[1] - taps[2])
    weights = position.new_zeros(*position.shape, 4)
    for offset, weight in zip(range(-1, 3), taps, strict=True):
        index = (floor + offset).clamp(0, 3).long()
        weights.scatter_add_(-1, index[..., None], weight[..., None])
    return weights


def warp_sprites(sprites: Tensor, maps: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Return (n, T, 4, H, W): canvases of sprites (n, T, 4, M, M) by maps (n, T, 2, 3)."""
    n, T, _, M, _ = sprites.shape
    height, width = canvas
    linear = maps[..., :2] * maps.new_tensor([width, height]) / M  # between spans of -1..1
    middle = maps[..., :2] @ maps.new_tensor([width - 1.0, height - 1.0]) / 2 + maps[..., 2]
    shift = (middle + (RIM + 0.5)) * (2 / M) - 1
    grid = F.affine_grid(
        torch.cat((linear, shift[..., None]), dim=-1).flatten(0, 1),
        [n * T, 4, height, width],
        align_corners=False,
    )
    return _sample(sprites.flatten(0, 1), grid).reshape(n, T, 4, height, width)


def _sample(sprites: Tensor, grid: Tensor) -> Tensor:
    """Sample sprites (n, 4, M, M) bilinearly at (n, h, w, 2) places in -1..1, rims included."""
    return F.grid_sample(sprites, grid, padding_mode="border", align_corners=False)


def _mask_boxes(masks: Tensor) -> Tensor:
    """Return the (..., 4) xyxy bounds of (..., H, W) masks; NaN of empty ones."""
    ends = []
    for dim in (-2, -1):  # of columns, then of rows
        any_pixel = masks.any(dim=dim)
        index = torch.arange(any_pixel.shape[-1], device=masks.device).float()
        low = torch.where(any_pixel, index, torch.inf).amin(dim=-1)
        high = torch.where(any_pixel, index + 1, -torch.inf).amax(dim=-1)
        ends.append((low, high))
    (left, right), (top, bottom) = ends
    boxes = torch.stack((left, top, right, bottom), dim=-1)
    return boxes.masked_fill(boxes.isinf(), torch.nan)
