"""The order of the parts: who may import whom. docs/development/architecture.md shows it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT

PACKAGE = "cyclesiam"
MOST_LINES = 400
DRAWERS = {"utils", "helpers", "common", "misc", "base", "core"}  # names that say nothing

# Open to all; `arrays` uses `threads`, `moved_modules` the aliases.
OPEN = ["errors", "config_aliases", "moved_modules", "files", "threads", "arrays"]
FLOORS = [
    ["geometry", "video"],
    ["models", "datasets", "synthetic"],
    ["data", "deployment"],
    ["tracking"],
    ["evaluation", "validation"],
    ["training", "profiling"],
    ["cli"],
]
PARTS = [part for floor in FLOORS for part in floor]

# What each part may import, beside itself and those open to all.
IMPORTS = {
    "errors": set(),
    "config_aliases": set(),
    "files": set(),
    "moved_modules": set(),
    "threads": set(),
    "arrays": set(),
    "geometry": set(),
    "video": set(),
    "models": {"geometry"},
    "tracking": {"deployment", "models", "geometry"},
    "synthetic": {"geometry"},
    "datasets": {"geometry", "video"},
    "data": {"datasets", "synthetic", "geometry", "video"},
    "deployment": {"models", "geometry"},
    "validation": {"data", "synthetic", "tracking", "geometry", "video"},
    "evaluation": {"datasets", "tracking", "geometry", "video"},
    "training": {"models", "data", "datasets", "synthetic", "tracking", "validation", "geometry"},
    "profiling": {"evaluation", "tracking", "geometry", "video"},
    "cli": set(PARTS) - {"cli"},
    "__init__": set(PARTS) - {"cli"},  # names that Python users meet first
    "__main__": {"cli"},
}

# The wings of `evaluation`, the lowest first: what each may import, of wings and of other parts.
WINGS = {
    "metrics": {"geometry"},
    "benchmarks": {"datasets"},
    "trackers": {"tracking", "geometry"},
    "results": {"benchmarks", "metrics", "datasets"},
    "scorers": {"results", "benchmarks", "metrics", "datasets", "geometry"},
    "protocols": {
        *("scorers", "results", "trackers", "benchmarks", "metrics", "datasets", "geometry")
    },
    "report": {"protocols", "scorers", "results", "benchmarks", "metrics", "video"},
    "vot_toolkit": {"trackers", "geometry"},
    "runner": {"protocols", "results", "benchmarks"},
    "score": {"protocols", "results", "benchmarks"},
    "run": {"runner", "score", "protocols", "results", "trackers", "benchmarks"},
}


def imported_modules(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Name in full every module (or name within one) that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: None if is_package else -1]
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # of the package itself the names are parts; of a part, the part is enough
            yield from (f"{base}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str:
    """Name the part that a module of the package belongs to."""
    steps = module.split(".")[1:]
    return steps[0] if steps else "__init__"


def wing_of(module: str) -> str:
    """Name the wing of `evaluation` that a module belongs to; of other modules, the part."""
    steps = module.split(".")
    return steps[2] if steps[1:2] == ["evaluation"] and len(steps) > 2 else part_of(module)


def complaints(src: Path) -> list[str]:
    """Check every module below src/cyclesiam; one line for each offence."""
    found = []
    for path in sorted((src / PACKAGE).rglob("*.py")):
        steps = [*path.relative_to(src).with_suffix("").parts]
        is_package = steps[-1] == "__init__"
        module = ".".join(steps[:-1] if is_package else steps)
        place, part = path.relative_to(src), part_of(module)
        source = path.read_text(encoding="utf-8")
        if drawer := DRAWERS & set(steps):
            found.append(f"{place}: `{drawer.pop()}` says nothing; name what it holds")
        if (lines := len(source.splitlines())) > MOST_LINES:
            found.append(f"{place}: {lines} lines; cut it by concept, at most {MOST_LINES}")
        if part not in IMPORTS:
            found.append(f"{place}: the part `{part}` is not in the table of the architecture")
            continue
        wing = wing_of(module)
        if part == "evaluation" and wing not in {*WINGS, part}:
            found.append(f"{place}: the wing `{wing}` is not in the table of the architecture")
            continue
        for name in imported_modules(source, module, is_package):
            if name.split(".")[0] != PACKAGE or name == f"{PACKAGE}.__version__":
                continue
            other = part_of(name) if part_of(name) in IMPORTS else "__init__"
            if other not in IMPORTS[part] | {part} | {*OPEN}:
                found.append(f"{place}: {part} may not import {name}")
            elif wing in WINGS and wing_of(name) not in WINGS[wing] | {wing} | {*OPEN}:
                found.append(f"{place}: {wing} may not import {name}")
    return found


def test_every_part_imports_only_what_the_table_allows():
    assert complaints(ROOT / "src") == []


def test_imports_point_down():
    floor_of = {part: height for height, floor in enumerate(FLOORS) for part in floor}
    for part, others in IMPORTS.items():
        for other in others if part in floor_of else ():
            assert floor_of[other] < floor_of[part], f"{part} imports {other}"


def test_wings_import_lower_wings_and_what_their_part_may():
    wings = [*WINGS]
    for height, (wing, others) in enumerate(WINGS.items()):
        assert others <= {*wings[:height]} | IMPORTS["evaluation"], wing


@pytest.mark.parametrize(
    ("place", "source", "complaint"),
    [
        ("geometry/boxes.py", "from cyclesiam.models.heads import Head", "may not import"),
        ("geometry/boxes.py", "import cyclesiam.tracking.tracker as t", "may not import"),
        ("geometry/boxes.py", "from ..models import heads", "may not import"),
        ("geometry/__init__.py", "from ..models import heads", "may not import"),
        ("geometry/boxes.py", "from .. import video", "may not import"),
        ("geometry/boxes.py", "from cyclesiam import cli", "may not import"),
        ("geometry/boxes.py", "from cyclesiam import Tracker", "may not import"),
        ("geometry/boxes.py", "def f():\n    from cyclesiam import cli", "may not import"),
        ("models/heads.py", "from cyclesiam.tracking import tracker", "may not import"),
        ("__init__.py", "from cyclesiam.cli import main", "may not import"),
        ("models/utils.py", "", "says nothing"),
        ("helpers/boxes.py", "", "says nothing"),
        ("models/heads.py", "\n" * 401, "401 lines"),
        ("magic/boxes.py", "", "not in the table"),
        (
            "evaluation/metrics/otb.py",
            "from cyclesiam.evaluation.results.files import read_boxes",
            "metrics may not import",
        ),
        ("evaluation/metrics/otb.py", "from ..results import files", "metrics may not import"),
        ("evaluation/metrics/otb.py", "from cyclesiam import datasets", "metrics may not import"),
        ("evaluation/metrics/otb.py", "from cyclesiam.evaluation import run", "metrics may not"),
        ("evaluation/results/find.py", "from cyclesiam import tracking", "results may not import"),
        ("evaluation/scorers/boxes.py", "from ..protocols import reset", "scorers may not import"),
        ("evaluation/benchmarks.py", "from .results.files import Layout", "benchmarks may not"),
        ("evaluation/magic/boxes.py", "", "the wing `magic` is not in the table"),
    ],
)
def test_an_offence_is_found(tmp_path, place, source, complaint):
    path = tmp_path / PACKAGE / place
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert complaint in " ".join(complaints(tmp_path))


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("geometry/boxes.py", "import torch\nfrom cyclesiam.errors import TargetError"),
        ("geometry/boxes.py", "from . import anchors\nfrom .crops import cut"),
        ("geometry/__init__.py", "from .crops import cut\nfrom ..errors import TargetError"),
        ("models/heads.py", "from cyclesiam.geometry.boxes import decode_boxes"),
        ("models/heads.py", "from cyclesiam import errors, geometry\n" + "\n" * 399),
        ("cli.py", "from cyclesiam import training, video, __version__"),
        ("__main__.py", "from cyclesiam.cli import run"),
        ("evaluation/run.py", "from cyclesiam.evaluation.runner import run_sequences"),
        ("evaluation/report/page.py", "from . import plots\nfrom ..scorers import boxes"),
        ("evaluation/metrics/otb.py", "from cyclesiam import errors, geometry, __version__"),
        ("evaluation/__init__.py", ""),
    ],
)
def test_what_is_allowed_passes(tmp_path, place, source):
    path = tmp_path / PACKAGE / place
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert complaints(tmp_path) == []


def read_table(names: set[str]) -> dict[str, set[str]]:
    """Return the first column of the page's table whose rows are `names`, to the second."""
    page = ROOT / "docs" / "development" / "architecture.md"
    rows = (
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in page.read_text(encoding="utf-8").splitlines()
    )
    return {
        row[0]: set(row[1].replace("-", "").replace(",", " ").split())
        for row in rows
        if len(row) == 3 and row[0] in names
    }


def test_the_readers_tables_are_these():
    parts = {part: IMPORTS[part] for part in PARTS} | {"cli": {"all"}}
    assert read_table({*PARTS}) == parts
    assert read_table({*WINGS}) == WINGS
