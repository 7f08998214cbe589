"""What takes minutes: ten thousand requests around a SIGTERM, reloads and patches in two workers, and a soak."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from clicks import Finished
from http_calls import ROW, Serving, serving, until

import dagfm
from dagfm.server.sources import fingerprint
from dagfm.serving import patches
from dagfm.serving.bundle import read_bundle, write_bundle
from dagfm.serving.golden import with_golden

pytestmark = pytest.mark.slow

PREDICT = "/v1/models/m:predict"
BODY = json.dumps({"rows": [ROW] * 3}).encode()


class Load:
    """Clients with kept connections, each going on until it is told to stop or to connect anew elsewhere."""

    def __init__(self, port: int, clients: int, seen: Callable[[http.client.HTTPResponse, bytes], None]) -> None:
        self.answered, self.lost, self.over = 0, [], threading.Event()  # type: int, list[Any], threading.Event
        self._port, self._seen = port, seen
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _client(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            while not self.over.is_set():
                connection.request("POST", PREDICT, BODY)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    self.lost.append((answer.status, body))
                self._seen(answer, body)
                self.answered += 1
                if answer.getheader("connection") == "close":
                    return
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(error)
        finally:
            connection.close()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def test_ten_thousand_requests_around_sigterm_lose_none(finished: Finished, tmp_path: Path) -> None:
    answered, place = 0, tmp_path
    while answered < 10_000:
        with serving(place, f"m={finished.bundle}", "--workers", "2", "--drain", "1", "--no-access-log") as server:
            load = Load(server.port, 16, lambda answer, body: None)
            until(lambda load=load: load.answered > 3_000, server.log)
            server.process.send_signal(signal.SIGTERM)
            load.join()
            assert server.process.wait(30) == 0
        assert load.lost == []
        answered += load.answered


def test_twenty_reloads_and_twenty_patches_under_load_in_two_workers(finished: Finished, tmp_path: Path) -> None:
    place = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    expected = {round(float(dagfm.load(place).predict([ROW])[0]), 6)}
    words = [f"m={place}", "--allow-patches", "--workers", "2", "--poll", "0.1", "--drain", "0", "--no-access-log"]
    seen: dict[str, set[float]] = {}

    def look(answer: http.client.HTTPResponse, body: bytes) -> None:
        scores = {round(score, 6) for score in json.loads(body)["scores"]}
        assert len(scores) == 1
        seen.setdefault(answer.getheader("model-version") or "", set()).update(scores)

    with serving(tmp_path, *words) as server:
        load = Load(server.port, 6, look)
        for number in range(20):
            _rescaled(place, place, 0.2 + number / 20)
            expected.add(round(float(dagfm.load(place).predict([ROW])[0]), 6))
            told = f"all workers serve version {fingerprint(place)}"
            until(lambda told=told: told in server.log.read_text(), server.log)
            _rescaled(place, tmp_path / "next", 0.225 + number / 20)
            expected.add(round(float(dagfm.load(tmp_path / "next").predict([ROW])[0]), 6))
            patches.make(place, tmp_path / "next", tmp_path / "patch")
            answer = server.request("POST", "/v2/repository/models/m/patch", (tmp_path / "patch").read_bytes())
            assert (answer.status, answer.json["durable"]) == (200, True)
            assert fingerprint(place) == fingerprint(tmp_path / "next")
            if number % 10 == 5:
                _rescaled(place, tmp_path / "bad", 3.0, golden=False)
                patches.make(place, tmp_path / "bad", tmp_path / "patch")
                answer = server.request("POST", "/v2/repository/models/m/patch", (tmp_path / "patch").read_bytes())
                assert answer.status == 400
                assert "golden rows score otherwise" in answer.error
        load.over.set()
        load.join()
    assert load.lost == []
    assert len(seen) >= 40
    assert all(len(scores) == 1 for scores in seen.values())
    assert {score for scores in seen.values() for score in scores} <= expected


def _rescaled(bundle: Path, to: Path, scale: float, *, golden: bool = True) -> None:
    changed = replace(read_bundle(bundle), calibration={"scale": scale, "shift": 0.0})
    write_bundle(to, with_golden(changed) if golden else changed)


def test_memory_stays_flat(finished: Finished, tmp_path: Path) -> None:
    """Good, bad, large and broken-off requests, and reloads, for half a minute after as much of warming up."""
    with serving(tmp_path, f"m={finished.bundle}", "--drain", "0", "--no-access-log", "--poll", "0") as server:

        def busy(seconds: float) -> int:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                server.predict([ROW])
                server.predict([{**ROW, "user": str(time.time())}] * 1000)
                server.request("POST", PREDICT, b"{" * 100_000)
                server.request("POST", "/v2/models/m/infer", b'{"inputs": []}')
                server.request("GET", "/metrics")
                _break_off(server)
                server.request("POST", "/v2/repository/models/m/unload")
                server.request("POST", "/v2/repository/models/m/load")
            return _memory(server.workers()[0])

        before = busy(30)
        after = busy(30)
    assert after - before < 8 << 20


def _break_off(server: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.putrequest("POST", PREDICT)
    connection.putheader("content-length", "1000000")
    connection.endheaders(b" " * 300_000)
    connection.close()


def _memory(pid: int) -> int:
    """Bytes of a process that are its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))
