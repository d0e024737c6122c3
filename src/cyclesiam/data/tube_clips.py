"""Clips of tubes: real changes of pose and shape, with the box and the mask of every frame.

Shapes: T = turn + 1 frames of a clip.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cyclesiam.data.chunks import CHUNK, FrameReader, LazyChunk
from cyclesiam.data.clip_plans import ClipPlan
from cyclesiam.data.clip_sources import BatchRequest
from cyclesiam.data.scenes import Scene
from cyclesiam.data.tube_store import SceneTubes, match_tubes
from cyclesiam.data.tubes import MASK_SIDE, Tube
from cyclesiam.errors import SourceError
from cyclesiam.synthetic.panning import View

MIN_PART = 8  # frames of a tube in one chunk, below which they are not used
WIDE = 0.5  # probability that the gap is drawn up to the length of the tube
MARGIN = 1.1  # side of a window over that of what it must hold
ATTEMPTS = 8  # tubes that are tried where frames cannot be read


class TubePart(NamedTuple):
    """Frames start to end (excluded) of a tube, all in one chunk."""

    tube: Tube
    chunk: int
    start: int
    end: int


class TubeScene(NamedTuple):
    """A scene's path, the (H, W) that its tubes are measured in, and their parts."""

    path: Path
    frame_size: tuple[int, int]
    parts: tuple[TubePart, ...]


class TubeClips:
    """Shows a tube's target through a window that holds it in all frames.

    A scene is drawn first, then one of its tubes, so that long videos do not dominate. The tube
    changes as often as the chunk of other clips does.

    Args:
        scenes: that clips are drawn from.
        tubes_by_scene: from `load_tubes`.
        frames: reads chunks.
        canvas: (height, width) of the frames.
        probability: of such a clip.
        sizes: smallest and largest side of a target, over the canvas's shorter side.
    """

    def __init__(
        self,
        scenes: Iterable[Scene],
        tubes_by_scene: Mapping[str, SceneTubes],
        frames: FrameReader,
        canvas: tuple[int, int],
        probability: float,
        *,
        sizes: tuple[float, float],
    ) -> None:
        self.frames, self.canvas, self.probability = frames, canvas, probability
        self.sizes = sizes
        matched = match_tubes(scenes, tubes_by_scene) if probability else {}
        found = [
            TubeScene(path, content.frame_size, _parts(content.tubes))
            for path, content in matched.items()
        ]
        self.scenes = [scene for scene in found if scene.parts]

    def plan(
        self,
        request: BatchRequest,
        chunk: LazyChunk,
        rng: np.random.Generator,
        problems: dict[str, None],
    ) -> ClipPlan | None:
        """Plan a clip; None by chance, without tubes, or where none that is tried can be read."""
        if not self.scenes or rng.random() >= self.probability:
            return None
        for _ in range(ATTEMPTS):
            scene = self.scenes[chunk.tube_rng.integers(len(self.scenes))]
            part = scene.parts[chunk.tube_rng.integers(len(scene.parts))]
            try:
                images = self.frames.read(scene.path, part.chunk)
            except SourceError as error:
                problems[str(error)] = None
                continue
            if part.tube.first + part.end - part.chunk * CHUNK <= len(images):
                return self._plan_part(scene, part, images, request, rng)
        return None

    def _plan_part(
        self,
        scene: TubeScene,
        part: TubePart,
        images: list[np.ndarray],
        request: BatchRequest,
        rng: np.random.Generator,
    ) -> ClipPlan:
        numbers = _draw_numbers(part, request, rng)
        shown = [images[part.tube.first + number - part.chunk * CHUNK] for number in numbers]
        size = shown[0].shape[0], shown[0].shape[1]
        scale = np.divide(size, scene.frame_size)[::-1]
        boxes = part.tube.boxes[numbers].astype(float) * np.tile(scale, 2)
        window = draw_window(boxes, size, self.canvas, rng, sizes=self.sizes)
        mirrored = rng.random() < 0.5
        views = [View(image, window, self.canvas, mirrored) for image in shown]
        first, last = (
            View(_bytes(part.tube.masks[numbers[end]]), grid, self.canvas, mirrored)
            for end, grid in ((0, _on_grid(window, boxes[0])), (-1, _on_grid(window, boxes[-1])))
        )
        seen = boxes_in_view(boxes, window, self.canvas, mirrored)
        return ClipPlan(scene.path.name, views, seen, masks=(first, last))


