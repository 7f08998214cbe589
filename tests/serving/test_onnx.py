"""The ONNX graph against the scorer: every message, connect mode, head and kind of field, and what is refused."""

# ruff: noqa: E402 (an extra: without it there is nothing to test)
from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from clicks import FIELDS, Finished, click_log
from oracle import fitted
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx")

import dagfm
from dagfm.cli.app import app
from dagfm.encoding.rows import Ragged
from dagfm.files import MANIFEST, digest
from dagfm.nn.dagfm import DAGFM
from dagfm.schema import Field, Schema
from dagfm.serving.bundle import Bundle, write_bundle
from dagfm.serving.drawn import drawn
from dagfm.serving.onnx import checking, export, feed, writing
from dagfm.serving.onnx.checking import difference, runner
from dagfm.serving.onnx.feeds import padded
from dagfm.serving.onnx.writing import built
from dagfm.serving.scorer import Scorer
from dagfm.serving.smaller import narrowed

SHUFFLED = [FIELDS[index] for index in (4, 0, 3, 5, 1, 2)]
"""Forms alternate, so that the graph has to bring its parts into node order."""
LISTS = [
    {"name": f"tags_{pooling}", "column": "tags", "type": "token_seq", "separator": "|", "pooling": pooling}
    for pooling in ("max", "sum", "mean")
]
KINDS: dict[str, list[dict[str, Any]]] = {
    "every form": SHUFFLED,
    "ids alone": [{"name": "user"}, {"name": "item", "hash": 7}],
    "lists alone": LISTS,
    "numbers alone": [FIELDS[5], FIELDS[4]],
    "one field": [{"name": "user"}],
    "shared, crossed, counted, in bins": [
        {"name": "user"},
        {"name": "tags_max", **LISTS[0]},
        {"name": "again", "column": "user", "vocabulary": "user"},
        {"name": "both", "cross": ["user", "item"]},
        {"name": "item"},
        {"name": "bins", "column": "price", "type": "float", "encode": "quantile"},
    ],
}  # fmt: skip


def made(fields: list[dict[str, Any]], size: int = 3, first_order: bool = False, **network: Any) -> Bundle:
    """A bundle of drawn weights, away from zero and with a calibration."""
    config = {"type": "inner", "depth": 2, "connect": "full", **network}
    schema = Schema(fields=tuple(Field(**one) for one in fields))
    encoder = fitted(schema, click_log(300))
    generator = torch.Generator().manual_seed(size)
    trained = DAGFM(
        len(schema),
        size,
        config["type"],
        config["depth"],
        config["connect"],
        tuple(network.get("hidden", ())),
        first_order,
    )  # type: ignore[arg-type]
    arrays = {
        f"network.{name}": (torch.randn(one.shape, generator=generator) / len(schema) ** 0.5).numpy()
        for name, one in trained.named_parameters()
    }
    shape = (encoder.spans.total, size + first_order)
    arrays["embedding.weight"] = torch.randn(shape, generator=generator).numpy()
    if first_order:
        config["first_order"] = True
    return Bundle(encoder, config, arrays, {"scale": 0.9, "shift": -0.3}, {"label": "click"})


def off_by(bundle: Bundle, folder: Path) -> float:
    file = folder / "model.onnx"
    file.write_bytes(built(bundle, {}).SerializeToString())
    onnx.checker.check_model(str(file), full_check=True)
    return difference(Scorer(bundle), runner(file))


@pytest.mark.parametrize("type", ["inner", "outer", "kernel"])
@pytest.mark.parametrize("connect", ["full", "causal", "none"])
@pytest.mark.parametrize("depth", [1, 3])
def test_every_message_and_connect_mode(tmp_path: Path, type: str, connect: str, depth: int) -> None:
    assert off_by(made(SHUFFLED, type=type, connect=connect, depth=depth), tmp_path) <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_field(tmp_path: Path, kind: str) -> None:
    assert off_by(made(KINDS[kind], type="outer"), tmp_path) <= 1e-5


@pytest.mark.parametrize("kind", ["float16", "int8"])
@pytest.mark.parametrize("first_order", [False, True])
def test_smaller_weights(tmp_path: Path, kind: str, first_order: bool) -> None:
    whole = made(SHUFFLED, 8, first_order)
    assert off_by(narrowed(whole, kind), tmp_path) <= 1e-5
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    (table,) = [one for one in graph.initializer if one.name == "embedding.weight"]
    assert onnx.helper.tensor_dtype_to_np_dtype(table.data_type) == kind, "the file is as small"


@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("size", [1, 4])
def test_heads_and_first_order(tmp_path: Path, hidden: tuple[int, ...], first_order: bool, size: int) -> None:
    more = {"head": "mlp", "hidden": list(hidden)} if hidden else {}
    assert off_by(made(SHUFFLED, size, first_order, **more), tmp_path) <= 1e-5


def test_drawn_rows_meet_what_there_is() -> None:
    bundle = made([*SHUFFLED, *LISTS])
    rows = drawn(bundle, 500)
    assert {0, 1, 2} <= set(rows.tokens[:, 0].tolist())
    assert np.isnan(rows.floats).all(axis=1).any()
    assert (np.isnan(rows.floats).any(axis=1) & ~np.isnan(rows.floats).all(axis=1)).any()
    assert set(np.diff(rows.sequences[0].offsets).tolist()) == {1, 2, 3, 4, 5}
    logits = Scorer(bundle).score_encoded(rows)
    assert logits.std() > 0.3


