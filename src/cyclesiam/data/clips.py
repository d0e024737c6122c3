"""Unlabelled clips to learn from, drawn out of scenes.

A clip is a few frames of one scene and the box of one target. In a real video the box is discovered
in the first frame, and only tracking can tell where it goes (label policy `none`). Where a clip is
made, by a view that drifts over a still picture or by compositing, every frame's box is known.

Shapes: B clips of T frames, (H, W) the canvas that every clip is cut to.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.discovery import DiscoveredTarget, DiscoveryConfig, discover_target
from cyclesiam.data.scenes import CHUNK, ChunkCache, Scene
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.compositing import CompositingConfig, Sprite, composite
from cyclesiam.synthetic.cutouts import CutoutConfig, ObjectBank
from cyclesiam.synthetic.panning import pan_still, random_view, render_view

MASK_ON, MASK_OFF, MASK_UNKNOWN = 255, 0, 127  # pixels of a mask
OBJECT_ATTEMPTS = 8  # stills in which objects are looked for, before a clip goes without
AROUND = 0.9, 1.6  # zooms of views of a still's object: it is large, and has little around it
LEAST_SHOWN = 0.7  # share of an object that a view must show
ATTEMPTS = 100  # draws of unreadable chunks in a row, after which there is nothing to learn from


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """How clips are drawn."""

    height: int = 256
    """Height of the canvas in pixels."""
    width: int = 352
    """Width of the canvas in pixels."""
    batch_size: int = 32
    """Clips in a batch."""
    batches_per_chunk: int = 8
    """Batches that draw from the same decoded chunks before others are decoded."""
    still_probability: float = 0.3
    """Share of clips drawn from still pictures, where there are both."""
    length_exponent: float = 0.5
    """Power of its length that the chance of a video grows with: 1 draws each frame alike, 0 each
    video. Long ones hold more, but not in proportion: neighbouring frames repeat each other."""
    cache_gigabytes: float = 4.0
    """Decoded chunks that a worker keeps; never more than half of the machine's memory."""
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    """How targets are found."""
    compositing: CompositingConfig = field(default_factory=CompositingConfig)
    """How many clips show a pasted target, and how it moves."""
    object_probability: float = 0.0
    """Share of clips that show the object of a still where it is, with its mask; fewer where few
    stills show one."""
    cutouts: CutoutConfig = field(default_factory=CutoutConfig)
    """What is taken for the object of a still."""

    def __post_init__(self) -> None:
        if not 0 <= self.object_probability <= 1:
            raise ValueError(f"object_probability must lie in 0..1, got {self.object_probability}")
        if self.length_exponent < 0:
            raise ValueError(f"length_exponent must be 0 or more, got {self.length_exponent}")
        if min(self.height, self.width) < 64 or self.batch_size < 1 or self.batches_per_chunk < 1:
            raise ValueError(f"clips need a canvas of 64 pixels or more and a batch, got {self}")


class BatchRequest(NamedTuple):
    """Which batch is wanted: its number, frames after the first, and the widest gap between."""

    number: int
    turn: int
    gap: int


class Batch(NamedTuple):
    """Clips with one target each.

    Args:
        request: what was asked for.
        frames: (B, T, 3, H, W) uint8, each frame channels-last in memory.
        boxes: (B, T, 4) xyxy in pixels, the targets; NaN after frame 0 where nobody knows.
        masks: (B, H, W) uint8 of frame 0: `ON` where the target is seen, `OFF` elsewhere, or
            `UNKNOWN` all over.
        names: (B,) where the clips come from.
        problems: what could not be read while drawing, one line each; other clips stand in.
    """

    request: BatchRequest
    frames: Tensor
    boxes: Tensor
    masks: Tensor
    names: tuple[str, ...]
    problems: tuple[str, ...] = ()


class Clip(NamedTuple):
    """One row of a batch, as arrays, see there; its mask is None where nobody knows it."""

    frames: list[np.ndarray]
    boxes: np.ndarray
    mask: np.ndarray | None
    name: str


class DiscoveredSample(NamedTuple):
    """A discovered target: the frame as training sees it, (4,) xyxy, where it is from, and why."""

    image: np.ndarray
    discovery: DiscoveredTarget
    scene: Scene
    frame: int


