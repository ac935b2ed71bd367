"""VIDEO from files: containers, odd and broken films, what is decoded, and the same frames from both libraries."""

import base64
import io
import pickle
import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from omniline.core.codec import Reading
from omniline.core.errors import PluginError
from omniline.core.opening import video_files
from omniline.core.opening.video_av import AvFilm
from omniline.core.opening.video_clip import VideoClip
from omniline.core.opening.video_files import DecordFilm
from omniline.core.opening.video_reading import open_clip
from omniline.core.opening.video_whole import missing_bytes
from omniline.core.timespan import TimeSpan
from omniline.plugins.vision.video import VideoCodec

TICKS = Fraction(1, 1000)
CODECS = {".avi": "mpeg4", ".webm": "libvpx-vp9", ".gif": "gif", ".3gp": "mpeg4"}
PIXELS = {".gif": "rgb8"}
FAITHFUL = {"gif": 25, "avi": 12, "3gp": 12}
"""How far the codec of a container takes the redness from what was written."""


def red(number: int, count: int, size=(64, 48)) -> np.ndarray:
    """A frame whose redness says which one it is, with a green corner at the top left."""
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    frame[..., 0] = 255 * number // max(1, count - 1)
    frame[: size[1] // 3, : size[0] // 3, 1] = 255
    return frame


def write_film(path: Path, count=20, *, at=None, size=(64, 48), gop=12, seconds=0.1, sound=False) -> Path:
    """A film of `count` frames; `at` are their times in milliseconds, by default one every `seconds`."""
    plain, at = at is not None or path.suffix == ".avi", at or [round(1000 * seconds * i) for i in range(count + 1)]
    with av.open(str(path), "w") as film:
        stream = film.add_stream(CODECS.get(path.suffix, "libx264"), rate=round(1 / seconds))
        stream.width, stream.height = size
        stream.pix_fmt = PIXELS.get(path.suffix, "yuv420p")
        stream.gop_size, stream.thread_count, stream.max_b_frames = gop, 1, 0 if plain else 2
        stream.time_base = stream.codec_context.time_base = TICKS
        if sound:
            track = film.add_stream("aac", rate=16_000)
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
            noise.sample_rate = 16_000
            film.mux([*track.encode(noise), *track.encode(None)])
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(red(number, count, size), format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base, frame.duration = at[number], TICKS, at[number + 1] - at[number]
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return {
        suffix: write_film(folder / f"film.{suffix}")
        for suffix in ("mp4", "mov", "mkv", "avi", "webm", "gif", "3gp", "ts")
    }


def shown(raw, **settings) -> tuple[list[int], list[float]]:
    """Redness of the middle of each frame that is read, and its time."""
    codec = VideoCodec(**{"max_frames": 4, "size": 32, "patch": 32, **settings})
    encoded = codec.encode(raw, Reading(mode="predict"))
    assert encoded.rows <= codec.measure(raw, Reading(mode="predict"))
    frames = encoded.tensors["patches"].reshape(-1, 32, 32, 3)
    return frames[:, 20:, 20:, 0].mean((1, 2)).round().astype(int).tolist(), [
        round(t, 3) for t in encoded.grid[:, 0].tolist()
    ]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "webm", "gif", "3gp", "ts"])
def test_every_container_gives_the_frames_of_those_times(films, suffix):
    for raw in (films[suffix], str(films[suffix]), films[suffix].read_bytes()):
        reds, times = shown(raw)
        assert times == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=0.02)
        assert reds == pytest.approx([255 * i / 19 for i in (2, 7, 12, 17)], abs=FAITHFUL.get(suffix, 6))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_both_libraries_show_the_same(films, suffix):
    path, times = str(films[suffix]), [0.05, 0.31, 0.99, 1.0, 1.95]
    film = AvFilm(path, path)
    ours, theirs = film.frames(times, (32, 24), "bilinear"), DecordFilm(path, path).frames(times, (32, 24), "bilinear")
    film.close()
    assert ours.stamps.tolist() == pytest.approx(theirs.stamps.tolist(), abs=1e-3)
    assert len(ours.stamps) == 5
    assert np.abs(ours.pixels.astype(int) - theirs.pixels).mean() < 2


