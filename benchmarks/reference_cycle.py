"""The cycle as the authors' code runs it: every step as if it were to be learnt from.

Each step of the walk records its graph, and runs all heads and their losses; all of that is kept
until the end of the training step, though only the last step's losses are learnt from. Nothing is
shared between steps. A network with masks computes them at every position of every step, with a
loss at those of the object, as that code does; no refinement. (Of that code this leaves out its
crops around annotated boxes, which it must not have.)

Source: github.com/weihaosky/CycleSiam, `tools/train_cyclesiam.py`.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cyclesiam.geometry.boxes import cxcywh_to_xyxy, encode_boxes, xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_crop
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.models.correlation import cross_correlate_depthwise
from cyclesiam.models.mask_inputs import box_maps
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.siamese import SearchResult, init_targets, localize, look
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


class PlainWalker:
    """Walks like `cycle.find_last`, from which it differs by what it wastes alone.

    Args:
        labels: of the losses of the middle steps.
        device: where it walks.
    """

    def __init__(self, labels: AnchorLabelConfig, device: str | torch.device = "cpu") -> None:
        self.labels = labels
        self.kept: list[Losses] = []  # losses of the middle steps, with their graphs
        self.chance = Generator(device).manual_seed(0)

    def find_last(
        self,
        network: SiamRPN,
        clips: Tensor,
        truth: Tensor,
        turn: int,
        config: SelectionConfig,
        **_: object,
    ) -> CycleTrack:
        """Walk all clips; arguments as `cycle.find_last`. Known boxes are given at the end."""
        boxes = truth[:, 0]
        scores = torch.ones_like(boxes[:, 0])
        at, at_turn = 0, boxes
        self.kept = []
        for frame in palindrome(turn)[1:-1]:
            state = init_targets(network, clips[:, at], boxes)
            observation = look(network, state, clips[:, frame])
            state = localize(state, observation, network.search_size, clips.shape[-2:], config)
            self.kept.append(self._losses(network, observation, state.boxes.detach()))
            boxes, at = state.boxes.detach(), frame
            scores = torch.minimum(scores, state.scores.detach())
            at_turn = boxes if at == turn else at_turn
        known = ~truth[:, : turn + 1].isnan().any(dim=(1, 2))
        return CycleTrack(
            boxes.where(~known[:, None], truth[:, min(turn, 1)]),
            at_turn.where(~known[:, None], truth[:, turn]),
            scores.where(~known, 1.0),
            turn,
        )

    def _losses(self, network: SiamRPN, observation: SearchResult, boxes: Tensor) -> Losses:
        """Compare what a middle step sees with its own choice: no label tells more."""
        targets = boxes_to_crop(boxes, observation.windows, network.search_size)
        labels = label_anchors(network.anchors, targets, self.labels)
        labels = subsample_labels(labels, observation.proposals.scores, self.labels, self.chance)
        logits, offsets, *_ = observation.proposals.response
        wanted = encode_boxes(xyxy_to_cxcywh(targets)[:, None], network.anchors)
        weights = torch.ones_like(boxes[:, 0])
        return total_loss(
            score_loss(logits.float(), labels, weights),
            box_loss(offsets.float(), wanted, labels, weights),
            None if network.mask is None else self._masks(network, observation, targets, labels),
        )

    def _masks(
        self, network: SiamRPN, observation: SearchResult, targets: Tensor, labels: Tensor
    ) -> WeightedSum:
        """Compute masks everywhere, and compare those at object anchors with the filled box."""
        branch, context = network.mask, observation.proposals.response.masks
        assert branch is not None
        features = F.pad(context.features, (branch.padding,) * 4)
        response = cross_correlate_depthwise(branch.adapt_search(features), context.kernel)
        everywhere = branch.coarse(branch.normalise(response)).flatten(2)  # (B, side^2, G^2)
        rows, chosen = (labels == POSITIVE).nonzero(as_tuple=True)
        found = everywhere[rows, :, chosen % network.grid**2]
        corners = targets[rows] - cxcywh_to_xyxy(network.mask_windows(chosen))[:, :2].repeat(1, 2)
        wanted = (box_maps(corners, branch.size)[:, 1::2, 1::2] > 0).float()
        return mask_loss(
            found.reshape(wanted.shape).float(), wanted, torch.ones(len(rows)).to(found)
        )
