"""What language brings: TEXT, STRUCT, CATEGORY, PHONE and CHAT. Declarations alone; nothing here imports torch.

All adapters that write text go through one port, so that a model has one vocabulary and one table of embeddings,
whatever reads or writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ...core.adapter import Adapter
from ...core.modality import Modality, TensorSpec, Tokens
from ...core.settings import setting
from ..hookspecs import hookimpl

TEXT_PORT = "omniline.plugins.language.text_port:TextPort"


class Text(Adapter):
    """Text as the model's tokens."""

    modality = "TEXT"
    predicts = "tokens"
    codec = "omniline.plugins.language.text:TextCodec"
    port = TEXT_PORT
    assets = ("tokenizer",)
    makers = {"tokenizer": "omniline.plugins.language.making:make_tokenizer"}
    cuttable = True

    uncased: bool = setting(False, data_only=True, help="lower-case the text")
    no_punctuation: bool = setting(False, data_only=True, help="drop punctuation marks")
    mask_ratio: float = setting(
        0.0,
        at_least=0.0,
        at_most=1.0,
        data_only=True,
        sides=("source",),
        help="share of words hidden in training, in spans that one mask stands for",
    )
    noise_ratio: float = setting(
        0.0, at_least=0.0, at_most=1.0, data_only=True, help="share of input tokens replaced by random ones in training"
    )
    fim: float = setting(
        0.0,
        at_least=0.0,
        at_most=1.0,
        data_only=True,
        sides=("target",),
        help="share of documents written prefix, suffix, middle in training; what is found fills a gap",
    )

    def tokens(self) -> Tokens:
        return Tokens(0, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("tokens", "int64", ("n",)),)


class Struct(Adapter):
    """Tables, mappings, triples, grids and database schemas, written out as text."""

    modality = "STRUCT"
    predicts = "tokens"
    codec = "omniline.plugins.language.struct:StructCodec"
    port = TEXT_PORT
    assets = ("tokenizer",)
    says = "omniline.plugins.language.struct:written_texts"
    cuttable = True
    follows = ("TEXT",)
    follows_by = "question"
    follows_nearest = False

    form: Literal["auto", "table", "rows", "mapping", "graph", "grid", "schema", "text"] = setting(
        "auto",
        data_only=True,
        help="what values are: lists of cells, mappings by the first row, one mapping, triples, a sudoku, a database",
    )
    row_sign: str = setting("|", data_only=True, help="stands between rows")
    cell_sign: str = setting(":", data_only=True, help="stands between cells")
    question: str | None = setting(
        None, data_only=True, sides=("source",), help="the TEXT slot whose words are looked for in a database's cells"
    )
    likeness: int = setting(
        100, at_least=50, at_most=100, data_only=True, help="how alike a cell and those words must be, in percent"
    )
    uncased: bool = setting(False, data_only=True, help="lower-case the text")
    mask_ratio: float = setting(
        0.0,
        at_least=0.0,
        at_most=1.0,
        data_only=True,
        sides=("source",),
        help="share of words hidden in training, in spans that one mask stands for",
    )
    noise_ratio: float = setting(
        0.0, at_least=0.0, at_most=1.0, data_only=True, help="share of input tokens replaced by random ones in training"
    )

    def tokens(self) -> Tokens:
        return Tokens(0, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("tokens", "int64", ("n",)),)


class Phone(Adapter):
    """Phones, separated by white space, written as text."""

    modality = "PHONE"
    predicts = "tokens"
    codec = "omniline.plugins.language.phone:PhoneCodec"
    port = TEXT_PORT
    assets = ("tokenizer",)
    cuttable = True

    alphabet: Literal["any", "arpabet"] = setting("any", data_only=True, help="the phones that are legal")
    stress: bool = setting(True, data_only=True, help="keep the stress digits of ARPAbet vowels")
    g2p: Literal["none", "dictionary", "gruut", "letters"] = setting(
        "none", data_only=True, help="how text becomes phones: not, by a dictionary, by the library gruut, by letters"
    )
    dictionary: str | None = setting(None, data_only=True, help="file of a dictionary in CMU's format")
    unknown: Literal["raise", "letters"] = setting(
        "raise", data_only=True, help="what to do with words that the dictionary lacks"
    )
    mask_ratio: float = setting(
        0.0, at_least=0.0, at_most=1.0, data_only=True, sides=("source",), help="share of phones hidden in training"
    )

    def tokens(self) -> Tokens:
        return Tokens(0, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("tokens", "int64", ("n",)),)


