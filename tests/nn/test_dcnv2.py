"""DCN V2, parallel and stacked, against loops over rows and layers."""

import numpy as np
import pytest
import torch
from layers import array, hidden, randomised

from dagfm.nn.crossnet import CrossNet
from dagfm.nn.dcnv2 import DCNv2

SHAPES = [(1, 1, 1, (2,)), (1, 3, 2, (4, 2)), (4, 1, 3, (3,)), (3, 2, 2, (5, 4, 3))]


def crossed(network, row):
    state = row
    for weight, bias in zip(array(network.weight), array(network.bias), strict=True):
        state = row * (weight @ state + bias) + state
    return state


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
@pytest.mark.parametrize(("fields", "size", "depth", "widths"), SHAPES)
def test_dcnv2_is_the_loop_of_its_definition(structure, fields, size, depth, widths):
    network = randomised(DCNv2(fields, size, depth, structure, widths, dropout=0.5, batch_norm=True))
    x = torch.randn(3, fields, size, dtype=torch.float64)
    (v,), bias = array(network.head.weight), network.head.bias.item()
    expected = []
    for row in x.numpy().reshape(3, -1):
        cross = crossed(network, row)
        last = [*cross, *hidden(network.deep, row)] if structure == "parallel" else hidden(network.deep, cross)
        expected.append(v @ np.array(last) + bias)
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_without_hidden_layers_it_is_a_crossnet(structure):
    network, crossnet = DCNv2(3, 2, 2, structure, ()), CrossNet(3, 2, 2)
    crossnet.load_state_dict(network.state_dict())
    x = torch.randn(4, 3, 2)
    torch.testing.assert_close(network(x), crossnet(x))
    assert network.multiply_adds == crossnet.multiply_adds


def test_multiply_adds_are_those_of_cross_and_hidden_layers():
    for structure in ("parallel", "stacked"):
        assert DCNv2(7, 16, 3, structure, (400, 300)).multiply_adds == 3 * 112**2 + 112 * 400 + 400 * 300
