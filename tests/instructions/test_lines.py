"""Good lines: every construct of the language, and every template that the ancestor's documentation prints."""

import pytest

from omniline.core.plan import Branch, Plan, Prompt, Repeat, Use, uses
from omniline.instructions.compiler import check, compile
from omniline.instructions.parser import parse

LINES = [
    "[IMAGE:img] what does the image describe? -> [TEXT:cap]",
    "[IMAGE:img] what are the objects? -> ( [BOX:box] [TEXT:name] )*",
    "-> [TEXT:page]",
    "[IMAGE:img] <-> [TEXT:cap]",
    "[TEXT:q] -> [TEXT:chosen] > [TEXT:rejected]",
    "[TEXT:q] -> [TEXT:answer,reward=equal,samples=8,loss=gspo]",
    "-> [CHAT:messages]",
    "[VIDEO:clip] [AUDIO:sound,column=clip,sync=clip] what happens? -> [TEXT:a] [AUDIO:speech]",
    "-> [CHAT:messages,holds=image|audio]",
    "[AUDIO:wav,loss=ctc] what is said? -> [TEXT:text]",
    "[IMAGE:img,adapter=timm,model=resnet50] what is it? -> [TEXT:cap,decoder=beam,width=3]",
    "[TEXT:a,optional] and [TEXT:b] -> the answer is: [TEXT:c,closed_set=yes|no] because [TEXT:d]",
    '[TEXT:q,column="Question Text"] -> [TEXT:a,closed_set="a b"|c]',
    "[TEXT:q] -> ( [TEXT:a] ){0,1}",
    "[TEXT:q] -> ( [TEXT:a] ( [BOX:b] )+ ){2,5}",
    "( [IMAGE:page] page text: [TEXT:text] )+ [TEXT:q] -> [TEXT:a]",
    "[TEXT:a] -> [TEXT:b] ||| please: [TEXT:a] -> [TEXT:b]",
    "[TEXT:q] -> they prefer: [TEXT:a] > [TEXT:b] > [TEXT:c]",
    "[TEXT:q] -> [TEXT:a,loss=dpo,beta=0.3] > [TEXT:b]",
    "[IMAGE:a,loss=contrastive,temperature=0.1] <-> [TEXT:b,weight=2]",
    "[TEXT:a] -> [TEXT:b,decoder=sample,loss.temperature=2,decoder.temperature=0.5,top_k=none]",
    "[TEXT:a] -> [TEXT:b,reward=regex,reward.pattern=x]",
    "[IMAGE] what is it? -> [TEXT]",
    r"a \[literal\] \-> \> \( [TEXT:a] C:\new \frac -> [TEXT:b]",
    "[TEXT:日本語.ключ-1] -> [TEXT:b]",
    "[TEXT:हिन्दी] -> [TEXT:b]",
]

TEMPLATES = [
    'is the sentiment of text " [TEXT:sentence] " positive or negative? -> … [TEXT:sentence,no_loss] … '
    "[TEXT:label,closed_set]",
    "can text1 [TEXT:sent1] imply text2 [TEXT:sent2]? -> can text1 [TEXT:sent1,no_loss] imply text2 "
    "[TEXT:sent2,no_loss]? [TEXT:label,closed_set]",
    "[TEXT:instruction] [TEXT:examples] [TEXT:src] -> [TEXT:tgt,max_length=128]",
    'what is the summary of article " [TEXT:src] "? -> [TEXT:tgt,noise_ratio=0.2]',
    'what is the complete text of " [TEXT:text,mask_ratio=0.3] "? -> [TEXT:text]',
    "[IMAGE:image] what does the image describe? -> [TEXT:label_name,closed_set]",
    '[IMAGE:img] can image and text1 " [TEXT:cap] " imply text2 " [TEXT:hyp] "? -> … [TEXT:label,closed_set]',
    "[IMAGE:img] what does the image describe? -> [TEXT:cap]",
    "[IMAGE:image] [TEXT:question] -> [TEXT:answer,closed_set]",
    'what is the complete image? caption: [TEXT:text]"? -> [IMAGE,preprocess=image_vqgan,adaptor=image_vqgan]',
    'what is the complete image of "[IMAGE:img,mask_ratio=0.5]"? -> [IMAGE,preprocess=image_vqgan]',
    'what is the complete image of "[IMAGE:img,mask_ratio=0.5]"? -> [IMAGE,preprocessor=image_vqgan]',
    '[IMAGE:img] which region does the text " [TEXT:cap] " describe? -> [BOX:patch_boxes]',
    "[IMAGE:img] what does the region describe? region: [BOX:patch_boxes] -> [TEXT:cap]",
    "[IMAGE:img] what are the objects in the image? -> ( [BOX] [TEXT])*",
    "[VIDEO:video] what is in the video? -> [TEXT:label_name,closed_set]",
    "[VIDEO:video] what does the video describe? -> [TEXT:cap]",
    "[VIDEO:video] [TEXT:question] -> [TEXT:answer,is_label]",
    "[AUDIO:wav] what is the text corresponding to the voice? -> [TEXT:text,preprocess=text_phone]",
    "[PHONE:text] -> [AUDIO:fbank,adaptor=audio_tgt_fbank]",
    '" [TEXT:src] " ; structured knowledge: " [STRUCT:database,max_length=876] " . generating sql code. -> [TEXT:tgt]',
    'structured knowledge: " [STRUCT:database,uncased] "  . how to describe the tripleset ? -> [TEXT:tgt]',
    'structured knowledge: " [STRUCT:database] "  . what is the answer of the question " [TEXT:src] " ? -> [TEXT:tgt]',
    '" [STRUCT:src] " . solve the sudoku . -> [STRUCT:tgt]',
    "motion capture: [TEXT:text] -> [MOTION:bvh_frames,preprocess=motion_6d,adaptor=motion_6d]",
    "[IMAGE:img,preprocess=imagenet,adaptor=image_vit] what is it? -> [TEXT:cap]",
]


