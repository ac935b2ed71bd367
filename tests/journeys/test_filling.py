"""Filling gaps, from rows to answers: a middle that must fit what stands behind it."""

import importlib.util
import random
from pathlib import Path

import pytest

import omniline as ol
from omniline.core.errors import ConfigError

LINE = "-> [TEXT:code,fim=0.8]"
BACKBONE = "decoder-tiny,width=32,heads=4,key_heads=2,ffn=64,layers=2,positions=64"


@pytest.fixture(scope="module")
def qwen():
    """`tests/qwen_marks.py`, which is no package's module."""
    path = Path(__file__).parent.parent / "qwen_marks.py"
    spec = importlib.util.spec_from_file_location("omniline_qwen_marks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(qwen):
    """A model of documents with as many `c` as `a`, and some `b` between."""
    draw = random.Random(0)
    rows = [{"code": "a" * n + "b" * draw.randint(1, 2) + "c" * n} for n in draw.choices(range(1, 5), k=300)]
    return ol.fit(
        ol.Task("code", LINE, train=rows),
        backbone=BACKBONE,
        tokenizer=qwen.QWEN,
        max_steps=90,
        learning_rate=1e-2,
        batch_tokens=500,
        warmup=0.1,
        enable_progress_bar=False,
    )


def test_a_gap_is_filled_to_fit_what_stands_behind_it(trained):
    gaps = [(n, behind) for n in range(2, 5) for behind in range(n)]
    rows = [{"code": {"prefix": "a" * n + "b", "suffix": "c" * behind}} for n, behind in gaps]
    filled = [out.code for out in trained.predict(LINE, rows, most_tokens=12)]
    right = [text.lstrip("b") == "c" * (n - behind) for text, (n, behind) in zip(filled, gaps, strict=True)]
    alone = [
        out.code for out in trained.predict(LINE, [{"code": row["code"]["prefix"]} for row in rows], most_tokens=12)
    ]
    blind = [text.lstrip("b") == "c" * (n - behind) for text, (n, behind) in zip(alone, gaps, strict=True)]
    assert sum(right) >= 7 and sum(right) >= sum(blind) + 3, (filled, alone)


def test_answers_do_not_hold_marks_and_bundles_answer_the_same(trained, tmp_path):
    rows = [{"code": {"prefix": "aab", "suffix": "c"}}, {"code": "aaab"}, {"code": ""}]
    before = [out.code for out in trained.predict(LINE, rows, most_tokens=12)]
    after = [out.code for out in ol.load(trained.save(tmp_path / "m")).predict(LINE, rows, most_tokens=12)]
    assert before == after and not set("".join(before)) - set("abc")
    searched = trained.predict(LINE, rows[0], decoder="beam", beams=2, most_tokens=12)
    assert not set(searched.code) - set("abc")


def test_what_the_line_needs(qwen):
    row = {"code": "abc"}
    with pytest.raises(ConfigError, match="slot `code`: `fim` needs marks that the tokenizer must have"):
        ol.Model.build(backbone=BACKBONE, tasks=ol.Task("code", LINE, train=[row]))
    with pytest.raises(ol.InstructionError, match="fim"):
        ol.compile("[TEXT:code,fim=0.5] -> [TEXT:a]")
    with pytest.raises(ol.InstructionError, match="the tokenizer lacks"):
        lacking = qwen.make(without=("<|repo_name|>",))
        task = ol.Task("code", LINE, train=[{"code": {"repo": "r", "files": [{"path": "a", "content": "b"}]}}])
        ol.Model.build(backbone=BACKBONE, tasks=task, tokenizer=lacking)
