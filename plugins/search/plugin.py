"""Declarations of the decoders that search: greedy, sampling, beam, and the scoring of a closed set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...core.decoder import Decoder
from ...core.errors import ConfigError
from ...core.settings import setting
from ..hookspecs import hookimpl


class Constrained(Decoder):
    """What a text must be, for all searches over tokens: at most one of the three.

    In Python a schema may also be a mapping, or a class that has a `model_json_schema`.
    """

    regex: str | None = setting(None, help="a pattern that the whole answer matches")
    json_schema: str | None = setting(None, help="the answer is JSON of this schema: its text, or the path of a file")
    grammar: str | None = setting(None, help="the answer is of this grammar: its text in Lark, or the path of a file")

    def __post_init__(self) -> None:
        given = [name for name in ("regex", "json_schema", "grammar") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"`{given[0]}` and `{given[1]}` both say what the answer must be: leave one out")
        schema: Any = self.json_schema
        if hasattr(schema, "model_json_schema"):
            schema = schema.model_json_schema()
        if isinstance(schema, Mapping):
            object.__setattr__(self, "json_schema", json.dumps(schema, ensure_ascii=False))
        for name in given:
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"`{name}` must be a text, but is {type(getattr(self, name)).__name__}")


class Lengths(Constrained):
    """What else all searches over tokens can be told."""

    min_length: int = setting(0, at_least=0, help="tokens before the end mark is allowed")
    no_repeat_ngram: int = setting(0, at_least=0, at_most=64, help="no run of so many tokens twice; 0 for off")


class Steered(Lengths):
    """What greedy search and sampling can be told besides."""

    repetition_penalty: float = setting(
        1.0, at_least=0.01, at_most=100.0, help="above 1 tokens that were read or written become less likely"
    )
    presence_penalty: float = setting(
        0.0, at_least=-100.0, at_most=100.0, help="taken from the logit of each token that was written"
    )
    frequency_penalty: float = setting(
        0.0, at_least=-100.0, at_most=100.0, help="taken from the logit of a token as often as it was written"
    )
    guidance: float = setting(
        1.0, at_least=0.0, at_most=100.0, help="weight of the source against no source; train with `drop`"
    )
    negative: str | None = setting(None, help="text in place of the source's, to lead away from; needs `guidance`")
    thinking_budget: int | None = setting(
        None, at_least=0, help="tokens in which a thought that opens an answer must end; else it is broken off"
    )


class Greedy(Steered):
    """The likeliest token at each step; the likeliest class; values as they are predicted."""

    build = "omniline.plugins.search.greedy:Greedy"
    needs = ("tokens", "class", "values")


class Sample(Steered):
    """A draw from the model's distribution, a pure function of the seed."""

    build = "omniline.plugins.search.sample:Sample"
    needs = ("tokens", "class")

    temperature: float = setting(1.0, at_least=0.01, at_most=100.0, help="below 1 sharper, above 1 flatter")
    top_k: int = setting(0, at_least=0, help="draw among the k likeliest tokens; 0 for all")
    top_p: float = setting(1.0, at_least=0.001, at_most=1.0, help="draw among the fewest tokens of this probability")
    min_p: float = setting(
        0.0, at_least=0.0, at_most=1.0, help="draw among tokens at least this times as likely as the likeliest"
    )
    seed: int = setting(0, at_least=0, help="of the draws")


class Beam(Lengths):
    """The best of several answers that are kept at each step."""

    build = "omniline.plugins.search.beam:Beam"
    needs = ("tokens", "class")

    beams: int = setting(5, at_least=1, at_most=256, help="answers kept at each step")
    length_penalty: float = setting(
        1.0, at_least=0.0, at_most=10.0, help="an answer's score is its log-probability over its length to this power"
    )
    early_stop: bool = setting(True, help="stop when as many answers as beams have ended")


class ClosedSet(Decoder):
    """The best member of a closed set: all are scored, or a large set is searched by beams."""

    build = "omniline.plugins.search.closed_set:ClosedSet"
    needs = ("tokens", "class")

    most_scored: int = setting(
        512, at_least=1, help="score every member while the set branches at no more places than this"
    )
    beams: int = setting(16, at_least=1, at_most=256, help="answers kept at each step in a larger set")


@hookimpl
def decoders() -> Mapping[str, type[Decoder]]:
    """The shipped decoders."""
    return {"greedy": Greedy, "sample": Sample, "beam": Beam, "closed_set": ClosedSet}
