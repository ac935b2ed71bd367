"""A Qwen2.5 of random weights beside transformers: the same weights, the same tokens, turns taken in one process.

Padded is how transformers takes rows of unequal lengths; packed is how rows are laid here. The peak of the loss is of a
process for each, over what it held before.
"""

from __future__ import annotations

import gc
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers

import omniline as ol
from omniline.core.batch import Batch
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.plugins.language.tokenizer import PieceTokenizer, train_bpe
from omniline.tasks.memory import keep_pages

from .measuring import THREADS, Figure, calibrate, rise_gigabytes, run_apart
from .words import Texts, common_words

LINE = "[TEXT:src] -> [TEXT:tgt]"
END = "<|endoftext|>"
SHAPE = {"hidden_size": 448, "intermediate_size": 2432, "num_hidden_layers": 4, "num_attention_heads": 7}
ROUNDS, ROWS, NEW = 5, 16, 64
WORDS, LARGE = 50_304, 151_936


class Pair(NamedTuple):
    """One checkpoint, loaded by both."""

    ours: ol.Model
    theirs: Any
    tokenizer: PieceTokenizer


def measure() -> list[Figure]:
    """All ratios: ours over theirs in tokens a second, and in memory."""
    keep_pages()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")
    calibration = calibrate()
    pair = both(words=WORDS, **SHAPE)
    found = [
        _trained(pair, "qwen-mix", _captions(), steps=True),
        _trained(pair, "qwen-equal", _equal(pair.tokenizer), steps=False),
        *(_generated(pair, count) for count in (1, 8)),
        _remembered(),
    ]
    return [
        Figure(section="qwen", name=name, value=value, calibration=calibration, detail=detail)
        for name, value, detail in found
    ]


def measure_case(case: str, side: str) -> list[Figure]:
    """`memory ours` or `memory theirs`: gigabytes that the loss of 2,048 rows and its gradient take."""
    assert case == "memory", case
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")
    pair = both(words=LARGE, hidden_size=256, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4)
    rows = _equal(pair.tokenizer, count=8, length=256)
    step = _ours(pair, rows) if side == "ours" else _theirs(pair, rows)
    value = rise_gigabytes(step)
    return [Figure(section="qwen", name=f"qwen-memory-{side}", value=value, calibration=1.0)]


