"""The root is a package: its lists agree with its folders, and tests do not become part of it."""

import ast
import fnmatch
import tomllib

import pytest

ROOMS = ("core", "instructions", "plugins", "tasks")


@pytest.fixture(scope="module")
def settings(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def folders(root):
    """Every folder of the rooms that holds something of its own, caches apart."""
    inside = [path for room in ROOMS for path in [root / room, *(root / room).rglob("*")] if path.is_dir()]
    return [path for path in inside if "__pycache__" not in path.parts]


def test_the_list_of_packages(root, settings):
    there = {"omniline"} | {
        ".".join(("omniline", *path.relative_to(root).parts))
        for path in folders(root)
        if (path / "__init__.py").exists()
    }
    assert set(settings["tool"]["setuptools"]["packages"]) == there


def test_every_folder_of_code_is_a_package(root):
    bare = [path.name for path in folders(root) if list(path.glob("*.py")) and not (path / "__init__.py").exists()]
    assert bare == []


def test_every_data_file_ships(root, settings):
    """Files beside the code are matched by a pattern of package-data."""
    patterns = [
        f"{package.replace('.', '/').removeprefix('omniline').lstrip('/')}/{pattern}".replace("**/*", "*")
        for package, listed in settings["tool"]["setuptools"]["package-data"].items()
        for pattern in listed
    ]
    files = [path for folder in folders(root) for path in folder.iterdir() if path.is_file() and path.suffix != ".py"]
    lost = [
        place
        for place in (path.relative_to(root).as_posix() for path in files)
        if not any(fnmatch.fnmatchcase(place, pattern) for pattern in patterns)
    ]
    assert lost == []


def test_pins_lie_in_the_ranges(root, settings):
    """constraints.txt is exact, and every direct dependency is in it and inside its range."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    exact = {canonicalize_name(name): version for name, version in pins.items()}
    extras = settings["project"]["optional-dependencies"]
    wanted = [Requirement(text) for text in (*settings["project"]["dependencies"], *extras["dev"], *extras["data"])]
    wrong = [
        str(need)
        for need in wanted
        if need.name != "omniline" and not need.specifier.contains(exact.get(canonicalize_name(need.name), "0"))
    ]
    assert wrong == []


def test_tests_are_no_package(root):
    assert [path.as_posix() for path in (root / "tests").rglob("__init__.py") if "example" not in path.as_posix()] == []
    assert not (root / "conftest.py").exists()


def test_no_test_is_skipped(root):
    """A test that does not run keeps nothing."""
    words = {"skip", "skipif", "xfail", "importorskip"}
    skipped = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in (root / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in words and "pytest" in ast.unparse(node)
    ]
    assert skipped == []
