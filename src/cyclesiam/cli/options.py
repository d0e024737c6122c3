"""Options that several commands share: boxes, devices, weights; and progress on the terminal."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro
from rich.console import Console
from rich.progress import track
from tyro.constructors import PrimitiveConstructorSpec

from cyclesiam.deployment.bundles import ExportedNetwork, is_bundle, load_bundle
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import CycleSiamError, SourceError
from cyclesiam.geometry.boxes import XYWH, parse_number
from cyclesiam.models.metadata import TrainingRecord, resolve_weights
from cyclesiam.threads import set_num_threads
from cyclesiam.tracking.config import TrackerConfig, load_config

if TYPE_CHECKING:
    from cyclesiam.models.siamrpn import SiamRPN

Item = TypeVar("Item")
SHOWN_PROBLEMS = 5


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
Runtime = Annotated[RuntimeConfig, tyro.conf.arg(name="")]


def resolve_device(name: str, weights: str | None = None) -> str:
    """Return the device of a name; `auto` is the first CUDA device, or else the CPU.

    Args:
        name: auto, cpu, cuda or cuda:N.
        weights: what is to run there; an exported bundle runs on the CPU only.

    Raises:
        UsageError: there is no such name, or the weights cannot run there.
        CycleSiamError: the machine has no such device.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UsageError(f"there is no device {name!r}; use auto, cpu, cuda or cuda:N")
    if weights is not None and is_bundle(weights):
        if name.startswith("cuda"):
            raise UsageError(f"{weights} was exported for the CPU; leave out --device {name}")
        return "cpu"
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CycleSiamError(
            f"--device {name}: torch {torch.__version__} finds no CUDA device here; use "
            "--device cpu, or install a driver and a build of torch with CUDA"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CycleSiamError(
            f"--device {name}: there are only {torch.cuda.device_count()} CUDA devices, "
            "counted from 0"
        )
    return name


def load_network(
    weights: str,
    device: str,
    runtime: RuntimeConfig | None = None,
    *,
    masks: bool = True,
) -> tuple["SiamRPN | ExportedNetwork", TrainingRecord]:
    """Read a network for inference, and the record of its training.

    Args:
        weights: name of shipped weights, a folder of weights, or an exported bundle.
        device: where it computes; the CPU, if it was exported.
        runtime: of a bundle; its threads are for any network.
        masks: whether masks will be asked for; without, a bundle computes less.

    Raises:
        UsageError: a runtime or precision was chosen for weights that were not exported.
        CycleSiamError: there are no such weights, or they cannot be run.
    """
    runtime = runtime or RuntimeConfig()
    if is_bundle(weights):
        network, record = load_bundle(weights, runtime, masks=masks)
    elif runtime.runtime != "auto" or runtime.precision != "f32":
        raise UsageError(
            f"--runtime and --precision are for exported bundles, and {weights} is none: "
            f"cyclesiam export --weights {weights} --output FOLDER makes one"
        )
    else:
        from cyclesiam.models.checkpoints import load_weights  # needs PyTorch, unlike a bundle

        network, record = load_weights(weights)
        network = network.to(device)
    if runtime.threads:
        set_num_threads(runtime.threads)
    return network, record


def load_tracker_config(weights: str, *, masks: bool = True) -> TrackerConfig:
    """Read the tracker config in a folder of weights; without one, return the default.

    Args:
        weights: name of shipped weights, a folder of weights, or an exported bundle.
        masks: whether the tracker predicts masks.

    Raises:
        CycleSiamError: there are no such weights, or the config is not valid.
    """
    config = load_config(resolve_weights(weights))
    return config if masks else replace(config, mask=replace(config.mask, enabled=False))


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


def show_progress(items: Iterable[Item], what: str, count: int | None) -> Iterator[Item]:
    """Yield the items, with a progress bar if the output is a terminal."""
    console = Console(stderr=True)
    yield from track(
        items, what, total=count, console=console, transient=True, disable=not console.is_terminal
    )


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
