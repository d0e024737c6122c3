"""Writes shards of videos and images: decode once, train from them often.

Which window lies in which shard is planned from the numbers of frames alone. So each shard is a
separate job, with the same result in any process and order. A run that was killed can go on: a
shard is complete when the list beside it, which is written last, agrees with the plan. No
annotation is opened.
"""

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from cyclesiam.data.chunks import CHUNK, read_chunk
from cyclesiam.data.scenes import Scene
from cyclesiam.data.shards import FORMAT, INDEX_FILE
from cyclesiam.errors import MissingExtraError, SourceError
from cyclesiam.files import atomic_path

BYTES_PER_PIXEL = 0.25  # of a JPEG of quality 90; real videos take 0.15 to 0.35
USUAL_ASPECT = 16 / 9
HEADER = 512  # bytes before a tar member's data, where its name is short


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig:
    """How shards are written."""

    megabytes: float = 256.0
    """Approximate size of a shard, planned before anything is decoded; more gives fewer files."""
    short_side: int = 360
    """Largest shorter side of a frame in pixels; larger frames are resized to it."""
    quality: int = 90
    """Quality of the JPEG images, 1..100; more takes more space."""

    def __post_init__(self) -> None:
        if self.megabytes <= 0 or self.short_side < 64 or not 1 <= self.quality <= 100:
            raise ValueError(
                "megabytes must be above 0, short_side 64 or more, and quality in 1..100; "
                f"got {self}"
            )

    @property
    def frames(self) -> int:
        """Approximate number of frames in a shard."""
        pixels = self.short_side**2 * USUAL_ASPECT
        return max(int(self.megabytes * 1e6 / (pixels * BYTES_PER_PIXEL)), 1)


