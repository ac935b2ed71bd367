"""Decoders of transformers as backbones: the same numbers, the same answers, the same bits."""

import json
import warnings

import pytest
import torch
import transformers

import omniline as ol
from omniline.core.errors import BundleError
from omniline.core.layout import plain_layout
from omniline.core.networks import NewRows

NAMES = [
    *("gpt2", "gemma", "gemma2", "gemma3_text", "phi3", "gpt_neox", "olmo2", "falcon", "falcon alibi", "stablelm"),
    *(
        "smollm3",
        "starcoder2",
        "mixtral",
        "opt",
        "bloom",
        "gptj",
        "phi",
        "cohere",
        "granite",
        "mpt",
        "xglm",
        "deepseek_v3",
    ),
]
ROWS = [[5, 9, 250, 260, 3, 77, 120], [8], [*range(40, 79)]]
LINE = "[TEXT:q] -> [TEXT:a,max_length=9]"
"""Eight tokens and an end mark."""


def embedded(model, row):
    return model.network.ports["text"].embed(tokens=torch.tensor(row, dtype=torch.long))


def logits(model, rows):
    """Ours of packed rows of ids, each half a source and half a target."""
    halves = [len(row) // 2 for row in rows]
    layout = plain_layout(halves, [len(row) - half for row, half in zip(rows, halves, strict=True)])
    parts = [row[:half] for row, half in zip(rows, halves, strict=True)]
    parts += [row[half:] for row, half in zip(rows, halves, strict=True)]
    x = torch.cat([embedded(model, part) for part in parts])
    found = model.network.ports["text"].project(model.network.backbone(x, layout)).split([len(part) for part in parts])
    return [torch.cat([found[i], found[i + len(rows)]]) for i in range(len(rows))]


@pytest.mark.parametrize("name", NAMES)
def test_packed_logits_are_those_of_transformers(name, decoder_folders):
    network, folder = decoder_folders(name)
    model = ol.load(folder)
    with torch.no_grad():
        for ours, row in zip(logits(model, ROWS), ROWS, strict=True):
            theirs = network(torch.tensor([row])).logits[0]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_generate(name, decoder_folders):
    """Prompts of unequal length in one batch."""
    network, folder = decoder_folders(name)
    model = ol.load(folder)
    asked = ["one", "seventeen words, or so it seems", "7"]
    found = model.predict(LINE, [{"q": text} for text in asked], decoder="greedy")
    for text, output in zip(asked, found, strict=True):
        ids = model.tokenizer.encode(text)
        with torch.no_grad():
            whole = network.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False, pad_token_id=257)[0]
        answer = [token for token in whole[len(ids) :].tolist() if token != 257]
        assert output.a == model.tokenizer.decode(answer)


@pytest.mark.parametrize("name", [*NAMES, "mamba", "minimax", "falcon_h1"])
@pytest.mark.filterwarnings("ignore:.*keeps more than keys and values:UserWarning")
def test_streams_go_on_from_ragged_rows_and_can_be_chosen(name, decoder_folders):
    """Fed unevenly, waiting in between, doubled and reordered: always the hidden states of one pass."""
    model = ol.load(decoder_folders(name)[1])
    backbone = model.network.backbone
    rows = [embedded(model, row).detach() for row in ([*range(60, 82)], [7, 9, 30, 31, 90, 91, 5, 6], [*range(3, 16)])]
    whole = [backbone(row, plain_layout([len(row)], [0])) for row in rows]
    sources = [9, 0, 3]
    read = torch.cat([row[:n] for row, n in zip(rows, sources, strict=True)])
    cache = backbone.prefill(read, plain_layout(sources, [0] * 3))
    at = list(sources)
    for counts in ([1, 2, 0], [0, 3, 3], [1, 1, 1]):
        check(backbone, cache, rows, whole, at, counts)
    chosen = [2, 0, 2, 1]
    cache.select(torch.tensor(chosen))
    rows, whole, at = ([held[i] for i in chosen] for held in (rows, whole, at))
    for counts in ([1, 1, 2, 1], [1, 1, 1, 0]):
        check(backbone, cache, rows, whole, at, counts)


