"""What is measured against what: OFASys's own figures, the factor to reach, and budgets in absolute terms.

OFASys v0.1.0, size `tiny` (4 + 4 layers, width 256, tied vocabulary of 50,265), on 2 cores at 265-315 GFLOP/s.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One row of the table.

    Attributes:
        words: what is measured.
        unit: of the figure.
        wanted: a factor over `theirs`, or a bound when `theirs` is None.
        theirs: OFASys's figure; where a figure has its own (`Figure.theirs`), None.
        most: smaller is better.
        scaled: whether the machine's speed at matrix products bears on it.
    """

    words: str
    unit: str
    wanted: float
    theirs: float | None = None
    most: bool = False
    scaled: bool = True


def _budget(words: str, unit: str, bound: float) -> Reference:
    return Reference(words=words, unit=unit, wanted=bound, most=True)


def _share(words: str, share: float) -> Reference:
    return Reference(words=words, unit="of it", wanted=share, scaled=False)


def _times(words: str, bound: float) -> Reference:
    return Reference(words=words, unit="x", wanted=bound, most=True, scaled=False)


def _over(words: str, wanted: float) -> Reference:
    return Reference(words=words, unit="x", wanted=wanted, scaled=False)


def _beside(words: str, unit: str, wanted: float, *, most: bool = False) -> Reference:
    """A factor over what was measured beside it."""
    return Reference(words=words, unit=unit, wanted=wanted, most=most, scaled=False)


def _memory(words: str, theirs: float) -> Reference:
    return Reference(words=words, unit="GB", wanted=0.5, theirs=theirs, most=True, scaled=False)


def _rate(words: str, unit: str, theirs: float, wanted: float) -> Reference:
    return Reference(words=words, unit=unit, theirs=theirs, wanted=wanted)


_EXAMPLES, _TOKENS = "examples/s", "tokens/s"

