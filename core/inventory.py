"""What each token of a vocabulary writes, for whoever rules what may be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Inventory:
    """The bytes that each token writes; compared by identity, as it belongs to one tokenizer.

    Attributes:
        tokens: by id; empty for tokens that write nothing.
        end: the token that ends a text.
        marks: tokens that write nothing but have a name, such as "<|im_end|>".
        drops: the bytes that every text opens with and loses when it is read: of tokenizers that put a space before the
            first word.
        late: tokens that open with such bytes and lose others when they are the first of a text.

    >>> bare = Inventory((b"a", b"b", b""), end=2)
    >>> bare.text([0, 1, 2])
    b'ab'
    """

    tokens: tuple[bytes, ...]
    end: int
    marks: Mapping[str, int] = field(default_factory=dict)
    drops: bytes = b""
    late: tuple[int, ...] = ()

    def text(self, ids: list[int]) -> bytes:
        """What these tokens write, one after another."""
        return b"".join(self.tokens[id] for id in ids)
