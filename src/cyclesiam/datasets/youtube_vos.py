"""Reader of YouTube-VOS: masks of several objects, in some frames; objects may appear late."""

import json
from pathlib import Path
from typing import Literal

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


class YouTubeVOS(SegmentationDataset):
    """YouTube-VOS (Xu et al., ECCV 2018): several objects a video, some of which come later.

    Layout: `root/JPEGImages/NAME/00000.jpg` onwards, and `root/Annotations/NAME/00000.png`, label
    maps of some frames only, as PNG files with a palette. `root/meta.json` names the sequences and
    the first frame of each object. Without it, every folder of label maps is a sequence, and an
    object begins in the first map that has its number.

    Args:
        root: folder of a split, or the one that holds `train` and `valid`.
        split: which of them to read in the second case.

    Raises:
        DatasetError: there is no sequence, or `meta.json` has another form.
    """

    def __init__(self, root: Path, split: Literal["train", "valid"] = "valid") -> None:
        root = Path(root)
        if not (root / "JPEGImages").is_dir():
            root = root / split
        self._frame_folder, self._mask_folder = root / "JPEGImages", root / "Annotations"
        self._meta = root / "meta.json"
        self._first_stems = _read_meta(self._meta) if self._meta.is_file() else None
        if self._first_stems is None:
            source = self._mask_folder
            self.names = tuple(f.name for f in subfolders(self._mask_folder, "YouTube-VOS"))
        else:
            source, self.names = self._meta, tuple(sorted(self._first_stems))
        require_sequences(self.names, "YouTube-VOS", source)

    def read(self, name: str, *, require: RequiredFrames = "all") -> SegmentationSequence:
        """Read the sequence called `name`, and the label maps in which objects begin."""
        frames, annotations = match_masks(
            self._frame_folder / name, self._mask_folder / name, require
        )
        if self._first_stems is None:
            first_frames = find_first_frames(annotations)
        else:
            indices = {path.stem: index for index, path in enumerate(frames)}
            first_stems = self._first_stems[name]
            absent = [stem for stem in first_stems.values() if stem not in indices]
            if absent:
                raise DatasetError(
                    f"{self._meta}: an object of {name} begins in frame {absent[0]}, which is not "
                    f"in {frames[0].parent}. Unpack the sequence again."
                )
            first_frames = {k: indices[stem] for k, stem in first_stems.items()}
        sequence = SegmentationSequence(
            name=name, frames=frames, annotations=annotations, first_frames=first_frames
        )
        check_first_masks(sequence)
        return sequence


def _read_meta(path: Path) -> dict[str, dict[int, str]]:
    """Return sequences by name; of each, numbers of objects to the names of their first frames."""
    try:
        videos = json.loads("\n".join(read_lines(path)))["videos"]
        return {
            name: {int(k): entry["frames"][0] for k, entry in video["objects"].items()}
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
