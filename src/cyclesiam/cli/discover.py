"""`cyclesiam discover`: show what training would follow in videos and pictures."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from cyclesiam.cli.demo import write_image
from cyclesiam.cli.options import UsageError, count_noun, make_output_folder, show_progress
from cyclesiam.cli.train import Recipe, print_scenes, require_extra
from cyclesiam.data.clips import ClipDataset, DiscoveredSample
from cyclesiam.data.scenes import find_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.tracking.drawing import PALETTE, add_caption, contact_sheet, draw_box

if TYPE_CHECKING:
    import numpy as np

COLUMNS = 6
WIDTH = 320  # pixels of each picture
COLOURS = {"motion": PALETTE[0], "contrast": PALETTE[1]}  # orange, sky blue
LONGEST_NAME = 26  # letters of a file's name that are shown
CHUNK_MEMORY = 0.5  # gigabytes; draws seldom come back to a chunk


@dataclass(frozen=True, kw_only=True)
class Discover:
    """Draw targets from videos and pictures as training does, and show them; no label is read.

    cyclesiam discover my_videos more/pictures --sheet found.jpg
    """

    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SOURCE ...", help_behavior_hint="(required)"),
    ]
    """Video files, pictures, or folders to search for both."""
    sheet: Annotated[Path, tyro.conf.arg(metavar="FILE.jpg")]
    """Where the pictures go: orange what moves, blue what stands out by contrast."""
    count: int = 48
    """Targets to draw."""
    recipe: Recipe = "small"
    """Whose settings of discovery to take."""
    seed: int = 0
    """Of all chance; another shows other targets."""

    def __call__(self) -> None:
        """Find scenes, draw targets, write the sheet, and say how many are of each kind."""
        if not self.sources:
            raise UsageError("nothing to look at: give videos, pictures or folders of them")
        if self.count < 1 or not 0 <= self.seed < 2**63:
            raise UsageError("--count must be 1 or more, and --seed 0 or more")
        require_extra()
        make_output_folder(self.sheet.parent)
        finds, problems = self._draw()
        columns = min(COLUMNS, len(finds))
        pictures = [draw_sample(find) for find in finds]
        write_image(self.sheet, contact_sheet(pictures, columns=columns, width=WIDTH))
        reasons = Counter(find.discovery.reason for find in finds)
        moving = sum(find.scene.frames > 1 for find in finds)
        print(
            f"{count_noun(len(finds), 'target')} ({moving} of videos): "
            f"{reasons['motion']} by motion (orange), {reasons['contrast']} by contrast (blue)."
        )
        for problem in problems:
            print(f"  left out: {problem}")
        print(f"Look at {self.sheet}")

    def _draw(self) -> tuple[list[DiscoveredSample], list[str]]:
        from cyclesiam.training.recipes import RECIPES

        config = RECIPES[self.recipe]()
        clips = replace(config.clips, cache_gigabytes=CHUNK_MEMORY)
        with enforce_policy(config.policy):
            with Console(stderr=True).status("looking for videos and pictures"):
                scenes, left_out = find_scenes(self.sources)
            print_scenes(scenes, left_out)
            dataset = ClipDataset(scenes, clips, self.seed)
            draws = [
                *show_progress(
                    map(dataset.discover_sample, range(self.count)), "discovering", self.count
                )
            ]
        problems = dict.fromkeys(problem for _, some in draws for problem in some)
        return [find for find, _ in draws], [*left_out, *problems]


def draw_sample(find: DiscoveredSample) -> "np.ndarray":
    """Draw what was found, and write below it where, and why."""
    box, reason = find.discovery
    name = find.scene.path.name
    name = name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME :]}"
    text = f"{name}, {find.frame}: {reason}"
    drawn = draw_box(find.image, box.tolist(), COLOURS[reason], thick=True)
    return add_caption(drawn, text)
