"""Generated texts for the language: nothing but `InstructionError` may come out, and what reads must read back."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

from omniline.core.catalog import Catalog
from omniline.core.errors import InstructionError
from omniline.core.plan import Plan
from omniline.instructions.compiler import compile
from omniline.instructions.parser import parse
from omniline.instructions.printer import spell

TYPES = [
    "TEXT",
    "IMAGE",
    "VIDEO",
    "AUDIO",
    "MOTION",
    "BOX",
    "STRUCT",
    "PHONE",
    "CATEGORY",
    "CHAT",
    "TEXT",
    "TEXT",
    "IMAGE",
    "IMGE",
    "text",
    "X",
]
NAMES = ["", ":a", ":b", ":img", ":a.b", ": c ", ":ünï", ":a b", ":", ":a;b", ":9", ":日本"]
ATTRIBUTES = [
    *("optional", "no_loss", "closed_set", "closed_set=yes,no", "closed_set=a|b", "mask_ratio=0.3", "mask_ratio=7"),
    *("max_length=5", "max_length=x", "max_length=1e3", "lenght=3", "size", "size=8", "=", "a=", "x==y", '"', '""'),
    *("loss=ctc", "loss=gspo", "loss=cross_entropy", "loss=dpo", "loss.temperature=1", "weight=2", "temperature=1"),
    *("reward=equal", "reward=regex,pattern=x", "samples=4", "sync=a", 'column="x y"', 'column="]"', "holds=xx"),
    *("decoder=beam", "decoder=sample,decoder.temperature=2", "adapter=timm,model=resnet50", "adaptor=image_vqgan"),
    *("preprocess=image_vqgan", "preprocess=imagenet", "holds=image", 'closed_set="a\\"b"', "bins=9999999999999999999"),
]
TEXTS = [
    *(
        " ",
        "  ",
        "what is it?",
        "a (b) c",
        ":)",
        ":(",
        ">",
        "\\",
        "\\\\",
        "\\[",
        "\\]",
        "\\>",
        "\\->",
        "\\|||",
        "-",
        "=>",
    ),
    *(
        "-->",
        "<-",
        "→",
        "[",
        "]",
        "(",
        ")",
        ")*",
        ") *",
        "{0,1}",
        "{3,1}",
        ")**",
        "*",
        "+",
        "\n",
        "\t",
        "\x00",
        ",",
        ":",
    ),
    *(
        '"',
        "'",
        "é",
        "日本語",
        "［",
        "］",
        "［TEXT：a］",
        "，",
        "：",
        "<",
        "<<",
        ">>",
        "- >",
        "\\n",
        "C:\\new",
        "\u3000",
    ),
    *(chr(0xD800), "{TEXT:a}", "🎈", "?", ")?", "|", "||", "|||", " ||| "),
]
TIDY_ATTRIBUTES = ["optional", "max_length=5", 'column="x y"', "size=8", "uncased", "loss.temperature=2", "holds=box"]
TIDY_TEXTS = [
    " ",
    "  ",
    " what is it? ",
    r" \[x\] ",
    r" \-> ",
    " (b) ",
    " a > b ",
    r" \\n",
    "é ",
    "\n",
    r" \( ",
    " - ",
    " | ",
]
ARROWS = [" -> ", "->", " <-> ", " -> ", " -> ", "", " -> -> ", " => "]
QUANTIFIERS = ["*", "+", "{0,1}", "{2}", "{2,}", "{1,3}", "", " *", "**", "{0}", "{,3}", "{3,1}", "?", "{999999999}"]


def slot(draw: random.Random, tidy: bool) -> str:
    """A slot; a tidy one is right by itself."""
    if tidy:
        kind = draw.choice(TYPES[:13])
        some = draw.sample(TIDY_ATTRIBUTES, draw.choice((0, 0, 0, 0, 1)))
        return f"[{','.join([kind + draw.choice(('', f':{kind[0]}', f':{kind[:2]}_{len(kind)}')), *some])}]"
    inside = draw.choice(TYPES) + draw.choice(NAMES)
    for _ in range(draw.choice((0, 0, 0, 1, 1, 2, 3))):
        inside += "," + draw.choice(ATTRIBUTES)
    return f"[{inside}]"


def sentence(draw: random.Random, tidy: bool, depth: int = 0) -> str:
    """One side, with text, slots, groups and rankings."""
    out = []
    for _ in range(draw.choice((0, 1, 1, 2, 2, 3, 5))):
        kind = draw.random()
        if kind < 0.5:
            out.append(slot(draw, tidy))
        elif kind < 0.85 or depth > 9:
            out.append(draw.choice(TIDY_TEXTS if tidy else TEXTS))
        elif kind < 0.95:
            inside = sentence(draw, tidy, depth + 1)
            out.append("(" + inside + ")" + draw.choice(QUANTIFIERS[: 6 if tidy else None]))
        elif not tidy or depth == 0:
            out.append(slot(draw, tidy) + draw.choice((" > ", ">", " >> ", r" \> ")) + slot(draw, tidy))
    return draw.choice(("", " ", "  ")).join(out)


def instruction(draw: random.Random) -> str:
    """An instruction, half of them tidy; the others wild and often with characters changed, dropped or added."""
    tidy = draw.random() < 0.5
    arrows = ARROWS[: 3 if tidy else None]
    text = sentence(draw, tidy) + draw.choice(arrows) + sentence(draw, tidy)
    while not tidy and draw.random() < 0.1:
        text += " ||| " + sentence(draw, tidy) + draw.choice(arrows) + sentence(draw, tidy)
    for _ in range(0 if tidy else draw.choice((0, 0, 0, 1, 1, 3))):
        at = draw.randrange(len(text) + 1)
        new = draw.choice('[]()<->=|\\",:;{}*+? aT0\n\x07［：') if draw.random() < 0.7 else ""
        text = text[:at] + new + text[at + draw.randrange(2) :]
    return text


def torture(text: str, catalog: Catalog, *, deep: bool) -> bool:
    """Judge one text; whether it compiled.

    Raises:
        AssertionError: it does not read back, or a finding has no place in the text.
    """
    try:
        nodes = parse(text)
    except InstructionError as error:
        _places(text, error)
        nodes = None
    if nodes is not None:
        spelled = spell(nodes)
        again = parse(spelled)
        assert again == nodes, f"{text!r} is spelled {spelled!r}, which reads otherwise"
        assert spell(again) == spelled, f"{spelled!r} is not a fixed point"
    try:
        plan = compile(text, catalog=catalog, backbone="ofa-tiny" if deep else None)
    except InstructionError as error:
        _places(text, error)
        return False
    assert nodes is not None, f"{text!r} compiles but does not parse"
    if deep:
        assert Plan.from_json(plan.to_json()) == plan
        assert plan.explain() and plan.to_mermaid()
    return True


def _places(text: str, error: InstructionError) -> None:
    assert error.diagnostics, "an error without findings"
    for found in error.diagnostics:
        places = [found.span, *(label.span for label in found.labels), *(fix.span for fix in found.fixes)]
        assert all(0 <= at.start <= at.end <= len(text) for at in places), f"{text!r}: {found}"
        assert found.message and str(found)


def stand_in() -> ModuleType:
    """The stand-in catalog's module, found beside this file."""
    path = Path(__file__).parents[1] / "instructions" / "stand_in.py"
    spec = importlib.util.spec_from_file_location("stand_in_for_fuzz", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(count: int, seed: int, catalog: Catalog) -> int:
    """Judge `count` generated texts; how many compiled."""
    draw = random.Random(seed)
    return sum(torture(instruction(draw), catalog, deep=number % 10 == 0) for number in range(count))
