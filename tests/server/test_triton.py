"""NVIDIA's client from PyPI, unchanged, against a running server: strings and numbers, both wires, compression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Finished
from http_calls import serving

import dagfm

triton = pytest.importorskip("tritonclient.http", exc_type=ImportError)


@pytest.fixture(scope="module")
def client(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serving(tmp_path_factory.mktemp("triton"), f"m={finished.bundle}", "--drain", "0") as server:
        found = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
        yield found
        found.close()


@pytest.fixture(scope="module")
def rows(finished: Finished) -> pl.DataFrame:
    return pl.read_parquet(finished.test_file).head(50).with_columns(pl.col("price").fill_null(1.0))


def inputs(rows: pl.DataFrame, *, binary: bool) -> list[Any]:
    found = []
    for name in ("user", "group", "item", "tags"):
        cells = np.array(rows[name].cast(pl.String).fill_null("").to_list(), dtype=np.object_)
        tensor = triton.InferInput(name, [rows.height], "BYTES")
        tensor.set_data_from_numpy(cells, binary_data=binary)
        found.append(tensor)
    for name, shape in (("price", [rows.height, 1]), ("position", [rows.height, 2])):
        tensor = triton.InferInput(name, shape, "FP64")
        tensor.set_data_from_numpy(np.array(rows[name].to_list(), np.float64).reshape(shape), binary_data=binary)
        found.append(tensor)
    return found


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("asked", [None, True, False], ids=["no outputs", "binary output", "json output"])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_it_scores_as_in_python(
    client: Any, finished: Finished, rows: pl.DataFrame, binary: bool, asked: bool | None, compression: str | None
) -> None:
    outputs = None if asked is None else [triton.InferRequestedOutput("score", binary_data=asked)]
    result = client.infer(
        "m",
        inputs(rows, binary=binary),
        outputs=outputs,
        request_id="r1",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
        timeout=1000,
        priority=1,
    )
    assert result.get_response()["id"] == "r1"
    np.testing.assert_allclose(result.as_numpy("score"), dagfm.load(finished.bundle).predict(rows), atol=1e-6)


def test_it_asks_after_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "dagfm"
    metadata = client.get_model_metadata("m")
    assert [one["name"] for one in metadata["inputs"]] == ["user", "group", "item", "tags", "price", "position"]
    assert client.is_model_ready("m", metadata["versions"][0])


def test_it_loads_and_unloads(client: Any) -> None:
    assert [line["state"] for line in client.get_model_repository_index()] == ["READY"]
    client.unload_model("m")
    assert not client.is_model_ready("m")
    assert [line["state"] for line in client.get_model_repository_index()] == ["UNAVAILABLE"]
    client.load_model("m")
    assert client.is_model_ready("m")


def test_it_is_told_what_is_wrong(client: Any, rows: pl.DataFrame) -> None:
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match="input 'user' is missing"):
        client.infer("m", inputs(rows, binary=True)[1:])
    with pytest.raises(InferenceServerException, match="model 'other' is unknown"):
        client.infer("other", inputs(rows, binary=True))
