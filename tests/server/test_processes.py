"""``dagfm serve`` as processes: workers that are killed, SIGTERM under load, slow and vanishing clients, reloads."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clicks import Finished
from http_calls import ROW, Serving, serving, until

import dagfm
from dagfm.serving.bundle import read_bundle, write_bundle
from dagfm.serving.golden import with_golden

BODY = json.dumps({"rows": [ROW]}).encode()
PREDICT = "/v1/models/m:predict"


@pytest.fixture(scope="module")
def place(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(finished.bundle, tmp_path_factory.mktemp("served") / "bundle"))


@pytest.fixture(scope="module")
def two(place: Path) -> Iterator[Serving]:
    """A server with two workers that looks for new bundles often; its tests leave it as it was."""
    words = [f"m={place}", "--workers", "2", "--poll", "0.1", "--drain", "0.3", "--timeout", "1", "--max-body", "1MiB"]
    with serving(place.parent, *words) as found:
        yield found


def rescaled(bundle: Path, to: Path, scale: float) -> None:
    from dataclasses import replace

    write_bundle(to, with_golden(replace(read_bundle(bundle), calibration={"scale": scale, "shift": 0.0})))


def test_it_scores_as_in_python(two: Serving, place: Path) -> None:
    answer = two.predict([ROW, {**ROW, "user": "nobody"}])
    assert answer.json["scores"] == pytest.approx(dagfm.load(place).predict([ROW, {**ROW, "user": "nobody"}]).tolist())


def test_a_killed_worker_is_replaced_while_the_others_serve(two: Serving) -> None:
    before = two.workers()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    statuses = []

    def replaced() -> bool:
        statuses.append(two.predict([ROW]).status)
        now = two.workers()
        return len(now) == 2 and before[0] not in now and b"dagfm_bundle_workers" in metrics(two, 2.0)

    until(replaced, two.log)
    assert set(statuses) == {200}
    assert "another takes its place" in two.log.read_text()


def metrics(server: Serving, workers: float) -> bytes:
    """The metrics page, once as many workers serve the model."""
    page = server.request("GET", "/metrics").body
    lines = [line for line in page.splitlines() if line.startswith(b"dagfm_bundle_workers") and line.endswith(b" 2.0")]
    return page if lines or workers != 2.0 else b""


def test_the_figures_are_of_all_workers(two: Serving) -> None:
    def rows() -> float:
        page = two.request("GET", "/metrics").body.decode()
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("dagfm_rows_total"))

    before = rows()
    for _ in range(30):
        two.predict([ROW] * 3)
    assert rows() == before + 90


def test_a_replaced_bundle_is_noticed_and_all_workers_switch(two: Serving, finished: Finished, place: Path) -> None:
    before = two.predict([ROW]).json
    rescaled(finished.bundle, place, 0.25)
    expected = dagfm.load(place).predict([ROW]).tolist()
    until(lambda: two.predict([ROW]).json["scores"] == pytest.approx(expected), two.log)
    assert all(two.predict([ROW]).json["scores"] == pytest.approx(expected) for _ in range(20)), "no worker lags"
    (place / "weights.safetensors").write_bytes(b"nonsense")
    until(lambda: "refused" in two.log.read_text(), two.log)
    assert two.predict([ROW]).json["scores"] == pytest.approx(expected)
    (line,) = two.request("POST", "/v2/repository/index").json
    assert line["state"] == "READY", "what is in memory is whole"
    assert "truncated or altered" in line["reason"]
    assert str(place) not in line["reason"]
    shutil.rmtree(place)
    shutil.copytree(finished.bundle, place)
    until(lambda: two.predict([ROW]).json == before, two.log)


def test_a_call_reaches_every_worker(two: Serving) -> None:
    assert two.request("POST", "/v2/repository/models/m/unload").status == 200
    assert {two.predict([ROW]).status for _ in range(20)} == {404}
    assert two.request("GET", "/v2/health/ready").status == 200
    assert two.request("POST", "/v2/repository/models/m/load").status == 200
    assert {two.predict([ROW]).status for _ in range(20)} == {200}


def raw(server: Serving, *chunks: bytes | float) -> bytes:
    """What comes back for bytes on the wire; numbers are pauses in seconds."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        with contextlib.suppress(OSError):
            for chunk in chunks:
                if isinstance(chunk, bytes):
                    connection.sendall(chunk)
                else:
                    time.sleep(chunk)
        found = b""
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                found += data
        return found


