"""Loader workers that a fork left stuck are forked again."""

import multiprocessing
import os
import time
import types

import pytest
import torch
from torch.utils.data import DataLoader

import omniline as ol
from omniline.core.errors import ConfigError, DataError
from omniline.tasks import workers
from omniline.tasks.workers import SureForks, start_context

STUCK = types.SimpleNamespace(left=0, now=False)
"""How many of the next forks are caught inside the interpreter, before Python runs in the child."""


def _before():
    STUCK.now = STUCK.left > 0
    STUCK.left -= STUCK.now


def _in_child():
    if STUCK.now:
        time.sleep(1000)


@pytest.fixture(scope="module", autouse=True)
def hooks():
    os.register_at_fork(before=_before, after_in_child=_in_child)


@pytest.fixture
def caught(monkeypatch):
    def catch(forks, *, patience):
        monkeypatch.setattr(workers, "PATIENCE", patience)
        monkeypatch.setattr(STUCK, "left", forks)

    return catch


def test_a_worker_that_never_began_is_forked_again(caught):
    caught(2, patience=(0.5, 0.5, 20.0))
    loader = DataLoader(list(range(8)), batch_size=2, num_workers=2, multiprocessing_context=SureForks())
    with pytest.warns(UserWarning, match="a forked loader worker did not begin within 0.5 s; another is forked"):
        batches = list(loader)
    assert torch.cat(batches).tolist() == list(range(8))
    assert not multiprocessing.active_children()


def test_none_of_several_begins(caught):
    caught(2, patience=(0.2, 0.2))
    loader = DataLoader(list(range(8)), num_workers=1, multiprocessing_context=SureForks())
    with (
        pytest.warns(UserWarning, match="did not begin"),
        pytest.raises(DataError, match=r"a loader worker must begin .*, but 2 did not.*worker_start=\"forkserver\""),
    ):
        iter(loader)
    assert not multiprocessing.active_children()


def test_a_run_goes_on_past_a_stuck_worker(caught, small):
    caught(1, patience=(0.5, 20.0))
    with pytest.warns(UserWarning, match="another is forked"):
        ol.fit(
            small.task("box"), backbone=small.BACKBONES["ofa"], max_steps=2, batch_tokens=200, metric_rows=0,
            enable_progress_bar=False, workers=1,
        )  # fmt: skip
    assert STUCK.left == 0


def test_contexts():
    assert isinstance(start_context("fork"), SureForks)
    assert isinstance(start_context(None), SureForks)
    assert start_context("spawn") == "spawn"
    with pytest.raises(ConfigError, match="worker_start must be one of .*, but is 'thread'"):
        start_context("thread")
