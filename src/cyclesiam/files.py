"""Files that are written: whole or not at all, or by one process at a time.

What appears whole is written in the same folder under another name, `NAME.PROCESS.part`, and
renamed at the end. Nobody ever reads a half-written one, whenever the process ends.

What grows while it is read, as results and videos, is locked by the process that writes it.
"""

import glob
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cyclesiam.errors import SourceError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

STANDARD_OUTPUT = Path("-")
FAR = 2**40  # bytes; Windows locks bytes, and nobody reads these


@contextmanager
def atomic_path(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield where to write a file, or make a folder, that is moved to `path` if nothing fails.

    What was at `path` is replaced, and of a link what it leads to. Parts that dead processes left
    beside it are removed. The umask decides who may read it.

    Args:
        path: the final place; folders above it are made.
        sync: wait until the file is on the disk, so that it survives a loss of power, too.

    Raises:
        OSError: it cannot be written.
    """
    if is_standard_output(path) or _is_special(path):
        yield path
        return
    if path.is_symlink():
        path = path.resolve()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(part)
    mode = _new_file_mode(part)
    try:
        yield part
        for file in part.rglob("*") if part.is_dir() else [part]:
            if file.is_file():
                file.chmod(mode)  # some libraries write files that only their owner may read
        if sync:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        _remove(part)
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        if not _is_running(left.suffixes[-2][1:]):
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


def _new_file_mode(path: Path) -> int:
    """Return the rights of a file that is made in the folder of `path`."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


def _is_running(process: str) -> bool:
    """Check whether a process of this machine runs; where that cannot be told, it does not."""
    if sys.platform == "win32" or not process.isdigit() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except PermissionError:  # another user's
        return True
    except (OSError, OverflowError):
        return False
    return True


def _is_special(path: Path) -> bool:
    """Check whether a path is a device or a pipe."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Check whether two paths lead to one file, by whatever names or links."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one does not exist
        return Path(one).resolve() == Path(other).resolve()


def is_standard_output(path: Path) -> bool:
    """Check whether a path is `-` or `/dev/stdout`."""
    return path in (STANDARD_OUTPUT, Path("/dev/stdout"), Path("/dev/fd/1"))


def check_output(path: Path, *, overwrite: bool = True) -> None:
    """Check before the work that a file can be written; nothing is left or changed.

    Args:
        path: of the file.
        overwrite: whether a file may be there that is not empty.

    Raises:
        SourceError: the file cannot be written, and why.
    """
    if is_standard_output(path):
        try:
            os.write(1, b"")
        except OSError as error:
            raise SourceError(
                f"standard output cannot be written ({error.strerror}); name a file"
            ) from error
        return
    existed = os.path.lexists(path)
    try:
        if _is_special(path):
            return  # not opened twice
        os.close(open_alone(path, overwrite=overwrite))
        if not existed:
            path.unlink()
    except OSError as error:
        raise output_error(path, error) from error


def check_output_folder(folder: Path) -> None:
    """Check before the work that files can be written to a folder; nothing is left.

    Raises:
        SourceError: it cannot be made, or not written to.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _new_file_mode(folder / f".{os.getpid()}.part")
    except OSError as error:
        raise SourceError(
            f"{folder}: the folder for results cannot be made ({error.strerror}); choose another"
        ) from error
    finally:
        for place in missing:
            with suppress(OSError):
                place.rmdir()


def output_error(path: Path, error: OSError) -> SourceError:
    """Return the error that tells why a file cannot be written, and what to do."""
    if isinstance(error, BlockingIOError):
        return SourceError(f"{path}: another process is writing it; wait for it, or name another")
    if isinstance(error, FileExistsError):
        return SourceError(f"{path}: exists already; name another file, or give --overwrite")
    if os.path.isdir(path):
        return SourceError(f"{path}: cannot be written, it is a folder; give a file name")
    if not os.path.isdir(path.parent):
        return SourceError(f"{path}: cannot be written, its folder is missing; make it first")
    return SourceError(
        f"{path}: cannot be written ({error.strerror}); choose another place, or see who may "
        "write there"
    )


def open_alone(path: Path, *, overwrite: bool = True) -> int:
    """Open a file to write that no other process opens so, and return its descriptor.

    What the file holds stays. The lock lasts until the descriptor is closed.

    Args:
        path: of the file, which is made if it is missing.
        overwrite: whether the file may be there and not be empty.

    Raises:
        FileExistsError: it may not.
        BlockingIOError: another process writes it.
        OSError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | os.O_EXCL, 0o666)
    except FileExistsError:
        if not overwrite and path.is_file() and path.stat().st_size:
            raise
        descriptor = os.open(path, flags, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            _lock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes that ask, too, from writing to a folder; on Windows nobody is kept.

    Raises:
        SourceError: another process writes to it.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            raise output_error(folder, error) from error
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock an open file against other processes, where the file system can.

    Raises:
        BlockingIOError: another process has locked it.
    """
    if sys.platform == "win32":
        os.lseek(descriptor, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from error
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # some network file systems have no locks
        return
