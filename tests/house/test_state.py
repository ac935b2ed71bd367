"""No state of the process: no registries that fill up, no work at import; the nouns are frozen."""

import ast

MAKERS = {"dict", "list", "set", "defaultdict", "OrderedDict", "deque", "Counter", "WeakKeyDictionary"}
LITERALS = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
MUTATORS = {"append", "extend", "insert", "update", "setdefault", "add", "pop", "clear", "remove", "discard"}


def test_no_registries(modules):
    wrong = [
        f"{module.place}:{line} {name}"
        for module in modules.values()
        for name, line in mutables(module.tree)
        if name.upper() != name
    ]
    assert wrong == []


def test_no_constant_is_changed(modules):
    wrong = []
    for module in modules.values():
        constants = {name for name, _ in mutables(module.tree)}
        wrong += [f"{module.place}:{line}" for name, line in changes(module.tree) if name in constants]
    assert wrong == []


def test_the_rules_see_what_they_are_for():
    tree = ast.parse(
        "known = {}\nTABLE: dict[str, int] = dict()\n\ndef put(x):\n    TABLE[x] = 1\n    known.update(x=1)\n"
    )
    assert mutables(tree) == [("known", 1), ("TABLE", 2)]
    assert sorted(changes(tree)) == [("TABLE", 5), ("known", 6)]


def test_no_global_statement(modules):
    wrong = [
        f"{module.place}:{node.lineno}"
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ]
    assert wrong == []


def test_no_work_at_import(modules):
    """A bare call, a loop or a `with` at the top of a module does something; definitions do not."""
    wrong = [
        f"{module.place}:{node.lineno}"
        for module in modules.values()
        for node in module.tree.body
        if isinstance(node, ast.For | ast.While | ast.With | ast.Delete)
        or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant))
    ]
    assert wrong == []


def test_nouns_are_frozen(modules):
    """Every public dataclass of the rooms that hold nouns; a private one may be a builder at work."""
    wrong = [
        f"{module.place}:{node.lineno} {node.name}"
        for module in modules.values()
        if module.room in ("core", "instructions")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for decorator in node.decorator_list
        if ast.unparse(decorator).partition("(")[0] in ("dataclass", "dataclasses.dataclass")
        and "frozen=True" not in ast.unparse(decorator)
    ]
    assert wrong == []


def mutables(tree: ast.Module) -> list[tuple[str, int]]:
    """Names bound at the top of a module to something that can be changed, with their lines."""
    found = []
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and not target.id.startswith("__") and _mutable(node.value):
                found.append((target.id, node.lineno))
    return found


def changes(tree: ast.Module) -> list[tuple[str, int]]:
    """Names whose value is changed in place anywhere in a module, with the lines."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            held = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            held = node.func.value
        else:
            continue
        if isinstance(held, ast.Name):
            found.append((held.id, node.lineno))
    return found


def _mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in MAKERS
    return isinstance(value, LITERALS)
