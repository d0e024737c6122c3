"""Published results to compare with, by benchmark and protocol.

The numbers are from the papers: CycleSiam (Yuan et al., IROS 2020) with the results it compares to,
and later label-free trackers. They are of whole benchmarks. Speeds are of other machines.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cyclesiam.evaluation.benchmarks import InitialInput, ProtocolName


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedResult:
    """A result of a paper.

    Args:
        tracker: its name.
        labels: which labels it was trained with, in words.
        initial_input: what it starts from in the first frame.
        numbers: a name in `METRICS` to the number.
    """

    tracker: str
    labels: str
    initial_input: InitialInput
    numbers: Mapping[str, float]


NOTHING, NONE = "none, nothing trained", "none"
FIRST_BOX, FIRST_MASK, ALL = "first box", "first mask", "all frames"


def _vot(tracker: str, labels: str, *numbers: float | None) -> PublishedResult:
    """Make a result of EAO, accuracy, failures per 100 frames and frames/s, as far as known."""
    names = ("eao", "accuracy", "failures_per_100_frames", "fps")
    known = {name: n for name, n in zip(names, numbers, strict=False) if n is not None}
    return PublishedResult(tracker=tracker, labels=labels, initial_input="box", numbers=known)


def _davis(tracker: str, labels: str, start: InitialInput, *numbers: float) -> PublishedResult:
    """Make a result of J and F in percent, and frames/s where known."""
    j_mean, f_mean, *speed = numbers
    known = {"j_mean": j_mean / 100, "f_mean": f_mean / 100}
    if speed:
        known["fps"] = speed[0]
    return PublishedResult(tracker=tracker, labels=labels, initial_input=start, numbers=known)


PUBLISHED: Mapping[tuple[str, ProtocolName], tuple[PublishedResult, ...]] = {
    ("vot2016", "reset"): (
        _vot("KCF", NOTHING, 0.192, 0.489, 0.569, 170),
        _vot("UDT", NONE, 0.226, None, None, 70),
        _vot("UDT+", NONE, 0.301, None, None, 55),
        _vot("CycleSiam", FIRST_BOX, 0.371, 0.603, 0.294, 59),
        _vot("CycleSiam+", FIRST_MASK, 0.398, 0.601, 0.247, 44),
        _vot("USOT*", NONE, 0.402),
        _vot("ULAST*-on", NONE, 0.417),
        _vot("Diff-Tracker", NONE, 0.430),
        _vot("SiamMask", ALL, 0.433, 0.639, 0.214, 56),
    ),
    ("vot2018", "reset"): (
        _vot("KCF", NOTHING, 0.135, 0.447, 0.773, 170),
        _vot("CycleSiam", FIRST_BOX, 0.294, 0.562, 0.389, 59),
        _vot("CycleSiam+", FIRST_MASK, 0.317, 0.549, 0.314, 44),
        _vot("USOT*", NONE, 0.344),
        _vot("ULAST*-on", NONE, 0.355),
        _vot("Diff-Tracker", NONE, 0.365),
        _vot("SiamMask", ALL, 0.380, 0.609, 0.276, 56),
    ),
    ("davis2016", "segmentation"): (
        _davis("CycleSiam+", FIRST_MASK, "box", 64.9, 62.0, 44),
        _davis("SiamMask", ALL, "box", 71.3, 67.4, 56),
    ),
    ("davis2017", "segmentation"): (
        _davis("CycleSiam+", FIRST_MASK, "box", 50.9, 56.8, 44),
        _davis("TimeCycle", NONE, "mask", 46.4, 50.0),
        _davis("UVC", NONE, "mask", 56.3, 59.2),
        _davis("MAST", NONE, "mask", 63.3, 67.6),
        _davis("CRW", NONE, "mask", 64.6, 70.6),
        _davis("SiamMask", ALL, "box", 54.3, 58.5, 56),
    ),
}
"""Name of benchmark and of protocol to results, by year, the supervised one last."""


def published(benchmark: str, protocol: ProtocolName) -> tuple[PublishedResult, ...]:
    """Return what was published of a benchmark by this protocol; without any, an empty tuple."""
    return PUBLISHED.get((benchmark, protocol), ())
