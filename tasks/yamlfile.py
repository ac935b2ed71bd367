"""Reading YAML: plain values with the line that each stands on, `_include_`, and `key=value` overrides.

Words are read as YAML 1.2 does: `true` and `false` are booleans, `yes`, `no`, `on` and `off` are texts, as in
`closed_sets: {answer: [yes, no]}`. Tags are refused: a file makes plain values only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..core.errors import ConfigError
from ..core.near import nearest

INCLUDE = "_include_"
MOST_VALUES = 100_000
WORDS = (
    ("bool", "tTfF", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")),
    ("int", "-+0123456789", re.compile(r"[-+]?(?:0|[1-9]\d*|0x[\da-fA-F]+)\Z")),
    (
        "float",
        "-+.0123456789",
        re.compile(r"(?:[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.inf)|\.nan)\Z"),
    ),
)
KEPT = ("null", "merge")
Keys = tuple[str, ...]
Resolve = Callable[[dict[str, Any], str], None]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, its first line being 1; of an override only what it says."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file} line {self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values as plain Python, with the place of each by its path of keys."""

    values: dict[str, Any]
    marks: dict[Keys, Mark] = field(default_factory=dict)

    def place(self, path: Keys) -> str:
        """Where a value stands, or the nearest one that holds it."""
        while path and path not in self.marks:
            path = path[:-1]
        return f"{self.marks[path]}: " if path in self.marks else ""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Which plain words are something else than text, by first character."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {
        first: [entry for entry in known if entry[0].rpartition(":")[2] in KEPT]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for word, firsts, pattern in WORDS:
        for first in firsts:
            found.setdefault(first, []).append((f"tag:yaml.org,2002:{word}", pattern))
    return found


class Loader(yaml.SafeLoader):
    """YAML's safe loader with the words of YAML 1.2, and no key twice."""

    yaml_implicit_resolvers = _resolvers()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    problem = f"the key `{key.value}` is there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_value(text: str, what: str) -> Any:
    """A value as it would stand in a file.

    Raises:
        ConfigError: it is no YAML, or has a tag.

    >>> load_value("1e-3", "fit.learning_rate"), load_value("yes", "x"), load_value("true", "x")
    (0.001, 'yes', True)
    """
    _refuse_tags(text, what)
    try:
        made = Loader(text)
    except yaml.YAMLError as cause:
        raise ConfigError(f"{what} cannot be read as YAML: {_problem(cause)}; put the value in quotes") from cause
    try:
        node = made.get_single_node()
        _refuse_swelling(node, what)
        return made.construct_document(node) if node is not None else None
    except yaml.YAMLError as cause:
        raise ConfigError(f"{what} cannot be read as YAML: {_problem(cause)}; put the value in quotes") from cause
    finally:
        made.dispose()


def load_document(path: Path, resolve: Resolve, seen: tuple[Path, ...] = ()) -> Document:
    """A file with what it includes; its own values win over included ones.

    Args:
        path: the file.
        resolve: called with a file's values and its folder, before they are merged, to make paths absolute.
        seen: the files that led here.

    Raises:
        ConfigError: a file is missing, is no YAML mapping, or includes itself.
    """
    whole = path.resolve()
    if whole in seen:
        chain = " includes ".join(p.name for p in (*seen[seen.index(whole) :], whole))
        raise ConfigError(f"a file must not include itself, but {chain}")
    values, marks = _parsed(path)
    included = values.pop(INCLUDE, None) or []
    names = [included] if isinstance(included, str) else included
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: `{INCLUDE}` must be a path or a list of paths, but is {included!r}")
    resolve(values, str(path.parent))
    documents = [load_document(path.parent / os.path.expanduser(name), resolve, (*seen, whole)) for name in names]
    return merged([*documents, Document(values, marks)])


def merged(documents: Iterable[Document]) -> Document:
    """Several documents as one: mappings are merged key by key, of all else the last wins."""
    values: dict[str, Any] = {}
    marks: dict[Keys, Mark] = {}
    for document in documents:
        values = _overlaid(values, document.values)
        marks |= document.marks
    return Document(values, marks)


def override(document: Document, text: str, resolve: Resolve) -> Document:
    """The document with one `key=value`; dots lead into mappings, and a known key may hold dots itself.

    Raises:
        ConfigError: there is no `=`, or the value is no YAML.
    """
    key, equals, written = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"an override must be key=value, as in fit.learning_rate=1e-3, but is `{text}`")
    path = _path(document.values, key.strip())
    value: Any = written if path[-1:] == ("instruction",) else load_value(written, f"the override `{text}`")
    for part in reversed(path):
        value = {part: value}
    resolve(value, os.getcwd())
    marks = {at: mark for at, mark in document.marks.items() if at[: len(path)] != path}
    marks[path] = Mark(f"override `{text}`")
    return Document(_overlaid(document.values, value), marks)


