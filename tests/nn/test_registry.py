"""What every network keeps to, built from its configuration."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from dagfm.config.networks import FIRST_ORDER, NetworkConfig
from dagfm.nn.batch_norm import BatchNorm
from dagfm.nn.registry import BUILDERS, build
from dagfm.schema import Field, Schema

CONFIGS = [
    *({"network": "dagfm", "type": type, "depth": 2} for type in ("inner", "outer", "kernel")),
    {"network": "crossnet", "depth": 2},
    *({"network": "cin", "cin": cin} for cin in ([4], [4, 3], [4, 3, 2])),
    *({"network": "mlp", "hidden": [4, 3], "batch_norm": batch_norm} for batch_norm in (True, False)),
    *({"network": "dcnv2", "structure": structure, "hidden": [4, 3]} for structure in ("parallel", "stacked")),
    {"network": "dcnv2", "hidden": []},
    *({"network": "xdeepfm", "cin": [4, 3], "hidden": hidden} for hidden in ([4, 3], [])),
    *({"network": "autoint", "depth": 2, "attention_size": 6, "hidden": hidden} for hidden in ([4, 3], [])),
    *({"network": "fibinet", "bilinear": bilinear, "hidden": [4]} for bilinear in ("all", "each", "interaction")),
    {"network": "fibinet", "hidden": []},
    {"network": "fm"},
    *({"network": "qnn", "depth": depth, "heads": heads, "maps": 2} for depth, heads in ((1, 4), (2, 2))),
    *(
        {"network": "finalnet", "blocks": blocks, "gating": gating}
        for blocks, gating in (([[4, 2]], True), ([[4], [2, 6]], False))
    ),
    {"network": "ecn", "depth": 2},
    {"network": "fcn", "exponential_depth": 2},
    *({"network": network} for network in ("ffm", "fwfm", "fmfm")),
]


def config_of(**settings):
    return TypeAdapter(NetworkConfig).validate_python(settings)


def schema_of(fields, candidates=0):
    sides = ["context"] * (fields - candidates) + ["candidate"] * candidates
    return Schema.of(tuple(Field(name=f"f{n}", side=side) for n, side in enumerate(sides)))


def test_every_configured_network_has_a_builder_and_no_other_name_is_accepted():
    assert set(BUILDERS) == {config["network"] for config in CONFIGS}
    with pytest.raises(ValidationError, match="dagfm"):
        config_of(network="__import__('os')")


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
@pytest.mark.parametrize(("fields", "size"), [(1, 1), (3, 1), (1, 4), (5, 3)])
@pytest.mark.parametrize("rows", [0, 1, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_batch_gives_one_finite_logit_a_row_and_all_gradients(settings, fields, size, rows, dtype):
    network = build(config_of(**settings), schema_of(fields), size).to(dtype)
    x = torch.randn(rows, fields, size + network.extra_columns, dtype=dtype, requires_grad=True)
    logits = network(x)
    assert logits.shape == (rows,) and logits.dtype == dtype
    assert torch.isfinite(logits).all()
    logits.sum().backward()
    assert x.grad.shape == x.shape
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.multiply_adds > 0 or fields == 1  # a single field has no pairs


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
@pytest.mark.parametrize("reference", [True, False])
def test_one_seed_gives_one_set_of_weights(settings, reference):
    def state(seed):
        generator = torch.Generator().manual_seed(seed)
        return build(config_of(**settings), schema_of(4), 3, generator=generator, reference=reference).state_dict()

    first, again, other = state(1), state(1), state(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    if settings["network"] not in FIRST_ORDER:  # nothing to draw
        assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
@pytest.mark.parametrize(("fields", "size"), [(1, 1), (5, 3)])
def test_raising_the_logits_adds_a_constant_to_all_of_them(settings, fields, size):
    network = build(config_of(**settings), schema_of(fields), size).double().eval()
    x = torch.randn(7, fields, size + network.extra_columns, dtype=torch.float64)
    before = network(x)
    network.raise_logits(-2.5)
    torch.testing.assert_close(network(x), before - 2.5, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
def test_the_state_holds_parameters_and_batch_normalisations_running_figures_only(settings):
    network = build(config_of(**settings), schema_of(4), 3)
    norms = [name for name, module in network.named_modules() if isinstance(module, BatchNorm)]
    running = {f"{name}.{figure}" for name in norms for figure in ("mean", "variance")}
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()} | running


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
def test_everything_is_made_on_the_inputs_device(settings):
    """The meta device refuses to work with a CPU tensor, as a GPU does."""
    network = build(config_of(**settings), schema_of(4, candidates=1), 3).to("meta")
    logits = network(torch.empty(5, 4, 3 + network.extra_columns, device="meta"))
    logits.sum().backward()
    assert logits.shape == (5,) and logits.device.type == "meta"


def test_candidates_make_the_students_connect_layer_causal():
    config = config_of(network="dagfm")
    assert build(config, schema_of(4, candidates=2), 3).connect == "causal"
    assert build(config, schema_of(4), 3).connect == "full"
