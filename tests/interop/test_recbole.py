"""What ``network_from_state`` refuses, and how it says so; that it computes the same is in tests/nn/test_golden.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dagfm.errors import InputError
from dagfm.interop.recbole import network_from_state

GOLDEN = Path(__file__).parents[1] / "golden"


def stored(file):
    with np.load(GOLDEN / f"{file}.npz", allow_pickle=False) as arrays:
        state = {name.removeprefix("param/"): arrays[name] for name in arrays if name.startswith("param/")}
        return state, json.loads(str(arrays["config"])), torch.from_numpy(arrays["x"]), arrays["logit"]


def test_an_unknown_network_is_refused_with_the_valid_ones():
    with pytest.raises(InputError, match=r"no network 'CrosNet'.*DAGFM, CrossNet, CIN.*Did you mean 'CrossNet'"):
        network_from_state("CrosNet", {}, {})


@pytest.mark.parametrize(("name", "file"), [("dagfm", "dagfm_inner"), ("CROSSNET", "crossnet"), ("cin", "cin")])
def test_tensors_arrays_and_any_case_are_accepted(name, file):
    state, config, x, logit = stored(file)
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in state.items()}
    with torch.no_grad():
        np.testing.assert_allclose(network_from_state(name, tensors, config)(x), logit, rtol=1e-4, atol=1e-5)
        doubled = {key: array.astype(np.float64) for key, array in state.items()}
        network = network_from_state(name, doubled, config)
        np.testing.assert_allclose(network(x.double()), logit, rtol=1e-4, atol=1e-5)


def test_the_network_does_not_share_memory_with_the_state():
    state, config, x, _ = stored("cin")
    network = network_from_state("CIN", state, config)
    before = network(x).detach().clone()
    for array in state.values():
        array[...] = 0.0
    assert torch.equal(network(x), before)


def test_a_teachers_settings_may_be_marked_and_then_win():
    state, config, x, logit = stored("crossnet")
    network = network_from_state("CrossNet", state, config | {"depth": 1, "t_depth": config["depth"]})
    np.testing.assert_allclose(network(x).detach(), logit, rtol=1e-4, atol=1e-5)
    state, config, x, logit = stored("cin")
    network = network_from_state("CIN", state, {("t_cin" if key == "cin" else key): config[key] for key in config})
    np.testing.assert_allclose(network(x).detach(), logit, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unused", [np.nan, 7.0])
def test_the_unused_half_of_the_references_square_is_ignored(unused):
    state, config, x, logit = stored("dagfm_outer")
    for name in ("p.0", "q.2"):
        state[name][np.tril_indices(7, -1)] = unused
    np.testing.assert_allclose(network_from_state("DAGFM", state, config)(x).detach(), logit, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "file", "parameter"),
    [("DAGFM", "dagfm_outer", "q.1"), ("CrossNet", "crossnet", "bias.2"), ("CIN", "cin", "cin.1.conv.weight")],
)
def test_missing_surplus_and_misshapen_parameters_are_named(name, file, parameter):
    state, config, _, _ = stored(file)
    shape = state[parameter].shape
    without = {key: array for key, array in state.items() if key != parameter}
    with pytest.raises(InputError, match=rf"'{parameter}' is missing") as missing:
        network_from_state(name, without, config)
    assert str(shape) in str(missing.value)
    with pytest.raises(InputError, match=r"unknown parameter 'linear\.weights'"):
        network_from_state(name, state | {"linear.weights": np.zeros(1)}, config)
    with pytest.raises(InputError, match=rf"'{parameter}' has shape \(3, 2\), expected") as misshapen:
        network_from_state(name, state | {parameter: np.zeros((3, 2))}, config)
    assert str(shape) in str(misshapen.value)


@pytest.mark.parametrize(
    ("name", "file", "changes", "message"),
    [
        ("DAGFM", "dagfm_inner", {"feature_num": None}, "no 'feature_num'"),
        ("DAGFM", "dagfm_inner", {"depth": 0}, "'depth' is 0"),
        ("DAGFM", "dagfm_inner", {"type": "kernel"}, "'type' is 'kernel', expected one of: inner, outer"),
        ("DAGFM", "dagfm_inner", {"embedding_size": "8"}, "'embedding_size' is '8'"),
        ("CIN", "cin", {"cin": []}, "'cin' is"),
        ("CIN", "cin", {"cin": 64}, "'cin' is 64"),
    ],
)
def test_settings_that_are_missing_or_wrong_are_named(name, file, changes, message):
    state, config, _, _ = stored(file)
    with pytest.raises(InputError, match=message):
        network_from_state(name, state, config | changes)
