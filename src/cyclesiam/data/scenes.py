"""Scenes to learn from: the videos, frame folders and still pictures in any folders.

No annotation is opened here, folders of masks included (label policy `none`).
"""

import math
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cyclesiam.data.shards import (
    is_shard_folder,
    read_index,
    source_path,
)
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.video import is_image, is_video, probe, read_frames, read_image

FRAME_FOLDER = 12  # a folder with at least as many pictures of one size may be a video
FRAME_NAME = re.compile(r"(?:f|frame|im|img|image)?[_-]*(\d+)")
SMALLEST_SIDE = 32  # pixels; less shows nothing that could be followed
LOOKERS = 16  # threads that open files to look at them: a disk far away lets each wait long
MOST_PIXELS = 2**28  # decoded, 0.8 GB
SHORTER_SIDE = 256  # of frames that are kept for validation: some thousand must fit into memory
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
    their pictures are masks. A folder that links lead to more than once is searched once. Of a
    still, only the header is read; one that is damaged further on shows when a clip is drawn.

    Returns:
        The scenes in a fixed order, and a line for each file or folder that was left out.

    Raises:
        TrainingError: a source does not exist, or nothing usable was found.
    """
    media: list[Path] = []
    packed: list[Scene] = []
    problems: list[str] = []
    for source in map(Path, sources):
        if not source.exists():
            raise TrainingError(f"there is nothing to learn from at {source}: no such file")
        if is_shard_folder(source):
            shards = read_index(source)
            packed += [Scene(source_path(source, n), count) for n, count in shards.lengths.items()]
            problems += shards.problems
        else:
            media += _media(source, problems)
    with warnings.catch_warnings(), ThreadPoolExecutor(LOOKERS) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # sizes are looked at here
        answers = [*pool.map(_look_at, media)]
    scenes = packed + [answer for answer in answers if isinstance(answer, Scene)]
    problems += [answer for answer in answers if isinstance(answer, str)]
    if not scenes:
        where = ", ".join(map(str, sources))
        raise TrainingError(
            f"found no readable video or picture in {where}"
            + (f"; the first of {len(problems)} problems: {problems[0]}" if problems else "")
        )
    return scenes, problems


def split_scenes(scenes: Iterable[Scene], share: float) -> tuple[list[Scene], list[Scene]]:
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


def _media(source: Path, problems: list[str]) -> list[Path]:
    """List videos, frame folders and stills under a path, sorted; tell of what is left out."""
    if source.is_file():
        return [source]
    media: list[Path] = []
    for folder, files in _folders(source, problems):
        if any(ANNOTATION_FOLDER.fullmatch(part) for part in folder.relative_to(source).parts):
            problems.append(f"{folder}: left out, its name says annotations")
            continue
        pictures = [path for path in files if is_image(path)]
        media += [path for path in files if is_video(path)]
        media += [folder] if _are_frames(pictures) else pictures
    return media


def _folders(source: Path, problems: list[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Walk a folder from the top, sorted: each folder once, with its files that are not hidden."""
    seen: set[tuple[int, int]] = set()
    waiting = [source]
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            entries = sorted(folder.iterdir())
        except OSError as error:
            problems.append(f"{folder}: cannot be searched ({error.strerror}); check its rights")
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link led here before
            continue
        seen.add((status.st_dev, status.st_ino))
        within = [path for path in entries if path.is_dir()]
        others = [path for path in entries if not (path.name.startswith(".") or path.is_dir())]
        for path in others:
            if (is_image(path) or is_video(path)) and not path.is_file():
                problems.append(f"{path}: is no file, or a link that leads nowhere; remove it")
        yield folder, [path for path in others if path.is_file()]
        waiting += reversed(within)


def _look_at(path: Path) -> Scene | str:
    """Give the scene that a path is, or say why it is none."""
    try:
        return Scene(path, _count_frames(path))
    except SourceError as error:
        return str(error)


def _count_frames(path: Path) -> int:
    """Count the frames of what may be a scene, and see that something can be seen in them.

    Raises:
        SourceError: it cannot be read, or its pictures are too small or too large.
    """
    if path.is_file() and is_image(path):
        (width, height), frames = _picture_size(path), 1
    else:
        found = probe(path)
        (width, height), frames = (found.width, found.height), found.frames
    if min(width, height) < SMALLEST_SIDE or width * height > MOST_PIXELS:
        raise SourceError(
            f"{path}: has {width} x {height} pixels; give at least {SMALLEST_SIDE} a side and at "
            f"most {MOST_PIXELS // 10**6} million"
        )
    return frames


def _picture_size(path: Path) -> tuple[int, int]:
    """Give (W, H) of a picture from its header, or of one that hides it by decoding it."""
    try:
        with path.open("rb") as file, Image.open(file) as image:
            return image.size
    except OSError as error:
        if error.errno is not None:
            raise SourceError(f"{path}: cannot be read ({error.strerror}); check it") from error
    except (SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        pass
    height, width = read_image(path).shape[:2]
    return width, height


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


def sample_images(
    scenes: Sequence[Scene], count: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Give `count` stills or, where there are none, frames of videos; unreadable ones are left."""
    stills = [scene for scene in scenes if scene.frames == 1] or list(scenes)
    for scene in round_robin(stills, count, rng):
        run = read_downscaled(scene, int(rng.integers(scene.frames)), 1)
        yield from run


def round_robin(scenes: Sequence[Scene], count: int, rng: np.random.Generator) -> Iterator[Scene]:
    """Give `count` scenes in a random order, each again only when all were given."""
    order = rng.permutation(len(scenes))
    for number in range(count if len(scenes) else 0):
        yield scenes[order[number % len(order)]]


def read_downscaled(scene: Scene, first: int, count: int) -> list[np.ndarray]:
    """Read frames of one size, reduced to `SHORTER_SIDE`; none where the scene is broken."""
    try:
        still = scene.path.is_file() and scene.frames == 1
        run = [read_image(scene.path)] if still else read_frames(scene.path, first, count)
    except SourceError:
        return []
    run = [image for image in run if image.shape == run[0].shape]
    if not run or min(run[0].shape[:2]) <= SHORTER_SIDE:
        return run
    scale = SHORTER_SIDE / min(run[0].shape[:2])
    size = (round(run[0].shape[1] * scale), round(run[0].shape[0] * scale))
    return [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in run]
