"""Metrics over raw values, against figures worked out by hand or by the formula."""

import math
from collections import Counter

import numpy as np
import pytest

from omniline.core.metric import default_metrics
from omniline.core.plan import Part, SlotPlan
from omniline.plugins.scores.cider import Cider
from omniline.plugins.scores.classes import F1, Accuracy, Matthews
from omniline.plugins.scores.plugin import metrics
from omniline.plugins.scores.texts import Bleu, ExactMatch, RougeL, WordErrorRate
from omniline.plugins.scores.values import Iou, IouAccuracy, MeanSquaredError, RecallAtOne, overlap
from omniline.plugins.scores.vqa import VqaScore, plain_answer

PREDICTED = ["cat", "cat", "dog", None, "cow", "dog"]
TRUTH = ["cat", "dog", "dog", "dog", "cat", "dog"]


def value(metric, *batches):
    for predicted, truth in batches:
        metric.update(predicted, truth)
    return metric.compute()


def near(x):
    return pytest.approx(x, abs=1e-6)


def test_accuracy_over_rows_and_over_classes():
    assert value(Accuracy(), (PREDICTED, TRUTH)) == near(3 / 6)
    assert value(Accuracy(average="macro"), (PREDICTED, TRUTH)) == near((1 / 2 + 2 / 4) / 2)
    assert value(Accuracy(), (PREDICTED[:2], TRUTH[:2]), (PREDICTED[2:], TRUTH[2:])) == near(3 / 6)
    assert value(Accuracy(), (["a"], ["a"])) == 1
    assert value(Accuracy(), ([None], ["a"])) == 0
    assert value(Accuracy(), ([3, 4], ["3", "5"])) == near(0.5)


def test_f1_of_classes():
    cat, dog, cow = 2 * 1 / (2 + 2), 2 * 2 / (2 + 4), 0.0
    assert value(F1(), (PREDICTED, TRUTH)) == near((cat + dog + cow) / 3)
    assert value(F1(average="binary", positive="dog"), (PREDICTED, TRUTH)) == near(dog)
    assert value(F1(average="binary", positive="bird"), (PREDICTED, TRUTH)) == 0
    assert value(F1(average="micro"), (PREDICTED, TRUTH)) == near(3 / 6)
    with pytest.raises(ValueError, match="`positive` is missing"):
        F1(average="binary")


def test_matthews_correlation():
    predicted, truth = ["y", "y", "y", "n", "n", "n"], ["y", "y", "n", "n", "n", "y"]
    tp, tn, fp, fn = 2, 2, 1, 1
    expected = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert value(Matthews(), (predicted, truth)) == near(expected)
    assert value(Matthews(), (["y", "y"], ["y", "n"])) == 0
    assert value(Matthews(), (["n", "y"], ["y", "n"])) == near(-1)


def test_exact_match_of_texts_lists_and_other_values():
    predicted = [" a  cat", "A cat", "dog", ["x", "y "], ["x"], 3, np.ones(2), None]
    truth = ["a cat", "a cat", ["cat", "dog"], ["x", "y"], ["x", "y"], 3, np.ones(2), "None"]
    metric = ExactMatch()
    metric.update(predicted, truth)
    assert metric.hits == [True, False, True, True, False, True, True, False]
    assert metric.compute() == near(5 / 8)
    assert value(ExactMatch(uncased=True), (["A cat"], ["a cat"])) == 1


def test_bleu_is_the_geometric_mean_of_clipped_precisions():
    found = value(Bleu(n_gram=2), (["the the cat sat"], ["the cat sat down there"]))
    expected = math.exp(1 - 5 / 4) * math.sqrt((3 / 4) * (2 / 3))
    assert found == near(expected)
    assert value(Bleu(), (["a b c d e"], [["x y", "a b c d e"]])) == near(1)
    cased = ["A b c d e"], ["a B c d e"]
    assert value(Bleu(uncased=True), cased) == near(1)
    assert value(Bleu(), cased) < 1
    assert value(Bleu(), ([None], ["a b"])) == 0