@pytest.mark.parametrize("line", LINES + TEMPLATES)
def test_a_good_line_has_no_finding_reads_back_and_compiles(line, catalog):
    assert check(line, catalog=catalog) == []
    nodes = parse(line)
    assert parse(str(nodes)) == nodes and str(parse(str(nodes))) == str(nodes)
    plan = compile(line, catalog=catalog)
    assert plan == compile(plan.text, catalog=catalog)
    assert Plan.from_json(plan.to_json()) == plan
    for wording in plan.alternatives:
        both = uses(wording.source) + uses(wording.target)
        assert both == tuple(range(len(wording.slots)))
        assert all(plan.text[s.span.start : s.span.end].startswith("[" + s.modality) for s in wording.slots)


def plan_of(line, catalog):
    return compile(line, catalog=catalog)


def test_a_caption_becomes_sides_slots_and_one_objective(catalog):
    plan = plan_of("[IMAGE:img]  what is it? -> [TEXT:cap,max_length=20]", catalog)
    (wording,) = plan.alternatives
    assert wording.source == (Use(0), Prompt("  what is it?")) and wording.target == (Use(1),)
    img, cap = wording.slots
    assert (img.adapter.name, img.budget.least, img.budget.most, img.decoder) == ("image", 196, 196, None)
    assert (cap.limit, cap.budget.most, cap.predicts, cap.decoder.name) == (20, 20, "tokens", "greedy")
    (objective,) = wording.objectives
    assert (objective.kind, objective.loss.name, objective.slots) == ("predict", "cross_entropy", (1,))
    assert plan.prompt.name == "text" and plan.prompt in plan.parts


def test_groups_keep_depth_and_repetitions(catalog):
    plan = plan_of("[TEXT:q] -> ( [TEXT:a] ( [BOX:b] )+ ){2,5}", catalog)
    outer = plan.alternatives[0].target[0]
    assert isinstance(outer, Repeat) and (outer.least, outer.most) == (2, 5)
    assert outer.steps[1] == Repeat((Use(2),), 1, None)
    assert [slot.depth for slot in plan.slots] == [0, 1, 2]


def test_a_match_has_one_objective_for_both_sides(catalog):
    plan = plan_of("[IMAGE:a,temperature=0.1] <-> [TEXT:b,weight=2]", catalog)
    (objective,) = plan.alternatives[0].objectives
    assert (objective.kind, objective.slots, objective.weight) == ("match", (), 2.0)
    assert objective.loss.options() == {"temperature": 0.1}
    assert [slot.decoder for slot in plan.slots] == [None, None]
    assert plan.slots[1].side == "target" and plan.slots[1].predicts is None


def test_a_ranking_is_a_branch_and_the_first_slot_governs(catalog):
    plan = plan_of("[TEXT:q] -> so: [TEXT:a,loss=dpo,weight=3] > [TEXT:b]", catalog)
    wording = plan.alternatives[0]
    assert wording.target == (Prompt("so: "), Branch(((Use(1),), (Use(2),))))
    (objective,) = wording.objectives
    assert (objective.kind, objective.slots, objective.weight, objective.loss.name) == ("rank", (1, 2), 3.0, "dpo")
    assert plan.slots[1].decoder is not None and plan.slots[2].decoder is None


