"""Compare settings of the tracker by the label-free score, on the same examples.

    .venv/bin/python benchmarks/tracker_settings.py SOURCE... [--weights default] [--held-out 0.1]

Only scenes in SOURCE that training with `--from` would hold out are used; with `--held-out 1` all
are. The difference to the default settings is printed with the standard error of the paired
differences. Smaller differences than that mean nothing.
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
    "selection": {
        "size_penalty": (0.04, 0.15),
        "window_influence": (0.3, 0.5),
        "size_smoothing": (0.2, 0.6),
    },
    "online_filter": {"weight": (0.0, 0.5)},
    "color_model": {"weight": (0.0, 0.4), "learning_rate": (0.0125, 0.025, 0.1)},
    "template_memory": {"recent_weight": (0.0, 0.5)},
    "mask": {"box_weight": (0.0, 0.5, 1.0)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--held-out", type=float, default=0.1)
    parser.add_argument("--count", type=int, default=48, help="examples of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    scenes = find_scenes(options.sources)[0]
    if options.held_out < 1:
        _, scenes = split_scenes(scenes, options.held_out)
    count = options.count
    examples = make_examples(scenes, ExampleConfig(objects=count, degraded=count))
    network, _ = load_weights(options.weights)
    before = None
    print(f"{'':34s}", *(f"{kind:>8s}" for kind in KINDS), "   total")
    for name, config in make_configs().items():
        scores = label_free_score(network, examples, config)
        before = before or scores
        gain, error = paired_gain(before, scores)
        kinds = scores.by_kind
        print(
            f"{name:34s}",
            *(f"{kinds[kind]:8.3f}" if kind in kinds else f"{'-':>8s}" for kind in KINDS),
            f"{scores.total:8.3f}   {gain:+.3f} +- {error:.3f}",
            flush=True,
        )


def make_configs() -> dict[str, TrackerConfig]:
    """Return the default config and configs with one change each, by name."""
    default = TrackerConfig()
    configs = {"default": default}
    for part, changes in CHANGES.items():
        for name, values in changes.items():
            for value in values:
                changed = replace(getattr(default, part), **{name: value})
                configs[f"{part}.{name} {value:g}"] = replace(default, **{part: changed})
    return configs


if __name__ == "__main__":
    main()
