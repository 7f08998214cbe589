import polars as pl

from dagfm.data.counts import row_counts
from dagfm.encoding.encoder import Encoder
from dagfm.schema import Field, Schema


def test_every_row_of_every_field_is_counted() -> None:
    schema = Schema.of(
        (
            Field(name="tags", type="token_seq"),
            Field(name="user", min_count=2),
            Field(name="price", type="float"),
            Field(name="place", type="float_seq", size=2),
        )
    )
    frame = pl.DataFrame(
        {
            "tags": [["a", "b"], ["a"], [], None],
            "user": ["u", "u", "rare", None],
            "price": [1.0, None, None, 2.0],
            "place": [[1.0, None], None, [1.0, 2.0], [3.0, 4.0]],
        }
    )
    encoder = Encoder.fit(schema, frame, "rows")
    counts = row_counts(encoder.encode(frame), encoder)
    by_field = [counts[start:stop].tolist() for start, stop in zip(encoder.offsets, encoder.offsets[1:], strict=False)]
    assert by_field == [[0, 2, 2, 1], [1, 1, 2], [0, 2, 2], [0, 3, 3, 2]]
