"""IMAGE as patches: what is read, how it is framed, and the port."""

import base64
import io
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional

from omniline.core.codec import Reading
from omniline.core.opening.pictures import open_picture, picture_size
from omniline.plugins.vision.changes import FURTHEST, MAGNITUDE, ONE_WAY, Change, changed
from omniline.plugins.vision.framing import GREY, Framing
from omniline.plugins.vision.image import ImageCodec, ImagePort, patches_of

ORIENTATION = 0x0112


def picture(width=48, height=32, seed=0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def file_bytes(image, format="PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


RGB = picture()
ARRAY = np.asarray(RGB)
PNG = file_bytes(RGB)


@pytest.mark.parametrize(
    "raw",
    [
        RGB,
        PNG,
        bytearray(PNG),
        base64.b64encode(PNG).decode(),
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        {"bytes": PNG, "path": None},
        ARRAY,
        ARRAY.astype(np.int64),
        np.moveaxis(ARRAY, -1, 0),
        ARRAY[None] / 255.0,
        torch.from_numpy(ARRAY.copy()).permute(2, 0, 1),
        torch.from_numpy(ARRAY.copy()).permute(2, 0, 1)[None] / 255,
        Image.fromarray(ARRAY).convert("RGBA"),
        io.BytesIO(PNG),
        {"url": "data:image/png;base64," + base64.b64encode(PNG).decode()},
        {"array": ARRAY},
        ARRAY.tolist(),
        base64.urlsafe_b64encode(PNG).decode().rstrip("="),
        ARRAY.astype(np.uint16) << 8,
        file_bytes(RGB, "WEBP", lossless=True),
        file_bytes(RGB, "TIFF"),
        base64.b64encode(file_bytes(RGB, "TIFF")).decode(),
    ],
    ids=lambda raw: type(raw).__name__,
)
def test_every_kind_of_picture_reads_alike(raw):
    assert np.array_equal(np.asarray(open_picture(raw)), ARRAY)
    assert picture_size(raw) == (48, 32)


def test_paths_are_read(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    spaced = tmp_path / "a b.png"
    spaced.write_bytes(PNG)
    for raw in (path, str(path), {"path": str(path)}, path.as_uri(), spaced.as_uri()):
        assert np.array_equal(np.asarray(open_picture(raw)), ARRAY)


def test_what_is_transparent_becomes_white():
    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    clear.putpixel((1, 0), (0, 0, 255, 255))
    assert np.asarray(open_picture(file_bytes(clear))).tolist() == [[[255, 255, 255], [0, 0, 255]]]
    palette = clear.convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert open_picture(palette).getpixel((0, 0)) == (255, 255, 255)


def test_grey_flat_and_deep_pictures():
    assert open_picture(np.full((2, 3), 7, dtype=np.uint8)).getpixel((0, 0)) == (7, 7, 7)
    assert open_picture(np.array([[True, False]])).getpixel((0, 0)) == (255, 255, 255)
    deep = Image.fromarray(np.full((2, 2), 0x8000, dtype=np.uint16))
    assert open_picture(file_bytes(deep)).getpixel((0, 0)) == (128, 128, 128)


def test_pictures_of_32_bits_hold_fractions_or_16_bits():
    fractions = Image.fromarray(np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3))
    assert np.asarray(open_picture(fractions))[1, 2].tolist() == [255] * 3
    whole = Image.fromarray(np.full((2, 2), 0x8000, dtype=np.int32))
    assert open_picture(file_bytes(whole, "TIFF")).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first_is_read_and_the_file_closed(format, tmp_path):
    red, blue = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    path = tmp_path / "frames"
    red.save(path, format, save_all=True, append_images=[blue])
    read = open_picture(path)
    assert read.size == (8, 6)
    assert np.abs(np.asarray(read).astype(int) - (255, 0, 0)).max() < 8


def test_colours_of_print_and_grey_with_alpha():
    cmyk = file_bytes(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(np.asarray(open_picture(cmyk)).astype(int) - (255, 0, 0)).max() < 8
    assert open_picture(file_bytes(Image.new("LA", (1, 1), (9, 0)))).getpixel((0, 0)) == (255, 255, 255)


def test_extreme_sizes():
    for size in ((1, 1), (3000, 2), (1, 900)):
        for mode in ("square", "crop", "fit"):
            codec = ImageCodec(size=32, patch=8, mode=mode)
            raw = Image.new("RGB", size, "red")
            assert codec.encode(raw, Reading()).rows <= codec.measure(raw, Reading()) <= 16


def test_a_png_says_how_it_was_turned_wherever_it_does():
    """Its size is known without its pixels, also where the note stands behind them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    before = file_bytes(picture(), exif=exif)
    at = before.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(before[at : at + 4], "big")
    behind = before[:at] + before[end:-12] + before[at:end] + before[-12:]
    plain = before[:at] + before[end:]
    for raw, size in ((before, (32, 48)), (behind, (32, 48)), (plain, (48, 32))):
        assert picture_size(raw) == open_picture(raw).size == size
    assert picture_size(plain[:400]) == (48, 32)


def test_a_turned_photograph_is_upright():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = file_bytes(RGB, "JPEG", quality=95, exif=exif)
    assert picture_size(turned) == (32, 48)
    assert open_picture(turned).size == (32, 48)
    upright = np.asarray(RGB.transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(np.asarray(open_picture(turned)).astype(int) - upright).mean() < 4


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        ("https://a.b/c.png", ValueError, "must be at hand, but is the web address 'https://a.b/c.png': download it"),
        ("no/such.png", ValueError, r"'no/such.png' does not exist"),
        (".", ValueError, "'.' is a folder"),
        ("x" * 5000, ValueError, "must be a path or base64 text, but is other text"),
        ("data:image/png;base64,@@@", ValueError, "base64 text of a picture is broken|in base64 is empty"),
        (b"nothing", ValueError, "of 7 bytes is of no known format, or broken"),
        (PNG[:200], ValueError, r"\(bytes\) cannot be decoded: .*truncated"),
        (file_bytes(picture(200, 200), "JPEG")[:2000], ValueError, r"\(bytes\) cannot be decoded: .*truncated"),
        (3, TypeError, "must be a PIL picture, a path, .* but is int 3"),
        (None, TypeError, "but is NoneType None"),
        (np.zeros((2, 2, 2)), ValueError, r"but has shape \[2, 2, 2\]"),
        (np.zeros((0, 4)), ValueError, r"but has shape \[0, 4\]"),
        (np.full((8, 8), 16.0), ValueError, "must hold fractions 0 to 1, but holds 16 to 16: scale it first"),
        (np.full((8, 8), -1), ValueError, "must hold whole numbers 0 to 255, but holds -1 to -1"),
        (np.full((8, 8), np.nan), ValueError, "must hold fractions 0 to 1, but holds nan"),
        (np.array([["a"]]), TypeError, "must hold numbers"),
        (Image.new("F", (2, 2), 300), ValueError, "must hold fractions 0 to 1, but holds 300 to 300: scale it first"),
        (np.full((8, 8), 70_000), ValueError, "must hold whole numbers 0 to 255, but holds 70000 to 70000"),
        ([[1, 2], [3]], ValueError, "must have rows of one length"),
        (Image.new("LAB", (2, 2)), ValueError, "but is in LAB: convert it first"),
        ("data:image/svg+xml;utf8,<svg/>", ValueError, "in a data address must be in base64"),
        (b"<svg xmlns='x'/>", ValueError, "is a drawing in SVG: draw it as pixels first"),
        (b"", ValueError, "of 0 bytes is empty"),
        ({"url": "https://a.b/c.png"}, ValueError, "download it first"),
    ],
)
def test_what_is_no_picture_says_so(raw, error, message):
    with pytest.raises(error, match=message):
        ImageCodec(size=16, patch=8).encode(raw, Reading())


def test_a_decompression_bomb_is_an_error(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="cannot be opened: .*decompression bomb"):
        open_picture(PNG)


def test_a_large_jpeg_is_decoded_small_and_nearly_alike():
    data = file_bytes(picture(1600, 1200), "JPEG", quality=90)
    assert open_picture(data, least=(100, 100)).size == (200, 150)
    assert open_picture(data).size == (1600, 1200)
    fast = Framing(size=96).pixels(data, Reading()).astype(int)
    slow = np.asarray(open_picture(data).resize((96, 96), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(fast - slow).mean() < 2


def test_a_given_picture_is_left_as_it_was():
    given = Image.open(io.BytesIO(file_bytes(picture(800, 600), "JPEG")))
    ImageCodec(size=32, mask_ratio=0.5, flip=True).encode(given, Reading())
    assert given.size == (800, 600)
    before = ARRAY.copy()
    ImageCodec(size=32, mask_ratio=0.9).encode(RGB, Reading())
    assert np.array_equal(np.asarray(RGB), before)


def test_patches_hold_their_square_of_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    patches = patches_of(pixels, 4)
    assert patches.flags.c_contiguous
    assert np.array_equal(patches[4].reshape(4, 4, 3), pixels[4:8, 4:8])


def test_encoded_patches_and_their_places():
    codec = ImageCodec(size=36, patch=16)
    encoded = codec.encode(RGB, Reading())
    assert encoded.rows == codec.measure(RGB, Reading()) == 4
    assert encoded.tensors["patches"].shape == (4, 768)
    assert encoded.tensors["patches"].dtype == np.uint8
    assert encoded.grid.dtype == np.float32
    assert encoded.grid.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([(64, 16), (48, 8), (20, 16)]))
@settings(deadline=None, max_examples=40)
def test_fit_keeps_the_ratio_within_the_budget(width, height, shape):
    size, patch = shape
    codec = ImageCodec(size=size, patch=patch, mode="fit")
    raw = Image.new("RGB", (width, height))
    encoded = codec.encode(raw, Reading())
    tall, wide = encoded.grid[:, 1].max() + 1, encoded.grid[:, 2].max() + 1
    assert encoded.rows == codec.measure(raw, Reading()) == tall * wide <= (size // patch) ** 2
    assert max(tall, wide) == size // patch
    exact = width / max(width, height) * (size // patch)
    assert abs(wide - max(exact, 1)) <= 0.5


def test_crop_takes_the_middle_square():
    wide = Image.new("RGB", (60, 20), "red")
    wide.paste(Image.new("RGB", (20, 20), "blue"), (20, 0))
    pixels = Framing(size=20, mode="crop").pixels(wide, Reading())
    assert (pixels.reshape(-1, 3) == (0, 0, 255)).all()


@pytest.mark.parametrize("augment", ["colours", "light", "strong"])
def test_augmentation_is_a_function_of_the_seed_in_training_alone(augment):
    codec = pickle.loads(pickle.dumps(ImageCodec(size=32, augment=augment, flip=True)))

    def patches(mode, seed):
        return codec.encode(RGB, Reading(mode=mode, seed=seed)).tensors["patches"]

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert np.array_equal(patches("train", 1), patches("train", 1))
    assert torch.equal(torch.rand(1), expected), "the global generator is left alone"
    assert any(not np.array_equal(patches("train", 1), patches("train", seed)) for seed in range(2, 6))
    plain = ImageCodec(size=32).encode(RGB, Reading()).tensors["patches"]
    for mode in ("valid", "predict"):
        assert np.array_equal(patches(mode, 1), plain)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness", "posterize", "solarize"])
@pytest.mark.parametrize("share", [-0.5, 0.1, MAGNITUDE])
def test_shades_are_those_of_torchvision(name, share):
    amount = (abs(share) if name in ONE_WAY else share) * FURTHEST[name]
    theirs = {"posterize": 8 - round(amount), "solarize": 255.0 - amount}.get(name, 1.0 + amount)
    change = getattr(functional, name, None) or getattr(functional, f"adjust_{name}")
    assert changed(RGB, Change(name, amount)).tobytes() == change(RGB, theirs).tobytes()


def test_flip_mirrors_half_of_the_pictures():
    plain = Framing(size=32).pixels(RGB, Reading())
    seen = [Framing(size=32, flip=True).pixels(RGB, Reading(seed=seed)) for seed in range(40)]
    mirrored = [np.array_equal(pixels, plain[:, ::-1]) for pixels in seen]
    assert 8 < sum(mirrored) < 32
    assert all(m or np.array_equal(p, plain) for m, p in zip(mirrored, seen, strict=True))


def test_a_hidden_square_has_the_wanted_side_and_a_random_place():
    white = Image.new("RGB", (64, 64), "white")
    framing = Framing(size=64, mask_ratio=0.5)
    places = set()
    for seed in range(8):
        rows, columns = np.where((framing.pixels(white, Reading(seed=seed, mode="valid")) == GREY).all(-1))
        assert len(rows) == 32 * 32
        assert np.ptp(rows) == np.ptp(columns) == 31
        places.add((rows.min(), columns.min()))
    assert len(places) > 4
    assert (framing.pixels(white, Reading(mode="predict")) == 255).all()


def test_nothing_is_decoded_to_a_picture_here():
    with pytest.raises(TypeError, match="adapter=image_codes"):
        ImageCodec().decode({})


@pytest.mark.parametrize("normalise", ["half", "imagenet", "clip"])
def test_port_scales_and_projects_as_a_convolution(normalise):
    torch.manual_seed(0)
    port = ImagePort(width=5, patch=4, normalise=normalise)
    pixels = torch.randint(0, 256, (8, 12, 3), dtype=torch.uint8)
    rows = port.embed(patches=torch.from_numpy(patches_of(pixels.numpy(), 4)))
    mean = -port.shift[:3] / port.scale[:3] / 255
    deviation = 1 / port.scale[:3] / 255
    scaled = ((pixels / 255 - mean) / deviation).permute(2, 0, 1)[None]
    kernel = port.projection.weight.view(5, 4, 4, 3).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.conv2d(scaled, kernel, port.projection.bias, stride=4)
    assert torch.allclose(rows, wanted[0].flatten(1).T, atol=1e-5)
    assert list(port.state_dict()) == ["projection.weight", "projection.bias"]


def test_port_accepts_zero_rows():
    port = ImagePort(width=5, patch=4)
    empty = port.embed(patches=torch.zeros(0, 48, dtype=torch.uint8))
    assert empty.shape == (0, 5)
    empty.sum().backward()
    assert port.projection.weight.grad.abs().sum() == 0
    with pytest.raises(NotImplementedError, match="source side only"):
        port.project(empty)
