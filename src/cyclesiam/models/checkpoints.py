"""Weights on disk: a folder with `model.safetensors`, `config.json` and `record.json`.

And weights of others: a backbone trained for pictures, in one file.
"""

import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cyclesiam.errors import WeightsError
from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.models.backbones import ResNet50
from cyclesiam.models.fusion import for_inference
from cyclesiam.models.siamrpn import NetworkConfig, SiamRPN

Policy = Literal["none", "first-box", "first-mask", "untrained"]
BUNDLE_FILE = "bundle.json"  # marks a folder that `cyclesiam export` wrote
SHIPPED = Path(__file__).parents[1] / "weights"
FIRST_BLOCK = "layer1.0.conv1.weight"  # tells a ResNet, and what stands before its names
COPIES = ("student", "encoder_k")  # networks beside the one that DINO and MoCo hand on
BORROWED = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.")  # all but our own `adjust`


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRecord:
    """Where weights come from."""

    policy: Policy = "untrained"
    """Which labels were read: `none`, `first-box`, `first-mask`; `untrained` weights read none."""
    recipe: str = ""
    """The recipe that trained them."""
    steps: int = 0
    """Steps of training."""
    samples: int = 0
    """Clips seen."""
    seed: int = 0
    """Of all chance."""
    initial_weights: str = "random"
    """What the backbone began with."""


def save_weights(folder: str | Path, network: SiamRPN, record: TrainingRecord) -> None:
    """Write a network's weights, config and origin; the weights appear whole or not at all.

    Raises:
        WeightsError: the folder cannot be written.
        ValueError: the network was made for inference, and its weights are no longer apart.
    """
    if not network.normalises:
        raise ValueError("a network made for inference cannot be saved; load it as trainable")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_description(folder, network.config, record)
        tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
        unfinished = folder / "model.safetensors.part"
        save_file(tensors, unfinished)
        unfinished.replace(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot write weights to {folder}: {error}; check it") from error


def load_weights(name: str | Path, *, trainable: bool = False) -> tuple[SiamRPN, TrainingRecord]:
    """Read a network and where it comes from.

    Args:
        name: name of shipped weights, or a folder that `save_weights` wrote.
        trainable: give the network as it was saved; else a faster one, for tracking only.

    Raises:
        WeightsError: there are none, or they are unreadable, or of another network.
    """
    folder = find_weights(name)
    if (folder / BUNDLE_FILE).is_file():
        raise WeightsError(
            f"{folder} was exported: it tracks, but cannot be trained or changed; give the weights "
            "that it was exported from"
        )
    config, origin = read_description(folder)
    try:
        network = SiamRPN(config)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{folder} describes another kind of network: {error}") from error
    file = folder / "model.safetensors"
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read weights from {file}: {error}") from error
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise WeightsError(
            f"{file} holds the weights of another network than its config.json describes: "
            f"{lines[1].strip() if len(lines) > 1 else lines[0]}"
        ) from error
    return (network if trainable else for_inference(network)).eval(), origin


def read_description(folder: Path) -> tuple[NetworkConfig, TrainingRecord]:
    """Read what a folder of weights, or an exported bundle, says of its network.

    Raises:
        WeightsError: it says nothing, or speaks of another kind of network.
    """
    config = read_json(folder / "config.json")
    record = read_json(folder / "record.json")
    try:
        anchors = AnchorConfig(**config.pop("anchors"))
        return NetworkConfig(anchors=anchors, **config), TrainingRecord(**record)
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder} describes another kind of network: {error}") from error


def write_description(folder: Path, config: NetworkConfig, record: TrainingRecord) -> None:
    """Write what `read_description` reads."""
    for name, content in (("config.json", config), ("record.json", record)):
        _replace(folder / name, json.dumps(asdict(content), indent=2) + "\n")


