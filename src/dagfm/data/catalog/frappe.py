"""Frappe: which apps 957 people used, with two drawn negatives for each use (Frappe_x1). Facts: BARS, RecZoo."""

from __future__ import annotations

from dagfm.data.catalog.entry import Cell, DataSet, Edition, Layout, Part, Variant

ROWS = {"train": 202_027, "valid": 57_722, "test": 28_860}
IDS = ("user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
_OF_THE_ITEM = ("item", "cost")

CSV = Layout(
    title="a file of Frappe_x1",
    columns=("label", *IDS),
    cells={"label": Cell(r"-?[01](\.0)?", "0 or 1"), **dict.fromkeys(IDS, Cell(r"\d+(\.0)?", "a number"))},
)
LIBFM = Layout(
    title="a file of Frappe as libfm or libsvm text",
    columns=("label", *IDS),
    separator=" ",
    header=False,
    cells={"label": Cell(r"-?[01](\.0)?", "-1, 0 or 1"), **dict.fromkeys(IDS, Cell(r"\d+:1(\.0)?", "an id as 7:1"))},
)
LOG = Layout(
    title="the original frappe.csv (uses alone, without negatives)",
    columns=(
        "user",
        "item",
        "cnt",
        "daytime",
        "weekday",
        "isweekend",
        "homework",
        "cost",
        "weather",
        "country",
        "city",
    ),
    separator="\t",
    advice="take the three files of Frappe_x1, which have the negatives that the published figures are about",
)
# Files are around with the labels 0 and 1, 0.0 and 1.0, -1 and 1.
_LABEL = {"column": "label", "positive_from": 1}


def _edition(layout: Layout, pattern: str) -> Edition:
    usual = {"train": "train", "valid": "validation" if "libfm" in pattern else "valid", "test": "test"}
    return Edition(
        {role: Part(layout, pattern.format(usual[role]), ROWS[role]) for role in ROWS},
        label=_LABEL,
        note="The very rows of the published split.",
    )


FRAPPE_X1 = DataSet(
    name="frappe-x1",
    title="Frappe, use of apps in context, 7:2:1 (Frappe_x1)",
    rows=sum(ROWS.values()),
    source=(
        "download https://zenodo.org/record/6324454/files/Frappe_x1.zip, or train.csv, valid.csv and test.csv from "
        "https://huggingface.co/datasets/reczoo/Frappe_x1",
        "md5sum train.csv valid.csv test.csv: ba7306e6c4fc19dd2cd84f2f0596d158, 88d51bf2173505436d3a8f78f2a59da8, "
        "3470f6d32713dc5f7715f198ca7c612a",
    ),
    terms="No licence text is known; ask its authors (https://www.baltrunas.info/context-aware) before any use but "
    "research. Publications cite L. Baltrunas, K. Church, A. Karatzoglou and N. Oliver, arXiv 1505.03014, 2015.",
    editions=(_edition(CSV, "{}.csv"), _edition(LIBFM, "frappe.{}.libfm"), _edition(LIBFM, "{}.libsvm")),
    variants={
        "default": Variant(
            title="Frappe_x1",
            size=10,
            fields=tuple(
                {"name": one, "type": "token", "side": "candidate" if one in _OF_THE_ITEM else "context"}
                for one in (*(one for one in IDS if one not in _OF_THE_ITEM), *_OF_THE_ITEM)
            ),
            published={
                "CrossNet (v2)": (".9729", ".2216"),
                "CIN": (".9782", ".2352"),
                "FM": (".9671", ".2065"),
                "DCNv2": (".9845", ".1491"),
                "xDeepFM": (".9845", ".1466"),
                "FinalNet": (".9857", ".1311"),
                "FinalMLP": (".9861", ".1484"),
                "QNN-alpha": (".986210", ".131329"),
                "QNN-alpha + DCNv2": (".986263", ".138028"),
            },
            notes=(
                "A pair of user and item often determines the label: models that remember pairs (target statistics of "
                "a cross) go far beyond these figures.",
            ),
        )
    },
    others=(LOG,),
)
