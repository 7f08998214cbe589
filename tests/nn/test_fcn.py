"""FCN is the mean of its branches; its loss against a slow form."""

import math

import pytest
import torch

from dagfm.nn.fcn import FCN


def network_of(fields=3, size=5):
    torch.manual_seed(0)
    return FCN(fields, size, 2, 1).double()


def test_the_logit_is_the_mean_of_the_branches():
    network = network_of()
    x = torch.randn(4, 3, 5, dtype=torch.float64)
    assert network.exponential.depth == 2 and not network.exponential.linear
    assert network.linear.depth == 1 and network.linear.linear
    torch.testing.assert_close(network(x), (network.exponential(x) + network.linear(x)) / 2)


@pytest.mark.parametrize("weights", [None, [0.5, 3.0, 0.0, 1.0]])
@pytest.mark.parametrize("seed", range(4))
def test_the_loss_adds_each_branch_times_its_excess(weights, seed):
    network = network_of()
    x = torch.randn(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    labels = [1.0, 0.0, 0.0, 1.0]

    def mean_loss(logits):
        of_rows = [math.log1p(math.exp(z)) - y * z for z, y in zip(logits.tolist(), labels, strict=True)]
        return sum(value * (1 if weights is None else weights[row]) / 4 for row, value in enumerate(of_rows))

    joint, *branches = (mean_loss(part(x)) for part in (network, network.exponential, network.linear))
    expected = joint + sum(branch * max(0.0, branch - joint) for branch in branches)
    given = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    loss = network.click_loss(lambda: x, torch.tensor(labels, dtype=torch.float64), given)
    assert loss.item() == pytest.approx(expected, rel=1e-10)


def test_a_branch_better_than_the_mean_is_left_alone_and_a_worse_one_is_taught():
    network = network_of()
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    labels = torch.ones(6, dtype=torch.float64)
    network.exponential.raise_logits(20.0)  # right, and sure
    loss = network.click_loss(lambda: x, labels, None)
    (found,) = torch.autograd.grad(loss, network.linear.head.bias)
    joint = torch.nn.functional.softplus(-network(x)).mean()
    branch = torch.nn.functional.softplus(-network.linear(x)).mean()
    (expected,) = torch.autograd.grad(joint + branch * (branch - joint), network.linear.head.bias)
    torch.testing.assert_close(found, expected)
    better = torch.nn.functional.softplus(-network.exponential(x)).mean()
    assert better < joint < branch


def test_raising_the_logits_raises_both_branches():
    network = network_of()
    x = torch.randn(4, 3, 5, dtype=torch.float64)
    before = network.exponential(x), network.linear(x)
    network.raise_logits(-2.0)
    torch.testing.assert_close(network.exponential(x), before[0] - 2)
    torch.testing.assert_close(network.linear(x), before[1] - 2)
