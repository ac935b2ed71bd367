import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniline.core.trie import Trie

END = 99


def naive_allowed(sequences, prefix):
    size = len(prefix)
    return sorted({s[size] for s in sequences if len(s) > size and s[:size] == prefix})


@given(st.sets(st.lists(st.integers(0, 5), max_size=5).map(tuple), min_size=1, max_size=20))
def test_every_prefix_allows_what_the_members_allow(members):
    sequences = [[*m, END] for m in sorted(members)]
    trie = Trie(sequences)
    for number, sequence in enumerate(sequences):
        nodes = trie.walk(sequence)
        for place, node in enumerate(nodes):
            assert trie.allowed(node).tolist() == naive_allowed(sequences, sequence[:place])
        leaf = trie.step(nodes[-1], END)
        assert trie.member[leaf] == number and trie.counts(np.array([leaf])) == 0
    assert sum(trie.member >= 0) == len(sequences) == len(trie)
    assert trie.nodes == len({tuple(s[:n]) for s in sequences for n in range(len(s) + 1)})


def test_edges_lead_to_the_next_number():
    trie = Trie([[5, 9], [5, 6, 9], [7, 9]])
    for edge, (node, token) in enumerate(zip(trie.parents, trie.tokens, strict=True)):
        assert trie.step(int(node), int(token)) == edge + 1
    assert trie.vocabulary[trie.columns].tolist() == trie.tokens.tolist()
    assert [trie.tokens[path[path >= 0]].tolist() for path in trie.paths] == [[5, 9], [5, 6, 9], [7, 9]]


def test_the_start_of_a_member_can_be_walked():
    trie = Trie([[5, 6, 9], [7, 9]])
    assert trie.walk([5, 6]) == trie.walk([5, 6, 9])[:2]
    assert trie.walk([]) == []


@pytest.mark.parametrize("tokens", [[6], [5, 9], [5, 6, 9, 9], [-1], [1000]])
def test_tokens_outside_the_set_are_named(tokens):
    with pytest.raises(
        ValueError, match=f"token {tokens[-1]} at place {len(tokens) - 1} is not in the closed set of 2"
    ):
        Trie([[5, 6, 9], [7, 9]]).walk(tokens)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "must have a member"),
        ([[1], []], "member 1 of the closed set must have tokens"),
        ([[1, 2], [3], [1, 2]], "members 0 and 2 of the closed set must differ"),
        ([[3], [1], [1, 2]], "member 1 of the closed set must not begin another one.*end mark"),
    ],
)
def test_sets_that_cannot_be_told_apart_are_errors(sequences, message):
    with pytest.raises(ValueError, match=message):
        Trie(sequences)


def test_pickling_keeps_the_tree_and_drops_what_is_derived():
    trie = Trie([[5, 6, 9], [7, 9]])
    trie.walk([5, 6, 9])
    copy = pickle.loads(pickle.dumps(trie))
    assert "_starts" in vars(trie) and "_starts" not in vars(copy)
    assert copy.walk([7, 9]) == trie.walk([7, 9])


def test_ten_thousand_members():
    rng = np.random.default_rng(0)
    members = [[*row, END] for row in {tuple(r) for r in rng.integers(0, 50, (12_000, 5)).tolist()}]
    trie = Trie(members)
    assert trie.walk(members[777])[0] == 0
    assert all(trie.step(node, token) > 0 for node, token in zip(trie.walk(members[9]), members[9], strict=True))
