"""The pictures of the documentation are those that the code of today gives."""

import runpy
from xml.etree import ElementTree

import pytest

from support import ROOT

DRAWN = runpy.run_path(str(ROOT / "docs" / "drawings.py"))


@pytest.mark.parametrize("path", DRAWN["drawings"](), ids=lambda path: path.name)
def test_a_picture_is_drawn_from_the_code_of_today(path):
    expected = DRAWN["drawings"]()[path]
    assert path.read_text(encoding="utf-8") == expected, "run python docs/drawings.py"
    ElementTree.fromstring(expected)


def test_the_step_has_fourteen_acts():
    acts = DRAWN["read_acts"]()
    assert [int(act.split()[0]) for act in acts] == list(range(1, 15))
