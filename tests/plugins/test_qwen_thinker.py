"""The thinker of Qwen2.5-Omni beside transformers: lines of text, pictures, sounds and clips with their sound."""

import json
import shutil

import av
import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5OmniProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    WhisperFeatureExtractor,
)
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniThinkerConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerForConditionalGeneration

import omniline as ol
from omniline.core.errors import BundleError
from omniline.core.example import RowId
from omniline.core.packing import pack

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of transformers

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
RATE = 16_000
LINES = (
    "look: [IMAGE:img] hear: [AUDIO:song] then [VIDEO:clip] [AUDIO:sound,sync=clip] what? -> [TEXT:answer]",
    "[VIDEO:clip] alone, then [AUDIO:song] [IMAGE:img] -> [TEXT:answer]",
    "[VIDEO:clip] [AUDIO:sound,sync=clip] -> [TEXT:answer]",
    "say so -> [TEXT:answer]",
)
SEEN, FILM = (f"<|vision_bos|><|{kind}|><|vision_eos|>" for kind in ("IMAGE", "VIDEO"))
HEARD = "<|audio_bos|><|AUDIO|><|audio_eos|>"
PROMPTS = (
    (f"look: {SEEN} hear: {HEARD} then {FILM} what?", ("img", "song", "clip", "sound")),
    (f"{FILM} alone, then {HEARD} {SEEN}", ("clip", "song", "img")),
    (FILM, ("clip", "sound")),
    ("say so", ()),
)
"""The same lines as transformers is asked, with their media."""


def tokenizer():
    """Bytes with the marks and placeholders of the thinker's tokenizer."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens([*MARKS, *PLACEHOLDERS.values()])
    return inner


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
            "vocab_size": TOKENIZER.get_vocab_size(),
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {"mrope_section": [1, 1, 2], "rope_theta": 1e6, "rope_type": "default"},
            "tie_word_embeddings": False,
        },
        tie_word_embeddings=False,
        **{key: TOKENIZER.token_to_id(name) for key, name in (names | marks).items()},
    )
    config.vision_start_token_id = TOKENIZER.token_to_id("<|vision_bos|>")
    made = Qwen2_5OmniThinkerForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return made


def row(seed):
    """A row whose clip and sounds have uneven lengths; each frame 0.5 s."""
    draw = np.random.default_rng(seed)
    size = 60 + 20 * (seed % 3)
    frames = draw.integers(0, 256, (6 + 2 * (seed % 2), 70, 90, 3), dtype=np.uint8)
    return {
        "img": Image.fromarray(draw.integers(0, 256, (size, 80, 3), dtype=np.uint8)),
        "song": (0.1 * draw.standard_normal(4000 + 7001 * seed).astype(np.float32), RATE),
        "sound": (0.1 * draw.standard_normal(RATE * len(frames) // 2).astype(np.float32), RATE),
        "clip": {"frames": list(frames), "fps": 2.0},
        "answer": "a hen, " * (1 + seed),
    }


@pytest.fixture(scope="module")
def theirs():
    return reference()


@pytest.fixture(scope="module")
def processor():
    marks = {f"{a}_{b}_token": f"<|{a}_{b}|>" for a in ("vision", "audio") for b in ("bos", "eos")}
    names = {f"{kind.lower()}_token": name for kind, name in PLACEHOLDERS.items()}
    pixels = {"min_pixels": 56 * 56, "max_pixels": 84 * 84}
    return Qwen2_5OmniProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        video_processor=Qwen2VLVideoProcessor(**pixels, cap_pixels_per_frame=False),
        feature_extractor=WhisperFeatureExtractor(feature_size=BANDS, chunk_length=30),
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=TOKENIZER, eos_token="<|endoftext|>", extra_special_tokens=marks | names
        ),
    )


@pytest.fixture(scope="module")
def folder(theirs, processor, tmp_path_factory):
    """The thinker as transformers writes it."""
    place = tmp_path_factory.mktemp("thinker")
    theirs.save_pretrained(place)
    processor.save_pretrained(place)
    return place


@pytest.fixture(scope="module", params=["chatml", "plain"])
def ours(folder, request):
    """The folder loaded, with turns around the sides and without, and the readers of the tasks."""
    model = ol.load(folder, marks=request.param)
    tasks = [ol.Task(f"t{i}", line, train=[row(0), row(1)]) for i, line in enumerate(LINES)]
    model.adopt(tasks)
    return model, {task.name: model.reader(model.bound(task)) for task in tasks}


def given(number, data, processor, *, turns, answer=None):
    """What transformers makes of a line: the same words, marks and media through its own processor."""
    text, names = PROMPTS[number]
    if turns:
        text = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    if answer is not None:
        text += f"{answer}<|endoftext|>"
    sounds = [name for name in names if name in ("song", "sound")]
    together = "sound" in sounds
    found = processor(
        text=text,
        images=[data["img"]] if "img" in names else None,
        videos=[torch.from_numpy(np.stack(data["clip"]["frames"])).permute(0, 3, 1, 2)] if "clip" in names else None,
        audio=[data[name][0] for name in sounds] or None,
        audio_from_video_indices=[0 if name == "sound" else None for name in sounds] if together else None,
        load_audio_from_video=together,
        return_tensors="pt",
    )
    return {**found, "use_audio_in_video": together} if "clip" in names else dict(found)


def test_tokens_and_logits_of_a_packed_batch_are_those_of_transformers(ours, theirs, processor):
    """Every row of every stream; the batch mixes tasks, transformers reads one example after the other."""
    model, readers = ours
    turns = bool(readers["t0"].frame.between)
    cases = [(i % 4, row(i % 3)) for i in range(6)]
    examples = [readers[f"t{i}"].example(data, RowId(f"t{i}", n)) for n, (i, data) in enumerate(cases)]
    batch = pack(examples, readers)
    with torch.no_grad():
        hidden = batch.layout.join(model.network(batch))
    for n, (number, data) in enumerate(cases):
        at, count = batch.layout.joined.starts[n], batch.layout.joined.lengths[n]
        wanted = given(number, data, processor, turns=turns, answer=data["answer"])
        assert tokens_of(examples[n], readers[f"t{number}"]) == wanted["input_ids"][0].tolist()
        with torch.no_grad():
            logits = theirs(**wanted).logits[0]
            found = model.network.ports["text"].project(hidden[at : at + count])
        assert (found - logits).abs().max() <= 1e-4 and logits.std() > 0.1


def tokens_of(example, reader):
    """The tokens of our layout, of media those that stand for them."""
    out = []
    for piece in (*example.streams[0].source, *example.streams[0].target):
        own = piece.encoded.tensors.get("tokens")
        if own is not None:
            out += [int(token) for token in own]
        else:
            name = PLACEHOLDERS[reader.wordings[0].slots[piece.slot].slot.modality]
            out += [TOKENIZER.token_to_id(name)] * piece.encoded.rows
    return out


@pytest.mark.parametrize("number", range(len(LINES)))
def test_greedy_answers_are_those_of_transformers(ours, theirs, processor, number):
    """Prefill and steps, with places that run on from the media's; in plain, the last mark is the first step."""
    model, readers = ours
    data = row(1)
    wanted = given(number, data, processor, turns=bool(readers["t0"].frame.between))
    with torch.no_grad():
        made = theirs.generate(**wanted, max_new_tokens=6, do_sample=False, eos_token_id=0, pad_token_id=0)
    tokens = made[0, wanted["input_ids"].shape[1] :].tolist()
    line = LINES[number].replace("[TEXT:answer]", "[TEXT:answer,max_length=7]")
    found = model.predict(line, {key: value for key, value in data.items() if key != "answer"})
    text = model.tokenizer.decode([token for token in tokens if token])
    assert text and found.answer[: len(text)] == text


