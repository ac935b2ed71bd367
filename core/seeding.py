"""Seeds as pure functions of names and numbers, the same in every process and on every machine."""

from __future__ import annotations

import hashlib

Key = int | str


def mix(*parts: Key) -> int:
    """A 63-bit seed from a path of keys.

    >>> mix(0, "caption", 3) == mix(0, "caption", 3)
    True
    >>> mix(0, "ab", "c") == mix(0, "a", "bc")
    False
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def permuted(index: int, size: int, key: int) -> int:
    """Where `index` goes in a pseudo-random permutation of `range(size)`: a Feistel network with cycle walking.

    Needs no table, so any position of a shuffle of any length costs the same.

    >>> sorted(permuted(i, 10, key=7) for i in range(10)) == list(range(10))
    True
    """
    if not 0 <= index < size:
        raise IndexError(f"index must be in 0..{size - 1}, but is {index}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    while True:
        left, right = index >> half, index & low
        for turn in range(4):
            left, right = right, left ^ (_round(right, turn, key) & low)
        index = left << half | right
        if index < size:
            return index


def _round(value: int, turn: int, key: int) -> int:
    x = (value * 0x9E3779B97F4A7C15 + key + turn * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return x ^ (x >> 31)
