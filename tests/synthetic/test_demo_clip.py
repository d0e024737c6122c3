import numpy as np
import pytest

from cyclesiam.synthetic.demo_clip import (
    GRID_HEIGHT,
    GRID_WIDTH,
    DemoPose,
    DemoSprite,
    composite_sprite,
    make_demo_clip,
    make_demo_grid,
    sprite_box,
)


@pytest.fixture(scope="module")
def clip():
    return make_demo_clip(frames=120, width=160, height=120)


def test_frames_and_boxes(clip):
    assert len(clip.images) == 120
    assert clip.boxes.shape == (120, 4)
    for image in clip.images:
        assert (image.shape, image.dtype) == ((120, 160, 3), np.uint8)


def test_the_same_seed_gives_the_same_clip(clip):
    again = make_demo_clip(frames=5, width=160, height=120)
    np.testing.assert_array_equal(again.images, clip.images[:5])  # shorter: the beginning
    np.testing.assert_array_equal(again.boxes, clip.boxes[:5])
    other = make_demo_clip(seed=1, frames=1, width=160, height=120)
    assert not np.array_equal(other.images[0], clip.images[0])


@pytest.mark.parametrize("seed", range(4))
def test_the_target_stays_inside_and_moves_smoothly(seed):
    boxes = make_demo_clip(seed, frames=120, width=96, height=72).boxes
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (96, 72)).all()
    centers, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    assert np.hypot(*np.diff(centers, axis=0).T).max() < 0.35 * sizes.min()
    assert sizes.prod(1).max() / sizes.prod(1).min() > 1.5**2  # it comes nearer and goes away


def test_the_target_is_where_the_box_says(clip):
    warm = [image[..., 0].astype(int) - image[..., 1] for image in clip.images]
    inside = []
    for redness, (x1, y1, x2, y2) in zip(warm, clip.boxes.round().astype(int), strict=True):
        is_target = redness > 60  # only its shell is that orange
        inside.append(is_target[y1:y2, x1:x2].sum() / max(1, is_target.sum()))
    assert np.mean(inside) > 0.99


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.1])
def test_the_outline_box_is_the_opaque_part(angle):
    corners = np.array([[-1.0, -0.5], [1.0, -0.5], [1.0, 0.5], [-1.0, 0.5]])
    opacity = np.zeros((60, 60), np.float32)
    opacity[20:40, 10:50] = 1  # 20 sprite pixels a unit, 2 a pixel: the radius is 10
    sprite = DemoSprite(np.full((60, 60, 3), 255, np.float32), opacity, corners, radius=10.0)
    pose = DemoPose(x=40.3, y=30.6, scale=1.3, angle=angle)
    image = composite_sprite(np.zeros((60, 80, 3), np.float32), sprite, pose, shadow=False)
    rows, columns = np.nonzero(image[..., 0] > 127)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(sprite_box(sprite, pose), found, atol=1.0)


def test_a_clip_has_a_least_size():
    with pytest.raises(ValueError, match="too small"):
        make_demo_clip(frames=0)


def test_each_target_is_in_a_clip_of_its_own():
    images, boxes = make_demo_grid(5, 2)
    assert (len(images), images[0].shape, boxes.shape) == (
        2,
        (2 * GRID_HEIGHT, 3 * GRID_WIDTH, 3),
        (2, 5, 4),
    )
    clip = make_demo_clip(
        seed=4, frames=2, width=GRID_WIDTH, height=GRID_HEIGHT
    )  # the second of the second row
    place = images[1][GRID_HEIGHT:, GRID_WIDTH : 2 * GRID_WIDTH]
    np.testing.assert_array_equal(place, clip.images[1])
    np.testing.assert_allclose(
        boxes[1, 4] - (GRID_WIDTH, GRID_HEIGHT, GRID_WIDTH, GRID_HEIGHT), clip.boxes[1]
    )
    assert not images[1][GRID_HEIGHT:, 2 * GRID_WIDTH :].any()


def test_a_crowd_of_nobody_is_refused():
    with pytest.raises(ValueError, match="got 0 and 3"):
        make_demo_grid(0, 3)
