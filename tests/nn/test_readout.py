"""The heads on DAGFM's summed states."""

import numpy as np
import torch

from dagfm.nn.readout import DeepReadout, Readout, readout


def drawn(hidden, seed=0):
    """A float64 head on six sums with every parameter away from zero."""
    head = readout(6, hidden).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in head.parameters():
        parameter.data.normal_(generator=generator)
    return head


def test_hidden_layers_stand_beside_the_line():
    head = drawn((4, 3))
    values = {name: parameter.detach().numpy() for name, parameter in head.named_parameters()}
    sums = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for column, found in zip(sums.numpy().T, head(sums).detach().numpy(), strict=True):
        h = column
        for layer in range(2):
            h = np.maximum(values[f"deep.layers.{layer}.weight"] @ h + values[f"deep.layers.{layer}.bias"], 0)
        expected = values["weight"][0] @ column + values["bias"][0] + values["deep_weight"][0] @ h
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_fresh_one_is_the_line_that_it_stands_beside():
    plain, deep = readout(6, ()), readout(6, (4,))
    assert type(plain) is Readout
    assert type(deep) is DeepReadout
    for head in (plain, deep):
        head.draw(torch.Generator().manual_seed(3))
    sums = torch.randn(6, 5)
    assert torch.equal(plain(sums), deep(sums))
    deep(sums).sum().backward()
    assert float(deep.deep_weight.grad.abs().sum()) > 0


def test_gradients():
    head = drawn((4,))
    names = [name for name, _ in head.named_parameters()]

    def logits(sums, *values):
        return torch.func.functional_call(head, dict(zip(names, values, strict=True)), (sums,))

    sums = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(logits, (sums, *(p.detach().clone().requires_grad_() for p in head.parameters())))


def test_hidden_units_are_counted_and_the_last_line_is_not():
    assert readout(6, ()).multiply_adds == 0
    assert readout(6, (4, 3)).multiply_adds == 6 * 4 + 4 * 3
