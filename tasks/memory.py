"""Keeping freed memory: large temporaries of a step then do not fault their pages in again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_pages() -> bool:
    """Tell glibc to keep what is freed: no mmap for large blocks, no trimming, one arena.

    Returns:
        Whether the C library took it; False where it is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    return all(libc.mallopt(*option) for option in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_ARENA_MAX, 1)))
