"""The catalogue of codes: what each finding means and what to do. Stable: a code is never given another meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding: its title is a heading of the documentation, its explanation one paragraph."""

    code: str
    title: str
    explanation: str


def _catalogue(*codes: Code) -> Mapping[str, Code]:
    return MappingProxyType({code.code: code for code in codes})


CODES: Mapping[str, Code] = _catalogue(
    Code(
        "OL100",
        "No arrow",
        "Source and target are parted by `->`, or by `<->` for matching. An arrow is a whole run of the characters "
        "`<`, `-`, `=`, `>`, so `=>`, `-->` and `- >` are text.",
    ),
    Code("OL101", "More than one arrow", r"An instruction has one arrow. A literal one is written `\->` or `\<->`."),
    Code(
        "OL102",
        "A bracket is not closed",
        r"`[` always opens a slot and needs its `]`. A literal bracket is written `\[`.",
    ),
    Code("OL103", "Unknown modality", "No installed plugin provides this slot type. Types are upper case."),
    Code("OL104", "A bracket closes nothing", r"A `]` stands without its `[`. A literal bracket is written `\]`."),
    Code("OL105", "Empty slot", r"A slot needs at least its type. Literal brackets are written `\[\]`."),
    Code("OL106", "Not a type", "A slot begins with its type, one upper-case word, then `:` and a name."),
    Code(
        "OL107",
        "Not a name",
        "A name is letters, digits, `_` and `-`, joined by dots, and is a column of the data. A column with other "
        'characters is read with `column="Question Text"`. Attributes follow a comma.',
    ),
    Code("OL108", "Not an attribute", "Attributes are `key` or `key=value`, parted by commas."),
    Code(
        "OL109",
        "Not a value",
        'A value is a number, a word, a text in `"quotes"`, or several of them joined by `|`. A word has no white '
        'space and none of `, = | " [ ]`.',
    ),
    Code("OL110", "A quote is not closed", r'A `"` after `=` opens a value that the next `"` closes; inside, `\"`.'),
    Code("OL111", "Attribute written twice", "A slot has each attribute once; old and new spellings count as one."),
    Code("OL112", "Full-width punctuation", "Slots are written with the ASCII characters `[`, `]`, `:` and `,`."),
    Code(
        "OL113",
        "A form that is written otherwise here",
        "Lists are `( [BOX] [TEXT] )*` and matching is `[IMAGE] <-> [TEXT]`; slots in slots, joined by `+` or by `|` "
        "are other libraries' notations.",
    ),
    Code("OL114", "Control character", "Only newline and tab may stand in an instruction, no other control character."),
    Code("OL115", "Too long", "An instruction has at most 16,384 characters. Long text belongs into the data."),
    Code(
        "OL116",
        "Not a quantifier",
        r"After a group's bracket stands `*`, `+`, `{m}`, `{m,}` or `{m,n}`, without white space. Literal brackets are "
        r"written `\(` and `\)`.",
    ),
    Code("OL117", "Unbalanced group", r"A group's bracket has no partner. A literal one is written `\(` or `\)`."),
    Code("OL118", "Groups too deep", "Groups nest at most eight deep."),
    Code(
        "OL119",
        "Brackets without a quantifier",
        r"Round brackets around a target slot are text, a forced prompt. A list needs a quantifier, as `( ... )*`; for "
        r"the text write `\(` and `\)`.",
    ),
    Code("OL120", "Quantifier without brackets", "`*` after a slot is text. A list is written `( [BOX] )*`."),
    Code(
        "OL121",
        "Misplaced ranking",
        r"A ranking `[TEXT:a] > [TEXT:b]` is the last thing of the target of `->`, outside of groups, and there is one "
        r"at most. A literal `>` between slots is written `\>`.",
    ),
    Code("OL122", "Ranking of two modalities", "A ranking compares slots of one type."),
    Code("OL123", "A lone `>`", r"Beside one slot only, `>` ranks nothing and is text. Write `\>` to say so."),
    Code("OL124", "No slot", "An instruction needs a slot, such as `[TEXT:name]`; text alone carries no data."),
    Code("OL125", "Empty alternative", r"` ||| ` stands between two whole instructions. A literal one is `\|||`."),
    Code(
        "OL126", "Text that looks like a slot", "A type and a name in other brackets are text; slots have square ones."
    ),
    Code(
        "OL130",
        "One name, two modalities",
        "A name is one column of one type. To read one column as two types, give the slots two names and `column=`.",
    ),
    Code("OL131", "Clash with a default name", "An unnamed slot is called by its type in lower case; name it."),
    Code("OL132", "Inside and outside of a group", "A name holds either one value or a list of them."),
    Code("OL133", "One name, two columns", "Slots of one name read one column."),
    Code(
        "OL200",
        "Unknown attribute",
        "A slot's attributes are the universal ones and the settings of its adapter, loss, decoder and reward. The "
        "help names the nearest legal one, or the installed part that would provide it.",
    ),
    Code("OL201", "Misplaced attribute", "The attribute exists but not on this side of the arrow."),
    Code("OL202", "Wrong type of value", "The declaration says what an attribute's value is; it is never guessed."),
    Code("OL203", "Value out of range", "The number is too small or too large, or the word is none of the choices."),
    Code("OL204", "A value is missing", "The attribute needs a value after `=`."),
    Code("OL205", "A setting is missing", "The chosen part has a setting without a default; write it."),
    Code(
        "OL206",
        "Ambiguous setting",
        "Two of the slot's parts have a setting of this name. Write whose it is, as `loss.temperature=` or "
        "`decoder.temperature=`.",
    ),
    Code("OL207", "Unknown part", "No installed package provides an adapter, loss, decoder or reward of this name."),
    Code(
        "OL208",
        "A part given twice",
        "Two packages provide the same name. Uninstall one, or list the wanted packages in `OMNILINE_PLUGINS`.",
    ),
    Code(
        "OL209",
        "A part that does not suit",
        "A loss or decoder needs a kind of prediction, or serves certain modalities; an adapter serves one modality.",
    ),
    Code("OL210", "Wrong side", "The modality or the adapter cannot stand on this side of the arrow."),
    Code("OL211", "Wrong `sync`", "`sync` names another slot with a duration on the same side."),
    Code("OL212", "Reward and loss apart", "`samples` and losses that learn from rewards need `reward=`, and it them."),
    Code("OL213", "Spellings that disagree", "`preprocess=` and `adapter=` name different adapters; write one."),
    Code("OL214", "Nothing to align to", "A loss such as `ctc` aligns a source slot to a target slot of tokens."),
    Code("OL215", "Wrong match", "`<->` needs a slot on each side, and one loss and one weight for both."),
    Code("OL216", "Alternatives differ", "Alternatives word the same task: the same target slots and objectives."),
    Code("OL217", "Nothing is supervised", "The instruction has no objective; it can predict but not be trained."),
    Code("OL218", "A given slot with an objective", "`no_loss` says that the value is given, so nothing is learnt."),
    Code("OL219", "A member twice", "A closed set names each member once."),
    Code("OL220", "A part refuses its settings", "The part's own check failed; the message is its own."),
    Code("OL221", "`max_length` too small", "A picture or a clip takes a fixed number of tokens and is never cut."),
    Code("OL222", "No modality for prompts", "Prompt text is read as TEXT, which no installed package provides."),
    Code(
        "OL301",
        "The task cannot fit",
        "The tokens of the slots that have a most, with the least of the others, are more than the backbone's context. "
        "The labels show the sum; lower a size, a number of frames or `max_length`, or take a longer context.",
    ),
    Code("OL310", "Missing column", "The rows have no column of the slot's name; rename it or write `column=`."),
    Code("OL311", "Closed set unknown", "The members cannot be gathered from the data; write them."),
    Code("OL312", "A value does not suit", "One of the first rows holds a value that the slot cannot read."),
)
