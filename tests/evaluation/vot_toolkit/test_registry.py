import configparser
import os
import shlex
import sys

import pytest

from cyclesiam.cli import main
from cyclesiam.errors import SourceError
from cyclesiam.evaluation.vot_toolkit.registry import register
from cyclesiam.models.metadata import SHIPPED_WEIGHTS

THEIRS = """# trackers of mine
[NCC]
label = NCC
protocol = traxpython
command = ncc

[other]
command = 50%% other
"""


def read(path) -> configparser.ConfigParser:
    registry = configparser.ConfigParser()
    registry.read(path)
    return registry


def test_a_registry_is_made_as_the_toolkit_reads_it(tmp_path):
    command = ["/opt/my venv/python", "-m", "cyclesiam", "trax", "--weights", "/runs/50% done"]
    path = register(tmp_path, "cyclesiam", command)
    assert path == tmp_path / "trackers.ini"
    entry = read(path)["cyclesiam"]
    assert shlex.split(entry["command"]) == command
    assert dict(entry) == {
        "label": "cyclesiam",
        "protocol": "trax",
        "command": entry["command"],
    }


def test_variables_are_written_as_the_toolkit_reads_them(tmp_path):
    register(tmp_path, "mine", ["x"], {"PYTHONPATH": "/50%/src"})
    assert read(tmp_path / "trackers.ini")["mine"]["env_pythonpath"] == "/50%/src"


def test_others_stay_and_an_earlier_entry_is_replaced(tmp_path):
    (tmp_path / "trackers.ini").write_text(THEIRS)
    register(tmp_path, "mine", ["one"])
    register(tmp_path, "NCC", ["three"])
    register(tmp_path, "mine", ["two"])
    text = (tmp_path / "trackers.ini").read_text()
    registry = read(tmp_path / "trackers.ini")
    assert text.startswith("# trackers of mine\n")
    assert sorted(registry.sections()) == ["NCC", "mine", "other"]
    assert registry["mine"]["command"] == "two"
    assert registry["NCC"]["command"] == "three"
    assert registry["other"]["command"] == "50% other"


@pytest.mark.parametrize("name", ["", "a b", "x]", "ünseen"])
def test_a_name_that_the_toolkit_refuses_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="letters, digits"):
        register(tmp_path, name, ["x"])


def test_no_folder_and_no_text_are_named(tmp_path):
    with pytest.raises(SourceError, match=r"none: this folder is missing"):
        register(tmp_path / "none", "mine", ["x"])
    (tmp_path / "trackers.ini").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"trackers\.ini: cannot be read"):
        register(tmp_path, "mine", ["x"])


# --- the command ---------------------------------------------------------------------------------


def test_the_command_registers_and_says_what_is_next(tmp_path, capsys):
    assert main(["vot-toolkit", "--workspace", str(tmp_path), "--tracker", "mil"]) == 0
    printed = capsys.readouterr().out
    assert "vot evaluate --experiments baseline mil" in printed
    assert "vot initialize" in printed  # there is no config.yaml
    (tmp_path / "config.yaml").touch()
    assert main(["vot-toolkit", "--workspace", str(tmp_path), "--tracker", "mil"]) == 0
    assert "vot initialize" not in capsys.readouterr().out
    words = shlex.split(read(tmp_path / "trackers.ini")["mil"]["command"])
    assert words[1:] == ["-m", "cyclesiam", "trax", "--tracker", "mil"]


def test_weights_in_a_folder_are_found_from_anywhere(tmp_path, monkeypatch, capsys):
    where = ["--workspace", str(tmp_path), "--device", "cpu"]
    assert main(["vot-toolkit", *where]) == 0
    monkeypatch.chdir(SHIPPED_WEIGHTS)
    assert main(["vot-toolkit", *where, "--weights", "./default", "--name", "mine"]) == 0
    capsys.readouterr()
    registry = read(tmp_path / "trackers.ini")
    assert str(SHIPPED_WEIGHTS / "default") in registry["mine"]["command"]
    assert "--weights default --device cpu" in registry["cyclesiam"]["command"]


def test_a_tracker_of_ones_own_is_found_from_anywhere(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_tracker.py").write_text(
        "class Still:\n    def init(self, image, box): pass\n    def update(self, image): pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds this folder
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert main(["vot-toolkit", "--workspace", ".", "--tracker", "my_tracker:Still"]) == 0
    capsys.readouterr()
    entry = read(tmp_path / "trackers.ini")["Still"]
    assert entry["env_pythonpath"].split(os.pathsep) == [str(tmp_path), "/elsewhere"]
    assert entry["command"].endswith("trax --tracker my_tracker:Still")


def test_missing_weights_are_found_out_before_anything_is_written(tmp_path, capsys):
    assert main(["vot-toolkit", "--workspace", str(tmp_path), "--weights", "nonesuch"]) == 1
    assert capsys.readouterr().err.startswith("cyclesiam vot-toolkit: there are no weights")
    assert not (tmp_path / "trackers.ini").exists()


def test_a_bad_name_is_wrong_usage(tmp_path, capsys):
    assert (
        main(["vot-toolkit", "--workspace", str(tmp_path), "--tracker", "mil", "--name", "a b"])
        == 2
    )
    assert capsys.readouterr().err.startswith("cyclesiam vot-toolkit: --name: the toolkit takes")
