"""CrossNet against a loop over rows and layers."""

import numpy as np
import pytest
import torch

from dagfm.nn.crossnet import CrossNet


@pytest.mark.parametrize(("fields", "size", "depth"), [(1, 1, 1), (1, 3, 2), (4, 1, 3), (3, 5, 5)])
def test_crossnet_is_the_loop_of_its_definition(fields, size, depth):
    network = CrossNet(fields, size, depth).double()
    for parameter in network.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(3, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights, biases, head, head_bias = (parameter.detach().numpy() for parameter in network.parameters())
    expected = []
    for row in x.numpy().reshape(3, -1):
        state = row
        for weight, bias in zip(weights, biases, strict=True):
            state = row * (weight @ state + bias) + state
        expected.append(head[0] @ state + head_bias[0])
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-10)


def test_the_references_w_is_standard_normal_and_ours_is_xavier():
    network = CrossNet(7, 16, 3)
    network.reset_parameters(torch.Generator().manual_seed(0), reference=True)
    assert network.weight.std().item() == pytest.approx(1.0, rel=0.02)
    assert network.head.weight.std().item() == pytest.approx((2 / 113) ** 0.5, rel=0.25)
    assert not network.bias.any() and not network.head.bias.any()
    network.reset_parameters(torch.Generator().manual_seed(0))
    assert network.weight.std().item() == pytest.approx((2 / 224) ** 0.5, rel=0.02)


def test_multiply_adds_are_a_product_a_layer():
    assert CrossNet(39, 16, 3).multiply_adds == 3 * (39 * 16) ** 2
