"""Trackers without training, in a module that other processes can import too."""

import os
import signal
from pathlib import Path

import numpy as np


class Still:
    """Returns its first box in every frame."""

    def init(self, image, box_xywh):
        self.box = box_xywh

    def update(self, image):
        return self.box


class Drift(Still):
    """Moves its box three pixels to the right in every frame."""

    def update(self, image):
        x, y, width, height = self.box
        self.box = x + 3, y, width, height
        return self.box


class Fragile(Still):
    """Stops with an error where a frame is bright; its process dies where it is white."""

    def update(self, image):
        if image.mean() > 250:
            os.kill(os.getpid(), signal.SIGKILL)
        if image.mean() > 150:
            raise RuntimeError("too\nbright")
        return self.box


class Jitter(Still):
    """Shifts its box by a random number of pixels."""

    def update(self, image):
        x, y, width, height = self.box
        return x + np.random.normal(), y, width, height  # noqa: NPY002


class Masks:
    """Returns its first mask, or its first box filled, in every frame."""

    def init(self, image, box_xywh):
        x, y, width, height = (round(side) for side in box_xywh)
        self.mask = np.zeros(image.shape[:2], bool)
        self.mask[y : y + height, x : x + width] = True

    def init_mask(self, image, mask):
        self.mask = mask

    def update(self, image):
        return self.mask


class Counted(Still):
    """Adds a line to a file for each start."""

    log = Path("unset")

    def init(self, image, box_xywh):
        super().init(image, box_xywh)
        with self.log.open("a") as file:
            file.write("started\n")


class NoUpdate:
    """Has no `update`."""

    def init(self, image, box_xywh):
        pass