@pytest.mark.parametrize(("version", "how"), [("18.1.0", {"threads": 1}), ("16.1.0", {})])
def test_frames_are_scaled_without_threads_of_their_own(films, monkeypatch, version, how):
    monkeypatch.setattr(av, "__version__", version)
    film, path, seen = AvFilm(str(films["mp4"]), "film"), str(films["mp4"]), []
    reformat = film._reformatter.reformat
    film._reformatter = SimpleNamespace(reformat=lambda *at, **named: seen.append(named) or reformat(*at, **named))
    pixels = film.frames([0.05, 0.31], (32, 24), "bilinear").pixels
    film.close()
    assert [{k: v for k, v in named.items() if k != "interpolation"} for named in seen] == [how, how]
    assert np.array_equal(pixels, AvFilm(path, path).frames([0.05, 0.31], (32, 24), "bilinear").pixels)


@pytest.mark.parametrize("missing", ["av", "decord"])
def test_one_library_is_enough(films, monkeypatch, missing):
    monkeypatch.setattr(video_files, "_installed", lambda package: package != missing)
    for resize in ("bilinear", "lanczos"):
        reds, times = shown(films["mp4"], resize=resize, mode="crop")
        assert times == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=0.02)
        assert reds == pytest.approx([27, 94, 161, 228], abs=6)


def test_without_libraries_the_extra_is_named(films, monkeypatch):
    monkeypatch.setattr(video_files, "_installed", lambda package: False)
    with pytest.raises(PluginError, match=r"pip install 'omniline\[video\]'"):
        shown(films["mp4"])
    assert len(shown(films["gif"])[0]) == 4, "pillow reads animations"


def test_one_frame_is_one_frame(tmp_path):
    assert shown(write_film(tmp_path / "one.mp4", 1))[0] == [0]
    reds, times = shown(write_film(tmp_path / "three.mp4", 3), max_frames=8)
    assert (len(reds), times) == (3, [0.0, 0.1, 0.2])


def test_a_film_of_uneven_pace_is_read_by_its_clock(tmp_path):
    """Ten frames in the first second, four of two seconds each, and a short one."""
    at = [*range(0, 1000, 100), *range(1000, 9001, 2000), 9100]
    for suffix in ("mp4", "mkv"):
        path = write_film(tmp_path / f"uneven.{suffix}", 15, at=at)
        reds, times = shown(path, max_frames=5)
        assert times == pytest.approx([0.9, 1.0, 3.0, 5.0, 7.0], abs=0.01)
        assert reds == pytest.approx([255 * i / 14 for i in range(9, 14)], abs=6)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_film_is_upright(films, tmp_path, turn):
    """The matrix of the track header, ISO/IEC 14496-12, 8.3.2: what a phone writes that was held upright."""
    data = bytearray(films["mp4"].read_bytes())
    place = data.index(struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), data.index(b"tkhd"))
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turn]
    data[place : place + 20] = struct.pack(">5i", a << 16, b << 16, 0, c << 16, d << 16)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    codec = VideoCodec(max_frames=1, size=64, patch=4, mode="fit")
    encoded = codec.encode(path, Reading(mode="predict"))
    tall, wide = (encoded.grid[:, i].max() + 1 for i in (1, 2))
    assert (wide, tall) == ((16, 12) if turn == 180 else (12, 16))
    assert encoded.rows == codec.measure(path, Reading())
    green = encoded.tensors["patches"].reshape(int(tall), int(wide), -1, 3)[..., 1].mean(2) > 128
    corner = {90: green[0, -1], 180: green[-1, -1], 270: green[-1, 0]}[turn]
    assert corner and green.sum() < green.size / 4


def test_sound_beside_the_film_does_no_harm(tmp_path):
    assert shown(write_film(tmp_path / "talk.mp4", sound=True))[0] == shown(write_film(tmp_path / "mute.mp4"))[0]


def live(path: Path) -> Path:
    """The same film as a browser records it: no length in the header, no index."""
    out = path.with_name("live.webm")
    with av.open(str(path)) as film, av.open(str(out), "w", format="webm", options={"live": "1"}) as copy:
        track = copy.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                copy.mux(packet)
    return out


