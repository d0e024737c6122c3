"""Settings of runs of seconds, and networks and clips to run a cycle on."""

import copy
from dataclasses import replace

import torch

from cyclesiam.data.augmentation import AugmentationConfig
from cyclesiam.data.clips import ClipConfig
from cyclesiam.data.degradation import DegradationConfig
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.synthetic.compositing import CompositingConfig
from cyclesiam.training.anchor_labels import AnchorLabelConfig
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.objective import ObjectiveConfig
from cyclesiam.training.optimizer import OptimizerConfig
from cyclesiam.training.recipes import FAST_OPTIMIZER, smoke
from support.networks import TINY

CONFIG = TrainingConfig(
    recipe="tiny",
    steps=4,
    seed=1,
    objective=ObjectiveConfig(min_cycle_score=0.0),
    ema_decay=0.5,
    precision="32-true",
    workers=0,
    log_interval=1,
    save_interval=100,
    network=TINY,
    clips=ClipConfig(
        batch_size=3, height=96, width=128, compositing=CompositingConfig(probability=0.34)
    ),
    curriculum=CurriculumConfig(stages=(Stage(0, 0), Stage(1, 3)), min_steps=2, max_steps=2),
    optimizer=FAST_OPTIMIZER,
)

# The second stage begins after step 3, when the loader has asked for steps 3 and 4 already.
KILLED = TrainingConfig(
    recipe="smoke",
    steps=8,
    seed=1,
    ema_decay=0.5,
    precision="32-true",
    workers=1,
    log_interval=1,
    save_interval=3,
    network=TINY,
    clips=ClipConfig(
        batch_size=3, height=96, width=128, compositing=CompositingConfig(probability=0.34)
    ),
    curriculum=CurriculumConfig(
        stages=(Stage(0, 0), Stage(1, 3)), min_steps=3, max_steps=3, review_probability=0
    ),
    objective=ObjectiveConfig(min_cycle_score=0.0),
    optimizer=FAST_OPTIMIZER,
)

# With all that makes a row depend on others: borrowed templates and pixels, a ratio of blurred
# crops, hard backgrounds.
PARTED = replace(
    KILLED,
    steps=2,  # in the third, rounding makes another background anchor the hardest
    workers=0,
    clips=replace(KILLED.clips, batch_size=5, compositing=CompositingConfig(probability=0.5)),
    objective=ObjectiveConfig(
        min_cycle_score=0.0,
        negative_probability=0.5,
        labels=AnchorLabelConfig(hard_negative_ratio=0.5),
        augmentation=AugmentationConfig(
            blur=0.4,
            noise=8.0,
            occlusion_probability=0.6,
            degradation=DegradationConfig(resolution=0.4, motion=0.4, darkness=0.4, noise=0.4),
        ),
    ),
    optimizer=OptimizerConfig(),  # AdamW makes whole steps of the rounding of gradients near zero
)


def tiny():
    """Return the recipe `smoke`, smaller still."""
    clips = ClipConfig(batch_size=2, height=64, width=64)
    return replace(smoke(), clips=clips, network=NetworkConfig(hidden_channels=8), log_interval=1)


def make_networks(config=TINY):
    """Return a network to train and one that tracks, with statistics in their norms."""
    torch.manual_seed(0)
    network = SiamRPN(config)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network.train(), copy.deepcopy(network).eval()


def make_clips(turn, B=3):
    """Blurred noise that drifts by 5 px a frame, and the boxes of frame 0."""
    noise = torch.rand(B, 3, 120, 160 + 5 * turn, generator=torch.Generator().manual_seed(1))
    noise = 3 * torch.nn.functional.avg_pool2d(noise, 7, 1, 3) - 1
    frames = [noise[..., 5 * t : 5 * t + 160] for t in range(turn + 1)]
    boxes = torch.full((B, turn + 1, 4), torch.nan)
    boxes[:, 0] = torch.tensor([50.0, 40, 90, 80])
    return (255 * torch.stack(frames, dim=1).clamp(0, 1)).byte(), boxes
