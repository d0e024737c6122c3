"""Readers of UAV123, LaSOT, GOT-10k and TrackingNet: one box a frame, in a text file a sequence.

Every sequence in a benchmark's layout is read, whether its name is known or not. Boxes come out as
xyxy in continuous pixels, NaN where the target is absent.
"""

from pathlib import Path
from typing import Literal

from cyclesiam.datasets.annotation_files import (
    find_files,
    make_sequence,
    pad_with_nan,
    read_attributes,
    read_boxes,
    read_names,
    read_values,
)
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    frame_number,
    image_files,
    subfolders,
)
from cyclesiam.errors import DatasetError

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
"""UAV123 cuts long videos into parts: first frame (from 1) of NAME_1, NAME_2 ... at 30 frames/s.
A part ends where its annotation ends; so does truck2, which has more pictures than rows.
Source: the benchmark's `configSeqs.m`."""

UAV123_ATTRIBUTES = tuple("SV ARC LR FM FOC POC OV BC IV VC CM SOB".split())
"""In the order of the benchmark's `att/NAME.txt`: scale variation, aspect ratio change, low
resolution, fast motion, full and partial occlusion, out of view, background clutter, illumination
variation, viewpoint change, camera motion, similar object."""

LASOT_ATTRIBUTES = tuple("IV POC DEF MB CM ROT BC VC SV FOC FM OV LR ARC".split())
"""In the order of the `att/NAME.txt` of LaSOT's evaluation program: illumination variation, partial
occlusion, deformation, motion blur, camera motion, rotation, background clutter, viewpoint change,
scale variation, full occlusion, fast motion, out of view, low resolution, aspect ratio change."""

VISIBILITY_LEVELS = frozenset(map(float, range(9)))
"""How much of a target GOT-10k sees: in eighths, 0 for nothing."""


class UAV123(TrackingDataset):
    """UAV123 (Mueller et al., ECCV 2016), at 10 or 30 frames a second.

    Layout: `root/data_seq/UAV123_10fps/NAME/000001.jpg` onwards and
    `root/anno/UAV123_10fps/NAME.txt`, one `x,y,w,h` or `NaN,NaN,NaN,NaN` a frame; at 30 frames a
    second the folders are called `UAV123`. The parts `bird1_1`, `bird1_2` ... share the pictures of
    `bird1` (`UAV123_PARTS`). Attributes are tags, from `root/anno/UAV123_10fps/att/NAME.txt`
    (`UAV123_ATTRIBUTES`).

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
        self.names = tuple(truth.stem for truth in find_files(self._truth_folder, "*.txt"))
        if not self.names:
            raise DatasetError(
                f"UAV123: no annotation in {self._truth_folder}. "
                "`root` must be the folder that holds anno and data_seq."
            )

    def read(self, name: str, *, pictures: RequiredFrames = "all") -> TrackingSequence:
        """Give the sequence called `name`, such as `bike1` or `bird1_2`."""
        truth = self._truth_folder / f"{name}.txt"
        xywh, frames = read_boxes(truth), image_files(self._folder_of(name))
        if len(frames) != len(xywh):
            frames = self._annotated(name, frames, len(xywh)) or frames
        attributes = self._truth_folder / "att" / f"{name}.txt"
        tags = read_attributes(attributes, UAV123_ATTRIBUTES, len(xywh))
        return make_sequence(name, frames, xywh, truth, pictures=pictures, tags=tags)

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
        return tuple(path for path in frames if start <= frame_number(path) < start + count)


class LaSOT(TrackingDataset):
    """LaSOT (Fan et al., CVPR 2019): long videos, one target each.

    Layout: `root/CLASS/NAME/img/00000001.jpg` onwards, or without the folder of the class, and
    beside `img` a `groundtruth.txt`, one `x,y,w,h` a frame; `full_occlusion.txt` and
    `out_of_view.txt`, a 0 or 1 a frame, are tags, and so are attributes from `root/att/NAME.txt`
    (`LASOT_ATTRIBUTES`), where these files are there.

    The names in `root/testing_set.txt` are read where that list is there, as for the published
    numbers on 280 sequences; without it, all. Coordinates are taken as they are, as pysot,
    pytracking and got10k do.

    Args:
        root: folder that holds the classes' (or the sequences') folders.

    Raises:
        DatasetError: `root` holds no sequence.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        subfolders(self._root, "LaSOT")
        truths = find_files(self._root, "*/groundtruth.txt", "*/*/groundtruth.txt")
        self._folders = {truth.parent.name: truth.parent for truth in truths}
        listing = self._root / "testing_set.txt"
        self.names = read_names(listing) if listing.is_file() else tuple(sorted(self._folders))
        if not self.names:
            raise DatasetError(
                f"LaSOT: no testing_set.txt and no CLASS/NAME/groundtruth.txt in {root}. "
                "`root` must be the folder that holds the classes' folders."
            )

    def read(self, name: str, *, pictures: RequiredFrames = "all") -> TrackingSequence:
        """Give the sequence called `name`, such as `airplane-1`."""
        if name not in self._folders:
            folder = self._root / name.rpartition("-")[0] / name
            raise DatasetError(f"{folder}: this sequence is missing. Unpack it there.")
        folder = self._folders[name]
        truth = folder / "groundtruth.txt"
        xywh, frames = read_boxes(truth), image_files(folder / "img")
        tags = read_attributes(self._root / "att" / f"{name}.txt", LASOT_ATTRIBUTES, len(xywh))
        for tag in ("full_occlusion", "out_of_view"):
            path = folder / f"{tag}.txt"
            if path.is_file():
                tags[tag] = read_values(path, len(xywh)) == 1
        return make_sequence(name, frames, xywh, truth, pictures=pictures, tags=tags)


