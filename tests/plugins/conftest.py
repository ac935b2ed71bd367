"""A tokenizer with the marks of Qwen's, and how its tokens are shown."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def qwen() -> ModuleType:
    """`tests/qwen_marks.py`, which is no package's module."""
    name = "omniline_qwen_marks"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / "qwen_marks.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
