"""The command `discover`: a sheet of what training would follow."""

import cv2
import pytest

from cyclesiam.cli import main
from cyclesiam.cli.discover import COLUMNS, WIDTH
from cyclesiam.data.tube_store import save_tubes
from support.media import moving_square, write_frames, write_stills, write_video
from support.tubes import make_video


@pytest.fixture
def folder(tmp_path):
    write_video(tmp_path / "media" / "street.mp4", moving_square(20))
    write_stills(tmp_path / "media", 2)
    return tmp_path / "media"


def discover(folder, *more):
    sheet = folder.parent / "sheets" / "found.jpg"
    options = ("--sheet", str(sheet), "--recipe", "smoke", *more)
    return main(["discover", str(folder), *options]), sheet


def test_a_sheet_shows_what_was_drawn(capsys, folder):
    (folder / "bad.mp4").write_text("no video")
    status, sheet = discover(folder, "--count", "7")
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    assert "1 video and 2 images; 1 file cannot be read." in said.out
    assert "7 targets (" in said.out
    assert "for a look at what training would see, and no result" in said.out
    assert said.out.count("left out: ") == 1
    assert "bad.mp4" in said.out
    picture = cv2.imread(str(sheet))
    assert picture is not None
    height, width, _ = picture.shape
    assert width == COLUMNS * WIDTH
    assert height % 2 == 0  # two rows of one height


def test_the_same_seed_shows_the_same_targets(folder):
    sheets = [discover(folder, "--count", "3", "--seed", seed)[1].read_bytes() for seed in "001"]
    assert sheets[0] == sheets[1] != sheets[2]


def test_options_that_make_no_sense(capsys, tmp_path, folder):
    assert discover(folder, "--count", "0")[0] == 2
    assert "--count must be 1 or more" in capsys.readouterr().err
    assert main(["discover", "--sheet", str(tmp_path / "found.jpg")]) == 2
    (tmp_path / "none").mkdir()
    assert discover(tmp_path / "none")[0] == 1
    assert "found no readable video or image" in capsys.readouterr().err


def test_tubes_are_found_once_and_shown(capsys, tmp_path):
    frames = make_video(lambda number: (20 + 4 * number, 30 + number))
    write_frames(tmp_path / "videos" / "square", frames)
    write_frames(tmp_path / "videos" / "still", [frames[0]] * 14)
    shards = tmp_path / "shards"
    prepare = ["prepare", str(tmp_path / "videos"), "--output", str(shards), "--tubes"]
    assert main(prepare) == 0
    assert f"1 tube in 1 of 2 videos: {shards / 'tubes.npz'}" in capsys.readouterr().out
    for folder in (shards, tmp_path / "videos"):  # one file serves both
        more = ("--tubes", str(shards / "tubes.npz"))
        status, sheet = discover(folder, *more)
        assert status == 0
        assert "1 tube." in capsys.readouterr().out
        picture = cv2.imread(str(sheet))
        assert picture is not None
        assert picture.shape[1] == 3 * WIDTH


def test_tubes_that_do_not_fit(capsys, tmp_path, folder):
    save_tubes(tmp_path / "tubes.npz", {})
    assert discover(folder, "--tubes", str(tmp_path / "tubes.npz"))[0] == 1
    assert "no tube" in capsys.readouterr().err
    assert discover(folder, "--tubes", str(tmp_path / "none.npz"))[0] == 1
    assert "none.npz: is missing" in capsys.readouterr().err
    assert main(["prepare", str(folder), "--output", "memory://a", "--tubes"]) == 2
    assert "--tubes needs a folder" in capsys.readouterr().err
