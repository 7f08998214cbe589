"""Adam in the compiled kernel and by torch: the same weights, and either goes on where the other stopped."""

import numpy as np
import pytest
import torch
from torch import nn

from dagfm.kernel.adam import move, rule_of
from dagfm.kernel.library import versions
from dagfm.training.adam import KernelAdam, TorchAdam, adam_of

built = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")


def drawn(shapes=((5, 16), (3, 7), (1,), (33,)), kind=torch.float32):
    generator = torch.Generator().manual_seed(1)
    made = [nn.Parameter(torch.randn(shape, generator=generator).to(kind)) for shape in shapes]
    return {f"w{place}": (one, 0.1 * place) for place, one in enumerate(made)}


def moved(adam, steps, first=0):
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        for place, (one, _) in enumerate(adam.parameters.values()):
            gradient = torch.randn(one.shape, generator=generator)
            one.grad = None if place == 1 and step % 2 else gradient.to(one.dtype)
        adam.step(0.1 / (1 + step))
        assert all(one.grad is None for one, _ in adam.parameters.values())
    return [one.detach().clone() for one, _ in adam.parameters.values()]


@built
def test_both_forms_move_alike():
    for mine, theirs in zip(moved(KernelAdam(drawn()), 30), moved(TorchAdam(drawn()), 30), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@built
@pytest.mark.parametrize(("before", "after"), [(KernelAdam, TorchAdam), (TorchAdam, KernelAdam), (KernelAdam,) * 2])
def test_one_goes_on_from_the_state_of_the_other(before, after):
    expected = moved(TorchAdam(drawn()), 9)
    first = before(drawn())
    moved(first, 5)
    state = {name: value.clone() for name, value in first.tensors().items()}
    weights = [one.detach().clone() for one, _ in first.parameters.values()]
    second = after(drawn())
    for (one, _), weight in zip(second.parameters.values(), weights, strict=True):
        one.data.copy_(weight)
    second.restore(state)
    for mine, theirs in zip(moved(second, 4, first=5), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_what_never_had_a_gradient_stays_and_has_no_state():
    for form in (KernelAdam, TorchAdam) if versions() else (TorchAdam,):
        parameters = drawn()
        kept = parameters["w2"][0].detach().clone()
        adam = form(parameters)
        parameters["w0"][0].grad = torch.ones(5, 16)
        adam.step(0.1)
        assert torch.equal(parameters["w2"][0], kept)
        assert {name.partition("/")[2] for name in adam.tensors()} == {"w0"}


def test_nothing_to_move_is_fine():
    adam = adam_of({})
    adam.step(0.1)
    assert adam.tensors() == {}
    TorchAdam({}).step(0.1)


def test_other_numbers_than_float32_go_through_torch():
    assert type(adam_of(drawn(kind=torch.float64))) is TorchAdam


@built
@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("count", [1, 3, 16, 17, 65])
def test_every_version_is_the_algorithm_of_the_paper(version, count):
    random = np.random.default_rng(count)
    weight, mean, square, grad = random.normal(size=(4, count)).astype(np.float32)
    square = np.abs(square)
    expected_grad = grad + 0.01 * weight.astype(float)
    first, second = 0.9 * mean + 0.1 * expected_grad, 0.999 * square + 0.001 * expected_grad**2
    expected = weight - 0.05 * (first / (1 - 0.9**7)) / (np.sqrt(second / (1 - 0.999**7)) + 1e-8)
    move(weight, grad, mean, square, 0.01, rule_of(0.05, 7, 0.9, 0.999, 1e-8), version)
    np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean, first, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(square, second, rtol=1e-5, atol=1e-5)


@built
def test_arrays_that_would_have_to_be_copied_are_refused():
    fine = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="expected contiguous float32"):
        move(fine.T[:, :2], *(np.zeros((4, 2), np.float32) for _ in range(3)), 0.0, rule_of(0.1, 1, 0.9, 0.999, 1e-8))
    with pytest.raises(ValueError, match="expected contiguous float32"):
        move(fine, fine, fine.astype(float), fine, 0.0, rule_of(0.1, 1, 0.9, 0.999, 1e-8))
