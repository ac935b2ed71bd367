"""How loader workers begin: a forked one that never gets to run is given up and forked again."""

from __future__ import annotations

import warnings
from multiprocessing import Pipe, get_all_start_methods, get_start_method
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext, ForkContext, ForkProcess
from multiprocessing.popen_fork import Popen
from multiprocessing.process import BaseProcess
from typing import cast

from ..core.errors import ConfigError, DataError

PATIENCE = (5.0, 10.0, 20.0, 40.0)
"""Seconds that each attempt has to begin; an idle machine needs milliseconds."""


def start_context(way: str | None) -> BaseContext | str:
    """What a DataLoader takes as `multiprocessing_context` for a way to begin; None for the interpreter's own choice.

    Raises:
        ConfigError: this machine knows no such way.
    """
    known = get_all_start_methods()
    if way is not None and way not in known:
        ways = ", ".join(f'"{one}"' for one in known)
        raise ConfigError(f"worker_start must be one of {ways}, but is {way!r}")
    found = way or get_start_method(allow_none=True) or known[0]
    return SureForks() if found == "fork" else found


class Gate:
    """What a child and its parent tell each other at the start."""

    def __init__(self) -> None:
        self.hear_began, self.say_began = Pipe(duplex=False)
        self.hear_go, self.say_go = Pipe(duplex=False)

    def opens(self, sentinel: int, seconds: float) -> bool:
        """The parent's side: whether the child began in time, and now goes on."""
        self.say_began.close()
        self.hear_go.close()
        with self.hear_began, self.say_go:
            if self.hear_began not in wait([self.hear_began, sentinel], seconds):
                return False
            try:
                self.say_go.send_bytes(b"go")
            except BrokenPipeError:
                return False
            return True

    def passed(self) -> bool:
        """The child's side: whether the parent heard that it began; not if the parent is gone."""
        self.hear_began.close()
        self.say_go.close()
        with self.say_began, self.hear_go:
            try:
                self.say_began.send_bytes(b"began")
                self.hear_go.recv_bytes()
            except (EOFError, BrokenPipeError):
                return False
            return True


class SureWorker(ForkProcess):
    """A forked process that says that it began, and goes on only when that was heard.

    A fork copies one thread and every lock, so a child can wait for ever inside the interpreter for one that another
    thread held. Such a child has run no line of Python, so it holds nothing of its loader: it is killed, and the
    next fork, at another moment, takes its place. One that is late rather than stuck waits to be heard, so that it may
    be killed as safely.
    """

    gate: Gate

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Popen:
        """Fork until a child begins.

        Raises:
            DataError: none of several did.
        """
        worker = cast(SureWorker, process_obj)
        for seconds in PATIENCE:
            worker.gate = gate = Gate()
            child = Popen(worker)
            if gate.opens(child.sentinel, seconds):
                return child
            warnings.warn(f"a forked loader worker did not begin within {seconds:g} s; another is forked", stacklevel=3)
            child.kill()
            child.wait()
        raise DataError(
            f"a loader worker must begin to run after it was forked, but {len(PATIENCE)} did not, "
            f'the last of them within {PATIENCE[-1]:g} s; try worker_start="forkserver", or workers=0'
        )

    def run(self) -> None:
        """The worker's own part, once its parent heard of it."""
        if self.gate.passed():
            super().run()


class SureForks(ForkContext):
    """The context of multiprocessing whose processes are `SureWorker`s."""

    Process = SureWorker
