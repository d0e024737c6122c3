import numpy as np
import pytest

from cyclesiam.evaluation.metrics.regions import RegionArray, RegionMask

CODE, OTHER = np.array([1.0]), np.array([2.0])
BOX, QUAD = np.array([0.0, 1, 2, 3]), np.arange(8.0)
MASK = RegionMask(offset=(0, 0), pixels=np.ones((2, 2), bool))


def test_an_array_returns_its_regions():
    regions = [CODE, BOX, QUAD, BOX + 1, OTHER, MASK]
    table = RegionArray.from_regions(regions)
    assert len(table) == 6
    for held, expected in zip(table, regions, strict=True):
        assert held is expected if expected is MASK else np.array_equal(held, expected)
    assert table.frames_with(1) == [0]
    assert table.frames_with(2) == [4]
    assert table.is_code.tolist() == [True, False, False, False, True, False]
    assert RegionArray.from_regions(table) is table


def test_regions_of_a_plain_array():
    table = RegionArray.from_regions(np.stack((BOX, BOX + 1)))
    assert np.array_equal(table[1], BOX + 1)
    assert np.array_equal(table[-2], BOX)
    assert table.frames_with(1) == []


def test_take_frames():
    table = RegionArray.from_regions([CODE, BOX, MASK, QUAD]).take(np.array([3, 2, 1]))
    assert np.array_equal(table[0], QUAD)
    assert table[1] is MASK
    assert np.array_equal(table[2], BOX)


def test_regions_that_exceed_a_size():
    table = RegionArray.from_regions([CODE, BOX, QUAD, BOX + 3, MASK])
    assert table.exceeds(6, 7).tolist() == [False, False, False, True, True]
    assert table.exceeds(2, 4).tolist() == [False, False, True, True, True]
    assert table.exceeds(5.9, 9).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("region", [np.arange(3.0), np.arange(5.0), np.array([0, 0, np.nan, 1])])
def test_an_invalid_region_is_rejected(region):
    with pytest.raises(ValueError, match=r"numbers are no code|must be finite"):
        RegionArray.from_regions([BOX, region])


def test_every_frame_has_one_region():
    with pytest.raises(ValueError, match="1 regions for 2 frames"):
        RegionArray(2, {4: (np.array([0]), BOX[None])})
