"""Plain JSON: predict, rank and explain, against the scorer itself; what is refused, and how."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Finished
from http_calls import ROW, Client
from scorers import deep_scorer

import dagfm
from dagfm.server.app import application
from dagfm.server.settings import INLINE, Limits
from dagfm.serving.bundle import write_bundle

PREDICT = "/v1/models/m:predict"


@pytest.fixture(scope="module")
def client(finished: Finished) -> Client:
    return Client(application({"m": finished.bundle}, limits=Limits(body=1 << 20, rows=1000)))


@pytest.fixture(scope="module")
def scorer(finished: Finished) -> dagfm.Scorer:
    return dagfm.load(finished.bundle)


@pytest.fixture(scope="module")
def rows(finished: Finished) -> list[dict[str, Any]]:
    return pl.read_parquet(finished.test_file).drop("click").to_dicts()


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_rows_score_as_in_python(client: Client, scorer: dagfm.Scorer, rows: list[dict[str, Any]], count: int) -> None:
    answer = client.post(PREDICT, {"rows": rows[:count]})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    np.testing.assert_allclose(answer.json["scores"], scorer.predict(rows[:count]), atol=1e-6)
    columns = {name: [row[name] for row in rows[:count]] for name in rows[0]}
    assert client.post(PREDICT, {"rows": columns}).json == answer.json


def large(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """So that a few hundred rows are a large body."""
    found = [{**row, "pad": "x" * 400} for row in rows]
    assert len(json.dumps(found)) > INLINE
    return found


def test_a_large_request_scores_as_in_python(client: Client, scorer: dagfm.Scorer, rows: list[dict[str, Any]]) -> None:
    """Also where no row of a piece has a column that others have."""
    given = large(rows[:500])
    for row in given[200:480]:
        del row["group"]
    answer = client.post(PREDICT, {"rows": given})
    np.testing.assert_allclose(answer.json["scores"], scorer.predict(given), atol=1e-6)
    assert len(answer.json["scores"]) == 500


@pytest.mark.parametrize(
    ("place", "odd", "status", "told"),
    [
        (400, {**ROW, "price": "dear"}, 400, "row 401: column 'price' holds 'dear'"),
        (499, 5, 400, "$.rows[499]"),
        (300, [ROW], 400, "$.rows[300]"),
    ],
    ids=repr,
)
def test_of_a_large_request_the_wrong_row_is_told(
    client: Client, rows: list[dict[str, Any]], place: int, odd: Any, status: int, told: str
) -> None:
    given: list[Any] = large(rows[:500])
    given[place] = odd
    answer = client.post(PREDICT, {"rows": given})
    assert answer.status == status
    assert told in answer.error
    data = json.dumps({"rows": given[:place]}).encode()
    assert client.post(PREDICT, data[:-40]).status == 400, "cut off"
    assert client.post(PREDICT, data[:-1] + b', "rows": [5]}').status == 400
    answer = client.post(PREDICT, {"rows": (given[:place] * 4)[:1001]})
    assert answer.status == 413
    assert "1001 rows, at most 1000" in answer.error


def test_the_answer_says_which_version_it_is_of(client: Client) -> None:
    answer = client.post(PREDICT, {"rows": [ROW]})
    (version,) = client.get("/v2/models/m").json["versions"]
    assert answer.headers["model-version"] == version
    assert client.post(f"/v1/models/m/versions/{version}:predict", {"rows": [ROW]}).json == answer.json


def test_ranking_is_the_order_of_the_scores(client: Client, scorer: dagfm.Scorer, rows: list[dict[str, Any]]) -> None:
    context = {name: rows[0][name] for name in ("user", "group")}
    candidates = [{name: row[name] for name in ("item", "tags", "price", "position")} for row in rows[:50]]
    expected = scorer.predict([{**context, **candidate} for candidate in candidates])
    for given in (candidates, {name: [one[name] for one in candidates] for name in candidates[0]}):
        found = client.post("/v1/models/m:rank", {"context": context, "candidates": given, "top": 5}).json
        assert len(found["indices"]) == 5
        np.testing.assert_allclose(found["scores"], np.sort(expected)[::-1][:5], atol=1e-6)
        np.testing.assert_allclose(expected[found["indices"]], found["scores"], atol=1e-6)
    every = client.post("/v1/models/m:rank", {"context": context, "candidates": candidates}).json
    assert sorted(every["indices"]) == list(range(50))
    assert client.post("/v1/models/m:rank", {"context": context, "candidates": []}).json == {
        "indices": [],
        "scores": [],
    }


EXPLAIN = "/v1/models/m:explain"


def test_scores_are_explained_as_in_python(client: Client, scorer: dagfm.Scorer, rows: list[dict[str, Any]]) -> None:
    for paths in ({}, {"paths": 0}, {"paths": 100}):
        answer = client.post(EXPLAIN, {"rows": rows[:3], **paths})
        assert answer.status == 200
        expected = [one.as_dict() for one in scorer.explain(rows[:3], **paths)]
        assert answer.json == {"explanations": json.loads(json.dumps(expected))}
    columns = {name: [row[name] for row in rows[:3]] for name in rows[0]}
    assert client.post(EXPLAIN, {"rows": columns, "paths": 100}).json == answer.json
    assert client.post(EXPLAIN, {"rows": []}).json == {"explanations": []}


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        ({"rows": [ROW], "paths": -1}, 400, "paths is -1, expected 0 to 100"),
        ({"rows": [ROW], "paths": 101}, 400, "paths is 101, expected 0 to 100"),
        ({"rows": [ROW], "paths": 1.5}, 400, "paths"),
        ({"rows": [ROW], "paths": None}, 400, "paths"),
        ({"rows": [ROW] * 101}, 413, "101 rows, at most 100"),
        ({"rows": [{**ROW, "price": "dear"}]}, 400, "row 1: column 'price' holds 'dear'"),
        ({"rows": [{key: ROW[key] for key in ROW if key != "item"}]}, 400, "'item' is missing"),
        ({"paths": 3}, 400, "rows"),
    ],
    ids=lambda value: repr(value)[-30:],
)
def test_explanations_that_are_refused(client: Client, sent: dict[str, Any], status: int, told: str) -> None:
    answer = client.post(EXPLAIN, sent)
    assert answer.status == status, answer.body
    assert told in answer.error


def test_a_head_with_hidden_layers_explains_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "deep", deep_scorer().bundle)
    answer = Client(application({"m": tmp_path / "deep"})).post(EXPLAIN, {"rows": [ROW]})
    assert answer.status == 400
    assert "explain needs a linear head" in answer.error
    assert str(tmp_path) not in answer.error


def test_probes_do_not_wait_for_explanations(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def explain(*_: object) -> list[object]:
        threads.append(threading.current_thread().name)
        return []

    monkeypatch.setattr(dagfm.Scorer, "explain", explain)
    assert client.post(EXPLAIN, {"rows": [ROW]}).json == {"explanations": []}
    assert threads[0].startswith("large")


@pytest.mark.parametrize("name", ["", "\0", "x\0y", "\ufffe", "x" * 10_000])
def test_columns_of_any_name_are_ignored(client: Client, scorer: dagfm.Scorer, name: str) -> None:
    """Polars ends the process where a name with a zero byte leaves it."""
    expected = scorer.predict([ROW])[0]
    table = {column: [cell] * 300 for column, cell in {**ROW, name: 5}.items()}
    for rows in ([{**ROW, name: [1]}, {name: [2], **ROW}], table):
        found = client.post(PREDICT, {"rows": rows})
        assert found.json["scores"] == pytest.approx([expected] * len(found.json["scores"]), abs=1e-6)
    assert client.post(EXPLAIN, {"rows": [{**ROW, name: 5}]}).json["explanations"][0]["probability"] == pytest.approx(
        expected, abs=1e-6
    )


def body(**odd: Any) -> bytes:
    return json.dumps({"rows": [{**ROW, **odd}]}).encode()


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        (b"", 400, "the request has no body, expected JSON"),
        (b"{", 400, "not valid JSON"),
        (b"[]", 400, "expected"),
        (b"{}", 400, "rows"),
        (b'{"rows": 5}', 400, "rows"),
        (b'{"rows": [5]}', 400, "rows"),
        (b'{"rows": [null]}', 400, "rows"),
        (b'{"rows": [{}]}', 400, "row 1 is empty"),
        (b'{"rows": {"user": 5}}', 400, "rows"),
        (b'{"rows": [{"user": NaN}]}', 400, "; JSON has no NaN: null is the missing value"),
        (b'{"rows": [{"user": "\xff\xfe"}]}', 400, "not valid JSON"),
        (b'{"rows": [{"user": "\\ud800"}]}', 400, "not valid JSON"),
        (b"[" * 100_000, 400, ""),
        (b'{"rows": [{"user": ' + b"[" * 100_000, 400, ""),
        (body(price="dear"), 400, "row 1: column 'price' holds 'dear'"),
        (body(price="Infinity"), 400, "price"),
        (body(price=[1]), 400, "price"),
        (body(price={"a": 1}), 400, "price"),
        (body(user=[1]), 400, "user"),
        (body(position=[1, 2, 3]), 400, "expected 2"),
        (body(position=5), 400, "position"),
        (body(position="x"), 400, "position"),
        (body(tags={"a": 1}), 400, "column 'tags' holds objects, expected one value a row"),
        (body(tags=[["a"]]), 400, "tags"),
        (json.dumps({"rows": [{k: v for k, v in ROW.items() if k != "price"}]}).encode(), 400, "'price' is missing"),
        (json.dumps({"rows": {**{k: [v] for k, v in ROW.items()}, "item": [1, 2]}}).encode(), 400, "length"),
        (b'{"rows": [{"price": 1e999}]}', 400, "out of range"),
        (json.dumps({"rows": [ROW] * 1001}).encode(), 413, "1001 rows, at most 1000"),
        (json.dumps({"rows": {k: [v] * 1001 for k, v in ROW.items()}}).encode(), 413, "1001 rows, at most 1000"),
        (b'{"rows": [' + b" " * (1 << 20) + b"]}", 413, "larger than 1048576 bytes"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_is_refused_with_its_reason(client: Client, sent: bytes, status: int, told: str) -> None:
    answer = client.post(PREDICT, sent)
    assert answer.status == status, answer.body
    if status != 200:
        assert told in answer.error
        assert "/" not in answer.error.replace("NaN/", ""), "no path leaks"
        assert "Traceback" not in answer.error


@pytest.mark.parametrize(
    "odd",
    [
        {"user": "x" * 500_000},
        {"user": 10**30},
        {"user": -1e300},
        {"user": True},
        {"user": "\u0000"},
        {"price": 1e300},
        {"price": "1.5"},
        {"item": None, "user": None, "tags": None, "price": None, "position": None, "group": None},
        {"position": [None, 1]},
        {"tags": []},
        {"unheard": {"of": [1]}},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_odd_values_score_as_in_python(client: Client, scorer: dagfm.Scorer, odd: dict[str, Any]) -> None:
    answer = client.post(PREDICT, {"rows": [{**ROW, **odd}]})
    assert answer.status == 200, answer.body
    np.testing.assert_allclose(answer.json["scores"], scorer.predict([{**ROW, **odd}]), atol=1e-6)


def test_an_error_does_not_send_a_long_cell_back(client: Client) -> None:
    answer = client.post(PREDICT, body(price="x" * 500_000))
    assert answer.status == 400
    assert len(answer.body) < 2000


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"candidates": []}, "context"),
        ({"context": {}, "candidates": 5}, "candidates"),
        ({"context": {"user": "u1", "group": "x"}, "candidates": [{}]}, ""),
        ({"context": {}, "candidates": [{}], "top": -1}, "top is -1"),
        ({"context": {}, "candidates": [{}], "top": "all"}, "top"),
        ({"context": {}, "candidates": [{"item": 1, "tags": "a", "price": 1, "position": None}]}, "user"),
    ],
    ids=repr,
)
def test_a_wrong_ranking_is_refused(client: Client, sent: Any, told: str) -> None:
    answer = client.post("/v1/models/m:rank", sent)
    assert answer.status == 400
    assert told in answer.error


def test_too_many_candidates_are_refused(client: Client) -> None:
    answer = client.post("/v1/models/m:rank", {"context": {}, "candidates": [{}] * 1001})
    assert answer.status == 413
    assert "1001 candidates" in answer.error
