import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cyclesiam.errors import SourceError
from cyclesiam.files import (
    atomic_folder,
    atomic_path,
    check_output,
    check_output_folder,
    is_same_file,
)


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


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_dead_processes_left_is_removed(tmp_path):
    path = tmp_path / "a[1].txt"
    (tmp_path / f"a[1].txt.{dead_process()}.part").write_text("half")
    (tmp_path / "a[1].txt.none.part").mkdir()
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


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    other = tmp_path / f"scores.txt.{os.getppid()}.part"
    other.write_text("half")
    with atomic_path(tmp_path / "scores.txt") as part:
        part.write_text("new")
    assert other.read_text() == "half"


def test_of_a_link_the_target_is_replaced(tmp_path):
    (tmp_path / "big_disk").mkdir()
    (tmp_path / "scores.txt").symlink_to(tmp_path / "big_disk" / "scores.txt")
    with atomic_path(tmp_path / "scores.txt") as part:
        part.write_text("new")
    assert (tmp_path / "scores.txt").is_symlink()
    assert (tmp_path / "big_disk" / "scores.txt").read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(tmp_path, umask, mode):
    def write_private(file):  # as safetensors does
        file.touch(0o600)
        file.chmod(0o600)

    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "weights") as part:
            write_private(part)
        with atomic_folder(tmp_path / "bundle") as folder:
            write_private(folder / "graph")
    finally:
        os.umask(before)
    for file in (tmp_path / "weights", tmp_path / "bundle" / "graph"):
        assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs devices")
def test_devices_are_not_replaced():
    check_output(Path("/dev/null"))
    with atomic_path(Path("/dev/null")) as part:
        part.write_text("gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_checks_leave_nothing_and_change_nothing(tmp_path):
    (tmp_path / "old").write_text("precious")
    check_output(tmp_path / "old")
    check_output(tmp_path / "new", overwrite=False)
    check_output_folder(tmp_path / "runs" / "mine")
    check_output_folder(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "precious"
    for path, message in (
        (tmp_path, "it is a folder"),
        (tmp_path / "none" / "a", "its folder is missing"),
        (tmp_path / ("a" * 300), "too long"),
    ):
        with pytest.raises(SourceError, match=message):
            check_output(path)
    with pytest.raises(SourceError, match="exists already"):
        check_output(tmp_path / "old", overwrite=False)
    with pytest.raises(SourceError, match="cannot be made"):
        check_output_folder(tmp_path / "old" / "runs")


def test_files_are_the_same_by_any_name(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    assert is_same_file(one, tmp_path / "." / "one")
    assert not is_same_file(one, other)
    one.touch()
    os.link(one, other)
    (tmp_path / "third").symlink_to(other)
    assert is_same_file(one, other)
    assert is_same_file(one, tmp_path / "third")
