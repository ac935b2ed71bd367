"""A run that is killed and taken up by a new process: the same batches and losses, bit by bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

JOB = Path(__file__).with_name("killed.py")
MOST_SECONDS = 240


def begin(out, *settings):
    out.parent.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(JOB), str(out), *settings], stderr=subprocess.PIPE, text=True, cwd=out.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


def ended(process):
    _, errors = process.communicate(timeout=MOST_SECONDS)
    return process.returncode, errors


def test_a_killed_run_goes_on_bit_by_bit_with_other_workers(tmp_path):
    """Through a plain Trainer: shuffle, a mixture over steps, packing, augmentation, masks, dropout, accumulation."""
    whole, cut = begin(tmp_path / "whole" / "seen"), begin(tmp_path / "cut" / "first", "kill=5", "workers=2")
    code, errors = ended(whole)
    assert code == 0, errors[-2000:]
    code, errors = ended(cut)
    assert code == -signal.SIGKILL, errors[-2000:]
    code, errors = ended(begin(tmp_path / "cut" / "then", "resume=1", "workers=1"))
    assert code == 0, errors[-2000:]
    seen = (tmp_path / "whole" / "seen").read_text().splitlines()
    first, then = ((tmp_path / "cut" / name).read_text().splitlines() for name in ("first", "then"))
    kept = 2 * 4  # the last checkpoint before the fifth step is that of the fourth, of two batches each
    assert len(seen) == 2 * 9 + 1 and len(first) == 2 * 5
    assert first == seen[: len(first)]
    assert then == seen[kept:]
    assert len({line.split()[0] for line in seen}) > 15, "losses must differ for the comparison to mean anything"