def check(backbone, cache, rows, whole, at, counts):
    fed = torch.zeros(len(counts), max(counts), rows[0].shape[1])
    for stream, count in enumerate(counts):
        fed[stream, :count] = rows[stream][at[stream] : at[stream] + count]
    kinds = torch.zeros(fed.shape[:2], dtype=torch.long)
    left = backbone.extend(NewRows(fed * 2, torch.tensor(counts), kinds, keep=False), cache)
    assert left.shape == fed.shape
    hidden = backbone.extend(NewRows(fed, torch.tensor(counts), kinds), cache)
    for stream, count in enumerate(counts):
        wanted = whole[stream][at[stream] : at[stream] + count]
        torch.testing.assert_close(hidden[stream, :count], wanted, rtol=0, atol=1e-4)
        at[stream] += count


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_come_out_as_they_went_in(name, decoder_folders, checkpoints, tmp_path):
    network, folder = decoder_folders(name)
    out = ol.load(folder).save(tmp_path / "out", format="hf")
    before, after = checkpoints.tensors(folder), checkpoints.tensors(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    for file in ("config.json", "tokenizer.json", "generation_config.json"):
        assert (out / file).read_bytes() == (folder / file).read_bytes()
    with checkpoints.quiet():
        again = transformers.AutoModelForCausalLM.from_pretrained(out)
    row = torch.tensor([ROWS[0]])
    assert torch.equal(again(row).logits, network(row).logits)


def test_weights_keep_their_dtype_and_rotations_their_precision(decoders, checkpoints, tmp_path):
    network, folder = decoders.folder("olmo2", tmp_path / "in")
    network.to(torch.bfloat16).save_pretrained(folder)
    model = ol.load(folder, dtype="auto")
    assert {weight.dtype for weight in model.network.backbone.parameters()} == {torch.bfloat16}
    speeds = dict(model.network.backbone.named_buffers())["body.rotary_emb.inv_freq"]
    torch.testing.assert_close(speeds, network.model.rotary_emb.inv_freq.float(), rtol=5e-3, atol=0)
    assert speeds.dtype == torch.float32
    assert ol.load(folder).network.ports["text"].embedding.weight.dtype == torch.float32
    before, after = checkpoints.tensors(folder), checkpoints.tensors(model.save(tmp_path / "out", format="hf"))
    assert all(torch.equal(before[key], after[key]) and after[key].dtype == torch.bfloat16 for key in before)


def test_a_decoder_with_states_reads_all_again(decoder_folders):
    network, folder = decoder_folders("mamba")
    with pytest.warns(UserWarning, match="`MambaForCausalLM` keeps more than keys and values, so that each token"):
        model = ol.load(folder)
    ids = model.tokenizer.encode("hello")
    with torch.no_grad():
        whole = network.generate(torch.tensor([ids]), max_new_tokens=5, do_sample=False, pad_token_id=257)[0]
    answer = [token for token in whole[len(ids) :].tolist() if token != 257]
    found = model.predict("[TEXT:q] -> [TEXT:a,max_length=6]", {"q": "hello"}, decoder="greedy")
    assert found.a == model.tokenizer.decode(answer)


def test_recomputed_layers_give_the_same_gradient(decoder_folders):
    def gradient(**settings):
        torch.manual_seed(0)
        model = ol.load(decoder_folders("phi3")[1], **settings)
        model.network.train()
        hidden = model.network.backbone(embedded(model, ROWS[0]), plain_layout([3], [4]))
        hidden.square().sum().backward()
        return [weight.grad for weight in model.network.backbone.parameters()]

    plain, again = gradient(), gradient(checkpoint=True)
    assert plain and all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, again, strict=True))


def test_a_beam_finds_what_generate_finds(decoder_folders):
    network, folder = decoder_folders("gpt_neox")
    model = ol.load(folder)
    ids = model.tokenizer.encode("beams of light")
    with torch.no_grad():
        how = {"num_beams": 3, "max_new_tokens": 5, "do_sample": False, "pad_token_id": 257}
        wanted = network.generate(torch.tensor([ids]), **how)[0, len(ids) :].tolist()
    line = "[TEXT:q] -> [TEXT:a,max_length=6,decoder=beam,beams=3]"
    assert model.predict(line, {"q": "beams of light"}).a == model.tokenizer.decode(wanted)


