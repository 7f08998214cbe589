"""The scorer's NumPy network and look-up against the networks that were trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from clicks import FIELDS, click_log
from oracle import fitted

from dagfm.errors import InputError
from dagfm.nn.batch import Layout
from dagfm.nn.dagfm import DAGFM
from dagfm.nn.embedding import Embedding
from dagfm.schema import Field, Schema
from dagfm.serving import forward
from dagfm.serving.encoded import EncodedScorer
from dagfm.serving.forward import Network, embed
from dagfm.serving.quantised import KINDS, expanded, quantised


@pytest.fixture(params=["kernel", "numpy"], autouse=True)
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the compiled kernel, where it is built, and through NumPy."""
    if request.param == "numpy":
        monkeypatch.setattr(forward, "available", lambda _: False)


def _pair(
    type: str,
    connect: str,
    depth: int,
    fields: int,
    size: int,
    hidden: tuple[int, ...] = (),
    first_order: bool = False,
) -> tuple[DAGFM, Network]:
    """A trained-looking network (every weight away from its initial value) and the scorer's of the same weights."""
    generator = torch.Generator().manual_seed(depth * 1000 + fields * 10 + size)
    trained = DAGFM(fields, size, type, depth, connect, hidden, first_order)  # type: ignore[arg-type]
    for parameter in trained.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / np.sqrt(fields)
    arrays = {name: parameter.detach().numpy() for name, parameter in trained.named_parameters()}
    config: dict[str, Any] = {"type": type, "depth": depth, "connect": connect}
    if hidden:
        config |= {"head": "mlp", "hidden": list(hidden)}
    if first_order:
        config["first_order"] = True
    return trained, Network(config, arrays, fields, size + first_order)


def _size_of_terms(trained: DAGFM, x: torch.Tensor) -> np.ndarray:
    """The sum of the absolute terms of each logit: what rounding errors are relative to."""
    first_order = bool(trained.extra_columns)
    double = DAGFM(
        trained.fields, trained.size, trained.message, trained.depth, trained.connect, trained.hidden, first_order
    ).double()
    double.load_state_dict({name: value.double().abs() for name, value in trained.state_dict().items()})
    size: np.ndarray = double(x.double().abs()).detach().numpy()
    return size


@pytest.mark.parametrize("type", ["inner", "outer", "kernel"])
@pytest.mark.parametrize("connect", ["full", "causal", "none"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 3), (3, 2, 1), (9, 7, 5), (2, 13, 4), (33, 17, 3)])
def test_the_scorers_network_is_the_trained_one(
    type: str, connect: str, depth: int, shape: tuple[int, int, int]
) -> None:
    rows, fields, size = shape
    trained, network = _pair(type, connect, depth, fields, size)
    x = torch.randn(rows, fields, size, generator=torch.Generator().manual_seed(rows))
    with torch.inference_mode():
        expected = trained(x).numpy()
        terms = _size_of_terms(trained, x)
    found = network.logits(x.numpy())
    assert found.dtype == np.float32
    assert found.shape == (rows,)
    assert (np.abs(found - expected) <= 1e-5 * terms).all()


@pytest.mark.parametrize("type", ["inner", "outer", "kernel"])
@pytest.mark.parametrize("hidden", [(), (6,), (7, 1, 3)])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 7, 5), (33, 17, 3)])
def test_the_scorers_heads_are_the_trained_ones(
    type: str, hidden: tuple[int, ...], first_order: bool, shape: tuple[int, int, int]
) -> None:
    rows, fields, size = shape
    trained, network = _pair(type, "causal", 2, fields, size, hidden, first_order)
    x = torch.randn(rows, fields, size + first_order, generator=torch.Generator().manual_seed(rows))
    with torch.inference_mode():
        expected = trained(x).numpy()
        terms = _size_of_terms(trained, x)
    assert (np.abs(network.logits(x.numpy()) - expected) <= 1e-6 * terms).all()


def test_a_head_without_its_hidden_layers_is_refused() -> None:
    trained, _ = _pair("inner", "none", 1, 3, 2, (4,))
    arrays = {name: parameter.detach().numpy() for name, parameter in trained.named_parameters()}
    config = {"type": "inner", "depth": 1, "connect": "none", "head": "mlp", "hidden": [4, 2]}
    with pytest.raises(
        InputError, match=r"network\.head\.deep\.layers\.1\.weight has shape nothing, expected \(2, 4\)"
    ):
        Network(config, arrays, 3, 2)


@pytest.mark.parametrize("type", ["inner", "outer", "kernel"])
def test_a_row_scores_alone_as_in_company(type: str) -> None:
    trained, network = _pair(type, "causal", 3, 9, 4)
    x = torch.randn(40, 9, 4, generator=torch.Generator().manual_seed(1))
    together = network.logits(x.numpy())
    alone = np.concatenate([network.logits(x.numpy()[row : row + 1]) for row in range(40)])
    assert (np.abs(together - alone) <= 1e-6 * _size_of_terms(trained, x)).all()


def test_no_rows_score_to_nothing() -> None:
    _, network = _pair("outer", "full", 2, 3, 4)
    assert network.logits(np.zeros((0, 3, 4), np.float32)).shape == (0,)


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 3, 4, 0, 2, 1]])
def test_look_up_and_pooling_are_the_trained_embeddings(pooling: str, order: list[int]) -> None:
    fields = [Field(**{**FIELDS[index], "side": None}) for index in order]
    fields = [field.model_copy(update={"pooling": pooling}) if field.type == "token_seq" else field for field in fields]
    schema = Schema.of(tuple(fields))
    seen, unseen = click_log(300), click_log(300, seed=9).with_columns(pl.col("item") + 20)
    hollow = unseen.with_columns(pl.lit(None).alias(name) for name in ("user", "tags", "price", "position"))
    encoder = fitted(schema, seen, "rows")
    layout = Layout(schema, encoder.spans)
    embedding = Embedding(layout, 5)
    embedding.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    table = embedding.weight.detach().numpy()
    for frame in (seen, unseen, hollow, seen[:1], seen[:0]):
        rows = encoder.encode(frame)
        found = embed(table, schema, encoder.spans, rows)
        assert found.shape == (frame.height, len(schema), 5)
        if frame.height:
            expected = embedding(layout.batch(rows)).detach().numpy()
            assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [(), (5, 3)])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("type", ["inner", "outer", "kernel"])
def test_encoded_rows_score_as_their_embeddings_do(
    type: str, first_order: bool, hidden: tuple[int, ...], kind: str
) -> None:
    """Look-up and network in one call of the kernel, where it has such messages, against one after the other."""
    schema = Schema.of(tuple(Field(**{**field, "side": None}) for field in FIELDS))
    encoder = fitted(schema, click_log(300), "rows")
    trained, network = _pair(type, "causal", 2, len(schema), 5, hidden, first_order)
    drawn = np.random.default_rng(0).normal(size=(encoder.spans.total, 5 + first_order)).astype(np.float32)
    stored = quantised(drawn, kind)
    table = expanded(stored)
    scorer = EncodedScorer(network, stored, schema, encoder.spans)
    for frame in (click_log(150, seed=9), click_log(3, seed=2), click_log(1)[:0]):
        rows = encoder.encode(frame)
        embedded = embed(table, schema, encoder.spans, rows)
        found, expected = scorer.logits(rows), network.logits(embedded)
        assert found.shape == (frame.height,)
        if frame.height:
            assert (np.abs(found - expected) <= 1e-5 * _size_of_terms(trained, torch.from_numpy(embedded))).all()