def test_the_difference_is_seen(tmp_path: Path) -> None:
    bundle = made(SHUFFLED)
    file = tmp_path / "model.onnx"
    file.write_bytes(built(replace(bundle, calibration={"scale": 0.9, "shift": -0.31}), {}).SerializeToString())
    assert difference(Scorer(bundle), runner(file)) > 1e-4


def test_a_runtime_of_its_own_scores_raw_rows(finished: Finished, tmp_path: Path) -> None:
    """As the page tells a client to: encode with the bundle, score with the graph, any number of rows."""
    worst = export(finished.run, tmp_path / "model.onnx")
    assert worst <= 1e-5
    scorer, run = dagfm.load(finished.run), runner(tmp_path / "model.onnx")
    rows = pl.read_parquet(finished.test_file)
    for some in (rows, rows[:1], rows[:0], rows[7:9]):
        found = run(feed(scorer.schema, scorer.encode(some)))
        assert found.dtype == np.float32
        assert found.shape == (some.height,)
        np.testing.assert_allclose(found, scorer.predict(some), atol=1e-5)


def test_ids_that_are_none_and_empty_lists(tmp_path: Path) -> None:
    """The graph cannot refuse: an id beyond its field is unknown, a list of nothing missing."""
    bundle = made([{"name": "user"}, {"name": "item"}, *LISTS])
    (tmp_path / "model.onnx").write_bytes(built(bundle, {}).SerializeToString())
    run, sizes = runner(tmp_path / "model.onnx"), bundle.encoder.spans.sizes
    names = [f"items:{one['name']}" for one in LISTS]

    def scored(tokens: list[int], items: list[int]) -> float:
        inputs = {"tokens": np.array([tokens], np.int64), **dict.fromkeys(names, np.array([items], np.int64))}
        return float(run(inputs)[0])

    assert scored([-1, 5], [2]) == scored([0, 5], [2]) == scored([int(sizes[0]), 5], [2])
    assert scored([3, 5], [-1, -1]) == scored([3, 5], [1])
    assert scored([3, 5], [-1, 2]) == scored([3, 5], [2, -1, -1])
    assert scored([3, 5], [2, 10**6]) == scored([3, 5], [2, 0])
    assert scored([3, 5], [3]) != scored([3, 5], [2])


def test_padding() -> None:
    sequence = Ragged(np.array([0, 2, 3, 6]), np.array([5, 6, 1, 2, 3, 4], np.int32))
    assert padded(sequence).tolist() == [[5, 6, -1], [1, -1, -1], [2, 3, 4]]
    assert padded(Ragged(np.array([0]), np.zeros(0, np.int32))).shape == (0, 1)


def test_the_card_and_the_fields_travel(finished: Finished, tmp_path: Path) -> None:
    export(finished.bundle, tmp_path / "a.onnx")
    export(finished.run, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes(), "the same each time"
    told = {one.key: one.value for one in onnx.load(str(tmp_path / "a.onnx")).metadata_props}
    assert json.loads(told["dagfm.card"]) == dagfm.load(finished.bundle).card
    assert told["dagfm.bundle"] == digest(finished.bundle / MANIFEST)
    fields = json.loads(told["dagfm.fields"])
    assert [one["name"] for one in fields] == list(dagfm.load(finished.bundle).schema.names)
    assert [(one["input"], one.get("column")) for one in fields] == [
        ("tokens", 0),
        ("tokens", 1),
        ("tokens", 2),
        ("items:tags", None),
        ("floats", 0),
        ("floats", 1),
    ]


def test_a_wrong_graph_gets_no_name(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_text("the one before")
    monkeypatch.setattr(writing, "difference", lambda *_: float("nan"))
    with pytest.raises(dagfm.DagfmError, match="was not written"):
        export(finished.bundle, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_text() == "the one before"


def test_a_table_beyond_the_format_is_refused(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_LARGEST", 1000)
    with pytest.raises(dagfm.InputError, match="an ONNX file holds 1,000"):
        export(finished.bundle, tmp_path / "model.onnx")


def test_without_the_runtime_the_reference_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(checking, "_ROWS", 50)
    write_bundle(tmp_path / "bundle", made(SHUFFLED))
    assert export(tmp_path / "bundle", tmp_path / "model.onnx") <= 1e-5


def test_the_command(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["export", str(finished.run), "--onnx", str(tmp_path / "model.onnx")])
    assert done.exit_code == 0
    assert "of the bundle's probabilities" in done.stderr
    wrong = CliRunner().invoke(app, ["export", str(tmp_path), "--onnx", str(tmp_path / "other.onnx")])
    assert wrong.exit_code == 2
    assert "not a bundle" in wrong.stderr
    for name in [name for name in sys.modules if name.startswith("dagfm.serving.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    without = CliRunner().invoke(app, ["export", str(finished.run), "--onnx", str(tmp_path / "other.onnx")])
    assert without.exit_code == 1
    assert "pip install 'dagfm[onnx]'" in without.stderr


def test_exporting_needs_no_torch(finished: Finished, tmp_path: Path) -> None:
    code = (
        "import sys; from dagfm.serving.onnx import export; export(sys.argv[1], sys.argv[2]); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, finished.run, tmp_path / "model.onnx"], check=True)