def test_a_slow_head_is_given_up(two: Serving) -> None:
    found = raw(two, b"POST /v1/models/m:predict HTTP/1.1\r\n")
    assert found.startswith(b"HTTP/1.1 408 ")
    assert b"application/json" in found
    assert raw(two).startswith(b"HTTP/1.1 408 "), "a connection that says nothing"


def test_a_slow_second_head_is_given_up(two: Serving) -> None:
    found = raw(two, b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /v2 HT")
    assert found.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in found


def test_a_slow_body_is_given_up(two: Serving) -> None:
    found = raw(two, b"POST /v1/models/m:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
    assert found.startswith(b"HTTP/1.1 408 ")


def test_an_endless_head_is_cut_off(two: Serving) -> None:
    found = raw(two, b"GET /v2 HTTP/1.1\r\nx: " + b"y" * 200_000)
    assert found == b"" or found.startswith(b"HTTP/1.1 431 ")
    assert raw(two, b"GET /v2 HTTP/1.1\r\nx: " + b"y" * 66_000).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_a_400_in_json(two: Serving, head: bytes) -> None:
    found = raw(two, head)
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b'{"error":' in found


def test_a_gigabyte_is_refused(two: Serving) -> None:
    started = time.monotonic()
    chunk = b" " * (1 << 20)
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 1073741824\r\n\r\n"
    found = raw(two, head, *[chunk] * 1024)
    assert found == b"" or found.startswith(b"HTTP/1.1 413 ")
    assert raw(two, head).startswith(b"HTTP/1.1 413 "), "who waits for the answer gets it"
    assert time.monotonic() - started < 30
    assert two.predict([ROW]).status == 200


def test_a_hundred_clients_that_hang_up_leave_nothing(two: Serving) -> None:
    large = json.dumps({"rows": [ROW] * 2000}).encode()
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(large)
    for number in range(100):
        with socket.create_connection(("127.0.0.1", two.port)) as connection:
            connection.sendall(head + (large if number % 2 else large[:1000]))
    assert two.predict([ROW]).status == 200
    until(lambda: len(os.listdir(f"/proc/{two.workers()[0]}/fd")) < 60, two.log)  # noqa: PTH208


def test_probes_answer_while_large_requests_score(two: Serving) -> None:
    large = [ROW] * 3000
    over = threading.Event()

    def score() -> None:
        while not over.is_set():
            two.predict(large)

    threads = [threading.Thread(target=score) for _ in range(4)]
    for thread in threads:
        thread.start()
    statuses = [two.request("GET", "/v2/health/live").status for _ in range(50)]
    over.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}


def test_sigterm_under_load_loses_no_request(finished: Finished, tmp_path: Path) -> None:
    """Clients with kept connections stop at ``Connection: close``, as a pool does that goes to another server."""
    with serving(tmp_path, f"m={finished.bundle}", "--workers", "2", "--drain", "1") as server:
        lost: list[Any] = []
        counts: list[int] = []
        started = threading.Barrier(9)

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            answered, closing = 0, False
            started.wait()
            try:
                while not closing:
                    connection.request("POST", PREDICT, BODY)
                    answer = connection.getresponse()
                    closing = answer.getheader("connection") == "close"
                    if answer.status != 200 or not answer.read():
                        lost.append(answer.status)
                    answered += 1
            except (OSError, http.client.HTTPException) as error:
                lost.append(error)
            finally:
                connection.close()
            counts.append(answered)

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        started.wait()
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.request("GET", "/v2/health/ready").status == 503, server.log)
        assert server.request("GET", "/v2/health/live").status == 200
        assert server.predict([ROW]).status == 200, "who has not noticed yet is answered"
        for thread in threads:
            thread.join()
        assert server.process.wait(30) == 0
        assert not lost
        assert sum(counts) > 100


def test_an_idle_server_ends_at_once_on_interrupt(finished: Finished, tmp_path: Path) -> None:
    with serving(tmp_path, f"m={finished.bundle}", "--drain", "60") as server:
        started = time.monotonic()
        assert server.end(signal.SIGINT) == 0
        assert time.monotonic() - started < 20


def test_workers_end_when_the_supervisor_is_killed(finished: Finished, tmp_path: Path) -> None:
    """The one that took another's place, too: no worker holds the supervisor's end of another's channel."""
    with serving(tmp_path, f"m={finished.bundle}", "--workers", "3", "--drain", "0") as server:
        first = server.workers()
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(server.workers()) == 3 and first[0] not in server.workers() and metrics(server, 3.0))
        workers = server.workers()
        server.end(signal.SIGKILL)
        places = [Path(f"/proc/{worker}/cmdline") for worker in workers]
        until(lambda: not any(place.exists() and place.read_text() for place in places))


