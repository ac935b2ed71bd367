"""Writes what the documentation takes from the code: `codes.md`, and the marked parts of other pages.

python docs/generate.py            rewrite
python docs/generate.py --check    exit with 1 when a page is not what would be written
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import omniline as ol
from omniline.core.catalog import Catalog, Owner
from omniline.core.errors import InstructionError
from omniline.core.settings import Declaration, Setting, settings_of
from omniline.instructions.codes import CODES
from omniline.instructions.values import UNIVERSAL
from omniline.plugins.manager import load_catalog

DOCS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Example:
    """A line that has one finding: the rows, the backbone or the installation that it takes."""

    line: str
    rows: Any = ()
    backbone: str | None = None
    needs: str = ""
    change: Callable[[Catalog], Catalog] = lambda catalog: catalog

    def findings(self, catalog: Catalog) -> list[ol.Diagnostic]:
        """What is found in the line, and in its rows where it has some."""
        catalog = self.change(catalog)
        if not self.rows:
            return ol.check(self.line, catalog=catalog, backbone=self.backbone)
        task = ol.Task("example", self.line, train=self.rows, catalog=catalog)
        try:
            ol.Model.build(tasks=task, backbone=self.backbone or SMALL, catalog=catalog)
        except InstructionError as error:
            return list(error.diagnostics)
        return []


SMALL = "ofa-tiny,width=16,ffn=16,encoder_layers=1,decoder_layers=1"


def _twice(catalog: Catalog) -> Catalog:
    entry = replace(catalog.parts["losses"]["cross_entropy"], rivals=(Owner("acme-losses", "1.0"),))
    return replace(catalog, parts={**catalog.parts, "losses": {**catalog.parts["losses"], "cross_entropy": entry}})


class _Stream:
    """Rows that can only be read in order."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter([{"a": "is it?", "b": "yes"}])


class _Square(ol.Adapter):
    """An adapter that checks its settings itself."""

    modality = "IMAGE"
    codec = "acme_tiles:Codec"
    port = "acme_tiles:Port"

    size: int = ol.setting(64)
    tiles: int = ol.setting(4)

    def __post_init__(self) -> None:
        if self.size % self.tiles:
            raise ValueError(f"`size` must be a multiple of `tiles`, but {self.size} is none of {self.tiles}")


def _with_square(catalog: Catalog) -> Catalog:
    entry = replace(catalog.parts["adapters"]["image"], name="tiles", part=_Square)
    return replace(catalog, parts={**catalog.parts, "adapters": {**catalog.parts["adapters"], "tiles": entry}})


def _without_text(catalog: Catalog) -> Catalog:
    kept = {name: entry for name, entry in catalog.parts["modalities"].items() if name != "TEXT"}
    return replace(catalog, parts={**catalog.parts, "modalities": kept})


