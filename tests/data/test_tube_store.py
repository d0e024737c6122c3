from pathlib import Path

import numpy as np
import pytest

from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.data.tube_search import search_tubes
from cyclesiam.data.tube_store import SceneTubes, load_tubes, match_tubes, save_tubes
from cyclesiam.data.tubes import MASK_SIDE, Tube
from cyclesiam.errors import SourceError
from support.media import write_frames, write_stills
from support.tubes import make_video


def make_tube(first: int, count: int, seed: int = 0) -> Tube:
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(0, 50, (count, 4)).astype(np.float32)
    return Tube(first, boxes, rng.random((count, MASK_SIDE, MASK_SIDE)) < 0.5)


def test_tubes_come_back_as_they_were_saved(tmp_path):
    saved = {
        "a/one.mp4": SceneTubes((90, 160), (make_tube(3, 12), make_tube(40, 20, seed=1))),
        "b/ünö.mp4": SceneTubes((270, 480), ()),
        "two": SceneTubes((60, 80), (make_tube(0, 15, seed=2),)),
    }
    save_tubes(tmp_path / "tubes.npz", saved)
    loaded = load_tubes(tmp_path / "tubes.npz")
    assert [*loaded] == [*saved]
    for name, scene in saved.items():
        assert loaded[name].frame_size == scene.frame_size
        for tube, other in zip(scene.tubes, loaded[name].tubes, strict=True):
            assert tube.first == other.first
            np.testing.assert_array_equal(tube.boxes, other.boxes)
            np.testing.assert_array_equal(tube.masks, other.masks)


def test_no_tube_at_all_can_be_saved(tmp_path):
    save_tubes(tmp_path / "tubes.npz", {})
    assert load_tubes(tmp_path / "tubes.npz") == {}


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "text", "array"])
def test_a_damaged_file_says_so(tmp_path, damage):
    file = tmp_path / "tubes.npz"
    save_tubes(file, {"one.mp4": SceneTubes((90, 160), (make_tube(0, 30),))})
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-400])
    elif damage == "foreign":
        np.savez(file, weights=np.zeros(3))
    elif damage == "text":
        file.write_text("hello")
    else:
        with file.open("wb") as stream:
            np.save(stream, np.zeros(3))
    with pytest.raises(SourceError, match=r"tubes\.npz.*prepare"):
        load_tubes(file)


def test_a_scene_is_found_by_the_longest_end_of_its_path():
    tubes = {
        "one.mp4": SceneTubes((9, 9), (make_tube(0, 12),)),
        "b/one.mp4": SceneTubes((8, 8), (make_tube(0, 12),)),
        "empty.mp4": SceneTubes((8, 8), ()),
    }
    paths = [Path("/x/a/one.mp4"), Path("/y/b/one.mp4"), Path("/y/empty.mp4"), Path("/y/other.mp4")]
    matched = match_tubes([Scene(path, 30) for path in paths], tubes)
    assert {path: found.frame_size for path, found in matched.items()} == {
        paths[0]: (9, 9),
        paths[1]: (8, 8),
    }


def test_a_search_names_scenes_by_their_folder_and_survives_a_move(tmp_path):
    def path(number):
        return 20 + 4 * number, 30 + number

    write_frames(tmp_path / "videos" / "square", make_video(path))
    write_stills(tmp_path / "videos" / "stills", 2)
    scenes, _ = find_scenes([tmp_path / "videos"])
    (report,) = search_tubes(scenes)
    assert report.name == "square"
    assert report.problems == ()
    assert len(report.found.tubes) == 1
    save_tubes(tmp_path / "tubes.npz", {report.name: report.found})
    (tmp_path / "videos").rename(tmp_path / "moved")
    scenes, _ = find_scenes([tmp_path / "moved"])
    matched = match_tubes(scenes, load_tubes(tmp_path / "tubes.npz"))
    assert [*matched] == [tmp_path / "moved" / "square"]
