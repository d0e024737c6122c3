import json

import cv2
import pytest
import torch

from cyclesiam.cli import main
from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from support.media import moving_square, write_video

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = ["--frames", "2", "--rounds", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> list[str]:
    folders = []
    for masks in (True, False):
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("masked" if masks else "plain")
        network = SiamRPN(NetworkConfig(hidden_channels=8, masks=masks, mask_channels=8))
        save_weights(folder, network, TrainingRecord(policy="none"))
        folders.append(str(folder))
    return folders


def test_bench_names_the_first_weights_that_are_fast_enough(capsys, tmp_path, weights):
    file = tmp_path / "speed.json"
    arguments = ["bench", "--weights", *weights, *FEW, "--fps", "0.001", "--json", str(file)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "milliseconds a frame" in printed
    assert f"{weights[0]} reaches 0.001 frames per second here" in printed
    read = json.loads(file.read_text())
    assert list(read["trackers"]) == [*weights, "csrt", "kcf"]
    assert (read["threads"], read["targets"]) == (1, 1)
    masked, plain = (read["trackers"][name] for name in weights)
    assert masked["stages"]["masks"] > 0
    assert plain["stages"]["masks"] == 0
    assert len(plain["rounds"]) == 1


@pytest.mark.parametrize("targets", ["1", "2"])
def test_with_two_threads_weights_with_masks_are_pipelined(capsys, tmp_path, weights, targets):
    file = tmp_path / "speed.json"
    arguments = ["bench", "--weights", *weights, *FEW[:4], "--threads", "2", "--json", str(file)]
    assert main([*arguments, "--targets", targets]) == 0
    read = json.loads(file.read_text())["trackers"]
    masked, plain = weights  # without masks a second thread has little to do
    assert list(read) == [masked, f"{masked}, beside", plain, "csrt", "kcf"]
    stages = read[f"{masked}, beside"]["stages"]
    assert stages["step"] > 0
    assert stages["network"] == stages["masks"] == 0


def test_bench_on_a_source_with_several_targets(capsys, tmp_path, weights):
    clip = write_video(tmp_path / "clip.mp4", moving_square(4))
    arguments = ["bench", "--weights", weights[1], *FEW, "--source", str(clip)]
    assert main([*arguments, "--box", "10,30,24,24", "--targets", "3", "--fps", "1e9"]) == 0
    assert "None of these reaches 1e+09 frames per second" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "a.mp4"], "--source and --box"),
        (["--box", "1,2,3,4"], "--source and --box"),
        (["--threads", "0"], "--threads must be 1 or more, got 0"),
        (["--rounds", "0"], "--rounds must be 1 or more"),
        (["--fps", "0"], "--fps must be above 0"),
        (["--weights", "default", "default"], "only once"),
    ],
)
def test_bench_usage(capsys, options, message):
    assert main(["bench", *options]) == 2
    assert message in capsys.readouterr().err


def test_bench_a_source_that_is_too_short(capsys, tmp_path, weights):
    clip = write_video(tmp_path / "clip.mp4", moving_square(2))
    options = ["--source", str(clip), "--box", "10,30,24,24", "--weights", weights[1]]
    assert main(["bench", *options, *FEW]) == 1
    assert "has only 2 frames" in capsys.readouterr().err


def test_peers_that_this_opencv_lacks_are_left_out(capsys, monkeypatch):
    monkeypatch.delattr(cv2, "TrackerCSRT_create", raising=False)
    monkeypatch.setattr(cv2, "legacy", None, raising=False)
    assert main(["bench", *FEW, "--no-masks", "--peers", "csrt", "mil"]) == 0
    shown = capsys.readouterr()
    assert "without csrt: OpenCV" in shown.err
    assert "of MIL" in shown.out


def test_networks_of_opencv_want_their_files(capsys):
    assert main(["bench", "--peers", "vit"]) == 1
    assert "needs 1 --model-files (net)" in capsys.readouterr().err
