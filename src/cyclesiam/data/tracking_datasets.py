"""Readers of tracking benchmarks: OTB, UAV123 and VOT-2018.

Every folder in a benchmark's layout is read, whether its name is known or not. Boxes come out as
xyxy in continuous pixels; a frame whose truth is NaN or has no size gets a NaN box.
"""

import re
from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.data.sequences import (
    Sequence,
    SequenceReader,
    boxes_from_xywh,
    frame_number,
    picture_files,
    subfolders,
)
from cyclesiam.errors import DatasetError
from cyclesiam.geometry.regions import polygon_extent

# First and last frame of OTB sequences that have more pictures than annotated rows (from 1).
# Source: the benchmark's page, "Visual Tracker Benchmark", notes on the sequences.
OTB_RANGES = {
    "David": (300, 770),
    "Diving": (1, 215),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
    "Tiger1": (6, 354),
}

# UAV123 cuts long videos into parts: first frame (from 1) of NAME_1, NAME_2 ... at 30 frames/s.
# A part ends where its annotation ends; so does truck2, which has more pictures than rows.
# Source: the benchmark's `configSeqs.m`.
UAV123_PARTS = {
    "bird1": (1, 775, 1573),
    "car1": (1, 751, 1627),
    "car6": (1, 487, 1807, 2953, 3925),
    "car8": (1, 1357),
    "car16": (1, 415),
    "group1": (1, 1333, 2515, 3925),
    "group2": (1, 907, 1771),
    "group3": (1, 1567, 2827, 4369),
    "person2": (1, 1189),
    "person4": (1, 1501),
    "person5": (1, 877),
    "person7": (1, 1249),
    "person8": (1, 1075),
    "person12": (1, 601),
    "person14": (1, 847, 1813),
    "person17": (1, 1501),
    "person19": (1, 1243, 2791),
    "truck2": (1,),
    "truck4": (1, 577),
    "uav1": (1, 1555, 2473),
}


class OTB(SequenceReader):
    """OTB-2013, OTB-50 and OTB-100 (Wu et al., TPAMI 2015), and any subset of them.

    Layout: `root/NAME/img/0001.jpg` onwards and `root/NAME/groundtruth_rect.txt`, one `x,y,w,h` a
    frame (commas, tabs or spaces). A video of several targets has `groundtruth_rect.1.txt`,
    `groundtruth_rect.2.txt` ...: they are called `Jogging.1`, `Jogging.2`.

    Coordinates are MATLAB's, the first pixel is 1: one is subtracted from x and y. Where there are
    more pictures than rows, the official first and last frame apply (`OTB_RANGES`).

    Args:
        root: folder that holds the sequences' folders.

    Raises:
        DatasetError: `root` holds no sequence.
    """

    def __init__(self, root: Path) -> None:
        self._truth = {
            _otb_name(truth): truth
            for folder in subfolders(Path(root), "OTB")
            for truth in sorted(folder.glob("groundtruth_rect*.txt"))
        }
        self.names = tuple(self._truth)
        if not self.names:
            raise DatasetError(
                f"OTB: no NAME/groundtruth_rect.txt in {root}. "
                "`root` must be the folder that holds the sequences' folders."
            )

    def read(self, name: str) -> Sequence:
        """Give the target called `name`, such as `Bolt` or `Jogging.2`."""
        truth = self._truth[name]
        rows = _read_rows(truth, columns=(4,))
        frames = picture_files(truth.parent / "img")
        if len(frames) != len(rows) and truth.parent.name in OTB_RANGES:
            frames = _between(frames, *OTB_RANGES[truth.parent.name])
        _check_counts(name, frames, rows, truth)
        return Sequence(name=name, frames=frames, boxes=boxes_from_xywh(np.stack(rows), origin=1.0))


class UAV123(SequenceReader):
    """UAV123 (Mueller et al., ECCV 2016), at 10 or 30 frames a second.

    Layout: `root/data_seq/UAV123_10fps/NAME/000001.jpg` onwards and
    `root/anno/UAV123_10fps/NAME.txt`, one `x,y,w,h` or `NaN,NaN,NaN,NaN` a frame; at 30 frames a
    second the folders are called `UAV123`. The parts `bird1_1`, `bird1_2` ... share the pictures of
    `bird1` (`UAV123_PARTS`).

    Coordinates are taken as they are, as pysot, pytracking and got10k do.

    Args:
        root: folder that holds `anno` and `data_seq`.
        version: which of the two to read; by default the one that is there, 30 frames a second if
            both are.

    Raises:
        DatasetError: there is no annotation.
    """

    def __init__(
        self, root: Path, version: Literal["UAV123", "UAV123_10fps"] | None = None
    ) -> None:
        root = Path(root)
        self.version = version or _uav123_version(root)
        self._truth_folder = root / "anno" / self.version
        self._frame_folder = root / "data_seq" / self.version
        self.names = tuple(truth.stem for truth in sorted(self._truth_folder.glob("*.txt")))
        if not self.names:
            raise DatasetError(
                f"UAV123: no annotation in {self._truth_folder}. "
                "`root` must be the folder that holds anno and data_seq."
            )

    def read(self, name: str) -> Sequence:
        """Give the sequence called `name`, such as `bike1` or `bird1_2`."""
        truth = self._truth_folder / f"{name}.txt"
        rows = _read_rows(truth, columns=(4,))
        frames = picture_files(self._folder_of(name))
        if len(frames) != len(rows):
            frames = self._annotated(name, frames, len(rows))
        _check_counts(name, frames, rows, truth)
        return Sequence(name=name, frames=frames, boxes=boxes_from_xywh(np.stack(rows)))

    def _folder_of(self, name: str) -> Path:
        video, _, part = name.rpartition("_")
        own = self._frame_folder / name
        shared = video in UAV123_PARTS and part.isdecimal() and not own.is_dir()
        return self._frame_folder / video if shared else own

    def _annotated(self, name: str, frames: tuple[Path, ...], count: int) -> tuple[Path, ...]:
        """The `count` frames of a folder that belong to `name`, if it is known to be a part."""
        video, _, part = name.rpartition("_") if "_" in name else (name, "", "1")
        starts = UAV123_PARTS.get(video, ())
        if not part.isdecimal() or not 1 <= int(part) <= len(starts):
            return frames
        start = starts[int(part) - 1]
        if self.version == "UAV123_10fps":
            start = (start - 1) // 3 + 1  # every third frame of the original
        return _between(frames, start, start + count - 1)


