"""The cycle as the authors' code runs it: every step as if it were trained.

Each tracking step records its graph, and runs all heads and their losses. All of that is kept
until the end of the training step, though only the last step's losses are used. A network with
masks computes them at every position of every step, with a loss at positive anchors, as that code
does; no refinement. The crops around annotated boxes of that code are left out: they need labels.

Source: github.com/weihaosky/CycleSiam, `tools/train_cyclesiam.py`.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cyclesiam.geometry.boxes import cxcywh_to_xyxy, encode_boxes, xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_crop
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.models.correlation import cross_correlate_depthwise
from cyclesiam.models.mask_inputs import box_maps
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.search import SearchResult, init_targets, localize, search_frame
from cyclesiam.training.anchor_labels import (
    POSITIVE,
    AnchorLabelConfig,
    label_anchors,
    subsample_labels,
)
from cyclesiam.training.cycle import CycleTrack, palindrome
from cyclesiam.training.losses import (
    Losses,
    WeightedSum,
    box_loss,
    mask_loss,
    score_loss,
    total_loss,
)


class ReferenceCycle:
    """Stands in for `cycle.track_cycle`; results are the same, the cost is not.

    Args:
        labels: of the losses of tracking steps.
        device: where it tracks.
    """

    def __init__(self, labels: AnchorLabelConfig, device: str | torch.device = "cpu") -> None:
        self.labels = labels
        self.kept: list[Losses] = []  # losses of tracking steps, with their graphs
        self.rng = Generator(device).manual_seed(0)

    def track_cycle(
        self, network: SiamRPN, clips: Tensor, boxes: Tensor, turn: int, config: SelectionConfig
    ) -> CycleTrack:
        """Track all clips, see `cycle.track_cycle`; known boxes are put in at the end."""
        last = boxes[:, 0]
        tracked, scores = [last], torch.ones_like(last[:, 0])
        self.kept = []
        path = palindrome(turn)[:-1] or [0]
        for at, frame in pairwise(path):
            state = init_targets(network, clips[:, at], last)
            result, _ = search_frame(network, state, clips[:, frame])
            targets = localize(last, result, config)
            last = targets.boxes.detach()
            self.kept.append(self._losses(network, result, last))
            scores = torch.minimum(scores, targets.scores.detach())
            tracked.append(last)
        known = ~boxes[:, : turn + 1].isnan().any(dim=(1, 2))
        return CycleTrack(
            torch.stack(tracked, dim=1).where(~known[:, None, None], boxes[:, path]),
            scores.where(~known, 1.0),
            turn,
        )

    def _losses(self, network: SiamRPN, result: SearchResult, boxes: Tensor) -> Losses:
        """Compare the proposals of a tracking step with its own selection."""
        targets = boxes_to_crop(boxes, result.windows, network.search_size)
        labels = label_anchors(network.anchors, targets, self.labels)
        labels = subsample_labels(labels, result.proposals.scores, self.labels, self.rng)
        logits, offsets, *_ = result.proposals.response
        expected = encode_boxes(xyxy_to_cxcywh(targets)[:, None], network.anchors)
        weights = torch.ones_like(boxes[:, 0])
        return total_loss(
            score_loss(logits.float(), labels, weights),
            box_loss(offsets.float(), expected, labels, weights),
            None if network.mask is None else self._masks(network, result, targets, labels),
        )

    def _masks(
        self, network: SiamRPN, result: SearchResult, targets: Tensor, labels: Tensor
    ) -> WeightedSum:
        """Compute masks everywhere, and compare those at positive anchors with the filled box."""
        head, inputs = network.mask, result.proposals.response.masks
        assert head is not None
        features = F.pad(inputs.features, (head.padding,) * 4)
        response = cross_correlate_depthwise(head.adapt_search(features), inputs.kernel)
        everywhere = head.coarse(head.normalise(response)).flatten(2)  # (B, side^2, G^2)
        rows, chosen = (labels == POSITIVE).nonzero(as_tuple=True)
        masks = everywhere[rows, :, chosen % network.config.response_size**2]
        corners = targets[rows] - cxcywh_to_xyxy(network.mask_windows(chosen))[:, :2].repeat(1, 2)
        expected = (box_maps(corners, head.size)[:, 1::2, 1::2] > 0).float()
        return mask_loss(
            masks.reshape(expected.shape).float(), expected, torch.ones(len(rows)).to(masks)
        )
