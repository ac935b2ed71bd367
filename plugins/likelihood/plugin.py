"""Losses that raise the likelihood of what a slot should say."""

from __future__ import annotations

from ...core.loss import Loss
from ...core.settings import setting
from ..hookspecs import hookimpl


class CrossEntropy(Loss):
    """Minus the log-probability of each supervised token or class, over the closed set where there is one."""

    build = "omniline.plugins.likelihood.cross_entropy:CrossEntropyLoss"
    needs = ("tokens", "class")
    aliases = ("label_smoothed_cross_entropy",)

    label_smoothing: float = setting(
        0.0, at_least=0, at_most=1, help="share of the probability to spread evenly over the other tokens"
    )
    drop: float = setting(
        0.0, at_least=0, at_most=1, help="share of rows trained without their source, for decoders with `guidance`"
    )


class MeanSquaredError(Loss):
    """The squared error of predicted values, averaged over each row's numbers."""

    build = "omniline.plugins.likelihood.mse:MeanSquaredErrorLoss"
    needs = ("values",)


class BoxRegression(Loss):
    """Distance of a box's corners and its overlap with the true box (GIoU), for boxes that are predicted as numbers."""

    build = "omniline.plugins.likelihood.boxes:BoxRegressionLoss"
    needs = ("values",)
    modalities = ("BOX",)

    l1: float = setting(5.0, at_least=0, help="weight of the distance of the corners, in shares of the sides")
    giou: float = setting(2.0, at_least=0, help="weight of what lacks to a full overlap")
    smooth: float = setting(0.02, at_least=0, help="below this distance the square counts, in shares of the sides")


class Ctc(Loss):
    """Connectionist temporal classification: a timed source slot against the target's tokens, in order."""

    build = "omniline.plugins.likelihood.ctc:CtcLoss"
    kind = "align"
    needs_width = True

    too_short: str = setting(
        "raise", choices=("raise", "ignore"), help="what to do with a value of too few rows for its tokens"
    )


class Mel(Loss):
    """Mel spectrogram frames and where they stop."""

    build = "omniline.plugins.likelihood.mel:MelLoss"
    needs = ("values",)
    modalities = ("AUDIO",)

    stop_weight: float = setting(1.0, at_least=0, help="factor of the loss of the stop mark")
    positive: float = setting(5.0, at_least=0, help="how often a last row counts in the stop")


@hookimpl
def losses() -> dict[str, type[Loss]]:
    """Cross-entropy, squared error, CTC and mel."""
    return {
        "cross_entropy": CrossEntropy,
        "mse": MeanSquaredError,
        "box_regression": BoxRegression,
        "ctc": Ctc,
        "mel": Mel,
    }
