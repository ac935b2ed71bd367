"""Dual chunk attention of new rows towards what a cache holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...core.cache_step import Step
from .long_dual import DualChunks


def attend_chunks(step: Step, layer: int, queries: Sequence[Tensor], k: Tensor, v: Tensor, dual: DualChunks) -> Tensor:
    """New rows towards source and target rows in one softmax, each key with the query that its chunk asks for.

    Args:
        step: the feeding of rows; its cache holds keys turned by `DualChunks.key_places`.
        layer: whose keys and values.
        queries: the three versions [slots, count, heads, size].
        k: [slots, count, key heads, size]; `v` alike.
        dual: the chunks.

    Returns:
        [slots, count, heads, size].

    Raises:
        ValueError: new rows see each other both ways over the border of two chunks.
    """
    cache, device = step.cache, k.device
    slots, count, heads, size = queries[0].shape
    few = k.shape[2]
    before = torch.tensor(cache.source_lengths, dtype=torch.long, device=device)[:, None]
    places = step.places + before
    if step.mutual:
        _check(places, dual)
    rows = torch.cat([_rows(q, few) for q in queries], 1).transpose(1, 2)
    keys, values = cache.append(layer, k, v, step)
    own = rows @ keys.transpose(2, 3)
    scores = _chosen(own, dual.version(places, before + torch.arange(step.keys, device=device)), heads // few)
    if step.unseen is not None:
        scores = scores.masked_fill(step.unseen.repeat_interleave(heads // few, 2), float("-inf"))
    shared, held = cache.memory[layer]
    if not shared.shape[2] or not slots:
        return _back((scores.softmax(-1) @ values).transpose(1, 2), heads)
    far = cache.to_lanes(rows) @ shared.transpose(2, 3)
    mask = cache.memory_mask()
    far = cache.from_lanes(far if mask is None else far + mask, rows.shape[2])
    columns = torch.arange(shared.shape[2], device=device) - (shared.shape[2] - before)
    far = _chosen(far, dual.version(places, columns), heads // few)
    p_far, p_own = torch.cat([far, scores], -1).softmax(-1).split([shared.shape[2], step.keys], -1)
    found = cache.from_lanes(cache.to_lanes(p_far) @ held, p_far.shape[2])
    return _back((found + p_own @ values).transpose(1, 2), heads)


def _check(places: Tensor, dual: DualChunks) -> None:
    chunks = places // dual.span
    if bool((chunks[:, :1] != chunks[:, -1:]).any()):
        raise ValueError(
            f"with dual chunks a row must not see rows of a later chunk, but rows that see each other both ways lie on "
            f"both sides of the border of chunks of {dual.span}"
        )


def _rows(q: Tensor, few: int) -> Tensor:
    """Scaled queries [slots, count, heads, size] as [slots, count * share, key heads, size]."""
    q = q * q.shape[-1] ** -0.5
    out: Tensor = q.unflatten(2, (few, -1)).transpose(2, 3).flatten(1, 2)
    return out


def _back(x: Tensor, heads: int) -> Tensor:
    """[slots, count * share, key heads, size] as [slots, count, heads, size]."""
    share = heads // x.shape[2]
    out: Tensor = x.unflatten(1, (-1, share)).transpose(2, 3).flatten(2, 3)
    return out


def _chosen(scores: Tensor, version: Tensor, share: int) -> Tensor:
    """Of scores [slots, key heads, 3 * count * share, keys] those of each key's version [slots, count, keys]."""
    by_version = scores.unflatten(2, (3, -1))
    at = version.repeat_interleave(share, 1)[:, None, None].expand(-1, scores.shape[1], 1, -1, -1)
    out: Tensor = by_version.gather(2, at)[:, :, 0]
    return out
