"""Whether an exported network computes the same as the network that it was made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.errors import WeightsError
from cyclesiam.geometry.crops import boxes_to_crop, context_windows, crop
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.siamrpn import SiamRPN

# Largest differences of a float32 bundle: boxes in crop pixels, all else from 0 to 1. Rounding
# changes boxes by some 1e-4 pixels; a graph that computes something else is off by a pixel or more.
LIMITS: Mapping[str, float] = {"boxes": 0.05, "scores": 1e-3, "masks": 1e-2, "features": 1e-3}


@dataclass(frozen=True, slots=True)
class ParityInput:
    """What both networks compute with, to compare their outputs.

    Args:
        templates: (B, 3, T, T) crops, 0..255.
        boxes: (B, 4) xyxy, the targets in their pixels.
        crops: (B, 3, S, S) search crops, 0..255.
    """

    templates: np.ndarray
    boxes: np.ndarray
    crops: np.ndarray


def random_input(config: NetworkConfig, targets: int, seed: int = 0) -> ParityInput:
    """Draw crops of noise, with boxes of any size."""
    rng = np.random.default_rng(seed)

    def noise(size: int) -> np.ndarray:
        return rng.random((targets, 3, size, size), np.float32) * 255

    center = config.template_size / 2
    half_sides = config.template_size * (0.05 + 0.3 * rng.random((targets, 2), np.float32))
    boxes = np.concat((center - half_sides, center + half_sides), axis=1)
    return ParityInput(noise(config.template_size), boxes, noise(config.search_size))


def clip_inputs(
    config: NetworkConfig, images: Sequence[np.ndarray], boxes: np.ndarray
) -> list[ParityInput]:
    """Crop a target out of a clip: for one target, and for three at once.

    Args:
        config: has the sizes of the crops.
        images: T frames, (H, W, 3) uint8 RGB; T is 3 or more.
        boxes: (T, 4) xyxy of the target, in pixels.
    """
    boxes = np.asarray(boxes, np.float32)
    frames = [np.moveaxis(image, -1, 0)[None] for image in images]
    last = len(frames) - 1
    inputs = []
    for times in ([last // 2], [last // 4, 5 * last // 8, last]):
        windows = context_windows(boxes[[0] * len(times)])
        scale = config.search_size / config.template_size
        search_windows = context_windows(boxes[times], scale=scale)
        searched = np.concat([frames[time] for time in times])
        inputs.append(
            ParityInput(
                crop(frames[0], windows, config.template_size),
                boxes_to_crop(boxes[:1], windows, config.template_size),
                crop(searched, search_windows, config.search_size),
            )
        )
    return inputs


def check_parity(
    network: SiamRPN, exported: ExportedNetwork, inputs: Iterable[ParityInput], where: str
) -> dict[str, float]:
    """Return the largest differences, if they are small enough.

    Args:
        network: the original, fused for inference.
        exported: the other.
        inputs: what both compute with.
        where: what is checked, for the message.

    Raises:
        WeightsError: a difference exceeds `LIMITS`.
    """
    differences = measure_differences(network, exported, inputs)
    for name, difference in differences.items():
        if not difference <= LIMITS[name]:
            raise WeightsError(
                f"{where} computes otherwise than the network: {name} differ by {difference:.3g}, "
                f"more than {LIMITS[name]:g}; nothing was written. Try other versions of onnx, "
                "onnxscript, onnxruntime or openvino"
            )
    return differences


def measure_differences(
    network: SiamRPN, exported: ExportedNetwork, inputs: Iterable[ParityInput]
) -> dict[str, float]:
    """Return the largest differences of boxes, scores, features (over the largest) and masks.

    Args:
        network: the original, fused for inference.
        exported: the other.
        inputs: what both compute with.
    """
    largest: dict[str, float] = {}
    for one in inputs:
        pairs = zip(_outputs(network, one), _outputs(exported, one), strict=True)
        for (name, expected), (_, found) in pairs:
            scale = max(abs(expected).max(), 1e-6) if name == "features" else 1
            difference = float((abs(found - expected) / scale).max())
            largest[name] = max(largest.get(name, 0.0), difference)
            if difference != difference:  # `max` ignores NaN
                largest[name] = difference
    return largest


def _outputs(
    network: SiamRPN | ExportedNetwork, inputs: ParityInput
) -> Sequence[tuple[str, np.ndarray]]:
    """Return what a network computes by name; one mask for each target."""
    template = network.embed(inputs.templates, inputs.boxes)
    proposals = network.search(template, inputs.crops)
    assert proposals.features is not None
    outputs = [
        ("boxes", proposals.boxes),
        ("scores", proposals.scores),
        ("features", proposals.features),
    ]
    if network.has_masks:
        # Not the best proposals, which two networks may rank differently.
        B, N = proposals.scores.shape
        chosen = (np.arange(B) * (N // 2 - 1) + N // 2) % N
        color_priors = inputs.crops[:, :2, ::2, ::2] / 255
        outputs.append(("masks", network.segment(proposals, chosen, color_priors)))
    return outputs
