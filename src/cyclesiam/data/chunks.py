"""Chunks: consecutive frames of a scene that are decoded, kept and drawn together."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from cyclesiam.data.scenes import Scene
from cyclesiam.data.shards import is_in_shards, read_window
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.video import read_frames

CHUNK = 64  # frames that are decoded, and kept, together
ATTEMPTS = 100  # unreadable chunks in a row after which training stops
STILLS = 8  # stills that are searched for an object before a clip does without


class Chunk(NamedTuple):
    """Decoded frames of a scene: the first is frame `first`, each is (H, W, 3) uint8."""

    scene: Scene
    first: int
    images: list[np.ndarray]


class FrameReader(Protocol):
    """Reads chunks of scenes."""

    def read(self, path: Path, chunk: int) -> list[np.ndarray]:
        """Return the frames from chunk * CHUNK on of a video; of a still, its only frame.

        Raises:
            SourceError: they cannot be read.
        """
        ...


class ChunkCache:
    """Decoded chunks, of which the least recently used is dropped first; failures are kept too.

    Args:
        capacity: bytes of pixels to keep.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._chunks: OrderedDict[tuple[Path, int], list[np.ndarray]] = OrderedDict()
        self._broken: dict[tuple[Path, int], str] = {}

    def read(self, path: Path, chunk: int) -> list[np.ndarray]:
        """Return the frames from chunk * CHUNK on of a video; of a still, its only frame.

        Raises:
            SourceError: they cannot be read; a second call raises it again without reading.
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
    """Read up to CHUNK frames of one size from frame `first` on; a still has one frame.

    Raises:
        SourceError: they cannot be read, or have several sizes.
    """
    if is_in_shards(path):
        return read_window(path, first)
    images = read_frames(path, first, CHUNK)
    if not images:
        raise SourceError(f"{path}: has no frame {first}, though its header says so; replace it")
    if len({image.shape for image in images}) > 1:
        raise SourceError(f"{path}: has frames of several sizes after frame {first}; replace it")
    return images


def limit_to_memory(requested: int) -> int:
    """Return a number of bytes, but at most half of the machine's memory."""
    if not hasattr(os, "sysconf"):  # Windows does not report it here
        return requested
    return min(requested, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


class ChunkSampler:
    """Draws scenes and chunks at random.

    A chunk that cannot be read is replaced by another draw, and its problem is added to `problems`.

    Args:
        scenes: what to draw from.
        frames: reads chunks.
        still_probability: probability of a still, where there are stills and videos.
        length_exponent: exponent of a video's length in its probability.
    """

    def __init__(
        self,
        scenes: list[Scene],
        frames: FrameReader,
        *,
        still_probability: float,
        length_exponent: float,
    ) -> None:
        self.videos = [scene for scene in scenes if scene.frames > 1]
        self.stills = [scene for scene in scenes if scene.frames == 1]
        self.still_probability = still_probability
        weights = np.array([scene.frames for scene in self.videos], float) ** length_exponent
        self.video_probabilities = weights / weights.sum() if len(weights) else weights
        self._frames = frames

    def sample_scene(self, rng: np.random.Generator) -> Scene:
        """Draw a still or a video."""
        still = rng.random() < self.still_probability
        if self.stills and (still or not self.videos):
            return self.stills[rng.integers(len(self.stills))]
        return self.videos[rng.choice(len(self.videos), p=self.video_probabilities)]

    def sample(self, rng: np.random.Generator, problems: dict[str, None]) -> Chunk:
        """Draw a chunk that can be read.

        Raises:
            TrainingError: too many draws in a row cannot be read.
        """
        for _ in range(ATTEMPTS):
            scene = self.sample_scene(rng)
            number = int(rng.integers(scene.frames)) // CHUNK
            try:
                return Chunk(scene, number * CHUNK, self._frames.read(scene.path, number))
            except SourceError as error:
                problems[str(error)] = None
        raise TrainingError(
            f"nothing can be read any more; after {ATTEMPTS} attempts the last problem was: "
            f"{[*problems][-1]}"
        )

    def sample_stills(
        self, rng: np.random.Generator, problems: dict[str, None]
    ) -> Iterator[tuple[Path, np.ndarray]]:
        """Draw a few stills, each with its path; unreadable ones are left out."""
        for _ in range(STILLS if self.stills else 0):
            path = self.stills[rng.integers(len(self.stills))].path
            try:
                yield path, self._frames.read(path, 0)[0]
            except SourceError as error:
                problems[str(error)] = None


class LazyChunk:
    """A chunk that is drawn once, when it is first asked for.

    Args:
        sampler: draws it.
        rng: of the chunk alone, so that several batches can draw the same one.
        problems: receives what cannot be read.
    """

    def __init__(
        self, sampler: ChunkSampler, rng: np.random.Generator, problems: dict[str, None]
    ) -> None:
        self._sampler, self._rng, self._problems = sampler, rng, problems

    @cached_property
    def tube_rng(self) -> np.random.Generator:
        """A generator of its own, so that what is drawn from it changes no chunk."""
        return self._rng.spawn(1)[0]

    @cached_property
    def content(self) -> Chunk:
        """Return the chunk; it is drawn at the first call."""
        return self._sampler.sample(self._rng, self._problems)

    def sample_another(self) -> Chunk:
        """Draw one more chunk from the same generator, after the first."""
        _ = self.content
        return self._sampler.sample(self._rng, self._problems)
