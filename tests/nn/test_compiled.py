"""DAGFM through the compiled kernel and through torch: the same logits and gradients, whatever stands on the states."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch

from dagfm.kernel import library
from dagfm.kernel.calls import Terms, available
from dagfm.nn import compiled
from dagfm.nn.dagfm import DAGFM

built = pytest.mark.skipif(not available("inner"), reason="the kernel is not built or switched off")


def drawn(message, connect="causal", hidden=(), first_order=False, fields=7, size=5):
    network = DAGFM(fields, size, message, 3, connect, hidden, first_order)
    generator = torch.Generator().manual_seed(fields)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / fields**0.5
    return network


def through_torch(monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "takes", lambda *_: False)
        return call()


def results(network, x, forward):
    """Logits and the gradients of the embeddings and of everything that has one."""
    x = x.clone().requires_grad_()
    network.zero_grad()
    found = forward(network, x)
    outputs = found if isinstance(found, tuple) else (found,)
    weights = torch.linspace(-1, 2, len(x))
    sum((output * weights).sum() * (place + 1) for place, output in enumerate(outputs)).backward()
    grads = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    return {"logits": torch.stack(outputs).detach(), "x": x.grad, **grads}


def agree(mine, theirs):
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        scale = value.abs().max() + 1e-12
        assert (mine[name] - value).abs().max() <= 1e-5 * scale, name


FORMS = {
    "linear": ({}, lambda network, x: network(x)),
    "hidden": ({"hidden": (6,)}, lambda network, x: network(x)),
    "first order": ({"first_order": True}, lambda network, x: network(x)),
    "two heads": ({}, lambda network, x: network.two_logits(x, 0.25)),
    "two deep heads": ({"hidden": (6,), "first_order": True}, lambda network, x: network.two_logits(x, 0.0)),
}


@built
@pytest.mark.parametrize("message", ["inner", "outer"])
@pytest.mark.parametrize("connect", ["none", "causal", "full"])
@pytest.mark.parametrize("form", FORMS)
def test_logits_and_gradients_are_torchs(monkeypatch, message, connect, form):
    settings, forward = FORMS[form]
    network = drawn(message, connect, **settings)
    if "two" in form:
        network.grow_distillation_head(torch.Generator().manual_seed(1))
    x = torch.randn(53, 7, 5 + network.extra_columns, generator=torch.Generator().manual_seed(2))
    agree(results(network, x, forward), through_torch(monkeypatch, lambda: results(network, x, forward)))
    with torch.no_grad():
        without = forward(network, x)
    without = torch.stack(without if "two" in form else (without,))
    assert torch.equal(without, results(network, x, forward)["logits"])


@built
def test_the_kernel_is_used_where_it_can_be(monkeypatch):
    def refuse(*_):
        raise AssertionError("torch computes")

    monkeypatch.setattr(DAGFM, "_sums", refuse)
    x = torch.randn(3, 7, 5)
    for message in ("inner", "outer"):
        drawn(message)(x).sum().backward()
        drawn(message, hidden=(3,))(x).sum().backward()
        with pytest.raises(AssertionError, match="torch computes"):
            drawn(message).double()(x.double())
    with pytest.raises(AssertionError, match="torch computes"):
        drawn("kernel")(x)


@built
@pytest.mark.parametrize("message", ["inner", "outer"])
def test_a_head_alone_learns_the_same(monkeypatch, message):
    network = drawn(message)
    network.requires_grad_(False)
    network.head.requires_grad_(True)
    x = torch.randn(20, 7, 5)

    def gradients():
        network.zero_grad()
        network(x).square().sum().backward()
        assert network.p.grad is None
        return {"weight": network.head.weight.grad.clone(), "bias": network.head.bias.grad.clone()}

    agree(gradients(), through_torch(monkeypatch, gradients))


@built
def test_embeddings_in_any_memory_order_are_taken():
    network = drawn("inner")
    x = torch.randn(7, 5, 11).permute(2, 0, 1)
    assert torch.equal(network(x), network(x.contiguous()))
    one = torch.randn(1, 7, 5)
    assert torch.equal(network(one.expand(4, -1, -1)), network(one).expand(4))


def in_fresh_process(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


USED = "from dagfm.kernel.library import chosen_version; print(chosen_version())"


def test_the_environment_switches_it_off():
    done = in_fresh_process(USED, DAGFM_KERNEL="off")
    assert (done.stdout, done.stderr) == ("None\n", "")


@built
def test_the_environment_chooses_a_version_that_the_processor_has():
    for version in library.versions():
        assert in_fresh_process(USED, DAGFM_KERNEL=version).stdout == f"{version}\n"
    done = in_fresh_process(USED, DAGFM_KERNEL="sse9")
    assert "DAGFM_KERNEL=sse9: expected off or a version that this processor has: base" in done.stderr


def test_without_the_library_one_line_says_what_is_slower(monkeypatch, caplog):
    for cached in (library.library, library.chosen_version):
        cached.cache_clear()
    monkeypatch.delenv(library.SWITCH, raising=False)
    monkeypatch.setattr(library, "EXTENSION_SUFFIXES", [".missing"])
    try:
        with caplog.at_level(logging.INFO, "dagfm"):
            x = torch.randn(3, 7, 5)
            first, second = drawn("inner")(x), drawn("inner")(x)
        assert torch.equal(first, second)
        (record,) = caplog.records
        assert "no C compiler" in record.getMessage()
        assert "slower" in record.getMessage()
    finally:
        for cached in (library.library, library.chosen_version):
            cached.cache_clear()


@built
@pytest.mark.parametrize("frozen", [(), ("p",), ("head.weight", "head.bias"), ("x",)])
@pytest.mark.parametrize("message", ["inner", "outer"])
def test_a_loss_in_one_call_is_that_of_the_logits(monkeypatch, message, frozen):
    network, generator = drawn(message), torch.Generator().manual_seed(1)
    x = torch.randn(50, 7, 5, generator=generator)
    for name, parameter in [*network.named_parameters(), ("x", x)]:
        parameter.requires_grad_(name not in frozen)
    labels, teacher = torch.rand(2, 50, generator=generator)
    even = np.full(50, 0.02, np.float32)
    assert network.computes_loss(x)

    def of_logits():
        logits = network(x)
        clicks = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        return clicks + torch.nn.functional.mse_loss(logits, teacher)

    def found(loss):
        network.zero_grad()
        x.grad = None
        value = loss()
        (3 * value).backward()
        grads = [(name, one.grad) for name, one in [*network.named_parameters(), ("x", x)] if one.grad is not None]
        return {"loss": value.detach(), **dict(grads)}

    mine = found(lambda: network.loss(x, Terms(labels.numpy(), even, teacher.numpy(), even)))
    agree(mine, through_torch(monkeypatch, lambda: found(of_logits)))


@pytest.mark.parametrize("form", [{"hidden": (6,)}, {"first_order": True}])
def test_other_heads_have_their_loss_from_logits(form):
    assert not drawn("inner", **form).computes_loss(torch.empty(3, 5, requires_grad=True))
