"""A file of tubes: one compact npz for many scenes, without pickle.

A scene is found again by the end of its path, so a folder may be moved or packed into shards.
"""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from cyclesiam.data.scenes import Scene
from cyclesiam.data.tubes import MASK_SIDE, Tube
from cyclesiam.errors import SourceError
from cyclesiam.files import atomic_path

TUBES_FILE = "tubes.npz"  # name of the file in a folder of shards or of a run
FORMAT = "cyclesiam tubes 1"


class SceneTubes(NamedTuple):
    """Tubes of a scene, and the (H, W) of the frames that their boxes are measured in."""

    frame_size: tuple[int, int]
    tubes: tuple[Tube, ...]


def save_tubes(file: Path, tubes_by_scene: Mapping[str, SceneTubes]) -> None:
    """Save the tubes of scenes, by the scenes' paths below the folder that holds all.

    Raises:
        SourceError: the file cannot be written.
    """
    scenes = [*tubes_by_scene.values()]
    tubes = [tube for scene in scenes for tube in scene.tubes]
    boxes = [np.zeros((0, 4), np.float32), *(tube.boxes for tube in tubes)]
    masks = [np.zeros((0, MASK_SIDE**2), bool), *(t.masks.reshape(len(t), -1) for t in tubes)]
    try:
        with atomic_path(file) as part, part.open("wb") as stream:
            np.savez_compressed(
                stream,
                format=np.array(FORMAT),
                names=np.array([*tubes_by_scene], dtype=str),
                sizes=np.array([scene.frame_size for scene in scenes], np.int32).reshape(-1, 2),
                counts=np.array([len(scene.tubes) for scene in scenes], np.int32),
                firsts=np.array([tube.first for tube in tubes], np.int32),
                lengths=np.array([len(tube) for tube in tubes], np.int32),
                boxes=np.concatenate(boxes).astype(np.float32),
                masks=np.packbits(np.concatenate(masks), axis=-1),
            )
    except OSError as error:
        raise SourceError(f"{file}: cannot be written ({error.strerror})") from error


def load_tubes(file: Path) -> dict[str, SceneTubes]:
    """Load the tubes of scenes, by the scenes' paths below the folder that held all.

    Raises:
        SourceError: the file is missing, damaged, or not a file of tubes.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            if str(content["format"]) != FORMAT:
                raise ValueError(f"it says {str(content['format'])!r}")
            return _unpack({name: content[name] for name in content.files})
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise SourceError(
            f"{file}: is missing, damaged or not a file of tubes ({error}); find them again by "
            "cyclesiam prepare --tubes"
        ) from error


def _unpack(content: dict[str, np.ndarray]) -> dict[str, SceneTubes]:
    lengths, boxes = content["lengths"], content["boxes"]
    masks = np.unpackbits(content["masks"], axis=-1).astype(bool)
    masks = masks.reshape(-1, MASK_SIDE, MASK_SIDE)
    if not len(boxes) == len(masks) == lengths.sum() or content["counts"].sum() != len(lengths):
        raise ValueError("its lists do not belong together")
    ends = lengths.cumsum()
    tubes = [
        Tube(int(first), boxes[end - length : end], masks[end - length : end])
        for first, length, end in zip(content["firsts"], lengths, ends, strict=True)
    ]
    last = content["counts"].cumsum()
    return {
        str(name): SceneTubes((int(size[0]), int(size[1])), tuple(tubes[end - count : end]))
        for name, size, count, end in zip(
            content["names"], content["sizes"], content["counts"], last, strict=True
        )
    }


def match_tubes(
    scenes: Iterable[Scene], tubes_by_scene: Mapping[str, SceneTubes]
) -> dict[Path, SceneTubes]:
    """Return the tubes of those scenes that have some, by the longest end of a scene's path."""
    matched = {}
    for scene in scenes:
        parts = scene.path.absolute().parts
        ends = (PurePosixPath(*parts[start:]).as_posix() for start in range(1, len(parts)))
        found = next((tubes_by_scene[end] for end in ends if end in tubes_by_scene), None)
        if found is not None and found.tubes:
            matched[scene.path] = found
    return matched
