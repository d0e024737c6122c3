from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclesiam.errors import CycleSiamError, CycleSiamWarning, ImageError, TargetError
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.color_model import ColorModelConfig
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.inputs import validate_box
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.tracking.search import init_targets, localize, search_frame
from cyclesiam.tracking.tracker import Tracker
from support.networks import TINY, BlobNetwork, bright_square

TRUSTING = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)


NO_FILTER = OnlineFilterConfig(weight=0)  # the blob network has no features


def blob_tracker(network):
    return Tracker(network, TrackerConfig(online_filter=NO_FILTER))


def image_of(box):
    return np.ascontiguousarray(bright_square(box).permute(1, 2, 0).numpy())


def test_one_target_is_tracked():
    tracker = Tracker(BlobNetwork(), TrackerConfig(selection=TRUSTING, online_filter=NO_FILTER))
    tracker.init(image_of((100, 80, 140, 120)), (100, 80, 40, 40))
    result = tracker.update(image_of((108, 76, 148, 116)))
    assert result.box_xywh == pytest.approx((108, 76, 40, 40), abs=0.3)
    assert (result.id, result.state) == (1, "tracking")
    assert result.score > 0.9


def test_it_takes_the_same_step_as_a_batch():
    tracker = blob_tracker(BlobNetwork(0.6))
    first, second = image_of((100, 80, 140, 120)), image_of((104, 84, 144, 124))
    boxes = torch.tensor([[100.0, 80, 140, 120], [90, 70, 150, 130]])
    tracker.start(first, [(100, 80, 40, 40), (90, 70, 60, 60)])
    results = tracker.step(second)
    frames = torch.from_numpy(np.stack((first, second))).permute(0, 3, 1, 2)
    network = BlobNetwork(0.6)
    state = init_targets(network, frames[:1], boxes)
    found, _ = search_frame(network, state, frames[1:])
    targets = localize(boxes, found, SelectionConfig())
    assert [result.box for result in results] == [tuple(box) for box in targets.boxes.tolist()]
    assert [result.id for result in results] == [1, 2]


def test_several_targets_are_tracked_as_each_alone():
    first, second = image_of((100, 80, 140, 120)), image_of((104, 84, 144, 124))
    boxes = [(100, 80, 40, 40), (90, 70, 60, 60)]
    together, alone = blob_tracker(BlobNetwork()), blob_tracker(BlobNetwork())
    together.start(first, boxes)
    results = together.step(second)
    for box, result in zip(boxes, results, strict=True):
        alone.init(first, box)
        assert alone.update(second).box == pytest.approx(result.box)


def test_a_new_start_forgets_the_old_targets():
    tracker = blob_tracker(BlobNetwork())
    image = image_of((100, 80, 140, 120))
    tracker.start(image, [(100, 80, 40, 40), (90, 70, 60, 60)])
    tracker.init(image, (100, 80, 40, 40))
    assert len(tracker.step(image)) == 1


def test_a_start_returns_the_initial_boxes():
    image = image_of((100, 80, 140, 120))
    (result,) = blob_tracker(BlobNetwork()).start(image, [(100, 80, 40, 40)])
    assert result.box_xywh == (100, 80, 40, 40)
    assert (result.score, result.state) == (1, "tracking")


@pytest.mark.parametrize(
    "view", [lambda image: image[:, ::-1], lambda image: image[10:, 10:], np.asfortranarray]
)
def test_any_memory_layout_will_do(view):
    image = view(image_of((100, 80, 140, 120)))
    plain, viewed = blob_tracker(BlobNetwork()), blob_tracker(BlobNetwork())
    plain.init(np.ascontiguousarray(image), (95, 85, 40, 40))
    viewed.init(image, (95, 85, 40, 40))
    assert viewed.update(image) == plain.update(np.ascontiguousarray(image))


def test_a_frame_that_may_not_be_written_is_read():
    image = image_of((100, 80, 140, 120))
    image.flags.writeable = False
    tracker = blob_tracker(BlobNetwork())
    tracker.init(image, (100, 80, 40, 40))
    assert tracker.update(image).score > 0.9


def test_a_step_before_the_start_says_what_to_do():
    with pytest.raises(TargetError, match=r"start one with \.init\(image, box\)"):
        blob_tracker(BlobNetwork()).update(image_of((0, 0, 1, 1)))


def test_an_update_without_a_target_left_says_what_to_do():
    tracker, image = blob_tracker(BlobNetwork()), image_of((100, 80, 140, 120))
    tracker.init(image, (100, 80, 40, 40))
    tracker.remove(1)
    with pytest.raises(TargetError, match="no target is left to track"):
        tracker.update(image)


