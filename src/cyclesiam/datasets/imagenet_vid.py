"""Reader of ILSVRC-2015 VID, whose annotations are XML files, one a frame.

T: frames of a track, from its first appearance to its last.
"""

import re
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from cyclesiam.datasets.annotation_files import find_files
from cyclesiam.datasets.label_policy import check_label_access
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    image_files,
)
from cyclesiam.errors import DatasetError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FLAGS = ("occluded", "generated")
TRACK_ID = re.compile(rb"<trackid>\s*(\d+)\s*</trackid>")
MIN_FRAMES = 2  # there is nothing to track in one frame


class ImageNetVID(TrackingDataset):
    """ILSVRC-2015 VID (Russakovsky et al., IJCV 2015): every track of a video is a sequence.

    Layout: `root/Data/VID/val/NAME/000000.JPEG` onwards and `root/Annotations/VID/val/NAME/
    000000.xml` onwards, one for each frame, with an object's `trackid` and `bndbox`. In `train`
    there is one folder more above NAME. Track 3 of NAME is called `NAME.3`. It begins with the
    first frame that shows it and ends with the last. Where it is not visible between these, its
    box is NaN. The flags `occluded` and `generated` are tags.

    Corners are whole pixels, both inside the box, and the first pixel is 0. So one is added to xmax
    and ymax, as in got10k.

    Args:
        root: the folder `ILSVRC2015`, which holds `Data` and `Annotations`.
        split: which of the two to read; all its XML files are searched for numbers of tracks.

    Raises:
        DatasetError: there is no annotated track.
    """

    def __init__(self, root: Path, split: Literal["train", "val"] = "val") -> None:
        self._frame_folder = Path(root) / "Data" / "VID" / split
        self._truth_folder = Path(root) / "Annotations" / "VID" / split
        pattern = "*/*" if split == "train" else "*"
        videos = [path for path in find_files(self._truth_folder, pattern) if path.is_dir()]
        self._tracks = {
            f"{video.name}.{number}": (video, number)
            for video in videos
            for number in _track_numbers(video)
        }
        self.names = tuple(self._tracks)
        if not self.names:
            raise DatasetError(
                f"ILSVRC VID: no track in {self._truth_folder}. "
                "`root` must be the folder ILSVRC2015, which holds Data and Annotations."
            )

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the track called `name`, such as `ILSVRC2015_val_00000000.0`."""
        video, number = self._tracks[name]
        frames = image_files(self._frame_folder / video.relative_to(self._truth_folder))
        truths = find_files(video, "*.xml")
        if require == "some":
            frames = tuple(frames[0].with_stem(path.stem) for path in truths)
        if [path.stem for path in frames] != [path.stem for path in truths]:
            raise DatasetError(
                f"{name}: {len(frames)} frames in {frames[0].parent} and {len(truths)} XML files "
                f"in {video} have different names. Unpack the sequence again."
            )
        boxes = np.full((len(frames), 4), np.nan)
        tags = {flag: np.zeros(len(frames), bool) for flag in FLAGS}
        for index, truth in enumerate(truths):
            element = _find_track(truth, number)
            if element is not None:
                boxes[index] = _read_box(element, truth)
                for flag in FLAGS:
                    tags[flag][index] = element.findtext(flag, "0").strip() == "1"
        visible = np.flatnonzero(np.isfinite(boxes[:, 0]))
        track = slice(visible[0], visible[-1] + 1)
        return TrackingSequence(
            name=name,
            frames=frames[track],
            boxes=boxes[track],
            tags={flag: flags[track] for flag, flags in tags.items()},
        )


def _track_numbers(video: Path) -> list[int]:
    """Return the numbers of the tracks of a video that are in enough frames."""
    counts: dict[int, int] = {}
    for truth in find_files(video, "*.xml"):
        check_label_access(truth, "boxes")
        for number in set(TRACK_ID.findall(truth.read_bytes())):
            counts[int(number)] = counts.get(int(number), 0) + 1
    return sorted(number for number, count in counts.items() if count >= MIN_FRAMES)


def _find_track(truth: Path, number: int) -> ElementTree.Element | None:
    check_label_access(truth, "boxes")
    try:
        elements = ElementTree.fromstring(truth.read_bytes()).findall("object")
    except ElementTree.ParseError as error:
        line, _ = error.position
        raise DatasetError(
            f"{truth}, line {line}: this is not XML ({error}). Unpack the sequence again."
        ) from error
    for element in elements:
        if element.findtext("trackid", "").strip() == str(number):
            return element
    return None


def _read_box(element: ElementTree.Element, truth: Path) -> np.ndarray:
    """Return the box (4,) xyxy in continuous pixels."""
    words = [element.findtext(f"bndbox/{corner}", "").strip() for corner in CORNERS]
    try:
        x0, y0, x1, y1 = map(float, words)
    except ValueError:
        x0, y0, x1, y1 = np.full(4, np.nan)
    if not (x0 <= x1 and y0 <= y1):
        raise DatasetError(
            f"{truth}: the bndbox of track {element.findtext('trackid')} must be "
            f"{', '.join(CORNERS)} in this order, got {', '.join(words)}. "
            "Unpack the sequence again."
        )
    return np.array([x0, y0, x1 + 1, y1 + 1])