def test_a_reward_is_a_rollout(catalog):
    plan = plan_of("[TEXT:q] -> [TEXT:a,reward=regex,pattern=x,samples=4,loss=grpo]", catalog)
    (objective,) = plan.alternatives[0].objectives
    assert (objective.kind, objective.samples, objective.reward.name) == ("rollout", 4, "regex")
    assert objective.reward.options() == {"pattern": "x", "flags": 0}


def test_alignment_is_against_the_first_target_of_tokens(catalog):
    plan = plan_of("[AUDIO:wav,loss=ctc,weight=0.3] -> [MOTION:m] [TEXT:given,no_loss] [TEXT:t]", catalog)
    align = plan.alternatives[0].objectives[-1]
    assert (align.kind, align.slots, align.against, align.weight) == ("align", (0,), 3, 0.3)


def test_given_slots_have_no_objective_and_no_decoder(catalog):
    plan = plan_of("[TEXT:q] -> [TEXT:q,no_loss] so [TEXT:a]", catalog)
    assert [slot.given for slot in plan.slots] == [False, True, False]
    assert [o.slots for o in plan.alternatives[0].objectives] == [(2,)] and plan.slots[1].decoder is None


def test_closed_sets_are_strings_and_choose_their_decoder(catalog):
    plan = plan_of(
        "[TEXT:q] -> [TEXT:a,closed_set=1|2] [TEXT:b,closed_set] [TEXT:c,closed_set=x,decoder=beam]", catalog
    )
    assert [slot.closed_set for slot in plan.targets] == [("1", "2"), (), ("x",)]
    assert [slot.decoder.name for slot in plan.targets] == ["closed_set", "closed_set", "beam"]


def test_a_conversation_knows_every_port(catalog):
    plan = plan_of("-> [CHAT:m,holds=image|audio]", catalog)
    assert plan.slots[0].holds == ("TEXT", "IMAGE", "AUDIO")
    assert {"chat", "text", "image", "audio"} <= {part.name for part in plan.parts if part.kind == "adapter"}


def test_one_clip_is_read_twice_in_time(catalog):
    plan = plan_of("[VIDEO:clip] [AUDIO:sound,column=clip,sync=clip] what? -> [TEXT:a]", catalog)
    assert (plan.slots[1].path, plan.slots[1].sync) == ("clip", 0)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("[IMAGE] [IMAGE] -> [IMAGE] [TEXT]", ["image", "image_2", "image_3", "text"]),
        ("[TEXT] [TEXT:q] -> [TEXT]", ["text", "q", "text_2"]),
        ("[TEXT:a.b] -> [TEXT]", ["a.b", "text"]),
    ],
)
def test_unnamed_slots_are_counted_by_type(line, names, catalog):
    assert [slot.name for slot in plan_of(line, catalog).slots] == names


def test_one_name_shares_the_column_that_one_of_its_slots_writes(catalog):
    plan = plan_of('[TEXT:q,mask_ratio=0.3,column="My Text"] -> [TEXT:q]', catalog)
    assert [slot.path for slot in plan.slots] == ["My Text", "My Text"]


@pytest.mark.parametrize(
    ("line", "adapter", "settings"),
    [
        ("[IMAGE:i,adaptor=image_vit] -> [TEXT:t]", "timm", {"model": "vit_base_patch16_224"}),
        ("[IMAGE:i,adaptor=image_vit,model=x] -> [TEXT:t]", "timm", {"model": "x"}),
        ("[IMAGE:i,preprocess=imagenet] -> [TEXT:t]", "image", {}),
        ("[IMAGE:i,preprocess=imagenet,adaptor=image_resnet] -> [TEXT:t]", "timm", {"model": "resnet50"}),
        ("[IMAGE:i,preprocess=image_vqgan,adaptor=image_vqgan] -> [TEXT:t]", "image_codes", {}),
        ("[AUDIO:i,adapter=audio_fbank] -> [TEXT:t]", "audio", {}),
    ],
)
def test_the_ancestors_spellings_choose_adapters(line, adapter, settings, catalog):
    part = plan_of(line, catalog).slots[0].adapter
    assert part.name == adapter and settings.items() <= part.options().items()


def test_alternatives_share_targets_and_may_differ_in_source(catalog):
    plan = plan_of(["[IMAGE:i] what? -> [TEXT:c]", "say what [IMAGE:i] and [TEXT:x] show -> it is [TEXT:c]"], catalog)
    assert len(plan.alternatives) == 2 and [len(a.slots) for a in plan.alternatives] == [2, 3]
    assert plan.text.count(" ||| ") == 1


def test_max_length_caps_what_can_be_cut(catalog):
    plan = plan_of("[AUDIO:a,max_length=100] [TEXT:t,max_length=9] -> [TEXT:u]", catalog)
    assert [(s.budget.least, s.budget.most) for s in plan.slots] == [(1, 100), (1, 9), (1, None)]
