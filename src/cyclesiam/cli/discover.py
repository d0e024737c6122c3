"""`cyclesiam discover`: show which targets training would track in videos and images."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from cyclesiam.cli.demo import write_image
from cyclesiam.cli.options import (
    Threads,
    UsageError,
    count_noun,
    make_output_folder,
    show_progress,
    show_waiting,
    use_threads,
)
from cyclesiam.cli.outputs import check_sources_kept
from cyclesiam.cli.train import Recipe, require_extra
from cyclesiam.cli.train_output import print_scenes
from cyclesiam.cli.tube_sheets import draw_tubes
from cyclesiam.data.clips import ClipDataset, DiscoveredSample
from cyclesiam.data.scenes import find_scenes
from cyclesiam.data.tube_store import load_tubes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.files import check_output
from cyclesiam.tracking.drawing import PALETTE, add_caption, contact_sheet, draw_box

if TYPE_CHECKING:
    import numpy as np

COLUMNS = 6
TUBE_COLUMNS = 2
WIDTH = 320  # pixels of each image
COLORS = {"motion": PALETTE[0], "contrast": PALETTE[1]}  # orange, sky blue
MAX_NAME = 26  # letters of a file's name that are shown
WHAT_FOR = (
    "These boxes are for a look at what training would see, and no result: many lie on sky, road "
    "or half a body. Training bears that. To follow an object, name its box: cyclesiam track"
)
CACHE_GIGABYTES = 0.5  # little: the draws seldom return to a chunk


@dataclass(frozen=True, kw_only=True)
class Discover:
    """Draw targets from videos and images like training, and show them; no label is read.

    cyclesiam discover my_videos more/images --sheet found.jpg
    """

    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SOURCE ...", help_behavior_hint="(required)"),
    ]
    """Video files, images, or folders to search for both."""
    sheet: Annotated[Path, tyro.conf.arg(metavar="FILE.jpg")]
    """Where to write the image of all targets: orange by motion, blue by contrast."""
    tubes: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Show the tubes of this file instead, each in three frames."""
    count: int = 48
    """Targets to draw."""
    recipe: Recipe = "small"
    """Recipe whose config of discovery is used."""
    seed: int = 0
    """Seed of the draws; another one shows other targets."""
    threads: Threads = None
    """Threads that compute; few by default."""

    def __call__(self) -> None:
        """Find scenes, draw targets, write the sheet, and print how many are of each kind."""
        if not self.sources:
            raise UsageError("nothing to search: give videos, images or folders of them")
        if self.count < 1 or not 0 <= self.seed < 2**63:
            raise UsageError("--count must be 1 or more, and --seed 0 or more")
        use_threads(self.threads)
        require_extra()
        check_sources_kept(self.sources, self.sheet)
        make_output_folder(self.sheet.parent)
        check_output(self.sheet)
        if self.tubes is not None:
            self._show_tubes(self.tubes)
            return
        samples, problems = self._draw()
        columns = min(COLUMNS, len(samples))
        images = [*show_progress(map(draw_sample, samples), "drawing", len(samples))]
        write_image(self.sheet, contact_sheet(images, columns=columns, width=WIDTH))
        reasons = Counter(sample.discovery.reason for sample in samples)
        moving = sum(sample.scene.frames > 1 for sample in samples)
        print(
            f"{count_noun(len(samples), 'target')} ({moving} of videos): "
            f"{reasons['motion']} by motion (orange), {reasons['contrast']} by contrast (blue)."
        )
        for problem in problems:
            print(f"  left out: {problem}")
        print(f"Look at {self.sheet}\n{WHAT_FOR}")

    def _show_tubes(self, file: Path) -> None:
        with enforce_policy("none"):
            scenes, left_out = find_scenes(self.sources)
            print_scenes(scenes, left_out)
            with show_waiting("drawing tubes"):
                images = draw_tubes(scenes, load_tubes(file), self.count, self.seed)
        sheet = contact_sheet(images, columns=min(TUBE_COLUMNS, len(images)), width=3 * WIDTH)
        write_image(self.sheet, sheet)
        print(f"{count_noun(len(images), 'tube')}.\nLook at {self.sheet}")

    def _draw(self) -> tuple[list[DiscoveredSample], list[str]]:
        from cyclesiam.training.recipes import RECIPES

        config = RECIPES[self.recipe]()
        clips = replace(config.clips, cache_gigabytes=CACHE_GIGABYTES)
        with enforce_policy(config.policy):
            with Console(stderr=True).status("looking for videos and images"):
                scenes, left_out = find_scenes(self.sources)
            print_scenes(scenes, left_out)
            dataset = ClipDataset(scenes, clips, self.seed)
            draws = [
                *show_progress(
                    map(dataset.discover_sample, range(self.count)), "discovering", self.count
                )
            ]
        problems = dict.fromkeys(problem for _, some in draws for problem in some)
        return [sample for sample, _ in draws], [*left_out, *problems]


def draw_sample(sample: DiscoveredSample) -> "np.ndarray":
    """Return an image of a discovered target, with its file, frame and reason below."""
    box, reason = sample.discovery
    name = sample.scene.path.name
    name = name if len(name) <= MAX_NAME else f"...{name[3 - MAX_NAME :]}"
    text = f"{name}, {sample.frame}: {reason}"
    drawn = draw_box(sample.image, box.tolist(), COLORS[reason], thick=True)
    return add_caption(drawn, text)
