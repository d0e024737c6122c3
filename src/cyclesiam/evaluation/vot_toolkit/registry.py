"""The file in which the official VOT toolkit finds trackers: `trackers.ini` of a workspace.

    [cyclesiam]
    label = cyclesiam
    protocol = trax
    command = /opt/venv/bin/python -m cyclesiam trax --weights default

Source: the toolkit's documentation, "Tracker registry".
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from cyclesiam.errors import SourceError

REGISTRY_FILE = "trackers.ini"
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")
SECTION = re.compile(r"\s*\[([^\]]*)\]")


def register(
    workspace: Path,
    identifier: str,
    command: Sequence[str],
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write a tracker into a workspace's registry; other trackers and comments are kept.

    Args:
        workspace: the toolkit's folder.
        identifier: name of the tracker in the toolkit; an earlier entry of this name is replaced.
        command: program that speaks TraX, and its arguments.
        environment: variables that the program needs, names in capitals.

    Returns:
        The registry's path.

    Raises:
        ValueError: the toolkit does not accept the identifier.
        SourceError: the folder is missing, or the file cannot be read or written.
    """
    if not IDENTIFIER.fullmatch(identifier):
        raise ValueError(
            f"the toolkit takes letters, digits, - and _ for a tracker's name, got {identifier!r}"
        )
    path = Path(workspace) / REGISTRY_FILE
    if not path.parent.is_dir():
        raise SourceError(f"{workspace}: this folder is missing; make it, or choose another")
    try:
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        entry = registry_entry(identifier, command)
        entry += [f"env_{name} = {_escaped(value)}" for name, value in environment.items()]
        path.write_text(
            "\n".join([*without_section(before, identifier), *entry]) + "\n", encoding="utf-8"
        )
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path}: cannot be read and written ({error}); check its permissions"
        ) from error
    return path


def registry_entry(identifier: str, command: Sequence[str]) -> list[str]:
    """Return the registry's lines for one tracker.

    >>> registry_entry("mine", ["python", "-m", "50% mine"])[-1]
    "command = python -m '50%% mine'"
    """
    # The toolkit splits by the shell's rules, except on Windows.
    words = subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
    title = [f"[{identifier}]", f"label = {identifier}"]
    return [*title, "protocol = trax", f"command = {_escaped(words)}"]


def _escaped(value: str) -> str:
    return value.replace("%", "%%")  # % is special in ini files


def without_section(lines: Iterable[str], section: str) -> list[str]:
    """Return the lines of an ini file without one section; the rest ends with an empty line."""
    kept: list[str] = []
    inside = False
    for line in lines:
        if match := SECTION.match(line):
            inside = match[1] == section
        if not inside:
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    return [*kept, ""] if kept else []
