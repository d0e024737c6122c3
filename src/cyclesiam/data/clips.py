"""Unlabelled clips to learn from: any folders of videos, frame folders and still pictures.

No annotation is opened here, folders of masks included: a clip is a few frames of one scene and
one discovered box in its first frame (label policy `none`).

Shapes: B clips of T frames, (H, W) the canvas that every clip is cut to.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
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
FRAME_NAME = re.compile(r"(?:f|frame|im|img|image)?[_-]*(\d+)")
ANNOTATION_FOLDER = re.compile(
    r"(annotation|mask|label|segmentation|ground_?truth).*|anno|gt", re.IGNORECASE
)
ATTEMPTS = 100  # draws of unreadable chunks in a row, after which there is nothing to learn from


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
        problems: what could not be read while drawing, one line each; other clips stand in.
    """

    request: Request
    frames: Tensor
    boxes: Tensor
    names: tuple[str, ...]
    problems: tuple[str, ...] = ()


def find_scenes(sources: Iterable[str | Path]) -> tuple[list[Scene], list[str]]:
    """Find everything to learn from under files and folders.

    A folder whose pictures are consecutively numbered frames of one size is one video; other
    pictures are stills. Hidden files are passed over, and so are folders named like annotations
    (`Annotations`, `masks`, `labels`, `gt`, ...): their pictures are masks. Stills are not opened
    yet; one that is broken shows when a clip is drawn from it.

    Returns:
        The scenes in a fixed order, and a line for each file or folder that was left out.

    Raises:
        TrainingError: a source does not exist, or nothing usable was found.
    """
    scenes: list[Scene] = []
    problems: list[str] = []
    for source in map(Path, sources):
        if not source.exists():
            raise TrainingError(f"there is nothing to learn from at {source}: no such file")
        media, annotations = _media(source)
        problems += [f"{folder}: left out, its name says annotations" for folder in annotations]
        for path in media:
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


def _media(source: Path) -> tuple[list[Path], list[Path]]:
    """List videos, frame folders and stills under a path, sorted; and folders of annotations."""
    if source.is_file():
        return [source], []
    media: list[Path] = []
    annotations: list[Path] = []
    for folder in [source, *sorted(path for path in source.rglob("*") if path.is_dir())]:
        if any(ANNOTATION_FOLDER.fullmatch(part) for part in folder.relative_to(source).parts):
            annotations.append(folder)
            continue
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        files = [path for path in files if not path.name.startswith(".")]
        pictures = [path for path in files if is_picture(path)]
        media += [path for path in files if is_video(path)]
        media += [folder] if _are_frames(pictures) else pictures
    return media, annotations


def _are_frames(pictures: list[Path]) -> bool:
    """Say whether pictures are the frames of one video: numbered without great gaps, of one size.

    Five of them are measured: a set of numbered photographs has several sizes.
    """
    if len(pictures) < FRAME_FOLDER:
        return False
    names = [FRAME_NAME.fullmatch(path.stem) for path in pictures]
    numbers = sorted(int(name[1]) for name in names if name)
    if len(numbers) < len(pictures) or numbers[-1] - numbers[0] >= 2 * len(numbers):
        return False
    sizes = set()
    for path in pictures[:: -(-len(pictures) // 5)]:
        with suppress(SourceError):  # it shows, with its name, when it is read for a clip
            sizes.add(read_image(path).shape)
    return len(sizes) <= 1


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
        self._chunks = ChunkCache(int(config.memory_gigabytes * 2**30))

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
        scene, images = self._draw_chunk(shared, problems)
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

    def _draw_chunk(
        self, random: np.random.Generator, problems: dict[str, None]
    ) -> tuple[Scene, list[np.ndarray]]:
        """Draw a scene and a chunk of it that can be read."""
        for _ in range(ATTEMPTS):
            scene = self._draw_scene(random)
            chunk = int(random.integers(scene.frames)) // CHUNK
            try:
                return scene, self._chunks.read(scene.path, chunk)
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


class ChunkCache:
    """Decoded chunks of videos, the least recently used dropped first; failures are kept too.

    Args:
        capacity: bytes of pixels to keep.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._chunks: OrderedDict[tuple[Path, int], list[np.ndarray]] = OrderedDict()
        self._broken: dict[tuple[Path, int], str] = {}

    def read(self, path: Path, chunk: int) -> list[np.ndarray]:
        """Give frames chunk * CHUNK ... of a video, or a still picture as a chunk of one.

        Raises:
            SourceError: they cannot be read; asked again, it says so without another attempt.
        """
        key = (path, chunk)
        if key in self._broken:
            raise SourceError(self._broken[key])
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        try:
            images = _decode(path, chunk * CHUNK)
        except SourceError as error:
            self._broken[key] = str(error)
            raise
        self._chunks[key] = images
        self.size += sum(image.nbytes for image in images)
        while self.size > self.capacity and len(self._chunks) > 1:
            _, dropped = self._chunks.popitem(last=False)
            self.size -= sum(image.nbytes for image in dropped)
        return images


def _decode(path: Path, first: int) -> list[np.ndarray]:
    """Read up to CHUNK frames of one size from frame `first` on."""
    if path.is_file() and is_picture(path):
        return [read_image(path)]
    images = read_run(path, first, CHUNK)
    if not images:
        raise SourceError(f"{path}: holds no frame {first}, though it announces more; replace it")
    if len({image.shape for image in images}) > 1:
        raise SourceError(f"{path}: has frames of several sizes after frame {first}; replace it")
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
