"""Finding the tubes of many scenes, in several processes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2

from cyclesiam.data.chunks import CHUNK, read_chunk
from cyclesiam.data.scenes import Scene
from cyclesiam.data.shard_writer import name_sources
from cyclesiam.data.tube_store import SceneTubes
from cyclesiam.data.tubes import DEFAULT_TUBES, SEGMENT, Tube, TubeConfig, find_tubes
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
    tubes: list[Tube] = []
    problems: list[str] = []
    size = (0, 0)
    for start in range(0, frames, SEGMENT):
        images = []
        try:
            for first in range(start, min(start + SEGMENT, frames), CHUNK):
                images += read_chunk(path, first)
        except SourceError as error:
            problems.append(str(error))
        if images:
            size = (images[0].shape[0], images[0].shape[1])
            found = find_tubes(images, config)
            tubes += [Tube(start + tube.first, tube.boxes, tube.masks) for tube in found]
    return Searched(name, SceneTubes(size, tuple(tubes)), tuple(problems))
