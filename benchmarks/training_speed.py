"""Samples/s of a training step, by part, against the reference cycle and the arithmetic limit.

    .venv/bin/python benchmarks/training_speed.py [--recipe small] [--turn 2] [--batch 32]

In every round each kind of step runs once over the same batch, one after another, on one thread:
`plain`, the cycle of the authors' code (see `reference_cycle.py`), and `lean`, the package's.
Figures are medians over rounds, ratios are taken round by round. On a CPU it is CPU time that
counts: on a busy machine only that means anything. All clips are tracked, but for the ratio of
clips given by --known.

The limit is the time that the matrix products of the lean step would take at the speed of one
large matrix product, measured in the same precision in the same run.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

# Before anything loads a BLAS, whose threads no `setNumThreads` reaches.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import cv2
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.flop_counter import FlopCounterMode

from cyclesiam.data import augmentation, chunks
from cyclesiam.data.clip_plans import MASK_OFF, MASK_ON
from cyclesiam.data.clips import Batch, BatchRequest, ClipDataset
from cyclesiam.data.scenes import find_scenes
from cyclesiam.geometry import crops
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.training import cycle
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.fabric import choose_precision
from cyclesiam.training.objective import CycleBatch, ObjectiveConfig, cycle_objective
from cyclesiam.training.optimizer import OptimizerConfig, ema_update, make_optimizer
from cyclesiam.training.recipes import RECIPES
from cyclesiam.video import VideoWriter
from reference_cycle import ReferenceCycle

PARTS = (
    "crop",
    "augment",
    "forward, track",
    "forward, search",
    "labels, losses",
    "backward",
    "optimizer",
)
GAP = 8
# Which part a function's time counts for, without that of other parts that it calls.
TIMED = {
    crops.crop: "crop",
    augmentation.jitter_colors: "augment",
    augmentation.occlude: "augment",
    cycle.track_cycle: "forward, track",
    cycle.search_first_frame: "forward, search",
}


class Clock:
    """Seconds by part; time within an inner part is the inner part's only."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._parts: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._charge()
        self._parts.append(name)
        try:
            yield
        finally:
            self._charge()
            self._parts.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*arguments, **options)

        return run

    def _charge(self) -> None:
        now = self._now()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    def _now(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass
class TimedStep:
    """One kind of step, with weights of its own, so that each kind trains alike."""

    network: SiamRPN
    ema: AveragedModel
    optimizer: torch.optim.Optimizer
    max_grad_norm: float
    config: ObjectiveConfig
    rng: torch.Generator
    precision: torch.dtype | None
    reference: ReferenceCycle | None

    def step(self, batch: Batch, clock: Clock) -> Tensor:
        """Take a step, timed; return its loss."""
        frames, boxes, masks = (
            part.to(clock.device) for part in (batch.frames, batch.boxes, batch.masks)
        )
        clips = CycleBatch(frames, boxes, batch.request.turn, masks)
        ema = self.ema.module
        assert isinstance(ema, SiamRPN)
        with self._timed(clock), self._autocast(clock.device), clock.part("labels, losses"):
            sums = cycle_objective(self.network, ema, clips, self.config, self.rng)
            loss = sums.losses(self.config).total
        with clock.part("backward"):
            self.optimizer.zero_grad()
            loss.backward()
        with clock.part("optimizer"):
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_grad_norm)
            self.optimizer.step()
            self.ema.update_parameters(self.network)
        if self.reference:
            self.reference.kept = []
        return loss.detach()

    @contextmanager
    def _timed(self, clock: Clock) -> Iterator[None]:
        modules = [module for name, module in sys.modules.items() if name.startswith("cyclesiam.")]
        with ExitStack() as stack:
            for function, part in TIMED.items():
                name, run = function.__name__, function
                if name == "track_cycle" and self.reference:
                    run = self.reference.track_cycle
                for module in modules:
                    if vars(module).get(name) is function:
                        timed = clock.timed(part, run)
                        stack.enter_context(mock.patch.object(module, name, timed))
            yield

    def _autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(
            device.type, self.precision or torch.bfloat16, enabled=self.precision is not None
        )


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    device = torch.device(options.device)
    config = RECIPES[options.recipe]()
    config = replace(
        config,
        clips=replace(config.clips, batch_size=options.batch or 32),
        network=replace(config.network, masks=config.network.masks or options.masks),
    )
    precision = options.precision
    if precision == "auto":
        precision = choose_precision(options.device)
    dtype = torch.bfloat16 if precision == "bf16-mixed" else None
    pace = measure_pace(device, dtype or torch.float32)
    print(
        f"{options.recipe}, batches of {config.clips.batch_size}, {precision}, {device}, "
        f"{torch.get_num_threads()} thread, {options.rounds} rounds; "
        f"a large product of matrices: {pace / 1e9:.0f} GFLOP/s"
    )
    for turn in options.turn:
        batch, reading = draw(config, turn, options)
        steps = {
            name: make_step(config, plain=name == "plain", device=device, precision=dtype)
            for name in ("plain", "lean")
        }
        report(turn, run(steps, batch, device, options.rounds), steps["lean"], batch, pace)
        print(f"{'decode':16s}{reading['decode']:9.2f}    from an empty cache, twice a long run's")
        print(f"{'draw clips':16s}{reading['draw']:9.2f}    both beside the step, in workers")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", choices=[*RECIPES], default="small")
    parser.add_argument("--turn", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--precision", choices=["auto", "32-true", "bf16-mixed"], default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--known", type=float, default=0.0, help="ratio of clips that are not tracked"
    )
    parser.add_argument("--clips", help="folder of videos; the made clip without one")
    parser.add_argument("--masks", action="store_true", help="put a mask branch on the network")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def make_step(
    config: TrainingConfig,
    *,
    plain: bool,
    device: torch.device,
    precision: torch.dtype | None,
) -> TimedStep:
    """Make one kind of step; all have the same weights."""
    torch.manual_seed(0)
    network = SiamRPN(config.network)
    trained, _ = load_weights("default", trainable=True)
    if trained.config == config.network:  # so that tracking goes where targets are
        network.load_state_dict(trained.state_dict())
    network = network.to(device, memory_format=torch.channels_last)  # pyright: ignore
    ema = AveragedModel(network, multi_avg_fn=ema_update(config.ema_decay), use_buffers=True)
    ema.eval().requires_grad_(plain)
    gentle = OptimizerConfig(name=config.optimizer.name, start_lr=1e-6, lr=1e-6, end_lr=1e-6)
    return TimedStep(
        network.train(),
        ema,
        make_optimizer(gentle, network),
        gentle.max_grad_norm,
        config.objective,
        torch.Generator(device).manual_seed(0),
        precision,
        ReferenceCycle(config.objective.labels, device) if plain else None,
    )


