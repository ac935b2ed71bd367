"""Metrics of texts against the libraries that others use: SacreBLEU, jiwer, torchmetrics; and words of any script."""

import random

import jiwer
import pytest
import sacrebleu
from torchmetrics.functional.text import rouge_score

from omniline.plugins.scores.cider import Cider
from omniline.plugins.scores.texts import Bleu, RougeL, WordErrorRate
from omniline.plugins.scores.words import words_of

SENTENCE = "a the cat dog man, on mat. runs sits with red! big in park of it's 3.5 x_y $5 Hello UP (no)"
WORDS = SENTENCE.split()


def value(metric, predicted, truth):
    metric.update(predicted, truth)
    return metric.compute()


def texts(draw, count, least=0):
    return [" ".join(draw.choice(WORDS) for _ in range(draw.randint(least, 9))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_texts_as_the_libraries_score_them(seed):
    draw = random.Random(seed)
    rows, each = draw.randint(1, 5), draw.randint(1, 3)
    found, true = texts(draw, rows), [texts(draw, each, least=1) for _ in range(rows)]
    by_reference = [[one[i] for one in true] for i in range(each)]
    assert value(Bleu(), found, true) == pytest.approx(sacrebleu.corpus_bleu(found, by_reference).score / 100)
    assert value(Bleu(n_gram=2, uncased=True), found, true) == pytest.approx(
        sacrebleu.BLEU(max_ngram_order=2, lowercase=True).corpus_score(found, by_reference).score / 100
    )
    rouge = rouge_score(found, true, accumulate="best", rouge_keys="rougeL")["rougeL_fmeasure"]
    assert value(RougeL(), found, true) == pytest.approx(float(rouge), abs=1e-6)
    first = [one[0] for one in true]
    assert value(WordErrorRate(), found, first) == pytest.approx(jiwer.wer(first, found))


def test_of_two_references_as_near_the_shorter_counts():
    assert value(Bleu(), ["a b c d e f"], [["a b c d e f g", "a b c d e"]]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "other", "share"),
    [
        ("кошка сидит", "кошка сидит", 1),
        ("кошка сидит", "кошка лежит", 0.5),
        ("हिन्दी भाषा", "हिन्दी भाषा", 1),
        ("हिन्दी", "हिन्द", 0),
        ("猫が好き", "猫が嫌い", 0.5),
        ("?!", "?!", 1),
        ("?!", "!?", 0),
        ("", "a", 0),
    ],
)
def test_rouge_in_any_script(text, other, share):
    assert value(RougeL(), [text], [other]) == pytest.approx(share)


def test_words_of_captions():
    assert words_of("A well-known dog's -bone- isn't 'here'.", "'-") == [
        "a", "well-known", "dog's", "bone", "isn't", "here",
    ]  # fmt: skip
    rows = ["一只猫在垫子上", "两只狗在公园里跑"]
    assert value(Cider(), rows, [[one] for one in rows]) == pytest.approx(10)
    assert 0 < value(Cider(), ["一只狗在垫子上", rows[1]], [[one] for one in rows]) < 10
