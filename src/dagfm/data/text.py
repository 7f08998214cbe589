"""What is wrong with a text file before anything parses it: its header, and lines of another width.

polars renames repeated columns and fills short lines with nulls without a word, so both are looked for here.
"""

from __future__ import annotations

import csv
from pathlib import Path

from dagfm.errors import InputError, listed

_CHUNK = 1 << 24


def check_header(path: Path, separator: str, quote: str | None) -> list[str]:
    """The column names of a separated text file. Raises InputError for repeated names and for a header without rows."""
    with path.open("rb") as file:
        line = file.readline()
        while (more := file.readline()) and not more.strip(b"\r\n"):
            pass
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: line 1 is not UTF-8 text ({error.reason} at byte {error.start})") from None
    names = next(csv.reader([text], delimiter=separator), [""]) if quote else text.split(separator)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: column '{repeated[0]}' occurs twice in the header: {listed(names)}")
    if not more:
        raise InputError(f"{path}: a header and no rows: {listed(names)}")
    return names


def check_lines(path: Path, separator: str, quote: str | None, width: int) -> None:
    """Raise InputError naming the first line that has not ``width`` cells.

    Counting bytes answers for all lines at once; only files with quotes, or with something wrong, are looked at line
    by line.
    """
    separators = newlines = quotes = 0
    last = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            separators += chunk.count(separator.encode())
            newlines += chunk.count(b"\n")
            quotes += chunk.count(quote.encode()) if quote else 0
            last = chunk[-1:]
    lines = newlines + (last != b"\n")
    if not quotes and separators == lines * (width - 1):
        return
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(
            file, delimiter=separator, quotechar=quote, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        )
        try:
            for cells in reader:
                if len(cells) != width and (cells or width > 1):
                    raise InputError(
                        f"{path}: line {reader.line_num} has {len(cells)} cells, the header has {width} columns"
                    )
        except csv.Error:
            return  # a cell beyond csv's limit; polars reads it, or says why not
