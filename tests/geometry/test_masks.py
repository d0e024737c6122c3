"""Masks: pasting, overlaps, boxes, run lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cyclesiam.geometry.masks import (
    Mask,
    MaskProbability,
    box_to_mask,
    mask_to_box,
    paste_mask,
    polygon_to_box,
    resolve_overlaps,
)

SIZE = 40, 60  # H, W


def disk(radius, size=127):
    steps = np.arange(size) + 0.5 - size / 2
    return (np.hypot(*np.meshgrid(steps, steps)) < radius).astype(np.float32)


@pytest.mark.parametrize("center", [(30.0, 20.0), (31.3, 18.6), (2.0, 39.0)])
@pytest.mark.parametrize("scale", [0.25, 0.2])
def test_a_disk_is_pasted_where_its_window_is(center, scale):
    side = 127 * scale
    pasted = paste_mask(disk(40), (*center, side, side), SIZE)
    (mask,) = resolve_overlaps([pasted], SIZE, 0.5)
    rows, columns = np.mgrid[:40, :60] + 0.5
    distance = np.hypot(columns - center[0], rows - center[1])
    found = mask.to_array()
    assert found[distance < 40 * scale - 0.5].all()
    assert not found[distance > 40 * scale + 0.5].any()


def test_a_window_outside_the_frame_has_no_pixel():
    pasted = paste_mask(disk(40), (-90.0, 20.0, 60.0, 60.0), SIZE)
    (mask,) = resolve_overlaps([pasted], SIZE, 0.5)
    assert mask.area == 0
    assert not mask.to_array().any()
    assert np.isnan(mask.box()).all()
    assert mask.rotated_box() is None


def test_a_pixel_belongs_to_the_most_probable_target():
    first = MaskProbability(0, 0, np.array([[0.9, 0.6, 0.2]], np.float32))
    second = MaskProbability(1, 0, np.array([[0.7, 0.4, 0.8]], np.float32))
    masks = resolve_overlaps([first, second], (1, 4), 0.5)
    np.testing.assert_array_equal(masks[0].to_array(), [[True, False, False, False]])
    np.testing.assert_array_equal(masks[1].to_array(), [[False, True, False, True]])


def rectangles():
    """Probabilities of few values, so that some are equal, somewhere in a frame of 8 x 9."""
    values = arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 5)), elements=TENTHS)
    return st.builds(MaskProbability, st.integers(0, 4), st.integers(0, 3), values)


TENTHS = st.sampled_from([np.float32(tenths / 10) for tenths in (0, 4, 5, 6, 9)])


@given(st.lists(rectangles(), max_size=5))
def test_no_pixel_has_two_owners_and_the_first_of_equals_is_it(probabilities):
    frame = np.zeros((len(probabilities), 8, 9), np.float32)
    for layer, one in zip(frame, probabilities, strict=True):
        h, w = one.values.shape
        layer[one.top : one.top + h, one.left : one.left + w] = one.values
    masks = resolve_overlaps(probabilities, (8, 9), 0.5)
    assert len(masks) == len(frame)
    for number, mask in enumerate(masks):
        expected = (frame.argmax(axis=0) == number) & (frame[number] > np.float32(0.5))
        np.testing.assert_array_equal(mask.to_array(), expected)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_packing_and_unpacking_gives_the_same_pixels(array):
    mask = Mask.from_array(array)
    np.testing.assert_array_equal(mask.to_array(), array)
    assert mask.area == array.sum()
    packed = mask.to_rle()
    assert packed["size"] == [*array.shape]
    np.testing.assert_array_equal(Mask.from_rle(packed).to_array(), array)


def test_run_lengths_are_cocos():
    """By hand: column by column, 2 off, 1 on, 1 off, written as COCO does, 48 + number."""
    assert Mask.from_array(np.array([[0, 1], [0, 0]])).to_rle() == {"size": [2, 2], "counts": "211"}


@pytest.mark.parametrize("invalid", [{}, {"size": [2], "counts": "211"}, {"size": [2, 2]}, [1]])
def test_invalid_run_lengths_are_refused(invalid):
    with pytest.raises(ValueError, match="run lengths"):
        Mask.from_rle(invalid)


def test_the_rotated_box_of_an_upright_rectangle_is_its_box():
    mask = box_to_mask((10, 5, 30, 15), SIZE)
    corners = np.reshape(mask.rotated_box(), (4, 2))
    assert {tuple(corner) for corner in corners.round(3)} == {(10, 5), (30, 5), (30, 15), (10, 15)}


def test_the_rotated_box_of_a_turned_rectangle_is_smaller_than_its_box():
    rows, columns = np.mgrid[:40, :60] + 0.5
    along, across = (columns - 30 + rows - 20) / 2**0.5, (columns - 30 - rows + 20) / 2**0.5
    array = (abs(along) < 15) & (abs(across) < 4)
    array[2, 2] = True  # a speck elsewhere is not counted
    corners = np.reshape(Mask.from_array(array).rotated_box(), (4, 2))
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    assert sorted(sides) == pytest.approx([8, 8, 30, 30], abs=1.6)
    assert corners.mean(axis=0) == pytest.approx([30, 20], abs=0.5)


@given(x=st.floats(-20, 70), y=st.floats(-20, 50), w=st.floats(0.1, 80), h=st.floats(0.1, 80))
def test_a_filled_box_holds_the_pixels_whose_centers_it_holds(x, y, w, h):
    rows, columns = np.mgrid[:40, :60] + 0.5
    inside = (x <= columns) & (columns < x + w) & (y <= rows) & (rows < y + h)
    np.testing.assert_array_equal(box_to_mask((x, y, x + w, y + h), SIZE).to_array(), inside)


@pytest.mark.parametrize("box", [(3, 4, 10, 15), (0, 0, 30, 20), (7, 8, 8, 9)])
def test_the_box_of_a_rectangle_is_the_rectangle(box):
    mask = np.zeros((20, 30), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    np.testing.assert_array_equal(mask_to_box(mask), box)


def test_the_box_of_scattered_pixels_holds_them_all():
    mask = np.zeros((20, 30), bool)
    mask[[2, 18], [25, 5]] = True
    np.testing.assert_array_equal(mask_to_box(mask), [5, 2, 26, 19])


def test_the_box_of_an_empty_mask_is_unknown():
    assert np.isnan(mask_to_box(np.zeros((4, 5), bool))).all()


@given(st.lists(st.tuples(st.floats(-99, 99), st.floats(-99, 99)), min_size=3, max_size=8))
def test_the_box_of_a_polygon_holds_every_corner_and_touches_four(corners):
    box = polygon_to_box(np.array(corners).reshape(-1))
    x, y = np.array(corners).T
    np.testing.assert_array_equal(box, [min(x), min(y), max(x), max(y)])


def test_boxes_of_polygons_come_in_rows_and_keep_nan():
    rows = np.array([[0.0, 1, 2, 3, 4, 5, 6, 7], [0, 0, np.nan, 0, 1, 1, 0, 1]])
    boxes = polygon_to_box(rows)
    np.testing.assert_array_equal(boxes[0], [0, 1, 6, 7])
    assert np.isnan(boxes[1, [0, 2]]).all()
