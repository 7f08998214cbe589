"""From a YAML file, a mapping and ``--set`` pairs to a checked configuration, with errors that name the key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from dagfm.config.models import Config, TeacherConfig
from dagfm.config.presets import PRESETS, merged
from dagfm.errors import InputError, listed, suggestion

log = logging.getLogger(__name__)


def load_config(source: str | Path | Mapping[str, Any] | Config, overrides: Iterable[str] = ()) -> Config:
    """Return the configuration of ``source`` with defaults < preset < file < ``overrides``.

    What ``memorize`` lists is among its fields. ``source`` is a YAML file, a mapping or a finished ``Config``;
    ``overrides`` are ``key.path=value`` with YAML values. Paths in a file are relative to that file's folder, all
    others to the working directory. Raises InputError naming every wrong key.
    """
    overrides = list(overrides)
    if isinstance(source, Config):
        if not overrides:
            return _with_listed_keys(source)
        written, folder, origin = source.model_dump(mode="json", exclude_unset=True), Path.cwd(), "configuration"
    elif isinstance(source, Mapping):
        written, folder, origin = dict(source), Path.cwd(), "configuration"
    else:
        path = Path(source)
        written, folder, origin = _read(path), path.resolve().parent, str(path)
    written = _anchored(written, folder)
    for pair in overrides:
        written = merged(written, _anchored(_override(pair), Path.cwd()))
    for key in _overridden(PRESETS.get(str(written.get("preset")), {}), written):
        log.info("%s overrides preset '%s'", key, written["preset"])
    try:
        return _with_listed_keys(Config.model_validate(written))
    except ValidationError as error:
        raise InputError(_explained(error, origin)) from None


def _with_listed_keys(config: Config) -> Config:
    """The configuration with the fields that memorise the keys it lists."""
    return config if isinstance(config.memorize.keys, str) else config.memorizing(config.memorize.keys)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration; 'dagfm init FILE' writes one") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a YAML file") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected keys such as 'data' and 'fields', found {type(value).__name__}")
    return value


def _override(pair: str) -> dict[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {pair}: expected key=value, such as training.seed=7")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {pair}: the value is not valid YAML: {error}") from None
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _overridden(preset: Mapping[str, Any], written: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in preset.items():
        mine = written.get(key, value)
        if isinstance(value, Mapping) and isinstance(mine, Mapping):
            keys += _overridden(value, mine, f"{prefix}{key}.")
        elif mine != value:
            keys.append(prefix + key)
    return keys


def _anchored(written: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths of a configuration absolute, so that a run means the same from every directory."""

    def anchor(value: Any) -> Any:
        if isinstance(value, str | Path):
            return str(folder / Path(value).expanduser())
        if isinstance(value, list | tuple):
            return [anchor(item) for item in value]
        return value

    def anchor_table(table: Any) -> Any:
        if isinstance(table, Mapping) and "path" in table:
            return {**table, "path": anchor(table["path"])}
        return anchor(table)

    result = dict(written)
    if isinstance(result.get("warm_up"), str):
        result["warm_up"] = anchor(result["warm_up"])
    if "teacher" in result:
        result["teacher"] = _anchored_teacher(result["teacher"], anchor)
    if isinstance(result.get("data"), Mapping):
        data = dict(result["data"])
        for key in ("train", "valid", "test"):
            if key in data:
                data[key] = anchor(data[key])
        if isinstance(data.get("tables"), Mapping):
            data["tables"] = {key: anchor_table(table) for key, table in data["tables"].items()}
        result["data"] = data
    if isinstance(result.get("fields"), list | tuple):
        result["fields"] = [_anchored_field(field, anchor) for field in result["fields"]]
    return result


