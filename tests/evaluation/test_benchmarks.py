import pytest

from cyclesiam.datasets.registry import SEGMENTATION_DATASETS, TRACKING_DATASETS
from cyclesiam.errors import DatasetError
from cyclesiam.evaluation.benchmarks import BENCHMARKS, find_benchmark, select_sequences


def test_every_protocol_of_a_benchmark_has_a_dataset_and_every_dataset_a_protocol():
    names = {"ope": set(), "reset": set(), "segmentation": set()}
    for name, spec in BENCHMARKS.items():
        for protocol in spec.protocols:
            names[protocol].add(name)
    assert names["ope"] == TRACKING_DATASETS.keys()
    assert names["reset"] <= TRACKING_DATASETS.keys()
    assert names["segmentation"] == SEGMENTATION_DATASETS.keys()


def test_protocols_of_benchmarks():
    assert BENCHMARKS["vot2018"].protocols == ("reset", "ope")
    assert BENCHMARKS["otb"].protocols == ("ope",)
    assert BENCHMARKS["davis2016"].protocols == ("ope", "segmentation")
    assert BENCHMARKS["youtubevos"].protocols == ("segmentation",)
    with pytest.raises(ValueError, match="no benchmark 'tb50'; there are otb"):
        find_benchmark("tb50")


def test_facts_of_benchmarks():
    assert find_benchmark("otb50").origin == 1
    assert find_benchmark("vot2018").eao_interval == (100, 356)
    assert find_benchmark("got10k").layout == "nested"
    assert [name for name, spec in BENCHMARKS.items() if spec.pools_frames] == ["got10k"]
    davis = [name for name, spec in BENCHMARKS.items() if spec.skips_last_frame]
    assert davis == ["davis2016", "davis2017"]


def test_chosen_sequences_only():
    names = ("Half", "Rest")
    assert select_sequences(names, None, "otb") == names
    assert select_sequences(names, ["Rest"], "otb") == ("Rest",)
    with pytest.raises(DatasetError, match=r"no sequence Bolt\. Choose from Half, Rest"):
        select_sequences(names, ["Bolt", "Rest"], "otb")
