"""``explain`` against every path enumerated in float64, over random schemas and networks; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise, product
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import FIELDS, Finished
from hypothesis import given, settings
from hypothesis import strategies as st
from scorers import LOG, MORE, deep_scorer, scorer_of

import dagfm
from dagfm.kernel.library import chosen_version
from dagfm.metrics import sigmoid
from dagfm.serving.explanation.explanation import Explanation, Reading
from dagfm.serving.forward import embed
from dagfm.serving.quantised import expanded, quantised
from dagfm.serving.scorer import Scorer

NAMES = [one["name"] for one in [*FIELDS, *MORE]]
STRANGE: dict[str, Any] = {"user": "nobody", "group": "", "item": 999, "tags": "a|zz", "price": None, "position": None}
ROWS = pl.concat([LOG[:20].drop("click"), pl.DataFrame([STRANGE], schema=LOG.drop("click").schema)])
Term = tuple[tuple[int, ...], float]


class Slow:
    """A bundle's network one product at a time."""

    def __init__(self, scorer: Scorer) -> None:
        bundle = scorer.bundle
        self.message, self.depth = bundle.network["type"], bundle.network["depth"]
        self.fields = len(scorer.schema)
        self.arrays = {name: one.astype(np.float64) for name, one in bundle.parameters.items()}
        self.pairs = {pair: at for at, pair in enumerate(combinations_with_replacement(range(self.fields), 2))}
        self.head = self.arrays["head.weight"].reshape(self.depth + 1, self.fields)
        connect = bundle.network["connect"]
        self.c = np.eye(self.fields)
        if connect == "full":
            self.c = self.arrays["connect_layer"]
        elif connect == "causal":
            self.c = np.zeros((self.fields, self.fields))
            self.c[np.tril_indices(self.fields)] = self.arrays["connect_layer"]
        self.first_order = bundle.network.get("first_order", False)

    def message_of(self, layer: int, edge: tuple[int, int], h: np.ndarray) -> np.ndarray:
        at = layer, self.pairs[edge]
        if self.message == "inner":
            return self.arrays["p"][at] * h
        if self.message == "outer":
            return (self.arrays["p"][at] @ h) * self.arrays["q"][at]
        return self.arrays["w"][at] @ h

    def value(self, path: tuple[int, ...], factors: list[np.ndarray]) -> float:
        """What the path adds where its factors, states or shares of them, are these."""
        h = factors[0]
        for layer, (edge, factor) in enumerate(zip(pairwise(path), factors[1:], strict=True)):
            h = factor * self.message_of(layer, edge, h)
        return float(self.head[len(path) - 1, path[-1]] * h.sum())

    def every_path(self) -> Iterator[tuple[int, ...]]:
        for order in range(1, self.depth + 2):
            yield from combinations_with_replacement(range(self.fields), order)

    def terms(self, embedded: np.ndarray) -> list[Term]:
        """Of every path of a row with these vectors (F, D), its nodes and value."""
        vectors, first = self.split(embedded)
        h0 = self.c @ vectors
        found = [(path, self.value(path, [h0[node] for node in path])) for path in self.every_path()]
        return [(path, value + (first[path[0]] if len(path) == 1 else 0.0)) for path, value in found]

    def by_field(self, embedded: np.ndarray) -> np.ndarray:
        """(F,) every product of single fields' vectors shared equally among its factors."""
        vectors, credit = self.split(embedded)
        for path in self.every_path():
            for fields in product(range(self.fields), repeat=len(path)):
                factors = [self.c[node, field] * vectors[field] for node, field in zip(path, fields, strict=True)]
                share = self.value(path, factors) / len(path)
                for field in fields:
                    credit[field] += share
        return credit

    def logit(self, embedded: np.ndarray) -> float:
        return float(self.arrays["head.bias"][0]) + sum(value for _, value in self.terms(embedded))

    def from_empty(self, empty: np.ndarray, embedded: np.ndarray) -> np.ndarray:
        """(F,) the integral of each field's share of the slope, by differences, on the way from one to the other."""
        change, added = embedded - empty, np.zeros(len(embedded))
        for point, weight in zip(*np.polynomial.legendre.leggauss(6), strict=True):
            for field in range(self.fields):
                step = np.zeros_like(change)
                step[field] = 1e-4 * change[field]
                at = empty + (point + 1) / 2 * change
                added[field] += weight / 2 * (self.logit(at + step) - self.logit(at - step)) / 2e-4
        return added

    def split(self, embedded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.first_order:
            return embedded[:, :-1], embedded[:, -1].copy()
        return embedded, np.zeros(len(embedded))


def embedded(scorer: Scorer, rows: pl.DataFrame) -> np.ndarray:
    """(B, F, width) float64."""
    bundle = scorer.bundle
    table = expanded(quantised(bundle.arrays["embedding.weight"], "float32"))
    return embed(table, scorer.schema, bundle.encoder.spans, scorer.encode(rows)).astype(np.float64)


def sums(one: Explanation) -> list[float]:
    edges = sum(edge.value for edge in one.by_edge)
    return [sum(one.by_order), sum(one.by_node.values()), sum(one.by_field.values()), edges]


networks = {
    "connect": st.sampled_from(["none", "causal", "full"]),
    "message": st.sampled_from(["inner", "outer", "kernel"]),
    "first_order": st.booleans(),
}


def drawn(names: set[str], connect: str, message: str, depth: int, first_order: bool) -> Scorer:
    options = {"first_order": True} if first_order else {}
    return scorer_of(names, {"item", "tags"}, connect, message, depth, **options)


@settings(max_examples=60)
@given(
    names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=5),
    depth=st.integers(1, 3),
    start=st.integers(0, 19),
    most=st.sampled_from([1, 2, 10, 40, 10_000]),
    **networks,
)
def test_an_explanation_is_every_path_enumerated(
    names: set[str], connect: str, message: str, depth: int, first_order: bool, start: int, most: int
) -> None:
    scorer = drawn(names, connect, message, depth, first_order)
    slow, rows = Slow(scorer), ROWS[start : start + 2]
    logits, served = scorer.logits(rows), scorer.predict(rows)
    for row, (one, vectors) in enumerate(zip(scorer.explain(rows, paths=most), embedded(scorer, rows), strict=True)):
        terms = slow.terms(vectors)
        size = abs(one.bias) + sum(abs(value) for _, value in terms)
        assert abs(one.logit - logits[row]) <= 1e-5 * size
        assert one.logit == pytest.approx(one.bias + sum(value for _, value in terms), abs=1e-12 * size)
        assert [one.bias + total for total in sums(one)] == pytest.approx([one.logit] * 4, abs=1e-12 * size)
        assert one.probability == pytest.approx(served[row], abs=1e-7)
        assert one.served_logit == pytest.approx(0.7 * one.logit - 0.1, abs=1e-5 * size)
        assert one.probability == pytest.approx(float(sigmoid(np.array(one.served_logit))), abs=1e-7)

        names_of = scorer.schema.names
        orders, nodes = np.zeros(depth + 1), dict.fromkeys(names_of, 0.0)
        edges = dict.fromkeys(combinations_with_replacement(names_of, 2), 0.0)
        for path, value in terms:
            orders[len(path) - 1] += value
            nodes[names_of[path[-1]]] += value
            edges[names_of[path[-2:][0]], names_of[path[-1]]] += value
        assert one.by_order == pytest.approx(orders, abs=1e-12 * size)
        assert one.by_node == pytest.approx(nodes, abs=1e-12 * size)
        assert {edge[:2]: edge.value for edge in one.by_edge} == pytest.approx(edges, abs=1e-12 * size)

        strongest = sorted(terms, key=lambda term: -abs(term[1]))[:most]
        assert len(one.paths) == len({path.nodes for path in one.paths}) == len(strongest)
        assert [abs(path.value) for path in one.paths] == pytest.approx(
            [abs(v) for _, v in strongest], abs=1e-12 * size
        )
        by_path = {tuple(names_of[node] for node in path): value for path, value in terms}
        told = [by_path[path.nodes] for path in one.paths]
        assert [path.value for path in one.paths] == pytest.approx(told, abs=1e-12 * size)


