"""What the tests of commands share."""

from pathlib import Path

import pytest

from cyclesiam.video import VideoWriter


@pytest.fixture
def clip(tmp_path, made_frames) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25) as video:
        for frame in made_frames:
            video.write(frame)
    return path
