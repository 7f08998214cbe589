"""CIN, whose last two layers are never formed, against the loop that forms all of them."""

import numpy as np
import pytest
import torch

from dagfm.nn.cin import CIN
from dagfm.nn.products import products, symmetric_products

SHAPES = [
    (1, 1, (1,)),
    (3, 2, (4,)),
    (4, 3, (2, 5)),
    (1, 2, (3, 2)),
    (4, 2, (3, 2, 5)),
    (3, 1, (2, 4, 3, 2)),
    (2, 2, (1, 2, 3, 2, 1)),
]


def random_network(fields, size, cin):
    network = CIN(fields, size, cin).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(generator=generator)
    return network


def slow(network, x):
    head = network.head.weight.detach().numpy()[0]
    logits = []
    for base in x.numpy():
        state, sums = base, []
        for layer in network.layers:
            weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
            products = [state[m] * base[f] for m in range(len(state)) for f in range(len(base))]
            state = np.stack([sum(w * z for w, z in zip(row, products, strict=True)) for row in weight]) + bias[:, None]
            sums.extend(state.sum(1))
        logits.append(head @ sums)
    return np.array(logits)


@pytest.mark.parametrize(("fields", "size", "cin"), SHAPES)
def test_cin_is_the_loop_of_its_definition(fields, size, cin):
    network = random_network(fields, size, cin)
    x = torch.randn(3, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(network(x).detach().numpy(), slow(network, x), rtol=1e-10)


@pytest.mark.parametrize("cin", [(2,), (2, 3), (2, 3, 2), (2, 3, 2, 2)])
def test_gradients_of_all_parameters(cin):
    network = random_network(2, 2, cin)
    x = torch.randn(2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    names = [name for name, _ in network.named_parameters()]

    def logits(x, *values):
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,))

    values = [parameter.detach().clone().requires_grad_() for parameter in network.parameters()]
    assert torch.autograd.gradcheck(logits, (x.requires_grad_(), *values))


@pytest.mark.parametrize("input_gradient", [True, False])
def test_gradients_of_products(input_gradient):
    generator = torch.Generator().manual_seed(0)
    weight, packed = (torch.randn(2, n, dtype=torch.float64, generator=generator).requires_grad_() for n in (12, 6))
    x, y = (torch.randn(n, 5, dtype=torch.float64, generator=generator) for n in (4, 3))
    x, y = x.requires_grad_(input_gradient), y.requires_grad_(input_gradient)
    assert torch.autograd.gradcheck(products, (weight, x, y))
    assert torch.autograd.gradcheck(symmetric_products, (packed, y))


def test_rows_do_not_depend_on_the_batch_they_are_in(monkeypatch):
    network = random_network(3, 2, (4, 2, 3))
    x = torch.randn(7, 3, 2, dtype=torch.float64)
    together = network(x)
    torch.testing.assert_close(torch.cat([network(row[None]) for row in x]), together, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("dagfm.nn.cin._CHUNK", 16)  # two rows at once
    torch.testing.assert_close(network(x), together, rtol=1e-12, atol=1e-12)


def test_initial_weights_are_a_convolutions_and_the_heads_are_small():
    network = CIN(7, 16, (200, 200, 200))
    network.reset_parameters(torch.Generator().manual_seed(0), reference=True)
    for layer in network.layers:
        bound = 1 / layer.in_features**0.5
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
        assert bound * 0.9 < layer.bias.abs().max().item() <= bound
    assert network.head.weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_multiply_adds_are_those_of_the_definition():
    assert CIN(39, 16, (200, 200, 200)).multiply_adds == (39 * 39 * 200 + 2 * 200 * 39 * 200) * 16
