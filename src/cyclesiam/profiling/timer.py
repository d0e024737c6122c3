"""Time of a tracking step by stages: a timer that a wrapped network starts and stops."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cyclesiam.arrays import AnyArray
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.tracking.network import Network, SegmentingNetwork, Template

STEP_STAGES = ("crop", "network", "choose", "masks")
STAGES = ("decode", *STEP_STAGES, "step", "paste")
"""Names of the stages:

- decode: read the next frame from the file.
- crop: from the start of a step until the network searches.
- network: inside the network.
- choose: all else that a step does before the network's masks.
- masks: from the network's masks to the end of the step, updates of what targets learn included.
- step: a whole step that is not split, of OpenCV's trackers and of pipelined ones.
- paste: draw boxes and masks into the frame.
"""


@dataclass
class StageTimer:
    """Milliseconds spent in each stage. At any time one stage runs, or none.

    Args:
        finish: waits until the device has finished its work.
        spent: milliseconds so far, for each of `STAGES`.
        stage: the stage that runs; None for none.
    """

    finish: Callable[[], None] = lambda: None
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    stage: str | None = None
    _since: float = 0.0

    def start(self, stage: str | None) -> None:
        """End the stage that runs, and start another; None starts none."""
        self.finish()
        now = time.perf_counter()
        if self.stage is not None:
            self.spent[self.stage] += 1000 * (now - self._since)
        self.stage, self._since = stage, now


class TimedNetwork:
    """A network that starts and stops the stages of a timer, and else behaves like another.

    Args:
        network: computes.
        timer: is in stage `crop` when a step begins.
    """

    def __init__(self, network: Network, timer: StageTimer) -> None:
        self._network, self._timer = network, timer
        self.template_size, self.search_size = network.template_size, network.search_size
        self.stride, self.has_masks = network.stride, network.has_masks

    def embed(self, crops: AnyArray, boxes: AnyArray) -> Template:
        """Embed templates; arguments and result are those of `Network.embed`."""
        stage = self._timer.stage
        self._timer.start("network")
        template = self._network.embed(crops, boxes)
        self._timer.start(stage)
        return template

    def search(self, template: Template, crops: AnyArray) -> Proposals:
        """Search crops; arguments and result are those of `Network.search`."""
        self._timer.start("network")
        proposals = self._network.search(template, crops)
        self._timer.start("choose")
        return proposals

    def segment(self, proposals: Proposals, chosen: AnyArray, color_priors: AnyArray) -> AnyArray:
        """Predict masks; arguments and result are those of `SegmentingNetwork.segment`."""
        assert isinstance(self._network, SegmentingNetwork)
        self._timer.start("network")
        masks = self._network.segment(proposals, chosen, color_priors)
        self._timer.start("masks")
        return masks

    def mask_windows(self, chosen: AnyArray) -> AnyArray:
        """Return the windows of masks; see `SegmentingNetwork.mask_windows`."""
        assert isinstance(self._network, SegmentingNetwork)
        return self._network.mask_windows(chosen)