def test_a_live_recording_has_no_length_and_is_read(films):
    path = live(films["webm"])
    with av.open(str(path)) as film:
        assert film.duration is None
    reds, times = shown(path)
    assert times == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=0.03)


def test_a_long_film_is_decoded_where_it_is_read(tmp_path, monkeypatch):
    """Five minutes with a key frame every five seconds: three frames cost three pieces, not the film."""
    path = write_film(tmp_path / "long.mp4", 1500, seconds=0.2, gop=25, size=(32, 32))
    decoded = []
    step = AvFilm._next
    monkeypatch.setattr(AvFilm, "_next", lambda film: decoded.append(1) or step(film))
    reds, times = shown(path, max_frames=3)
    assert times == pytest.approx([50.0, 150.0, 250.0], abs=0.01)
    assert reds == pytest.approx([42, 127, 212], abs=6)
    assert len(decoded) <= 2 + 3 * 27


def test_a_piece_of_a_file(films):
    piece = {"path": str(films["mp4"]), "start": 1.0, "stop": 1.4}
    reds, times = shown(piece, max_frames=2)
    assert times == pytest.approx([0.1, 0.3], abs=0.01)
    assert reds == pytest.approx([255 * 11 / 19, 255 * 13 / 19], abs=6)
    leader = Reading(mode="predict", leader=TimeSpan(0.5, 0.9))
    encoded = VideoCodec(max_frames=2, size=32, patch=32).encode(str(films["mp4"]), leader)
    assert encoded.grid[:, 0].tolist() == pytest.approx([0.1, 0.3], abs=0.01)


def test_other_ways_to_hold_a_file(films):
    data = films["mp4"].read_bytes()
    wanted = shown(data)
    address = "data:video/mp4;base64," + base64.b64encode(data).decode()
    for raw in ({"bytes": data, "path": None}, address, films["mp4"].as_uri(), bytearray(data)):
        assert shown(raw) == wanted
    with films["mp4"].open("rb") as file:
        assert VideoCodec(max_frames=4, size=32, patch=32).encode(file, Reading()).rows == 4


def test_what_clips_write_they_read(tmp_path):
    clip = VideoClip(np.stack([red(i, 6, (33, 21)) for i in range(6)]), 5.0)
    for suffix in ("mp4", "webm", "gif", "webp"):
        reds, times = shown(clip.save(tmp_path / f"clip.{suffix}"), max_frames=6)
        assert times == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0], abs=0.01)
        assert reds == pytest.approx([0, 51, 102, 153, 204, 255], abs=25)
    with pytest.raises(ValueError, match=r"no format of video for the suffix '\.xyz'"):
        clip.save(tmp_path / "clip.xyz")
    assert pickle.loads(pickle.dumps(clip)) == clip


def sound_only(path):
    with av.open(str(path), "w") as film:
        track = film.add_stream("aac", rate=16_000)
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        noise.sample_rate = 16_000
        film.mux([*track.encode(noise), *track.encode(None)])


def broken(tmp_path, films):
    whole = {suffix: films[suffix].read_bytes() for suffix in ("mp4", "mkv", "avi", "gif")}
    yield "empty.mp4", b"", "'.*empty.mp4' is empty"
    yield "words.mp4", b"no film at all", "'.*words.mp4' is no video, or broken: Invalid data"
    for suffix in ("mp4", "mkv", "avi"):
        lost = rf"'.*cut.{suffix}' is cut short: its header promises [\d,]+ bytes, but it has [\d,]+"
        yield f"cut.{suffix}", whole[suffix][: len(whole[suffix]) * 2 // 3], lost
    sound_only(tmp_path / "sound.mp4")
    yield "talk.mp4", (tmp_path / "sound.mp4").read_bytes(), "'.*talk.mp4' holds no moving pictures, but audio"
    yield "head.gif", whole["gif"][:20], r"'.*head.gif' (is no video|holds no frames|cannot be)"


def test_a_broken_film_is_named(films, tmp_path):
    for name, data, message in broken(tmp_path, films):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=message):
            VideoCodec().encode(tmp_path / name, Reading())
        if not name.startswith("head"):
            with pytest.raises(ValueError, match=message):
                VideoCodec().measure(tmp_path / name, Reading())


