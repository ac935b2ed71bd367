"""The fixture `learn` of the learning tests, and one thread: the matrices are too small for more."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def learning() -> ModuleType:
    """`learning.py` beside this file, which is no package's module."""
    name = "omniline_learning"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("learning.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def learn(learning: ModuleType) -> Any:
    """`learn("captioning", steps=60)`: see `learning.py`."""
    return learning.learn


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
