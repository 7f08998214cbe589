"""The compiled kernel against the same sums in float64: logits, summed states and every gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.kernel.calls import CONNECTS, MESSAGES, Gradients, Terms, Weights, backward, descend, forward
from dagfm.kernel.library import versions
from dagfm.nn.dagfm import DAGFM

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")

ODD = [
    (1, 1, 1, 1),
    (1, 39, 16, 3),
    (5, 4, 3, 2),
    (4, 7, 20, 2),
    (2, 1, 65, 2),
    (33, 7, 17, 3),
    (97, 13, 8, 2),
    (20, 6, 16, 5),
    (7, 3, 33, 1),
    (64, 11, 24, 2),
]
"""Rows, fields, columns and depth."""


class Case:
    """A drawn network, its inputs and what float64 makes of them."""

    def __init__(self, message, connect, shape, linear=True, seed=0):
        rows, fields, size, depth = shape
        generator = torch.Generator().manual_seed(seed)
        self.network = DAGFM(fields, size, message, depth, connect).double()
        for parameter in self.network.parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / fields**0.5
            parameter.data = draw.float().double()  # what float32 can say
        self.x = torch.randn(rows, fields, size, generator=generator)
        self.linear = linear
        arrays = {name: value.detach().float().numpy() for name, value in self.network.named_parameters()}
        self.weights = Weights(
            message,
            connect,
            arrays["p"],
            fields,
            arrays.get("q"),
            arrays.get("connect_layer"),
            arrays["head.weight"] if linear else None,
            arrays["head.bias"] if linear else None,
        )
        self.grad = torch.randn(rows if linear else (rows, self.weights.sums), generator=generator, dtype=torch.float32)

    def expected(self, absolute=False):
        """Result and gradients; ``absolute``: the sums of their absolute terms, what rounding is relative to."""
        network, x, grad = self.network, self.x.double(), self.grad.double()
        if absolute:
            network = DAGFM(network.fields, network.size, network.message, network.depth, network.connect).double()
            network.load_state_dict({name: value.abs() for name, value in self.network.state_dict().items()})
            x, grad = x.abs(), grad.abs()
        x.requires_grad_()
        network.zero_grad()
        result = network(x) if self.linear else torch.cat([sums.t() for sums in network._summed_states(x)])
        result.backward(grad)
        grads = {"x": x.grad, "p": network.p.grad}
        if network.message == "outer":
            grads["q"] = network.q.grad
        if network.connect_layer is not None:
            grads["c"] = network.connect_layer.grad
        if self.linear:
            grads |= {"head": network.head.weight.grad, "bias": network.head.bias.grad}
        return {"result": result.detach().numpy(), **{name: value.numpy().copy() for name, value in grads.items()}}

    def found(self, version=None, threads=1):
        result = forward(self.weights, self.x.numpy(), threads, version)
        return {
            "result": result,
            **gradients_of(backward(self.weights, self.x.numpy(), self.grad.numpy(), threads, version)),
        }

    def check(self, version=None, threads=1):
        found, expected, terms = self.found(version, threads), self.expected(), self.expected(absolute=True)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].dtype == np.float32
            assert found[name].shape == value.shape
            assert (np.abs(found[name] - value) <= 2e-6 * terms[name] + 1e-30).all(), name


def gradients_of(gradients: Gradients) -> dict[str, np.ndarray]:
    return {name: value for name, value in vars(gradients).items() if value is not None}


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("connect", CONNECTS)
@pytest.mark.parametrize("message", MESSAGES)
def test_results_and_gradients_are_those_of_float64(message, connect, linear, version):
    for shape in ODD:
        Case(message, connect, shape, linear).check(version)


@settings(max_examples=60)
@given(
    message=st.sampled_from(MESSAGES),
    connect=st.sampled_from(CONNECTS),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 14), st.integers(1, 40), st.integers(1, 4)),
    linear=st.booleans(),
    version=st.sampled_from(versions() or ("",)),
)
def test_any_size_at_all(message, connect, shape, linear, version):
    Case(message, connect, shape, linear).check(version)


@pytest.mark.parametrize("message", MESSAGES)
def test_many_fields(message):
    Case(message, "causal", (50, 39, 16, 3)).check()


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("message", MESSAGES)
def test_threads_agree_and_each_number_of_them_repeats_itself(message, linear):
    case = Case(message, "full", (1003, 20, 16, 3), linear)
    case.check(threads=3)
    once, again = case.found(threads=3), case.found(threads=3)
    assert all(np.array_equal(once[name], again[name]) for name in once)
    alone = case.found(threads=1)
    assert np.array_equal(once["result"], alone["result"]) or message == "outer"


@pytest.mark.parametrize("version", versions())
def test_an_inner_row_scores_alone_to_the_same_bytes_as_in_company(version):
    case = Case("inner", "causal", (40, 9, 17, 3))
    together = forward(case.weights, case.x.numpy(), version=version)
    alone = [forward(case.weights, case.x.numpy()[row : row + 1], version=version) for row in range(40)]
    assert np.array_equal(np.concatenate(alone), together)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("size", [16, 5])
def test_embeddings_may_have_strides_of_their_own(message, size):
    case = Case(message, "causal", (30, 6, size, 2))
    wide = np.full((30, 2, 6, size + 1), np.nan, np.float32)
    wide[:, 1, :, :size] = case.x
    x, grad = wide[:, 1, :, :size], case.grad.numpy()
    assert np.array_equal(forward(case.weights, x), forward(case.weights, case.x.numpy()))
    found, expected = backward(case.weights, x, grad), backward(case.weights, case.x.numpy(), grad)
    for name, value in gradients_of(expected).items():
        assert np.array_equal(getattr(found, name), value)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("connect", CONNECTS)
def test_without_the_embeddings_gradient_the_others_are_the_same(message, connect):
    case = Case(message, connect, (30, 6, 16, 2))
    whole = backward(case.weights, case.x.numpy(), case.grad.numpy())
    part = backward(case.weights, case.x.numpy(), case.grad.numpy(), wants_x=False)
    assert part.x is None
    for name, value in gradients_of(part).items():
        assert np.array_equal(getattr(whole, name), value)


@pytest.mark.parametrize("message", MESSAGES)
def test_no_rows_have_no_logits_and_gradients_of_zero(message):
    case = Case(message, "full", (0, 5, 7, 2))
    assert forward(case.weights, case.x.numpy()).shape == (0,)
    found = gradients_of(backward(case.weights, case.x.numpy(), case.grad.numpy()))
    assert not any(value.any() for value in found.values())


@pytest.mark.parametrize("message", MESSAGES)
def test_what_is_not_finite_stays_in_its_row(message):
    case = Case(message, "causal", (60, 6, 16, 2))
    clean = forward(case.weights, case.x.numpy())
    x = case.x.numpy().copy()
    x[10, 2, 3], x[41, 5, 15] = np.nan, np.inf
    found = forward(case.weights, x)
    assert not np.isfinite(found[[10, 41]]).any()
    others = np.delete(np.arange(60), [10, 41])
    assert np.array_equal(found[others], clean[others])


def test_arrays_that_do_not_fit_are_refused():
    case = Case("inner", "causal", (4, 5, 6, 2))
    p, c = case.weights.p, case.weights.c
    for bad in (p[:, :-1], p.astype(np.float64), np.asfortranarray(p)):
        with pytest.raises(ValueError, match=r"^p is .*, expected contiguous float32"):
            Weights("inner", "causal", bad, 5, c=c)
    with pytest.raises(ValueError, match=r"c is nothing, expected contiguous float32 \(5, 5\)"):
        Weights("inner", "full", p, 5)
    with pytest.raises(ValueError, match="q is given"):
        Weights("inner", "causal", p, 5, q=p, c=c)
    x = case.x.numpy()
    for bad in (x[:, :-1], x.astype(np.float64), x[0], np.asfortranarray(x)):
        with pytest.raises(ValueError, match=r"^x (is|has)"):
            forward(case.weights, bad)
    with pytest.raises(ValueError, match="grad is"):
        backward(case.weights, x, case.grad.numpy()[1:])


def terms_of(rows, seed=0):
    """Clicks and a teacher, each missing in some rows, where NaN stands for them."""
    random = np.random.default_rng(seed)
    labels, teacher = random.random(rows).round(), random.normal(size=rows)
    of_clicks, of_distances = random.random(rows), random.random(rows)
    labels[::3], of_clicks[::3] = np.nan, 0
    teacher[1::4], of_distances[1::4] = np.nan, 0
    return Terms(*(one.astype(np.float32) for one in (labels, of_clicks, teacher, of_distances)))


def loss_in_float64(terms, logits):
    """The same in torch, and what it makes of the logits."""
    logits = torch.from_numpy(logits).double().requires_grad_()
    labels, of_clicks, teacher, of_distances = (
        None if one is None else torch.from_numpy(one).double() for one in vars(terms).values()
    )
    loss = torch.zeros((), dtype=torch.float64)
    if labels is not None:
        clicks = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
        loss = loss + (of_clicks * clicks).sum()
    if teacher is not None:
        loss = loss + (of_distances * (logits - teacher.nan_to_num()) ** 2).sum()
    (grad,) = torch.autograd.grad(loss, logits)
    return loss.item(), grad.numpy()


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("connect", CONNECTS)
@pytest.mark.parametrize("message", MESSAGES)
def test_a_loss_is_that_of_the_logits_and_so_are_its_gradients(message, connect, version):
    for shape in [*ODD, (100, 5, 16, 4)]:
        case = Case(message, connect, shape)
        terms = terms_of(shape[0])
        for some in (terms, Terms(terms.labels, terms.of_clicks), Terms(None, None, *list(vars(terms).values())[2:])):
            found = descend(case.weights, case.x.numpy(), some, threads=2, version=version)
            loss, of_logits = loss_in_float64(some, found.logits)
            assert found.loss == pytest.approx(loss, rel=1e-5)
            np.testing.assert_allclose(found.of_logits, of_logits, rtol=1e-5, atol=1e-6)
            case.grad = torch.from_numpy(found.of_logits)
            expected, size = case.expected(), case.expected(absolute=True)
            for name, value in {"result": found.logits, **gradients_of(found.gradients)}.items():
                assert (np.abs(value - expected[name]) <= 2e-6 * size[name] + 1e-30).all(), name


def test_logits_far_from_zero_have_a_finite_loss():
    case = Case("inner", "none", (4, 2, 3, 1))
    case.weights.bias[:] = 1e4
    labels = np.array([0, 1, 0, 1], np.float32)
    found = descend(case.weights, case.x.numpy(), Terms(labels, np.ones(4, np.float32)))
    assert found.loss == pytest.approx(2e4, rel=0.01)
    assert found.of_logits.tolist() == [1, 0, 1, 0]


def test_a_loss_without_a_head_or_with_half_a_term_is_refused():
    labels = np.zeros(4, np.float32)
    case = Case("inner", "none", (4, 2, 3, 1))
    with pytest.raises(ValueError, match="labels come with of_clicks"):
        descend(case.weights, case.x.numpy(), Terms(labels))
    headless = Case("inner", "none", (4, 2, 3, 1), linear=False)
    with pytest.raises(ValueError, match="no head"):
        descend(headless.weights, headless.x.numpy(), Terms(labels, labels))
