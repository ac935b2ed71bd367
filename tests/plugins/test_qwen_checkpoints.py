"""Folders of transformers: read, the same numbers; written, the same bits."""

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import omniline as ol
from omniline.core.errors import BundleError
from omniline.core.layout import plain_layout
from omniline.plugins.qwen.checkpoint import write

ARCHITECTURES = [
    *("qwen2", "qwen2 tied", "qwen2 yarn", "qwen3", "qwen3 bias", "llama", "llama bias", "mistral"),
    *("qwen2_moe", "qwen3_moe"),
]


def logits(model, rows):
    """Ours of packed rows of ids, each whole row a source."""
    network = model.network
    port = network.ports["text"]
    layout = plain_layout([len(row) for row in rows], [0] * len(rows))
    x = port.embed(tokens=torch.tensor([id for row in rows for id in row]))
    return port.project(network.backbone(x, layout)).split([len(row) for row in rows])


ROWS = [[5, 9, 250, 260, 3, 77, 120], [8, 1], [*range(40, 100)]]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_numbers_are_those_of_transformers(name, folders):
    folder, network = folders(name)
    model = ol.load(folder)
    with torch.no_grad():
        for ours, row in zip(logits(model, ROWS), ROWS, strict=True):
            theirs = network(torch.tensor([row])).logits[0]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_weights_come_out_as_they_went_in(name, folders, checkpoints, tmp_path):
    folder, _ = folders(name)
    out = ol.load(folder).save(tmp_path / "out", format="hf")
    before, after = checkpoints.tensors(folder), checkpoints.tensors(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    assert json.loads((out / "config.json").read_text()) == json.loads((folder / "config.json").read_text())
    assert (out / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("name", ["qwen2 tied", "qwen3_moe"])
def test_many_files_are_one_checkpoint(name, folders, checkpoints, qwen, tmp_path, monkeypatch):
    folder, network = folders(name)
    small = checkpoints.write(network, tmp_path / "in", qwen.QWEN, max_shard_size="20KB")
    assert len(list(small.glob("*.safetensors"))) > 2
    model = ol.load(small)
    monkeypatch.setattr(write, "LARGEST", 20_000)
    out = model.save(tmp_path / "out", format="hf")
    assert len(list(out.glob("*.safetensors"))) > 2
    assert all(file.stat().st_size < 45_000 for file in out.glob("*.safetensors"))
    whole, parts = checkpoints.tensors(folder), checkpoints.tensors(out)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    with checkpoints.quiet():
        again = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert torch.equal(again(torch.tensor([ROWS[0]])).logits, network(torch.tensor([ROWS[0]])).logits)


def test_weights_keep_their_dtype(folders, checkpoints, qwen, tmp_path):
    network = checkpoints.reference("qwen3").to(torch.bfloat16)
    folder = checkpoints.write(network, tmp_path / "in", qwen.QWEN)
    model = ol.load(folder)
    assert model.network.ports["text"].embedding.weight.dtype == torch.float32
    after = checkpoints.tensors(model.save(tmp_path / "out", format="hf"))
    before = checkpoints.tensors(folder)
    assert all(torch.equal(before[key], after[key]) and after[key].dtype == torch.bfloat16 for key in before)
    assert ol.load(folder, dtype="auto").network.ports["text"].embedding.weight.dtype == torch.bfloat16


def altered(folder, out, change):
    """A copy of a folder with other tensors."""
    shutil.copytree(folder, out)
    save_file(change(load_file(out / "model.safetensors")), out / "model.safetensors")
    return out


def same(one, two):
    """Whether two models have the same weights, the marks apart, which no folder has."""
    mine, yours = one.network.state_dict(), two.network.state_dict()
    names = [name for name in mine if not name.startswith("ports.marks.")]
    return mine.keys() == yours.keys() and all(torch.equal(mine[name], yours[name]) for name in names)


@pytest.mark.parametrize("prefix", ["model.language_model.", "", "language_model.model."])
def test_other_spellings_of_names(prefix, folders, tmp_path):
    folder, _ = folders("qwen3")

    def respelt(held):
        return {key.replace("model.", prefix, 1): value for key, value in held.items()}

    assert same(ol.load(folder), ol.load(altered(folder, tmp_path / "other", respelt)))


def test_experts_in_two_tensors(folders, tmp_path):
    """As transformers 5 holds them in memory."""
    folder, network = folders("qwen2_moe")
    other = altered(folder, tmp_path / "fused", lambda _: dict(network.state_dict()))
    assert same(ol.load(folder), ol.load(other))


def test_a_table_that_is_tied_may_be_there_twice(folders, tmp_path):
    folder, _ = folders("qwen2 tied")

    def twice(held):
        return {**held, "lm_head.weight": held["model.embed_tokens.weight"].clone()}

    assert same(ol.load(folder), ol.load(altered(folder, tmp_path / "twice", twice)))


def test_settings_stand_for_those_of_the_folder(folders, checkpoints, tmp_path):
    folder, _ = folders("qwen2 tied")
    model = ol.load(folder, dropout=0.2, untied=True, positions=64, rope_base=5e5)
    port = model.network.ports["text"]
    assert torch.equal(port.output.weight, port.embedding.weight)
    assert (model.backbone.dropout, model.backbone.context()) == (0.2, 64)
    out = model.save(tmp_path / "out", format="hf")
    about = json.loads((out / "config.json").read_text())
    assert about["tie_word_embeddings"] is False
    assert about["max_position_embeddings"] == 64
    assert about["rope_parameters"] == {"rope_theta": 5e5, "rope_type": "default"}
    assert "lm_head.weight" in checkpoints.tensors(out)
    assert ol.load(out).backbone.untied


def test_a_folder_becomes_a_bundle_and_a_folder_again(folders, checkpoints, tmp_path):
    folder, _ = folders("qwen3")
    bundle = ol.load(folder).save(tmp_path / "bundle")
    out = ol.load(bundle).save(tmp_path / "out", format="hf")
    before, after = checkpoints.tensors(folder), checkpoints.tensors(out)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert {file.name for file in out.iterdir()} == {file.name for file in folder.iterdir()}


MIXED = "experts=3,expert_ffn=16"
OWN = {
    "qk_norm=true": "qwen3",
    "qkv_bias=true,untied=true": "qwen2",
    "qkv_bias=true,out_bias=true,ffn_bias=true,rope_scaling=llama3,rope_factor=4,rope_original=64": "llama",
    f"qk_norm=true,dense_layers=0,{MIXED}": "qwen3_moe",
    f"qkv_bias=true,shared_ffn=24,rope_scaling=yarn,rope_factor=2,rope_original=64,{MIXED}": "qwen2_moe",
}


@pytest.mark.parametrize("settings", OWN)
def test_a_model_of_our_own_is_one_of_transformers(settings, checkpoints, tmp_path):
    own = "decoder-tiny,width=16,heads=2,key_heads=1,ffn=24,layers=2,positions=64,prefix=causal,typed=false,marks=plain"
    task = ol.Task("say", "[TEXT:a] -> [TEXT:b]", train=[{"a": "red hen", "b": "green"}])
    model = ol.Model.build(backbone=f"{own},{settings},opening=", tasks=task, tokenizer="bpe:270")
    model.network.eval()
    out = model.save(tmp_path / "out", format="hf")
    assert json.loads((out / "config.json").read_text())["model_type"] == OWN[settings]
    with checkpoints.quiet():
        network = transformers.AutoModelForCausalLM.from_pretrained(out).eval()
        words = transformers.AutoTokenizer.from_pretrained(out)
    assert words.encode("red hen") == model.tokenizer.encode("red hen")
    again = ol.load(out)
    assert again.tokenizer.end == model.tokenizer.end == network.generation_config.eos_token_id
    assert again.tokenizer.mask == model.tokenizer.mask
    with torch.no_grad():
        for one, two, row in zip(logits(model, ROWS), logits(again, ROWS), ROWS, strict=True):
            torch.testing.assert_close(one, network(torch.tensor([row])).logits[0], rtol=0, atol=1e-4)
            assert torch.equal(one, two)


def test_what_transformers_has_no_network_for(tmp_path):
    task = ol.Task("say", "[TEXT:a] -> [TEXT:b]", train=[{"a": "red hen", "b": "green"}])
    own = "decoder-tiny,width=16,heads=2,key_heads=1,ffn=24,layers=1,positions=64"
    causal = f"{own},prefix=causal,typed=false,marks=plain,opening="
    for backbone, tokenizer, message in (
        (own, "bpe:260", "no place for `prefix=both`"),
        (f"{own},prefix=causal", "bpe:260", "no place for `typed=true`"),
        (f"{own},prefix=causal,typed=false", "bpe:260", "no place for `marks=learned`"),
        (causal, None, "no place for a tokenizer of bytes"),
        (f"{causal},embedding_scale=4", "bpe:260", "no place for `embedding_scale`"),
        (
            f"{causal},qk_norm=true,ffn_bias=true",
            "bpe:260",
            "no architecture with these settings together: qk_norm=True",
        ),
        (f"{causal},rope_sections=1|1|2", "bpe:260", "no place for `rope_sections` in a decoder of text alone"),
    ):
        model = ol.Model.build(backbone=backbone, tasks=task, tokenizer=tokenizer)
        with pytest.raises(BundleError, match=message):
            model.save(tmp_path / "out", format="hf")
        assert not (tmp_path / "out").exists()


def test_a_sliding_window_is_the_context(folders):
    folder, _ = folders("mistral")
    model = ol.load(folder)
    assert model.backbone.context() == 64
    with pytest.raises(ValueError, match="at most 64 tokens together, but have 65"):
        logits(model, [[1] * 65])


def test_a_folder_that_holds_something_is_left_alone(folders, tmp_path):
    folder, _ = folders("qwen2")
    out = ol.load(folder).save(tmp_path / "out", format="hf")
    (out / "README.md").write_text("mine")
    with pytest.raises(BundleError, match="is not empty: save to a new folder"):
        ol.load(folder).save(out, format="hf")
    assert (out / "README.md").read_text() == "mine"


def test_chunks_of_a_folder_for_a_million_tokens(folders, tmp_path):
    """Within one chunk the numbers stay; beyond, they are those of dual chunks."""
    folder, _ = folders("qwen2")
    shutil.copytree(folder, tmp_path / "long")
    about = json.loads((folder / "config.json").read_text())
    chunks = {"chunk_size": 48, "local_size": 8, "original_max_position_embeddings": 256}
    (tmp_path / "long/config.json").write_text(json.dumps({**about, "dual_chunk_attention_config": chunks}))
    plain, long = ol.load(folder), ol.load(tmp_path / "long")
    backbone = long.backbone
    assert (backbone.dual_chunk, backbone.dual_chunk_local, backbone.attention_temperature) == (48, 8, 256)
    with torch.no_grad():
        (_, short, far), (_, same, other) = logits(plain, ROWS), logits(long, ROWS)
    torch.testing.assert_close(short, same, rtol=0, atol=1e-5)
    torch.testing.assert_close(far[:40], other[:40], rtol=0, atol=1e-5)
    assert not torch.allclose(far[40:], other[40:], atol=1e-3)
    out = long.save(tmp_path / "out", format="hf")
    assert json.loads((out / "config.json").read_text())["dual_chunk_attention_config"] == chunks


def test_a_text_ends_with_any_of_the_ids_that_end_one(folders, tmp_path):
    folder, network = folders("qwen2")
    changed = shutil.copytree(folder, tmp_path / "stops")
    first = json.loads((folder / "generation_config.json").read_text())["eos_token_id"][0]
    prompt = torch.tensor([list(ol.load(folder).tokenizer.encode("abc"))])
    ids = network.generate(prompt, do_sample=False, max_new_tokens=12, eos_token_id=first)[0, 3:].tolist()
    stop = ids[-1]
    (changed / "generation_config.json").write_text(json.dumps({"eos_token_id": [first, stop]}))
    model = ol.load(changed)
    assert model.tokenizer.stops == (stop,)
    asked = {"decoder": "greedy", "most_tokens": 12}
    found = model.predict("[TEXT:q] -> [TEXT:a]", {"q": "abc"}, **asked).a
    assert found == model.tokenizer.decode(ids[: ids.index(stop)])
    assert found != ol.load(folder).predict("[TEXT:q] -> [TEXT:a]", {"q": "abc"}, **asked).a
    again = ol.load(model.save(tmp_path / "bundle"))
    assert again.predict("[TEXT:q] -> [TEXT:a]", {"q": "abc"}, **asked).a == found
