"""What of a model is trained: all of it, all but what patterns freeze, or low-rank updates alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError
from ..core.low_rank import LowRank, add_low_rank, is_low_rank, matching
from ..core.near import nearest

if TYPE_CHECKING:
    from ..core.model import Network


def freeze(network: Network, patterns: Iterable[str]) -> int:
    """Freeze the parameters whose names match; how many numbers they hold.

    Raises:
        ConfigError: a pattern matches none.
    """
    held = dict(network.named_parameters())
    chosen = matching(tuple(patterns), tuple(held), "pattern to freeze")
    for name in chosen:
        held[name].requires_grad_(False)
    return sum(held[name].numel() for name in chosen)


def apply_low_rank(network: Network, how: LowRank, *, kept: Iterable[str] = ()) -> None:
    """Add the updates, and freeze every parameter but those and the ones of the ports and losses in `kept`.

    Raises:
        ConfigError: a target matches no layer.
    """
    add_low_rank(network, how)
    prefixes = tuple(kept)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(is_low_rank(name) or name.startswith(prefixes))


def low_rank_of(value: Any) -> LowRank | None:
    """`True`, "rank=8,alpha=16,targets=a|b", a mapping, or a LowRank.

    Raises:
        ConfigError: an unknown setting or a value that does not suit it.

    >>> low_rank_of("rank=4,targets=backbone.layers.*.q|backbone.layers.*.v").rank
    4
    """
    if value is None or value is False or isinstance(value, LowRank):
        return value or None
    if value is True:
        return LowRank()
    if isinstance(value, str):
        pairs = (item.partition("=") for item in value.split(",") if item.strip())
        value = {key.strip(): text.strip() for key, _, text in pairs}
    if not isinstance(value, Mapping):
        raise ConfigError(f'lora must be True or settings, "rank=8,alpha=16", but is {value!r}')
    return LowRank(**{str(key): _setting(str(key), one) for key, one in value.items()})


def _setting(key: str, value: Any) -> Any:
    known = [field.name for field in fields(LowRank)]
    if key not in known:
        near = nearest(key, known)
        hint = f"; did you mean `{near}`?" if near else f" (settings: {', '.join(known)})"
        raise ConfigError(f"lora has no setting `{key}`{hint}")
    if key == "targets":
        return tuple(value.split("|")) if isinstance(value, str) else tuple(value)
    try:
        return int(value) if key == "rank" else float(value)
    except (TypeError, ValueError) as cause:
        raise ConfigError(f"the setting `{key}` of lora must be a number, but is {value!r}") from cause
