"""`cyclesiam prepare`: decode videos and images once, into shards to train on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from cyclesiam.cli.options import UsageError, count_noun, print_problems, show_progress
from cyclesiam.cli.tube_sheets import find_and_save_tubes
from cyclesiam.data.scenes import find_scenes
from cyclesiam.data.shard_writer import ShardConfig, plan_shards, write_shards
from cyclesiam.data.tube_store import TUBES_FILE
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.files import check_output_folder


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Pack videos and images into shards that training reads quickly; no label is read.

    cyclesiam prepare my_videos more_pictures --output shards

    If it was killed, the same command goes on where it stopped.
    """

    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SOURCE ...", help_behavior_hint="(required)"),
    ]
    """Video files, images, or folders to search for both."""
    output: Annotated[str, tyro.conf.arg(metavar="FOLDER|URL")]
    """Where to write shards: a folder, or any URL that the package fsspec knows."""
    workers: int = 1
    """Processes that decode."""
    shard_size: float = 256.0
    """Approximate megabytes of a shard."""
    short_side: int = 360
    """Largest shorter side in pixels; larger frames are resized to it."""
    tubes: tyro.conf.FlagCreatePairsOff[bool] = False
    """Also find tubes, moving targets followed through frames, and keep them in the folder."""

    def __call__(self) -> None:
        """Find videos and images, pack them, and report what could not be read."""
        if not self.sources:
            raise UsageError("nothing to prepare: give videos, images or folders of them")
        if self.workers < 1:
            raise UsageError(f"--workers must be 1 or more, got {self.workers}")
        if self.tubes and "://" in self.output:
            raise UsageError("--tubes needs a folder as --output, not a URL")
        if "://" not in self.output:
            check_output_folder(Path(self.output))
        try:
            config = ShardConfig(megabytes=self.shard_size, short_side=self.short_side)
        except ValueError as error:
            raise UsageError(str(error)) from error
        with enforce_policy("none"):
            with Console(stderr=True).status("looking for videos and images"):
                scenes, problems = find_scenes(self.sources)
            count = len(plan_shards(scenes, config))
            reports = write_shards(scenes, self.output, config, workers=self.workers)
            done = [*show_progress(reports, "preparing", count)]
        problems += [problem for shard in done for problem in shard.problems]
        print(
            f"{count_noun(len(scenes), 'source')} in {count_noun(len(done), 'shard')}, "
            f"{sum(shard.existed for shard in done)} of which existed before; "
            f"{count_noun(len(problems), 'problem')}."
        )
        print_problems(problems)
        if self.tubes:
            with enforce_policy("none"):
                packed, _ = find_scenes([self.output])
                find_and_save_tubes(packed, Path(self.output) / TUBES_FILE, workers=self.workers)
        if Path(self.output).is_dir():
            print(f"Train on them: cyclesiam train {self.output} --output runs/mine")
