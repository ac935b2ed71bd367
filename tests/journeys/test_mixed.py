"""Lines that mix what is read and what is made: they train, answer, are saved, loaded, and answer the same."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import omniline as ol
from omniline.core.errors import OmnilineError
from omniline.core.outputs import Output

BACKBONES = {
    "ofa": "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=320,dropout=0",
    "decoder": "decoder-tiny,width=16,heads=2,key_heads=1,ffn=16,layers=1,positions=640",
}
SEEN, MADE, HEARD = ",size=16,patch=8", ",size=16,factor=4,codes=64,channels=16", ",bands=16,max_seconds=1"
LINES = {
    "a box of a picture that is made": f"[IMAGE:img{SEEN}] [TEXT:word] -> [IMAGE:other{MADE}] [BOX:box,unit=pixels]",
    "in text": f"[IMAGE:img{SEEN}] [TEXT:word] -> [IMAGE:img{MADE}] [BOX:box,unit=pixels,adapter=box_text]",
    "pictures in a group": f"[TEXT:word] -> ( [IMAGE:imgs{MADE}] [BOX:boxes,unit=pixels] ){{2}}",
    "a given box": f"[IMAGE:img{SEEN},mode=crop] -> [BOX:box,unit=pixels,no_loss] is [TEXT:word]",
    "sounds in a group": f"[CATEGORY:label] -> ( [AUDIO:sounds{HEARD},prenet_dropout=0] [TEXT:words] ){{2}}",
    "all in turns": f'-> [CHAT:talk,template=plain,holds="image{SEEN}"|"audio{HEARD}"|box]',
}


def rows():
    wave = (np.sin(np.arange(4000) * 0.1).astype(np.float32), 16_000)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8))
    asked = [{"type": "image", "image": picture}, {"type": "audio", "audio": wave}, "?"]
    one = {
        "img": picture,
        "other": picture,
        "imgs": [picture] * 2,
        "word": "cat",
        "words": ["a", "b"],
        "label": "x",
        "box": (12, 4, 20, 12),
        "boxes": [(12, 4, 20, 12)] * 2,
        "sounds": [wave] * 2,
        "talk": [{"role": "user", "content": asked}, {"role": "assistant", "content": "yes"}],
    }
    return [one | {"word": word, "label": word[0]} for word in ("cat", "dog", "bird")]


def plain(value):
    """A value as what can be compared."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "samples"):
        return value.samples.tolist()
    return np.asarray(value).tolist() if isinstance(value, Image.Image) else value


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("kind", LINES)
def test_lines_train_answer_and_are_loaded(kind, backbone, tmp_path):
    task = ol.Task("mixed", LINES[kind], train=rows())
    settings = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    model = ol.fit(task, backbone=BACKBONES[backbone], max_steps=2, **settings)
    row = {name: value for name, value in rows()[0].items() if name != "other"}
    out = model.predict(LINES[kind], row)
    model.save(tmp_path / "bundle")
    again = ol.load(tmp_path / "bundle").predict(LINES[kind], row)
    assert {n: plain(v) for n, v in out.to_dict().items()} == {n: plain(v) for n, v in again.to_dict().items()}
    assert out.save(tmp_path / "files"), "every line here finds values that have files"


def test_a_box_of_a_made_picture_is_in_its_pixels():
    """The picture that is made has 16 x 16 pixels; the source's 40 x 20 have nothing to do with it."""
    line = LINES["a box of a picture that is made"].replace("unit=pixels", "unit=pixels,bins=2")
    model = ol.Model.build(backbone=BACKBONES["ofa"], tasks=ol.Task("t", line, train=rows()))
    assert set(model.predict(line, {"img": rows()[0]["img"], "word": "cat"}).box) <= {4.0, 12.0}


def test_a_given_box_is_read_as_in_training():
    """Its picture is cut to the middle, which at predicting is known as well."""
    line = LINES["a given box"].replace("unit=pixels", "unit=pixels,bins=20")
    model = ol.Model.build(backbone=BACKBONES["ofa"], tasks=ol.Task("t", line, train=rows()))
    seen = []
    port = model.network.ports["box"]
    inner = port.embed
    port.embed = lambda **tensors: (seen.append(tensors["tokens"].tolist()), inner(**tensors))[1]
    model.predict(line, rows()[0] | {"box": (12.5, 4.5, 20.5, 12.5)})
    assert [2, 4, 10, 12] in seen


def test_values_of_a_group_that_json_has_no_form_for_are_files_each(tmp_path):
    pictures = [Image.new("RGB", (2, 2)), None, torch.zeros(2)]
    found = Output({"pictures": pictures, "words": ["a", "b"]}, {}).save(tmp_path)
    assert [path.name for path in found] == ["pictures_0.png", "pictures_2.npy", "words.json"]
    with pytest.raises(OmnilineError, match="has no file format"):
        Output({"odd": SimpleNamespace()}, {}).save(tmp_path)


def test_kinds_in_one_pair_of_quotes():
    with pytest.raises(ol.InstructionError, match=r'holds="image,size=16"\|"audio", but one pair holds'):
        ol.compile('-> [CHAT:talk,holds="image,size=16|audio"]')
