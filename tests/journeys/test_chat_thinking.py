"""Thinking, not thinking, and thinking within a budget: from conversations to answers told apart."""

import importlib.util
from pathlib import Path

import pytest

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.plugins.language.chat_marks import STOP

ON = "-> [CHAT:talk,template=qwen3]"
OFF = "-> [CHAT:talk,template=qwen3,thinking=off]"
LONG = "hm" * 5


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


@pytest.fixture(scope="module")
def trained():
    """A model that thinks for long and then says a word, or says it at once."""
    path = Path(__file__).parent.parent / "qwen_marks.py"
    spec = importlib.util.spec_from_file_location("omniline_qwen_marks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = [{"talk": [user(word), assistant("ok", reasoning_content=LONG)]} for word in ("yes", "no")]
    tasks = [ol.Task("on", ON, train=rows * 4), ol.Task("off", OFF, train=rows * 4)]
    return ol.fit(
        tasks,
        backbone="decoder-tiny,width=48,heads=4,key_heads=2,ffn=96,layers=2,positions=360",
        tokenizer=module.QWEN,
        max_steps=100,
        learning_rate=1e-2,
        warmup=0.1,
        batch_tokens=200,
        enable_progress_bar=False,
    )


def ask(model, line, word="no", **settings):
    return model.predict(line, {"talk": [user(word)]}, most_tokens=150, **settings).talk[-1]


def test_both_modes_answer(trained):
    for word in ("yes", "no"):
        assert ask(trained, ON, word) == assistant("ok", reasoning_content=LONG)
        assert ask(trained, OFF, word) == assistant("ok")


def test_a_thought_ends_within_its_budget(trained):
    free = ask(trained, ON)
    enough = len(LONG) + 3  # a token each: two new lines, every letter, the mark that closes it
    assert ask(trained, ON, thinking_budget=enough) == free
    for budget in (0, 3, enough - 1):
        found = ask(trained, ON, thinking_budget=budget)
        thought, behind, rest = found["reasoning_content"].partition(STOP)
        assert behind == STOP and not rest and LONG.startswith(thought.strip("\n"))
        assert len(thought.strip("\n")) == min(max(budget - 1, 0), len(LONG))
        assert "think>" not in found["content"]
    written = ask(trained, ON.replace("qwen3", "qwen3,thinking_budget=3"))
    assert written == ask(trained, ON, thinking_budget=3)


def test_what_a_budget_needs(trained):
    with pytest.raises(ConfigError, match="slot `talk`: `thinking_budget` needs answers that open with a thought"):
        ask(trained, OFF, thinking_budget=3)
    with pytest.raises(ConfigError, match="but there is room for 150: lower `thinking_budget`, or raise `most_tokens`"):
        ask(trained, ON, thinking_budget=149)
    with pytest.raises(ConfigError, match="the decoder `beam` has no setting `thinking_budget`"):
        ask(trained, ON, decoder="beam", thinking_budget=3)
