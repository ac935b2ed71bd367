"""The language: text to nodes (`parse`), nodes to a plan (`compile`), and everything wrong with a text (`check`).

Torch-free. `parse` is grammar alone; `compile` and `check` resolve names against a Catalog that is passed to them.
"""

from .compiler import check, compile
from .nodes import Instruction
from .parser import parse

__all__ = ["Instruction", "check", "compile", "parse"]
