"""The contract of a backbone: packed equals padded, nothing is seen that must not be, the cache is exact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.backbone import Backbone
from ..core.layout import Layout, Ragged, Segment, plain_layout
from ..core.networks import LookingBack, NewRows, Span
from ..core.parts import working_half
from .testing_declaration import DeclarationContract, build

KINDS = 2
SOURCE, TARGET = (5, 0, 9, 2), (4, 3, 1, 6)
BLOCKS = (3, 1, 0, 3)
"""Target rows of each stream, from its second on, that see each other in the checks of mutual rows."""


class BackboneContract(DeclarationContract):
    """Subclass it, name the subclass `Test...`, and set `backbone`, the declaration with small settings.

    Its context must hold 15 tokens. Mutual rows are tried only on a backbone that declares `mutual`.
    """

    backbone: ClassVar[Backbone]

    def declaration(self) -> Backbone:
        return self.backbone

    def test_it_says_its_width_and_context(self) -> None:
        """As whole numbers above zero, before anything is built; the network agrees."""
        context = self.backbone.context()
        assert all(
            isinstance(most, int) and most > 0 for most in (context if isinstance(context, tuple) else (context,))
        )
        assert self._network().width == self.backbone.width_of()

    def test_every_named_size_can_be_declared(self) -> None:
        """The settings of each size are settings of the backbone."""
        for size, settings in self.backbone.sizes.items():
            assert type(self.backbone)(**settings).width_of() > 0, f"the size `{size}` has no width"

    def test_packed_equals_padded(self) -> None:
        """The same hidden states, and the same gradient."""
        (packed, ours), (padded, theirs) = self._trained(padded=False), self._trained(padded=True)
        assert torch.allclose(packed, padded, rtol=1e-5), f"the loss is {packed} packed, {padded} padded"
        cosine = torch.cosine_similarity(ours.double(), theirs.double(), dim=0)
        assert cosine >= 0.9999, f"the cosine of the gradients is {float(cosine)}"

    def test_a_later_target_row_changes_nothing_before_it(self) -> None:
        """Causal on the target side."""
        x, layout, _ = self._batch()
        network, first = self._network(), layout.source.rows + layout.target.starts[3]
        moved = self._moved(network, x, layout, first + 2)
        assert moved == set(range(first + 2, first + 6)), (
            f"changing target row {first + 2} changes rows {sorted(moved)}"
        )

    def test_mutual_rows_packed_equal_padded(self) -> None:
        """Also where rows of a target part see each other both ways."""
        if not self.backbone.mutual:
            return
        (packed, ours), (padded, theirs) = (self._trained(padded=padded, mutual=True) for padded in (False, True))
        assert torch.allclose(packed, padded, rtol=1e-5), f"the loss is {packed} packed, {padded} padded"
        cosine = torch.cosine_similarity(ours.double(), theirs.double(), dim=0)
        assert cosine >= 0.9999, f"the cosine of the gradients is {float(cosine)}"

    def test_mutual_rows_see_each_other_and_nothing_before_sees_them(self) -> None:
        """The last row of a block reaches all of the block and all behind it."""
        if not self.backbone.mutual:
            return
        x, layout, _ = self._batch(mutual=True)
        first = layout.source.rows + layout.target.starts[3]
        moved = self._moved(self._network(), x, layout, first + BLOCKS[3])
        assert moved == set(range(first + 1, first + 6)), (
            f"changing target row {first + BLOCKS[3]}, the last of a block, changes rows {sorted(moved)}"
        )

    def test_mutual_rows_in_the_cache_equal_the_forward_pass(self) -> None:
        """And rows that are fed with `keep=False` leave nothing behind."""
        if not self.backbone.mutual:
            return
        network, (x, layout, _) = self._network(), self._batch(mutual=True)
        whole = self._by_stream(network(x, layout), layout)
        fed, counts = self._rows(x, layout, 1, max(BLOCKS))
        counts = counts.minimum(torch.tensor(BLOCKS))
        kinds = torch.zeros(fed.shape[:2], dtype=torch.long)
        with torch.no_grad():
            cache = network.prefill(*self._sources(x, layout))
            start, ones = self._rows(x, layout, 0, 1)
            network.extend(NewRows(start, ones, torch.zeros(len(SOURCE), 1, dtype=torch.long)), cache)
            network.extend(NewRows(fed * -2 + 1, counts, kinds, mutual=True, keep=False), cache)
            blocks = network.extend(NewRows(fed, counts, kinds, mutual=True), cache)
            rest = x[layout.source.rows + layout.target.starts[3] + 1 + BLOCKS[3] :][None].expand(len(SOURCE), -1, -1)
            two = torch.tensor([0, 0, 0, 2])
            after = network.extend(NewRows(rest, two, torch.zeros(len(SOURCE), 2, dtype=torch.long)), cache)
        for stream, count in enumerate(BLOCKS):
            assert torch.allclose(blocks[stream, :count], whole[stream][1 : 1 + count], atol=1e-4), f"stream {stream}"
        assert torch.allclose(after[3], whole[3][1 + BLOCKS[3] :], atol=1e-4), "what follows a block"

    def test_a_stream_sees_no_other(self) -> None:
        """A source row reaches its own stream's target, and nothing of its neighbours."""
        x, layout, _ = self._batch()
        start = layout.source.starts[2]
        moved = self._moved(self._network(), x, layout, start)
        target = layout.source.rows + layout.target.starts[2]
        own = {*range(start, start + SOURCE[2]), *range(target, target + TARGET[2])}
        assert moved <= own, f"changing a row of stream 2 changes rows {sorted(moved - own)} of others"
        assert target in moved, "a target row must see its source"

    def test_no_rows(self) -> None:
        """An empty batch, and one without target rows, still run."""
        network, width = self._network(), self.backbone.width_of()
        for source, target in (((), ()), ((0,), (0,)), ((3,), (0,)), ((0,), (3,))):
            layout = plain_layout(source, target)
            hidden = network(torch.zeros(layout.rows, width), layout)
            assert tuple(hidden.shape) == (layout.rows, width)

    def test_the_cache_equals_the_forward_pass(self) -> None:
        """Target rows fed a few at a time, ragged, give the hidden states of one pass; sources read in spans, the
        same keys."""
        network, (x, layout, _) = self._network(), self._batch()
        self._check_spans(network, x, layout)
        whole = self._by_stream(network(x, layout), layout)
        with torch.no_grad():
            cache = network.prefill(*self._sources(x, layout))
            for first, most in ((0, 1), (1, 2), (3, 3)):
                fed, counts = self._rows(x, layout, first, most)
                hidden = network.extend(NewRows(fed, counts, torch.zeros(fed.shape[:2], dtype=torch.long)), cache)
                for stream, count in enumerate(counts.tolist()):
                    wanted = whole[stream][first : first + count]
                    assert torch.allclose(hidden[stream, :count], wanted, atol=1e-4), (
                        f"stream {stream} from row {first}"
                    )

    def test_streams_can_be_chosen_and_doubled(self) -> None:
        """After `select` stream i goes on as old stream `streams[i]`."""
        network, (x, layout, _) = self._network(), self._batch()
        whole = self._by_stream(network(x, layout), layout)
        chosen = torch.tensor([3, 0, 3])
        with torch.no_grad():
            cache = network.prefill(*self._sources(x, layout))
            fed, counts = self._rows(x, layout, 0, 1)
            network.extend(NewRows(fed, counts, torch.zeros(fed.shape[:2], dtype=torch.long)), cache)
            cache.select(chosen)
            fed, counts = self._rows(x, layout, 1, 2)
            rows = NewRows(fed[chosen], counts[chosen], torch.zeros(3, fed.shape[1], dtype=torch.long))
            hidden = network.extend(rows, cache)
        for stream, old in enumerate(chosen.tolist()):
            assert torch.allclose(hidden[stream], whole[old][1:3], atol=1e-4), f"stream {stream}, once {old}"

    def _network(self) -> Any:
        """The network in eval mode, every weight away from its start so that each option has an effect."""
        torch.manual_seed(0)
        half = working_half(self.backbone.build, "the backbone")
        network = build(lambda: half(kinds=KINDS, **self.backbone.settings()), "the backbone").eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        return network

    def _batch(self, *, padded: bool = False, mutual: bool = False) -> tuple[Tensor, Layout, Tensor]:
        layout = plain_layout(SOURCE, TARGET, padded=padded)
        if mutual:
            own = [((Segment(0, 1, n, False, True),) if n else ()) for n in BLOCKS]
            layout = replace(layout, segments=tuple((s, t) for (s, _), t in zip(layout.segments, own, strict=True)))
        real = torch.cat([layout.source.real, layout.target.real])
        draw = torch.Generator().manual_seed(1)
        x = torch.zeros(layout.rows, self.backbone.width_of())
        x[real] = torch.randn(int(real.sum()), x.shape[1], generator=draw)
        return x, layout, real

    def _trained(self, *, padded: bool, mutual: bool = False) -> tuple[Tensor, Tensor]:
        network, (x, layout, real) = self._network(), self._batch(padded=padded, mutual=mutual)
        hidden = network(x.requires_grad_(), layout)[real]
        loss = (hidden.tanh() * torch.randn(hidden.shape, generator=torch.Generator().manual_seed(2))).square().sum()
        loss.backward()
        grads = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        assert x.grad is not None, "no gradient reaches the embeddings"
        return loss.detach(), torch.cat([*grads, x.grad[real].flatten()])

    def _moved(self, network: Any, x: Tensor, layout: Layout, row: int) -> set[int]:
        """The rows whose hidden state changes with one row's embedding."""
        changed = x.clone()
        changed[row] = -changed[row] + 1.0
        with torch.no_grad():
            apart = (network(x, layout) - network(changed, layout)).abs().amax(1)
        return set((apart > 1e-6).nonzero()[:, 0].tolist())

    def _check_spans(self, network: Any, x: Tensor, layout: Layout) -> None:
        """Where source rows can be read in spans, their keys and values are those of one go."""
        if not isinstance(network, LookingBack):
            return
        spans, whole = (network.reading(*self._sources(x, layout)) for _ in range(2))
        if spans is None or whole is None:
            return
        spans.read([Span(i, 0, n // 2) for i, n in enumerate(SOURCE) if n // 2])
        spans.read([Span(i, n // 2, n) for i, n in enumerate(SOURCE) if n])
        whole.read_all()
        for layer, (own, other) in enumerate(zip(spans.memory, whole.memory, strict=True)):
            assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(own, other, strict=True)), f"layer {layer}"

    def _by_stream(self, hidden: Tensor, layout: Layout) -> list[Tensor]:
        _, target = layout.split(hidden.detach())
        return list(target.split(list(TARGET)))

    def _sources(self, x: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        rows = layout.source.rows
        alone = replace(
            layout,
            target=Ragged((0,) * layout.streams),
            kinds=layout.kinds[:rows],
            grid=layout.grid[:rows],
            roles=layout.roles[:rows],
            segments=tuple((source, ()) for source, _ in layout.segments),
        )
        return x[:rows], alone

    def _rows(self, x: Tensor, layout: Layout, first: int, most: int) -> tuple[Tensor, Tensor]:
        """The next target rows of each stream, at most `most`, side by side."""
        _, target = layout.split(x)
        counts = [max(0, min(most, length - first)) for length in TARGET]
        fed = torch.zeros(len(TARGET), most, x.shape[1])
        for stream, (start, count) in enumerate(zip(layout.target.starts, counts, strict=True)):
            fed[stream, :count] = target[start + first : start + first + count]
        return fed, torch.tensor(counts)
