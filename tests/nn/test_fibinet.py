"""FiBiNET against a loop over rows and pairs of fields."""

import itertools

import numpy as np
import pytest
import torch
from layers import array, hidden, randomised

from dagfm.nn.fibinet import FiBiNET


def pairs(kind, vectors, weight):
    found = []
    for pair, (i, j) in enumerate(itertools.combinations(range(len(vectors)), 2)):
        matrix = weight[{"all": 0, "each": i, "interaction": pair}[kind]]
        found.extend((matrix @ vectors[i]) * vectors[j])
    return found


@pytest.mark.parametrize("kind", ["all", "each", "interaction"])
@pytest.mark.parametrize(
    ("fields", "size", "reduction", "widths"),
    [(2, 1, 3, (2,)), (3, 1, 1, ()), (2, 3, 2, (3, 2)), (5, 3, 2, (5, 4))],
)
def test_fibinet_is_the_loop_of_its_definition(kind, fields, size, reduction, widths):
    network = randomised(FiBiNET(fields, size, kind, reduction, widths, dropout=0.5, batch_norm=True))
    assert network.squeeze.shape == (max(1, fields // reduction), fields)
    plain, of_senet = array(network.bilinear)
    x = torch.randn(4, fields, size + FiBiNET.extra_columns, dtype=torch.float64)
    expected = []
    for row in x.numpy():
        vectors, first_order = row[:, :size], row[:, size]
        z = [sum(vector) / size for vector in vectors]
        excited = np.maximum(array(network.excite) @ np.maximum(array(network.squeeze) @ z, 0), 0)
        reweighed = [a * vector for a, vector in zip(excited, vectors, strict=True)]
        both = np.array([*pairs(kind, vectors, plain), *pairs(kind, reweighed, of_senet)])
        last = hidden(network.deep, both)
        expected.append(array(network.head.weight)[0] @ last + network.head.bias.item() + sum(first_order))
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


def test_one_field_has_its_first_order_weight_alone():
    network = randomised(FiBiNET(1, 3, "interaction", 3, (4,)))
    x = torch.randn(5, 1, 4, dtype=torch.float64)
    constant = network(torch.zeros(1, 1, 4, dtype=torch.float64))
    torch.testing.assert_close(network(x), x[:, 0, 3] + constant)


def test_every_matrix_is_drawn_by_itself():
    network = FiBiNET(4, 100, "interaction", 3, (5,))
    assert network.bilinear.std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.02)


@pytest.mark.parametrize(("kind", "matrices"), [("all", 6), ("each", 6), ("interaction", 21)])
def test_multiply_adds_are_those_of_senet_matrices_products_and_hidden_layers(kind, matrices):
    network = FiBiNET(7, 16, kind, 3, (400,))
    assert network.multiply_adds == 2 * 7 * 2 + 7 * 16 + 2 * (matrices * 256 + 21 * 16) + 2 * 21 * 16 * 400
