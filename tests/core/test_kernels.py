"""Which tensors take a kernel; and the kernels themselves, in Triton's interpreter, in a process of its own."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omniline.core.kernels import choosing


def test_kernels_equal_their_twins():
    """`interpreted_kernels.py`, forward and backward."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    file = Path(__file__).with_name("interpreted_kernels.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 28, done.stdout


def test_triton_is_imported_where_a_kernel_runs():
    """Nothing but the kernels' own files imports Triton, and they are imported inside functions."""
    room = Path(choosing.__file__).parent
    kernels = {path.stem for path in room.glob("*.py") if "\nimport triton\n" in path.read_text()}
    assert kernels == {"norm", "gated", "turning", "chunk_loss"}
    for path in (room / "choosing.py", room.parent / "linear_cross_entropy.py"):
        names = [node.module for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
        assert not kernels & {name.split(".")[-1] for name in names if name}


def test_a_cpu_never_takes_a_kernel():
    x = torch.ones(2, 4)
    assert not choosing.chosen(x)
    meta = torch.ones(2, 4, device="meta")
    assert not choosing.chosen(meta)


@pytest.mark.parametrize(
    ("dtype", "row", "wanted"),
    [
        (torch.float32, None, True),
        (torch.bfloat16, choosing.WIDEST, True),
        (torch.float32, choosing.WIDEST + 1, False),
        (torch.float64, None, False),
    ],
)
def test_what_an_accelerator_takes(dtype, row, wanted):
    """By dtype and by the size of a row."""

    class Far:
        device = torch.device("cuda")

        def __init__(self):
            self.dtype = dtype

        def numel(self):
            return 8

    assert choosing.chosen(Far(), row=row) is wanted
    with choosing.kernels(False):
        assert not choosing.chosen(Far(), row=row)
