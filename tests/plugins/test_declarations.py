"""The declarations of all ten modalities: torch-free, honest about tokens, complete."""

import pytest

from omniline.core.errors import PluginError
from omniline.core.parts import make_codec, working_half
from omniline.core.settings import settings_of
from omniline.plugins.manager import load_catalog

ROOMS = tuple(f"omniline.plugins.{room}.plugin" for room in ("language", "vision", "audio", "motion"))
CATALOG = load_catalog(builtin=ROOMS, outside=())
ADAPTERS = CATALOG.names("adapters")
UNIVERSAL = {
    *("adapter", "column", "max_length", "optional", "sync"),
    *("loss", "weight", "no_loss", "closed_set", "reward", "samples", "decoder"),
}


def made(name, **written):
    return CATALOG.adapter(name)(**({"model": "resnet18"} if "timm" in name else {}), **written)


def test_ten_modalities_and_their_adapters():
    assert set(CATALOG.names("modalities")) == {
        *("TEXT", "IMAGE", "VIDEO", "AUDIO", "MOTION"),
        *("BOX", "STRUCT", "PHONE", "CATEGORY", "CHAT"),
    }
    assert set(ADAPTERS) == {
        *("text", "image", "timm", "image_codes", "video", "audio"),
        *("phone", "motion", "box", "struct", "category", "chat", "box_text"),
        *("timm_video", "video_codes", "box_values"),
    }
    assert {m for m in CATALOG.names("modalities") if CATALOG.modality(m).timed} == {"AUDIO", "VIDEO", "MOTION"}


def test_default_adapters_exist_serve_their_modality_and_side():
    for name in CATALOG.names("modalities"):
        modality = CATALOG.modality(name)
        for side, adapter in (("source", modality.source), ("target", modality.target)):
            if adapter is not None:
                declaration = CATALOG.adapter(adapter)
                assert declaration.modality == name
                assert side in declaration.sides
                assert side == "source" or declaration.predicts


@pytest.mark.parametrize("name", ADAPTERS)
def test_settings_are_typed_explained_and_apart_from_universal_ones(name):
    declaration = CATALOG.adapter(name)
    offered = settings_of(declaration)
    assert declaration.__doc__
    assert not UNIVERSAL & set(offered)
    for setting in offered.values():
        assert setting.help, setting.name
        assert (
            setting.kind in ("bool", "list", "str")
            or setting.choices
            or setting.at_least is not None
            or setting.nullable
        )


@pytest.mark.parametrize("name", ADAPTERS)
def test_tokens_and_tensors_answer(name):
    adapter = made(name)
    tokens = adapter.tokens()
    assert tokens.least >= 0
    assert tokens.most is None or tokens.least <= tokens.most <= 1024
    assert adapter.tensors()


@pytest.mark.parametrize("name", ADAPTERS)
def test_halves_exist_or_are_said_to_be_missing(name):
    adapter = made(name)
    if adapter.codec:
        assert callable(working_half(adapter.codec, "the codec"))
        assert callable(working_half(adapter.port, "the port"))
    else:
        with pytest.raises(PluginError, match=f"`{name}` is declared, but its working half is not part"):
            make_codec(adapter, name, {})


def test_budgets_follow_the_settings():
    assert made("image", size=64, patch=8).tokens().most == 64
    assert made("image", size=64, patch=16, mode="fit").tokens().least == 1
    assert made("timm", size=72, stride=16).tokens().least == 25
    assert made("video", max_frames=64).tokens().most == 64 * 196
    assert made("video", max_frames=64).tokens().least == 196
    assert made("audio", max_seconds=2.0, n_frames_per_step=4).tokens().most == 50
    assert made("box").tokens().least == 4
