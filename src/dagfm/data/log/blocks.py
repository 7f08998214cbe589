"""A text file in blocks of whole records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dagfm.data.log.characters import Characters
from dagfm.data.log.kinds import TEXT
from dagfm.data.log.quotes import quoted, record_end
from dagfm.errors import InputError

BLOCK = 20 << 20
"""Bytes of text that are parsed at once: some 100,000 rows of 39 columns. Of 32 MB and more, the allocator gives every
block back to the system and faults it in again, which costs a fifth."""
LONGEST = (1 << 30) - BLOCK
"""Bytes that a record may have: Arrow counts a column's text in 31 bits."""


@dataclass(frozen=True)
class Block:
    """Some whole records."""

    path: Path
    data: bytes
    """UTF-8, or bytes that should be."""
    position: int
    """Of the first byte in the stream of characters."""
    line: int
    """Number of its first line, from 1."""
    mark: int
    """Bytes of the file before position 0."""

    @property
    def end(self) -> int:
        return self.position + len(self.data)

    @property
    def last_line(self) -> int:
        """Number of the line after it."""
        return self.line + self.data.count(b"\n")


@dataclass(frozen=True)
class Cutting:
    """What holds records together."""

    separator: bytes
    quote: bytes | None


@dataclass(frozen=True)
class Layout:
    """How a text file is read: where its rows begin, what their columns are, and the parser of a block."""

    names: tuple[str, ...]
    cutting: Cutting
    position: int
    line: int
    parse: Callable[[Block], pa.Table]
    lists: frozenset[str] = frozenset()
    """Columns whose cells are several texts."""

    def nothing(self) -> pa.Table:
        """What ``parse`` makes of no rows."""
        kinds = {name: pa.list_(TEXT) if name in self.lists else TEXT for name in self.names}
        return pa.schema(kinds.items()).empty_table()


def blocks(characters: Characters, cutting: Cutting, position: int, line: int, size: int) -> Iterator[Block]:
    """The records from ``position`` on, where ``line`` starts. Blank lines at the file's end are left out.

    Raises InputError for a quote that is never closed.
    """
    characters.skip(position)
    held = b""
    while more := characters.read(max(size, len(held))):
        held += more
        end = record_end(held, cutting.separator, cutting.quote)
        # Blank lines may be the last: they wait for what follows.
        end = _without_blank_lines(held, end)
        if end:
            yield Block(characters.path, held[:end], position, line, characters.mark)
            line += held.count(b"\n", 0, end)
            position += end
            held = held[end:]
        elif len(held) > LONGEST:
            _refuse_long(characters.path, held, cutting, line)
    rest = held.rstrip(b"\r\n")
    if rest:
        if cutting.quote is not None:
            _refuse_open_quote(characters.path, held, cutting, line, "is never closed")
        yield Block(characters.path, rest + b"\n", position, line, characters.mark)


def _without_blank_lines(data: bytes, end: int) -> int:
    last = end
    while last and data[last - 1] in b"\r\n":
        last -= 1
    if not last:
        return 0
    return data.index(b"\n", last) + 1


def _refuse_long(path: Path, data: bytes, cutting: Cutting, line: int) -> None:
    if cutting.quote is not None:
        _refuse_open_quote(path, data, cutting, line, f"is not closed within {len(data):,} bytes")
    raise InputError(f"{path}: line {line} has no end within {len(data):,} bytes, expected lines of text")


def _refuse_open_quote(path: Path, data: bytes, cutting: Cutting, line: int, problem: str) -> None:
    assert cutting.quote is not None
    place = quoted(data, cutting.separator, cutting.quote).open_at
    if place is not None:
        line += data.count(b"\n", 0, place)
        raise InputError(
            f"{path}: line {line}: the quote ({cutting.quote.decode()}) that opens there {problem}; "
            "where quotes are characters like others, set 'quote: null' (--quote '')"
        )
