"""A checkpoint's own chat template against ours, by small programs that write as the families do."""

import json
import re

import pytest

from omniline.core.errors import ConfigError
from omniline.plugins.language.chat_checkpoint import difference, fitting, read_template

TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{{ m.content }}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HELPFUL = "{% if messages[0].role != 'system' %}<|im_start|>system\nWORDS<|im_end|>\n{% endif %}"
SEES = """\
{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.content is string %}{{ m.content }}{% else %}\
{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}\
{% else %}<|vision_start|>{{ '<|' + part.type + '_pad|>' }}<|vision_end|>{% endif %}{% endfor %}{% endif %}\
{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
LEARNT = "{% generation %}{{ m.content }}{%- endgeneration -%}"


def words(text):
    return HELPFUL.replace("WORDS", text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TURNS, ("chatml", "on", None)),
        (words("You are a helpful assistant.") + TURNS, ("qwen2", "on", None)),
        (words("Reason, step by step.") + TURNS, ("qwen2", "on", "Reason, step by step.")),
        (words("You are a helpful assistant.") + SEES, ("qwen2-vl", "on", None)),
        (TURNS.replace("<|im_end|>", "</s>"), None),
        (TURNS.replace("{{ m.content }}", LEARNT), ("chatml", "on", None)),
        ("{{ messages.__class__.__mro__ }}", None),
        ("{{ raise_exception('no tools') }}", None),
        ("{% for %}", None),
    ],
)  # fmt: skip
def test_the_settings_that_write_the_same(text, found):
    assert fitting(text) == found
    if found is not None:
        assert difference(text, found[0], thinking=found[1], system=found[2]) is None


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        (TURNS, "qwen2.5", r"differs from template=qwen2.5 on a question: it writes '<\|im_start\|>user.* where ours"),
        (TURNS, "qwen3", "differs from template=qwen3 on an answer: it writes .* where ours writes .*<think>"),
        (words("You are a helpful assistant.") + TURNS, "qwen2-vl", "differs from template=qwen2-vl on media"),
        ("{{ nothing.at.all }}", "qwen3", r"cannot be run on a question \('nothing' is undefined\), so template=qwen3"),
        ("{{ ''.__class__.__mro__ }}", "qwen3", "cannot be run on a question .*unsafe"),
        ("{{ raise_exception('no system') }}", "chatml", r"cannot be run on a question \(no system\)"),
    ],
)
def test_where_they_part_is_one_sentence(text, name, sentence):
    found = difference(text, name)
    assert found is not None and "\n" not in found and re.search(sentence, found), found


def test_where_a_checkpoint_keeps_it(tmp_path):
    assert read_template(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "a"}))
    assert read_template(tmp_path) == "a"
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "b"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert read_template(tmp_path) == "b"
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "c"}))
    assert read_template(tmp_path) == "c"
    (tmp_path / "chat_template.jinja").write_text("dé", encoding="utf-8")
    assert read_template(tmp_path) == "dé"
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "chat_template.json").write_text("[]")
    with pytest.raises(ConfigError, match="chat_template.json' must be a JSON object, but is not"):
        read_template(tmp_path)
