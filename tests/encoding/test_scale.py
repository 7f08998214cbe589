import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.data.staging.fitting import fit_numbers
from dagfm.encoding.scale import Scale, vectors_of
from dagfm.encoding.values import BadValueError
from dagfm.schema import Field

PRICE = Field(name="price", type="float")
PLACE = Field(name="place", type="float_seq", size=2, separator=",")


def learned(vectors: np.ndarray) -> Scale:
    scale, _ = fit_numbers(vectors.T.copy(), Field(name="x", type="float_seq", size=vectors.shape[1]))
    assert isinstance(scale, Scale)
    return scale


def test_standardised_over_what_is_there() -> None:
    vectors = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, np.nan]])
    scale = learned(vectors)
    assert scale == Scale((2.0, 5.0), (1.0, 1.0))
    np.testing.assert_array_equal(scale.apply(vectors), np.array([[-1, 0], [1, 0], [np.nan, np.nan]], np.float32))


def test_equal_values_and_none_at_all() -> None:
    assert learned(np.full((3, 1), 0.1)) == Scale((0.1,), (1.0,))
    assert learned(np.full((3, 1), np.nan)) == Scale((0.0,), (1.0,))
    assert learned(np.empty((0, 1))) == Scale((0.0,), (1.0,))


@given(st.lists(st.floats(allow_infinity=False), min_size=1), st.lists(st.floats(allow_infinity=False), min_size=1))
def test_any_numbers_stay_finite(training: list[float], values: list[float]) -> None:
    scale = learned(np.array(training)[:, None])
    assert np.isfinite(scale.mean).all() and np.isfinite(scale.std).all() and scale.std[0] > 0
    scaled = scale.apply(np.array(values)[:, None])
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(scaled[:, 0]), np.isnan(values))
    assert np.nanmax(np.abs(scaled), initial=0.0) <= 1e4


def test_cells_as_vectors() -> None:
    np.testing.assert_array_equal(vectors_of(pl.Series("price", [1, None]), PRICE, "rows"), [[1], [np.nan]])
    nothing = [np.nan, np.nan]
    for cells in (["1,2", "", None, "3, 4"], [[1, 2], [], None, [3, 4]]):
        vectors = vectors_of(pl.Series("place", cells), PLACE, "rows")
        np.testing.assert_array_equal(vectors, [[1, 2], nothing, nothing, [3, 4]])
    partly = vectors_of(pl.Series("place", [[1, None]]), PLACE, "rows")
    np.testing.assert_array_equal(partly, [[1, np.nan]])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1,2", "", "1,2,3"], "clicks.csv: row 3: column 'place' holds 3 numbers, expected 2"),
        (["", "1,2", "1,x"], "clicks.csv: row 3: column 'place' holds 'x', expected a number"),
    ],
)
def test_other_cells_are_refused_with_their_row(cells: list[str], message: str) -> None:
    with pytest.raises(BadValueError, match=message):
        vectors_of(pl.Series("place", cells), PLACE, "clicks.csv")
