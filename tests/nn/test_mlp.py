"""The plain feed-forward network against its definition row by row."""

import numpy as np
import pytest
import torch
from layers import array, hidden, randomised

from dagfm.nn.mlp import MLP


@pytest.mark.parametrize(("fields", "size", "widths"), [(1, 1, (2,)), (3, 1, (4, 3)), (4, 3, (5, 2, 3))])
def test_mlp_is_a_linear_unit_on_hidden_layers(fields, size, widths):
    network = randomised(MLP(fields, size, widths, dropout=0.5, batch_norm=True))
    x = torch.randn(3, fields, size, dtype=torch.float64)
    (v,), bias = array(network.head.weight), network.head.bias.item()
    expected = [v @ hidden(network.deep, row.reshape(-1)) + bias for row in x.numpy()]
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-10)


def test_multiply_adds_are_those_of_the_hidden_layers():
    assert MLP(39, 16, (400, 300)).multiply_adds == 39 * 16 * 400 + 400 * 300
