"""Readers of video segmentation benchmarks: DAVIS-2016, as boxes around its masks."""

from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.data.sequences import Sequence, SequenceReader, picture_files, subfolders
from cyclesiam.errors import DatasetError, SourceError
from cyclesiam.geometry.regions import mask_extent
from cyclesiam.video import read_image


class DAVIS2016(SequenceReader):
    """DAVIS-2016 at 480p (Perazzi et al., CVPR 2016): one object a video, a mask in every frame.

    Layout: `root/JPEGImages/480p/NAME/00000.jpg` onwards, `root/Annotations/480p/NAME/00000.png`
    onwards (not zero: the object), and `root/ImageSets/480p/SPLIT.txt`, one pair of paths a frame.
    Without that list, every folder of masks is a sequence.

    Args:
        root: folder that holds `JPEGImages` and `Annotations`.
        split: which list to read.

    Raises:
        DatasetError: there is no sequence.
    """

    def __init__(self, root: Path, split: Literal["train", "val", "trainval"] = "val") -> None:
        root = Path(root)
        self._frame_folder = root / "JPEGImages" / "480p"
        self._mask_folder = root / "Annotations" / "480p"
        listing = root / "ImageSets" / "480p" / f"{split}.txt"
        listed = listing.is_file()
        if listed:
            self.names = _listed_names(listing)
        else:
            self.names = tuple(f.name for f in subfolders(self._mask_folder, "DAVIS-2016"))
        if not self.names:
            raise DatasetError(
                f"DAVIS-2016: no sequence in {listing if listed else self._mask_folder}. "
                "`root` must be the folder that holds JPEGImages and Annotations."
            )

    def read(self, name: str) -> Sequence:
        """Give the sequence called `name`; this reads all its masks."""
        frames = picture_files(self._frame_folder / name)
        masks = picture_files(self._mask_folder / name)
        if [path.stem for path in frames] != [path.stem for path in masks]:
            raise DatasetError(
                f"{name}: {len(frames)} frames in {frames[0].parent} and {len(masks)} masks in "
                f"{masks[0].parent} are not called alike. Unpack the sequence again."
            )
        boxes = np.stack([mask_extent(_read_mask(path)) for path in masks])
        return Sequence(name=name, frames=frames, boxes=boxes)


def _read_mask(path: Path) -> np.ndarray:
    """Read a mask as (H, W) bool; some of the benchmark's are grey, some coloured."""
    try:
        return np.any(read_image(path), axis=2)
    except SourceError as error:
        raise DatasetError(f"{path}: the mask cannot be read. Unpack it again.") from error


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _listed_names(listing: Path) -> tuple[str, ...]:
    """Names in a list of `/JPEGImages/480p/NAME/00000.jpg /Annotations/480p/NAME/00000.png`."""
    names: dict[str, None] = {}  # keeps the order of the list
    for number, line in enumerate(_lines(listing), 1):
        if not line.strip():
            continue
        parts = line.split()[0].split("/")
        if len(parts) < 2:
            raise DatasetError(
                f"{listing}, line {number}: expected a path of a frame, got {line[:60]!r}. "
                "Mend this line, or remove the list to read every folder."
            )
        names[parts[-2]] = None
    return tuple(names)
