"""Make the moving picture of the README from what `cyclesiam demo` wrote.

.venv/bin/python scripts/demo_picture.py [runs/demo/demo.mp4] [docs/demo.gif]
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cyclesiam.video import open_frames

WIDTH = 320  # pixels
STEP = 3  # every third frame
MILLISECONDS = 120  # that each is shown
COLORS = 64
DEFAULTS = ("runs/demo/demo.mp4", "docs/demo.gif")


def main() -> None:
    source, output = (*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :])
    images = []
    with open_frames(source) as frames:
        for frame in frames:
            if frame.index % STEP == 0:
                images.append(shrink(frame.image))
    images[0].save(output, save_all=True, append_images=images[1:], duration=MILLISECONDS, loop=0)
    print(f"{output}: {len(images)} pictures, {Path(output).stat().st_size / 1e6:.2f} MB")


def shrink(image: np.ndarray) -> Image.Image:
    """Return an RGB image at the size and with the few colors of the picture."""
    height = round(image.shape[0] * WIDTH / image.shape[1])
    small = Image.fromarray(image).resize((WIDTH, height))
    return small.quantize(COLORS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
