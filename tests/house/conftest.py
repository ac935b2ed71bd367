"""The package's own files as syntax trees, for the tests that keep its rules."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import omniline

ROOT = Path(omniline.__file__).resolve().parent
ROOMS = ("core", "instructions", "plugins", "tasks")


@dataclass(frozen=True)
class Import:
    """One name that a file imports: `deferred` inside a function or for type checkers only."""

    target: str
    line: int
    relative: bool
    deferred: bool


@dataclass(frozen=True)
class Module:
    """One file of the package: its dotted name, its place and its tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first word below the root; nothing for the front door."""
        words = self.name.split(".")[1:]
        return words[0] if words and words[0] in ROOMS else ""

    @property
    def place(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository, which is the package."""
    return ROOT


@pytest.fixture(scope="session")
def modules() -> dict[str, Module]:
    """Every module of the package by its dotted name."""
    files = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
    found = {}
    for path in sorted(files):
        words = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(("omniline", *(word for word in words if word != "__init__")))
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    assert len(found) > 10, "the package was not found"
    return found


@pytest.fixture(scope="session")
def imports(modules: dict[str, Module]) -> dict[str, tuple[Import, ...]]:
    """What each module imports, with names that are modules told apart from names inside modules."""
    return {name: tuple(_imports(module, modules)) for name, module in modules.items()}


def _imports(module: Module, modules: dict[str, Module]) -> Iterator[Import]:
    later = {id(inner) for outer in ast.walk(module.tree) if _defers(outer) for inner in ast.walk(outer)}
    for node in ast.walk(module.tree):
        deferred = id(node) in later
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, False, deferred)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                named = whole if whole in modules or base == "omniline" else base
                yield Import(named, node.lineno, node.level > 0, deferred)


def _base(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    words = module.name.split(".")
    package = words if module.path.name == "__init__.py" else words[:-1]
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _defers(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return True
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
