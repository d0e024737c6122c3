import pytest

from cyclesiam.files import atomic_folder, atomic_path


def fail_halfway(writer, path):
    """Write half of a file or folder, then fail."""
    with writer(path) as part:
        (part / "new.png" if part.is_dir() else part).write_text("half")
        raise KeyboardInterrupt


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "above" / "scores.txt"
    with atomic_path(path, sync=True) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [*path.parent.iterdir()] == [path]


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_halfway(atomic_path, path)
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_what_dead_processes_left_is_removed(tmp_path):
    path = tmp_path / "a[1].txt"
    (tmp_path / "a[1].txt.77.part").write_text("half")
    (tmp_path / "a[1].txt.78.part").mkdir()
    with atomic_path(path) as part:
        part.write_text("new")
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_replaces_the_one_that_was_there(tmp_path):
    path = tmp_path / "maps"
    path.mkdir()
    (path / "old.png").touch()
    with atomic_folder(path) as part:
        (part / "new.png").touch()
    assert [file.name for file in path.iterdir()] == ["new.png"]


def test_a_folder_that_fails_does_not_appear(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fail_halfway(atomic_folder, tmp_path / "maps")
    assert [*tmp_path.iterdir()] == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), atomic_path(tmp_path / "file" / "scores.txt"):
        pass
