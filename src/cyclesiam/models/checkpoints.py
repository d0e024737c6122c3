"""Weights on disk: `model.safetensors` in a folder with the metadata of `models.metadata`.

Also weights of others: a backbone trained on images, in one file.
"""

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cyclesiam.errors import WeightsError
from cyclesiam.files import atomic_path
from cyclesiam.models.backbones import ResNet50
from cyclesiam.models.fusion import fuse_for_inference
from cyclesiam.models.metadata import (
    BUNDLE_FILE,
    TrainingRecord,
    load_metadata,
    resolve_weights,
    save_metadata,
)
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.threads import adapt_to_fork

FIRST_BLOCK = "layer1.0.conv1.weight"  # every ResNet has it; what stands before is the prefix
TRAINING_COPIES = ("student", "encoder_k")  # networks that DINO and MoCo save but do not publish
RESNET_LAYERS = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.")  # all but our own `adjust`


def save_weights(folder: str | Path, network: SiamRPN, record: TrainingRecord) -> None:
    """Write a network's weights, config and record; the weights appear whole or not at all.

    Raises:
        WeightsError: the folder cannot be written.
        ValueError: the network was fused for inference, so its weights are merged.
    """
    if not network.normalizes_input:
        raise ValueError("a network fused for inference cannot be saved; load it as trainable")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_metadata(folder, network.config, record)
        tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
        with atomic_path(folder / "model.safetensors") as part:
            save_file(tensors, part)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot write weights to {folder}: {error}; check it") from error


def load_weights(name: str | Path, *, trainable: bool = False) -> tuple[SiamRPN, TrainingRecord]:
    """Read a network and the record of its training.

    Args:
        name: name of shipped weights, or a folder that `save_weights` wrote.
        trainable: whether to return the network as it was saved; else it is fused for inference.

    Returns:
        The network, in evaluation mode, and the record.

    Raises:
        WeightsError: the weights are missing, unreadable, or of another network.
    """
    adapt_to_fork()
    folder = resolve_weights(name)
    if (folder / BUNDLE_FILE).is_file():
        raise WeightsError(
            f"{folder} was exported: it tracks, but cannot be trained; use the weights that it "
            "was exported from"
        )
    config, record = load_metadata(folder)
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
    return (network if trainable else fuse_for_inference(network)).eval(), record


def load_pretrained(network: SiamRPN, name: str | Path) -> None:
    """Load all weights of a trained network of the same config, apart from masks and search size.

    The trained network may lack masks, and may search crops of another size: the weights of
    convolutions do not depend on it.

    Args:
        network: its weights are replaced.
        name: name of shipped weights, or a folder that `save_weights` wrote.

    Raises:
        WeightsError: the weights are unreadable, or of another network.
    """
    trained, _ = load_weights(name, trainable=True)
    expected = replace(network.config, search_size=trained.config.search_size)
    if not trained.config.masks:
        expected = replace(expected, masks=False, mask_channels=trained.config.mask_channels)
    if trained.config != expected:
        raise WeightsError(
            f"the weights {name} are of another network than this one; leave out the recipe, "
            "so that the network is that of the weights, or choose other weights"
        )
    network.load_state_dict(network.state_dict() | trained.state_dict())


def load_backbone(network: SiamRPN, file: str | Path) -> None:
    """Load the backbone from a ResNet-50 that was trained on images: torchvision's, MoCo's, DINO's.

    The file may nest its tensors in dictionaries (`state_dict`, `model`, `teacher`) and their names
    may have prefixes (`module.`, `backbone.`, `encoder_q.`). `layer4` and `fc` are left out;
    `adjust` stays random.

    Args:
        network: the weights of its backbone are replaced.
        file: `.safetensors`, or anything that `torch.save` wrote without foreign classes.

    Raises:
        WeightsError: the network's backbone is no ResNet-50; or the file is unreadable, or holds
            no ResNet-50 with the same shortcuts.
    """
    backbone, file = network.backbone, Path(file)
    if not isinstance(backbone, ResNet50):
        name = network.config.backbone
        raise WeightsError(f"{file} is for a resnet50 backbone; this network's is {name}")
    tensors = dict(_flatten(_read_tensors(file)))
    prefixes = [key.removesuffix(FIRST_BLOCK) for key in tensors if key.endswith(FIRST_BLOCK)]
    if not prefixes:
        raise WeightsError(f"{file} holds no ResNet-50: there is no {FIRST_BLOCK}; choose another")
    prefix = min(
        prefixes, key=lambda name: (any(copy in name for copy in TRAINING_COPIES), len(name))
    )
    found = {
        key.removeprefix(prefix): value
        for key, value in tensors.items()
        if key.startswith(prefix) and key.removeprefix(prefix).startswith(RESNET_LAYERS)
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
    """Yield the tensors of nested dictionaries, with names joined by dots."""
    for name, value in content.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")


def _check_shapes(file: Path, found: Mapping[str, Tensor], backbone: ResNet50) -> None:
    expected = {
        name: tuple(value.shape)
        for name, value in backbone.state_dict().items()
        if name.startswith(RESNET_LAYERS)
        and not name.endswith("num_batches_tracked")  # newer than some
    }
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    for name in [*expected, *shapes]:
        if name.endswith("num_batches_tracked") or expected.get(name) == shapes.get(name):
            continue
        raise WeightsError(
            f"{file} holds another network than a ResNet-50 with this one's shortcuts: {name} is "
            f"{shapes.get(name, 'missing')}, not {expected.get(name, 'there')}"
        )
