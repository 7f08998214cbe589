"""CrossNet in the compiled kernel against the same sums in float64: logits, every gradient, a loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.kernel.calls import Terms, Weights, backward, descend, forward
from dagfm.kernel.library import versions
from dagfm.nn.crossnet import CrossNet

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")


def drawn(rows, fields, size, depth, seed=0):
    """A network in float64, its weights for the kernel, embeddings and gradients of the logits."""
    generator = torch.Generator().manual_seed(seed)
    network = CrossNet(fields, size, depth).double()
    for parameter in network.parameters():
        draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / (fields * size) ** 0.5
        parameter.data = draw.float().double()  # what float32 can say
    arrays = (part.detach().float().numpy() for part in network.parameters())
    matrix, bias, head, last = arrays
    weights = Weights("cross", "none", matrix, fields, bias, None, head, last)
    x = torch.randn(rows, fields, size, generator=generator)
    return network, weights, x, torch.randn(rows, generator=generator)


def in_float64(network, x, grad):
    x = x.double().requires_grad_()
    network.zero_grad()
    result = network(x)
    result.backward(grad.double())
    return [result.detach(), x.grad, *(part.grad for part in network.parameters())]


def in_kernel(weights, x, grad, version=None, threads=1):
    found = backward(weights, x.numpy(), grad.numpy(), threads, version)
    return [forward(weights, x.numpy(), threads, version), found.x, found.p, found.q, found.head, found.bias]


def check(shape, version=None, threads=1):
    network, weights, x, grad = drawn(*shape)
    expected = in_float64(network, x, grad)
    for parameter in network.parameters():
        parameter.data.abs_()
    terms = in_float64(network, x.abs(), grad.abs())
    for mine, theirs, scale in zip(in_kernel(weights, x, grad, version, threads), expected, terms, strict=True):
        assert mine.dtype == np.float32
        assert (np.abs(mine - theirs.numpy()) <= 2e-6 * scale.numpy() + 1e-30).all()


ODD = [(1, 1, 1, 1), (1, 39, 16, 3), (5, 4, 3, 2), (2, 1, 65, 2), (33, 7, 17, 3), (300, 7, 16, 3), (97, 13, 8, 1)]
"""Rows, fields, columns and depth."""


@pytest.mark.parametrize("version", versions())
def test_logits_and_gradients_are_those_of_float64(version):
    for shape in ODD:
        check(shape, version)


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 150), st.integers(1, 9), st.integers(1, 20), st.integers(1, 4)),
    version=st.sampled_from(versions() or ("",)),
)
def test_any_size_at_all(shape, version):
    check(shape, version)


def test_threads_agree_and_each_number_of_them_repeats_itself():
    shape = (1003, 7, 16, 3)
    check(shape, threads=3)
    _, weights, x, grad = drawn(*shape)
    once, again = (in_kernel(weights, x, grad, threads=3) for _ in range(2))
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(once, again, strict=True))


@pytest.mark.parametrize("version", versions())
def test_a_loss_and_its_gradients_are_those_of_its_logits(version):
    _, weights, x, _ = drawn(201, 7, 5, 3)
    random = np.random.default_rng(1)
    labels, of_clicks, teacher, of_distances = random.random((4, 201), np.float32)
    labels = labels.round()
    found = descend(weights, x.numpy(), Terms(labels, of_clicks, teacher, of_distances), version=version)
    logits = forward(weights, x.numpy(), version=version)
    assert np.array_equal(found.logits, logits)
    log_loss = np.logaddexp(0, logits.astype(float)) - labels * logits
    expected = (of_clicks * log_loss + of_distances * (logits.astype(float) - teacher) ** 2).sum()
    assert found.loss == pytest.approx(expected, rel=1e-5)
    again = backward(weights, x.numpy(), found.of_logits, version=version)
    for name, value in vars(again).items():
        assert np.array_equal(getattr(found.gradients, name), value) if value is not None else True, name


def test_embeddings_may_have_strides_of_their_own():
    _, weights, x, grad = drawn(30, 6, 5, 2)
    wide = np.full((30, 2, 6, 9), np.nan, np.float32)
    wide[:, 1, :, :5] = x
    view = wide[:, 1, :, :5]
    assert np.array_equal(forward(weights, view), forward(weights, x.numpy()))
    found = backward(weights, view, grad.numpy()), backward(weights, x.numpy(), grad.numpy())
    assert np.array_equal(found[0].x, found[1].x)
    assert np.array_equal(found[0].p, found[1].p)


def test_weights_that_do_not_fit_are_refused():
    _, weights, _, _ = drawn(1, 3, 4, 2)
    with pytest.raises(ValueError, match="expected 3 fields of some size and a head"):
        Weights("cross", "none", weights.p, 3, weights.q)
    with pytest.raises(ValueError, match="W is 12 wide, expected 5 fields"):
        Weights("cross", "none", weights.p, 5, weights.q, None, weights.head, weights.bias)
    with pytest.raises(ValueError, match="q is nothing"):
        Weights("cross", "none", weights.p, 3, None, None, weights.head, weights.bias)
