"""Patches by call: what is served becomes the newer bundle, in all workers at once, or stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clicks import Finished
from http_calls import ROW, Client, Serving, serving, until

import dagfm
from dagfm.files import MANIFEST
from dagfm.server.app import application
from dagfm.server.settings import Limits
from dagfm.server.sources import fingerprint
from dagfm.serving import patches
from dagfm.serving.bundle import read_bundle, write_bundle
from dagfm.serving.golden import with_golden

PREDICT = "/v1/models/m:predict"
PATCH = "/v2/repository/models/m/patch"


def rescaled(bundle: Path, to: Path, scale: float, *, golden: bool = True) -> Path:
    """A bundle that scores otherwise; without ``golden`` its golden rows are still those of the other."""
    changed = replace(read_bundle(bundle), calibration={"scale": scale, "shift": 0.25})
    write_bundle(to, with_golden(changed) if golden else changed)
    return to


def patch_of(old: Path, new: Path) -> bytes:
    path = new.parent / f"{new.name}.patch"
    patches.make(old, new, path)
    return path.read_bytes()


def reference(bundle: Path) -> float:
    return float(dagfm.load(bundle).predict([ROW])[0])


def score(client: Client | Serving, path: str = PREDICT) -> float:
    answer = client.request("POST", path, {"rows": [ROW]}) if isinstance(client, Serving) else client.post(
        path, {"rows": [ROW]}
    )  # fmt: skip
    (found,) = answer.json["scores"]
    return float(found)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def place(finished: Finished, tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return Path(shutil.copytree(finished.bundle, tmp_path / "models" / "m"))


@pytest.fixture(scope="module")
def newer(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rescaled(finished.bundle, tmp_path_factory.mktemp("newer") / "bundle", 0.5)


@pytest.fixture(scope="module")
def patch(finished: Finished, newer: Path) -> bytes:
    return patch_of(finished.bundle, newer)


# In one process, where the bundle lies -----------------------------------------------------------------------------


def test_a_patch_is_served_and_takes_the_bundles_place(place: Path, newer: Path, patch: bytes) -> None:
    client = Client(application({"m": place}, patches=True))
    answer = client.post(PATCH, patch)
    assert answer.status == 200
    version = fingerprint(newer)
    assert answer.json == {"name": "m", "versions": [version], "loaded": [version], "durable": True}
    assert score(client) == pytest.approx(reference(newer), abs=1e-6)
    assert (place / MANIFEST).read_bytes() == (newer / MANIFEST).read_bytes()
    assert names(place.parent) == {"m"}, "nothing is left beside it"
    again = client.post(PATCH, patch)
    assert again.status == 200, "who did not get the answer may ask again"
    assert again.json == {**answer.json, "loaded": []}


def test_of_several_versions_the_one_that_it_is_for_is_patched(finished: Finished, newer: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(finished.bundle, models / "1")
    shutil.copytree(newer, models / "2")
    to = rescaled(finished.bundle, tmp_path / "to", 0.9)
    client = Client(application({"m": models}, patches=True))
    answer = client.post(PATCH, patch_of(finished.bundle, to))
    assert answer.json == {"name": "m", "versions": ["1", "2"], "loaded": ["1"], "durable": True}
    for version, bundle in (("1", to), ("2", newer)):
        assert score(client, f"/v1/models/m/versions/{version}:predict") == pytest.approx(reference(bundle), abs=1e-6)
    assert names(models) == {"1", "2"}


def test_a_patch_for_another_bundle_is_a_conflict(finished: Finished, place: Path, newer: Path, tmp_path: Path) -> None:
    client = Client(application({"m": place}, patches=True))
    before = score(client)
    answer = client.post(PATCH, patch_of(newer, rescaled(newer, tmp_path / "third", 0.1)))
    assert answer.status == 409
    assert fingerprint(newer) in answer.error
    assert fingerprint(finished.bundle) in answer.error
    assert score(client) == before
    client.post("/v2/repository/models/m/unload")
    assert client.post(PATCH, patch_of(newer, tmp_path / "third")).status == 409


def refused(client: Client, body: Any, place: Path, *told: str) -> int:
    before, contents = score(client), (place / MANIFEST).read_bytes()
    answer = client.call("POST", PATCH, body, {})
    for word in told:
        assert word in answer.error
    for secret in (str(place.parent), "/tmp", "Traceback", "site-packages", ".py"):
        assert secret not in answer.error
    assert score(client) == before
    assert (place / MANIFEST).read_bytes() == contents
    assert names(place.parent) == {"m"}
    return answer.status


def test_a_bundle_that_scores_otherwise_is_not_served(finished: Finished, place: Path, tmp_path: Path) -> None:
    client = Client(application({"m": place}, patches=True))
    bad = rescaled(finished.bundle, tmp_path / "bad", 3.0, golden=False)
    assert refused(client, patch_of(finished.bundle, bad), place, "golden rows score otherwise") == 400
    assert b'dagfm_reloads_total{model="m",result="refused"} 1.0' in client.get("/metrics").body


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: b"", "not a patch"),
        (lambda data: b"{}" * 1000, "not a patch"),
        (lambda data: data[: len(data) // 2], "damaged or cut off"),
        (lambda data: data[:-1], "damaged or cut off"),
        (lambda data: data + b"more", "damaged"),
        (lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:], "damaged"),
    ],
)
def test_a_damaged_patch_is_refused(place: Path, patch: bytes, damage: Any, told: str) -> None:
    assert refused(Client(application({"m": place}, patches=True)), damage(patch), place, told) == 400


def test_a_bundle_that_breaks_who_loads_it_breaks_no_worker(finished: Finished, place: Path, tmp_path: Path) -> None:
    """Every checksum is right, and a field of the encoder has more rows than the table and most memory."""
    from dagfm.files import open_sealed, seal

    odd = Path(shutil.copytree(finished.bundle, tmp_path / "odd"))
    manifest = open_sealed(odd, "bundle", 1)
    encoder = json.loads((odd / "encoder.json").read_text())
    encoder["schema"]["fields"][0] |= {"hash": 2**31 - 3}
    (odd / "encoder.json").write_text(json.dumps(encoder))
    facts = {key: value for key, value in manifest.items() if key not in ("kind", "format", "files")}
    seal(odd, "bundle", 1, manifest["files"], facts)
    client = Client(application({"m": place}, patches=True))
    assert refused(client, patch_of(finished.bundle, odd), place, "100 rows of embeddings, but the encoder has") == 400


def test_the_end_of_the_process_that_patches_is_told(
    place: Path, patch: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of one that the system kills for want of memory."""
    client = Client(application({"m": place}, patches=True))
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert refused(client, patch, place, "the server's log says why") == 400