REFERENCES: dict[str, Reference] = {
    **{
        f"compile-{line}-{kind}": _budget(f"compile {words}, {kind}", "us", bound)
        for line, words in (
            ("caption", "caption (3 parts)"),
            ("mnli", "MNLI (11)"),
            ("interleaved", "interleaved (12)"),
        )
        for kind, bound in (("cold", 1000.0), ("cached", 5.0))
    },
    "check": _budget("`omniline check`, a process", "s", 0.6),
    "explain": _budget("`omniline explain`, a process", "s", 0.6),
    "import": _budget("`import omniline`", "s", 0.1),
    "encode-text": _rate("encode + collate, text to text, 5-120 to 5-20 words", _EXAMPLES, 1296, 3.0),
    "encode-infill": _rate("the same, infilling, mask_ratio 0.3", _EXAMPLES, 530, 3.0),
    "encode-mnli": _rate("the same, MNLI, a closed set of 3", _EXAMPLES, 333, 5.0),
    "encode-jpeg": _rate("the same, 480x640 JPEG to 224 px, and text", _EXAMPLES, 200, 1.3),
    "encode-jpeg-share": _share("... against a bare loop of full decoding and resizing", 0.9),
    "encode-jpeg-draft": _share("... against a bare loop of reduced decoding and resizing", 0.9),
    "infill-float32": _rate("train infilling, 16 rows of 5-120 words, float32", _TOKENS, 1109, 2.2),
    "infill-bfloat16": _rate("... bfloat16", _TOKENS, 1109, 3.0),
    "infill-float32-memory": _memory("... peak memory, float32", 3.2),
    "infill-bfloat16-memory": _memory("... peak memory, bfloat16", 3.2),
    "caption-float32": _rate("train caption, 8 pictures of 224 px, 6-16 words, float32", _TOKENS, 896, 1.5),
    "caption-bfloat16": _rate("... bfloat16", _TOKENS, 896, 2.5),
    "caption-float32-memory": _memory("... peak memory, float32", 2.9),
    "caption-bfloat16-memory": _memory("... peak memory, bfloat16", 2.9),
    "joint-float32": _rate("train both jointly, 16 + 8 rows, float32", _TOKENS, 1016, 1.7),
    "joint-bfloat16": _rate("... bfloat16", _TOKENS, 1016, 2.7),
    "joint-float32-memory": _memory("... peak memory, float32", 4.2),
    "joint-bfloat16-memory": _memory("... peak memory, bfloat16", 4.2),
    "greedy-32-1": _rate("greedy, 32 tokens, batch 1", _TOKENS, 119, 2.0),
    "greedy-32-8": _rate("greedy, 32 tokens, batch 8", _TOKENS, 451, 3.0),
    "beam-32-1": _rate("beam 5, 32 tokens, batch 1", _TOKENS, 67, 2.0),
    "beam-32-8": _rate("beam 5, 32 tokens, batch 8", _TOKENS, 227, 3.0),
    "beam-128-8": _rate("beam 5, 128 tokens, batch 8", _TOKENS, 139, 4.0),
    **{
        f"padding-{percent}": Reference(
            words=f"packed against padded, {percent}% padding", unit="x", wanted=wanted, scaled=False
        )
        for percent, wanted in ((0, 0.95), (45, 1.0), (66, 2.0), (75, 1.5))
    },
    "video-pyav": _share("8 frames of a film of 10 s, 360p to 224 px, against a bare loop over PyAV", 0.9),
    "video-decord": _share("... against decord's `get_batch`", 0.9),
    "video-length": Reference(
        words="16 frames of a film of 10 minutes, against one of 1 minute; more than 10 would be worse than linear",
        unit="x",
        wanted=10,
        most=True,
        scaled=False,
    ),
    "audio-share": _share("stereo flac of 1-8 s at 44.1 kHz to mel frames, against bare soundfile and torchaudio", 0.9),
    "audio-piece": _times("10 s out of half an hour, against a file of 10 s", 1.5),
    "audio-length": _times("half an hour whole, against a quarter", 2.4),
    "audio-memory": Reference(words="... the memory that it takes", unit="GB", wanted=0.6, most=True, scaled=False),
    "loader-share": _share("two workers: pictures a second, against a bare loop of decoding and resizing in two", 0.9),
    "waiting": Reference(
        words="share of the time in which a step waits for its batch, one worker",
        unit="",
        wanted=0.05,
        most=True,
        scaled=False,
    ),
    **{
        f"modality-{name}": _beside(words, _TOKENS, 0.85)
        for name, words in (
            ("text-in", "TEXT in: recipes to their names"),
            ("tower-in", "IMAGE in, through a timm tower: scenes of 32 px to captions"),
            ("audio-in", "AUDIO in: sentences of 2 s to text, CTC beside"),
            ("phone-in", "PHONE in: phones to spelling"),
            ("motion-in", "MOTION in: 48 frames to text"),
            ("box-in", "BOX and IMAGE in: a region to its caption"),
            ("struct-in", "STRUCT in: a database and a question to SQL"),
            ("chat", "CHAT: conversations with pictures"),
            ("text-out", "TEXT out: infilling"),
            ("image-out", "IMAGE out: a name to 64 codes"),
            ("video-out", "VIDEO out: a name to the codes of 4 frames"),
            ("audio-out", "AUDIO out: phones to mel frames"),
            ("phone-out", "PHONE out: spelling to phones"),
            ("motion-out", "MOTION out: text to 48 frames, denoising"),
            ("box-out", "BOX out: a scene to boxes and names"),
            ("struct-out", "STRUCT out: sudokus to grids"),
            ("image-in", "IMAGE in, in patches: PNG files to 64 px and names"),
            ("video-in", "VIDEO in: mp4 files to 4 frames of 64 px and names"),
            ("category-in", "CATEGORY in: kinds and words to definitions"),
            ("category-out", "CATEGORY out: definitions to one of their kinds"),
        )
    },
    **{
        f"warm-{name}": _budget(words, "ms", bound)
        for name, words, bound in (
            ("text", "a model that is there: TEXT, the first piece", 50),
            ("caption", "... TEXT about a PNG file, the first piece", 50),
            ("phone", "... PHONE, 16 tokens", 250),
            ("struct", "... STRUCT, the first piece", 50),
            ("chat", "... CHAT, the first piece", 50),
            ("category", "... CATEGORY, one of 11", 50),
            ("box", "... BOX and names about a picture", 50),
            ("image", "... IMAGE, 64 codes", 500),
            ("video", "... VIDEO, 144 codes", 1000),
            ("audio", "... AUDIO, 4 s", 500),
            ("motion", "... MOTION, 48 frames, denoised", 1000),
        )
    },
    **{
        f"cold-{name}": _beside(words, "s", bound, most=True)
        for name, words, bound in (
            ("text", "a new process, load a bundle: TEXT, the first piece", 2.0),
            ("caption", "... TEXT about a PNG file, the first piece", 2.0),
            ("tower", "... the same through a timm tower", 3.5),
            ("clip", "... TEXT about an mp4 file, the first piece", 2.0),
            ("sound", "... TEXT about a sound, the first piece", 2.0),
            ("category", "... CATEGORY", 2.0),
            ("image", "... IMAGE", 2.0),
            ("audio", "... AUDIO", 2.0),
            ("motion", "... MOTION", 2.0),
            ("command", "`omniline predict`, 32 pieces of text", 2.0),
        )
    },
    "codec-motion": _share("BVH files of 120 frames, encoded, against numpy alone", 0.9),
    "codec-box": _share("boxes in pixels, encoded, against torchvision's functions", 1.0),
    "codec-struct": _share("CSV files of 5 to 40 rows as tokens, against csv and tokenizers", 1.0),
    "resume-far": _times("time to the first batch at row 1,000,000, against row 10", 1.15),
    "resume-state": Reference(
        words="what exact resuming costs of a step", unit="of it", wanted=0.002, most=True, scaled=False
    ),
    "zero-rows": _times("a step of a rank without pictures: zero rows, against a made-up picture", 1.0),
    "qwen-mix": _over("train on captions' lengths, ours packed, theirs padded: tokens/s over theirs", 2.0),
    "qwen-equal": _over("... equal lengths, forward and backward", 1.0),
    "qwen-generate-1": _over("generate greedily, 64 tokens, batch 1", 1.3),
    "qwen-generate-8": _over("... batch 8", 1.3),
    "qwen-memory": _times("peak memory of the loss of 2,048 rows, 151,936 words, less gradients, against theirs", 0.1),
    "prefix-first": _over("time to the first token, prompt read before, against reading it", 8.0),
    "prefix-new": _times("... prompt never seen, kept, against reading it alone", 1.1),
    "prefix-batch": _over("4 rows of 8 tokens on it, against reading it for each", 3.0),
    "constrain-regex-1": _budget("a step of the rule, a pattern, 1 answer", "us", 1_000),
    "constrain-regex-8": _budget("... 8 answers", "us", 5_000),
    "constrain-json-1": _budget("a step of the rule, a JSON schema, 1 answer", "us", 1_000),
    "constrain-json-8": _budget("... 8 answers", "us", 5_000),
    "constrain-box-1": _budget("a step of the rule, boxes as text, 1 answer", "us", 1_000),
    "constrain-box-8": _budget("... 8 answers", "us", 5_000),
    "constrain-answers": _over("answers that must match a pattern, against free ones, batch 8", 0.9),
    "long-sparse-8192": _over("vertical-slash attention against dense, 8,192 tokens", 1.0),
    "long-sparse-16384": _over("... 16,384 tokens", 1.5),
    "long-sparse-32768": _over("... 32,768 tokens", 3.0),
    "long-dual": _times("time of dual chunks against plain attention, 16,384 tokens", 1.25),
    **{
        f"kernels-{name}-{other}": _over(f"{words}, forward and backward, against {other}", 1.0)
        for name, words in (
            ("norm", "RMSNorm of a sum, 8,192 rows of 3,584"),
            ("swiglu", "SwiGLU, 8,192 rows of 18,944"),
            ("rotate", "rotary places, 8,192 rows of 28 heads"),
            ("loss", "linear cross-entropy, 4,096 rows over 151,936 words"),
        )
        for other in ("torch", "torch.compile", "liger")
    },
}


def ratio(reference: Reference, value: float, theirs: float | None = None) -> float | None:
    """A figure over OFASys's, or over `theirs` of its own run; above 1 is better, or for memory and times below."""
    theirs = reference.theirs if theirs is None else theirs
    return None if theirs is None else value / theirs


def reached(reference: Reference, value: float, speed: float, theirs: float | None = None) -> bool:
    """Whether a figure is good enough on a machine that is `speed` times as fast as the reference's.

    Budgets hold as they are, whatever the machine.
    """
    found = ratio(reference, value, theirs)
    found = value if found is None else found / (speed if reference.scaled else 1.0)
    return found <= reference.wanted if reference.most else found >= reference.wanted
