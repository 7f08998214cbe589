"""FinalNet against a loop over rows, blocks and layers, and its loss against a loop over rows."""

import math

import numpy as np
import pytest
import torch

from dagfm.nn.finalnet import FinalNet

SHAPES = [
    (1, 1, [[2]], True),
    (3, 5, [[4, 6]], False),
    (5, 3, [[6, 2, 4], [8]], True),
    (4, 1, [[2], [4, 2]], False),
]


def network_of(fields, size, blocks, gating):
    network = FinalNet(fields, size, blocks, gating).double().eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        tensor.normal_(0, 0.5, generator=generator)
        if name.endswith("variance"):
            tensor.abs_()
    return network


def slow_blocks(network, rows):
    """Logits (B, blocks)."""
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    logits = []
    for embedding in rows:
        gated = []
        if network.gate is not None:
            for field, vector in enumerate(embedding):
                gate = state["gate.weight"][field] @ embedding + state["gate.bias"][field]
                gated.append(vector * gate)
        of_row = []
        for block in range(len(network.blocks)):
            x = np.concatenate([*embedding, *(gated if block == 0 else [])])
            for layer in range(len(network.blocks[block].layers)):
                at = f"blocks.{block}.layers.{layer}"
                both = state[f"{at}.weight"] @ x + state[f"{at}.bias"]
                u, v = both[: len(both) // 2], both[len(both) // 2 :]
                x = np.concatenate([u, u * v])
                norm = {key: state[f"blocks.{block}.norms.{layer}.{key}"] for key in ("mean", "variance")}
                x = (x - norm["mean"]) / np.sqrt(norm["variance"] + 1e-5)
                at = f"blocks.{block}.norms.{layer}"
                x = np.maximum(x * state[f"{at}.weight"] + state[f"{at}.bias"], 0)
            of_row.append(state[f"blocks.{block}.head.weight"][0] @ x + state[f"blocks.{block}.head.bias"][0])
        logits.append(of_row)
    return np.array(logits)


@pytest.mark.parametrize(("fields", "size", "blocks", "gating"), SHAPES)
def test_finalnet_is_the_loop_of_its_definition(fields, size, blocks, gating):
    network = network_of(fields, size, blocks, gating)
    x = torch.randn(4, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = slow_blocks(network, x.numpy()).mean(1)
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("weights", [None, [0.5, 3.0, 0.0, 1.0]])
@pytest.mark.parametrize(("fields", "size", "blocks", "gating"), SHAPES)
def test_the_loss_is_that_of_the_mean_and_of_two_blocks_against_it(fields, size, blocks, gating, weights):
    network = network_of(fields, size, blocks, gating)
    x = torch.randn(4, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = [1.0, 0.0, 0.0, 1.0]
    expected = 0.0
    for row, of_blocks in enumerate(slow_blocks(network, x.numpy())):
        taught = 1 / (1 + math.exp(-of_blocks.mean()))
        pairs = [(of_blocks.mean(), labels[row])]
        pairs += [(logit, taught) for logit in of_blocks] if len(of_blocks) > 1 else []
        of_row = sum(math.log1p(math.exp(logit)) - label * logit for logit, label in pairs)
        expected += of_row * (1 if weights is None else weights[row]) / 4
    double = torch.float64
    given = None if weights is None else torch.tensor(weights, dtype=double)
    loss = network.click_loss(lambda: x, torch.tensor(labels, dtype=double), given)
    assert loss.item() == pytest.approx(expected, rel=1e-8)


def test_no_gradient_passes_the_mean_as_a_label():
    network = network_of(3, 2, [[4], [2]], True)
    x = torch.randn(5, 3, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    (found,) = torch.autograd.grad(network.click_loss(lambda: x, labels, None), x)
    logits = network._logits(x)
    mean = logits.mean(1, keepdim=True).sigmoid()
    slopes = ((mean - labels.unsqueeze(1)) / 2 + logits.sigmoid() - mean).detach() / 5
    (expected,) = torch.autograd.grad(logits, x, slopes)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_raising_the_logits_raises_every_blocks():
    network = network_of(3, 2, [[4], [2]], True)
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    before = network._logits(x)
    network.raise_logits(1.5)
    torch.testing.assert_close(network._logits(x), before + 1.5)


def test_a_fresh_gate_passes_every_field_as_it_is():
    network = FinalNet(3, 2, [[4]])
    x = torch.randn(5, 3, 2)
    torch.testing.assert_close(network(x), network.blocks[0](torch.cat([x, x], 1).flatten(1)).squeeze(1))


def test_multiply_adds_of_two_blocks():
    network = FinalNet(7, 16, [[400, 400], [400]])
    assert network.multiply_adds == 7 * 7 * 16 + 2 * 7 * 16 * 400 + 400 * 400 + 7 * 16 * 400
