"""Arrows run one way: tasks -> plugins.manager, instructions -> core; a plugin room -> core and hookspecs."""

import ast
import re

import pytest

LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric", "lightning_utilities"}
REFERENCE = re.compile(r"(omniline(?:\.\w+)+):\w+")


def allowed(source: str, target: str) -> bool:
    """Whether the module `source` may reach the module `target`, both dotted names inside the package."""
    if target == "omniline.__version__":
        return True
    here, there = source.split(".")[1:], target.split(".")[1:]
    room = here[0] if here else ""
    if room not in ("core", "instructions", "plugins", "tasks"):
        return True
    if not there:
        return False
    if there[0] == "core" or (room == there[0] and room != "plugins"):
        return True
    if room == "plugins":
        return there[:2] == ["plugins", "hookspecs"] or (len(here) > 1 and there[:2] == here[:2])
    return room == "tasks" and (there[0] == "instructions" or there[:2] == ["plugins", "manager"])


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        ("omniline.core.plan", "omniline.core.errors", True),
        ("omniline.core.plan", "omniline.instructions.parser", False),
        ("omniline.core.plan", "omniline.Task", False),
        ("omniline.core.plan", "omniline.__version__", True),
        ("omniline.instructions.compiler", "omniline.plugins.manager", False),
        ("omniline.plugins.audio.plugin", "omniline.plugins.audio.speech", True),
        ("omniline.plugins.audio.plugin", "omniline.plugins.vision.image", False),
        ("omniline.plugins.audio.plugin", "omniline.plugins.manager", False),
        ("omniline.plugins.audio.plugin", "omniline.plugins.hookspecs", True),
        ("omniline.tasks.fit", "omniline.plugins.manager", True),
        ("omniline.tasks.fit", "omniline.plugins.hookspecs", False),
        ("omniline.tasks.fit", "omniline.instructions.compiler", True),
    ],
)
def test_the_rule_itself(source, target, verdict):
    assert allowed(source, target) is verdict


def test_imports_follow_the_arrows(modules, imports):
    wrong = [
        f"{modules[name].place}:{found.line} imports {found.target}"
        for name, all_found in imports.items()
        for found in all_found
        if found.target.split(".")[0] == "omniline" and not allowed(name, found.target)
    ]
    assert wrong == []


def test_named_halves_follow_the_arrows(modules):
    """A declaration names its halves as "module:Class": that is an arrow too."""
    wrong = [
        f"{module.place}:{node.lineno} names {node.value}"
        for name, module in modules.items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (half := REFERENCE.fullmatch(node.value)) and not allowed(name, half[1])
    ]
    assert wrong == []


def test_no_cycles(imports):
    """Among imports that run when a module is loaded."""
    graph = {
        name: sorted({found.target for found in all_found if not found.deferred and found.target in imports} - {name})
        for name, all_found in imports.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_lightning_lives_in_tasks(modules, imports):
    wrong = [
        f"{modules[name].place}:{found.line}"
        for name, all_found in imports.items()
        for found in all_found
        if found.target.split(".")[0] in LIGHTNING and modules[name].room != "tasks"
    ]
    assert wrong == []


def test_the_package_imports_itself_relatively(modules, imports):
    wrong = [
        f"{modules[name].place}:{found.line} imports {found.target}"
        for name, all_found in imports.items()
        for found in all_found
        if found.target.split(".")[0] == "omniline" and not found.relative
    ]
    assert wrong == []
