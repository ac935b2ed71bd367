"""What every declaration owes, whatever it declares: it is light, frozen, and its settings are typed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

from ..core.errors import OmnilineError
from ..core.settings import Declaration, settings_of

HEAVY = ("torch", "lightning", "timm", "transformers", "torchvision")


class DeclarationContract:
    """The part that the contracts share. Subclasses say which declaration they test."""

    def declaration(self) -> Declaration:
        """The declaration under test."""
        raise NotImplementedError(f"{type(self).__qualname__} must say what it tests: set the class attribute")

    def test_importing_the_declaration_is_light(self) -> None:
        """Checking a line must not cost an import of torch: halves are named, not imported."""
        module = type(self.declaration()).__module__
        loaded = heavy_after(module)
        assert not loaded, f"importing {module} must not import {loaded}"

    def test_settings_are_typed_and_in_range(self) -> None:
        """Every field has a type that a slot can write, and its value is legal."""
        made = self.declaration()
        known = settings_of(type(made))
        for name, value in made.settings().items():
            setting = known[name]
            if value is None:
                assert setting.nullable, f"`{name}` is None, but its type does not say so"
                continue
            assert not setting.choices or value in setting.choices, f"`{name}` must be one of {setting.choices}"
            if isinstance(value, int | float):
                assert setting.at_least is None or value >= setting.at_least, f"`{name}` is below {setting.at_least}"
                assert setting.at_most is None or value <= setting.at_most, f"`{name}` is above {setting.at_most}"

    def test_it_is_frozen_and_equal_by_its_settings(self) -> None:
        """Two declarations with the same settings are one, and neither can be changed."""
        made = self.declaration()
        again: Declaration = type(made)(**made.settings())
        assert again == made and hash(again) == hash(made)
        for name in made.settings():
            try:
                setattr(made, name, None)
            except AttributeError:
                continue
            raise AssertionError(f"`{name}` of {type(made).__qualname__} can be changed")


@cache
def heavy_after(module: str) -> str:
    """Which heavy packages a fresh process has after importing a module."""
    code = f"import {module}, sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.returncode == 0, f"importing {module} failed: {done.stderr}"
    return done.stdout.strip()


def build(make: Any, what: str) -> Any:
    """What `make()` returns; an error of ours becomes a failure that names the half."""
    try:
        return make()
    except OmnilineError as cause:
        raise AssertionError(f"{what} cannot be made: {cause}") from cause