class ClipDataset(Dataset[Batch]):
    """Whole batches by request, each a function of the seed and the request alone.

    A chunk that cannot be read is replaced by another draw and told in `Batch.problems`: one
    damaged file must not end a long run, nor go unnoticed.

    Args:
        scenes: what to draw from.
        config: how.
        seed: of all chance.
        rows: which clips of each batch to draw, by their place in it; all where not given. A
            clip is the same whatever others are drawn.

    Raises:
        TrainingError: there is no scene, or, of a batch, none that can be read.
    """

    def __init__(
        self,
        scenes: list[Scene],
        config: ClipConfig,
        seed: int,
        *,
        rows: Sequence[int] | None = None,
    ) -> None:
        if not scenes:
            raise TrainingError("there is nothing to learn from: give videos or pictures")
        self.config = config
        self.seed = seed
        self.rows = range(config.batch_size) if rows is None else rows
        self.videos = [scene for scene in scenes if scene.frames > 1]
        self.stills = [scene for scene in scenes if scene.frames == 1]
        weights = np.array([scene.frames for scene in self.videos], float) ** config.length_exponent
        self.video_chances = weights / weights.sum() if len(weights) else weights
        self._bank = ObjectBank(config.cutouts)
        self._chunks = ChunkCache(limit_to_memory(int(config.cache_gigabytes * 2**30)))

    def __getitem__(self, request: BatchRequest) -> Batch:
        problems: dict[str, None] = {}  # each once, in order
        clips = [self._clip(request, row, problems) for row in self.rows]
        frames = torch.from_numpy(np.stack([np.stack(clip.frames) for clip in clips]))
        unknown = np.full(self._canvas, MASK_UNKNOWN, np.uint8)
        masks = [
            unknown if clip.mask is None else np.where(clip.mask, MASK_ON, MASK_OFF)
            for clip in clips
        ]
        return Batch(
            request,
            frames.permute(0, 1, 4, 2, 3),  # (B, T, H, W, 3) in memory
            torch.from_numpy(np.stack([clip.boxes for clip in clips])).float(),
            torch.from_numpy(np.stack(masks).astype(np.uint8)),
            tuple(clip.name for clip in clips),
            tuple(problems),
        )

    def _clip(self, request: BatchRequest, row: int, problems: dict[str, None]) -> Clip:
        # The chunk changes every `reads` batches, and not for all rows at once.
        shared = np.random.default_rng(
            (self.seed, 1, row, (request.number + row) // self.config.batches_per_chunk)
        )
        random = np.random.default_rng((self.seed, 2, row, request.number))
        if self.config.object_probability and random.random() < self.config.object_probability:
            for path, picture in self._draw_stills(random, problems):
                mask = self._bank.mask(path, picture)
                clip = None if mask is None else self._show_object(picture, mask, request, random)
                if clip is not None:
                    return clip._replace(name=path.name)
        scene, _, images = self._draw_chunk(shared, problems)
        if random.random() < self.config.compositing.probability:
            donors = [_pick(self._draw_chunk(shared, problems)[2], random) for _ in range(2)]
            objects = self._draw_objects(random, problems)
            frames = self._background(images, request, random)
            config = self.config.compositing
            frames, boxes, masks = composite(frames, donors, random, config, objects=objects)
            return Clip(frames, boxes, masks[0], scene.path.name)
        if len(images) == 1:
            return self._wander(images[0], request, random)._replace(name=scene.path.name)
        frames, boxes = self._discover(images, request, random)
        return Clip(frames, boxes, None, scene.path.name)

    def _background(
        self, images: list[np.ndarray], request: BatchRequest, random: np.random.Generator
    ) -> list[np.ndarray]:
        """Give frames to paste on."""
        if len(images) == 1:
            return pan_still(images[0], request.turn + 1, self._canvas, random).frames
        return _walk(images, request, self._canvas, random).frames

    def _draw_stills(
        self, random: np.random.Generator, problems: dict[str, None]
    ) -> Iterator[tuple[Path, np.ndarray]]:
        """Give a few stills at random, to look for one that shows an object."""
        for _ in range(OBJECT_ATTEMPTS if self.stills else 0):
            path = self.stills[random.integers(len(self.stills))].path
            try:
                yield path, self._chunks.read(path, 0)[0]
            except SourceError as error:
                problems[str(error)] = None

    def _draw_objects(self, random: np.random.Generator, problems: dict[str, None]) -> list[Sprite]:
        """Cut two objects out of stills, or fewer where few show one."""
        if not self.config.compositing.object_probability:
            return []
        stills = self._draw_stills(random, problems)
        sprites = (self._bank.sprite(path, picture) for path, picture in stills)
        return [*islice((sprite for sprite in sprites if sprite is not None), 2)]

    def _discover(
        self, images: list[np.ndarray], request: BatchRequest, random: np.random.Generator
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Frames of a real walk, and the box of what was discovered in the first."""
        walk = _walk(images, request, self._canvas, random)
        boxes = np.full((len(walk.frames), 4), np.nan)
        boxes[0] = self._find(walk, random).box
        return walk.frames, boxes

    def _find(self, walk: "_Walk", random: np.random.Generator) -> DiscoveredTarget:
        neighbours = walk.neighbours() if self.config.discovery.bidirectional else None
        config = self.config.discovery
        return discover_target(walk.frames[0], walk.later, random, config, neighbours=neighbours)

    def discover_sample(self, number: int) -> tuple[DiscoveredSample, tuple[str, ...]]:
        """Draw a target as clips without compositing do, and tell what could not be read.

        Args:
            number: of the draw; another number gives another target, of another scene.
        """
        problems: dict[str, None] = {}
        random = np.random.default_rng((self.seed, 3, number))
        scene, begin, images = self._draw_chunk(random, problems)
        if len(images) == 1:
            (frame,) = pan_still(images[0], 1, self._canvas, random).frames
            found = discover_target(frame, None, random, self.config.discovery)
            return DiscoveredSample(frame, found, scene, begin), tuple(problems)
        walk = _walk(images, BatchRequest(number, 0, 0), self._canvas, random)
        found = self._find(walk, random)
        return DiscoveredSample(walk.frames[0], found, scene, begin + walk.start), tuple(problems)

    def _wander(
        self, image: np.ndarray, request: BatchRequest, random: np.random.Generator
    ) -> Clip:
        """Frames of a view that wanders over a still, and the boxes of a target in it."""
        seen = pan_still(image, request.turn + 1, self._canvas, random)
        target = discover_target(seen.frames[0], None, random, self.config.discovery).box
        return Clip(seen.frames, seen.boxes_of(target), None, "")

    def _show_object(
        self,
        picture: np.ndarray,
        mask: np.ndarray,
        request: BatchRequest,
        random: np.random.Generator,
    ) -> Clip | None:
        """Frames of a view that wanders over a still, around its object; None if that is cut."""
        seen = pan_still(picture, request.turn + 1, self._canvas, random, zooms=AROUND)
        # What is mirrored beyond the picture's border is another object.
        shown = render_view(mask * 255, seen.first, self._canvas, seen.mirrored, bare=True) > 127
        scale = self._canvas[0] / seen.first[3]
        if shown.sum() < LEAST_SHOWN * mask.sum() * scale**2:
            return None
        return Clip(seen.frames, seen.boxes_of(mask_to_box(shown)), shown, "")

    @property
    def _canvas(self) -> tuple[int, int]:
        return self.config.height, self.config.width

    def _draw_chunk(
        self, random: np.random.Generator, problems: dict[str, None]
    ) -> tuple[Scene, int, list[np.ndarray]]:
        """Draw a scene and a chunk of it that can be read, and say where the chunk begins."""
        for _ in range(ATTEMPTS):
            scene = self._draw_scene(random)
            chunk = int(random.integers(scene.frames)) // CHUNK
            try:
                return scene, chunk * CHUNK, self._chunks.read(scene.path, chunk)
            except SourceError as error:
                problems[str(error)] = None
        raise TrainingError(
            f"nothing can be read any more; after {ATTEMPTS} attempts the last problem was: "
            f"{[*problems][-1]}"
        )

    def _draw_scene(self, random: np.random.Generator) -> Scene:
        still = random.random() < self.config.still_probability
        if self.stills and (still or not self.videos):
            return self.stills[random.integers(len(self.stills))]
        return self.videos[random.choice(len(self.videos), p=self.video_chances)]


def limit_to_memory(wanted: int) -> int:
    """Give as many bytes as are wanted, but at most half of the machine's memory."""
    if not hasattr(os, "sysconf"):  # on Windows; nobody knows there
        return wanted
    return min(wanted, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


def _pick(images: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    return images[random.integers(len(images))]


class _Walk(NamedTuple):
    """Frames through one view: the first is frame `start` of the `length` that can be `seen`."""

    frames: list[np.ndarray]
    start: int
    later: np.ndarray
    seen: Callable[[int], np.ndarray]
    length: int

    def neighbours(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Give the frames just before and after the first; None where one is missing."""
        if 0 < self.start < self.length - 1:
            return self.seen(self.start - 1), self.seen(self.start + 1)
        return None


def _walk(
    images: list[np.ndarray],
    request: BatchRequest,
    canvas: tuple[int, int],
    random: np.random.Generator,
) -> _Walk:
    """Draw turn + 1 frames from a chunk through one fixed view, and others to see motion by.

    The frames may run backwards in time and may be mirrored.
    """
    gap = 0
    if request.turn:
        gap = min(int(random.integers(1, request.gap + 1)), (len(images) - 1) // request.turn)
    first = int(random.integers(len(images) - gap * request.turn))
    indices = [first + gap * i for i in range(request.turn + 1)]
    if random.random() < 0.5:
        indices.reverse()
    ahead = indices[0] + 3 if indices[0] + 3 < len(images) else max(indices[0] - 3, 0)
    view = random_view(images[0].shape, canvas, random)
    mirrored = random.random() < 0.5

    def seen(index: int) -> np.ndarray:
        return render_view(images[index], view, canvas, mirrored)

    return _Walk([*map(seen, indices)], indices[0], seen(ahead), seen, len(images))
