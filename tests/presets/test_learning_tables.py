"""Questions to SQL, after a few steps of their preset."""

SMALL = "decoder-tiny,width=48,heads=2,key_heads=2,ffn=96,layers=2,qk_norm=true"
QUICK = {"backbone": SMALL, "fit__batch_tokens": 1024, "fit__learning_rate": 6e-3}


def test_questions_to_sql(learn):
    learned = learn("text_to_sql", steps=100, rows=8, tasks__text_to_sql__train__rows=2000, **QUICK)
    assert learned.last < 0.3 * learned.first
    found = [output.tgt for output in learned.results["text_to_sql"].outputs]
    assert all(query.startswith("SELECT ") and " FROM " in query for query in found)