def both(*, words: int, **shape: int) -> Pair:
    """A checkpoint as transformers writes it, read by both."""
    tokenizer = _tokenizer()
    config = transformers.Qwen2Config(
        vocab_size=words,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.special(END),
        pad_token_id=tokenizer.special(END),
        **shape,
    )
    torch.manual_seed(0)
    theirs = transformers.Qwen2ForCausalLM(config)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        content = json.loads(tokenizer.to_json())["content"]
        (Path(folder) / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
        return Pair(ol.load(folder), theirs, tokenizer)


@cache
def _tokenizer() -> PieceTokenizer:
    trained = json.loads(train_bpe([f" {word}" * 9 for word in common_words()], size=8192).to_json())["content"]
    added = {"id": len(trained["model"]["vocab"]), "content": END, "special": True, "single_word": False}
    trained["added_tokens"] = [{**added, "lstrip": False, "rstrip": False, "normalized": False}]
    return PieceTokenizer(json.dumps(trained))


Row = dict[str, str]


def _captions() -> list[Row]:
    """Short questions, and answers whose lengths are as uneven as captions': most short, a few long."""
    texts, random = Texts(5), np.random.default_rng(5)
    lengths = random.lognormal(3.0, 0.8, ROWS).clip(4, 200).astype(int)
    return [{"src": texts.text(6, 12), "tgt": texts.text(length, length)} for length in lengths.tolist()]


def _equal(tokenizer: PieceTokenizer, count: int = 8, length: int = 160) -> list[Row]:
    """Rows of the same number of tokens, their end included."""
    found = []
    for seed in range(count):
        ids = tokenizer.encode(Texts(seed).text(length, length + 1))[: length - 8]
        found.append({"src": tokenizer.decode(ids[:8]), "tgt": tokenizer.decode(ids[8:])})
    return found


def _ids(pair: Pair, row: Row) -> tuple[list[int], list[int]]:
    source, target = (pair.tokenizer.encode(row[name]) for name in ("src", "tgt"))
    return source, [*target, pair.tokenizer.special(END)]


def _batch(pair: Pair, rows: Sequence[Row]) -> Batch:
    task = ol.Task("caption", LINE, train=list(rows))
    pair.ours.adopt(task)
    reader = pair.ours.reader(pair.ours.bound(task))
    examples = [reader.example(row, RowId("caption", i)) for i, row in enumerate(rows)]
    return pack(examples, {"caption": reader})


def _ours(pair: Pair, rows: Sequence[Row]) -> Callable[[], torch.Tensor]:
    batch = _batch(pair, rows)

    def step() -> torch.Tensor:
        loss = pair.ours.network.loss(batch).total
        loss.backward()
        return loss.detach()

    return step


def _theirs(pair: Pair, rows: Sequence[Row]) -> Callable[[], torch.Tensor]:
    """The same rows padded to the longest, the source without labels."""
    pairs = [_ids(pair, row) for row in rows]
    longest = max(len(source) + len(target) for source, target in pairs)
    ids, labels = torch.zeros(len(rows), longest, dtype=torch.long), torch.full((len(rows), longest), -100)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, (source, target) in enumerate(pairs):
        length = len(source) + len(target)
        ids[i, :length] = torch.tensor(source + target)
        labels[i, len(source) : length] = torch.tensor(target)
        mask[i, :length] = 1

    def step() -> torch.Tensor:
        loss = pair.theirs(input_ids=ids, attention_mask=None if bool(mask.all()) else mask, labels=labels).loss
        loss.backward()
        return loss.detach()

    return step


def _trained(pair: Pair, name: str, rows: Sequence[Row], *, steps: bool) -> tuple[str, float, dict[str, Any]]:
    """Tokens a second of forward and backward, with a step of AdamW where `steps`, and whether the losses agree."""
    sides = [(_ours(pair, rows), pair.ours.network), (_theirs(pair, rows), pair.theirs.train())]
    losses = [float(step()) for step, _ in sides]
    makers = [torch.optim.AdamW(network.parameters(), lr=0.0, fused=True) for _, network in sides]
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for (step, network), maker, own in zip(sides, makers, times, strict=True):
            gc.collect()
            start = time.perf_counter()
            step()
            if steps:
                maker.step()
            own.append(time.perf_counter() - start)
            network.zero_grad(set_to_none=True)
    ours, theirs = (median(own[1:]) for own in times)
    tokens = sum(len(source) + len(target) for source, target in (_ids(pair, row) for row in rows))
    laid = len(rows) * max(len(source) + len(target) for source, target in (_ids(pair, row) for row in rows))
    detail = {
        "ours_tokens_a_second": tokens / ours,
        "theirs_tokens_a_second": tokens / theirs,
        "padding": 1 - tokens / laid,
        "losses_apart": abs(losses[0] - losses[1]),
    }
    return name, theirs / ours, detail


def _generated(pair: Pair, count: int) -> tuple[str, float, dict[str, Any]]:
    """Greedy tokens a second behind prompts of unequal lengths; ours from text to text, theirs from ids to ids."""
    rows = [{"src": text["src"]} for text in Texts(9).column(count, src=(12, 48))]
    prompts = [pair.tokenizer.encode(row["src"]) for row in rows]
    longest, pad = max(map(len, prompts)), pair.tokenizer.special(END)
    ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    line = f"[TEXT:src] -> [TEXT:tgt,max_length={NEW + 1}]"
    network = pair.theirs.eval()

    def ours() -> object:
        return pair.ours.predict(line, rows, decoder="greedy", min_length=NEW, prefix_cache=0)

    def theirs() -> object:
        return network.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW, min_new_tokens=NEW, pad_token_id=pad
        )

    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for call, own in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            call()
            own.append(time.perf_counter() - start)
    mine, other = (median(own[1:]) for own in times)
    detail = {"ours_tokens_a_second": count * NEW / mine, "theirs_tokens_a_second": count * NEW / other}
    return f"qwen-generate-{count}", other / mine, detail


def _remembered() -> tuple[str, float, dict[str, Any]]:
    ours, theirs = (run_apart("qwen", "memory", side)[0].value for side in ("ours", "theirs"))
    return "qwen-memory", ours / theirs, {"ours_gigabytes": ours, "theirs_gigabytes": theirs}
