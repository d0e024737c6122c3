"""Evaluations as one HTML file that opens anywhere: no network, no other file, light and dark."""

from collections.abc import Sequence
from pathlib import Path

from cyclesiam.data.segmentation_sequences import SegmentationReader
from cyclesiam.data.sequences import SequenceReader
from cyclesiam.evaluation.evaluations import Evaluation

REPORT_FILE = "report.html"


def write_report(
    folder: Path,
    evaluations: Sequence[Evaluation],
    reader: SequenceReader | SegmentationReader | None = None,
) -> Path:
    """Write `report.html`.

    Args:
        folder: where to; made if there is none.
        evaluations: at least one, all of one benchmark and protocol; the sequences are sorted by
            the first one's numbers.
        reader: of the benchmark, to show frames; without it there are none.

    Returns:
        The file.

    Raises:
        ValueError: there is no evaluation, or they are of several benchmarks or protocols.
        MissingExtraError: matplotlib is not installed.
        SourceError: the file cannot be written.
    """
    raise NotImplementedError
