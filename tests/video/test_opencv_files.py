"""Without PyAV, OpenCV reads files: the same frames but for the rounding of colors."""

import subprocess
import sys

import numpy as np
import pytest

from cyclesiam.errors import SourceError
from cyclesiam.video import opencv_files, sources
from support.media import moving_square, textured, write_frames, write_image, write_video

WITHOUT_PYAV = """
import sys
sys.modules["av"] = None
import cyclesiam.training.trainer
from cyclesiam.video import probe, read_frames
print(len(read_frames(sys.argv[1], 3, 4)), probe(sys.argv[1]).frames)
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "street.mp4", moving_square(20))


@pytest.mark.parametrize(("start", "count"), [(0, 20), (7, 5), (18, 9), (40, 3)])
def test_frames_are_those_that_pyav_reads(video, start, count):
    expected = sources.read_frames(video, start, count)
    found = opencv_files.read_frames(video, start, count)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 2


def test_what_a_source_holds_is_what_pyav_tells(video, tmp_path):
    folder = write_frames(tmp_path / "frames", moving_square(13))
    for path in (video, folder, write_image(tmp_path / "a.png", textured(0))):
        assert opencv_files.probe(path) == sources.probe(path)


def test_a_folder_and_an_image_are_read_as_ever(tmp_path):
    folder = write_frames(tmp_path / "frames", moving_square(13))
    assert len(opencv_files.read_frames(folder, 10, 8)) == 3
    image = write_image(tmp_path / "a.png", textured(0))
    np.testing.assert_array_equal(opencv_files.read_frames(image, 0, 5)[0], textured(0))


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    for read in (opencv_files.probe, lambda path: opencv_files.read_frames(path, 0, 1)):
        with pytest.raises(SourceError, match=r"bad\.mp4"):
            read(tmp_path / "bad.mp4")


def test_training_needs_no_pyav(video):
    command = [sys.executable, "-c", WITHOUT_PYAV, str(video)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "4 20\n", done.stderr
