"""Batches of unlabeled clips to train on, drawn from scenes.

A clip is a few frames of one scene and the box of one target. In a video, the box is discovered in
the first frame and unknown later (label policy `none`). In a synthetic clip, which pans over a
still or has a pasted target, the box is known in every frame.

Shapes: B clips of T frames; (H, W) is the canvas that every frame is resized to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.chunks import ChunkCache, ChunkSampler, LazyChunk, limit_to_memory
from cyclesiam.data.clip_plans import Clip, ClipPlan
from cyclesiam.data.clip_sources import (
    BatchRequest,
    ClipSource,
    Composites,
    DiscoveredTargets,
    PannedStills,
    StillObjects,
    sample_excerpt,
)
from cyclesiam.data.discovery import DiscoveredTarget, DiscoveryConfig, discover_target
from cyclesiam.data.frame_store import FrameStore, StoredObjects
from cyclesiam.data.scenes import Scene
from cyclesiam.data.tube_clips import TubeClips
from cyclesiam.data.tube_store import SceneTubes
from cyclesiam.errors import TrainingError
from cyclesiam.synthetic.compositing import CompositingConfig
from cyclesiam.synthetic.cutouts import ObjectBank
from cyclesiam.synthetic.panning import pan_still


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """How clips are drawn."""

    height: int = 256
    """Height of the canvas in pixels; more shows finer detail and takes longer."""
    width: int = 352
    """Width of the canvas in pixels; more shows finer detail and takes longer."""
    batch_size: int = 32
    """Clips in a batch."""
    samples_per_clip: int = 1
    """Samples of each clip that is drawn: 2 show it also back in time. Drawing takes as long as
    training, so more train faster."""
    batches_per_chunk: int = 8
    """Batches that draw from the same decoded chunks; more reads less, and varies less."""
    still_probability: float = 0.3
    """Probability of a clip from a still, where there are stills and videos."""
    length_exponent: float = 0.5
    """Exponent of a video's length in its probability. 1 draws each frame alike, 0 each video. A
    larger value prefers long videos, whose neighboring frames repeat each other."""
    cache_gigabytes: float = 4.0
    """Decoded chunks that a worker keeps; never more than half of the machine's memory."""
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    """How targets are discovered."""
    compositing: CompositingConfig = field(default_factory=CompositingConfig)
    """How many clips show a pasted target, and how it moves."""
    object_probability: float = 0.0
    """Probability of a clip that shows the object of a still where it is, with its mask. The actual
    ratio is lower where few stills show an object."""
    tube_probability: float = 0.0
    """Probability of a clip that shows a tube, a moving target followed through real frames. It
    needs tubes. Targets are shown as large as pasted ones."""

    def __post_init__(self) -> None:
        if not 0 <= self.object_probability <= 1:
            raise ValueError(f"object_probability must lie in 0..1, got {self.object_probability}")
        if not 0 <= self.tube_probability <= 1:
            raise ValueError(f"tube_probability must lie in 0..1, got {self.tube_probability}")
        if self.samples_per_clip not in (1, 2) or self.batch_size % self.samples_per_clip:
            raise ValueError(
                "samples_per_clip must be 1, or 2 with an even batch_size, got "
                f"{self.samples_per_clip} with {self.batch_size}"
            )
        if self.length_exponent < 0:
            raise ValueError(f"length_exponent must be 0 or more, got {self.length_exponent}")
        if min(self.height, self.width) < 64 or self.batch_size < 1 or self.batches_per_chunk < 1:
            raise ValueError(f"clips need a canvas of 64 pixels or more and a batch, got {self}")

    @property
    def clips_per_batch(self) -> int:
        """Clips that are drawn for a batch.

        Row r shows clip r modulo this number, from row `clips_per_batch` on back in time. So rows
        side by side, which the objective pairs, show different clips.
        """
        return self.batch_size // self.samples_per_clip


class Batch(NamedTuple):
    """Clips with one target each.

    Args:
        request: what was asked for.
        frames: (B, T, 3, H, W) uint8, each frame channels-last in memory.
        boxes: (B, T, 4) xyxy in pixels, the targets; NaN after frame 0 where they are unknown.
        masks: (B, H, W) uint8 of frame 0: `MASK_ON` where the target is visible, `MASK_OFF`
            elsewhere; all `MASK_UNKNOWN` where the mask is unknown.
        names: (B,) files that the clips come from.
        problems: what could not be read, one line each; other clips replace it.
    """

    request: BatchRequest
    frames: Tensor
    boxes: Tensor
    masks: Tensor
    names: tuple[str, ...]
    problems: tuple[str, ...] = ()


class DiscoveredSample(NamedTuple):
    """A discovered target, and where it is from.

    Args:
        image: (H, W, 3) uint8, the frame as training sees it.
        discovery: the target's box, and by what it was discovered.
        scene: that the frame is from.
        frame: its number in the scene.
    """

    image: np.ndarray
    discovery: DiscoveredTarget
    scene: Scene
    frame: int