@settings(max_examples=30)
@given(
    names=st.sets(st.sampled_from(["user", "group", "tags", "price"]), min_size=1, max_size=3),
    depth=st.integers(1, 2),
    **networks,
)
def test_fields_share_every_product_of_theirs_equally(
    names: set[str], connect: str, message: str, depth: int, first_order: bool
) -> None:
    scorer = drawn(names, connect, message, depth, first_order)
    slow, rows = Slow(scorer), ROWS[19:]
    for one, vectors in zip(scorer.explain(rows), embedded(scorer, rows), strict=True):
        assert list(one.by_field) == list(scorer.schema.names)
        size = 1 + sum(abs(value) for _, value in slow.terms(vectors))
        assert list(one.by_field.values()) == pytest.approx(slow.by_field(vectors), abs=1e-12 * size)


@settings(max_examples=30)
@given(
    names=st.sets(st.sampled_from(["user", "group", "tags", "price", "user x group"]), min_size=1, max_size=3),
    depth=st.integers(1, 3),
    **networks,
)
def test_fields_lead_from_an_empty_row_to_the_row(
    names: set[str], connect: str, message: str, depth: int, first_order: bool
) -> None:
    scorer = drawn(names, connect, message, depth, first_order)
    nothing = [dict.fromkeys(scorer.schema.columns)]
    slow, (empty,) = Slow(scorer), embedded(scorer, pl.DataFrame(nothing))
    for one, vectors in zip(scorer.explain(ROWS[19:]), embedded(scorer, ROWS[19:]), strict=True):
        size = 1 + sum(abs(value) for at in (empty, vectors) for _, value in slow.terms(at))
        assert one.empty_logit == pytest.approx(scorer.logits(nothing)[0], abs=1e-5 * size)
        assert one.empty_logit + sum(one.from_empty.values()) == pytest.approx(one.logit, abs=1e-12 * size)
        assert list(one.from_empty.values()) == pytest.approx(slow.from_empty(empty, vectors), abs=1e-6 * size)
        assert all(one.from_empty[name] == 0 for name, each in one.values.items() if each.status == "missing")


