"""Evaluations as one HTML file that opens anywhere: no network, no other file, light and dark."""

from collections.abc import Sequence
from pathlib import Path

from cyclesiam.errors import SourceError
from cyclesiam.evaluation.benchmarks import Dataset
from cyclesiam.evaluation.report.page import render_page
from cyclesiam.evaluation.report.plots import check_matplotlib
from cyclesiam.evaluation.report.sequences import (
    add_frame_results,
    sequences_section,
    sort_worst_first,
)
from cyclesiam.evaluation.results.evaluation import Evaluation
from cyclesiam.files import atomic_path

REPORT_FILE = "report.html"


def write_report(
    folder: Path,
    evaluations: Sequence[Evaluation],
    dataset: Dataset | None = None,
) -> Path:
    """Write `report.html`: results, curves, attributes, and the sequences with their key frames.

    Args:
        folder: where to write it; made if there is none.
        evaluations: at least one, all of one benchmark and protocol; the sequences are sorted by
            the first one's numbers.
        dataset: the benchmark, to show frames; without it there are none.

    Returns:
        The path of the file.

    Raises:
        ValueError: there is no evaluation, or they are of several benchmarks or protocols.
        MissingExtraError: matplotlib is not installed.
        SourceError: the file cannot be written.
    """
    kinds = {(evaluation.run.benchmark, evaluation.run.protocol) for evaluation in evaluations}
    if len(kinds) != 1:
        raise ValueError(f"a report is of one benchmark and one protocol, got {sorted(kinds)}")
    check_matplotlib()
    views = sort_worst_first(evaluations)
    if dataset is not None:
        views = list(add_frame_results(views, evaluations, dataset))
    page = render_page(evaluations, sequences_section(views, evaluations))
    path = Path(folder) / REPORT_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be written ({error.strerror}); choose another --report"
        ) from error
    return path
