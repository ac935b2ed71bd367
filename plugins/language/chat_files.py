"""A conversation as a file: JSON, with the pictures of its turns beside it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from ...core.errors import OmnilineError
from ...core.rows import is_list
from .chat_turns import Message


def write_conversation(messages: Sequence[Message], stem: Path) -> Path:
    """Write `stem`.json. Pictures that no file holds go to `stem`_0.png and so on, bytes into data addresses.

    Raises:
        OmnilineError: a part has no form in a file.
    """
    numbers = count()

    def plain(value: Any) -> Any:
        if value is None or isinstance(value, str | int | float | bool):
            return value
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if hasattr(value, "save") and hasattr(value, "size"):
            path = stem.with_name(f"{stem.name}_{next(numbers)}.png")
            value.save(path)
            return path.name
        if isinstance(value, bytes | bytearray):
            return "data:application/octet-stream;base64," + base64.b64encode(value).decode("ascii")
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "tolist"):
            return plain(value.tolist())
        if is_list(value):
            return [plain(item) for item in value]
        raise OmnilineError(f"the conversation `{stem.name}` holds {type(value).__name__}, which no file can hold")

    whole = [plain(message) for message in messages]
    path = stem.with_name(stem.name + ".json")
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