class ClipDataset(Dataset[Batch]):
    """Whole batches by request. A batch depends on the seed and the request alone.

    A chunk that cannot be read is replaced by another draw and listed in `Batch.problems`. So one
    damaged file neither ends a long run nor goes unnoticed.

    Args:
        scenes: what to draw from.
        config: how to draw.
        seed: of all random numbers.
        rows: which clips of each batch to draw, by their index in it; all by default. A clip is the
            same whatever others are drawn.
        store: all frames, decoded; by default, they are decoded when they are drawn.
        tubes: of the scenes, from `load_tubes`, for `config.tube_probability`. Where none was found
            in any scene, other clips take their place.

    Raises:
        TrainingError: there is no scene, no tubes of one although they shall be drawn, or, of a
            batch, no clip that can be read.
    """

    def __init__(
        self,
        scenes: list[Scene],
        config: ClipConfig,
        seed: int,
        *,
        rows: Sequence[int] | None = None,
        store: FrameStore | None = None,
        tubes: Mapping[str, SceneTubes] | None = None,
    ) -> None:
        if not scenes:
            raise TrainingError("there is nothing to train on: give videos or images")
        self.config = config
        self.seed = seed
        self.rows = range(config.batch_size) if rows is None else rows
        frames = store or ChunkCache(limit_to_memory(int(config.cache_gigabytes * 2**30)))
        self.chunks = ChunkSampler(
            scenes,
            frames,
            still_probability=config.still_probability,
            length_exponent=config.length_exponent,
        )
        self._canvas = config.height, config.width
        bank = store.objects if store else ObjectBank()
        tube_clips = TubeClips(
            scenes,
            tubes or {},
            frames,
            self._canvas,
            config.tube_probability,
            sizes=(config.compositing.min_size, config.compositing.max_size),
        )
        searched_in_vain = tubes is not None and not any(found.tubes for found in tubes.values())
        if config.tube_probability and not tube_clips.scenes and not searched_in_vain:
            raise TrainingError(
                "the recipe draws tubes, but none is given that these videos show; find them by: "
                "cyclesiam prepare --tubes"
            )
        self._sources: list[ClipSource] = [
            tube_clips,
            *_make_sources(config, self.chunks, bank, self._canvas),
        ]

    def __getitem__(self, request: BatchRequest) -> Batch:
        problems: dict[str, None] = {}  # each once, in order
        frames = np.empty((len(self.rows), request.turn + 1, *self._canvas, 3), np.uint8)
        clips = self._draw_rows(request, frames, problems)
        return Batch(
            request,
            torch.from_numpy(frames).permute(0, 1, 4, 2, 3),  # (B, T, H, W, 3) in memory
            torch.from_numpy(np.stack([clip.boxes for clip in clips])).float(),
            torch.from_numpy(np.stack([clip.mask for clip in clips])),
            tuple(clip.name for clip in clips),
            tuple(problems),
        )

    def _draw_rows(
        self, request: BatchRequest, frames: np.ndarray, problems: dict[str, None]
    ) -> list[Clip]:
        """Return the clips of the rows; their pixels are written to (B, T, H, W, 3) frames."""
        own = dict(zip(self.rows, frames, strict=True))
        clips = {
            draw: plan.render(own[draw] if draw in own else np.empty_like(frames[0]))
            for draw, plan in self.plan_clips(request, problems).items()
        }
        for row in own.keys() - clips.keys():
            clips[row] = clips[row % self.config.clips_per_batch].backward()
            own[row][:] = clips[row].frames
        return [clips[row] for row in self.rows]

    def plan_clips(self, request: BatchRequest, problems: dict[str, None]) -> dict[int, ClipPlan]:
        """Plan the clips that the rows of a batch show, by their number in it.

        Args:
            request: which batch.
            problems: receives what cannot be read.
        """
        draws = dict.fromkeys(row % self.config.clips_per_batch for row in self.rows)
        return {draw: self._plan_clip(request, draw, problems) for draw in draws}

    def _plan_clip(self, request: BatchRequest, draw: int, problems: dict[str, None]) -> ClipPlan:
        # The chunk changes every `batches_per_chunk` batches, and not for all rows at once.
        period = (request.number + draw) // self.config.batches_per_chunk
        chunk_rng = np.random.default_rng((self.seed, 1, draw, period))
        chunk = LazyChunk(self.chunks, chunk_rng, problems)
        rng = np.random.default_rng((self.seed, 2, draw, request.number))
        plans = (source.plan(request, chunk, rng, problems) for source in self._sources)
        return next(plan for plan in plans if plan is not None)

    def discover_sample(self, number: int) -> tuple[DiscoveredSample, tuple[str, ...]]:
        """Draw a target as clips without a pasted one do.

        Args:
            number: of the draw; another number gives another target, of another scene.

        Returns:
            The target, and what could not be read.
        """
        problems: dict[str, None] = {}
        rng = np.random.default_rng((self.seed, 3, number))
        scene, first, images = self.chunks.sample(rng, problems)
        if len(images) == 1:
            frame = pan_still(images[0], 1, self._canvas, rng).views[0].pixels
            target = discover_target(frame, None, rng, self.config.discovery)
            return DiscoveredSample(frame, target, scene, first), tuple(problems)
        excerpt = sample_excerpt(images, BatchRequest(number, 0, 0), self._canvas, rng)
        target = excerpt.discover_target(rng, self.config.discovery)
        image = excerpt.views[0].pixels
        sample = DiscoveredSample(image, target, scene, first + excerpt.start)
        return sample, tuple(problems)


def _make_sources(
    config: ClipConfig,
    chunks: ChunkSampler,
    bank: ObjectBank | StoredObjects,
    canvas: tuple[int, int],
) -> list[ClipSource]:
    """Return the sources of clips in the order in which they are tried; the last always draws."""
    return [
        StillObjects(chunks, bank, canvas, config.object_probability),
        Composites(chunks, bank, canvas, config.compositing),
        PannedStills(canvas, config.discovery),
        DiscoveredTargets(canvas, config.discovery),
    ]