def test_a_start_needs_a_box():
    with pytest.raises(TargetError, match="there is no box to start from"):
        blob_tracker(BlobNetwork()).start(image_of((0, 0, 1, 1)), [])


def test_an_image_may_be_drawn_on_after_it_was_tracked():
    first, second = image_of((100, 80, 140, 120)), image_of((104, 84, 144, 124))
    plain, reused = blob_tracker(BlobNetwork(0.3)), blob_tracker(BlobNetwork(0.3))
    plain.init(first, (100, 80, 40, 40))
    buffer = first.copy()  # every frame is read into it
    reused.init(buffer, (100, 80, 40, 40))
    for _ in range(4):  # at this score, boxes move by median flow, which needs the last frame
        expected = plain.update(second)
        buffer[:] = second
        assert reused.update(buffer) == expected
        buffer[:] = 77
    added = [plain.add((90, 70, 60, 60)), reused.add((90, 70, 60, 60))]  # in the last frame
    assert added == [2, 2]
    buffer[:] = second
    assert reused.step(buffer) == plain.step(second)


PLAIN = np.zeros((9, 12, 3), np.uint8)


class Holder:
    image = PLAIN


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "no frame: the image is None. The source has ended"),
        (PLAIN.tolist(), "got list"),
        ("a.png", "got str 'a.png': read files by cyclesiam.open_frames"),
        (Path("a.png"), "read files by"),
        ((True, PLAIN), "cv2's read.* returns two values"),
        (Holder(), r"pass its pixels, `frame\.image`"),
        (3, "got int"),
        (PLAIN[:0], r"the image is empty: its shape is \(0, 12, 3\)"),
        (PLAIN[..., 0], r"uint8 RGB, got \(9, 12\) uint8; a gray one"),
        (PLAIN[..., :1], "a gray one"),
        (np.zeros((9, 9, 4), np.uint8), "leaves out the transparency"),
        (np.zeros((3, 9, 9), np.uint8), "its channels come first"),
        (PLAIN[None], "one image at a time"),
        (PLAIN / 255, r"got \(9, 12, 3\) float64; values of 0 to 1"),
        (PLAIN.astype(np.uint16), "16 bits become"),
        (PLAIN.astype(np.int64), "got .* int64"),
        (PLAIN.astype(bool), "got .* bool"),
        (np.zeros(5, np.uint8), r"got \(5,\) uint8"),
        (Image.new("L", (12, 9)), "a gray one"),
        (Image.new("RGBA", (12, 9)), "leaves out the transparency"),
        (torch.zeros(3, 9, 9), "its channels come first"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image, message):
    tracker = blob_tracker(BlobNetwork())
    with pytest.raises(ImageError, match=message):
        tracker.init(image, (1, 1, 3, 3))
    tracker.init(PLAIN, (1, 1, 3, 3))
    with pytest.raises(ImageError, match=message) as caught:
        tracker.update(image)
    assert isinstance(caught.value, CycleSiamError)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert tracker.update(PLAIN).id == 1  # it goes on


def test_an_image_of_pillow_or_pytorch_is_read_as_one_of_numpy():
    pixels = image_of((100, 80, 140, 120))
    found = []
    for image in (pixels, Image.fromarray(pixels), torch.from_numpy(pixels)):
        tracker = blob_tracker(BlobNetwork())
        tracker.init(image, (95, 85, 40, 40))
        found.append(tracker.update(image))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "change",
    [
        lambda tracker, image: tracker.update(image),
        lambda tracker, image: tracker.step(image),
        lambda tracker, image: tracker.add((1, 1, 30, 30), image=image),
        lambda tracker, image: tracker.correct(1, (1, 1, 30, 30), image=image),
    ],
)
def test_an_image_of_another_size_than_the_last_is_refused(change):
    tracker, image = blob_tracker(BlobNetwork()), image_of((100, 80, 140, 120))
    tracker.init(image, (100, 80, 40, 40))
    with pytest.raises(ImageError, match="an image is 240x190 pixels, and those before it 240x200"):
        change(tracker, image[:-10])
    assert tracker.update(image).score > 0.9  # nothing has changed
    tracker.init(image[:-10], (100, 80, 40, 40))  # a new start may have any size
    tracker.remove(1)
    tracker.step(image)
    assert tracker.add((100, 80, 40, 40)) == 2


