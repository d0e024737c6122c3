"""Readers of video segmentation benchmarks: DAVIS-2016, DAVIS-2017 and YouTube-VOS."""

import json
from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.datasets.annotation_files import read_names
from cyclesiam.datasets.label_maps import VOID, image_size, read_label_map
from cyclesiam.datasets.label_policy import check_label_access, first_frame_only
from cyclesiam.datasets.number_tables import read_lines
from cyclesiam.datasets.segmentation_sequences import SegmentationDataset, SegmentationSequence
from cyclesiam.datasets.sequences import RequiredFrames, frame_number, image_files, subfolders
from cyclesiam.errors import DatasetError


class DAVIS2016(SegmentationDataset):
    """DAVIS-2016 at 480p (Perazzi et al., CVPR 2016): one object a video, a mask in every frame.

    Layout: `root/JPEGImages/480p/NAME/00000.jpg` onwards, `root/Annotations/480p/NAME/00000.png`
    onwards (whatever is not 0, or not black, is the object), and `root/ImageSets/480p/SPLIT.txt`,
    one pair of paths a frame; or DAVIS-2017's folder, with `root/ImageSets/2016/SPLIT.txt`, one
    name a line. Without a list, every folder of masks is a sequence.

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
        _check_some(self.names, "DAVIS-2016", source)

    def read(self, name: str, *, pictures: RequiredFrames = "all") -> SegmentationSequence:
        """Give the sequence called `name`; its object has the number 1."""
        frames, annotations = _aligned(
            self._frame_folder / name, self._mask_folder / name, pictures
        )
        _check_every_frame(frames, annotations)
        sequence = SegmentationSequence(
            name=name,
            frames=frames,
            annotations=annotations,
            first_frames={1: 0},
            single_object=True,
        )
        _check_beginnings(sequence)
        return sequence


class DAVIS2017(SegmentationDataset):
    """DAVIS-2017 at 480p (Pont-Tuset et al., 2017): several objects a video.

    Layout: as DAVIS-2016, with label maps as PNG files with a palette, and with
    `root/ImageSets/2017/SPLIT.txt`, one name a line. Every frame of `train` and `val` has a map, of
    the test sets only the first. The objects are those of the first map.

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
        _check_some(self.names, "DAVIS-2017", source)

    def read(self, name: str, *, pictures: RequiredFrames = "all") -> SegmentationSequence:
        """Give the sequence called `name`."""
        frames, annotations = _aligned(
            self._frame_folder / name, self._mask_folder / name, pictures
        )
        if not self._first_only:
            _check_every_frame(frames, annotations)
        first_frames = _first_frames(annotations[:1])
        if not first_frames:
            raise DatasetError(
                f"{self._mask_folder / name / frames[0].stem}.png: the first mask must show the "
                "objects, and shows none. Unpack the sequence again."
            )
        return SegmentationSequence(
            name=name, frames=frames, annotations=annotations, first_frames=first_frames
        )


class YouTubeVOS(SegmentationDataset):
    """YouTube-VOS (Xu et al., ECCV 2018): several objects a video, some of which come later.

    Layout: `root/JPEGImages/NAME/00000.jpg` onwards, `root/Annotations/NAME/00000.png`, label maps
    as PNG files with a palette, of some frames only; `root/meta.json` names the sequences and says
    where each object begins. Without it, every folder of maps is a sequence, and an object begins
    in the first map that has its number.

    Args:
        root: folder of a split, or the one that holds `train` and `valid`.
        split: which of them to read in the second case.

    Raises:
        DatasetError: there is no sequence, or `meta.json` is no such file.
    """

    def __init__(self, root: Path, split: Literal["train", "valid"] = "valid") -> None:
        root = Path(root)
        if not (root / "JPEGImages").is_dir():
            root = root / split
        self._frame_folder, self._mask_folder = root / "JPEGImages", root / "Annotations"
        self._meta = root / "meta.json"
        self._beginnings = _read_meta(self._meta) if self._meta.is_file() else None
        if self._beginnings is None:
            source = self._mask_folder
            self.names = tuple(f.name for f in subfolders(self._mask_folder, "YouTube-VOS"))
        else:
            source, self.names = self._meta, tuple(sorted(self._beginnings))
        _check_some(self.names, "YouTube-VOS", source)

    def read(self, name: str, *, pictures: RequiredFrames = "all") -> SegmentationSequence:
        """Give the sequence called `name`; this reads the maps in which objects begin."""
        frames, annotations = _aligned(
            self._frame_folder / name, self._mask_folder / name, pictures
        )
        if self._beginnings is None:
            first_frames = _first_frames(annotations)
        else:
            indices = {path.stem: index for index, path in enumerate(frames)}
            beginnings = self._beginnings[name]
            absent = [stem for stem in beginnings.values() if stem not in indices]
            if absent:
                raise DatasetError(
                    f"{self._meta}: an object of {name} begins in frame {absent[0]}, which is not "
                    f"in {frames[0].parent}. Unpack the sequence again."
                )
            first_frames = {k: indices[stem] for k, stem in beginnings.items()}
        sequence = SegmentationSequence(
            name=name, frames=frames, annotations=annotations, first_frames=first_frames
        )
        _check_beginnings(sequence)
        return sequence


