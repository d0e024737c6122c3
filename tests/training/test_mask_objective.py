"""The mask loss: of known masks, at the right place; nothing else is trained."""

import dataclasses

import pytest
import torch

from cyclesiam.data.clip_plans import MASK_OFF, MASK_ON, MASK_UNKNOWN
from cyclesiam.data.clips import ClipConfig
from cyclesiam.data.scenes import find_scenes
from cyclesiam.geometry.crops import crop
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.synthetic.compositing import CompositingConfig
from cyclesiam.training.anchor_labels import AnchorLabelConfig, label_anchors
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.cycle import run_cycle
from cyclesiam.training.mask_objective import crop_mask_labels, mask_objective
from cyclesiam.training.optimizer import OptimizerConfig
from cyclesiam.training.trainer import Trainer
from support.media import moving_square, textured, write_stills, write_video
from support.networks import TINY

MASKED = dataclasses.replace(TINY, masks=True, mask_channels=8)
BOX = torch.tensor([60.0, 40, 100, 80])


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SiamRPN(MASKED)


def make_batch(B=3):
    frames = torch.stack([torch.from_numpy(textured(n, 120, 160)) for n in range(B)])
    masks = torch.full((B, 120, 160), MASK_OFF, dtype=torch.uint8)
    masks[:, 40:80, 60:80] = MASK_ON  # the left half of the box
    return frames.permute(0, 3, 1, 2)[:, None], BOX.repeat(B, 1)[:, None], masks


def test_a_mask_is_cropped_where_its_position_lies(network):
    _, _, masks = make_batch(1)
    side = network.search_size
    windows = torch.tensor([[80.5, 60.5, side, side]])  # a crop pixel is a pixel of the frame
    chosen = torch.tensor([network.config.response_size**2 // 2, 0])
    found = crop_mask_labels(network, masks, windows, torch.tensor([0, 0]), chosen)
    for mask, window in zip(found, network.mask_windows(chosen), strict=True):
        in_frame = window + torch.tensor([80.5 - side / 2, 60.5 - side / 2, 0, 0])
        expected = crop(masks[:, None], in_frame[None], network.template_size, fill=0)[0, 0] > 127
        assert torch.equal(mask > 0.5, expected)
    assert found[0].sum() == 40 * 20


def loss_sum(network, masks, weights):
    frames, boxes, _ = make_batch(len(masks))
    track, result = run_cycle(network, network, frames, boxes, 0, config=SelectionConfig())
    targets = torch.tensor([[51.5, 51.5, 91.5, 91.5]]).repeat(len(masks), 1)
    labels = label_anchors(network.anchors, targets, AnchorLabelConfig())
    return mask_objective(
        network,
        frames,
        masks,
        track,
        result,
        labels=labels,
        weights=weights,
        max_positions=2,
        rng=torch.Generator().manual_seed(0),
    )


def test_only_known_masks_of_weighted_clips_count(network):
    _, _, masks = make_batch()
    assert loss_sum(network, masks, torch.ones(3)).weight == 6
    assert loss_sum(network, masks, torch.tensor([1.0, 0.0, 0.5])).weight == 3
    masks[0] = MASK_UNKNOWN
    assert loss_sum(network, masks, torch.ones(3)).weight == 4
    masks[:] = MASK_UNKNOWN
    nothing = loss_sum(network, masks, torch.ones(3))
    assert (nothing.sum, nothing.weight) == (0, 0)


def test_one_batch_of_masks_can_be_memorized(network):
    """The loss of one batch falls far below its first value."""
    _, _, masks = make_batch()
    optimizer = torch.optim.AdamW(network.mask.parameters(), 3e-3)
    losses = []
    for _ in range(80):
        loss = loss_sum(network, masks, torch.ones(3)).mean
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    write_video(root / "street.mp4", moving_square(20))
    write_stills(root / "stills", 2)
    return find_scenes([str(root)])[0]


CONFIG = TrainingConfig(
    recipe="tiny",
    steps=2,
    log_interval=1,
    workers=0,
    precision="32-true",
    network=MASKED,
    trained_part="masks",
    curriculum=CurriculumConfig(stages=(Stage(0, 0),)),
    optimizer=OptimizerConfig(name="adamw", start_lr=1e-3, lr=1e-3, end_lr=1e-3),
    clips=ClipConfig(
        batch_size=3, height=96, width=128, compositing=CompositingConfig(probability=1.0)
    ),
)


def test_while_masks_are_trained_all_else_stays(tmp_path, scenes):
    trainer = Trainer(CONFIG, scenes, tmp_path, device="cpu")
    before = {name: value.clone() for name, value in trainer.state.network.state_dict().items()}
    reports = list(trainer.fit())
    assert any(report.mask_loss > 0 for report in reports)
    after, _ = load_weights(tmp_path, trainable=True)
    for name, value in after.state_dict().items():
        same = torch.equal(value, before[name])
        assert same or name.startswith("mask."), name
    assert not torch.equal(
        after.state_dict()["mask.coarse.3.weight"], before["mask.coarse.3.weight"]
    )


def test_masks_are_put_on_weights_without(tmp_path, scenes):
    plain = dataclasses.replace(CONFIG, network=TINY, trained_part="all")
    list(Trainer(plain, scenes, tmp_path / "boxes", device="cpu").fit())
    trainer = Trainer(
        CONFIG, scenes, tmp_path / "masks", device="cpu", start_weights=tmp_path / "boxes"
    )
    boxes, _ = load_weights(tmp_path / "boxes", trainable=True)
    for name, value in boxes.state_dict().items():
        assert torch.equal(trainer.state.network.state_dict()[name], value), name


def test_microbatches_train_masks_too(tmp_path, scenes):
    """Without norms that count over a part, that is: what is averaged is the same."""
    steps = dataclasses.replace(CONFIG, steps=1, accumulation_steps=3)
    report = [*Trainer(steps, scenes, tmp_path, device="cpu").fit()][-1]
    assert report.mask_loss > 0


def test_a_network_without_masks_cannot_train_them():
    with pytest.raises(ValueError, match=r"network\.masks"):
        dataclasses.replace(CONFIG, network=TINY)
