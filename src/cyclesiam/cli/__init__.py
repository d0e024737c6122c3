"""The command `cyclesiam`: one module for each subcommand.

A command parses options, calls the library, and prints. Only commands may import every part.
This module imports nothing heavy, so that Ctrl-C is handled from the first moment.
"""

import os
import signal
import sys
from collections.abc import Sequence

from cyclesiam.cli.signals import end_at_once

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those after the program's name; by default the process's own.

    Returns:
        The exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C, 128 more than
        its number if another signal ended it.
    """
    from cyclesiam.cli.program import run_command

    return run_command(sys.argv[1:] if arguments is None else arguments)


def run() -> None:
    """Run the command in this process's arguments, and end the process."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch: see `threads`
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
    from cyclesiam.cli.streams import keep_streams, output_failure

    keep_streams()
    status = main()
    if output_failure() is not None:
        status = status or FAILED
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be interrupted
    sys.exit(status)
