"""What `cyclesiam` does with its arguments: find the command, run it, and say how it ended."""

import io
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import reduce
from importlib import import_module
from operator import or_
from typing import Annotated, Any

import tyro

from cyclesiam import __version__
from cyclesiam.cli import FAILED
from cyclesiam.cli.options import UsageError
from cyclesiam.cli.signals import EndingSignals
from cyclesiam.errors import (
    CycleSiamError,
    CycleSiamWarning,
    MissingExtraError,
    missing_extra,
)

DESCRIPTION = "Track objects through video, with a tracker that is trained without labels."
DONE, WRONG_USAGE = 0, 2
VERSION_OPTIONS = {"--version", "-V"}

COMMANDS = {  # imported when asked for: not all need PyTorch or Lightning
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


def run_command(arguments: Sequence[str]) -> int:
    """Run the command in the arguments, those after the program's name; return the exit status."""
    arguments = list(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be no valid text
    if VERSION_OPTIONS & {*arguments[:1], *arguments[-1:]}:
        print(f"cyclesiam {__version__}")
        return DONE
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        print(f"cyclesiam: {_no_command(arguments[0])}", file=sys.stderr)
        return WRONG_USAGE
    try:
        command = parse(arguments)
    except CycleSiamError as error:
        print(f"cyclesiam: {error}", file=sys.stderr)
        return FAILED
    except SystemExit as stop:  # help was asked for, or tyro printed what is wrong
        return stop.code if isinstance(stop.code, int) else DONE
    except ValueError as error:  # options that are right each, but not together
        print(f"cyclesiam: {error}", file=sys.stderr)
        return WRONG_USAGE
    return _execute(command)


def _no_command(word: str) -> str:
    """Return what to say of a word that is no command."""
    if os.path.exists(word) or "://" in word:
        return f"to follow an object in {word}: cyclesiam track {shlex.quote(word)} --box X,Y,W,H"
    close = get_close_matches(word.lower(), COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}."
    return f"there is no command {word!r}; {hint} cyclesiam --help explains them"


def parse(arguments: Sequence[str]) -> Callable[[], None]:
    """Parse arguments into a command that can be called.

    Args:
        arguments: those after the program's name.

    Raises:
        SystemExit: help was asked for, or an argument is wrong; it was printed.
        ValueError: options do not fit together.
        MissingExtraError: the command needs a package that is not installed.
    """
    name, *others = arguments or [""]
    if name in COMMANDS:
        return tyro.cli(_import_command(name), args=others, prog=f"cyclesiam {name}")
    kinds: list[Any] = []
    for name in COMMANDS:
        with suppress(MissingExtraError):  # raised when this command is asked for
            kinds.append(Annotated[_import_command(name), tyro.conf.subcommand(name)])
    known: Any = reduce(or_, kinds)
    return tyro.cli(known, args=arguments, prog="cyclesiam", description=DESCRIPTION)


def _import_command(name: str) -> Any:
    """Return the class of a command.

    Raises:
        MissingExtraError: the command needs PyTorch, which is not installed.
    """
    module, kind = COMMANDS[name].split(".")
    with _explain_missing_pytorch(name):
        return getattr(import_module(f"cyclesiam.cli.{module}"), kind)


@contextmanager
def _explain_missing_pytorch(name: str) -> Iterator[None]:
    """Turn a missing PyTorch into an error that names what to install.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise missing_extra(name, error.name, "train") from error


@contextmanager
def _plain_warnings(prefix: str) -> Iterator[None]:
    """Print warnings that are meant for users as one line each; others as Python does."""
    show = warnings.showwarning

    def show_plainly(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, CycleSiamWarning):
            print(f"{prefix}: {message}", file=sys.stderr)
        else:
            show(message, category, *place)

    warnings.showwarning = show_plainly
    try:
        yield
    finally:
        warnings.showwarning = show


def _execute(command: Callable[[], None]) -> int:
    name = re.sub("(?<=[a-z])(?=[A-Z])", "-", type(command).__name__).lower()
    prefix = f"cyclesiam {name}"
    with EndingSignals() as signals:
        try:
            with _explain_missing_pytorch(name), _plain_warnings(prefix):
                command()
            sys.stdout.flush()
        except CycleSiamError as error:
            print(f"{prefix}: {' '.join(str(error).split())}", file=sys.stderr)
            return WRONG_USAGE if isinstance(error, UsageError) else FAILED
        except KeyboardInterrupt as stop:
            print(f"{prefix}: {signals.verb}{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
            return signals.status
        except BrokenPipeError:  # the reader of our output has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except Exception:  # libraries turn an interruption into errors of their own
            if signals.received is None:
                raise
            print(f"{prefix}: {signals.verb}", file=sys.stderr)
            return signals.status
    return DONE
