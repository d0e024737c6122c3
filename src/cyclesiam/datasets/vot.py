"""Reader of the VOT challenges' short-term sequences, as published or unpacked by the toolkit.

T: frames of a sequence.
"""

from pathlib import Path, PureWindowsPath

import numpy as np

from cyclesiam.datasets.annotation_files import (
    find_files,
    match_frames,
    read_names,
    read_values,
)
from cyclesiam.datasets.number_tables import read_lines, read_number_table
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    boxes_from_xywh,
    image_files,
    subfolders,
)
from cyclesiam.errors import DatasetError
from cyclesiam.geometry.masks import polygon_to_box

REGIONS = frozenset({4, *range(6, 1000, 2)})  # a rectangle; a polygon of three corners or more


class VOT(TrackingDataset):
    """VOT-2016, VOT-2018 (Kristan et al.) and other short-term years of the same layout.

    Layout: `root/list.txt` names the sequences; without it, every folder with a ground truth is
    one. `root/NAME/groundtruth.txt` has `x,y,w,h` or corners `x1,y1,x2,y2,...` a frame. The frames
    are `root/NAME/color/00000001.jpg` onwards, or directly in `root/NAME`, or where the toolkit's
    file `root/NAME/sequence` says (`channels.color`, `groundtruth`). The sequences may be in
    `root/sequences`, as in a workspace of the toolkit.

    Each `root/NAME/TAG.tag` (or `.label`), a 0 or 1 a frame, is a tag. One that is too short has a
    0 in the other frames, as in the toolkit.

    Regions are returned with the numbers of the file, and as boxes: the smallest upright box around
    a polygon. Coordinates are not changed, as in the VOT toolkits. Masks, which later years have,
    are refused.

    Args:
        root: folder that holds the sequences' folders.

    Raises:
        DatasetError: `root` holds no sequence.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        listings = [self._root / "list.txt"]
        if (self._root / "sequences").is_dir():  # a workspace of the toolkit
            self._root = self._root / "sequences"
            listings.append(self._root / "list.txt")
        if existing := [listing for listing in listings if listing.is_file()]:
            self.names = read_names(existing[-1])
        else:
            folders = subfolders(self._root, "VOT")
            self.names = tuple(f.name for f in folders if (f / "groundtruth.txt").is_file())
        if not self.names:
            raise DatasetError(
                f"VOT: no list.txt and no NAME/groundtruth.txt in {root}. "
                "`root` must be the folder that holds the sequences' folders."
            )

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the sequence called `name`."""
        folder = self._root / name
        properties = _properties(folder / "sequence")
        truth = folder / properties.get("groundtruth", "groundtruth.txt")
        boxes, regions = _read_regions(truth)
        frames = image_files(_frame_folder(folder, properties.get("channels.color")))
        return TrackingSequence(
            name=name,
            frames=match_frames(name, frames, len(regions), truth, require),
            boxes=boxes,
            regions=regions,
            tags=_read_tags(folder, len(regions)),
        )


def _properties(path: Path) -> dict[str, str]:
    """Read the toolkit's lines `key=value`; return nothing without the file."""
    if not path.is_file():
        return {}
    pairs = {}
    for number, line in enumerate(read_lines(path, labels=False), 1):
        key, equals, value = line.partition("=")
        if line.strip() and not line.startswith("#"):
            if not equals:
                raise DatasetError(
                    f"{path}, line {number}: expected key=value, got {line[:60]!r}. Mend this line."
                )
            pairs[key.strip()] = value.strip()
    return pairs


def _frame_folder(folder: Path, channel: str | None) -> Path:
    """Return the folder of frames; `channel` is a folder or a pattern such as `color/%08d.jpg`."""
    if channel is None:
        return folder / "color" if (folder / "color").is_dir() else folder
    # a toolkit that ran on Windows writes color\\%08d.jpg
    parts = PureWindowsPath(channel).parts
    return folder.joinpath(*(part for part in parts if "%" not in part))


def _read_regions(truth: Path) -> tuple[np.ndarray, tuple[tuple[float, ...], ...]]:
    """Return (T, 4) xyxy boxes around the regions, and the regions with the file's numbers."""
    try:
        table = read_number_table(truth, REGIONS)
    except DatasetError:
        _refuse_masks(truth)
        raise
    boxes = np.empty((table.length, 4))
    regions: list[tuple[float, ...]] = [()] * table.length
    for size, (lines, values) in table.by_length.items():
        boxes[lines] = boxes_from_xywh(values) if size == 4 else _polygon_boxes(values)
        for line, region in zip(lines.tolist(), values.tolist(), strict=True):
            regions[line] = tuple(region)
    if np.isnan(boxes[0]).any():
        raise DatasetError(
            f"{truth}, line 1: the first region has no area, so tracking cannot start there. "
            "Unpack the sequence again."
        )
    return boxes, tuple(regions)


def _refuse_masks(truth: Path) -> None:
    for number, line in enumerate(read_lines(truth), 1):
        if line.lstrip().startswith("m"):
            raise DatasetError(
                f"{truth}, line {number}: a mask; only rectangles and polygons are read. "
                "Take the sequences of VOT-2019 or before."
            )


def _polygon_boxes(polygons: np.ndarray) -> np.ndarray:
    """Return upright boxes (N, 4) xyxy around polygons (N, K); NaN for one without an area."""
    boxes = polygon_to_box(polygons)
    solid = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    return np.where(solid[:, None], boxes, np.nan)


def _read_tags(folder: Path, length: int) -> dict[str, np.ndarray]:
    return {
        path.stem: read_values(path, length, short=True) == 1
        for path in find_files(folder, "*.tag", "*.label")
    }
