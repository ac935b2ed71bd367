"""The weights of a trained image tokenizer, from the folder of a saved model. No pickle is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ...core.errors import ConfigError
from .codes_network import ImageTokenizer
from .codes_shape import check_shape, find_tokenizer

WEIGHTS, INDEX = "weights.safetensors", "bundle.json"


def load_tokenizer(tokenizer: ImageTokenizer, folder: str, shape: Mapping[str, Any]) -> None:
    """Give a tokenizer of this shape the weights of the one in a bundle.

    Raises:
        ConfigError: the folder is no bundle with one image tokenizer of this shape, or its weights were changed.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ConfigError(
            f"the codebook must be the folder of a saved image tokenizer, but {folder} does not exist: train one with "
            "`[IMAGE:x] -> [IMAGE:x,adapter=image_codes]` and save it there"
        )
    try:
        name, known = find_tokenizer(place)
        check_shape(shape, known, folder)
        _verify(place)
        prefix = f"ports.{name}.tokenizer."
        with safe_open(place / WEIGHTS, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            tokenizer.load_state_dict({name.removeprefix(prefix): file.get_tensor(name) for name in names})
    except (SafetensorError, OSError, RuntimeError) as cause:
        raise ConfigError(f"the weights of the codebook {folder} do not fit: {cause}") from cause
    except ValueError as cause:
        raise ConfigError(str(cause)) from cause


def _verify(place: Path) -> None:
    """Whether the weights are those that were saved.

    Raises:
        ValueError: they are not.
    """
    try:
        wanted = json.loads((place / INDEX).read_text(encoding="utf-8"))["files"][WEIGHTS]
        with (place / WEIGHTS).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ValueError(f"the codebook {place} cannot be read: {cause}") from cause
    if found != wanted:
        raise ValueError(f"the codebook {place}: {WEIGHTS} is not what was saved: it was changed or cut")
