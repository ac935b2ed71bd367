"""Modules of the tests that are no package's: a tokenizer with the marks of Qwen's, and checkpoints of transformers."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def qwen() -> ModuleType:
    """`tests/qwen_marks.py`."""
    return beside("qwen_marks")


@pytest.fixture(scope="session")
def checkpoints() -> ModuleType:
    """`tests/checkpoints.py`."""
    return beside("checkpoints")


@pytest.fixture(scope="session")
def decoders() -> ModuleType:
    """`tests/decoders.py`."""
    return beside("decoders")


@pytest.fixture(scope="session")
def decoder_folders(tmp_path_factory: pytest.TempPathFactory, decoders: ModuleType) -> Callable[[str], Any]:
    """The network and the folder of an architecture of `tests/decoders.py`, written once."""
    held: dict[str, Any] = {}

    def folder(name: str) -> Any:
        if name not in held:
            held[name] = decoders.folder(name, tmp_path_factory.mktemp("decoder"))
        return held[name]

    return folder


@pytest.fixture(scope="session")
def folders(
    tmp_path_factory: pytest.TempPathFactory, checkpoints: ModuleType, qwen: ModuleType
) -> Callable[[str], Any]:
    """The folder and the network of an architecture of `tests/checkpoints.py`, written once."""
    held: dict[str, Any] = {}

    def folder(name: str) -> Any:
        if name not in held:
            network = checkpoints.reference(name)
            place = tmp_path_factory.mktemp("checkpoint") / "tiny"
            held[name] = checkpoints.write(network, place, qwen.QWEN), network
        return held[name]

    return folder


def beside(file: str) -> ModuleType:
    """A module of the folder above."""
    name = f"omniline_{file}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / f"{file}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
