"""Scenes to train on: the videos, folders of frames and still images below any folders.

No annotation is opened here, nor a folder of masks (label policy `none`).
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
from cyclesiam.video import count_images, is_image, is_video, probe, read_frames, read_image

MIN_FOLDER_FRAMES = 12  # a folder with fewer images is a folder of stills
FRAME_NAME = re.compile(r"(?:f|frame|im|img|image)?[_-]*(\d+)")
MIN_SIDE = 32  # pixels; less shows nothing that could be tracked
PROBE_THREADS = 16  # that open files at once: a network disk keeps each waiting
MAX_PIXELS = 2**28  # decoded, 0.8 GB
SHORTER_SIDE = 256  # of frames that are kept for validation: some thousand must fit into memory
ANNOTATION_FOLDER = re.compile(
    r"(annotation|mask|label|segmentation|ground_?truth).*|anno|gt", re.IGNORECASE
)
# Files beside videos and images that are neither: they are left out without a word.
OTHER_SUFFIXES = frozenset(
    ".txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .cfg .log .html .pdf .srt "
    ".vtt .py .ipynb .sh .m .mat .npy .npz .pkl .pt .pth .onnx .safetensors .zip .tar .gz .tgz .7z "
    ".rar .md5 .sha256 .db .url .lnk".split()
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A video, a folder of frames or a still that clips can be drawn from."""

    path: Path
    frames: int


def find_scenes(sources: Iterable[str | Path]) -> tuple[list[Scene], list[str]]:
    """Find everything to train on in files and folders.

    A folder whose images are consecutively numbered frames of one size is a video. Other images are
    stills. A file whose name says nothing is opened, to see whether it is a video. A folder of
    shards holds the scenes that were packed into it. Hidden files are left out. So are folders with
    names of annotations (`Annotations`, `masks`, `labels`, `gt`, ...), because their images are
    masks. A folder that several links lead to is searched once.

    Of a still, only the header is read. Damage further on shows when a clip is drawn.

    Args:
        sources: files, and folders that are searched with all folders below them.

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
            raise TrainingError(f"there is nothing to train on at {source}: no such file")
        if is_shard_folder(source):
            shards = read_index(source)
            packed += [Scene(source_path(source, n), count) for n, count in shards.lengths.items()]
            problems += shards.problems
        else:
            media += _media(source, problems)
    with warnings.catch_warnings(), ThreadPoolExecutor(PROBE_THREADS) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # sizes are checked here
        results = [*pool.map(_probe_scene, media)]
    scenes = packed + [result for result in results if isinstance(result, Scene)]
    problems += [result for result in results if isinstance(result, str)]
    if not scenes:
        where = ", ".join(map(str, sources))
        raise TrainingError(
            f"found no readable video or image in {where}"
            + (f"; the first of {len(problems)} problems: {problems[0]}" if problems else "")
        )
    return scenes, problems


def split_scenes(scenes: Iterable[Scene], ratio: float) -> tuple[list[Scene], list[Scene]]:
    """Split scenes into those to train on and those to score by.

    Videos and stills are split separately, by a hash of their names. So when files are added, most
    others stay where they were.

    Args:
        scenes: to split; their order is kept.
        ratio: of each kind to hold out, 0..1. The count is rounded up, but one is always left to
            train on.

    Returns:
        The scenes to train on, and those held out.
    """
    scenes = list(scenes)
    held: set[Path] = set()
    for kind in (True, False):
        paths = [scene.path for scene in scenes if (scene.frames > 1) == kind]
        count = min(math.ceil(ratio * len(paths)), max(len(paths) - 1, 0))
        held.update(sorted(paths, key=lambda path: zlib.crc32(path.name.encode()))[:count])
    return (
        [scene for scene in scenes if scene.path not in held],
        [scene for scene in scenes if scene.path in held],
    )


def _media(source: Path, problems: list[str]) -> list[Path]:
    """List videos, folders of frames and stills below a path, sorted; report what is left out."""
    if source.is_file():
        return [source]
    media: list[Path] = []
    for folder, files in _folders(source, problems):
        if any(ANNOTATION_FOLDER.fullmatch(part) for part in folder.relative_to(source).parts):
            problems.append(f"{folder}: left out, because its name says annotations")
            continue
        images = [path for path in files if is_image(path)]
        media += [path for path in files if is_video(path) or _may_be_video(path)]
        media += [folder] if _are_frames(images) else images
    return media


def _may_be_video(path: Path) -> bool:
    """Check whether a file whose name says nothing may be a video: opening it will tell."""
    return not is_image(path) and path.suffix.lower() not in OTHER_SUFFIXES


def _folders(source: Path, problems: list[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder from the top, sorted, with its files that are not hidden."""
    visited: set[tuple[int, int]] = set()
    pending = [source]
    while pending:
        folder = pending.pop()
        try:
            status = folder.stat()
            entries = sorted(folder.iterdir())
        except OSError as error:
            problems.append(
                f"{folder}: cannot be searched ({error.strerror}); check its permissions"
            )
            continue
        if (status.st_dev, status.st_ino) in visited:  # a link led here before
            continue
        visited.add((status.st_dev, status.st_ino))
        within = [path for path in entries if path.is_dir()]
        others = [path for path in entries if not (path.name.startswith(".") or path.is_dir())]
        for path in others:
            if (is_image(path) or is_video(path)) and not path.is_file():
                problems.append(f"{path}: is not a file, or is a broken link; remove it")
        yield folder, [path for path in others if path.is_file()]
        pending += reversed(within)


