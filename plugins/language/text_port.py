"""The port of all that is written as text: one table of embeddings, which is its output layer too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.backbone import Readout
from ...core.port import Head, Port
from .tokenizer import Tokenizer

DEVIATION = 0.02
"""Of a fresh table: tied logits start small at any width, so that the first loss is about the logarithm of the size."""


class TextPort(Port):
    """Tokens to embeddings, hidden states to logits over the tokenizer's vocabulary, with tied weights unless
    `untie` parts them.

    >>> import torch
    >>> from omniline.plugins.language.tokenizer import ByteTokenizer
    >>> port = TextPort(width=8, tokenizer=ByteTokenizer())
    >>> port.embed(tokens=torch.tensor([104, 105])).shape, port.project(torch.zeros(1, 8)).shape
    (torch.Size([2, 8]), torch.Size([1, 258]))
    """

    def __init__(self, *, width: int, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.vocabulary = tokenizer.vocabulary
        self.end = tokenizer.end
        self.embedding = nn.Embedding(tokenizer.vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=DEVIATION)
        self.output: nn.Linear | None = None
        self.bias: nn.Parameter | None = None
        self.how = Readout()

    def spread(self, deviation: float) -> None:
        """See `Port.spread`."""
        nn.init.normal_(self.embedding.weight, std=deviation)

    def untie(self) -> None:
        """Give the output layer a table of its own, equal to the embeddings at first."""
        rows, width = self.embedding.weight.shape
        self.output = nn.Linear(width, rows, bias=False)
        with torch.no_grad():
            self.output.weight.copy_(self.embedding.weight)

    def read_out(self, how: Readout) -> None:
        """Read logits with a bias of their own, a factor or a cap."""
        self.how = how
        if how.bias:
            self.bias = nn.Parameter(torch.zeros(self.vocabulary or 0))

    @property
    def rows(self) -> Tensor:
        """The output layer's weights [vocabulary, width]."""
        return self.embedding.weight if self.output is None else self.output.weight

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `tokens` int64 [n]."""
        return F.embedding(tensors["tokens"], self.embedding.weight)

    def project(self, hidden: Tensor) -> Tensor:
        """Logits [n, vocabulary]."""
        logits = F.linear(hidden, self.rows, self.bias)
        if self.how.plain:
            return logits
        scaled = logits * self.how.scale
        return scaled if self.how.cap is None else (scaled / self.how.cap).tanh() * self.how.cap

    def head(self) -> Head | None:
        """The output layer where logits are linear in hidden states."""
        return Head(self.rows, self.bias) if self.how.plain else None