@pytest.mark.parametrize("masks", [[PLAIN[..., 0].T], [None], [PLAIN], [PLAIN[..., 0]] * 2, []])
def test_a_mask_that_does_not_fit_its_frame_is_refused(masks):
    with pytest.raises(ValueError, match="mask"):
        blob_tracker(BlobNetwork()).start(PLAIN, [(1, 1, 3, 3)], masks)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((1, 2, 3), "a box is four numbers x, y, w, h; got 3: 1, 2, 3"),
        ((1, 2, 3, 4, 5), "got 5"),
        ("box", "a box is four numbers x, y, w, h; got 'box'"),
        ("1234", "got '1234'"),
        (b"1234", "a box is four numbers"),
        (("10", "10", "20", "20"), r"got \('10', '10', '20', '20'\)"),
        ((10, 10, 20, "20"), "a box is four numbers"),
        (np.array(["10", "10", "20", "20"]), "a box is four numbers"),
        ((True, True, True, True), "got .True, True, True, True."),
        ((10, 10, True, 20), "a box is four numbers"),
        (np.ones(4, bool), "a box is four numbers"),
        (torch.ones(4, dtype=torch.bool), "a box is four numbers"),
        ({1, 2, 3, 4}, "a box is four numbers"),
        ({1: 2, 3: 4, 5: 6, 7: 8}, "a box is four numbers"),
        ((1, 2, 3, 4j), "a box is four numbers"),
        ((1, 2, 3, 10**400), "a box is four numbers"),
        ([[1, 2], [3, 4], [5, 6], [7, 8]], "a box is four numbers"),
        ((10, 10, 0.001, 0.001), "must be 0.5 pixels wide and high, or more; got 10, 10, 0.001"),
        ((10, 10, 1e-300, 20), "0.5 pixels"),
        ((-1e308, 0, 1e308, 10), "lies outside"),
        ((99.9, 0, 1e308, 10), "lies outside"),
        (None, "got None"),
        ((1, 2, float("nan"), 4), "must be finite numbers x, y, w, h; got 1, 2, nan, 4"),
        ((1, 2, float("inf"), 4), "must be finite"),
        ((1, 2, 0, 4), "must have a width and height above zero; got 1, 2, 0, 4"),
        ((1, 2, 3, -4), "above zero"),
        ((100, 2, 3, 4), r"the box 100, 2, 3, 4 \(x, y, w, h\) lies outside the 100x50 frame"),
        ((-3, 2, 3, 4), "lies outside"),
        ((1, 50, 3, 4), "lies outside"),
        ((1, -4, 3, 4), "lies outside"),
    ],
)
def test_an_error_about_a_box_is_one_line(box, message):
    with pytest.raises(TargetError, match=message) as caught:
        validate_box(box, (50, 100))
    assert isinstance(caught.value, CycleSiamError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("box", [(0, 0, 100, 50), (-2, 2, 3, 4), (99, 49, 30, 40), (1, 2, 0.5, 1)])
def test_a_box_that_shows_something_of_the_frame_is_a_target(box):
    assert validate_box(np.array(box), (50, 100)) == list(box)


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((0, 0, 101, 50), [0, 0, 100, 50]),
        ((10, 5, 90, 60), [10, 5, 90, 45]),
        ((-20, -10, 1000, 30), [0, 0, 100, 20]),
        ((0, 0, 1e308, 1e308), [0, 0, 100, 50]),
        ((-1e300, 10, 1.7e308, 10), [0, 10, 100, 10]),
    ],
)
def test_a_box_larger_than_the_frame_is_cut_to_it_with_a_warning(box, cut):
    with pytest.warns(CycleSiamWarning, match="is larger than the 100x50 frame, and was cut to"):
        assert validate_box(box, (50, 100)) == cut


def test_a_tiny_box_takes_bounded_memory():
    frame = np.zeros((2000, 3000, 3), np.uint8)
    tracker = blob_tracker(BlobNetwork(0.1))
    tracker.init(frame, (10, 10, 0.5, 0.5))
    for _ in range(4):
        tracker.update(frame)
    assert tracker.settled_state().status.lost.all()  # the whole frame is searched for it


def test_an_overlap_limit_is_at_most_1():
    with pytest.raises(ValueError, match="max_target_overlap"):
        TrackerConfig(max_target_overlap=2)


def test_a_filter_is_updated_every_few_frames():
    torch.manual_seed(0)
    online = OnlineFilterConfig(update_interval=2, min_update_score=0.0, channels=8)
    tracker = Tracker(SiamRPN(TINY).eval(), TrackerConfig(online_filter=online))
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    tracker.start(image, [(60, 40, 30, 30), (20, 50, 40, 20)])
    counts = []
    for _ in range(4):
        tracker.step(image)
        counts.append(len(tracker.settled_state().filters.samples))
    assert counts == [6, 7, 7, 8]


