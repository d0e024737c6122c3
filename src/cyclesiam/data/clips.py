"""Unlabelled clips to learn from, drawn out of scenes.

A clip is a few frames of one scene and the box of one target. In a real video the box is discovered
in the first frame, and only tracking can tell where it goes (label policy `none`). Where a clip is
made, by a view that drifts over a still picture or by compositing, every frame's box is known.

Shapes: B clips of T frames, (H, W) the canvas that every clip is cut to.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cyclesiam.data.compositing import CompositingConfig, composite
from cyclesiam.data.discovery import Discovery, DiscoveryConfig, discover, discover_target
from cyclesiam.data.scenes import CHUNK, ChunkCache, Scene
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.geometry.crops import crop_to_image_matrix

ATTEMPTS = 100  # draws of unreadable chunks in a row, after which there is nothing to learn from


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """How clips are drawn."""

    height: int = 256
    """Height of the canvas in pixels."""
    width: int = 352
    """Width of the canvas in pixels."""
    batch_size: int = 32
    """Clips in a batch."""
    reads: int = 8
    """Batches that draw from the same decoded chunks before others are decoded."""
    stills_share: float = 0.3
    """Share of clips drawn from still pictures, where there are both."""
    memory_gigabytes: float = 4.0
    """Decoded chunks that a worker keeps; never more than half of the machine's memory."""
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    """How targets are found."""
    compositing: CompositingConfig = field(default_factory=CompositingConfig)
    """How many clips show a pasted target, and how it moves."""

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 64 or self.batch_size < 1 or self.reads < 1:
            raise ValueError(f"clips need a canvas of 64 pixels or more and a batch, got {self}")