def _anchored_teacher(teacher: Any, anchor: Callable[[Any], Any]) -> Any:
    """Teachers with the path of a file of scores made absolute; without a key ``scores`` is a column's name."""
    if isinstance(teacher, list | tuple):
        return [_anchored_teacher(one, anchor) for one in teacher]
    if isinstance(teacher, Mapping) and teacher.get("key") is not None and isinstance(teacher.get("scores"), str):
        return {**teacher, "scores": anchor(teacher["scores"])}
    return teacher


def _anchored_field(field: Any, anchor: Callable[[Any], Any]) -> Any:
    """A field with the paths of its pretrained vectors made absolute; ids of Parquet are a column's name."""
    if not isinstance(field, Mapping) or not isinstance(field.get("pretrained"), Mapping):
        return field
    pretrained = dict(field["pretrained"])
    for key in ("path", "ids") if str(pretrained.get("path")).endswith(".npy") else ("path",):
        if key in pretrained:
            pretrained[key] = anchor(pretrained[key])
    return {**field, "pretrained": pretrained}


def _explained(error: ValidationError, origin: str) -> str:
    problems = error.errors(include_url=False)
    # A list with a wrong member is also reported as too short, and a wrong number as not one of the words.
    told = [problem for problem in problems if problem["type"] != "too_short" or not problem["input"]]
    lines = dict.fromkeys(f"{origin}: {problem_told(problem)}" for problem in told)
    return "\n".join(lines)


def problem_told(problem: Any) -> str:
    """One of pydantic's problems as a line that starts with the key."""
    location = [part for before, part in pairwise((None, *problem["loc"])) if not _is_tag(part, before)]
    key = ".".join(str(part) for part in location)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        valid = _keys_beside(problem["loc"])
        return f"unknown key '{key}'.{suggestion(str(location[-1]), valid)} Valid here: {listed(valid)}"
    if problem["type"] == "missing":
        return f"missing key '{key}'"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        names = [name.strip("'") for name in context["expected_tags"].split(", ")]
        return f"{key}: unknown network '{context['tag']}'; valid: {listed(names)}.{suggestion(context['tag'], names)}"
    if problem["type"] == "literal_error":
        expected = problem["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
        near = suggestion(str(problem["input"]), expected.split(", "))
        return f"{key}: '{problem['input']}' is not valid; valid: {expected}.{near}"
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {_in_yaml(problem) or message}, found {problem['input']!r}"


def _in_yaml(problem: Any) -> str | None:
    """What was expected, where pydantic would tell it in words of Python; None for other problems."""
    match problem["type"]:
        case "tuple_type":
            return "expected a list"
        case "too_short":
            return "expected at least one"
        case "model_type" | "model_attributes_type":
            return f"expected one or more of the keys {listed(_keys_beside((*problem['loc'], '')))}"
        case "dict_type":
            return "expected keys with values"
    return None


def _is_tag(part: object, before: object) -> bool:
    """Whether a piece of a location is pydantic's name of a union member rather than a key of the file.

    A network's name is one where it stands behind the number of a list's member or ``over``: ``cin`` is a key, too.
    """
    networks = {one.model_fields["network"].default for one in _models_in(TeacherConfig)}
    named = (isinstance(before, int) or before == "over") and part in networks
    return named or str(part).startswith(("literal[", "constrained-", "tuple["))


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys that are valid where the unknown key at ``location`` stands."""
    model: Any = Config
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        if isinstance(model, type) and issubclass(model, BaseModel):
            if part in model.model_fields:
                model = _models_in(model.model_fields[part].annotation)
        elif isinstance(model, list):
            model = next((one for one in model if one.model_fields["network"].default == part), model[0])
    candidates = model if isinstance(model, list) else [model]
    return sorted({key for one in candidates for key in one.model_fields})


def _models_in(annotation: Any) -> Any:
    """The model, or the list of alternative models, that a field's annotation holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found: list[Any] = []
    for inner in get_args(annotation):
        models = _models_in(inner)
        found += models if isinstance(models, list) else [models]
    return found[0] if len(found) == 1 else found
