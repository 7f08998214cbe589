"""DAGFM against the sum over all paths, and the laws of its parts."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.nn import messages
from dagfm.nn.dagfm import DAGFM, resolve_connect
from dagfm.schema import Field, Schema

TYPES = ("inner", "outer", "kernel")
CONNECTS = ("full", "causal", "none")
KINDS = list(itertools.product(TYPES, CONNECTS))


def random_network(fields, size, type, depth, connect, seed=0):
    """A float64 network with every parameter drawn, biases and connect layer too."""
    network = DAGFM(fields, size, type, depth, connect).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data.normal_(generator=generator)
    return network


def path_sum(network, x):
    """The logit as the paper states it: a term for every non-decreasing path, in plain Python (slow).

    A path of t + 1 nodes ending in s carries a vector from its first node: each edge (f, s) applies its message, each
    arrival at s multiplies by H0_s.
    """
    values = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}
    fields, depth = network.fields, network.depth
    row_of = {pair: row for row, pair in enumerate(itertools.combinations_with_replacement(range(fields), 2))}
    connect = np.eye(fields)
    if network.connect == "full":
        connect = values["connect_layer"]
    elif network.connect == "causal":
        connect = np.zeros((fields, fields))
        triangle = [(row, column) for row in range(fields) for column in range(row + 1)]
        for (row, column), value in zip(triangle, values["connect_layer"], strict=True):
            connect[row, column] = value

    def message(layer, edge, h):
        row = row_of[edge]
        if network.message == "inner":
            return values["p"][layer, row] * h
        if network.message == "outer":
            return np.dot(values["p"][layer, row], h) * values["q"][layer, row]
        return values["w"][layer, row] @ h

    weight = values["head.weight"][0]
    logits = []
    for e in x.numpy():
        h0 = [sum(connect[s, f] * e[f] for f in range(fields)) for s in range(fields)]
        logit = values["head.bias"][0]
        for order in range(depth + 1):
            for path in itertools.combinations_with_replacement(range(fields), order + 1):
                h = h0[path[0]]
                for layer, edge in enumerate(itertools.pairwise(path)):
                    h = h0[edge[1]] * message(layer, edge, h)
                logit += weight[order * fields + path[-1]] * h.sum()
        logits.append(logit)
    return np.array(logits)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    fields=st.integers(1, 8),
    size=st.integers(1, 8),
    depth=st.integers(1, 5),
    type=st.sampled_from(TYPES),
    connect=st.sampled_from(CONNECTS),
    seed=st.integers(0, 1000),
)
def test_the_logit_is_the_sum_over_all_non_decreasing_paths(fields, size, depth, type, connect, seed):
    network = random_network(fields, size, type, depth, connect, seed)
    x = torch.randn(2, fields, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = path_sum(network, x)
    found = network(x).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(("type", "connect"), KINDS)
def test_every_type_and_connect_with_many_fields(type, connect):
    """More fields than a block of targets holds."""
    network = random_network(messages._BLOCK + 2, 2, type, 2, connect)
    x = torch.randn(1, messages._BLOCK + 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(network(x).detach().numpy(), path_sum(network, x), rtol=1e-9)


@pytest.mark.parametrize("block", [2, 13])
@pytest.mark.parametrize("input_gradient", [True, False])
def test_outers_gradient_is_exact(monkeypatch, block, input_gradient):
    monkeypatch.setattr(messages, "_BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    h, p, q = (torch.randn(5, n, m, dtype=torch.float64, generator=generator) for n, m in ((3, 4), (5, 3), (5, 3)))
    triangle = torch.triu(torch.ones(5, 5, dtype=torch.float64)).unsqueeze(2)
    weights = [p.requires_grad_(), q.requires_grad_()]
    assert torch.autograd.gradcheck(
        lambda h, p, q: messages.outer(h, p * triangle, q * triangle), (h.requires_grad_(input_gradient), *weights)
    )


@pytest.mark.parametrize(("type", "connect"), KINDS)
def test_gradients_of_all_parameters(type, connect):
    network = random_network(3, 2, type, 2, connect)
    x = torch.randn(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    names = [name for name, _ in network.named_parameters()]

    def logits(x, *values):
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,))

    values = [parameter.detach().clone().requires_grad_() for parameter in network.parameters()]
    assert torch.autograd.gradcheck(logits, (x.requires_grad_(), *values))
    assert torch.autograd.gradcheck(logits, (x.detach(), *values))


@pytest.mark.parametrize("type", TYPES)
def test_causal_connect_keeps_later_fields_out_of_earlier_nodes(type):
    """A head that reads only nodes before j does not move when field j changes; node j itself does."""
    fields, changed = 5, 3
    network = random_network(fields, 4, type, 3, "causal")
    x = torch.randn(3, fields, 4, dtype=torch.float64)
    other = x.clone()
    other[:, changed] += 1.0
    by_node = network.head.weight.data.view(4, fields)
    drawn = by_node.clone()
    by_node[:, changed:] = 0.0
    assert torch.equal(network(x), network(other))
    by_node.copy_(drawn)
    by_node[:, :changed] = 0.0
    by_node[:, changed + 1 :] = 0.0
    assert not torch.allclose(network(x), network(other))


def test_full_connect_lets_every_field_reach_every_node():
    network = random_network(4, 2, "inner", 1, "full")
    network.head.weight.data.view(2, 4)[:, 1:] = 0.0
    x = torch.randn(1, 4, 2, dtype=torch.float64)
    other = x.clone()
    other[:, 3] += 1.0
    assert not torch.allclose(network(x), network(other))


@pytest.mark.parametrize(("type", "connect"), KINDS)
def test_rows_do_not_depend_on_the_batch_they_are_in(monkeypatch, type, connect):
    network = random_network(4, 3, type, 2, connect)
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    together = network(x)
    torch.testing.assert_close(torch.cat([network(row[None]) for row in x]), together, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("dagfm.nn.dagfm._CHUNK", 2 * 4 * 3)  # two rows at once
    torch.testing.assert_close(network(x), together, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("type", "connect"), KINDS)
def test_packed_weights_unfold_to_the_documented_square(type, connect):
    network = random_network(4, 2, type, 2, connect)
    for name in network.names:
        square, packed = network.square(name), getattr(network, name)
        rows = iter(range(10))
        for source, target in itertools.product(range(4), repeat=2):
            expected = packed[:, next(rows)] if source <= target else torch.zeros_like(packed[:, 0])
            assert torch.equal(square[:, source, target], expected)
    matrix = network.connect_matrix()
    if connect == "none":
        assert matrix is None
    elif connect == "causal":
        assert torch.equal(matrix, matrix.tril())
        assert torch.equal(matrix[torch.tril_indices(4, 4).unbind()], network.connect_layer)


def test_initial_messages_have_the_references_spread():
    """xavier_normal with gain 1.414 of (F, F, D): both fans are F · D."""
    network = DAGFM(20, 16, "outer", 3, "full")
    network.reset_parameters(torch.Generator().manual_seed(0), reference=True)
    expected = 1.414 * (2 / (2 * 20 * 16)) ** 0.5
    assert network.p.std().item() == pytest.approx(expected, rel=0.03)
    assert network.q.std().item() == pytest.approx(expected, rel=0.03)
    assert torch.equal(network.connect_layer, torch.eye(20))
    assert network.head.weight.std().item() == pytest.approx((2 / (80 + 1)) ** 0.5, rel=0.25)
    assert network.head.bias.item() == 0.0


def test_messages_are_drawn_over_the_square_and_then_packed():
    network = DAGFM(3, 2, "inner", 1, "causal")
    network.reset_parameters(torch.Generator().manual_seed(5), reference=True)
    drawn = torch.nn.init.xavier_normal_(torch.empty(3, 3, 2), 1.414, generator=torch.Generator().manual_seed(5))
    assert torch.equal(network.p[0], drawn[torch.triu_indices(3, 3).unbind()])
    assert torch.equal(network.connect_matrix(), torch.eye(3))


@pytest.mark.parametrize(
    ("type", "connect", "expected"),
    [
        ("inner", "none", 37_440),
        ("inner", "causal", 49_920),
        ("inner", "full", 61_776),
        ("outer", "none", 74_880),
        ("outer", "causal", 87_360),
        ("outer", "full", 99_216),
        ("kernel", "none", 599_040),
    ],
)
def test_multiply_adds_of_criteos_fields(type, connect, expected):
    assert DAGFM(39, 16, type, 3, connect).multiply_adds == expected


def test_auto_connect_is_causal_exactly_where_there_are_candidates():
    user, item = Field(name="user"), Field(name="item", side="candidate")
    assert resolve_connect("auto", Schema.of((user, item))) == "causal"
    assert resolve_connect("auto", Schema.of((user,))) == "full"
    assert resolve_connect("none", Schema.of((user, item))) == "none"


def _drawn_with(hidden=(), first_order=False):
    network = DAGFM(4, 3, "inner", 2, "causal", hidden, first_order).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(generator=generator)
    return network


def test_first_order_weights_are_added_and_take_part_in_no_product(monkeypatch):
    plain, wide = _drawn_with(), _drawn_with(first_order=True)
    assert (plain.extra_columns, wide.extra_columns) == (0, 1)
    x = torch.randn(5, 4, 4, dtype=torch.float64)
    expected = plain(x[..., :3]) + x[..., 3].sum(1)
    torch.testing.assert_close(wide(x), expected, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("dagfm.nn.dagfm._CHUNK", 2 * 4 * 3)  # two rows at once
    torch.testing.assert_close(wide(x), expected, rtol=1e-12, atol=1e-12)
    assert wide.multiply_adds == plain.multiply_adds


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("pull", [0.0, 0.25, 1.0])
def test_of_two_heads_the_served_ones_gradient_reaches_the_states_by_its_share(hidden, first_order, pull):
    network = _drawn_with(hidden, first_order)
    x = torch.randn(5, 4, 3 + first_order, dtype=torch.float64, requires_grad=True)
    alone = network(x)
    below = [x, network.p, network.connect_layer]
    whole = torch.autograd.grad(alone.sum(), [*below, network.head.weight])
    network.grow_distillation_head(torch.Generator().manual_seed(1))
    network.distillation_head.double()
    served, distilled = network.two_logits(x, pull)
    assert torch.equal(served, alone)
    assert not torch.allclose(distilled, served)
    shared = torch.autograd.grad(served.sum(), [*below, network.head.weight], allow_unused=True, retain_graph=True)
    assert torch.equal(shared[-1], whole[-1])
    for mine, theirs in zip(shared[:-1], whole[:-1], strict=True):
        assert (mine is None) == (pull == 0)
        if mine is not None:
            torch.testing.assert_close(mine, pull * theirs)
    assert all(part is not None for part in torch.autograd.grad(distilled.sum(), below))


def test_a_distillation_head_starts_at_the_logit_of_the_served_one_and_leaves_no_trace():
    network = DAGFM(4, 3, "inner", 2, "causal")
    network.raise_logits(-3.0)
    names = list(network.state_dict())
    network.grow_distillation_head(torch.Generator().manual_seed(1))
    assert network.distillation_head.bias.item() == -3.0
    assert len(network.state_dict()) == len(names) + 2
    network.distillation_head = None
    assert list(network.state_dict()) == names
