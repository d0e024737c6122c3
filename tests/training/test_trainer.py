import dataclasses
import json

import pytest
import torch

from cyclesiam.config_aliases import REMOVED_FIELDS, RENAMED_FIELDS
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.errors import TrainingError, WeightsError
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.synthetic.compositing import CompositingConfig
from cyclesiam.training import trainer as trainer_module
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.objective import ObjectiveConfig
from cyclesiam.training.optimizer import OptimizerConfig
from cyclesiam.training.recipes import smoke
from cyclesiam.training.trainer import Trainer
from support.media import moving_square, textured, write_image, write_video
from support.training import CONFIG


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three stills: their decoding is the same on every machine, which a video's need not be."""
    folder = tmp_path_factory.mktemp("stills")
    images = [write_image(folder / f"{name}.png", textured(ord(name))) for name in "abc"]
    return find_scenes(images)[0]


def make_trainer(output, scenes, *, resume=False, backbone_weights=None, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return Trainer(
        config, scenes, output, device="cpu", resume=resume, backbone_weights=backbone_weights
    )


def assert_same_weights(first, second):
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path, scenes):
    trainers = [make_trainer(tmp_path / name, scenes) for name in "ab"]
    reports = [[report.loss for report in trainer.fit()] for trainer in trainers]
    assert reports[0] == reports[1]
    assert_same_weights(trainers[0].state.network, trainers[1].state.network)
    assert_same_weights(trainers[0].state.ema, trainers[1].state.ema)
    other = make_trainer(tmp_path / "c", scenes, seed=2)
    assert [report.loss for report in other.fit()] != reports[0]


def test_a_resumed_run_continues_as_if_nothing_had_happened(tmp_path, scenes):
    whole = make_trainer(tmp_path / "whole", scenes)
    losses = [report.loss for report in whole.fit()]
    broken = make_trainer(tmp_path / "broken", scenes)
    run = broken.fit()
    assert [next(run).loss for _ in range(3)] == losses[:3]  # into the second stage
    run.close()  # as an interrupt does
    resumed = make_trainer(tmp_path / "broken", scenes, resume=True)
    assert resumed.state.step == 3
    assert resumed.state.curriculum.level == 1
    assert [report.loss for report in resumed.fit()] == losses[3:]
    assert_same_weights(resumed.state.network, whole.state.network)
    assert_same_weights(resumed.state.ema, whole.state.ema)


def in_old_words(config):
    """Return a config as version 0.1 wrote it into checkpoints: old names, and fields that left."""
    name = type(config).__name__
    old_names = {new: old for old, new in RENAMED_FIELDS.get(name, {}).items()}
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    old = {
        old_names.get(field, field): in_old_words(value)
        if dataclasses.is_dataclass(value)
        else value
        for field, value in fields.items()
    }
    return json.loads(json.dumps(old | REMOVED_FIELDS.get(name, {})))


def test_a_killed_run_costs_a_minute_however_far_apart_its_steps_are(monkeypatch, tmp_path, scenes):
    now = [0.0]
    monkeypatch.setattr(trainer_module.time, "monotonic", lambda: now[0])
    saved = []
    monkeypatch.setattr(
        trainer_module, "save_checkpoint", lambda state, *_: saved.append(state.step)
    )
    run = make_trainer(tmp_path, scenes, steps=6, save_interval=500).fit()
    for report in run:
        now[0] += 25  # seconds a step
        if report.step == 6:
            break
    assert saved == [3]  # the first step after a minute; step 6 would be next
    run.close()
    assert saved == [3, 6]


@pytest.mark.parametrize(("threads", "before", "used"), [(0, 8, 3), (0, 2, 2), (5, 2, 5)])
def test_training_leaves_half_of_the_processors_to_others(
    monkeypatch, tmp_path, scenes, threads, before, used
):
    monkeypatch.setattr(trainer_module, "half_of_processors", lambda: 3)
    first = torch.get_num_threads()
    torch.set_num_threads(before)
    try:
        Trainer(CONFIG, scenes, tmp_path, device="cpu", threads=threads)
        assert torch.get_num_threads() == used
    finally:
        torch.set_num_threads(first)


def test_a_checkpoint_of_version_0_1_resumes(tmp_path, scenes):
    whole = make_trainer(tmp_path / "whole", scenes)
    losses = [report.loss for report in whole.fit()]
    run = make_trainer(tmp_path / "broken", scenes).fit()
    assert [next(run).loss for _ in range(3)] == losses[:3]
    run.close()
    file = tmp_path / "broken" / "training.ckpt"
    saved = torch.load(file, weights_only=True)
    keys = "network guide optimiser chance curriculum step asked initial_weights config"
    assert saved.keys() == {*keys.split()}
    saved["config"] = in_old_words(CONFIG)
    assert {"lesson", "optimiser", "learns"} <= saved["config"].keys()
    assert {"share_features", "fold_norms"} <= saved["config"]["lesson"].keys()
    saved["curriculum"]["since"] = saved["curriculum"].pop("steps_at_level")
    torch.save(saved, file)
    resumed = make_trainer(tmp_path / "broken", scenes, resume=True)
    assert [report.loss for report in resumed.fit()] == losses[3:]
    assert_same_weights(resumed.state.network, whole.state.network)
    saved["config"]["lesson"]["fold_norms"] = True
    torch.save(saved, file)
    with pytest.raises(
        TrainingError, match=r"cannot resume from .*ObjectiveConfig has no 'fold_no"
    ):
        make_trainer(tmp_path / "broken", scenes, resume=True)


