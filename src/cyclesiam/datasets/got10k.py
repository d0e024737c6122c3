"""Reader of GOT-10k: one box a frame, in a text file a sequence."""

from pathlib import Path
from typing import Literal

from cyclesiam.datasets.annotation_files import (
    make_sequence,
    pad_with_nan,
    read_boxes,
    read_names,
    read_values,
)
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    image_files,
    split_folder,
)
from cyclesiam.errors import DatasetError

VISIBILITY_LEVELS = frozenset(map(float, range(9)))
"""How much of a target is visible in GOT-10k: in eighths, 0 for nothing."""


class GOT10k(TrackingDataset):
    """GOT-10k (Huang et al., TPAMI 2019): one target a video.

    Layout: `root/SPLIT/list.txt` names the sequences. `root/SPLIT/NAME/` holds `00000001.jpg`
    onwards and `groundtruth.txt`, one `x,y,w,h` a frame (in `test`, of the first frame only).
    `cover.label`, a number of 0 to 8 a frame, is the visibility: the benchmark does not count
    frames with 0. `absence.label` and `cut_by_image.label`, a 0 or 1 a frame, are tags.

    Args:
        root: folder that holds `train`, `val` and `test`, or one of these three itself.
        split: which of the three to read; by default the first of `val`, `test` and `train` that
            exists.

    Raises:
        DatasetError: the list of sequences is missing.
    """

    def __init__(self, root: Path, split: Literal["train", "val", "test"] | None = None) -> None:
        self._folder = split_folder(Path(root), split, ("val", "test", "train"), "list.txt")
        listing = self._folder / "list.txt"
        if not listing.is_file():
            raise DatasetError(
                f"GOT-10k: {listing} is missing. "
                f"`root` must be the folder that holds train, val and test; got {root}."
            )
        self.names = read_names(listing)

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the sequence called `name`, such as `GOT-10k_Val_000001`."""
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
        visibility = None
        if cover.is_file():
            visibility = read_values(cover, len(xywh), VISIBILITY_LEVELS)
        return make_sequence(
            name,
            frames,
            xywh,
            truth,
            require=require,
            tags=tags,
            visibility=visibility,
        )