def _probe_scene(path: Path) -> Scene | str:
    """Return the scene at a path, or a line that says why it is none."""
    try:
        return Scene(path, _count_frames(path))
    except SourceError as error:
        return str(error)


def _count_frames(path: Path) -> int:
    """Return the number of frames of what may be a scene.

    Raises:
        SourceError: it cannot be read, or its images are too small or too large.
    """
    if path.is_file() and is_image(path):
        (width, height), frames = _picture_size(path), count_images(path)
    else:
        info = probe(path)
        (width, height), frames = (info.width, info.height), info.frames
    if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
        raise SourceError(
            f"{path}: has {width} x {height} pixels; a scene needs at least {MIN_SIDE} a side "
            f"and at most {MAX_PIXELS // 10**6} million"
        )
    return frames


def _picture_size(path: Path) -> tuple[int, int]:
    """Return (W, H) of an image from its header, or by decoding it where that fails."""
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


def _are_frames(images: list[Path]) -> bool:
    """Check whether images are the frames of one video: numbered without wide gaps, of one size.

    Five of them are measured, because a set of numbered photographs has several sizes.
    """
    if len(images) < MIN_FOLDER_FRAMES:
        return False
    names = [FRAME_NAME.fullmatch(path.stem) for path in images]
    numbers = sorted(int(name[1]) for name in names if name)
    if len(numbers) < len(images) or numbers[-1] - numbers[0] >= 2 * len(numbers):
        return False
    sizes = set()
    for path in images[:: -(-len(images) // 5)]:
        with suppress(SourceError):  # it is reported when it is read for a clip
            sizes.add(read_image(path).shape)
    return len(sizes) <= 1


def sample_images(
    scenes: Sequence[Scene], count: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Draw `count` stills or, without any, frames of videos; unreadable ones are left out."""
    stills = [scene for scene in scenes if scene.frames == 1] or list(scenes)
    for scene in round_robin(stills, count, rng):
        yield from read_downscaled(scene, int(rng.integers(scene.frames)), 1)


def round_robin(scenes: Sequence[Scene], count: int, rng: np.random.Generator) -> Iterator[Scene]:
    """Yield `count` scenes in a random order, each again only when all were yielded."""
    order = rng.permutation(len(scenes))
    for number in range(count if len(scenes) else 0):
        yield scenes[order[number % len(order)]]


def read_downscaled(scene: Scene, first: int, count: int) -> list[np.ndarray]:
    """Read `count` frames from `first` on, reduced to `SHORTER_SIDE`; none from a broken scene."""
    try:
        still = scene.path.is_file() and scene.frames == 1
        images = [read_image(scene.path)] if still else read_frames(scene.path, first, count)
    except SourceError:
        return []
    images = [image for image in images if image.shape == images[0].shape]
    if not images or min(images[0].shape[:2]) <= SHORTER_SIDE:
        return images
    height, width = images[0].shape[:2]
    scale = SHORTER_SIDE / min(height, width)
    size = (round(width * scale), round(height * scale))
    return [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
