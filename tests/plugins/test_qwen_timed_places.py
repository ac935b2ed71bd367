"""TMRoPE beside transformers: random prompts of text, pictures, sounds and clips, and where the two differ.

transformers 5.24 and earlier differ from the report in two rare cases, which are written out below: it places what
follows a clip by its last piece alone, and it moves pieces together where a clip has no frame for two seconds.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniPreTrainedModelForConditionalGeneration as Theirs,
)

from omniline.core.codec import Encoded
from omniline.core.example import Piece
from omniline.core.interleaving import woven
from omniline.core.layout import Layout, Ragged, Segment
from omniline.plugins.qwen.places import places_of

TEXT, IMAGE, VIDEO, AUDIO = 10, 11, 12, 13
VISION_BOS, VISION_EOS, AUDIO_BOS, AUDIO_EOS = 14, 15, 16, 17


def text(*tokens, clock=-1):
    return [Piece(TEXT, Encoded(rows=len(tokens), tensors={"tokens": np.array(tokens)}), 0, clock=clock)]


def seen(kind, times, rows, columns, clock=-1):
    spots = [(t, r, c) for t in times for r in range(rows) for c in range(columns)]
    return Piece(kind, Encoded(rows=len(spots), tensors={}, grid=np.array(spots, np.float32)), 0, kind, clock=clock)


def heard(tokens, clock=-1):
    grid = np.full((tokens, 3), -1, np.float32)
    grid[:, 0] = (np.arange(tokens) + 0.5) / 25
    return Piece(AUDIO, Encoded(rows=tokens, tensors={}, grid=grid), 0, AUDIO, clock=clock)


class Prompt:
    """A prompt while it is put together: our pieces, and what `get_rope_index` asks for."""

    def __init__(self):
        self.pieces, self.images, self.videos, self.spacing, self.sounds, self.clocks = [], [], [], [], [], 0

    def say(self, count):
        self.pieces += text(*[TEXT] * count)

    def picture(self, rows, columns):
        self.images.append((1, 2 * rows, 2 * columns))
        self.pieces += [*text(VISION_BOS), seen(IMAGE, [0.0], rows, columns), *text(VISION_EOS)]

    def sound(self, tokens):
        self.sounds.append(4 * tokens)
        self.pieces += [*text(AUDIO_BOS), heard(tokens), *text(AUDIO_EOS)]

    def clip(self, frames, rows, columns, spacing, tokens=None):
        self.videos.append((frames, 2 * rows, 2 * columns))
        self.spacing.append(spacing)
        times = [i * spacing for i in range(frames)]
        if tokens is None:
            self.pieces += [*text(VISION_BOS), seen(VIDEO, times, rows, columns), *text(VISION_EOS)]
            return
        self.sounds.append(4 * tokens)
        clock, self.clocks = self.clocks, self.clocks + 1
        both = [seen(VIDEO, times, rows, columns, clock), heard(tokens, clock)]
        self.pieces += [*text(VISION_BOS, clock=clock), *text(AUDIO_BOS, clock=clock), *both]
        self.pieces += [*text(AUDIO_EOS, clock=clock), *text(VISION_EOS, clock=clock)]

    def ours(self):
        pieces = woven(self.pieces, 2.0)
        segments, grids, at = [], [], 0
        for piece in pieces:
            grid = piece.encoded.grid
            segments.append(Segment(piece.kind, at, piece.encoded.rows, grid is not None, False, piece.clock))
            grids.append(np.zeros((piece.encoded.rows, 3), np.float32) if grid is None else grid)
            at += piece.encoded.rows
        layout = Layout(
            source=Ragged((at,)),
            target=Ragged((0,)),
            kinds=torch.zeros(at, dtype=torch.long),
            grid=torch.from_numpy(np.concatenate(grids)),
            roles=torch.zeros(at, dtype=torch.uint8),
            segments=((tuple(segments), ()),),
            examples=(0,),
        )
        return places_of(layout, 25.0)

    def ids(self):
        """Tokens, of which those of media stand for their kind."""
        out = []
        for piece in woven(self.pieces, 2.0):
            given = piece.encoded.tensors.get("tokens")
            out += [piece.kind] * piece.encoded.rows if given is None else given.tolist()
        return torch.tensor([out])

    def theirs(self):
        own = SimpleNamespace(
            spatial_merge_size=2,
            config=SimpleNamespace(
                image_token_id=IMAGE,
                video_token_id=VIDEO,
                audio_token_id=AUDIO,
                vision_start_token_id=VISION_BOS,
                audio_start_token_id=AUDIO_BOS,
                position_id_per_seconds=25,
                seconds_per_chunk=2,
            ),
        )
        for name in ("get_llm_pos_ids_for_vision", "get_chunked_index"):
            setattr(own, name, partial(getattr(Theirs, name), own))
        ids = self.ids()
        places, delta = Theirs.get_rope_index(
            own,
            ids,
            image_grid_thw=torch.tensor(self.images or [(1, 2, 2)]),
            video_grid_thw=torch.tensor(self.videos or [(1, 2, 2)]),
            attention_mask=torch.ones_like(ids),
            use_audio_in_video=self.clocks > 0,
            audio_seqlens=torch.tensor(self.sounds),
            second_per_grids=torch.tensor(self.spacing),
        )
        return places[:, 0], int(delta[0]) + ids.shape[1]


def same(prompt):
    rows, end = prompt.theirs()
    found = prompt.ours()
    assert found.rows.tolist() == rows.tolist()
    assert found.ends == (end,)


def test_the_example_of_the_report():
    """Three frames a second apart with three seconds of sound, behind two tokens of text."""
    prompt = Prompt()
    prompt.say(2)
    prompt.clip(3, 2, 2, 1.0, 75)
    prompt.say(2)
    same(prompt)
    time = prompt.ours().rows[0].tolist()
    wanted = [0, 1, 2, 2, *[3] * 4, *[28] * 4, *range(3, 53), *[53] * 4, *range(53, 78), 78, 78, 79, 80]
    assert time == wanted
    assert prompt.ours().ends[0] - len(time) == -14


def test_a_clip_alone():
    prompt = Prompt()
    prompt.say(2)
    prompt.clip(3, 2, 2, 1.0)
    prompt.say(2)
    same(prompt)
    assert prompt.ours().rows[0].tolist() == [0, 1, 2, *[3] * 4, *[28] * 4, *[53] * 4, 54, 55, 56]


@pytest.mark.parametrize("seed", range(40))
def test_random_prompts(seed):
    """All kinds in any order; clips either all with their sound or all without, as transformers asks."""
    draw = np.random.default_rng(seed)
    prompt, together = Prompt(), bool(seed % 2)
    for _ in range(draw.integers(1, 7)):
        prompt.say(int(draw.integers(0, 4)))
        kind = draw.integers(4)
        rows, columns = map(int, draw.integers(1, 5, 2))
        if kind == 0:
            prompt.picture(rows, columns)
        elif kind == 1:
            prompt.sound(int(draw.integers(1, 140)))
        else:
            frames, spacing = int(draw.integers(1, 8)), float(draw.choice([0.25, 0.5, 1.0, 2.0]))
            # Sound beyond the last frame, so that the last piece ends last: see below.
            heard_long = int(frames * spacing * 25 + max(rows, columns) + draw.integers(1, 60))
            prompt.clip(frames, rows, columns, spacing, heard_long if together else None)
    prompt.say(1)
    if not prompt.sounds:
        prompt.sound(3)
    if not (prompt.images or prompt.videos):
        prompt.picture(1, 2)
    same(prompt)


def test_what_follows_a_clip_stands_behind_all_of_it():
    """The report's rule is the largest place of all; transformers looks at the last piece, here a short sound."""
    prompt = Prompt()
    prompt.say(2)
    prompt.clip(2, 2, 2, 1.0, 17)
    prompt.say(1)
    assert prompt.ours().rows[0, -3:].tolist() == [29, 29, 30]
    assert prompt.theirs()[0][0, -3:].tolist() == [20, 20, 21]


def test_pieces_without_a_frame_stay_in_time():
    """Frames four seconds apart: the second stands among the sound of its own time, transformers puts it earlier."""
    clip, sound = seen(VIDEO, [0.0, 4.0], 1, 1, 0), heard(150, 0)
    assert [(p.kind, p.encoded.rows) for p in woven([clip, sound], 2.0)] == [
        (VIDEO, 1),
        (AUDIO, 50),
        (AUDIO, 50),
        (VIDEO, 1),
        (AUDIO, 50),
    ]
    numbers = torch.tensor([0, 100])
    assert Theirs.get_chunked_index(None, numbers, 50, 0) == [(0, 1), (1, 2)]


def test_a_mark_that_closes_later_stands_beside_the_others():
    """A source may end within the closing marks: the next row is then the last of them."""
    prompt = Prompt()
    prompt.clip(2, 2, 2, 1.0, 60)
    whole = prompt.ours()
    prompt.pieces = prompt.pieces[:-1]
    cut = prompt.ours()
    assert cut.rows.tolist() == whole.rows[:, :-1].tolist()
    assert cut.ends == (int(whole.rows[0, -1]),) and whole.ends == (cut.ends[0] + 1,)
