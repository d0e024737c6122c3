"""Measure how fast raw results are scored: synthetic sequences of polygons and boxes.

    .venv/bin/python benchmarks/scoring_speed.py [--sequences 60] [--frames 20000] [--folder FOLDER]

For each of VOT (polygons against boxes, with failures), OTB and GOT-10k, files are written and
`cyclesiam score` is timed in its own process. Printed are frames per second of processor time,
which other work on the machine does not change, and the peak memory of a process.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SIZE = (640, 480)  # width and height of the images
TARGET = (90, 60)  # width and height of the targets
FAILURES_PER_1000_FRAMES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=60)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="keep the files there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for benchmark, make in (("vot2018", make_vot), ("otb", make_otb), ("got10k", make_got10k)):
            root, results = folder / benchmark / "data", folder / benchmark / "results" / "made"
            rng = np.random.default_rng(7)
            if not root.is_dir():
                for number in range(options.sequences):
                    truth = random_path(options.frames, rng)
                    result = truth + rng.normal(0, 4, truth.shape)
                    make(root, results, f"made{number:03}", truth, result, rng)
            report(benchmark, root, results, options.sequences * options.frames)


def report(benchmark: str, root: Path, results: Path, frames: int) -> None:
    """Time the command and print its costs."""
    command = [sys.executable, "-m", "cyclesiam", "score", benchmark]
    command += ["--root", str(root), "--results", str(results)]
    before, started = processor_seconds(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, seconds = time.perf_counter() - started, processor_seconds() - before
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{benchmark:8} {frames} frames: {seconds:5.1f} s of processor time ({wall:.1f} s by the "
        f"clock), {frames / seconds:.0f} frames/s; peak memory so far {memory:.0f} MiB",
        flush=True,
    )


def processor_seconds() -> float:
    """Return the processor time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def random_path(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Return centers and angle (T, 3) of a target that drifts through the image and turns."""
    steps = rng.normal(0, (3, 3, 0.03), (frames, 3)).cumsum(axis=0)
    width, height = SIZE
    center = np.abs((steps[:, :2] + (width / 2, height / 2)) % (2 * width, 2 * height))
    center = np.minimum(center, (2 * width, 2 * height) - center)
    return np.concatenate((center, steps[:, 2:]), axis=1)


def corners(path: np.ndarray) -> np.ndarray:
    """Return polygons (T, 8) of a target on its path (T, 3)."""
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(TARGET) / 2
    cosine, sine = np.cos(path[:, 2:] / 50), np.sin(path[:, 2:] / 50)
    x = path[:, :1] + half[:, 0] * cosine - half[:, 1] * sine
    y = path[:, 1:2] + half[:, 0] * sine + half[:, 1] * cosine
    return np.stack((x, y), axis=-1).reshape(len(path), 8)


def boxes(path: np.ndarray) -> np.ndarray:
    """Return boxes (T, 4) xywh of a target on its path (T, 3)."""
    corner = path[:, :2] - np.array(TARGET) / 2
    return np.concatenate((corner, np.broadcast_to(TARGET, corner.shape)), axis=1)


def rows(numbers: np.ndarray) -> list[str]:
    """Return a line of text for each row."""
    return [",".join(f"{n:.4f}" for n in row) for row in numbers.tolist()]


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((SIZE[1], SIZE[0], 3), np.uint8))


def make_vot(root, results, name, truth, result, rng) -> None:
    """Write a run with failures, 2 0 0 0 0 1, in some places."""
    lines = rows(boxes(result))
    lines[0] = "1"
    count = len(lines) * FAILURES_PER_1000_FRAMES // 1000
    for frame in sorted(rng.choice(len(lines) // 20, count, replace=False) * 20 + 10):
        lines[frame : frame + 6] = "2 0 0 0 0 1".split()[: len(lines) - frame]
    write(root / name / "groundtruth.txt", rows(corners(truth)))
    write_image(root / name / "color" / "00000001.jpg")
    write(results / "baseline" / name / f"{name}_001.txt", lines)


def make_otb(root, results, name, truth, result, rng) -> None:
    write(root / name / "groundtruth_rect.txt", rows(np.round(boxes(truth))))
    write_image(root / name / "img" / "0001.jpg")
    write(results / f"{name}.txt", rows(boxes(result)))


def make_got10k(root, results, name, truth, result, rng) -> None:
    folder = root / "val" / name
    write(root / "val" / "list.txt", sorted({*names_in(root / "val"), name}))
    write(folder / "groundtruth.txt", rows(boxes(truth)))
    write(folder / "cover.label", ["8"] * len(truth))
    write_image(folder / "00000001.jpg")
    write(results / name / f"{name}_001.txt", rows(boxes(result)))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


if __name__ == "__main__":
    main()
