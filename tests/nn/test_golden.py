"""The networks against the reference: logits, loss and every gradient of the stored fixtures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dagfm.interop.recbole import network_from_state

GOLDEN = Path(__file__).parents[1] / "golden"


def reference_gradients(network):
    """Our parameters' gradients under the reference's names; of DAGFM's packed messages only the used triangle."""
    grads = {name: parameter.grad for name, parameter in network.named_parameters()}
    found = {}
    for name, grad in grads.items():
        match name.split("."):
            case ["p" | "q"]:
                found |= {f"{name}.{layer}": part for layer, part in enumerate(grad)}
            case ["weight"]:
                found |= {f"cross_layer_w.{layer}": part for layer, part in enumerate(grad)}
            case ["bias"]:
                found |= {f"bias.{layer}": part[:, None] for layer, part in enumerate(grad)}
            case ["layers", layer, "weight"]:
                found[f"cin.{layer}.conv.weight"] = grad[..., None]
            case ["layers", layer, "bias"]:
                found[f"cin.{layer}.conv.bias"] = grad
            case ["head", kind]:
                found["linear" if "layers.0.weight" in grads else f"linear.{kind}"] = grad
            case _:
                found[name] = grad
    if "linear" in found:
        found["linear"] = found["linear"].t()
    return {name: grad.numpy() for name, grad in found.items()}


def assert_close(found, expected, what):
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error <= 1e-5, f"{what}: relative error {error}"


@pytest.mark.parametrize(
    ("file", "name"),
    [("dagfm_inner", "DAGFM"), ("dagfm_outer", "DAGFM"), ("crossnet", "CrossNet"), ("cin", "CIN")],
)
def test_logits_loss_and_all_gradients_are_the_references(file, name):
    with np.load(GOLDEN / f"{file}.npz", allow_pickle=False) as stored:
        golden = dict(stored)
    state = {key.removeprefix("param/"): golden[key] for key in golden if key.startswith("param/")}
    network = network_from_state(name, state, json.loads(str(golden["config"])))
    x = torch.from_numpy(golden["x"]).requires_grad_()

    logits = network(x)
    loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(golden["label"]))
    loss.backward()

    assert_close(logits.detach().numpy(), golden["logit"], "logit")
    assert_close(torch.sigmoid(logits).detach().numpy(), golden["probability"], "probability")
    assert_close(np.array(loss.item()), golden["bce"], "bce")
    assert_close(x.grad.numpy(), golden["grad_x"], "grad_x")
    found = reference_gradients(network)
    assert found.keys() == state.keys()
    for key, grad in found.items():
        expected = golden[f"grad/{key}"]
        if key.startswith(("p.", "q.")):
            expected = expected[np.triu_indices(len(expected))]
        assert_close(grad, expected, key)
