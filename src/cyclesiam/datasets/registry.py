"""Every dataset by its name: what reads the folder of `--root`.

`TRACKING_DATASETS` read sequences with a box a frame, `SEGMENTATION_DATASETS` sequences with label
maps. DAVIS is in both.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cyclesiam.datasets.davis import DAVIS2016, DAVIS2017
from cyclesiam.datasets.got10k import GOT10k
from cyclesiam.datasets.imagenet_vid import ImageNetVID
from cyclesiam.datasets.lasot import LaSOT
from cyclesiam.datasets.otb import OTB
from cyclesiam.datasets.segmentation_sequences import BoxesFromMasks, SegmentationDataset
from cyclesiam.datasets.sequences import TrackingDataset
from cyclesiam.datasets.trackingnet import TrackingNet
from cyclesiam.datasets.uav123 import UAV123
from cyclesiam.datasets.vot import VOT
from cyclesiam.datasets.youtube_vos import YouTubeVOS


def _davis2016_boxes(root: Path) -> TrackingDataset:
    return BoxesFromMasks(DAVIS2016(root))


def _davis2017_boxes(root: Path) -> TrackingDataset:
    return BoxesFromMasks(DAVIS2017(root))


TRACKING_DATASETS: dict[str, Callable[[Path], TrackingDataset]] = {
    "otb": OTB,
    "otb2013": partial(OTB, subset="otb2013"),
    "otb50": partial(OTB, subset="otb50"),
    "otb100": partial(OTB, subset="otb100"),
    "uav123": UAV123,
    "uav123_10fps": partial(UAV123, version="UAV123_10fps"),
    "lasot": LaSOT,
    "got10k": GOT10k,
    "trackingnet": TrackingNet,
    "vot2016": VOT,
    "vot2018": VOT,
    "vid": ImageNetVID,
    "davis2016": _davis2016_boxes,
    "davis2017": _davis2017_boxes,
}
"""Name of a benchmark to what reads its root folder as boxes."""

SEGMENTATION_DATASETS: dict[str, Callable[[Path], SegmentationDataset]] = {
    "davis2016": DAVIS2016,
    "davis2017": DAVIS2017,
    "youtubevos": YouTubeVOS,
}
"""Name of a benchmark to what reads its root folder as label maps."""
