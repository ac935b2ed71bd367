"""A clip and its sound in turns: where the rows stand, and that each port still sees its values whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import omniline as ol
from omniline.core.codec import Encoded
from omniline.core.example import Piece, RowId
from omniline.core.frame import Frame
from omniline.core.interleaving import woven
from omniline.core.packing import pack

FRAME = Frame(start="", around={"VIDEO": ("<v>", "</v>"), "AUDIO": ("<a>", "</a>")}, interleave=2.0)
NAMES = {"image": "video", "audio": "audio"}
VIDEO = "[VIDEO:clip,size=8,patch=8,max_frames=9,fps=1]"
AUDIO = "[AUDIO:sound,bands=8,sync=clip,n_frames_per_step=50,hop=0.01]"


def value(kind, times, clock=0, slot=None):
    grid = np.zeros((len(times), 3), np.float32)
    grid[:, 0] = times
    own = Encoded(rows=len(times), tensors={"x": np.arange(len(times)) + 10 * kind}, grid=grid)
    return Piece(kind, own, 0, kind if slot is None else slot, clock=clock)


def runs(pieces):
    return [(p.kind, p.encoded.grid[:, 0].tolist()) for p in pieces]


def test_pieces_take_turns_at_multiples_of_the_seconds():
    found = woven([value(1, [0, 0, 1, 1, 2, 2, 3, 5]), value(2, [0, 0.5, 1.9, 2, 4])], 2.0)
    assert runs(found) == [
        (1, [0, 0, 1, 1]),
        (2, [0, 0.5, pytest.approx(1.9)]),
        (1, [2, 2, 3]),
        (2, [2]),
        (1, [5]),
        (2, [4]),
    ]
    assert [len(p.encoded.tensors["x"]) for p in found] == [8, 5, 0, 0, 0, 0]


def test_a_gap_in_one_value_leaves_the_other_in_time():
    found = woven([value(1, [0, 4]), value(2, [0, 1, 2, 3, 4, 5])], 2.0)
    assert runs(found) == [(1, [0]), (2, [0, 1]), (2, [2, 3]), (1, [4]), (2, [4, 5])]


def test_times_that_go_back_never_change_the_order_of_rows():
    (first, second) = woven([value(1, [0, 3, 1])], 2.0)
    assert runs([first, second]) == [(1, [0]), (1, [3, 1])]


def test_values_of_no_clock_or_of_two_stay_apart():
    apart = [value(1, [0, 2], clock=-1), value(2, [0, 2], clock=-1)]
    assert woven(apart, 2.0) == apart
    two = woven([value(1, [0, 2], clock=0), value(2, [0, 2], clock=1)], 2.0)
    assert [p.kind for p in two] == [1, 1, 2, 2]


def test_a_value_without_a_grid_stands_in_the_first_piece():
    bare = value(2, [0, 2])
    bare = bare._replace(encoded=replace(bare.encoded, grid=None))
    assert [p.kind for p in woven([value(1, [0, 2]), bare], 2.0)] == [1, 2, 1]


@pytest.fixture(scope="module")
def laid():
    """A reader within the frame, for lines about one clip."""

    def read(line, frame=FRAME, **more):
        row = {
            "clip": clip(),
            "sound": (np.sin(np.arange(5 * 8000) / 9).astype(np.float32), 8000),
            "word": "hm",
            **more,
        }
        task = ol.Task("t", line, train=[row])
        model = ol.Model.build(backbone="decoder-tiny,width=16,heads=2,key_heads=2,ffn=16,layers=1", tasks=task)
        reader = replace(model.reader(model.bound(task)), frame=frame)
        return reader.example(row, RowId("t", 0)), reader, model

    return read


def clip(seed=0):
    frames = np.random.default_rng(seed).integers(0, 255, (5, 8, 8, 3), dtype=np.uint8)
    return {"frames": list(frames), "fps": 1.0}


def spelt(example, model):
    """The source side: text as it is, other runs as the modality and their rows."""
    out = []
    for piece in example.streams[0].source:
        if set(piece.encoded.tensors) == {"tokens"}:
            out.append(model.tokenizer.decode([int(t) for t in piece.encoded.tensors["tokens"]]))
        else:
            out.append(f"{NAMES[model.table[piece.kind].name]}{piece.encoded.rows}")
    return " ".join(out)


def test_a_line_is_laid_out_in_turns(laid):
    example, reader, model = laid(f"{VIDEO} {AUDIO} what? -> [TEXT:word]")
    assert spelt(example, model) == "<v> <a> video2 audio4 video2 audio4 video1 audio2 </a> </v>  what"
    clocks = [p.clock for p in example.streams[0].source]
    assert clocks == [0] * 10 + [-1]


def test_the_order_in_the_line_does_not_matter(laid):
    example, reader, model = laid(f"{AUDIO}{VIDEO} what? -> [TEXT:word]")
    assert spelt(example, model).startswith("<v> <a> video2 audio4")


@pytest.mark.parametrize(
    ("line", "start"),
    [
        (f"{VIDEO} hear {AUDIO} what? -> [TEXT:word]", "<v> video5 </v>  hear  <a> audio10 </a>"),
        (f"{VIDEO} {AUDIO.replace('sync=clip,', '')} what? -> [TEXT:word]", "<v> video5 </v>   <a> audio10 </a>"),
    ],
)
def test_words_between_or_no_sync_keep_the_two_apart(laid, line, start):
    example, reader, model = laid(line)
    assert spelt(example, model).startswith(start)
    assert {p.clock for p in example.streams[0].source} == {-1}


def test_without_interleave_the_frame_leaves_them_apart(laid):
    example, reader, model = laid(f"{VIDEO} {AUDIO} what? -> [TEXT:word]", replace(FRAME, interleave=0.0))
    assert spelt(example, model).startswith("<v> video5 </v>   <a> audio10 </a>")


def test_an_absent_sound_leaves_the_clip_alone(laid):
    line = f"{VIDEO} {AUDIO.replace(']', ',optional]')} what? -> [TEXT:word]"
    example, reader, model = laid(line, sound=None)
    assert spelt(example, model) == "<v> video5 </v>    what"


def test_a_group_pairs_within_each_repetition(laid):
    rows = {"clip": [clip(), clip(1)], "sound": [np.sin(np.arange(16000) / 9).astype(np.float32)] * 2}
    example, reader, model = laid(f"( {VIDEO} {AUDIO} )* what? -> [TEXT:word]", **rows)
    one = "<v> <a> video1 audio2 video4 </a> </v>".replace("video1 audio2 video4", "video2 audio2 video2 video1")
    assert spelt(example, model) == f"{one} {one}  what"
    assert [p.clock for p in example.streams[0].source if p.clock >= 0] == [0] * 8 + [1] * 8


def test_embeddings_are_those_of_the_whole_values(laid):
    """Rows of both layouts, port by port, are the same: a tower sees its value whole."""
    line = f"{VIDEO} {AUDIO} what? -> [TEXT:word]"
    example, reader, model = laid(line)
    apart = replace(reader, frame=replace(FRAME, interleave=0.0)).example(
        {"clip": clip(), "sound": (np.sin(np.arange(5 * 8000) / 9).astype(np.float32), 8000), "word": "hm"},
        RowId("t", 0),
    )
    one, two = pack([example, example], {"t": reader}), pack([apart, apart], {"t": reader})
    for kind, spec in enumerate(model.table):
        if spec.name in NAMES:
            with torch.no_grad():
                rows = [model.network.embed(b.inputs, b.order)[b.layout.kinds == kind] for b in (one, two)]
            assert len(rows[0]) and torch.equal(*rows)
            assert torch.equal(one.layout.grid[one.layout.kinds == kind], two.layout.grid[two.layout.kinds == kind])


def test_alignment_sees_a_cut_sound_as_one(laid):
    line = f"{VIDEO} {AUDIO.replace(']', ',loss=ctc]')} what? -> [TEXT:word]"
    example, reader, model = laid(line)
    batch = pack([example], {"t": reader})
    (alignment,) = batch.alignments
    audio = next(i for i, spec in enumerate(model.table) if spec.name == "audio")
    assert alignment.lengths == (10,) and batch.counts["t/sound"] == 1
    assert alignment.rows.tolist() == (batch.layout.kinds == audio).nonzero()[:, 0].tolist()


def test_segments_know_their_clock(laid):
    example, reader, model = laid(f"{VIDEO} {AUDIO} what? -> [TEXT:word]")
    (source, target) = pack([example], {"t": reader}).layout.segments[0]
    assert [s.clock for s in source] == [0] * 10 + [-1]
    assert {s.clock for s in target} == {-1}
