"""A byte-level tokenizer with the marks of Qwen's, special ones and those that come out of texts."""

import tokenizers

from omniline.core.codec import SUPERVISED
from omniline.plugins.language.tokenizer import PieceTokenizer

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_bos|>", "<|vision_eos|>", "<|audio_bos|>", "<|audio_eos|>"),
)
LOOSE = (
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
    *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
)
WORDS = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""What is never joined, much as Qwen's has it."""


def make(without=(), *, all_special=False, merges=()):
    pieces = [*sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    model = tokenizers.models.BPE(vocab={piece: id for id, piece in enumerate(pieces)}, merges=list(merges))
    inner = tokenizers.Tokenizer(model)
    words = tokenizers.pre_tokenizers.Split(tokenizers.Regex(WORDS), "isolated")
    letters = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([words, letters])
    inner.decoder = tokenizers.decoders.ByteLevel()
    for names, special in ((SPECIAL, True), (LOOSE, all_special)):
        added = [tokenizers.AddedToken(n, special=special, normalized=False) for n in names if n not in without]
        inner.add_tokens(added)
    return PieceTokenizer(inner.to_str())


QWEN = make()


def spelt(ids, tokenizer=QWEN):
    """The text of ids, each mark as `⟨name⟩`, so that a mark and its spelling differ."""
    names = {tokenizer.special(name): name for name in (*SPECIAL, *LOOSE)}
    text, run = "", []
    for id in [*ids, None]:
        if id is not None and id not in names:
            run.append(id)
            continue
        text += tokenizer.decode(run)
        text, run = text + ("" if id is None else f"⟨{names[id].strip('<|>')}⟩"), []
    return text


def shown(encoded, tokenizer=QWEN):
    """All rows of a conversation: values of other kinds as `#`, what is learnt between `«` and `»`."""
    text, learning = "", False
    for kind, part in encoded.parts or (("TEXT", encoded),):
        if kind != "TEXT":
            text, learning = text + ("»" if learning else "") + "#" * part.rows, False
            continue
        ids = [int(id) for id in part.tensors["tokens"]]
        flags = [False] * len(ids) if part.roles is None else [role == SUPERVISED for role in part.roles]
        start = 0
        for place in range(len(ids) + 1):
            if place == len(ids) or flags[place] != learning:
                text, start = text + spelt(ids[start:place], tokenizer), place
                if place < len(ids):
                    text, learning = text + ("»" if learning else "«"), not learning
    return text + ("»" if learning else "")
