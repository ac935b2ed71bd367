"""IMAGE and VIDEO through Qwen's vision towers. Declarations alone; nothing here imports torch.

Both go through one port: a picture is a clip of one frame, doubled in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ...core.adapter import Adapter
from ...core.modality import TensorSpec, Tokens
from ...core.settings import Value, setting

PORT = "omniline.plugins.qwen.vision_port:VisionPort"
RULE = "whose rounding of sides shorter than half a token: that of transformers, or of qwen-vl-utils"

TOWERS: Mapping[str, Mapping[str, Value]] = {
    "qwen2-vl": {"design": "full", "depth": 32, "tower_width": 1280, "heads": 16, "ffn": 5120},
    "qwen2.5-vl": {
        "design": "window",
        "depth": 32,
        "tower_width": 1280,
        "heads": 16,
        "ffn": 3420,
        "window": 112,
        "full_layers": ("7", "15", "23", "31"),
    },
}
"""The towers of the reports, one for all sizes of their backbones; Qwen2.5-Omni has that of Qwen2.5-VL. The report of
Qwen2.5-VL prints an inner size of 3,456, its weights have 3,420."""


class QwenImage(Adapter):
    """Pictures at their own resolution through a vision tower that turns by rows and columns; four patches a token."""

    modality = "IMAGE"
    codec = "omniline.plugins.qwen.vision_codec:QwenImageCodec"
    port = PORT
    sides = ("source",)

    design: Literal["full", "window"] = setting(
        "full", help="layers of Qwen2-VL, whose patches see their frame, or of Qwen2.5-VL, whose patches see windows"
    )
    depth: int = setting(32, at_least=1, help="layers of the tower")
    tower_width: int = setting(1280, at_least=4, help="size of a patch's row in the tower")
    heads: int = setting(16, at_least=1, help="attention heads of the tower")
    ffn: int = setting(5120, at_least=1, help="inner size of its feed-forward blocks")
    patch: int = setting(14, at_least=1, at_most=256, help="side of a patch in pixels")
    merge: int = setting(2, at_least=1, at_most=16, help="patches that become one token, each way")
    temporal_patch: int = setting(2, at_least=1, at_most=16, help="frames that share a patch")
    window: int = setting(112, at_least=1, help="side of a window in pixels, for design=window")
    full_layers: tuple[str, ...] = setting((), help="layers of design=window that see whole frames")
    normalise: Literal["clip", "imagenet", "half"] = setting("clip", help="mean and deviation that scale pixels")
    checkpoint: bool = setting(False, help="recompute layers in the backward pass instead of keeping them")
    min_pixels: int = setting(56 * 56, at_least=1, data_only=True, help="smaller pictures are enlarged to this")
    max_pixels: int = setting(1280 * 28 * 28, at_least=1, data_only=True, help="larger pictures are shrunk to this")
    rule: Literal["transformers", "utils"] = setting("transformers", data_only=True, help=RULE)

    def tokens(self) -> Tokens:
        # A most of `max_pixels` would refuse lines that fit: most pictures take far less.
        return Tokens(1, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return _tensors("n", self.patch)


class QwenVideo(Adapter):
    """Clips through the vision tower of `qwen_image`: frames at a steady rate, two of them to a patch."""

    modality = "VIDEO"
    codec = "omniline.plugins.qwen.vision_codec:QwenVideoCodec"
    port = PORT
    sides = ("source",)

    design: Literal["full", "window"] = setting("full", help="see `qwen_image`")
    depth: int = setting(32, at_least=1, help="layers of the tower")
    tower_width: int = setting(1280, at_least=4, help="size of a patch's row in the tower")
    heads: int = setting(16, at_least=1, help="attention heads of the tower")
    ffn: int = setting(5120, at_least=1, help="inner size of its feed-forward blocks")
    patch: int = setting(14, at_least=1, at_most=256, help="side of a patch in pixels")
    merge: int = setting(2, at_least=1, at_most=16, help="patches that become one token, each way")
    temporal_patch: int = setting(2, at_least=1, at_most=16, help="frames that share a patch")
    window: int = setting(112, at_least=1, help="side of a window in pixels, for design=window")
    full_layers: tuple[str, ...] = setting((), help="layers of design=window that see whole frames")
    normalise: Literal["clip", "imagenet", "half"] = setting("clip", help="mean and deviation that scale pixels")
    checkpoint: bool = setting(False, help="recompute layers in the backward pass instead of keeping them")
    min_pixels: int = setting(128 * 28 * 28, at_least=1, data_only=True, help="smaller frames are enlarged to this")
    max_pixels: int = setting(768 * 28 * 28, at_least=1, data_only=True, help="larger frames are shrunk to this")
    total_pixels: int | None = setting(
        None, at_least=1, data_only=True, help="pixels of a clip's patches: many frames are shrunk further"
    )
    rule: Literal["transformers", "utils"] = setting("transformers", data_only=True, help=RULE)
    sampling: Literal["fps", "all"] = setting(
        "fps", data_only=True, help="frames at the rate `fps`, or every frame; never more than `max_frames`"
    )
    fps: float = setting(2.0, at_least=0.01, at_most=240.0, data_only=True, help="frames a second that are read")
    slowest_fps: float | None = setting(
        None, at_least=0.01, data_only=True, help="in training the rate is drawn between this and `fps`"
    )
    min_frames: int = setting(4, at_least=1, data_only=True, help="frames of a short clip, where it has them")
    max_frames: int = setting(768, at_least=1, data_only=True, help="frames that are read at most")
    rate: float = setting(
        2.0,
        at_least=0.01,
        at_most=1000.0,
        data_only=True,
        help="frames a second of arrays and lists, which do not say it: at `fps` or less all of them are read",
    )
    clock: Literal["index", "seconds"] = setting(
        "index", data_only=True, help="what tokens say of their time: the number of the patch, or its second"
    )

    def tokens(self) -> Tokens:
        return Tokens(1, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return _tensors("n", self.patch)


def _tensors(rows: int | str, patch: int) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("patches", "uint8", (rows, 3 * patch**2)),
        TensorSpec("grid_thw", "int64", (1, 3)),
        TensorSpec("frames", "int64", (1,)),
    )