def load_whole(network: SiamRPN, name: str | Path) -> None:
    """Begin with all weights of a network of the same kind, or of one that only lacks masks.

    Either may search crops of another size: to a convolution that is all the same.

    Raises:
        WeightsError: they are unreadable, or of another network.
    """
    trained, _ = load_weights(name, trainable=True)
    wanted = replace(network.config, search_size=trained.config.search_size)
    if not trained.config.masks:
        wanted = replace(wanted, masks=False, mask_channels=trained.config.mask_channels)
    if trained.config != wanted:
        raise WeightsError(
            f"the weights {name} are of another network than this one; leave out the recipe, "
            "so that the network is that of the weights, or choose other weights"
        )
    network.load_state_dict(network.state_dict() | trained.state_dict())


def load_backbone(network: SiamRPN, file: str | Path) -> None:
    """Begin with a ResNet-50 that was trained for pictures: torchvision's, MoCo's, DINO's.

    Its names may lie in nested dictionaries (`state_dict`, `model`, `teacher`) and behind prefixes
    (`module.`, `backbone.`, `encoder_q.`); `layer4` and `fc` are left out, `adjust` stays random.

    Args:
        network: its backbone's weights are replaced.
        file: `.safetensors`, or anything that `torch.save` wrote without foreign classes.

    Raises:
        WeightsError: the network's backbone is another, or the file is unreadable or holds no
            ResNet-50 with shortcuts as the network's.
    """
    backbone, file = network.backbone, Path(file)
    if not isinstance(backbone, ResNet50):
        raise WeightsError(f"{file} is for a resnet50 backbone; this network's is small")
    tensors = dict(_flatten(_read_tensors(file)))
    prefixes = [key.removesuffix(FIRST_BLOCK) for key in tensors if key.endswith(FIRST_BLOCK)]
    if not prefixes:
        raise WeightsError(f"{file} holds no ResNet-50: there is no {FIRST_BLOCK}; choose another")
    prefix = min(prefixes, key=lambda name: (any(copy in name for copy in COPIES), len(name)))
    found = {
        key.removeprefix(prefix): value
        for key, value in tensors.items()
        if key.startswith(prefix) and key.removeprefix(prefix).startswith(BORROWED)
    }
    _check_shapes(file, found, backbone)
    backbone.load_state_dict(backbone.state_dict() | found)


def _read_tensors(file: Path) -> Mapping[str, Any]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(f"cannot read weights from {file}: {reason}") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{file} should hold weights by name, but holds {type(content)}")
    return content


def _flatten(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Give the tensors of nested dictionaries with names joined by dots."""
    for name, value in content.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")


def _check_shapes(file: Path, found: Mapping[str, Tensor], backbone: ResNet50) -> None:
    wanted = {
        name: tuple(value.shape)
        for name, value in backbone.state_dict().items()
        if name.startswith(BORROWED) and not name.endswith("num_batches_tracked")  # newer than some
    }
    given = {name: tuple(value.shape) for name, value in found.items()}
    for name in [*wanted, *given]:
        if name.endswith("num_batches_tracked") or wanted.get(name) == given.get(name):
            continue
        raise WeightsError(
            f"{file} holds another network than a ResNet-50 with this one's shortcuts: {name} is "
            f"{given.get(name, 'missing')}, not {wanted.get(name, 'there')}"
        )


def find_weights(name: str | Path) -> Path:
    """Give the folder of weights by its own name, or by that of shipped weights.

    Raises:
        WeightsError: there is none.
    """
    if (folder := Path(name)).is_dir():
        return folder
    if (folder := SHIPPED / str(name)).is_dir():
        return folder
    shipped = sorted(path.name for path in SHIPPED.glob("*/")) if SHIPPED.is_dir() else []
    raise WeightsError(
        f"there are no weights {str(name)!r}: give a folder that `cyclesiam train` wrote, or one "
        f"of the shipped weights: {', '.join(shipped) or 'none'}"
    )


def read_json(file: Path) -> dict[str, Any]:
    """Read a file with one JSON object.

    Raises:
        WeightsError: it is missing, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{file.parent} holds no weights: {file.name} is missing") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {file}: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{file} should hold one JSON object")
    return content


def _replace(file: Path, text: str) -> None:
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
