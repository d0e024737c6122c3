"""`cyclesiam prepare`: decode videos and pictures once, into shards to train from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from cyclesiam.cli.options import UsageError, count_noun, show_progress
from cyclesiam.data.scenes import find_scenes
from cyclesiam.data.shard_writer import ShardConfig, plan_shards, write_shards
from cyclesiam.datasets.label_policy import enforce_policy

SHOWN_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Pack videos and pictures into shards that training reads quickly; no label is read.

    cyclesiam prepare my_videos more_pictures --output shards

    Killed, it goes on when the same command is given again.
    """

    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SOURCE ...", help_behavior_hint="(required)"),
    ]
    """Video files, pictures, or folders to search for both."""
    output: Annotated[str, tyro.conf.arg(metavar="FOLDER|URL")]
    """Where shards go: a folder, or any address that the package fsspec knows."""
    workers: int = 1
    """Processes that decode."""
    shard_size: float = 256.0
    """Megabytes of a shard, roughly."""
    short_side: int = 360
    """Larger frames shrink until their shorter side has so many pixels."""

    def __call__(self) -> None:
        """Find what there is, pack it, and say what could not be read."""
        if not self.sources:
            raise UsageError("nothing to prepare: give videos, pictures or folders of them")
        if self.workers < 1:
            raise UsageError(f"--workers must be 1 or more, got {self.workers}")
        try:
            config = ShardConfig(megabytes=self.shard_size, short_side=self.short_side)
        except ValueError as error:
            raise UsageError(str(error)) from error
        with enforce_policy("none"):
            with Console(stderr=True).status("looking for videos and pictures"):
                scenes, problems = find_scenes(self.sources)
            count = len(plan_shards(scenes, config))
            runs = write_shards(scenes, self.output, config, workers=self.workers)
            done = [*show_progress(runs, "preparing", count)]
        problems += [problem for shard in done for problem in shard.problems]
        print(
            f"{count_noun(len(scenes), 'source')} in {count_noun(len(done), 'shard')}, "
            f"{sum(shard.existed for shard in done)} of them there before; "
            f"{count_noun(len(problems), 'problem')}."
        )
        for problem in problems[:SHOWN_PROBLEMS]:
            print(f"  {problem}")
        if len(problems) > SHOWN_PROBLEMS:
            print(f"  ... and {len(problems) - SHOWN_PROBLEMS} more")
        if Path(self.output).is_dir():
            print(f"Train from them: cyclesiam train {self.output} --output runs/mine")
