import polars as pl

from dagfm.data.describe.spelling import Spelling


def kinds(*texts: str) -> list[str]:
    spelling = Spelling()
    spelling.add(pl.Series(texts))
    return list(spelling.described())


def test_numbers_that_are_written_oddly() -> None:
    assert kinds("12", "7.0", "1e5") == ["float_ids"]
    assert kinds("12", "007", str(2**63)) == ["leading_zeros", "beyond_int64"]
    assert kinds("12", "7") == []


def test_hashes_that_happen_to_look_like_numbers_are_no_numbers() -> None:
    assert kinds("47498e51", "e00db8dc", "00b98c5d", "07548631") == []
