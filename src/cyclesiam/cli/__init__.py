"""The command `cyclesiam`: the only place where all parts are put together.

One module for each command. A command parses, calls the library, and prints.
"""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import reduce
from importlib import import_module
from operator import or_
from typing import Annotated, Any

import tyro

from cyclesiam import __version__
from cyclesiam.cli.options import UsageError
from cyclesiam.errors import CycleSiamError, MissingExtraError

DESCRIPTION = "Follow objects through video, with a tracker that learns without labels."
DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {  # where each is; fetched when it is asked for, as not all need PyTorch, or Lightning
    "demo": "demo.Demo",
    "track": "track.Track",
    "train": "train.Train",
    "validate": "validate.Validate",
    "prepare": "prepare.Prepare",
    "discover": "discover.Discover",
    "export": "export.Export",
    "evaluate": "evaluate.Evaluate",
    "score": "score.Score",
    "bench": "bench.Bench",
    "vot-toolkit": "vot_toolkit.VotToolkit",
    "trax": "vot_toolkit.Trax",
}


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
        command = parse(arguments)
    except CycleSiamError as error:
        print(f"cyclesiam: {error}", file=sys.stderr)
        return FAILED
    except SystemExit as stop:  # help was asked for, or tyro said what is wrong
        return stop.code if isinstance(stop.code, int) else DONE
    except ValueError as error:  # options that are each right, but not together
        print(f"cyclesiam: {error}", file=sys.stderr)
        return WRONG_USAGE
    return _carry_out(command)


def run() -> None:
    """Run the command of this process's arguments, and end the process."""
    sys.exit(main())


def parse(arguments: Sequence[str]) -> Callable[[], None]:
    """Make a command of words.

    Raises:
        SystemExit: help was asked for, or a word is wrong; all is said.
        ValueError: options do not fit together.
        MissingExtraError: the command needs a package that is not installed.
    """
    name, *others = arguments or [""]
    if name in COMMANDS:
        return tyro.cli(_fetch(name), args=others, prog=f"cyclesiam {name}")
    kinds: list[Any] = []
    for name in COMMANDS:
        with suppress(MissingExtraError):  # said when just that one is asked for
            kinds.append(Annotated[_fetch(name), tyro.conf.subcommand(name)])
    known: Any = reduce(or_, kinds)
    return tyro.cli(known, args=arguments, prog="cyclesiam", description=DESCRIPTION)


def _fetch(name: str) -> Any:
    """Give the class of a command.

    Raises:
        MissingExtraError: it needs PyTorch, which is not installed.
    """
    module, kind = COMMANDS[name].split(".")
    with _pytorch_wanted(name):
        return getattr(import_module(f"cyclesiam.cli.{module}"), kind)


@contextmanager
def _pytorch_wanted(name: str) -> Iterator[None]:
    """Say it where a command misses PyTorch, which an exported bundle does without."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(
            f"{name} needs PyTorch here, and that is not installed: pip install torch; to do "
            "without it, track with an exported bundle: cyclesiam track --weights BUNDLE"
        ) from error


def _carry_out(command: Callable[[], None]) -> int:
    word = re.sub("(?<=[a-z])(?=[A-Z])", "-", type(command).__name__).lower()
    name = f"cyclesiam {word}"
    try:
        with _pytorch_wanted(word):
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
