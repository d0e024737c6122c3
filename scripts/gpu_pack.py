"""Make a folder to carry to a bare machine with a GPU, of at most some megabytes.

    python scripts/gpu_pack.py --clips my_videos --stills my_pictures --output runs/gpu-pack

It holds the package, its weights, `gpu_train.py`, wheels of what such a machine lacks, stills, and
clips. Clips that are too large for their share are cut: their first packets are copied, so that
nothing is coded again. No annotation is read.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import av

from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.data.tube_store import (
    TUBES_FILE,
    SceneTubes,
    load_tubes,
    match_tubes,
    save_tubes,
)
from cyclesiam.data.tubes import Tube
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.errors import CycleSiamError, SourceError

ROOT = Path(__file__).parent.parent
MEGABYTE = 10**6
WHEELS = ("pycocotools",)  # of the package's needs, what a machine with PyTorch and OpenCV lacks
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
STILLS_RATIO = 0.25  # of the room for data, where there are clips, too
MP4_HEADER, MP4_ENTRY = 2000, 24  # bytes of a file beside its packets: once, and for each


def main() -> int:
    options = parse()
    try:
        with enforce_policy("none"):
            make_pack(options)
    except CycleSiamError as error:
        print(f"gpu_pack: {error}", file=sys.stderr)
        return 1
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="videos, or folders")
    parser.add_argument("--stills", type=Path, nargs="*", default=[], help="images, or folders")
    parser.add_argument("--tubes", type=Path, help="file of the clips' tubes, from `prepare`")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=58.0, help="most of the whole folder")
    parser.add_argument("--python", default="3.12", help="version on that machine")
    parser.add_argument("--no-wheels", action="store_true", help="that machine lacks nothing")
    return parser.parse_args()


def make_pack(options: argparse.Namespace) -> None:
    """Write the folder.

    Raises:
        SourceError: there is nothing to pack, no room for it, or something in the way; or a wheel
            cannot be fetched.
    """
    output = options.output
    if not (options.clips or options.stills):
        raise SourceError("nothing to pack: give --clips, --stills or both")
    if output.exists():
        raise SourceError(f"{output} exists; remove it, or choose another --output")
    output.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "cyclesiam", output / "src" / "cyclesiam", ignore=ignored)
    shutil.copy(ROOT / "scripts" / "gpu_train.py", output)
    if not options.no_wheels:
        fetch_wheels(output / "wheels", options.python)
    room = options.megabytes * MEGABYTE - folder_size(output)
    for_stills = room * (STILLS_RATIO if options.clips else 1.0)
    if options.stills:
        stills = [scene for scene in find_scenes(options.stills)[0] if scene.frames == 1]
        room -= copy_stills(stills, output / "stills", for_stills)
    if options.clips:
        clips = [scene for scene in find_scenes(options.clips)[0] if scene.frames > 1]
        tubes = load_tubes(options.tubes) if options.tubes else {}
        if tubes:
            save_tubes(output / TUBES_FILE, tubes)
            room -= (output / TUBES_FILE).stat().st_size  # at most: some will be left out
        copies = copy_clips(clips, output / "clips", room)
        if tubes:
            save_tubes(output / TUBES_FILE, tubes_of_copies(copies, tubes))
    print(f"{output}: {folder_size(output) / MEGABYTE:.1f} MB")


def fetch_wheels(folder: Path, python: str) -> None:
    """Download wheels for x86-64 Linux and a version of Python."""
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", python, *platforms, "-d", str(folder)]
    done = subprocess.run([*command, *WHEELS], capture_output=True, text=True)
    if done.returncode:
        raise SourceError(f"cannot fetch wheels: {done.stderr.strip().splitlines()[-1]}")


def copy_stills(stills: list[Scene], folder: Path, room: float) -> int:
    """Copy stills, in an order that their names decide, while there is room; return the bytes."""
    folder.mkdir()
    used = count = 0
    for scene in sorted(stills, key=lambda scene: crc32(scene.path.name.encode())):
        size = scene.path.stat().st_size
        if used + size <= room:
            shutil.copy(scene.path, folder / f"{count:05}{scene.path.suffix}")
            used, count = used + size, count + 1
    print(f"stills: {count} of {len(stills)}, {used / MEGABYTE:.1f} MB")
    return used


def copy_clips(clips: list[Scene], folder: Path, room: float) -> dict[Path, Scene]:
    """Copy clips whole or cut, each in an equal share of the room; small ones leave the rest.

    Returns:
        The copy of each clip's path, with the frames that it holds.
    """
    folder.mkdir()
    copies = {}
    by_size = sorted(clips, key=lambda scene: scene.path.stat().st_size)
    for index, scene in enumerate(by_size):
        share = room / (len(by_size) - index)
        target = folder / f"{index:04}{scene.path.suffix}"
        if scene.path.stat().st_size <= share:
            shutil.copy(scene.path, target)
            frames = scene.frames
        else:
            target = target.with_suffix(".mp4")
            frames = cut_clip(scene.path, target, share)
        copies[scene.path] = Scene(target, frames)
        room -= target.stat().st_size
    if room < 0:
        raise SourceError(f"there is no room for {len(clips)} clips; give fewer, or --megabytes")
    whole = sum(scene.frames for scene in clips)
    frames = sum(copy.frames for copy in copies.values())
    print(f"clips: {frames} of {whole} frames of {len(clips)}")
    return copies


def tubes_of_copies(
    copies: dict[Path, Scene], tubes: dict[str, SceneTubes]
) -> dict[str, SceneTubes]:
    """Return the tubes by the names of copies, as far as these hold their frames."""
    found = {}
    for path, scene in match_tubes([Scene(path, 0) for path in copies], tubes).items():
        copy = copies[path]
        lengths = [(tube, max(min(copy.frames - tube.first, len(tube)), 0)) for tube in scene.tubes]
        kept = tuple(
            Tube(tube.first, tube.boxes[:length], tube.masks[:length])
            for tube, length in lengths
            if length
        )
        found[f"{copy.path.parent.name}/{copy.path.name}"] = scene._replace(tubes=kept)
    print(f"tubes: {sum(len(scene.tubes) for scene in found.values())}")
    return found


def cut_clip(path: Path, target: Path, room: float) -> int:
    """Copy a video's first packets to an MP4 file while there is room; return how many frames."""
    count, used = 0, MP4_HEADER
    with av.open(f"file:{path}") as source, av.open(f"file:{target}", "w") as cut:
        stream = source.streams.video[0]
        copied = cut.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None or (count and used + packet.size + MP4_ENTRY > room):
                break
            packet.stream = copied
            used, count = used + packet.size + MP4_ENTRY, count + 1
            cut.mux(packet)
    if not count:
        raise SourceError(f"{path}: has no frame that can be copied; leave it out")
    return count


def folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
