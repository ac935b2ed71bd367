"""What each piece of a tokenizer of the tokenizers library writes, as bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tokenizers

from ...core.inventory import Inventory

LOCAL = {"Metaspace", "Replace", "ByteFallback", "Fuse", "Strip", "WordPiece"}
"""Steps of a decoder by which a piece writes the same wherever it stands, the first piece apart."""
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
ANCHOR = "a"


def inventory_of(inner: tokenizers.Tokenizer, *, ends: tuple[int, ...], vocabulary: int) -> Inventory:
    """What each token of a tokenizer writes.

    Args:
        inner: of the library.
        ends: the id that ends a text, and others that do.
        vocabulary: how many ids there are.

    Raises:
        ValueError: what a piece writes depends on its neighbours, or is not told.
    """
    added = inner.get_added_tokens_decoder()
    marks = {token.content: id for id, token in added.items() if token.special}
    hidden = {*marks.values(), *ends}
    pieces = {id: piece for piece, id in inner.get_vocab(with_added_tokens=True).items() if id not in hidden}
    drops: bytes = b""
    late: tuple[int, ...] = ()
    steps = set(_steps(json.loads(inner.to_str()).get("decoder")))
    if "ByteLevel" in steps:
        alphabet = byte_alphabet()
        written = {id: _bytes(piece, alphabet) for id, piece in pieces.items()}
    elif steps and steps <= LOCAL:
        written = {id: _probed(inner, piece, "ByteFallback" in steps) for id, piece in pieces.items()}
        drops, late = _first(inner, pieces, written)
    else:
        raise ValueError(
            "the tokenizer must have a decoder by which each piece writes its own text, as those of byte-level and of "
            f"sentence pieces do, but has {' and '.join(sorted(steps)) or 'none'}"
        )
    return Inventory(tuple(written.get(id, b"") for id in range(vocabulary)), ends[0], marks, drops, late)


def byte_alphabet() -> Mapping[str, int]:
    """The byte that each character of byte-level pieces stands for: printable ones themselves, others from 256 on.

    >>> alphabet = byte_alphabet()
    >>> alphabet["a"], alphabet["\u0120"], len(alphabet)
    (97, 32, 256)
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in set(plain)]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(rest)}


def _bytes(piece: str, alphabet: Mapping[str, int]) -> bytes:
    """Of a byte-level piece; an added token of other characters writes those."""
    if all(char in alphabet for char in piece):
        return bytes(alphabet[char] for char in piece)
    return piece.encode("utf-8", errors="ignore")


def _probed(inner: tokenizers.Tokenizer, piece: str, bytewise: bool) -> bytes:
    """What a piece writes behind another one."""
    byte = BYTE.fullmatch(piece) if bytewise else None
    if byte:
        return bytes([int(byte[1], 16)])
    return str(inner.decoder.decode([ANCHOR, piece])).removeprefix(ANCHOR).encode("utf-8", errors="ignore")


def _first(
    inner: tokenizers.Tokenizer, pieces: Mapping[int, str], written: Mapping[int, bytes]
) -> tuple[bytes, tuple[int, ...]]:
    """What texts lose at their start, and the tokens that lose something else there; see `Inventory`."""
    spaced = [id for id, token in written.items() if token.startswith(b" ")]
    late = [id for id in spaced if str(inner.decoder.decode([pieces[id]])).encode() != written[id][1:]]
    return (b"", ()) if len(late) == len(spaced) else (b" ", tuple(late))


def _steps(decoder: Any) -> Iterator[str]:
    if not isinstance(decoder, dict):
        return
    if decoder.get("type") == "Sequence":
        for inner in decoder.get("decoders") or ():
            yield from _steps(inner)
    else:
        yield str(decoder.get("type"))
