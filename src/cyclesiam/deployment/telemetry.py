"""Import runtimes without their telemetry.

ONNX Runtime and OpenVINO write an identifier of the machine below the home folder when they are
imported, and may send what is done.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

OPENVINO_TELEMETRY = "openvino_telemetry"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Switch off the telemetry of runtimes that are first imported inside.

    OpenVINO has no switch; it falls back to a stub where its telemetry package is missing.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if OPENVINO_TELEMETRY in sys.modules:  # imported by the program, which so decides
        yield
        return
    sys.modules[OPENVINO_TELEMETRY] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        sys.modules.pop(OPENVINO_TELEMETRY, None)
