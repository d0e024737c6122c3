"""All frames of all scenes, decoded once into one flat array, which a device holds a copy of.

Images are views of that array, so the address of a view says where its pixels are on the device.

Shapes: images (H, W, 3) uint8, masks (H, W) uint8.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from cyclesiam.data.chunks import CHUNK, read_chunk
from cyclesiam.data.scenes import Scene
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.synthetic.cutouts import ObjectBank
from cyclesiam.synthetic.sprites import Sprite

Item = TypeVar("Item")
Result = TypeVar("Result")

SPARE = 2**27  # bytes behind the frames for what a batch brings along: alphas, 16 KB each
GIGABYTE = 2**30


@dataclass(slots=True, eq=False)
class FrameStore:
    """Decoded frames in one array, read as a `ChunkCache` is.

    Args:
        flat: (N,) uint8, the pixels of all images, then `SPARE` unused bytes.
        used: bytes before these.
        chunks: frames of each chunk, by the scene's path and the chunk's number.
        broken: chunks that cannot be read, and why.
        objects: of stills.
    """

    flat: np.ndarray
    used: int
    chunks: dict[tuple[Path, int], list[np.ndarray]]
    broken: dict[tuple[Path, int], str]
    objects: "StoredObjects"

    def read(self, path: Path, chunk: int) -> list[np.ndarray]:
        """Return the frames from chunk * CHUNK on of a video; of a still, its only frame.

        Raises:
            SourceError: they could not be read.
        """
        if (path, chunk) in self.broken:
            raise SourceError(self.broken[path, chunk])
        if (path, chunk) not in self.chunks:  # a tube of a longer copy of this video asks for it
            raise SourceError(f"{path}: has no frame {chunk * CHUNK}")
        return self.chunks[path, chunk]

    def offset(self, image: np.ndarray) -> int | None:
        """Return where the first byte of an image is in the array; None where it is elsewhere."""
        offset = _address(image) - _address(self.flat)
        return offset if 0 <= offset < self.used else None


@dataclass(slots=True, eq=False)
class StoredObjects:
    """Objects of stills that were found beforehand, asked for as an `ObjectBank` is."""

    masks: dict[Path, np.ndarray] = field(default_factory=dict)
    sprites: dict[Path, Sprite] = field(default_factory=dict)

    def mask(self, path: Path, image: np.ndarray) -> np.ndarray | None:
        """Return the (H, W) uint8 mask of an image, 255 on its object; None without an object."""
        return self.masks.get(path)

    def sprite(self, path: Path, image: np.ndarray) -> Sprite | None:
        """Return the cut-out object of an image; None without an object."""
        return self.sprites.get(path)


def load_frames(scenes: Sequence[Scene], *, objects: bool, limit: int) -> FrameStore:
    """Decode all frames of scenes, in several threads.

    Args:
        scenes: to read.
        objects: whether to find the objects of stills.
        limit: most bytes of pixels.

    Raises:
        TrainingError: there are more.
    """
    chunks: dict[tuple[Path, int], list[np.ndarray]] = {}
    broken: dict[tuple[Path, int], str] = {}
    size, frames = 0, 0
    for key, content in _parallel(_read, _list_chunks(scenes)):
        if isinstance(content, str):
            broken[key] = content
            continue
        chunks[key] = content
        size, frames = size + sum(image.nbytes for image in content), frames + len(content)
        if size > limit:
            whole = size / frames * sum(scene.frames for scene in scenes)
            raise TrainingError(
                f"all frames need about {whole / GIGABYTE:.1f} GB and there is room for "
                f"{limit / GIGABYTE:.1f}; leave out --resident or some videos, or make frames "
                "smaller by: cyclesiam prepare --short-side 240"
            )
    found = StoredObjects()
    if objects:
        stills = (
            (scene.path, chunks.get((scene.path, 0))) for scene in scenes if scene.frames == 1
        )
        for path, mask, sprite in _parallel(_find_object, stills):
            if mask is not None and sprite is not None:
                found.masks[path], found.sprites[path] = mask, sprite
    return _flatten(chunks, broken, found)


def _list_chunks(scenes: Sequence[Scene]) -> Iterator[tuple[Path, int]]:
    for scene in scenes:
        for number in range(-(-scene.frames // CHUNK)):
            yield scene.path, number


def _read(key: tuple[Path, int]) -> tuple[tuple[Path, int], list[np.ndarray] | str]:
    path, number = key
    try:
        return key, read_chunk(path, number * CHUNK)
    except SourceError as error:
        return key, str(error)


def _find_object(
    still: tuple[Path, list[np.ndarray] | None],
) -> tuple[Path, np.ndarray | None, Sprite | None]:
    path, images = still
    if images is None:
        return path, None, None
    bank = ObjectBank()
    return path, bank.mask(path, images[0]), bank.sprite(path, images[0])


def _parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield results in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)


def _flatten(
    chunks: dict[tuple[Path, int], list[np.ndarray]],
    broken: dict[tuple[Path, int], str],
    objects: StoredObjects,
) -> FrameStore:
    """Move all pixels to one array, image by image: memory never holds them twice."""
    lists = [*chunks.values(), [*objects.masks.values()]]
    size = sum(image.nbytes for images in lists for image in images)
    size += sum(sprite.pixels.nbytes for sprite in objects.sprites.values())
    flat, used = np.empty(size + SPARE, np.uint8), 0

    def move(image: np.ndarray) -> np.ndarray:
        nonlocal used
        view = flat[used : used + image.nbytes].reshape(image.shape)
        view[:] = image
        used += image.nbytes
        return view

    for images in chunks.values():
        for index, image in enumerate(images):
            images[index] = move(image)
    for path, mask in objects.masks.items():
        objects.masks[path] = move(mask)
    for path, sprite in objects.sprites.items():
        objects.sprites[path] = sprite._replace(pixels=move(sprite.pixels))
    return FrameStore(flat, used, chunks, broken, objects)


def _address(image: np.ndarray) -> int:
    return image.__array_interface__["data"][0]