def _aligned(
    frame_folder: Path, mask_folder: Path, pictures: RequiredFrames
) -> tuple[tuple[Path, ...], tuple[Path | None, ...]]:
    """Frames, and the mask of each by its name; every mask has the size of its frame."""
    there = image_files(frame_folder)
    masks = {path.stem: path for path in image_files(mask_folder)}
    absent = sorted(masks.keys() - {path.stem for path in there})
    if absent and pictures == "all":
        raise DatasetError(
            f"{masks[absent[0]]}: this mask has no frame in {frame_folder}. "
            "Unpack the sequence again."
        )
    for frame in there[:1] if first_frame_only() else there:
        if frame.stem in masks:
            _check_size(frame, masks[frame.stem])
    named = (there[0].with_stem(stem) for stem in absent)
    frames = tuple(sorted((*there, *named), key=lambda path: (frame_number(path), path.name)))
    return frames, tuple(masks.get(frame.stem) for frame in frames)


def _check_size(frame: Path, mask: Path) -> None:
    check_label_access(mask, "first mask")
    (width, height), (mask_width, mask_height) = image_size(frame), image_size(mask)
    if (width, height) != (mask_width, mask_height):
        raise DatasetError(
            f"{mask}: this mask has {mask_width}x{mask_height} pixels, but its frame {frame} has "
            f"{width}x{height}. Get both in the same resolution."
        )


def _check_every_frame(frames: tuple[Path, ...], annotations: tuple[Path | None, ...]) -> None:
    absent = [frame for frame, mask in zip(frames, annotations, strict=True) if mask is None]
    if absent:
        raise DatasetError(
            f"{absent[0].parent}: {len(frames)} frames, but {len(frames) - len(absent)} masks; "
            f"{absent[0].name} is the first without. Unpack the sequence again."
        )


def _check_beginnings(sequence: SegmentationSequence) -> None:
    """See that every object is in the map in which it begins."""
    for frame in set(sequence.first_frames.values()):
        labels = np.unique(sequence.labels(frame))
        for number, first in sequence.first_frames.items():
            if first == frame and number not in labels:
                found = ", ".join(str(label) for label in labels if label) or "nothing"
                raise DatasetError(
                    f"{sequence.annotations[frame]}: object {number} begins in this frame, but its "
                    f"mask shows {found}. Unpack the sequence again."
                )


def _check_some(names: tuple[str, ...], benchmark: str, source: Path) -> None:
    if not names:
        raise DatasetError(
            f"{benchmark}: no sequence in {source}. "
            "`root` must be the folder that holds JPEGImages and Annotations."
        )


def _first_frames(annotations: tuple[Path | None, ...]) -> dict[int, int]:
    """Each object's number, and the first frame whose map has it."""
    first_frames: dict[int, int] = {}
    for frame, path in enumerate(annotations):
        if path is not None:
            for number in np.unique(read_label_map(path, first=frame == 0)).tolist():
                if number not in (0, VOID):
                    first_frames.setdefault(number, frame)
    return first_frames


def _read_meta(path: Path) -> dict[str, dict[int, str]]:
    """Names of sequences, to numbers of objects, to the name of the frame that first shows each."""
    try:
        videos = json.loads("\n".join(read_lines(path)))["videos"]
        return {
            name: {int(k): thing["frames"][0] for k, thing in video["objects"].items()}
            for name, video in videos.items()
        }
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path}, line {error.lineno}: this is not JSON ({error.msg}). Unpack it again."
        ) from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{path}: not of the form videos, NAME, objects, NUMBER, frames; stopped at "
            f"{error}. Unpack it again."
        ) from error


def _names_in_paths(listing: Path) -> tuple[str, ...]:
    """Names in a list of `/JPEGImages/480p/NAME/00000.jpg /Annotations/480p/NAME/00000.png`."""
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
