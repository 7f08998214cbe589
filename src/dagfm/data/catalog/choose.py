"""Which set of a data set's files the user has, and which of them is which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dagfm.data.catalog.entry import MAIN_ROLES, DataSet, Edition, Layout
from dagfm.data.catalog.recognise import fault, fitting
from dagfm.data.catalog.sample import sample
from dagfm.data.log import expand
from dagfm.errors import InputError, listed

_PACKED = ("", ".gz", ".zst")


@dataclass(frozen=True)
class Source:
    """What stands in one role: a path or glob as the user gave it, and its files."""

    text: str
    files: tuple[Path, ...]

    @property
    def first(self) -> Path:
        """The file whose first lines tell the layout."""
        return self.files[0]


def choose(dataset: DataSet, given: Sequence[str]) -> tuple[Edition, dict[str, Source]]:
    """The edition that the given files are, and its files by role; those not given are looked for beside them.

    Raises InputError where a file is another than any the data set has, or one is missing.
    """
    sources = [one for text in given for one in _sources(text, dataset)]
    found = {source.text: fitting(sample(source.first), dataset) for source in sources}
    nearest: list[str] = []
    for edition in dataset.editions:
        roles = _assigned(edition, sources, found)
        if roles is None:
            continue
        missing = [role for role in edition.parts if role not in roles and not _beside(edition, role, roles)]
        if not missing:
            filled = {role: roles.get(role) or _beside(edition, role, roles) for role in edition.parts}
            complete = {role: source for role, source in filled.items() if source is not None}
            for role, source in complete.items():
                _alike(source, edition.parts[role].layout)
            return edition, complete
        nearest = nearest or [edition.parts[role].usual for role in missing]
    told = listed(source.text for source in sources)
    if nearest:
        raise InputError(f"{told}: {listed(nearest)} is missing: neither given nor beside it; name it with --from")
    sets = " or ".join(listed(part.usual for part in edition.parts.values()) for edition in dataset.editions)
    raise InputError(f"{told}: not one set of files of {dataset.name}; expected {sets}")


def _sources(text: str, dataset: DataSet) -> list[Source]:
    folder = Path(text)
    if not folder.is_dir():
        return [Source(text, tuple(place.path for place in expand([text])))]
    for edition in dataset.editions:
        names = [_existing(folder / part.usual) for part in edition.main.values()]
        if all(names):
            return [Source(str(name), (name,)) for name in names if name is not None]
    usual = " or ".join(listed(part.usual for part in edition.main.values()) for edition in dataset.editions)
    raise InputError(f"{text}: a folder without {usual}; give the file, or a glob such as {folder / '*.parquet'}")


def _assigned(edition: Edition, sources: Sequence[Source], found: dict[str, list[Layout]]) -> dict[str, Source] | None:
    """Each source in a role of its layout, main files by their names or else in their order; None if one has none."""
    roles: dict[str, Source] = {}
    for source in _in_order(sources):
        free = [role for role in edition.parts if role not in roles]
        role = next((role for role in free if edition.parts[role].layout in found[source.text]), None)
        if role is None:
            return None
        roles[role] = source
    return roles


def _in_order(sources: Sequence[Source]) -> Sequence[Source]:
    """Train, valid, test where each file's name says one of them; else as given."""
    words = [[role for role in MAIN_ROLES if role in source.first.name.lower()] for source in sources]
    if sorted(word for named in words for word in named) != sorted(MAIN_ROLES) or not all(words):
        return sources
    by_role = {named[0]: source for named, source in zip(words, sources, strict=True)}
    return [by_role[role] for role in MAIN_ROLES]


def _beside(edition: Edition, role: str, roles: dict[str, Source]) -> Source | None:
    """The file of ``role`` beside those that are given, under its usual name or one like the train file's."""
    given = next(iter(roles.values())).first
    names = [edition.parts[role].usual]
    if role in MAIN_ROLES and "train" in roles:
        names.insert(0, roles["train"].first.name.replace("train", role))
    for name in names:
        path = _existing(given.parent / name)
        if path is not None and path != given and fault(sample(path), edition.parts[role].layout) is None:
            return Source(str(path), (path,))
    return None


def _existing(path: Path) -> Path | None:
    packed = [path.with_name(path.name + suffix) for suffix in _PACKED]
    return next((one for one in packed if one.is_file()), None)


def _alike(source: Source, layout: Layout) -> None:
    for file in source.files[1:]:
        if wrong := fault(sample(file), layout):
            raise InputError(f"{file}: {wrong[1]}. Expected a file like {source.first}: {layout.title}")
