"""Readers of DAVIS-2016 and DAVIS-2017: masks of one object or several, in every frame."""

from pathlib import Path
from typing import Literal

from cyclesiam.datasets.annotation_files import read_names
from cyclesiam.datasets.number_tables import read_lines
from cyclesiam.datasets.segmentation_sequences import (
    SegmentationDataset,
    SegmentationSequence,
    check_first_masks,
    find_first_frames,
    match_masks,
    require_sequences,
)
from cyclesiam.datasets.sequences import RequiredFrames, subfolders
from cyclesiam.errors import DatasetError


class DAVIS2016(SegmentationDataset):
    """DAVIS-2016 at 480p (Perazzi et al., CVPR 2016): one object a video, a mask in every frame.

    Layout: `root/JPEGImages/480p/NAME/00000.jpg` onwards, `root/Annotations/480p/NAME/00000.png`
    onwards (all that is not 0, or not black, is the object), and `root/ImageSets/480p/SPLIT.txt`,
    one pair of paths a frame. DAVIS-2017's folder is read, too, with
    `root/ImageSets/2016/SPLIT.txt`, one name a line. Without a list, every folder of masks is a
    sequence.

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
        paths = root / "ImageSets" / "480p" / f"{split}.txt"
        names = root / "ImageSets" / "2016" / f"{split}.txt"
        source = self._mask_folder
        if paths.is_file():
            source, self.names = paths, _names_in_paths(paths)
        elif names.is_file():
            source, self.names = names, read_names(names)
        else:
            self.names = tuple(f.name for f in subfolders(self._mask_folder, "DAVIS-2016"))
        require_sequences(self.names, "DAVIS-2016", source)

    def read(self, name: str, *, require: RequiredFrames = "all") -> SegmentationSequence:
        """Read the sequence called `name`; its object has the number 1."""
        frames, annotations = match_masks(
            self._frame_folder / name, self._mask_folder / name, require
        )
        _check_every_frame(frames, annotations)
        sequence = SegmentationSequence(
            name=name,
            frames=frames,
            annotations=annotations,
            first_frames={1: 0},
            single_object=True,
        )
        check_first_masks(sequence)
        return sequence


class DAVIS2017(SegmentationDataset):
    """DAVIS-2017 at 480p (Pont-Tuset et al., 2017): several objects a video.

    Layout: `root/JPEGImages/480p/NAME/00000.jpg` onwards, label maps in
    `root/Annotations/480p/NAME/00000.png` onwards, as PNG files with a palette, and
    `root/ImageSets/2017/SPLIT.txt`, one name a line. Every frame of `train` and `val` has a label
    map; in the test sets only the first has. The objects are those of the first label map.

    Args:
        root: folder that holds `JPEGImages`, `Annotations` and `ImageSets`.
        split: which list to read.

    Raises:
        DatasetError: there is no sequence.
    """

    def __init__(
        self, root: Path, split: Literal["train", "val", "test-dev", "test-challenge"] = "val"
    ) -> None:
        root = Path(root)
        self._frame_folder = root / "JPEGImages" / "480p"
        self._mask_folder = root / "Annotations" / "480p"
        self._first_only = split.startswith("test")
        listing = root / "ImageSets" / "2017" / f"{split}.txt"
        if listing.is_file():
            source, self.names = listing, read_names(listing)
        else:
            source = self._mask_folder
            self.names = tuple(f.name for f in subfolders(self._mask_folder, "DAVIS-2017"))
        require_sequences(self.names, "DAVIS-2017", source)

    def read(self, name: str, *, require: RequiredFrames = "all") -> SegmentationSequence:
        """Read the sequence called `name`."""
        frames, annotations = match_masks(
            self._frame_folder / name, self._mask_folder / name, require
        )
        if not self._first_only:
            _check_every_frame(frames, annotations)
        first_frames = find_first_frames(annotations[:1])
        if not first_frames:
            raise DatasetError(
                f"{self._mask_folder / name / frames[0].stem}.png: the first mask must show the "
                "objects, and shows none. Unpack the sequence again."
            )
        return SegmentationSequence(
            name=name, frames=frames, annotations=annotations, first_frames=first_frames
        )


def _check_every_frame(frames: tuple[Path, ...], annotations: tuple[Path | None, ...]) -> None:
    absent = [frame for frame, mask in zip(frames, annotations, strict=True) if mask is None]
    if absent:
        raise DatasetError(
            f"{absent[0].parent}: {len(frames)} frames, but {len(frames) - len(absent)} masks; "
            f"{absent[0].name} is the first without. Unpack the sequence again."
        )


def _names_in_paths(listing: Path) -> tuple[str, ...]:
    """Return the names in a list of `/JPEGImages/480p/NAME/00000.jpg /Annotations/...`."""
    names: dict[str, None] = {}  # keeps the order of the list
    for number, line in enumerate(read_lines(listing, labels=False), 1):
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
