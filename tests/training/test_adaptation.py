"""Adapting weights to own footage, and keeping them only where they gain."""

import json
from dataclasses import replace

import pytest
import torch

from cyclesiam.cli import main, options
from cyclesiam.cli import validate as validate_command
from cyclesiam.data.clips import ClipConfig
from cyclesiam.models.checkpoints import load_weights, save_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training import adaptation
from cyclesiam.training.recipes import smoke
from cyclesiam.validation.examples import ExampleConfig
from cyclesiam.validation.score import LabelFreeScores
from support.media import moving_square, write_video

NETWORK = NetworkConfig(hidden_channels=8)


def save(folder, seed: int, policy="none") -> str:
    torch.manual_seed(seed)
    save_weights(folder, SiamRPN(NETWORK), TrainingRecord(policy=policy, recipe=f"of {seed}"))
    return str(folder)


@pytest.fixture
def quick(monkeypatch):
    def few(seed: int) -> ExampleConfig:
        return ExampleConfig(objects=2, degraded=2, frames=3, seed=seed)

    def tiny():
        clips = ClipConfig(batch_size=2, height=64, width=64)
        return replace(smoke(), clips=clips, log_interval=1)

    monkeypatch.setattr(adaptation, "small", tiny)
    monkeypatch.setattr(adaptation, "ExampleConfig", few)
    monkeypatch.setattr(validate_command, "ExampleConfig", few)


@pytest.fixture
def videos(tmp_path):
    for seed in range(3):
        write_video(tmp_path / "videos" / f"{seed}.mp4", moving_square(12, seed))
    return tmp_path / "videos"


@pytest.mark.parametrize(("gain", "recipe"), [(0.2, "of 3"), (-0.2, "of 1"), (0.0, "of 1")])
def test_the_best_weights_stay(tmp_path, gain, recipe):
    start, output = save(tmp_path / "start", 1), tmp_path / "output"
    before = LabelFreeScores(("objects",) * 3, (0.4, 0.5, 0.6))
    candidates = {}
    for seed, more in ((2, gain - 0.1), (3, gain)):
        network, record = load_weights(save(tmp_path / str(seed), seed), trainable=True)
        scores = LabelFreeScores(before.kinds, tuple(value + more for value in before.overlaps))
        candidates[str(seed)] = adaptation.Candidate(network, record, scores)
    verdict = adaptation.keep_best(output, start, before, candidates)
    assert (verdict.best, verdict.kept) == ("3", gain > 0)
    assert load_weights(output)[1].recipe == recipe


def test_the_policy_is_that_of_the_more_labelled(tmp_path):
    assert adaptation.adaptation_recipe(save(tmp_path / "a", 0, "first-box")).policy == "first-box"
    assert adaptation.adaptation_recipe(save(tmp_path / "b", 0, "untrained")).policy == "none"


def test_one_command_adapts(quick, capsys, monkeypatch, tmp_path, videos):
    monkeypatch.setattr(options, "LINE_INTERVAL", -1)
    start, output = save(tmp_path / "start", 1), tmp_path / "mine"
    command = ["train", str(videos), "--from", start, "--output", str(output), "--steps=2"]
    assert main([*command, "--device=cpu"]) == 0
    said, progress = capsys.readouterr()
    assert progress.count("scoring: 1 of ") == 3  # before, and two candidates after
    assert "For the verdict, the new weights" in said
    assert "Held out for scoring, without labels: 1 video" in said
    assert "Kept: the adapted weights" in said or "Not kept" in said
    record = json.loads((output / "record.json").read_text())
    if "Not kept" in said:
        assert record["recipe"] == "of 1"
    else:
        assert (record["recipe"], record["initial_weights"]) in (
            ("adapt: adapted", "start"),
            ("adapt: mean of both", "start"),
        )
    assert main([*command, "--device=cpu", "--resume"]) == 0
    assert "complete: 2 steps" in capsys.readouterr().out


@pytest.mark.parametrize("min_gain", [-1e9, 1e9])
def test_adaptation_from_python(quick, monkeypatch, tmp_path, videos, min_gain):
    monkeypatch.setattr(adaptation, "MIN_GAIN", min_gain)
    start, output, losses = save(tmp_path / "start", 1), tmp_path / "mine", []
    config = replace(adaptation.adaptation_recipe(start), steps=2)
    (broken := tmp_path / "broken.mp4").touch()
    verdict = adaptation.adapt(
        [videos, broken],
        start,
        output,
        config=config,
        device="cpu",
        on_report=lambda report: losses.append(report.loss),
    )
    assert len(losses) == 2
    assert ["broken.mp4" in line for line in verdict.left_out] == [True]
    assert verdict.best == max(verdict.scores, key=lambda name: verdict.scores[name].total)
    _, record = load_weights(output)
    assert record.recipe == (f"adapt: {verdict.best}" if verdict.kept else "of 1")


def test_a_single_video_cannot_be_trained_on_and_held_out(quick, capsys, tmp_path, videos):
    start = save(tmp_path / "start", 1)
    command = ["train", str(videos / "0.mp4"), "--from", start, "--output", str(tmp_path / "mine")]
    assert main([*command, "--device=cpu"]) == 1
    assert "cut it into two files" in capsys.readouterr().err


def test_a_recipe_of_another_network_is_refused(capsys, tmp_path, videos):
    start = save(tmp_path / "start", 1)
    command = ["train", str(videos), "--from", start, "--output", str(tmp_path / "mine")]
    assert main([*command, "--recipe", "cyclesiam"]) == 2
    assert "another network" in capsys.readouterr().err


def test_validate_ranks(quick, capsys, monkeypatch, tmp_path, videos):
    monkeypatch.setattr(options, "LINE_INTERVAL", -1)
    names = [save(tmp_path / "one", 1), save(tmp_path / "two", 2)]
    file = tmp_path / "scores.json"
    command = ["validate", str(videos), "--json", str(file), "--device=cpu", "--weights", *names]
    assert main(command) == 0
    said, progress = capsys.readouterr()
    assert "No label was read" in said
    assert "drawing objects examples: 1 of " in progress
    assert all(f"{name}: scoring: 1 of " in progress for name in names)
    scores = json.loads(file.read_text())["scores"]
    assert sorted(row["weights"] for row in scores) == sorted(names)
    assert scores[0]["total"] >= scores[1]["total"]
