"""Batch normalisation against its formula, and where a batch has no variance."""

import pytest
import torch

from dagfm.nn.batch_norm import BatchNorm


def test_training_normalises_by_the_batch_and_evaluation_by_what_training_saw():
    norm = BatchNorm(3).double()
    norm.weight.data.copy_(torch.tensor([1.0, 2.0, -1.0]))
    norm.bias.data.copy_(torch.tensor([0.0, 1.0, 2.0]))
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for _ in range(5):
        x = 3 + 2 * torch.randn(6, 3, dtype=torch.float64)
        centred = x - x.mean(0)
        expected = centred / (centred.square().mean(0) + 1e-5).sqrt() * norm.weight + norm.bias
        torch.testing.assert_close(norm(x), expected)
        mean = 0.9 * mean + 0.1 * x.mean(0)
        variance = 0.9 * variance + 0.1 * centred.square().sum(0) / 5  # the running one is without bias
    norm.eval()
    expected = (x - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_are_normalised_by_the_running_figures_and_leave_them(rows):
    norm = BatchNorm(2)
    norm.mean.fill_(1.0)
    norm.variance.fill_(4.0)
    x = torch.randn(rows, 2)
    trained = norm(x)
    torch.testing.assert_close(trained, (x - 1) / 2, rtol=1e-4, atol=1e-4)
    assert (norm.mean == 1).all() and (norm.variance == 4).all()
    torch.testing.assert_close(norm.eval()(x), trained)
