"""`learn` itself, on a task file that is no preset."""

from pathlib import Path

import pytest

DIGITS = """
about: {title: Digits, metric: digit/accuracy}
tasks:
  digits:
    instruction: "[IMAGE:img,size=16,patch=4] which digit? -> [TEXT:digit,closed_set]"
    train: {call: "omniline.tasks.presets.samples:digit_rows", split: train, size: 16}
    valid: {call: "omniline.tasks.presets.samples:digit_rows", split: valid, size: 16}
backbone: decoder-tiny,width=48,ffn=96,layers=2
fit: {learning_rate: 5e-3, batch_tokens: 1024}
trainer: {max_steps: 900}
"""


@pytest.fixture
def digits(tmp_path) -> Path:
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS, encoding="utf-8")
    return path


def test_a_few_steps_beat_the_most_frequent_digit(learn, digits):
    learned = learn(digits, steps=90, rows=100, fit__schedule="linear")
    assert learned.last < 0.7 * learned.first
    assert learned.trivial["digit/accuracy"] < 0.2
    assert learned.values["digit/accuracy"] > learned.trivial["digit/accuracy"] + 0.3
    assert learned.values["digits/digit/accuracy"] == learned.values["digit/accuracy"]
    assert len(learned.results["digits"].outputs) == 100


def test_a_given_baseline(learn, digits):
    learned = learn(digits, steps=1, rows=20, constant={"digit": lambda row: row["digit"]})
    assert learned.trivial["digit/accuracy"] == 1.0