def test_bleu_counts_the_rows_together():
    rows = ["the cat sat on a mat", "dogs run"], [["the cat sat on the mat", "a cat sat"], ["dogs run fast"]]
    together = value(Bleu(), rows)
    apart = value(Bleu(), (rows[0][:1], rows[1][:1]), (rows[0][1:], rows[1][1:]))
    assert together == near(apart)
    assert 0 < together < 1


def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence():
    assert value(RougeL(), (["the big cat sat"], ["the cat sat down today"])) == near(2 * 3 / (4 + 5))
    assert value(RougeL(), (["the cat"], [["a dog", "the cat"]])) == near(1)
    assert value(RougeL(), (["x", "the cat"], ["y", "the cat"])) == near(0.5)
    assert value(RougeL(), ([""], ["y"])) == 0


def test_word_error_rate_is_over_all_words():
    assert value(WordErrorRate(), (["a b c", "x"], ["a c", "x y z"])) == near((1 + 2) / 5)
    assert value(WordErrorRate(), ([None], ["a b"])) == near(1)
    with pytest.raises(ValueError, match="one reference with at least one word"):
        WordErrorRate().update(["a"], [["a", "b"]])
    with pytest.raises(ValueError, match="one reference with at least one word"):
        WordErrorRate().update(["a"], [" "])


def cider_by_the_formula(predicted, truth, sigma=6.0):
    def grams(text, n):
        words = text.split()
        return Counter(zip(*(words[i:] for i in range(n)), strict=False))

    total = 0.0
    for own, references in zip(predicted, truth, strict=True):
        for reference in references:
            for n in (1, 2, 3, 4):
                idf = {}
                for gram in {**grams(own, n), **grams(reference, n)}:
                    documents = sum(any(gram in grams(r, n) for r in row) for row in truth)
                    idf[gram] = math.log(len(truth) / max(documents, 1))
                a = {g: c * idf[g] for g, c in grams(own, n).items()}
                b = {g: c * idf[g] for g, c in grams(reference, n).items()}
                norm = math.dist(a.values(), [0] * len(a)) * math.dist(b.values(), [0] * len(b))
                dot = sum(min(a[g], b[g]) * b[g] for g in a if g in b)
                length = len(own.split()) - len(reference.split())
                cosine = dot / norm if norm else 0.0
                total += 10 / 4 * cosine * math.exp(-(length**2) / (2 * sigma**2)) / len(references)
    return total / len(truth)


def test_cider_follows_its_formula():
    predicted = ["a cat cat on a mat", "two dogs run", "a red bus in the street", "nothing"]
    truth = [
        ["a cat on a mat", "the cat sits on the mat"],
        ["two dogs run in the park", "dogs run", "a dog and a dog"],
        ["a red bus in the street"],
        ["a plane in the sky"],
    ]
    found = value(Cider(), (predicted[:1], truth[:1]), (predicted[1:], truth[1:]))
    assert found == near(cider_by_the_formula(predicted, truth))
    assert 1 < found < 10
    assert value(Cider(sigma=1.0), (predicted, truth)) < found


def test_cider_ignores_case_and_punctuation_and_needs_several_rows():
    rows = ["A cat, on a mat!", "dogs run very fast"], ["a cat on a mat", ["dogs run very fast"]]
    assert value(Cider(), rows) == near(10)
    assert value(Cider(), (["a cat"], ["a cat"])) == 0
    assert value(Cider(), ([None, "dogs run very fast"], rows[1])) == near(5)


def test_vqa_leaves_each_person_out():
    ten = ["2"] * 3 + ["two dogs"] * 6 + ["3"]
    assert value(VqaScore(), (["two"], [ten])) == near((3 * 2 / 3 + 7 * 1) / 10)
    assert value(VqaScore(), (["3"], [ten])) == near(9 * (1 / 3) / 10)
    assert value(VqaScore(), (["2 dogs", "four"], [ten, ten])) == near(0.5)
    assert value(VqaScore(), (["yes"], [{"yes": 0.6, "no": 1.0}])) == near(0.6)
    assert value(VqaScore(), (["maybe"], [{"yes": 0.6}])) == 0
    assert value(VqaScore(), (["the cat", "dog"], ["cat", ["cat"]])) == near(0.5)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("The Cat.", "cat"), ("1,000", "1000"), ("3.5", "3.5"), ("ten, maybe", "10 maybe"), ("it's", "it's"), ("", "")],
)
def test_answers_are_plain(text, plain):
    assert plain_answer(text) == plain


