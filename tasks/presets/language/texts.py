"""Texts to classify, continue, shorten and follow: rows made of the sample sets, without a download.

Every class is map-style and a pure function of (split, index); what is drawn is drawn from `Random(...)` of these.
Splits are by source item: a sentence, a recipe, a definition of the held-out part is never in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from ....core.errors import ConfigError
from ..placements import checked_split
from ..readers import English, read_table

Row = dict[str, Any]


class TableFile:
    """The rows of one split of a tab-separated sample set.

    >>> rows = TableFile("recipes/recipes.tsv", split="valid", columns=("title", "steps"))
    >>> sorted(rows[0])
    ['steps', 'title']
    """

    def __init__(self, path: str, *, split: str, columns: Sequence[str]) -> None:
        split = checked_split(split)
        found = [{name: row[name] for name in columns} for row in read_table(path, "\t") if row["split"] == split]
        self.items = shuffled(found)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Row:
        return dict(self.items[index])

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order."""
        return (row[name] for row in self.items)


def shuffled(items: Sequence[Any]) -> list[Any]:
    """The items in an order of their own, always the same, so that the first ones are like the rest.

    >>> shuffled("abcd") == shuffled("abcd"), sorted(shuffled("abcd"))
    (True, ['a', 'b', 'c', 'd'])
    """
    return Random(len(items)).sample(list(items), len(items))


class Sentiment(TableFile):
    """Sentences of films, tweets and products: columns `sentence` and `label`, positive or negative.

    >>> len(Sentiment(split="train")), sorted(Sentiment(split="valid")[0])
    (3822, ['label', 'sentence'])
    """

    def __init__(self, *, split: str) -> None:
        super().__init__("sentiment/sentiment.tsv", split=split, columns=("text", "label"))
        self.items = [{"sentence": row["text"].lower(), "label": row["label"]} for row in self.items]


class Recipes(TableFile):
    """Recipes to be named by their steps: columns `src` and `tgt`.

    >>> Recipes(split="valid")[0]["tgt"]
    'zucchini stewed with vegetables in multicooker'
    """

    def __init__(self, *, split: str) -> None:
        super().__init__("recipes/recipes.tsv", split=split, columns=("steps", "title"))
        self.items = [{"src": row["steps"], "tgt": row["title"]} for row in self.items]


class Entailment:
    """Definitions and claims: columns `sent1`, `sent2` and `label`, yes or no.

    The claim says of a defined thing what kind it is; half of the claims are wrong. Every wrong kind is as likely, so
    that common kinds are right more often than rare ones: who reads the claim alone is right in three of four.

    >>> row = Entailment(split="valid")[1]
    >>> row["sent2"], row["label"]
    ('this is a time', 'no')
    """

    def __init__(self, *, split: str) -> None:
        self.split = checked_split(split)
        self._rows = shuffled(English(split).items)
        self._groups = sorted({item["group"] for item in self._rows})

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        row = self._rows[index]
        draw = Random(f"entailment/{self.split}/{index}")
        said, right = row["group"], draw.random() < 0.5
        while not right and said == row["group"]:
            said = draw.choice(self._groups)
        article = "an" if said[0] in "aeiou" else "a"
        return {"sent1": row["text"], "sent2": f"this is {article} {said}", "label": "yes" if right else "no"}

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order."""
        return iter(("no", "yes")) if name == "label" else (self[index][name] for index in range(len(self)))


class Continuations:
    """Definitions cut in two: columns `text`, `start` and `rest`.

    >>> row = Continuations(split="valid")[0]
    >>> row["start"] + row["rest"] == row["text"]
    True
    """

    def __init__(self, *, split: str) -> None:
        self.split = checked_split(split)
        self._rows = shuffled(English(split).items)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        text = self._rows[index]["text"]
        words = text.split(" ")
        cut = len(" ".join(words[: Random(f"cut/{self.split}/{index}").randint(2, len(words) - 2)]))
        return {"text": text, "start": text[:cut], "rest": text[cut:]}


class Instructions:
    """Small tasks said in words: columns `instruction`, `examples`, `src` and `tgt`.

    Twelve kinds over English nouns and small numbers (capitals, first letters, plurals, kinds, sums ...), each with two
    solved examples. The held-out part has other nouns and other sums.

    Args:
        split: train or valid.
        kinds: how many of the kinds, the first ones.

    >>> Instructions(split="train")[0]["instruction"]
    'write the word in capitals .'
    """

    def __init__(self, *, split: str, kinds: int = 12) -> None:
        self.split = checked_split(split)
        if not 1 <= kinds <= len(KINDS):
            raise ConfigError(f"kinds must be in 1..{len(KINDS)}, but is {kinds}")
        self.kinds = kinds
        found = {r["word"]: r["group"] for r in English(split).items if r["word"].isalpha() and len(r["word"]) < 9}
        self._words = shuffled(sorted(found.items()))

    def __len__(self) -> int:
        return len(self._words) * self.kinds

    def __getitem__(self, index: int) -> Row:
        if not 0 <= index < len(self):
            raise IndexError(f"the index must be in [0, {len(self)}), but is {index}")
        number, kind = divmod(index, self.kinds)
        draw = Random(f"instructions/{self.split}/{index}")
        wording, solve = KINDS[kind]
        (src, tgt), *shown = (solve(*self._words[at], draw) for at in (number, *self._others(draw)))
        examples = " ".join(f"{given} -> {answer} ;" for given, answer in shown)
        return {"instruction": f"{wording} .", "examples": examples, "src": src, "tgt": tgt}

    def _others(self, draw: Random) -> list[int]:
        return [draw.randrange(len(self._words)) for _ in range(2)]


def _sum(word: str, group: str, draw: Random) -> tuple[str, str]:
    a, b = draw.randint(0, 20), draw.randint(0, 20)
    return f"{a} and {b}", str(a + b)


def _larger(word: str, group: str, draw: Random) -> tuple[str, str]:
    a, b = draw.sample(range(100), 2)
    return f"{a} or {b}", str(max(a, b))


def _plural(word: str, group: str, draw: Random) -> tuple[str, str]:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word, word + "es"
    return word, word[:-1] + "ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else word + "s"


KINDS: tuple[tuple[str, Any], ...] = (
    ("write the word in capitals", lambda word, group, draw: (word, word.upper())),
    ("what kind of thing is it ?", lambda word, group, draw: (word, group)),
    ("give the first letter of the word", lambda word, group, draw: (word, word[0])),
    ("give the last letter of the word", lambda word, group, draw: (word, word[-1])),
    ("how many letters has the word ?", lambda word, group, draw: (word, str(len(word)))),
    ("write the plural of the word", _plural),
    ("add the numbers", _sum),
    ("which number is larger ?", _larger),
    ("put a hyphen between the letters", lambda word, group, draw: (word, "-".join(word))),
    ("repeat the word", lambda word, group, draw: (word, f"{word} {word}")),
    ("spell the word backwards", lambda word, group, draw: (word, word[::-1])),
    ("does the word have the letter e ?", lambda word, group, draw: (word, "yes" if "e" in word else "no")),
)
