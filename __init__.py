"""omniline: a multimodal task is one line of text.

The public names are loaded on first use, so that `import omniline` and checking a line stay cheap: neither imports
torch.

>>> import omniline
>>> "Task" in dir(omniline)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import testing as testing
    from .core.adapter import Adapter
    from .core.backbone import Backbone
    from .core.catalog import Catalog
    from .core.codec import Codec, Encoded, Reading
    from .core.decoder import Decoder
    from .core.errors import Diagnostic, Fix, InstructionError, Label, Source, Span
    from .core.loss import Loss
    from .core.metric import Metric
    from .core.modality import Modality, TensorSpec, Tokens
    from .core.outputs import Output
    from .core.plan import Plan
    from .core.port import Port
    from .core.settings import setting
    from .core.weighting import Weighting
    from .instructions.nodes import Instruction
    from .plugins.hookspecs import hookimpl
    from .tasks.bundle import load
    from .tasks.datamodule import DataModule
    from .tasks.fit import fit
    from .tasks.mixture import Mixture
    from .tasks.model import Model
    from .tasks.module import Module
    from .tasks.task import Task
    from .tasks.verbs import check, compile, parse

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "Backbone",
    "Catalog",
    "Codec",
    "DataModule",
    "Decoder",
    "Diagnostic",
    "Encoded",
    "Fix",
    "Instruction",
    "InstructionError",
    "Label",
    "Loss",
    "Metric",
    "Mixture",
    "Modality",
    "Model",
    "Module",
    "Output",
    "Plan",
    "Port",
    "Reading",
    "Source",
    "Span",
    "Task",
    "TensorSpec",
    "Tokens",
    "Weighting",
    "__version__",
    "check",
    "compile",
    "fit",
    "hookimpl",
    "load",
    "parse",
    "setting",
    "testing",
]

_HOMES = {
    "core.adapter": ("Adapter",),
    "core.backbone": ("Backbone",),
    "core.catalog": ("Catalog",),
    "core.codec": ("Codec", "Encoded", "Reading"),
    "core.decoder": ("Decoder",),
    "core.errors": ("Diagnostic", "Fix", "InstructionError", "Label", "Source", "Span"),
    "core.loss": ("Loss",),
    "core.metric": ("Metric",),
    "core.modality": ("Modality", "TensorSpec", "Tokens"),
    "core.outputs": ("Output",),
    "core.plan": ("Plan",),
    "core.port": ("Port",),
    "core.settings": ("setting",),
    "core.weighting": ("Weighting",),
    "instructions.nodes": ("Instruction",),
    "plugins.hookspecs": ("hookimpl",),
    "tasks.bundle": ("load",),
    "tasks.datamodule": ("DataModule",),
    "tasks.fit": ("fit",),
    "tasks.mixture": ("Mixture",),
    "tasks.model": ("Model",),
    "tasks.module": ("Module",),
    "tasks.task": ("Task",),
    "tasks.verbs": ("check", "compile", "parse"),
}


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module(".testing", __name__)
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f".{home}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
