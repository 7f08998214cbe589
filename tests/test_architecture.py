"""Imports go one way: the table below is the architecture, and an edge that is not in it fails."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "dagfm"

# A room is a file or a folder of src/dagfm. It may import itself and the rooms on its line.
GROUND = {"errors", "files", "schema", "metrics", "kernel", "progress"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "schema": {"errors"},
    "metrics": {"errors"},
    "kernel": {"errors"},
    "progress": set(),
    "config": GROUND,
    "encoding": GROUND,
    "data": GROUND | {"config", "encoding"},
    "nn": GROUND | {"config", "encoding", "data"},
    "training": GROUND | {"config", "encoding", "data", "nn"},
    "memorize": GROUND | {"config", "encoding", "data", "nn", "training"},
    "serving": GROUND | {"encoding"},
    "server": GROUND | {"encoding", "serving"},
    "batch": GROUND | {"config", "encoding", "data", "serving"},
    "report": GROUND,
    "run": GROUND | {"config", "encoding", "data", "nn", "training", "memorize", "serving", "report"},
    "interop": GROUND | {"config", "encoding", "data", "nn", "training", "serving", "report", "run"},
    "cli": GROUND
    | {"config", "encoding", "data", "nn", "training", "serving", "server", "batch", "report", "run", "interop"},
    "__main__": {"cli"},
    # The public names. Below the top nothing but the version may be imported from here: that would be a cycle.
    "__init__": {"errors", "config", "schema", "serving", "run", "interop"},
}
ON_TOP = {"cli", "interop"}  # they use the public names as any caller does
FREE_OF_TORCH = GROUND | {
    "config",
    "encoding",
    "data",
    "serving",
    "server",
    "batch",
    "report",
    "cli",
    "__main__",
    "__init__",
}
VAGUE = {"util", "utils", "helper", "helpers", "common", "misc"}


def violations(source: Path) -> list[str]:
    """Every breach of the rules under ``source``, a package folder called dagfm, as one line each."""
    found = []
    graph: dict[str, set[str]] = {}
    modules = {_module(path, source): path for path in sorted(source.rglob("*.py"))}
    for module, path in modules.items():
        where, room = str(path.relative_to(source)), _room(module)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            found.append(f"{where}: opens without a docstring")
        if VAGUE & set(module.split(".")):
            found.append(f"{where}: a name that says nothing; call it what it explains")
        if room not in MAY_IMPORT:
            found.append(f"{where}: room '{room}' is not in the table")
            continue
        for target, at_import in _imports(tree, module, path.name == "__init__.py"):
            if breach := _breach(room, target):
                found.append(f"{where}: {breach}")
            imported = _existing(target, modules)
            if at_import and imported not in ("dagfm", module):
                graph.setdefault(module, set()).add(imported)
    return found + [f"cycle: {' -> '.join(cycle)}" for cycle in _cycles(graph)]


def _breach(room: str, target: str) -> str | None:
    """What is wrong with ``room`` importing ``target``, a full name, or None."""
    package, *rest = target.split(".")
    if package == "torch" and room in FREE_OF_TORCH:
        return f"{room} imports torch"
    if package != "dagfm" or rest == ["__version__"]:
        return None
    if not rest or rest[0] not in MAY_IMPORT:
        return None if room in ON_TOP else "imports the package's public names from inside it"
    if rest[0] not in MAY_IMPORT[room] | {room}:
        return f"{room} imports {rest[0]} ({target})"
    return None


def _module(path: Path, source: Path) -> str:
    parts = ["dagfm", *path.relative_to(source).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[str, bool]]:
    """Everything imported, nested or not: the full name, and whether importing the module imports it."""
    nested = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _only_for_types(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        at_import = id(node) not in nested
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names if alias.name != "dagfm")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "dagfm":
            yield f"dagfm.{node.attr}", False  # what `import dagfm` is used for
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if is_package else module.split(".")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{start}.{alias.name}", at_import) for alias in node.names)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _existing(target: str, modules: dict[str, Path]) -> str:
    """The module that ``target`` is, or that holds it."""
    while target not in modules and "." in target:
        target = target.rpartition(".")[0]
    return target


def _cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    cycles, done = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            # A package that re-exports its modules is imported before them; the modules themselves must not ask for it.
            cycles.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return cycles


def test_imports_go_one_way() -> None:
    assert violations(SOURCE) == []


def test_the_table_has_no_cycle_between_rooms() -> None:
    assert _cycles(MAY_IMPORT) == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("serving/scorer.py", '"""Doc."""\nfrom dagfm.nn import dagfm\n', "serving imports nn"),
        ("serving/scorer.py", '"""Doc."""\ndef f():\n    import torch.nn\n', "serving imports torch"),
        ("encoding/values.py", '"""Doc."""\nfrom torch import nn\n', "encoding imports torch"),
        ("data/read.py", '"""Doc."""\nfrom ..training import loop\n', "data imports training"),
        ("training/loop.py", '"""Doc."""\nimport dagfm.cli.app\n', "training imports cli"),
        ("nn/deep.py", '"""Doc."""\nfrom dagfm import load\n', "public names"),
        ("nn/deep.py", '"""Doc."""\nimport dagfm\nx = dagfm.fit("a")\n', "public names"),
        ("data/utils.py", '"""Doc."""\n', "says nothing"),
        ("data/read.py", "import os\n", "without a docstring"),
        ("attic.py", '"""Doc."""\n', "not in the table"),
        ("nn/cin.py", '"""Doc."""\nfrom dagfm.nn.dagfm import x\n', "cycle: dagfm.nn.cin -> dagfm.nn.dagfm"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, text: str, expected: str) -> None:
    source = tmp_path / "dagfm"
    clean = {
        "__init__.py": '"""Doc."""\n',
        "nn/__init__.py": '"""Doc."""\n',
        "nn/dagfm.py": '"""Doc."""\nfrom dagfm.nn import cin\nfrom dagfm.schema import Field\n',
        "nn/cin.py": '"""Doc."""\nimport torch\n',
        "schema.py": '"""Doc."""\n',
    }
    for name, content in clean.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    assert violations(source) == []
    (source / file).parent.mkdir(parents=True, exist_ok=True)
    (source / file).write_text(text)
    found = violations(source)
    assert len(found) == 1
    assert expected in found[0]
