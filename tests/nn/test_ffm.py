"""FFM against the double sum over pairs of fields."""

import itertools

import numpy as np
import pytest
import torch

from dagfm.nn.ffm import FFM


@pytest.mark.parametrize(("fields", "size"), [(1, 1), (1, 4), (2, 3), (5, 1), (6, 3)])
def test_ffm_multiplies_what_two_fields_show_each_other(fields, size):
    network = FFM(fields, size).double()
    network.bias.data.fill_(0.7)
    x = torch.randn(4, fields, size + network.extra_columns, dtype=torch.float64)
    assert x.shape[2] == max(fields - 1, 1) * size + 1

    def shown(e, field, to):
        place = [other for other in range(fields) if other != field].index(to)
        return e[field, place * size : (place + 1) * size]

    expected = [
        0.7 + e[:, -1].sum() + sum(shown(e, i, j) @ shown(e, j, i) for i, j in itertools.combinations(range(fields), 2))
        for e in x.numpy()
    ]
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(network, x.requires_grad_())


def test_multiply_adds_are_those_of_the_pairs():
    assert FFM(7, 16).multiply_adds == 21 * 16
