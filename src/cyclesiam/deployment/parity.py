"""Whether an exported network answers as the one that it was made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.errors import WeightsError
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.siamrpn import SiamRPN

# Greatest differences of a float32 bundle: boxes in crop pixels, all else from 0 to 1. Rounding
# gives some 1e-4 pixels; a graph that means something else is off by a pixel and more.
LIMITS: Mapping[str, float] = {"boxes": 0.05, "scores": 1e-3, "masks": 1e-2, "features": 1e-3}


@dataclass(frozen=True, slots=True)
class ParityInput:
    """What a network may be shown.

    Args:
        templates: (B, 3, T, T) crops, 0..255.
        boxes: (B, 4) xyxy, the targets in their pixels.
        crops: (B, 3, S, S) search crops, 0..255.
    """

    templates: np.ndarray
    boxes: np.ndarray
    crops: np.ndarray


def random_input(config: NetworkConfig, targets: int, seed: int = 0) -> ParityInput:
    """Give crops of noise, with boxes of any size."""
    chance = np.random.default_rng(seed)

    def noise(size: int) -> np.ndarray:
        return chance.random((targets, 3, size, size), np.float32) * 255

    middles, halves = config.template_size / 2, chance.random((targets, 2), np.float32)
    reach = config.template_size * (0.05 + 0.3 * halves)
    boxes = np.concat((middles - reach, middles + reach), axis=1)
    return ParityInput(noise(config.template_size), boxes, noise(config.search_size))


def check_parity(
    network: SiamRPN, exported: ExportedNetwork, views: Iterable[ParityInput], where: str
) -> dict[str, float]:
    """Give the greatest differences, if they are small enough.

    Args:
        network: the original, made for inference.
        exported: the other.
        views: what both are shown.
        where: what is checked, for the message.

    Raises:
        WeightsError: a difference exceeds `LIMITS`.
    """
    found = measure_differences(network, exported, views)
    for name, difference in found.items():
        if not difference <= LIMITS[name]:
            raise WeightsError(
                f"{where} answers otherwise than the network: {name} differ by {difference:.3g}, "
                f"more than {LIMITS[name]:g}; nothing was written. Try other versions of onnx, "
                "onnxscript, onnxruntime or openvino"
            )
    return found


def measure_differences(
    network: SiamRPN, exported: ExportedNetwork, views: Iterable[ParityInput]
) -> dict[str, float]:
    """Give the greatest differences of boxes, scores, features (over the greatest) and masks."""
    found: dict[str, float] = {}
    for view in views:
        pairs = zip(_answers(network, view), _answers(exported, view), strict=True)
        for (name, wanted), (_, given) in pairs:
            scale = max(abs(wanted).max(), 1e-6) if name == "features" else 1
            difference = float((abs(given - wanted) / scale).max())
            found[name] = max(found.get(name, 0.0), difference)
            if difference != difference:  # a maximum passes over what is no number
                found[name] = difference
    return found


def _answers(
    network: SiamRPN | ExportedNetwork, view: ParityInput
) -> Sequence[tuple[str, np.ndarray]]:
    """Give what a network says of a view; masks of as many places as there are targets."""
    template = network.embed(view.templates, view.boxes)
    proposals = network.search(template, view.crops)
    assert proposals.features is not None
    answers = [
        ("boxes", proposals.boxes),
        ("scores", proposals.scores),
        ("features", proposals.features),
    ]
    if network.has_masks:
        # Not the best: two networks may then mean two places. First, middle and last, in turn.
        B, N = proposals.scores.shape
        chosen = (np.arange(B) * (N // 2 - 1) + N // 2) % N
        beliefs = view.crops[:, :2, ::2, ::2] / 255
        answers.append(("masks", network.segment(proposals, chosen, beliefs)))
    return answers
