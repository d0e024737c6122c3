"""Runs that are killed, split over two processes or in microbatches equal the plain run."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from cyclesiam.data.scenes import find_scenes
from cyclesiam.errors import TrainingError
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.training import checkpoint
from cyclesiam.training.microbatches import SyncBatchNorm2d, convert_sync_batchnorm, split_batch
from cyclesiam.training.trainer import Trainer
from support import ROOT
from support.media import write_stills
from support.training import KILLED, PARTED

TESTS = ROOT / "tests"

DRIVER = """
import sys
sys.path[:0] = [{src!r}, {tests!r}]
import torch
torch.set_num_threads({threads})
from cyclesiam.cli import run
from cyclesiam.training.recipes import RECIPES
from support import training
RECIPES["smoke"] = lambda: training.{config}
{before}
if __name__ == "__main__":
    run()
"""

# The process and its loaders, before it can do anything about it.
KILLED_AT_STEP_5 = """
import os, signal
from cyclesiam.training import trainer
train_step = trainer.train_step
def die(state, *arguments):
    if state.step == 5:
        os.killpg(0, signal.SIGKILL)
    return train_step(state, *arguments)
trainer.train_step = die
"""


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    return write_stills(tmp_path_factory.mktemp("stills"), 3)


def start(folder, config, *arguments, before=""):
    """Start `cyclesiam train --recipe smoke` with another config in its place."""
    driver = folder / "driver.py"
    driver.write_text(
        DRIVER.format(
            src=str(ROOT / "src"),
            tests=str(TESTS),
            threads=torch.get_num_threads(),
            config=config,
            before=before,
        )
    )
    return subprocess.Popen(
        [sys.executable, str(driver), "train", *map(str, arguments), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        start_new_session=True,
        text=True,
    )


def make_trainer(config, stills, output, **options):
    return Trainer(config, find_scenes([stills])[0], output, device="cpu", **options)


def test_a_killed_run_resumes_as_if_nothing_had_happened(tmp_path, stills):
    whole = [report.loss for report in make_trainer(KILLED, stills, tmp_path / "whole").fit()]
    arguments = (stills, "--recipe", "smoke", "--seed", 1, "--output", tmp_path / "killed")
    process = start(tmp_path, "KILLED", *arguments, before=KILLED_AT_STEP_5)
    _, problems = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, problems
    resumed = make_trainer(KILLED, stills, tmp_path / "killed", resume=True)
    assert resumed.state.step == 3
    assert [report.loss for report in resumed.fit()] == whole[3:]


def test_a_run_killed_between_its_state_and_its_weights_mends_them(tmp_path, stills, monkeypatch):
    config = replace(KILLED, workers=0, steps=2, save_interval=1)
    run = make_trainer(config, stills, tmp_path)

    def die(*arguments):
        raise SystemExit

    run.save()
    run.state.step = 1
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_weights", die)
        with pytest.raises(SystemExit):
            run.save()
    assert load_weights(tmp_path)[1].steps == 0
    make_trainer(config, stills, tmp_path, resume=True)
    assert load_weights(tmp_path)[1].steps == 1


def test_settings_that_do_not_change_weights_may_change_on_the_way(tmp_path, stills):
    make_trainer(PARTED, stills, tmp_path).save()
    other = replace(PARTED, save_interval=7, log_interval=2)
    assert make_trainer(other, stills, tmp_path, resume=True).state.step == 0
    with pytest.raises(TrainingError, match="another recipe or settings"):
        make_trainer(replace(PARTED, accumulation_steps=2), stills, tmp_path, resume=True)


def assert_alike(first, second):
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_two_processes_train_what_one_does(tmp_path, stills):
    alone = make_trainer(PARTED, stills, tmp_path / "alone")
    losses = [report.loss for report in alone.fit()]
    arguments = (stills, "--recipe", "smoke", "--seed", 1, "--output", tmp_path / "split")
    process = start(tmp_path, "PARTED", *arguments, "--devices", 2)
    said, problems = process.communicate(timeout=300)
    assert process.returncode == 0, problems
    shown = [float(loss) for loss in re.findall(r"^step .* loss (\d+\.\d+)", said, re.MULTILINE)]
    assert shown == pytest.approx(losses, abs=2e-3)
    assert said.count("Training on") == 1  # only the first process speaks
    assert_alike(load_weights(tmp_path / "split", trainable=True)[0], alone.state.ema_network)


@pytest.mark.parametrize("parts", [2, 5])
def test_microbatches_give_the_gradient_of_the_whole_batch(tmp_path, stills, parts):
    runs = [
        make_trainer(replace(PARTED, accumulation_steps=count), stills, tmp_path / str(count))
        for count in (1, parts)
    ]
    gradients = []
    for run in runs:
        run.state.network.eval()  # norms as they are: a part has other statistics than the whole
        next(run.fit())
        gradients.append({name: p.grad for name, p in run.state.network.named_parameters()})
    largest = max(gradient.abs().max() for gradient in gradients[0].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradient, gradients[1][name], rtol=1e-3, atol=1e-5 * largest.item(), msg=name
        )
    assert largest > 0


def test_a_run_in_parts_resumes_as_if_nothing_had_happened(tmp_path, stills):
    config = replace(PARTED, accumulation_steps=2)
    losses = [report.loss for report in make_trainer(config, stills, tmp_path / "whole").fit()]
    run = make_trainer(config, stills, tmp_path / "broken").fit()
    assert next(run).loss == losses[0]
    run.close()
    resumed = make_trainer(config, stills, tmp_path / "broken", resume=True)
    assert [report.loss for report in resumed.fit()] == losses[1:]


@pytest.mark.parametrize(("total", "parts"), [(5, 2), (7, 3), (4, 4), (6, 1)])
def test_every_row_is_counted_once(total, parts):
    microbatches = split_batch(total, parts)
    counted = [row for part in microbatches for row in part.rows[part.halo :]]
    assert counted == [*range(total)]
    for part in microbatches:
        before = [(row - 1) % total for row in part.rows[1:]]
        assert list(part.rows[:-1]) == before


def test_more_parts_than_clips(tmp_path, stills):
    with pytest.raises(ValueError, match="batch of 2 clips cannot be split into 3 parts"):
        split_batch(2, 3)
    with pytest.raises(ValueError, match=r"accumulation_steps must lie in 1\.\.5"):
        replace(PARTED, accumulation_steps=6)


def test_a_synced_norm_is_a_norm_that_leaves_the_halo_out():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.BatchNorm2d(4)).train()
    synced = nn.Sequential(nn.BatchNorm2d(4)).train()
    convert_sync_batchnorm(synced, halo=1)
    assert isinstance(synced[0], SyncBatchNorm2d)
    values = torch.randn(5, 4, 6, 6) * 3 + 1
    inputs = [values[1:].clone().requires_grad_(), values.clone().requires_grad_()]
    outputs = [plain(inputs[0]), synced(inputs[1])[1:]]
    torch.testing.assert_close(outputs[1], outputs[0])
    weights = torch.randn(outputs[0].shape)
    for output in outputs:
        (output * weights).sum().backward()
    torch.testing.assert_close(inputs[1].grad[1:], inputs[0].grad, rtol=1e-4, atol=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(synced.state_dict()[name], value)
