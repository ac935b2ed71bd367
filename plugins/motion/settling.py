"""The skeleton that a slot has when its line says none: that of the first motion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .bvh import is_bvh_text
from .bvh_writing import write_hierarchy
from .reading import read_motion, skeleton_of
from .skeleton import human


def settle_skeleton(settings: Mapping[str, Any], raw: Any) -> dict[str, Any]:
    """`skeleton` as text, so that a model needs no file of it, or `joints` where arrays say no more.

    Args:
        settings: of the slot.
        raw: its first value, None for none. One that cannot be read settles nothing: reading the row says why.
    """
    written, joints = settings["skeleton"], settings["joints"]
    try:
        if written is not None and not is_bvh_text(written):
            found = skeleton_of(written, joints)
            return {} if found is None else {"skeleton": write_hierarchy(found)}
        if written is not None or joints is not None or raw is None:
            return {}
        motion = read_motion(raw, None)
    except (OSError, TypeError, ValueError):
        return {}
    if motion.skeleton is None:
        count = motion.rotations.shape[1]
        return {} if count == human().joints else {"joints": count}
    usual = sorted(motion.skeleton.names) == sorted(human().names)
    return {} if usual else {"skeleton": write_hierarchy(motion.skeleton)}
