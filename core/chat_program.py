"""A chat template as a checkpoint brings it: a program (Jinja), run in a sandbox."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NoReturn

GENERATION = re.compile(r"\b(end)?generation(?=\s*-?%\})")
"""A tag of training templates around what is learnt; what stands in it is written as it is."""


@lru_cache(maxsize=4)
def chat_program(text: str) -> Any:
    """A template, to be rendered: no attribute of Python's is reached, no value changed.

    Raises:
        jinja2.TemplateError: it is no template; rendering raises it too, and `ValueError` where the template refuses.

    >>> chat_program("{{ messages[0]['content'] }}!").render(messages=[{"role": "user", "content": "hello"}])
    'hello!'
    """
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(GENERATION.sub(lambda found: "endif" if found[1] else "if true", text))


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)
