"""FwFM against the double sum over pairs of fields."""

import itertools

import numpy as np
import pytest
import torch

from dagfm.nn.fm import FM
from dagfm.nn.fwfm import FwFM


@pytest.mark.parametrize(("fields", "size"), [(1, 1), (1, 4), (2, 3), (5, 1), (6, 3)])
def test_fwfm_weighs_every_pair(fields, size):
    network = FwFM(fields, size).double()
    network.bias.data.fill_(0.7)
    network.weight.data.normal_()
    x = torch.randn(4, fields, size + FwFM.extra_columns, dtype=torch.float64)
    weight = dict(zip(itertools.combinations(range(fields), 2), network.weight.tolist(), strict=True))
    expected = [
        0.7 + e[:, size].sum() + sum(weight[i, j] * (e[i, :size] @ e[j, :size]) for i, j in weight) for e in x.numpy()
    ]
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x, weight: network(x), (x.requires_grad_(), network.weight))


def test_a_fresh_one_is_an_fm():
    x = torch.randn(7, 5, 4)
    torch.testing.assert_close(FwFM(5, 3)(x), FM(5, 3)(x))


def test_multiply_adds_are_those_of_the_pairs():
    assert FwFM(7, 16).multiply_adds == 21 * 17
