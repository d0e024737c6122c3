"""Finding the tubes of many scenes, in several processes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.data.chunks import CHUNK, read_chunk
from cyclesiam.data.scenes import Scene
from cyclesiam.data.shard_writer import name_sources
from cyclesiam.data.tube_store import SceneTubes
from cyclesiam.data.tubes import DEFAULT_TUBES, TubeConfig, find_tubes
from cyclesiam.errors import SourceError


class Searched(NamedTuple):
    """Report on a scene: its name, its tubes, and what could not be read."""

    name: str
    found: SceneTubes
    problems: tuple[str, ...]


def search_tubes(
    scenes: Sequence[Scene], config: TubeConfig = DEFAULT_TUBES, *, workers: int = 1
) -> Iterator[Searched]:
    """Find the tubes of the videos among scenes, in order.

    Args:
        scenes: videos, and stills, which are left out.
        config: which regions become tubes.
        workers: processes that search; 1 for this one alone.
    """
    names = name_sources([*scenes]) if scenes else {}
    videos = [scene for scene in scenes if scene.frames > 1]
    search = partial(_search, config=config)
    jobs = [scene.path for scene in videos], [names[scene.path] for scene in videos]
    frames = [scene.frames for scene in videos]
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(search, *jobs, frames)
    else:
        yield from map(search, *jobs, frames)


def _search(path: Path, name: str, frames: int, *, config: TubeConfig) -> Searched:
    cv2.setNumThreads(1)  # processes, not threads, share the work
    problems: list[str] = []
    images = _read_frames(path, frames, problems)
    first = next(images, None)
    if first is None:
        return Searched(name, SceneTubes((0, 0), ()), tuple(problems))
    tubes = find_tubes(chain([first], images), config)
    return Searched(name, SceneTubes((first.shape[0], first.shape[1]), (*tubes,)), tuple(problems))


def _read_frames(path: Path, frames: int, problems: list[str]) -> Iterator[np.ndarray]:
    """Yield the frames of a video up to the first that cannot be read."""
    try:
        for first in range(0, frames, CHUNK):
            yield from read_chunk(path, first)
    except SourceError as error:
        problems.append(str(error))
