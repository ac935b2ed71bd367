"""A decoder tried on a few tokens before it is taken: what it computes from embeddings must be what it computes itself.

Architectures differ in what they do around their layers: a factor of embeddings, a factor or a bound of logits, a bias,
what must be kept to go on. What can be read of the modules is read, what has several spellings is found by trying, and
an architecture whose logits are not found again is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import BundleError, OmnilineError
from ...core.layout import plain_layout
from ...core.networks import NewRows
from .library import line_of
from .network import AutoNetwork
from .plugin import AutoDecoder

ROWS = 7
"""Tokens of the trial."""
CAPS = ("final_logit_softcapping", "logits_soft_cap")
FACTORS = ("logit_scale", "logits_scaling", "lm_head_multiplier")
"""Entries whose value, or one divided by it, is a factor of logits."""
CLOSE, CLOSE_HALF = 1e-4, 5e-2
"""How far logits may be apart, as a share of the largest: in float32 and in shorter dtypes."""


def tried(causal: Any, declared: AutoDecoder, place: str) -> tuple[AutoNetwork, AutoDecoder]:
    """The network around a decoder, which is used up, and its declaration with what was found.

    Raises:
        BundleError: it cannot be run, its logits are not found again from embeddings, or it sees what is behind one.
    """
    try:
        return _tried(causal, declared, place)
    except OmnilineError:
        raise
    except Exception as cause:
        name = type(causal).__name__
        raise BundleError(f"{place}: `{name}` cannot be run from embeddings: {line_of(cause)}") from cause


@torch.no_grad()
def _tried(causal: Any, declared: AutoDecoder, place: str) -> tuple[AutoNetwork, AutoDecoder]:
    config, kind = causal.config, type(causal).__name__
    words, output = causal.get_input_embeddings(), causal.get_output_embeddings()
    rows = min(ROWS, declared.context())
    tokens = torch.randint(len(words.weight), (rows,), generator=torch.Generator().manual_seed(0))
    wanted = causal(input_ids=tokens[None], use_cache=False).logits[0]
    weight = words.weight.detach()
    plain, embedded = F.embedding(tokens, weight), words(tokens)
    scale = getattr(words, "scalar_embed_scale", getattr(words, "embed_scale", 1.0))
    declared = replace(declared, embed_scale=float(scale), logit_bias=output.bias is not None)
    network = network_of(causal, declared).eval()
    if not _close(network._scaled(plain), embedded):
        raise BundleError(f"{place}: `{kind}` makes more of its table of words than rows times a factor")
    hidden = network(plain, plain_layout([rows], [0]))
    logits = F.linear(hidden, output.weight, output.bias)
    cap = next((float(value) for name in CAPS if (value := getattr(config, name, None))), None)
    for factor in _factors(config):
        found = replace(declared, logit_scale=factor, logit_cap=cap)
        scaled = logits * factor
        if _close(scaled if cap is None else (scaled / cap).tanh() * cap, wanted):
            break
    else:
        raise BundleError(
            f"{place}: the logits of `{kind}` are not found again from embeddings and its output layer: the backbone "
            "`hf` does not know what it does around its layers"
        )
    cut = max(rows // 2, 1)
    if not _close(network(plain[:cut], plain_layout([cut], [0])), hidden[:cut]):
        raise BundleError(f"{place}: `{kind}` sees what is behind a token, but the backbone `hf` needs a decoder")
    if not _goes_on(network, plain, hidden):
        found, network.recall = replace(found, recall="replay"), "replay"
        warnings.warn(
            f"{place}: `{kind}` keeps more than keys and values, so that each token of an answer reads all before it "
            "again",
            UserWarning,
            stacklevel=2,
        )
    return network, found


def network_of(causal: Any, declared: AutoDecoder) -> AutoNetwork:
    """The network around a decoder that is there."""
    settings: dict[str, Any] = {**declared.settings(), "causal": causal}
    return AutoNetwork(kinds=1, **settings)


def _factors(config: Any) -> Iterator[float]:
    yield 1.0
    for name in FACTORS:
        value = getattr(config, name, None)
        if isinstance(value, int | float) and value:
            yield float(value)
            yield 1 / float(value)


def _goes_on(network: AutoNetwork, x: Tensor, hidden: Tensor) -> bool:
    """Whether two streams of unequal length, fed row by row, give the hidden states of the whole."""
    if len(x) < 3:
        return True
    if getattr(network.body, "_is_stateful", False):
        return False
    try:
        return _steps(network, x, hidden)
    except Exception:  # it has a cache of its own, and says so in its own way
        return False


def _steps(network: AutoNetwork, x: Tensor, hidden: Tensor) -> bool:
    half = len(x) // 2
    cache = network.prefill(torch.cat([x[:half], x[:1]]), plain_layout([half, 1], [0, 0]))
    kinds = torch.zeros(2, 1, dtype=torch.long)
    ones = torch.ones(2, dtype=torch.long)
    for step in range(2):
        fed = NewRows(torch.stack([x[half + step], x[1 + step]])[:, None], ones, kinds)
        got = network.extend(fed, cache)[:, 0]
        if not _close(got, torch.stack([hidden[half + step], hidden[1 + step]])):
            return False
    return True


def _close(a: Tensor, b: Tensor) -> bool:
    share = CLOSE if a.dtype in (torch.float32, torch.float64) else CLOSE_HALF
    return bool((a.float() - b.float()).abs().max() <= share * b.float().abs().max().clamp(min=1e-6))
