"""Times ``dagfm serve`` over loopback: ``python benchmarks/serving.py``; beside FastAPI with ONNX Runtime if installed.

One worker, an untrained student of 39 string fields of which 10 are the candidate's, D 16, depth 3, inner, causal. One
client with a kept connection, its requests prepared; the servers take turns. Then how long health probes take while 16
clients send 1,000 rows each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.schema import Field, Schema
from dagfm.serving.bundle import Bundle, write_bundle
from dagfm.serving.golden import with_golden

HERE = Path(__file__).parent
FIELDS, CANDIDATE, SIZE, DEPTH, TOKENS = 39, 10, 16, 3, 2500
NAMES = [f"c{index:02d}" for index in range(FIELDS)]
CONTEXT = NAMES[: FIELDS - CANDIDATE]
RIVAL = ("fastapi", "onnxruntime", "onnxscript", "torch")


def bundle_of(directory: Path) -> Path:
    """An untrained bundle."""
    draw = np.random.default_rng(0)
    sides = {name: "context" if name in CONTEXT else "candidate" for name in NAMES}
    schema = Schema.of(tuple(Field(name=name, side=side) for name, side in sides.items()))
    counts = pl.Series(np.arange(TOKENS, 0, -1))
    vocabularies = {
        name: Vocabulary(pl.Series([f"f{name[1:]}_{token:05d}" for token in range(TOKENS)]), counts) for name in NAMES
    }
    encoder = Encoder(schema, vocabularies)
    table = draw.normal(size=(encoder.spans.total, SIZE), scale=0.1).astype(np.float32)
    arrays = drawn(draw)
    network = {"type": "inner", "depth": DEPTH, "connect": "causal"}
    arrays["embedding.weight"] = table
    write_bundle(directory, with_golden(Bundle(encoder, network, arrays, {"scale": 1.0, "shift": 0.0}, {})))
    return directory


def drawn(draw: np.random.Generator) -> dict[str, Any]:
    """The network's arrays."""
    pairs = FIELDS * (FIELDS + 1) // 2
    shapes = {"p": (DEPTH, pairs, SIZE), "head.weight": (1, FIELDS * (DEPTH + 1)), "head.bias": (1,)}
    shapes["connect_layer"] = (pairs,)
    return {f"network.{name}": (draw.normal(size=shape) / 6).astype(np.float32) for name, shape in shapes.items()}


def rows_of(count: int) -> list[dict[str, str]]:
    """Raw rows, one value in a hundred unknown."""
    draw = np.random.default_rng(1)
    ids = draw.integers(0, TOKENS * 101 // 100, (count, FIELDS))
    return [{name: f"f{name[1:]}_{row[place]:05d}" for place, name in enumerate(NAMES)} for row in ids.tolist()]


def export(bundle: Path, folder: Path) -> None:
    """The same student for ONNX Runtime, and its tokens as JSON."""
    sys.path.insert(0, str(HERE / "rivals"))
    import onnx_runtime as rival  # noqa: PLC0415 - of packages that are not ours

    import dagfm  # noqa: PLC0415

    scorer = dagfm.load(bundle)
    model = rival.FromIds(scorer, rival.MatrixProducts(rival.reference(scorer, "inner")))
    rival.session(model, folder / "model.onnx")
    vocabulary = {
        name: {token: row for row, token in enumerate(one.tokens.to_list(), 2)}
        for name, one in scorer.bundle.encoder.vocabularies.items()
    }
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))


@contextmanager
def running(command: list[str], port: int) -> Any:
    """A server, once it accepts."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, f"{command} ended with {process.returncode}"
                time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


class Connection:
    """A kept connection that sends bytes and reads one answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self, request: bytes) -> bytes:
        """The body of the answer."""
        self._socket.sendall(request)
        data = self._socket.recv(1 << 20)
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(1 << 20)
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), data[:500]
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(1 << 20)
        return body


