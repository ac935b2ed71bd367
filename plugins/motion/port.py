"""The weights half of MOTION: frames to embeddings and back, and the error of the joints' places."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.layers import Linear
from ...core.port import Port
from .features import PLACE, RESTING, ROOT, SIX, SPREAD
from .reading import skeleton_of


class MotionPort(Port):
    """One linear layer in, one out.

    Args:
        width: the backbone's.
        skeleton: see `plugins.motion.plugin.Motion`.
        joints: of a skeleton that is not known.
        kinematics: factor of the error of the joints' places.
    """

    def __init__(
        self, *, width: int, skeleton: str | None = None, joints: int | None = None, kinematics: float = 1.0
    ) -> None:
        super().__init__()
        found = skeleton_of(skeleton, joints)
        self.joints = found.joints if found is not None else joints or 0
        self.numbers = ROOT + SIX * self.joints
        self.enter = Linear(self.numbers, width)
        self.leave = Linear(width, self.numbers)
        self.given = nn.Parameter(torch.zeros(2, width))
        self.kinematics = kinematics if found is not None else 0.0
        self.parents = found.parents if found is not None else ()
        offsets = torch.zeros(0, 3) if found is None else torch.tensor(found.offsets) / found.height
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("resting", torch.tensor(RESTING, dtype=torch.float32), persistent=False)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `values=` [n, 6 + 6 joints], of which `known=` [n] are given; by default none is."""
        values = tensors["values"].float()
        known = tensors.get("known")
        which = torch.zeros(len(values), dtype=torch.long, device=values.device) if known is None else known.long()
        out: Tensor = self.enter(values)
        return out + self.given.index_select(0, which)

    def project(self, hidden: Tensor) -> Tensor:
        """Features [n, 6 + 6 joints]."""
        out: Tensor = self.leave(hidden)
        return out

    def errors(self, predicted: Tensor, values: Tensor) -> Tensor:
        """The squared error of the features, and of where they put the joints, in body heights."""
        plain = super().errors(predicted, values)
        if not self.kinematics or not len(values):
            return plain
        apart = self.places(predicted) - self.places(values)
        return plain + self.kinematics * apart.square().sum(-1).mean(1)

    def places(self, features: Tensor) -> Tensor:
        """Where the joints are, in body heights: [n, joints, 3] of features [n, 6 + 6 joints], with a gradient."""
        assert isinstance(self.resting, Tensor) and isinstance(self.offsets, Tensor)
        features, offsets = features.float(), self.offsets.float()
        turns = matrices(features[:, ROOT:].view(len(features), self.joints, SIX) / SPREAD + self.resting)
        places, whole = [features[:, :PLACE]], [turns[:, 0]]
        for joint, parent in enumerate(self.parents[1:], 1):
            places.append(places[parent] + whole[parent] @ offsets[joint])
            whole.append(whole[parent] @ turns[:, joint])
        return torch.stack(places, 1)


def matrices(six: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] of two columns [..., 6] (Zhou et al., 2019), with a gradient."""
    first = nn.functional.normalize(six[..., :3], dim=-1, eps=1e-6)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = nn.functional.normalize(second, dim=-1, eps=1e-6)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)
