"""Folders of Qwen2-VL and Qwen2.5-VL: pictures and clips give the numbers of transformers; written bit by bit."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

import omniline as ol
from omniline.core.errors import BundleError
from omniline.core.example import RowId
from omniline.core.packing import pack

PLACE = {"IMAGE": 300, "VIDEO": 301}
PIXELS = {"min_pixels": 8 * 8 * 4, "max_pixels": 8 * 8 * 40}
PATCHES = {"patch_size": 4, **PIXELS}
TOWERS = {
    "qwen2_vl": {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2},
    "qwen2_5_vl": {
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 48,
        "window_size": 24,
        "fullatt_block_indexes": [1],
    },
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 400,
    "max_position_embeddings": 512,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
    "bos_token_id": None,
}
LINES = (
    "[IMAGE:img] what? -> [TEXT:answer]",
    "first [VIDEO:clip] and [IMAGE:img] then? -> [TEXT:answer]",
    "say so -> [TEXT:answer]",
)


def written(kind, folder, qwen):
    """A random checkpoint of transformers, with the files that its processors leave beside it."""
    torch.manual_seed(0)
    mark = qwen.QWEN.special
    marks = {"vision_start_token_id": mark("<|vision_start|>"), "vision_end_token_id": mark("<|vision_end|>")}
    config, network = {
        "qwen2_vl": (Qwen2VLConfig, Qwen2VLForConditionalGeneration),
        "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
    }[kind]
    made = network(
        config(
            text_config={**TEXT, "eos_token_id": mark("<|endoftext|>")},
            vision_config={"depth": 2, "num_heads": 2, "patch_size": 4, **TOWERS[kind]},
            image_token_id=PLACE["IMAGE"],
            video_token_id=PLACE["VIDEO"],
            **marks,
        )
    ).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    made.save_pretrained(folder)
    Qwen2VLImageProcessor(**PATCHES).save_pretrained(folder)
    Qwen2VLVideoProcessor(**PATCHES).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(qwen.QWEN.to_json())["content"]))
    return made


@pytest.fixture(scope="module", params=list(TOWERS))
def both(request, tmp_path_factory, qwen):
    """The folder, the network of transformers, and ours."""
    folder = tmp_path_factory.mktemp("checkpoint") / request.param
    theirs = written(request.param, folder, qwen)
    return folder, theirs, ol.load(folder)


def row(seed):
    draw = np.random.default_rng(seed)
    return {
        "img": Image.fromarray(draw.integers(0, 256, (30 + 40 * seed, 70, 3), dtype=np.uint8)),
        "clip": list(draw.integers(0, 256, (3 + 6 * seed, 40, 60, 3), dtype=np.uint8)),
        "answer": "a hen, " * (1 + seed),
    }


def asked(stream, slots, data):
    """What transformers is given: the tokens by our layout, the media by its own processors."""
    tokens, given = [], {}
    for piece in (*stream.source, *stream.target):
        own = piece.encoded.tensors.get("tokens")
        if own is None:
            modality = slots[piece.slot].slot.modality
            tokens += [PLACE[modality]] * piece.encoded.rows
            given |= media(modality, data)
        else:
            tokens += [int(token) for token in own]
    ids = torch.tensor([tokens])
    types = (ids == PLACE["IMAGE"]).int() + 2 * (ids == PLACE["VIDEO"]).int()
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": types, **given}


def media(modality, data):
    if modality == "IMAGE":
        found = Qwen2VLImageProcessor(**PATCHES)(images=data["img"], return_tensors="pt")
        return {"pixel_values": found["pixel_values"], "image_grid_thw": found["image_grid_thw"]}
    clip = torch.from_numpy(np.stack(data["clip"])).permute(0, 3, 1, 2)
    found = Qwen2VLVideoProcessor(**PATCHES)(videos=clip, cap_pixels_per_frame=False, return_tensors="pt")
    return {"pixel_values_videos": found["pixel_values_videos"], "video_grid_thw": found["video_grid_thw"]}


def seconds(theirs, given):
    """How far apart the patches of a clip at two frames a second are, for the model that wants to know."""
    wants = theirs.config.model_type == "qwen2_5_vl" and "video_grid_thw" in given
    return {"second_per_grid_ts": torch.tensor([1.0])} if wants else {}


def test_logits_of_a_packed_batch_are_those_of_transformers(both):
    """Every row of every stream; the batch mixes tasks, transformers reads one example after the other."""
    _, theirs, model = both
    tasks = [ol.Task(f"t{i}", line, train=[row(0), row(1)]) for i, line in enumerate(LINES)]
    model.adopt(tasks)
    readers = {task.name: model.reader(model.bound(task)) for task in tasks}
    examples = [readers[t.name].example(row(n), RowId(t.name, n), mode="valid") for t in tasks for n in (0, 1)]
    batch = pack(examples, readers)
    with torch.no_grad():
        hidden = batch.layout.join(model.network(batch))
        parts = model.network.ports["text"].project(hidden).split(list(batch.layout.joined.lengths))
        for ours, example in zip(parts, examples, strict=True):
            slots = readers[example.id.task].wordings[0].slots
            given = asked(example.streams[0], slots, row(example.id.row))
            wanted = theirs(**given, **seconds(theirs, given)).logits[0]
            assert len(ours) == len(wanted)
            assert torch.allclose(ours, wanted, atol=1e-4), example.id
    assert len(examples) == 6 and batch.layout.rows > 150


def test_greedy_answers_are_those_of_transformers(both):
    _, theirs, model = both
    for line in LINES[:2]:
        data, line = row(1), line.replace("answer", "answer,max_length=13")
        task = ol.Task("asked", line, train=[data])
        model.adopt([task])
        reader = model.reader(model.bound(task))
        stream = reader.example(data, RowId("asked", 0), mode="predict").streams[0]
        given = asked(stream, reader.wordings[0].slots, data)
        found = theirs.generate(**given, **seconds(theirs, given), max_new_tokens=12, do_sample=False)
        wanted = found[0, given["input_ids"].shape[1] :].tolist()
        answer = model.predict(line, data)
        assert model.tokenizer.decode(wanted) == answer.answer


def test_the_weights_come_out_as_they_went_in(both, tmp_path):
    folder, _, model = both
    out = model.save(tmp_path / "out", format="hf")
    before, after = load_file(folder / "model.safetensors"), load_file(out / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((out / "config.json").read_text()) == json.loads((folder / "config.json").read_text())


def test_an_older_checkpoint_goes_on_as_the_reports_say(both, tmp_path):
    """transformers 4 and the reports count on from a clip's last time; the folder says who wrote it."""
    folder, _, model = both
    assert model.backbone.settings()["rope_after"] == "sides"
    assert (
        ol.load(changed(folder, tmp_path, transformers_version="4.41.2")).backbone.settings()["rope_after"] == "largest"
    )