def _parts(tubes: Iterable[Tube]) -> tuple[TubePart, ...]:
    """Split tubes where chunks end; short parts are left out."""
    parts = []
    for tube in tubes:
        for chunk in range(tube.first // CHUNK, (tube.first + len(tube) - 1) // CHUNK + 1):
            start = max(chunk * CHUNK - tube.first, 0)
            end = min((chunk + 1) * CHUNK - tube.first, len(tube))
            if end - start >= MIN_PART:
                parts.append(TubePart(tube, chunk, start, end))
    return tuple(parts)


def _draw_numbers(part: TubePart, request: BatchRequest, rng: np.random.Generator) -> list[int]:
    """Draw turn + 1 frames of a tube at even gaps, forward or backward in time."""
    gap = 0
    if request.turn:
        widest = (part.end - part.start - 1) // request.turn
        most = widest if rng.random() < WIDE else min(request.gap, widest)
        gap = int(rng.integers(1, most + 1)) if most else 0
    first = part.start + int(rng.integers(part.end - part.start - gap * request.turn))
    numbers = [first + gap * i for i in range(request.turn + 1)]
    return numbers[::-1] if rng.random() < 0.5 else numbers


def draw_window(
    boxes: np.ndarray,
    frame_size: tuple[int, int],
    canvas: tuple[int, int],
    rng: np.random.Generator,
    *,
    sizes: tuple[float, float],
) -> np.ndarray:
    """Draw a window (4,) cxcywh of the canvas's aspect that holds all boxes.

    The size of the first target on the canvas is drawn log-uniformly, as far as the frame and the
    other boxes allow.

    Args:
        boxes: (T, 4) xyxy in pixels of the frame.
        frame_size: H, W.
        canvas: height, width.
        rng: random numbers.
        sizes: smallest and largest side of the target, over the canvas's shorter side.
    """
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    across = np.array(canvas[::-1], float)  # width, height
    frame = np.array(frame_size[::-1], float)
    side = np.sqrt((boxes[0, 2:] - boxes[0, :2]).prod())
    wanted = np.exp(rng.uniform(*np.log(sizes))) * min(canvas)
    least = ((high - low) * MARGIN / across).max()  # pixels of the frame in one of the canvas
    most = max((frame / across).min(), least)
    size = across * np.clip(side / wanted, least, most)
    near, far = high - size / 2, low + size / 2  # of the center, to hold all boxes
    inside_near, inside_far = np.maximum(near, size / 2), np.minimum(far, frame - size / 2)
    fits = inside_near <= inside_far
    near, far = np.where(fits, inside_near, near), np.where(fits, inside_far, far)
    return np.concatenate((rng.uniform(near, far), size))


def boxes_in_view(
    boxes: np.ndarray, window: np.ndarray, canvas: tuple[int, int], mirrored: bool
) -> np.ndarray:
    """Map (T, 4) xyxy boxes from pixels of the frame to those of a canvas (height, width)."""
    corner, scale = window[:2] - window[2:] / 2, np.array(canvas[::-1]) / window[2:]
    seen = (boxes.reshape(-1, 2, 2) - corner) * scale
    if mirrored:
        seen[..., 0] = canvas[1] - seen[:, ::-1, 0]
    return seen.reshape(-1, 4)


def _on_grid(window: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Map a window from pixels of the frame to cells of the mask of a box."""
    cells = MASK_SIDE / (box[2:] - box[:2])
    return np.concatenate(((window[:2] - box[:2]) * cells, window[2:] * cells))


def _bytes(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255
