"""Hidden layers against a loop over rows."""

import numpy as np
import pytest
import torch
from layers import hidden, randomised

from dagfm.nn.feed_forward import FeedForward


@pytest.mark.parametrize(("inputs", "widths"), [(1, [1]), (3, [4, 2, 5]), (2, [])])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_it_is_the_loop_of_its_definition(inputs, widths, batch_norm):
    deep = randomised(FeedForward(inputs, widths, dropout=0.5, batch_norm=batch_norm))
    x = torch.randn(4, inputs, dtype=torch.float64)
    expected = np.array([hidden(deep, row) for row in x.numpy()])
    assert expected.shape == (4, deep.outputs)
    np.testing.assert_allclose(deep(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_dropout_acts_on_every_hidden_layer_and_in_training_only():
    torch.manual_seed(0)
    deep = FeedForward(4, [2000, 1], dropout=0.25)
    with torch.no_grad():
        for layer in deep.layers:
            layer.weight.fill_(1.0)
    x = torch.ones(200, 4)
    outputs = deep(x)
    dropped = outputs == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.1)
    # What is left is enlarged by both layers' 1 / 0.75, and differs from row to row by what the first one dropped.
    assert outputs[~dropped].mean().item() == pytest.approx(8000 / 0.75, rel=0.01)
    assert len(outputs[~dropped].unique()) > 20
    assert (deep.eval()(x) == 8000).all()


def test_weights_are_xavier_drawn_from_the_generator():
    deep = FeedForward(100, [300, 200])
    deep.reset_parameters(torch.Generator().manual_seed(0))
    again = FeedForward(100, [300, 200])
    again.reset_parameters(torch.Generator().manual_seed(0))
    assert all(torch.equal(mine, other) for mine, other in zip(deep.parameters(), again.parameters(), strict=True))
    for layer in deep.layers:
        assert layer.weight.std().item() == pytest.approx((2 / sum(layer.weight.shape)) ** 0.5, rel=0.03)
        assert not layer.bias.any()


def test_multiply_adds_are_those_of_the_matrices():
    assert FeedForward(10, [20, 30]).multiply_adds == 10 * 20 + 20 * 30
    assert FeedForward(10, []).multiply_adds == 0
