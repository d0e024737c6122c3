"""The command `cyclesiam`: the only place where all parts are put together.

One module for each command. A command parses, calls the library, and prints.
"""

import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import tyro

from cyclesiam import __version__
from cyclesiam.cli.bench import Bench
from cyclesiam.cli.demo import Demo
from cyclesiam.cli.discover import Discover
from cyclesiam.cli.evaluate import Evaluate
from cyclesiam.cli.export import Export
from cyclesiam.cli.options import UsageError
from cyclesiam.cli.prepare import Prepare
from cyclesiam.cli.score import Score
from cyclesiam.cli.track import Track
from cyclesiam.cli.train import Train
from cyclesiam.cli.validate import Validate
from cyclesiam.cli.vot_toolkit import Trax, VotToolkit
from cyclesiam.errors import CycleSiamError

DESCRIPTION = "Follow objects through video, with a tracker that learns without labels."
DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Track, tyro.conf.subcommand("track")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Validate, tyro.conf.subcommand("validate")]
    | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Discover, tyro.conf.subcommand("discover")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Score, tyro.conf.subcommand("score")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[VotToolkit, tyro.conf.subcommand("vot-toolkit")]
    | Annotated[Trax, tyro.conf.subcommand("trax")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status.

    Args:
        arguments: those after the program's name; without them, the process's own.

    Returns:
        0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    if arguments == ["--version"]:
        print(f"cyclesiam {__version__}")
        return DONE
    try:
        command = tyro.cli(Command, args=arguments, prog="cyclesiam", description=DESCRIPTION)
    except SystemExit as stop:  # help was asked for, or tyro said what is wrong
        return stop.code if isinstance(stop.code, int) else DONE
    except ValueError as error:  # options that are each right, but not together
        print(f"cyclesiam: {error}", file=sys.stderr)
        return WRONG_USAGE
    return _carry_out(command)


def run() -> None:
    """Run the command of this process's arguments, and end the process."""
    sys.exit(main())


def _carry_out(command: Callable[[], None]) -> int:
    name = f"cyclesiam {re.sub('(?<=[a-z])(?=[A-Z])', '-', type(command).__name__).lower()}"
    try:
        command()
        sys.stdout.flush()
    except CycleSiamError as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt as stop:
        print(f"{name}: interrupted{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return DONE
