"""The config of a tracker is stored beside weights, and in bundles."""

import dataclasses
import json

import pytest
import torch

from cyclesiam.cli import main
from cyclesiam.cli.options import load_tracker_config
from cyclesiam.errors import WeightsError
from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.confidence import ConfidenceConfig
from cyclesiam.tracking.config import (
    CONFIG_FILE,
    TrackerConfig,
    dump_config,
    load_config,
)
from support.networks import TINY

pytestmark = pytest.mark.usefixtures("one_thread")

CHANGED = TrackerConfig(confidence=ConfidenceConfig(bias=-3.0), max_target_overlap=0.5)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    folder = tmp_path / "mine"
    network = SiamRPN(dataclasses.replace(TINY, masks=True, mask_channels=8))
    save_weights(folder, network, TrainingRecord(policy="none"))
    return folder


def test_a_written_config_is_read_back(tmp_path):
    assert load_config(tmp_path) == TrackerConfig()
    (tmp_path / CONFIG_FILE).write_text(dump_config(CHANGED))
    assert load_config(tmp_path) == CHANGED


def test_missing_fields_keep_their_defaults(tmp_path):
    (tmp_path / CONFIG_FILE).write_text('{"online_filter": {"update_interval": 2, "rate": 1}}')
    config = load_config(tmp_path)
    assert (config.online_filter.update_interval, config.online_filter.learning_rate) == (2, 1)
    assert config.color_model == TrackerConfig().color_model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("[]", "TrackerConfig should be an object"),
        ('{"colours": {}}', "there is no 'colours' in TrackerConfig"),
        ('{"online_filter": {"ever": 2}}', "there is no 'ever' in OnlineFilterConfig"),
        (
            '{"online_filter": {"update_interval": "2"}}',
            "update_interval should be like 4, not",
        ),
        (
            '{"online_filter": {"update_interval": true}}',
            "should be like 4, not True",
        ),
        ('{"online_filter": 2}', "OnlineFilterConfig should be an object"),
        ('{"online_filter": {"update_interval": 0}}', "update_interval and max_samples 1 or more"),
        ('{"max_target_overlap": 7}', "max_target_overlap must lie in 0..1"),
    ],
)
def test_invalid_configs_are_refused(tmp_path, text, message):
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(WeightsError, match=CONFIG_FILE) as refused:
        load_config(tmp_path)
    assert message in str(refused.value)


def test_a_bundle_has_the_config_of_its_weights(weights, tmp_path):
    (weights / CONFIG_FILE).write_text(json.dumps({"confidence": {"bias": -3.0}}))
    bundle = tmp_path / "bundle"
    assert main(["export", "--weights", str(weights), "--output", str(bundle)]) == 0
    assert load_tracker_config(str(bundle)).confidence.bias == -3.0
    assert load_tracker_config(str(bundle)) == load_tracker_config(str(weights))


def test_commands_use_the_config_beside_weights(weights, tmp_path, capsys):
    options = ["demo", "--frames", "4", "--weights", str(weights)]
    assert main([*options, "--output", str(tmp_path / "default")]) == 0
    (weights / CONFIG_FILE).write_text(json.dumps({"confidence": {"bias": -30.0}}))
    assert main([*options, "--output", str(tmp_path / "changed")]) == 0
    default, changed = (
        json.loads((tmp_path / name / "demo.jsonl").read_text().splitlines()[-1])
        for name in ("default", "changed")
    )
    assert default["targets"][0]["score"] > 1e-4 > changed["targets"][0]["score"]
    (weights / CONFIG_FILE).write_text("[]")
    assert main([*options, "--output", str(tmp_path / "refused")]) == 1
    assert "should be an object" in capsys.readouterr().err
