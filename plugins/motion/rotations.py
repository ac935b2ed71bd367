"""Rotations as matrices, quaternions, Euler angles and six numbers. Matrices turn column vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


def of_axis(axis: int, angle: Floats) -> Floats:
    """Matrices [..., 3, 3] that turn by angles [...] in radians about x, y or z (0, 1, 2)."""
    cos, sin = np.cos(angle), np.sin(angle)
    out = np.zeros((*np.shape(angle), 3, 3))
    after, last = (axis + 1) % 3, (axis + 2) % 3
    out[..., axis, axis] = 1
    out[..., after, after] = out[..., last, last] = cos
    out[..., last, after], out[..., after, last] = sin, -sin
    return out


def of_euler(angles: Floats, axes: Sequence[int]) -> Floats:
    """Matrices [..., 3, 3] of angles [..., k] in radians about these axes, the first applied last, as in BVH."""
    out = np.zeros((*angles.shape[:-1], 3, 3))
    out[..., range(3), range(3)] = 1.0
    if angles.shape[-1]:
        cosines, sines = np.cos(angles)[..., None, :], np.sin(angles)[..., None, :]
    for place, axis in enumerate(axes):  # a turn about an axis mixes the other two columns
        after, last = (axis + 1) % 3, (axis + 2) % 3
        cos, sin, one, two = cosines[..., place], sines[..., place], out[..., after], out[..., last]
        out[..., after], out[..., last] = one * cos + two * sin, two * cos - one * sin
    return out


def to_euler_zyx(matrices: Floats) -> Floats:
    """Angles [..., 3] in radians about z, y and x of matrices [..., 3, 3], continuous along the first dimension.

    At the poles of y, where z and x turn about one axis, x is left at nought.
    """
    y = np.arcsin(np.clip(-matrices[..., 2, 0], -1, 1))
    pole = np.abs(matrices[..., 2, 0]) > 1 - 1e-7
    z = np.where(
        pole,
        np.arctan2(-matrices[..., 0, 1], matrices[..., 1, 1]),
        np.arctan2(matrices[..., 1, 0], matrices[..., 0, 0]),
    )
    x = np.where(pole, 0.0, np.arctan2(matrices[..., 2, 1], matrices[..., 2, 2]))
    return np.unwrap(np.stack([z, y, x], -1), axis=0)


def of_quaternion(quaternions: Floats) -> Floats:
    """Matrices of quaternions [..., 4], w first, of any length but nought.

    Raises:
        ValueError: a quaternion is nought.
    """
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    if length.size and float(length.min()) < 1e-6:
        raise ValueError("a quaternion must have a length, but one is nought")
    w, x, y, z = np.moveaxis(quaternions / length, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def to_six(matrices: Floats) -> Floats:
    """The first two columns [..., 6] of matrices [..., 3, 3] (Zhou et al., 2019)."""
    return np.concatenate([matrices[..., 0], matrices[..., 1]], -1)


def of_six(six: Floats) -> Floats:
    """Matrices of six numbers [..., 6]: two columns made perpendicular, and their cross product (Zhou et al., 2019)."""
    first = _unit(six[..., :3])
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdims=True) * first
    second = _unit(second)
    return np.stack([first, second, np.cross(first, second)], -1)


def between(start: Floats, end: Floats, share: Floats) -> Floats:
    """Matrices a share [...] of the way from `start` to `end`, [..., 3, 3] each: their mean, made a rotation again."""
    mean = start * (1 - share)[..., None, None] + end * share[..., None, None]
    return of_six(to_six(mean))


def heading(matrices: Floats) -> Floats:
    """The angle [...] about y by which a rotation [..., 3, 3] turns what faces along z."""
    return np.arctan2(matrices[..., 0, 2], matrices[..., 2, 2])


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-8)
    return unit
