"""One word per idea, nothing left undone, and no trace of the place where it was written."""

import ast
import re

DRAWERS = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "shared"}
SYNONYMS = re.compile(r"adaptor|criterion|collator", re.IGNORECASE)
UNDONE = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Yet")))
PLACES = re.compile("|".join(("/ho" + "me/", "/Us" + "ers/", "/ro" + "ot/")))
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ""}
ANCESTOR = "instructions/aliases.py"


def written(root):
    """The files that people wrote, by their place."""
    rooms = ("core", "instructions", "plugins", "tasks", "tests", "docs", ".ci")
    files = [path for room in rooms for path in (root / room).rglob("*")] + list(root.glob("*"))
    kept = (path for path in files if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts)
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in kept
        if "samples/" not in str(path)
    }


def test_no_drawers(modules):
    """A file is called after what it holds."""
    assert [m.place for m in modules.values() if m.path.stem in DRAWERS or m.path.parent.name in DRAWERS] == []


def test_nothing_is_left_undone(root):
    found = [
        f"{place}:{number}"
        for place, text in written(root).items()
        for number, line in enumerate(text.splitlines(), 1)
        if UNDONE.search(line)
    ]
    assert found == []


def test_no_place_of_a_machine(root):
    found = [
        f"{place}:{number}"
        for place, text in written(root).items()
        for number, line in enumerate(text.splitlines(), 1)
        if PLACES.search(line)
    ]
    assert found == []


def test_one_word_per_idea(modules):
    """Names in the code use the house's words; the ancestor's spellings live in one file."""
    found = []
    for module in modules.values():
        for node in ast.walk(module.tree):
            named = getattr(node, "name", None) or getattr(node, "arg", None) or getattr(node, "id", None)
            if isinstance(named, str) and SYNONYMS.search(named) and module.place != ANCESTOR:
                found.append(f"{module.place}:{getattr(node, 'lineno', 0)} {named}")
    assert found == []
