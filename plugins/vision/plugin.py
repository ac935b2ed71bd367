"""What vision brings: IMAGE, VIDEO and BOX. Declarations alone; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Literal

from ...core.adapter import Adapter
from ...core.modality import Modality, TensorSpec, Tokens
from ...core.settings import setting
from ..hookspecs import hookimpl
from .codes_shape import fill_shape

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]
AUGMENT = "random changes in training: of colours, of colours and framing, or RandAugment"
BOX_FORMAT = "order of the numbers: two corners, a corner and the sides, or the middle and the sides"
BOX_UNIT = "shares of the picture's sides, 0 to 1, or pixels of the picture"
BOX_SIZE = "the numbers run from 0 to this along both sides, instead of a unit"
BOX_CLIP = "cut what lies outside of the picture, instead of an error"
BOX_IMAGE = "name of the picture's slot; by default the nearest one before"
CODES_DEFAULT = "; by default as in the codebook, else {}"
CODES_FACTORS = (2, 4, 8, 16, 32)
CODES_FACTOR = "pixels that one code stands for, each way" + CODES_DEFAULT.format(4)
CODES_CODES = "most entries of the codebook" + CODES_DEFAULT.format("1,024")
CODES_QUANTISER = "finite scalar quantisation, or a learned codebook" + CODES_DEFAULT.format("fsq")
CODES_CHANNELS = "widest convolution" + CODES_DEFAULT.format(64)
CODES_CODEBOOK = "folder of a saved model whose image tokenizer is used"
CODES_FROZEN = "keep the tokenizer as it is; by default where there is a codebook"
VIDEO_FRAMES = "frames that are read at most; a shorter clip gives fewer"
VIDEO_SAMPLING = "frames over all of the clip, at a rate, or of one piece: a random one in training, else the middle"
VIDEO_FPS = "frames a second, with sampling=fps and clip; more than max_frames of them: as many over all of the clip"
VIDEO_PIECE = "length of the piece with sampling=clip; by default what max_frames last at fps"
VIDEO_RATE = "frames a second of an array or a list of pictures, which do not say it"
VIDEO_MASK = "side of the square hidden in all frames in training, as a share"


class Image(Adapter):
    """Pictures as patches: each square of pixels goes through one linear layer."""

    modality = "IMAGE"
    codec = "omniline.plugins.vision.image:ImageCodec"
    port = "omniline.plugins.vision.image:ImagePort"
    sides = ("source",)

    size: int = setting(
        224, at_least=4, at_most=4096, data_only=True, help="side in pixels, in whole patches (mode=fit: the longer)"
    )
    patch: int = setting(16, at_least=1, at_most=256, help="side of a patch in pixels")
    mode: Literal["square", "crop", "fit"] = setting(
        "square", data_only=True, help="squeeze to a square, cut the middle square, or keep the sides' ratio"
    )
    resize: Filter = setting("bicubic", data_only=True, help="filter of resizing")
    augment: Literal["none", "colours", "light", "strong"] = setting("none", data_only=True, help=AUGMENT)
    flip: bool = setting(False, data_only=True, help="mirror half of the pictures in training")
    mask_ratio: float = setting(
        0.0, at_least=0.0, at_most=1.0, data_only=True, help="side of the square hidden in training, as a share"
    )
    normalise: Literal["half", "imagenet", "clip"] = setting("half", help="mean and deviation that scale pixels")

    def tokens(self) -> Tokens:
        side = max(1, self.size // self.patch)
        return Tokens(1 if self.mode == "fit" else side * side, side * side)

    def tensors(self) -> tuple[TensorSpec, ...]:
        rows = "n" if self.mode == "fit" else self.tokens().least
        return (TensorSpec("patches", "uint8", (rows, 3 * self.patch**2)),)


class Timm(Adapter):
    """Pictures through a tower: any model of the timm library, cut where its features have the wanted stride."""

    modality = "IMAGE"
    codec = "omniline.plugins.vision.timm_tower:TimmCodec"
    port = "omniline.plugins.vision.timm_tower:TimmPort"
    sides = ("source",)

    model: str = setting(help="name of the timm model")
    pretrained: bool = setting(False, help="start from the hub's weights")
    weights: str | None = setting(None, help="start from this file of weights")
    frozen: bool = setting(False, help="train the projection alone")
    size: int = setting(224, at_least=16, at_most=4096, help="side in pixels")
    stride: int = setting(16, at_least=1, at_most=256, help="pixels of the picture that one token stands for, each way")
    mode: Literal["square", "crop"] = setting("square", data_only=True, help="squeeze to a square, or cut one")
    resize: Filter = setting("bicubic", data_only=True, help="filter of resizing")
    augment: Literal["none", "colours", "light", "strong"] = setting("none", data_only=True, help=AUGMENT)
    flip: bool = setting(False, data_only=True, help="mirror half of the pictures in training")
    mask_ratio: float = setting(
        0.0, at_least=0.0, at_most=1.0, data_only=True, help="side of the square hidden in training, as a share"
    )
    normalise: Literal["model", "half", "imagenet", "clip"] = setting(
        "model", help="mean and deviation that scale pixels; `model`: those that the tower was trained with"
    )

    def tokens(self) -> Tokens:
        return Tokens(ceil(self.size / self.stride) ** 2)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("pixels", "uint8", (1, self.size, self.size, 3)),)

    def bare(self) -> Timm:
        return Timm(**{**self.settings(), "pretrained": False, "weights": None})  # type: ignore[arg-type]


class ImageCodes(Adapter):
    """Pictures as codes of a codebook, for making them. The codebook is learned along, or given and kept as it is."""

    modality = "IMAGE"
    predicts = "tokens"
    codec = "omniline.plugins.vision.codes:ImageCodesCodec"
    port = "omniline.plugins.vision.codes:ImageCodesPort"

    size: int | None = setting(None, at_least=2, at_most=1024, help="side in pixels" + CODES_DEFAULT.format(64))
    factor: int | None = setting(None, choices=CODES_FACTORS, help=CODES_FACTOR)
    codes: int | None = setting(None, at_least=2, at_most=1 << 16, help=CODES_CODES)
    quantiser: Literal["fsq", "vq"] | None = setting(None, help=CODES_QUANTISER)
    channels: int | None = setting(None, choices=(16, 32, 64, 128, 256), help=CODES_CHANNELS)
    codebook: str | None = setting(None, help=CODES_CODEBOOK)
    frozen: bool | None = setting(None, help=CODES_FROZEN)
    mode: Literal["square", "crop"] = setting("square", data_only=True, help="squeeze to a square, or cut one")
    resize: Filter = setting("bicubic", data_only=True, help="filter of resizing")
    flip: bool = setting(False, data_only=True, help="mirror half of the pictures in training")
    mask_ratio: float = setting(
        0.0,
        at_least=0.0,
        at_most=1.0,
        data_only=True,
        sides=("source",),
        help="side of the square hidden in training, as a share",
    )

    def __post_init__(self) -> None:
        fill_shape(self)

    def tokens(self) -> Tokens:
        assert self.size and self.factor, "filled when it was made"
        return Tokens(max(1, self.size // self.factor) ** 2)

    def tensors(self) -> tuple[TensorSpec, ...]:
        assert self.factor, "filled when it was made"
        return (TensorSpec("patches", "uint8", (self.tokens().least, 3 * self.factor**2)),)

    def bare(self) -> ImageCodes:
        return ImageCodes(**{**self.settings(), "codebook": None})  # type: ignore[arg-type]


class VideoCodes(Adapter):
    """Clips as codes, for making them: so many frames one after the other, through the port of `image_codes`."""

    modality = "VIDEO"
    predicts = "tokens"
    codec = "omniline.plugins.vision.codes_video:VideoCodesCodec"
    port = "omniline.plugins.vision.codes:ImageCodesPort"

    max_frames: int = setting(8, at_least=1, at_most=1024, data_only=True, help="frames of every clip")
    sampling: Literal["fps", "uniform"] = setting(
        "fps", data_only=True, help="the first frames at the rate `fps`, or frames over all of the clip"
    )
    fps: float = setting(
        4.0, at_least=0.01, at_most=240.0, data_only=True, help="frames a second of clips that it makes"
    )
    rate: float = setting(25.0, at_least=0.01, at_most=1000.0, data_only=True, help=VIDEO_RATE)
    size: int | None = setting(None, at_least=2, at_most=1024, help="side of a frame" + CODES_DEFAULT.format(32))
    factor: int | None = setting(None, choices=CODES_FACTORS, help=CODES_FACTOR)
    codes: int | None = setting(None, at_least=2, at_most=1 << 16, help=CODES_CODES)
    quantiser: Literal["fsq", "vq"] | None = setting(None, help=CODES_QUANTISER)
    channels: int | None = setting(None, choices=(16, 32, 64, 128, 256), help=CODES_CHANNELS)
    codebook: str | None = setting(None, help=CODES_CODEBOOK)
    frozen: bool | None = setting(None, help=CODES_FROZEN)
    mode: Literal["square", "crop"] = setting("square", data_only=True, help="squeeze to a square, or cut one")
    resize: Filter = setting("bilinear", data_only=True, help="filter of resizing")

    def __post_init__(self) -> None:
        fill_shape(self, size=32)

    def tokens(self) -> Tokens:
        assert self.size and self.factor, "filled when it was made"
        return Tokens(self.max_frames * max(1, self.size // self.factor) ** 2)

    def tensors(self) -> tuple[TensorSpec, ...]:
        assert self.factor, "filled when it was made"
        return (TensorSpec("patches", "uint8", (self.tokens().least, 3 * self.factor**2)),)

    def bare(self) -> VideoCodes:
        return VideoCodes(**{**self.settings(), "codebook": None})  # type: ignore[arg-type]


class Video(Adapter):
    """Clips as the patches of a few frames, with their times; the weights are those of pictures."""

    modality = "VIDEO"
    codec = "omniline.plugins.vision.video:VideoCodec"
    port = "omniline.plugins.vision.image:ImagePort"
    sides = ("source",)

    max_frames: int = setting(4, at_least=1, at_most=4096, data_only=True, help=VIDEO_FRAMES)
    sampling: Literal["uniform", "fps", "clip"] = setting("uniform", data_only=True, help=VIDEO_SAMPLING)
    fps: float = setting(2.0, at_least=0.01, at_most=240.0, data_only=True, help=VIDEO_FPS)
    clip_seconds: float | None = setting(None, at_least=0.01, data_only=True, help=VIDEO_PIECE)
    rate: float = setting(25.0, at_least=0.01, at_most=1000.0, data_only=True, help=VIDEO_RATE)
    size: int = setting(224, at_least=4, at_most=4096, data_only=True, help="side of a frame (mode=fit: the longer)")
    patch: int = setting(16, at_least=1, at_most=256, help="side of a patch in pixels")
    mode: Literal["square", "crop", "fit"] = setting(
        "square", data_only=True, help="squeeze frames to a square, cut the middle square, or keep the sides' ratio"
    )
    resize: Filter = setting("bilinear", data_only=True, help="filter of resizing")
    augment: Literal["none", "colours", "light", "strong"] = setting("none", data_only=True, help=AUGMENT)
    flip: bool = setting(False, data_only=True, help="mirror half of the clips in training")
    mask_ratio: float = setting(0.0, at_least=0.0, at_most=1.0, data_only=True, help=VIDEO_MASK)
    normalise: Literal["half", "imagenet", "clip"] = setting("half", help="mean and deviation that scale pixels")

    def tokens(self) -> Tokens:
        frame = max(1, self.size // self.patch) ** 2
        return Tokens(1 if self.mode == "fit" else frame, frame * self.max_frames)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("patches", "uint8", ("n", 3 * self.patch**2)),)


class TimmVideo(Adapter):
    """Clips through a tower, frame by frame: any model of the timm library; the weights are those of pictures."""

    modality = "VIDEO"
    codec = "omniline.plugins.vision.video:TimmVideoCodec"
    port = "omniline.plugins.vision.timm_tower:TimmPort"
    sides = ("source",)

    model: str = setting(help="name of the timm model")
    pretrained: bool = setting(False, help="start from the hub's weights")
    weights: str | None = setting(None, help="start from this file of weights")
    frozen: bool = setting(False, help="train the projection alone")
    max_frames: int = setting(4, at_least=1, at_most=4096, data_only=True, help=VIDEO_FRAMES)
    sampling: Literal["uniform", "fps", "clip"] = setting("uniform", data_only=True, help=VIDEO_SAMPLING)
    fps: float = setting(2.0, at_least=0.01, at_most=240.0, data_only=True, help=VIDEO_FPS)
    clip_seconds: float | None = setting(None, at_least=0.01, data_only=True, help=VIDEO_PIECE)
    rate: float = setting(25.0, at_least=0.01, at_most=1000.0, data_only=True, help=VIDEO_RATE)
    size: int = setting(224, at_least=16, at_most=4096, help="side of a frame in pixels")
    stride: int = setting(16, at_least=1, at_most=256, help="pixels of a frame that one token stands for, each way")
    mode: Literal["square", "crop"] = setting("square", data_only=True, help="squeeze to a square, or cut one")
    resize: Filter = setting("bilinear", data_only=True, help="filter of resizing")
    augment: Literal["none", "colours", "light", "strong"] = setting("none", data_only=True, help=AUGMENT)
    flip: bool = setting(False, data_only=True, help="mirror half of the clips in training")
    mask_ratio: float = setting(0.0, at_least=0.0, at_most=1.0, data_only=True, help=VIDEO_MASK)
    normalise: Literal["model", "half", "imagenet", "clip"] = setting(
        "model", help="mean and deviation that scale pixels; `model`: those that the tower was trained with"
    )

    def tokens(self) -> Tokens:
        frame = ceil(self.size / self.stride) ** 2
        return Tokens(frame, frame * self.max_frames)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("pixels", "uint8", ("frames", self.size, self.size, 3)),)

    def bare(self) -> TimmVideo:
        return TimmVideo(**{**self.settings(), "pretrained": False, "weights": None})  # type: ignore[arg-type]


class Box(Adapter):
    """A region of a picture as four tokens, each a bin of the side."""

    modality = "BOX"
    predicts = "tokens"
    codec = "omniline.plugins.vision.box:BoxCodec"
    port = "omniline.plugins.vision.box:BoxPort"
    follows = ("IMAGE",)

    bins: int = setting(1000, at_least=2, at_most=65_536, help="places along a side")
    format: Literal["xyxy", "xywh", "cxcywh"] = setting("xyxy", data_only=True, help=BOX_FORMAT)
    unit: Literal["relative", "pixels"] = setting("relative", data_only=True, help=BOX_UNIT)
    size: int | None = setting(None, at_least=1, data_only=True, help=BOX_SIZE)
    clip: bool = setting(False, data_only=True, help=BOX_CLIP)
    image: str | None = setting(None, data_only=True, help=BOX_IMAGE)

    def tokens(self) -> Tokens:
        return Tokens(4)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("tokens", "int64", (4,)),)


class BoxValues(Adapter):
    """A region of a picture as one token, four numbers that are predicted by regression."""

    modality = "BOX"
    predicts = "values"
    loss = "box_regression"
    codec = "omniline.plugins.vision.box_values:BoxValuesCodec"
    port = "omniline.plugins.vision.box_values:BoxValuesPort"
    follows = ("IMAGE",)

    format: Literal["xyxy", "xywh", "cxcywh"] = setting("xyxy", data_only=True, help=BOX_FORMAT)
    unit: Literal["relative", "pixels"] = setting("relative", data_only=True, help=BOX_UNIT)
    size: int | None = setting(None, at_least=1, data_only=True, help=BOX_SIZE)
    clip: bool = setting(False, data_only=True, help=BOX_CLIP)
    image: str | None = setting(None, data_only=True, help=BOX_IMAGE)

    def tokens(self) -> Tokens:
        return Tokens(1)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("values", "float32", (1, 4)),)


@hookimpl
def modalities() -> Mapping[str, Modality]:
    """The slot types of this room."""
    return {
        "IMAGE": Modality(source="image", target="image_codes", help="a picture"),
        "VIDEO": Modality(source="video", target="video_codes", timed=True, help="a clip"),
        "BOX": Modality(source="box", target="box", help="a region of a picture: x0, y0, x1, y1"),
    }


@hookimpl
def adapters() -> Mapping[str, type[Adapter]]:
    """The adapters of this room."""
    return {
        "image": Image,
        "timm": Timm,
        "image_codes": ImageCodes,
        "video_codes": VideoCodes,
        "video": Video,
        "timm_video": TimmVideo,
        "box": Box,
        "box_values": BoxValues,
    }
