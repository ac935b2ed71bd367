"""The tokenizer that a model asks for by a word, a file or an object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError
from .tokenizer import ByteTokenizer, Tokenizer, train_bpe


def make_tokenizer(wanted: Any, texts: Callable[[], Iterable[str]]) -> Tokenizer:
    """A tokenizer.

    Args:
        wanted: None or "bytes"; "bpe" or "bpe:8000" to train one of that size; the path or the content of a
            `tokenizer.json`; or a Tokenizer.
        texts: what a new one is trained on; called only then.

    Raises:
        ConfigError: none of these, or it cannot be read or trained.

    >>> make_tokenizer("bytes", list).vocabulary
    258
    """
    if isinstance(wanted, Tokenizer):
        return wanted
    if wanted is None or wanted == "bytes":
        return ByteTokenizer()
    if isinstance(wanted, str) and wanted.partition(":")[0] == "bpe":
        size = wanted.partition(":")[2] or "8192"
        if not size.isdigit():
            raise ConfigError(f'tokenizer must be "bpe:SIZE" with a number, but is {wanted!r}')
        return train_bpe(texts(), size=int(size))
    if isinstance(wanted, str) and wanted.lstrip().startswith("{"):
        return Tokenizer.from_json(wanted)
    if isinstance(wanted, str | Path):
        return Tokenizer.from_file(wanted)
    raise ConfigError(
        f'tokenizer must be "bytes", "bpe:SIZE", a tokenizer.json or a Tokenizer, but is {type(wanted).__name__}'
    )