class GOT10k(TrackingDataset):
    """GOT-10k (Huang et al., TPAMI 2019): one target a video.

    Layout: `root/SPLIT/list.txt` names the sequences; `root/SPLIT/NAME/` holds `00000001.jpg`
    onwards and `groundtruth.txt`, one `x,y,w,h` a frame (in `test`, of the first frame only).
    `cover.label`, a number of 0 to 8 a frame, is the cover: the benchmark does not count frames
    with 0. `absence.label` and `cut_by_image.label`, a 0 or 1 a frame, are tags.

    Args:
        root: folder that holds `train`, `val` and `test`, or one of these three itself.
        split: which of the three to read; by default the first of `val`, `test` and `train` that
            is there.

    Raises:
        DatasetError: the list of sequences is missing.
    """

    def __init__(self, root: Path, split: Literal["train", "val", "test"] | None = None) -> None:
        self._folder = _split_folder(Path(root), split, ("val", "test", "train"), "list.txt")
        listing = self._folder / "list.txt"
        if not listing.is_file():
            raise DatasetError(
                f"GOT-10k: {listing} is missing. "
                f"`root` must be the folder that holds train, val and test; got {root}."
            )
        self.names = read_names(listing)

    def read(self, name: str, *, pictures: RequiredFrames = "all") -> TrackingSequence:
        """Give the sequence called `name`, such as `GOT-10k_Val_000001`."""
        folder = self._folder / name
        truth = folder / "groundtruth.txt"
        xywh, frames = read_boxes(truth), image_files(folder)
        if self._folder.name == "test":
            xywh = pad_with_nan(xywh, len(frames))
        tags = {
            tag: read_values(path, len(xywh)) == 1
            for tag in ("absence", "cut_by_image")
            if (path := folder / f"{tag}.label").is_file()
        }
        cover = folder / "cover.label"
        return make_sequence(
            name,
            frames,
            xywh,
            truth,
            pictures=pictures,
            tags=tags,
            visibility=read_values(cover, len(xywh), VISIBILITY_LEVELS)
            if cover.is_file()
            else None,
        )


class TrackingNet(TrackingDataset):
    """TrackingNet (Müller et al., ECCV 2018).

    Layout: `root/TEST/frames/NAME/0.jpg` onwards and `root/TEST/anno/NAME.txt`, one `x,y,w,h` a
    frame (in `TEST`, of the first frame only); `root/TRAIN_0` to `root/TRAIN_11` alike.

    Args:
        root: folder that holds `TEST` and the training chunks, or one of these itself.
        chunk: which of them to read, such as `TRAIN_0`; by default `TEST`.

    Raises:
        DatasetError: there is no annotation.
    """

    def __init__(self, root: Path, chunk: str | None = None) -> None:
        self._folder = _split_folder(Path(root), chunk, ("TEST",), "anno")
        self.names = tuple(path.stem for path in find_files(self._folder / "anno", "*.txt"))
        if not self.names:
            raise DatasetError(
                f"TrackingNet: no annotation in {self._folder / 'anno'}. "
                f"`root` must be the folder that holds TEST and TRAIN_0 ...; got {root}."
            )

    def read(self, name: str, *, pictures: RequiredFrames = "all") -> TrackingSequence:
        """Give the sequence called `name`."""
        truth = self._folder / "anno" / f"{name}.txt"
        xywh, frames = read_boxes(truth), image_files(self._folder / "frames" / name)
        if self._folder.name == "TEST":
            xywh = pad_with_nan(xywh, len(frames))
        return make_sequence(name, frames, xywh, truth, pictures=pictures)


def _split_folder(root: Path, split: str | None, order: tuple[str, ...], sign: str) -> Path:
    """Folder of a split: `root` itself if that has the `sign` of one, else one of those in it."""
    if split:
        return root / split
    if (root / sign).exists():
        return root
    there = [name for name in order if (root / name / sign).exists()]
    return root / (there or order)[0]


def _uav123_version(root: Path) -> str:
    for version in ("UAV123", "UAV123_10fps"):
        if (root / "anno" / version).is_dir() and (root / "data_seq" / version).is_dir():
            return version
    raise DatasetError(
        f"UAV123: neither UAV123 nor UAV123_10fps is both in {root / 'anno'} and in "
        f"{root / 'data_seq'}. `root` must be the folder that holds anno and data_seq."
    )
