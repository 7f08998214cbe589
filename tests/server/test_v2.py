"""The Open Inference Protocol v2 on the wire: tensors in JSON and binary, metadata, health, the index, error shapes."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Finished
from http_calls import Client, Reply

import dagfm
from dagfm.server.app import application
from dagfm.server.settings import Limits

INFER = "/v2/models/m/infer"
NAMES = ("user", "group", "item", "tags", "price", "position")


@pytest.fixture(scope="module")
def client(finished: Finished) -> Client:
    return Client(application({"m": finished.bundle}, limits=Limits(body=1 << 20, rows=1000)))


@pytest.fixture(scope="module")
def rows(finished: Finished) -> pl.DataFrame:
    return pl.read_parquet(finished.test_file).drop("click").head(20)


@pytest.fixture(scope="module")
def scores(finished: Finished, rows: pl.DataFrame) -> Any:
    return dagfm.load(finished.bundle).predict(rows)


def texts(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def tensors(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client sends them."""
    n = rows.height
    price = rows["price"].fill_null(0.0).to_list()
    return [
        {"name": "user", "shape": [n], "datatype": "BYTES", "data": texts(rows["user"])},
        {"name": "group", "shape": [n, 1], "datatype": "BYTES", "data": [[text] for text in texts(rows["group"])]},
        {"name": "item", "shape": [n], "datatype": "INT64", "data": rows["item"].to_list()},
        {"name": "tags", "shape": [n], "datatype": "BYTES", "data": texts(rows["tags"])},
        {"name": "price", "shape": [n, 1], "datatype": "FP64", "data": price},
        {"name": "position", "shape": [n, 2], "datatype": "FP64", "data": rows["position"].to_list()},
    ]


def as_bytes(tensor: dict[str, Any]) -> bytes:
    flat = [cell for value in tensor["data"] for cell in (value if isinstance(value, list) else [value])]
    if tensor["datatype"] == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in flat)
    return np.array(flat, {"INT64": "<i8", "FP64": "<f8"}[tensor["datatype"]]).tobytes()


def binary(client: Client, given: list[dict[str, Any]], names: Sequence[str] = NAMES, **more: Any) -> Reply:
    """Send the named tensors as bytes, the others in JSON."""
    inputs, tail = [], b""
    for tensor in given:
        if tensor["name"] not in names:
            inputs.append(tensor)
            continue
        data = as_bytes(tensor)
        tail += data
        kept = {key: value for key, value in tensor.items() if key != "data"}
        inputs.append({**kept, "parameters": {"binary_data_size": len(data)}})
    head = json.dumps({"inputs": inputs, **more}).encode()
    return client.post(INFER, head + tail, {"inference-header-content-length": str(len(head))})


@pytest.fixture
def filled(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("price").fill_null(0.0))


def test_json_tensors_score_as_in_python(finished: Finished, client: Client, filled: pl.DataFrame) -> None:
    answer = client.post(INFER, {"id": "r1", "inputs": tensors(filled), "parameters": {"priority": 1}})
    assert answer.status == 200, answer.body
    found = answer.json
    assert (found["model_name"], found["id"]) == ("m", "r1")
    assert found["model_version"] == answer.headers["model-version"]
    (output,) = found["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("score", "FP32", [20])
    expected = dagfm.load(finished.bundle).predict(filled)
    np.testing.assert_allclose(output["data"], expected, atol=1e-6)


@pytest.mark.parametrize("names", [NAMES, ("user", "price"), ("position",)], ids="+".join)
def test_bytes_score_as_json(client: Client, filled: pl.DataFrame, names: tuple[str, ...]) -> None:
    plain = client.post(INFER, {"inputs": tensors(filled)}).json["outputs"][0]["data"]
    answer = binary(client, tensors(filled), names, id="x", parameters={"binary_data_output": True})
    assert answer.status == 200, answer.body
    length = int(answer.headers["inference-header-content-length"])
    head = json.loads(answer.body[:length])
    assert head["id"] == "x"
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 80}
    np.testing.assert_array_equal(np.frombuffer(answer.body[length:], "<f4"), np.float32(plain))


