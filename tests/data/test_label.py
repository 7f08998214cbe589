import numpy as np
import polars as pl
import pytest

from dagfm.config.models import LabelConfig
from dagfm.data.label import labels
from dagfm.errors import InputError


def label(values: object, **rule: object) -> tuple[list[int], list[float]]:
    frame = pl.DataFrame({"y": values})
    kept, clicks = labels(frame, LabelConfig.model_validate({"column": "y", **rule}), "clicks.csv")
    assert clicks.dtype == np.float32
    return kept.tolist(), clicks.tolist()


@pytest.mark.parametrize(
    "values", [[0, 1], [0.0, 1.0], ["0", "1"], ["0.0", "1.0"], [False, True], ["false", "true"], ["False", "True"]]
)
def test_two_valued(values: list[object]) -> None:
    assert label(values) == ([0, 1], [0.0, 1.0])


@pytest.mark.parametrize("values", [[5, 3, 1, 4], ["5", "3", "1", "4"], [5.0, 3.0, 1.0, 4.0]])
def test_ratings(values: list[object]) -> None:
    assert label(values, positive_from=4) == ([0, 1, 2, 3], [1, 0, 0, 1])
    assert label(values, positive_from=4, drop=[3]) == ([0, 2, 3], [1, 0, 1])


def test_dropped_values_may_leave_two() -> None:
    assert label([0, 1, -1], drop=[-1]) == ([0, 1], [0, 1])


@pytest.mark.parametrize(
    ("values", "rule", "message"),
    [
        ([5, 3, 1], {}, r"clicks.csv: label 'y' holds 5, 3, 1; expected 0 and 1\. Set data\.label\.positive_from"),
        (list(range(9)), {}, r"holds 0, 1, 2, 3, 4, \.\.\.; expected"),
        (["yes", "no"], {}, r"holds yes, no; expected 0 and 1"),
        (["4", "x"], {"positive_from": 4}, r"clicks.csv: row 2: column 'y' holds 'x', expected a number"),
        ([1, 0, None], {}, r"clicks.csv: row 3: label 'y' is empty"),
        (["1", "", "0"], {}, r"clicks.csv: row 2: label 'y' is empty"),
        ([True, None, False], {}, r"clicks.csv: row 2: label 'y' is empty"),
        ([None, None], {}, r"clicks.csv: row 1: label 'y' is empty"),
        ([1, 1], {}, r"clicks.csv: label 'y': all 2 rows are 1, expected both 0 and 1"),
        ([[1], [0]], {}, r"clicks.csv: label 'y' holds List\(Int64\), expected one value a row"),
        ([2, 1], {"positive_from": 4}, r"all 2 rows are 0"),
        ([3, 3], {"positive_from": 4, "drop": [3]}, r"no rows are left"),
    ],
)
def test_other_labels_are_refused(values: list[object], rule: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        label(values, **rule)


def test_an_absent_label_is_refused() -> None:
    with pytest.raises(InputError, match=r"label column 'click' is missing; columns found: clik\. Did you mean"):
        labels(pl.DataFrame({"clik": [0, 1]}), LabelConfig(column="click"), "clicks.csv")
