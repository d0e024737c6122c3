"""A network that is loaded in one process and used in another that was forked from it."""

import os
import subprocess
import sys

import pytest

from support import ROOT

PROGRAM = """
import multiprocessing
import numpy as np
from cyclesiam import Tracker
from cyclesiam.threads import set_num_threads

set_num_threads(2)
image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
boxes = [(10, 10, 40, 40), (60, 20, 30, 50)]
tracker = Tracker(runtime={runtime!r})

def track(count):
    tracker.start(image, boxes[:count])
    return [result.box for result in tracker.step(image)]

expected = [track(1), track(2)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map_async(track, [1, 2]).get(timeout=100)
np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), atol=0.01)
"""


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there are no safe forks")
@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime", "openvino"])
def test_a_network_works_in_a_fork(runtime):
    pytest.importorskip("torch" if runtime == "pytorch" else runtime)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(runtime=runtime)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stderr
