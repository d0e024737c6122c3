"""Image files that hold several pictures: stacks of TIFF, animations of PNG, WebP and AVIF.

The second picture of a photograph (a preview, a smaller copy, a mask) is no frame.
"""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from cyclesiam.errors import SourceError
from cyclesiam.video.images import DEFAULT_FPS, READ_FLAGS

ANIMATIONS = ("PNG", "WEBP", "AVIF")
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BLOCK_BYTES = 2**26  # of a TIFF's pages that are read at once
REDUCED_OR_MASK = 1 | 4  # bits of SUBFILE_TYPE: a smaller copy of a page, its transparency
SUBFILE_TYPE, DESCRIPTION = 254, 270  # tags of TIFF
NOT_READABLE = (OSError, EOFError, SyntaxError, ValueError, KeyError, TypeError, struct.error)


@dataclass(frozen=True, slots=True)
class Stack:
    """A file of several pictures.

    Args:
        path: of the file.
        pages: where its frames are among all its pictures.
        is_tiff: whether OpenCV reads it; Pillow reads the others.
    """

    path: Path
    pages: tuple[int, ...]
    is_tiff: bool

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Yield frames from `start` to before `stop`, each after its time since the first of them.

        They are as OpenCV stores them: gray or BGR, with 8 or 16 bits.

        Raises:
            SourceError: while iterating, after the frames before: one is damaged.
        """
        numbers = range(len(self.pages))[start:stop]
        if self.is_tiff:
            return ((n / DEFAULT_FPS, image) for n, image in enumerate(self._read_tiff(numbers)))
        return self._read_animation(numbers)

    def _read_tiff(self, numbers: range) -> Iterator[np.ndarray]:
        block = 1
        while numbers:
            first, last = self.pages[numbers[0]], self.pages[numbers[:block][-1]]
            images = []
            with suppress(cv2.error):
                _, images = cv2.imreadmulti(
                    str(self.path), start=first, count=last - first + 1, flags=READ_FLAGS
                )
            if len(images) == last - first + 1:
                yield from (images[self.pages[number] - first] for number in numbers[:block])
                numbers = numbers[block:]
                block = max(1, BLOCK_BYTES // images[0].nbytes)
            elif block > 1:
                block = 1  # to find the page that cannot be read
            else:
                raise self._damage(numbers[0], "its data are damaged or cut")

    def _read_animation(self, numbers: range) -> Iterator[tuple[float, np.ndarray]]:
        time = 0.0  # in milliseconds
        with Image.open(self.path) as image:
            for number in numbers:
                try:
                    image.seek(self.pages[number])
                    image.load()
                    deep = image.mode.startswith("I;16")
                    pixels = np.asarray(image if deep else image.convert("RGB"))
                except NOT_READABLE as error:
                    raise self._damage(number, error) from error
                yield time / 1000, pixels.astype(np.uint16) if deep else pixels[..., ::-1]
                time += float(image.info.get("duration") or 1000 / DEFAULT_FPS)

    def _damage(self, number: int, reason: object) -> SourceError:
        return SourceError(
            f"{self.path}: reading broke at frame {number}: {reason}; "
            "use the frames before it, or get an undamaged copy"
        )


def find_stack(path: Path) -> Stack | None:
    """Return the stack in an image file; None if it holds one picture, or cannot be read.

    Only headers are read.

    Raises:
        SourceError: it announces more pictures than can be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            is_tiff = head[:4] in TIFF_MAGIC
            if not (
                is_tiff
                or head.startswith(b"\x89PNG")
                or head[4:8] == b"ftyp"
                or head[8:] == b"WEBP"
            ):
                return None
            pages = _tiff_pages(file) if is_tiff else _animation_pages(file)
    except NOT_READABLE:
        return None
    return Stack(path, tuple(pages), is_tiff) if len(pages) > 1 else None


def _tiff_pages(file: BinaryIO) -> list[int]:
    """Return which images of a TIFF are pages, and not smaller copies or masks of one."""
    file.seek(0)
    header = file.read(8)
    if 43 in header[2:4]:  # BigTIFF
        header += file.read(8)
    directory = ImageFileDirectory_v2(header)
    offset, visited, pages = directory.next, set[int](), []
    while offset and offset not in visited:
        if not _load(directory, file, offset):  # the file is cut: reading will break here
            return [*pages, len(visited)]
        if not visited:
            _check_announced(directory, file.name)
        if not int(directory.get(SUBFILE_TYPE, 0)) & REDUCED_OR_MASK:
            pages.append(len(visited))
        visited.add(offset)
        offset = directory.next
    return pages


def _load(directory: ImageFileDirectory_v2, file: BinaryIO, offset: int) -> bool:
    """Read the entry of an image; return False if it is cut."""
    file.seek(offset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags that are cut
        try:
            directory.load(file)
        except NOT_READABLE:
            return False
    return len(directory) > 0


def _check_announced(first: ImageFileDirectory_v2, name: str) -> None:
    """Refuse stacks above 4 GB by ImageJ, whose pages have no entries of their own."""
    description = str(first.get(DESCRIPTION, ""))
    announced = re.search(r"^images=(\d+)", description, re.MULTILINE)
    if description.startswith("ImageJ=") and announced and int(announced[1]) > 1 and not first.next:
        raise SourceError(
            f"{name}: announces {announced[1]} pictures, but only the first can be read; "
            "save it as an image sequence"
        )


def _animation_pages(file: BinaryIO) -> list[int]:
    file.seek(0)
    with Image.open(file, formats=ANIMATIONS) as image:
        first = int(bool(image.info.get("default_image")))  # shown where nothing moves
        return [*range(first, getattr(image, "n_frames", 1))]
