"""Diffusion: a loss that learns to take noise away, and a decoder that does it step by step."""

from __future__ import annotations

from ...core.decoder import Decoder
from ...core.loss import Loss
from ...core.settings import setting
from ..hookspecs import hookimpl

SCHEDULES = ("cosine", "linear")


class DiffusionLoss(Loss):
    """The error of the clean values that are read off noisy ones."""

    build = "omniline.plugins.diffusion.loss:DenoisingLoss"
    prepare = "omniline.plugins.diffusion.noise:Noise"
    needs = ("values",)

    steps: int = setting(1000, at_least=1, help="steps from clean values to noise")
    schedule: str = setting("cosine", choices=SCHEDULES, help="how the noise grows")
    drop: float = setting(0.1, at_least=0, at_most=1, help="share of rows trained without their source")


class DiffusionDecoder(Decoder):
    """Denoising from pure noise."""

    build = "omniline.plugins.diffusion.ddim:Ddim"
    needs = ("values",)

    steps: int = setting(50, at_least=1, help="denoising steps")
    schedule: str | None = setting(
        None, choices=SCHEDULES, help="how the noise grew in training; by default what the slot's loss says"
    )
    guidance: float = setting(1.0, at_least=0, help="weight of the source against no source")
    length: int | None = setting(None, at_least=1, help="rows of the value; by default as many as it learned")
    eta: float = setting(0.0, at_least=0, at_most=1, help="noise added at each step: 0 for DDIM, 1 for DDPM")
    seed: int = setting(0, at_least=0, help="seed of the noise")
    negative: str | None = setting(None, help="text in place of the source's, to lead away from; needs `guidance`")


@hookimpl
def losses() -> dict[str, type[Loss]]:
    """Denoising."""
    return {"diffusion": DiffusionLoss}


@hookimpl
def decoders() -> dict[str, type[Decoder]]:
    """Iterative denoising."""
    return {"diffusion": DiffusionDecoder}
