"""Places in time, height and width: the examples of the reports, packed and padded."""

from types import SimpleNamespace

import pytest
import torch

from omniline.core.layout import Layout, Ragged, Segment
from omniline.plugins.qwen.places import places_of

TEXT = (0.0, 0.0, 0.0)


def layout(rows, segments, *, before=()):
    """One stream of source rows with these grids, behind another of text."""
    lengths = (*before, len(rows))
    grid = torch.tensor([TEXT] * sum(before) + rows)
    texts = tuple(((Segment(0, 0, n, False),), ()) for n in before)
    return Layout(
        source=Ragged(lengths),
        target=Ragged((0,) * len(lengths)),
        kinds=torch.zeros(len(grid), dtype=torch.long),
        grid=grid,
        roles=torch.zeros(len(grid), dtype=torch.uint8),
        segments=(*texts, (tuple(segments), ())),
        examples=tuple(range(len(lengths))),
    )


def picture(rows, columns, times=(0.0,)):
    return [(t, float(r), float(c)) for t in times for r in range(rows) for c in range(columns)]


def test_text_then_a_picture_then_text():
    rows = [TEXT] * 3 + picture(2, 3) + [TEXT] * 2
    found = places_of(layout(rows, [Segment(0, 0, 3, False), Segment(1, 3, 6, True), Segment(0, 9, 2, False)]))
    assert found.rows.tolist() == [
        [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7],
        [0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7],
        [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7],
    ]
    assert found.ends == (8,)


def test_streams_count_apart():
    rows = [TEXT] * 2 + picture(1, 2)
    found = places_of(layout(rows, [Segment(0, 0, 2, False), Segment(1, 2, 2, True)], before=(4,)))
    assert found.rows[2].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert found.ends == (4, 4)


@pytest.mark.parametrize(("spacing", "wanted"), [(1.0, [3, 5, 7]), (10.0, [3, 23, 43]), (0.25, [3, 3, 4])])
def test_seconds_become_places(spacing, wanted):
    """Two places a second, as the released checkpoints have it."""
    rows = [TEXT] * 3 + picture(2, 2, [spacing * i for i in range(3)]) + [TEXT]
    found = places_of(layout(rows, [Segment(0, 0, 3, False), Segment(1, 3, 12, True), Segment(0, 15, 1, False)]), 2.0)
    assert found.rows[0, 3:15:4].tolist() == wanted
    assert found.rows[:, 15].tolist() == [max(wanted[-1], 4) + 1] * 3


def test_a_clip_and_its_sound_share_a_clock():
    clip, sound = picture(2, 2, [0.0, 1.0, 2.0]), [(0.04 * i, -1.0, -1.0) for i in range(75)]
    rows = [TEXT] * 4 + clip[:8] + sound[:50] + clip[8:] + sound[50:] + [TEXT] * 4
    sizes = [(0, 2, -1), (0, 1, 0), (0, 1, 0), (1, 8, 0), (2, 50, 0), (1, 4, 0), (2, 25, 0), (0, 1, 0), (0, 1, 0)]
    segments, at = [], 0
    for kind, length, clock in [*sizes, (0, 2, -1)]:
        segments.append(Segment(kind, at, length, kind > 0, False, clock))
        at += length
    found = places_of(layout(rows, segments), 25.0)
    time = found.rows[0].tolist()
    assert time[:12] == [0, 1, 2, 2, 3, 3, 3, 3, 28, 28, 28, 28]
    assert time[12:62] == list(range(3, 53)) and time[62:66] == [53] * 4 and time[66:91] == list(range(53, 78))
    assert time[91:] == [78, 78, 79, 80]
    assert found.rows[1, 4:8].tolist() == [3, 3, 4, 4]


def test_a_text_behind_a_clip_by_both_rules():
    """Five times of 2 x 2 behind three words: the reports go on from the last time, transformers 5 from the sides."""
    rows = [TEXT] * 3 + picture(2, 2, [float(i) for i in range(5)]) + [TEXT] * 3
    made = layout(rows, [Segment(0, 0, 3, False), Segment(1, 3, 20, True), Segment(0, 23, 3, False)])
    assert places_of(made).rows[:, 23:].tolist() == [[8, 9, 10]] * 3
    assert places_of(made, after="sides").rows[:, 23:].tolist() == [[5, 6, 7]] * 3
    assert places_of(made).ends == (11,) and places_of(made, after="sides").ends == (8,)


@pytest.mark.parametrize("family", ["2", "2.5"])
def test_places_are_those_of_transformers(family):
    """Random prompts of texts, pictures and clips, through its own models' index."""
    random = torch.Generator().manual_seed(0)

    def draw(low, high):
        return int(torch.randint(low, high, (), generator=random))

    index, rate = reference(family)
    for _ in range(40):
        rows, segments, kinds, grids, spaces = [], [], [], {1: [], 2: []}, []
        for _ in range(draw(1, 4)):
            text, kind = draw(1, 6), draw(1, 3)
            t, h, w, fps = 1 if kind == 1 else draw(1, 7), draw(1, 6), draw(1, 6), draw(1, 97) / 8
            space = 1.0 if family == "2" else 2 / fps
            segments += [Segment(0, len(rows), text, False), Segment(1, len(rows) + text, t * h * w, True)]
            rows += [TEXT] * text + picture(h, w, [space * i for i in range(t)])
            kinds += [0] * text + [kind] * (t * h * w)
            grids[kind].append([t, 2 * h, 2 * w])
            spaces += [space] if kind == 2 else []
        segments.append(Segment(0, len(rows), 2, False))
        wanted, delta = index(kinds + [0, 0], grids, spaces)
        found = places_of(layout(rows + [TEXT] * 2, segments), rate, after="sides")
        assert torch.equal(found.rows, wanted)
        assert found.ends == (len(rows) + 2 + delta,)


def reference(family):
    """`get_rope_index` of transformers over kinds of rows, and the places of a unit of time."""
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as new
    from transformers.models.qwen2_vl import modeling_qwen2_vl as old

    model = old.Qwen2VLModel if family == "2" else new.Qwen2_5_VLModel
    vision = SimpleNamespace(spatial_merge_size=2, tokens_per_second=4)
    own = SimpleNamespace(config=SimpleNamespace(vision_config=vision))
    own.get_vision_position_ids = lambda *a, **k: model.get_vision_position_ids(own, *a, **k)

    def index(kinds, grids, spaces):
        more = {} if family == "2" else {"second_per_grid_ts": spaces}
        places, delta = model.get_rope_index(
            own,
            torch.zeros(1, len(kinds), dtype=torch.long),
            torch.tensor([kinds]),
            image_grid_thw=torch.tensor(grids[1]).view(-1, 3),
            video_grid_thw=torch.tensor(grids[2]).view(-1, 3),
            **more,
        )
        return places[:, 0], int(delta)

    return index, 1.0 if family == "2" else 4.0
