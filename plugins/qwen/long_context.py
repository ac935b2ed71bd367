"""What a decoder does about long contexts: how queries are scaled, chunks, sparse prompts, prompts in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ...core.layout import Layout
from .long_dual import DualChunks, dual_parts
from .long_parts import Part, attend_parts
from .long_sparse import Sparse
from .rotary import Rotary, Turn, log_n, rotate, temperature, turn


class RowPlaces(NamedTuple):
    """Where rows stand.

    Attributes:
        index: int64 [...], running indexes within the streams.
        places: what they are turned by without chunks: the index, or [3, ...] with sections.
        lengths: of each row's stream, for scalings that grow, or None.
    """

    index: Tensor  # type: ignore[assignment]  # a tuple's own `index` is not asked for
    places: Tensor
    lengths: Tensor | None = None

    def at(self, rows: Tensor) -> RowPlaces:
        """Those of some rows, int64 [n]."""
        lengths = None if self.lengths is None else self.lengths[rows]
        return RowPlaces(self.index[rows], self.places[..., rows], lengths)


class Reader(Protocol):
    """Another attention than the layout's own."""

    def attend(self, queries: Sequence[Tensor], k: Tensor, v: Tensor, dropout: float) -> Tensor:
        """Versions of the queries [rows, heads, size], keys and values of the same rows; [rows, heads, size]."""
        ...


class Turns(NamedTuple):
    """How the rows of a pass are turned, and who attends.

    Attributes:
        queries: one rotation for each version of the queries; one version without chunks.
        keys: of the keys.
        factor: of the queries, float32 [...], or None.
        dual: the chunks, where there are versions.
        reader: instead of the layout's attention, or None.
    """

    queries: tuple[Turn, ...]
    keys: Turn
    factor: Tensor | None = None
    dual: DualChunks | None = None
    reader: Reader | None = None

    def often(self) -> Turns:
        """The same, ready to turn few rows in many layers."""
        keys = self.keys.often()
        queries = tuple(keys if by is self.keys else by.often() for by in self.queries)
        return self._replace(queries=queries, keys=keys)

    def turn(self, q: Tensor, k: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Versions of the queries [..., heads, size], and the keys, turned and scaled."""
        if self.factor is not None:
            q = q * self.factor[..., None, None].to(q.dtype)
        return tuple(rotate(q, by) for by in self.queries), rotate(k, self.keys)


class PartsReader(NamedTuple):
    """Attention by parts that are known beforehand."""

    parts: tuple[Part, ...]

    def attend(self, queries: Sequence[Tensor], k: Tensor, v: Tensor, dropout: float) -> Tensor:
        return attend_parts(queries, k, v, self.parts, dropout)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongContext:
    """The switches; all are off by default.

    Attributes:
        dual: dual chunk attention.
        log_n: tokens of training beyond which queries are scaled by LogN.
        temperature: tokens of training beyond which scores are scaled by the temperature of the 1M report.
        sparse: vertical-slash attention of long prompts.
        piece: rows of a prompt that pass through all layers at a time.
    """

    dual: DualChunks | None = None
    log_n: int | None = None
    temperature: int | None = None
    sparse: Sparse | None = None
    piece: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, prefix: str, sections: bool) -> LongContext:
        """From the settings of a backbone.

        Raises:
            ValueError: the source is seen both ways where that has no meaning, or chunks meet places of three numbers.

        >>> LongContext.of({"dual_chunk": 64, "dual_chunk_local": 8}, prefix="causal", sections=False).dual.span
        56
        """
        dual = None
        if settings.get("dual_chunk"):
            own = {
                name: settings[f"dual_chunk_{name}"] for name in ("local", "form") if f"dual_chunk_{name}" in settings
            }
            dual = DualChunks(chunk=settings["dual_chunk"], **{"local": 1024, **own})
        names = {"vertical", "slash", "beyond"}
        own = {name: settings[f"sparse_{name}"] for name in names if f"sparse_{name}" in settings}
        found = cls(
            dual=dual,
            log_n=settings.get("log_n"),
            temperature=settings.get("attention_temperature"),
            sparse=Sparse(**own) if settings.get("sparse_prefill") else None,
            piece=settings.get("prefill_chunk"),
        )
        used = [name for name in ("dual_chunk", "sparse_prefill", "prefill_chunk") if settings.get(name)]
        if used and prefix == "both":
            raise ValueError(
                f"with `{used[0]}` the source must look back alone, but `prefix` is both: set `prefix=causal`"
            )
        if dual is not None and sections:
            raise ValueError("`dual_chunk` must stand without `rope_sections`: chunks cut places that are one number")
        return found

    def turns(self, rows: RowPlaces, rotary: Rotary, *, choosing: bool = False) -> Turns:
        """How rows are turned; for choosing what is kept also by places that go on growing, behind the versions."""
        factor = None
        for original, scale in ((self.log_n, log_n), (self.temperature, temperature)):
            if original is not None:
                own = scale(rows.index, original)
                factor = own if factor is None else factor * own
        if self.dual is None:
            by = turn(rows.places, rotary, rows.lengths)
            return Turns((by,), by, factor)
        places: tuple[Tensor, ...] = self.dual.query_places(rows.index)
        if choosing:
            places = (*places, *self.dual.flowing_places(rows.index))
        queries = tuple(turn(at, rotary, rows.lengths) for at in places)
        return Turns(queries, turn(self.dual.key_places(rows.index), rotary, rows.lengths), factor, self.dual)

    def reader(self, layout: Layout) -> Reader | None:
        """Who attends over all rows of a layout in one pass; None for the layout itself.

        Raises:
            ValueError: rows see each other both ways over the border of two chunks.
        """
        if self.dual is None or layout.joined.longest <= self.dual.span:
            return None
        return PartsReader(dual_parts(layout.pieces("causal"), self.dual))


def _under(name: str, settings: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The settings `<name>_<key>` by key."""
    return {key: settings[f"{name}_{key}"] for key in keys if f"{name}_{key}" in settings}
