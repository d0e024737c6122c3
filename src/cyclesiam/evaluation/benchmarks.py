"""Facts about each benchmark, in one table: how it is run, stored and scored.

What opens its folder is in `cyclesiam.datasets.registry`, by the same names.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from cyclesiam.datasets.segmentation_sequences import SegmentationDataset
from cyclesiam.datasets.sequences import TrackingDataset
from cyclesiam.errors import DatasetError

Dataset = TrackingDataset | SegmentationDataset
ProtocolName = Literal["ope", "reset", "segmentation"]
"""How a tracker is run: one pass, resets as in the VOT challenges, or masks."""
ScoringRules = Literal["pysot", "vot_toolkit", "got10k", "davis2017"]
"""Whose program's rules give the numbers. The option and the JSON key are called `flavour`."""
InitialInput = Literal["box", "mask"]
"""What a tracker gets in the first frame."""
Layout = Literal["flat", "nested", "vot", "masks"]
"""How files of raw results are laid out, see `results.files`."""
Interval = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolSettings:
    """What can be chosen of a protocol.

    Args:
        starts: one pass: number of runs of a sequence, from frames spread evenly over it.
        repetitions: resets: number of runs of a sequence, for trackers that draw random numbers.
        initial_input: segmentation: whether trackers start from boxes or masks.
    """

    starts: int = 1
    repetitions: int = 1
    initial_input: InitialInput = "box"

    def __post_init__(self) -> None:
        if self.starts < 1 or self.repetitions < 1:
            raise ValueError("there must be at least one start and one repetition")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkSpec:
    """What must be known of a benchmark to run and score a tracker on it.

    Args:
        name: of the benchmark.
        protocols: by which it can be run, the usual one first.
        layout: of the raw results of one pass.
        origin: coordinate of the first pixel's left and top edge in raw results of boxes. OTB's
            files count from 1, as MATLAB does. All others are taken as they are, as every toolkit
            does.
        eao_interval: first and last length, in frames, of the typical sequences over which the
            expected average overlap (EAO) is the mean of its curve; None for no EAO.
        num_sequences: of the test set; None where it is not known. Reports of fewer say so.
        skips_last_frame: the last frame of a sequence does not count.
        pools_frames: average overlap (AO) and success rates are means over the frames of all
            sequences, and boxes are clipped to the image, as GOT-10k does.
    """

    name: str
    protocols: tuple[ProtocolName, ...] = ("ope",)
    layout: Layout = "flat"
    origin: float = 0.0
    eao_interval: Interval | None = None
    num_sequences: int | None = None
    skips_last_frame: bool = False
    pools_frames: bool = False


def _otb(name: str, num_sequences: int) -> BenchmarkSpec:
    return BenchmarkSpec(name=name, origin=1.0, num_sequences=num_sequences)


def _vot(name: str, eao_interval: Interval) -> BenchmarkSpec:
    return BenchmarkSpec(
        name=name, protocols=("reset", "ope"), eao_interval=eao_interval, num_sequences=60
    )


def _davis(name: str, num_sequences: int) -> BenchmarkSpec:
    return BenchmarkSpec(
        name=name,
        protocols=("ope", "segmentation"),
        num_sequences=num_sequences,
        skips_last_frame=True,
    )


BENCHMARKS: Mapping[str, BenchmarkSpec] = {
    spec.name: spec
    for spec in (
        _otb("otb", 100),
        _otb("otb2013", 51),
        _otb("otb50", 50),
        _otb("otb100", 100),
        BenchmarkSpec(name="uav123", num_sequences=123),
        BenchmarkSpec(name="uav123_10fps"),
        BenchmarkSpec(name="lasot", num_sequences=280),
        BenchmarkSpec(name="got10k", layout="nested", pools_frames=True),
        BenchmarkSpec(name="trackingnet"),
        _vot("vot2016", (108, 371)),
        _vot("vot2018", (100, 356)),
        BenchmarkSpec(name="vid"),
        _davis("davis2016", 20),
        _davis("davis2017", 30),
        BenchmarkSpec(name="youtubevos", protocols=("segmentation",)),
    )
}
"""Name of each benchmark to what is known of it."""


def find_benchmark(name: str) -> BenchmarkSpec:
    """Return what is known of the benchmark called `name`.

    Raises:
        ValueError: there is none.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def select_sequences(
    names: tuple[str, ...], selected: Collection[str] | None, benchmark: str
) -> tuple[str, ...]:
    """Return the names of the selected sequences, in the benchmark's order.

    Args:
        names: of all sequences of the benchmark.
        selected: names in any order; None selects all.
        benchmark: its name, for messages.

    Raises:
        DatasetError: the benchmark has no sequence of one of the names, or none is selected.
    """
    if selected is None:
        return names
    absent = [name for name in selected if name not in names]
    if absent or not selected:
        raise DatasetError(
            f"{benchmark}: no sequence {', '.join(absent) or 'was asked for'}. "
            f"Choose from {', '.join(names)}."
        )
    return tuple(name for name in names if name in selected)