EXAMPLES: Mapping[str, Example] = {
    "OL100": Example("[TEXT:a] => [TEXT:b]"),
    "OL101": Example("[TEXT:a] -> [TEXT:b] -> [TEXT:c]"),
    "OL102": Example("[IMAGE:img what is it? -> [TEXT:cap]"),
    "OL103": Example("[IMGE:img] what is it? -> [TEXT:cap]"),
    "OL104": Example("[TEXT:a]] -> [TEXT:b]"),
    "OL105": Example("[] what is it? -> [TEXT:b]"),
    "OL106": Example("[text:a] -> [TEXT:b]"),
    "OL107": Example("[TEXT:a max_length=5] -> [TEXT:b]"),
    "OL108": Example("[TEXT:a,mask_ratio:0.3] -> [TEXT:b]"),
    "OL109": Example("[TEXT:a,column=Question Text] -> [TEXT:b]"),
    "OL110": Example('[TEXT:a,column="x] -> [TEXT:b]'),
    "OL111": Example("[TEXT:a] -> [TEXT:b,closed_set,is_label]"),
    "OL112": Example("［TEXT：a］ -> [TEXT:b]"),
    "OL113": Example("[IMAGE:img] what? -> [[BOX:b] [TEXT:t]]*"),
    "OL114": Example("[TEXT:a] \x07 -> [TEXT:b]"),
    "OL115": Example("[TEXT:a] " + "very long " * 1700 + "-> [TEXT:b]"),
    "OL116": Example("[TEXT:a] -> ( [BOX:b] ) *"),
    "OL117": Example("[TEXT:a] -> [BOX:b] [TEXT:c] )*"),
    "OL118": Example("-> ( ( ( ( ( ( ( ( ( [TEXT:a] )* )* )* )* )* )* )* )* )*"),
    "OL119": Example("[IMAGE:img] what? -> ( [BOX:b] [TEXT:t] )"),
    "OL120": Example("[IMAGE:img] what? -> [BOX:b]*"),
    "OL121": Example("[TEXT:a] > [TEXT:b] -> [TEXT:c]"),
    "OL122": Example("[TEXT:q] -> [TEXT:a] > [BOX:b]"),
    "OL123": Example("[TEXT:a] -> [TEXT:b] > x"),
    "OL124": Example("what is it? -> that"),
    "OL125": Example("[TEXT:a] -> [TEXT:b] ||| "),
    "OL126": Example("(IMAGE:img) what is [TEXT:a]? -> [TEXT:b]"),
    "OL130": Example("[IMAGE:a] -> [TEXT:a]"),
    "OL131": Example("[TEXT] and [IMAGE:text] -> [TEXT:b]"),
    "OL132": Example("[BOX:b] -> ( [BOX:b] )*"),
    "OL133": Example("[TEXT:a,column=x] -> [TEXT:a,column=y]"),
    "OL200": Example("[TEXT:a] -> [TEXT:b,max_lenght=5]"),
    "OL201": Example("[TEXT:a,no_loss] -> [TEXT:b]"),
    "OL202": Example("[TEXT:a] -> [TEXT:b,max_length=five]"),
    "OL203": Example("[TEXT:a,mask_ratio=3] -> [TEXT:a]"),
    "OL204": Example("[TEXT:a] -> [TEXT:b,max_length]"),
    "OL205": Example("[IMAGE:a,adapter=timm] -> [TEXT:b]"),
    "OL206": Example("[TEXT:a] -> [MOTION:b,steps=10]"),
    "OL207": Example("[TEXT:a] -> [TEXT:b,loss=cross_entrophy]"),
    "OL208": Example("[TEXT:a] -> [TEXT:b]", needs="two packages bring the loss `cross_entropy`", change=_twice),
    "OL209": Example("[TEXT:a] -> [TEXT:b,loss=mse]"),
    "OL210": Example("[TEXT:a] -> [VIDEO:b,adapter=video]"),
    "OL211": Example("[VIDEO:clip] [AUDIO:s,sync=clp] -> [TEXT:b]"),
    "OL212": Example("[TEXT:a] -> [TEXT:b,samples=4]"),
    "OL213": Example("[IMAGE:a,preprocess=image_vqgan,adapter=image] -> [TEXT:b]"),
    "OL214": Example("[AUDIO:a,loss=ctc] -> [MOTION:b]"),
    "OL215": Example("[TEXT:a] <-> nothing"),
    "OL216": Example("[TEXT:a] -> [TEXT:b] ||| [TEXT:a] -> [TEXT:c]"),
    "OL217": Example("[TEXT:a] -> [TEXT:b,no_loss]"),
    "OL218": Example("[TEXT:a] -> [TEXT:b,no_loss,loss=cross_entropy]"),
    "OL219": Example("[TEXT:a] -> [TEXT:b,closed_set=yes|no|yes]"),
    "OL220": Example(
        "[IMAGE:img,adapter=tiles,tiles=3] -> [TEXT:b]", needs="an adapter checks its settings", change=_with_square
    ),
    "OL221": Example("[IMAGE:img,max_length=10] -> [TEXT:b]"),
    "OL222": Example("[IMAGE:a] what? -> [BOX:b]", needs="no package brings TEXT", change=_without_text),
    "OL301": Example("[IMAGE:img,size=512,patch=8] what is it? -> [TEXT:cap]", backbone="ofa-tiny"),
    "OL310": Example("[TEXT:question] -> [TEXT:answer]", rows=({"qestion": "2 + 2?", "answer": "4"},)),
    "OL311": Example("[TEXT:a] -> [TEXT:b,closed_set]", rows=_Stream(), needs="the rows are a stream"),
    "OL312": Example("[BOX:b] -> [TEXT:t]", rows=({"b": [0, 0, 1], "t": "a corner"},)),
}