@pytest.mark.parametrize("message", ["inner", "outer", "kernel"])
def test_strongest_paths_of_large_states_are_all_found(message: str) -> None:
    """Where long paths are the strongest, bounds let much through."""
    scorer = scorer_of({"user", "group", "item", "tags", "price"}, {"item"}, "causal", message, depth=4)
    arrays = dict(scorer.bundle.arrays)
    arrays["embedding.weight"] = arrays["embedding.weight"] * np.float32(8)
    scorer = Scorer(replace(scorer.bundle, arrays=arrays))
    rows = ROWS[:4]
    for one, vectors in zip(scorer.explain(rows, paths=30), embedded(scorer, rows), strict=True):
        strongest = sorted((abs(value) for _, value in Slow(scorer).terms(vectors)), reverse=True)[:30]
        assert max(len(path.nodes) for path in one.paths) == 5
        assert [abs(path.value) for path in one.paths] == pytest.approx(strongest)


def test_an_explanation_prints_as_its_sum() -> None:
    (found,) = scorer_of({"user", "item", "tags"}, {"item", "tags"}, "causal", "inner").explain([STRANGE])
    head, *lines = str(found).splitlines()
    assert (
        head
        == f"probability {found.probability:.4f}, logit {found.logit:+.4f} = {found.empty_logit:+.4f} of an empty row"
    )
    adds, names, told = zip(*(line.split(maxsplit=2) for line in lines), strict=True)
    assert dict(zip(names, told, strict=True)) == {
        "user": "nobody (unknown)",
        "item": "999 (unknown)",
        "tags": "a|zz (partly unknown)",
    }
    assert [abs(float(one)) for one in adds] == sorted((abs(float(one)) for one in adds), reverse=True)
    assert found.empty_logit + sum(map(float, adds)) == pytest.approx(found.logit, abs=2e-4)


def test_beginnings_are_gone_on_with_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = scorer_of({"user", "group", "item", "tags"}, {"item"}, "full")
    whole = scorer.explain(ROWS[:3], paths=1000)
    monkeypatch.setattr("dagfm.serving.explanation.strongest.PIECE", 3)
    monkeypatch.setattr("dagfm.serving.explanation.explainer.CHUNK", 2)
    for one, other in zip(whole, scorer.explain(ROWS[:3], paths=1000), strict=True):
        assert [path.nodes for path in one.paths] == [path.nodes for path in other.paths]
        assert one.by_field == pytest.approx(other.by_field)


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_a_smaller_table_is_explained_as_it_scores(kind: str) -> None:
    if not chosen_version():
        pytest.skip("the kernel is not built")
    plain = scorer_of({"user", "tags", "price", "item"}, {"item"}, "causal", first_order=True)
    table = quantised(plain.bundle.arrays["embedding.weight"], kind)
    arrays = {**plain.bundle.arrays, "embedding.weight": table.rows}
    if table.scales is not None:
        arrays["embedding.scales"] = table.scales
    scorer = Scorer(replace(plain.bundle, arrays=arrays))
    found = [one.logit for one in scorer.explain(ROWS, paths=0)]
    assert found == pytest.approx(scorer.logits(ROWS), rel=1e-5, abs=1e-5)
    assert found != pytest.approx(plain.logits(ROWS), abs=1e-7)


# What the row said -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return scorer_of(set(NAMES), {"item", "tags"}, "causal")


