"""Shards: prepared windows of frames in tar files, which training reads by offset.

A folder of shards holds `clips-000000.tar` onwards. Beside each is a list of what is in it
(`clips-000000.json`). `shards.json`, which is written last, lists all. A tar holds samples in the
format of the package webdataset: `KEY.json` says where the window comes from, and `KEY.000.jpg`
onwards are its consecutive frames.

A source in shards has a path below `shards.json`, as if that were a folder.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from cyclesiam.errors import SourceError

INDEX_FILE = "shards.json"
FORMAT = "cyclesiam shards 1"


class WindowLocation(NamedTuple):
    """Where the frames of a window are: (offset, size) in bytes of each, in one tar."""

    tar: str
    frames: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Contents of a folder of shards.

    Args:
        lengths: frames of each source by name, also of those that could not be read.
        locations: of every window, by the source's name and the window's first frame.
        problems: what could not be read when the shards were made, one line each.
    """

    lengths: dict[str, int]
    locations: dict[tuple[str, int], WindowLocation]
    problems: tuple[str, ...]


def is_shard_folder(folder: Path) -> bool:
    """Check whether a folder holds complete shards."""
    return (folder / INDEX_FILE).is_file()


def read_index(folder: Path) -> ShardIndex:
    """Read the index of a folder of shards; it is kept until the file changes.

    Raises:
        SourceError: its index is damaged, or of another version.
    """
    file = folder / INDEX_FILE
    try:
        return _read_index(file, file.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{file}: is not an index of shards of this version ({error}); prepare them again"
        ) from error


@lru_cache(maxsize=16)
def _read_index(file: Path, mtime: int) -> ShardIndex:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if content["format"] != FORMAT:
        raise ValueError(f"it says {content['format']!r}")
    locations = {
        (window["source"], window["first"]): WindowLocation(
            tar, tuple(map(tuple, window["places"]))
        )
        for tar, windows in content["shards"].items()
        for window in windows
    }
    return ShardIndex(content["lengths"], locations, tuple(content["problems"]))


def source_path(folder: Path, name: str) -> Path:
    """Return the path of a source in shards, for `read_window`."""
    return folder / INDEX_FILE / name


def is_in_shards(path: Path) -> bool:
    """Check whether a path is of a source in shards."""
    return INDEX_FILE in path.parts[:-1]


def read_window(path: Path, first: int) -> list[np.ndarray]:
    """Read the frames of a window, each (H, W, 3) uint8 RGB.

    Args:
        path: of the source, from `source_path`.
        first: the window's first frame in its source.

    Raises:
        SourceError: the window is missing or damaged.
    """
    index_file = next(parent for parent in path.parents if parent.name == INDEX_FILE)
    folder, name = index_file.parent, path.relative_to(index_file).as_posix()
    location = read_index(folder).locations.get((name, first))
    if location is None:
        raise SourceError(f"{path}: frame {first} could not be read when its shard was made")
    file = folder / location.tar
    images = []
    try:
        with file.open("rb") as tar:
            for offset, size in location.frames:
                tar.seek(offset)
                data = np.frombuffer(tar.read(size), np.uint8)
                image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) == size else None
                if image is None:
                    raise SourceError(f"{file}: is damaged at byte {offset}; prepare it again")
                images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    except OSError as error:
        raise SourceError(f"{file}: cannot be read ({error.strerror}); prepare it again") from error
    return images
