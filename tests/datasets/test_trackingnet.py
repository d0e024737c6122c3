import numpy as np
import pytest

from cyclesiam.datasets.trackingnet import TrackingNet
from cyclesiam.errors import DatasetError
from support.annotations import make_frames, rows_of, write


def make_trackingnet(root, chunk, name, rows, frames):
    make_frames(root / chunk / "frames" / name, range(frames), digits=1)
    write(root / chunk / "anno" / f"{name}.txt", "\n".join(rows))


@pytest.mark.parametrize("root", [".", "TEST"])
def test_trackingnet_test_has_the_first_box_only(tmp_path, root):
    make_trackingnet(tmp_path, "TEST", "-9d0Z_0", ["1.5,2,3,4"], 11)
    (sequence,) = TrackingNet(tmp_path / root).sequences()
    assert sequence.name == "-9d0Z_0"
    assert [path.stem for path in sequence.frames] == [str(number) for number in range(11)]
    np.testing.assert_array_equal(sequence.boxes[0], [1.5, 2, 4.5, 6])
    assert np.isnan(sequence.boxes[1:]).all()


def test_trackingnet_training_has_all_boxes(tmp_path):
    make_trackingnet(tmp_path, "TRAIN_11", "abc_0", rows_of(2), 3)
    with pytest.raises(DatasetError, match=r"abc_0: 3 frames, but 2 boxes"):
        TrackingNet(tmp_path, "TRAIN_11").read("abc_0")
    with pytest.raises(DatasetError, match=r"no annotation in .*TEST.anno"):
        TrackingNet(tmp_path)


def test_hidden_copies_are_no_sequences(tmp_path):
    make_trackingnet(tmp_path, "TEST", "abc_0", rows_of(1), 1)
    write(tmp_path / "TEST/anno/._abc_0.txt", b"\0\5\x16\7")
    assert TrackingNet(tmp_path).names == ("abc_0",)
