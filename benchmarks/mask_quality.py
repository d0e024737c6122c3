"""Compare J and F of masks from the same boxes: filled, GrabCut, coarse, refined.

    .venv/bin/python benchmarks/mask_quality.py --davis DAVIS_ROOT [--weights default]
        [--sheets FOLDER]

One pass over DAVIS-2016 from the box around the first mask. Other annotations only score. In every
frame all masks come from the same box, the tracker's own. `--sheets` writes the first, middle and
last frame of every sequence, with the ground truth outlined in green. The frames belong to
others: do not publish the sheets.
"""

import argparse
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch

from cyclesiam.datasets.davis import DAVIS2016
from cyclesiam.evaluation.metrics.davis import contour_accuracy, region_similarity
from cyclesiam.geometry.masks import box_to_mask, mask_to_box, resolve_overlaps
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.models.numpy_interface import accepts_numpy
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking import segmentation
from cyclesiam.tracking.segmentation import (
    MaskConfig,
    paste_masks,
    replace_implausible_masks,
)
from cyclesiam.tracking.tracker import Tracker, TrackerConfig

CONTEXT = 0.3  # width around the box in GrabCut's crop, over the box's sides
MAX_SIDE = 160  # of GrabCut's crop, in pixels
ITERATIONS = 5
OWN_BOXES = TrackerConfig(mask=MaskConfig(box_weight=0))  # reported boxes are the tracker's


class RecordingNetwork:
    """A network that records the coarse masks of the last frame, and their windows."""

    def __init__(self, network: SiamRPN) -> None:
        self.network = network

    def __getattr__(self, name: str) -> object:
        return getattr(self.network, name)

    @accepts_numpy
    def segment(self, proposals, chosen, color_priors):
        rows = torch.arange(len(chosen))
        boxes = proposals.boxes[rows, chosen]
        logits = self.network.mask_logits(proposals.response, color_priors, rows, chosen, boxes)
        assert logits.coarse is not None
        size = self.network.template_size
        # Coarse masks hold every second pixel, from the second on; the others are interpolated.
        padded = torch.nn.functional.pad(logits.coarse[:, None], (1,) * 4, mode="replicate")
        wide = torch.nn.functional.interpolate(
            padded, size=(size + 2,) * 2, mode="bilinear", align_corners=True
        )
        self.coarse = wide[:, 0, 1:-1, 1:-1].float().sigmoid().numpy()
        return logits.sharp.float().sigmoid()

    def mask_windows(self, chosen):
        return self.network.mask_windows(chosen)

    def paste_masks(self, masks, windows, frame_size):
        """Paste masks as the tracker does, and record their windows."""
        self.windows = windows
        return paste_masks(masks, windows, frame_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network, record = load_weights(options.weights)
    print(f"weights {options.weights}, policy {record.policy}; init: box")
    totals: dict[str, list[tuple[float, float]]] = {}
    for sequence in DAVIS2016(options.davis).sequences():
        masks_by_method: dict[str, list[np.ndarray]] = {}
        truths, overlays = [], []
        recording = RecordingNetwork(network)
        tracker = Tracker(recording, OWN_BOXES)
        for frame, image in enumerate(sequence.images()):
            truths.append(sequence.labels(frame) != 0)
            if frame == 0:
                x0, y0, x1, y1 = mask_to_box(truths[0]).tolist()
                tracker.start(image, [(x0, y0, x1 - x0, y1 - y0)])
                continue
            with mock.patch.object(segmentation, "paste_masks", recording.paste_masks):
                (result,) = tracker.step(image)
            assert result.mask is not None
            size = (image.shape[0], image.shape[1])
            masks = {
                "box, filled": box_to_mask(result.box, size).to_array(),
                "GrabCut in the box": grab_cut(image, result.box),
                "mask head, coarse": coarse(tracker, recording, result.box, size),
                "mask head, refined": result.mask.to_array(),
            }
            for method, mask in masks.items():
                masks_by_method.setdefault(method, []).append(mask)
            overlays.append(overlay(image, result.mask.to_array(), truths[-1]))
        line = []
        for method, found in masks_by_method.items():
            j = float(np.mean(region_similarity(np.stack(found[:-1]), np.stack(truths[1:-1]))))
            pairs = zip(found[:-1], truths[1:-1], strict=True)
            f = float(np.mean([contour_accuracy(*pair) for pair in pairs]))
            totals.setdefault(method, []).append((j, f))
            line.append(f"{j:.3f} {f:.3f}")
        print(f"{sequence.name:22s}", "   ".join(line), flush=True)
        if options.sheets:
            options.sheets.mkdir(parents=True, exist_ok=True)
            row = np.hstack([overlays[k] for k in (0, len(overlays) // 2, -1)])
            path = options.sheets / f"{sequence.name}.jpg"
            cv2.imwrite(str(path), cv2.cvtColor(row, cv2.COLOR_RGB2BGR))
    for method, scores in totals.items():
        j, f = np.mean(scores, axis=0)
        print(f"{method:22s} J {j:.3f}  F {f:.3f}")


def coarse(tracker: Tracker, recording: RecordingNetwork, box, size: tuple[int, int]) -> np.ndarray:
    """Return the coarse mask of the last frame, or the filled box if it is implausible."""
    config = tracker.config.mask
    pasted = paste_masks(recording.coarse, recording.windows, size)
    ((mask, _),) = replace_implausible_masks(
        resolve_overlaps(pasted, size, config.threshold), [box], config
    )
    return mask.to_array()


def grab_cut(image: np.ndarray, box) -> np.ndarray:
    """Return the mask that GrabCut makes of an xyxy box; the filled box if it is empty."""
    x0, y0, x1, y1 = box
    w, h = (x1 - x0) * CONTEXT, (y1 - y0) * CONTEXT
    filled = box_to_mask(box, (image.shape[0], image.shape[1])).to_array()
    left, top = int(max(x0 - w, 0)), int(max(y0 - h, 0))
    part = slice(top, int(max(y1 + h, 1))), slice(left, int(max(x1 + w, 1)))
    crop, inside = np.ascontiguousarray(image[part]), filled[part].astype(np.uint8)
    if (scale := MAX_SIDE / max(inside.shape)) < 1:  # at full size it takes seconds a frame
        crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        inside = cv2.resize(inside, crop.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    cv2.setRNGSeed(0)
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(crop, labels, None, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    except cv2.error:  # the box fills the crop, or lies outside
        return filled
    mask = np.zeros_like(filled)
    found = (labels & 1).astype(np.float32)
    mask[part] = cv2.resize(found, filled[part].shape[::-1]) > 0.5
    return mask if mask.any() else filled


def overlay(image: np.ndarray, mask: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the image with a tinted mask and the outline of the truth, 480 pixels wide."""
    drawn = image.copy()
    drawn[mask] = (drawn[mask] * 0.5 + np.array((255, 60, 0)) * 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(truth.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, contours, -1, (0, 255, 0), 2)
    return cv2.resize(drawn, (480, 480 * image.shape[0] // image.shape[1]))


if __name__ == "__main__":
    main()
