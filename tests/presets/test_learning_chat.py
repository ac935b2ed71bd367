"""The preset `conversation` learns to answer within seconds."""

SMALL = "decoder-tiny,width=64,heads=2,key_heads=2,ffn=176,layers=2,positions=512"


def guess(row):
    """The best answer that looks at the question alone."""
    asked = row["messages"][-2]["content"]
    answer = "red" if "colour" in asked else "Ann" if "I?" in asked or "name" in asked else "a circle"
    return [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]


def test_conversation(learn):
    settings = {"fit__batch_tokens": 768, "fit__learning_rate": 8e-3, "backbone": SMALL}
    learned = learn("conversation", steps=160, rows=100, constant={"messages": guess}, **settings)
    assert learned.last < 0.4 * learned.first
    assert learned.values["messages/exact_match"] > learned.trivial["messages/exact_match"] + 0.05
    (result,) = learned.results.values()
    for output, row in zip(result.outputs, result.truths, strict=True):
        assert output.messages[:-1] == row["messages"][:-1] and output.messages[-1]["role"] == "assistant"
