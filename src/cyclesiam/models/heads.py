"""Heads: what a response says about score and box at every position."""

from torch import Tensor, nn

from cyclesiam.models.correlation import DepthwiseCorrelation


class Branch(nn.Module):
    """One task of the tracker: adapt, correlate, predict.

    Args:
        in_channels: channels of the backbone's features.
        hidden_channels: channels of the response.
        out_channels: numbers predicted at each position.
        kernel_size: of the adapting convolutions.
        response_kernel: of the first convolution over the response. 1 in SiamRPN++; 3 sees how
            wide the peak of the response is, which tells the size of the target.

    Source: SiamRPN++ (Li et al., CVPR 2019), figure 3.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        kernel_size: int,
        response_kernel: int = 1,
    ) -> None:
        super().__init__()
        padding = response_kernel // 2
        self.correlation = DepthwiseCorrelation(in_channels, hidden_channels, kernel_size)
        self.normalise = nn.BatchNorm2d(hidden_channels)  # a sum of 49 products has no scale
        self.predict = nn.Sequential(
            nn.Conv2d(
                hidden_channels, hidden_channels, response_kernel, padding=padding, bias=False
            ),
            nn.BatchNorm2d(hidden_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_channels, out_channels, 1),
        )

    def embed(self, template: Tensor) -> Tensor:
        """Turn (B, C, h, w) template features into the branch's (B, hidden, h, w) kernels."""
        return self.correlation.adapt_template(template)

    def forward(
        self, kernel: Tensor, search: Tensor, modulation: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Predict (B, out, H - h + 1, W - w + 1) maps.

        Args:
            kernel: (B, hidden, h, w) from `embed`.
            search: (B, C, H, W) features.
            modulation: gain and shift of the response, each (B, hidden, 1, 1).
        """
        response = self.normalise(self.correlation(kernel, search))
        if modulation is not None:
            gain, shift = modulation
            response = response * (1 + gain) + shift
        return self.predict(response)


class ShapePrior(nn.Module):
    """Tell the branches how wide and high the target is in its template.

    A template alone leaves that open: a box on half a wheel and one on the wheel can have the
    same middle. The size of the first box, as a gain and a shift of each channel of the
    response, settles it for next to no arithmetic.

    Args:
        hidden_channels: channels of the response.
        branches: how many branches are told.

    Source: FiLM (Perez et al., AAAI 2018), for the form.
    """

    def __init__(self, hidden_channels: int, branches: int) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        last = nn.Linear(32, 2 * branches * hidden_channels)
        self.layers = nn.Sequential(nn.Linear(2, 32), nn.ReLU(inplace=True), last)
        nn.init.zeros_(last.weight)  # at first it says nothing
        nn.init.zeros_(last.bias)

    def forward(self, sizes: Tensor) -> Tensor:
        """Give gain and shift of each branch, (B, branches, 2, hidden, 1, 1).

        Args:
            sizes: (B, 2) logarithms of relative width and height.
        """
        return self.layers(sizes).reshape(len(sizes), -1, 2, self.hidden_channels, 1, 1)
