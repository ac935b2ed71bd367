"""The picture presets learn: fewer things and steps than their files say, and still more than a constant answer."""

ROOM = "omniline.tasks.presets.vision"


def scenes(task, kind, **settings):
    """Overrides that make a task's scenes simpler, or its rows fewer."""
    call = f"{ROOM}.{kind}"
    return {f"tasks__{task}__{split}": {"call": call, "split": split, **settings} for split in ("train", "valid")}


def test_image_classification(learn):
    learned = learn("image_classification", steps=110, rows=100)
    assert learned.last < 0.7 * learned.first
    assert learned.values["label_name/accuracy"] > learned.trivial["label_name/accuracy"] + 0.3


def test_retrieval(learn):
    call = {"call": "omniline.tasks.presets.samples:emoji_rows", "size": 40, "emoji": 16}
    learned = learn(
        "retrieval",
        steps=50,
        fit__batch_tokens=800,
        tasks__retrieval__train={**call, "split": "train"},
        tasks__retrieval__valid={**call, "split": "valid", "per_emoji": 1},
    )
    assert learned.last < 0.9 * learned.first
    assert learned.values["match/recall_at_1"] > learned.trivial["match/recall_at_1"] + 0.15


def test_captioning(learn):
    fewer = scenes("captioning", "described:SceneCaptions", least=1, most=1, things=["frog", "rose", "carrot"])
    learned = learn("captioning", steps=120, fit__batch_tokens=512, **fewer)
    assert learned.last < 0.5 * learned.first
    assert learned.values["cap/exact_match"] > learned.trivial["cap/exact_match"] + 0.3


def test_visual_question_answering(learn):
    fewer = scenes("vqa", "described:SceneQuestions", least=1, most=3, things=["frog", "rose", "carrot", "whale"])
    learned = learn("vqa", steps=120, fit__batch_tokens=768, **fewer)
    assert learned.last < 0.8 * learned.first
    assert learned.values["answer/accuracy"] > learned.trivial["answer/accuracy"] + 0.1


def test_visual_entailment(learn):
    learned = learn("visual_entailment", steps=90, fit__batch_tokens=768, tasks__captions="null")
    assert learned.last < 0.8 * learned.first
    assert learned.values["label/accuracy"] > learned.trivial["label/accuracy"] + 0.1


def test_image_text_matching(learn):
    fewer = scenes("image_text_matching", "described:SceneMatches", least=1, most=1, things=["frog", "rose"])
    fewer |= scenes("captions", "described:SceneCaptions", least=1, most=1, things=["frog", "rose"])
    learned = learn("image_text_matching", steps=500, fit__batch_tokens=512, **fewer)
    assert learned.last < 0.8 * learned.first
    assert learned.values["match/accuracy"] > learned.trivial["match/accuracy"] + 0.1


def test_grounding(learn):
    fewer = scenes("grounding", "regions:SceneRegions", least=1, most=1, things=["frog", "rose", "carrot"])
    learned = learn("grounding", steps=160, fit__batch_tokens=768, **fewer)
    assert learned.last < 0.85 * learned.first
    assert learned.values["patch_boxes/iou"] > learned.trivial["patch_boxes/iou"] + 0.08


def test_grounded_captioning(learn):
    fewer = scenes("grounded_captioning", "regions:SceneRegions", least=1, most=1, things=["frog", "rose", "carrot"])
    learned = learn("grounded_captioning", steps=120, fit__batch_tokens=512, **fewer)
    assert learned.last < 0.6 * learned.first
    assert learned.values["cap/exact_match"] > learned.trivial["cap/exact_match"] + 0.3


def test_detection(learn):
    """None or one of two things: how many and which, and where they are better than by a constant answer."""
    fewer = scenes("detection", "regions:SceneObjects", least=0, most=1, things=["frog", "rose"])
    learned = learn("detection", steps=160, fit__batch_tokens=512, **fewer)
    assert learned.last < 0.7 * learned.first
    assert learned.values["name/exact_match"] > learned.trivial["name/exact_match"] + 0.2
    assert learned.values["box/map_50"] > learned.trivial["box/map_50"] + 0.02
    counts = {len(output["box"]) for output in learned.results["detection"].outputs}
    assert {0, 1} <= counts
