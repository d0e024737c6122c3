"""A tracker on a benchmark: every sequence in one pass, and a table of numbers.

The result as JSON:

    {"benchmark": "otb", "protocol": "ope", "tracker": "kcf", "weights": null, "policy": null,
     "mean": {"auc": 0.47, "precision_20": 0.5, "fps": 80.1},
     "sequences": [{"name": "Bolt", "frames": 350, "auc": 0.47, "precision_20": 0.5, "fps": 80.1}]}
"""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cyclesiam.data.benchmark_readers import BOX_READERS
from cyclesiam.data.sequences import Sequence, SequenceReader
from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.metrics import centre_errors, frame_overlaps, precision_at, success_auc
from cyclesiam.evaluation.protocols import BoxTracker, Trajectory, one_pass

BENCHMARKS = BOX_READERS
"""Name to the reader of a benchmark's root folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Numbers of a tracker on one sequence, or their means over sequences of equal weight.

    Args:
        auc: area under the success curve, 0..1.
        precision_20: share of frames with a centre error of at most 20 pixels, 0..1.
        fps: frames per second.
    """

    auc: float
    precision_20: float
    fps: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceScore:
    """The score of one sequence of `frames` frames."""

    name: str
    frames: int
    score: Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A tracker on a benchmark.

    Args:
        benchmark: a name in `BENCHMARKS`.
        tracker: its name.
        sequences: at least one.
        weights: which weights it used, if any.
        policy: which labels its training was allowed, if it was trained.
        protocol: how it was run.
    """

    benchmark: str
    tracker: str
    sequences: tuple[SequenceScore, ...]
    weights: str | None = None
    policy: str | None = None
    protocol: str = "ope"

    @property
    def mean(self) -> Score:
        """Mean over the sequences, each with the same weight whatever its length."""
        scores = [sequence.score for sequence in self.sequences]
        return Score(
            auc=fmean(score.auc for score in scores),
            precision_20=fmean(score.precision_20 for score in scores),
            fps=fmean(score.fps for score in scores),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the layout at the top of this module, ready for `json.dumps`."""
        return {
            "benchmark": self.benchmark,
            "protocol": self.protocol,
            "tracker": self.tracker,
            "weights": self.weights,
            "policy": self.policy,
            "mean": asdict(self.mean),
            "sequences": [
                {"name": s.name, "frames": s.frames, **asdict(s.score)} for s in self.sequences
            ],
        }

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Give a table as text: name, frames, AUC, precision, fps; one row each, the mean last."""
        total = sum(sequence.frames for sequence in self.sequences)
        named = [(s.name, s.frames, s.score) for s in self.sequences]
        return [
            (name, str(frames), f"{score.auc:.3f}", f"{score.precision_20:.3f}", f"{score.fps:.1f}")
            for name, frames, score in [*named, ("mean", total, self.mean)]
        ]


Progress = Callable[[int, int, SequenceScore], None]
"""Told after each sequence: how many are done, of how many, and the score of this one."""


def open_benchmark(benchmark: str, root: Path) -> SequenceReader:
    """Open a benchmark's folder.

    Raises:
        ValueError: no benchmark is called so.
        DatasetError: the folder is not that benchmark.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"no benchmark {benchmark!r}; there are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[benchmark](Path(root))


def evaluate(
    benchmark: str,
    root: Path,
    make_tracker: Callable[[], BoxTracker],
    *,
    tracker: str,
    weights: str | None = None,
    policy: str | None = None,
    names: Collection[str] | None = None,
    on_sequence: Progress | None = None,
) -> Evaluation:
    """Run a tracker over a benchmark in one pass a sequence, and score it.

    Args:
        benchmark: a name in `BENCHMARKS`.
        root: its folder.
        make_tracker: called for every sequence, so that none knows of another.
        tracker: name of the tracker, for the report.
        weights: which weights it uses, for the report.
        policy: which labels its training was allowed, for the report.
        names: run these sequences only.
        on_sequence: told after each sequence.

    Raises:
        ValueError: no benchmark is called so.
        DatasetError: the benchmark cannot be read, or has no sequence of one of the `names`.
        CycleSiamError: the tracker failed; the message names the sequence.
    """
    reader = open_benchmark(benchmark, root)
    chosen = _choose(reader.names, names, benchmark)
    scores: list[SequenceScore] = []
    for name in chosen:
        sequence = reader.read(name)
        trajectory = _run(make_tracker(), sequence, f"{tracker} on {benchmark}")
        scores.append(score_sequence(sequence, trajectory))
        if on_sequence is not None:
            on_sequence(len(scores), len(chosen), scores[-1])
    return Evaluation(
        benchmark=benchmark,
        tracker=tracker,
        sequences=tuple(scores),
        weights=weights,
        policy=policy,
    )


def score_sequence(sequence: Sequence, trajectory: Trajectory) -> SequenceScore:
    """Judge a trajectory by the truth of its sequence."""
    score = Score(
        auc=success_auc(frame_overlaps(trajectory.boxes, sequence.boxes)),
        precision_20=precision_at(centre_errors(trajectory.boxes, sequence.boxes)),
        fps=trajectory.fps,
    )
    return SequenceScore(name=sequence.name, frames=len(sequence), score=score)


def _run(tracker: BoxTracker, sequence: Sequence, what: str) -> Trajectory:
    """One pass; whatever a foreign tracker raises becomes an error that names the sequence."""
    try:
        return one_pass(tracker, sequence)
    except Exception as error:
        reason = " ".join(str(error).split())  # OpenCV's messages have several lines
        if not isinstance(error, CycleSiamError):
            reason = f"the tracker stopped with {type(error).__name__}: {reason}"
        raise CycleSiamError(f"{what}, sequence {sequence.name}: {reason}") from error


def _choose(
    there: tuple[str, ...], wanted: Collection[str] | None, benchmark: str
) -> tuple[str, ...]:
    if wanted is None:
        return there
    absent = [name for name in wanted if name not in there]
    if absent or not wanted:
        raise DatasetError(
            f"{benchmark}: no sequence {', '.join(absent) or 'was asked for'}. "
            f"Choose from {', '.join(there)}."
        )
    return tuple(name for name in there if name in wanted)
