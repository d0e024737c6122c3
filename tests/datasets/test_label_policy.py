"""The label policy: what it lets be read, of every benchmark; and that training reads no label."""

import dataclasses
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from cyclesiam.data.clips import BatchRequest, ClipDataset
from cyclesiam.data.scenes import find_scenes
from cyclesiam.datasets.annotation_files import read_boxes
from cyclesiam.datasets.label_policy import check_label_access, enforce_policy, first_frame_only
from cyclesiam.datasets.registry import SEGMENTATION_DATASETS, TRACKING_DATASETS
from cyclesiam.errors import LabelPolicyError
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.training.loading import BatchesOrErrors, load_batches
from cyclesiam.training.trainer import Trainer
from support.annotations import MAKERS, ONE, make_davis, make_segmentation, make_texts, write
from support.media import moving_square, write_frames
from support.training import CONFIG


def make_otb_list(root, names):
    """A subset must be whole; all its folders are there, each with the same target."""
    for name in names:
        make_texts(root, f"{name}/img", f"{name}/groundtruth_rect.txt", 1, 4)


def make_youtubevos(root):
    make_segmentation(root / "JPEGImages/cows", root / "Annotations/cows", {"00000": ONE})


def read_first(reader, root):
    benchmark = reader(root)
    return benchmark.read(benchmark.names[0])


BOXES = {name: MAKERS[name] for name in MAKERS} | {
    "uav123_10fps": lambda root: make_texts(
        root, "data_seq/UAV123_10fps/cows", "anno/UAV123_10fps/cows.txt", 1
    ),
    "vot2016": MAKERS["vot2018"],
}
MASKS = {"davis2016": make_davis, "davis2017": make_davis, "youtubevos": make_youtubevos}
SUBSETS = {"otb2013", "otb50", "otb100"}  # the reader of `otb`, given names


def test_every_benchmark_is_tested():
    assert TRACKING_DATASETS.keys() == BOXES.keys() | SUBSETS
    assert SEGMENTATION_DATASETS.keys() == MASKS.keys()


READERS = [(TRACKING_DATASETS, name, BOXES[name]) for name in BOXES]
READERS += [(SEGMENTATION_DATASETS, name, MASKS[name]) for name in MASKS]


