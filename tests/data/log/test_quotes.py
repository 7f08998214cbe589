import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from dagfm.data.log import quotes
from dagfm.data.log.quotes import quoted, record_end, record_starts

TEXT = st.lists(st.sampled_from(['"', '""', ",", "\n", "a", 'b"', '"c"', "\n\n"]), max_size=40).map("".join)


def slow(text: str) -> list[tuple[int, int]]:
    """The quoted stretches, one character at a time; the end past the text where one is not closed."""
    found, start, place, cell_starts = [], None, 0, True
    while place < len(text):
        here = text[place]
        if start is None:
            if here == '"' and cell_starts:
                start = place
            cell_starts = here in ",\n"
        elif here == '"':
            if text[place + 1 : place + 2] == '"':
                place += 1
            else:
                found.append((start, place + 1))
                start, cell_starts = None, False
        place += 1
    return found + ([(start, quotes._OPEN)] if start is not None else [])


@given(TEXT)
def test_stretches_are_those_found_one_character_at_a_time(text: str) -> None:
    data = text.encode()
    found = quoted(data, b",", b'"')
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == slow(text)
    by_one = quotes._one_by_one(data, b",", b'"')
    assert list(zip(by_one.starts.tolist(), by_one.ends.tolist(), strict=True)) == slow(text)
    by_parity = quotes._by_parity(data, b",", b'"') if b'"' in data else None
    if by_parity is not None:
        assert list(zip(by_parity.starts.tolist(), by_parity.ends.tolist(), strict=True)) == slow(text)


@given(st.lists(st.lists(st.text('a",\n ', max_size=4), min_size=2, max_size=2), min_size=1, max_size=8))
def test_records_start_where_pythons_csv_says(rows: list[list[str]]) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    starts = []
    for row in rows:
        starts.append(len(buffer.getvalue()))
        writer.writerow(row)
    data = buffer.getvalue().encode()
    assert record_starts(data, b",", b'"').tolist() == [*starts, len(data)]
    for cut in range(len(data)):
        ended = [start for start in starts if start <= cut]
        assert record_end(data[:cut], b",", b'"') == ended[-1]
