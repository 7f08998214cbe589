"""The reference of the configuration's keys, out of the models, their JSON schema and their docstrings."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from dagfm.config import Config
from dagfm.config.phases import PhaseConfig, ScratchConfig
from dagfm.config.training import TrainingConfig

PHASES = [name for name, info in TrainingConfig.model_fields.items() if isinstance(info.default, PhaseConfig)]
PHASES_TITLE = "`training.<phase>`"

Model = type[BaseModel]
Lines = Iterator[str]


def key_sections() -> Lines:
    """Every section of the configuration: its keys with type, default and meaning."""
    definitions = Config.model_json_schema()["$defs"]
    for model, title in section_titles().items():
        yield f"### {title}"
        yield ""
        if title == PHASES_TITLE:
            yield from _phases(definitions)
        else:
            yield _markdown(_first_line(model))
            yield ""
            yield from _keys(model, definitions)
        yield ""


def section_titles() -> dict[Model, str]:
    """The models behind the configuration in the order of their keys, each with its heading."""
    titles: dict[Model, str] = {Config: "Top level"}

    def walk(model: Model, path: str) -> None:
        for name, info in model.model_fields.items():
            for inner in models_in(info.annotation):
                if inner in titles:
                    continue
                if issubclass(inner, PhaseConfig):
                    titles[inner] = PHASES_TITLE
                elif "network" in inner.model_fields:
                    titles[inner] = f"`network: {inner.model_fields['network'].default}`"
                else:
                    titles[inner] = f"`{path}{name}`"
                    walk(inner, f"{path}{name}.")

    walk(Config, "")
    del titles[ScratchConfig]  # beside PhaseConfig in one table
    return titles


def models_in(annotation: Any) -> list[Model]:
    """The models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def key_paths() -> set[str]:
    """Every key of the configuration, as ``--set`` spells it; a member of a list stands for the list."""

    def walk(model: Model, prefix: str) -> Iterator[str]:
        for name, info in model.model_fields.items():
            yield prefix + name
            for inner in models_in(info.annotation):
                yield from walk(inner, f"{prefix}{name}.")

    return set(walk(Config, ""))


def _keys(model: Model, definitions: Mapping[str, Any]) -> Lines:
    schema = definitions[model.__name__] if model is not Config else Config.model_json_schema()
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    docs = attribute_docstrings(model)
    for name, property_ in schema["properties"].items():
        default = "required" if name in schema.get("required", ()) else _default(property_)
        yield f"| `{name}` | {_type(property_)} | {default} | {_meaning(model, name, docs)} |"


def _phases(definitions: Mapping[str, Any]) -> Lines:
    """One table for the phases and the baselines: the same keys, a column of defaults each."""
    yield "How a phase or a baseline is optimised. Each keeps the defaults that the file does not name."
    yield ""
    yield f"| key | type | {' | '.join(f'`{phase}`' for phase in PHASES)} | meaning |"
    yield "|---|---|" + "---|" * (len(PHASES) + 1)
    docs = attribute_docstrings(PhaseConfig)
    for name, property_ in definitions["PhaseConfig"]["properties"].items():
        defaults = (value_text(getattr(TrainingConfig.model_fields[phase].default, name)) for phase in PHASES)
        yield f"| `{name}` | {_type(property_)} | {' | '.join(defaults)} | {_meaning(PhaseConfig, name, docs)} |"
    yield ""
    yield "`scratch` and `fm` take a list for `decay` and for `dropout`."
    yield _markdown(_first_line(ScratchConfig))


def attribute_docstrings(model: Model) -> dict[str, str]:
    """The string below each annotated attribute of a model and of the classes it inherits from."""
    docs: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if not issubclass(owner, BaseModel) or owner is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                docs[statement.target.id] = inspect.cleandoc(str(following.value.value)).replace("\n", " ")
    return docs


def _meaning(model: Model, name: str, docs: Mapping[str, str]) -> str:
    inner = models_in(model.model_fields[name].annotation)
    if name in docs:
        return _markdown(docs[name])
    if inner and not issubclass(inner[0], PhaseConfig):
        return _markdown(_first_line(inner[0]))
    if name == "network":
        return "Chooses this network."
    if inner:
        return "How this phase or baseline is optimised."
    sys.exit(f"{model.__name__}.{name} has no docstring: write one below it")


def _first_line(model: Model) -> str:
    if not model.__doc__:
        sys.exit(f"{model.__name__} has no docstring")
    return inspect.cleandoc(model.__doc__).split("\n")[0]


def _default(property_: Mapping[str, Any]) -> str:
    return "below" if "$ref" in json.dumps(property_) else value_text(property_["default"])


def value_text(value: Any) -> str:
    """A value as YAML writes it on one line."""
    if isinstance(value, tuple):
        value = list(value)
    text = f"{value:g}" if isinstance(value, float) else yaml.safe_dump(value, default_flow_style=True, width=1000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _type(property_: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if reference := property_.get("$ref"):
        return _section_link(reference)
    if "enum" in property_ or "const" in property_:
        return ", ".join(f"`{value}`" for value in property_.get("enum", [property_.get("const")]))
    if alternatives := property_.get("anyOf") or property_.get("oneOf"):
        return " or ".join(_type(alternative) for alternative in alternatives)
    if property_["type"] == "array":
        return _list(property_)
    if property_["type"] == "object":
        values = property_["additionalProperties"]
        return "mapping" if values is True else f"mapping to {_type(values)}"
    return _scalar(property_)


def _scalar(property_: Mapping[str, Any]) -> str:
    kind: str = property_["type"]
    if kind == "string":
        return "text" + (f" of {_characters(property_['pattern'])}" if "pattern" in property_ else "")
    return kind + (_limits(property_) if kind in ("integer", "number") else "")


def _list(property_: Mapping[str, Any]) -> str:
    if "prefixItems" in property_:
        return f"list of {len(property_['prefixItems'])}: {_type(property_['prefixItems'][0])}"
    least = ", at least one" if property_.get("minItems") == 1 else ""
    return f"list of {_type(property_['items'])}{least}"


def _characters(pattern: str) -> str:
    found = re.fullmatch(r"\^\[(.+)\]\[(.+)\]\*\$", pattern)
    assert found, f"say pattern {pattern} in words here"
    return f"`{found[2]}`, the first of `{found[1]}`"


def _limits(property_: Mapping[str, Any]) -> str:
    if property_["type"] == "integer" and property_.get("exclusiveMinimum") == 0:
        return " ≥ 1"
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {property_[key]:g}" for key, sign in words.items() if key in property_]
    return " " + ", ".join(limits) if limits else ""


def _section_link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    titles = {model.__name__: title for model, title in section_titles().items()}
    title = titles.get(name, PHASES_TITLE)
    return f"[{title}](#{slug(title)})"


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _markdown(text: str) -> str:
    """A docstring's text for a table cell: our docstrings mark code with two backticks."""
    return re.sub(r"``(.+?)``", r"`\1`", text).replace("|", "\\|")
