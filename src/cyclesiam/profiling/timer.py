"""Where the time of a step goes: a stopwatch that a network starts and stops."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from cyclesiam.geometry.proposals import Proposals
from cyclesiam.tracking.siamese import Network, SegmentingNetwork, Template

STEP_STAGES = ("crop", "network", "choose", "masks")
STAGES = ("decode", *STEP_STAGES, "step", "paste")
"""decode: the next frame from the file. crop: from the start of a step until the network searches.
network: inside the network. choose: whatever else a step does before there are masks. masks: from
the network's masks to the end of the step. step: all of it, of others' trackers and where threads
share it. paste: boxes and masks drawn into the frame."""


@dataclass
class StageTimer:
    """Milliseconds by stage; at any time one stage runs, or none.

    Args:
        finish: waits until the device has done what it was told.
    """

    finish: Callable[[], None] = lambda: None
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    stage: str | None = None
    _since: float = 0.0

    def start(self, stage: str | None) -> None:
        """End the stage that runs, and begin another."""
        self.finish()
        now = time.perf_counter()
        if self.stage is not None:
            self.spent[self.stage] += 1000 * (now - self._since)
        self.stage, self._since = stage, now


class TimedNetwork:
    """A network that tells a stopwatch when it works; else the same.

    Args:
        network: answers.
        watch: is in stage `crop` when a step begins.
    """

    def __init__(self, network: Network, watch: StageTimer) -> None:
        self._network, self._watch = network, watch
        self.template_size, self.search_size = network.template_size, network.search_size
        self.stride, self.has_masks = network.stride, network.has_masks

    def embed(self, crops: Tensor, boxes: Tensor) -> Template:
        """Embed templates, as `Network.embed`."""
        stage = self._watch.stage
        self._watch.start("network")
        template = self._network.embed(crops, boxes)
        self._watch.start(stage)
        return template

    def search(self, template: Template, crops: Tensor) -> Proposals:
        """Search crops, as `Network.search`."""
        self._watch.start("network")
        proposals = self._network.search(template, crops)
        self._watch.start("choose")
        return proposals

    def segment(self, proposals: Proposals, chosen: Tensor, color_priors: Tensor) -> Tensor:
        """Give masks, as `SegmentingNetwork.segment`."""
        assert isinstance(self._network, SegmentingNetwork)
        self._watch.start("network")
        masks = self._network.segment(proposals, chosen, color_priors)
        self._watch.start("masks")
        return masks

    def mask_windows(self, chosen: Tensor) -> Tensor:
        """Give what masks cover, as `SegmentingNetwork.mask_windows`."""
        assert isinstance(self._network, SegmentingNetwork)
        return self._network.mask_windows(chosen)
