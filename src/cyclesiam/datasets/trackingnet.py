"""Reader of TrackingNet: one box a frame, in a text file a sequence."""

from pathlib import Path

from cyclesiam.datasets.annotation_files import (
    find_files,
    make_sequence,
    pad_with_nan,
    read_boxes,
)
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    image_files,
    split_folder,
)
from cyclesiam.errors import DatasetError


class TrackingNet(TrackingDataset):
    """TrackingNet (Müller et al., ECCV 2018).

    Layout: `root/TEST/frames/NAME/0.jpg` onwards and `root/TEST/anno/NAME.txt`, one `x,y,w,h` a
    frame (in `TEST`, of the first frame only). `root/TRAIN_0` to `root/TRAIN_11` are alike.

    Args:
        root: folder that holds `TEST` and the training chunks, or one of these itself.
        chunk: which of them to read, such as `TRAIN_0`; by default `TEST`.

    Raises:
        DatasetError: there is no annotation.
    """

    def __init__(self, root: Path, chunk: str | None = None) -> None:
        self._folder = split_folder(Path(root), chunk, ("TEST",), "anno")
        self.names = tuple(path.stem for path in find_files(self._folder / "anno", "*.txt"))
        if not self.names:
            raise DatasetError(
                f"TrackingNet: no annotation in {self._folder / 'anno'}. "
                f"`root` must be the folder that holds TEST and TRAIN_0 ...; got {root}."
            )

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the sequence called `name`."""
        truth = self._folder / "anno" / f"{name}.txt"
        xywh, frames = read_boxes(truth), image_files(self._folder / "frames" / name)
        if self._folder.name == "TEST":
            xywh = pad_with_nan(xywh, len(frames))
        return make_sequence(name, frames, xywh, truth, require=require)