def test_what_a_killed_server_left_on_disk_is_removed_by_the_next(
    two: Serving, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "dagfm-serve-theirs").mkdir()

    def left() -> set[Path]:
        return set(tmp_path.glob("dagfm-serve-*")) - {tmp_path / "dagfm-serve-theirs"}

    words = f"m={finished.bundle}", "--drain", "0"
    with serving(tmp_path, *words) as server:
        (killed,) = left()
        workers = server.workers()
        server.end(signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{worker}/fd").exists() for worker in workers))
    with serving(tmp_path, *words), serving(tmp_path, *words) as server:
        assert len(left()) == 2, "one is not the other's"
        assert killed not in left()
        assert server.end() == 0
        assert len(left()) == 1
    assert (tmp_path / "dagfm-serve-theirs").exists()


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_hangs_up_ends_it_unless_that_is_ignored(
    finished: Finished, tmp_path: Path, ignored: bool
) -> None:
    """As ``nohup`` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with serving(tmp_path, f"m={finished.bundle}", "--drain", "0") as server:
            server.process.send_signal(signal.SIGHUP)
            if ignored:
                for process in server.workers():
                    os.kill(process, signal.SIGHUP)
                time.sleep(0.2)
                assert server.predict([ROW]).status == 200
                server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_supervisor_has_one_thread_since_workers_are_forked_from_it(two: Serving) -> None:
    assert len(list(Path(f"/proc/{two.process.pid}/task").iterdir())) == 1


def test_streams_that_are_closed_matter_to_nobody(finished: Finished, tmp_path: Path) -> None:
    """Sockets would get their numbers, and be closed where a worker closes its stdin."""
    with serving(tmp_path, f"m={finished.bundle}", "--drain", "0", redirect="<&- >&-") as server:
        assert server.predict([ROW]).status == 200
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: server.workers() not in ([], [worker]) and server.predict([ROW]).status == 200, server.log)
        for process in (server.process.pid, *server.workers()):
            assert {os.readlink(f"/proc/{process}/fd/{number}") for number in (0, 1)} == {os.devnull}  # noqa: PTH115
        assert server.end() == 0


def serve(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dagfm", "serve", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_a_port_in_use_is_said(two: Serving, place: Path) -> None:
    done = serve(f"m={place}", "--port", str(two.port))
    assert done.returncode == 2
    assert "another process listens there" in done.stderr


def test_others_are_let_in_only_with_a_token_or_on_purpose(place: Path, tmp_path: Path) -> None:
    done = serve(f"m={place}", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "--token-file" in done.stderr
    (tmp_path / "token").write_text("\n")
    done = serve(f"m={place}", "--token-file", str(tmp_path / "token"), "--port", "0")
    assert done.returncode == 2
    assert "is empty" in done.stderr


def test_a_damaged_bundle_at_the_start_is_said(finished: Finished, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    (bundle / "weights.safetensors").unlink()
    done = serve(f"m={bundle}", "--port", "0")
    assert done.returncode == 2
    assert "error: model m: " in done.stderr
    assert "missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_that_is_overwritten_does_not_matter_to_what_is_served(finished: Finished, tmp_path: Path) -> None:
    """Not even to a worker that takes another's place: what is served is a copy."""
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    with serving(tmp_path, f"m={bundle}", "--poll", "0.1") as server:
        before = server.predict([ROW]).json
        for file in bundle.rglob("*.*"):
            file.write_bytes(b"")  # in place, as cp does
        until(lambda: "refused" in server.log.read_text(), server.log)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: server.workers() not in ([], [worker]) and server.predict([ROW]).json == before, server.log)
        shutil.rmtree(bundle)
        assert server.predict([ROW]).json == before


def test_a_worker_is_replaced_only_by_one_that_can_serve(finished: Finished, tmp_path: Path) -> None:
    """The bundle is gone, so no new worker can load it: the other serves on, and one comes when the bundle is back."""
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    with serving(tmp_path, f"m={bundle}", "--workers", "2", "--poll", "0", "--no-copy") as server:
        shutil.rmtree(bundle)
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: "cannot start" in server.log.read_text(), server.log)
        assert {server.predict([ROW]).status for _ in range(20)} == {200}
        shutil.copytree(finished.bundle, bundle)
        until(lambda: metrics(server, 2.0), server.log)
        assert {server.predict([ROW]).status for _ in range(20)} == {200}
