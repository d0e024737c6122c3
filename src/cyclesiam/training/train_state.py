"""The state of a run: all that the next step depends on."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Generator
from torch.optim.swa_utils import AveragedModel

from cyclesiam.models.checkpoints import load_backbone, load_pretrained
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import Curriculum, Stage
from cyclesiam.training.microbatches import convert_sync_batchnorm
from cyclesiam.training.optimizer import ema_update, make_optimizer


@dataclass
class TrainState:
    """What `train_step` changes in place, and what a checkpoint holds.

    Args:
        network: trained.
        ema: running average of its weights, without gradients.
        optimizer: of the network's trained parameters.
        rng: of augmentation and label sampling, on the training device.
        curriculum: which stage is trained.
        step: number of steps done.
        requested: stage of each batch that was requested from the loader, by step; workers are
            ahead of `step`.
        initial_weights: name of the weights at step 0.
        stop_requested: whether the run shall end after this step; not in checkpoints.
    """

    network: SiamRPN
    ema: AveragedModel
    optimizer: torch.optim.Optimizer
    rng: Generator
    curriculum: Curriculum = field(default_factory=Curriculum)
    step: int = 0
    requested: dict[int, Stage] = field(default_factory=dict)
    initial_weights: str = "random"
    stop_requested: bool = False

    @property
    def ema_network(self) -> SiamRPN:
        """The network with averaged weights."""
        assert isinstance(self.ema.module, SiamRPN)
        return self.ema.module


def init_state(
    config: TrainingConfig,
    device: torch.device,
    *,
    halo: int = 0,
    backbone_weights: str | Path | None = None,
    start_weights: str | Path | None = None,
) -> TrainState:
    """Build the state of step 0.

    Args:
        config: the run.
        device: where to train.
        halo: rows that batch norms leave out, see `Microbatch`.
        backbone_weights: file with weights of a `resnet50`, see `load_backbone`.
        start_weights: name or folder of weights of the whole network.

    Raises:
        WeightsError: the weights do not fit the network.
    """
    torch.manual_seed(config.seed)
    network, initial_weights = SiamRPN(config.network), "random"
    if backbone_weights is not None:
        load_backbone(network, backbone_weights)
        initial_weights = Path(backbone_weights).name
    if start_weights is not None:
        load_pretrained(network, start_weights)
        initial_weights = Path(start_weights).name
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    ema = AveragedModel(network, multi_avg_fn=ema_update(config.ema_decay), use_buffers=True)
    ema = ema.to(device).eval().requires_grad_(False)
    network = network.to(device).train()
    if config.trained_part == "masks":
        freeze_all_but_masks(network)
    if halo:
        convert_sync_batchnorm(network, halo)
    optimizer = make_optimizer(config.optimizer, network)
    rng = Generator(device).manual_seed(config.seed)
    return TrainState(network, ema, optimizer, rng, initial_weights=initial_weights)


def compile_backbones(state: TrainState, backend: str = "inductor") -> None:
    """Compile the backbones of the network and of its average, at their first use.

    A GPU then starts fewer programs. The first steps take a minute or more.
    """
    for network in (state.network, state.ema_network):
        backbone = network.backbone
        backbone.forward_stages = torch.compile(backbone.forward_stages, backend=backend)


def freeze_all_but_masks(network: SiamRPN) -> None:
    """Freeze everything outside the mask head, the statistics of batch norms included."""
    assert network.mask is not None
    network.eval().requires_grad_(False)
    network.mask.train().requires_grad_(True)
