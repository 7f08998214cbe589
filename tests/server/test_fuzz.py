"""Whatever is sent, the answer is a score or a 4xx in the protocol's shape: never a 5xx, a path or a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clicks import Finished
from http_calls import ROW, Client
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.server.app import application
from dagfm.server.datatypes import DATATYPES
from dagfm.server.settings import Limits

NAMES = tuple(ROW)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["u1", "a|b", "1.5", "NaN", "", " ", "2026-01-01", -(2**63), 2**64, 1e308]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
rows = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
full_rows = rows.map(lambda row: {**ROW, **row})
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES) | st.text(max_size=5),
        "shape": st.lists(st.integers(-1, 4) | st.integers(), max_size=3),
        "datatype": st.sampled_from(DATATYPES) | st.text(max_size=5),
    },
    optional={
        "data": values | st.lists(scalars, max_size=5),
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "x"]), st.integers(-1, 40) | scalars),
    },
)


@pytest.fixture(scope="module")
def client(finished: Finished) -> Client:
    return Client(application({"m": finished.bundle}, limits=Limits(body=1 << 20, rows=50)))


def fine(client: Client, path: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    answer = client.post(path, body, headers)
    if answer.status != 200:
        assert 400 <= answer.status < 500, (answer.body, body)
        assert answer.error
        assert "Traceback" not in answer.error
        assert "site-packages" not in answer.error
    return answer.status


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(given=st.lists(full_rows, max_size=4))
@settings(max_examples=150)
def test_rows_of_odd_values(client: Client, given: list[Any]) -> None:
    fine(client, "/v1/models/m:predict", dumped({"rows": given}))


@given(given=st.dictionaries(st.sampled_from(NAMES), st.lists(values, max_size=3)) | values)
@settings(max_examples=80)
def test_columns_of_odd_values(client: Client, given: Any) -> None:
    fine(client, "/v1/models/m:predict", dumped({"rows": given}))


@given(context=rows | values, candidates=st.lists(full_rows, max_size=3) | values, top=scalars)
@settings(max_examples=80)
def test_odd_rankings(client: Client, context: Any, candidates: Any, top: Any) -> None:
    fine(client, "/v1/models/m:rank", dumped({"context": context, "candidates": candidates, "top": top}))


@given(given=st.lists(full_rows, max_size=3) | values, paths=st.integers(-1, 101) | scalars)
@settings(max_examples=80)
def test_odd_explanations(client: Client, given: Any, paths: Any) -> None:
    fine(client, "/v1/models/m:explain", dumped({"rows": given, "paths": paths}))


@given(inputs=st.lists(tensors, max_size=3) | values, more=values, tail=st.binary(max_size=40))
@settings(max_examples=150)
def test_odd_tensors(client: Client, inputs: Any, more: Any, tail: bytes) -> None:
    head = dumped({"inputs": inputs, "parameters": more, "outputs": more})
    fine(client, "/v2/models/m/infer", head)
    fine(client, "/v2/models/m/infer", head + tail, {"inference-header-content-length": str(len(head))})


@given(changes=st.lists(tensors, min_size=1, max_size=2))
@settings(max_examples=150)
def test_one_odd_tensor_among_right_ones(client: Client, changes: list[dict[str, Any]]) -> None:
    right: dict[str, dict[str, Any]] = {
        name: {"name": name, "shape": [2], "datatype": "BYTES", "data": ["", "u1"]} for name in NAMES
    }
    right["price"] |= {"datatype": "FP32", "data": [1, 2]}
    right["position"] |= {"datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    for change in changes:
        if change["name"] in right:
            right[change["name"]] |= change
    fine(client, "/v2/models/m/infer", dumped({"inputs": list(right.values())}))


@given(body=st.binary(max_size=60), header=st.sampled_from(["", "0", "1", "60"]))
@settings(max_examples=100)
def test_bytes_of_any_kind(client: Client, body: bytes, header: str) -> None:
    for path in ("/v1/models/m:predict", "/v1/models/m:rank", "/v2/repository/index"):
        fine(client, path, body)
    for encoding in ("gzip", "deflate"):
        fine(client, "/v1/models/m:predict", body, {"content-encoding": encoding})
    fine(client, "/v2/models/m/infer", body, {"inference-header-content-length": header})


@given(data=st.data())
@settings(max_examples=150)
def test_a_flipped_byte_of_a_right_request(client: Client, data: st.DataObject) -> None:
    tensor = {"name": "item", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}}
    texts = [
        {"name": name, "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}
        for name in ("user", "group", "tags")
    ]
    numbers = [
        {"name": "price", "shape": [1], "datatype": "FP32", "data": [1.0]},
        {"name": "position", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
    ]
    head = dumped({"inputs": [tensor, *texts, *numbers]})
    body = bytearray(head + bytes(8) + (b"\x02\x00\x00\x00u1" * 3) + bytes(8))
    length = str(len(head))
    assert fine(client, "/v2/models/m/infer", bytes(body), {"inference-header-content-length": length}) == 200
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    fine(client, "/v2/models/m/infer", bytes(body), {"inference-header-content-length": length})
