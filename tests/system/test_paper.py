"""docs/method/paper.md names files, functions and tests: they must be there."""

import ast
import re

import pytest

from support import ROOT

PAGE = (ROOT / "docs" / "method" / "paper.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
FILES = sorted(set(re.findall(r"`([\w/]+/\w+\.py)`", PAGE)) - {"tests/system/test_paper.py"})
CLAIMS = PAGE.partition("## What differs everywhere")[0]
ROWS = [line for line in CLAIMS.splitlines() if line.startswith("|") and ".py`" in line]


def definitions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_the_test_exists(file, test):
    assert test in definitions(ROOT / "tests" / file)


@pytest.mark.parametrize("file", FILES)
def test_the_file_exists(file):
    assert (ROOT / "src" / "cyclesiam" / file).is_file()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:30])
def test_the_names_of_a_row_are_defined_in_its_file(row):
    _, _, place, test, _ = row.split("|")
    file, *names = re.findall(r"`([\w/.]+)`", place)
    assert names
    assert set(names) <= definitions(ROOT / "src" / "cyclesiam" / file)
    assert "::test_" in test


def test_the_page_is_read():
    assert len(ROWS) > 15
    assert len(TESTS) > 20
