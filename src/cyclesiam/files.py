"""Files and folders that appear whole or not at all.

They are written in the same folder under another name, `NAME.PROCESS.part`, and renamed at the end.
Nobody ever reads a half-written one, whenever the process ends.
"""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield where to write a file, or make a folder, that is moved to `path` if nothing fails.

    What was at `path` is replaced. Parts that dead processes left beside it are removed.

    Args:
        path: the final place; folders above it are made.
        sync: wait until the file is on the disk, so that it survives a loss of power, too.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(part)
    try:
        yield part
        if sync:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        _remove(part)
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        _remove(left)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new empty folder that is moved to `path` if nothing fails.

    A folder that was at `path` is replaced.

    Args:
        path: the final place; folders above it are made.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_path(path) as part:
        part.mkdir()
        yield part


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
