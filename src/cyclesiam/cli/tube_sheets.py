"""Finding, keeping and showing tubes, for several commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from cyclesiam.cli.options import count_noun, print_problems, show_progress
from cyclesiam.data.chunks import CHUNK, read_chunk
from cyclesiam.data.scenes import Scene
from cyclesiam.data.tube_search import search_tubes
from cyclesiam.data.tube_store import TUBES_FILE, SceneTubes, load_tubes, match_tubes, save_tubes
from cyclesiam.data.tubes import Tube
from cyclesiam.errors import SourceError, TrainingError
from cyclesiam.tracking.drawing import PALETTE, add_caption, draw_box, line_width

SHOWN = 0.0, 0.5, 1.0  # parts of a tube's length at which it is shown
PANEL = 320, 180  # width and height of one frame on a sheet
MAX_NAME = 60  # letters of a file's name that are shown


def find_and_save_tubes(
    scenes: Sequence[Scene], file: Path, *, workers: int = 1
) -> dict[str, SceneTubes]:
    """Find the tubes of scenes, save them to a file, and print how many there are."""
    videos = sum(scene.frames > 1 for scene in scenes)
    reports = [*show_progress(search_tubes(scenes, workers=workers), "finding tubes", videos)]
    found = {report.name: report.found for report in reports}
    save_tubes(file, found)
    count = sum(len(scene.tubes) for scene in found.values())
    holding = sum(bool(scene.tubes) for scene in found.values())
    print(f"{count_noun(count, 'tube')} in {holding} of {count_noun(videos, 'video')}: {file}")
    print_problems([problem for report in reports for problem in report.problems])
    return found


def gather_tubes(sources: Sequence[str], scenes: Sequence[Scene], output: Path) -> Path:
    """Return the file of the tubes to train with.

    It is that of a prepared folder among the sources. Those of several are gathered in the output
    folder. Where no source has any, they are found and kept there, unless an earlier run did so.
    """
    kept = output / TUBES_FILE
    prepared = [path for path in (Path(s) / TUBES_FILE for s in sources) if path.is_file()]
    if len(prepared) > 1:
        save_tubes(kept, {k: v for path in prepared for k, v in load_tubes(path).items()})
    elif prepared:
        return prepared[0]
    elif not kept.is_file():
        find_and_save_tubes(scenes, kept)
    return kept


def draw_tubes(
    scenes: Sequence[Scene], tubes_by_scene: Mapping[str, SceneTubes], count: int, seed: int
) -> list[np.ndarray]:
    """Draw tubes at random and show each in three frames, one image a tube.

    Raises:
        TrainingError: these scenes have no tube.
    """
    drawn = [
        (path, found.frame_size, tube)
        for path, found in match_tubes(scenes, tubes_by_scene).items()
        for tube in found.tubes
    ]
    if not drawn:
        raise TrainingError("these videos have no tube; find them by: cyclesiam prepare --tubes")
    order = np.random.default_rng(seed).permutation(len(drawn))[:count]
    return [_draw_tube(*drawn[number]) for number in order.tolist()]


def _draw_tube(path: Path, frame_size: tuple[int, int], tube: Tube) -> np.ndarray:
    numbers = [round(part * (len(tube) - 1)) for part in SHOWN]
    panels = [_draw_frame(path, frame_size, tube, number) for number in numbers]
    text = f"{path.name[-MAX_NAME:]}, {tube.first} to {tube.first + len(tube) - 1}"
    return add_caption(np.concatenate(panels, axis=1), text)


def _draw_frame(path: Path, frame_size: tuple[int, int], tube: Tube, number: int) -> np.ndarray:
    """Return one frame of a tube with box and outline, within a panel."""
    chunk, index = divmod(tube.first + number, CHUNK)
    images = read_chunk(path, chunk * CHUNK)
    if index >= len(images):
        raise SourceError(f"{path}: is shorter than its tubes say; find them again")
    image = cv2.resize(images[index], frame_size[::-1], interpolation=cv2.INTER_AREA)
    mask = tube.mask_in(number, frame_size) > 127
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    drawn = draw_box(image, tube.boxes[number].tolist(), PALETTE[0])
    cv2.drawContours(drawn, contours, -1, PALETTE[3], line_width(drawn))
    scale = min(PANEL[0] / frame_size[1], PANEL[1] / frame_size[0])
    size = max(round(frame_size[1] * scale), 1), max(round(frame_size[0] * scale), 1)
    panel = np.full((PANEL[1], PANEL[0], 3), 255, np.uint8)
    panel[: size[1], : size[0]] = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    return panel
