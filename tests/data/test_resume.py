"""Preparation that is interrupted, or done twice at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clicks import FIELDS, Silent, Told, click_log

from dagfm.config import Config, load_config
from dagfm.data import prepare as preparing
from dagfm.data import threads
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import prepare
from dagfm.data.staging import chunks
from dagfm.data.store import stored
from dagfm.errors import InputError

ROWS = 100


def config(folder: Path) -> Config:
    return load_config({"data": {"train": str(folder / "log.parquet"), "label": "click"}, "fields": FIELDS})


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log of twenty chunks."""
    click_log().write_parquet(tmp_path / "log.parquet")
    monkeypatch.setattr(preparing, "_ROWS", ROWS)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """What an uninterrupted preparation makes."""
    folder = tmp_path_factory.mktemp("whole")
    click_log().write_parquet(folder / "log.parquet")
    return prepare(config(folder), folder, Silent())


class InterruptError(Exception):
    """Stands for a kill: nothing that is done on errors may be needed."""


@pytest.mark.parametrize("after", [0, 1, 7, 20, 25])
def test_it_goes_on_after_the_last_finished_chunk(
    log: Path, whole: Prepared, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    written: list[int] = []
    write = chunks._write

    def interrupted(staged: Any, chunk: Any, table: Any) -> None:
        if chunk.number == after:
            raise InterruptError
        write(staged, chunk, table)
        written.append(chunk.number)

    def assembled(*_: Any) -> None:
        raise InterruptError

    with monkeypatch.context() as patch:
        patch.setattr(chunks, "_write", interrupted)
        patch.setattr(preparing, "assemble", assembled)
        with pytest.raises(InterruptError):
            prepare(config(log), log, Silent())
    # Others were under way; they count only up to the one that is missing.
    assert set(range(min(after, 20))) <= set(written) and len(written) <= after + 1 + threads.MOST
    again: list[int] = []

    def counted(staged: Any, chunk: Any, table: Any) -> None:
        write(staged, chunk, table)
        again.append(chunk.number)

    monkeypatch.setattr(chunks, "_write", counted)
    assert prepare(config(log), log, Silent()).content == whole.content
    assert sorted(again) == list(range(after, 20))


def test_other_chunks_are_cut_anew(log: Path, whole: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "assemble", lambda *_: (_ for _ in ()).throw(InterruptError()))
        with pytest.raises(InterruptError):
            prepare(config(log), log, Silent())
        patch.setattr(preparing, "_ROWS", 333)
        with pytest.raises(InterruptError):
            prepare(config(log), log, Silent())
    (left,) = (log / ".dagfm" / "prepared").glob(".*.tmp")
    assert [folder.name for folder in left.iterdir()] == ["staging-333"]
    assert prepare(config(log), log, Silent()).content == whole.content


def test_a_killed_process_leaves_what_the_next_one_uses(log: Path, whole: Prepared) -> None:
    slow = (
        "import sys, time\nfrom pathlib import Path\nfrom dagfm.data import prepare as preparing\n"
        "from dagfm.data.staging import chunks\nfrom dagfm.config import load_config\n"
        "preparing._ROWS = 100\nwrite = chunks._write\n"
        "def slowly(*arguments):\n    write(*arguments)\n    time.sleep(0.1)\n"
        "chunks._write = slowly\n"
        f"from clicks import FIELDS\nfolder = Path({str(log)!r})\n"
        "preparing.prepare(load_config({'data': {'train': str(folder / 'log.parquet'), 'label': 'click'},"
        " 'fields': FIELDS}), folder)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", slow], env=environment, stderr=subprocess.DEVNULL)
    store = log / ".dagfm" / "prepared"
    for _ in range(600):
        if len(list(store.rglob("chunk-*.safetensors"))) >= 3 or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = [path for path in store.rglob("chunk-*.safetensors") if not path.name.startswith(".")]
    assert 3 <= len(there) < 20
    before = {path: path.stat().st_mtime_ns for path in there}
    seen = {}

    class Looking(Told):
        def start(self, title: str, rows: int, done: int = 0) -> None:
            if title == "learning":
                seen.update({path: path.stat().st_mtime_ns for path in before})

    assert prepare(config(log), log, Looking()).content == whole.content
    assert seen == before


def test_two_at_a_time_do_it_once(log: Path, whole: Prepared) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom dagfm.config import load_config\n"
        "from dagfm.data.prepare import prepare\nfrom clicks import FIELDS, Told\n"
        f"folder, told = Path({str(log)!r}), Told()\n"
        "made = prepare(load_config({'data': {'train': str(folder / 'log.parquet'), 'label': 'click'},"
        " 'fields': FIELDS}), folder, told)\n"
        "print(made.content, sum('is there' in line for line in told.lines))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = [process.communicate()[0].split() for process in both]
    assert [content for content, _ in found] == [whole.content] * 2
    assert sorted(waited for _, waited in found) == ["0", "1"]


def test_wrong_input_leaves_nothing_behind(log: Path) -> None:
    frame = click_log().with_columns(price=pl.Series(["1"] * 1999 + ["cheap"]))
    frame.write_parquet(log / "log.parquet")
    with pytest.raises(InputError, match=r"log\.parquet: row 2000: column 'price' holds 'cheap', expected a number"):
        prepare(config(log), log, Silent())
    assert stored(log / ".dagfm") == []


def test_what_is_stored_can_be_listed_and_removed(log: Path) -> None:
    made = prepare(config(log), log, Silent())
    (log / ".dagfm" / "prepared" / ".0123.tmp" / "staging-1").mkdir(parents=True)
    one, other = sorted(stored(log / ".dagfm"), key=lambda entry: entry.finished)
    assert (one.name, one.finished, one.size) == ("0123", False, 0)
    assert (other.name, other.finished) == (made.fingerprint, True) and other.size > 10_000
    assert one.remove() and other.remove()
    assert stored(log / ".dagfm") == []
    assert prepare(config(log), log, Silent()).content == made.content