@pytest.mark.parametrize(("kind", "name", "make"), READERS, ids=[name for _, name, _ in READERS])
def test_no_reader_opens_a_label_under_none(tmp_path, kind, name, make):
    make(tmp_path)
    read_first(kind[name], tmp_path)  # it is well
    with enforce_policy("none"), pytest.raises(LabelPolicyError) as caught:
        read_first(kind[name], tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "label policy `none`" in str(caught.value)
    read_first(kind[name], tmp_path)  # the policy ended


@pytest.mark.parametrize("name", sorted(SUBSETS))
def test_no_subset_opens_a_label_under_none(tmp_path, monkeypatch, name):
    from cyclesiam.datasets import otb

    monkeypatch.setitem(otb.OTB_SUBSETS, name, ["Bolt"])
    make_otb_list(tmp_path, ["Bolt"])
    assert len(read_first(TRACKING_DATASETS[name], tmp_path)) == 4
    with enforce_policy("none"), pytest.raises(LabelPolicyError, match="groundtruth_rect"):
        read_first(TRACKING_DATASETS[name], tmp_path)


@pytest.mark.parametrize("name", sorted(BOXES.keys() - {"davis2016", "davis2017"}))
def test_first_box_tells_one_box_and_nothing_more(tmp_path, name):
    BOXES[name](tmp_path)
    whole = read_first(TRACKING_DATASETS[name], tmp_path)
    with enforce_policy("first-box"):
        restricted = read_first(TRACKING_DATASETS[name], tmp_path)
    np.testing.assert_array_equal(restricted.boxes[0], whole.boxes[0])
    assert np.isnan(restricted.boxes[1:]).all()
    assert (restricted.frames, restricted.regions, restricted.tags, restricted.visibility) == (
        whole.frames,
        None,
        {},
        None,
    )


@pytest.mark.parametrize("name", ["davis2016", "davis2017"])
def test_a_mask_is_more_than_a_box(tmp_path, name):
    make_davis(tmp_path)
    with enforce_policy("first-box"), pytest.raises(LabelPolicyError, match=r"00000\.png"):
        read_first(TRACKING_DATASETS[name], tmp_path)
    whole = read_first(TRACKING_DATASETS[name], tmp_path)
    with enforce_policy("first-mask"):
        restricted = read_first(TRACKING_DATASETS[name], tmp_path)
    np.testing.assert_array_equal(restricted.boxes[0], whole.boxes[0])
    assert np.isfinite(whole.boxes[1:]).all()
    assert np.isnan(restricted.boxes[1:]).all()


@pytest.mark.parametrize("name", ["davis2016", "davis2017"])
def test_first_mask_opens_one_mask(tmp_path, name):
    make_davis(tmp_path)
    with enforce_policy("first-mask"):
        sequence = read_first(SEGMENTATION_DATASETS[name], tmp_path)
        assert sequence.labels(0).any()
        with pytest.raises(LabelPolicyError, match=r"00001\.png: holds a mask"):
            sequence.labels(1)
    assert sequence.labels(1).any()


def test_a_policy_within_another_does_not_widen_it(tmp_path):
    file = tmp_path / "boxes.txt"
    with enforce_policy("none"), enforce_policy("first-mask"), pytest.raises(LabelPolicyError):
        check_label_access(file, "boxes")
    with enforce_policy("first-mask"):
        with enforce_policy("none"), pytest.raises(LabelPolicyError):
            check_label_access(file, "boxes")
        check_label_access(file, "boxes")
        assert first_frame_only()
    assert not first_frame_only()
    check_label_access(file, "mask")


def test_there_is_no_other_policy():
    with pytest.raises(ValueError, match="first-box"), enforce_policy("all"):  # pyright: ignore
        pass


# --- training


@pytest.fixture
def opened():
    """The files that this process opens while the test runs; Python tells of each."""
    paths: list[str] = []
    listening = True

    def listen(event, arguments):
        if listening and event == "open":
            paths.append(str(arguments[0]))

    sys.addaudithook(listen)  # which stays installed, so it is switched off
    yield paths
    listening = False


def test_training_opens_no_annotation(tmp_path, opened):
    videos = tmp_path / "benchmark"
    write_frames(videos / "Bolt" / "img", moving_square(14))
    write(videos / "Bolt" / "groundtruth_rect.txt", "1,1,5,5\n" * 14)
    write(videos / "Bolt" / "attrs.txt", "IV\n")
    write_frames(videos / "Annotations" / "480p" / "Bolt", moving_square(14, seed=3))
    write(videos / "labels.json", "{}")
    opened.clear()  # of the writing
    scenes, _ = find_scenes([videos])
    assert [scene.path.name for scene in scenes] == ["img"]
    config = dataclasses.replace(CONFIG, steps=2)
    for _ in Trainer(config, scenes, tmp_path / "run", device="cpu").fit():
        pass
    ours = {Path(path).relative_to(videos) for path in opened if path.startswith(str(videos))}
    assert {path.parent for path in ours} == {Path("Bolt/img")}
    assert load_weights(tmp_path / "run")[1].policy == "none"


class Cheat(ClipDataset):
    """Clips whose boxes are looked up where they are written."""

    def __init__(self, truth):
        self.truth = truth

    def __getitem__(self, request):
        return read_boxes(self.truth)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_reads_no_label(tmp_path, workers):
    truth = write(tmp_path / "groundtruth.txt", "1,1,5,5\n")
    batches = load_batches(Cheat(truth), [BatchRequest(0, 0, 0)], workers, policy="none")
    with pytest.raises(LabelPolicyError, match=r"groundtruth\.txt: holds annotations"):
        next(iter(batches))
    assert not first_frame_only()


def test_the_policy_travels_with_the_clips_into_any_worker(tmp_path):
    truth = write(tmp_path / "groundtruth.txt", "1,1,5,5\n")
    sent = pickle.dumps(BatchesOrErrors(Cheat(truth), "none"))  # as to a worker that is spawned
    assert isinstance(pickle.loads(sent)[BatchRequest(0, 0, 0)], LabelPolicyError)
    sent = pickle.dumps(BatchesOrErrors(Cheat(truth), "first-box"))
    assert pickle.loads(sent)[BatchRequest(0, 0, 0)].shape == (1, 4)