def test_what_a_row_said_and_what_training_knew_of_it(scorer: Scorer) -> None:
    known = LOG.filter(pl.col("price").is_not_null() & (pl.col("tags") != "") & pl.col("group").is_not_null())[:1]
    first = known.row(0, named=True)
    rows = [first, STRANGE | {"user": "n" * 300, "tags": "zz"}, STRANGE | {"user": first["user"], "item": None}]
    known_one, strange, other = (one.values for one in scorer.explain(rows, paths=0))
    assert list(known_one) == list(scorer.schema.names)
    assert {one.status for name, one in known_one.items() if name != "history"} == {"known", "hashed"}
    assert known_one["user x item"] == Reading([first["user"], first["item"]], "hashed")
    assert known_one["amount"].value == known_one["price"].value == first["price"]
    assert strange["user"] == Reading("n" * 200 + "...", "unknown")
    assert strange["user x group"].status == strange["user x item"].status == "unknown"
    assert strange["item"] == Reading(999, "unknown")
    assert strange["group"] == Reading(None, "missing")
    assert strange["tags"] == Reading("zz", "unknown")
    assert strange["price"] == strange["amount"] == strange["position"] == Reading(None, "missing")
    assert other["tags"] == Reading("a|zz", "partly unknown")
    assert other["user x item"] == Reading([first["user"], None], "hashed")
    assert other["item"] == Reading(None, "missing")


def test_what_cannot_be_json_is_text(scorer: Scorer) -> None:
    rows = ROWS[:1].with_columns(
        user=pl.lit(b"\xff"), group=pl.lit(float("inf")), item=pl.date(2026, 1, 2), tags=pl.Series([["a"] * 300])
    )
    (one,) = scorer.explain(rows)
    told = json.loads(json.dumps(one.as_dict(), allow_nan=False))
    values = {name: each["value"] for name, each in told["values"].items()}
    assert (values["user"], values["group"], values["item"]) == ("\\xff", "inf", "2026-01-02")
    assert values["tags"] == ["a"] * 200 + ["..."]


def test_a_value_that_is_missing_scores_as_it_would(scorer: Scorer) -> None:
    rows = ROWS[18:].to_dicts()
    for row, one in zip(rows, scorer.explain(rows, paths=0), strict=True):
        expected = {column: scorer.predict([{**row, column: None}])[0] for column in scorer.schema.columns}
        assert one.if_missing == pytest.approx(expected, abs=1e-6)


# Forms and refusals ------------------------------------------------------------------------------------------------


def test_dicts_and_tables_are_explained_alike(scorer: Scorer) -> None:
    expected = [one.as_dict() for one in scorer.explain(ROWS)]
    columns = {name: ROWS[name].to_list() for name in ROWS.columns}
    for same in (ROWS.to_dicts(), columns, ROWS.to_arrow(), ROWS.with_columns(extra=pl.lit("x"))):
        found = [one.as_dict() for one in scorer.explain(same)]
        for one, other in zip(expected, found, strict=True):
            assert one["paths"] == other["paths"]
            assert one["values"] == other["values"]
            assert one["by_field"] == other["by_field"]
    assert scorer.explain([]) == []
    assert scorer.explain(ROWS[:0]) == []


def test_as_many_paths_as_asked_for(scorer: Scorer) -> None:
    (none,) = scorer.explain(ROWS[:1], paths=0)
    assert none.paths == []
    (few,) = scorer.explain(ROWS[:1], paths=3)
    (default,) = scorer.explain(ROWS[:1])
    assert default.paths[:3] == few.paths
    assert len(default.paths) == 10
    for bad in (-1, 1.5, True, "3"):
        with pytest.raises(dagfm.InputError, match=r"paths is .*, expected a whole number, 0 or more"):
            scorer.explain(ROWS[:1], paths=bad)  # type: ignore[arg-type]


def test_rows_that_predict_refuses_are_refused(scorer: Scorer) -> None:
    with pytest.raises(dagfm.InputError, match="field 'price' is missing"):
        scorer.explain(ROWS.drop("price"))
    with pytest.raises(dagfm.InputError, match=r"requests: row 2: column 'price' holds 'dear'"):
        scorer.explain([STRANGE, STRANGE | {"price": "dear"}], origin="requests")
    with pytest.raises(dagfm.InputError, match="expected a finite number"):
        scorer.explain([STRANGE | {"price": float("inf")}])
    (one,) = scorer.explain([STRANGE | {"price": float("nan"), "user": float("nan")}])
    assert one.values["price"] == one.values["user"] == Reading(None, "missing")


def test_hidden_layers_are_refused_with_the_reason() -> None:
    scorer = deep_scorer()
    assert scorer.predict(ROWS[:1]).shape == (1,)
    with pytest.raises(dagfm.InputError, match=r"explain needs a linear head: .*\(head: mlp\)"):
        scorer.explain(ROWS[:1])


def test_a_runs_bundle_is_explained(finished: Finished) -> None:
    scorer = dagfm.load(finished.bundle)
    rows = pl.read_parquet(finished.test_file)
    found = scorer.explain(rows, paths=0)
    assert [one.logit for one in found] == pytest.approx(scorer.logits(rows), abs=1e-5)
    assert [one.served_logit for one in found] == pytest.approx(scorer.served_logits(rows), abs=1e-7)
    for one in found:
        assert [one.bias + total for total in sums(one)] == pytest.approx([one.logit] * 4)
