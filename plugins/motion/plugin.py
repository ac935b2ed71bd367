"""What motion brings: MOTION. Declarations alone; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.adapter import Adapter
from ...core.metric import Metric
from ...core.modality import Modality, TensorSpec, Tokens
from ...core.settings import setting
from ..hookspecs import hookimpl

ROOT = 6
"""Numbers of a frame for the root joint: its place and its velocity."""
ROTATION = 6
"""Numbers of a frame for each joint: two columns of its rotation matrix."""


class Motion(Adapter):
    """A skeleton's motion: root place and velocity and the joints' 6-D rotations, one token a frame."""

    modality = "MOTION"
    predicts = "values"
    codec = "omniline.plugins.motion.codec:MotionCodec"
    port = "omniline.plugins.motion.port:MotionPort"
    loss = "diffusion"
    decoder = "diffusion"
    settle = "omniline.plugins.motion.settling:settle_skeleton"
    settled = ("skeleton", "joints")

    skeleton: str | None = setting(
        None, help="a BVH file with the skeleton; by default that of the first motion, or a person of 22 joints"
    )
    joints: int | None = setting(
        None,
        at_least=1,
        at_most=512,
        help="joints of a skeleton that is not known: nothing but arrays is read and made",
    )
    kinematics: float = setting(1.0, at_least=0.0, help="factor of the error of the joints' places in `diffusion`")
    fps: float | None = setting(
        30.0, at_least=0.1, at_most=1000, data_only=True, help="frames a second that are read and made"
    )
    sample_rate: int = setting(1, at_least=1, at_most=1000, data_only=True, help="every n-th frame is read")
    min_length: int = setting(10, at_least=1, data_only=True, help="fewest frames; shorter motions are an error")
    max_frames: int = setting(
        512, at_least=1, at_most=65_536, data_only=True, help="most frames; longer motions are an error"
    )
    window: int | None = setting(
        None, at_least=1, data_only=True, help="frames of a random piece in training, of the first one else"
    )
    soft_trim: float = setting(
        0.0, at_least=0.0, at_most=1.0, data_only=True, help="share trimmed at random in training"
    )
    anchor_frame: int | None = setting(
        None, data_only=True, help="the frame that faces along z above the origin; by default places stay as they are"
    )
    mask_ratio: float = setting(
        0.0, at_least=0.0, at_most=1.0, data_only=True, help="share of frames to fill in between known ones"
    )

    def tokens(self) -> Tokens:
        return Tokens(1, min(self.max_frames, self.window or self.max_frames))

    def tensors(self) -> tuple[TensorSpec, ...]:
        width = "6 + 6 joints" if self.joints is None else ROOT + ROTATION * self.joints
        return (TensorSpec("values", "float32", ("n", width)), TensorSpec("known", "uint8", ("n",)))


@hookimpl
def modalities() -> Mapping[str, Modality]:
    """The slot types of this room."""
    return {"MOTION": Modality(source="motion", target="motion", timed=True, help="the motion of a skeleton")}


@hookimpl
def adapters() -> Mapping[str, type[Adapter]]:
    """The adapters of this room."""
    return {"motion": Motion}


class MotionError(Metric):
    """Distance from the true motion in body heights: of joints' places and velocities, lengths, sliding feet."""

    build = "omniline.plugins.motion.scores:MotionError"
    higher_is_better = False
    modalities = ("MOTION",)


@hookimpl
def metrics() -> Mapping[str, type[Metric]]:
    """The metric of this room."""
    return {"motion": MotionError}
