"""The network: a Siamese region-proposal network over any backbone.

Shapes: B targets, K anchors, G x G response positions, N = K * G * G proposals.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from cyclesiam.geometry.anchors import make_anchors
from cyclesiam.geometry.boxes import cxcywh_to_xyxy, decode_boxes
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.models.backbones import Backbone, ResNet50, SmallBackbone
from cyclesiam.models.config import TEMPLATE_CELLS, NetworkConfig
from cyclesiam.models.heads import DepthwiseHead, Modulation, PixelwiseHead, ShapePrior
from cyclesiam.models.mask_head import MaskHead, MaskLogits
from cyclesiam.models.mask_windows import MaskFeatures
from cyclesiam.models.numpy_interface import accepts_numpy


class SearchFeatures(NamedTuple):
    """(B, 3, S, S) crops, 0..255, and the backbone's stages of them, by stride."""

    crops: Tensor
    stages: Mapping[int, Tensor]


class HeadOutputs(NamedTuple):
    """What the heads say before it is read as boxes: what training compares with labels.

    Args:
        logits: (B, N, 2) background and object.
        offsets: (B, N, 4) from the anchors, as `encode_boxes`.
        features: (B, C, H, W) of the search crop, that they were read from.
        masks: what masks are read from; None of a network without, or where only features of the
            crop were given.
    """

    logits: Tensor
    offsets: Tensor
    features: Tensor
    masks: MaskFeatures | None = None


