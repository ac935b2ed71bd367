"""The language's verbs with the installed catalog filled in."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.backbone import Backbone
from ..core.catalog import Catalog
from ..core.errors import Diagnostic
from ..core.plan import Plan
from ..instructions import compiler
from ..instructions.nodes import Instruction
from ..instructions.parser import parse as parse
from ..plugins.manager import installed

Text = str | Sequence[str] | Instruction


def check(text: Text, *, catalog: Catalog | None = None, backbone: str | Backbone | None = None) -> list[Diagnostic]:
    """All findings about an instruction, errors first; an empty list means that it is well formed.

    Args:
        text: the instruction, or a list of alternative wordings.
        catalog: the parts it may name; by default those of the installed packages.
        backbone: judge the budgets against this backbone's context too; its name, or its declaration.

    >>> [d.code for d in check("[IMGE:img] what is it? -> [TEXT:cap]")]
    ['OL103']
    """
    return compiler.check(text, catalog=catalog or installed(), backbone=backbone)


def compile(text: Text, *, catalog: Catalog | None = None, backbone: str | Backbone | None = None) -> Plan:
    """The plan of an instruction, every name resolved.

    Args:
        text: the instruction, or a list of alternative wordings.
        catalog: the parts it may name; by default those of the installed packages.
        backbone: judge the budgets against this backbone's context too.

    Raises:
        InstructionError: with all findings.

    >>> plan = compile("[IMAGE:img] what is it? -> [TEXT:cap]")
    >>> [slot.name for slot in plan.slots]
    ['img', 'cap']
    """
    return compiler.compile(text, catalog=catalog or installed(), backbone=backbone)