def test_a_patch_that_is_too_large_or_too_slow_is_refused(place: Path, patch: bytes) -> None:
    limits = Limits(patch=len(patch) - 1, seconds=0.2)
    client = Client(application({"m": place}, patches=True, limits=limits))
    assert refused(client, patch, place, f"larger than {len(patch) - 1} bytes") == 413
    assert refused(client, [patch[:100], patch[100:]], place, "larger") == 413
    assert refused(client, [patch[:100], 0.5, patch[100:]], place, "did not arrive") == 408
    assert client.call("POST", PATCH, [patch[:100]], {}, hang_up=True).status == 0
    limits = Limits(patch=len(patch), body=1024)
    assert Client(application({"m": place}, patches=True, limits=limits)).post(PATCH, patch).status == 200


def test_patches_are_taken_only_where_told_and_from_whom(place: Path, patch: bytes) -> None:
    answer = Client(application({"m": place})).post(PATCH, patch)
    assert answer.status == 403
    assert "takes no patches" in answer.error
    client = Client(application({"m": place}, patches=True, token="secret"))
    assert client.post(PATCH, patch).status == 401
    assert client.post(PATCH, patch, {"authorization": "Bearer secret", "sec-fetch-site": "cross-site"}).status == 403
    assert client.post(PATCH, patch, {"authorization": "Bearer secret", "content-encoding": "gzip"}).status == 415
    assert client.get(PATCH, authorization="Bearer secret").status == 405
    assert client.post("/v2/repository/models/n/patch", patch, {"authorization": "Bearer secret"}).status == 404
    assert client.post(PATCH, patch, {"authorization": "Bearer secret"}).status == 200


def test_a_bundle_that_was_replaced_on_disk_is_not_patched(place: Path, newer: Path, patch: bytes) -> None:
    client = Client(application({"m": place}, patches=True))
    before = score(client)
    other = rescaled(newer, place, 0.7)
    mark = fingerprint(other)
    assert client.post(PATCH, patch).status == 409
    assert fingerprint(place) == mark
    assert score(client) == before


# In workers, from private copies ------------------------------------------------------------------------------------


