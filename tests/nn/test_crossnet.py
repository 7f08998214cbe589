"""CrossNet against a loop over rows and layers, in torch and in the compiled kernel."""

import numpy as np
import pytest
import torch

from dagfm.kernel.calls import Terms, available
from dagfm.nn import crossnet
from dagfm.nn.crossnet import CrossNet


@pytest.mark.parametrize(("fields", "size", "depth"), [(1, 1, 1), (1, 3, 2), (4, 1, 3), (3, 5, 5)])
def test_crossnet_is_the_loop_of_its_definition(fields, size, depth):
    network = CrossNet(fields, size, depth).double()
    for parameter in network.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(3, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights, biases, head, head_bias = (parameter.detach().numpy() for parameter in network.parameters())
    expected = []
    for row in x.numpy().reshape(3, -1):
        state = row
        for weight, bias in zip(weights, biases, strict=True):
            state = row * (weight @ state + bias) + state
        expected.append(head[0] @ state + head_bias[0])
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-10)


def test_the_references_w_is_standard_normal_and_ours_is_xavier():
    network = CrossNet(7, 16, 3)
    network.reset_parameters(torch.Generator().manual_seed(0), reference=True)
    assert network.weight.std().item() == pytest.approx(1.0, rel=0.02)
    assert network.head.weight.std().item() == pytest.approx((2 / 113) ** 0.5, rel=0.25)
    assert not network.bias.any() and not network.head.bias.any()
    network.reset_parameters(torch.Generator().manual_seed(0))
    assert network.weight.std().item() == pytest.approx((2 / 224) ** 0.5, rel=0.02)


def test_multiply_adds_are_a_product_a_layer():
    assert CrossNet(39, 16, 3).multiply_adds == 3 * (39 * 16) ** 2


@pytest.mark.skipif(not available("cross"), reason="the kernel is not built or switched off")
def test_the_kernel_finds_the_same_loss_and_gradients(monkeypatch):
    network = CrossNet(7, 5, 3)
    network.reset_parameters(torch.Generator().manual_seed(0))
    network.bias.data.normal_(generator=torch.Generator().manual_seed(1))
    x = torch.randn(70, 7, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
    labels = torch.arange(70.0) % 2
    terms = Terms(labels.numpy(), np.full(70, 1 / 70, np.float32))

    def results(loss):
        network.zero_grad()
        x.grad = None
        value = loss()
        value.backward()
        return [value.detach(), x.grad.clone(), *(part.grad.clone() for part in network.parameters())]

    def through_logits():
        return torch.nn.functional.binary_cross_entropy_with_logits(network(x), labels)

    assert network.computes_loss(x)
    in_one_pass, by_kernel = results(lambda: network.loss(x, terms)), results(through_logits)
    monkeypatch.setattr(crossnet, "WIDEST", 34)
    assert not network.computes_loss(x)
    by_torch = results(through_logits)
    for found in (in_one_pass, by_kernel):
        for mine, theirs in zip(found, by_torch, strict=True):
            assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()
