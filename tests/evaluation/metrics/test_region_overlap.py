import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.evaluation.metrics.region_overlap import region_overlap, region_overlaps
from cyclesiam.evaluation.metrics.regions import RegionMask, is_code

C_RULES = ["pysot", "matlab_2019"]
ALL_RULES = [*C_RULES, "vot_toolkit"]
BOUNDS = [None, (30, 20), (29, 19)]

place, side = st.floats(-15, 40, width=32), st.floats(0, 25, width=32)
rectangle = st.tuples(place, place, side, side).map(np.array)
whole_rectangle = st.tuples(
    st.integers(-8, 30), st.integers(-8, 20), st.integers(1, 15), st.integers(1, 15)
).map(lambda numbers: np.array(numbers, float))
quad = st.lists(place, min_size=8, max_size=8).map(np.array)
region = st.one_of(rectangle, quad, st.just(np.array([2.0])))
rules = st.sampled_from(ALL_RULES)
bounds = st.sampled_from(BOUNDS)


def corners(rectangle, less):
    x, y, w, h = rectangle
    return np.array([x, y, x + w - less, y, x + w - less, y + h - less, x, y + h - less])


@pytest.mark.parametrize(
    ("tool", "limits", "overlap"),
    [
        ("pysot", None, 6 / 16),  # columns 0..10 and 5..15
        ("matlab_2019", None, 5 / 15),  # 0..9 and 5..14
        ("vot_toolkit", None, 5 / 15),
        ("matlab_2019", (9, 99), 5 / 10),  # the last column is 9
        ("matlab_2019", (10, 99), 5 / 11),
        ("vot_toolkit", (10, 99), 5 / 10),  # the image has ten columns
    ],
)
def test_rectangles_counted_by_hand(tool, limits, overlap):
    a, b = np.array([0.0, 0, 10, 10]), np.array([5.0, 0, 10, 10])
    assert region_overlap(a, b, limits, tool) == pytest.approx(overlap, abs=1e-7)


@pytest.mark.parametrize(("tool", "pixels"), [("matlab_2019", 14), ("vot_toolkit", 15)])
def test_triangle_in_a_square_counted_by_hand(tool, pixels):
    triangle, square = np.array([0.0, 0, 4, 0, 0, 4]), np.array([0.0, 0, 5, 5])
    assert region_overlap(triangle, square, None, tool) == pytest.approx(pixels / 25)


@given(region, region, bounds, rules)
def test_overlap_is_symmetric(a, b, limits, tool):
    np.testing.assert_equal(region_overlap(a, b, limits, tool), region_overlap(b, a, limits, tool))


@given(region, bounds, rules)
def test_a_region_overlaps_itself_fully_or_is_nowhere(a, limits, tool):
    overlap = region_overlap(a, a, limits, tool)
    assert np.isnan(overlap) or overlap in (0, 1)
    if limits is None and tool == "vot_toolkit" and a.min() >= 1 and len(a) > 4:
        assert overlap == 1


@given(st.lists(st.tuples(region, region), min_size=1, max_size=5), bounds, rules)
def test_many_pairs_are_one_pair_many_times(pairs, limits, tool):
    a, b = zip(*pairs, strict=True)
    single = [region_overlap(one, other, limits, tool) for one, other in pairs]
    np.testing.assert_array_equal(region_overlaps(a, b, limits, tool), single)


@given(rectangle, rectangle, bounds, st.sampled_from(C_RULES))
def test_c_rules_see_a_rectangle_as_its_polygon(a, b, limits, tool):
    less = 1 if tool == "matlab_2019" else 0
    np.testing.assert_equal(
        region_overlap(a, b, limits, tool),
        region_overlap(corners(a, less), corners(b, less), limits, tool),
    )


@given(whole_rectangle, whole_rectangle, st.sampled_from([(30, 20), (25, 15)]))
def test_vot_toolkit_sees_a_whole_rectangle_as_its_polygon_and_its_mask(a, b, limits):
    overlap = region_overlap(a, b, limits, "vot_toolkit")
    assert region_overlap(corners(a, 1), b, limits, "vot_toolkit") == overlap
    x, y, w, h = a.astype(int)
    mask = RegionMask(offset=(x - 1, y), pixels=np.pad(np.ones((h, w), bool), ((0, 2), (1, 0))))
    assert region_overlap(mask, b, limits, "vot_toolkit") == overlap


def test_halves_are_rounded_away_from_zero_in_c_and_to_even_in_vot_toolkit():
    square, shifted = np.array([0.0, 0, 4, 4]), np.array([0.5, 0, 4, 4])
    assert region_overlap(square, shifted, None, "matlab_2019") == pytest.approx(3 / 5)
    assert region_overlap(square, shifted, None, "vot_toolkit") == 1


def test_touching_and_thin_regions():
    a, touching, apart = (np.array([x, 0.0, 10, 10]) for x in (0, 10, 30))
    assert region_overlap(a, touching, None, "pysot") == 0  # although column 10 is in both
    assert region_overlap(a, apart, None, "pysot") == 0
    point = np.array([3.0, 3, 0, 0])
    assert np.isnan(region_overlap(point, point, None, "pysot"))
    assert region_overlap(point, point, None, "vot_toolkit") == 1


def test_codes():
    code, box = np.array([1.0]), np.array([5.0, 5, 9, 9])
    assert is_code(code)
    assert is_code(code, 1)
    assert not is_code(code, 2)
    assert not is_code(box)
    assert np.isnan(region_overlap(code, box))
    assert region_overlap(code, box, None, "vot_toolkit") == 0
    assert region_overlap(code, code, None, "vot_toolkit") == 1


def test_empty_masks_overlap_nothing():
    empty = [RegionMask(offset=(at, at), pixels=np.zeros((4, 5), bool)) for at in (10, 12)]
    assert region_overlap(empty[0], empty[1], None, "vot_toolkit") == 0
    assert region_overlap(empty[0], np.array([10.0, 10, 5, 4]), None, "vot_toolkit") == 0


def test_no_pairs():
    assert region_overlaps([], []).shape == (0,)


@pytest.mark.parametrize(
    ("a", "tool", "message"),
    [
        (np.zeros(5), "pysot", "5 numbers"),
        (np.full(4, np.nan), "vot_toolkit", "finite"),
        (RegionMask((0, 0), np.ones((2, 2), bool)), "pysot", "no masks"),
        (np.zeros(4), "iou", "no overlap rules"),
    ],
)
def test_what_is_no_region_is_refused(a, tool, message):
    with pytest.raises(ValueError, match=message):
        region_overlap(a, np.ones(4), None, tool)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="in pairs"):
        region_overlaps([np.ones(4)], [])
