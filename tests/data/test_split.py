import numpy as np
import pytest

from dagfm.data.split import random_split
from dagfm.errors import InputError


def test_the_published_protocol() -> None:
    parts = random_split(739_012, (0.8, 0.1, 0.1), 2022)
    assert [len(part) for part in parts] == [591_210, 73_901, 73_901]
    order = np.random.default_rng(2022).permutation(739_012)
    train, valid, test = parts
    np.testing.assert_array_equal(test, np.sort(order[:73_901]))
    np.testing.assert_array_equal(valid, np.sort(order[73_901 : 2 * 73_901]))
    np.testing.assert_array_equal(train, np.sort(order[2 * 73_901 :]))


@pytest.mark.parametrize(
    ("n", "ratios", "sizes"),
    [(100, (0.42, 0.29, 0.29), [42, 29, 29]), (10, (0.4, 0.3, 0.3), [4, 3, 3]), (3, (0.2, 0.4, 0.4), [1, 1, 1])],
)
def test_sizes_are_what_the_shares_say(n: int, ratios: tuple[float, float, float], sizes: list[int]) -> None:
    parts = random_split(n, ratios, 0)
    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))


def test_empty_parts_are_named() -> None:
    with pytest.raises(InputError, match=r"split: the valid part is empty: a share of 0\.33 of 3 rows"):
        random_split(3, (0.34, 0.33, 0.33), 0)
    with pytest.raises(InputError, match="split: the test part is empty"):
        random_split(100, (0.9, 0.1, 0.0), 0)
    with pytest.raises(InputError, match="split: the train part is empty"):
        random_split(100, (0.0, 0.5, 0.5), 0)
