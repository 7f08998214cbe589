"""Around every request: token, ids, compression, limits of size and time, clients that hang up, log, figures."""

from __future__ import annotations

import asyncio
import base64
import gzip
import html
import json
import shlex
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from clicks import Finished
from http_calls import ROW, Client, until

from dagfm.server.app import application
from dagfm.server.settings import Limits
from dagfm.serving.scorer import Scorer

PREDICT = "/v1/models/m:predict"
BODY = json.dumps({"rows": [ROW]}).encode()


@pytest.fixture(scope="module")
def app(finished: Finished) -> Any:
    return application({"m": finished.bundle}, limits=Limits(body=100_000, seconds=0.3, pending=150_000))


@pytest.fixture(scope="module")
def client(app: Any) -> Client:
    return Client(app)


def bare(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("identity", bytes),
    ],
)
def test_compressed_bodies_score_alike(client: Client, encoding: str, compress: Any) -> None:
    answer = client.post(PREDICT, compress(BODY), {"content-encoding": encoding})
    assert answer.json == client.post(PREDICT, BODY).json


@pytest.mark.parametrize(
    ("encoding", "body", "status", "told"),
    [
        ("gzip", BODY, 400, "not valid gzip"),
        ("gzip", gzip.compress(BODY, mtime=0)[:-9], 400, "not valid gzip"),
        ("gzip", gzip.compress(BODY, mtime=0) + b"more", 400, "not valid gzip"),
        ("deflate", b"\xff" * 40, 400, "not valid deflate"),
        ("br", BODY, 415, "valid: gzip, deflate"),
        ("gzip, gzip", BODY, 415, "not supported"),
        ("gzip", gzip.compress(bytes(50_000_000), mtime=0), 413, "decompressed body is larger than 100000 bytes"),
    ],
)
def test_what_is_not_in_its_encoding_is_refused(
    client: Client, encoding: str, body: bytes, status: int, told: str
) -> None:
    answer = client.post(PREDICT, body, {"content-encoding": encoding})
    assert answer.status == status
    assert told in answer.error


@pytest.mark.parametrize(("accepted", "found"), [("gzip", "gzip"), ("deflate, br", "deflate"), ("gzip;q=0", None)])
def test_a_long_answer_is_compressed_for_who_asks(client: Client, accepted: str, found: str | None) -> None:
    plain = client.get("/openapi.json")
    answer = client.call("GET", "/openapi.json", b"", {"accept-encoding": accepted})
    assert answer.headers.get("content-encoding") == found
    undo = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[found]
    assert undo(answer.body) == plain.body
    short = client.post(PREDICT, BODY, {"accept-encoding": accepted})
    assert "content-encoding" not in short.headers


def test_a_large_body_is_refused_before_it_is_read(client: Client) -> None:
    answer = client.call("POST", PREDICT, [5.0, b"never read"], {"content-length": "1000000000"})
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert "larger than 100000 bytes" in answer.error


def test_a_large_body_of_unknown_length_is_cut_off(client: Client) -> None:
    answer = client.call("POST", PREDICT, [b" " * 60_000, b" " * 60_000, b" "], {})
    assert answer.status == 413


def test_a_slow_body_is_given_up(client: Client) -> None:
    answer = client.call("POST", PREDICT, [b"{", 0.2, b'"rows"', 0.2, b": []}"], {})
    assert answer.status == 408
    assert "within 0.3 seconds" in answer.error
    assert answer.headers["connection"] == "close"


def test_who_hangs_up_gets_no_answer_and_leaves_nothing_behind(client: Client, app: Any) -> None:
    for _ in range(100):
        assert client.call("POST", PREDICT, [b"x" * 50_000], {}, hang_up=True).status == 0
    assert client.post(PREDICT, BODY).status == 200, "what they had sent counts no longer"


