"""What the rooms of losses declare, and the rewards."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from omniline.core.decoder import Decoder
from omniline.core.loss import Loss
from omniline.core.metric import Metric
from omniline.core.settings import settings_of
from omniline.plugins.policy.rewards import contains, equal, number, regex

ROOMS = ("likelihood", "contrastive", "preference", "policy", "diffusion", "scores")
PLUGINS = {room: import_module(f"omniline.plugins.{room}.plugin") for room in ROOMS}
KINDS = {"losses": Loss, "decoders": Decoder, "metrics": Metric}
PARTS = [
    (kind, name, part)
    for module in PLUGINS.values()
    for kind in KINDS
    if hasattr(module, kind)
    for name, part in getattr(module, kind)().items()
]


def test_the_promised_names_are_there():
    named = {kind: {name for k, name, _ in PARTS if k == kind} for kind in KINDS}
    likelihoods = {"cross_entropy", "mse", "ctc", "mel", "diffusion", "box_regression"}
    assert named["losses"] == likelihoods | {"contrastive", "bradley_terry", "dpo", "grpo", "gspo", "sapo"}
    assert named["decoders"] == {"diffusion"}
    assert set(PLUGINS["policy"].rewards()) == {"equal", "contains", "regex", "number"}


@pytest.mark.parametrize(("kind", "name", "part"), PARTS, ids=[f"{kind}-{name}" for kind, name, _ in PARTS])
def test_a_working_half_takes_the_declared_settings(kind, name, part):
    assert issubclass(part, KINDS[kind])
    settings = {key: known.default for key, known in settings_of(part).items()}
    assert all(known.help for known in settings_of(part).values())
    if not part.build:
        return
    module, _, made = part.build.partition(":")
    extra = {"width": 8} if getattr(part, "needs_width", False) else {}
    parameters = inspect.signature(getattr(import_module(module), made)).parameters.values()
    assert {one.name for one in parameters if one.kind is one.KEYWORD_ONLY} == {*settings, *extra}
    getattr(import_module(module), made)(**settings, **extra)
    for known in settings_of(part).values():
        if known.choices:
            assert known.default in known.choices or (known.nullable and known.default is None)


def test_declarations_import_no_torch():
    code = "import sys\n" + "".join(f"import omniline.plugins.{room}.plugin\n" for room in ROOMS)
    code += "print([m for m in ('torch', 'torchmetrics', 'lightning') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("reward", "predicted", "truth", "settings", "value"),
    [
        (equal, "yes ", "yes", {}, 1),
        (equal, "Yes", "yes", {}, 0),
        (equal, "Yes", "yes", {"ignore_case": True}, 1),
        (equal, "", "yes", {}, 0),
        (contains, "the answer is Yes.", "Yes", {}, 1),
        (contains, "the answer is Yes.", "yes", {"ignore_case": True}, 1),
        (contains, "the answer is no.", "yes", {}, 0),
        (regex, "x = 12", r"x = \d+$", {}, 1),
        (regex, "x = a", r"x = \d+$", {}, 0),
        (number, "first 3, then 1,200.50 euros", "1200.5", {}, 1),
        (number, "-4", "4", {}, 0),
        (number, "it is 5-3=2", 2, {}, 1),
        (number, "1e3", "1000", {}, 1),
        (number, "0.333", "0.3333", {}, 0),
        (number, "0.333", "0.3333", {"tolerance": 0.01}, 1),
        (number, "none", "3", {}, 0),
        (number, "0", "0", {}, 1),
        (number, ".5", "0.5", {}, 1),
        (number, "the years 2019,2020", "2020", {}, 1),
    ],
)
def test_rewards(reward, predicted, truth, settings, value):
    found = reward(predicted, truth, **settings)
    assert isinstance(found, float)
    assert found == value


@pytest.mark.parametrize(
    ("reward", "truth", "message"),
    [(regex, "(", "must be a pattern"), (number, "many", "must hold a number"), (contains, " ", "but is empty")],
)
def test_a_truth_that_cannot_judge_is_an_error(reward, truth, message):
    with pytest.raises(ValueError, match=message):
        reward("anything 1", truth)
