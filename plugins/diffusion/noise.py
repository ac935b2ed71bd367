"""Noise on values, drawn in loader workers: what a network learns to take away again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.codec import Encoded, Reading
from ...core.levels import LEVEL
from .schedules import share_left


class Noise:
    """The data half of `diffusion`: one noise level a value, drawn evenly, and Gaussian noise of unit variance.

    The values should be of about unit spread themselves. What `Port.embed` receives as `values` becomes
    `sqrt(a) * clean + sqrt(1 - a) * noise` (Ho et al., 2020, equation 4); the labels stay clean.

    Args:
        steps: how many levels there are above the clean one.
        schedule: see `schedules`.
        drop: share of rows read without their source; the reader sees to it.
    """

    def __init__(self, *, steps: int, schedule: str, drop: float) -> None:
        self.steps, self.schedule = steps, schedule

    def __call__(self, encoded: Encoded, reading: Reading) -> Encoded:
        """The value made noisy, its rows seeing each other.

        Raises:
            ValueError: the value's tensors or labels are no `values`.
        """
        if "values" not in encoded.tensors or "values" not in encoded.labels:
            raise ValueError(
                "the loss `diffusion` needs an adapter whose codec gives `values` as tensor and as label on the target "
                f"side, but this one gives the tensors {', '.join(encoded.tensors)} and the labels "
                f"{', '.join(encoded.labels) or 'none'}"
            )
        draw = reading.random("diffusion")
        level = float(draw.integers(1, self.steps + 1)) / self.steps
        left = share_left(self.schedule, level)
        clean = np.asarray(encoded.labels["values"], dtype=np.float32)
        noise = draw.standard_normal(clean.shape, dtype=np.float32)
        noisy = np.float32(left**0.5) * clean + np.float32((1 - left) ** 0.5) * noise
        levels = np.full(encoded.rows, level, np.float32)
        return replace(encoded, tensors={**encoded.tensors, "values": noisy, LEVEL: levels}, mutual=True)
