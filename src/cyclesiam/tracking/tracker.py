"""The tracker that people use: pictures in, boxes out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from cyclesiam.errors import TargetError
from cyclesiam.geometry.boxes import xywh_to_xyxy
from cyclesiam.geometry.masks import Mask, tell_apart
from cyclesiam.geometry.proposals import ChoiceConfig
from cyclesiam.tracking.colour_model import ColourConfig
from cyclesiam.tracking.confidence import (
    ConfidenceConfig,
    Standing,
    begin_standing,
    believe_boxes,
    judge,
    name_states,
)
from cyclesiam.tracking.exclusion import keep_apart
from cyclesiam.tracking.given_boxes import check_box
from cyclesiam.tracking.online_filter import FilterConfig
from cyclesiam.tracking.recovery import RecoveryConfig, find_again
from cyclesiam.tracking.results import MaskSource, TrackResult
from cyclesiam.tracking.rows import join_rows, keep_rows
from cyclesiam.tracking.segmentation import MaskConfig, judge_masks, place_masks, see_masks
from cyclesiam.tracking.siamese import (
    Network,
    Observation,
    SegmentingNetwork,
    TargetState,
    keep_look,
    learn,
    learn_look,
    look,
    settle,
    settle_on,
    start,
    teach,
)
from cyclesiam.tracking.template_memory import Memory, MemoryConfig, begin_memory, keep_looks


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerConfig:
    """How a tracker reads its network."""

    choice: ChoiceConfig = field(default_factory=ChoiceConfig)
    """Penalty, window and smoothing."""
    online: FilterConfig = field(default_factory=FilterConfig)
    """What each target learns for itself on the way."""
    colour: ColourConfig = field(default_factory=ColourConfig)
    """What the colours of each target say."""
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    """How far each target's present look counts."""
    mask: MaskConfig = field(default_factory=MaskConfig)
    """How masks are read."""
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    """What is believed, and when a target is lost."""
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    """How lost targets are looked for."""
    most_shared: float = 0.6
    """Overlap of two targets' boxes above which they chose one thing, and one chooses again."""

    def __post_init__(self) -> None:
        if not 0 < self.most_shared <= 1:
            raise ValueError(f"most_shared must lie in 0..1, got {self.most_shared}")


@dataclass(frozen=True, slots=True)
class Followed:
    """All that is known of B targets, batch first."""

    targets: TargetState
    memory: Memory
    standing: Standing


