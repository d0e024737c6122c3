"""The stack on which signals are handled, which OpenVINO replaces.

It installs one of the size that the kernel names. Where a kernel does not count the registers of
AMX (some virtual machines: 2 of 11 KB), Ctrl-C then writes beyond it, and the process crashes.
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
    """Give the thread back, in the end, the signal stack that it had in the beginning (Linux)."""
    if sys.platform != "linux":
        yield
        return
    change = ctypes.CDLL(None).sigaltstack
    before = SignalStack()
    change(None, ctypes.byref(before))
    try:
        yield
    finally:
        change(ctypes.byref(before), None)
