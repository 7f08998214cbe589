"""What format a file is in: what its options say, else its suffix."""

from __future__ import annotations

from pathlib import Path

from dagfm.config.files import FileOptions, FormatName
from dagfm.errors import InputError, listed, suggestion

SUFFIXES: dict[str, FormatName] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "recbole",
    ".user": "recbole",
    ".item": "recbole",
    ".libsvm": "libsvm",
    ".svm": "libsvm",
    ".libffm": "libffm",
    ".ffm": "libffm",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
"""Of text files, by their last suffix: ``clicks.csv.gz``."""


def format_of(path: Path, options: FileOptions) -> FormatName:
    """The format of a file. Raises InputError for a suffix that says none."""
    if options.format is not None:
        return options.format
    if suffix_says(path):
        return SUFFIXES[_suffix(path)]
    if options.separator is not None or options.columns is not None:
        return "csv"
    suffix = _suffix(path)
    near = suggestion(suffix, SUFFIXES) if suffix else ""
    raise InputError(f"{path}: unknown suffix '{suffix}'; valid: {listed(SUFFIXES)}; or set 'format' (--format).{near}")


def suffix_says(path: Path) -> bool:
    """Whether the suffix tells the format."""
    return _suffix(path) in SUFFIXES


def compression_of(path: Path) -> str | None:
    """How a text file is compressed: gzip, zstd or not at all."""
    return COMPRESSIONS.get(path.suffix.lower())


def _suffix(path: Path) -> str:
    """The suffix, that of the compression left aside."""
    return (path.with_suffix("") if compression_of(path) else path).suffix.lower()