def test_begins_and_turns_are_those_of_the_folder(decoders, tmp_path):
    """A tokenizer that begins texts with a token, and a template whose turns end a text."""
    _, plain = decoders.folder("olmo2", tmp_path / "plain", begins=True)
    declared = ol.load(plain).backbone
    assert (declared.before, declared.between, declared.opening) == ("<s>", "", "<s>")
    talks = {"template": decoders.TEMPLATE, "ends": (257, 259)}
    network, chat = decoders.folder("olmo2", tmp_path / "chat", begins=True, **talks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no template of ours writes so
        model = ol.load(chat)
        unturned = ol.load(chat, marks="plain").backbone
    assert (model.backbone.before, model.backbone.between) == ("<s><user>", "<end><assistant>")
    assert (unturned.before, unturned.between) == ("<s>", "")
    assert model.tokenizer.end == 259
    ids = [256, 260, *model.tokenizer.encode("hi"), 259, 261]
    with torch.no_grad():
        whole = network.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False, pad_token_id=257)[0]
    answer = [token for token in whole[len(ids) :].tolist() if token not in (257, 259)]
    assert model.predict(LINE, {"q": "hi"}, decoder="greedy").a == model.tokenizer.decode(answer)


def test_what_a_configuration_leaves_out_is_that_of_transformers(decoders, tmp_path):
    for name, key, value in (("gpt2", "n_positions", 1024), ("gemma2", "final_logit_softcapping", 30.0)):
        network, folder = decoders.folder(name, tmp_path / name, **{key: value})
        content = json.loads((folder / "config.json").read_text())
        assert content.pop(key) == value
        (folder / "config.json").write_text(json.dumps(content))
        model = ol.load(folder)
        theirs = network(torch.tensor([ROWS[0]])).logits[0]
        torch.testing.assert_close(logits(model, ROWS)[0], theirs, rtol=0, atol=1e-4)
        wanted = {"gpt2": (1024, None), "gemma2": (160, 30.0)}
        assert (model.backbone.context(), model.backbone.logit_cap) == wanted[name]


def test_an_output_layer_of_other_rows_is_refused(decoders, tmp_path):
    _, folder = decoders.folder("moshi", tmp_path)
    with pytest.raises(BundleError, match="the output layer must have the 265 rows of the table of words, but is"):
        ol.load(folder)


def test_settings_of_sampling_come_along(decoders, tmp_path):
    _, folder = decoders.folder("gpt2", tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_k": 3, "eos_token_id": 257}))
    assert ol.load(folder).sampling == {"do_sample": True, "top_k": 3}


@pytest.mark.parametrize("name", ["gpt2", "gemma3_text", "bloom", "mpt", "opt", "deepseek_v3", "falcon alibi"])
def test_prompts_that_begin_alike_are_read_once(name, decoder_folders):
    model = ol.load(decoder_folders(name)[1])
    asked = [{"q": "what was said before the question, " * 2 + ask} for ask in ("one", "a second one, longer", "")]
    alone = [model.predict(LINE, row, decoder="greedy", prefix_cache=0).a for row in asked]
    assert model.prefixes.reused == 0
    assert [found.a for found in model.predict(LINE, asked, decoder="greedy")] == alone
    shared = model.prefixes.reused
    assert shared >= 2 * 60
    assert [found.a for found in model.predict(LINE, asked, decoder="greedy")] == alone
    assert model.prefixes.reused >= shared + 3 * 60


def test_rotations_that_grow_are_not_shared(decoder_folders, decoders, tmp_path):
    ropes = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    model = ol.load(decoders.folder("olmo2", tmp_path, rope_parameters=ropes)[1])
    row = embedded(model, ROWS[0])
    assert model.network.backbone.reading(row, plain_layout([len(row)], [0])) is None
    other = ol.load(decoder_folders("olmo2")[1]).network.backbone
    assert other.reading(row, plain_layout([len(row)], [0])) is not None
