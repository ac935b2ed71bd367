"""The thinker of Qwen2.5-Omni beside transformers: lines of text, pictures, sounds and clips with their sound."""

import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor, WhisperFeatureExtractor
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniThinkerConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerForConditionalGeneration

import omniline as ol
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.plugins.language.tokenizer import PieceTokenizer
from omniline.plugins.qwen import audio_names, vision_names

MARKS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_bos|>",
    "<|vision_eos|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
)
PLACEHOLDERS = {"IMAGE": "<|IMAGE|>", "VIDEO": "<|VIDEO|>", "AUDIO": "<|AUDIO|>"}
WIDTH, LAYERS, BANDS = 32, 2, 16
PIXELS = {"min_pixels": 56 * 56, "max_pixels": 84 * 84}
TOWER = "design=window;depth=2;tower_width=32;heads=2;ffn=24;window=56;full_layers=1;min_pixels=3136;max_pixels=7056"
BRINGS = (
    f"qwen_image;{TOWER}|qwen_video;{TOWER};clock=seconds|"
    f"qwen_audio;bands={BANDS};channels=24;heads=3;ffn=20;layers=2;max_seconds=30"
)
BACKBONE = (
    f"decoder-tiny,width={WIDTH},heads=4,key_heads=2,ffn=48,layers={LAYERS},positions=2048,qkv_bias=true,untied=true,"
    "rope_base=1000000,rope_sections=1|1|2,rope_rate=25,prefix=causal,typed=false,marks={marks},media=omni,"
    f"brings={BRINGS}"
)
TASK = (
    "look: [IMAGE:img] hear: [AUDIO:song] then [VIDEO:clip] [AUDIO:sound,sync=clip] what? -> [TEXT:answer]",
    "[VIDEO:clip] alone, then [AUDIO:song] [IMAGE:img] -> [TEXT:answer]",
    "[VIDEO:clip] [AUDIO:sound,sync=clip] -> [TEXT:answer]",
    "say so -> [TEXT:answer]",
)