def test_damage_in_the_middle_is_placed(tmp_path, capfd):
    path = write_film(tmp_path / "film.mp4", 60)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat")
    middle = start + (len(data) - start) // 3
    data[middle : middle + 600] = bytes(range(256)) * 2 + bytes(88)
    path.write_bytes(data)
    try:
        reds, _ = shown(path, max_frames=8)
    except ValueError as error:
        assert "film.mp4' cannot be decoded after" in str(error)
    else:
        assert len(reds) <= 8
    capfd.readouterr()


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        ("none.mp4", ValueError, "the video file 'none.mp4' does not exist"),
        ("https://a.b/c.mp4", ValueError, "must be at hand, but is the web address 'https://a.b/c.mp4': download it"),
        ("data:video/mp4;base64,@@@", ValueError, "base64 text of a video is broken"),
        ("x" * 5000, ValueError, "a video must be a path, but is other text: 'xxx"),
        (3, TypeError, "a clip must be a path, bytes, .* but is int 3"),
        (None, TypeError, "but is NoneType None"),
        ({"file": "a.mp4"}, TypeError, "but is a mapping with file"),
        ({"frames": [], "fps": 2}, ValueError, r"at least one frame, but \(list of 0\) has none"),
        ({"frames": np.zeros((2, 4, 4, 3), np.uint8), "fps": "fast"}, TypeError, "`fps` of a clip must be a number"),
        ({"frames": np.zeros((2, 4, 4, 3), np.uint8), "start": 5}, ValueError, r"piece from 5 s .* lasts 0\.08 s"),
        (b"nothing", ValueError, "of 7 bytes is no video, or broken"),
        (np.zeros((4, 4, 3), np.uint8), ValueError, r"but has shape \[4, 4, 3\]; one picture is a clip"),
        (np.zeros((2, 5, 5, 7), np.uint8), ValueError, r"but has shape \[2, 5, 5, 7\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), ValueError, r"but has shape \[0, 4, 4, 3\]"),
        (np.full((2, 4, 4, 3), 16.0), ValueError, "fractions 0 to 1, but holds 16"),
        ([[[[0, 0, 0]] * 2] * 2, [[[0, 0, 0]] * 3] * 2], ValueError, "frames of one size, but has several"),
    ],
)
def test_what_is_no_clip_says_so(raw, error, message):
    with pytest.raises(error, match=message):
        VideoCodec(size=16, patch=8).encode(raw, Reading())


def test_a_folder_of_frames(tmp_path):
    with pytest.raises(ValueError, match="must hold the frames of a clip as pictures, but holds none"):
        shown(tmp_path)
    for number in (1, 2, 10):
        Image.fromarray(red(number, 11, (32, 32))).save(tmp_path / f"frame{number}.png")
    assert shown(tmp_path, rate=1.0) == ([25, 51, 255], [0.0, 1.0, 2.0])


def test_absurd_frames_are_refused(films, monkeypatch):
    monkeypatch.setattr("omniline.core.opening.video_footage.MOST_PIXELS", 3000)
    with pytest.raises(ValueError, match=r"between 1 and 3,000 pixels, but its header says 64 x 48"):
        shown(films["mp4"])


def test_whole_files_are_whole(films):
    for suffix in ("mp4", "mov", "mkv", "avi", "webm", "gif", "3gp", "ts"):
        data = films[suffix].read_bytes()
        assert missing_bytes(io.BytesIO(data), len(data)) == 0
        if suffix not in ("gif", "ts"):
            assert missing_bytes(io.BytesIO(data[:-100]), len(data) - 100) == 100


def test_nothing_stays_open(films, monkeypatch):
    opened = []
    real = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1])
    with open_clip(str(films["mp4"])) as clip:
        assert clip.footage.header.frames == 20
    assert opened
    with pytest.raises(AssertionError, match="while it is open"):
        _ = clip.footage.header
