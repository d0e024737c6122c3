"""Sources that are images: a folder of them, one, or a file of several pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.errors import SourceError
from cyclesiam.video.file_info import SourceInfo
from cyclesiam.video.images import DEFAULT_FPS, is_image, list_images, read_pixels, to_rgb
from cyclesiam.video.stacks import Stack, find_stack


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Images that are the frames of one source.

    Args:
        path: of the source.
        files: one for each frame, or the only one.
        stack: the pictures in the only file, if they are several.
    """

    path: Path
    files: list[Path]
    stack: Stack | None

    def __len__(self) -> int:
        return len(self.stack.pages) if self.stack else len(self.files)

    def location(self, index: int) -> str:
        """Return the name of a frame, for messages."""
        return f"{self.path}, frame {index}" if self.stack else str(self.files[index])

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the frames from `start` to before `stop`, RGB, each after its time since the first.

        Raises:
            SourceError: while iterating: one cannot be read.
        """
        pixels = self.stack.read(start, stop) if self.stack else self._read_files(start, stop)
        for index, (time, image) in enumerate(pixels, start):
            yield time, to_rgb(image, self.location(index))

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

    def _read_files(self, start: int, stop: int | None) -> Iterator[tuple[float, np.ndarray]]:
        for number, file in enumerate(self.files[start:stop]):
            if len(self.files) > 1 and (stack := find_stack(file)):
                raise SourceError(
                    f"{file}: holds {len(stack.pages)} pictures, but is one of "
                    f"{len(self.files)} files; give this file alone, or one picture a file"
                )
            yield number / DEFAULT_FPS, read_pixels(file)


def find_images(path: Path) -> ImageSource | None:
    """Return the images that a path names; None if it is no image and no folder.

    Raises:
        SourceError: a folder without images, or a file that announces pictures it does not hold.
    """
    if path.is_dir():
        files = list_images(path)
    elif is_image(path):
        files = [path]
    else:
        return None
    return ImageSource(path, files, find_stack(files[0]) if len(files) == 1 else None)


def count_images(path: Path) -> int:
    """Return how many pictures are in an image file or folder; a file's header tells it.

    Raises:
        SourceError: a folder without images, or a file that announces pictures it does not hold.
    """
    images = find_images(path)
    return len(images) if images else 0