def codes_page(catalog: Catalog) -> str:
    """The page of codes: a heading each, what it means, and a line that has it with what is printed."""
    parts = [
        "# Codes\n\n"
        "Every finding about an instruction has a code. A code never changes its meaning. This page is written by "
        "`python docs/generate.py`; each\nmessage below is what the line above it prints. "
        "OL1xx are about grammar and names, OL2xx about types, values and parts, OL3xx about data and\nbudgets.\n"
    ]
    for code, about in CODES.items():
        parts.append(f"## {code}\n\n**{about.title}.** {about.explanation}\n\n{_shown(code, EXAMPLES[code], catalog)}")
    return "\n".join(parts)


def _shown(code: str, example: Example, catalog: Catalog) -> str:
    found = [one for one in example.findings(catalog) if one.code == code]
    if not found:
        raise SystemExit(f"the example of {code} has no such finding: {example.line!r}")
    conditions = [example.needs] if example.needs else []
    conditions += [f"the backbone is `{example.backbone}`"] if example.backbone else []
    conditions += [f"the rows are `{list(example.rows)}`"] if isinstance(example.rows, tuple) and example.rows else []
    when = f"When {' and '.join(conditions)}:\n\n" if conditions else ""
    return f"{when}```text\n{str(found[0]).rstrip()}\n```\n"


def universal_table() -> str:
    """The attributes that any slot may have."""
    rows = [
        (f"`{name}`", _kind(setting), UNIVERSAL_WORDS[name][0], UNIVERSAL_WORDS[name][1])
        for name, setting in UNIVERSAL.items()
    ]
    return _table(("attribute", "value", "where", "meaning"), rows)


UNIVERSAL_WORDS = {
    "adapter": ("any side", "which adapter reads or makes the value, instead of the usual one of the type"),
    "column": ("any side", "the column of the data, when it is not the slot's name"),
    "max_length": ("any side", "most tokens of the value; text is cut, its end mark never"),
    "optional": ("any side", "the data may lack it: then it is not laid out and not supervised"),
    "sync": ("any side", "another timed slot of the same side, with which it shares its clock"),
    "loss": ("target, or `align` on the source", "the loss, instead of the usual one"),
    "weight": ("target", "the factor of its loss"),
    "no_loss": ("target", "the value is given, also at predicting: forced, never supervised"),
    "closed_set": ("target", "the answers that are possible; bare: from the task or the data"),
    "reward": ("target", "the function that judges a drawn answer"),
    "samples": ("target, with `reward`", "answers drawn for each row"),
    "decoder": ("target", "how the value is found, instead of the usual way"),
}


def adapters_table(catalog: Catalog) -> str:
    """The settings of every shipped adapter, under its type."""
    parts = []
    for modality in catalog.names("modalities"):
        known = catalog.modality(modality)
        parts.append(f"#### {modality}\n\n{known.help[:1].upper()}{known.help[1:]}.\n")
        for name in catalog.names("adapters"):
            adapter = catalog.adapter(name)
            if adapter.modality == modality:
                usual = " and ".join(side for side in ("source", "target") if getattr(known, side) == name)
                note = f"usual on the {usual} side" if usual else f"`adapter={name}`"
                note += "" if adapter.codec else "; declared, its halves come later"
                parts.append(f"`{name}` ({note}): {_phrase(adapter)}\n\n{settings_table(adapter)}")
    return "\n".join(parts).rstrip("\n")


def parts_table(catalog: Catalog, kind: str, get: Callable[[str], type[Declaration]]) -> str:
    """Every part of one kind with its settings; those of a part that only sizes another are the other's."""
    parts = []
    for name in catalog.names(kind):
        part = get(name)
        needs = ", ".join(getattr(part, "needs", ()))
        note = f" Needs {needs}." if needs else ""
        later = "" if getattr(part, "build", "x") else " Declared; its working half comes later."
        alike = any(get(other) is base for other in catalog.names(kind) for base in part.__mro__[1:])
        table = "" if alike else settings_table(part)
        parts.append(f"`{name}`: {_phrase(part)}{note}{later}\n\n{table}".rstrip("\n") + "\n")
    return "\n".join(parts).rstrip("\n")