class SiamRPN(nn.Module, PyTorchModelHubMixin, library_name="cyclesiam", license="mit"):
    """Find the target of a template in a search crop.

    What a tracker asks, `embed`, `search`, `segment` and `mask_windows`, may be asked with NumPy's
    arrays, too, of a network on the CPU.

    `from_pretrained` and `save_pretrained` are the hub's; `models.checkpoints` adds checks that
    explain themselves, and the record of where weights come from.

    Source: CycleSiam (Yuan et al., IROS 2020), section III.B; SiamRPN++ (Li et al., CVPR 2019).
    """

    anchors: Tensor  # (N, 4) cxcywh in crop pixels
    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.normalizes_input = True  # colours; False once that is folded into the backbone
        self._hub_mixin_config = config  # so that a default is written out, too
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
        self.mask = _make_mask_branch(config, self.backbone) if config.masks else None
        anchors = make_anchors(config.anchors, config.response_size, config.search_size)
        self.register_buffer("anchors", torch.from_numpy(anchors), persistent=False)
        for name in ("mean", "std"):
            statistic = torch.tensor(getattr(self.backbone, name)).reshape(3, 1, 1)
            self.register_buffer(name, statistic, persistent=False)

    @property
    def template_size(self) -> int:
        """Side of the crops that `embed` takes, in pixels."""
        return self.config.template_size

    @property
    def search_size(self) -> int:
        """Side of the crops that `search` takes, in pixels."""
        return self.config.search_size

    @property
    def stride(self) -> int:
        """Crop pixels from one cell of the features to the next."""
        return self.config.anchors.stride

    @property
    def grid(self) -> int:
        """Positions on a side of the response."""
        return self.config.response_size

    @property
    def has_masks(self) -> bool:
        """Whether `segment` can be called."""
        return self.mask is not None

    @accepts_numpy
    def embed(self, crops: Tensor, boxes: Tensor) -> tuple[Tensor, ...]:
        """Embed templates.

        Args:
            crops: (B, 3, 127, 127) in 0..255.
            boxes: (B, 4) xyxy, the targets in crop pixels.

        Returns:
            The kernels of score and box, with a shape prior their modulations, and with masks
            the kernels of these.
        """
        features = self.extract_features(crops)
        margin = (features.shape[-1] - TEMPLATE_CELLS) // 2
        within = slice(margin, margin + TEMPLATE_CELLS)
        middle = features[..., within, within]
        kernels = [self.score.template_kernel(middle), self.box.template_kernel(middle)]
        if self.shape_prior is not None:
            # A square target fills half of its template: its size is the unit.
            sizes = (boxes[:, 2:] - boxes[:, :2]) / (self.template_size / 2)
            kernels += self.shape_prior(sizes.clamp(min=1e-3).log())
        if self.mask is not None:
            kernels.append(self.mask.template_kernel(middle))
        return tuple(kernels)

    def extract_features(self, crops: Tensor) -> Tensor:
        """Give the (B, C, H, W) features of (B, 3, S, S) crops, 0..255: what `compare` takes."""
        return self._embed(crops)[0]

    def _embed(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        if self.normalizes_input:
            crops = (crops - self.mean) / self.std
        return self.backbone.forward_stages(crops.contiguous(memory_format=torch.channels_last))

    def run_heads(
        self, template: tuple[Tensor, ...], features: Tensor, seen: SearchFeatures | None = None
    ) -> HeadOutputs:
        """Compare templates with search crops; give the heads' raw answer.

        Args:
            template: as `embed` gives it.
            features: of the crops.
            seen: the crops, and the backbone's stages of them; masks need both.
        """
        score_kernel, box_kernel, *rest = template
        score_modulation = box_modulation = None
        if self.shape_prior is not None:
            score_modulation, box_modulation = (_gain_and_shift(part) for part in rest[:2])
        extent = None
        if isinstance(self.box, PixelwiseHead):
            extent = self.box.correlate(box_kernel, features)
            offsets = self.box.predict_maps(extent, box_modulation)
        else:
            offsets = self.box(box_kernel, features, box_modulation)
        masks = None
        if self.mask is not None and seen is not None:
            masks = MaskFeatures(rest[-1], *seen, features, extent)
        return HeadOutputs(
            _per_proposal(self.score(score_kernel, features, score_modulation), 2),
            _per_proposal(offsets, 4),
            features,
            masks,
        )

    @accepts_numpy
    def search(self, template: tuple[Tensor, ...], crops: Tensor) -> Proposals:
        """Search (B, 3, 255, 255) crops, 0..255, for templates; as `compare` answers.

        Only what `search` gives can be segmented.
        """
        features, stages = self._embed(crops)
        return self._propose(self.run_heads(template, features, SearchFeatures(crops, stages)))

    @accepts_numpy
    def segment(self, proposals: Proposals, chosen: Tensor, beliefs: Tensor) -> Tensor:
        """Give the masks of chosen proposals.

        Args:
            proposals: what `search` gave of B crops.
            chosen: (B,) one proposal of each.
            beliefs: (B, 2, n, n), of every second pixel of the crops from the first on: how likely
                its colour is the target's, 1, or its surroundings', 0; against all of them, and
                against those nearby.

        Returns:
            (B, T, T) probabilities, 0..1, for the crop pixels around the proposals' `positions`.

        Raises:
            ValueError: the network has no masks, or the proposals come from features alone.

        Source: SiamMask (Wang et al., CVPR 2019), section 3.2.
        """
        rows = torch.arange(len(chosen), device=chosen.device)
        boxes = proposals.boxes[rows, chosen]
        logits = self.mask_logits(proposals.response, beliefs, rows, chosen, boxes, coarse=False)
        return logits.sharp.float().sigmoid()

    def mask_logits(
        self,
        response: HeadOutputs,
        beliefs: Tensor,
        rows: Tensor,
        chosen: Tensor,
        boxes: Tensor,
        *,
        coarse: bool = True,
    ) -> MaskLogits:
        """Give the raw masks of M proposals, (M,) chosen of (M,) rows; else as `segment`.

        Args:
            response: what proposals were read from.
            beliefs: see `segment`.
            rows: which crop.
            chosen: which proposal of it.
            boxes: (M, 4) xyxy in crop pixels, of the proposals.
            coarse: give the coarse masks, too.
        """
        if self.mask is None or response.masks is None:
            raise ValueError("these proposals have no masks: search crops, with a network that has")
        positions = self.proposal_cells(chosen)
        return self.mask(response.masks, beliefs, rows, positions, boxes, coarse=coarse)

    def proposal_cells(self, chosen: Tensor) -> Tensor:
        """Give the (M, 2) column and row in the response of (M,) proposals."""
        return self.config.proposal_cells(chosen)

    def mask_windows(self, chosen: Tensor) -> Tensor:
        """Give the (M, 4) cxcywh that the masks of (M,) proposals cover, in crop pixels."""
        return self.config.mask_windows(chosen)

    def search_features(self, template: tuple[Tensor, ...], features: Tensor) -> Proposals:
        """Search the features of (B, 3, 255, 255) crops for templates.

        Returns:
            Decoded boxes in crop pixels and object probabilities; their `response` is the
            `Response` that they were read from.
        """
        return self._propose(self.run_heads(template, features))

    def _propose(self, response: HeadOutputs) -> Proposals:
        boxes = cxcywh_to_xyxy(decode_boxes(response.offsets.float(), self.anchors))
        background, ours = response.logits.float().unbind(dim=-1)
        scores = (ours - background).sigmoid()  # what a softmax of two gives, at half the price
        return Proposals(boxes, scores, response, response.features)


def _make_mask_branch(config: NetworkConfig, backbone: Backbone) -> MaskHead:
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
    return ResNet50(wide_shortcuts=config.wide_shortcuts)


def _gain_and_shift(modulation: Tensor) -> Modulation:
    gain, shift = modulation.unbind(dim=1)
    return gain, shift


def _per_proposal(maps: Tensor, numbers: int) -> Tensor:
    """Turn (B, K * numbers, G, G) maps into (B, K * G * G, numbers) in `make_anchors`' order."""
    B, channels, G, _ = maps.shape
    maps = maps.reshape(B, channels // numbers, numbers, G * G)
    return maps.transpose(-1, -2).reshape(B, -1, numbers)
