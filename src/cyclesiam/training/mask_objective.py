"""The mask loss of a batch: predicted masks of the first frame, against its known masks.

Shapes: B clips of T frames, N anchors, M positions whose masks are compared, S pixels on a side of
a search crop, G pixels on a side of a mask.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from cyclesiam.data.clip_plans import MASK_OFF, MASK_UNKNOWN
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
from cyclesiam.tracking.search import SearchResult, search_windows
from cyclesiam.training.anchor_labels import POSITIVE
from cyclesiam.training.cycle import CycleTrack
from cyclesiam.training.losses import WeightedSum, mask_loss

BOX_JITTER = 0.15  # largest shift of a side, over the box size: the mask head gets no exact box


def mask_objective(
    network: SiamRPN,
    frames: Tensor,
    masks: Tensor | None,
    track: CycleTrack,
    result: SearchResult,
    *,
    labels: Tensor,
    weights: Tensor,
    max_positions: int,
    rng: Rng,
) -> WeightedSum:
    """Compare masks at a few positive anchors with the masks of frame 0, where these are known.

    Args:
        network: gave the result; the loss of one without masks is 0.
        frames: (B, T, 3, H, W) uint8.
        masks: (B, H, W) uint8 of frame 0, as in `Batch.masks`; None where all are unknown.
        track: where the templates were cropped.
        result: of the search of frame 0.
        labels: (B, N) of `label_anchors`.
        weights: (B,) weight of each clip.
        max_positions: largest number of anchors of a clip; 0 for none.
        rng: chooses anchors and shifts boxes.
    """
    zero = WeightedSum(weights.new_zeros(()), weights.new_zeros(()))
    if network.mask is None or masks is None or not max_positions:
        return zero
    known = (masks[:, 0, 0] != MASK_UNKNOWN) & (weights > 0)
    draw = rand_rows(rng, *labels.shape)
    shifts = BOX_JITTER * (2 * rand_rows(rng, len(labels), 4 * max_positions) - 1)
    shifts = shifts.reshape(len(labels), max_positions, 4)
    draw = draw.masked_fill((labels != POSITIVE) | ~known[:, None], -1)
    best, index = draw.topk(max_positions, dim=1)
    rows, columns = (best >= 0).nonzero(as_tuple=True)
    if len(rows) < 2 and not dist.is_initialized():  # batch norm needs two positions
        return zero
    chosen = index[rows, columns]
    boxes = result.proposals.boxes.detach()[rows, chosen]
    sizes = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    logits = network.mask_logits(
        result.proposals.response,
        color_priors(network, frames, track, result.windows),
        rows,
        chosen,
        boxes + sizes * shifts[rows, columns],
    )
    expected = crop_mask_labels(network, masks, result.windows, rows, chosen)
    assert logits.coarse is not None
    coarse = mask_loss(logits.coarse.float(), expected[:, 1::2, 1::2], weights[rows])
    sharp = mask_loss(logits.sharp.float(), expected, weights[rows])
    return WeightedSum(coarse.sum + sharp.sum, sharp.weight)


@torch.no_grad()
def color_priors(network: SiamRPN, frames: Tensor, track: CycleTrack, windows: Tensor) -> Tensor:
    """Return how likely each pixel of frame 0 has the target's colors, as a tracker computes it.

    Crops are not augmented: neighboring frames of a video have nearly the same colors.

    Args:
        network: gives the sizes of crops.
        frames: (B, T, 3, H, W) uint8.
        track: color models are made at its last boxes.
        windows: (B, 4) cxcywh searched in frame 0.

    Returns:
        (B, 2, n, n) as of `mask_priors`.
    """
    size = network.search_size
    around = search_windows(network, track.template_boxes)
    colors = init_color_model(
        color_bins(crop(frames[:, track.template_frame], around, size)),
        boxes_to_crop(track.template_boxes, around, size),
        ColorModelConfig(),
    )
    bins = color_bins(crop(frames[:, 0], windows, size))
    return mask_priors(colors, bins, color_likelihood(colors, bins))


def crop_mask_labels(
    network: SiamRPN, masks: Tensor, windows: Tensor, rows: Tensor, chosen: Tensor
) -> Tensor:
    """Crop known masks to what the network predicts at some proposals.

    Args:
        network: gives sizes and the places of proposals.
        masks: (B, H, W) uint8 of frame 0.
        windows: (B, 4) cxcywh searched in frame 0.
        rows: (M,) the clip of each proposal.
        chosen: (M,) proposals.

    Returns:
        (M, G, G) of 0 and 1.
    """
    assert network.mask is not None
    size = network.search_size + 2 * network.config.mask_layout.margin  # masks may leave the crop
    wider = torch.cat((windows[:, :2], windows[:, 2:] * size / network.search_size), dim=-1)
    crops = (crop(masks[:, None], wider, size, fill=MASK_OFF) > 127).float()
    first = network.proposal_cells(chosen) * network.stride
    return slice_windows(crops, rows, first, network.template_size, 0)[:, 0]
