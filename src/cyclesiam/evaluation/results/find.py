"""Raw results that lie about: which trackers a folder holds results of."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.benchmarks import Benchmark, protocols_of
from cyclesiam.evaluation.results.evaluation import Protocol, RunInfo
from cyclesiam.evaluation.results.files import ResultFolder
from cyclesiam.evaluation.results.run_record import read_record


@dataclass(frozen=True, slots=True)
class TrackerResults:
    """One tracker's raw results.

    Args:
        results: its folder.
        run: how they came about, as far as that is on record.
    """

    results: ResultFolder
    run: RunInfo


def find_results(
    benchmark: Benchmark, folders: Iterable[Path], names: Collection[str]
) -> list[TrackerResults]:
    """Find trackers: each folder is one's own, or holds a folder for each of several.

    Args:
        benchmark: with its protocol.
        folders: to look in.
        names: of sequences; a folder with the result of one of them is a tracker's.

    Returns:
        At least one for each folder. Where two have the same name, the folder above is added.

    Raises:
        DatasetError: a folder holds no result.
        CycleSiamError: results were made by another protocol.
    """
    found = [one for folder in folders for one in _find_in(benchmark, folder, names)]
    called = [one.run.tracker for one in found]
    return [
        one
        if called.count(one.run.tracker) == 1
        else replace(one, run=replace(one.run, tracker=_longer_name(one)))
        for one in found
    ]


def recorded_protocol(benchmark: str, folders: Iterable[Path]) -> Protocol:
    """Give the protocol that results were made by, where it is on record, else the usual one.

    Args:
        benchmark: its name.
        folders: as in `find_results`.

    Raises:
        CycleSiamError: there are several.
    """
    there = [folder for folder in folders if folder.is_dir()]
    below = [path for folder in there for path in sorted(folder.iterdir()) if path.is_dir()]
    records = [record for path in [*there, *below] if (record := read_record(path))]
    protocols: list[Protocol] = sorted({record.protocol for record in records})
    if len(protocols) > 1:
        raise CycleSiamError(
            f"the results were made by several protocols, {' and '.join(protocols)}. Choose one by "
            "--protocol, and give the folders of that one."
        )
    return protocols[0] if protocols else protocols_of(benchmark)[0]


def _find_in(benchmark: Benchmark, folder: Path, names: Collection[str]) -> list[TrackerResults]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: this folder of results is missing. Check --results.")
    own = benchmark.results(folder)
    if own.has_any(names):
        return [_describe(benchmark, own)]
    below = (path for path in sorted(folder.iterdir()) if path.is_dir())
    found = [results for path in below if (results := benchmark.results(path)).has_any(names)]
    if not found:
        name = next(iter(names))
        raise DatasetError(
            f"{folder}: holds no result of {benchmark.name} by the protocol {benchmark.protocol}. "
            f"Looked for {own.run_file(name)}, the other sequences', and the same in the folders "
            "below."
        )
    return [_describe(benchmark, results) for results in found]


def _describe(benchmark: Benchmark, results: ResultFolder) -> TrackerResults:
    where = str(results.path)
    run = read_record(results.path)
    if run is None:
        name = results.path.resolve().name
        run = RunInfo(benchmark=benchmark.name, protocol=benchmark.protocol, tracker=name)
    elif run.protocol != benchmark.protocol:
        raise CycleSiamError(
            f"{where}: was made by the protocol {run.protocol}, not {benchmark.protocol}. Score it "
            f"with --protocol {run.protocol}."
        )
    return TrackerResults(results, replace(run, benchmark=benchmark.name, results=where))


def _longer_name(found: TrackerResults) -> str:
    return f"{found.results.path.resolve().parent.name}/{found.run.tracker}"
