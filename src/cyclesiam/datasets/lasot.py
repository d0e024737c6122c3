"""Reader of LaSOT: one box a frame, in a text file a sequence."""

from pathlib import Path

from cyclesiam.datasets.annotation_files import (
    find_files,
    make_sequence,
    read_attributes,
    read_boxes,
    read_names,
    read_values,
)
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    image_files,
    subfolders,
)
from cyclesiam.errors import DatasetError

LASOT_ATTRIBUTES = tuple("IV POC DEF MB CM ROT BC VC SV FOC FM OV LR ARC".split())
"""In the order of the `att/NAME.txt` of LaSOT's evaluation program: illumination variation, partial
occlusion, deformation, motion blur, camera motion, rotation, background clutter, viewpoint change,
scale variation, full occlusion, fast motion, out of view, low resolution, aspect ratio change."""


class LaSOT(TrackingDataset):
    """LaSOT (Fan et al., CVPR 2019): long videos, one target each.

    Layout: `root/CLASS/NAME/img/00000001.jpg` onwards, or without the folder of the class, and
    beside `img` a `groundtruth.txt`, one `x,y,w,h` a frame. Where they exist, `full_occlusion.txt`
    and `out_of_view.txt`, a 0 or 1 a frame, become tags. So do the attributes in
    `root/att/NAME.txt` (`LASOT_ATTRIBUTES`).

    If `root/testing_set.txt` exists, only its names are read, as for the published numbers on 280
    sequences. Coordinates are not changed, as in pysot, pytracking and got10k.

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

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the sequence called `name`, such as `airplane-1`."""
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
        return make_sequence(name, frames, xywh, truth, require=require, tags=tags)
