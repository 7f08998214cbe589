"""AutoInt against a loop over rows, layers, heads and pairs of fields."""

import numpy as np
import pytest
import torch
from layers import array, hidden, randomised
from pydantic import ValidationError

from dagfm.config.networks import AutoIntConfig
from dagfm.nn.autoint import AutoInt


def attended(layer, states, heads):
    query, key, value, residual = np.split(array(layer.weight), 4)
    each = len(query) // heads
    after = []
    for state in states:
        parts = []
        for head in range(heads):
            of_head = slice(head * each, (head + 1) * each)
            scores = [(query[of_head] @ state) @ (key[of_head] @ other) / np.sqrt(each) for other in states]
            attention = np.exp(scores) / np.exp(scores).sum()
            parts.extend(sum(a * (value[of_head] @ other) for a, other in zip(attention, states, strict=True)))
        after.append(np.maximum(np.array(parts) + residual @ state, 0))
    return np.array(after)


@pytest.mark.parametrize(
    ("fields", "size", "depth", "heads", "attention_size", "widths"),
    [(1, 1, 1, 1, 1, (2,)), (3, 1, 2, 2, 4, ()), (1, 3, 3, 1, 2, (3, 2)), (4, 3, 2, 3, 6, (5, 4))],
)
def test_autoint_is_the_loop_of_its_definition(fields, size, depth, heads, attention_size, widths):
    network = randomised(AutoInt(fields, size, depth, heads, attention_size, widths, dropout=0.5, batch_norm=True))
    x = torch.randn(3, fields, size, dtype=torch.float64)
    expected = []
    for row in x.numpy():
        states = row
        for layer in network.layers:
            states = attended(layer, states, heads)
        logit = array(network.head.weight)[0] @ states.reshape(-1) + network.head.bias.item()
        if widths:
            logit += array(network.deep_head.weight)[0] @ hidden(network.deep, row.reshape(-1))
        expected.append(logit)
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


def test_dropout_acts_on_the_attention_in_training_only():
    network = AutoInt(4, 3, 1, 1, 5, (), dropout=0.5)
    x = torch.randn(8, 4, 3)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_query_key_value_and_residual_are_drawn_as_matrices_of_their_own():
    layer = AutoInt(4, 300, 1, 1, 100, ()).layers[0]
    for matrix in layer.weight.chunk(4):
        assert matrix.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.03)


def test_multiply_adds_are_those_of_projections_scores_and_mixtures():
    first, second = 7 * 4 * 64 * 16, 7 * 4 * 64 * 64
    assert AutoInt(7, 16, 2, 2, 64, ()).multiply_adds == first + second + 2 * (2 * 7 * 7 * 64)
    assert AutoInt(7, 16, 2, 2, 64, (10,)).multiply_adds == AutoInt(7, 16, 2, 2, 64, ()).multiply_adds + 112 * 10


def test_heads_must_share_the_attention_size():
    with pytest.raises(ValidationError, match=r"attention_size: 10 cannot be shared by 4 heads; it must be a multiple"):
        AutoIntConfig(attention_size=10, heads=4)
