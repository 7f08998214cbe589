"""How files are read: the keys of the log and of its side tables."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from dagfm.config.section import Section

FormatName = Literal["parquet", "csv", "tsv", "recbole", "libsvm", "libffm"]


class FileOptions(Section):
    """How files are read, where their suffixes do not say it or they are text of another kind than usual."""

    format: FormatName | None = None
    """Format of the files, where their suffixes do not say it; a separator or columns alone mean csv."""
    separator: str | None = Field(default=None, min_length=1)
    """Between the cells of csv and tsv, one or several characters such as ``::``; else a comma or a tab."""
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the columns of csv and tsv files without a header line."""
    encoding: str = "utf-8"
    """Encoding of text files, by any name that Python knows: latin-1, utf-16, cp1252."""
    quote: str | None = '"'
    """Character around csv and tsv cells that hold separators or line breaks, written twice inside; null: none."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            text = codecs.lookup(encoding)._is_text_encoding
        except LookupError:
            text = False
        if not text:
            raise ValueError(f"'{encoding}' is not an encoding; valid are Python's, such as utf-8, latin-1, utf-16")
        return encoding

    @field_validator("separator", "quote")
    @classmethod
    def _within_a_line(cls, characters: str | None, info: ValidationInfo) -> str | None:
        if characters is not None and set("\r\n\0") & set(characters):
            raise ValueError(f"{characters!r} holds a line break or a null; it stands within a line")
        if (
            info.field_name == "quote"
            and characters is not None
            and not (len(characters) == 1 and characters.isascii())
        ):
            raise ValueError(f"{characters!r} is not one ASCII character; null means that cells are not quoted")
        return characters

    @field_validator("columns")
    @classmethod
    def _different_columns(cls, columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = [name for index, name in enumerate(columns or ()) if name in (columns or ())[:index]]
        if repeated:
            raise ValueError(f"'{repeated[0]}' occurs twice")
        return columns

    @property
    def files(self) -> FileOptions:
        """These options alone, without what a section that has them says besides."""
        return FileOptions(**{name: getattr(self, name) for name in FileOptions.model_fields})


AS_SUFFIXES_SAY = FileOptions()
"""The options of files that need none."""


class TableConfig(FileOptions):
    """A side table: its file, and how it is read where that is not as the click log."""

    path: str
    """Path or glob."""
