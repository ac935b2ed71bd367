"""Sharing room, and the size of examples."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omniline.core.codec import Encoded
from omniline.core.example import Example, Piece, RowId, Stream, rows_within


@settings(deadline=None)
@given(wanted=st.lists(st.integers(0, 100), max_size=8), room=st.integers(0, 400))
def test_room_is_shared_fully_and_fairly(wanted, room):
    limits = rows_within(wanted, room)
    assert sum(limits) == min(room, sum(wanted))
    assert all(0 <= limit <= want for limit, want in zip(limits, wanted, strict=True))
    cut = [limit for limit, want in zip(limits, wanted, strict=True) if limit < want]
    if cut:
        assert max(cut) - min(cut) <= 1
        assert max(limits) <= max(cut) + 1


def test_no_room():
    assert rows_within([3, 4], -5) == [0, 0]


def test_rows_of_all_streams_count():
    piece = Piece(0, Encoded(rows=3, tensors={"tokens": np.zeros(3)}), 0)
    stream = Stream([piece, piece], [piece])
    assert stream.sizes() == (6, 3)
    assert Example(RowId("t", 0), 0, (stream, stream)).rows() == 18
