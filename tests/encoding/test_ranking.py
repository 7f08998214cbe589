import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dagfm.encoding.ranking import ranking

TEXTS = st.lists(st.text(max_size=12), unique=True, max_size=40)


@given(TEXTS, st.data())
def test_most_frequent_first_equals_by_their_bytes(texts: list[str], data: st.DataObject) -> None:
    counts = [data.draw(st.integers(0, 3)) for _ in texts]
    order = ranking(pl.Series(texts, dtype=pl.String), np.array(counts, np.int64), min_count=1, max_size=30)
    known = [(text, count) for text, count in zip(texts, counts, strict=True) if count]
    expected = sorted(known, key=lambda one: (-one[1], one[0].encode()))[:30]
    assert [texts[place] for place in order] == [text for text, _ in expected]


def test_texts_that_begin_alike_are_told_apart() -> None:
    texts = pl.Series(["prefix-of-many-b", "prefix-of-many-a", "prefix-o", "prefix-o\0", "prefix-"])
    order = ranking(texts, np.ones(5, np.int64))
    assert texts.gather(order).to_list() == [
        "prefix-",
        "prefix-o",
        "prefix-o\0",
        "prefix-of-many-a",
        "prefix-of-many-b",
    ]
