"""Sources that are images: a folder of them, one, or a file of several pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from cyclesiam.errors import SourceError
from cyclesiam.video.bit_depth import MEASURED_FRAMES, Levels, measure_levels
from cyclesiam.video.file_info import SourceInfo
from cyclesiam.video.folders import (
    describe_kinds,
    describe_left_out,
    is_pattern,
    list_images,
    match_images,
)
from cyclesiam.video.images import DEFAULT_FPS, is_image, read_pixels, to_rgb
from cyclesiam.video.stacks import Stack, find_stack


@dataclass(frozen=True)
class ImageSource:
    """Images that are the frames of one source.

    Args:
        path: of the source.
        files: one for each frame, or the only one.
        stack: the pictures in the only file, if they are several.
    """

    path: Path
    files: Sequence[Path]
    stack: Stack | None = None

    def __len__(self) -> int:
        return len(self.stack.pages) if self.stack else len(self.files)

    def location(self, index: int) -> str:
        """Return the name of a frame, for messages."""
        return f"{self.path}, frame {index}" if self.stack else str(self.files[index])

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Return the frames from `start` to before `stop`, RGB, each after its time since `start`.

        Raises:
            SourceError: while iterating: one cannot be read. If it is a file of its own, the next
                frame can still be asked for.
        """
        if self.stack:
            return self._read_stack(start, stop)
        numbers = range(len(self.files))[start:stop]
        return map(partial(self._read_timed, start), numbers)  # unlike a generator, goes on

    def info(self) -> SourceInfo:
        """Return what the source holds; only its first frames are decoded."""
        _, image = next(self.read())
        height, width = image.shape[:2]
        return SourceInfo(self.path, len(self), self.fps, width, height)

    @property
    def fps(self) -> float:
        """Frames a second: as the first is shown; of images without times, `DEFAULT_FPS`."""
        if self.stack is None or self.stack.is_tiff:
            return DEFAULT_FPS
        return 1 / [time for time, _ in self.stack.read(0, 2)][-1]

    @cached_property
    def levels(self) -> Levels:
        """Black and white of its 16-bit pixels, measured in frames from all parts of it."""
        numbers = range(len(self))[:: -(-len(self) // MEASURED_FRAMES)]
        images = (self._pixels(number) for number in numbers)
        return measure_levels(
            image for image in images if image is not None and image.dtype == np.uint16
        )

    def notes(self) -> list[str]:
        """Return what a user should know about a folder's files."""
        lines = [describe_kinds([*self.files])]
        if self.path.is_dir():
            lines.append(describe_left_out(self.path))
        return [line for line in lines if line]

    def _to_rgb(self, image: np.ndarray, number: int) -> np.ndarray:
        levels = self.levels if image.dtype == np.uint16 else None
        return to_rgb(image, self.location(number), levels)

    def _read_stack(self, start: int, stop: int | None) -> Iterator[tuple[float, np.ndarray]]:
        assert self.stack is not None
        for number, (time, image) in enumerate(self.stack.read(start, stop), start):
            yield time, self._to_rgb(image, number)

    def _read_timed(self, start: int, number: int) -> tuple[float, np.ndarray]:
        return (number - start) / DEFAULT_FPS, self._read_file(number)

    def _read_file(self, number: int) -> np.ndarray:
        file = self.files[number]
        if len(self.files) > 1 and (stack := find_stack(file)):
            raise SourceError(
                f"{file}: holds {len(stack.pages)} pictures, but is one of "
                f"{len(self.files)} files; give this file alone, or one picture a file"
            )
        return self._to_rgb(read_pixels(file), number)

    def _pixels(self, number: int) -> np.ndarray | None:
        """Return a frame as it is stored; None if it cannot be read, which reading will tell."""
        try:
            if self.stack:
                return next(self.stack.read(number, number + 1))[1]
            return read_pixels(self.files[number])
        except SourceError:
            return None


def find_images(path: Path) -> ImageSource | None:
    """Return the images that a path names; None if it is no image, folder or pattern.

    Raises:
        SourceError: a folder or pattern without images, or a file that announces pictures which it
            does not hold.
    """
    if path.is_dir():
        files = list_images(path)
    elif is_pattern(path):
        files = match_images(path)
    elif is_image(path):
        files = [path]
    else:
        return None
    return ImageSource(path, files, find_stack(files[0]) if len(files) == 1 else None)


def read_images(files: Sequence[Path], first: int = 0) -> Iterator[np.ndarray]:
    """Read the images of one sequence from `first` on, RGB uint8, 16 bits all scaled alike.

    Raises:
        SourceError: while iterating: one cannot be read.
    """
    folder = files[0].parent if files else Path()
    return (image for _, image in ImageSource(folder, files).read(first))


def count_images(path: Path) -> int:
    """Return how many pictures are in an image file or folder; a file's header tells it.

    Raises:
        SourceError: a folder without images, or a file that announces pictures it does not hold.
    """
    images = find_images(path)
    return len(images) if images else 0
