"""Cross-entropy of tokens and classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...core.layers import products_dtype
from ...core.linear_cross_entropy import columns_of, linear_cross_entropy
from ...core.networks import Choices, LossRows
from ...core.port import Port


class CrossEntropyLoss(nn.Module):
    """Minus the log-probability of each label.

    A port with a linear head goes through `linear_cross_entropy`, which never makes all logits; another port's
    `project` is called. Both give the same numbers. Label smoothing is shared by the label's competitors alone:
    Szegedy et al., "Rethinking the Inception Architecture", 2016, with the label itself left out of the uniform part.
    """

    def __init__(self, *, label_smoothing: float = 0.0, drop: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing, self.drop = label_smoothing, drop

    def forward(
        self, hidden: Tensor, port: Port, labels: Mapping[str, Tensor], weights: Tensor, choices: Choices | None
    ) -> LossRows:
        """Hidden states [n, width], labels "tokens" or "label" int64 [n], weights [n]."""
        wanted = labels["tokens"] if "tokens" in labels else labels["label"]
        head = port.head()
        if head is None:
            return LossRows.of(self._dense(port.project(hidden), wanted, choices), weights)
        return linear_cross_entropy(
            hidden,
            head.weight,
            wanted,
            bias=head.bias,
            weights=weights,
            label_smoothing=self.label_smoothing,
            choices=choices,
            products=products_dtype(),
        )

    def _dense(self, logits: Tensor, labels: Tensor, choices: Choices | None) -> Tensor:
        """Losses [n] of all logits [n, vocabulary]."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        legal = torch.ones_like(logits, dtype=torch.bool)
        if choices is not None:
            labels = columns_of(labels, choices)
            legal = choices.allowed[choices.nodes]
            logits = logits.index_select(1, choices.tokens).masked_fill(~legal, -torch.inf)
        logs = logits.log_softmax(1)
        own = -logs.gather(1, labels[:, None])[:, 0]
        if not self.label_smoothing:
            return own
        others = legal.sum(1) - 1
        away = torch.where(others > 0, self.label_smoothing, 0.0).to(own.dtype)
        rest = -logs.masked_fill(~legal, 0).sum(1) - own
        return (1 - away) * own + away / others.clamp(min=1) * rest
