"""Seeds and shuffles as pure functions."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniline.core.seeding import mix, permuted


def test_mix_is_the_same_in_every_process():
    code = "from omniline.core.seeding import mix; print(mix(7, 'caption', 3))"
    for hashing in ("0", "1"):
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hashing}
        )
        assert int(out.stdout) == mix(7, "caption", 3)


def test_mix_tells_paths_apart():
    paths = [(), (0,), (0, 0), ("0",), (0, "a"), ("a", 0), ("ab", "c"), ("a", "bc"), (1, 23), (12, 3)]
    assert len({mix(*path) for path in paths}) == len(paths)
    assert all(0 <= mix(i) < 1 << 63 for i in range(100))


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 3000), key=st.integers(0, 2**63 - 1))
def test_permuted_is_a_permutation(size, key):
    assert sorted(permuted(i, size, key) for i in range(size)) == list(range(size))


def test_permuted_depends_on_its_key_and_moves_rows():
    orders = [[permuted(i, 100, key) for i in range(100)] for key in range(20)]
    assert len({tuple(order) for order in orders}) == 20
    fixed = sum(place == i for order in orders for i, place in enumerate(order))
    assert fixed < 20 * 6
    firsts = {order[0] for order in orders}
    assert len(firsts) > 10


def test_permuted_needs_no_table():
    assert 0 <= permuted(10**14, 10**15, 5) < 10**15


@pytest.mark.parametrize("index", [-1, 5])
def test_permuted_outside(index):
    with pytest.raises(IndexError, match=f"must be in 0..4, but is {index}"):
        permuted(index, 5, 0)