def test_the_clients_request_id_comes_back(client: Client) -> None:
    assert client.call("POST", PREDICT, BODY, {"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    one, two = (client.post(PREDICT, BODY).headers["x-request-id"] for _ in range(2))
    assert one != two
    for odd in ("a\nb", "", "x" * 500, '"'):
        assert client.call("POST", PREDICT, BODY, {"x-request-id": odd}).headers["x-request-id"] != odd


def test_a_token_guards_everything_but_health(finished: Finished) -> None:
    guarded = Client(application({"m": finished.bundle}, token="secret"))
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m/ready"):
        assert guarded.get(path).status == 200
    for given in ({}, {"authorization": "Bearer other"}, {"authorization": "secret"}, {"authorization": "Bearer "}):
        answer = guarded.post(PREDICT, BODY, given)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "secret" not in answer.error
    for path in ("/v2", "/metrics", "/openapi.json", "/v2/models/m"):
        assert guarded.get(path).status == 401
    assert guarded.post("/v2/repository/models/m/unload").status == 401
    assert guarded.post(PREDICT, BODY, {"authorization": "Bearer secret"}).status == 200


def test_a_browser_may_read_with_the_token_as_password(finished: Finished) -> None:
    guarded = Client(application({"m": finished.bundle}, token="secret", access_log=False))
    asked = guarded.get("/docs")
    assert asked.status == 401
    assert asked.headers["www-authenticate"].startswith("Basic ")
    basic = {
        word: f"Basic {base64.b64encode(word.encode()).decode()}" for word in (":secret", "me:secret", "me:other", "")
    }
    assert guarded.get("/docs", authorization=basic[":secret"]).status == 200
    assert guarded.get("/docs", authorization=basic["me:secret"]).status == 200
    for wrong in (basic["me:other"], basic[""], "Basic secret", "Basic ü", "Basic"):
        assert guarded.get("/docs", authorization=wrong).status == 401
    assert guarded.post(PREDICT, BODY, {"authorization": basic["me:secret"]}).status == 401, "a page may have sent it"


def test_pages_of_other_sites_are_refused(client: Client) -> None:
    assert client.post(PREDICT, BODY, {"sec-fetch-site": "cross-site"}).status == 403
    assert client.post(PREDICT, BODY, {"sec-fetch-site": "same-origin"}).status == 200


def test_a_log_that_cannot_be_written_costs_no_request(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn would close the connection, which its client knows nothing of."""
    logged = Client(application({"m": finished.bundle}, access_log=True))
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr("sys.stderr", full)
        assert logged.post(PREDICT, BODY).status == 200


def test_every_request_is_one_line_of_json_in_the_log(finished: Finished, capfd: pytest.CaptureFixture[str]) -> None:
    logged = Client(application({"m": finished.bundle}, access_log=True))
    logged.post(PREDICT, {"rows": [ROW, ROW]}, {"x-request-id": "r7"})
    logged.post(PREDICT, b"{", {"x-request-id": "r8"})
    logged.get("/v2/health/live")
    lines = capfd.readouterr().err.splitlines()
    good, bad = (json.loads(line) for line in lines if line.startswith("{"))  # the rest is logged by others
    assert (good["request_id"], good["status"], good["rows"], good["model"]) == ("r7", 200, 2, "m")
    assert good["ms"] > 0
    assert good["version"]
    assert (bad["request_id"], bad["status"], bad["path"]) == ("r8", 400, PREDICT)
    assert "not valid JSON" in bad["error"]


def test_figures_count_requests_rows_scores_and_unknown_ids(finished: Finished) -> None:
    counted = Client(application({"m": finished.bundle}))
    counted.post(PREDICT, {"rows": [{**ROW, "user": "nobody"}, ROW, ROW]})
    counted.post(PREDICT, {"rows": [ROW]})
    counted.post(PREDICT, b"{")
    (version,) = counted.get("/v2/models/m").json["versions"]
    until(lambda: b"dagfm_ids_total{" in counted.get("/metrics").body)
    answer = counted.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    assert 'dagfm_requests_total{endpoint="predict",model="m",status="200"} 2.0' in lines
    assert 'dagfm_requests_total{endpoint="predict",model="m",status="400"} 1.0' in lines
    assert 'dagfm_rows_total{model="m",version=""} 4.0' in lines
    assert 'dagfm_score_count{model="m",version=""} 4.0' in lines
    assert 'dagfm_score_bucket{le="+Inf",model="m",version=""} 4.0' in lines
    assert 'dagfm_request_seconds_count{endpoint="predict",model="m"} 3.0' in lines
    assert 'dagfm_unknown_ids_total{field="user",model="m"} 1.0' in lines
    assert 'dagfm_ids_total{field="user",model="m"} 3.0' in lines
    assert f'dagfm_bundle_workers{{fingerprint="{version}",model="m",version="{version}"}} 1.0' in lines


@pytest.mark.parametrize("columns", [False, True])
def test_figures_count_unknown_ids_of_rankings(finished: Finished, columns: bool) -> None:
    counted = Client(application({"m": finished.bundle}))
    candidates: Any = [{**ROW, "item": 3, "user": "not looked at"}, {**ROW, "item": "new"}, {**ROW, "item": None}]
    if columns:
        candidates = {name: [one[name] for one in candidates] for name in ROW}
    asked = {"context": {**ROW, "user": "nobody", "item": "not looked at"}, "candidates": candidates, "top": 1}
    assert counted.post("/v1/models/m:rank", asked).status == 200
    assert counted.post("/v1/models/m:rank", {**asked, "candidates": []}).status == 200
    until(lambda: b"dagfm_ids_total{" in counted.get("/metrics").body)
    lines = counted.get("/metrics").body.decode().splitlines()
    assert 'dagfm_unknown_ids_total{field="user",model="m"} 3.0' in lines
    assert 'dagfm_unknown_ids_total{field="item",model="m"} 1.0' in lines
    assert 'dagfm_ids_total{field="item",model="m"} 3.0' in lines
    assert counted.get("/v1/models/m/drift").json["window"]["rows"] == 0


def test_a_bug_is_a_500_without_its_traceback(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("at /secret/place")

    monkeypatch.setattr("dagfm.serving.scorer.Scorer.predict", fail)
    answer = client.post(PREDICT, BODY, {"x-request-id": "r9"})
    assert answer.status == 500
    assert "secret" not in answer.error
    assert "r9" in answer.error
    assert "at /secret/place" in caplog.text


def test_the_page_lists_every_path(client: Client) -> None:
    described = client.get("/openapi.json").json
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in described["paths"]:
        assert ("/versions/" in path) != (f" {path}<" in page.body.decode())
    assert "/v1/models/m:rank" in described["paths"]
    assert client.get("/").body == page.body  # what a browser asks for first


def test_examples_are_of_known_values_and_answered_as_shown(client: Client) -> None:
    tried = 0
    for path, operations in client.get("/openapi.json").json["paths"].items():
        body = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in body:
            answer = client.post(path, json.dumps(body["example"]).encode())
            shown = operations["post"]["responses"]["200"]["content"]["application/json"].get("example")
            assert answer.status == 200
            assert shown is None or _rounded(answer.json) == shown
            tried += 1
    assert tried == 8  # predict, rank, explain and infer, with and without the version
    row = client.get("/openapi.json").json["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]
    explained = client.post("/v1/models/m:explain", json.dumps({**row["example"], "paths": 0}).encode()).json
    assert {one["status"] for told in explained["explanations"] for one in told["values"].values()} == {"known"}


def _rounded(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _rounded(value) for key, value in told.items()}
    if isinstance(told, list):
        return [_rounded(value) for value in told]
    return float(f"{told:.4g}") if isinstance(told, float) else told


def test_the_page_has_commands_that_a_shell_takes(client: Client) -> None:
    page = html.unescape(client.get("/docs").body.decode())
    commands = [line for line in page.split("<pre>")[1:] if line.startswith("curl ") and "-d '" in line]
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command.partition("</pre>")[0])
        path = words[1].removeprefix("http://").partition("/")[2]
        assert client.post(f"/{path}", words[3].encode()).status == 200


def test_large_requests_leave_the_event_loop_to_others(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not too large stays on it while it is alone."""
    threads: list[str] = []

    def predict(self: Scorer, rows: Any) -> Any:
        threads.append(threading.current_thread().name)
        return np.zeros(len(rows), np.float32)

    app = application({"m": finished.bundle})
    monkeypatch.setattr(Scorer, "predict", predict)

    def sent(pad: int, others: int) -> bool:
        body = json.dumps({"rows": [{**ROW, "pad": "x" * pad}]}).encode()
        threads.clear()

        async def all_of_them() -> None:
            slow = [client._call("POST", PREDICT, [b"{", 0.2], {}, False) for _ in range(others)]
            waiting = [asyncio.ensure_future(one) for one in slow]
            await asyncio.sleep(0.05)
            await client._call("POST", PREDICT, body, {}, False)
            for one in waiting:
                one.cancel()

        client = Client(app)
        asyncio.run(all_of_them())
        return threads == ["MainThread"]

    assert sent(1_000, 0)
    assert sent(1_000, 3)
    assert sent(200_000, 0)
    assert not sent(200_000, 1)
    assert not sent(300_000, 0)
    assert sent(200_000, 0), "those that hung up are no longer counted"