def test_boxes_overlap():
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == near(1 / 7)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert overlap((2, 2, 1, 1), (0, 0, 3, 3)) == 0
    boxes = [(0, 0, 2, 2), (0, 0, 2, 2), None], [(0, 0, 2, 1.5), (1, 0, 3, 2), (0, 0, 1, 1)]
    assert value(Iou(), boxes) == near((3 / 4 + 1 / 3 + 0) / 3)
    assert value(IouAccuracy(), boxes) == near(1 / 3)
    assert value(IouAccuracy(threshold=0.3), boxes) == near(2 / 3)
    with pytest.raises(ValueError, match="four numbers"):
        overlap((0, 0, 1), (0, 0, 1, 1))


def test_squared_error_weighs_rows_alike():
    assert value(MeanSquaredError(), ([[1.0, 3.0], 2.0], [[1.0, 1.0], 5.0])) == near((2 + 9) / 2)
    with pytest.raises(ValueError, match=r"one shape, but got \[2\] for \[3\]"):
        MeanSquaredError().update([[1, 2]], [[1, 2, 3]])


def test_recall_at_one_gives_ties_nothing():
    scores = [[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.0, 0.2, 0.1], [0.0, 0.2, 0.3]]
    assert value(RecallAtOne(), (scores, [0, 1, 2, 2])) == near(0.5)


@pytest.mark.parametrize("name", sorted(metrics()))
def test_a_metric_refuses_uneven_lists_and_no_rows(name):
    declaration = metrics()[name]
    module, _, made = declaration.build.partition(":")
    metric = getattr(__import__(module, fromlist=[made]), made)(**declaration().settings())
    with pytest.raises(ValueError, match=f"`{name}` must (be updated before it is computed|see at least|get grids)"):
        metric.compute()
    with pytest.raises(ValueError, match=f"`{name}` must get one truth for each prediction, but got 1 for 2"):
        metric.update(["a", "b"], ["a"], **{kind.lower(): ["x", "x"] for kind in declaration.reads})


@pytest.mark.parametrize("metric", [Bleu, RougeL, WordErrorRate, Cider, VqaScore])
def test_a_text_metric_refuses_what_is_no_text(metric):
    with pytest.raises(TypeError, match="must get texts, but got int 7"):
        metric().update([7], ["seven"])
    with pytest.raises(ValueError, match="at least one reference"):
        metric().update(["a"], [[]])


def slot(modality, predicts, **more):
    return SlotPlan(
        index=0,
        name="x",
        path="x",
        modality=modality,
        side="target",
        adapter=Part("adapter", "x"),
        predicts=predicts,
        **more,
    )


@pytest.mark.parametrize(
    ("one", "names"),
    [
        (slot("TEXT", "tokens"), ("exact_match", "rouge_l")),
        (slot("TEXT", "tokens", closed_set=("a", "b")), ("accuracy",)),
        (slot("CATEGORY", "class"), ("accuracy",)),
        (slot("DEPTH", "values"), ("mse",)),
        (slot("BOX", "tokens"), ("iou",)),
        (slot("PHONE", "tokens"), ("wer",)),
        (slot("STRUCT", "tokens"), ("struct_match",)),
        (slot("TEXT", "tokens", depth=1), ("exact_match",)),
        (slot("BOX", "tokens", depth=1), ()),
        (slot("DEPTH", "values", depth=1), ()),
    ],
)
def test_the_default_metrics_of_a_slot(one, names):
    assert default_metrics(one) == names
    assert set(names) <= set(metrics())
