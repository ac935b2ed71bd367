"""Fill in the middle: documents written prefix, suffix, middle, so that a model of text left to right fills gaps.

The order and the marks are those of Qwen2.5-Coder (arXiv:2409.12186, section 2 and 3), after Bavarian et al. (2022,
arXiv:2207.14255): a share of the documents is cut at two places drawn among its characters, and written

    <|fim_prefix|> prefix <|fim_suffix|> suffix <|fim_middle|> middle, end

A repository is its name and its files, of which the last is cut. Marks are ids; a text that spells one stays text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...core.codec import Reading
from ...core.rows import is_absent, is_list
from .masking import Ids
from .tokenizer import Tokenizer

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "prefix": ("<|fim_prefix|>", "<fim_prefix>"),
    "suffix": ("<|fim_suffix|>", "<fim_suffix>"),
    "middle": ("<|fim_middle|>", "<fim_middle>"),
    "repo": ("<|repo_name|>", "<reponame>", "<repo_name>"),
    "file": ("<|file_sep|>", "<filename>", "<file_sep>"),
}
"""How tokenizers spell the marks: Qwen's, and StarCoder's."""
STOPS = ("<|fim_pad|>", "<fim_pad>", "<|endoftext|>", "<|im_end|>")
"""What ends a middle beside the marks themselves."""
SPLIT = 16
"""Tokens that two cuts may add to a text, since a token may be cut in two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document to write.

    Attributes:
        repo: the repository's name, None for none.
        files: path and content of what stands before the document.
        path: the document's own; None for a single document.
        text: all of it, or what stands before the gap.
        middle: what stands in the gap; None where it is to be found, or where there is no gap.
        suffix: what stands behind the gap; None without a gap.
    """

    text: str
    repo: str | None = None
    files: tuple[tuple[str, str], ...] = ()
    path: str | None = None
    middle: str | None = None
    suffix: str | None = None

    def cut(self, first: int, last: int) -> Document:
        """The document with a gap between two characters."""
        return replace(self, text=self.text[:first], middle=self.text[first:last], suffix=self.text[last:])


def document_of(raw: Any) -> Document:
    """A document from how rows write it.

    Args:
        raw: a string; or a mapping of {"prefix", "suffix", "middle"}, of which the last two may be missing; each with
            the "files" before it and its own "path", or {"repo", "files"}, of which the last is the document.

    Raises:
        TypeError, ValueError: another kind of value, or a part that is missing.

    >>> document_of({"repo": "toy", "files": [{"path": "a.py", "content": "x = 1"}]}).path
    'a.py'
    """
    if isinstance(raw, str):
        return Document(text=raw)
    if not isinstance(raw, Mapping):
        raise TypeError(
            'a document must be a string, {"prefix", "suffix"} or {"repo", "files"}, but is '
            f"{type(raw).__name__} {_short(raw)}"
        )
    told = {str(key): value for key, value in raw.items() if not is_absent(value)}
    files = _files(told.get("files"))
    repo, path = _optional(told, "repo"), _optional(told, "path")
    if "prefix" not in told:
        if not files:
            raise ValueError(
                'a document must be a string, or have a "prefix" or "files", but has ' + (", ".join(told) or "nothing")
            )
        return Document(text=files[-1][1], repo=repo, files=files[:-1], path=files[-1][0])
    if (files or repo is not None) and path is None:
        raise ValueError('a document beside other files must have its "path", but has ' + ", ".join(told))
    middle, suffix = _optional(told, "middle"), _optional(told, "suffix")
    if middle is not None and suffix is None:
        raise ValueError('a document with a "middle" must have a "suffix", perhaps "", but has ' + ", ".join(told))
    text = _optional(told, "prefix")
    assert text is not None, "it is there"
    return Document(text=text, repo=repo, files=files, path=path, middle=middle, suffix=suffix)


class Filling:
    """Writes documents as tokens.

    Args:
        tokenizer: the model's.
        share: of documents that are cut, in training and validation, drawn by row.

    Raises:
        ValueError: the tokenizer lacks the marks.
    """

    def __init__(self, tokenizer: Tokenizer, share: float) -> None:
        self.tokenizer = tokenizer
        self.share = share
        found = {name: _first(tokenizer, spelt) for name, spelt in SPELLINGS.items()}
        self.ids = {name: id for name, id in found.items() if id is not None}
        lacking = [SPELLINGS[name][0] for name in ("prefix", "suffix", "middle") if name not in self.ids]
        if lacking:
            raise ValueError(
                f"`fim` needs marks that the tokenizer must have as tokens, but it lacks {' and '.join(lacking)}; use "
                "the tokenizer of a code model, or leave `fim` out"
            )
        marks = [self.ids[name] for name in ("prefix", "suffix", "repo", "file") if name in self.ids]
        others = [tokenizer.special(name) for name in STOPS]
        self.stops = tuple(dict.fromkeys(id for id in (*marks, *others) if id is not None and id != tokenizer.end))

    def measure(self, raw: Any, reading: Reading) -> int:
        """The most tokens that the document takes, end mark included."""
        document = document_of(raw)
        spare = 3 + SPLIT if self._draws(document, reading) else 0
        rows = len(self._whole(document)) + spare
        return rows if reading.limit is None else min(rows, reading.limit)

    def encode(self, raw: Any, reading: Reading) -> Ids:
        """The document's tokens and the end mark, cut or as it stands.

        Raises:
            TypeError, ValueError: see `document_of`; no valid Unicode; or no room for the end mark.
        """
        document = document_of(raw)
        if document.suffix is not None and document.middle is None:
            raise ValueError('a document to learn from must have its "middle", but has a "prefix" and a "suffix" alone')
        if reading.limit is not None and reading.limit < 1:
            raise ValueError(f"a limit must leave room for the end mark, 1 token, but is {reading.limit}")
        random = reading.random("fim")
        if self._draws(document, reading) and random.random() < self.share:
            first, last = sorted(random.integers(0, len(document.text) + 1, size=2).tolist())
            cut = self._whole(document.cut(first, last), limit=reading.limit)
            if reading.limit is None or len(cut) <= reading.limit:
                return cut
        written = self._whole(document, limit=reading.limit)
        if reading.limit is None or len(written) <= reading.limit:
            return written
        return np.append(written[: reading.limit - 1], self.tokenizer.end)

    def opening(self, raw: Any, limit: int | None) -> Ids:
        """All that comes before the middle, or before what continues a document without a gap.

        Raises:
            TypeError, ValueError: see `document_of`.
        """
        document = replace(document_of(raw), middle=None)
        written = self._context(document, limit)
        left = None if limit is None else max(limit - len(written), 0)
        if document.suffix is None:
            told = self._literal(self._head(document) + document.text)
            return np.concatenate([written, told[max(len(told) - left, 0) :] if left is not None else told])
        return np.concatenate([written, self._gap(document, NOTHING, left)])

    def _draws(self, document: Document, reading: Reading) -> bool:
        return reading.corrupts and document.suffix is None

    def _whole(self, document: Document, limit: int | None = None) -> Ids:
        """Everything, end mark included; what stands before the document, or around its gap, is cut to the limit."""
        written = self._context(document, limit)
        left = None if limit is None else max(limit - len(written) - 1, 0)
        if document.suffix is None:
            body = self._literal(self._head(document) + document.text)
        else:
            body = self._gap(document, self._literal(document.middle or ""), left)
        return np.concatenate([written, body, [self.tokenizer.end]])

    def _gap(self, document: Document, middle: Ids, left: int | None) -> Ids:
        """A document with a gap: of prefix and suffix what is nearest to the gap stays when there is too much."""
        head, prefix = self._literal(self._head(document)), self._literal(document.text)
        suffix = self._literal(document.suffix or "")
        if left is not None:
            room = max(left - 3 - len(head) - len(middle), 0)
            behind = min(len(suffix), max(room // 2, room - len(prefix)))
            prefix, suffix = prefix[max(len(prefix) - (room - behind), 0) :], suffix[:behind]
        marks = ([self.ids[name]] for name in ("prefix", "suffix", "middle"))
        return np.concatenate([head, next(marks), prefix, next(marks), suffix, next(marks), middle]).astype(np.int64)

    def _head(self, document: Document) -> str:
        return "" if document.path is None else document.path + "\n"

    def _context(self, document: Document, limit: int | None) -> Ids:
        """The repository's name, the files before the document, and the mark of its own; the oldest go first."""
        if document.path is None:
            return NOTHING
        separator = [self._mark("file")]
        opens: Ids = NOTHING
        if document.repo is not None:
            opens = np.concatenate([[self._mark("repo")], self._literal(document.repo + "\n")])
        files = [np.concatenate([separator, self._literal(f"{path}\n{content}\n")]) for path, content in document.files]
        if limit is not None:
            own = len(self._literal(self._head(document) + document.text + (document.middle or "")))
            room = limit - own - len(self._literal(document.suffix or "")) - len(opens) - 5
            while files and sum(map(len, files)) > room:
                files.pop(0)
        return np.concatenate([opens, *files, separator]).astype(np.int64)

    def _mark(self, name: str) -> int:
        if name not in self.ids:
            raise ValueError(f"a repository needs the mark {SPELLINGS[name][0]}, which the tokenizer lacks")
        return self.ids[name]

    def _literal(self, text: str) -> Ids:
        return self.tokenizer.literal(text)


NOTHING: Ids = np.zeros(0, dtype=np.int64)


def _first(tokenizer: Tokenizer, names: Sequence[str]) -> int | None:
    return next((id for name in names if (id := tokenizer.special(name)) is not None), None)


def _optional(told: Mapping[str, Any], key: str) -> str | None:
    value = told.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f'the "{key}" of a document must be a string, but is {type(value).__name__} {_short(value)}')
    return value


def _files(value: Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not is_list(value):
        raise TypeError(f'"files" must be a list of {{"path", "content"}}, but is {type(value).__name__}')
    found = []
    for number, one in enumerate(value):
        if not isinstance(one, Mapping) or not all(isinstance(one.get(key), str) for key in ("path", "content")):
            raise ValueError(f'file {number} must have a "path" and a "content", both strings, but is {_short(one)}')
        found.append((one["path"], one["content"]))
    return tuple(found)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
