"""Long prompts: vertical-slash attention and dual chunks against dense attention, on heads that look where trained
heads look: at the first rows, at a few rows that matter to all, and back at smooth distances.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from omniline.plugins.qwen.long_context import LongContext
from omniline.plugins.qwen.long_dual import DualChunks
from omniline.plugins.qwen.long_parts import Merged
from omniline.plugins.qwen.long_prefill import Keys, chosen_by, dense
from omniline.plugins.qwen.long_sparse import Sparse, attend_sparse
from omniline.plugins.qwen.rotary import Rotary, rotate, turn

from .measuring import Figure, calibrate

HEADS, KEY_HEADS, SIZE = 4, 2, 64
LENGTHS = (8_192, 16_384, 32_768)
SPARSE = Sparse(vertical=200, slash=600, beyond=0)
ROUNDS = 3


class Head(NamedTuple):
    """Queries, keys and values, not yet turned."""

    q: Tensor
    k: Tensor
    v: Tensor


def measure() -> list[Figure]:
    """How many times as fast as dense, by length, and the share of attention that is kept; what chunks cost."""
    found, calibration = [], calibrate()
    torch.set_num_threads(1)  # small calls of many: what a second thread gains depends on what else runs
    for length in LENGTHS:
        heads, index = drawn(length), torch.arange(length)
        by = turn(index, Rotary(size=SIZE, base=1e6))
        plain, long = Keys([rotate(heads.q, by)], rotate(heads.k, by), heads.v, 0), LongContext(sparse=SPARSE)
        exact, whole = _timed(lambda seen=plain, switches=long: dense(seen, switches))
        kept, sparse = _timed(lambda seen=plain: _sparsely(seen))
        recall = float((kept.log_sum - exact.log_sum).exp().mean())
        detail = {"dense_seconds": whole, "sparse_seconds": sparse, "attention_kept": recall}
        found.append(_figure(f"long-sparse-{length}", whole / sparse, calibration, detail))
        if length == LENGTHS[1]:
            chunks, dual = _chunked(heads, index)
            _, cut = _timed(lambda seen=chunks, switches=dual: dense(seen, switches))
            found.append(_figure("long-dual", cut / whole, calibration, {"dense_seconds": whole, "seconds": cut}))
    return found


def drawn(length: int) -> Head:
    """Heads with a common direction in the pairs that turn slowly, and forty keys that matter to all rows."""
    torch.manual_seed(0)
    common = torch.randn(KEY_HEADS, SIZE) * 1.6
    common.view(KEY_HEADS, 2, SIZE // 2)[:, :, : SIZE // 8] = 0
    q = torch.randn(length, HEADS, SIZE) * 0.5 + common.repeat_interleave(HEADS // KEY_HEADS, 0)
    k = torch.randn(length, KEY_HEADS, SIZE) * 0.5 + common
    k[torch.randperm(length)[:40]] += 1.5 * common
    return Head(q, k, torch.randn(length, KEY_HEADS, SIZE))


def _sparsely(seen: Keys) -> Merged:
    """Choosing and attending, as a piece of a prompt does."""
    budgets: Sequence[Sequence[int]] = [(SPARSE.vertical, SPARSE.slash)] * HEADS
    chosen = chosen_by(seen, LongContext(sparse=SPARSE), SPARSE, budgets)
    return attend_sparse(seen.queries, seen.k, seen.v, chosen, 0, None, SPARSE.block)


def _chunked(heads: Head, index: Tensor) -> tuple[Keys, LongContext]:
    dual = DualChunks(chunk=4096, local=1024)
    rotary = Rotary(size=SIZE, base=1e6)
    queries = [rotate(heads.q, turn(places, rotary)) for places in dual.query_places(index)]
    return Keys(queries, rotate(heads.k, turn(dual.key_places(index), rotary)), heads.v, 0), LongContext(dual=dual)


def _timed(call: Callable[[], Merged]) -> tuple[Merged, float]:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        found = call()
        times.append(time.perf_counter() - start)
    return found, median(times)


def _figure(name: str, value: float, calibration: float, detail: dict[str, float]) -> Figure:
    return Figure(section="long", name=name, value=value, calibration=calibration, detail=dict(detail))
