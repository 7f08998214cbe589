"""Files of vectors: every format gives the same, and everything wrong with them is told by file and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dagfm.data.pretrained import content, read_vectors
from dagfm.errors import InputError
from dagfm.schema import Pretrained

IDS = ["7", "x y", "ü"]
VALUES = np.array([[1.0, 2.0], [3.0, 4.5], [-1.0, 0.0]], np.float32)


def lists(path: Path) -> Pretrained:
    pl.DataFrame({"id": IDS, "vector": VALUES.tolist()}).write_parquet(path / "lists.parquet")
    return Pretrained(path=str(path / "lists.parquet"))


def fixed(path: Path) -> Pretrained:
    pl.DataFrame({"item": IDS, "v": pl.Series(VALUES, dtype=pl.Array(pl.Float32, 2))}).write_parquet(path / "f.parquet")
    return Pretrained(path=str(path / "f.parquet"), ids="item")


def columns(path: Path) -> Pretrained:
    pl.DataFrame({"a": VALUES[:, 0], "id": IDS, "b": VALUES[:, 1].astype(float)}).write_parquet(path / "c.parquet")
    return Pretrained(path=str(path / "c.parquet"))


def array_and(ids: str) -> Any:
    def write(path: Path) -> Pretrained:
        np.save(path / "vectors.npy", VALUES.astype(np.float64))
        if ids.endswith(".npy"):
            np.save(path / ids, np.array(IDS))
        elif ids.endswith(".parquet"):
            pl.DataFrame({"anything": IDS}).write_parquet(path / ids)
        else:
            (path / ids).write_bytes("\r\n".join(IDS).encode() + b"\n" * ids.startswith("end"))
        return Pretrained(path=str(path / "vectors.npy"), ids=str(path / ids))

    return write


@pytest.mark.parametrize(
    "write", [lists, fixed, columns, *map(array_and, ("ids.txt", "end.txt", "ids.npy", "ids.parquet"))]
)
def test_every_format_gives_the_same_vectors(tmp_path: Path, write: Any) -> None:
    vectors = read_vectors(write(tmp_path))
    assert vectors.ids.to_list() == IDS
    found = vectors.take(np.array([2, 0, 1]))
    assert found.dtype == np.float32
    assert np.array_equal(found, VALUES[[2, 0, 1]])


def test_numbers_are_ids_as_they_are_tokens(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VALUES)
    np.save(tmp_path / "ids.npy", np.array([5, 12, 7]))
    source = Pretrained(path=str(tmp_path / "v.npy"), ids=str(tmp_path / "ids.npy"))
    assert read_vectors(source).ids.to_list() == ["5", "12", "7"]
    pl.DataFrame({"id": [5.0, 12.0, 7.5], "v": VALUES.tolist()}).write_parquet(tmp_path / "v.parquet")
    assert read_vectors(Pretrained(path=str(tmp_path / "v.parquet"))).ids.to_list() == ["5", "12", "7.5"]


def parquet(path: Path, **table: Any) -> Pretrained:
    pl.DataFrame(table).write_parquet(path / "v.parquet")
    return Pretrained(path=str(path / "v.parquet"))


def npy(path: Path, values: np.ndarray, ids: Any = IDS) -> Pretrained:
    np.save(path / "v.npy", values, allow_pickle=True)
    if isinstance(ids, bytes):
        (path / "ids.txt").write_bytes(ids)
        return Pretrained(path=str(path / "v.npy"), ids=str(path / "ids.txt"))
    np.save(path / "ids.npy", np.array(ids), allow_pickle=True)
    return Pretrained(path=str(path / "v.npy"), ids=str(path / "ids.npy"))


BAD = VALUES.copy()
BAD[1, 1] = np.nan

REFUSED = {
    "no file": (lambda p: Pretrained(path=str(p / "v.parquet")), r"v\.parquet: no such file"),
    "no ids file": (
        lambda p: (npy(p, VALUES), Pretrained(path=str(p / "v.npy"), ids=str(p / "no.txt")))[1],
        r"no\.txt: no such file",
    ),
    "not Parquet": (
        lambda p: ((p / "v.parquet").write_text("x"), Pretrained(path=str(p / "v.parquet")))[1],
        "cannot be read as Parquet",
    ),
    "not an array": (
        lambda p: (
            (npy(p, VALUES), (p / "v.npy").write_text("x"), npy(p / ".", VALUES))[2]
            and ((p / "v.npy").write_text("xxxxxxxxxx"), Pretrained(path=str(p / "v.npy"), ids=str(p / "ids.npy")))[1]
        ),
        r"v\.npy: (not an array|a pickled array)",
    ),
    "pickled vectors": (lambda p: npy(p, VALUES.astype(object)), r"v\.npy: a pickled array"),
    "pickled ids": (lambda p: npy(p, VALUES, np.array(IDS, object)), r"ids\.npy: a pickled array"),
    "twice": (lambda p: npy(p, VALUES, ["a", "b", "a"]), r"id 'a' is there more than once \(rows 1, 3\)"),
    "twice as text": (lambda p: parquet(p, id=[5.0, 5.0], v=[[1.0], [2.0]]), "id '5' is there more than once"),
    "empty": (lambda p: npy(p, VALUES, b"a\n\nb\n"), r"ids\.txt: row 2: an empty id"),
    "fewer ids": (lambda p: npy(p, VALUES, b"a\nb\n"), r"3 vectors, but .*ids\.txt holds 2 ids"),
    "NaN": (lambda p: npy(p, BAD), r"the vector of id 'x y' \(row 2\) holds NaN or infinity"),
    "infinity": (lambda p: parquet(p, id=["a"], v=[[np.inf]]), "holds NaN or infinity"),
    "one number each": (lambda p: npy(p, VALUES[:, 0]), r"shape \(3,\) of float32, expected \(n, d\) numbers"),
    "texts": (lambda p: npy(p, np.array([["a"]] * 3)), r"expected \(n, d\) numbers"),
    "other widths": (lambda p: parquet(p, id=["a", "b"], v=[[1.0, 2.0], [1.0]]), "row 2: a vector of 1 numbers, .* 2"),
    "no vector": (lambda p: parquet(p, id=["a", "b"], v=[[1.0, 2.0], None]), "row 2: a vector of 0 numbers"),
    "a hole": (lambda p: parquet(p, id=["a"], v=[[1.0, None]]), "vectors with empty numbers"),
    "a hole in columns": (lambda p: parquet(p, id=["a", "b"], x=[1.0, None]), "column 'x' has empty cells"),
    "no id column": (lambda p: parquet(p, ids=["a"], v=[[1.0]]), "no column 'id'"),
    "a text column": (lambda p: parquet(p, id=["a"], x=[1.0], name=["b"]), "found: name"),
    "lists of text": (lambda p: parquet(p, id=["a"], v=[["b"]]), "expected lists of numbers"),
    "no rows": (lambda p: npy(p, np.zeros((0, 3)), np.array([], str)), "holds no vectors"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_told(tmp_path: Path, case: str) -> None:
    write, told = REFUSED[case]
    source = write(tmp_path)
    with pytest.raises(InputError, match=told):
        read_vectors(source)


def test_the_content_is_of_all_files_and_of_nothing_else(tmp_path: Path) -> None:
    source = array_and("ids.txt")(tmp_path)
    before = content(source)
    assert content(source.model_copy(update={"trainable": False})) == before
    (tmp_path / "elsewhere").mkdir()
    assert content(array_and("ids.txt")(tmp_path / "elsewhere")) == before
    (tmp_path / "ids.txt").write_text("a\nb\nc\n")
    changed = content(source)
    assert changed != before
    np.save(tmp_path / "vectors.npy", VALUES + 1)
    assert content(source) != changed
    with pytest.raises(InputError, match=r"no\.npy: no such file"):
        content(Pretrained(path=str(tmp_path / "no.npy"), ids="x"))


@pytest.mark.parametrize(
    ("written", "told"), [({"path": "v.txt"}, "ends in .parquet or .npy"), ({"path": "v.npy"}, "'ids' must name")]
)
def test_a_format_that_nobody_reads_is_refused_at_once(written: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Pretrained(**written)
