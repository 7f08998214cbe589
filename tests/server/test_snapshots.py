"""Private copies: made once, whole or not at all, and removed when nobody serves them."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
from clicks import Finished

import dagfm
from dagfm.server.snapshots import Snapshots
from dagfm.server.sources import fingerprint


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    (tmp_path / "copies").mkdir()
    return Snapshots(tmp_path / "copies")


def test_a_copy_is_the_bundle_and_is_made_once(finished: Finished, snapshots: Snapshots) -> None:
    mark = fingerprint(finished.bundle)
    assert snapshots.find(mark) is None
    copy = snapshots.take(finished.bundle, mark)
    assert dagfm.load(copy).card == dagfm.load(finished.bundle).card
    when = (copy / "manifest.json").stat().st_ino
    assert snapshots.take(finished.bundle, mark) == snapshots.find(mark) == copy
    assert (copy / "manifest.json").stat().st_ino == when


def test_a_bundle_that_changed_meanwhile_is_not_taken(finished: Finished, snapshots: Snapshots) -> None:
    with pytest.raises(dagfm.InputError, match="replaced while it was copied"):
        snapshots.take(finished.bundle, "0" * 12)
    assert snapshots.find("0" * 12) is None


def test_what_cannot_be_copied_is_said_and_leaves_nothing(
    finished: Finished, tmp_path: Path, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, to: str) -> None:
        Path(to).touch()
        raise OSError(errno.ENOSPC, "No space left on device", to)

    monkeypatch.setattr("dagfm.server.snapshots.shutil.copy2", full)
    mark = fingerprint(finished.bundle)
    with pytest.raises(dagfm.InputError, match=r"\.json: cannot be copied \(No space left on device\)$") as raised:
        snapshots.take(finished.bundle, mark)
    assert str(finished.bundle) in str(raised.value)
    assert {path.name for path in (tmp_path / "copies").iterdir()} <= {f".{mark}.lock"}


def test_what_is_not_served_is_removed(finished: Finished, tmp_path: Path, snapshots: Snapshots) -> None:
    mark = fingerprint(finished.bundle)
    other = Path(shutil.copytree(finished.bundle, tmp_path / "other"))
    (other / "manifest.json").write_bytes((other / "manifest.json").read_bytes() + b"\n")
    snapshots.take(finished.bundle, mark)
    snapshots.take(other, fingerprint(other))
    snapshots.keep_only({mark})
    assert snapshots.find(mark) is not None
    assert snapshots.find(fingerprint(other)) is None
    snapshots.discard(mark)
    assert snapshots.find(mark) is None


def test_without_a_folder_bundles_are_served_where_they_lie(finished: Finished) -> None:
    assert Snapshots(None).take(finished.bundle, "any") == finished.bundle
