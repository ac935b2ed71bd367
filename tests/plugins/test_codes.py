"""Pictures as codes: the quantisers, the codec, the port, and tokenizers that are learned along or loaded."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.errors import ConfigError
from omniline.plugins.vision.codes import ImageCodesCodec, ImageCodesPort
from omniline.plugins.vision.codes_network import ImageTokenizer
from omniline.plugins.vision.codes_quantise import FiniteScalar, NearestVector
from omniline.plugins.vision.codes_shape import levels_of

BACKBONE = "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=1,dropout=0"
TINY = "size=8,factor=4,codes=64,channels=16"
QUIET = {"metric_rows": 0, "enable_progress_bar": False, "limit_val_batches": 0}


def picture(seed, size=8):
    """Two colours that meet on a slope."""
    random = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(size), np.arange(size)) < random.integers(2, 2 * size - 2)
    return Image.fromarray(np.where(slope[..., None], *random.integers(0, 256, (2, 3))).astype(np.uint8))


ROWS = [{"name": name, "img": picture(i)} for i, name in enumerate(("ant", "bee", "cat", "dog"))]


def trained(line, steps=2, rows=ROWS, **more):
    return ol.fit(ol.Task("task", line, train=rows), backbone=BACKBONE, max_steps=steps, **QUIET, **more)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A saved tokenizer, of one line."""
    model = trained(f"[IMAGE:img,size=8,patch=4] -> [IMAGE:img,adapter=image_codes,{TINY}]")
    return model.save(tmp_path_factory.mktemp("codes") / "tokenizer")


@pytest.mark.parametrize(
    ("codes", "levels"), [(2, (2,)), (8, (8,)), (9, (8,)), (16, (4, 4)), (240, (8, 6, 5)), (4096, (8, 8, 8, 8))]
)
def test_levels_come_close_to_the_wanted_codes(codes, levels):
    assert levels_of(codes) == levels


@pytest.mark.parametrize("quantiser", [FiniteScalar(codes=240), NearestVector(codes=50)])
def test_every_code_can_be_reached_and_has_its_vector(quantiser):
    torch.manual_seed(0)
    found = quantiser(4 * torch.randn(20_000, quantiser.width))
    assert len(found.codes.unique()) == quantiser.codes
    assert torch.allclose(found.vectors, quantiser.vectors(found.codes), atol=1e-5)
    assert len(quantiser.vectors().round(decimals=4).unique(dim=0)) == quantiser.codes


@pytest.mark.parametrize("quantiser", [FiniteScalar(codes=64), NearestVector(codes=64)])
def test_gradients_pass_through_the_rounding(quantiser):
    torch.manual_seed(0)
    x = torch.randn(40, quantiser.width, requires_grad=True)
    found = quantiser(x)
    found.vectors.square().sum().backward()
    assert x.grad is not None and bool((x.grad.abs().sum(1) > 0).all())
    assert int(found.codes.min()) >= 0 and int(found.codes.max()) < quantiser.codes


def test_far_vectors_stay_within_the_codes():
    found = FiniteScalar(codes=64)(torch.tensor([[1e9] * 2, [-1e9] * 2]))
    assert found.codes.tolist() == [63, 0]


def test_the_codec_ships_bytes_and_places():
    encoded = ImageCodesCodec(size=8, factor=4).encode(picture(0), Reading(side="target"))
    assert encoded.rows == 4 and encoded.tensors["patches"].dtype == np.uint8
    assert encoded.tensors["index"].tolist() == [0, 1, 2, 3]
    assert encoded.grid.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert np.array_equal(encoded.labels["patches"], encoded.tensors["patches"])
    assert not ImageCodesCodec(size=8, factor=4).encode(picture(0), Reading()).labels


