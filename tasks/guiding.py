"""What stands beside a row at predicting: the row without its source, values given in part, tokens that were read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..core.codec import Encoded
from ..core.errors import ConfigError
from ..core.example import Example
from ..core.generation_given import parts_of
from ..core.generation_program import Decode, Forced, Given, Program, walk_steps
from ..core.networks import DecoderSearch
from ..core.plan import Alternative, uses

Negative = str | Mapping[str, Any] | None
"""What stands in for the source where guidance leads away from it: a text for the first TEXT slot, or columns' values;
None for no source at all."""


def is_guided(searches: Collection[DecoderSearch]) -> bool:
    """Whether a decoder weighs the source against another."""
    return any(getattr(search, "guidance", 1) != 1 for search in searches)


def negative_of(searches: Collection[DecoderSearch], negative: Negative) -> Negative:
    """What the call says, else what a decoder says."""
    told = [getattr(search, "negative", None) for search in searches]
    return negative if negative is not None else next((text for text in told if text is not None), None)


def read_tokens(
    examples: Sequence[Example],
    given: Sequence[Mapping[int, Given]],
    program: Program,
    searches: Collection[DecoderSearch],
) -> dict[int, list[torch.Tensor]] | None:
    """The tokens that each stream has before its answer, by port; None when no decoder asks for them.

    Args:
        examples: the source sides.
        given: what is forced on each target side, groups apart.
        program: where that stands.
        searches: the decoders.
    """
    if all(getattr(getattr(search, "rules", None), "repetition_penalty", 1) == 1 for search in searches):
        return None
    steps = [step for step in walk_steps(program.steps) if isinstance(step, Forced)]
    kinds = {step.kind for step in walk_steps(program.steps) if isinstance(step, Decode)}
    found: dict[int, list[torch.Tensor]] = {kind: [] for kind in kinds}
    for example, own in zip(examples, given, strict=True):
        parts = [(piece.kind, piece.encoded) for stream in example.streams for piece in stream.source]
        for step in steps:
            value = own[step.key]
            parts += parts_of(value, step) if isinstance(value, Encoded) else []
        for kind, rows in found.items():
            tokens = [torch.as_tensor(e.tensors["tokens"]) for k, e in parts if k == kind and "tokens" in e.tensors]
            rows.append(torch.cat([torch.zeros(0, dtype=torch.long), *tokens]))
    return found


def shadow_examples(
    examples: Sequence[Example],
    rows: Sequence[Mapping[str, Any]],
    wording: Alternative,
    *,
    negative: Negative,
    encode: Callable[[Mapping[str, Any], Example], Example],
) -> list[Example]:
    """The same rows with the negative source, or with none.

    Args:
        examples: the rows as they are.
        rows: their raw values.
        wording: what is predicted.
        negative: see `Negative`.
        encode: a row's example under the identity of another.

    Raises:
        ConfigError: a negative text without a TEXT slot on the source side, or a column that no source slot reads.
    """
    if negative is None:
        return [replace(e, streams=tuple(s._replace(source=[]) for s in e.streams)) for e in examples]
    instead = _columns(wording, negative)
    return [encode({**row, **instead}, example) for row, example in zip(rows, examples, strict=True)]


def _columns(wording: Alternative, negative: str | Mapping[str, Any]) -> Mapping[str, Any]:
    source = [wording.slots[index] for index in uses(wording.source)]
    if isinstance(negative, str):
        texts = [slot.path for slot in source if slot.modality == "TEXT"]
        if not texts:
            raise ConfigError(
                "a negative text needs a TEXT slot on the source side; for other slots pass a mapping, "
                "`negative={column: value}`"
            )
        return {texts[0]: negative}
    by_name = {slot.name: slot.path for slot in source} | {slot.path: slot.path for slot in source}
    unknown = [name for name in negative if name not in by_name]
    if unknown:
        raise ConfigError(
            f"`negative` names `{unknown[0]}`, which is no source slot (slots: {', '.join(s.name for s in source)})"
        )
    return {by_name[name]: value for name, value in negative.items()}


def known_values(examples: Sequence[Example], wording: Alternative) -> dict[int, list[Encoded | None]]:
    """By target slot the values of a source slot that reads the same column through an adapter of the same name.

    What is found then keeps the rows that they give.
    """
    source = [wording.slots[index] for index in uses(wording.source)]
    found: dict[int, list[Encoded | None]] = {}
    for index in uses(wording.target):
        slot = wording.slots[index]
        same = [s.index for s in source if s.path == slot.path and s.adapter.name == slot.adapter.name and not s.depth]
        if same and slot.predicts == "values" and not slot.given and not slot.depth:
            found[index] = [_value(example, same[0]) for example in examples]
    return found


def _value(example: Example, slot: int) -> Encoded | None:
    return next((piece.encoded for piece in example.streams[0].source if piece.slot == slot), None)
