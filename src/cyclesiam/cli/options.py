"""Options that several commands share: boxes, devices, weights; and progress on the terminal."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro
from rich.console import Console
from rich.progress import track
from tyro.constructors import PrimitiveConstructorSpec

from cyclesiam.deployment import loading
from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import CycleSiamError, SourceError
from cyclesiam.geometry.boxes import XYWH, parse_number
from cyclesiam.models.metadata import TrainingRecord, resolve_weights
from cyclesiam.threads import set_num_threads
from cyclesiam.tracking.config import TrackerConfig, load_config
from cyclesiam.tracking.network import Network

if TYPE_CHECKING:
    from cyclesiam.models.siamrpn import SiamRPN

Item = TypeVar("Item")
SHOWN_PROBLEMS = 5
LINE_INTERVAL = 30.0  # seconds between lines of progress, where there is no terminal


class UsageError(CycleSiamError):
    """The options do not fit together or have no meaning; exit status 2."""


def parse_box(text: str) -> XYWH:
    """Parse a box, left, top, width and height.

    >>> parse_box("120,80.5,64,48")
    (120.0, 80.5, 64.0, 48.0)
    """
    try:
        x, y, w, h = (parse_number(number) for number in text.split(","))
    except ValueError:
        raise ValueError(f"a box is four numbers X,Y,W,H in pixels, got {text!r}") from None
    if min(x, y) >= 0 and min(w, h) > 0 and max(x, y, w, h) <= 1:
        raise ValueError(
            f"the box {text} looks like fractions of the frame, but a box is X,Y,W,H in pixels: "
            "multiply X and W by the frame's width, Y and H by its height"
        )
    return x, y, w, h


Box = Annotated[
    XYWH,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="X,Y,W,H",
        instance_from_str=lambda texts: parse_box(texts[0]),
        is_instance=lambda box: isinstance(box, tuple) and len(box) == 4,
        str_from_instance=lambda box: [",".join(f"{number:g}" for number in box)],
    ),
]
"""An option with one value, X,Y,W,H."""

Weights = Annotated[str, tyro.conf.arg(metavar="WEIGHTS")]
Device = Annotated[str, tyro.conf.arg(metavar="DEVICE")]
Threads = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Runtime = Annotated[RuntimeConfig, tyro.conf.arg(name="")]


def resolve_device(
    name: str, weights: str | None = None, runtime: RuntimeConfig | None = None
) -> str:
    """Return the device of a name, see `loading.resolve_device`.

    Raises:
        UsageError: there is no such name, or the weights cannot run there.
        CycleSiamError: the machine has no such device.
    """
    with wrong_usage():
        return loading.resolve_device(name, weights, runtime)


def load_network(
    weights: str,
    device: str,
    runtime: RuntimeConfig | None = None,
    *,
    masks: bool = True,
) -> tuple["SiamRPN | ExportedNetwork", TrainingRecord]:
    """Read a network for inference and its record, see `loading.load_network`.

    Raises:
        UsageError: a runtime or precision was chosen for weights without graphs.
        CycleSiamError: there are no such weights, or they cannot be run.
    """
    with wrong_usage():
        return loading.load_network(weights, device, runtime, masks=masks)


def describe_runtime(network: Network, device: str) -> str:
    """Return what runs a network: the runtime and its precision, or PyTorch and the device."""
    return str(network.runtime) if isinstance(network, ExportedNetwork) else f"PyTorch on {device}"


def use_threads(count: int | None) -> None:
    """Let a number of threads compute in this process; None for few.

    Raises:
        UsageError: there cannot be so many.
    """
    check_threads(count)
    if count is not None:
        set_num_threads(count)


def check_threads(count: int | None) -> None:
    """Check a number of threads.

    Raises:
        UsageError: it is below 1.
    """
    if count is not None and count < 1:
        raise UsageError(f"--threads must be 1 or more, got {count}")


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Turn a wrong argument of the library into a wrong option.

    Raises:
        UsageError: a `ValueError` that is no `CycleSiamError` was raised.
    """
    try:
        yield
    except CycleSiamError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error


def load_tracker_config(weights: str, *, masks: bool = True) -> TrackerConfig:
    """Read the tracker config in a folder of weights; without one, return the default.

    Args:
        weights: name of shipped weights, a folder of weights, or an exported bundle.
        masks: whether the tracker predicts masks.

    Raises:
        CycleSiamError: there are no such weights, or the config is not valid.
    """
    config = load_config(resolve_weights(weights))
    return config if masks else config.without_masks()


def make_output_folder(folder: Path) -> None:
    """Make a folder for results, if it does not exist.

    Raises:
        SourceError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"{folder}: the folder for results cannot be made ({error.strerror}); "
            "choose another --output"
        ) from error


def show_progress(
    items: Iterable[Item], what: str, count: int | None, *, name: str | None = None
) -> Iterator[Item]:
    """Yield the items, with a progress bar on a terminal, else a line now and then.

    Args:
        items: to yield.
        what: is done with them.
        count: of the items, if it is known.
        name: of what it is done by.
    """
    console = Console(stderr=True)
    what = f"{name}: {what}" if name else what
    if console.is_terminal:
        yield from track(items, what, total=count, console=console, transient=True)
        return
    shown = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - shown > LINE_INTERVAL:
            shown = time.monotonic()
            of = f" of {count}" if count else ""
            print(f"{what}: {number}{of}", file=sys.stderr, flush=True)


def show_waiting(what: str) -> AbstractContextManager[object]:
    """Show on a terminal that something is being done whose end is not known."""
    return Console(stderr=True).status(what)


def print_problems(problems: Sequence[str], file: Path | None = None) -> None:
    """Print the first of some problems, how many more there are, and the file that lists all."""
    for problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        more = f"  ... and {len(problems) - SHOWN_PROBLEMS} more"
        print(f"{more}, listed in {file}" if file else more)


def count_noun(count: int, one: str) -> str:
    """Return a count with its noun, in the plural but for 1.

    >>> count_noun(1, "target"), count_noun(3, "frame")
    ('1 target', '3 frames')
    """
    return f"{count} {one}{'' if count == 1 else 's'}"
