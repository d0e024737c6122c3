"""What the masks of a batch teach: those seen at home, against the first frame's.

Shapes: B clips, N anchors, M positions that a mask is taught at, S pixels on a side of a search
crop, T on a side of a mask.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from cyclesiam.data.clips import MASK_OFF, MASK_UNKNOWN
from cyclesiam.data.row_rng import Rng, rand_rows
from cyclesiam.geometry.crops import boxes_to_crop, crop
from cyclesiam.models.mask_windows import slice_windows
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.color_model import (
    ColorModelConfig,
    color_bins,
    color_likelihood,
    init_color_model,
    mask_priors,
)
from cyclesiam.tracking.siamese import SearchResult, search_windows
from cyclesiam.training.anchor_labels import POSITIVE
from cyclesiam.training.cycle import CycleTrack
from cyclesiam.training.losses import WeightedSum, mask_loss

BOX_JITTER = 0.15  # deviation of the box shown to the mask branch, over its size: it is no oracle


def mask_objective(
    network: SiamRPN,
    frames: Tensor,
    masks: Tensor | None,
    walked: CycleTrack,
    observation: SearchResult,
    labels: Tensor,
    weights: Tensor,
    count: int,
    chance: Rng,
) -> WeightedSum:
    """Compare masks at a few object anchors with the masks of frame 0, where these are known.

    Args:
        network: gave the observation; one without masks is taught nothing.
        frames: (B, T, 3, H, W) uint8.
        masks: (B, H, W) uint8 of frame 0, as `Batch.masks`; None where all are unknown.
        walked: where the templates were cut.
        observation: of frame 0.
        labels: (B, N) as `label_anchors` gives them.
        weights: (B,) how much each clip counts.
        count: most anchors of a clip that teach; 0 for none.
        chance: which, and how far their boxes stray.
    """
    nothing = WeightedSum(weights.new_zeros(()), weights.new_zeros(()))
    if network.mask is None or masks is None or not count:
        return nothing
    known = (masks[:, 0, 0] != MASK_UNKNOWN) & (weights > 0)
    draw = rand_rows(chance, *labels.shape)
    strays = BOX_JITTER * (2 * rand_rows(chance, len(labels), 4 * count) - 1)
    best, index = draw.masked_fill((labels != POSITIVE) | ~known[:, None], -1).topk(count, dim=1)
    strays = strays.reshape(len(labels), count, 4)
    rows, places = (best >= 0).nonzero(as_tuple=True)
    if len(rows) < 2 and not dist.is_initialized():  # no norm can be taken over so few
        return nothing
    chosen = index[rows, places]
    boxes = observation.proposals.boxes.detach()[rows, chosen]
    sizes = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    logits = network.mask_logits(
        observation.proposals.response,
        color_priors(network, frames, walked, observation.windows),
        rows,
        chosen,
        boxes + sizes * strays[rows, places],
    )
    wanted = crop_mask_labels(network, masks, observation.windows, rows, chosen)
    assert logits.coarse is not None
    coarse = mask_loss(logits.coarse.float(), wanted[:, 1::2, 1::2], weights[rows])
    sharp = mask_loss(logits.sharp.float(), wanted, weights[rows])
    return WeightedSum(coarse.sum + sharp.sum, sharp.weight)


@torch.no_grad()
def color_priors(network: SiamRPN, frames: Tensor, walked: CycleTrack, windows: Tensor) -> Tensor:
    """Say of pixels of frame 0 how likely their colours are the targets', as a tracker does.

    Without augmentation: for that, neighbouring frames are too alike in a tracker's view.

    Args:
        network: has the sizes.
        frames: (B, T, 3, H, W) uint8.
        walked: where the targets show their colours.
        windows: (B, 4) cxcywh of frame 0.

    Returns:
        (B, 2, n, n) as `mask_beliefs`.
    """
    size = network.search_size
    around = search_windows(network, walked.boxes)
    colours = init_color_model(
        color_bins(crop(frames[:, walked.frame], around, size)),
        boxes_to_crop(walked.boxes, around, size),
        ColorModelConfig(),
    )
    bins = color_bins(crop(frames[:, 0], windows, size))
    return mask_priors(colours, bins, color_likelihood(colours, bins))


def crop_mask_labels(
    network: SiamRPN, masks: Tensor, windows: Tensor, rows: Tensor, chosen: Tensor
) -> Tensor:
    """Cut (B, H, W) masks for (M,) proposals of (B, 4) windows; (M, T, T) of 0 and 1."""
    assert network.mask is not None
    size = (
        network.search_size + 2 * network.config.mask_layout.margin
    )  # masks may reach beyond the crop
    wider = torch.cat((windows[:, :2], windows[:, 2:] * size / network.search_size), dim=-1)
    crops = (crop(masks[:, None], wider, size, fill=MASK_OFF) > 127).float()
    first = network.proposal_cells(chosen) * network.stride
    return slice_windows(crops, rows, first, network.template_size, 0)[:, 0]
