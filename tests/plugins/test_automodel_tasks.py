"""`backbone=hf:PATH` in tasks: trained, tuned, saved, loaded, and refused in one sentence."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import omniline as ol
from omniline.core.errors import BundleError, ConfigError, PluginError
from omniline.plugins.automodel import folder as facts

QUIET = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
LINE = "spell [TEXT:word] backwards: -> [TEXT:back]"
ROWS = [{"word": word, "back": word[::-1]} for word in ("abc", "dog", "cat", "tea")]
COLOURS = {"red": (250, 10, 10), "blue": (10, 10, 250), "green": (10, 250, 10)}
PICTURES = [
    {"img": Image.fromarray(np.full((16, 16, 3), shade, np.uint8)), "cap": name} for name, shade in COLOURS.items()
]


@pytest.fixture
def gpt2(decoder_folders, monkeypatch):
    """A folder named relative to the working directory."""
    _, folder = decoder_folders("gpt2")
    monkeypatch.chdir(folder.parent)
    return f"hf:{folder.name}"


def reverse(rows=ROWS):
    return ol.Task("reverse", LINE, train=rows)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gpt_neox"])
def test_a_line_of_text_is_learnt(name, decoder_folders):
    _, folder = decoder_folders(name)
    model = ol.fit(reverse(), backbone=f"hf:{folder}", max_steps=140, learning_rate=3e-3, **QUIET)
    assert [model.predict(LINE, row).back for row in ROWS] == [row["back"] for row in ROWS]


def test_pictures_come_in_by_a_port_of_the_line(gpt2, tmp_path):
    line = "[IMAGE:img,size=16,patch=8] what? -> [TEXT:cap]"
    model = ol.fit(ol.Task("colour", line, train=PICTURES), backbone=gpt2, max_steps=160, learning_rate=3e-3, **QUIET)
    assert [model.predict(line, row).cap for row in PICTURES] == list(COLOURS)
    with pytest.warns(UserWarning, match="the format has no place for .* weights"):
        model.save(tmp_path / "out", format="hf")


def test_several_tasks_share_it(gpt2):
    line = "[IMAGE:img,size=16,patch=8] -> [TEXT:cap]"
    tasks = [reverse(), ol.Task("colour", line, train=PICTURES)]
    model = ol.fit(tasks, backbone=gpt2, max_steps=220, learning_rate=3e-3, **QUIET)
    assert model.predict(LINE, ROWS[0]).back == "cba"
    assert model.predict(line, PICTURES[1]).cap == "blue"


def test_training_starts_from_the_weights_of_the_folder(gpt2, decoder_folders):
    network, _ = decoder_folders("gpt2")
    model = ol.Model.build(backbone=gpt2, tasks=reverse())
    state = model.network.state_dict()
    assert torch.equal(state["ports.text.embedding.weight"], network.transformer.wte.weight)
    inner = network.transformer.h[1].attn.c_attn.weight
    assert torch.equal(state["backbone.body.h.1.attn.c_attn.weight"], inner.t())


def test_a_folder_of_the_users_own(decoder_folders, monkeypatch):
    _, folder = decoder_folders("gpt2")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert ol.Model.build(backbone=f"hf:~/{folder.name}", tasks=reverse()).backbone.config


def test_a_bundle_needs_no_folder(gpt2, decoder_folders, tmp_path):
    _, folder = decoder_folders("gpt2")
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    model = ol.fit(reverse(), backbone=f"hf:{own},positions=64", max_steps=2, **QUIET)
    model.save(tmp_path / "bundle")
    shutil.rmtree(own)
    again = ol.load(tmp_path / "bundle")
    assert again.backbone == model.backbone and again.backbone.positions == 64
    ours, theirs = model.network.state_dict(), again.network.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert [output.back for output in again.predict(LINE, ROWS)] == [o.back for o in model.predict(LINE, ROWS)]
    out = again.save(tmp_path / "out", format="hf")
    assert json.loads((out / "config.json").read_text())["model_type"] == "gpt2"
    more = ol.fit(reverse(), model=again, max_steps=2, **QUIET)
    assert more.predict(LINE, ROWS[0]).back is not None


def test_low_rank_updates_train_alone_and_are_added_when_written(gpt2, checkpoints, decoder_folders, tmp_path):
    _, folder = decoder_folders("gpt2")
    model = ol.fit(reverse(), backbone=gpt2, lora="rank=4", max_steps=60, learning_rate=1e-2, **QUIET)
    trained = [name for name, weight in model.network.named_parameters() if weight.requires_grad]
    assert trained and all(name.endswith(("low_up", "low_down")) for name in trained)
    assert any("c_attn" in name for name in trained) and any("c_fc" in name for name in trained)
    model.save(tmp_path / "bundle")
    again = ol.load(tmp_path / "bundle")
    before, after = checkpoints.tensors(folder), checkpoints.tensors(again.save(tmp_path / "out", format="hf"))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {key for key in before if ".h." in key and key.endswith("weight") and "ln_" not in key}
    merged = ol.load(tmp_path / "out")
    assert [o.back for o in merged.predict(LINE, ROWS)] == [o.back for o in model.predict(LINE, ROWS)]


def test_frozen_weights_stay(gpt2, decoder_folders):
    network, _ = decoder_folders("gpt2")
    model = ol.fit(reverse(), backbone=gpt2, freeze="backbone.*", max_steps=3, **QUIET)
    state = model.network.state_dict()
    assert torch.equal(state["backbone.body.wpe.weight"], network.transformer.wpe.weight)
    assert not torch.equal(state["ports.text.embedding.weight"], network.transformer.wte.weight)


def test_short_floats_train(decoder_folders):
    _, folder = decoder_folders("gemma3_text")
    task, how = reverse(), {"max_steps": 60, "learning_rate": 3e-3, **QUIET}
    model = ol.fit(task, backbone=f"hf:{folder},checkpoint=true", precision="bf16-mixed", **how)
    assert model.predict(LINE, ROWS[1]).back == "god"


def test_an_output_layer_can_be_untied(gpt2, tmp_path):
    model = ol.fit(reverse(), backbone=f"{gpt2},untied=true", max_steps=3, **QUIET)
    out = model.save(tmp_path / "out", format="hf")
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False
    again = ol.load(out)
    assert again.backbone.untied
    port = again.network.ports["text"]
    assert not torch.equal(port.output.weight, port.embedding.weight)


def test_its_own_network_also_of_what_is_read_without_transformers(folders):
    folder, network = folders("qwen2")
    model = ol.Model.build(backbone=f"hf:{folder}", tasks=reverse())
    assert type(model.network.backbone.body).__name__ == "Qwen2Model"
    assert type(ol.load(folder).network.backbone).__name__ == "DecoderNetwork"
    ids = torch.tensor([3, 5, 8])
    from omniline.core.layout import plain_layout

    port = model.network.ports["text"]
    with torch.no_grad():
        ours = port.project(model.network.eval().backbone(port.embed(tokens=ids), plain_layout([3], [0])))
        torch.testing.assert_close(ours, network(ids[None]).logits[0], rtol=0, atol=1e-4)


def edited(**entries):
    def change(folder):
        held = json.loads((folder / "config.json").read_text()) | entries
        kept = {key: value for key, value in held.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))

    return change


BROKEN = {
    "no type": (edited(model_type=None), BundleError, "config.json must have `model_type`, but has not"),
    "code": (edited(auto_map={"AutoModel": "x.Y"}), BundleError, "has `auto_map`: .* code .* which is never run"),
    "both": (edited(model_type="t5", is_encoder_decoder=True), BundleError, "`t5` is an encoder-decoder, but"),
    "encoder": (edited(model_type="bert"), BundleError, "`bert` is an encoder alone, but the backbone `hf` needs"),
    "vision": (edited(model_type="vit"), BundleError, "`vit` is no decoder of text"),
    "tower": (edited(vision_config={}), BundleError, "has `vision_config`, but .* needs a decoder of text alone"),
    "short": (edited(quantization_config={"bits": 4}), BundleError, "has `quantization_config`, but"),
    "unknown": (edited(model_type="gpt22"), BundleError, "does not know the architecture `gpt22`; did you mean `gpt2`"),
    "width": (edited(n_embd=None), BundleError, r"h\.0\.attn\.c_attn\.bias` must be \[2304\], but is \[96\]"),
    "wrong": (edited(n_head=3), BundleError, "cannot be read by transformers: "),
    "layers": (edited(n_layer=3), BundleError, r"lacks the tensor `transformer\.h\.2\..*` of `gpt2`"),
    "fewer": (edited(n_layer=1), BundleError, r"has, without a place for it, the tensor `transformer\.h\.1\."),
    "words": (edited(vocab_size=8), BundleError, r"wte.weight` must be \[8, 32\], but is \[264, 32\]"),
    "end": (
        lambda folder: (folder / "generation_config.json").write_text('{"eos_token_id": 999}'),
        BundleError,
        r"`eos_token_id` must be below the 264 rows of the table of words, but is \[999\]",
    ),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), BundleError, "has no tokenizer.json: write"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), BundleError, "has no weights: it needs"),
    "no config": (lambda folder: (folder / "config.json").unlink(), ConfigError, "with a config.json, but .* has none"),
    "no folder": (shutil.rmtree, ConfigError, "must name a folder with a config.json, but .* is none"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_none_says_so(name, decoder_folders, tmp_path):
    change, error, match = BROKEN[name]
    folder = tmp_path / "in"
    shutil.copytree(decoder_folders("gpt2")[1], folder)
    change(folder)
    with pytest.raises(error, match=match):
        ol.Model.build(backbone=f"hf:{folder}", tasks=reverse())


def test_what_is_written_wrongly_says_so(gpt2, decoder_folders, tmp_path):
    _, folder = decoder_folders("gpt2")
    with pytest.raises(PluginError, match="the backbone `hf:` needs an argument, path"):
        ol.Model.build(backbone="hf:", tasks=reverse())
    with pytest.raises(ConfigError, match="the backbone `hf` needs a folder: write `hf:PATH`"):
        ol.Model.build(backbone="hf", tasks=reverse())
    with pytest.raises(ConfigError, match="the setting `before` .* is found in the folder and cannot be written"):
        ol.Model.build(backbone=f"{gpt2},before=x", tasks=reverse())
    with pytest.raises(ConfigError, match="`positions` must be at most 160, as config.json says, but is 400"):
        ol.Model.build(backbone=f"{gpt2},positions=400", tasks=reverse())
    with pytest.raises(ConfigError, match="no setting `poitions` to be written on loading; did you mean `positions`"):
        ol.load(folder, poitions=3)
    with pytest.raises(ConfigError, match="the tokenizer must be that of .*, whose weights are loaded, but one is"):
        ol.Model.build(backbone=gpt2, tasks=reverse(), tokenizer="bpe:300")
    with pytest.raises(ConfigError, match="`untied` cannot be false"):
        ol.load(decoder_folders("phi3")[1], untied=False)
    with pytest.raises(BundleError, match="this format holds models of the backbone `hf`"):
        from omniline.plugins.automodel.checkpoint import AutoFormat

        AutoFormat().write(tmp_path, ol.Model.build(backbone="decoder-tiny", tasks=reverse()).backbone, {}, {})


def test_a_line_that_does_not_fit_is_refused_before_weights_are_read(gpt2):
    assert ol.check("[TEXT:a,max_length=50] -> [TEXT:b,max_length=99]", backbone=gpt2) == []
    line = "[IMAGE:img,size=224,patch=8] -> [TEXT:b]"
    assert "OL301" in {finding.code for finding in ol.check(line, backbone=gpt2)}


def test_without_transformers_a_sentence_says_what_to_install(gpt2, decoder_folders, monkeypatch):
    _, folder = decoder_folders("gpt2")
    monkeypatch.setattr(facts, "has_library", lambda: False)
    monkeypatch.setattr("omniline.plugins.automodel.checkpoint.has_library", lambda: False)
    with pytest.raises(ConfigError, match=r"`gpt2` needs the library transformers: pip install 'omniline\[hf\]'"):
        ol.Model.build(backbone=gpt2, tasks=reverse())
    with pytest.raises(BundleError, match=r"`gpt2` cannot be read; .* need it: pip install 'omniline\[hf\]'"):
        ol.load(folder)
    monkeypatch.setattr(facts, "has_library", lambda: True)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"the backbone `hf` needs the library transformers: pip install"):
        ol.Model.build(backbone=gpt2, tasks=reverse())


def test_logits_that_are_not_found_again_are_refused(decoder_folders, monkeypatch):
    """An architecture that does something of its own behind its output layer."""
    network, folder = decoder_folders("gpt2")
    real = type(network).forward

    def odd(self, *inputs, **more):
        found = real(self, *inputs, **more)
        found.logits = found.logits.abs()
        return found

    monkeypatch.setattr(type(network), "forward", odd)
    with pytest.raises(BundleError, match="the logits of `GPT2LMHeadModel` are not found again from embeddings"):
        ol.load(folder)
