"""The network: a Siamese region-proposal network over any backbone.

Shapes: B targets, K anchors, G x G response cells, N = K * G * G proposals.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cyclesiam.geometry.anchors import make_anchors
from cyclesiam.geometry.boxes import cxcywh_to_xyxy, decode_boxes
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.models.backbones import Backbone, PyramidBackbone, ResNet50, SmallBackbone
from cyclesiam.models.config import TEMPLATE_CELLS, ConfiguredNetwork, NetworkConfig
from cyclesiam.models.heads import DepthwiseHead, Modulation, PixelwiseHead, ShapePrior
from cyclesiam.models.mask_head import MaskHead, MaskLogits
from cyclesiam.models.mask_windows import MaskFeatures
from cyclesiam.models.numpy_interface import accepts_numpy


class SearchFeatures(NamedTuple):
    """Search crops and what the backbone computed of them.

    Args:
        crops: (B, 3, S, S) in 0..255.
        stages: stride to maps of the backbone's stage.
    """

    crops: Tensor
    stages: Mapping[int, Tensor]


class HeadOutputs(NamedTuple):
    """What the heads predict, not yet decoded to boxes: training compares it with labels.

    Args:
        logits: (B, N, 2) of background and object.
        offsets: (B, N, 4) from the anchors, see `encode_boxes`.
        features: (B, C, H, W) of the search crop.
        masks: what the mask head reads; None without that head, or without the crops.
    """

    logits: Tensor
    offsets: Tensor
    features: Tensor
    masks: MaskFeatures | None = None


class SiamRPN(ConfiguredNetwork, nn.Module):
    """Find the target of a template in a search crop.

    The methods that a tracker calls (`embed`, `search`, `segment`, `mask_windows`) also take
    NumPy arrays, if the network is on the CPU. `models.checkpoints` reads and writes weights.

    Source: CycleSiam (Yuan et al., IROS 2020), section III.B; SiamRPN++ (Li et al., CVPR 2019).
    """

    anchors: Tensor  # (N, 4) cxcywh in crop pixels
    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.normalizes_input = True  # False once colors are normalized by the backbone's weights
        self.backbone = make_backbone(config)
        K, channels = len(config.anchors.ratios), self.backbone.channels
        hidden, adapter = config.hidden_channels, config.adapter_kernel
        self.score = DepthwiseHead(channels, hidden, 2 * K, adapter)
        if config.box_head == "pixelwise":
            box_hidden = config.box_channels
            self.box = PixelwiseHead(channels, box_hidden, 4 * K, TEMPLATE_CELLS)
        else:
            box_hidden = hidden
            self.box = DepthwiseHead(channels, hidden, 4 * K, adapter)
        self.shape_prior = ShapePrior((hidden, box_hidden)) if config.shape_prior else None
        self.mask = _make_mask_head(config, self.backbone) if config.masks else None
        anchors = make_anchors(config.anchors, config.response_size, config.search_size)
        self.register_buffer("anchors", torch.from_numpy(anchors), persistent=False)
        for name in ("mean", "std"):
            statistic = torch.tensor(getattr(self.backbone, name)).reshape(3, 1, 1)
            self.register_buffer(name, statistic, persistent=False)

    @accepts_numpy
    def embed(self, crops: Tensor, boxes: Tensor) -> tuple[Tensor, ...]:
        """Embed templates.

        Args:
            crops: (B, 3, template_size, template_size) in 0..255.
            boxes: (B, 4) xyxy, the targets in crop pixels.

        Returns:
            The kernels of the score and box heads; with a shape prior, their modulations; with
            masks, the kernels of the mask head.
        """
        features = self.extract_features(crops)
        margin = (features.shape[-1] - TEMPLATE_CELLS) // 2
        within = slice(margin, margin + TEMPLATE_CELLS)
        center = features[..., within, within]
        kernels = [self.score.template_kernel(center), self.box.template_kernel(center)]
        if self.shape_prior is not None:
            # A square target fills half of its template: its size is the unit.
            sizes = (boxes[:, 2:] - boxes[:, :2]) / (self.template_size / 2)
            kernels += self.shape_prior(sizes.clamp(min=1e-3).log())
        if self.mask is not None:
            kernels.append(self.mask.template_kernel(center))
        return tuple(kernels)

    def extract_features(self, crops: Tensor) -> Tensor:
        """Return the (B, C, H, W) features of (B, 3, S, S) crops, 0..255."""
        return self._forward_stages(crops)[0]

    def _forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        if self.normalizes_input:
            crops = (crops - self.mean) / self.std
        return self.backbone.forward_stages(crops.contiguous(memory_format=torch.channels_last))

    def run_heads(
        self, template: tuple[Tensor, ...], features: Tensor, searched: SearchFeatures | None = None
    ) -> HeadOutputs:
        """Compare templates with the features of search crops.

        Args:
            template: of B targets, from `embed`.
            features: (B, C, H, W) of the search crops.
            searched: the crops and the backbone's stages of them, which masks need.
        """
        score_kernel, box_kernel, *rest = template
        score_modulation = box_modulation = None
        if self.shape_prior is not None:
            score_modulation, box_modulation = (_gain_and_shift(part) for part in rest[:2])
        box_features = None
        if isinstance(self.box, PixelwiseHead):
            box_features = self.box.correlate(box_kernel, features)
            offsets = self.box.predict_maps(box_features, box_modulation)
        else:
            offsets = self.box(box_kernel, features, box_modulation)
        masks = None
        if self.mask is not None and searched is not None:
            masks = MaskFeatures(rest[-1], *searched, features, box_features)
        return HeadOutputs(
            _per_proposal(self.score(score_kernel, features, score_modulation), 2),
            _per_proposal(offsets, 4),
            features,
            masks,
        )

    @accepts_numpy
    def search(self, template: tuple[Tensor, ...], crops: Tensor) -> Proposals:
        """Search crops for templates.

        Args:
            template: of B targets, from `embed`.
            crops: (B, 3, search_size, search_size) in 0..255.

        Returns:
            Boxes in crop pixels and their probabilities; `segment` takes them.
        """
        features, stages = self._forward_stages(crops)
        return self._propose(self.run_heads(template, features, SearchFeatures(crops, stages)))

    @accepts_numpy
    def segment(self, proposals: Proposals, chosen: Tensor, color_priors: Tensor) -> Tensor:
        """Return the masks of chosen proposals.

        Args:
            proposals: what `search` returned for B crops.
            chosen: (B,) one proposal of each crop.
            color_priors: (B, 2, n, n), see `MaskHead.forward`.

        Returns:
            (B, T, T) probabilities, 0..1, of the crop pixels that `mask_windows` names.

        Raises:
            ValueError: the network has no masks, or the proposals hold none.

        Source: SiamMask (Wang et al., CVPR 2019), section 3.2.
        """
        rows = torch.arange(len(chosen), device=chosen.device)
        boxes = proposals.boxes[rows, chosen]
        outputs = proposals.response
        logits = self.mask_logits(outputs, color_priors, rows, chosen, boxes, coarse=False)
        return logits.sharp.float().sigmoid()

    def mask_logits(
        self,
        outputs: HeadOutputs,
        color_priors: Tensor,
        rows: Tensor,
        chosen: Tensor,
        boxes: Tensor,
        *,
        coarse: bool = True,
    ) -> MaskLogits:
        """Return the masks of M proposals before the sigmoid.

        Args:
            outputs: of the heads, for B crops.
            color_priors: (B, 2, n, n), see `MaskHead.forward`.
            rows: (M,) which crop.
            chosen: (M,) which proposal of that crop.
            boxes: (M, 4) xyxy in crop pixels, of the proposals.
            coarse: whether to return the coarse masks, too.

        Raises:
            ValueError: the network has no masks, or the outputs hold none.
        """
        if self.mask is None or outputs.masks is None:
            raise ValueError(
                "these proposals have no masks; search crops with a network that has a mask head"
            )
        cells = self.proposal_cells(chosen)
        return self.mask(outputs.masks, color_priors, rows, cells, boxes, coarse=coarse)

    def _propose(self, outputs: HeadOutputs) -> Proposals:
        boxes = cxcywh_to_xyxy(decode_boxes(outputs.offsets.float(), self.anchors))
        background, target = outputs.logits.float().unbind(dim=-1)
        scores = (target - background).sigmoid()  # equals a softmax of two, at half the cost
        return Proposals(boxes, scores, outputs, outputs.features)


def _make_mask_head(config: NetworkConfig, backbone: Backbone) -> MaskHead:
    return MaskHead(
        backbone.channels,
        backbone.stage_channels,
        config.box_channels if config.box_head == "pixelwise" else 0,
        config.mask_channels,
        config.template_size,
        config.adapter_kernel,
    )


def make_backbone(config: NetworkConfig) -> Backbone:
    """Build the backbone that a config names, with random weights."""
    if config.backbone == "small":
        return SmallBackbone()
    if config.backbone == "pyramid":
        return PyramidBackbone()
    return ResNet50(wide_shortcuts=config.wide_shortcuts)


def _gain_and_shift(modulation: Tensor) -> Modulation:
    gain, shift = modulation.unbind(dim=1)
    return gain, shift


def _per_proposal(maps: Tensor, numbers: int) -> Tensor:
    """Turn (B, K * numbers, G, G) maps into (B, K * G * G, numbers) in `make_anchors`' order."""
    B, channels, G, _ = maps.shape
    maps = maps.reshape(B, channels // numbers, numbers, G * G)
    return maps.transpose(-1, -2).reshape(B, -1, numbers)
