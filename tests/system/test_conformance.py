"""Numbers of the official programs for synthetic input: overlap, VOT, OTB, GOT-10k, DAVIS.

`data/conformance` holds a few of the cases. `sources` in each file names the programs; null is NaN.
"""

import importlib.util
import json
import math
import sys

import numpy as np
import pytest

import conformance_adapter
from support import ROOT

VECTORS = ROOT / "tests" / "data" / "conformance"
TOLERANCE = 1e-6


def load(check):
    return json.loads((VECTORS / f"{check}.json").read_text())["cases"]


def named(cases):
    return [pytest.param(case, id=case["id"]) for case in cases]


def differences(expected, got, path=""):
    """List what is missing from a result or differs from what is expected."""
    if isinstance(expected, dict):
        pairs = [(key, value, got.get(key)) for key, value in expected.items()]
    elif isinstance(expected, list):
        if np.shape(got)[:1] != (len(expected),):
            return [f"{path}: expected {len(expected)} values, got {np.shape(got)}"]
        pairs = list(zip(range(len(expected)), expected, got, strict=True))
    else:
        expected = math.nan if expected is None else expected
        same = got == pytest.approx(expected, abs=TOLERANCE, rel=0, nan_ok=True)
        return [] if same else [f"{path}: expected {expected}, got {got}"]
    return [line for key, a, b in pairs for line in differences(a, b, f"{path}/{key}")]


def check(function, case):
    inputs = {key: value for key, value in case.items() if key != "expected"}
    for tool, expected in case["expected"].items():
        assert differences(expected, function(inputs, tool), tool) == []


def test_region_overlap():
    wrong = [
        (case["id"], case["category"], expected)
        for case in load("region_overlap")
        for expected in case["expected"]
        if differences(
            expected["overlap"],
            conformance_adapter.region_overlap(
                case["a"], case["b"], expected["bounds"], expected["tool"]
            ),
        )
    ]
    assert wrong == []


@pytest.mark.parametrize("case", named(load("vot_supervised")))
def test_vot_supervised(case):
    check(conformance_adapter.vot_supervised, case)


@pytest.mark.parametrize("case", named(load("otb_ope")))
def test_otb_ope(case):
    check(conformance_adapter.otb_ope, case)


@pytest.mark.parametrize("case", named(load("got10k")))
def test_got10k(case):
    check(conformance_adapter.got10k, case)


@pytest.mark.parametrize("case", named(load("davis")))
def test_davis(case):
    arrays = np.load(VECTORS / "davis.npz")
    sequences = [
        {
            "name": name.replace(".", "_"),
            "annotation": arrays[f"{name}__annotation"],
            "segmentation": arrays[f"{name}__segmentation"],
        }
        for name in case["sequences"]
    ]
    check(conformance_adapter.davis, case | {"sequences": sequences})


def test_a_difference_is_found():
    expected = {"a": [1.0, None], "b": {"c": 2.0}}
    assert differences(expected, {"a": np.array([1.0, np.nan]), "b": {"c": 2.0}}) == []
    assert len(differences(expected, {"a": [1.0, 0.0], "b": {"c": 2.0 + 2e-6}})) == 2
    assert len(differences(expected, {"a": [1.0], "b": {}})) == 2


@pytest.mark.shared
def test_all_vectors(shared, monkeypatch, capsys):
    folder = shared / "conformance"
    spec = importlib.util.spec_from_file_location("check_vectors", folder / "check_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    checker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checker)
    arguments = ["check_vectors", str(folder / "dev"), conformance_adapter.__file__]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "path", [*sys.path])
    status = checker.main()
    assert status == 0, capsys.readouterr().out
