"""The hook specification is the table of contents of the plugin system: complete, documented, and obeyed."""

import inspect

import pytest

from omniline.core.catalog import KINDS, SINGULAR
from omniline.plugins.hookspecs import Hooks
from omniline.plugins.manager import BUILTIN, installed

HOOKS = {name: hook for name, hook in vars(Hooks).items() if not name.startswith("_")}


def test_one_hook_for_each_kind():
    assert tuple(HOOKS) == KINDS == tuple(SINGULAR)


@pytest.mark.parametrize("name", KINDS)
def test_a_hook_is_documented_and_typed(name):
    assert len(inspect.getdoc(HOOKS[name]) or "") > 40
    assert inspect.signature(HOOKS[name]).return_annotation.startswith("Mapping[str, ")


def test_every_room_comes_in_by_the_hooks(root):
    """Each room that has a `plugin.py` is listed, once."""
    rooms = sorted(path.parent.name for path in (root / "plugins").glob("*/plugin.py"))
    assert sorted(BUILTIN) == [f"omniline.plugins.{room}.plugin" for room in rooms]


def test_the_built_in_catalog_is_sound():
    catalog = installed()
    assert catalog.heavy == ()
    for kind in KINDS:
        for name in catalog.names(kind):
            entry = catalog.entry(kind, name)
            assert entry.part is not None
    assert {"TEXT", "IMAGE", "VIDEO", "AUDIO", "MOTION", "BOX", "STRUCT", "PHONE", "CATEGORY", "CHAT"} <= set(
        catalog.names("modalities")
    )


def test_every_default_names_something():
    """A modality's default adapters exist and serve it, on the side they are named for."""
    catalog = installed()
    for name in catalog.names("modalities"):
        modality = catalog.modality(name)
        assert modality.source or modality.target, f"{name} has no side"
        for side in ("source", "target"):
            default = getattr(modality, side)
            if default is not None:
                adapter = catalog.adapter(default)
                assert adapter.modality == name
                assert side in adapter.sides


def test_every_default_loss_and_decoder_exists():
    catalog = installed()
    for name in catalog.names("adapters"):
        adapter = catalog.adapter(name)
        if adapter.predicts is not None:
            required = {key for key, value in _settings(adapter).items() if value.required}
            if not required:
                instance = adapter()
                if (loss := instance.default_loss()) is not None:
                    catalog.loss(loss)
                if (decoder := instance.default_decoder()) is not None:
                    catalog.decoder(decoder)


def _settings(adapter):
    from omniline.core.settings import settings_of

    return settings_of(adapter)