def test_all_weights_are_written_back_bit_by_bit(ours, theirs, tmp_path):
    model, _ = ours
    model.save(tmp_path / "out", format="hf")
    again = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(tmp_path / "out")
    state = again.state_dict()
    assert state.keys() == theirs.state_dict().keys()
    assert all(torch.equal(state[name], weight) for name, weight in theirs.state_dict().items())


@pytest.mark.parametrize(
    ("file", "path", "value", "says"),
    [
        ("processor_config.json", ("feature_extractor", "hop_length"), 80, "`hop_length` must be 160, but is 80"),
        ("processor_config.json", ("feature_extractor", "feature_size"), 80, "`feature_size` must be 16, but is 80"),
        ("config.json", ("audio_config", "activation_function"), "relu", "must be gelu, but is relu"),
    ],
)
def test_towers_of_another_kind_are_refused(folder, tmp_path, file, path, value, says):
    for item in folder.iterdir():
        shutil.copy(item, tmp_path / item.name)
    held = json.loads((tmp_path / file).read_text())
    held[path[0]][path[1]] = value
    (tmp_path / file).write_text(json.dumps(held))
    with pytest.raises(BundleError, match=says):
        ol.load(tmp_path)


def conversation(data, more):
    """Two questions, each with a clip that has its sound beside it, and what transformers is asked for the same."""
    clips = [{"type": "video", "video": one["clip"], "audio": one["sound"]} for one in (data, more)]
    song, image = {"type": "audio", "audio": more["song"]}, {"type": "image", "image": data["img"]}
    said = [["look: ", image, clips[0], "what?"], "a hen", [song, clips[1], "and?"], "rain"]
    written = [f"look: {SEEN}{FILM}what?", "a hen", f"{HEARD}{FILM}and?", "rain"]
    roles = ("user", "assistant") * 2
    turns = [("system", "You are a helpful assistant."), *zip(roles, written, strict=True)]
    talk = [{"role": role, "content": content} for role, content in zip(roles, said, strict=True)]
    return talk, [f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns]