def test_scores_are_blended_by_the_weight_of_the_filter():
    torch.manual_seed(0)
    network = SiamRPN(TINY).eval()
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    scores = {}
    for weight in (0.0, 0.5, 1.0):
        config = TrackerConfig(
            online_filter=OnlineFilterConfig(weight=weight),
            color_model=ColorModelConfig(weight=0),
            selection=TRUSTING,
        )
        tracker = Tracker(network, config)
        tracker.init(image, (60, 40, 30, 30))
        scores[weight] = tracker.update(image).score
    # the frame is the first one's: the filter knows its target, an untrained network does not
    assert scores[0.0] < scores[0.5] < scores[1.0]
    assert scores[1.0] > 0.7


def test_a_network_without_features_says_what_to_do():
    tracker = Tracker(BlobNetwork())
    with pytest.raises(ValueError, match="returns no features for the filters"):
        tracker.init(image_of((100, 80, 140, 120)), (100, 80, 40, 40))


# Where a target of 30 pixels was and where it is, 20 pixels on, in the pixels of a search crop.
SHIFT = 20 * 127 / 60
WAS = torch.tensor([95.75, 95.75, 159.25, 159.25])
PLACES = torch.stack((WAS, WAS + torch.tensor([SHIFT, 0, SHIFT, 0])))[None]


def test_colors_find_what_the_network_does_not():
    network = BlobNetwork()  # it prefers the empty place a little
    scores = np.array([[0.50, 0.49]], np.float32)
    network.search = lambda template, crops: Proposals(PLACES.numpy(), scores)
    found = {}
    for weight in (0.0, 0.5):
        config = TrackerConfig(
            online_filter=NO_FILTER, color_model=ColorModelConfig(weight=weight), selection=TRUSTING
        )
        tracker = Tracker(network, config)
        tracker.init(red_on_green((60, 40, 90, 70)), (60, 40, 30, 30))
        left, _, right, _ = tracker.update(red_on_green((80, 40, 110, 70))).box
        found[weight] = (left + right) / 2
    assert found == pytest.approx({0.0: 75, 0.5: 95}, abs=0.5)


def red_on_green(box):
    image = np.full((120, 160, 3), (30, 180, 30), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = (220, 30, 30)
    return image


def twins_apart(crops, *places, score=0.9):
    """Return equal peaks of search crops, shifted from their middle, and a low one."""
    shifts = torch.tensor([[shift, 0.0, shift, 0.0] for shift in (*places, 0.0)])
    boxes = torch.tensor([95.75, 95.75, 159.25, 159.25]) + shifts
    scores = np.array([[score] * len(places) + [0.1 * score]], np.float32)
    count = len(crops)
    return Proposals(boxes[None].numpy().repeat(count, 0), scores.repeat(count, 0))


@pytest.mark.parametrize(
    ("places", "state"),
    [
        ((0, 70), "uncertain"),  # a twin beside the target
        ((-70, 0), "uncertain"),
        ((0, 20), "tracking"),  # the shoulder of one peak
        ((0,), "tracking"),
    ],
)
def test_two_equal_peaks_are_doubt(places, state):
    network = BlobNetwork()
    config = TrackerConfig(online_filter=NO_FILTER, color_model=ColorModelConfig(weight=0))
    tracker = Tracker(network, config)
    tracker.init(image_of((100, 80, 140, 120)), (100, 80, 40, 40))
    network.search = lambda template, crops: twins_apart(crops, *places)
    result = tracker.update(image_of((100, 80, 140, 120)))
    assert result.state == state
    network.search = lambda template, crops: twins_apart(crops, 0)
    assert tracker.update(image_of((100, 80, 140, 120))).state == "tracking"


@pytest.mark.parametrize(("first", "state"), [(0.9, "lost"), (0.12, "uncertain")])
def test_a_target_of_a_dim_picture_is_not_lost_for_its_low_scores(first, state):
    network = BlobNetwork()
    tracker = Tracker(network, TrackerConfig(online_filter=NO_FILTER))
    network.search = lambda template, crops: twins_apart(crops, 0, score=first)
    image = np.full((200, 240, 3), 3, np.uint8)
    image[80:120, 100:140] = 6  # too little for the bins of the color model
    tracker.init(image, (100, 80, 40, 40))
    network.search = lambda template, crops: twins_apart(crops, 0, score=0.11)
    states = [tracker.update(image).state for _ in range(5)]
    assert states[-1] == state
