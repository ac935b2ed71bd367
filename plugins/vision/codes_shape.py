"""The shape of an image tokenizer, torch-free: sides, codes and levels, written in a slot or read from a saved one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations_with_replacement
from math import prod
from pathlib import Path
from typing import Any

PORT = "omniline.plugins.vision.codes:ImageCodesPort"
MODEL = "model.json"
DEFAULTS: dict[str, Any] = {"size": 64, "factor": 4, "codes": 1024, "quantiser": "fsq", "channels": 64}
"""What a slot has that neither writes a setting nor names a codebook."""
FEWEST, MOST = 4, 8
"""Levels of one number of a finite scalar code; with fewer than 5 or so a number carries little (Mentzer et al.)."""


def levels_of(codes: int) -> tuple[int, ...]:
    """The levels whose combinations come closest to so many codes without exceeding them, the fewest numbers first.

    >>> levels_of(1024), levels_of(256), levels_of(1000)
    ((8, 8, 4, 4), (8, 8, 4), (8, 5, 5, 5))
    """
    if codes <= MOST:
        return (codes,)
    best: tuple[int, ...] = (MOST,)
    count = 1
    while FEWEST**count <= codes:
        for levels in combinations_with_replacement(range(MOST, FEWEST - 1, -1), count):
            if prod(best) < prod(levels) <= codes:
                best = levels
        count += 1
    return best


def fill_shape(declaration: Any, **defaults: Any) -> None:
    """Give a declaration that is being made the settings that its slot leaves out: those of the codebook's tokenizer
    when its folder is there, else the defaults. One whose settings are all there, as in a saved plan, reads no folder.

    Raises:
        ValueError: the folder is no bundle with one image tokenizer, or that one has another shape than is written.
    """
    written = {name: getattr(declaration, name) for name in DEFAULTS}
    known: Mapping[str, Any] = {}
    if None in written.values() and declaration.codebook and Path(declaration.codebook).exists():
        known = find_tokenizer(Path(declaration.codebook))[1]
        check_shape(written, known, declaration.codebook)
    frozen = declaration.codebook is not None if declaration.frozen is None else declaration.frozen
    object.__setattr__(declaration, "frozen", frozen)
    for name, default in (DEFAULTS | defaults).items():
        if written[name] is None:
            object.__setattr__(declaration, name, known.get(name, default))


def check_shape(written: Mapping[str, Any], known: Mapping[str, Any], codebook: str) -> None:
    """Whether what is written agrees with a codebook's tokenizer; it may read pictures of another size.

    Raises:
        ValueError: it does not.
    """
    for name, value in written.items():
        if value is not None and name != "size" and name in known and known[name] != value:
            raise ValueError(f"`{name}` must be {known[name]}, as in the codebook {codebook}, but is {value}")


def find_tokenizer(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """The name and the settings of the one image tokenizer in a bundle.

    Raises:
        ValueError: the folder is no bundle, or holds none or several.
    """
    try:
        ports = json.loads((folder / MODEL).read_text(encoding="utf-8"))["ports"]
        found = [(str(port["name"]), dict(port["settings"])) for port in ports if port["target"] == PORT]
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ValueError(
            f"the codebook {folder} must be the folder of a saved model, but cannot be read: {cause}"
        ) from cause
    if len(found) != 1:
        have = ", ".join(name for name, _ in found) or "none"
        raise ValueError(f"the codebook {folder} must hold one image tokenizer, but holds {len(found)} ({have})")
    return found[0]
