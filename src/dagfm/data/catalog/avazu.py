"""Avazu's ten days of mobile advertising (Kaggle 2014/15) in the split x4. Facts: RecZoo's Datasets, BARS."""

from __future__ import annotations

from dagfm.data.catalog.entry import Cell, DataSet, Edition, Layout, Part, Variant

ROWS = 40_428_967
_PLACES = ("site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category")
_DEVICE = ("device_id", "device_ip", "device_model", "device_type", "device_conn_type")
IDS = ("C1", "banner_pos", *_PLACES, *_DEVICE, *(f"C{index}" for index in range(14, 22)))
TIME = "%y%m%d%H"

KAGGLE = Layout(
    title="Avazu's training file",
    columns=("id", "click", "hour", *IDS),
    cells={"click": Cell("0|1", "0 or 1"), "hour": Cell(r"\d{8}", "a time as YYMMDDHH")},
)
UNLABELLED = Layout(
    title="Avazu's test file (without 'click')",
    columns=("id", "hour", *IDS),
    advice="take train: nobody knows the clicks of test",
)
X1 = Layout(
    title="a file of Avazu_x1 (anonymous feat_1 to feat_22)",
    columns=("label", *(f"feat_{index}" for index in range(1, 23))),
    advice="the catalog has no protocol for it: 'dagfm init FILE --label label' writes a configuration",
)
_LABEL = {"column": "click"}


def _x4(name: str, size: int, min_count: int, published: dict[str, tuple[str, str]]) -> Variant:
    return Variant(
        title=f"Avazu_x4_{name}",
        size=size,
        fields=(
            "'id' is left out: every row has another one. The hour of the impression gives three fields.",
            *(
                {"name": part, "column": "hour", "encode": part, "time_format": TIME}
                for part in ("hour", "weekday", "is_weekend")
            ),
            *({"name": one, "type": "token", "min_count": min_count} for one in IDS),
        ),
        published=published,
        notes=("The columns are anonymous in part, so no field has a side.",),
    )


AVAZU_X4 = DataSet(
    name="avazu-x4",
    title="Avazu mobile advertising, 8:1:1 (Avazu_x4)",
    rows=ROWS,
    source=(
        "join the competition and download train from https://www.kaggle.com/c/avazu-ctr-prediction/data (1 GB); "
        "unpack the zip, the train.gz in it can stay as it is",
    ),
    instead="for the very rows of the published split, train.csv, valid.csv and test.csv from "
    "https://huggingface.co/datasets/reczoo/Avazu_x4",
    terms="The rules of Kaggle's competition, which one accepts before the download: https://www.kaggle.com/c/"
    "avazu-ctr-prediction/rules. No licence beyond them is published.",
    editions=(
        Edition(
            {"train": Part(KAGGLE, "train.csv", ROWS)},
            label=_LABEL,
            note="The ratios of the published split, not its rows, which were drawn by scikit-learn 0.19.1.",
        ),
        Edition(
            {
                "train": Part(KAGGLE, "train.csv", 32_343_172),
                "valid": Part(KAGGLE, "valid.csv", 4_042_897),
                "test": Part(KAGGLE, "test.csv", 4_042_898),
            },
            label=_LABEL,
            note="The very rows of the published split.",
        ),
    ),
    variants={
        "001": _x4(
            "001",
            size=16,
            min_count=2,
            published={
                "FM": (".7887", ".3754"),
                "CIN": (".7894", ".3742"),
                "DCNv2": (".793146", ".371865"),
                "xDeepFM": (".7933", ".3718"),
                "ECN": (".796564", ".369807"),
                "FCN (DCNv3)": (".797029", ".369527"),
                "ONN": (".7992", ".3683"),
            },
        ),
        "002": _x4(
            "002",
            size=40,
            min_count=1,
            published={
                "CrossNet": (".7840", ".3773"),
                "FM": (".7909", ".3736"),
                "CIN": (".7929", ".3724"),
                "xDeepFM": (".7967", ".3697"),
                "FiBiNET": (".8003", ".3675"),
            },
        ),
    },
    others=(UNLABELLED, X1),
)
