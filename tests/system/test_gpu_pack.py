"""A pack trains in a fresh folder, with nothing but what is in it; and goes on where it stopped."""

import re
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest

import gpu_pack
from cyclesiam.data.scenes import Scene
from cyclesiam.data.tube_store import SceneTubes, load_tubes, match_tubes, save_tubes
from cyclesiam.data.tubes import MASK_SIDE, Tube
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.video import probe
from support.media import moving_square, write_stills, write_video

# As on a machine that lacks them, and from another folder.
RUN = """
import runpy, sys
for name in ("av", "tyro", "webdataset"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def pack(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["gpu_pack.py", "--no-wheels", *map(str, words)])
    status = gpu_pack.main()
    return status, capsys.readouterr()


def train(folder, *words):
    script = folder / "carried" / "gpu_train.py"
    options = ["--recipe=smoke", "--device=cpu", "--batch=2", *map(str, words)]
    command = [sys.executable, "-I", "-c", RUN, str(script), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def media(tmp_path):
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 60, (30, 96, 128, 3), np.uint8)
        write_video(tmp_path / "clips" / f"{seed}.mp4", [*noise])
    write_stills(tmp_path / "stills", 3)
    return tmp_path


def test_a_pack_trains_in_a_fresh_folder(media, monkeypatch, capsys, tmp_path):
    sources = ["--clips", media / "clips", "--stills", media / "stills"]
    status, said = pack(monkeypatch, capsys, *sources, "--output", tmp_path / "pack")
    assert status == 0
    assert "60 of 60 frames of 2" in said.out
    fresh = tmp_path / "fresh"
    shutil.move(tmp_path / "pack", fresh / "carried")
    assert "stopped at step" in train(fresh, "--steps=5000", "--minutes=0.01")
    shutil.rmtree(fresh / "runs")
    said = train(fresh, "--steps=2")
    assert "5 videos and stills; 0 cannot be read" in said
    assert said.endswith("complete\n")
    parts = sorted((fresh / "runs" / "gpu-results").iterdir())
    whole = fresh / "run.tar"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert max(part.stat().st_size for part in parts) < 16 * 2**20
    with tarfile.open(whole) as tar:
        tar.extractall(fresh / "back", filter="data")
    _, record = load_weights(fresh / "back" / "gpu")
    assert (record.recipe, record.steps, record.policy) == ("smoke", 2, "none")


def test_large_clips_are_cut_to_equal_shares(media, monkeypatch, capsys, tmp_path):
    clips = sorted((media / "clips").iterdir())
    write_video(media / "clips" / "short.mp4", moving_square(4))
    share = min(clip.stat().st_size for clip in clips) // 2
    folder = tmp_path / "cut"
    scenes, _ = gpu_pack.find_scenes([media / "clips"])
    gpu_pack.copy_clips(scenes, folder, 3 * share)
    frames = [probe(path).frames for path in sorted(folder.iterdir())]
    assert frames[0] == 4
    assert all(4 < count < 30 for count in frames[1:])
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 3 * share
    counted = re.search(r"clips: (\d+) of 64 frames of 3", capsys.readouterr().out)
    assert int(counted[1]) == sum(frames)


def test_tubes_end_where_copies_do(media, capsys):
    boxes, masks = np.zeros((20, 4), np.float32), np.zeros((20, MASK_SIDE, MASK_SIDE), bool)
    boxes[:, 0] = np.arange(20)
    tubes = tuple(Tube(first, boxes, masks) for first in (0, 5, 12))
    copies = {media / "clips" / "0.mp4": Scene(media / "pack" / "clips" / "0007.mp4", 12)}
    named = {"0.mp4": SceneTubes((96, 128), tubes), "1.mp4": SceneTubes((96, 128), tubes)}
    kept = gpu_pack.tubes_of_copies(copies, named)
    assert capsys.readouterr().out == "tubes: 2\n"
    first, second = kept["clips/0007.mp4"].tubes
    assert (first.first, len(first), second.first, len(second)) == (0, 12, 5, 7)
    assert second.boxes[-1, 0] == 6
    assert match_tubes(copies.values(), kept).keys() == {media / "pack" / "clips" / "0007.mp4"}


def test_a_pack_holds_tubes_and_trains_from_them(media, monkeypatch, capsys, tmp_path):
    boxes = np.tile(np.array([30, 30, 60, 60], np.float32), (20, 1))
    tube = Tube(0, boxes, np.ones((20, MASK_SIDE, MASK_SIDE), bool))
    save_tubes(tmp_path / "found.npz", {"0.mp4": SceneTubes((96, 128), (tube,))})
    sources = ["--clips", media / "clips", "--tubes", tmp_path / "found.npz"]
    status, _ = pack(monkeypatch, capsys, *sources, "--output", tmp_path / "carried")
    assert status == 0
    scenes, _ = gpu_pack.find_scenes([tmp_path / "carried" / "clips"])
    assert len(match_tubes(scenes, load_tubes(tmp_path / "carried" / "tubes.npz"))) == 1
    assert train(tmp_path, "--steps=1").endswith("complete\n")


def test_a_pack_that_cannot_be_made_says_why(media, monkeypatch, capsys, tmp_path):
    status, said = pack(monkeypatch, capsys, "--output", tmp_path / "pack")
    assert (status, said.err) == (1, "gpu_pack: nothing to pack: give --clips, --stills or both\n")
    sources = ["--clips", media / "clips", "--output"]
    status, said = pack(monkeypatch, capsys, *sources, tmp_path)
    assert "exists; remove it" in said.err
    status, said = pack(monkeypatch, capsys, *sources, tmp_path / "pack", "--megabytes", 1)
    assert "there is no room" in said.err
