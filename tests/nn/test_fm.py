"""The factorization machine against the double sum."""

import itertools

import numpy as np
import pytest
import torch

from dagfm.nn.fm import FM


@pytest.mark.parametrize(("fields", "size"), [(1, 1), (1, 4), (5, 1), (6, 3)])
def test_fm_is_the_sum_over_all_pairs(fields, size):
    network = FM(fields, size).double()
    network.bias.data.fill_(0.7)
    x = torch.randn(4, fields, size + FM.extra_columns, dtype=torch.float64)
    expected = [
        0.7
        + sum(e[f, size] for f in range(fields))
        + sum(e[i, :size] @ e[j, :size] for i, j in itertools.combinations(range(fields), 2))
        for e in x.numpy()
    ]
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(network, x.requires_grad_())
