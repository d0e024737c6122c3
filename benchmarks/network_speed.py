"""Compare backbones on one thread: weights, arithmetic, time of a step of tracking and training.

    .venv/bin/python benchmarks/network_speed.py [--backbones small pyramid] [--rounds 15]

Each round runs every network once in ONNX Runtime (float32) and OpenVINO (bfloat16), then once in a
training step on noise, one after another. Printed are medians of CPU milliseconds, and of their
ratios to the first backbone within each round. Weights are random: time does not depend on them.
`boxes` is a search of a bundle without masks, `masks` a search and a mask of the whole bundle.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before anything loads a BLAS

import torch

from cyclesiam.deployment.bundles import load_bundle
from cyclesiam.deployment.export import export
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.models.config import STAGE_STRIDES, NetworkConfig
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.fabric import choose_precision
from roofline import calls_of, count_operations

RUNTIMES = {
    "onnxruntime f32": RuntimeConfig(runtime="onnxruntime", threads=1),
    "openvino bf16": RuntimeConfig(runtime="openvino", precision="bf16", threads=1),
}
REPEATS = 4  # searches in a round; a training step is long enough alone
Timed = dict[tuple[str, str], Callable[[], object]]  # backbone and what is timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--backbones", nargs="+", choices=STAGE_STRIDES, default=["small", "pyramid"]
    )
    parser.add_argument("--search-size", type=int, default=207)
    parser.add_argument("--batch", type=int, default=32, help="samples of a training step")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    timed: Timed = {}
    for name in options.backbones:
        torch.manual_seed(0)
        network = SiamRPN(NetworkConfig(backbone=name, masks=True, search_size=options.search_size))
        timed |= {(name, what): call for what, call in inference_calls(network).items()}
        timed[name, "train"] = training_step(network, options.batch)
        weights = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name}: {weights / 1e6:.2f} M weights, ", end="")
        print(f"{count_search(network) / 2e9:.3f} GMAC a search")
    spent = measure(timed, options.rounds)
    first = options.backbones[0]
    for name, what in timed:
        values = spent[name, what]
        ratios = [a / b for a, b in zip(values, spent[first, what], strict=True)]
        per = options.batch if what == "train" else 1
        print(
            f"{name:10s} {what:24s} {1000 * statistics.median(values) / per:7.2f} ms   "
            f"of {first} {statistics.median(ratios):5.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
        )


def count_search(network: SiamRPN) -> int:
    """Return the number of multiplications and additions of a search."""
    network.eval()
    count = count_operations(calls_of(network)["search"])
    network.train()
    return count


def inference_calls(network: SiamRPN) -> dict[str, Callable[[], object]]:
    """Return calls that find boxes, or boxes and masks, in each installed runtime."""
    calls: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        export(network, TrainingRecord(), Path(folder) / "bundle")
        for runtime, config in RUNTIMES.items():
            if find_spec(config.runtime):
                exported, _ = load_bundle(Path(folder) / "bundle", config)
                boxes_only, _ = load_bundle(Path(folder) / "bundle", config, masks=False)
                calls[f"{runtime} boxes"] = calls_of(boxes_only)["search"]
                calls[f"{runtime} masks"] = in_turn(*calls_of(exported).values())
    return calls


def in_turn(*calls: Callable[[], object]) -> Callable[[], object]:
    """Return one call that makes all of these."""
    return lambda: [call() for call in calls]


def training_step(network: SiamRPN, batch: int) -> Callable[[], object]:
    """Return a step of gradient descent on noise: a template and a search crop a sample."""
    network = network.train().to(memory_format=torch.channels_last)  # pyright: ignore
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)
    templates, crops = (
        255 * torch.rand(batch, 3, size, size)
        for size in (network.template_size, network.search_size)
    )
    boxes = torch.tensor([[32.0, 32, 96, 96]]).repeat(batch, 1)
    mixed = choose_precision("cpu") == "bf16-mixed"

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            outputs = network.run_heads(
                network.embed(templates, boxes), network.extract_features(crops)
            )
            loss = outputs.logits.float().square().mean() + outputs.offsets.float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(timed: Timed, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Return the CPU seconds of each call in each round, measured in turn."""
    spent: dict[tuple[str, str], list[float]] = {key: [] for key in timed}
    kinds = {what: None for _, what in timed}  # in their order
    for number in range(-1, rounds):  # the first round warms up
        for kind in kinds:
            for key in (key for key in timed if key[1] == kind):
                repeats = 1 if kind == "train" else REPEATS
                started = time.process_time()
                for _ in range(repeats):
                    timed[key]()
                if number >= 0:
                    spent[key].append((time.process_time() - started) / repeats)
    return spent


if __name__ == "__main__":
    main()