class Tracker:
    """Follow one or more targets from their boxes in one frame.

    `init` and `update` are OpenCV's and GOT-10k's verbs, for one target:

        tracker = Tracker(network)
        tracker.init(first_frame, (x, y, w, h))
        for frame in frames:
            result = tracker.update(frame)

    `start` and `step` are the same for several; `add`, `remove` and `correct` change which, at any
    frame.

    Args:
        network: embeds templates and searches crops.
        config: how its answers are read.
        device: where the network's parameters are; frames are sent there once.
    """

    def __init__(
        self,
        network: Network,
        config: TrackerConfig | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.network = network
        self.config = config or TrackerConfig()
        self.device = torch.device(device)
        self._followed: Followed | None = None
        self._last: Tensor | None = None  # the frame at hand
        self._ids: list[int] = []  # of the rows
        self._names: dict[int, str] = {}
        self._next_id = 1
        self._steps = 0  # since the targets were started

    def init(self, image: np.ndarray, box_xywh: Sequence[float]) -> None:
        """Begin to follow one target, and forget all others.

        Args:
            image: (H, W, 3) uint8 RGB.
            box_xywh: its left, top, width and height in pixels.

        Raises:
            TargetError: the box is not four finite numbers, is empty, or lies outside the image.
            ValueError: the image is not (H, W, 3) uint8.
        """
        self.start(image, [box_xywh])

    def update(self, image: np.ndarray) -> TrackResult:
        """Follow the first target into the next frame, (H, W, 3) uint8 RGB."""
        return self.step(image)[0]

    @property
    def gives_masks(self) -> bool:
        """Whether results have masks."""
        return self.config.mask.wanted and self.network.has_masks

    @torch.inference_mode()
    def start(
        self,
        image: np.ndarray,
        boxes_xywh: Sequence[Sequence[float]],
        masks: Sequence[np.ndarray] | None = None,
    ) -> tuple[TrackResult, ...]:
        """Begin to follow several targets; they are numbered from 1.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes_xywh: left, top, width and height of each, in pixels.
            masks: (H, W) of each, not zero on its pixels, where these are known: its colours are
                then learnt from them.

        Raises:
            TargetError, ValueError: as `init`.
        """
        frame = self._frame(image)
        self._followed = followed = self._begin(frame, boxes_xywh, masks)
        targets, self._steps = followed.targets, 0
        self._last, self._ids = frame, list(range(1, len(targets.boxes) + 1))
        self._next_id, self._names = len(self._ids) + 1, {}
        if not self.gives_masks:
            return self._results(followed)
        seen = look(self.network, targets, frame)  # where the targets are known: their masks
        chosen = settle_on(targets, seen, self.network.search_size)
        return self._results(followed, self._masks(chosen, seen, frame))

    @torch.inference_mode()
    def add(
        self,
        box_xywh: Sequence[float],
        *,
        name: str | None = None,
        image: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> int:
        """Begin to follow one more target, beside those that are followed already.

        Args:
            box_xywh: its left, top, width and height in pixels.
            name: what its results are to be called, beside its number.
            image: (H, W, 3) uint8 RGB, the present frame; the last one seen where not given.
            mask: (H, W), not zero on its pixels, where these are known.

        Returns:
            Its number, which no other target had or will have.

        Raises:
            TargetError: no frame was seen yet, or as `init`.
            ValueError: as `init`.
        """
        frame = self._present(image)
        new = self._begin(frame, [box_xywh], None if mask is None else [mask])
        if self._followed is None:
            self._followed, self._steps = new, 0
        else:
            self._followed = join_rows(_unchosen(self._followed), new)
        self._last = frame
        self._ids.append(self._next_id)
        if name is not None:
            self._names[self._next_id] = name
        self._next_id += 1
        return self._ids[-1]

    def remove(self, id: int) -> None:
        """Follow a target no longer; the others keep their numbers.

        Raises:
            TargetError: there is no such target.
        """
        row = self._row(id)
        del self._ids[row]
        self._names.pop(id, None)
        if not self._ids:
            self._followed = None
            return
        rows = torch.tensor([n for n in range(len(self._ids) + 1) if n != row], device=self.device)
        self._followed = keep_rows(self._followed, rows)

    @torch.inference_mode()
    def correct(
        self, id: int, box_xywh: Sequence[float], *, image: np.ndarray | None = None
    ) -> None:
        """Say where a target is: it begins anew there, under its old number.

        Args:
            id: its number.
            box_xywh: where it is in the present frame.
            image: that frame; the last one seen where not given.

        Raises:
            TargetError: there is no such target, or as `init`.
            ValueError: as `init`.
        """
        row, frame = self._row(id), self._present(image)
        new = self._begin(frame, [box_xywh])
        count = len(self._ids)
        rows = torch.tensor([count if n == row else n for n in range(count)], device=self.device)
        assert self._followed is not None
        self._followed = keep_rows(join_rows(_unchosen(self._followed), new), rows)
        self._last = frame

    @property
    def ids(self) -> tuple[int, ...]:
        """The numbers of the targets that are followed, in the order of results."""
        return tuple(self._ids)

    def _begin(
        self,
        frame: Tensor,
        boxes_xywh: Sequence[Sequence[float]],
        masks: Sequence[np.ndarray] | None = None,
    ) -> Followed:
        """Give targets as they are started in a frame."""
        boxes = [check_box(box, (frame.shape[-2], frame.shape[-1])) for box in boxes_xywh]
        if not boxes:
            raise TargetError("there is no box to start from: give at least one x, y, w, h")
        corners = xywh_to_xyxy(torch.tensor(boxes, dtype=torch.float32, device=self.device))
        targets = start(self.network, frame, corners)
        if self.config.online.share:
            targets = learn(self.network, targets, frame, self.config.online)
        if self.config.colour.share or self.gives_masks:
            given = None if masks is None else self._given(masks)
            targets = learn_look(self.network, targets, frame, self.config.colour, given)
        return Followed(targets, begin_memory(targets), begin_standing(targets))

    def _present(self, image: np.ndarray | None) -> Tensor:
        if image is not None:
            return self._frame(image)
        if self._last is None:
            raise TargetError("no frame was seen yet: give the image that the box is in")
        return self._last

    def _row(self, id: int) -> int:
        if id not in self._ids:
            known = ", ".join(map(str, self._ids)) or "none"
            raise TargetError(f"there is no target {id}; there are: {known}")
        return self._ids.index(id)

    @torch.inference_mode()
    def step(self, image: np.ndarray) -> tuple[TrackResult, ...]:
        """Follow all targets into the next frame, (H, W, 3) uint8 RGB.

        Returns:
            Their results, in the order of `ids`; none where all were removed.

        Raises:
            TargetError: no target was ever started.
        """
        if self._last is None:
            raise TargetError("a target must be set with .init(image, box) before .update(image)")
        self._last = frame = self._frame(image)
        if self._followed is None:
            return ()
        network, config = self.network, self.config
        before, standing = find_again(
            network,
            self._followed.targets,
            self._followed.standing,
            frame,
            config.choice,
            config.confidence,
            config.recovery,
        )
        seen = look(network, before, frame)
        sizes = network.search_size, frame.shape[-2:]
        targets = settle(before, seen, *sizes, config.choice)
        if len(self._ids) > 1:
            targets = keep_apart(before, targets, seen, *sizes, config.choice, config.most_shared)
        confidences = self._believe(targets, seen, standing)
        standing = judge(standing, targets, confidences, config.confidence)
        masks = self._masks(targets, seen, frame) if self.gives_masks else None
        self._followed = self._remember(replace(self._followed, standing=standing), targets, seen)
        return self._results(self._followed, masks)

    def _believe(self, targets: TargetState, seen: Observation, standing: Standing) -> Tensor:
        """Give the (B,) probabilities of boxes; those just found again are believed less."""
        fresh = standing.lost | (standing.fresh > 0)
        return believe_boxes(targets, seen, self.config.confidence, fresh)

    def _remember(self, followed: Followed, targets: TargetState, seen: Observation) -> Followed:
        """Let targets, settled in the frame at hand, learn from it; those that are lost do not."""
        assert self._last is not None
        config, memory, known = self.config, followed.memory, targets.scores
        self._steps += 1
        targets = replace(targets, scores=torch.where(followed.standing.lost, 0.0, known))
        if config.online.share and self._steps % config.online.every == 0:
            targets = teach(self.network, targets, seen)
        if targets.colours is not None:
            targets = keep_look(self.network, targets, seen)
        if config.memory.share and self._steps % config.memory.every == 0:
            targets, memory = keep_looks(self.network, targets, memory, self._last, config.memory)
        return replace(followed, targets=replace(targets, scores=known), memory=memory)

    def _masks(
        self, targets: TargetState, seen: Observation, frame: Tensor
    ) -> list[tuple[Mask, MaskSource]]:
        network, config = self.network, self.config.mask
        assert isinstance(network, SegmentingNetwork)
        frame_size = (frame.shape[-2], frame.shape[-1])
        placed = place_masks(*see_masks(network, targets, seen, config), frame_size)
        masks = tell_apart(placed, frame_size, config.threshold)
        return judge_masks(masks, targets.boxes.tolist(), config)

    def _given(self, masks: Sequence[np.ndarray]) -> Tensor:
        """Give (H, W) masks as (B, 1, H, W) uint8 on the device."""
        stacked = np.stack([np.where(mask, 255, 0) for mask in masks]).astype(np.uint8)
        return torch.from_numpy(stacked)[:, None].to(self.device)

    def _frame(self, image: np.ndarray) -> Tensor:
        """Give an image as (1, 3, H, W) on the device, without a copy on a CPU."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f"an image must be (height, width, 3) uint8 RGB, got {image.shape} {image.dtype}"
            )
        pixels = torch.from_numpy(np.require(image, requirements=["C", "W"]))
        return pixels.to(self.device).permute(2, 0, 1)[None]

    def _results(
        self, followed: Followed, masks: list[tuple[Mask, MaskSource]] | None = None
    ) -> tuple[TrackResult, ...]:
        boxes = followed.targets.boxes.tolist()
        believed = followed.standing.confidences.tolist()
        states = name_states(followed.standing, self.config.confidence)
        results = tuple(
            TrackResult(
                id=number, name=self._names.get(number), box=tuple(box), score=score, state=state
            )
            for number, box, score, state in zip(self._ids, boxes, believed, states, strict=True)
        )
        if masks is None:
            return results
        return tuple(
            replace(result, mask=mask, mask_source=source, rotated_box=mask.rotated_box())
            for result, (mask, source) in zip(results, masks, strict=True)
        )


def _unchosen(followed: Followed) -> Followed:
    """Forget which proposals boxes came from: those of another frame mean nothing."""
    return replace(followed, targets=replace(followed.targets, chosen=None))
