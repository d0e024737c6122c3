"""Unlabelled clips to learn from: any folders of videos, frame folders and still pictures.

No annotation is opened here: a clip is a few frames of one scene and one discovered box in its
first frame (label policy `none`).

Shapes: B clips of T frames, (H, W) the canvas that every clip is cut to.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cyclesiam.data.discovery import DiscoveryConfig, discover_target
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.geometry.crops import crop_to_image_matrix
from cyclesiam.video import is_picture, is_video, probe, read_image, read_run

CHUNK = 64  # frames that are decoded, and kept, together
FRAME_FOLDER = 12  # a folder with at least as many pictures of one size may be a video


@dataclass(frozen=True, slots=True)
class Scene:
    """One video, frame folder or still picture that clips can be drawn from."""

    path: Path
    frames: int


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
    """Decoded chunks that a worker keeps."""
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    """How targets are found."""

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
        boxes: (B, 4) xyxy in pixels, the targets in frame 0.
        names: (B,) where the clips come from.
    """

    request: Request
    frames: Tensor
    boxes: Tensor
    names: tuple[str, ...]


def find_scenes(sources: Iterable[str | Path]) -> tuple[list[Scene], list[str]]:
    """Find everything to learn from under files and folders.

    A folder whose pictures are consecutively numbered frames of one size is one video; other
    pictures are stills.

    Returns:
        The scenes in a fixed order, and a line for each file that could not be read.

    Raises:
        TrainingError: a source does not exist, or nothing usable was found.
    """
    scenes: list[Scene] = []
    problems: list[str] = []
    for source in map(Path, sources):
        if not source.exists():
            raise TrainingError(f"there is nothing to learn from at {source}: no such file")
        for path in _media(source):
            try:
                frames = 1 if path.is_file() and is_picture(path) else probe(path).frames
                scenes.append(Scene(path, frames))
            except SourceError as error:
                problems.append(str(error))
    if not scenes:
        where = ", ".join(map(str, sources))
        raise TrainingError(
            f"found no readable video or picture in {where}"
            + (f"; the first of {len(problems)} problems: {problems[0]}" if problems else "")
        )
    return scenes, problems


def _media(source: Path) -> list[Path]:
    """List videos, frame folders and stills under a path, sorted."""
    if source.is_file():
        return [source]
    folders = [source, *sorted(path for path in source.rglob("*") if path.is_dir())]
    media: list[Path] = []
    for folder in folders:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        pictures = [path for path in files if is_picture(path)]
        media += [path for path in files if is_video(path)]
        media += [folder] if _are_frames(pictures) else pictures
    return media


def _are_frames(pictures: list[Path]) -> bool:
    """Say whether pictures are the frames of one video: plain numbers, without great gaps."""
    if len(pictures) < FRAME_FOLDER:
        return False
    numbers = sorted(
        int(digits) for path in pictures if (digits := path.stem.lstrip("frameimg_-")).isdigit()
    )
    return len(numbers) == len(pictures) and numbers[-1] - numbers[0] < 2 * len(numbers)


