"""Raw motions as rows hold them: BVH files and text, .npz files, arrays of rotations, mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .bvh import MOST, count_frames, is_bvh_text, parse_bvh, parse_skeleton, read_text
from .rotations import Floats, of_quaternion, of_six, to_six
from .skeleton import Skeleton, human
from .value import Motion, blank, frames_at

ROOTS = ("root", "root_positions", "root_position", "translation", "trans", "position")
TURNS = ("rotations", "local_rotations", "joint_rotations", "quaternions", "poses")
MOST_UNPACKED = 200
"""How many times its own size (or a megabyte) an .npz file may grow; more is a bomb."""
LONGEST_PATH = 4096
"""Characters of a path; a longer text is none."""
ASKEW = 0.05
"""How far a rotation matrix may be from one."""


def skeleton_of(setting: str | None, joints: int | None) -> Skeleton | None:
    """The skeleton that a slot's settings mean: a BVH file or text, the built-in human, or none known.

    Raises:
        ValueError: it cannot be read, or has another number of joints.
    """
    if setting is None:
        return human() if joints in (None, human().joints) else None
    inline = is_bvh_text(setting)
    try:
        text = setting if inline else read_text(setting)
    except OSError as cause:
        raise ValueError(f"`skeleton={setting}` cannot be read: {cause.strerror or cause}") from cause
    found = parse_skeleton(text, "skeleton" if inline else setting)
    if joints is not None and found.joints != joints:
        raise ValueError(f"`joints` must be the skeleton's {found.joints}, or left out, but is {joints}")
    return found


def count(raw: Any, fps: float | None) -> int:
    """The frames of a raw motion at a rate (None: as it stands), headers of files read alone.

    Raises:
        ValueError or TypeError: it is no motion.
    """
    text = _text(raw)
    if text is not None:
        frames, rate = count_frames(*text)
    elif isinstance(raw, Mapping) and (name := next((n for n in TURNS if hasattr(raw.get(n), "shape")), None)):
        frames, rate = len(raw[name]), _rate(raw)
    else:
        motion = read_motion(raw, None)
        frames, rate = len(motion), motion.fps
    return frames if fps is None else frames_at(frames, rate, fps)


def read_motion(raw: Any, skeleton: Skeleton | None) -> Motion:
    """A raw motion.

    Args:
        raw: a path, the text or bytes of a BVH file, an open one, a `Motion`, rotations [n, joints, 3, 3], quaternions
            [n, joints, 4] (w first) or six numbers [n, joints, 6], or a mapping with `rotations` and perhaps `root`,
            `fps`, `known`, `skeleton`. Frames of NaN are to be found.
        skeleton: of what brings none of its own.

    Raises:
        ValueError or TypeError: a sentence that says what it must be.
    """
    text = _text(raw)
    if text is not None:
        bvh = parse_bvh(*text)
        return Motion(root=bvh.root, rotations=bvh.rotations, fps=bvh.fps, skeleton=bvh.skeleton)
    if isinstance(raw, Motion):
        return raw if raw.skeleton is not None else replace(raw, skeleton=skeleton)
    if isinstance(raw, str | Path):
        return _of_mapping(_npz(_at_hand(raw)), skeleton)
    if isinstance(raw, Mapping):
        return _of_mapping(raw, skeleton)
    if isinstance(raw, tuple) and len(raw) == 2:
        return _of_mapping({"root": raw[0], "rotations": raw[1]}, skeleton)
    if hasattr(raw, "shape") or isinstance(raw, Sequence):
        return _of_mapping({"rotations": raw}, skeleton)
    raise TypeError(
        "a motion must be a BVH file or text, an array of rotations, a mapping with `rotations`, or a Motion, but is "
        f"{type(raw).__name__}"
    )


def _text(raw: Any) -> tuple[str, str] | None:
    """The BVH text of a raw value and its name; None when it is no BVH."""
    if isinstance(raw, Mapping) and not any(name in raw for name in TURNS):
        if isinstance(raw.get("bytes"), bytes):
            raw = raw["bytes"]
        elif raw.get("path") is not None:
            raw = raw["path"]
    if hasattr(raw, "read") and hasattr(raw, "seek"):
        raw.seek(0)
        raw = raw.read()
    if isinstance(raw, bytes | bytearray | memoryview):
        raw = bytes(raw).decode("utf-8", errors="replace")
        if not is_bvh_text(raw):
            raise ValueError("the bytes of a motion must be a BVH text, which begins with HIERARCHY, but do not")
    if isinstance(raw, str) and is_bvh_text(raw):
        return raw, "the BVH text"
    if isinstance(raw, str | Path) and Path(raw).suffix.lower() != ".npz":
        return read_text(_at_hand(raw)), str(raw)
    return None


def _at_hand(raw: str | Path) -> Path:
    """The path of a file that is there.

    Raises:
        ValueError: there is none, or it is a folder.
    """
    text = str(raw)
    if isinstance(raw, str) and (not text or len(text) > LONGEST_PATH or "\0" in text or "\n" in text):
        found = f"other text: {text[:40]!r}" if text else "empty text"
        raise ValueError(
            f"a motion must be a path or the text of a BVH file, which begins with HIERARCHY, but is {found}"
        )
    path = Path(raw).expanduser()
    if not path.is_file():
        raise ValueError(f"the motion file {text!r} {'is a folder' if path.is_dir() else 'does not exist'}")
    return path


def _npz(path: Path) -> Mapping[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as found:
            whole = sum(member.file_size for member in found.zip.infolist())
            if whole > MOST_UNPACKED * max(path.stat().st_size, 1 << 20):
                raise ValueError(f"it unpacks to more than {MOST_UNPACKED} times its size")
            return dict(found)
    except OSError:
        raise
    except Exception as cause:
        raise ValueError(f"`{path}` cannot be read as .npz: {cause}") from cause


def _of_mapping(raw: Mapping[str, Any], skeleton: Skeleton | None) -> Motion:
    name = next((n for n in TURNS if n in raw), None)
    if name is None:
        raise ValueError(f"a motion's mapping must have `rotations`, but has {', '.join(map(str, raw)) or 'nothing'}")
    own = raw.get("skeleton")
    if own is not None:
        skeleton = own if isinstance(own, Skeleton) else skeleton_of(str(own), None)
    turns = _array(raw[name], "rotations")
    _check_shape(turns)
    frames = len(turns)
    root, _ = blank(frames, 1)
    place = next((raw[n] for n in ROOTS if raw.get(n) is not None), None)
    if place is not None:
        root = _array(place, "root").astype(np.float64)
        if root.shape != (frames, 3):
            raise ValueError(f"`root` must be places [{frames}, 3], one a frame, but has the shape {list(root.shape)}")
    elif skeleton is not None:
        root[:, 1] = skeleton.root_height
    known = _known(raw.get("known"), turns, root)
    turns = np.where(known.reshape(-1, *[1] * (turns.ndim - 1)), turns, _resting(turns))
    root = np.where(known[:, None], root, 0.0)
    return Motion(
        root=root, rotations=_matrices(turns), fps=_rate(raw), skeleton=skeleton, known=None if known.all() else known
    )


def _array(value: Any, name: str) -> Floats:
    found = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if found.dtype.kind not in "fiu" or found.ndim < 2 or not found.shape[0]:
        raise ValueError(
            f"`{name}` must be numbers, one row a frame, but is {found.dtype} of the shape {list(found.shape)}"
        )
    found = found.astype(np.float64)
    sizes = np.abs(found[np.isfinite(found)])
    if sizes.size and sizes.max() > MOST:
        raise ValueError(f"`{name}` must be numbers within {MOST:,.0f}, but one is {sizes.max():g}")
    return found


def _check_shape(turns: Floats) -> None:
    if turns.shape[2:] == (3, 3) or (turns.ndim == 3 and turns.shape[2] in (4, 6)):
        return
    hint = "; places of joints alone do not say how they are turned" if turns.shape[-1] == 3 else ""
    raise ValueError(
        "`rotations` must be matrices [frames, joints, 3, 3], quaternions [frames, joints, 4] (w first) or two columns "
        f"[frames, joints, 6], but have the shape {list(turns.shape)}{hint}"
    )


def _known(given: Any, turns: Floats, root: Floats) -> np.ndarray[Any, Any]:
    whole = np.asarray(np.isfinite(turns).reshape(len(turns), -1).all(1) & np.isfinite(root).all(1))
    if given is None:
        return whole
    known = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given).astype(bool).reshape(-1)
    if len(known) != len(turns):
        raise ValueError(f"`known` must say yes or no for each of {len(turns)} frames, but has {len(known)} entries")
    if not whole[known].all():
        raise ValueError(f"frame {int((known & ~whole).argmax())} is `known`, but holds NaN or infinity")
    return known


def _resting(turns: Floats) -> Floats:
    """What stands in for a frame that is to be found."""
    if turns.ndim == 4:
        return np.eye(3)
    return np.array([1.0, 0.0, 0.0, 0.0]) if turns.shape[-1] == 4 else to_six(np.eye(3))


def _matrices(turns: Floats) -> Floats:
    if turns.ndim == 4 and turns.shape[2:] == (3, 3):
        first, second, third = turns[..., 0], turns[..., 1], turns[..., 2]
        off = np.abs(np.cross(first, second) - third).max((1, 2))
        off = np.maximum(off, np.abs((first * first).sum(-1) - 1).max(1))
        off = np.maximum(off, np.abs((second * second).sum(-1) - 1).max(1))
        if float(off.max()) > ASKEW:
            bad = int((off > ASKEW).argmax())
            raise ValueError(f"`rotations` must be rotation matrices, but those of frame {bad} stretch or mirror")
        return turns
    return of_quaternion(turns) if turns.shape[2] == 4 else of_six(turns)


def _rate(raw: Mapping[str, Any]) -> float:
    rate = raw.get("fps", raw.get("mocap_framerate"))
    if rate is None and raw.get("frame_time"):
        rate = 1 / float(raw["frame_time"])
    try:
        found = 30.0 if rate is None else float(np.asarray(rate))
    except (TypeError, ValueError) as cause:
        raise TypeError(f"`fps` must be a number of frames a second, but is {rate!r:.40}") from cause
    if not 0 < found < 10_000:
        raise ValueError(f"`fps` must be frames a second above 0, but is {found}")
    return found
