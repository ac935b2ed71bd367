"""Files of at most 350 lines, functions of at most 60, classes of at most twelve public methods."""

import ast

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_files(modules):
    lines = {module.place: len(module.path.read_text(encoding="utf-8").splitlines()) for module in modules.values()}
    assert {place: count for place, count in lines.items() if count > 350} == {}


def test_functions(modules):
    long = [
        f"{module.place}:{node.lineno} {node.name} has {length} lines"
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, FUNCTIONS) and (length := (node.end_lineno or 0) - node.lineno + 1) > 60
    ]
    assert long == []


def test_public_methods(modules):
    wide = []
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                names = {n.name for n in node.body if isinstance(n, FUNCTIONS) and not n.name.startswith("_")}
                if len(names) > 12:
                    wide.append(f"{module.place}:{node.lineno} {node.name} has {len(names)}")
    assert wide == []


def test_positional_parameters(modules):
    """A public function or method takes at most three by place, the rest by name."""
    many = []
    for module in modules.values():
        for owner in ast.walk(module.tree):
            if not isinstance(owner, ast.Module | ast.ClassDef):
                continue
            for node in owner.body:
                if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
                    bound = isinstance(owner, ast.ClassDef) and not _static(node)
                    count = len(node.args.posonlyargs) + len(node.args.args) - bound
                    if count > 3 and not _framework(node):
                        many.append(f"{module.place}:{node.lineno} {node.name} has {count}")
    assert many == []


def _static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)


def _framework(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """The shape of these is torch's and Lightning's, not ours."""
    return node.name in ("forward", "backward") or node.name.startswith(("on_", "configure_"))
