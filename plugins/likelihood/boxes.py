"""The loss of boxes that are predicted as four numbers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from ...core.networks import Choices, LossRows
from ...core.port import Port


class BoxRegressionLoss(nn.Module):
    """Distance of the corners, and overlap: `l1 * sum |p - t| + giou * (1 - GIoU(p, t))`.

    The generalised intersection over union is that of Rezatofighi et al., 2019, arXiv:1902.09630; the sum and its
    weights those of Carion et al., "End-to-End Object Detection with Transformers", 2020. A distance below `smooth`
    counts squared (Huber's loss over `smooth`), so that steps shrink near the truth.
    """

    def __init__(self, *, l1: float = 5.0, giou: float = 2.0, smooth: float = 0.02) -> None:
        super().__init__()
        self.l1, self.giou, self.smooth = l1, giou, smooth

    def forward(
        self, hidden: Tensor, port: Port, labels: Mapping[str, Tensor], weights: Tensor, choices: Choices | None
    ) -> LossRows:
        """Hidden states [n, width], labels "values" float [n, 4], corners x0, y0, x1, y1; weights [n].

        Raises:
            ValueError: predictions or labels are not four numbers a row.
        """
        from torchvision.ops import generalized_box_iou_loss

        predicted, wanted = port.project(hidden).float(), labels["values"].float()
        if predicted.shape != wanted.shape or wanted.shape[1:] != (4,):
            raise ValueError(
                f"`box_regression` must get four numbers a row, but {type(port).__name__}.project gives "
                f"{list(predicted.shape)} for labels of {list(wanted.shape)}"
            )
        distance = F.smooth_l1_loss(predicted, wanted, reduction="none", beta=self.smooth).sum(1)
        apart = generalized_box_iou_loss(predicted, wanted, reduction="none")
        return LossRows.of(self.l1 * distance + self.giou * apart, weights)