def tokenizer():
    """Bytes with the marks and placeholders of the thinker's tokenizer."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens([*MARKS, *PLACEHOLDERS.values()])
    return PieceTokenizer(inner.to_str())


TOKENIZER = tokenizer()


def reference():
    """A random thinker of transformers."""
    torch.manual_seed(0)
    names = {"image_token_index": "<|IMAGE|>", "video_token_index": "<|VIDEO|>", "audio_token_index": "<|AUDIO|>"}
    marks = {"audio_start_token_id": "<|audio_bos|>", "audio_end_token_id": "<|audio_eos|>"}
    config = Qwen2_5OmniThinkerConfig(
        audio_config={
            "num_mel_bins": BANDS,
            "d_model": 24,
            "encoder_attention_heads": 3,
            "encoder_ffn_dim": 20,
            "encoder_layers": 2,
            "output_dim": WIDTH,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 24,
            "num_heads": 2,
            "window_size": 56,
            "fullatt_block_indexes": [1],
            "out_hidden_size": WIDTH,
        },
        text_config={
            "vocab_size": TOKENIZER.vocabulary,
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {"mrope_section": [1, 1, 2], "rope_theta": 1e6, "rope_type": "default"},
            "tie_word_embeddings": False,
        },
        tie_word_embeddings=False,
        **{key: TOKENIZER.special(name) for key, name in (names | marks).items()},
    )
    config.vision_start_token_id = TOKENIZER.special("<|vision_bos|>")
    made = Qwen2_5OmniThinkerForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return made


def taken(network, state):
    """The network with the weights of transformers."""
    state, out = dict(state), {}
    out["ports.text.embedding.weight"] = state.pop("model.language_model.embed_tokens.weight")
    out["ports.text.output.weight"] = state.pop("lm_head.weight")
    out["backbone.norm.weight"] = state.pop("model.language_model.norm.weight")
    for n in range(LAYERS):
        own, other = f"backbone.layers.{n}.", f"model.language_model.layers.{n}."
        for ours, theirs in (
            *((f"attention.{a}", f"self_attn.{a}_proj") for a in "qkv"),
            ("attention.out", "self_attn.o_proj"),
            *((f"{a}", f"mlp.{a}_proj") for a in ("gate", "up", "down")),
            ("attention_in", "input_layernorm"),
            ("ffn_in", "post_attention_layernorm"),
        ):
            for part in ("weight", "bias"):
                if f"{other}{theirs}.{part}" in state:
                    out[f"{own}{ours}.{part}"] = state.pop(f"{other}{theirs}.{part}")
        for part in ("weight", "bias"):
            three = [state.pop(f"model.visual.blocks.{n}.attn.{a}.{part}") for a in "qkv"]
            state[f"model.visual.blocks.{n}.attn.qkv.{part}"] = torch.cat(three)
    for port, tower, names in (
        ("vision", "visual", vision_names.NAMES["window"]),
        ("audio", "audio_tower", audio_names.NAMES),
    ):
        for ours, theirs in names:
            for n in range(2) if "{n}" in ours else [0]:
                out[f"ports.{port}.{ours.format(n=n)}"] = state.pop(f"model.{tower}.{theirs.format(n=n)}")
    assert not state
    missing, odd = network.load_state_dict(out, strict=False)
    assert not odd and set(missing) == {name for name in network.state_dict() if name.startswith("ports.marks")}


def row(seed):
    """A row whose clip and sounds have uneven lengths."""
    draw = np.random.default_rng(seed)
    size = 60 + 20 * (seed % 3)
    frames = draw.integers(0, 256, (6 + 2 * (seed % 2), 70, 90, 3), dtype=np.uint8)
    return {
        "img": Image.fromarray(draw.integers(0, 256, (size, 80, 3), dtype=np.uint8)),
        "song": (0.1 * draw.standard_normal(4000 + 7001 * seed).astype(np.float32), 16_000),
        "sound": (0.1 * draw.standard_normal(16_000 * (len(frames) // 2) + 900).astype(np.float32), 16_000),
        "clip": {"frames": list(frames), "fps": 2.0},
        "answer": "a hen, " * (1 + seed),
    }


@pytest.fixture(scope="module")
def theirs():
    return reference()


@pytest.fixture(scope="module", params=["chatml", "plain"])
def both(theirs, request):
    """Ours and theirs with the same weights, and the readers of the tasks; with turns around the sides and without."""
    tasks = [ol.Task(f"t{i}", line, train=[row(0), row(1)]) for i, line in enumerate(TASK)]
    model = ol.Model.build(backbone=BACKBONE.format(marks=request.param), tasks=tasks, tokenizer=TOKENIZER)
    taken(model.network, theirs.state_dict())
    readers = {task.name: model.reader(model.bound(task)) for task in tasks}
    return model, theirs, readers


def asked(pieces, reader, data):
    """What transformers is given for pieces: their tokens by our layout, the media by its own processors."""
    tokens, kinds = [], []
    for piece in pieces:
        own = piece.encoded.tensors.get("tokens")
        if own is not None:
            tokens += [int(token) for token in own]
            continue
        slot = reader.wordings[0].slots[piece.slot].slot
        tokens += [TOKENIZER.special(PLACEHOLDERS[slot.modality])] * piece.encoded.rows
        if slot.name not in kinds:
            kinds.append(slot.name)
    given = {"input_ids": torch.tensor([tokens]), "attention_mask": torch.ones(1, len(tokens), dtype=torch.long)}
    if "img" in kinds:
        found = Qwen2VLImageProcessor(**PIXELS)(images=data["img"], return_tensors="pt")
        given |= {"pixel_values": found["pixel_values"], "image_grid_thw": found["image_grid_thw"]}
    if "clip" in kinds:
        clip = torch.from_numpy(np.stack(data["clip"]["frames"])).permute(0, 3, 1, 2)
        found = Qwen2VLVideoProcessor(**PIXELS)(videos=clip, do_sample_frames=False, return_tensors="pt")
        given |= {"pixel_values_videos": found["pixel_values_videos"], "video_grid_thw": found["video_grid_thw"]}
        given |= {"video_second_per_grid": torch.tensor([1.0]), "use_audio_in_video": "sound" in kinds}
    sounds = [data[name][0] for name in kinds if name in ("song", "sound")]
    if sounds:
        most = (len(data["clip"]["frames"]) // 2) * 16_000
        sounds = [s[:most] if s is data["sound"][0] else s for s in sounds]
        made = WhisperFeatureExtractor(feature_size=BANDS)
        found = made(sounds, sampling_rate=16_000, return_attention_mask=True, return_tensors="pt")
        given |= {"input_features": found["input_features"], "feature_attention_mask": found["attention_mask"]}
    return given


def test_logits_of_a_packed_batch_are_those_of_transformers(both):
    """Every row of every stream; the batch mixes tasks, transformers reads one example after the other."""
    model, theirs, readers = both
    cases = [(f"t{i % 4}", row(i % 3)) for i in range(6)]
    examples = [readers[name].example(data, RowId(name, n)) for n, (name, data) in enumerate(cases)]
    batch = pack(examples, readers)
    network = model.network.eval()
    text = network.ports["text"]
    with torch.no_grad():
        hidden = batch.layout.join(network(batch))
        for n, (example, (name, data)) in enumerate(zip(examples, cases, strict=True)):
            at, count = batch.layout.joined.starts[n], batch.layout.joined.lengths[n]
            found = text.project(hidden[at : at + count])
            given = asked([*example.streams[0].source, *example.streams[0].target], readers[name], data)
            wanted = theirs(**given).logits[0]
            assert found.shape == wanted.shape
            assert (found - wanted).abs().max() <= 1e-4
    assert wanted.std() > 0.1


@pytest.mark.parametrize("number", range(len(TASK)))
def test_greedy_answers_are_those_of_transformers(both, number):
    """Prefill and steps with places that run on from the media's; in plain, the last mark is the first step."""
    model, theirs, readers = both
    data, reader = row(1), readers[f"t{number}"]
    example = reader.example(data, RowId(f"t{number}", 0))
    framing, prompts = reader.framing(0), reader.prompts
    rest, first = framing.opened(example.streams[0].source, [], prompts)
    if rest and not framing.frame.between:  # what the target goes on from was taken out of the source already
        first = example.streams[0].target[0]
        rest = list(example.streams[0].source)
    given = asked([*rest, first], reader, data)
    with torch.no_grad():
        made = theirs.generate(**given, max_new_tokens=6, do_sample=False, eos_token_id=TOKENIZER.end, pad_token_id=0)
    wanted = made[0, given["input_ids"].shape[1] :].tolist()
    wanted = wanted[: wanted.index(TOKENIZER.end)] if TOKENIZER.end in wanted else wanted
    line = TASK[number].replace("[TEXT:answer]", "[TEXT:answer,max_length=7]")
    found = model.predict(line, {key: value for key, value in data.items() if key != "answer"})
    assert found.answer[: len(TOKENIZER.decode(wanted))] == TOKENIZER.decode(wanted)
    assert len(wanted) == 6 and TOKENIZER.decode(wanted)