def asked(text, data, more, processor):
    found = processor(
        text=text,
        images=[data["img"]],
        videos=[torch.from_numpy(np.stack(one["clip"]["frames"])).permute(0, 3, 1, 2) for one in (data, more)],
        audio=[data["sound"][0], more["song"][0], more["sound"][0]],
        audio_from_video_indices=[0, None, 1],
        load_audio_from_video=True,
        return_tensors="pt",
    )
    return {**found, "use_audio_in_video": True}


def test_clips_with_their_sound_in_turns_of_a_conversation(folder, theirs, processor):
    """Tokens, logits and the answer: a clip and its sound take turns within the marks of both."""
    model, (data, more) = ol.load(folder), (row(1), row(2))
    talk, turns = conversation(data, more)
    model.adopt(task := ol.Task("talk", "-> [CHAT:talk,holds=image|video|audio]", train=[{"talk": talk}]))
    example = (reader := model.reader(model.bound(task))).example({"talk": talk}, RowId("talk", 0))
    wanted = asked("".join(turns), data, more, processor)
    ports, own = list(model.network.ports), []
    for piece in example.streams[0].target:
        tokens = piece.encoded.tensors.get("tokens")
        name = PLACEHOLDERS["AUDIO" if ports[piece.kind] == "audio" else "IMAGE" if piece.clock < 0 else "VIDEO"]
        own += [TOKENIZER.token_to_id(name)] * piece.encoded.rows if tokens is None else tokens.tolist()
    batch = pack([example], {"talk": reader})
    assert own == wanted["input_ids"][0].tolist()
    with torch.no_grad():
        hidden = model.network(batch)
        logits = theirs(**wanted).logits[0]
        found = model.network.ports["text"].project(batch.layout.join(hidden))
        start = asked("".join([*turns[:-1], "<|im_start|>assistant\n"]), data, more, processor)
        made = theirs.generate(**start, max_new_tokens=6, do_sample=False, eos_token_id=0, pad_token_id=0)
    assert (found - logits).abs().max() <= 1e-4 and logits.std() > 0.1
    tokens = made[0, start["input_ids"].shape[1] :].tolist()
    answer = model.predict(task.instruction, {"talk": talk[:3]}, most_tokens=7).talk[-1]["content"]
    text = model.tokenizer.decode([token for token in tokens if token])
    assert text and answer.startswith(text)


def film(path, seconds=4.5):
    """A film of noise with its sound."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream("aac", rate=RATE)
        track.layout = "mono"
        draw = np.random.default_rng(0)
        for _ in range(round(10 * seconds)):
            frame = av.VideoFrame.from_ndarray(draw.integers(0, 256, (48, 64, 3), dtype=np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode())
        samples = (0.2 * draw.standard_normal(round(RATE * seconds))).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        sound.sample_rate = RATE
        container.mux(track.encode(sound))
        container.mux(track.encode())
    return str(path)


def test_one_film_is_read_twice_and_trained_on(folder, tmp_path):
    """The line of the language's first page: pieces of two seconds in turn, and gradients in both towers."""
    model = ol.load(folder, marks="chatml")
    line = "[VIDEO:clip] [AUDIO:sound,column=clip,sync=clip] what happens? -> [TEXT:answer]"
    task = ol.Task("film", line, train=[{"clip": film(tmp_path / "film.mp4"), "answer": "rain"}])
    model.adopt(task)
    reader = model.reader(model.bound(task))
    example = reader.example(task.train[0], RowId("film", 0))
    own = [(p.slot, p.encoded.rows) for p in example.streams[0].source if p.clock >= 0 and p.slot >= 0]
    tokens = {slot: sum(rows for s, rows in own if s == slot) for slot in (0, 1)}
    assert [slot for slot, _ in own] == [0, 1, 0, 1, 1]  # no pair of frames begins in the last half second
    assert [rows for slot, rows in own if slot == 1][:2] == [50, 50] and 110 <= tokens[1] <= 113
    assert tokens[0] % 4 == 0 and own[0][1] == own[2][1]
    model.network.train()
    model.network.loss(pack([example], {"film": reader})).total.backward()
    for port in ("vision", "audio"):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.network.ports[port].parameters())
