import json
import shutil
import threading
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import opened, rows_of, write

from dagfm.config.files import FileOptions
from dagfm.data.log import blocks, convert
from dagfm.errors import InputError
from dagfm.files import MANIFEST

CELL = st.text('a,"\r\n é:', max_size=4)


def folders(store: Path) -> list[Path]:
    return [path for path in (store / "converted").iterdir() if path.is_dir()]


def small_blocks(monkeypatch: pytest.MonkeyPatch, size: int = 200) -> None:
    monkeypatch.setattr(convert, "BLOCK", size)


def counted(path: Path, rows: int = 200) -> str:
    return write(path, "id,n\n" + "".join(f'"{row}\n",{row % 7}\n' for row in range(rows)))


def test_text_is_converted_once(tmp_path: Path) -> None:
    path = counted(tmp_path / "a.csv")
    opened(path, tmp_path)
    (folder,) = folders(tmp_path)
    before = (folder / "00000.parquet").stat().st_mtime_ns
    assert len(opened(path, tmp_path)) == 200
    assert (folder / "00000.parquet").stat().st_mtime_ns == before
    opened(path, tmp_path, format="csv", separator=";")
    assert len(folders(tmp_path)) == 2


def test_a_changed_file_is_converted_anew(tmp_path: Path) -> None:
    path = counted(tmp_path / "a.csv")
    opened(path, tmp_path)
    assert len(opened(counted(tmp_path / "a.csv", 300), tmp_path)) == 300


def test_a_killed_conversion_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    path = counted(tmp_path / "a.csv")
    expected = rows_of(opened(path, tmp_path / "whole"))
    opened(path, tmp_path)
    (folder,) = folders(tmp_path)
    shards = sorted(folder.glob("*.parquet"))
    assert len(shards) > 4
    (folder / MANIFEST).unlink()
    (folder / ".00002.parquet.1.tmp").write_bytes(b"half")
    shards[2].unlink()
    done = sum(pq.read_metadata(shard).num_rows for shard in shards[:2])
    kept = [shard.stat().st_mtime_ns for shard in shards[:2]]
    told: list[str] = []
    assert len(convert.converted(Path(path), FileOptions(), tmp_path, told.append)) == len(shards)
    assert told[0].endswith(f"a.csv to Parquet goes on from row {done + 1}")
    assert [shard.stat().st_mtime_ns for shard in shards[:2]] == kept
    assert rows_of(opened(path, tmp_path)) == expected
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("suffix", ["csv.gz", "csv"])
def test_going_on_in_what_cannot_be_jumped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    import gzip

    small_blocks(monkeypatch)
    plain = Path(counted(tmp_path / "plain.csv")).read_bytes()
    encoding = "utf-8" if suffix == "csv.gz" else "utf-16"
    data = gzip.compress(plain) if suffix == "csv.gz" else plain.decode().encode("utf-16")
    path = write(tmp_path / f"a.{suffix}", data)
    expected = rows_of(opened(path, tmp_path, encoding=encoding))
    (folder,) = folders(tmp_path)
    (folder / MANIFEST).unlink()
    for shard in sorted(folder.glob("*.parquet"))[3:]:
        shard.unlink()
    assert rows_of(opened(path, tmp_path, encoding=encoding)) == expected


def test_a_line_is_named_after_going_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    path = write(tmp_path / "a.csv", "id,n\n" + "1,2\n" * 500 + "3\n")
    for _ in range(2):
        with pytest.raises(InputError, match=r"a\.csv: line 502 has 1 cells"):
            opened(path, tmp_path)
    assert len(list(folders(tmp_path)[0].glob("*.parquet"))) > 2


def test_the_first_fault_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    path = write(tmp_path / "a.csv", "id,n\n" + "1,2\n" * 50 + "3\n" + "1,2\n" * 50 + "4\n")
    with pytest.raises(InputError, match=r"a\.csv: line 52 has 1 cells"):
        opened(path, tmp_path)


def test_shards_that_were_lost_or_cut_are_made_anew(tmp_path: Path) -> None:
    path = counted(tmp_path / "a.csv")
    expected = rows_of(opened(path, tmp_path))
    shard = folders(tmp_path)[0] / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-9])
    assert rows_of(opened(path, tmp_path)) == expected
    shutil.rmtree(shard.parent)
    assert rows_of(opened(path, tmp_path)) == expected


def test_an_altered_shard_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id\n" + "".join(f"some{row * 7919}\n" for row in range(5000)))
    opened(path, tmp_path)
    shard = folders(tmp_path)[0] / "00000.parquet"
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.csv: not a Parquet file, or a damaged one"):
        opened(path, tmp_path).frame(["id"])


def test_of_two_at_once_one_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    path = counted(tmp_path / "a.csv", 500)
    lengths: list[int] = []
    threads = [threading.Thread(target=lambda: lengths.append(len(opened(path, tmp_path)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [500, 500, 500]


def test_high_cardinality_stays_a_dictionary(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id\n" + "".join(f"{row:040d}\n" for row in range(60_000)))
    opened(path, tmp_path)
    column = pq.read_metadata(folders(tmp_path)[0] / "00000.parquet").row_group(0).column(0)
    assert column.has_dictionary_page
    assert column.total_uncompressed_size > 60_000 * 40


@settings(max_examples=40)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=20), st.integers(1, 60))
def test_any_block_size_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    frame = pl.DataFrame(rows, schema=["a", "b"], orient="row")
    frame.write_csv(folder / "a.csv", quote_style="always")
    before, convert.BLOCK = convert.BLOCK, size
    try:
        log = opened(str(folder / "a.csv"), folder)
    finally:
        convert.BLOCK = before
    expected = [tuple(cell or None for cell in row) for row in rows]
    assert rows_of(log) == expected


def test_a_record_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LONGEST", 1000)
    small_blocks(monkeypatch)
    with pytest.raises(InputError, match=r"a\.csv: line 3: the quote \(\"\) that opens there is not closed within"):
        opened(write(tmp_path / "a.csv", "id\nx\n" + '"' + "x\n" * 3000), tmp_path)
    with pytest.raises(InputError, match=r"b\.csv: line 2 has no end within"):
        opened(write(tmp_path / "b.csv", "id\n" + "x" * 9000), tmp_path)


@pytest.mark.parametrize("text", ["5", "[", '{"shards": 5}', '{"shards": []}', '{"shards": [{}]}', "outside", "rows"])
def test_a_manifest_that_is_none_has_the_text_converted_anew(tmp_path: Path, text: str) -> None:
    path = counted(tmp_path / "a.csv")
    expected = rows_of(opened(path, tmp_path))
    (folder,) = folders(tmp_path)
    manifest = json.loads((folder / MANIFEST).read_text())
    if text == "outside":
        shutil.copyfile(folder / "00000.parquet", folder.parent / "x.parquet")
        manifest["shards"][0]["name"] = "../x.parquet"
    elif text == "rows":
        manifest["shards"][0]["rows"] = "200"
    (folder / MANIFEST).write_text(text if text[0] in "5[{" else json.dumps(manifest))
    assert rows_of(opened(path, tmp_path)) == expected
    assert json.loads((folder / MANIFEST).read_text())["shards"][0]["name"] == "00000.parquet"
