"""Reader of UAV123: one box a frame, in a text file a sequence; long videos come in parts."""

from pathlib import Path
from typing import Literal

from cyclesiam.datasets.annotation_files import (
    find_files,
    make_sequence,
    read_attributes,
    read_boxes,
)
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    frame_number,
    image_files,
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
"""First frame, from 1, of the parts NAME_1, NAME_2 ... of long videos, at 30 frames/s. A part ends
where its annotation ends. So does truck2, which has more images than rows.
Source: the benchmark's `configSeqs.m`."""

UAV123_ATTRIBUTES = tuple("SV ARC LR FM FOC POC OV BC IV VC CM SOB".split())
"""In the order of the benchmark's `att/NAME.txt`: scale variation, aspect ratio change, low
resolution, fast motion, full and partial occlusion, out of view, background clutter, illumination
variation, viewpoint change, camera motion, similar object."""


class UAV123(TrackingDataset):
    """UAV123 (Mueller et al., ECCV 2016), at 10 or 30 frames a second.

    Layout: `root/data_seq/UAV123_10fps/NAME/000001.jpg` onwards and
    `root/anno/UAV123_10fps/NAME.txt`, one `x,y,w,h` or `NaN,NaN,NaN,NaN` a frame. At 30 frames a
    second the folders are called `UAV123`. The parts `bird1_1`, `bird1_2` ... share the images of
    `bird1` (`UAV123_PARTS`). Attributes are tags, from `root/anno/UAV123_10fps/att/NAME.txt`
    (`UAV123_ATTRIBUTES`).

    Coordinates are not changed, as in pysot, pytracking and got10k.

    Args:
        root: folder that holds `anno` and `data_seq`.
        version: which of the two to read; by default the one that exists, or 30 frames a second if
            both do.

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

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the sequence called `name`, such as `bike1` or `bird1_2`."""
        truth = self._truth_folder / f"{name}.txt"
        xywh, frames = read_boxes(truth), image_files(self._folder_of(name))
        if len(frames) != len(xywh):
            frames = self._select_part(name, frames, len(xywh)) or frames
        attributes = self._truth_folder / "att" / f"{name}.txt"
        tags = read_attributes(attributes, UAV123_ATTRIBUTES, len(xywh))
        return make_sequence(name, frames, xywh, truth, require=require, tags=tags)

    def _folder_of(self, name: str) -> Path:
        video, _, part = name.rpartition("_")
        own = self._frame_folder / name
        shared = video in UAV123_PARTS and part.isdecimal() and not own.is_dir()
        return self._frame_folder / video if shared else own

    def _select_part(self, name: str, frames: tuple[Path, ...], count: int) -> tuple[Path, ...]:
        """Return the `count` frames that belong to `name` if it is a known part, otherwise all."""
        video, _, part = name.rpartition("_") if "_" in name else (name, "", "1")
        starts = UAV123_PARTS.get(video, ())
        if not part.isdecimal() or not 1 <= int(part) <= len(starts):
            return frames
        start = starts[int(part) - 1]
        if self.version == "UAV123_10fps":
            start = (start - 1) // 3 + 1  # every third frame of the original
        return tuple(path for path in frames if start <= frame_number(path) < start + count)


def _uav123_version(root: Path) -> str:
    for version in ("UAV123", "UAV123_10fps"):
        if (root / "anno" / version).is_dir() and (root / "data_seq" / version).is_dir():
            return version
    raise DatasetError(
        f"UAV123: neither UAV123 nor UAV123_10fps is both in {root / 'anno'} and in "
        f"{root / 'data_seq'}. `root` must be the folder that holds anno and data_seq."
    )