class ClipDataset(Dataset[Batch]):
    """Whole batches by request, each a function of the seed and the request alone.

    Args:
        scenes: what to draw from.
        config: how.
        seed: of all chance.
    """

    def __init__(self, scenes: list[Scene], config: ClipConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.videos = [scene for scene in scenes if scene.frames > 1]
        self.stills = [scene for scene in scenes if scene.frames == 1]
        lengths = np.array([scene.frames for scene in self.videos], float)
        # Long videos hold more, but not in proportion: neighbouring frames repeat each other.
        self.video_chances = np.sqrt(lengths) / np.sqrt(lengths).sum() if len(lengths) else lengths
        self._chunks = ChunkCache(int(config.memory_gigabytes * 2**30))

    def __getitem__(self, request: Request) -> Batch:
        clips = [self._clip(request, row) for row in range(self.config.batch_size)]
        frames = torch.from_numpy(np.stack([frames for frames, _, _ in clips]))
        return Batch(
            request,
            frames.permute(0, 1, 4, 2, 3),  # (B, T, H, W, 3) in memory
            torch.from_numpy(np.stack([box for _, box, _ in clips])).float(),
            tuple(name for _, _, name in clips),
        )

    def _clip(self, request: Request, row: int) -> tuple[np.ndarray, np.ndarray, str]:
        # The chunk changes every `reads` batches, and not for all rows at once.
        shared = np.random.default_rng(
            (self.seed, 1, row, (request.number + row) // self.config.reads)
        )
        random = np.random.default_rng((self.seed, 2, row, request.number))
        scene = self._draw_scene(shared)
        images = self._chunks.read(scene.path, int(shared.integers(scene.frames)) // CHUNK)
        if len(images) == 1:
            frames = _wander(images[0], request, self._canvas, random)
            later = None
        else:
            frames, later = _walk(images, request, self._canvas, random)
        target = discover_target(frames[0], later, random, self.config.discovery)
        return np.stack(frames), target, scene.path.name

    @property
    def _canvas(self) -> tuple[int, int]:
        return self.config.height, self.config.width

    def _draw_scene(self, random: np.random.Generator) -> Scene:
        still = random.random() < self.config.stills_share
        if self.stills and (still or not self.videos):
            return self.stills[random.integers(len(self.stills))]
        return self.videos[random.choice(len(self.videos), p=self.video_chances)]


class ChunkCache:
    """Decoded chunks of videos, the least recently used dropped first.

    Args:
        capacity: bytes of pixels to keep.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._chunks: OrderedDict[tuple[Path, int], list[np.ndarray]] = OrderedDict()

    def read(self, path: Path, chunk: int) -> list[np.ndarray]:
        """Give frames chunk * CHUNK ... of a video, or a still picture as a chunk of one."""
        key = (path, chunk)
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        if path.is_file() and is_picture(path):
            images = [read_image(path)]
        else:
            images = read_run(path, chunk * CHUNK, CHUNK)
        if not images:
            raise SourceError(f"{path} holds no frame {chunk * CHUNK}, though it announces more")
        self._chunks[key] = images
        self.size += sum(image.nbytes for image in images)
        while self.size > self.capacity and len(self._chunks) > 1:
            _, dropped = self._chunks.popitem(last=False)
            self.size -= sum(image.nbytes for image in dropped)
        return images


def _walk(
    images: list[np.ndarray], request: Request, canvas: tuple[int, int], random: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw turn + 1 frames from a chunk through one fixed view, and one more to see motion by.

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
    frames = [_look(images[i], view, canvas, mirrored) for i in (*indices, ahead)]
    return frames[:-1], frames[-1]


def _wander(
    image: np.ndarray, request: Request, canvas: tuple[int, int], random: np.random.Generator
) -> list[np.ndarray]:
    """Make turn + 1 frames of a still by a view that drifts and zooms."""
    view = _draw_view(image.shape, canvas, random)
    drift = random.normal(0, 0.02 * min(image.shape[:2]), 2)
    zoom = np.exp(random.normal(0, 0.04))
    mirrored = random.random() < 0.5
    frames = []
    for _ in range(request.turn + 1):
        frames.append(_look(image, view, canvas, mirrored))
        view = np.concatenate((view[:2] + drift, view[2:] * zoom))
    return frames


def _draw_view(
    shape: tuple[int, ...], canvas: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    """Draw a window (cx, cy, w, h) of the canvas's aspect inside a picture."""
    height, width = shape[:2]
    scale = min(height / canvas[0], width / canvas[1]) * random.uniform(0.75, 1.0)
    w, h = canvas[1] * scale, canvas[0] * scale
    return np.array([random.uniform(w / 2, width - w / 2), random.uniform(h / 2, height - h / 2), w, h])


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
