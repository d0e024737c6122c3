"""Scenes to learn from: the videos, frame folders and still pictures in any folders.

No annotation is opened here, folders of masks included (label policy `none`).
"""

import math
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.data.shards import (
    holds_shards,
    lies_in_shards,
    read_index,
    read_window,
    source_path,
)
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.video import is_picture, is_video, probe, read_image, read_run

CHUNK = 64  # frames that are decoded, and kept, together
FRAME_FOLDER = 12  # a folder with at least as many pictures of one size may be a video
FRAME_NAME = re.compile(r"(?:f|frame|im|img|image)?[_-]*(\d+)")
ANNOTATION_FOLDER = re.compile(
    r"(annotation|mask|label|segmentation|ground_?truth).*|anno|gt", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One video, frame folder or still picture that clips can be drawn from."""

    path: Path
    frames: int


def find_scenes(sources: Iterable[str | Path]) -> tuple[list[Scene], list[str]]:
    """Find everything to learn from under files and folders.

    A folder whose pictures are consecutively numbered frames of one size is one video; other
    pictures are stills. A folder of shards is what was packed into it. Hidden files are passed
    over, and so are folders named like annotations (`Annotations`, `masks`, `labels`, `gt`, ...):
    their pictures are masks. Stills are not opened yet; one that is broken shows when a clip is
    drawn from it.

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
        if holds_shards(source):
            shards = read_index(source)
            scenes += [Scene(source_path(source, n), count) for n, count in shards.lengths.items()]
            problems += shards.problems
            continue
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


def hold_out(scenes: Iterable[Scene], share: float) -> tuple[list[Scene], list[Scene]]:
    """Split scenes into those to learn from and those to judge by.

    Videos and stills are split each on their own, by a hash of their names: more files later
    leave most others where they were.

    Args:
        scenes: to split; their order is kept.
        share: of each kind to hold out, 0..1, rounded up but for 0; one is always left to learn.

    Returns:
        The scenes to learn from, and those held out.
    """
    scenes = list(scenes)
    held: set[Path] = set()
    for kind in (True, False):
        paths = [scene.path for scene in scenes if (scene.frames > 1) == kind]
        count = min(math.ceil(share * len(paths)), max(len(paths) - 1, 0))
        held.update(sorted(paths, key=lambda path: zlib.crc32(path.name.encode()))[:count])
    return (
        [scene for scene in scenes if scene.path not in held],
        [scene for scene in scenes if scene.path in held],
    )


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
            images = read_chunk(path, chunk * CHUNK)
        except SourceError as error:
            self._broken[key] = str(error)
            raise
        self._chunks[key] = images
        self.size += sum(image.nbytes for image in images)
        while self.size > self.capacity and len(self._chunks) > 1:
            _, dropped = self._chunks.popitem(last=False)
            self.size -= sum(image.nbytes for image in dropped)
        return images


def read_chunk(path: Path, first: int) -> list[np.ndarray]:
    """Read up to CHUNK frames of one size from frame `first` on; a still is one frame.

    Raises:
        SourceError: they cannot be read, or have several sizes.
    """
    if lies_in_shards(path):
        return read_window(path, first)
    if path.is_file() and is_picture(path):
        return [read_image(path)]
    images = read_run(path, first, CHUNK)
    if not images:
        raise SourceError(f"{path}: holds no frame {first}, though it announces more; replace it")
    if len({image.shape for image in images}) > 1:
        raise SourceError(f"{path}: has frames of several sizes after frame {first}; replace it")
    return images
