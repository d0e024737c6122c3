"""The file `run.json` beside raw results: how they were made, so that others are kept apart."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cyclesiam.errors import CycleSiamError, SourceError
from cyclesiam.evaluation.benchmarks import ProtocolSettings
from cyclesiam.evaluation.results.evaluation import RunInfo
from cyclesiam.evaluation.results.files import result_path

FILE = "run.json"
MUST_MATCH = "benchmark protocol initial_input starts repetitions identity version".split()
"""Keys whose values must be the same for results to belong together."""


def open_record(folder: Path, run: RunInfo, settings: ProtocolSettings, identity: str) -> RunInfo:
    """Begin a folder of raw results, or check whether results can be added to it.

    Args:
        folder: one tracker's.
        run: how the results are about to be made.
        settings: of the protocol.
        identity: of the tracker; it changes with its weights, settings and code.

    Returns:
        How its results are made; of a folder that was begun before, what is on record.

    Raises:
        CycleSiamError: it holds results of other settings, or of unknown origin.
        SourceError: it cannot be written.
    """
    expected = {**asdict(run), **asdict(settings), "identity": identity}
    recorded = _read(folder)
    if recorded is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise CycleSiamError(
                f"{folder}: holds files, but no {FILE} to tell how they were made. Choose "
                "another --results, or score them with `cyclesiam score`."
            )
        with result_path(folder / FILE) as part:
            part.write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
        return run
    differing = [key for key in MUST_MATCH if recorded.get(key) != expected[key]]
    if differing:
        what = "; ".join(
            f"{key} {recorded.get(key)} there, {expected[key]} now" for key in differing
        )
        raise CycleSiamError(
            f"{folder}: holds results of other settings ({what}). Choose another --results, or "
            "remove this folder."
        )
    return _to_info(recorded)


def has_results(folder: Path) -> bool:
    """Check whether a folder of any trackers holds more than records."""
    return any(path.is_file() and path.name != FILE for path in folder.rglob("*"))


def read_record(folder: Path) -> RunInfo | None:
    """Return how a folder's results were made; None if that is not on record.

    Raises:
        SourceError: the record cannot be read.
    """
    recorded = _read(folder)
    return None if recorded is None else _to_info(recorded)


def _to_info(content: Mapping[str, Any]) -> RunInfo:
    return RunInfo(**{f.name: content[f.name] for f in fields(RunInfo) if f.name in content})


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _to_info(content)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path}: is no record of a run ({error}). Remove the folder, or this file to score it"
        ) from error
    return content