class VOT2018(SequenceReader):
    """VOT-2018 short-term (Kristan et al., ECCVW 2018), and other VOT years of the same layout.

    Layout: `root/list.txt` names the sequences (without it, every folder with a truth is one);
    `root/NAME/groundtruth.txt` has `x,y,w,h` or four corners `x1,y1,...,x4,y4` a frame, the frames
    are `root/NAME/color/00000001.jpg` onwards, or directly in `root/NAME`. A polygon becomes the
    smallest upright box around it. Coordinates are taken as they are, as the VOT toolkits do.

    Args:
        root: folder that holds the sequences' folders.

    Raises:
        DatasetError: `root` holds no sequence.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        listing = self._root / "list.txt"
        if listing.is_file():
            self.names = tuple(_read_text(listing).split())
        else:
            folders = subfolders(self._root, "VOT-2018")
            self.names = tuple(f.name for f in folders if (f / "groundtruth.txt").is_file())
        if not self.names:
            raise DatasetError(
                f"VOT-2018: no list.txt and no NAME/groundtruth.txt in {root}. "
                "`root` must be the folder that holds the sequences' folders."
            )

    def read(self, name: str) -> Sequence:
        """Give the sequence called `name`."""
        folder = self._root / name
        truth = folder / "groundtruth.txt"
        rows = _read_rows(truth, columns=(4, 8))
        frames = picture_files(folder / "color" if (folder / "color").is_dir() else folder)
        _check_counts(name, frames, rows, truth)
        xywh = np.stack([_extent_xywh(row) for row in rows])
        return Sequence(name=name, frames=frames, boxes=boxes_from_xywh(xywh))


def _otb_name(truth: Path) -> str:
    """Name of the target in `NAME/groundtruth_rect.txt` or `NAME/groundtruth_rect.N.txt`."""
    number = truth.stem.removeprefix("groundtruth_rect")  # "" or ".N"
    return truth.parent.name + number


def _uav123_version(root: Path) -> str:
    for version in ("UAV123", "UAV123_10fps"):
        if (root / "anno" / version).is_dir() and (root / "data_seq" / version).is_dir():
            return version
    raise DatasetError(
        f"UAV123: neither UAV123 nor UAV123_10fps is both in {root / 'anno'} and in "
        f"{root / 'data_seq'}. `root` must be the folder that holds anno and data_seq."
    )


def _between(frames: tuple[Path, ...], first: int, last: int) -> tuple[Path, ...]:
    return tuple(path for path in frames if first <= frame_number(path) <= last)


def _check_counts(name: str, frames: tuple[Path, ...], rows: list[np.ndarray], truth: Path) -> None:
    if len(frames) != len(rows):
        raise DatasetError(
            f"{name}: {len(frames)} frames, but {len(rows)} boxes in {truth}. "
            "Unpack the sequence again."
        )


def _extent_xywh(region: np.ndarray) -> np.ndarray:
    """Upright box around (4,) xywh or the corners (8,) x1, y1, ... x4, y4, as (4,) xywh."""
    if len(region) == 4:
        return region
    extent = polygon_extent(region)
    return np.concatenate((extent[:2], extent[2:] - extent[:2]))


def _read_rows(path: Path, *, columns: tuple[int, ...]) -> list[np.ndarray]:
    """Read one row of numbers a line, separated by commas, semicolons, tabs or spaces.

    Args:
        path: the annotation.
        columns: how many numbers a row may have.

    Raises:
        DatasetError: the file is missing or empty, or a line is not such a row.
    """
    lines = _read_text(path).rstrip().splitlines()
    if not lines:
        raise DatasetError(f"{path}: this annotation is empty. Unpack the sequence again.")
    return [_parse_row(line, columns, f"{path}, line {n}") for n, line in enumerate(lines, 1)]


def _parse_row(line: str, columns: tuple[int, ...], place: str) -> np.ndarray:
    try:
        row = np.array([float(word) for word in re.split(r"[,;\s]+", line.strip(" \t\r,;"))])
    except ValueError:
        row = np.empty(0)
    if len(row) not in columns:
        wanted = " or ".join(map(str, columns))
        raise DatasetError(
            f"{place}: expected {wanted} numbers, got {line.strip()[:60]!r}. Mend this line."
        )
    return row


def _read_text(path: Path) -> str:
    try:
        # undecodable bytes are kept as marks: the line they are in is then reported
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(
            f"{path}: the file cannot be read ({error.strerror}). Unpack the sequence there."
        ) from error