class Category(Adapter):
    """One label of a closed set, by an output layer of its own with one unit a label."""

    modality = "CATEGORY"
    predicts = "class"
    codec = "omniline.plugins.language.category:CategoryCodec"
    port = "omniline.plugins.language.category:CategoryPort"
    assets = ("closed_set",)

    def tokens(self) -> Tokens:
        return Tokens(1)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("label", "int64", (1,)),)


class Chat(Adapter):
    """A conversation: what the assistant says is learnt, all else is given. Its turns may hold other kinds."""

    modality = "CHAT"
    predicts = "tokens"
    codec = "omniline.plugins.language.chat:ChatCodec"
    port = TEXT_PORT
    assets = ("tokenizer",)
    cuttable = True
    adopts = "omniline.plugins.language.chat_checkpoint:adopted"

    holds: tuple[str, ...] = setting(
        ("text",),
        data_only=True,
        help='what may stand in turns, as in `image|audio`; with settings `"image,size=64,patch=8"`',
    )
    train_on: Literal["all", "last"] = setting(
        "all", data_only=True, help="supervised are all turns of the assistant, or its last one"
    )
    train_marks: bool = setting(
        False, data_only=True, help="supervised are also the marks that open and end every turn, whoever speaks"
    )
    template: Literal["chatml", "plain", "qwen2", "qwen2.5", "qwen3", "qwen2-vl", "qwen2.5-omni"] = setting(
        "chatml", data_only=True, help="how turns are written: as a checkpoint's family does, or `role:`"
    )
    system: str | None = setting(
        None, data_only=True, help="what the system says where no system turn opens; by default the template's words"
    )
    thinking: Literal["on", "off", "keep", "drop"] = setting(
        "on",
        data_only=True,
        help="thoughts as the template has them, none in the answer, those of all turns, or none at all",
    )
    use_audio_in_video: bool = setting(
        False, data_only=True, help="a clip in a turn brings its own sound, read in step with it"
    )

    def tokens(self) -> Tokens:
        return Tokens(1, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("tokens", "int64", ("n",)),)


class BoxText(Adapter):
    """Places in a picture written as text, as vision-language models write them: boxes or points, one or a list."""

    modality = "BOX"
    predicts = "tokens"
    codec = "omniline.plugins.language.box_text:BoxTextCodec"
    port = TEXT_PORT
    assets = ("tokenizer",)
    follows = ("IMAGE",)

    style: Literal["json", "pairs"] = setting(
        "json",
        data_only=True,
        help="JSON in pixels of the picture as the model sees it, or pairs in thousandths of its sides",
    )
    shape: Literal["box", "point"] = setting("box", data_only=True, help="four numbers, or the two of a point")
    several: bool = setting(False, data_only=True, help="values are lists, written as one text")
    format: Literal["xyxy", "xywh", "cxcywh"] = setting(
        "xyxy",
        data_only=True,
        help="order of the numbers: two corners, a corner and the sides, or middle and sides",
    )
    unit: Literal["relative", "pixels"] = setting(
        "relative", data_only=True, help="of values: shares of the picture's sides, or pixels of the whole picture"
    )
    size: int | None = setting(
        None, at_least=1, data_only=True, help="values run from 0 to this along both sides, instead of a unit"
    )
    clip: bool = setting(False, data_only=True, help="cut what lies outside of the picture, instead of an error")
    image: str | None = setting(
        None, data_only=True, help="name of the picture's slot; by default the nearest one before"
    )

    def tokens(self) -> Tokens:
        return Tokens(1, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("tokens", "int64", ("n",)),)


@hookimpl
def modalities() -> Mapping[str, Modality]:
    """The slot types of this room."""
    return {
        "TEXT": Modality(source="text", target="text", help="a string"),
        "STRUCT": Modality(source="struct", target="struct", help="a table, triples, a mapping or a database schema"),
        "CATEGORY": Modality(source="category", target="category", help="one label of a closed set"),
        "PHONE": Modality(source="phone", target="phone", help="phones separated by white space"),
        "CHAT": Modality(source="chat", target="chat", help="a list of turns"),
    }


@hookimpl
def adapters() -> Mapping[str, type[Adapter]]:
    """The adapters of this room."""
    return {"text": Text, "struct": Struct, "phone": Phone, "category": Category, "chat": Chat, "box_text": BoxText}