def test_what_a_folder_does_not_say_is_as_transformers_has_it(both, tmp_path):
    out = changed(both[0], tmp_path)
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        (out / name).unlink(missing_ok=True)
    image, video = (
        dict(part.split("=") for part in s.split(";")[1:]) for s in ol.load(out).backbone.settings()["brings"][:2]
    )
    assert image["normalise"] == video["normalise"] == "clip"
    assert "min_pixels" not in image and "max_pixels" not in video


def filmed(folder, place, name="video_preprocessor_config.json", **entries):
    """A copy of a folder whose preprocessor of clips says more."""
    out = changed(folder, place)
    file = out / name
    held = json.loads(file.read_text()) if file.is_file() else {}
    if name != "video_preprocessor_config.json":
        (out / "video_preprocessor_config.json").unlink(missing_ok=True)
    file.write_text(json.dumps(held | entries))
    return out


@pytest.mark.parametrize("name", ["video_preprocessor_config.json", "preprocessor_config.json"])
def test_the_frames_of_a_clip_are_those_that_the_preprocessor_says(both, tmp_path, name):
    """As a default: what a slot says itself stands."""
    model = ol.load(filmed(both[0], tmp_path, name, fps=1, min_frames=2, max_frames=6))
    clip = {"frames": list(np.zeros((40, 16, 16, 3), np.uint8)), "fps": 4.0}
    counts = []
    for more in ("", ",fps=2.0,max_frames=16"):
        task = ol.Task("film", f"[VIDEO:clip{more}] -> [TEXT:answer]", train=[{"clip": clip, "answer": "a"}])
        model.adopt([task])
        pieces = model.reader(model.bound(task)).example(task.train[0], RowId("film", 0)).streams[0].source
        counts += [int(p.encoded.tensors["grid_thw"][0, 0]) for p in pieces if "grid_thw" in p.encoded.tensors]
    assert counts == [3, 8]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"fps": 0}, r"video_preprocessor_config.json: `fps` must be above 0, but is 0"),
        ({"fps": "quick"}, "`fps` must be a number of at least 0, but is 'quick'"),
        ({"max_frames": 2.5}, "`max_frames` must be a whole number of at least 1, but is 2.5"),
        ({"min_frames": 9, "max_frames": 8}, "`min_frames` must be at most `max_frames`, but is 9 of 8"),
    ],
)
def test_frames_that_cannot_be(both, tmp_path, entries, message):
    with pytest.raises(BundleError, match=message):
        ol.load(filmed(both[0], tmp_path, **entries))


def changed(folder, place, vision=None, preprocessor=None, **entries):
    """A copy of a folder with other entries."""
    out = place / "changed"
    out.mkdir()
    for file in folder.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    content = json.loads((out / "config.json").read_text()) | entries
    content["vision_config"] |= vision or {}
    (out / "config.json").write_text(json.dumps(content))
    if preprocessor:
        file = out / "preprocessor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | preprocessor))
    return out


@pytest.mark.parametrize(
    ("vision", "preprocessor", "message"),
    [
        ({"hidden_act": "relu"}, {}, r"`hidden_act` must be (silu|quick_gelu), but is relu"),
        ({"in_channels": 4}, {}, r"`in_channels` must be 3, but is 4"),
        ({"depth": "two"}, {}, r"`depth` must be a whole number of at least 1, but is 'two'"),
        ({}, {"patch_size": 14}, r"`patch_size` must be that of the vision tower, 4, but is 14"),
        ({}, {"image_mean": [0.1, 0.2, 0.3]}, r"must be those of half, imagenet, clip, but are \(0.1, 0.2, 0.3\)"),
        ({"depth": 3}, {}, r"lacks the tensor `visual.blocks.2."),
    ],
)
def test_bad_folders_say_so(both, tmp_path, vision, preprocessor, message):
    with pytest.raises(BundleError, match=message):
        ol.load(changed(both[0], tmp_path, vision, preprocessor))
