"""Batches are drawn by processes that inherit what the training has left over."""

import subprocess
import sys

import numpy as np

from cyclesiam.video.writer import VideoWriter

LEAVE_A_DECODER_AND_LOAD = """
import gc, sys
import av
from cyclesiam.data.clips import BatchRequest, ClipDataset
from cyclesiam.training.loading import load_batches

class Collecting(ClipDataset):
    def __init__(self):
        pass

    def __getitem__(self, request):
        gc.collect()  # as happens at any time
        return request.number

gc.disable()
container = av.open(sys.argv[1])
container.streams.video[0].thread_type = "AUTO"
image = next(container.decode(video=0))
image.to_ndarray(format="rgb24", threads=2)
left_over = [container, image]
left_over.append(left_over)
del container, image, left_over
requests = [BatchRequest(number, 0, 0) for number in range(3)]
print(*load_batches(Collecting(), requests, 1))
"""


def test_a_worker_does_not_wait_for_the_threads_of_a_decoder_left_over(tmp_path):
    video = tmp_path / "clip.mp4"
    with VideoWriter(video, 25) as writer:
        for level in range(5):
            writer.write(np.full((64, 64, 3), 40 * level, np.uint8))
    command = [sys.executable, "-c", LEAVE_A_DECODER_AND_LOAD, str(video)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "0 1 2\n", done.stderr
