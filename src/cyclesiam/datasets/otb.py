"""Reader of the object tracking benchmark OTB, with the exceptions for some of its sequences."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.datasets.annotation_files import (
    find_files,
    make_sequence,
    read_attributes,
    read_boxes,
)
from cyclesiam.datasets.label_policy import check_label_access
from cyclesiam.datasets.number_tables import read_lines
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    frame_number,
    image_files,
    subfolders,
)
from cyclesiam.errors import DatasetError

OTB_RANGES = {
    "BlurCar1": (247, 988),
    "BlurCar3": (3, 359),
    "BlurCar4": (18, 397),
    "David": (300, 770),
    "Diving": (1, 215),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
    "Tiger1": (6, 354),
}
"""First and last frame, from 1, of sequences that may have more images than annotated rows.
Source: the benchmark's page, "Visual Tracker Benchmark", and its `configSeqs.m`."""

OTB_SKIPPED_FRAMES = {"Tiger1": 5}
"""Frames at the start of an annotation that the benchmark's program skips, because the target is
hidden there. pysot and pytracking skip them, too; got10k does not. Source: the folder `initOmit`.
"""

OTB_ATTRIBUTES = ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR")
"""In the order of the benchmark's `anno/att/NAME.txt`: illumination variation, out-of-plane
rotation, scale variation, occlusion, deformation, motion blur, fast motion, in-plane rotation, out
of view, background clutter, low resolution."""

OTB_2013 = """
Basketball Bolt Boy Car4 CarDark CarScale Coke Couple Crossing David David2 David3 Deer Dog1 Doll
Dudek FaceOcc1 FaceOcc2 Fish FleetFace Football Football1 Freeman1 Freeman3 Freeman4 Girl Ironman
Jogging Jumping Lemming Liquor Matrix Mhyang MotorRolling MountainBike Shaking Singer1 Singer2
Skating1 Skiing Soccer Subway Suv Sylvester Tiger1 Tiger2 Trellis Walking Walking2 Woman
""".split()
OTB_50 = """
Basketball Biker Bird1 BlurBody BlurCar2 BlurFace BlurOwl Bolt Box Car1 Car4 CarDark CarScale
ClifBar Couple Crowds David Deer Diving DragonBaby Dudek Football Freeman4 Girl Human3 Human4
Human6 Human9 Ironman Jump Jumping Liquor Matrix MotorRolling Panda RedTeam Shaking Singer2
Skating1 Skating2 Skiing Soccer Surfer Sylvester Tiger2 Trellis Walking Walking2 Woman
""".split()
OTB_100 = [
    *OTB_50,
    *"""
Bird2 BlurCar1 BlurCar3 BlurCar4 Board Bolt2 Boy Car2 Car24 Coke Coupon Crossing Dancer Dancer2
David2 David3 Dog Dog1 Doll FaceOcc1 FaceOcc2 Fish FleetFace Football1 Freeman1 Freeman3 Girl2 Gym
Human2 Human5 Human7 Human8 Jogging KiteSurf Lemming Man Mhyang MountainBike Rubik Singer1 Skater
Skater2 Subway Suv Tiger1 Toy Trans Twinnings Vase
""".split(),
]
OTBSubset = Literal["otb2013", "otb50", "otb100"]
OTB_SUBSETS: Mapping[OTBSubset, Collection[str]] = {
    "otb2013": OTB_2013,
    "otb50": OTB_50,
    "otb100": OTB_100,
}
"""Folders of each: 51, 50 and 100 targets, as Jogging and Skating2 have two."""

MAX_SHOWN = 8  # names of missing folders in a message


