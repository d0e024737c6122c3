"""What commands write: tried before the work, and never over what they read."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from cyclesiam.cli.options import UsageError
from cyclesiam.errors import SourceError
from cyclesiam.files import check_output, is_standard_output


def check_sources_kept(sources: Iterable[str | Path], *outputs: Path | None) -> None:
    """Check that no output is a file of a source, by whatever names or links.

    Raises:
        UsageError: one is.
    """
    identities = {
        identity: output for output in outputs if output and (identity := _identity(output))
    }
    if not identities:
        return
    for source in sources:
        for file in _files(source):
            output = identities.get(_identity(file) or (0, 0))
            if output is not None:
                also = "" if str(output) == str(file) else f", which is {output}"
                raise UsageError(f"{file}{also}, would be overwritten; choose another output file")


def _identity(file: str | Path | int) -> tuple[int, int] | None:
    """Return the device and number of a file that holds something; None if there is none."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None
    is_file = os.path.isfile(file) and status.st_size
    return (status.st_dev, status.st_ino) if is_file else None


def _files(source: str | Path) -> Iterator[str | Path | int]:
    """Yield the files of a source: itself, those in its folder, or standard input."""
    if str(source) == "-":
        yield 0
        return
    url = urlparse(str(source))
    path = unquote(url.path) if url.scheme == "file" else str(source)
    if os.path.isfile(path):
        yield path
        return
    if not os.path.exists(path):  # maybe a pattern of names
        yield from Path(path).parent.glob(f"*{Path(path).suffix}")
        return
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names)


def check_json(file: Path | None) -> None:
    """Check before the work that scores can be written, and that nothing else is overwritten.

    Raises:
        SourceError: they cannot, or the file holds something else.
    """
    if file is None:
        return
    check_output(file)
    if not file.is_file() or is_standard_output(file):
        return
    with file.open("rb") as stream:
        start = stream.read(1)
    if start not in (b"", b"{"):
        raise SourceError(f"{file}: holds no scores, and would be overwritten; choose another file")
