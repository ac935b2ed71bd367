"""Files of at most 350 lines, functions of at most 60, classes of at most twelve public methods."""

import ast
import inspect

import omniline

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FRAMEWORK = (
    *("on_", "setup", "configure_", "forward", "backward"),
    *("training_step", "validation_step", "test_step", "optimizer_step"),
)
"""Methods whose shape is torch's and Lightning's, not ours."""


def test_files(modules):
    lines = {module.place: len(module.path.read_text(encoding="utf-8").splitlines()) for module in modules.values()}
    assert {place: count for place, count in lines.items() if count > 350} == {}


def test_functions(modules):
    """Sixty lines at most, the docstring apart."""
    long = [
        f"{module.place}:{node.lineno} {node.name} has {length} lines"
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, FUNCTIONS) and (length := code_lines(node)) > 60
    ]
    assert long == []


def code_lines(node):
    words = ast.get_docstring(node, clean=False)
    return (node.end_lineno or 0) - node.lineno + 1 - (len(words.splitlines()) if words else 0)


def test_public_methods(modules):
    wide = []
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                named = {n.name for n in node.body if isinstance(n, FUNCTIONS)}
                names = {name for name in named if not name.startswith(("_", *FRAMEWORK))}
                if len(names) > 12:
                    wide.append(f"{module.place}:{node.lineno} {node.name} has {len(names)}")
    assert wide == []


def test_positional_parameters():
    """What the front door offers takes at most three parameters by place, the rest by name."""
    many = [
        f"{name} takes {count}"
        for public in omniline.__all__
        for name, function, bound in offered(public, getattr(omniline, public))
        if (count := by_place(function) - bound) > 3
    ]
    assert many == []


def offered(name, value):
    """A function itself, or the public methods that a class of ours defines, with how many parameters are bound."""
    if inspect.isfunction(value):
        yield name, value, 0
    elif inspect.isclass(value):
        for key, member in vars(value).items():
            if inspect.isfunction(member) and not key.startswith("_") and not key.startswith(FRAMEWORK):
                yield f"{name}.{key}", member, 1


def by_place(function):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in kinds for parameter in inspect.signature(function).parameters.values())
