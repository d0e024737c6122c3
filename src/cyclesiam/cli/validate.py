"""`cyclesiam validate`: rank weights on footage that nobody labeled."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from cyclesiam.cli.options import (
    Device,
    Threads,
    UsageError,
    count_noun,
    load_network,
    resolve_device,
    show_progress,
    show_waiting,
    use_threads,
)
from cyclesiam.cli.outputs import check_json, check_sources_kept
from cyclesiam.data.scenes import find_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import SourceError
from cyclesiam.files import atomic_path
from cyclesiam.validation.examples import KINDS, Example, ExampleConfig, make_examples
from cyclesiam.validation.score import LabelFreeScores, label_free_score


@dataclass(frozen=True, kw_only=True)
class Validate:
    """Score weights on videos and images without labels, and rank them.

    cyclesiam validate my_videos --weights default runs/mine
    """

    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SOURCE ...", help_behavior_hint="(required)"),
    ]
    """Video files, images, or folders to search for both; best those not trained on."""
    weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="WEIGHTS ...")] = ("default",)
    """Names of shipped weights, or folders that `cyclesiam train` or `export` wrote."""
    seed: int = 0
    """Seed of the examples; the same seed draws the same ones."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Where to write the scores as JSON."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""
    threads: Threads = None
    """Threads that compute; few by default."""

    def __call__(self) -> None:
        """Draw examples, track through them with every network, and print the ranking."""
        if not self.sources or not self.weights:
            raise UsageError("give videos, images or folders of them, and --weights")
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or more, got {self.seed}")
        use_threads(self.threads)
        exact = RuntimeConfig(precision="f32")
        check_sources_kept(self.sources, self.json)
        check_json(self.json)
        devices = {name: resolve_device(self.device, name, exact) for name in self.weights}
        networks = {name: load_network(name, devices[name], exact)[0] for name in self.weights}
        with enforce_policy("none"):
            with show_waiting("looking for videos and images"):
                scenes, problems = find_scenes(self.sources)
            examples = make_examples(scenes, ExampleConfig(seed=self.seed), show=show_progress)
        print(
            f"No label was read. {describe_examples(examples)} from "
            f"{count_noun(len(scenes), 'scene')}; "
            f"{count_noun(len(problems), 'file')} cannot be read.",
            flush=True,
        )
        scores = {
            name: label_free_score(
                network, examples, device=devices[name], show=partial(show_progress, name=name)
            )
            for name, network in networks.items()
        }
        print_scores(scores)
        if self.json:
            write_scores(self.json, scores)


def describe_examples(examples: list[Example]) -> str:
    """Return how many examples there are of each kind, zero included."""
    counts = {kind: sum(example.kind == kind for example in examples) for kind in KINDS}
    return "Examples: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())


def print_scores(scores: Mapping[str, LabelFreeScores]) -> None:
    """Print a table, the best total first."""
    table = Table("weights", *KINDS, "total")
    for name, score in _ranked(scores):
        kinds = score.by_kind
        cells = [f"{kinds[kind]:.3f}" if kind in kinds else "-" for kind in KINDS]
        table.add_row(name, *cells, f"{score.total:.3f}")
    Console(soft_wrap=True).print(table, markup=False)


def write_scores(file: Path, scores: Mapping[str, LabelFreeScores]) -> None:
    """Write scores as JSON, the best first.

    Raises:
        SourceError: the file cannot be written.
    """
    rows = [
        {"weights": name, "policy_of_score": "none", **score.by_kind, "total": score.total}
        for name, score in _ranked(scores)
    ]
    try:
        with atomic_path(file) as part:
            part.write_text(json.dumps({"scores": rows}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write {file}: {error.strerror}; choose another") from error


def _ranked(scores: Mapping[str, LabelFreeScores]) -> list[tuple[str, LabelFreeScores]]:
    return sorted(scores.items(), key=lambda item: -item[1].total)
