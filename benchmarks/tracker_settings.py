"""Compare settings of the tracker by the label-free score, on the same examples.

    .venv/bin/python benchmarks/tracker_settings.py SOURCE... [--weights default] [--held-out 0.1]

Of the scenes in SOURCE only those count that training with `--from` would hold out; with
`--held-out 1` all do. The difference to the settings as they are has the standard error of the
paired differences: smaller ones than that mean nothing.
"""

import argparse
from dataclasses import replace

import cv2
import torch

from cyclesiam.data.scenes import find_scenes, split_scenes
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.tracking.tracker import TrackerConfig
from cyclesiam.validation.examples import KINDS, ExampleConfig, make_examples
from cyclesiam.validation.score import label_free_score, paired_gain

CHANGES: dict[str, dict[str, tuple[float, ...]]] = {
    "choice": {
        "size_penalty": (0.04, 0.15),
        "window_influence": (0.3, 0.5),
        "size_smoothing": (0.2, 0.6),
    },
    "online": {"share": (0.0, 0.5)},
    "colour": {"share": (0.0, 0.4), "rate": (0.0125, 0.025, 0.1)},
    "memory": {"share": (0.0, 0.5)},
    "mask": {"box_share": (0.0, 0.5, 1.0)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--held-out", type=float, default=0.1)
    parser.add_argument("--count", type=int, default=22, help="examples of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    scenes = find_scenes(options.sources)[0]
    if options.held_out < 1:
        _, scenes = split_scenes(scenes, options.held_out)
    count = options.count
    examples = make_examples(scenes, ExampleConfig(zooms=count, pasted=count, cycles=count))
    network, _ = load_weights(options.weights)
    before = None
    print(f"{'':28s}", *(f"{kind:>8s}" for kind in KINDS), "   total")
    for name, config in settings().items():
        scores = label_free_score(network, examples, config)
        before = before or scores
        rise, error = paired_gain(before, scores)
        kinds = scores.by_kind
        print(
            f"{name:28s}",
            *(f"{kinds[kind]:8.3f}" if kind in kinds else f"{'-':>8s}" for kind in KINDS),
            f"{scores.total:8.3f}   {rise:+.3f} +- {error:.3f}",
            flush=True,
        )


def settings() -> dict[str, TrackerConfig]:
    """Give the settings as they are, and with one change each."""
    plain = TrackerConfig()
    found = {"as it is": plain}
    for part, changes in CHANGES.items():
        for name, values in changes.items():
            for value in values:
                changed = replace(getattr(plain, part), **{name: value})
                found[f"{part}.{name} {value:g}"] = replace(plain, **{part: changed})
    return found


if __name__ == "__main__":
    main()