@dataclass(frozen=True, slots=True)
class ShardWindow:
    """Up to CHUNK frames of a source, from frame `first` on."""

    source: str
    path: str
    first: int


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A tar file to write: its name without a suffix, and what goes into it."""

    name: str
    windows: tuple[ShardWindow, ...]


@dataclass(frozen=True, slots=True)
class ShardWritten:
    """Report on a complete shard.

    Args:
        shard: its name.
        windows: how many it holds.
        problems: what could not be read, one line each.
        existed: whether it was complete before this run.
    """

    shard: str
    windows: int
    problems: tuple[str, ...]
    existed: bool


class Store(Protocol):
    """Place that shards are written to."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None without this file."""
        ...

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file, whole or not at all; `content` may be a path to copy."""
        ...


def write_shards(
    scenes: list[Scene], output: str, config: ShardConfig, *, workers: int = 1
) -> Iterator[ShardWritten]:
    """Write shards of scenes, and at last the index of all.

    Args:
        scenes: what to write; their order is the order in the shards.
        output: a folder, or any URL that the package fsspec knows.
        config: how.
        workers: processes that write; 1 for this one alone.

    Yields:
        A report on each complete shard.

    Raises:
        SourceError: the output cannot be written, or nothing could be read.
        MissingExtraError: the output is a URL, and fsspec is not installed.
    """
    plan = plan_shards(scenes, config)
    write = partial(_write_shard, output=output, config=config)
    store = open_store(output)
    done: list[ShardWritten] = []
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for report in pool.map(write, plan):
                done.append(report)
                yield report
    else:
        for shard in plan:
            done.append(write(shard))
            yield done[-1]
    problems = [problem for report in done for problem in report.problems]
    if not any(report.windows for report in done):
        raise SourceError(f"nothing could be read; the first problem: {problems[0]}")
    names = name_sources(scenes)
    index = {
        "format": FORMAT,
        "lengths": {names[scene.path]: scene.frames for scene in scenes},
        "shards": {f"{shard.name}.tar": _read_list(store, shard)["windows"] for shard in plan},
        "problems": problems,
    }
    store.write(INDEX_FILE, json.dumps(index).encode())


def plan_shards(scenes: list[Scene], config: ShardConfig) -> list[ShardPlan]:
    """Assign the windows of all scenes to shards, in order."""
    names = name_sources(scenes)
    shards: list[list[ShardWindow]] = [[]]
    frames = 0
    for scene in scenes:
        for first in range(0, scene.frames, CHUNK):
            count = min(CHUNK, scene.frames - first)
            if frames and frames + count > config.frames:
                shards.append([])
                frames = 0
            shards[-1].append(ShardWindow(names[scene.path], str(scene.path), first))
            frames += count
    return [ShardPlan(f"clips-{number:06}", tuple(part)) for number, part in enumerate(shards)]


def name_sources(scenes: list[Scene]) -> dict[Path, str]:
    """Return a name for each source: its path below the folder that holds all of them."""
    absolute_paths = {scene.path: scene.path.absolute() for scene in scenes}
    top = os.path.commonpath([path.parent for path in absolute_paths.values()])
    return {path: absolute.relative_to(top).as_posix() for path, absolute in absolute_paths.items()}


def open_store(output: str) -> Store:
    """Open the place that shards are written to: a folder, or a URL.

    Raises:
        SourceError: the folder cannot be created, or the URL is unknown.
        MissingExtraError: it is a URL, and fsspec is not installed.
    """
    if "://" not in output:
        return _Folder(Path(output))
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError(
            f"writing to {output} needs the package fsspec, and the package that it names for such "
            "a URL: pip install fsspec; or give a folder"
        ) from None
    try:
        system, root = fsspec.url_to_fs(output)
    except (ValueError, ImportError) as error:
        raise SourceError(
            f"{output}: fsspec does not know such a URL ({error}); give a folder"
        ) from error
    return _Remote(system, root.rstrip("/"))


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"{folder}: cannot be created ({error.strerror}); choose another"
            ) from error

    def read(self, name: str) -> bytes | None:
        file = self.folder / name
        return file.read_bytes() if file.is_file() else None

    def write(self, name: str, content: bytes | Path) -> None:
        path = self.folder / name
        try:
            with atomic_path(path) as part:
                if isinstance(content, Path):
                    shutil.copyfile(content, part)
                else:
                    part.write_bytes(content)
        except OSError as error:
            raise SourceError(f"{path}: cannot be written ({error.strerror})") from error


class _Remote:
    """A place that fsspec knows; most of these show a file only when it is whole."""

    def __init__(self, system: Any, root: str) -> None:
        self.system, self.root = system, root

    def read(self, name: str) -> bytes | None:
        file = f"{self.root}/{name}"
        return self.system.cat_file(file) if self.system.exists(file) else None

    def write(self, name: str, content: bytes | Path) -> None:
        file = f"{self.root}/{name}"
        try:
            self.system.makedirs(self.root, exist_ok=True)
            if isinstance(content, Path):
                self.system.put_file(str(content), file)
            else:
                self.system.pipe_file(file, content)
        except OSError as error:
            raise SourceError(f"{file}: cannot be written ({error})") from error


def _write_shard(shard: ShardPlan, *, output: str, config: ShardConfig) -> ShardWritten:
    store = open_store(output)
    planned = {"windows": [[w.source, w.first] for w in shard.windows], "config": asdict(config)}
    listed = _read_list(store, shard)
    if listed.get("wanted") == json.loads(json.dumps(planned)):
        return ShardWritten(
            shard.name, len(listed["windows"]), tuple(listed["problems"]), existed=True
        )
    problems: dict[str, None] = {}
    with tempfile.TemporaryDirectory(prefix="cyclesiam-") as folder:
        file = Path(folder) / f"{shard.name}.tar"
        with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as tar:
            windows = [*_write_windows(tar, shard, config, problems)]
        store.write(file.name, file)
    listed = {"wanted": planned, "windows": windows, "problems": [*problems]}
    store.write(f"{shard.name}.json", json.dumps(listed).encode())
    return ShardWritten(shard.name, len(windows), tuple(problems), existed=False)


def _read_list(store: Store, shard: ShardPlan) -> dict[str, Any]:
    """Read the list beside a shard; it is empty where the file is missing or damaged."""
    content = store.read(f"{shard.name}.json")
    try:
        return json.loads(content) if content else {}
    except ValueError:
        return {}


def _write_windows(
    tar: tarfile.TarFile, shard: ShardPlan, config: ShardConfig, problems: dict[str, None]
) -> Iterator[dict[str, Any]]:
    for number, window in enumerate(shard.windows):
        try:
            images = read_chunk(Path(window.path), window.first)
        except SourceError as error:
            problems[str(error)] = None
            continue
        images = [_shrink(image, config.short_side) for image in images]
        height, width = images[0].shape[:2]
        origin = {"source": window.source, "first": window.first, "frames": len(images)}
        key = f"{shard.name.rpartition('-')[2]}{number:06}"
        sizes = {"width": width, "height": height}
        _add(tar, f"{key}.json", json.dumps(origin | sizes).encode())
        locations = [
            _add(tar, f"{key}.{index:03}.jpg", _encode(image, config.quality))
            for index, image in enumerate(images)
        ]
        yield {"source": window.source, "first": window.first, "places": locations}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> tuple[int, int]:
    """Append a member without a date; return the offset and size of its content."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    offset = tar.offset + HEADER
    tar.addfile(member, io.BytesIO(content))
    return offset, len(content)


def _shrink(image: np.ndarray, short_side: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return image
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _encode(image: np.ndarray, quality: int) -> bytes:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise SourceError(f"an image of {image.shape} cannot be written as JPEG")
    return data.tobytes()
