import numpy as np
import pytest

from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.benchmarks import ProtocolSettings
from cyclesiam.evaluation.results.evaluation import RunInfo
from cyclesiam.evaluation.results.files import write_boxes
from cyclesiam.evaluation.results.find import find_results, recorded_protocol
from cyclesiam.evaluation.results.run_record import open_record

OTB = {"benchmark": "otb", "protocol": "ope", "layout": "flat"}


def found(*folders):
    return [(one.run.tracker, one.results.path) for one in find_results(folders, ["A", "B"], **OTB)]


@pytest.fixture
def make(tmp_path):
    def write(tracker, name="B"):
        write_boxes(tmp_path / tracker / f"{name}.txt", np.ones((1, 4)))
        return tmp_path / tracker

    return write


def test_a_folder_of_one_tracker_or_of_several(make, tmp_path):
    kcf, csrt = make("all/kcf"), make("all/csrt")
    (tmp_path / "all" / "notes").mkdir()
    assert found(kcf) == [("kcf", kcf)]
    assert found(tmp_path / "all") == [("csrt", csrt), ("kcf", kcf)]
    alone = make("mine")
    assert found(tmp_path / "all", alone) == [("csrt", csrt), ("kcf", kcf), ("mine", alone)]


def test_trackers_of_the_same_name_are_told_apart(make):
    one, two = make("old/kcf"), make("new/kcf")
    assert found(one, two) == [("old/kcf", one), ("new/kcf", two)]


def test_what_is_on_record_is_known(make, tmp_path):
    run = RunInfo(benchmark="otb", protocol="ope", tracker="ours", policy="none")
    open_record(tmp_path / "r", run, ProtocolSettings(), "abc")
    folder = make("r")
    (one,) = find_results([folder], ["B"], **OTB)
    assert (one.run.tracker, one.run.policy, one.run.results) == ("ours", "none", str(folder))


def test_results_of_another_protocol_are_refused(make, tmp_path):
    run = RunInfo(benchmark="vot2018", protocol="reset", tracker="ours")
    open_record(tmp_path / "r", run, ProtocolSettings(), "abc")
    make("r")
    with pytest.raises(CycleSiamError, match="made by the protocol reset, not ope"):
        found(tmp_path / "r")


def test_the_protocol_is_the_one_on_record(make, tmp_path):
    assert recorded_protocol("vot2018", [tmp_path, tmp_path / "none"]) == "reset"
    for tracker, protocol in {"ours": "ope", "kcf": "ope", "theirs": "reset"}.items():
        run = RunInfo(benchmark="vot2018", protocol=protocol, tracker=tracker)
        open_record(tmp_path / tracker, run, ProtocolSettings(), "abc")
        if tracker == "kcf":
            assert recorded_protocol("vot2018", [tmp_path]) == "ope"
    assert recorded_protocol("vot2018", [tmp_path / "theirs"]) == "reset"
    with pytest.raises(CycleSiamError, match="by several protocols, ope and reset"):
        recorded_protocol("vot2018", [tmp_path])


def test_folders_without_results_are_named(make, tmp_path):
    make("r", "C")
    with pytest.raises(DatasetError, match=r"r: holds no result of otb .* Looked for .*A\.txt"):
        found(tmp_path / "r")
    with pytest.raises(DatasetError, match="none: this folder of results is missing"):
        found(tmp_path / "none")
