"""The metrics in the form that the checker of conformance vectors calls: lists in, dicts out."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # runs without an install

from cyclesiam.datasets.label_maps import VOID
from cyclesiam.evaluation.metrics import davis as masks
from cyclesiam.evaluation.metrics import got10k as pooled
from cyclesiam.evaluation.metrics import otb, vot
from cyclesiam.evaluation.metrics import region_overlap as regions
from cyclesiam.evaluation.metrics import vot_challenge as challenge
from cyclesiam.evaluation.metrics import vot_toolkit as toolkit

TOOLS = {
    "region_overlap": ["pysot", "matlab_2019", "vot_toolkit"],
    "vot_supervised": ["pysot", "matlab_2019", "vot_toolkit"],
    "otb_ope": ["pysot", "got10k"],
    "got10k": ["got10k"],
    "davis": ["davis2017", "davis2016"],
}


def region_overlap(a, b, bounds, tool):
    return regions.region_overlap(to_region(a), to_region(b), bounds, tool)


def to_region(value):
    """Return the region of a list of numbers, or of a mask's run lengths that start with zeros."""
    if not isinstance(value, dict):
        return np.array(value, dtype=float)
    width, height = value["size"]
    values = np.arange(len(value["rle"])) % 2 == 1
    pixels = np.repeat(values, value["rle"]).reshape(height, width)
    return regions.RegionMask(offset=tuple(value["offset"]), pixels=pixels)


def vot_supervised(dataset, tool):
    sequences = {
        s["name"]: vot.ResetRuns(
            width=s["width"],
            height=s["height"],
            truth=[to_region(region) for region in s["groundtruth"]],
            runs=[[to_region(region) for region in run] for run in s["runs"]],
        )
        for s in dataset["sequences"]
    }
    analyze = _vot_toolkit if tool == "vot_toolkit" else _vot_challenge
    scores, numbers = analyze(dataset, sequences, tool)
    return numbers | {
        "accuracy": scores.accuracy,
        "eao": {f"{a}_{b}": scores.eao((a, b)) for a, b in dataset["eao_intervals"]},
        "eao_curve": scores.curve,
    }


def _vot_challenge(dataset, sequences, tool):
    burn_in = dataset["burnin"]
    scores = challenge.vot_challenge(
        sequences, tool, burn_in=burn_in, restart_after=dataset["skip_initialize"]
    )
    return scores, {
        "lost_number": scores.failures,
        "robustness_per_100_frames": scores.failures_per_100_frames,
        "per_sequence": {
            name: {"accuracy": scores.accuracy_of[name], "failures": s.failures}
            for name, s in sequences.items()
        },
        "frame_overlaps_burnin": {
            name: challenge.analyze_sequence(s, tool, burn_in=burn_in).overlaps
            for name, s in sequences.items()
        },
    }


def _vot_toolkit(dataset, sequences, tool):
    scores = toolkit.vot_toolkit(sequences, burn_in=dataset["burnin"])
    return scores, {
        "robustness_length_weighted_failures": scores.failures_weighted,
        "reliability_s30": scores.reliability,
        "cumulative_failures": scores.failures,
        "per_sequence": {
            name: {
                "accuracy": scores.accuracy_of[name],
                "mean_failures": scores.failures_of[name],
                "reliability_s30": scores.reliability_of[name],
            }
            for name in sequences
        },
        "frame_overlaps_no_burnin": {n: toolkit.toolkit_overlaps(s) for n, s in sequences.items()},
    }


def otb_ope(dataset, tool):
    score = {"pysot": otb.pysot_curves, "got10k": otb.got10k_curves}[tool]
    curves = {
        s["name"]: score(np.array(s["result"], float), np.array(s["groundtruth"], float))
        for s in dataset["sequences"]
    }
    mean = otb.mean_curves(curves.values())
    numbers = _otb_numbers(mean) | {
        "success_curve": mean.success,
        "precision_curve": mean.precision,
        "per_sequence": {name: _otb_numbers(each) for name, each in curves.items()},
    }
    if mean.norm_precision is None:
        return numbers | {"success_rate_0.50": mean.success_50}
    return numbers | {"norm_precision_curve": mean.norm_precision}


def _otb_numbers(curves):
    numbers = {"success_auc": curves.success_auc, "precision_20px": curves.precision_20}
    if curves.norm_precision is not None:
        numbers["norm_precision_0.20"] = curves.norm_precision_20
    return numbers


def got10k(dataset, tool):
    overlaps = {
        s["name"]: pooled.scored_ious(
            [np.array(run, float) for run in s["runs"]],
            np.array(s["groundtruth"], float),
            cover=np.array(s["cover"]),
            resolution=s["resolution"],
        )
        for s in dataset["sequences"]
    }
    lengths = {s["name"]: len(s["groundtruth"]) - 1 for s in dataset["sequences"]}
    scores = pooled.average_overlap_scores(np.concatenate(list(overlaps.values())))
    each = {name: pooled.average_overlap_scores(found) for name, found in overlaps.items()}
    return {
        "ao": scores.ao,
        "sr_0.50": scores.sr_50,
        "sr_0.75": scores.sr_75,
        "success_curve_101": scores.curve,
        "per_sequence": {
            name: {"ao": s.ao, "sr_0.50": s.sr_50, "length": lengths[name]}
            for name, s in each.items()
        },
    }


def davis(dataset, tool):
    objects = {}
    for s in dataset["sequences"]:
        result, truth = s["segmentation"], s["annotation"]
        if tool == "davis2016":  # everything that is not background is one object
            result, truth, labels = result != 0, truth != 0, [1]
        else:
            truth = np.where(truth == VOID, 0, truth)
            labels = range(1, int(truth[0].max()) + 1)
        frames = range(1, len(truth) - 1)  # the first and the last do not count
        label_maps = ((t, result[t], truth[t]) for t in frames)
        for label, scores in masks.score_objects(label_maps, dict.fromkeys(labels, frames)).items():
            objects[s["name"] if tool == "davis2016" else f"{s['name']}_{label}"] = scores
    per_object = {}
    for name, scores in objects.items():
        values = {"J_frames": scores.j, "F_frames": scores.f}
        if tool == "davis2016":
            values = {key: np.pad(f, 1, constant_values=np.nan) for key, f in values.items()}
        per_object[name] = values | _davis_numbers(scores.numbers())
    mean = masks.mean_numbers([scores.numbers() for scores in objects.values()])
    if tool == "davis2016":
        return _davis_numbers(mean) | {"per_sequence": per_object}
    return _davis_numbers(mean) | {"J&F_mean": mean["j_and_f"], "per_object": per_object}


def _davis_numbers(numbers):
    return {key.capitalize(): number for key, number in numbers.items() if key != "j_and_f"}
