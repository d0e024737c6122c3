"""The guided filter, against OpenCV's, which is in its contrib packages."""

import cv2
import numpy as np
import pytest

from cyclesiam.tracking.guided_filter import guided_filter

pytestmark = pytest.mark.skipif(
    not hasattr(cv2, "ximgproc"), reason="this OpenCV is without contrib"
)


def guides():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (61, 47, 3), np.uint8)
    yield "noise", noise
    yield "smooth", cv2.GaussianBlur(noise, (0, 0), 3)
    yield "flat", np.full_like(noise, 200)
    yield "gray", np.repeat(cv2.GaussianBlur(noise, (0, 0), 2)[..., :1], 3, axis=2)


@pytest.mark.parametrize(("name", "guide"), [*guides()], ids=[name for name, _ in guides()])
@pytest.mark.parametrize(("radius", "epsilon"), [(10, 4.0), (4, 100.0), (1, 1.0)])
def test_it_is_the_filter_of_opencv(name, guide, radius, epsilon):
    values = cv2.GaussianBlur(
        (np.random.default_rng(1).random(guide.shape[:2]) > 0.5).astype(np.float32), (0, 0), 4
    )
    expected = cv2.ximgproc.guidedFilter(guide, values, radius, epsilon)
    found = guided_filter(guide, values, radius, epsilon)
    assert found.dtype == np.float32
    # Gray guides have a singular matrix of covariances, where rounding shows.
    np.testing.assert_allclose(found, expected, atol=1e-3 if name == "gray" else 2e-5)


def test_edges_follow_the_guide():
    guide = np.zeros((40, 40, 3), np.uint8)
    guide[:, 20:] = 200
    values = np.zeros((40, 40), np.float32)
    values[:, 23:] = 1  # three pixels beside the edge
    found = guided_filter(guide, values, 8, 4.0)
    assert abs(np.diff(found, axis=1)).argmax(axis=1).tolist() == [19] * 40
