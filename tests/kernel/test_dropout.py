"""Dropout in the compiled kernel: the share that is dropped, by a seed, alike in every version."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dagfm.kernel.dropout import drop
from dagfm.kernel.library import versions
from dagfm.nn.dropout import dropout

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")

ONES = np.ones((1000, 7, 16), np.float32)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_rest_makes_up_for_it(share):
    found = drop(ONES, 5, share)
    assert set(np.unique(found)) <= {np.float32(0), np.float32(1 / (1 - share))}
    assert (found == 0).mean() == pytest.approx(share, abs=0.005)
    for axes in ((1, 2), (0, 2), (0, 1)):
        spread = share * (1 - share) / (found.size / found.shape[3 - sum(axes)])
        assert np.abs((found == 0).mean(axes) - share).max() <= 5 * spread**0.5 + 1e-9


def test_a_seed_says_which_and_another_one_others():
    one, other = drop(ONES, 2**61 + 3, 0.5) == 0, drop(ONES, 2**61 + 4, 0.5) == 0
    assert np.array_equal(one, drop(ONES, 2**61 + 3, 0.5) == 0)
    assert (one & other).mean() == pytest.approx(0.25, abs=0.01)
    assert (one[1:] & one[:-1]).mean() == pytest.approx(0.25, abs=0.01)
    upper = drop(ONES, 2**40 + 3, 0.5) == 0
    assert (one & upper).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("version", versions())
def test_every_version_drops_the_same(version):
    odd = np.arange(1003, dtype=np.float32)
    np.testing.assert_allclose(drop(odd, 9, 0.3, version), drop(odd, 9, 0.3), rtol=1e-6)


def test_gradients_go_where_values_went():
    x = torch.randn(50, 3, 5, requires_grad=True)
    torch.manual_seed(1)
    kept = dropout(x, 0.4)
    kept.backward(torch.ones(5).expand(50, 3, 5))
    assert torch.equal(x.grad == 0, kept == 0)
    torch.testing.assert_close(x.grad[kept != 0], torch.full_like(x.grad[kept != 0], 1 / 0.6))
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.4), kept)


def test_other_numbers_are_dropped_by_torch():
    kept = dropout(torch.ones(1000, dtype=torch.float64), 0.5)
    assert kept.dtype == torch.float64
    assert 300 < kept.count_nonzero() < 700