def settings_table(part: type[Declaration]) -> str:
    """The settings of a part; empty text when it has none."""
    rows = [
        (
            f"`{name}`",
            _kind(setting),
            "required" if setting.required else f"`{_value(setting.default)}`",
            _help(setting),
        )
        for name, setting in settings_of(part).items()
    ]
    return _table(("attribute", "value", "default", "meaning"), rows) + "\n" if rows else ""


def _help(setting: Setting) -> str:
    only = f" ({setting.sides[0]} side)" if len(setting.sides) == 1 else ""
    return setting.help + only


def _kind(setting: Setting) -> str:
    if setting.choices:
        return " ".join(f"`{choice}`" for choice in setting.choices) + (", a list" if setting.kind == "list" else "")
    words = {"int": "whole number", "float": "number", "bool": "flag", "str": "word", "list": "list of words"}
    low, high = setting.at_least, setting.at_most
    bounds = [f"at least {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else ""]
    return ", ".join([words[setting.kind], *(bound for bound in bounds if bound)])


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "|".join(map(str, value))
    return {"None": "none", "True": "true", "False": "false"}.get(str(value), str(value))


def _phrase(part: type) -> str:
    return (part.__doc__ or "").strip().split("\n")[0]


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(heads), *(tuple(cell.replace("|", r"\|") for cell in row) for row in rows)]
    out = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([out[0], "|" + "---|" * len(lines[0]), *out[1:]])


def aliases_table() -> str:
    """The ancestor's spellings."""
    from omniline.instructions.aliases import KEYS, SPELLINGS

    rows = [(f"`{old}=`", f"`{new}=`") for old, new in KEYS.items()]
    for (key, name), meant in SPELLINGS.items():
        settings = "".join(f",{setting}={value}" for setting, value in meant.settings)
        rows.append((f"`{key}={name}`", " or ".join(f"`adapter={adapter}{settings}`" for adapter in meant.adapters)))
    return _table(("spelling", "means"), rows)


def caption_plan() -> str:
    """The picture of a plan in the README."""
    return f"```mermaid\n{ol.compile(CAPTION).to_mermaid().rstrip()}\n```"


CAPTION = "[IMAGE:img] what does the image describe? -> [TEXT:cap]"


def pages() -> dict[Path, str]:
    """Every page with something generated, as it must be."""
    catalog = load_catalog(outside=())
    made = {
        "universal": universal_table(),
        "adapters": adapters_table(catalog),
        "losses": parts_table(catalog, "losses", catalog.loss),
        "decoders": parts_table(catalog, "decoders", catalog.decoder),
        "metrics": parts_table(catalog, "metrics", catalog.metric),
        "backbones": parts_table(catalog, "backbones", catalog.backbone),
        "aliases": aliases_table(),
        "plan": caption_plan(),
    }
    found = {DOCS / "codes.md": codes_page(catalog)}
    for path in [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]:
        if path.name != "codes.md":
            text = path.read_text(encoding="utf-8")
            filled = filled_in(text, made)
            if filled != text or "<!-- made: " in text:
                found[path] = filled
    return found


def filled_in(page: str, made: Mapping[str, str]) -> str:
    """A page with everything between `<!-- made: NAME -->` and `<!-- end -->` written anew."""

    def one(match: re.Match[str]) -> str:
        return f"<!-- made: {match[1]} -->\n\n{made[match[1]]}\n\n<!-- end -->"

    return re.sub(r"<!-- made: (\w+) -->\n.*?<!-- end -->", one, page, flags=re.DOTALL)


def main(words: list[str]) -> int:
    """Rewrite or check; the exit code."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in words:
            print(f"{path.name} is not what `python docs/generate.py` writes")
        else:
            path.write_text(pages()[path], encoding="utf-8")
            print(f"wrote {path.name}")
    return int(bool(stale) and "--check" in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
