"""A teacher that is no network of ours: scores that somebody else's model gave to the rows of the log."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from dagfm.config.files import FileOptions, TableConfig


class ScoresConfig(FileOptions):
    """A column of scores, of the click log or of a file joined by key, as the teacher."""

    network: Literal["scores"] = "scores"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = None
    """Name in tables; teacher without it."""
    scores: str
    """Column of the click log; with ``key`` the file (path or glob) that holds the scores; with a function given to
    ``dagfm.fit(teacher=...)`` a name that stands for the function."""
    kind: Literal["logit", "probability"]
    """What the scores are."""
    key: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns of both the log and the file that say which score belongs to which row; one may stand without a list."""
    column: str = "score"
    """With ``key``: the file's column of scores."""

    @field_validator("key", mode="before")
    @classmethod
    def _one_column_is_a_list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _a_file_has_a_key(self) -> ScoresConfig:
        if self.key is None:
            for name in self._of_files:
                raise ValueError(f"'{name}' is of a file of scores, and that needs 'key': the columns that join it")
        elif self.column in self.key:
            raise ValueError(f"column: '{self.column}' is in 'key', too; expected the column of the scores")
        return self

    @property
    def seeds(self) -> int:
        """There is one of it, whatever the seed."""
        return 1

    @property
    def table(self) -> TableConfig | None:
        """The file of the scores, where they are not in the log."""
        if self.key is None:
            return None
        options = {name: getattr(self, name) for name in self._of_files if name != "column"}
        return TableConfig(path=self.scores, **options)

    @property
    def _of_files(self) -> list[str]:
        """Settings of a file that are not as by default; a resolved configuration names them all."""
        names = ("column", *FileOptions.model_fields)
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]

    @property
    def definition(self) -> dict[str, Any]:
        """Where the scores come from and what they are, without the name in tables."""
        return self.model_dump(mode="json", exclude={"name"})