def test_any_picture_is_read_at_the_wanted_size(tmp_path):
    picture(0, 50).resize((90, 30)).save(tmp_path / "a.jpg")
    codec = ImageCodesCodec(size=18, factor=4)
    assert codec.encode(str(tmp_path / "a.jpg"), Reading()).rows == codec.measure("unread", Reading()) == 16
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"b\.png"):
        codec.encode(tmp_path / "b.png", Reading())


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("quantiser", ["fsq", "vq"])
def test_a_tokenizer_learns_to_give_pictures_back(factor, quantiser):
    torch.manual_seed(0)
    port = ImageCodesPort(width=8, size=16, factor=factor, codes=256, channels=16, quantiser=quantiser)
    codec = ImageCodesCodec(size=16, factor=factor)
    patches = np.concatenate([codec.encode(picture(i, 16), Reading()).tensors["patches"] for i in range(8)])
    labels = {"patches": torch.from_numpy(patches)}
    optimizer = torch.optim.Adam(port.tokenizer.parameters(), lr=4e-3)
    losses = []
    for _ in range(40):
        loss = port.auxiliary(labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    with torch.no_grad():
        tokens = port.relabel(labels)["tokens"]
        made = port.render({"tokens": tokens})["pixels"].float()
    wanted = torch.stack([torch.from_numpy(np.array(picture(i, 16))) for i in range(8)]).float()
    assert float((made - wanted).abs().mean()) < 0.7 * float((wanted - wanted.mean((0, 1, 2))).abs().mean())
    assert len(tokens.unique()) > 8, "the codes have collapsed"


def test_pixels_and_codes_embed_alike():
    torch.manual_seed(0)
    port = ImageCodesPort(width=8, size=8, factor=4, codes=64, channels=16)
    value = ImageCodesCodec(size=8, factor=4).encode(picture(0), Reading(side="target"))
    tensors = {name: torch.from_numpy(array) for name, array in value.tensors.items()}
    codes = port.relabel({"patches": tensors["patches"]})["tokens"]
    with torch.no_grad():
        alone = torch.cat([port.embed(tokens=codes[i : i + 1], index=torch.tensor([i])) for i in range(4)])
        assert torch.allclose(alone, port.embed(**tensors))
        moved = port.embed(tokens=codes[:1], index=torch.tensor([3]))
        assert not torch.allclose(moved, alone[:1]), "a code's place must show"


def test_half_a_picture_is_refused():
    port = ImageCodesPort(width=8, size=8, factor=4, codes=64, channels=16)
    with pytest.raises(ValueError, match="must be 4 codes, but there are 3"):
        port.render({"tokens": torch.zeros(3, dtype=torch.long)})


@pytest.mark.parametrize("settings", [{"decoder": "greedy"}, {"decoder": "sample", "top_k": 5}, {"decoder": "beam"}])
def test_every_decoder_makes_a_picture_and_knows_the_places(settings, monkeypatch):
    model = trained(f"[TEXT:name] -> so [IMAGE:img,{TINY}]")
    seen = []
    plain = ImageCodesPort.embed
    monkeypatch.setattr(ImageCodesPort, "embed", lambda self, **t: (seen.append(t["index"]), plain(self, **t))[1])
    outputs = model.predict(f"[TEXT:name] -> so [IMAGE:img,{TINY}]", ROWS[:3], **settings)
    assert [out.img.size for out in outputs] == [(8, 8)] * 3
    assert [set(index.tolist()) for index in seen] == [{0}, {1}, {2}, {3}][: len(seen)] and len(seen) >= 3


def test_one_line_trains_tokenizer_and_prediction(tmp_path):
    model = trained(f"[TEXT:name] -> [IMAGE:img,{TINY}]", steps=1)
    before = {k: v.clone() for k, v in model.network.ports["imagecodes"].state_dict().items()}
    task = ol.Task("task", f"[TEXT:name] -> [IMAGE:img,{TINY}]", train=ROWS)
    ol.fit(task, model=model, max_steps=1, **QUIET)
    after = model.network.ports["imagecodes"].state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] in ([], ["time.weight"])
    model.save(tmp_path / "saved")
    row = {"name": "ant"}
    assert ol.load(tmp_path / "saved").predict(task.instruction, row).img == model.predict(task.instruction, row).img
    assert model.predict(task.instruction, row).save(tmp_path / "out")[0].name == "img.png"


def test_a_codebook_is_loaded_frozen_with_its_shape(bundle):
    line = f"[TEXT:name] -> [IMAGE:img,codebook={bundle}]"
    assert ol.compile(line).slots[1].budget == ol.Tokens(4)
    model = trained(line)
    own, given = (m.network.ports["imagecodes"].tokenizer.state_dict() for m in (model, ol.load(bundle)))
    assert all(torch.equal(own[name], given[name]) for name in given)
    assert model.predict(line, {"name": "ant"}).img.size == (8, 8)