def test_a_finished_run_resumes_to_nothing(tmp_path, scenes):
    list(make_trainer(tmp_path, scenes, steps=1).fit())
    assert list(make_trainer(tmp_path, scenes, steps=1, resume=True).fit()) == []


def test_workers_change_nothing_but_when_a_stage_begins(tmp_path, scenes):
    stages = CurriculumConfig(stages=(Stage(0, 0),))
    alone = make_trainer(tmp_path / "a", scenes, steps=2, curriculum=stages)
    helped = make_trainer(tmp_path / "b", scenes, steps=2, curriculum=stages, workers=1)
    assert [r.loss for r in alone.fit()] == [r.loss for r in helped.fit()]


# The first losses of CONFIG with the paper's SGD: a refactoring keeps them, a change of method
# writes them anew and says so. Float arithmetic differs between CPUs (tried: other kernels, other
# numbers of threads) by 3e-3 of the loss after three steps of turn 0. Later steps track,
# in which the arg-max of nearly equal scores may fall on another anchor: 5e-2 was seen.
TURN_0_LOSSES = [1.10419, 0.87552, 0.64507]
TRACKED_LOSSES = [1.02800, 0.81800, 0.60600]


def test_the_first_losses(tmp_path, scenes):
    plain = dataclasses.replace(CONFIG.clips, compositing=CompositingConfig(probability=0))
    trainer = make_trainer(tmp_path, scenes, steps=6, optimizer=OptimizerConfig(), clips=plain)
    losses = [report.loss for report in trainer.fit()]
    assert losses[:3] == pytest.approx(TURN_0_LOSSES, rel=5e-3)
    assert losses[3:] == pytest.approx(TRACKED_LOSSES, rel=1e-1)


# Likewise for the recipe itself, cut-outs included, which other builds of OpenCV may draw a little
# otherwise. What another kind of CPU rounds otherwise shows after two steps.
SMOKE_LOSSES = [1.38277, 1.22570, 1.17600]


def test_the_first_losses_of_smoke(tmp_path, scenes):
    config = dataclasses.replace(smoke(), steps=3, log_interval=1)
    runs = [Trainer(config, scenes, tmp_path / name, device="cpu") for name in "ab"]
    losses = [[report.loss for report in trainer.fit()] for trainer in runs]
    assert losses[0] == losses[1]
    assert_same_weights(runs[0].state.ema, runs[1].state.ema)
    assert losses[0][:2] == pytest.approx(SMOKE_LOSSES[:2], rel=2e-2)
    assert losses[0][2:] == pytest.approx(SMOKE_LOSSES[2:], rel=5e-2)


def test_what_is_saved_is_the_average_and_where_it_comes_from(tmp_path, scenes):
    trainer = make_trainer(tmp_path, scenes, steps=2)
    reports = list(trainer.fit())
    network, record = load_weights(tmp_path, trainable=True)
    assert_same_weights(network, trainer.state.ema_network)
    assert not torch.equal(
        [*network.box.predict.modules()][-1].weight,
        [*trainer.state.network.box.predict.modules()][-1].weight,
    )
    assert (record.policy, record.recipe, record.steps, record.samples) == ("none", "tiny", 2, 6)
    assert (record.seed, record.initial_weights) == (1, "random")
    assert list((tmp_path / "curves").iterdir())
    assert [report.step for report in reports] == [1, 2]
    assert all(0 <= report.accuracy <= 1 for report in reports)
    assert reports[-1].seconds_left == 0


def test_weights_that_diverge_stop_the_run_and_spare_what_was_saved(tmp_path, scenes):
    trainer = make_trainer(tmp_path, scenes, save_interval=2)
    run = trainer.fit()
    for _ in range(3):
        next(run)
    names = ("model.safetensors", "training.ckpt", "record.json")  # of the second step
    saved = {name: (tmp_path / name).read_bytes() for name in names}
    with torch.no_grad():
        [*trainer.state.network.score.predict.modules()][-1].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss is nan at step 3, .*[abc]\.png") as caught:
        next(run)
    assert "\n" not in str(caught.value)
    assert saved == {name: (tmp_path / name).read_bytes() for name in names}
    assert make_trainer(tmp_path, scenes, save_interval=2, resume=True).state.step == 2


def test_a_gradient_that_diverges_stops_the_run_before_it_does_harm(tmp_path, scenes):
    trainer = make_trainer(tmp_path, scenes)
    weight = [*trainer.state.network.box.predict.modules()][-1].weight
    weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match="the gradient is nan at step 0"):
        next(trainer.fit())
    assert all(parameter.isfinite().all() for parameter in trainer.state.network.parameters())


