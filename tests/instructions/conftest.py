"""The stand-in catalog, and the fuzzer's generator, for the tests of the language."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from omniline.core.catalog import Catalog

HERE = Path(__file__).parent


def load(name: str, path: Path) -> ModuleType:
    """A module of the tests, which are not a package, by its file."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def stand_in() -> ModuleType:
    return load("omniline_stand_in", HERE / "stand_in.py")


@pytest.fixture(scope="session")
def catalog(stand_in: ModuleType) -> Catalog:
    return stand_in.CATALOG


@pytest.fixture(scope="session")
def fuzzer() -> ModuleType:
    return load("omniline_fuzzer", HERE.parent / "fuzz" / "language.py")
