"""The numbers of a tracker on a benchmark, and how they were made.

`to_json` turns a tree of frozen dataclasses into plain JSON, and `from_json` reads it back; NaN is
null there. The layout, with the numbers of one pass:

    {"benchmark": "otb", "protocol": "ope", "tracker": "kcf", "weights": null, "policy": "none",
     "initial_weights": null, "initial_input": "box", "flavour": "pysot", ...,
     "mean": {"auc": 0.47, "precision_20": 0.5, "fps": 80.1},
     "sequences": [{"name": "Bolt", "frames": 350, "auc": 0.47, "precision_20": 0.5, "fps": 80.1}],
     "objects": [], "attributes": [], "errors": [], "eao_interval": null,
     "curves": [{"name": "success", "x": [0.0, 0.05], "y": [0.99, 0.98]}]}

Which numbers there are depends on the benchmark and the protocol; `METRICS` lists all of them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from cyclesiam.errors import SourceError
from cyclesiam.evaluation.benchmarks import InitialInput, ProtocolName, ScoringRules
from cyclesiam.files import atomic_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """How a number is shown.

    Args:
        title: its name in tables.
        digits: after the decimal point.
        higher_is_better: None where neither is.
        percent: whether it is shown times 100, as papers do.
    """

    title: str
    digits: int = 3
    higher_is_better: bool | None = True
    percent: bool = False


METRICS: Mapping[str, Metric] = {
    "auc": Metric(title="AUC"),  # area under the success curve
    "precision_20": Metric(title="precision at 20 px"),
    "norm_precision_20": Metric(title="normalized precision at 0.2"),
    "ao": Metric(title="AO"),  # average overlap
    "sr_50": Metric(title="SR 0.5"),
    "sr_75": Metric(title="SR 0.75"),
    "accuracy": Metric(title="accuracy"),
    "failures": Metric(title="failures", digits=1, higher_is_better=False),  # sum over sequences
    "failures_per_100_frames": Metric(title="failures per 100 frames", higher_is_better=False),
    "failures_weighted": Metric(title="failures, by length", higher_is_better=False),
    "reliability": Metric(title="reliability at 30 frames"),
    "eao": Metric(title="EAO"),
    "j_and_f": Metric(title="J&F", digits=1, percent=True),
    "j_mean": Metric(title="J mean", digits=1, percent=True),
    "j_recall": Metric(title="J recall", digits=1, percent=True),
    "j_decay": Metric(title="J decay", digits=1, percent=True, higher_is_better=False),
    "f_mean": Metric(title="F mean", digits=1, percent=True),
    "f_recall": Metric(title="F recall", digits=1, percent=True),
    "f_decay": Metric(title="F decay", digits=1, percent=True, higher_is_better=False),
    "fps": Metric(title="frames/s", digits=1),
}
"""Name of a number, as in `Score.numbers`, to how it is shown."""


def format_number(metric: str, value: float) -> str:
    """Return a number as a table shows it; `-` for NaN.

    >>> format_number("auc", 0.4712), format_number("j_mean", 0.649), format_number("eao", math.nan)
    ('0.471', '64.9', '-')
    """
    if math.isnan(value):
        return "-"
    shown = METRICS[metric]
    return f"{value * (100 if shown.percent else 1):.{shown.digits}f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """How results were made; what is unknown of results from elsewhere is None.

    The fields are keys of `run.json` and of the scores.

    Args:
        benchmark: a name in `evaluation.benchmarks.BENCHMARKS`.
        protocol: how the tracker was run: `ope` (one pass), `reset` (VOT), `segmentation`.
        tracker: its name.
        weights: which weights it used, if any.
        policy: which labels its training could read; `none` if nothing was trained.
        initial_weights: what its training began with: `random`, or the name of other weights.
        initial_input: what it got in the first frame.
        flavour: the program by whose rules results are scored.
        machine: processor, cores, system.
        command: the command line that ran it.
        date: day of the run, ISO 8601.
        version: of this package, when it ran.
        results: the tracker's folder of raw results; may be gone by now.
    """

    benchmark: str
    protocol: ProtocolName
    tracker: str
    weights: str | None = None
    policy: str | None = None
    initial_weights: str | None = None
    initial_input: InitialInput = "box"
    flavour: ScoringRules = "pysot"
    machine: str | None = None
    command: str | None = None
    date: str | None = None
    version: str | None = None
    results: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Numbers of a sequence, an object, or all frames (or sequences) with an attribute.

    Args:
        name: of the sequence, object or attribute. An object is called `SEQUENCE_NUMBER`.
        frames: number of frames that were scored.
        numbers: a name in `METRICS` to the number; NaN where nothing could be scored.
    """

    name: str
    frames: int
    numbers: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return name, frames and the numbers as one JSON object."""
        return {"name": self.name, "frames": self.frames, **_without_nan(self.numbers)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        numbers = {key: value for key, value in content.items() if key not in ("name", "frames")}
        return cls(name=content["name"], frames=content["frames"], numbers=_with_nan(numbers))


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A curve of the benchmark, mean over its sequences or frames.

    Args:
        name: `success` (x: overlap), `precision` (x: pixels), `norm_precision` (x: target sizes)
            or `eao` (expected overlap; x: frames).
        x: threshold or length.
        y: ratio of frames, or overlap, 0..1; NaN where unknown.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedSequence:
    """A sequence that could not be run or scored, and why."""

    name: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The numbers of a tracker on a benchmark.

    Args:
        run: how the results were made.
        mean: a name in `METRICS` to the benchmark's number.
        sequences: of each sequence that could be scored.
        objects: of each object, in segmentation.
        attributes: of the frames (VOT) or sequences (others) with an attribute, where annotated.
        curves: of the benchmark.
        eao_interval: lengths over which the EAO is the mean of its curve, with resets.
        errors: sequences without numbers; then the means are over the others.
    """

    run: RunInfo
    mean: Mapping[str, float]
    sequences: tuple[Score, ...]
    objects: tuple[Score, ...] = ()
    attributes: tuple[Score, ...] = ()
    curves: tuple[Curve, ...] = ()
    eao_interval: tuple[int, int] | None = None
    errors: tuple[FailedSequence, ...] = ()

    def curve(self, name: str) -> Curve | None:
        """Return the curve called `name`, None if there is none."""
        return next((curve for curve in self.curves if curve.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return the layout at the top of this module, ready for `json.dumps`."""
        return {
            **asdict(self.run),
            "mean": _without_nan(self.mean),
            "sequences": [score.to_json() for score in self.sequences],
            "objects": [score.to_json() for score in self.objects],
            "attributes": [score.to_json() for score in self.attributes],
            "curves": [
                {"name": curve.name, "x": list(curve.x), "y": [_known(y) for y in curve.y]}
                for curve in self.curves
            ],
            "eao_interval": None if self.eao_interval is None else list(self.eao_interval),
            "errors": [asdict(error) for error in self.errors],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            KeyError: a key is missing.
            TypeError: a value is of another kind.
        """
        interval = content["eao_interval"]
        return cls(
            run=RunInfo(**{field.name: content[field.name] for field in fields(RunInfo)}),
            mean=_with_nan(content["mean"]),
            sequences=tuple(map(Score.from_json, content["sequences"])),
            objects=tuple(map(Score.from_json, content["objects"])),
            attributes=tuple(map(Score.from_json, content["attributes"])),
            curves=tuple(
                Curve(name=c["name"], x=tuple(c["x"]), y=tuple(_number(y) for y in c["y"]))
                for c in content["curves"]
            ),
            eao_interval=None if interval is None else (interval[0], interval[1]),
            errors=tuple(FailedSequence(**error) for error in content["errors"]),
        )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _without_nan(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {key: _known(value) for key, value in numbers.items()}


def _with_nan(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {key: _number(value) for key, value in numbers.items()}


def write_evaluations(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write one evaluation as one JSON object, several as `{"evaluations": [...]}`.

    Raises:
        SourceError: the file cannot be written.
    """
    contents = [evaluation.to_json() for evaluation in evaluations]
    content = contents[0] if len(contents) == 1 else {"evaluations": contents}
    try:
        with atomic_path(path) as part:
            part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be written ({error.strerror}); choose another --json"
        ) from error


def read_evaluations(path: Path) -> tuple[Evaluation, ...]:
    """Read what `write_evaluations` wrote.

    Raises:
        SourceError: the file cannot be read, or is no such JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return tuple(map(Evaluation.from_json, content.get("evaluations", [content])))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise SourceError(
            f"{path}: is not what --json writes ({type(error).__name__}: {error}); "
            "evaluate or score again"
        ) from error
