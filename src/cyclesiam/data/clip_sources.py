"""Sources of clips. Each is asked in turn; it draws a clip, or leaves that to the next one.

The order is StillObjects, Composites, PannedStills, DiscoveredTargets. A source draws from the
generators in a fixed order, so that a clip depends on its seeds alone.

Shapes: T = turn + 1 frames of a clip, each of the canvas's (H, W).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from cyclesiam.data.chunks import ChunkSampler, LazyChunk
from cyclesiam.data.discovery import DiscoveredTarget, DiscoveryConfig, discover_target
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.compositing import CompositingConfig, Sprite, composite
from cyclesiam.synthetic.cutouts import ObjectBank
from cyclesiam.synthetic.panning import pan_still, random_view, render_view

OBJECT_ZOOMS = 0.9, 1.6  # views of a still's object: it is large, so its surroundings must fit in
MIN_VISIBLE = 0.7  # ratio of an object's area that a view must show
LATER = 3  # frames between the two that motion is measured from


class BatchRequest(NamedTuple):
    """Which batch to draw: its number, frames after the first, and the widest gap between two."""

    number: int
    turn: int
    gap: int


class Clip(NamedTuple):
    """One row of a batch.

    Args:
        frames: T images, (H, W, 3) uint8.
        boxes: (T, 4) xyxy in pixels, NaN where the box is unknown.
        masks: (H, W) for each frame, true or 1 on the target; None where masks are unknown.
        name: of the file that the clip comes from.
    """

    frames: list[np.ndarray]
    boxes: np.ndarray
    masks: Sequence[np.ndarray] | None
    name: str

    def backward(self) -> "Clip":
        """Return the clip back in time, or itself where the last box is unknown."""
        if np.isnan(self.boxes[-1]).any():
            return self
        masks = None if self.masks is None else self.masks[::-1]
        return Clip(self.frames[::-1], self.boxes[::-1], masks, self.name)


class ClipSource(Protocol):
    """Draws clips of one kind."""

    def draw(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> Clip | None:
        """Draw a clip, or return None to leave it to the next source.

        Args:
            request: how many frames, and how far apart.
            chunk: frames to draw from; it is decoded when a source asks for it.
            rng: of this clip.
            problems: receives what cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class StillObjects:
    """Shows the object of a still where it is, with its mask, in a view that drifts.

    Args:
        chunks: draws the stills.
        bank: finds their objects.
        canvas: (height, width) of the frames.
        probability: of such a clip.
    """

    chunks: ChunkSampler
    bank: ObjectBank
    canvas: tuple[int, int]
    probability: float

    def draw(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> Clip | None:
        """Draw a clip; None by chance, or where no still that is tried shows an object."""
        if not self.probability or rng.random() >= self.probability:
            return None
        for path, image in self.chunks.sample_stills(rng, problems):
            mask = self.bank.mask(path, image)
            clip = None if mask is None else self._show(image, mask, request.turn + 1, rng)
            if clip is not None:
                return clip._replace(name=path.name)
        return None

    def _show(
        self, image: np.ndarray, mask: np.ndarray, count: int, rng: np.random.Generator
    ) -> Clip | None:
        """Pan over an image around its object; None where the first view crops it too much."""
        panned = pan_still(image, count, self.canvas, rng, zooms=OBJECT_ZOOMS)
        visible = [
            # What is mirrored beyond the image's border is another object.
            render_view(mask * 255, view, self.canvas, panned.mirrored, bare=True) > 127
            for view in panned.views
        ]
        scale = self.canvas[0] / panned.views[0][3]
        if visible[0].sum() < MIN_VISIBLE * mask.sum() * scale**2:
            return None
        return Clip(panned.frames, panned.boxes_of(mask_to_box(visible[0])), visible, "")


@dataclass(frozen=True, slots=True)
class Composites:
    """Pastes a target, and distractors beside it, on the frames of a chunk.

    Args:
        chunks: draws stills with objects to paste.
        bank: finds these objects.
        canvas: (height, width) of the frames.
        config: how often, and how the target looks and moves.
    """

    chunks: ChunkSampler
    bank: ObjectBank
    canvas: tuple[int, int]
    config: CompositingConfig

    def draw(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> Clip | None:
        """Draw a clip whose boxes are known in every frame; None by chance."""
        if rng.random() >= self.config.probability:
            return None
        scene, _, images = chunk.content
        donors = [_choose(chunk.sample_another().images, rng) for _ in range(2)]
        objects = self._sample_objects(rng, problems)
        if len(images) == 1:
            frames = pan_still(images[0], request.turn + 1, self.canvas, rng).frames
        else:
            frames = sample_excerpt(images, request, self.canvas, rng).frames
        frames, boxes, masks = composite(frames, donors, rng, self.config, objects=objects)
        return Clip(frames, boxes, [*masks], scene.path.name)

    def _sample_objects(self, rng: np.random.Generator, problems: dict[str, None]) -> list[Sprite]:
        """Return two objects of stills, or fewer where few stills show one."""
        if not self.config.object_probability:
            return []
        stills = self.chunks.sample_stills(rng, problems)
        sprites = (self.bank.sprite(path, image) for path, image in stills)
        return [*islice((sprite for sprite in sprites if sprite is not None), 2)]


@dataclass(frozen=True, slots=True)
class PannedStills:
    """Pans over a still; the target is discovered by contrast, and known in every frame.

    Args:
        canvas: (height, width) of the frames.
        config: what a target may look like.
    """

    canvas: tuple[int, int]
    config: DiscoveryConfig

    def draw(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> Clip | None:
        """Draw a clip; None where the chunk has several frames."""
        scene, _, images = chunk.content
        if len(images) > 1:
            return None
        panned = pan_still(images[0], request.turn + 1, self.canvas, rng)
        target = discover_target(panned.frames[0], None, rng, self.config).box
        return Clip(panned.frames, panned.boxes_of(target), None, scene.path.name)


@dataclass(frozen=True, slots=True)
class DiscoveredTargets:
    """Shows frames of a video; the target is discovered in the first, and known there only.

    Args:
        canvas: (height, width) of the frames.
        config: what a target may look like.
    """

    canvas: tuple[int, int]
    config: DiscoveryConfig

    def draw(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> Clip:
        """Draw a clip."""
        scene, _, images = chunk.content
        excerpt = sample_excerpt(images, request, self.canvas, rng)
        boxes = np.full((len(excerpt.frames), 4), np.nan)
        boxes[0] = excerpt.discover_target(rng, self.config).box
        return Clip(excerpt.frames, boxes, None, scene.path.name)


class Excerpt(NamedTuple):
    """Frames of a chunk through one view.

    Args:
        frames: T images, (H, W, 3) uint8.
        start: index in the chunk of the first of them.
        later: an image some frames away from it, to measure motion by.
        render: returns any frame of the chunk through the same view.
        length: frames of the chunk.
    """

    frames: list[np.ndarray]
    start: int
    later: np.ndarray
    render: Callable[[int], np.ndarray]
    length: int

    def neighbors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the frames just before and after the first; None where one is missing."""
        if 0 < self.start < self.length - 1:
            return self.render(self.start - 1), self.render(self.start + 1)
        return None

    def discover_target(
        self, rng: np.random.Generator, config: DiscoveryConfig
    ) -> DiscoveredTarget:
        """Discover a target in the first frame."""
        neighbors = self.neighbors() if config.bidirectional else None
        return discover_target(self.frames[0], self.later, rng, config, neighbors=neighbors)


def sample_excerpt(
    images: list[np.ndarray],
    request: BatchRequest,
    canvas: tuple[int, int],
    rng: np.random.Generator,
) -> Excerpt:
    """Draw turn + 1 frames of a chunk at even gaps, through one view.

    The frames may run backwards in time, and may be mirrored. A short chunk repeats frames.

    Args:
        images: frames of a chunk, (H, W, 3) uint8.
        request: how many frames, and the widest gap.
        canvas: (height, width) of the frames that are drawn.
        rng: of this clip.
    """
    gap = 0
    if request.turn:
        gap = min(int(rng.integers(1, request.gap + 1)), (len(images) - 1) // request.turn)
    first = int(rng.integers(len(images) - gap * request.turn))
    indices = [first + gap * i for i in range(request.turn + 1)]
    if rng.random() < 0.5:
        indices.reverse()
    start = indices[0]
    later = start + LATER if start + LATER < len(images) else max(start - LATER, 0)
    view = random_view(images[0].shape, canvas, rng)
    mirrored = rng.random() < 0.5

    def render(index: int) -> np.ndarray:
        return render_view(images[index], view, canvas, mirrored)

    return Excerpt([*map(render, indices)], start, render(later), render, len(images))


def _choose(images: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return images[rng.integers(len(images))]
