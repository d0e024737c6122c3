import pytest
import torch
import torch.nn.functional as F

from cyclesiam.models.correlation import (
    DepthwiseCorrelation,
    cross_correlate_depthwise,
    cross_correlate_pixelwise,
)


def make_pair(B=2, C=3, H=6, W=5, h=3, w=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    search = torch.randn(B, C, H, W, generator=generator, dtype=dtype, requires_grad=True)
    template = torch.randn(B, C, h, w, generator=generator, dtype=dtype, requires_grad=True)
    return search, template


def correlate_slowly(search, template):
    B, C, H, W = search.shape
    h, w = template.shape[-2:]
    response = search.new_zeros(B, C, H - h + 1, W - w + 1)
    for y in range(H - h + 1):
        for x in range(W - w + 1):
            window = search[..., y : y + h, x : x + w]
            response[..., y, x] = (window * template).sum(dim=(-2, -1))
    return response


@pytest.mark.parametrize("shape", [{}, {"h": 6, "w": 5}, {"h": 1, "w": 1}, {"B": 1, "C": 1}])
def test_it_is_a_sliding_product(shape):
    search, template = make_pair(**shape)
    torch.testing.assert_close(
        cross_correlate_depthwise(search, template), correlate_slowly(search, template)
    )


@pytest.mark.parametrize("shape", [{}, {"h": 6, "w": 5}, {"h": 1, "w": 1}])
def test_its_gradients_are_those_of_finite_differences(shape):
    assert torch.autograd.gradcheck(cross_correlate_depthwise, make_pair(**shape))


def test_its_gradients_are_those_of_the_librarys_convolution():
    search, template = make_pair(H=9, W=9, h=7, w=7, dtype=torch.float32)
    B, C = search.shape[:2]
    plain = F.conv2d(search.reshape(1, B * C, 9, 9), template.reshape(-1, 1, 7, 7), groups=B * C)
    ours = cross_correlate_depthwise(search, template)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    expected = torch.autograd.grad(plain.reshape(ours.shape), (search, template), weight)
    gradients = torch.autograd.grad(ours, (search, template), weight)
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_gradient_flows_to_one_alone():
    search, template = make_pair()
    (gradient,) = torch.autograd.grad(
        cross_correlate_depthwise(search, template.detach()).sum(), search
    )
    assert gradient.shape == search.shape


def test_the_pixelwise_correlation_compares_every_pair_of_cells():
    search, template = make_pair()
    cells = template.flatten(2).mT  # (2, 6, 3)
    similarity = cross_correlate_pixelwise(search, cells)
    assert similarity.shape == (2, 6, 6, 5)
    for b, cell, y, x in [(0, 0, 0, 0), (1, 5, 2, 4), (1, 3, 5, 1)]:
        expected = template[b, :, cell // 2, cell % 2] @ search[b, :, y, x]
        torch.testing.assert_close(similarity[b, cell, y, x], expected)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_the_adapter_keeps_the_response_size(kernel_size):
    correlation = DepthwiseCorrelation(4, 6, kernel_size)
    kernel = correlation.adapt_template(torch.rand(2, 4, 3, 3))
    assert correlation(kernel, torch.rand(2, 4, 9, 9)).shape == (2, 6, 7, 7)


def test_it_trains_under_automatic_bfloat16():
    correlation = DepthwiseCorrelation(2, 2, 1)
    with torch.autocast("cpu", torch.bfloat16):
        kernel = correlation.adapt_template(torch.rand(1, 2, 2, 2))
        response = correlation(kernel, torch.rand(1, 2, 4, 4))
    response.float().sum().backward()
    assert all(parameter.grad is not None for parameter in correlation.parameters())
