"""Jobs of several processes (gloo): the same gradients as one process, every row once, no hanging, clear ends."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

JOB = Path(__file__).with_name("job.py")
MOST_SECONDS = 240


def start(out, strategy, *settings, ranks=1):
    """Run a job to its end; what each rank saw, and the process."""
    command = [str(JOB), str(out), strategy, *settings]
    if ranks > 1:
        alone = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks))
        command = [*alone, *command, f"ranks={ranks}"]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=MOST_SECONDS, check=False, cwd=out.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    paths = [Path(f"{out}.{rank}") / "seen.pt" for rank in range(ranks)]
    seen = [torch.load(path, weights_only=True) for path in paths if path.exists()]
    return seen, done


def same(ours, theirs):
    """Gradients of every step agree, tower by tower."""
    assert len(ours) == len(theirs) > 0
    for step, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine.keys() == other.keys()
        for name in mine:
            assert torch.allclose(mine[name], other[name], rtol=1e-4, atol=1e-6), f"step {step}: {name}"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process that takes the batches of two ranks in turn."""
    (seen,), _ = start(tmp_path_factory.mktemp("alone") / "job", "one", "accumulate=2")
    return seen


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_ranks_take_the_steps_of_one(tmp_path, alone, strategy):
    """Also where one rank has pictures of a kind and the other none: towers of two shapes never mix."""
    seen, done = start(tmp_path / "job", strategy, ranks=2)
    assert len(seen) == 2, done.stderr[-2000:]
    same(seen[0]["gradients"], alone["gradients"])
    whole = [id for batch in alone["rows"][:8] for id in batch]
    parts = [id for rank in seen for batch in rank["rows"] for id in batch]
    assert Counter(map(tuple, whole)) == Counter(map(tuple, parts))
    kinds = [{id[0] for id in batch} for rank in seen for batch in rank["rows"]]
    assert any(kind < {"picture", "other", "text"} for kind in kinds), "some rank must lack a task"


def test_three_ranks_with_rows_that_cannot_be_read(tmp_path):
    """A pass of three tasks of 24 rows: all rows are met but the one that cannot be read, wherever it lies."""
    seen, done = start(tmp_path / "job", "fsdp", "kind=broken", "epochs=1", ranks=3)
    assert len(seen) == 3, done.stderr[-2000:]
    ids = [tuple(id) for rank in seen for batch in rank["rows"] for id in batch]
    whole = {(task, row, 0) for task in ("picture", "other", "text") for row in range(24)}
    assert Counter(ids) == Counter(whole - {("picture", 7, 0)})
    assert sum(rank["skipped"] for rank in seen) == 1


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_rank_without_rows_waits_for_nobody(tmp_path, strategy):
    """Neither at validation, where it has no loss to tell, nor at the end; all ranks know all values."""
    seen, done = start(tmp_path / "job", strategy, "kind=held", "epochs=2", "accumulate=2", ranks=2)
    assert len(seen) == 2, done.stderr[-2000:]
    assert seen[0]["valid"] == seen[1]["valid"] and {"valid/text/cap", "valid/text/cap/exact_match"} <= {
        *seen[0]["valid"]
    }
    assert not any(seen[1]["rows"]) and all(seen[0]["rows"])


def test_a_job_goes_on_with_another_number_of_ranks(tmp_path):
    """Two ranks are stopped in the middle of a window; three go on with the rest of it, each row once."""
    keep = tmp_path / "kept"
    first, done = start(tmp_path / "a", "ddp", "steps=3", f"save={keep}", "at=3", ranks=2)
    assert len(first) == 2, done.stderr[-2000:]
    then, done = start(tmp_path / "b", "ddp", "steps=7", f"resume={keep / 'at.ckpt'}", ranks=3)
    assert len(then) == 3, done.stderr[-2000:]
    ids = [tuple(id) for rank in (*first, *then) for batch in rank["rows"] for id in batch]
    again = [id for id, count in Counter(ids).items() if count > 1]
    assert not again
    assert len(then[0]["rows"]) == 4


def test_a_rank_that_crashes_ends_the_job(tmp_path):
    """The other rank waits for it in a collective operation, and is stopped; the cause stands in the output."""
    seen, done = start(tmp_path / "job", "ddp", "crash=1", "steps=50", ranks=2)
    assert not seen and done.returncode != 0
    assert "RuntimeError: the disk of rank 1 is gone" in done.stderr
    assert "rank 1" in done.stderr and "ChildFailedError" in done.stderr


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_asked_to_end_ends_all_behind_one_step(tmp_path, rank):
    """The signal comes to one alone, in the first of two windows; all hear of it in the second and finish it."""
    seen, done = start(tmp_path / "job", "ddp", f"asked={rank}", "steps=50", "accumulate=2", ranks=2)
    assert not seen and done.returncode != 0
    assert all(f"rank {each}: SIGTERMException(143) behind step 2" in done.stderr for each in (0, 1)), done.stderr


def test_without_looking_for_unused_weights_ddp_says_so(tmp_path):
    seen, done = start(tmp_path / "job", "ddp_used", ranks=2)
    assert not seen and done.returncode != 0
    assert "DDP must look for unused weights" in done.stderr


def test_a_source_that_is_split_by_rank_is_refused(tmp_path):
    """Rows would be dealt twice, and half of them never seen."""
    seen, done = start(tmp_path / "job", "ddp", "kind=dealt", ranks=2)
    assert not seen and done.returncode != 0
    assert "the train rows of task `text` are others on every rank: pass the whole source" in done.stderr
