import numpy as np
import polars as pl
import pytest

from dagfm.config.data import LabelConfig
from dagfm.data.label import check_classes, labels
from dagfm.errors import InputError


def label(values: object, **rule: object) -> tuple[list[int], list[float]]:
    frame = pl.DataFrame({"y": values})
    found = labels(frame, LabelConfig.model_validate({"column": "y", **rule}), "clicks.csv")
    assert found.clicks.dtype == np.float32 and found.weights is None
    return np.flatnonzero(found.kept).tolist(), found.clicks[found.kept].tolist()


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
        ([[1], [0]], {}, r"clicks.csv: label 'y' holds List\(Int64\), expected one value a row"),
    ],
)
def test_other_labels_are_refused(values: list[object], rule: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        label(values, **rule)


def test_an_absent_label_is_refused() -> None:
    with pytest.raises(InputError, match=r"label column 'click' is missing; columns found: clik\. Did you mean"):
        labels(pl.DataFrame({"clik": [0, 1]}), LabelConfig(column="click"), "clicks.csv")


def aggregated(
    clicks: list[object], impressions: list[object], **more: list[object]
) -> tuple[list[float], list[float]]:
    frame = pl.DataFrame({"c": clicks, "n": impressions, **more})
    rule = LabelConfig(clicks="c", impressions="n")
    found = labels(frame, rule, "clicks.csv", next(iter(more), None))
    assert found.weights is not None
    return found.clicks[found.kept].tolist(), found.weights[found.kept].tolist()


def test_aggregated_rows_are_rates_that_weigh_their_impressions() -> None:
    assert aggregated([1, 0, 3, 0], [4, 2, 3, 0]) == ([0.25, 0.0, 1.0], [4.0, 2.0, 3.0])
    assert aggregated(["1", "0"], ["4", "2"], w=[0.5, 2]) == ([0.25, 0.0], [2.0, 4.0])


@pytest.mark.parametrize(
    ("clicks", "impressions", "message"),
    [
        ([1, 5], [4, 4], r"clicks.csv: row 2: 'c' is 5, more than 'n' 4"),
        ([1, -1], [4, 4], r"row 2: clicks 'c' is -1, expected a number of 0 or more"),
        ([1, 1], [4, None], r"row 2: impressions 'n' is empty, expected a number of 0 or more"),
    ],
)
def test_counts_that_are_none_are_refused(clicks: list[object], impressions: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        aggregated(clicks, impressions)


def test_weights() -> None:
    frame = pl.DataFrame({"y": [0, 1], "w": ["0.5", "2"]})
    weights = labels(frame, LabelConfig(column="y"), "clicks.csv", "w").weights
    assert weights is not None and weights.tolist() == [0.5, 2.0] and weights.dtype == np.float32
    with pytest.raises(InputError, match=r"row 2: weight 'w' is empty, expected a number of 0 or more"):
        labels(frame.with_columns(w=pl.Series([1.0, float("nan")])), LabelConfig(column="y"), "clicks.csv", "w")
    with pytest.raises(InputError, match="weight column 'v' is missing; columns found: y, w"):
        labels(frame, LabelConfig(column="y"), "clicks.csv", "v")


def test_one_class_alone_is_refused() -> None:
    check_classes(0.0, 0.25, 3, "the train part")
    check_classes(0.25, 0.25, 3, "the train part")
    for lowest, highest, rows, message in (
        (1.0, 1.0, 2, "the train part: all 2 rows are 1, expected both 0 and 1"),
        (0.0, 0.0, 2, "the train part: all 2 rows are 0, expected both 0 and 1"),
        (np.inf, -np.inf, 0, "the train part: no rows are left"),
    ):
        with pytest.raises(InputError, match=message):
            check_classes(lowest, highest, rows, "the train part")
