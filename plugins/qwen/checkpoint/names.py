"""The names of weights: ours, and those of the tensors in a checkpoint that each is made of.

A rule pairs one name of ours with one or more of theirs; `{n}` stands for any number, the same in all of them. Several
tensors are joined along their first dimension; with `{e}` in their names there is one such group for each expert, and
the groups are stacked. So a rule can be followed in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ....core.errors import BundleError
from ....core.settings import Value

NUMBER = re.compile(r"\{n\}")


class Rule(NamedTuple):
    """One name of ours and what it is made of.

    `whole` is the name of one tensor that may stand for all of `theirs` together, as some checkpoints hold it.
    """

    ours: str
    theirs: tuple[str, ...]
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one weight comes from: the names of each group, and the name that may stand for all.

    A weight without experts has one group, which is not stacked.
    """

    groups: tuple[tuple[str, ...], ...]
    stacked: bool = False
    whole: str = ""


def plain(*pairs: tuple[str, str]) -> tuple[Rule, ...]:
    """Rules of one tensor each."""
    return tuple(Rule(ours, (theirs,)) for ours, theirs in pairs)


def decoder_rules(settings: Mapping[str, Value], *, tied: bool) -> tuple[Rule, ...]:
    """The rules of a text decoder and its table of words."""
    layer = [
        ("attention_in.weight", "input_layernorm.weight"),
        ("ffn_in.weight", "post_attention_layernorm.weight"),
        *((f"attention.{a}.weight", f"self_attn.{a}_proj.weight") for a in "qkv"),
        ("attention.out.weight", "self_attn.o_proj.weight"),
    ]
    if settings.get("qkv_bias"):
        layer += [(f"attention.{a}.bias", f"self_attn.{a}_proj.bias") for a in "qkv"]
    if settings.get("out_bias"):
        layer.append(("attention.out.bias", "self_attn.o_proj.bias"))
    if settings.get("qk_norm"):
        layer += [(f"attention.{a}_norm.weight", f"self_attn.{a}_norm.weight") for a in "qk"]
    kinds = ("weight", "bias") if settings.get("ffn_bias") else ("weight",)
    layer += [(f"{part}.{kind}", f"mlp.{part}_proj.{kind}") for part in ("gate", "up", "down") for kind in kinds]
    top = [("backbone.norm.weight", "model.norm.weight"), ("ports.text.embedding.weight", "model.embed_tokens.weight")]
    if not tied:
        top.append(("ports.text.output.weight", "lm_head.weight"))
    rules = plain(*top, *((f"backbone.layers.{{n}}.{a}", f"model.layers.{{n}}.{b}") for a, b in layer))
    return rules + (_expert_rules(settings) if settings.get("experts") else ())


def _expert_rules(settings: Mapping[str, Value]) -> tuple[Rule, ...]:
    """The rules of mixtures of experts. Released checkpoints have tensors of each expert, transformers 5 in memory two
    of all."""
    ours, theirs = "backbone.layers.{n}.experts.", "model.layers.{n}.mlp."
    each = theirs + "experts.{e}."
    rules = [
        Rule(f"{ours}router.weight", (f"{theirs}gate.weight",)),
        Rule(f"{ours}gate_up", (f"{each}gate_proj.weight", f"{each}up_proj.weight"), f"{theirs}experts.gate_up_proj"),
        Rule(f"{ours}down", (f"{each}down_proj.weight",), f"{theirs}experts.down_proj"),
    ]
    if settings.get("shared_ffn"):
        rules += plain(
            *(
                (f"{ours}shared.{part}.weight", f"{theirs}shared_expert.{part}_proj.weight")
                for part in ("gate", "up", "down")
            ),
            (f"{ours}shared_gate.weight", f"{theirs}shared_expert_gate.weight"),
        )
    return tuple(rules)


def origins(ours: Iterable[str], rules: Sequence[Rule], *, experts: int = 0) -> dict[str, Origin]:
    """Where each weight that a rule covers comes from, in the order of `ours`; others are left out.

    >>> origins(["layers.3.a"], plain(("layers.{n}.a", "h.{n}.b")))["layers.3.a"].groups
    (('h.3.b',),)
    """
    patterns = [(re.compile(NUMBER.sub(r"(\\d+)", re.escape(r.ours).replace(r"\{n\}", "{n}"))), r) for r in rules]
    found: dict[str, Origin] = {}
    for name in ours:
        for pattern, rule in patterns:
            if (match := pattern.fullmatch(name)) is not None:
                found[name] = _origin(rule, match.groups(), experts)
                break
    return found


def _origin(rule: Rule, numbers: tuple[str, ...], experts: int) -> Origin:
    def filled(text: str, expert: int = 0) -> str:
        for number in numbers:
            text = text.replace("{n}", number, 1)
        return text.replace("{e}", str(expert))

    stacked = "{e}" in rule.theirs[0]
    count = experts if stacked else 1
    groups = tuple(tuple(filled(name, expert) for name in rule.theirs) for expert in range(count))
    return Origin(groups, stacked, filled(rule.whole))


SPELLINGS: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    (("model.", "model.language_model."), ("visual.", "model.visual.")),
    (("", "thinker."),),
    (("model.", "language_model.model."), ("lm_head.", "language_model.lm_head.")),
    (("model.", ""),),
)
"""How the names of checkpoints differ from those that transformers 5 writes, as prefixes: not at all; the modules of
transformers 5 as they are in memory; the thinker of a whole Omni model; an older nesting; a body without its head."""

ASIDE = re.compile(r"(talker|token2wav)\.|.*rotary_emb\.inv_freq|.*\.masked_bias")
"""Tensors that are left aside: the voice of Omni models, and constants that older versions saved."""


def respelled(name: str, spelling: Sequence[tuple[str, str]]) -> str:
    """A name under a spelling of `SPELLINGS`.

    >>> respelled("visual.norm.weight", SPELLINGS[1])
    'model.visual.norm.weight'
    """
    for start, other in spelling:
        if name.startswith(start):
            return other + name.removeprefix(start)
    return name


def spelling_of(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The spelling of a checkpoint that has these names.

    Raises:
        BundleError: there is no table of words under any of them.
    """
    have = set(names)
    for spelling in SPELLINGS:
        if respelled("model.embed_tokens.weight", spelling) in have:
            return spelling
    raise BundleError(
        "the weights must have a table of words, `model.embed_tokens.weight`, but have none under any spelling that is "
        "known"
    )
