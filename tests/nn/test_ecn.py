"""ECN and LCN against a loop over rows and layers."""

import numpy as np
import pytest
import torch

from dagfm.nn.ecn import ECN


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("fields", "size", "depth"), [(1, 1, 1), (4, 3, 2), (3, 5, 3), (5, 2, 4), (1, 4, 1)])
def test_a_cross_network_is_the_loop_of_its_definition(fields, size, depth, linear):
    network = ECN(fields, size, depth, linear=linear).double()
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    embeddings = torch.randn(3, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights, biases, scales, shifts, head, head_bias = (value.detach().numpy() for value in network.parameters())
    first_half = (size + 1) // 2
    expected = []
    for embedding in embeddings.numpy():
        x0 = x = np.concatenate([embedding[:, :first_half].ravel(), embedding[:, first_half:].ravel()])
        for weight, bias, scale, shift in zip(weights, biases, scales, shifts, strict=True):
            c = weight @ x
            normed = (c - c.mean()) / np.sqrt(c.var() + 1e-5) * scale + shift
            masked = c * np.maximum(normed, 0)
            x = (x0 if linear else x) * (np.concatenate([c, masked])[: len(x)] + bias) + x
        expected.append(head[0] @ x + head_bias[0])
    np.testing.assert_allclose(network(embeddings).detach().numpy(), expected, rtol=1e-8)


def test_only_training_drops():
    network = ECN(3, 4, 2, dropout=0.5)
    x = torch.randn(6, 3, 4)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_multiply_adds_are_half_a_product_a_layer():
    assert ECN(7, 16, 4).multiply_adds == 4 * 56 * 112
    assert ECN(3, 5, 1).multiply_adds == 8 * 15
