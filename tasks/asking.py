"""Asking a predictor: for all answers at once, or for the text of one as it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any
from weakref import finalize

from ..core.errors import ConfigError
from ..core.outputs import Output, Piece
from ..core.spelling import Unfolding, spells
from .predicting import Predictor

Place = tuple[int, tuple[int, ...]]
"""A slot's index and the repetitions of its groups."""


def ask(predictor: Predictor, data: Any) -> Output | list[Output]:
    """The answers to a row, or to several.

    Raises:
        ConfigError: a row is no mapping.
    """
    single = isinstance(data, Mapping)
    rows = [data] if single else list(data)
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ConfigError(f"row {number} must be a mapping from column to value, but is {type(row).__name__}")
    with _resting(predictor):
        outputs = [output for output in predictor.answers(rows) if output is not None]
    return outputs[0] if single else outputs


def stream(predictor: Predictor, row: Mapping[str, Any]) -> Iterator[Piece | Output]:
    """Pieces of text as they are found, then the output.

    The search runs in a thread of its own, which stops at its next token when the iterator is closed.

    Raises:
        ConfigError: the row is no mapping.
    """
    if not isinstance(row, Mapping):
        raise ConfigError(f"the row must be a mapping from column to value, but is {type(row).__name__}")
    return _Stream(predictor, row).run()


class _Closed(Exception):
    """Nobody listens any more."""


class _Stream:
    """One answer on its way: what the thread says, and what was shown of it."""

    def __init__(self, predictor: Predictor, row: Mapping[str, Any]) -> None:
        self.predictor, self.row = predictor, row
        self.said: SimpleQueue[Piece | Output | BaseException] = SimpleQueue()
        self.closed = Event()
        self.at: tuple[Place, Unfolding] | None = None

    def run(self) -> Iterator[Piece | Output]:
        thread = Thread(target=copy_context().run, args=(self._find,), daemon=True)
        thread.start()
        ended = finalize(self, _end, self.closed, thread)  # also at the program's end, which must not cut torch off
        try:
            while True:
                said = self.said.get()
                if isinstance(said, BaseException):
                    raise said
                yield said
                if isinstance(said, Output):
                    return
        finally:
            ended()

    def _find(self) -> None:
        try:
            with _resting(self.predictor):
                (output,) = self.predictor.answers([self.row], watch=self._watch)
            self._finish()
            assert output is not None, "a row is skipped only when it may be"
            self.said.put(output)
        except _Closed:
            pass
        except BaseException as cause:
            self.said.put(cause)

    def _watch(self, slot: int, path: tuple[int, ...], tokens: Sequence[int]) -> None:
        if self.closed.is_set():
            raise _Closed
        reader = self.predictor.slots[slot]
        if not spells(reader.codec):
            return
        if self.at is None or self.at[0] != (slot, path):
            self._finish()
            self.at = (slot, path), Unfolding(reader.codec.spell)
        self._show(self.at[1].add(tokens))

    def _finish(self) -> None:
        if self.at is not None:
            self._show(self.at[1].end())

    def _show(self, text: str) -> None:
        if text and self.at is not None:
            slot, path = self.at[0]
            self.said.put(Piece(text, slot=self.predictor.slots[slot].slot.name, place=path))


def _end(closed: Event, thread: Thread) -> None:
    """Let the search stop at its next token, and wait until it has."""
    closed.set()
    thread.join()


@contextmanager
def _resting(predictor: Predictor) -> Iterator[None]:
    """The network as it is asked: without dropout."""
    network = predictor.model.network
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
