"""Criteo's week of display advertising (Kaggle 2014), in the two splits whose figures are published: x1 and x4.

x4 takes the original train.txt; x1 is a prepared copy with scaled numbers, in three files. Facts: the README files of
RecZoo's Datasets repository and BARS' leaderboards.
"""

from __future__ import annotations

from typing import Any

from dagfm.data.catalog.entry import Cell, DataSet, Edition, Layout, Part, Variant

ROWS = 45_840_617
NUMBERS = tuple(f"I{index}" for index in range(1, 14))
IDS = tuple(f"C{index}" for index in range(1, 27))

_CLICK = Cell("0|1", "0 or 1")
_HASHED = {
    **dict.fromkeys(NUMBERS, Cell(r"(-?\d+(\.0)?)?", "an integer or nothing")),
    **dict.fromkeys(IDS, Cell("([0-9a-f]{8})?", "eight hexadecimal digits or nothing")),
}
_SCALED = {
    **dict.fromkeys(NUMBERS, Cell(r"-?\d*\.?\d+(e-?\d+)?", "a scaled number")),
    **dict.fromkeys(IDS, Cell(r"\d+(\.0)?", "a number that stands for a category")),
}

ORIGINAL = Layout(
    title="Criteo's original train.txt",
    columns=("label", *NUMBERS, *IDS),
    separator="\t",
    header=False,
    format="tsv",
    cells={"label": _CLICK, **_HASHED},
)
X4 = Layout(
    title="a file of BARS' Criteo_x4 (the original values under a header)",
    columns=("Label", *NUMBERS, *IDS),
    cells={"Label": _CLICK, **_HASHED},
    advice="'dagfm data recipe criteo-x4' reads it",
)
X1 = Layout(
    title="a file of Criteo_x1 (numbers scaled already, categories numbered)",
    columns=("label", *NUMBERS, *IDS),
    cells={"label": Cell(r"[01](\.0)?", "0 or 1"), **_SCALED},
    advice="'dagfm data recipe criteo-x1' reads it",
)
UNLABELLED = Layout(
    title="Criteo's test.txt (without the label)",
    columns=(*NUMBERS, *IDS),
    separator="\t",
    header=False,
    cells=_HASHED,
    advice="take train.txt: nobody knows the clicks of test.txt",
)

_TERMS = """\
Criteo's release of the challenge is under CC BY-NC-SA 4.0: no commercial use, attribution, shared under the same terms;
read the licence that comes with your copy."""
_ORIGINAL_AT = "https://go.criteo.net/criteo-research-kaggle-display-advertising-challenge-dataset.tar.gz"


def _x4(name: str, size: int, min_count: int, published: dict[str, tuple[str, str]]) -> Variant:
    counts: dict[str, Any] = {"min_count": min_count}
    return Variant(
        title=f"Criteo_x4_{name}",
        size=size,
        fields=(
            "Counts: one row for each floor(ln(x)^2), and each integer up to 2; missing has its own.",
            *({"name": one, "type": "float", "encode": "log_squared", **counts} for one in NUMBERS),
            "Hashed categories; rarer ones share the unknown row.",
            *({"name": one, "type": "token", **counts} for one in IDS),
        ),
        published=published,
        notes=(
            "BARS' text says log2(x) for the counts; its code, and this file, is floor(ln(x)^2).",
            "What the columns mean is not disclosed, so no field has a side.",
        ),
    )


CRITEO_X4 = DataSet(
    name="criteo-x4",
    title="Criteo display advertising, 8:1:1 (Criteo_x4)",
    rows=ROWS,
    source=(
        f"download {_ORIGINAL_AT} (4.3 GB)",
        "unpack it: tar xzf criteo-research-kaggle-display-advertising-challenge-dataset.tar.gz train.txt (11 GB)",
    ),
    instead="for the very rows of the published split, train.csv, valid.csv and test.csv from "
    "https://huggingface.co/datasets/reczoo/Criteo_x4",
    terms=_TERMS,
    editions=(
        Edition(
            {"train": Part(ORIGINAL, "train.txt", ROWS)},
            label={"column": "label"},
            note="The ratios of the published split, not its rows, which were drawn by scikit-learn 0.19.1.",
        ),
        Edition(
            {
                "train": Part(X4, "train.csv", 36_672_493),
                "valid": Part(X4, "valid.csv", 4_584_062),
                "test": Part(X4, "test.csv", 4_584_062),
            },
            label={"column": "Label"},
            note="The very rows of the published split.",
        ),
    ),
    variants={
        "001": _x4(
            "001",
            size=16,
            min_count=10,
            published={
                "FM": (".8086", ".4431"),
                "CIN": (".8127", ".4394"),
                "xDeepFM": (".8143", ".4376"),
                "DCNv2": (".814514", ".437631"),
                "FinalMLP": (".814584", ".437353"),
                "FinalNet": (".814966", ".437116"),
                "ECN": (".815572", ".436456"),
                "FCN (DCNv3)": (".816216", ".435816"),
                "QNN-alpha": (".816305", ".435862"),
            },
        ),
        "002": _x4(
            "002",
            size=40,
            min_count=2,
            published={
                "FM": (".8078", ".4445"),
                "CrossNet": (".8047", ".4468"),
                "CIN": (".8133", ".4387"),
                "xDeepFM": (".8144", ".4375"),
            },
        ),
    },
    others=(UNLABELLED,),
)

CRITEO_X1 = DataSet(
    name="criteo-x1",
    title="Criteo display advertising, 7:2:1 (Criteo_x1)",
    rows=ROWS,
    source=(
        "download train.csv, valid.csv and test.csv from https://huggingface.co/datasets/reczoo/Criteo_x1, or "
        "https://zenodo.org/record/5700987/files/Criteo_x1.zip",
        "md5sum train.csv valid.csv test.csv: 30b89c1c7213013b92df52ec44f52dc5, f73c71fb3c4f66b6ebdfa032646bea72, "
        "2c48b26e84c04a69b948082edae46f8c",
    ),
    terms=_TERMS,
    editions=(
        Edition(
            {
                "train": Part(X1, "train.csv", 33_003_326),
                "valid": Part(X1, "valid.csv", 8_250_124),
                "test": Part(X1, "test.csv", 4_587_167),
            },
            label={"column": "label", "positive_from": 1},
            note="The very rows of the published split.",
        ),
    ),
    variants={
        "default": Variant(
            title="Criteo_x1",
            size=10,
            fields=(
                "Min-max scaled in the files already; here they are standardised on top of that.",
                *({"name": one, "type": "float"} for one in NUMBERS),
                *({"name": one, "type": "token"} for one in IDS),
            ),
            published={
                "FM": (".8022", ".4491"),
                "CIN": (".8117", ".4403"),
                "CrossNet (v2)": (".8127", ".4393"),
                "xDeepFM": (".8139", ".4380"),
                "DCNv2": (".8142", ".4378"),
                "FinalMLP": (".8149", ".4370"),
                "FinalNet": (".8154", ".4365"),
            },
            notes=("What the columns mean is not disclosed, so no field has a side.",),
        )
    },
    others=(UNLABELLED,),
)
