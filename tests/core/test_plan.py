"""Plans as values: JSON there and back, what a wrong file says, the tree and the chart."""

import json
import subprocess
import sys

import pytest

from omniline.core.adapter import Adapter
from omniline.core.catalog import Catalog, catalog_of
from omniline.core.decoder import Decoder
from omniline.core.errors import PlanError
from omniline.core.loss import Loss
from omniline.core.modality import Modality, TensorSpec, Tokens
from omniline.core.plan import Part, Plan, Prompt, Repeat, Use, uses, walk
from omniline.core.settings import setting
from omniline.instructions.compiler import compile


class Words(Adapter):
    modality = "TEXT"
    predicts = "tokens"
    codec = port = "nowhere:None"
    cuttable = True
    names: tuple[str, ...] = setting(("a", "b"))
    limit: int | None = setting(None)

    def tensors(self):
        return (TensorSpec("ids", "int64", ("tokens", 2)),)


class Patches(Adapter):
    modality = "IMAGE"
    codec = port = "nowhere:None"
    sides = ("source",)
    size: int = setting(64, at_least=8)

    def tokens(self):
        return Tokens((self.size // 16) ** 2)


class Likelihood(Loss):
    build = "nowhere:None"
    rate: float = setting(0.5)


class Ranked(Loss):
    build = "nowhere:None"
    kind = "rank"


class Likeliest(Decoder):
    build = "nowhere:None"


def small_catalog() -> Catalog:
    return catalog_of(
        modalities={"TEXT": Modality(source="text", target="text"), "IMAGE": Modality(source="image")},
        adapters={"text": Words, "image": Patches},
        losses={"cross_entropy": Likelihood, "bradley_terry": Ranked},
        decoders={"greedy": Likeliest},
        rewards={},
    )


LINES = [
    "[IMAGE:i] what? -> ( [TEXT:a] and ( [TEXT:b] ){2} )+ [TEXT:c,closed_set=x|y,weight=2]",
    "[TEXT:q,optional] -> so [TEXT:a] > [TEXT:b]",
    "[IMAGE:i] -> [TEXT:t] ||| look: [IMAGE:i] -> [TEXT:t]",
    "-> [TEXT:given,no_loss] [TEXT:t,max_length=7]",
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return small_catalog()


@pytest.mark.parametrize("line", LINES)
def test_json_there_and_back(line, catalog):
    plan = compile(line, catalog=catalog)
    again = Plan.from_json(plan.to_json())
    assert again == plan and hash(again) == hash(plan)
    assert json.loads(plan.to_json())["format"] == 1


def changed(plan, **changes):
    return json.dumps({**json.loads(plan.to_json()), **changes})


def test_a_wrong_plan_is_one_sentence(catalog):
    plan = compile(LINES[0], catalog=catalog)
    whole = json.loads(plan.to_json())
    wrong = {
        "must be JSON text": "{",
        "must be a JSON object, but is list": "[]",
        "format must be 1, but is 2": changed(plan, format=2),
        "format must be 1, but is None": "{}",
        "lacks 'slots'": changed(plan, alternatives=[{"arrow": "->"}]),
        "must be str, but is 7": changed(plan, text=7),
        "no part number 99": changed(plan, prompt=99),
        "wrong value": changed(plan, parts=3),
    }
    steps = [{"slot": 50}]
    wrong["no slot number 50"] = changed(plan, alternatives=[{**whole["alternatives"][0], "source": steps}])
    wrong["arrow must be"] = changed(plan, alternatives=[{**whole["alternatives"][0], "arrow": "=>"}])
    for message, text in wrong.items():
        with pytest.raises(PlanError) as caught:
            Plan.from_json(text)
        assert message in str(caught.value) and "\n" not in str(caught.value)


def test_loading_a_plan_imports_neither_torch_nor_what_it_names(catalog):
    plan = compile(LINES[0], catalog=catalog)
    script = (
        "import sys; from omniline.core.plan import Plan; plan = Plan.from_json(sys.stdin.read()); plan.explain(); "
        "assert 'torch' not in sys.modules and 'omniline.plugins' not in sys.modules; print(plan.text)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=plan.to_json(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == plan.text


def test_steps_are_walked_in_reading_order(catalog):
    target = compile(LINES[0], catalog=catalog).alternatives[0].target
    assert uses(target) == (1, 2, 3)
    kinds = [type(step) for step in walk(target)]
    assert kinds == [Repeat, Use, Prompt, Repeat, Use, Use]


def test_the_tree_shows_what_was_decided(catalog):
    plan = compile("[IMAGE:i] what? -> ( [TEXT:a,max_length=7] )+ [TEXT:c,closed_set=x|y,weight=2]", catalog=catalog)
    text = "names=a|b"
    assert plan.explain().split("\n") == [
        plan.text,
        "source  16 tokens and the prompts",
        "├─ i IMAGE",
        "│  ├─ adapter image(size=64)",
        "│  └─ budget 16 tokens",
        "└─ prompt ' what?'",
        "target  2 tokens or more and the prompts",
        "├─ list of 1 or more",
        "│  └─ a TEXT",
        f"│     ├─ adapter text({text})",
        "│     ├─ tensor ids int64[tokens, 2]",
        "│     ├─ budget 1 to 7 tokens, max_length=7",
        "│     ├─ predicts tokens",
        "│     └─ decoder greedy",
        "└─ c TEXT",
        f"   ├─ adapter text({text})",
        "   ├─ tensor ids int64[tokens, 2]",
        "   ├─ budget 1 token or more",
        "   ├─ predicts tokens",
        "   ├─ closed set x | y",
        "   └─ decoder greedy",
        "objectives",
        "├─ predict a  loss cross_entropy(rate=0.5)",
        "└─ predict c  loss cross_entropy(rate=0.5)  weight 2",
        "parts",
        "├─ adapter image(size=64) of test 0",
        f"├─ adapter text({text}) of test 0",
        "├─ decoder greedy of test 0",
        "└─ loss cross_entropy(rate=0.5) of test 0",
    ]


@pytest.mark.parametrize("line", [*LINES, r'[TEXT:a] say "<b>" #1 `x` \\n -> [TEXT:b]'])
def test_the_chart_is_balanced_and_escaped(line, catalog):
    chart = compile(line, catalog=catalog).to_mermaid().split("\n")
    assert chart[0] == "flowchart LR"
    opened = [row for row in chart if row.strip().startswith("subgraph")]
    assert len(opened) == sum(row.strip() == "end" for row in chart)
    named = {row.strip().split("[")[0].split("(")[0].split("{")[0].removeprefix("subgraph ") for row in chart}
    for row in chart:
        labels = row.count('"')
        assert labels in (0, 2), row
        if labels:
            inside = row.split('"')[1].replace("<br/>", "")
            assert not set('<>"`') & set(inside), row
        if "-->" in row or "-.->" in row:
            ends = row.replace("<-->", "-->").replace("-.->", "-->").split("-->")
            assert {end.strip() for end in ends} <= named, row


def test_parts_are_listed_once(catalog):
    plan = compile(LINES[2], catalog=catalog)
    assert [(part.kind, part.name) for part in plan.parts] == [
        ("adapter", "image"),
        ("adapter", "text"),
        ("decoder", "greedy"),
        ("loss", "cross_entropy"),
    ]
    assert plan.parts[1] == Part("adapter", "text", (("names", ("a", "b")), ("limit", None)), "test", "0")
