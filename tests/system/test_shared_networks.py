"""One network in trackers of several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cyclesiam import Tracker

IMAGES = np.random.default_rng(0).integers(0, 255, (4, 120, 160, 3), np.uint8)
BOXES = [(10, 10, 40, 40), (60, 20, 30, 50), (90, 60, 40, 30)]


@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime", "openvino"])
def test_trackers_in_several_threads_share_a_network(runtime):
    pytest.importorskip("torch" if runtime == "pytorch" else runtime)
    network = Tracker(runtime=runtime, threads=1).network

    def track(box):
        tracker = Tracker(network)
        tracker.init(IMAGES[0], box)
        return [tracker.update(image).box for image in IMAGES[1:]]

    alone = [track(box) for box in BOXES]
    with ThreadPoolExecutor(len(BOXES)) as pool:
        together = list(pool.map(track, BOXES))
    np.testing.assert_allclose(together, alone, atol=1e-3)
