"""Denoising step by step (DDIM, Song et al., 2021), with guidance (Ho & Salimans, 2022) and rows that are given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.generation_frontier import Frontier
from ...core.networks import Found
from ...core.seeding import mix
from .schedules import share_left


class Ddim:
    """From noise to values in a few steps, all rows of a value at once.

    A stream's noise is a pure function of (seed, the stream's key), so an answer does not depend on which streams it is
    batched with. A value has as many rows as its given rows say, else `length`, else as many as training values
    had after such a source, else as many as its slot allows.

    Args:
        steps: how often the network looks at the value.
        schedule: how the noise grew in training; None for "cosine".
        guidance: 1 for the source as it is, 0 for none, above 1 for more of it.
        length: rows of a value; None for what was learned.
        eta: noise added at each step: 0 for none (DDIM), 1 for as much as DDPM adds.
        seed: of the noise.
        negative: text that stands in for the source where guidance leads away from it; used by the caller, who makes
            the shadow streams.
    """

    def __init__(
        self,
        *,
        steps: int = 50,
        schedule: str | None = None,
        guidance: float = 1.0,
        length: int | None = None,
        eta: float = 0.0,
        seed: int = 0,
        negative: str | None = None,
    ) -> None:
        self.steps, self.schedule, self.guidance = steps, schedule or "cosine", guidance
        self.length, self.eta, self.seed, self.negative = length, eta, seed, negative

    def __call__(self, frontier: Frontier) -> Found:
        """See `DecoderSearch`.

        Raises:
            ConfigError: the slot predicts no values, or `length` exceeds what the slot allows.
        """
        if frontier.predicts != "values":
            raise ConfigError(
                f"slot `{frontier.name}`: diffusion finds values, but its adapter predicts {frontier.predicts}"
            )
        counts = self._counts(frontier)
        values = self._noise(frontier, counts)
        levels = [1 - place / self.steps for place in range(self.steps + 1)]
        for level, following in zip(levels, levels[1:], strict=False):
            clean = self._imposed(frontier, self._clean(frontier, values, counts, level))
            values = self._stepped(values, clean, level, following, frontier.keys, counts)
        fed = torch.where(frontier.active, counts, 0)
        if not frontier.last:
            frontier.feed(values, fed, mutual=True)
        return Found(predicted=values, counts=counts, log_probability=None, predictions=torch.ones_like(counts))

    def _counts(self, frontier: Frontier) -> Tensor:
        if self.length is not None and self.length > frontier.limit:
            raise ConfigError(
                f"slot `{frontier.name}`: `length={self.length}` must be at most {frontier.limit}, the rows that the "
                "slot and the context allow"
            )
        told = frontier.told_rows if self.length is None else None
        counts = torch.full((frontier.streams,), self.length or frontier.limit, device=frontier.device)
        counts = counts if told is None else told.clamp(1, frontier.limit)
        if frontier.known is not None:
            given = frontier.known.counts
            counts = torch.where(given > 0, given, counts).clamp(max=frontier.limit)
        return counts

    def _noise(self, frontier: Frontier, counts: Tensor) -> Tensor:
        """Pure noise in the shape of the port's predictions."""
        shape = frontier.port.project(frontier.hidden[:1]).shape[1:]
        return gaussian([mix(self.seed, key) for key in frontier.keys], counts, shape).to(frontier.device)

    def _clean(self, frontier: Frontier, values: Tensor, counts: Tensor, level: float) -> Tensor:
        """What the network takes the values to be without noise."""

        def seen(shadow: bool) -> Tensor:
            hidden = frontier.look(values, counts, level, shadow=shadow)
            return frontier.port.project(hidden.flatten(0, 1)).float().view(values.shape)

        if self.guidance == 1 or not frontier.shadowed:
            return seen(False)
        without = seen(True)
        return without if self.guidance == 0 else without + self.guidance * (seen(False) - without)

    def _imposed(self, frontier: Frontier, clean: Tensor) -> Tensor:
        """With the rows that are given in their places."""
        known = frontier.known
        if known is None:
            return clean
        rows = min(clean.shape[1], known.mask.shape[1])
        mask = known.mask[:, :rows].view(len(clean), rows, *[1] * (clean.dim() - 2))
        given = torch.where(mask, known.values[:, :rows].to(clean), clean[:, :rows])
        return torch.cat([given, clean[:, rows:]], 1)

    def _stepped(
        self, values: Tensor, clean: Tensor, level: float, following: float, keys: tuple[int, ...], counts: Tensor
    ) -> Tensor:
        """Values at the following level (Song et al., 2021, equations 12 and 16)."""
        now, then = (share_left(self.schedule, at) for at in (level, following))
        noise = (values - now**0.5 * clean) / max(1 - now, 1e-8) ** 0.5
        if not self.eta or not following:
            plain: Tensor = then**0.5 * clean + (1 - then) ** 0.5 * noise
            return plain
        fresh = self.eta * ((1 - then) / (1 - now) * (1 - now / then)) ** 0.5
        kept = max(1 - then - fresh**2, 0.0) ** 0.5
        seeds = [mix(self.seed, key, round(level * 1e6)) for key in keys]
        drawn = gaussian(seeds, counts, values.shape[2:]).to(values)
        stepped: Tensor = then**0.5 * clean + kept * noise + fresh * drawn
        return stepped


def gaussian(seeds: Sequence[int], counts: Tensor, shape: torch.Size) -> Tensor:
    """Noise [streams, rows, *shape], of which stream i has the first `counts[i]` rows, from its seed alone."""
    out = torch.zeros(len(seeds), int(counts.max()), *shape)
    for stream, (seed, count) in enumerate(zip(seeds, counts.tolist(), strict=True)):
        out[stream, :count] = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    return out
