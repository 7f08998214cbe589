"""Clients with environments of their own, from the package index: KServe's, and schemathesis over the OpenAPI page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from clicks import Finished
from http_calls import serving

import dagfm

pytestmark = pytest.mark.slow


def environment(folder: Path, package: str) -> Path:
    """The bin folder of a fresh environment with ``package``; skips where no package index can be reached."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(folder / "bin" / "pip"), "install", "--quiet", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{package} cannot be installed: {done.stderr[-300:]}")
    return folder / "bin"


KSERVE = """
import asyncio, json, sys
from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig
url, rows = sys.argv[1], json.load(open(sys.argv[2]))

def inputs():
    n = len(rows)
    made = []
    for name in ("user", "group", "item", "tags"):
        texts = ["" if row[name] is None else str(row[name]) for row in rows]
        made.append(InferInput(name, [n], "BYTES", data=texts))
    made.append(InferInput("price", [n], "FP64", data=[row["price"] for row in rows]))
    made.append(InferInput("position", [n, 2], "FP64", data=[x for row in rows for x in row["position"]]))
    return made

async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "m")
    request = InferRequest(model_name="m", infer_inputs=inputs(), request_id="r1")
    answer = await client.infer(url, request, model_name="m")
    assert (answer.model_name, answer.id) == ("m", "r1")
    (output,) = answer.outputs
    assert (output.name, output.datatype) == ("score", "FP32")
    print(json.dumps([float(score) for score in output.as_numpy()]))

asyncio.run(main())
"""


def test_the_client_of_kserve_scores_as_python(finished: Finished, tmp_path: Path) -> None:
    found = environment(tmp_path / "venv", "kserve")
    rows = pl.read_parquet(finished.test_file).drop("click").head(20).with_columns(pl.col("price").fill_null(1.0))
    (tmp_path / "rows.json").write_text(json.dumps(rows.to_dicts()))
    with serving(tmp_path, f"m={finished.bundle}", "--drain", "0") as server:
        command = [str(found / "python"), "-c", KSERVE, f"http://127.0.0.1:{server.port}", str(tmp_path / "rows.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    expected = dagfm.load(finished.bundle).predict(rows).tolist()
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(expected, abs=1e-6)


def test_schemathesis_finds_no_5xx(finished: Finished, tmp_path: Path) -> None:
    found = environment(tmp_path / "venv", "schemathesis")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    with serving(tmp_path, f"m={finished.bundle}", "--drain", "0", "--no-access-log", "--allow-patches") as server:
        # Whoever unloads the model only meets 404 from then on.
        command = [
            str(found / "schemathesis"),
            "run",
            f"http://127.0.0.1:{server.port}/openapi.json",
            *("--checks", checks, "--max-time", "60", "--seed", "1", "--exclude-path-regex", "unload"),
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "NO_COLOR": "1"},
            cwd=tmp_path,  # where it keeps what it found
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:]
