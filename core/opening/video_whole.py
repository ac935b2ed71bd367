"""Whether a file of video is all there: what its outer boxes promise against the bytes that it has.

Decoders read a file that was cut short up to the cut, or fail in the middle. Its header knows at once. The layouts are
those of ISO/IEC 14496-12 (mp4, mov, 3gp), RIFF (avi) and EBML, RFC 8794 (mkv, webm); others are not judged.
"""

from __future__ import annotations

from typing import BinaryIO

ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx")
MOST_BOXES = 4096


def missing_bytes(file: BinaryIO, length: int) -> int:
    """How many bytes the file lacks at its end; 0 when it is whole or its layout is another.

    Args:
        file: open for reading, seekable.
        length: of the file in bytes.

    >>> import io
    >>> cut = (16).to_bytes(4, "big") + b"ftyp" + b"isom"
    >>> missing_bytes(io.BytesIO(cut), len(cut))
    4
    """
    file.seek(0)
    head = file.read(64)
    if head[4:8] in ISO_BOXES:
        promised = _iso_end(file, length)
    elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        promised = int.from_bytes(head[4:8], "little") + 8
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        promised = _ebml_end(head)
    else:
        promised = 0
    return max(0, promised - length)


def _iso_end(file: BinaryIO, length: int) -> int:
    """Where the last of the outer boxes ends."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size = int.from_bytes(head[:4], "big")
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        if size < 8 or not head[4:8].isalnum():
            break
        at += size
        if at >= length:
            break
    return at


def _ebml_end(head: bytes) -> int:
    """Where the segment behind the EBML header ends; 0 when it does not say, as a live recording."""
    size, at = _ebml_size(head, 4)
    at += size
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    size, start = _ebml_size(head, at + 4)
    return start + size if size >= 0 else 0


def _ebml_size(head: bytes, at: int) -> tuple[int, int]:
    """A size of variable length, -1 when unknown, and the place behind it."""
    if at >= len(head) or head[at] == 0:
        return -1, at
    width = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (-1 if value == (1 << 7 * width) - 1 else value), at + width
