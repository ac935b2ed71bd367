"""A query as its clauses, so that two that differ in order, case, quotes or aliases are equal; by sqlglot.

The comparison by sets of clauses is that of Yu et al., "Spider", 2018 (arXiv:1809.08887), section 5, with values.
"""

from __future__ import annotations

from typing import Any

try:
    import sqlglot
    from sqlglot import exp
except ImportError as _cause:
    raise ImportError("the metric `sql_match` needs sqlglot: pip install omniline[tables]") from _cause

MIRRORED: dict[Any, Any] = {exp.GT: exp.LT, exp.GTE: exp.LTE}
Tree = Any
"""Sqlglot's node; its classes have other names from version to version."""
Clauses = tuple[tuple[str, Any], ...]


def clauses_of(query: str, *, values: bool = True) -> Clauses | None:
    """The clauses of a query in SQLite's dialect, comparable by `==`; None when it is no single query.

    Args:
        query: the text.
        values: whether literal values count.

    >>> clauses_of("SELECT a FROM t WHERE b = 1 AND c = 2") == clauses_of("select T.A from t where c=2 and b=1")
    True
    >>> clauses_of("SELECT FROM") is None
    True
    """
    try:
        trees = sqlglot.parse(query, read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query) or _is_bare(trees[0]):
        return None
    return _query(_plain(trees[0], values))


def _is_bare(tree: Tree) -> bool:
    """Whether any SELECT lacks what it selects, which the parser lets pass."""
    return any(not select.expressions for select in tree.find_all(exp.Select))


def _plain(tree: Tree, values: bool) -> Tree:
    """Names in lower case without quotes, aliases of tables resolved, `a > b` as `b < a`; no needless qualifiers."""
    for select in list(tree.find_all(exp.Select)):
        _unaliased(select)
    for node in list(tree.walk()):
        if isinstance(node, exp.Identifier):
            node.replace(exp.to_identifier(node.name.lower(), quoted=False))
        elif isinstance(node, exp.Literal) and not values:
            node.replace(exp.Literal.string("value"))
        elif type(node) in MIRRORED:
            node.replace(MIRRORED[type(node)](this=node.expression.copy(), expression=node.this.copy()))
    return tree


def _unaliased(select: exp.Select) -> None:
    tables = [t for t in select.find_all(exp.Table) if t.find_ancestor(exp.Select) is select]
    real = {t.alias.lower(): t.name for t in tables if t.alias}
    repeats = len({t.name.lower() for t in tables}) < len(tables)
    for column in list(select.find_all(exp.Column)):
        if not column.table or column.find_ancestor(exp.Select) is not select:
            continue
        if len(tables) == 1:
            column.set("table", None)
        elif not repeats and column.table.lower() in real:
            column.set("table", exp.to_identifier(real[column.table.lower()]))
    for table in tables:
        if table.alias and not repeats:
            table.set("alias", None)


def _query(tree: Tree) -> Clauses:
    if isinstance(tree, exp.SetOperation):
        sides = [_query(tree.this), _query(tree.expression)]
        ordered = sides if isinstance(tree, exp.Except) else sorted(sides, key=repr)
        return (("kind", type(tree).__name__), ("distinct", bool(tree.args.get("distinct"))), ("sides", tuple(ordered)))
    if not isinstance(tree, exp.Select):
        return (("other", _text(tree)),)
    found: dict[str, Any] = {}
    for name, value in tree.args.items():
        name = name.rstrip("_")
        if value is None or value == [] or value is False:
            continue
        if name == "expressions":
            found[name] = frozenset(_text(_named(one)) for one in value)
        elif name in ("where", "having"):
            found[name] = frozenset(map(_text, _conjuncts(value.this)))
        elif name == "joins":
            found["tables"] = found.get("tables", frozenset()) | {part for join in value for part in _join(join)}
        elif name == "from":
            found["tables"] = found.get("tables", frozenset()) | {("", _text(value.this))}
        elif name == "group":
            found[name] = frozenset(_text(one) for one in value.expressions)
        else:
            found[name] = _text(value) if hasattr(value, "sql") else str(value)
    return tuple(sorted(found.items()))


def _join(join: exp.Join) -> list[tuple[str, str]]:
    """A joined table and each condition; which of two plainly joined tables stands first does not count."""
    how = " ".join(word for word in (join.method, join.side, join.kind) if word and word != "INNER")
    conditions = _conjuncts(join.args["on"]) if join.args.get("on") else []
    using = [("using", _text(one)) for one in join.args.get("using") or ()]
    return [(how, _text(join.this)), *(("on", _text(one)) for one in conditions), *using]


def _named(one: Tree) -> Tree:
    """A selected column without the name that it is given."""
    return one.this if isinstance(one, exp.Alias) else one


def _conjuncts(tree: Tree) -> list[Tree]:
    tree = tree.unnest()
    if isinstance(tree, exp.And):
        return [*_conjuncts(tree.this), *_conjuncts(tree.expression)]
    return [tree]


def _text(tree: Tree) -> str:
    if isinstance(tree, exp.Or):
        parts = sorted(_text(part) for part in tree.flatten())
        return " or ".join(parts)
    if isinstance(tree, exp.EQ) and isinstance(tree.left, exp.Column) and isinstance(tree.right, exp.Column):
        return " = ".join(sorted((_text(tree.left), _text(tree.right))))
    return str(tree.sql(dialect="sqlite", normalize_functions="upper"))
