"""All protocols by their names."""

from collections.abc import Mapping
from typing import Any

from cyclesiam.evaluation.benchmarks import ProtocolName, ProtocolSettings, find_benchmark
from cyclesiam.evaluation.protocols.interface import EvaluationProtocol
from cyclesiam.evaluation.protocols.one_pass import OnePass
from cyclesiam.evaluation.protocols.reset import Reset
from cyclesiam.evaluation.protocols.segmentation import SegmentationProtocol

PROTOCOLS: Mapping[ProtocolName, type[EvaluationProtocol[Any]]] = {
    protocol.name: protocol for protocol in (OnePass, Reset, SegmentationProtocol)
}
"""Name of each protocol to its class."""


def make_protocol(
    benchmark: str,
    name: ProtocolName | None = None,
    settings: ProtocolSettings | None = None,
) -> EvaluationProtocol[Any]:
    """Return a protocol of a benchmark.

    Args:
        benchmark: name of the benchmark.
        name: of the protocol; None for the usual one of this benchmark.
        settings: of the protocol; None for the defaults.

    Raises:
        CycleSiamError: the benchmark cannot be run by this protocol.
        ValueError: there is no such benchmark.
    """
    spec = find_benchmark(benchmark)
    return PROTOCOLS[name or spec.protocols[0]](spec, settings or ProtocolSettings())
