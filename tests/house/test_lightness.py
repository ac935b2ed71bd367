"""Checking a line stays cheap: what it needs imports no torch, and the front door imports nothing at all."""

import ast
import json
import subprocess
import sys

HEAVY = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "tokenizers",
    "torchmetrics",
    "pandas",
    "datasets",
    "transformers",
)
LIGHT_CORE = {
    "adapter", "backbone", "backbone_name", "budget", "catalog", "decoder", "errors", "explain", "loss", "metric",
    "modality", "near", "plan", "plan_json", "settings",
}  # fmt: skip
LINE = "[IMAGE:img] what does the image describe? -> [TEXT:cap]"


def loaded_after(code: str) -> set[str]:
    """The modules of a fresh process that ran `code`."""
    report = "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_front_door_loads_nothing():
    loaded = {name for name in loaded_after("import omniline") if name.split(".")[0] == "omniline"}
    assert loaded == {"omniline"}


def test_light_rooms_load_no_torch(modules):
    light = [
        name
        for name, module in modules.items()
        if module.room == "instructions"
        or (module.room == "core" and name.split(".")[-1] in LIGHT_CORE)
        or (module.room == "plugins" and name.split(".")[-1] in ("plugin", "hookspecs", "manager", "declarations"))
        or ".declarations." in name
    ]
    assert len(light) > len(LIGHT_CORE)
    loaded = loaded_after("\n".join(f"import {name}" for name in light))
    assert sorted(loaded.intersection(HEAVY)) == []


def test_compiling_loads_no_torch():
    code = f"import omniline\nplan = omniline.compile({LINE!r})\nplan.explain(), plan.to_json(), plan.to_mermaid()"
    assert sorted(loaded_after(code).intersection(HEAVY)) == []


def test_pictures_and_clips_are_read_without_torchvision():
    """It takes longer to import than all of omniline, and an answer waits for it."""
    halves = ("tasks.bundle", "tasks.model", *(f"plugins.vision.{name}" for name in ("image", "video", "codes")))
    loaded = loaded_after("\n".join(f"import omniline.{name}" for name in halves))
    assert "torch" in loaded
    assert sorted(loaded.intersection(HEAVY) - {"torch", "tokenizers"}) == []


def test_a_mistake_loads_no_torch():
    code = "import omniline\nfound = omniline.check('[IMGE:img] -> [TEXT:cap]')\nassert found, 'a mistake was not seen'"
    assert sorted(loaded_after(code).intersection(HEAVY)) == []


def test_the_front_door_tells_type_checkers_the_same(modules):
    """The imports under TYPE_CHECKING, the lazy table and `__all__` are three views of one list."""
    import omniline

    lazy = {(f"omniline.{home}", name) for home, names in omniline._HOMES.items() for name in names}
    typed = set()
    for node in ast.walk(modules["omniline"].tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            typed |= {(f"omniline.{node.module}", alias.name) for alias in node.names}
    assert typed == lazy
    assert set(omniline.__all__) == {name for _, name in lazy} | {"__version__", "testing"}


def test_every_public_name_is_there():
    import omniline

    missing = []
    for name in omniline.__all__:
        try:
            getattr(omniline, name)
        except (ImportError, AttributeError) as error:
            missing.append(f"{name}: {error}")
    assert missing == []


def test_an_unknown_name_is_an_attribute_error():
    import omniline

    assert not hasattr(omniline, "Adaptor")
    assert set(omniline.__all__) <= set(dir(omniline))
