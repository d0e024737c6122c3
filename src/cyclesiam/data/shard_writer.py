"""Make shards of videos and pictures: decode once, train from them often.

Which window lies in which shard is planned beforehand from the numbers of frames alone: a shard is
a job of its own, the same whoever does it and when. A run that was killed goes on: a shard is done
when the list beside it, which is written last, says what the plan says. No annotation is opened.
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
HEADER = 512  # bytes before a member's data, where its name is short


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig:
    """How shards are made."""

    megabytes: float = 256.0
    """Size of a shard, roughly: it is planned before anything is decoded."""
    short_side: int = 360
    """Greatest height or width, whichever is less, of a frame in pixels; larger ones shrink."""
    quality: int = 90
    """Of the JPEG pictures, 1..100."""

    def __post_init__(self) -> None:
        if self.megabytes <= 0 or self.short_side < 64 or not 1 <= self.quality <= 100:
            raise ValueError(
                f"shards need a size, 64 pixels or more, and a quality of 1..100; got {self}"
            )

    @property
    def frames(self) -> int:
        """Frames of a shard."""
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
    """A tar file to be: its name without an ending, and what goes into it."""

    name: str
    windows: tuple[ShardWindow, ...]


@dataclass(frozen=True, slots=True)
class ShardWritten:
    """A shard is done.

    Args:
        shard: its name.
        windows: how many it holds.
        problems: what could not be read, one line each.
        found: it was there already.
    """

    shard: str
    windows: int
    problems: tuple[str, ...]
    found: bool


class Store(Protocol):
    """Where shards go."""

    def read(self, name: str) -> bytes | None:
        """Give a file's content; None where there is none."""
        ...

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file, whole or not at all; a path's content is moved or copied."""
        ...


def write_shards(
    scenes: list[Scene], output: str, config: ShardConfig, *, workers: int = 1
) -> Iterator[ShardWritten]:
    """Make shards of scenes, and at last the index of all.

    Args:
        scenes: as `find_scenes` gives them; their order is the shards' order.
        output: a folder, or any URL that the package fsspec knows.
        config: how.
        workers: processes that make them; 1 for this one alone.

    Raises:
        SourceError: the output cannot be written, or nothing of all could be read.
        MissingExtraError: the output is a URL, and fsspec is not installed.
    """
    plan = plan_shards(scenes, config)
    make = partial(_make_shard, output=output, config=config)
    store = open_store(output)
    done: list[ShardWritten] = []
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for progress in pool.map(make, plan):
                done.append(progress)
                yield progress
    else:
        for shard in plan:
            done.append(make(shard))
            yield done[-1]
    problems = [problem for progress in done for problem in progress.problems]
    if not any(progress.windows for progress in done):
        raise SourceError(f"nothing could be read; the first problem: {problems[0]}")
    names = name_sources(scenes)
    index = {
        "format": FORMAT,
        "lengths": {names[scene.path]: scene.frames for scene in scenes},
        "shards": {f"{shard.name}.tar": _listed(store, shard)["windows"] for shard in plan},
        "problems": problems,
    }
    store.write(INDEX_FILE, json.dumps(index).encode())


def plan_shards(scenes: list[Scene], config: ShardConfig) -> list[ShardPlan]:
    """Deal the windows of all scenes out to shards, in order."""
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
    """Name sources by their paths below the folder that holds all of them."""
    whole = {scene.path: scene.path.absolute() for scene in scenes}
    top = os.path.commonpath([path.parent for path in whole.values()])
    return {path: absolute.relative_to(top).as_posix() for path, absolute in whole.items()}


def open_store(output: str) -> Store:
    """Give where shards go: a folder, or a URL.

    Raises:
        SourceError: it cannot be made.
        MissingExtraError: it is a URL, and fsspec is not installed.
    """
    if "://" not in output:
        return _Folder(Path(output))
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError(
            f"writing to {output} needs the package fsspec, and the one that it names for such "
            "addresses: pip install fsspec; or give a folder"
        ) from None
    try:
        system, root = fsspec.url_to_fs(output)
    except (ValueError, ImportError) as error:
        raise SourceError(f"{output}: fsspec knows no such address ({error})") from error
    return _Remote(system, root.rstrip("/"))


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"{folder}: cannot be made ({error.strerror}); choose another"
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
    """A place that fsspec knows; most such stores show a file when it is whole."""

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


def _make_shard(shard: ShardPlan, *, output: str, config: ShardConfig) -> ShardWritten:
    store = open_store(output)
    wanted = {"windows": [[w.source, w.first] for w in shard.windows], "config": asdict(config)}
    listed = _listed(store, shard)
    if listed.get("wanted") == json.loads(json.dumps(wanted)):
        return ShardWritten(
            shard.name, len(listed["windows"]), tuple(listed["problems"]), found=True
        )
    problems: dict[str, None] = {}
    with tempfile.TemporaryDirectory(prefix="cyclesiam-") as folder:
        file = Path(folder) / f"{shard.name}.tar"
        with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as tar:
            windows = [*_write_windows(tar, shard, config, problems)]
        store.write(file.name, file)
    listed = {"wanted": wanted, "windows": windows, "problems": [*problems]}
    store.write(f"{shard.name}.json", json.dumps(listed).encode())
    return ShardWritten(shard.name, len(windows), tuple(problems), found=False)


def _listed(store: Store, shard: ShardPlan) -> dict[str, Any]:
    """Read the list beside a shard; empty where it is missing or no list."""
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
        about = {"source": window.source, "first": window.first, "frames": len(images)}
        key = f"{shard.name.rpartition('-')[2]}{number:06}"
        sizes = {"width": width, "height": height}
        _add(tar, f"{key}.json", json.dumps(about | sizes).encode())
        places = [
            _add(tar, f"{key}.{place:03}.jpg", _encode(image, config.quality))
            for place, image in enumerate(images)
        ]
        yield {"source": window.source, "first": window.first, "places": places}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> tuple[int, int]:
    """Append a member, the same whenever that is; give the offset and size of its content."""
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
        raise SourceError(f"a picture of {image.shape} cannot be written as JPEG")
    return data.tobytes()
