"""Graphs as text: nested mappings as paths with values, and triples of subject, relation and object.

    {"name": "Ann", "home": {"city": "Rome"}, "pets": ["Rex", "Mia"]}
    name = Ann | home . city = Rome | pets = Rex , Mia

Values come back as text, and mappings whose keys count from 0 as lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from numbers import Number
from typing import Any

from .signs import ABSENT, EQUALS, ITEM, STEP, Signs, cell_text, plain

EMPTY = "{}"
LEAVES = (str, Number, date, time, timedelta)
"""What a leaf of a mapping may be; moments are dates too."""
Triple = tuple[str, str, str]


def written_mapping(raw: Mapping[Any, Any], signs: Signs) -> list[list[str]]:
    """A row of path and value for each leaf of a nested mapping.

    Raises:
        TypeError: a leaf is no text, number, truth value or None.

    >>> written_mapping({"home": {"city": "Rome"}}, Signs())
    [['home . city', 'Rome']]
    """
    return [[STEP.join(map(signs.guarded, path)), value] for path, value in _leaves(raw, (), signs)]


def _leaves(value: Any, path: tuple[str, ...], signs: Signs) -> Iterator[tuple[tuple[str, ...], str]]:
    value = plain(value)
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)), signs)
    elif isinstance(value, Mapping):
        yield path, EMPTY
    elif isinstance(value, list | tuple):
        if any(isinstance(plain(item), Mapping | list | tuple) for item in value):
            for number, item in enumerate(value):
                yield from _leaves(item, (*path, str(number)), signs)
        else:
            items = [signs.guarded(cell_text(item)) for item in value]
            yield path, ITEM.join(items) if len(items) > 1 else "".join(items) + " ,"
    elif value is None or isinstance(value, LEAVES) or type(value).__name__ in ABSENT:
        yield path, signs.guarded(cell_text(value))
    else:
        raise TypeError(
            f"a value of a mapping must be text, a number or a date, but `{'.'.join(path)}` is {value!r:.40}"
        )


def read_mapping(text: str, signs: Signs) -> dict[str, Any]:
    """The nested mapping of a line; a row without ` = ` is read as a key and its cells.

    >>> read_mapping("name = Ann | home . city = Rome | pets = Rex , Mia", Signs())
    {'name': 'Ann', 'home': {'city': 'Rome'}, 'pets': ['Rex', 'Mia']}
    """
    out: dict[str, Any] = {}
    for row in signs.rows(text):
        key, equals, value = row.partition(EQUALS)
        if not equals and row.endswith(EQUALS.rstrip()):
            key, equals = row[: -len(EQUALS.rstrip())], EQUALS
        if equals:
            _put(out, [signs.bare(step) for step in key.split(STEP)], _leaf(value, signs))
        elif row.strip():
            first, *rest = signs.cells(row)
            out[first] = rest[0] if len(rest) == 1 else rest
    return {key: _listed(value) for key, value in out.items()}


def is_mapping_text(text: str, signs: Signs) -> bool:
    """Whether every row of a line has a key and a value."""
    return all(EQUALS in f"{row} " for row in signs.rows(text))


def _leaf(text: str, signs: Signs) -> Any:
    text = text.strip()
    if text == EMPTY:
        return {}
    if text == ITEM.strip():
        return []
    if text.endswith(ITEM.rstrip()):
        return [signs.bare(text[: -len(ITEM.rstrip())])]
    items = [signs.bare(item) for item in text.split(ITEM)]
    return items if len(items) > 1 else items[0]


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        inner = tree.get(step)
        if not isinstance(inner, dict):
            inner = tree[step] = {}
        tree = inner
    tree[path[-1]] = value


def _listed(value: Any) -> Any:
    """Mappings whose keys are 0, 1, 2, ... as lists, at every depth."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(item) for key, item in value.items()}
    return list(inner.values()) if inner and list(inner) == [str(n) for n in range(len(inner))] else inner


def is_triples(raw: Any) -> bool:
    """Whether a value is a list of texts of the form `subject | relation | object`.

    >>> is_triples(["Ann | knows | Bo"]), is_triples(["Ann"])
    (True, False)
    """
    return isinstance(raw, list | tuple) and bool(raw) and all(isinstance(t, str) and t.count("|") == 2 for t in raw)


def triples_of(raw: Any) -> list[Triple]:
    """Triples of subject, relation and object.

    Args:
        raw: a list of triples, of texts `subject | relation | object`, of mappings with these keys, or a mapping from
            subject to a mapping from relation to object.

    Raises:
        TypeError, ValueError: none of these.

    >>> triples_of({"Ann": {"knows": ["Bo", "Cy"]}})
    [('Ann', 'knows', 'Bo'), ('Ann', 'knows', 'Cy')]
    """
    if isinstance(raw, Mapping):
        return list(_of_subjects(raw))
    raw = plain(raw)
    if not isinstance(raw, list | tuple):
        raise TypeError(f"a graph must be a list of triples or a mapping, but is {type(raw).__name__} {raw!r:.40}")
    return [_triple(item, place) for place, item in enumerate(raw)]


def _triple(item: Any, place: int) -> Triple:
    if isinstance(item, str):
        item = [part.strip() for part in item.split("|")]
    elif isinstance(item, Mapping):
        item = [item.get(key) for key in ("subject", "relation", "object")]
    item = plain(item)
    if not isinstance(item, list | tuple) or len(item) != 3:
        raise ValueError(f"a triple must be subject, relation and object, but triple {place} is {item!r:.60}")
    first, second, third = (cell_text(part).strip() for part in item)
    return first, second, third


def _of_subjects(raw: Mapping[Any, Any]) -> Iterator[Triple]:
    for subject, relations in raw.items():
        if not isinstance(relations, Mapping):
            raise TypeError(
                f"a graph must map a subject to its relations, but `{subject}` is {type(relations).__name__} "
                f"{relations!r:.40}; for nested values use form=mapping"
            )
        for relation, objects in relations.items():
            for one in objects if isinstance(objects, list | tuple) else [objects]:
                yield str(subject), str(relation), cell_text(one)