def test_uncertain_cycles_are_dropped_and_counted(tmp_path):
    video = write_video(tmp_path / "street.mp4", moving_square(20))
    stages = CurriculumConfig(
        stages=(Stage(0, 0), Stage(1, 3)), min_steps=1, max_steps=1, review_probability=0
    )
    clips = dataclasses.replace(CONFIG.clips, compositing=CompositingConfig(probability=0))
    trainer = make_trainer(
        tmp_path / "out",
        find_scenes([video])[0],
        steps=3,
        objective=ObjectiveConfig(min_cycle_score=0.99),
        curriculum=stages,
        clips=clips,
    )
    first, second, third = trainer.fit()
    # The first step has turn 0 and drops nothing; later, no new network tracks with such scores.
    assert first.dropped == 0
    assert second.dropped == third.dropped == 1
    assert second.loss == 0
    assert first.stage == second.stage == Stage(1, 3)


def test_where_the_box_is_known_nothing_is_dropped(tmp_path, scenes):
    stages = CurriculumConfig(
        stages=(Stage(0, 0), Stage(1, 3)), min_steps=1, max_steps=1, review_probability=0
    )
    trainer = make_trainer(
        tmp_path,
        scenes,
        steps=3,
        objective=ObjectiveConfig(min_cycle_score=0.99),
        curriculum=stages,
    )
    assert [report.dropped for report in trainer.fit()][:2] == [0, 0]


def test_a_lone_clip_has_no_negative_pair(tmp_path, scenes):
    # Its own template would be called another's.
    clips = dataclasses.replace(CONFIG.clips, batch_size=1)
    trainer = make_trainer(
        tmp_path, scenes, steps=1, clips=clips, objective=ObjectiveConfig(negative_probability=0.99)
    )
    (report,) = trainer.fit()
    assert report.box_loss > 0


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_read_is_reported_once(tmp_path, scenes, workers):
    gone = Scene(tmp_path / "gone.mp4", 100)
    clips = dataclasses.replace(CONFIG.clips, still_probability=0.5, batches_per_chunk=1)
    trainer = make_trainer(tmp_path / "run", [*scenes, gone], clips=clips, workers=workers)
    problems = [problem for report in trainer.fit() for problem in report.problems]
    assert len(problems) == 1
    assert "gone.mp4" in problems[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_where_nothing_can_be_read_the_run_ends_with_one_line(tmp_path, workers):
    gone = Scene(tmp_path / "gone.mp4", 100)
    trainer = make_trainer(tmp_path / "run", [gone], workers=workers)
    with pytest.raises(TrainingError, match=r"nothing can be read any more.*gone\.mp4") as caught:
        next(trainer.fit())
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run" / "training.ckpt").is_file()  # the state is sound: it is kept


def test_a_video_is_trained_on(tmp_path):
    video = write_video(tmp_path / "street.mp4", moving_square(20))
    trainer = make_trainer(tmp_path / "run", find_scenes([video])[0], steps=3)
    reports = list(trainer.fit())
    assert reports[-1].stage == Stage(1, 3)
    assert all(report.loss > 0 for report in reports)


def test_nothing_to_resume(tmp_path, scenes):
    with pytest.raises(TrainingError, match=r"there is no run to resume in .*training\.ckpt"):
        make_trainer(tmp_path, scenes, resume=True)
    (tmp_path / "training.ckpt").write_bytes(b"broken")
    with pytest.raises(TrainingError, match="cannot resume from") as caught:
        make_trainer(tmp_path, scenes, resume=True)
    assert "\n" not in str(caught.value)


def test_another_run_is_not_resumed(tmp_path, scenes):
    make_trainer(tmp_path, scenes).save()
    make_trainer(tmp_path, scenes, resume=True)
    with pytest.raises(TrainingError, match="belongs to a run with another recipe or settings"):
        make_trainer(tmp_path, scenes, resume=True, seed=5)


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "a device is auto, cpu, cuda or cuda:N; got 'gpu'"), ("cuda:99", "no cuda:99")],
)
def test_a_device_that_is_not_there(tmp_path, scenes, device, message):
    with pytest.raises(TrainingError, match=message):
        Trainer(CONFIG, scenes, tmp_path, device=device)


def test_an_output_that_cannot_be_written_shows_at_once(tmp_path, scenes):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot write to .*file/run"):
        make_trainer(tmp_path / "file" / "run", scenes)


def test_the_small_backbone_begins_at_random(tmp_path, scenes):
    with pytest.raises(WeightsError, match="for a resnet50 backbone"):
        make_trainer(tmp_path, scenes, backbone_weights=tmp_path / "resnet50.pth")


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"workers": -1}, {"ema_decay": 1}])
def test_impossible_runs_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        dataclasses.replace(CONFIG, **wrong)


@pytest.mark.parametrize("wrong", [{"negative_probability": 1}, {"min_cycle_score": -0.1}])
def test_impossible_objectives_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ObjectiveConfig(**wrong)
