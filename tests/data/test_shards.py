import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset

from cyclesiam.cli import main
from cyclesiam.data import shard_writer
from cyclesiam.data.chunks import CHUNK, ChunkCache, read_chunk
from cyclesiam.data.clips import BatchRequest, ClipConfig, ClipDataset
from cyclesiam.data.scenes import Scene, find_scenes, split_scenes
from cyclesiam.data.shard_writer import ShardConfig, plan_shards, write_shards
from cyclesiam.errors import MissingExtraError, SourceError
from support.media import moving_square, textured, write_frames, write_image, write_video

SMALL = ShardConfig(megabytes=1.0, short_side=64, quality=95)  # 549 frames a shard
TWO = ShardConfig(megabytes=0.1, short_side=64, quality=95)  # 54: every window has its own


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A video of two windows, a folder of frames, a still; and what is none of them."""
    folder = tmp_path_factory.mktemp("media")
    write_video(folder / "videos" / "street.mp4", moving_square(CHUNK + 6))
    write_frames(folder / "frames", moving_square(14, seed=3))
    write_image(folder / "still.png", textured(7))
    (folder / "bad.mp4").write_text("no video")
    return folder


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def pack(media, output, config=SMALL, **options):
    return [*write_shards(find_scenes([media])[0], str(output), config, **options)]


def test_shards_give_the_clips_of_their_sources(media, tmp_path):
    plain = find_scenes([media])[0]
    pack(media, tmp_path)
    packed, problems = find_scenes([tmp_path])
    assert problems == []
    assert [(s.path.name, s.frames) for s in packed] == [(s.path.name, s.frames) for s in plain]
    held = [[scene.path.name for scene in part] for part in split_scenes(packed, 0.5)]
    assert held == [[scene.path.name for scene in part] for part in split_scenes(plain, 0.5)]
    config = ClipConfig(batch_size=4, height=64, width=64)
    request = BatchRequest(0, 1, 3)
    ours, theirs = (ClipDataset(found, config, 1)[request] for found in (packed, plain))
    assert ours.names == theirs.names
    assert ours.problems == ()


def test_a_window_holds_the_frames_of_its_source(media, tmp_path):
    large = ShardConfig(megabytes=1.0, short_side=360, quality=95)
    pack(media, tmp_path, large)
    cache = ChunkCache(10**9)
    for plain, packed in zip(find_scenes([media])[0], find_scenes([tmp_path])[0], strict=True):
        for chunk in range(-(-plain.frames // CHUNK)):
            expected, got = cache.read(plain.path, chunk), cache.read(packed.path, chunk)
            assert len(got) == len(expected) == min(CHUNK, plain.frames - chunk * CHUNK)
            for ours, theirs in zip(got, expected, strict=True):
                assert distance(ours, theirs) < 8  # noise and hard edges are JPEG's worst
            if len(got) > 1:
                assert distance(got[0], expected[0]) < distance(got[0], expected[-1])


def distance(first, second):
    return np.abs(first.astype(int) - second).mean()


def test_large_frames_shrink(media, tmp_path):
    pack(media, tmp_path)
    (image, *_) = ChunkCache(10**9).read(find_scenes([tmp_path])[0][0].path, 0)
    assert image.shape == (64, 85, 3)  # of 96 x 128


# webdataset leaves it to chance when its files are closed.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_them(media, tmp_path):
    pack(media, tmp_path, TWO)
    tars = sorted(map(str, tmp_path.glob("*.tar")))
    assert len(tars) == 3
    samples = [*webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)]
    about = [json.loads(sample["json"]) for sample in samples]
    assert [(a["source"], a["first"], a["frames"]) for a in about] == [
        ("still.png", 0, 1),
        ("frames", 0, 14),
        ("videos/street.mp4", 0, 64),
        ("videos/street.mp4", 64, 6),
    ]
    for sample, output in zip(samples, about, strict=True):
        assert sum(name.endswith("jpg") for name in sample) == output["frames"]


def test_the_index_says_where_the_pictures_lie(media, tmp_path):
    pack(media, tmp_path)
    index = json.loads((tmp_path / "shards.json").read_text())
    (windows,) = index["shards"].values()
    with tarfile.open(tmp_path / "clips-000000.tar") as tar:
        members = [m for m in tar.getmembers() if m.name.endswith("jpg")]
    assert [(m.offset_data, m.size) for m in members] == [
        tuple(place) for window in windows for place in window["places"]
    ]


def test_a_run_that_was_killed_goes_on(media, tmp_path, monkeypatch):
    pack(media, tmp_path / "whole", TWO)
    run = write_shards(find_scenes([media])[0], str(tmp_path / "broken"), TWO)
    next(run)
    run.close()
    (tmp_path / "broken" / "clips-000001.tar").write_bytes(b"half of")
    (tmp_path / "broken" / "clips-000001.json").write_bytes(b"{ half of")
    with pytest.raises(Exception, match="no readable video"):
        find_scenes([tmp_path / "broken"])  # not complete: nothing to train on
    again = pack(media, tmp_path / "broken", TWO)
    assert [shard.existed for shard in again] == [True, False, False]
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    monkeypatch.setattr(shard_writer, "read_chunk", None)  # nothing is decoded again
    assert all(shard.existed for shard in pack(media, tmp_path / "broken", TWO))
    with pytest.raises(TypeError):
        pack(media, tmp_path / "broken", ShardConfig(megabytes=0.1, short_side=64, quality=50))


def test_several_processes_give_the_same_files(media, tmp_path):
    pack(media, tmp_path / "one", TWO)
    pack(media, tmp_path / "two", TWO, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_what_cannot_be_read_is_reported_and_left_out(tmp_path, media):
    gone = Scene(tmp_path / "gone.mp4", 100)
    good = find_scenes([media / "still.png"])[0]
    (shard,) = write_shards([gone, *good], str(tmp_path / "shards"), SMALL)
    assert len(shard.problems) == 1
    assert "gone.mp4" in shard.problems[0]
    found, problems = find_scenes([tmp_path / "shards"])
    assert problems == list(shard.problems)
    with pytest.raises(SourceError, match="could not be read when its shard was made"):
        read_chunk(found[0].path, 0)
    with pytest.raises(SourceError, match=r"nothing could be read; the first problem: .*gone\.mp4"):
        [*write_shards([gone], str(tmp_path / "none"), SMALL)]
    assert not (tmp_path / "none" / "shards.json").exists()


def test_damaged_shards_say_so(media, tmp_path):
    pack(media, tmp_path)
    scene = find_scenes([tmp_path])[0][0]
    (tmp_path / "clips-000000.tar").write_bytes(b"short")
    with pytest.raises(SourceError, match=r"clips-000000\.tar: is damaged at byte"):
        read_chunk(scene.path, 0)
    (tmp_path / "clips-000000.tar").unlink()
    with pytest.raises(SourceError, match=r"clips-000000\.tar: cannot be read"):
        read_chunk(scene.path, 0)
    (tmp_path / "shards.json").write_text('{"format": "another"}')
    with pytest.raises(SourceError, match="not an index of shards of this version"):
        find_scenes([tmp_path])


def test_any_address_that_fsspec_knows(media, tmp_path):
    import fsspec

    pack(media, "memory://shards/small")
    pack(media, tmp_path)
    system = fsspec.filesystem("memory")
    for name, content in contents(tmp_path).items():
        assert system.cat_file(f"/shards/small/{name}") == content
    assert all(shard.existed for shard in pack(media, "memory://shards/small"))
    with pytest.raises(SourceError, match="fsspec does not know such a URL"):
        pack(media, "nonsense://shards")


def test_without_fsspec(media, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match="pip install fsspec"):
        pack(media, "memory://shards")


def test_shards_are_planned_by_frames():
    videos = [Scene(Path(f"/a/{name}.mp4"), 100) for name in "xy"]
    plan = plan_shards(videos, ShardConfig(megabytes=0.2, short_side=64))  # 109 frames
    assert [[(w.source, w.first) for w in shard.windows] for shard in plan] == [
        [("x.mp4", 0), ("x.mp4", 64)],
        [("y.mp4", 0), ("y.mp4", 64)],
    ]


@pytest.mark.parametrize("wrong", [{"megabytes": 0}, {"short_side": 10}, {"quality": 101}])
def test_impossible_shards_are_refused(wrong):
    with pytest.raises(ValueError, match="megabytes must be above 0"):
        ShardConfig(**wrong)


def test_the_command(media, tmp_path, capsys):
    command = ["prepare", str(media), "--output", str(tmp_path / "shards"), "--short-side", "64"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "3 sources in 1 shard, 0 of which existed before; 1 problem.\n" in output
    assert "bad.mp4" in output
    assert "cyclesiam train" in output
    assert main(command) == 0
    assert "1 of which existed before" in capsys.readouterr().out
    assert main(["prepare", "--output", "x"]) == 2
    assert main([*command, "--workers", "0"]) == 2
    assert main([*command, "--shard-size", "0"]) == 2