@pytest.mark.parametrize(
    ("more", "is_binary"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "score"}]}, False),
        ({"outputs": [{"name": "score", "parameters": {"binary_data": True}}]}, True),
        (
            {
                "outputs": [{"name": "score", "parameters": {"binary_data": False}}],
                "parameters": {"binary_data_output": True},
            },
            False,
        ),
    ],
    ids=repr,
)
def test_the_output_is_as_asked(client: Client, filled: pl.DataFrame, more: dict[str, Any], is_binary: bool) -> None:
    answer = client.post(INFER, {"inputs": tensors(filled), **more})
    assert ("inference-header-content-length" in answer.headers) == is_binary


@pytest.mark.parametrize("as_binary", [False, True])
def test_no_rows_have_no_scores(client: Client, rows: pl.DataFrame, as_binary: bool) -> None:
    given = tensors(rows[:0])
    answer = binary(client, given) if as_binary else client.post(INFER, {"inputs": given})
    assert answer.status == 200, answer.body
    assert answer.json["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [0], "data": []}]


def test_text_beyond_ascii_travels_as_bytes(client: Client, finished: Finished, filled: pl.DataFrame) -> None:
    one = filled[:1].with_columns(user=pl.lit("Zoë ☃ 𝄞"))
    answer = binary(client, tensors(one))
    expected = dagfm.load(finished.bundle).predict(one)
    np.testing.assert_allclose(answer.json["outputs"][0]["data"], expected, atol=1e-6)


def test_the_empty_string_and_nan_are_missing_values(client: Client, finished: Finished, rows: pl.DataFrame) -> None:
    given = tensors(rows[:1])
    for tensor in given:
        tensor["data"] = [""] if tensor["datatype"] == "BYTES" else tensor["data"]
    given[4] = {**given[4], "data": [float("nan")]}
    answer = binary(client, given)
    row = {**rows[:1].to_dicts()[0], "user": None, "group": None, "tags": None, "price": None}
    np.testing.assert_allclose(answer.json["outputs"][0]["data"], dagfm.load(finished.bundle).predict([row]), atol=1e-6)


def changed(rows: pl.DataFrame, index: int, **changes: Any) -> list[dict[str, Any]]:
    given = tensors(rows[:2])
    given[index] = {key: value for key, value in {**given[index], **changes}.items() if value is not ...}
    return given


@pytest.mark.parametrize(
    ("index", "changes", "told"),
    [
        (0, {"name": "users"}, "unexpected input 'users'; expected: user, group"),
        (0, {"name": "item"}, "twice"),
        (0, {"datatype": "STRING"}, "datatype 'STRING', valid: BOOL"),
        (0, {"datatype": "INT64"}, "not INT64"),
        (2, {"datatype": "BYTES"}, "not BYTES"),
        (2, {"datatype": "INT8", "data": [1, 300]}, "not INT8"),
        (2, {"datatype": "UINT8", "data": [1, -3]}, "not UINT8"),
        (2, {"data": [1, 10**30]}, "not INT64"),
        (2, {"data": [1, 2.5]}, "not INT64"),
        (2, {"data": [1, None]}, "not INT64"),
        (2, {"data": 7}, "not INT64"),
        (2, {"data": [[[1]], [[2]]]}, "not INT64"),
        (2, {"data": ...}, "neither 'data' nor"),
        (2, {"data": [1]}, "holds 1 elements, its shape says 2"),
        (2, {"shape": [3]}, "holds 2 elements, its shape says 3"),
        (2, {"shape": []}, "shape"),
        (2, {"shape": [-2]}, "shape"),
        (2, {"shape": [2, 1, 1]}, "shape"),
        (2, {"shape": [1.5]}, "shape"),
        (2, {"shape": [10**40]}, "rows"),
        (5, {"shape": [0, 2**63], "data": []}, "shape"),
        (2, {"shape": [1], "data": [5]}, "holds 1 rows, those before it 2"),
        (2, {"parameters": {"shared_memory_region": "x"}}, "shared memory"),
        (2, {"parameters": {"binary_data_size": 16}}, "0 bytes follow"),
        (2, {"parameters": {"binary_data_size": "16"}}, "binary_data_size is 16"),
        (2, {"parameters": {"binary_data_size": True}}, "binary_data_size is True"),
        (4, {"datatype": "BYTES", "data": ["1.5", "dear"]}, "row 2: column 'price' holds 'dear'"),
        (5, {"shape": [2, 1], "data": [1.0, 2.0]}, "expected 2"),
        (5, {"shape": [2], "data": [1.0, 2.0]}, "position"),
    ],
    ids=repr,
)
def test_a_wrong_tensor_is_named(
    client: Client, filled: pl.DataFrame, index: int, changes: dict[str, Any], told: str
) -> None:
    answer = client.post(INFER, {"inputs": changed(filled, index, **changes)})
    assert answer.status in (400, 413)
    assert told in answer.error


def test_a_missing_tensor_is_named(client: Client, filled: pl.DataFrame) -> None:
    answer = client.post(INFER, {"inputs": tensors(filled)[1:]})
    assert answer.status == 400
    assert "input 'user' is missing" in answer.error


def test_an_unknown_output_is_named(client: Client, filled: pl.DataFrame) -> None:
    answer = client.post(INFER, {"inputs": tensors(filled), "outputs": [{"name": "logit"}]})
    assert "unexpected output 'logit'; expected: score" in answer.error


@pytest.mark.parametrize("length", ["-1", "x", "99999999", "1e3", "", "9" * 5000])
def test_a_wrong_length_of_the_json_is_refused(client: Client, filled: pl.DataFrame, length: str) -> None:
    body = json.dumps({"inputs": tensors(filled)}).encode()
    answer = client.post(INFER, body, {"inference-header-content-length": length})
    assert answer.status == 400
    assert "Inference-Header-Content-Length" in answer.error


STRINGS = struct.pack("<I", 1) + b"a"


@pytest.mark.parametrize(
    ("datatype", "shape", "size", "data", "told"),
    [
        ("BYTES", [2], 5, STRINGS, "cannot hold"),
        ("BYTES", [2], 10, STRINGS + struct.pack("<I", 2) + b"b", "take 11 bytes"),
        ("BYTES", [2], 10, struct.pack("<I", 2**32 - 1) + b"abcdef", "end after 1"),
        ("BYTES", [1], 10, STRINGS + STRINGS, "take 5 bytes"),
        ("BYTES", [1], 5, struct.pack("<I", 1) + b"\xff", "not UTF-8"),
        ("BYTES", [1], 5, STRINGS + b"more", "4 bytes follow"),
        ("INT64", [1], 5, STRINGS, "5 bytes, expected 1 x 8"),
        ("INT64", [10**12], 5, STRINGS, "rows"),
        ("FP16", [2], 2, b"ab", "2 bytes, expected 2 x 2"),
        ("FP16", [3], 2, b"ab", "cannot hold"),
        ("BYTES", [1], 50, STRINGS, "but 5 bytes follow"),
    ],
)
def test_wrong_binary_lengths_are_refused(
    client: Client, datatype: str, shape: list[int], size: int, data: bytes, told: str
) -> None:
    tensor = {"name": "user", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = client.post(INFER, head + data, {"inference-header-content-length": str(len(head))})
    assert answer.status in (400, 413)
    assert told in answer.error


@pytest.mark.parametrize("datatype", ["INT8", "UINT16", "INT32", "UINT64", "FP16", "FP32", "BOOL"])
def test_every_datatype_of_numbers_is_a_token(client: Client, filled: pl.DataFrame, datatype: str) -> None:
    cells: list[Any] = [True, False] if datatype == "BOOL" else [1, 2]
    plain = client.post(INFER, {"inputs": changed(filled, 2, datatype=datatype, data=cells)})
    assert plain.status == 200, plain.body


@pytest.mark.parametrize("name", ["price", "position", "item"])
@pytest.mark.parametrize("odd", [float("inf"), -float("inf"), float("nan")])
def test_infinity_and_nan_are_answered(client: Client, filled: pl.DataFrame, name: str, odd: float) -> None:
    """NaN is a missing value, infinity no number; as a token each is what its text is."""
    given = tensors(filled)
    place = NAMES.index(name)
    size = filled.height * (2 if name == "position" else 1)
    given[place] = {**given[place], "datatype": "FP64", "data": [odd] * size}
    answer = binary(client, given, (name,))
    if name == "item" or np.isnan(odd):
        assert answer.status == 200, answer.body
        assert np.isfinite(answer.json["outputs"][0]["data"]).all()
    else:
        assert answer.status == 400
        assert name in answer.error


def test_a_string_of_ten_megabytes_is_an_unknown_token(finished: Finished, filled: pl.DataFrame) -> None:
    client = Client(application({"m": finished.bundle}))
    long = "x" * 10_000_000
    given = tensors(filled.head(1))
    given[0] = {**given[0], "data": [long]}
    found = [client.post(INFER, {"inputs": given}), binary(client, given)]
    row = {**filled.row(0, named=True), "user": long}
    found.append(client.post("/v1/models/m:predict", {"rows": [row]}))
    assert [answer.status for answer in found] == [200] * 3
    expected = dagfm.load(finished.bundle).predict([{**row, "user": "a stranger"}])[0]
    assert found[0].json["outputs"][0]["data"] == pytest.approx([expected], abs=1e-6)
    assert found[2].json["scores"] == pytest.approx([expected], abs=1e-6)
    given[4] = {**given[4], "datatype": "BYTES", "data": [long]}
    answer = client.post(INFER, {"inputs": given})
    assert answer.status == 400
    assert len(answer.body) < 2000, "it is not sent back"


def test_a_million_rows_are_refused(client: Client, filled: pl.DataFrame) -> None:
    answer = client.post(INFER, {"inputs": changed(filled, 2, shape=[1_000_000])})
    assert answer.status == 413
    assert "1000000 rows, at most 1000" in answer.error


def test_metadata_names_what_infer_takes(client: Client) -> None:
    server = client.get("/v2").json
    assert server == {
        "name": "dagfm",
        "version": dagfm.__version__,
        "extensions": ["binary_tensor_data", "model_repository"],
    }
    found = client.get("/v2/models/m").json
    (version,) = found["versions"]
    assert found["platform"] == "dagfm"
    assert [one["name"] for one in found["inputs"]] == list(NAMES)
    assert found["inputs"][0] == {"name": "user", "datatype": "BYTES", "shape": [-1]}
    assert found["inputs"][5] == {"name": "position", "datatype": "FP32", "shape": [-1, 2]}
    assert found["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1]}]
    assert client.get(f"/v2/models/m/versions/{version}").json == found


def test_health_is_never_an_empty_body(client: Client) -> None:
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    assert client.get("/v2/models/m/ready").json == {"name": "m", "ready": True}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}', b" "])
def test_the_index_lists_models(client: Client, body: bytes) -> None:
    (line,) = client.post("/v2/repository/index", body).json
    assert (line["name"], line["state"], line["reason"]) == ("m", "READY", "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 404),
        ("GET", "/v2/", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", "/v2/models/m/versions/7", 404),
        ("POST", "/v2/models/m/versions/7/infer", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/m:score", 404),
        ("POST", "/v2/repository/models/other/load", 404),
        ("GET", "/v2/models/m/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("DELETE", "/v2", 405),
        ("OPTIONS", "/v1/models/m:predict", 405),
    ],
)
def test_other_paths_and_methods_are_errors_of_the_same_shape(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = client.call(method, path, b"", {})
    assert answer.status == status
    assert answer.error
    assert ("allow" in answer.headers) == (status == 405)
