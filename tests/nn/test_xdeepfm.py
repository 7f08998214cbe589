"""xDeepFM against the sum of its three parts, each as a loop."""

import numpy as np
import pytest
import torch
from layers import array, hidden, randomised

from dagfm.nn.cin import CIN
from dagfm.nn.xdeepfm import XDeepFM


def cin(network, base):
    state, sums = base, []
    for layer in network.layers:
        products = [h * f for h in state for f in base]
        weights = zip(array(layer.weight), array(layer.bias), strict=True)
        state = np.array([sum(w * z for w, z in zip(row, products, strict=True)) + b for row, b in weights])
        sums.extend(state.sum(1))
    return array(network.head.weight)[0] @ np.array(sums)


@pytest.mark.parametrize(
    ("fields", "size", "maps", "widths"),
    [(1, 1, (1,), (2,)), (3, 1, (2, 3), ()), (1, 3, (2, 1, 2), (3, 2)), (4, 3, (3, 2, 4), (5, 4))],
)
def test_xdeepfm_is_the_sum_of_its_parts(fields, size, maps, widths):
    network = randomised(XDeepFM(fields, size, maps, widths, dropout=0.5))
    x = torch.randn(3, fields, size + XDeepFM.extra_columns, dtype=torch.float64)
    expected = []
    for row in x.numpy():
        vectors, first_order = row[:, :size], row[:, size]
        total = network.bias.item() + sum(first_order) + cin(network.cin, vectors)
        if widths:
            total += array(network.head.weight)[0] @ hidden(network.deep, vectors.reshape(-1))
        expected.append(total)
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


def test_multiply_adds_are_those_of_cin_and_hidden_layers():
    expected = CIN(7, 16, (64, 32)).multiply_adds + 112 * 400 + 400 * 300
    assert XDeepFM(7, 16, (64, 32), (400, 300)).multiply_adds == expected
