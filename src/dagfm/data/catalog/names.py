"""The catalog: every data set by its name."""

from __future__ import annotations

from dagfm.data.catalog.avazu import AVAZU_X4
from dagfm.data.catalog.criteo import CRITEO_X1, CRITEO_X4
from dagfm.data.catalog.entry import DataSet
from dagfm.data.catalog.frappe import FRAPPE_X1
from dagfm.data.catalog.movielens import ML_1M, ML_100K
from dagfm.errors import InputError, listed, suggestion

CATALOG: dict[str, DataSet] = {one.name: one for one in (ML_100K, ML_1M, CRITEO_X1, CRITEO_X4, AVAZU_X4, FRAPPE_X1)}


def find(name: str) -> DataSet:
    """The data set called ``name``, whatever its case and dashes. Raises InputError with the valid names."""
    plain = name.lower().replace("_", "-")
    if plain in CATALOG:
        return CATALOG[plain]
    beginning = [one for one in CATALOG if one.rpartition("-")[0] == plain]
    if len(beginning) == 1:
        return CATALOG[beginning[0]]
    raise InputError(f"no data set '{name}' in the catalog; valid: {listed(CATALOG)}.{suggestion(plain, CATALOG)}")