def test_a_model_outlives_its_codebook(bundle, tmp_path):
    place = shutil.copytree(bundle, tmp_path / "codebook")
    line = f"[TEXT:name] -> [IMAGE:img,codebook={place}]"
    model = trained(line)
    saved = model.save(tmp_path / "model")
    wanted = model.predict(line, {"name": "bee"}).img
    shutil.rmtree(place)
    again = ol.load(saved)
    assert again.predict(line, {"name": "bee"}).img == wanted
    assert not any(p.requires_grad for p in again.network.ports["imagecodes"].tokenizer.parameters())


def test_pictures_of_another_size_go_through_the_same_codebook(bundle):
    line = f"[TEXT:name] -> [IMAGE:img,codebook={bundle},size=16]"
    assert trained(line, steps=1).predict(line, {"name": "ant"}).img.size == (16, 16)


def test_what_a_codebook_must_be(bundle, tmp_path):
    with pytest.raises(ol.InstructionError, match="`factor` must be 4, as in the codebook"):
        ol.compile(f"[TEXT:name] -> [IMAGE:img,codebook={bundle},factor=8]")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ol.InstructionError, match="must be the folder of a saved model"):
        ol.compile(f"[TEXT:name] -> [IMAGE:img,codebook={tmp_path / 'empty'}]")
    words = ol.fit(ol.Task("a", "-> [TEXT:name]", train=ROWS), backbone=BACKBONE, max_steps=1, **QUIET)
    with pytest.raises(ol.InstructionError, match="must hold one image tokenizer, but holds 0"):
        ol.compile(f"[TEXT:name] -> [IMAGE:img,codebook={words.save(tmp_path / 'words')}]")
    with pytest.raises(ConfigError, match="nowhere does not exist: train one"):
        trained("[TEXT:name] -> [IMAGE:img,codebook=nowhere]")
    cut = shutil.copytree(bundle, tmp_path / "cut")
    (cut / "weights.safetensors").write_bytes((cut / "weights.safetensors").read_bytes()[:-1])
    with pytest.raises(ConfigError, match="is not what was saved"):
        trained(f"[TEXT:name] -> [IMAGE:img,codebook={cut}]")


def test_a_changed_shape_is_named(bundle, tmp_path):
    place = shutil.copytree(bundle, tmp_path / "other")
    about = json.loads((place / "model.json").read_text())
    (port,) = [port for port in about["ports"] if port["name"] == "imagecodes"]
    shape = dict(port["settings"]) | {"channels": 32}
    port["settings"] = list(shape.items())
    (place / "model.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="weights of the codebook .* do not fit"):
        trained(f"[TEXT:name] -> [IMAGE:img,codebook={place}]")


@pytest.mark.parametrize(
    "line",
    [
        'what is the complete image of "[IMAGE:img,size=8,patch=4,mask_ratio=0.5]"? '
        "-> [IMAGE,preprocess=image_vqgan,adaptor=image_vqgan,size=8]",
        "[IMAGE:img,adapter=image_codes,size=8,mask_ratio=0.5] -> [IMAGE:image,size=8]",
        "-> [IMAGE:image,size=8]",
        "[TEXT:name] -> ( [IMAGE:images,size=8] )*",
        "[TEXT:name] -> [TEXT:word,column=name] [IMAGE:image,size=8]",
    ],
)
def test_lines_train_and_answer(line):
    rows = [row | {"image": row["img"], "images": [row["img"], picture(9)]} for row in ROWS]
    output = trained(line, rows=rows, steps=1).predict(line, rows[0], most_tokens=4)
    made = output["images"] if "images" in output else [output["image"]]
    assert all(one.size == (8, 8) for one in made)


def test_a_mask_belongs_to_the_source():
    with pytest.raises(ol.InstructionError, match="mask_ratio"):
        ol.compile("[TEXT:a] -> [IMAGE:img,mask_ratio=0.5]")


def test_the_tokenizer_does_not_mind_its_batch():
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(factor=4, codes=256, channels=16).eval()
    pixels = torch.stack([torch.from_numpy(np.array(picture(i, 16))) for i in range(3)])
    with torch.no_grad():
        alone = torch.cat([tokenizer.encode(one[None])[0].codes for one in pixels])
        assert torch.equal(alone, tokenizer.encode(pixels)[0].codes)
