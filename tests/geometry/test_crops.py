import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.geometry.crops import (
    boxes_to_crop,
    boxes_to_image,
    context_windows,
    crop,
    crop_to_image_matrix,
    crop_with_grid_sample,
    crop_with_opencv,
    slice_window,
)

H, W = 120, 160

WINDOWS = {
    "inside": [80.0, 60.0, 60.0, 60.0],
    "off the grid": [80.3, 59.7, 47.0, 51.3],
    "over the left edge": [5.0, 60.0, 60.0, 60.0],
    "over the lower right corner": [155.0, 115.0, 80.0, 80.0],
    "tiny": [80.0, 60.0, 3.0, 3.0],
    "larger than the frame": [80.0, 60.0, 500.0, 500.0],
    "outside": [-400.0, 60.0, 60.0, 60.0],
    "stretched": [80.0, 60.0, 120.0, 20.0],
}


def smooth_image() -> torch.Tensor:
    """Return (1, 3, H, W) uint8 that changes by at most 6 gray levels a pixel."""
    y, x = torch.meshgrid(torch.arange(H).float(), torch.arange(W).float(), indexing="ij")
    waves = torch.stack((torch.sin(x / 25), torch.cos(y / 20), torch.sin((x + y) / 30)))
    return (127.5 + 120 * waves).round().to(torch.uint8)[None]


def noise_image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, 15, 15), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("name", WINDOWS)
def test_both_implementations_agree(name):
    image, windows = smooth_image(), torch.tensor([WINDOWS[name]])
    warped, sampled = (
        method(image, windows, 63) for method in (crop_with_opencv, crop_with_grid_sample)
    )
    difference = (warped - sampled).abs()
    # OpenCV rounds to whole gray levels: 0.5. Before version 5 it also placed samples to 1/32 pixel
    # only: up to 1/64 off along x and y, times 6 gray levels a pixel, is 0.2 more. At the frame's
    # edge the step to the mean color is up to 128 levels in one pixel: 1/64 of that, twice.
    shows_the_edge = name.startswith(("over", "larger"))
    assert difference.max() <= (4.7 if shows_the_edge else 0.7)
    assert difference.mean() <= 0.5


@pytest.mark.parametrize("method", [crop_with_opencv, crop_with_grid_sample])
def test_the_identity_window_gives_the_image(method):
    image = noise_image()
    crops = method(image, torch.tensor([[7.5, 7.5, 15.0, 15.0]]), 15)
    torch.testing.assert_close(crops, image.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", [crop_with_opencv, crop_with_grid_sample])
def test_a_window_on_the_grid_gives_its_pixels(method):
    image = noise_image()
    crops = method(image, torch.tensor([[6.5, 8.5, 5.0, 5.0]]), 5)  # columns 4..8, rows 6..10
    torch.testing.assert_close(crops, image[..., 6:11, 4:9].float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", [crop_with_opencv, crop_with_grid_sample])
def test_outside_the_frame_is_its_mean_color(method):
    image = smooth_image()
    crops = method(image, torch.tensor([WINDOWS["outside"]]), 9)
    mean = image.float().mean(dim=(-2, -1))[..., None, None].expand_as(crops)
    torch.testing.assert_close(crops, mean, rtol=0, atol=0.51)


@pytest.mark.parametrize("method", [crop_with_opencv, crop_with_grid_sample])
def test_many_windows_of_one_frame_or_one_of_each(method):
    image = smooth_image()
    frames = torch.cat((image, image.flip(-1)))
    windows = torch.tensor([WINDOWS["inside"], WINDOWS["off the grid"]])
    shared = method(image, windows, 31)
    each = method(frames, windows, 31)
    torch.testing.assert_close(shared[:1], method(image, windows[:1], 31))
    torch.testing.assert_close(shared[0], each[0])
    torch.testing.assert_close(each[1:], method(frames[1:], windows[1:], 31))


def test_crop_needs_one_frame_or_one_for_each_window():
    with pytest.raises(ValueError, match="3 windows need 1 or as many frames, got 2"):
        crop(smooth_image().expand(2, -1, -1, -1), torch.ones(3, 4), 15)


def test_context_window_by_hand():
    # p = 30; sqrt((20 + 30)(40 + 30))
    window = context_windows(torch.tensor([10.0, 20.0, 30.0, 60.0]), scale=2)
    side = 2 * math.sqrt(50 * 70)
    torch.testing.assert_close(window, torch.tensor([20.0, 40.0, side, side]))


def test_a_square_target_fills_half_of_its_template():
    boxes = torch.tensor([[0.0, 0.0, 40.0, 40.0]])
    in_crop = boxes_to_crop(boxes, context_windows(boxes), 127)
    torch.testing.assert_close(in_crop, torch.tensor([[127 / 4, 127 / 4, 381 / 4, 381 / 4]]))


@given(
    st.tuples(*[st.floats(-200, 200)] * 4),
    st.tuples(*[st.floats(-200, 200)] * 2, *[st.floats(2, 400)] * 2),
)
def test_boxes_to_image_inverts_boxes_to_crop(box, window):
    boxes = torch.tensor([box], dtype=torch.float64)
    windows = torch.tensor([window], dtype=torch.float64)
    there = boxes_to_crop(boxes, windows, 255)
    torch.testing.assert_close(boxes_to_image(there, windows, 255), boxes, rtol=0, atol=1e-6)


def test_a_window_is_its_whole_crop():
    window = torch.tensor([[50.0, 40.0, 20.0, 10.0]])
    corners = torch.tensor([[40.0, 35.0, 60.0, 45.0]])
    torch.testing.assert_close(
        boxes_to_crop(corners, window, 127), torch.tensor([[0.0, 0, 127, 127]])
    )


def test_the_matrix_maps_the_centers_of_corner_pixels():
    # A window 40 wide from x = 10, in 20 pixels: pixel 0 is centered 11 px right of the frame's
    # edge, which is pixel index 10.5.
    matrix = crop_to_image_matrix((30.0, 25.0, 40.0, 30.0), (20, 30))
    assert matrix.tolist() == [[2, 0, 10.5], [0, 1, 10]]


def test_a_marked_box_is_found_where_its_crop_says():
    image = torch.zeros(1, 3, H, W, dtype=torch.uint8)
    image[..., 40:60, 70:100] = 255
    windows = torch.tensor([[80.0, 55.0, 70.0, 70.0]])
    bright = crop(image, windows, 140)[0, 0] > 127
    rows, columns = bright.any(dim=1).nonzero(), bright.any(dim=0).nonzero()
    expected = boxes_to_crop(torch.tensor([[70.0, 40.0, 100.0, 60.0]]), windows, 140)[0]
    found = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
    torch.testing.assert_close(found, expected, rtol=0, atol=0.51)


@pytest.mark.parametrize("corner", [(2, 1), (-2, 3), (5, -1), (-1, 4)])
def test_a_sliced_window_is_filled_outside_of_the_maps(corner):
    maps = torch.arange(2 * 3 * 7 * 8).reshape(2, 3, 7, 8)
    padded = torch.nn.functional.pad(maps, (4,) * 4, value=-1)
    x, y = (edge + 4 for edge in corner)
    sliced = slice_window(maps, corner, 4, fill=-1)
    assert torch.equal(sliced, padded[..., y : y + 4, x : x + 4])
