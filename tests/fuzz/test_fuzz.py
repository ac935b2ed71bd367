"""A short fuzz of everything that reads what others wrote; `make fuzz` does it for longer."""

import importlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
try:
    changing, made = importlib.import_module("fuzz.changing"), importlib.import_module("fuzz.targets").targets()
finally:
    sys.path.remove(str(TESTS))
EXAMPLES = {"bundle": 12, "taskfile": 60, "sound": 40}


@pytest.mark.parametrize("name", made)
def test_nothing_but_a_targets_own_errors(name):
    target = made[name]()
    assert all(target.judge(seed) for seed in target.seeds if name != "instruction"), "the seeds themselves are right"
    change = st.builds(
        lambda seed, number: changing.changed(seed, random.Random(number), target.words),
        st.sampled_from(target.seeds),
        st.integers(0, 1 << 32),
    )

    @settings(
        max_examples=EXAMPLES.get(name, 100), deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(change | st.binary(max_size=80))
    def fuzz(data):
        target.judge(data)

    fuzz()


def test_the_long_form_runs_and_reports(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "struct", "motion", "--minutes", "0.01", "--seed", "1"], capture_output=True,
        text=True, cwd=TESTS, env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "struct: " in done.stdout and "nothing but its own errors" in done.stdout
