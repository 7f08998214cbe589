from pathlib import Path

import polars as pl
import pytest
from logs import opened

from dagfm.data.log import check_alike
from dagfm.errors import InputError


def test_text_and_numbers_may_differ_but_not_lists_and_single_values(tmp_path: Path) -> None:
    pl.DataFrame({"a": ["1"], "b": [1], "l": [["x"]], "e": [["x"]], "n": [[1]]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"a": [1], "b": [1.5], "l": ["x"], "e": [None], "n": [["1"]]}).write_parquet(tmp_path / "2.parquet")
    train, test = (opened(str(tmp_path / f"{number}.parquet"), tmp_path) for number in (1, 2))
    check_alike(train, test, ["a", "b", "e", "n", "absent"])
    message = r"2\.parquet: column 'l' is text, but list of text in .*1\.parquet; expected lists in both"
    with pytest.raises(InputError, match=message):
        check_alike(train, test, train.types)
    with pytest.raises(InputError, match=r"1\.parquet: column 'l' is list of text.*expected single values in both"):
        check_alike(test, train, train.types)
