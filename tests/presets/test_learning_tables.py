"""Tables: what a question asks of one while its cells are told too, and SQL, after a few steps of the presets."""

SMALL = "decoder-tiny,width=48,heads=2,key_heads=2,ffn=96,layers=2,qk_norm=true"
QUICK = {"backbone": SMALL, "fit__batch_tokens": 1024, "fit__learning_rate": 6e-3}


def test_questions_about_tables(learn):
    few = {f"tasks__{name}__train__rows": 2000 for name in ("table_qa", "table_cells")}
    short = {"most_tokens": 16}
    learned = learn("table_qa", steps=150, rows=24, tokenizer="bpe:600", predict=short, fit__batch_tokens=1024, **few)
    assert learned.last < 0.3 * learned.first
    assert learned.values["tgt/bleu"] > learned.trivial["tgt/bleu"] + 0.1
    assert {name: result.rows for name, result in learned.results.items()} == {"table_qa": 24, "table_cells": 24}


def test_questions_to_sql(learn):
    learned = learn("text_to_sql", steps=100, rows=8, tasks__text_to_sql__train__rows=2000, **QUICK)
    assert learned.last < 0.3 * learned.first
    found = [output.tgt for output in learned.results["text_to_sql"].outputs]
    assert all(query.startswith("SELECT ") and " FROM " in query for query in found)
