"""What a walk saw of a frame on its way out, to look at again on its way back.

Shapes: B clips, S pixels on a side of a search crop.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cyclesiam.geometry.crops import boxes_to_crop, boxes_to_image, crop
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.tracking.siamese import Network, SearchResult, Template

# How far search windows are shifted and resized in the published training: a network is used to
# targets that far from the middle of its window, and one as large as its template is still inside.
MAX_SHIFT = 64 / 255  # of the window's side
MAX_ZOOM = 1.18


@runtime_checkable
class FeatureNetwork(Network, Protocol):
    """A network whose search has two halves, of which the first depends on the crop alone."""

    def extract_features(self, crops: Tensor) -> Tensor:
        """Give features of (B, 3, S, S) crops in 0..255, batch first."""
        ...

    def search_features(self, template: Template, features: Tensor) -> Proposals:
        """Search what `extract_features` gave for B templates."""
        ...


@dataclass(frozen=True, slots=True)
class CachedFeatures:
    """What a network saw of B frames, whatever it looked for.

    Args:
        windows: (B, 4) cxcywh in image pixels.
        features: of the crops of these windows.
    """

    windows: Tensor
    features: Tensor


def compute_features(
    network: FeatureNetwork, frames: Tensor, windows: Tensor, earlier: CachedFeatures | None = None
) -> CachedFeatures:
    """See windows of frames, with the features of an earlier view as far as that shows them, too.

    Args:
        network: gives the features.
        frames: (B, 3, H, W) uint8.
        windows: (B, 4) cxcywh in image pixels.
        earlier: of the same frames. A row of it is kept where its window lies within `REACH` of
            the wanted one, and is as large but for a factor of `ZOOM`.
    """
    if earlier is None:
        return CachedFeatures(
            windows, network.extract_features(crop(frames, windows, network.search_size))
        )
    # On a GPU, here the host waits: how many rows there are decides how much is computed.
    rows = (~_nearly_alike(earlier.windows, windows)).nonzero()[:, 0]
    if not len(rows):
        return earlier
    fresh = compute_features(network, frames[rows], windows[rows])
    return CachedFeatures(
        earlier.windows.index_copy(0, rows, fresh.windows),
        earlier.features.index_copy(0, rows, fresh.features),
    )


def search_cached(
    network: FeatureNetwork, template: Template, seen: CachedFeatures, windows: Tensor
) -> SearchResult:
    """Search a view for templates; tell it as if the wanted windows had been searched.

    So the next choice prefers what is near the last prediction, not near the view's middle.

    Args:
        network: compares.
        template: of B targets.
        seen: the view.
        windows: (B, 4) cxcywh in image pixels, around the last predictions.
    """
    proposals = network.search_features(template, seen.features)
    if seen.windows is not windows:
        size = network.search_size
        in_image = boxes_to_image(proposals.boxes, seen.windows[:, None], size)
        proposals = replace(proposals, boxes=boxes_to_crop(in_image, windows[:, None], size))
    return SearchResult(proposals, windows)


def _nearly_alike(seen: Tensor, wanted: Tensor) -> Tensor:
    """Say of (B, 4) windows which are near each other in place and size."""
    shift = (wanted[:, :2] - seen[:, :2]).abs() / seen[:, 2:]
    zoom = (wanted[:, 2:] / seen[:, 2:]).log().abs()
    return torch.cat((shift <= MAX_SHIFT, zoom <= math.log(MAX_ZOOM)), dim=1).all(dim=1)
