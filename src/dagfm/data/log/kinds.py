"""What kinds of values a column may hold, whatever file it comes from, and when two files' columns are alike."""

from __future__ import annotations

import pyarrow as pa

from dagfm.errors import InputError

TEXT = pa.string()
CODED_TEXT = pa.dictionary(pa.int32(), TEXT)
"""How batches hold text: each distinct text once, and a number a row."""


def kind_of(type: pa.DataType) -> pa.DataType:
    """The kind a stored type stands for: one for all ways to store text, one for lists of any length."""
    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if _is_text(type):
        return TEXT
    if pa.types.is_large_binary(type) or pa.types.is_binary_view(type) or pa.types.is_fixed_size_binary(type):
        return pa.binary()
    if is_list(type):
        element = kind_of(type.value_type)
        return pa.large_list(pa.large_string() if element == TEXT else element)
    return type


def unified(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The kind that holds the values of both kinds, or None where they mean different things.

    Numbers of another width unify, and a column of nothing but nulls with everything; a whole number and a float do
    not: one of the two files has lost something.
    """
    both: pa.DataType | None = None
    if one == other or pa.types.is_null(other):
        both = one
    elif pa.types.is_null(one):
        both = other
    elif pa.types.is_integer(one) and pa.types.is_integer(other):
        both = _wider(one, other)
    elif pa.types.is_floating(one) and pa.types.is_floating(other):
        both = max(one, other, key=lambda kind: kind.bit_width)
    elif pa.types.is_decimal(one) and pa.types.is_decimal(other):
        scale = max(one.scale, other.scale)
        whole = max(one.precision - one.scale, other.precision - other.scale)
        both = pa.decimal128(whole + scale, scale) if whole + scale <= 38 else None
    elif pa.types.is_timestamp(one) and pa.types.is_timestamp(other) and one.tz == other.tz:
        both = pa.timestamp("us", one.tz)
    elif is_list(one) and is_list(other):
        element = unified(kind_of(one.value_type), kind_of(other.value_type))
        both = None if element is None else kind_of(pa.large_list(element))
    return both


def is_list(type: pa.DataType) -> bool:
    """Whether a cell of this kind holds several values."""
    return bool(
        pa.types.is_list(type)
        or pa.types.is_large_list(type)
        or pa.types.is_fixed_size_list(type)
        or pa.types.is_list_view(type)
        or pa.types.is_large_list_view(type)
    )


def told_kind(kind: pa.DataType) -> str:
    """How messages call a kind."""
    if kind == TEXT or kind == pa.large_string():
        return "text"
    if is_list(kind):
        return f"list of {told_kind(kind.value_type)}"
    return str(kind)


def as_kind(column: pa.ChunkedArray, kind: pa.DataType, where: str) -> pa.ChunkedArray:
    """``column`` as batches hold it: text in CODED_TEXT, all else in ``kind``. Raises InputError naming ``where``."""
    held = CODED_TEXT if kind == TEXT else kind
    if column.type == held:
        return column
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), held)], held)
    try:
        if kind == TEXT:
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            return column.cast(TEXT).dictionary_encode().cast(held)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        # A timestamp may lose its nanoseconds: no token and no feature keeps them.
        return column.cast(kind, safe=not pa.types.is_timestamp(kind))
    except pa.ArrowException as error:
        raise InputError(f"{where}: cannot be read as {told_kind(kind)}: {error}") from None


def _is_text(type: pa.DataType) -> bool:
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type))


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The integer that holds both; a signed and an unsigned one of 64 bits need a decimal."""
    if pa.types.is_signed_integer(one) == pa.types.is_signed_integer(other):
        return max(one, other, key=lambda kind: kind.bit_width)
    signed, unsigned = (one, other) if pa.types.is_signed_integer(one) else (other, one)
    width = max(signed.bit_width, 2 * unsigned.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(width, pa.decimal128(20, 0))
