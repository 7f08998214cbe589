from pathlib import Path

import pytest
from logs import opened, rows_of, write

from dagfm.data.log import convert
from dagfm.errors import InputError


def test_libsvm_is_a_label_and_a_list(tmp_path: Path) -> None:
    log = opened(write(tmp_path / "a.libsvm", "+1 3:1 10:0.5 11:0\n-1 # nothing\r\n0 7:1  \n"), tmp_path)
    assert rows_of(log) == [("+1", ["3", "10"]), ("-1", []), ("0", ["7"])]


def test_libsvm_with_numbers(tmp_path: Path) -> None:
    log = opened(write(tmp_path / "a.svm", "1 3:1e-1 10:.5\n0 1:-2\n"), tmp_path, columns=("f3", "f1"))
    assert list(log.types) == ["label", "f3", "f1"]
    assert rows_of(log) == [("1", "1e-1", "0"), ("0", "0", "-2")]
    with pytest.raises(InputError, match=r"a\.svm: columns: 'price', expected f and the number of the index"):
        opened(str(tmp_path / "a.svm"), tmp_path, columns=("price",))


def test_libffm_has_columns_for_its_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.ffm", "1 0:17:1 2:5:0.25\n0 10:x:1 0:18:1 0:19:2\n0\n")
    monkeypatch.setattr(convert, "BLOCK", 8)
    log = opened(path, tmp_path)
    assert list(log.types) == ["label", "f0", "f2", "f10", "f0_value", "f2_value", "f10_value"]
    assert rows_of(log) == [
        ("1", "17", "5", None, "1", "0.25", None),
        ("0", "18 19", None, "x", "1 2", None, "1"),
        ("0", None, None, None, None, None, None),
    ]
    assert rows_of(opened(path, tmp_path, columns=("f2",))) == [
        ("1", "5", "0.25"),
        ("0", None, None),
        ("0", None, None),
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.libsvm", "1 2:1\n\n0 3:1\n", r"a\.libsvm: line 2 is blank, expected a label and entries index:value"),
        ("a.libsvm", "1 2:1\n0 3:x\n", r"a\.libsvm: line 2: '3:x', expected index:value"),
        ("a.libsvm", "1 qid:1 2:1\n", r"a\.libsvm: line 1: 'qid:1', expected index:value"),
        ("a.libsvm", b"1 2:1\n\xff 2:1\n", r"a\.libsvm: line 2 is not UTF-8 text"),
        ("a.libsvm", "\n\n", r"a\.libsvm: the table has no rows"),
        ("a.libffm", "1 2:1\n", r"a\.libffm: line 1: '2:1', expected field:index:value"),
        ("a.libffm", "\n", r"a\.libffm: the file is empty"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, data: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(write(tmp_path / name, data), tmp_path)


def test_a_field_that_comes_late_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ffm", "1 0:1:1\n" * 600_000 + "1 0:1:1 4:1:1\n")
    with pytest.raises(InputError, match=r"line 600001: field 4 is in none of the first rows; .*such as \[f0, f4\]"):
        opened(path, tmp_path)
