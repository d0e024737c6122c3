"""Everything that a tracker keeps from one frame to the next.

Shapes: B targets, (H, W) the frame.
"""

from dataclasses import dataclass, field

from cyclesiam.arrays import AnyArray
from cyclesiam.tracking.batching import SHARED
from cyclesiam.tracking.color_model import ColorModel
from cyclesiam.tracking.confidence import TargetStatus
from cyclesiam.tracking.mask_boxes import MaskBoxFit
from cyclesiam.tracking.online_filter import OnlineFilter
from cyclesiam.tracking.template_memory import TemplateMemory


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackState:
    """What is known of B targets after a frame; batch first, but for the last two fields.

    Args:
        boxes: (B, 4) xyxy in image pixels, where they are in `frame`.
        templates: what they are searched for.
        filters: what they learned to find themselves by; None where the config switches it off.
        colors: their colors; None where neither scores nor masks need them.
        status: how confident the tracker is, and who is lost.
        mask_fit: how their boxes lie about their masks.
        frame: (1, 3, H, W) uint8, the last frame.
        frame_count: tracked frames since `start`, or since `add` to a tracker without targets.
    """

    boxes: AnyArray
    templates: TemplateMemory
    filters: OnlineFilter | None
    colors: ColorModel | None
    status: TargetStatus
    mask_fit: MaskBoxFit
    frame: AnyArray = field(metadata=SHARED)
    frame_count: int = field(metadata=SHARED)
