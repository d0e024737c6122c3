"""Training with resident frames is the ordinary training, within rounding."""

from dataclasses import replace

import pytest
import torch

from cyclesiam.data.scenes import find_scenes
from cyclesiam.training.resident import planning_processes
from cyclesiam.training.train_state import compile_backbones
from cyclesiam.training.trainer import Trainer
from support.media import moving_square, write_stills, write_video
from support.training import CONFIG


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("media")
    write_video(root / "street.mp4", moving_square(20))
    write_stills(root / "stills", 2)
    return find_scenes([root])[0]


def first_reports(scenes, output, count=2, **changes):
    resident = changes.pop("resident", False)
    config = replace(CONFIG, **changes)
    trainer = Trainer(config, scenes, output, device="cpu", resident=resident)
    reports = trainer.fit()
    return [next(reports) for _ in range(count)]


def test_steps_have_the_losses_of_ordinary_ones_within_rounding(tmp_path, scenes):
    ordinary = first_reports(scenes, tmp_path / "ordinary")
    rendered = first_reports(scenes, tmp_path / "resident", resident=True)
    assert rendered[0].loss == pytest.approx(ordinary[0].loss, rel=0.003)
    assert rendered[1].loss == pytest.approx(ordinary[1].loss, rel=0.05)  # rounding grows
    assert [report.loss for report in ordinary] != [report.loss for report in rendered]


def test_a_process_plans_as_the_training_process_does(tmp_path, scenes):
    here = first_reports(scenes, tmp_path / "here", resident=True)
    beside = first_reports(scenes, tmp_path / "beside", resident=True, workers=1)
    assert [report.loss for report in here] == [report.loss for report in beside]


def test_compiled_backbones_compute_what_others_do(tmp_path, scenes):
    plain, compiled = (Trainer(CONFIG, scenes, tmp_path / n, device="cpu") for n in "ab")
    compile_backbones(compiled.state, backend="eager")
    forward = compiled.state.ema_network.backbone.forward_stages
    assert hasattr(forward, "get_compiler_config")  # of compiled functions alone
    assert next(plain.fit()).loss == pytest.approx(next(compiled.fit()).loss, rel=1e-5)
    assert compiled.state.network.state_dict().keys() == plain.state.network.state_dict().keys()


def test_a_gpu_gets_all_cores_but_one_to_plan(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert planning_processes(1, torch.device("cpu")) == 1
    assert planning_processes(1, torch.device("cuda")) == 15
    monkeypatch.setattr("multiprocessing.get_start_method", lambda: "spawn")
    assert planning_processes(4, torch.device("cuda")) == 0
