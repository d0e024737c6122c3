"""Find raw results on disk: which trackers a folder holds results of."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.benchmarks import Layout, ProtocolName, find_benchmark
from cyclesiam.evaluation.results.evaluation import RunInfo
from cyclesiam.evaluation.results.files import ResultFolder
from cyclesiam.evaluation.results.run_record import read_record


@dataclass(frozen=True, slots=True)
class TrackerResults:
    """One tracker's raw results.

    Args:
        results: its folder.
        run: how they were made, as far as it is on record.
    """

    results: ResultFolder
    run: RunInfo


def find_results(
    folders: Iterable[Path],
    names: Collection[str],
    *,
    benchmark: str,
    protocol: ProtocolName,
    layout: Layout,
) -> list[TrackerResults]:
    """Find trackers: each folder is one tracker's, or holds a folder for each of several.

    Args:
        folders: where to search.
        names: of sequences; a folder with the result of one of them is a tracker's.
        benchmark: name of the benchmark.
        protocol: by which the results were made.
        layout: of that protocol's files.

    Returns:
        At least one for each folder. Where two have the same name, the folder above is added.

    Raises:
        DatasetError: a folder holds no result.
        CycleSiamError: results were made by another protocol.
    """
    unknown = RunInfo(benchmark=benchmark, protocol=protocol, tracker="")
    found = [
        _with_record(results, unknown)
        for folder in folders
        for results in _find_in(folder, names, unknown, layout)
    ]
    trackers = [one.run.tracker for one in found]
    return [
        one
        if trackers.count(one.run.tracker) == 1
        else replace(one, run=replace(one.run, tracker=_longer_name(one)))
        for one in found
    ]


def recorded_protocol(benchmark: str, folders: Iterable[Path]) -> ProtocolName:
    """Return the protocol by which results were made, where it is on record, else the usual one.

    Args:
        benchmark: its name.
        folders: one tracker's each, or with a folder for each of several.

    Raises:
        CycleSiamError: there are several.
        ValueError: there is no such benchmark.
    """
    present = [folder for folder in folders if folder.is_dir()]
    below = [path for folder in present for path in sorted(folder.iterdir()) if path.is_dir()]
    records = [record for path in [*present, *below] if (record := read_record(path))]
    protocols: list[ProtocolName] = sorted({record.protocol for record in records})
    if len(protocols) > 1:
        raise CycleSiamError(
            f"the results were made by several protocols, {' and '.join(protocols)}. Choose one by "
            "--protocol, and give the folders of that one."
        )
    return protocols[0] if protocols else find_benchmark(benchmark).protocols[0]


def _find_in(
    folder: Path, names: Collection[str], run: RunInfo, layout: Layout
) -> list[ResultFolder]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: this folder of results is missing. Check --results.")
    own = ResultFolder(folder, layout)
    if own.has_any(names):
        return [own]
    below = (ResultFolder(path, layout) for path in sorted(folder.iterdir()) if path.is_dir())
    found = [results for results in below if results.has_any(names)]
    if not found:
        name = next(iter(names))
        raise DatasetError(
            f"{folder}: holds no result of {run.benchmark} by the protocol {run.protocol}. "
            f"Looked for {own.run_file(name)}, the other sequences', and the same in the folders "
            "below."
        )
    return found


def _with_record(results: ResultFolder, unknown: RunInfo) -> TrackerResults:
    """Read how results were made; without a record, the folder's name is the tracker's."""
    run = read_record(results.path)
    if run is None:
        run = replace(unknown, tracker=results.path.resolve().name)
    elif run.protocol != unknown.protocol:
        raise CycleSiamError(
            f"{results.path}: was made by the protocol {run.protocol}, not {unknown.protocol}. "
            f"Score it with --protocol {run.protocol}."
        )
    run = replace(run, benchmark=unknown.benchmark, results=str(results.path))
    return TrackerResults(results, run)


def _longer_name(found: TrackerResults) -> str:
    return f"{found.results.path.resolve().parent.name}/{found.run.tracker}"
