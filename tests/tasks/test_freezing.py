"""What is trained: low-rank updates alone, all but what is frozen; kept through adopting, saving and loading."""

import pytest
import torch
from PIL import Image

from omniline import Model, Task, fit, load
from omniline.core.errors import ConfigError
from omniline.core.low_rank import LowRank, is_low_rank
from omniline.tasks.freezing import low_rank_of

LINE = "[TEXT:q] -> [TEXT:a]"
ROWS = [{"q": word, "a": word[::-1]} for word in ("abc", "dog")]
SMALL = "decoder-tiny,width=32,heads=2,key_heads=2,ffn=48,layers=1"


@pytest.fixture(scope="module")
def trained():
    """A model before, and after ten steps of its updates alone."""
    task = Task("r", LINE, train=ROWS)
    model = Model.build(backbone=SMALL, tasks=task)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    quiet = {"enable_progress_bar": False, "learning_rate": 1e-2}
    return before, fit(task, model=model, lora="rank=2,targets=*.attention.q|*.up", max_steps=10, **quiet)


def test_updates_learn_and_the_rest_stays(trained):
    before, model = trained
    after = model.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    ups = [value for name, value in after.items() if name.endswith("low_up")]
    assert len(ups) == 2 and all(value.abs().sum() > 0 for value in ups)


def test_a_bundle_keeps_updates(trained, tmp_path):
    _, model = trained
    again = load(model.save(tmp_path / "bundle"))
    assert again.lora == LowRank(rank=2, targets=("*.attention.q", "*.up"))
    assert again.predict(LINE, ROWS[0]).scores == model.predict(LINE, ROWS[0]).scores


def test_new_ports_learn_beside_updates(trained):
    _, model = trained
    model.adopt(Task("s", "[IMAGE:i,size=16,patch=8] -> [TEXT:a]", train=[{"i": Image.new("RGB", (16, 16)), "a": "x"}]))
    learnt = {name for name, p in model.network.named_parameters() if p.requires_grad and not is_low_rank(name)}
    assert learnt and all(name.startswith("ports.image") for name in learnt)


def test_patterns_freeze():
    model = Model.build(backbone=SMALL, tasks=Task("r", LINE, train=ROWS))
    model.train_only(freeze="backbone.*|ports.marks.*")
    assert {n.split(".")[1] for n, p in model.network.named_parameters() if p.requires_grad} == {"text"}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"freeze": "backbne.*"}, "the pattern to freeze `backbne.*` matches nothing"),
        ({"lora": "rnk=2"}, "lora has no setting `rnk`; did you mean `rank`"),
        ({"lora": "rank=two"}, "the setting `rank` of lora must be a number, but is 'two'"),
        ({"lora": 3}, "lora must be True or settings"),
    ],
)
def test_mistakes(what, message):
    model = Model.build(backbone=SMALL, tasks=Task("r", LINE, train=ROWS))
    with pytest.raises(ConfigError, match=message):
        model.train_only(**what)


def test_settings_in_all_their_forms():
    assert low_rank_of(None) is None and low_rank_of(False) is None
    assert low_rank_of(True) == LowRank()
    assert low_rank_of({"rank": 4, "targets": ["a"]}) == LowRank(rank=4, targets=("a",))
