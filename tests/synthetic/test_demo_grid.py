"""Many made clips in one picture."""

import numpy as np
import pytest

from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.synthetic.made_crowd import HEIGHT, WIDTH, make_demo_grid


def test_each_target_is_in_a_clip_of_its_own() -> None:
    images, boxes = make_demo_grid(5, 2)
    assert (len(images), images[0].shape, boxes.shape) == (2, (2 * HEIGHT, 3 * WIDTH, 3), (2, 5, 4))
    clip = make_demo_clip(
        seed=4, frames=2, width=WIDTH, height=HEIGHT
    )  # the second of the second row
    place = images[1][HEIGHT:, WIDTH : 2 * WIDTH]
    np.testing.assert_array_equal(place, clip.images[1])
    np.testing.assert_allclose(boxes[1, 4] - (WIDTH, HEIGHT, WIDTH, HEIGHT), clip.boxes[1])
    assert not images[1][HEIGHT:, 2 * WIDTH :].any()


def test_a_crowd_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 3"):
        make_demo_grid(0, 3)
