"""What a tracker asks of a network: PyTorch's, an exported one, or one of a test.

Shapes: B targets, S pixels on a side of a search crop, T on a side of a template or a mask.
"""

from typing import Protocol, runtime_checkable

from cyclesiam.arrays import AnyArray
from cyclesiam.geometry.proposals import Proposals

Template = tuple[AnyArray, ...]


class Network(Protocol):
    """A network that embeds templates and searches crops for them."""

    @property
    def template_size(self) -> int:
        """Side of a template crop in pixels."""
        ...

    @property
    def search_size(self) -> int:
        """Side of a search crop in pixels."""
        ...

    @property
    def stride(self) -> int:
        """Distance in crop pixels between two cells of the features that `search` returns."""
        ...

    def embed(self, crops: AnyArray, boxes: AnyArray) -> Template:
        """Return the templates of targets.

        Args:
            crops: (B, 3, T, T) in 0..255.
            boxes: (B, 4) xyxy, the targets in crop pixels.

        Returns:
            Whatever `search` needs; opaque, batch first.
        """
        ...

    def search(self, template: Template, crops: AnyArray) -> Proposals:
        """Search (B, 3, S, S) crops in 0..255, each for its own template."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether this is a `SegmentingNetwork`."""
        ...


@runtime_checkable
class SegmentingNetwork(Network, Protocol):
    """A network that predicts masks, too."""

    def segment(self, proposals: Proposals, chosen: AnyArray, color_priors: AnyArray) -> AnyArray:
        """Return the masks of proposals.

        Args:
            proposals: what `search` returned for B crops.
            chosen: (B,) index of one proposal for each crop.
            color_priors: (B, 2, n, n) of every second pixel of the crops, the first included: how
                likely its color is the target's, 0..1. Channel 0 compares with all surroundings,
                channel 1 with the nearby ones.

        Returns:
            (B, T, T) probabilities, 0..1.
        """
        ...

    def mask_windows(self, chosen: AnyArray) -> AnyArray:
        """Return the (B, 4) cxcywh in crop pixels that the masks of (B,) proposals cover."""
        ...
