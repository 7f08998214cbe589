"""The text formats: one function each, from a file to its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dagfm.config.files import FileOptions
from dagfm.data.log.blocks import Layout
from dagfm.data.log.formats import format_of
from dagfm.data.log.libsvm import libffm_layout, libsvm_layout
from dagfm.data.log.recbole import recbole_layout
from dagfm.data.log.separated import csv_layout, tsv_layout

LAYOUTS: dict[str, Callable[[Path, FileOptions], Layout]] = {
    "csv": csv_layout,
    "tsv": tsv_layout,
    "recbole": recbole_layout,
    "libsvm": libsvm_layout,
    "libffm": libffm_layout,
}


def layout_of(path: Path, options: FileOptions) -> Layout:
    """How a text file is read. Raises InputError where its beginning says that it is not of its format."""
    return LAYOUTS[format_of(path, options)](path, options)