def test_all_workers_switch_and_their_successors_and_the_next_server(
    place: Path, newer: Path, patch: bytes, tmp_path: Path
) -> None:
    with serving(
        tmp_path, f"m={place}", "--allow-patches", "--workers", "2", "--poll", "0.1", "--drain", "0"
    ) as server:
        before = score(server)
        answer = server.request("POST", PATCH, patch)
        assert answer.json["durable"] is True
        expected = pytest.approx(reference(newer), abs=1e-6)
        assert all(score(server) == expected for _ in range(20)), "no worker lags"
        assert names(place.parent) == {"m"}
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
            until(lambda worker=worker: worker not in server.workers() and len(server.workers()) == 2, server.log)
            until(lambda: b" 2.0" in metric(server, "dagfm_bundle_workers"), server.log)
        assert all(score(server) == expected for _ in range(20))
        third = rescaled(newer, tmp_path / "third", 0.1, golden=False)
        refused = server.request("POST", PATCH, patch_of(newer, third))
        assert refused.status == 400
        assert "golden rows" in refused.error
        assert "patch refused" in server.log.read_text()
        assert all(score(server) == expected for _ in range(20))
        assert score(server) != pytest.approx(before, abs=1e-3)
    with serving(tmp_path, f"m={place}", "--drain", "0") as server:
        assert score(server) == expected


def metric(server: Serving, name: str) -> bytes:
    page = server.request("GET", "/metrics").body
    return b"\n".join(line for line in page.splitlines() if line.startswith(name.encode()))


def test_where_the_path_cannot_be_written_the_copy_alone_is_patched(
    finished: Finished, place: Path, newer: Path, patch: bytes, tmp_path: Path
) -> None:
    """Served on by successors, undone by a load, and taken again."""
    if os.geteuid() == 0:
        # Nobody can take root's rights away, but another bundle at the path is left as it is, too.
        rescaled(finished.bundle, tmp_path / "spare", 0.8)
    place.parent.chmod(0o500)
    words = [f"m={place}", "--allow-patches", "--workers", "2", "--poll", "0.1", "--drain", "0"]
    with serving(tmp_path, *words) as server:
        before = score(server)
        if os.geteuid() == 0:
            shutil.rmtree(place)
            shutil.copytree(tmp_path / "spare", place)
            (place / "weights.safetensors").write_bytes(b"")
            until(lambda: "refused" in server.log.read_text(), server.log)
        there = fingerprint(place)
        first = server.workers()[0]
        os.kill(first, signal.SIGKILL)  # its successor begins with what is served until the patch
        until(lambda: first not in server.workers() and len(server.workers()) == 2, server.log)
        answer = server.request("POST", PATCH, patch)
        assert answer.status == 200
        assert answer.json["durable"] is False
        assert fingerprint(place) == there
        expected = pytest.approx(reference(newer), abs=1e-6)
        until(lambda: b" 2.0" in metric(server, "dagfm_bundle_workers"), server.log)
        assert all(score(server) == expected for _ in range(20))
        (worker, _) = server.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: worker not in server.workers() and len(server.workers()) == 2, server.log)
        until(lambda: b" 2.0" in metric(server, "dagfm_bundle_workers"), server.log)
        assert all(score(server) == expected for _ in range(20))
        place.parent.chmod(0o700)
        shutil.rmtree(place)
        shutil.copytree(finished.bundle, place)
        assert server.request("POST", "/v2/repository/models/m/load").status == 200
        assert all(score(server) == pytest.approx(before, abs=1e-6) for _ in range(20))


def test_what_a_killed_server_left_is_removed(place: Path, tmp_path: Path) -> None:
    (place.parent / ".m.0123abcd.patched.tmp").mkdir()
    (place.parent / "..m.4567abcd.patched.tmp.new.tmp").mkdir()
    (place.parent / ".m.notes").mkdir()
    with serving(tmp_path, f"m={place}", "--drain", "0"):
        assert names(place.parent) == {"m", ".m.notes"}


def test_a_token_is_needed_for_patches(place: Path, patch: bytes, tmp_path: Path) -> None:
    with serving(tmp_path, f"m={place}", "--drain", "0") as server:
        assert server.request("POST", PATCH, patch).status == 403
    (tmp_path / "token").write_text("secret")
    with serving(tmp_path, f"m={place}", "--token-file", str(tmp_path / "token"), "--drain", "0") as server:
        assert server.request("POST", PATCH, patch).status == 401
        assert server.request("POST", PATCH, patch, {"authorization": "Bearer secret"}).status == 200


@pytest.mark.parametrize("asked", [b"", b'{"patch": "no'])
def test_a_process_that_is_to_patch_for_nobody_ends_in_silence(asked: bytes) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-m", "dagfm.server.patching"]
    done = subprocess.run(command, input=asked, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
