"""Correlate the label-free score with the success AUC over checkpoints.

    .venv/bin/python benchmarks/score_ranking.py CLIPS STILLS --checkpoint WEIGHTS=RESULTS [...]

WEIGHTS is a name or folder of weights. RESULTS is a file of `development_suite.py`, or a folder of
files by `cyclesiam evaluate --json`; its AUC is the mean over all sequences. The examples come from
scenes that `split_scenes` holds out. Scores are kept in --cache, and not computed again. Young
networks are easily told from grown ones: --least leaves out those with a lower AUC.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from cyclesiam.data.scenes import find_scenes, split_scenes
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.validation.examples import KINDS, ExampleConfig, make_examples
from cyclesiam.validation.score import LabelFreeScores, label_free_score


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    config = ExampleConfig(
        objects=options.counts[0],
        degraded=options.counts[1],
        frames=options.frames,
        seed=options.seed,
    )
    _, held = split_scenes(find_scenes([options.clips, options.stills])[0], options.share)
    examples = make_examples(held, config)
    print(f"{'checkpoint':32s}", *(f"{name:>8s}" for name in (*KINDS, "total", "auc")), flush=True)
    rows = []
    for weights, results in (pair.rsplit("=", 1) for pair in options.checkpoint):
        key = json.dumps([weights, asdict(config)])
        scores = find_in_cache(options.cache, key)
        if scores is None:
            scores = label_free_score(load_weights(weights)[0], examples)
            add_to_cache(options.cache, key, scores)
        row = [scores.by_kind.get(kind, np.nan) for kind in KINDS]
        rows.append([*row, scores.total, mean_auc(Path(results))])
        print(f"{weights[-32:]:32s}", *(f"{value:8.3f}" for value in rows[-1]), flush=True)
    table = np.array([row for row in rows if row[-1] >= options.least])
    print(f"{len(table)} checkpoints with an AUC of at least {options.least:g}")
    for name, measure in (("spearman", spearman), ("pearson", pearson)):
        figures = (measure(column, table[:, -1]) for column in table[:, :-1].T)
        print(f"{name:32s}", *(f"{figure:8.2f}" for figure in figures))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("stills", type=Path)
    parser.add_argument("--checkpoint", nargs="+", required=True, metavar="WEIGHTS=RESULTS")
    parser.add_argument("--share", type=float, default=0.1, help="of the scenes held out")
    plain = ExampleConfig()
    counts = [plain.objects, plain.degraded]
    parser.add_argument("--counts", type=int, nargs=2, default=counts, help="of each kind")
    parser.add_argument("--frames", type=int, default=plain.frames)
    parser.add_argument("--least", type=float, default=0.0, metavar="AUC")
    parser.add_argument("--seed", type=int, default=plain.seed)
    parser.add_argument("--cache", type=Path, default=Path("ranking-scores.jsonl"))
    return parser.parse_args()


def mean_auc(results: Path) -> float:
    """Return the mean AUC over the sequences of a file, or of all files in a folder."""
    if results.is_file():
        return float(np.mean([one["auc"] for one in json.loads(results.read_text()).values()]))
    values = [
        sequence["auc"]
        for file in sorted(results.glob("*.json"))
        for evaluation in evaluations(json.loads(file.read_text()))
        for sequence in evaluation["sequences"]
    ]
    if not values:
        raise SystemExit(f"{results} holds no results of `cyclesiam evaluate --json`")
    return float(np.mean(values))


def evaluations(content: dict) -> list[dict]:
    return content.get("evaluations", [content])  # a single evaluation is written without a list


def spearman(values: np.ndarray, others: np.ndarray) -> float:
    """Return the correlation of ranks; equal values get their mean rank."""
    return pearson(ranks(values), ranks(others))


def ranks(values: np.ndarray) -> np.ndarray:
    below = (values[:, None] > values).sum(axis=1)
    return below + (values[:, None] == values).sum(axis=1) / 2


def pearson(values: np.ndarray, others: np.ndarray) -> float:
    return float(np.corrcoef(values, others)[0, 1])


def find_in_cache(file: Path, key: str) -> LabelFreeScores | None:
    for line in file.read_text().splitlines() if file.is_file() else ():
        entry = json.loads(line)
        if entry["key"] == key:
            return LabelFreeScores(tuple(entry["kinds"]), tuple(entry["overlaps"]))
    return None


def add_to_cache(file: Path, key: str, scores: LabelFreeScores) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps({"key": key, **asdict(scores)}) + "\n")


if __name__ == "__main__":
    main()