def post(path: str, body: bytes, more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def v2_json(rows: list[dict[str, str]]) -> bytes:
    inputs = [
        {"name": name, "shape": [len(rows)], "datatype": "BYTES", "data": [row[name] for row in rows]} for name in NAMES
    ]
    return post("/v2/models/m/infer", json.dumps({"inputs": inputs}).encode())


def v2_binary(rows: list[dict[str, str]]) -> bytes:
    inputs, tail = [], b""
    for name in NAMES:
        cells = [row[name].encode() for row in rows]
        data = b"".join(len(cell).to_bytes(4, "little") + cell for cell in cells)
        tail += data
        parameters = {"binary_data_size": len(data)}
        inputs.append({"name": name, "shape": [len(rows)], "datatype": "BYTES", "parameters": parameters})
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return post("/v2/models/m/infer", head + tail, f"inference-header-content-length: {len(head)}\r\n")


def plain(rows: list[dict[str, str]], path: str = "/v1/models/m:predict") -> bytes:
    return post(path, json.dumps({"rows": rows}).encode())


def columns(rows: list[dict[str, str]]) -> bytes:
    return post("/v1/models/m:predict", json.dumps({"rows": {n: [row[n] for row in rows] for n in NAMES}}).encode())


def ranking(rows: list[dict[str, str]], *, as_columns: bool) -> bytes:
    context, names = {name: rows[0][name] for name in CONTEXT}, NAMES[len(CONTEXT) :]
    candidates: Any = [{name: row[name] for name in names} for row in rows]
    if as_columns:
        candidates = {name: [row[name] for row in rows] for name in names}
    body = {"context": context, "candidates": candidates, "top": 100}
    return post("/v1/models/m:rank", json.dumps(body).encode())


def measure(steps: dict[str, Callable[[], object]], seconds: float) -> dict[str, tuple[float, float, float]]:
    """Of each step, taken in turns of some calls: p50 and p99 in milliseconds, and calls a second."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(5):
            step()
    end = time.perf_counter() + seconds * len(steps)
    while time.perf_counter() < end:
        for name, step in steps.items():
            for _ in range(10):
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
    return {
        name: (*(1e3 * np.quantile(found, [0.5, 0.99])).tolist(), 1 / float(np.mean(found)))
        for name, found in times.items()
    }


def told(title: str, found: dict[str, tuple[float, float, float]], rows: int) -> None:
    for name, (median, tail, rate) in found.items():
        print(f"{title:10}{name:26}{median:10.3f}{tail:10.3f}{rate * rows:14,.0f}", flush=True)


def busy(port: int, large: bytes) -> None:
    """Send large requests from 16 connections for ever."""

    def client() -> None:
        send = Connection(port)
        while True:
            send(large)

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()


def probes(port: int, path: str, large: bytes, seconds: float) -> tuple[float, float]:
    """p50 and p99 milliseconds of a probe while 16 clients of another process send large requests."""
    # Threads of this process would share its interpreter, and the probe would wait for them and not for the server.
    clients = multiprocessing.get_context("spawn").Process(target=busy, args=(port, large))
    clients.start()
    time.sleep(2)
    probe, request = Connection(port), f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    taken = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        probe(request)
        taken.append(1e3 * (time.perf_counter() - start))
        time.sleep(0.005)
    clients.kill()
    clients.join()
    median, tail = np.quantile(taken, [0.5, 0.99]).tolist()
    return median, tail


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--no-rival", action="store_true", help="ours alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serving-") as place, ExitStack() as stack:
        folder = Path(place)
        bundle = bundle_of(folder / "bundle")
        port, other = free_port(), free_port()
        quiet = ["--no-access-log", "--drain", "0"]
        command = [sys.executable, "-m", "dagfm", "-q", "serve", f"m={bundle}", "--port", str(port), *quiet]
        stack.enter_context(running(command, port))
        with_rival = not options.no_rival and all(find_spec(name) for name in RIVAL)
        if with_rival:
            export(bundle, folder)
            stack.enter_context(
                running([sys.executable, str(HERE / "rivals" / "fastapi_server.py"), str(folder), str(other)], other)
            )
        else:
            print(f"the rival is left out: it needs {', '.join(RIVAL)}")
        ours, theirs = Connection(port), Connection(other) if with_rival else None
        print(f"{'':10}{'':26}{'p50 ms':>10}{'p99 ms':>10}{'rows/s':>14}")
        for count in (1, 100):
            rows = rows_of(count)
            made = {
                "plain": plain(rows),
                "plain, columns": columns(rows),
                "v2": v2_json(rows),
                "v2 binary": v2_binary(rows),
            }
            steps = {name: lambda request=request: ours(request) for name, request in made.items()}
            if theirs is not None:
                request = plain(rows, "/predict")
                np.testing.assert_allclose(
                    json.loads(theirs(request))["scores"], json.loads(ours(made["plain"]))["scores"], atol=1e-4
                )
                steps["FastAPI, ONNX Runtime"] = lambda request=request: theirs(request)
            told(f"{count} row{'s' * (count > 1)}", measure(steps, options.seconds), count)
        large = rows_of(1000)
        lists, table = (ranking(large, as_columns=one) for one in (False, True))
        steps = {"plain": lambda: ours(lists), "plain, columns": lambda: ours(table)}
        told("rank 1000", measure(steps, options.seconds), 1000)
        print("\nprobes while 16 clients send 1,000 rows:")
        median, tail = probes(port, "/v2/health/live", plain(large), options.seconds)
        print(f"{'':10}{'dagfm serve':26}{median:10.3f}{tail:10.3f}")
        if theirs is not None:
            median, tail = probes(other, "/health", plain(large, "/predict"), options.seconds)
            print(f"{'':10}{'FastAPI, ONNX Runtime':26}{median:10.3f}{tail:10.3f}")


if __name__ == "__main__":
    main()
