import fcntl
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Silent, Told
from oracle import row_counts

from dagfm.config import Config, load_config
from dagfm.data.dataset import Prepared
from dagfm.data.inputs import prepared_fingerprint
from dagfm.data.prepare import prepare
from dagfm.data.recombine import Recombination, recombined
from dagfm.errors import InputError

N = 200
FIELDS = [
    {"name": "user/id 🙂"},
    {"name": "item", "side": "candidate"},
    {"name": "tags", "type": "token_seq", "separator": " ", "side": "candidate"},
    {"name": "price", "type": "float", "side": "candidate"},
]


def table(n: int = N) -> pl.DataFrame:
    random = np.random.default_rng(1)
    rating = random.integers(1, 6, n)
    return pl.DataFrame(
        {
            "user/id 🙂": [f"{user:03d}" for user in random.integers(0, 20, n)],
            "item": random.integers(0, 30, n),
            "tags": [" ".join(random.choice(["x", "y", "z"], size)) or None for size in random.integers(0, 4, n)],
            "price": [None if one < -1 else one for one in random.normal(size=n).round(6)],
            "rating": rating,
            "unused": ["zz"] * n,
        }
    )


def config(train: Path | str, **data: Any) -> Config:
    label = {"column": "rating", "positive_from": 4, "drop": [3]}
    return load_config({"data": {"train": str(train), "label": label, **data}, "fields": FIELDS})


def snapshot(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    table().write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def test_what_is_prepared(tmp_path: Path, log_file: Path) -> None:
    told = Told()
    prepared = prepare(config(log_file), tmp_path, told)
    assert prepared.directory == tmp_path / ".dagfm" / "prepared" / prepared.fingerprint
    assert told.lines[0].startswith("200 rows x 4 columns: about 0 s, ")
    kept = table().filter(pl.col("rating") != 3)
    n = kept.height
    assert [len(part) for part in (prepared.valid, prepared.test)] == [int(n * 0.1)] * 2
    assert len(prepared.train) == n - 2 * int(n * 0.1)
    order = np.random.default_rng(2022).permutation(n)
    test = kept[np.sort(order[: int(n * 0.1)])]
    np.testing.assert_array_equal(prepared.test.labels, test["rating"] >= 4)
    expected = prepared.encoder.encode(test)
    np.testing.assert_array_equal(prepared.test.rows.tokens, expected.tokens)
    np.testing.assert_array_equal(prepared.test.rows.floats, expected.floats)
    np.testing.assert_array_equal(prepared.test.rows.sequences[0].values, expected.sequences[0].values)
    np.testing.assert_array_equal(prepared.counts, row_counts(prepared.train.rows, prepared.encoder))
    training = kept[np.sort(order[2 * int(n * 0.1) :])]
    assert prepared.encoder.vocabularies["item"].rows == 2 + training["item"].n_unique()


def test_arrays_are_mapped_and_read_only(tmp_path: Path, log_file: Path) -> None:
    prepared = prepare(config(log_file), tmp_path, Silent())
    rows = prepared.train.rows
    for array in (rows.tokens, rows.floats, rows.sequences[0].offsets, rows.sequences[0].values):
        assert isinstance(array.base, np.memmap) and not array.flags.writeable
    mixed = recombined(rows, prepared.encoder, Recombination(np.arange(3), np.arange(3)))
    np.testing.assert_array_equal(mixed.tokens, rows.tokens[:3])


def test_every_format_prepares_the_same_bytes(tmp_path: Path) -> None:
    frame = table()
    header = "user/id 🙂:token\titem:token\ttags:token_seq\tprice:float\trating:float\tunused:token"
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_csv(tmp_path / "a.csv")
    frame.write_csv(tmp_path / "a.tsv", separator="\t")
    text = (tmp_path / "a.tsv").read_text().split("\n", 1)[1]
    (tmp_path / "a.inter").write_text(f"{header}\n{text}")
    frame[:70].write_csv(tmp_path / "part-1.csv")
    frame[70:].write_csv(tmp_path / "part-2.csv")
    contents = []
    for name in ("a.parquet", "a.csv", "a.tsv", "a.inter", "part-*.csv"):
        prepared = prepare(config(tmp_path / name), tmp_path, Silent())
        files = {name: data for name, (data, _) in snapshot(prepared.directory).items()}
        del files["manifest.json"]  # holds the fingerprint, which names the input
        contents.append(files)
    assert all(content == contents[0] for content in contents)
    assert set(contents[0]) >= {"encoder.json", "counts.npy", "train/tokens.npy", "test/seq0-values.npy"}


def test_a_second_run_writes_nothing(tmp_path: Path, log_file: Path) -> None:
    first = prepare(config(log_file), tmp_path, Silent())
    before = snapshot(first.directory)
    second = prepare(config(log_file), tmp_path, Silent())
    assert second.fingerprint == first.fingerprint
    assert snapshot(first.directory) == before
    assert Prepared.open(first.directory).fingerprint == first.fingerprint


def test_the_fingerprint_follows_inputs_fields_and_data_settings(tmp_path: Path, log_file: Path) -> None:
    base = prepared_fingerprint(config(log_file))
    assert prepared_fingerprint(config(log_file)) == base
    changed = {base, prepared_fingerprint(config(log_file, split={"seed": 1}))}
    changed.add(prepared_fingerprint(load_config(config(log_file), ["fields=[{name: item}]"])))
    assert prepared_fingerprint(load_config(config(log_file), ["training.seed=7"])) == base
    status = log_file.stat()
    data = bytearray(log_file.read_bytes())
    data[40] ^= 1
    log_file.write_bytes(data)
    os.utime(log_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    changed.add(prepared_fingerprint(config(log_file)))
    assert len(changed) == 4


def test_given_parts_are_not_split(tmp_path: Path) -> None:
    frame = table()
    for name, part in (("train", frame[:150]), ("valid", frame[150:170]), ("test", frame[170:])):
        part.write_csv(tmp_path / f"{name}.csv")
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("valid", "test")}
    prepared = prepare(config(tmp_path / "train.csv", **paths), tmp_path, Silent())
    sizes = [part.filter(pl.col("rating") != 3).height for part in (frame[:150], frame[150:170], frame[170:])]
    assert [len(part) for part in (prepared.train, prepared.valid, prepared.test)] == sizes


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: str(field.get("type", "token")))
def test_one_field_of_each_type(tmp_path: Path, log_file: Path, field: dict[str, Any]) -> None:
    value = config(log_file).model_dump(mode="json", exclude_unset=True)
    prepared = prepare(load_config({**value, "fields": [field]}), tmp_path, Silent())
    assert len(prepared.train.rows) == len(prepared.train.labels) == len(prepared.train) > 0


