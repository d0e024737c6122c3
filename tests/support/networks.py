"""Networks for tests: one that finds the brightest blob, and a small real one."""

import torch
from torch import Tensor

from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.geometry.boxes import cxcywh_to_xyxy
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.numpy_interface import accepts_numpy

# A square target fills half of a template, 40 px, and so does the square anchor, 5 strides.
TINY = NetworkConfig(
    hidden_channels=16, template_size=79, search_size=143, anchors=AnchorConfig(scale=5.0)
)


class BlobNetwork:
    """Propose the bright square in a search crop, and, at half the score, a box in its corner.

    On a dark frame with one bright square, the light's centroid is the square's center and its
    amount the square's area, however it is resampled (but for the darkest rim, a tenth of a pixel).
    """

    template_size = 127
    search_size = 255
    stride = 8
    has_masks = False

    def __init__(self, score: float = 1.0) -> None:
        self.score = score
        self.embedded: list[tuple[Tensor, Tensor]] = []  # crops and boxes that were embedded
        self.searched: list[Tensor] = []

    @accepts_numpy
    def embed(self, crops: Tensor, boxes: Tensor) -> tuple[Tensor, ...]:
        self.embedded.append((crops, boxes))
        return (boxes,)

    @accepts_numpy
    def search(self, template: tuple[Tensor, ...], crops: Tensor) -> Proposals:
        assert len(template[0]) == len(crops)
        self.searched.append(crops)
        light = crops.mean(dim=1) / 255  # (B, S, S)
        light = light.where(light > 0.15, 0)  # the mean color outside the frame is darker
        amount = light.sum(dim=(-2, -1)).clamp(min=1)
        centers = torch.arange(self.search_size) + 0.5
        x = (light.sum(dim=-2) * centers).sum(dim=-1) / amount
        y = (light.sum(dim=-1) * centers).sum(dim=-1) / amount
        blob = cxcywh_to_xyxy(torch.stack((x, y, amount.sqrt(), amount.sqrt()), dim=-1))
        corner = torch.tensor([0.0, 0.0, 60.0, 60.0]).expand_as(blob)
        scores = torch.tensor([self.score / 2, self.score]).expand(len(crops), -1)
        return Proposals(torch.stack((corner, blob), dim=1), scores)


def bright_square(box: tuple[int, int, int, int], height: int = 200, width: int = 240) -> Tensor:
    """Return a dark (3, H, W) uint8 frame in which the box (xyxy, whole pixels) is white."""
    frame = torch.zeros(3, height, width, dtype=torch.uint8)
    x0, y0, x1, y1 = box
    frame[:, y0:y1, x0:x1] = 255
    return frame
