"""QNN-alpha against a loop over rows, heads and maps, and its loss against a loop over rows."""

import math

import numpy as np
import pytest
import torch

from dagfm.nn.qnn import QNN


def network_of(fields, size, depth, heads, maps, dropout=0.0):
    network = QNN(fields, size, depth, heads, maps, dropout).double()
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.normal_(generator=generator)
    for norm in network.norms:
        norm.variance.abs_()
    return network


def shares(size, heads):
    """Columns of each head."""
    return np.array_split(np.arange(size), heads)


def slow(network, rows):
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    logits = []
    for embedding in rows:
        x = embedding.reshape(-1)
        for layer in range(network.depth):
            outputs = state[f"layers.{layer}.weight"] @ x
            centred = outputs - state[f"norms.{layer}.mean"]
            normed = centred / np.sqrt(state[f"norms.{layer}.variance"] + 1e-5)
            gates = np.maximum(normed * state[f"norms.{layer}.weight"] + state[f"norms.{layer}.bias"], 0)
            ordered = [
                x[field * network.size + column]
                for columns in shares(network.size, network.heads)
                for field in range(network.fields)
                for column in columns
            ]
            gate = [sum(gates[r * len(x) + k] for r in range(network.maps)) for k in range(len(x))]
            x = np.array(ordered) * gate + x
        logits.append(state["head.weight"][0] @ x + state["head.bias"][0])
    return np.array(logits)


@pytest.mark.parametrize(
    ("fields", "size", "depth", "heads", "maps"), [(1, 1, 1, 1, 1), (3, 4, 1, 4, 4), (5, 3, 2, 2, 3), (2, 5, 3, 4, 1)]
)
def test_qnn_is_the_loop_of_its_definition(fields, size, depth, heads, maps):
    network = network_of(fields, size, depth, heads, maps).eval()
    x = torch.randn(4, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(network(x).detach().numpy(), slow(network, x.numpy()), rtol=1e-9)


def cross_entropy(probability, label):
    return -(label * math.log(probability) + (1 - label) * math.log(1 - probability))


@pytest.mark.parametrize("weights", [None, [0.0, 2.0, 1.0]])
def test_the_loss_is_that_of_the_mean_probability_and_of_both_passes_against_it(weights):
    network = network_of(2, 3, 1, 3, 2).eval()
    passes = [torch.randn(3, 2, 3, dtype=torch.float64) for _ in range(2)]
    labels = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    expected = 0.0
    for row, label in enumerate(labels.tolist()):
        one, other = (1 / (1 + math.exp(-network(x)[row].item())) for x in passes)
        mean = (one + other) / 2
        of_row = cross_entropy(mean, label) + cross_entropy(one, mean) + cross_entropy(other, mean)
        expected += of_row * (1 if weights is None else weights[row]) / 3
    given = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    drawn = iter(passes)
    assert network.click_loss(lambda: next(drawn), labels, given).item() == pytest.approx(expected, rel=1e-9)


def test_no_gradient_passes_the_mean_as_a_label():
    network = network_of(2, 2, 1, 1, 1).eval()
    passes = [torch.randn(5, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    labels = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    drawn = iter(passes)
    found = torch.autograd.grad(network.click_loss(lambda: next(drawn), labels, None), passes)

    logits = [network(x) for x in passes]
    one, other = (value.sigmoid() for value in logits)
    mean = (one + other) / 2
    # d(BCE of z against m)/dz = σ(z) - m; the mean's own part is by the chain rule of its logarithms.
    of_mean = (mean - labels) / (mean * (1 - mean)) / 2
    slopes = [(of_mean * p * (1 - p) + p - mean).detach() / 5 for p in (one, other)]
    expected = torch.autograd.grad(logits, passes, slopes)
    for gradient, value in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, value, rtol=1e-8, atol=1e-10)


def test_the_loss_of_certain_logits_is_finite():
    network = network_of(1, 1, 1, 1, 1).eval()
    x = torch.full((2, 1, 1), 1e4, dtype=torch.float64, requires_grad=True)
    loss = network.click_loss(lambda: x, torch.tensor([1.0, 0.0], dtype=torch.float64), None)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all()


def test_every_gate_is_dropped_by_itself_and_then_the_layer():
    network = QNN(1, 1, 1, 1, 8, 0.5)
    for tensor in network.state_dict().values():
        tensor.zero_()
    network.norms[0].bias.data.fill_(1.0)  # eight gates of 1
    network.head.weight.data.fill_(1.0)
    logits = set(network(torch.ones(500, 1, 1)).tolist())
    assert logits <= {0.0} | {2 * (1 + 2 * kept) for kept in range(9)}
    assert 0.0 in logits and len(logits) > 5
    assert set(network.eval()(torch.ones(2, 1, 1)).tolist()) == {9.0}


def test_both_passes_drop_afresh_and_scoring_drops_nothing():
    network = QNN(3, 4, 1, 4, 4, 0.5)
    x = torch.randn(6, 3, 4)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_multiply_adds_are_the_maps_of_every_layer():
    assert QNN(7, 16, 1, 4, 4, 0.1).multiply_adds == 4 * (7 * 16) ** 2
