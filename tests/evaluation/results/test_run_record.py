from dataclasses import replace

import pytest

from cyclesiam.errors import CycleSiamError, SourceError
from cyclesiam.evaluation.benchmarks import ProtocolSettings
from cyclesiam.evaluation.results.evaluation import RunInfo
from cyclesiam.evaluation.results.run_record import open_record, read_record

RUN = RunInfo(benchmark="otb", protocol="ope", tracker="ours", weights="default", date="2026-01-01")
ONE = ProtocolSettings()


def test_a_record_is_kept_as_it_was_begun(tmp_path):
    folder = tmp_path / "ours"
    assert read_record(folder) is None
    assert open_record(folder, RUN, ONE, "abc") == RUN
    assert read_record(folder) == RUN
    later = replace(RUN, date="2026-02-02", command="another")
    assert open_record(folder, later, ONE, "abc") == RUN


@pytest.mark.parametrize(
    ("run", "settings", "identity", "complaint"),
    [
        (RUN, ONE, "xyz", "identity abc there, xyz now"),
        (replace(RUN, protocol="reset"), ONE, "abc", "protocol ope there, reset now"),
        (RUN, ProtocolSettings(starts=3), "abc", "starts 1 there, 3 now"),
        (replace(RUN, version="9"), ONE, "abc", "version None there, 9 now"),
    ],
)
def test_results_of_other_settings_are_not_mixed(tmp_path, run, settings, identity, complaint):
    open_record(tmp_path / "ours", RUN, ONE, "abc")
    with pytest.raises(CycleSiamError, match=f"ours: holds results of other .*{complaint}"):
        open_record(tmp_path / "ours", run, settings, identity)


def test_files_of_unknown_origin_are_not_mixed(tmp_path):
    (tmp_path / "Bolt.txt").touch()
    with pytest.raises(CycleSiamError, match=r"holds files, but no run\.json"):
        open_record(tmp_path, RUN, ONE, "abc")


@pytest.mark.parametrize("content", ["{", "[]", "{}", "3"])
def test_a_broken_record_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(SourceError, match=r"run\.json: is no record of a run"):
        read_record(tmp_path)
