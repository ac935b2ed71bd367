"""AUDIO through the public API: sounds in and out, in one batch with text, aligned by CTC, in time with each other."""

import numpy as np
import pytest
import soundfile
import torch

import omniline as ol
from omniline.core.errors import DataError
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.core.sound import Audio

RATE = 8000
BACKBONES = {
    "ofa": "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=2,positions=256,dropout=0",
    "decoder": "decoder-tiny,width=32,heads=2,key_heads=1,ffn=48,layers=2,positions=512",
}
SMALL = "sample_rate=8000,bands=16,max_seconds=2,prenet_dropout=0,postnet=8"
READ = f"[AUDIO:wav,{SMALL},loss=ctc,too_short=ignore] what is said? -> [TEXT:text]"
SAY = f"[TEXT:text] -> [AUDIO:wav,{SMALL}]"
REPLY = f"[AUDIO:wav,{SMALL}] and then -> [TEXT:text] [AUDIO:wav,{SMALL}]"


def rows(count=4):
    """Buzzes of uneven length with a word each."""
    out = []
    for i in range(count):
        at = np.arange(int(RATE * (0.3 + 0.13 * i))) / RATE
        wave = 0.3 * np.sign(np.sin(2 * np.pi * (100 + 60 * i) * at))
        out.append({"wav": (wave.astype(np.float32), RATE), "text": f"no {i}"})
    return out


def tasks():
    return [ol.Task(name, line, train=rows()) for name, line in (("read", READ), ("say", SAY), ("reply", REPLY))]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_packed_and_padded_give_the_same_losses(backbone):
    model = ol.Model.build(backbone=BACKBONES[backbone], tasks=tasks(), seed=1)
    bound = [model.bound(task) for task in tasks()]
    readers = {one.task.name: model.reader(one) for one in bound}
    examples = [
        readers[one.task.name].example(one.read("train", i), RowId(one.task.name, i)) for i in range(4) for one in bound
    ]
    found = []
    for padded in (False, True):
        model.network.zero_grad()
        losses = model.network.loss(pack(examples, readers, padded=padded))
        losses.total.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.network.parameters() if p.grad is not None])
        found.append((losses.total.detach(), gradient))
    assert len(losses.sums) == 5
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-5)
    assert torch.nn.functional.cosine_similarity(found[0][1], found[1][1], dim=0) > 0.9999


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_few_steps_lower_every_loss_and_sounds_come_out(backbone, tmp_path):
    held = tasks()
    model = ol.fit(
        held,
        backbone=BACKBONES[backbone],
        max_steps=30,
        learning_rate=5e-3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    said = model.predict(SAY, {"text": "no 1"})
    assert isinstance(said.wav, Audio) and 0 < said.wav.seconds <= 2 and np.isfinite(said.wav.samples).all()
    assert said.wav == model.predict(SAY, {"text": "no 1"}).wav
    (path,) = said.save(tmp_path)
    assert path.name == "wav.wav" and soundfile.info(path).frames == len(said.wav)
    soundfile.write(tmp_path / "heard.flac", rows()[2]["wav"][0], RATE)
    assert isinstance(model.predict(READ, {"wav": tmp_path / "heard.flac"}).text, str)


def test_answers_do_not_depend_on_their_neighbours():
    model = ol.Model.build(backbone=BACKBONES["ofa"], tasks=tasks(), seed=3)
    texts = [{"text": f"no {i}"} for i in range(3)]
    together = model.predict(SAY, texts)
    for row, output in zip(texts, together, strict=True):
        alone = model.predict(SAY, row).wav
        assert len(alone) == len(output.wav) and np.abs(alone.samples - output.wav.samples).max() < 1e-2


def test_two_sounds_in_time():
    line = f"[AUDIO:left,{SMALL},sampling=clip] [AUDIO:right,{SMALL},sync=left] -> [TEXT:text]"
    at = np.arange(6 * RATE) / RATE
    long = (np.sin(2 * np.pi * (100 + 50 * at) * at)).astype(np.float32)
    task = ol.Task("both", line, train=[{"left": (long, RATE), "right": (long, RATE), "text": "a"}])
    model = ol.Model.build(backbone=BACKBONES["ofa"], tasks=task)
    bound = model.bound(task)
    for epoch in range(3):
        example = model.reader(bound).example(bound.read("train", 0), RowId("both", 0, epoch))
        left, right = (p.encoded.tensors["frames"] for p in example.streams[0].source if "frames" in p.encoded.tensors)
        assert np.array_equal(left, right) and len(left) == 200


def test_a_sound_that_is_too_short_for_its_text_says_so():
    line = READ.replace(",too_short=ignore", "")
    task = ol.Task("read", line, train=[{"wav": (np.arange(RATE // 10) % 7 / 7, RATE), "text": "many more letters"}])
    model = ol.Model.build(backbone=BACKBONES["ofa"], tasks=task)
    bound = model.bound(task)
    reader = model.reader(bound)
    batch = pack([reader.example(bound.read("train", 0), RowId("read", 0))], {"read": reader})
    with pytest.raises(DataError, match="task `read`, row 0: slot `wav`: a value .* rows .* write `too_short=ignore`"):
        model.network.loss(batch)


def test_a_broken_sound_names_task_row_slot_and_file(tmp_path):
    path = tmp_path / "broken.wav"
    path.write_bytes(b"RIFF is all there is")
    task = ol.Task("read", READ, train=[{"wav": str(path), "text": "a"}])
    with pytest.raises(
        ol.InstructionError, match=r"task `read`, rows\[0\]: slot `wav`: the sound file '.*broken\.wav'"
    ):
        ol.Model.build(backbone=BACKBONES["ofa"], tasks=task)
    kept = ol.Task("read", READ, train=[{"wav": str(path), "text": "a"}, *rows()], on_error="skip")
    assert ol.Model.build(backbone=BACKBONES["ofa"], tasks=kept).plans["read"]