def draw(
    config: TrainingConfig, turn: int, options: argparse.Namespace
) -> tuple[Batch, dict[str, float]]:
    """Draw batches; return one, and the CPU ms a sample that decoding and drawing took."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [options.clips] if options.clips else [write_made_clips(Path(folder))]
        dataset = ClipDataset(find_scenes(sources)[0], config.clips, seed=0)
        clock = Clock(torch.device("cpu"))
        decode = clock.timed("decode", chunks.read_chunk)
        reads = config.clips.batches_per_chunk
        with mock.patch.object(chunks, "read_chunk", decode):
            for number in range(reads):
                with clock.part("draw"):
                    batch = dataset[BatchRequest(number, turn, GAP)]
    samples = reads * config.clips.batch_size
    known = torch.arange(len(batch.boxes)) < round(options.known * len(batch.boxes))
    boxes = batch.boxes.clone()
    boxes[:, 1:][~known] = torch.nan
    boxes[known, 1:] = boxes[known, :1]  # as good as any: these are not tracked
    rows, columns = (torch.arange(side) + 0.5 for side in batch.masks.shape[1:])
    x0, y0, x1, y1 = boxes[:, 0, :, None].unbind(dim=1)
    inside_x, inside_y = (columns > x0) & (columns < x1), (rows > y0) & (rows < y1)
    masks = torch.where(inside_y[:, :, None] & inside_x[:, None, :], MASK_ON, MASK_OFF).byte()
    return batch._replace(boxes=boxes, masks=masks), {
        name: 1000 * clock.seconds[name] / samples for name in ("decode", "draw")
    }


def write_made_clips(folder: Path, count: int = 2) -> Path:
    for seed in range(count):
        with VideoWriter(folder / f"{seed}.mp4", fps=25) as video:
            for image in make_demo_clip(seed=seed, frames=50, width=640, height=480).images:
                video.write(image)
    return folder


def run(
    steps: dict[str, TimedStep], batch: Batch, device: torch.device, rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Return each kind's seconds by part, round by round; the first round only warms up."""
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in steps}
    losses: dict[str, list[float]] = {name: [] for name in steps}
    for counted in range(-1, rounds):
        for name, step in steps.items():
            clock = Clock(device)
            losses[name].append(step.step(batch, clock).item())
            if counted >= 0:
                seconds[name].append(clock.seconds)
    assert losses["plain"] == losses["lean"], "the lean cycle must train as the plain one does"
    return seconds


def report(
    turn: int,
    seconds: dict[str, list[dict[str, float]]],
    lean: TimedStep,
    batch: Batch,
    pace: float,
) -> None:
    """Print the table of one turn, in ms a sample."""
    B = len(batch.boxes)
    flops = count_flops(lean, batch)
    print(f"\nturn {turn}: {flops / B / 1e9:.2f} GFLOP a sample; ms a sample")
    print(f"{'':16s}", *(f"{name:>8s}" for name in seconds))
    for part in PARTS:
        medians = (
            statistics.median(r.get(part, 0.0) for r in rounds) for rounds in seconds.values()
        )
        print(f"{part:16s}", *(f"{1000 * median / B:8.2f}" for median in medians))
    totals = {name: [sum(r.values()) for r in rounds] for name, rounds in seconds.items()}
    print(f"{'samples/s':16s}", *(f"{B / statistics.median(t):8.1f}" for t in totals.values()))
    for name, values in totals.items():
        ratios = [a / b for a, b in zip(totals["plain"], values, strict=True)]
        ratio = flops / pace / statistics.median(values)
        print(
            f"{name:16s}{statistics.median(ratios):5.2f} x plain "
            f"({min(ratios):.2f}..{max(ratios):.2f})   "
            f"the lean step's arithmetic at the limit's pace takes {ratio:4.0%} of its time"
        )


def count_flops(step: TimedStep, batch: Batch) -> float:
    """Count the operations of a step in convolutions and matrix products, two for each MAC."""
    device = next(step.network.parameters()).device
    with FlopCounterMode(display=False) as counter:
        step.step(batch, Clock(device))
    return counter.get_total_flops()


def measure_pace(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of the best of several products of large matrices."""
    size = 2048 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        clock = Clock(device)
        with clock.part("product"):
            torch.mm(left, right)
        best = min(best, clock.seconds["product"])
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