class Request(NamedTuple):
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
        names: (B,) where the clips come from.
        problems: what could not be read while drawing, one line each; other clips stand in.
    """

    request: Request
    frames: Tensor
    boxes: Tensor
    names: tuple[str, ...]
    problems: tuple[str, ...] = ()


class Find(NamedTuple):
    """A discovered target: the frame as training sees it, (4,) xyxy, where it is from, and why."""

    image: np.ndarray
    discovery: Discovery
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

    Raises:
        TrainingError: there is no scene, or, of a batch, none that can be read.
    """

    def __init__(self, scenes: list[Scene], config: ClipConfig, seed: int) -> None:
        if not scenes:
            raise TrainingError("there is nothing to learn from: give videos or pictures")
        self.config = config
        self.seed = seed
        self.videos = [scene for scene in scenes if scene.frames > 1]
        self.stills = [scene for scene in scenes if scene.frames == 1]
        lengths = np.array([scene.frames for scene in self.videos], float)
        # Long videos hold more, but not in proportion: neighbouring frames repeat each other.
        self.video_chances = np.sqrt(lengths) / np.sqrt(lengths).sum() if len(lengths) else lengths
        self._chunks = ChunkCache(affordable(int(config.memory_gigabytes * 2**30)))

    def __getitem__(self, request: Request) -> Batch:
        problems: dict[str, None] = {}  # each once, in order
        clips = [self._clip(request, row, problems) for row in range(self.config.batch_size)]
        frames = torch.from_numpy(np.stack([frames for frames, _, _ in clips]))
        return Batch(
            request,
            frames.permute(0, 1, 4, 2, 3),  # (B, T, H, W, 3) in memory
            torch.from_numpy(np.stack([box for _, box, _ in clips])).float(),
            tuple(name for _, _, name in clips),
            tuple(problems),
        )

    def _clip(
        self, request: Request, row: int, problems: dict[str, None]
    ) -> tuple[np.ndarray, np.ndarray, str]:
        # The chunk changes every `reads` batches, and not for all rows at once.
        shared = np.random.default_rng(
            (self.seed, 1, row, (request.number + row) // self.config.reads)
        )
        random = np.random.default_rng((self.seed, 2, row, request.number))
        scene, _, images = self._draw_chunk(shared, problems)
        if random.random() < self.config.compositing.share:
            donors = [_pick(self._draw_chunk(shared, problems)[2], random) for _ in range(2)]
            frames, boxes = self._compose(images, donors, request, random)
        elif len(images) == 1:
            frames, boxes = self._wander(images[0], request, random)
        else:
            frames, boxes = self._discover(images, request, random)
        return np.stack(frames), boxes, scene.path.name

    def _discover(
        self, images: list[np.ndarray], request: Request, random: np.random.Generator
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Frames of a real walk, and the box of what was discovered in the first."""
        walk = _walk(images, request, self._canvas, random)
        boxes = np.full((len(walk.frames), 4), np.nan)
        boxes[0] = self._find(walk, random).box
        return walk.frames, boxes

    def _find(self, walk: "_Walk", random: np.random.Generator) -> Discovery:
        neighbours = walk.neighbours() if self.config.discovery.both_sides else None
        config = self.config.discovery
        return discover(walk.frames[0], walk.later, random, config, neighbours=neighbours)

    def discover(self, number: int) -> tuple[Find, tuple[str, ...]]:
        """Draw a target as clips without compositing do, and tell what could not be read.

        Args:
            number: of the draw; another number gives another target, of another scene.
        """
        problems: dict[str, None] = {}
        random = np.random.default_rng((self.seed, 3, number))
        scene, begin, images = self._draw_chunk(random, problems)
        if len(images) == 1:
            frames, _ = _wander(images[0], Request(number, 0, 0), self._canvas, random)
            found = discover(frames[0], None, random, self.config.discovery)
            return Find(frames[0], found, scene, begin), tuple(problems)
        walk = _walk(images, Request(number, 0, 0), self._canvas, random)
        found = self._find(walk, random)
        return Find(walk.frames[0], found, scene, begin + walk.start), tuple(problems)

    def _wander(
        self, image: np.ndarray, request: Request, random: np.random.Generator
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Frames of a view that wanders over a still, and the boxes of a target in it."""
        frames, motions = _wander(image, request, self._canvas, random)
        target = discover_target(frames[0], None, random, self.config.discovery)
        middle = np.array([self._canvas[1], self._canvas[0]]) / 2
        boxes = [(target.reshape(2, 2) - middle) * scale + middle + at for scale, at in motions]
        return frames, np.stack(boxes).reshape(-1, 4)

    def _compose(
        self,
        images: list[np.ndarray],
        donors: list[np.ndarray],
        request: Request,
        random: np.random.Generator,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Frames over which cut-outs of the donors move, and the boxes of one of them."""
        if len(images) == 1:
            frames, _ = _wander(images[0], request, self._canvas, random)
        else:
            frames = _walk(images, request, self._canvas, random).frames
        return composite(frames, donors, random, self.config.compositing)

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
        still = random.random() < self.config.stills_share
        if self.stills and (still or not self.videos):
            return self.stills[random.integers(len(self.stills))]
        return self.videos[random.choice(len(self.videos), p=self.video_chances)]


def affordable(wanted: int) -> int:
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
    images: list[np.ndarray], request: Request, canvas: tuple[int, int], random: np.random.Generator
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
    view = _draw_view(images[0].shape, canvas, random)
    mirrored = random.random() < 0.5

    def seen(index: int) -> np.ndarray:
        return _look(images[index], view, canvas, mirrored)

    return _Walk([*map(seen, indices)], indices[0], seen(ahead), seen, len(images))


def _wander(
    image: np.ndarray, request: Request, canvas: tuple[int, int], random: np.random.Generator
) -> tuple[list[np.ndarray], list[tuple[float, np.ndarray]]]:
    """Make turn + 1 frames of a still by a view that drifts and zooms.

    Returns:
        The frames, and how the picture lies in each, against the first: its scale about the
        canvas's middle, and its shift in pixels of the canvas.
    """
    view = first = _draw_view(image.shape, canvas, random)
    drift = random.normal(0, 0.02 * min(image.shape[:2]), 2)
    zoom = np.exp(random.normal(0, 0.04))
    mirrored = random.random() < 0.5
    frames, motions = [], []
    for _ in range(request.turn + 1):
        frames.append(_look(image, view, canvas, mirrored))
        shift = (first[:2] - view[:2]) * canvas[0] / view[3]
        motions.append((first[3] / view[3], shift * (-1, 1) if mirrored else shift))
        view = np.concatenate((view[:2] + drift, view[2:] * zoom))
    return frames, motions


def _draw_view(
    shape: tuple[int, ...], canvas: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    """Draw a window (cx, cy, w, h) of the canvas's aspect inside a picture."""
    height, width = shape[:2]
    scale = min(height / canvas[0], width / canvas[1]) * random.uniform(0.75, 1.0)
    w, h = canvas[1] * scale, canvas[0] * scale
    x, y = random.uniform(w / 2, width - w / 2), random.uniform(h / 2, height - h / 2)
    return np.array([x, y, w, h])


def _look(
    image: np.ndarray, view: np.ndarray, canvas: tuple[int, int], mirrored: bool
) -> np.ndarray:
    """Resize a window of a picture to the canvas; outside the picture, its border is mirrored."""
    size = (canvas[1], canvas[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(
        image,
        crop_to_image_matrix(view.tolist(), size),
        size,
        flags=flags,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return cv2.flip(seen, 1) if mirrored else seen
