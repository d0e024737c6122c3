"""Write the generated parts of the reference: commands from `--help`, fields from config classes.

MkDocs calls `on_page_markdown` for each page. Anything that cannot be generated stops the build.
"""

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import griffe

SOURCE = Path(__file__).parents[1] / "src"
HOLDERS = {"tracking": "Tracker", "training": "Training", "models": "Network", "data": "Clip"}
MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with its generated part in place of the marker."""
    return MARKER.sub(lambda match: GENERATED[match[1]](), markdown)


def commands() -> str:
    """Return a section for each command, with tables of its options."""
    if str(SOURCE) not in sys.path:
        sys.path.insert(0, str(SOURCE))
    from cyclesiam.cli.program import COMMANDS

    return "\n\n".join(f"## {name}\n\n{_command(name)}" for name in COMMANDS)


def _command(name: str) -> str:
    """Return a command's usage, description and options as Markdown."""
    head, _, panels = _help(name).partition("\n\n positional arguments\n")
    if not panels:
        head, _, panels = head.partition("\n\n options\n")
    usage, *paragraphs = head.strip().split("\n\n")
    rows: list[list[str]] = []
    for line in panels.splitlines():
        if more := re.match(r" {3,}(\S.*)", line):  # of the option above
            rows[-1][1] = f"{rows[-1][1]} {more[1]}".strip()
        elif row := re.match(r"  (\S.*?)(?:  +(\S.*))?$", line):
            rows.append([row[1], row[2] or ""])
    if not rows:
        raise ValueError(f"the help of {name} has another form than this hook reads")
    cells = [f"| `{_cell(option)}` | {_cell(_escape(text))} |" for option, text in rows]
    table = "\n".join(["| option | meaning |", "|---|---|", *cells])
    usage = usage.removeprefix("usage: ")
    return "\n\n".join([f"```text\n{usage}\n```", *map(_paragraph, paragraphs), table])


def _paragraph(text: str) -> str:
    """Return a paragraph, or the command that it is as a block of code."""
    return f"```sh\n{text}\n```" if text.startswith("cyclesiam ") else _escape(text)


def _help(name: str) -> str:
    """Return what a command prints for `--help`, without boxes and line breaks."""
    from cyclesiam.cli.program import parse

    printed = io.StringIO()
    plain = {"COLUMNS": "2000", "NO_COLOR": "1", "TERM": "dumb"}
    with patch.dict(os.environ, plain), redirect_stdout(printed), suppress(SystemExit):
        parse([name, "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines())


def config() -> str:
    """Return a section for each config class of the package, with a table of its fields."""
    package = griffe.load("cyclesiam", search_paths=[str(SOURCE)])
    assert isinstance(package, griffe.Module)
    parts: dict[str, list[griffe.Class]] = {}
    for found in _config_classes(package):
        parts.setdefault(found.path.split(".")[1], []).append(found)
    for name, classes in parts.items():  # the one that holds the others comes first
        first = f"{HOLDERS.get(name)}Config"
        classes.sort(key=lambda found, first=first: (found.name != first, found.name))
    order = sorted(parts, key=lambda name: (name not in HOLDERS, name))
    return "\n\n".join(
        "\n\n".join([f"## {name.capitalize()}", *map(_fields, parts[name])]) for name in order
    )


def _config_classes(module: griffe.Module) -> Iterator[griffe.Class]:
    for member in module.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Module):
            yield from _config_classes(member)
        elif isinstance(member, griffe.Class) and re.match(r"[A-Z]\w*Config$", member.name):
            yield member


def _fields(found: griffe.Class) -> str:
    assert found.docstring is not None, found.path
    rows = []
    for name, field in found.attributes.items():
        if "instance-attribute" in field.labels or "class-attribute" in field.labels:
            text = field.docstring.value if field.docstring else ""
            default = str(field.value) if field.value is not None else "required"
            default = re.sub(r"field\(default_factory=(\w+)\)", r"\1()", default)
            rows.append(
                f"| `{name}` | `{_cell(default)}` | {_cell(_escape(' '.join(text.split())))} |"
            )
    table = "\n".join(["| field | default | meaning |", "|---|---|---|", *rows])
    heading = f"### {found.name} {{#{found.path}}}"
    summary = f"`{found.parent.path if found.parent else ''}`. {_escape(found.docstring.value)}"
    return f"{heading}\n\n{summary}\n\n{table}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")


GENERATED = {"commands": commands, "config": config}
