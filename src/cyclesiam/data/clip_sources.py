"""Sources of clips. Each is asked in turn; it plans a clip, or leaves that to the next one.

The order is StillObjects, Composites, PannedStills, DiscoveredTargets. A source draws from the
generators in a fixed order, so that a clip depends on its seeds alone. It looks at pixels only
where they decide what is drawn: at objects of stills, motion and contrast.

Shapes: T = turn + 1 frames of a clip, each of the canvas's (H, W).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from cyclesiam.data.chunks import ChunkSampler, LazyChunk
from cyclesiam.data.clip_plans import ClipPlan
from cyclesiam.data.discovery import DiscoveredTarget, DiscoveryConfig, discover_target
from cyclesiam.data.frame_store import StoredObjects
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.compositing import CompositingConfig, sample_layers
from cyclesiam.synthetic.cutouts import ObjectBank
from cyclesiam.synthetic.panning import View, pan_still, random_window
from cyclesiam.synthetic.sprites import Sprite

OBJECT_ZOOMS = 0.9, 1.6  # views of a still's object: it is large, so its surroundings must fit in
MIN_VISIBLE = 0.7  # ratio of an object's area that a view must show
LATER = 3  # frames between the two that motion is measured from


class BatchRequest(NamedTuple):
    """Which batch to draw: its number, frames after the first, and the widest gap between two."""

    number: int
    turn: int
    gap: int


class ClipSource(Protocol):
    """Plans clips of one kind."""

    def plan(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> ClipPlan | None:
        """Plan a clip, or return None to leave it to the next source.

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
    bank: ObjectBank | StoredObjects
    canvas: tuple[int, int]
    probability: float

    def plan(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> ClipPlan | None:
        """Plan a clip; None by chance, or where no still that is tried shows an object."""
        if not self.probability or rng.random() >= self.probability:
            return None
        for path, image in self.chunks.sample_stills(rng, problems):
            mask = self.bank.mask(path, image)
            if mask is None:
                continue
            plan = self._plan_around(path.name, image, mask, request.turn + 1, rng)
            if plan is not None:
                return plan
        return None

    def _plan_around(
        self, name: str, image: np.ndarray, mask: np.ndarray, count: int, rng: np.random.Generator
    ) -> ClipPlan | None:
        """Pan over an image around its object; None where the first view crops it too much."""
        panned = pan_still(image, count, self.canvas, rng, zooms=OBJECT_ZOOMS)
        views = panned.views
        masks = replace(views[0], image=mask), replace(views[-1], image=mask)
        visible = masks[0].pixels > 127
        scale = self.canvas[0] / views[0].window[3]
        if visible.sum() < MIN_VISIBLE * np.count_nonzero(mask) * scale**2:
            return None
        return ClipPlan(name, views, panned.boxes_of(mask_to_box(visible)), masks=masks)


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
    bank: ObjectBank | StoredObjects
    canvas: tuple[int, int]
    config: CompositingConfig

    def plan(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> ClipPlan | None:
        """Plan a clip whose boxes are known in every frame; None by chance."""
        if rng.random() >= self.config.probability:
            return None
        scene, _, images = chunk.content
        donors = [_choose(chunk.sample_another().images, rng) for _ in range(2)]
        objects = self._sample_objects(rng, problems)
        if len(images) == 1:
            views = pan_still(images[0], request.turn + 1, self.canvas, rng).views
        else:
            views = sample_excerpt(images, request, self.canvas, rng).views
        layers = sample_layers(len(views), self.canvas, donors, rng, self.config, objects=objects)
        return ClipPlan(scene.path.name, views, layers=layers)

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

    def plan(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> ClipPlan | None:
        """Plan a clip; None where the chunk has several frames."""
        scene, _, images = chunk.content
        if len(images) > 1:
            return None
        panned = pan_still(images[0], request.turn + 1, self.canvas, rng)
        target = discover_target(panned.views[0].pixels, None, rng, self.config).box
        return ClipPlan(scene.path.name, panned.views, panned.boxes_of(target))


@dataclass(frozen=True, slots=True)
class DiscoveredTargets:
    """Shows frames of a video; the target is discovered in the first, and known there only.

    Args:
        canvas: (height, width) of the frames.
        config: what a target may look like.
    """

    canvas: tuple[int, int]
    config: DiscoveryConfig

    def plan(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> ClipPlan:
        """Plan a clip."""
        scene, _, images = chunk.content
        excerpt = sample_excerpt(images, request, self.canvas, rng)
        boxes = np.full((len(excerpt.views), 4), np.nan)
        boxes[0] = excerpt.discover_target(rng, self.config).box
        return ClipPlan(scene.path.name, excerpt.views, boxes)


class Excerpt(NamedTuple):
    """Frames of a chunk through one view.

    Args:
        views: of T frames.
        start: index in the chunk of the first of them.
        later: index in the chunk of a frame some frames away from it, to measure motion by.
        view: returns any frame of the chunk through the same view.
        length: frames of the chunk.
    """

    views: list[View]
    start: int
    later: int
    view: Callable[[int], View]
    length: int

    def neighbors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the frames just before and after the first; None where one is missing."""
        if 0 < self.start < self.length - 1:
            return self.view(self.start - 1).pixels, self.view(self.start + 1).pixels
        return None

    def discover_target(
        self, rng: np.random.Generator, config: DiscoveryConfig
    ) -> DiscoveredTarget:
        """Discover a target in the first frame."""
        neighbors = self.neighbors() if config.bidirectional else None
        image, later = self.views[0].pixels, self.view(self.later).pixels
        return discover_target(image, later, rng, config, neighbors=neighbors)


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
    window = random_window(images[0].shape, canvas, rng)
    mirrored = rng.random() < 0.5

    def view(index: int) -> View:
        return View(images[index], window, canvas, mirrored)

    return Excerpt([*map(view, indices)], start, later, view, len(images))


def _choose(images: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return images[rng.integers(len(images))]
