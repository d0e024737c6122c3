"""Compare the network's speed with the arithmetic limit of the machine, on one thread.

    .venv/bin/python benchmarks/roofline.py [--weights default] [--bundles BUNDLE...] [--rounds 9]

The limit is the speed of large matrix products in the same run, in float32 and in bfloat16. Printed
for PyTorch and for each bundle (`cyclesiam export`) in both runtimes: milliseconds of a search and
of a mask, windows included, and the ratio to the limit of the precision. For int8 no limit is
measured. Its ratio is to the limit of bfloat16, half the limit of int8 on a CPU with AMX.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before anything loads a BLAS

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from cyclesiam.cli.options import load_network
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.tracking.network import SegmentingNetwork

SIDE = 2048  # of the matrices
CPU = "cpu"
Timed = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="default")
    parser.add_argument("--bundles", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    trained, _ = load_weights(options.weights, trainable=True)
    operations = {name: count_operations(call) for name, call in calls_of(trained.eval()).items()}
    networks = {"torch f32": load_network(options.weights, CPU)[0]}
    for bundle in options.bundles:
        for config in (
            RuntimeConfig(runtime="onnxruntime", threads=1),
            RuntimeConfig(runtime="openvino", threads=1),
            RuntimeConfig(runtime="openvino", precision="bf16", threads=1),
        ):
            name = f"{bundle} {config.runtime} {config.precision}"
            networks[name] = load_network(bundle, CPU, config)[0]
    timed: Timed = {f"limit {kind}": multiply(kind) for kind in ("f32", "bf16")}
    for name, network in networks.items():
        timed |= {f"{name} {what}": call for what, call in calls_of(network).items()}
    seconds = measure(timed, options.rounds)
    limits = {kind: 2 * SIDE**3 / seconds[f"limit {kind}"] for kind in ("f32", "bf16")}
    print(", ".join(f"{kind}: {rate / 1e9:.0f} GFLOP/s" for kind, rate in limits.items()))
    for name in networks:
        kind = name.rpartition(" ")[2]
        for what, count in operations.items():
            spent = seconds[f"{name} {what}"]
            print(
                f"{name} {what}: {count / 1e9:.2f} GFLOP in {1e3 * spent:.2f} ms, "
                f"{count / spent / limits[kind]:.0%} of the limit of {kind}"
            )


def calls_of(network: SegmentingNetwork) -> Timed:
    """Return calls that search and segment one target in noise."""
    side = network.search_size
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.random(shape, np.float32)

    crops, templates = (
        np.moveaxis(255 * noise(1, size, size, 3), -1, 1) for size in (side, network.template_size)
    )
    boxes = np.array([[32, 32, 96, 96]], np.float32)
    priors, chosen = noise(1, 2, (side + 1) // 2, (side + 1) // 2), np.array([1500])
    template = network.embed(templates, boxes)
    proposals = network.search(template, crops)
    return {
        "search": lambda: network.search(template, crops),
        "mask": lambda: network.segment(proposals, chosen, priors),
    }


@torch.no_grad()
def count_operations(call: Callable[[], object]) -> int:
    """Return the number of multiplications and additions of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def multiply(kind: str) -> Callable[[], object]:
    """Return a call that multiplies large matrices in a precision."""
    matrix = torch.rand(SIDE, SIDE, dtype=torch.float32 if kind == "f32" else torch.bfloat16)
    return lambda: matrix @ matrix


def measure(timed: Timed, rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each call, measured in turn."""
    spent: dict[str, list[float]] = {name: [] for name in timed}
    with torch.inference_mode():
        for number in range(-1, rounds):  # the first round warms up
            for name, call in timed.items():
                repeats = 1 if name.startswith("limit") else 8
                started = time.process_time()
                for _ in range(repeats):
                    call()
                if number >= 0:
                    spent[name].append((time.process_time() - started) / repeats)
    return {name: statistics.median(values) for name, values in spent.items()}


if __name__ == "__main__":
    main()