class OTB(TrackingDataset):
    """OTB-2013, OTB-50 and OTB-100 (Wu et al., TPAMI 2015), and any subset of them.

    Layout: `root/NAME/img/0001.jpg` onwards and `root/NAME/groundtruth_rect.txt`, one `x,y,w,h` a
    frame (commas, tabs or spaces). A video of several targets has `groundtruth_rect.1.txt`,
    `groundtruth_rect.2.txt` ..., and the targets are called `Jogging.1`, `Jogging.2`. One of the
    two files of Human4 is empty, and the other is called `Human4`. Attributes become tags. They
    are read from `root/NAME/attrs.txt` (names) or `root/anno/att/NAME.txt` (`OTB_ATTRIBUTES`).

    Coordinates are MATLAB's, where the first pixel is 1, so one is subtracted from x and y. Where
    there are more images than rows, the official first and last frame apply (`OTB_RANGES`). Tiger1
    begins at frame 6 (`OTB_SKIPPED_FRAMES`).

    Args:
        root: folder that holds the sequences' folders.
        subset: which sequences to read, all of which must exist; by default, all that exist.

    Raises:
        DatasetError: `root` holds no sequence, or lacks one of the subset.
    """

    def __init__(self, root: Path, subset: OTBSubset | None = None) -> None:
        self._root = Path(root)
        folders = subfolders(self._root, "OTB")
        if subset:
            folders = _select_subset(folders, subset, self._root)
        self._truth = {name: truth for folder in folders for name, truth in _targets(folder)}
        self.names = tuple(self._truth)
        if not self.names:
            raise DatasetError(
                f"OTB: no NAME/groundtruth_rect.txt in {root}. "
                "`root` must be the folder that holds the sequences' folders."
            )

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the target called `name`, such as `Bolt` or `Jogging.2`."""
        truth = self._truth[name]
        video = truth.parent.name
        xywh, frames = read_boxes(truth), image_files(truth.parent / "img")
        if video in OTB_RANGES:
            first, last = OTB_RANGES[video]
            if len(xywh) == last:
                xywh = xywh[OTB_SKIPPED_FRAMES.get(video, 0) :]
            if len(frames) != len(xywh):
                official = tuple(path for path in frames if first <= frame_number(path) <= last)
                frames = official or frames
        tags = self._tags(truth.parent, len(xywh))
        return make_sequence(name, frames, xywh, truth, require=require, origin=1.0, tags=tags)

    def _tags(self, folder: Path, length: int) -> dict[str, np.ndarray]:
        named = folder / "attrs.txt"
        if not named.is_file():
            numbers = self._root / "anno" / "att" / f"{folder.name}.txt"
            return read_attributes(numbers, OTB_ATTRIBUTES, length)
        tags = {name: np.zeros(length, bool) for name in OTB_ATTRIBUTES}
        for number, line in enumerate(read_lines(named), 1):
            for word in line.replace(",", " ").split():
                if word not in tags:
                    raise DatasetError(
                        f"{named}, line {number}: no attribute is called {word[:20]!r}; there "
                        f"are {', '.join(OTB_ATTRIBUTES)}. Mend this line."
                    )
                tags[word] = np.ones(length, bool)
        return tags


def _select_subset(folders: list[Path], subset: OTBSubset, root: Path) -> list[Path]:
    existing = {folder.name: folder for folder in folders}
    names = sorted(OTB_SUBSETS[subset])
    absent = [name for name in names if name not in existing]
    if absent:
        some = ", ".join(absent[:MAX_SHOWN]) + (" ..." if len(absent) > MAX_SHOWN else "")
        raise DatasetError(
            f"{subset}: {root} lacks {len(absent)} of its {len(names)} folders: {some}. "
            "Unpack them there, or read those that exist as `otb`."
        )
    return [existing[name] for name in names]


def _targets(folder: Path) -> list[tuple[str, Path]]:
    """Return name and annotation file of each target in a folder, without empty files."""
    truths = find_files(folder, "groundtruth_rect*.txt")
    for truth in truths:
        check_label_access(truth, "boxes")
    filled = [truth for truth in truths if truth.read_bytes().strip(b"\xef\xbb\xbf \t\r\n")]
    truths = filled or truths
    if len(truths) == 1:
        return [(folder.name, truths[0])]
    return [(folder.name + path.stem.removeprefix("groundtruth_rect"), path) for path in truths]
