"""The documentation is true: its examples run, its commands, keys and links exist, its generated parts are fresh."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from config_keys import key_paths, slug
from generate import COMMAND, filled

from dagfm.cli.app import app
from dagfm.config import load_config

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.exists()]
TEST, NO_TEST = "test", "no test: "
"""``<!-- test -->`` above a block of sh runs it, above a block of yaml checks it as a configuration. Blocks of python
run always, in the order of their page and with its names, unless ``<!-- no test: reason -->`` stands above."""

_BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*?) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
_KEY = re.compile(r"(?:data|fields|embedding|teacher|student|distillation|finetuning|training)\.[a-z_.]+")
_NOT_KEYS = {"embedding.weight"}
"""Names of other things that look like keys."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    mark: str
    code: str
    line: int
    """Of its first line of code."""


def blocks(text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Block(found["language"], found["mark"] or "", found["code"], line)


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _BLOCK.sub("", text)


def spans(text: str) -> list[str]:
    """The code within a page's sentences and tables; a line may end in it."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose(text))]


# Examples


@every_page
def test_examples_run(
    page: Path,
    workplace: Path,
    run_directory: Path,
    shell: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(workplace)
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page.read_text()):
        if block.language == "python" and not block.mark.startswith(NO_TEST):
            # Empty lines before the code make a traceback name the page's own line.
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), names)
        elif block.language == "sh" and block.mark == TEST:
            shell(block.code)
        elif block.language == "yaml" and block.mark == TEST:
            load_config(yaml.safe_load(block.code))


@every_page
def test_marks_are_known_and_belong_to_a_block(page: Path) -> None:
    text = page.read_text()
    marked = [block for block in blocks(text) if block.mark]
    for block in marked:
        reason = block.mark.removeprefix(NO_TEST) if block.language == "python" else ""
        assert block.mark == TEST or (reason and reason != block.mark), f"line {block.line}: '{block.mark}'"
    assert len(re.findall(r"<!-- (?:no )?test", text)) == len(marked), "a mark stands above no block"
    assert not re.search(r"^[ \t]+```", text, re.M), "an indented block is not checked: move it to the margin"


# Commands and keys


def commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """The dagfm commands of a page as words, and whether they are whole: a code span may leave arguments out."""
    for block in blocks(text):
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                if line.startswith("dagfm "):  # a line of another command may end within a quoted text
                    yield shlex.split(re.split(r"[|>]|&&", line)[0], comments=True)[1:], True
    for span in spans(text):
        if span.startswith("dagfm "):
            yield shlex.split(span)[1:], False


@every_page
def test_commands_have_the_options_they_are_shown_with(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    overall = {option for parameter in group.params for option in parameter.opts}
    for words, whole in commands(page.read_text()):
        rest = list(dropwhile(overall.__contains__, words))
        if not rest:
            continue  # such as dagfm --version
        command, arguments = group, rest
        while hasattr(command, "commands"):  # a family of verbs, such as dagfm data
            assert arguments, f"no whole command: dagfm {shlex.join(words)}"
            verb, *arguments = arguments
            assert verb in command.commands, f"no such command: dagfm {shlex.join(words)}"
            command = command.commands[verb]
        known = {"--help"} | {option for parameter in command.params for option in parameter.opts}
        for word in arguments:
            assert not word.startswith("-") or word in known, f"no such option: dagfm {shlex.join(words)}: {word}"
        if whole and "--help" not in arguments:
            command.make_context(verb, list(arguments))  # raises for a missing argument or value
        for option, value in pairwise(arguments):
            key = value.partition("=")[0]
            if option == "--set" and not key.isupper():
                assert key in key_paths() or key.startswith("data.tables."), f"no such key: --set {value}"


def every_command(command: Any) -> Iterator[Any]:
    """A command and, where it is a group, those in it."""
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from every_command(inner)


@every_page
def test_options_and_keys_in_the_text_exist(page: Path) -> None:
    options = {"--help"} | {
        option
        for command in every_command(typer.main.get_command(app))
        for one in command.params
        for option in one.opts
    }
    for span in spans(page.read_text()):
        if span.startswith("--"):
            assert span.split()[0] in options, f"no such option: {span}"
        if _KEY.fullmatch(span) and span not in _NOT_KEYS:
            assert span in key_paths() or span.startswith("data.tables."), f"no such key: {span}"


# Links and generated parts


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.finditer(prose(page.read_text())):
        target, _, anchor = link["target"].partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{link['target']}: no such file"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(file.read_text()), re.M)
            assert anchor in map(slug, headings), f"{link['target']}: no such heading"


@every_page
def test_generated_parts_are_fresh(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text, f"{page.name} is stale: run {COMMAND}"