def interpolated(document: Document) -> Document:
    """The document with every `${...}` replaced by what it names.

    Raises:
        ConfigError: it names nothing.
    """
    try:
        found = OmegaConf.to_container(OmegaConf.create(document.values), resolve=True)
    except OmegaConfBaseException as cause:
        path = tuple(str(cause.full_key or "").split("."))
        problem = str(cause.msg or cause).splitlines()[0]
        raise ConfigError(f"{document.place(path)}`{'.'.join(path)}` cannot be resolved: {problem}") from cause
    return Document(found, document.marks)  # type: ignore[arg-type]


def _refuse_swelling(node: yaml.Node | None, what: str) -> None:
    """Ten anchors, each of ten aliases of the one before, would make ten thousand million values.

    Raises:
        ConfigError: with all aliases written out there are too many values, or one that holds itself.
    """
    sizes: dict[int, int] = {}

    def size(at: yaml.Node) -> int:
        known = sizes.get(id(at))
        if known == 0:
            raise ConfigError(f"{what}: an anchor must not hold an alias of itself")
        if known is None:
            sizes[id(at)] = 0
            pairs = at.value if isinstance(at, yaml.MappingNode) else []
            inside = at.value if isinstance(at, yaml.SequenceNode) else [part for pair in pairs for part in pair]
            known = sizes[id(at)] = 1 + sum(map(size, inside))
        return known

    if node is not None and size(node) > MOST_VALUES:
        raise ConfigError(f"{what}: a file must hold at most {MOST_VALUES:,} values, its aliases written out")


def _parsed(path: Path) -> tuple[dict[str, Any], dict[Keys, Mark]]:
    text = _text(path)
    _refuse_tags(text, str(path))
    try:
        made = Loader(text)
    except yaml.YAMLError as cause:  # a character that YAML does not have
        raise ConfigError(f"{path}{_problem(cause, line=True)}") from cause
    try:
        node = made.get_single_node()
        _refuse_swelling(node, str(path))
        marks = dict(_marks(node, str(path), ())) if node is not None else {}
        values = made.construct_document(node) if node is not None else {}
    except yaml.YAMLError as cause:
        raise ConfigError(f"{path}{_problem(cause, line=True)}") from cause
    finally:
        made.dispose()
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: the file must hold keys with values, but holds {type(values).__name__}")
    return values, marks


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as cause:
        raise ConfigError(f"{path}: the file must be UTF-8, but {cause.reason} at byte {cause.start}") from cause
    except IsADirectoryError as cause:
        raise ConfigError(f"{path} must be a file, but is a folder") from cause
    except FileNotFoundError as cause:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, beside)
        raise ConfigError(f"there is no file {path}" + (f"; did you mean `{near}`?" if near else "")) from cause


def _refuse_tags(text: str, what: str) -> None:
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.TagToken):
                tag = "".join(part or "" for part in token.value)
                line = token.start_mark.line + 1
                raise ConfigError(
                    f"{what} line {line}: values must be plain, but have the tag `{tag}`: put the text in quotes"
                )
    except yaml.YAMLError:
        return  # the parser says what is wrong


def _problem(cause: yaml.YAMLError, *, line: bool = False) -> str:
    mark = getattr(cause, "problem_mark", None)
    said = getattr(cause, "problem", None) or str(cause)
    hint = "; put a value that starts with `[`, `{`, `*` or `&`, or holds `: `, in quotes"
    place = f" line {mark.line + 1}, column {mark.column + 1}: " if line and mark is not None else ": " if line else ""
    return place + said + (hint if line and "twice" not in said else "")


def _marks(node: yaml.Node, file: str, path: Keys) -> Iterable[tuple[Keys, Mark]]:
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    yield path, Mark(file, node.start_mark.line + 1 + block)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _marks(value, file, (*path, str(key.value)))
            if not isinstance(value, yaml.ScalarNode):
                yield (*path, str(key.value)), Mark(file, key.start_mark.line + 1)


def _overlaid(under: Any, over: Any) -> Any:
    if not isinstance(under, Mapping) or not isinstance(over, Mapping):
        return over
    return {**under, **{key: _overlaid(under[key], value) if key in under else value for key, value in over.items()}}


def _path(values: Any, key: str) -> Keys:
    """A dotted key as a path; where a mapping has keys with dots, the longest that fits."""
    parts = key.split(".")
    if isinstance(values, Mapping):
        for count in range(len(parts), 0, -1):
            known = ".".join(parts[:count])
            if known in values:
                rest = ".".join(parts[count:])
                return (known, *(_path(values[known], rest) if rest else ()))
    return tuple(parts)
