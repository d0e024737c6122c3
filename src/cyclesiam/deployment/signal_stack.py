"""The stack that signals are handled on, which OpenVINO replaces.

OpenVINO installs one of the size that the kernel names. Some virtual machines do not count the
registers of AMX there (2 KB instead of 11). Ctrl-C then writes beyond the stack, and the process
crashes.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class SignalStack(ctypes.Structure):
    """`stack_t` of signal.h."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextmanager
def preserve_signal_stack() -> Iterator[None]:
    """Restore the thread's signal stack at the end (on Linux)."""
    if sys.platform != "linux":
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = SignalStack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