@pytest.mark.parametrize("name", ["train/tokens.npy", "valid/labels.npy", "encoder.json", "vocabulary/001.parquet"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "removed"])
def test_damage_is_refused(tmp_path: Path, log_file: Path, name: str, damage: str) -> None:
    directory = prepare(config(log_file), tmp_path, Silent()).directory
    path = directory / name
    data = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "truncated" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match=rf"{name}: .*; delete the folder .*{directory.name} and run again"):
        prepare(config(log_file), tmp_path, Silent())


def test_what_killed_runs_left_of_the_same_data_is_used_up(tmp_path: Path, log_file: Path) -> None:
    store = tmp_path / ".dagfm" / "prepared"
    own = prepared_fingerprint(config(log_file))
    for key in (own, "0123", "4567"):
        (store / f".{key}.tmp" / "train").mkdir(parents=True)
        (store / f".{key}.tmp" / "train" / "tokens.npy").write_bytes(b"half")
    with (store / ".4567.lock").open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        prepared = prepare(config(log_file), tmp_path, Silent())
    assert sorted(path.name for path in store.iterdir() if path.is_dir()) == [".0123.tmp", ".4567.tmp", own]
    assert "train/tokens.npy" in snapshot(prepared.directory)


def test_a_failed_run_leaves_nothing_finished(tmp_path: Path, log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dagfm.data.prepare.seal", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(config(log_file), tmp_path, Silent())
    left = {path.suffix for path in (tmp_path / ".dagfm" / "prepared").iterdir()}
    assert left == {".lock", ".tmp"}, "an interrupted preparation goes on later"


def test_a_bad_value_is_named_by_its_own_file_and_row(tmp_path: Path) -> None:
    table(50).write_csv(tmp_path / "part-1.csv")
    table(50).with_columns(price=pl.Series(["1"] * 20 + ["cheap"] + ["2"] * 29)).write_csv(tmp_path / "part-2.csv")
    with pytest.raises(InputError, match=r"part-2\.csv: row 21: column 'price' holds 'cheap', expected a number"):
        prepare(config(tmp_path / "part-*.csv"), tmp_path, Silent())


@pytest.mark.parametrize(
    ("frame", "data", "message"),
    [
        (table().drop("item"), {}, r"column 'item' is in none of the files: .*log\.csv has .*rating"),
        (table().drop("rating"), {}, r"column 'rating' is in none of the files"),
        (table().with_columns(rating=pl.lit(5)), {}, r"log\.csv: label 'rating': all 200 rows are 1"),
        (table(12), {"split": {"ratios": [0.9, 0.05, 0.05]}}, "split: the valid part is empty"),
        (table(40), {"split": {"ratios": [0.9, 0.05, 0.05]}}, "the (valid|test) part: all 1 rows are"),
        (table(), {"label": "rating"}, r"holds .*expected 0 and 1.*positive_from"),
    ],
)
def test_what_is_refused(tmp_path: Path, frame: pl.DataFrame, data: dict[str, Any], message: str) -> None:
    frame.write_csv(tmp_path / "log.csv")
    with pytest.raises(InputError, match=message):
        prepare(config(tmp_path / "log.csv", **data), tmp_path, Silent())
    assert not list((tmp_path / ".dagfm" / "prepared").glob("[!.]*"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        prepare(config(tmp_path / "none.csv"), tmp_path, Silent())
    with pytest.raises(InputError, match="a folder without files, expected Parquet or text"):
        prepare(config(tmp_path), tmp_path, Silent())
