"""The metrics that ship with omniline."""

from __future__ import annotations

from ...core.errors import ConfigError
from ...core.metric import Metric
from ...core.settings import setting
from ..hookspecs import hookimpl


class Accuracy(Metric):
    """Share of values that are the true one, 0 to 1; `average=macro` weighs all true values alike."""

    build = "omniline.plugins.scores.classes:Accuracy"

    average: str = setting("micro", choices=("micro", "macro"), help="mean over rows, or over true values")


class ExactMatch(Metric):
    """Share of values that equal a reference, white space aside."""

    build = "omniline.plugins.scores.texts:ExactMatch"

    uncased: bool = setting(False, help="ignore case")


class F1(Metric):
    """Harmonic mean of precision and recall over classes, 0 to 1."""

    build = "omniline.plugins.scores.classes:F1"

    average: str = setting("macro", choices=("macro", "micro", "binary"), help="over all classes, or of one")
    positive: str | None = setting(None, help="for binary: the class that counts")

    def __post_init__(self) -> None:
        if (self.average == "binary") != (self.positive is not None):
            raise ConfigError(
                "`f1` must be told with average=binary which class counts, `positive`, and with nothing else, but has "
                f"average={self.average} and positive={self.positive or 'none'}"
            )


class Matthews(Metric):
    """Matthews' correlation of predicted and true classes, -1 to 1."""

    build = "omniline.plugins.scores.classes:Matthews"


class Bleu(Metric):
    """Corpus BLEU with SacreBLEU's 13a tokens, 0 to 1."""

    build = "omniline.plugins.scores.texts:Bleu"

    n_gram: int = setting(4, at_least=1, at_most=9, help="longest runs of words that count")
    uncased: bool = setting(False, help="ignore case")


class RougeL(Metric):
    """ROUGE-L: F-measure of the longest common subsequence with the best reference, 0 to 1."""

    build = "omniline.plugins.scores.texts:RougeL"


class Cider(Metric):
    """CIDEr-D against all references of a caption, 0 to 10."""

    build = "omniline.plugins.scores.cider:Cider"

    sigma: float = setting(6.0, at_least=0.01, help="how far lengths may differ, in words")


class WordErrorRate(Metric):
    """Word errors for each true word; 0 is best."""

    build = "omniline.plugins.scores.texts:WordErrorRate"
    higher_is_better = False


class CharacterErrorRate(Metric):
    """Character errors for each true character; 0 is best."""

    build = "omniline.plugins.scores.speech:CharacterErrorRate"
    higher_is_better = False


class VqaScore(Metric):
    """Accuracy of VQA, where an answer that three of the people gave is right, 0 to 1."""

    build = "omniline.plugins.scores.vqa:VqaScore"


class Iou(Metric):
    """Mean overlap of boxes with the true ones, as intersection over union, 0 to 1."""

    build = "omniline.plugins.scores.values:Iou"
    modalities = ("BOX",)
    absent = True


class IouAccuracy(Metric):
    """Share of boxes that overlap the true box well enough, 0 to 1."""

    build = "omniline.plugins.scores.values:IouAccuracy"
    modalities = ("BOX",)
    absent = True
    aliases = ("iou_acc",)

    threshold: float = setting(0.5, at_least=0, at_most=1, help="least overlap, as intersection over union")


class MeanAveragePrecision(Metric):
    """COCO's mean average precision of the boxes of a group with the names beside them, 0 to 1; `_50`: at 0.5."""

    build = "omniline.plugins.scores.detection:MeanAveragePrecision"
    modalities = ("BOX",)
    absent = True
    paired = True


class MeanSquaredError(Metric):
    """Mean squared error of numbers; 0 is best."""

    build = "omniline.plugins.scores.values:MeanSquaredError"
    higher_is_better = False


class RecallAtOne(Metric):
    """Share of rows whose own candidate scores highest."""

    build = "omniline.plugins.scores.values:RecallAtOne"


class SqlExecution(Metric):
    """Share of SQL queries that give what the true one gives on the STRUCT slot's database; `_runs`: that run."""

    build = "omniline.plugins.scores.sql:SqlExecution"
    modalities = ("TEXT",)
    reads = ("STRUCT",)

    seconds: float = setting(2.0, at_least=0.01, help="after which a query is stopped")


class SqlMatch(Metric):
    """Share of SQL queries that have the true one's clauses, in any order; `_valid`: that are SQL."""

    build = "omniline.plugins.scores.sql:SqlMatch"
    modalities = ("TEXT",)

    values: bool = setting(True, help="literal values count")


class StructMatch(Metric):
    """Share of tables, mappings or grids that are the true one; `_rows`: F1 of their rows."""

    build = "omniline.plugins.scores.structs:StructMatch"

    uncased: bool = setting(False, help="ignore case")


class SudokuSolved(Metric):
    """Share of grids that solve the STRUCT slot's sudoku."""

    build = "omniline.plugins.scores.grids:SudokuSolved"
    modalities = ("STRUCT", "TEXT")
    reads = ("STRUCT",)


class SudokuCells(Metric):
    """Share of the sudoku's blank cells that are filled right."""

    build = "omniline.plugins.scores.grids:SudokuCells"
    modalities = ("STRUCT", "TEXT")
    reads = ("STRUCT",)


class Pearson(Metric):
    """Pearson's correlation of predicted and true numbers, -1 to 1."""

    build = "omniline.plugins.scores.correlation:Pearson"


class Spearman(Metric):
    """Spearman's rank correlation of predicted and true numbers, -1 to 1."""

    build = "omniline.plugins.scores.correlation:Spearman"


class PeakSignalNoiseRatio(Metric):
    """Peak signal-to-noise ratio of pictures in decibels, 0 to 100."""

    build = "omniline.plugins.scores.pictures:PeakSignalNoiseRatio"
    modalities = ("IMAGE", "VIDEO")


class StructuralSimilarity(Metric):
    """Structural similarity of pictures, -1 to 1."""

    build = "omniline.plugins.scores.pictures:StructuralSimilarity"
    modalities = ("IMAGE", "VIDEO")


class NearestPicture(Metric):
    """Share of pictures that are nearer to their own true picture than to another row's."""

    build = "omniline.plugins.scores.pictures:NearestPicture"
    modalities = ("IMAGE", "VIDEO")


@hookimpl
def metrics() -> dict[str, type[Metric]]:
    """Metrics of classes, texts, boxes, numbers and matches."""
    return {
        "accuracy": Accuracy,
        "exact_match": ExactMatch,
        "f1": F1,
        "matthews": Matthews,
        "bleu": Bleu,
        "rouge_l": RougeL,
        "cider": Cider,
        "wer": WordErrorRate,
        "cer": CharacterErrorRate,
        "vqa_score": VqaScore,
        "iou": Iou,
        "iou_accuracy": IouAccuracy,
        "map": MeanAveragePrecision,
        "mse": MeanSquaredError,
        "recall_at_1": RecallAtOne,
        "sql_execution": SqlExecution,
        "sql_match": SqlMatch,
        "struct_match": StructMatch,
        "sudoku_solved": SudokuSolved,
        "sudoku_cells": SudokuCells,
        "pearson": Pearson,
        "spearman": Spearman,
        "psnr": PeakSignalNoiseRatio,
        "ssim": StructuralSimilarity,
        "nearest_picture": NearestPicture,
    }
