"""Every template that OFASys's documentation prints compiles as it stands, trains a step, and predicts.

The rows are of the right shape and made here, by what each slot reads. Two slots get a smaller setting before they
run, for the time it takes alone: a tower of 86 million weights, and sound of 30 seconds.
"""

import numpy as np
import pytest
from PIL import Image

import omniline as ol

BACKBONE = "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=1,dropout=0"
CAPTION = "what does the image describe?"
SENTIMENT = 'is the sentiment of text " [TEXT:sentence{0}] " positive or negative?'
IMPLIES = "can text1 [TEXT:sent1{0}] imply text2 [TEXT:sent2{0}]?"
ENTAILS = 'image and text1 " [TEXT:cap{0}] " imply text2 " [TEXT:hyp{0}] "?'
GIVEN = ",no_loss"
TEMPLATES = {
    "quick start, caption": f"[IMAGE:image_url] {CAPTION} -> [TEXT:caption]",
    "quick start, infilling": 'what is the complete text of " [TEXT:sentence,mask_ratio=0.3] "? -> [TEXT:sentence]',
    "caption": f"[IMAGE:img] {CAPTION} -> [TEXT:cap]",
    "caption, two spaces": f"[IMAGE:img] {CAPTION}  -> [TEXT:cap]",
    "caption, another tower": f"[IMAGE:image,adaptor=image_vit] {CAPTION} -> [TEXT:caption]",
    "unnamed": "What does the image [IMAGE] describe? -> [TEXT]",
    "unnamed, two inputs": "[TEXT] [IMAGE] -> [TEXT]",
    "image classification": f"[IMAGE:image] {CAPTION} -> [TEXT:label_name,closed_set]",
    "image classification, ImageNet": f"[IMAGE:image,preprocess=imagenet] {CAPTION} -> [TEXT:label_name,closed_set]",
    "entailment": f"{IMPLIES.format('')} -> [TEXT:label,closed_set]",
    "entailment, repeated": f"{IMPLIES.format('')} ->  {IMPLIES.format(GIVEN)} [TEXT:label,closed_set]",
    "sentiment": f"{SENTIMENT.format('')} -> {SENTIMENT.format(GIVEN)} [TEXT:label,closed_set]",
    "instructions": "[TEXT:instruction] [TEXT:examples] [TEXT:src] -> [TEXT:tgt,max_length=128]",
    "summary": 'what is the summary of article " [TEXT:src] "? -> [TEXT:tgt]',
    "summary, with noise": 'what is the summary of article " [TEXT:src] "? -> [TEXT:tgt,noise_ratio=0.2] ',
    "text infilling": 'what is the complete text of " [TEXT:text,mask_ratio=0.3] "? -> [TEXT:text]',
    "visual entailment": f"[IMAGE:img] can {ENTAILS.format('')} -> can {ENTAILS.format(GIVEN)} [TEXT:label,closed_set]",
    "visual question": "[IMAGE:image] [TEXT:question] -> [TEXT:answer,closed_set]",
    "text to image": 'what is the complete image? caption: [TEXT:text]"? -> '
    "[IMAGE,preprocess=image_vqgan,adaptor=image_vqgan]",
    "text to image, preprocessor": 'what is the complete image? caption: [TEXT:text]"? -> '
    "[IMAGE,preprocessor=image_vqgan,adaptor=image_vqgan]",
    "image infilling": 'what is the complete image of "[IMAGE:img,mask_ratio=0.5]"? -> '
    "[IMAGE,preprocessor=image_vqgan,adaptor=image_vqgan]",
    "grounding": '[IMAGE:img] which region does the text " [TEXT:cap] " describe? -> [BOX:patch_boxes]',
    "grounded captioning": "[IMAGE:img] what does the region describe? region: [BOX:patch_boxes] -> [TEXT:cap]",
    "region": "[IMAGE] what does the region describe in the image? region: [BOX] -> [TEXT]",
    "detection": "[IMAGE:img] what are the objects in the image? -> ( [BOX] [TEXT])*",
    "detection, a list": "[IMAGE:img] detect the objects in the image. -> ([BOX] [TEXT])*",
    "pictures and texts": "-> ([IMAGE] [TEXT])*",
    "video classification": "[VIDEO:video] what is in the video? -> [TEXT:label_name,closed_set]",
    "video caption": "[VIDEO:video] what does the video describe? -> [TEXT:cap]",
    "video question": "[VIDEO:video] [TEXT:question] -> [TEXT:answer,is_label]",
    "speech to text": "[AUDIO:wav] what is the text corresponding to the voice? -> [TEXT:text,preprocess=text_phone]",
    "text to speech": "[PHONE:text] -> [AUDIO:fbank,adaptor=audio_tgt_fbank]",
    "text to SQL": ' " [TEXT:src] " ; structured knowledge: " [STRUCT:database,max_length=876] " . '
    "generating sql code. -> [TEXT:tgt]",
    "text to SQL, as text": '[TEXT:src] ; structured knowledge: " [TEXT:database] " . generating sql code. '
    "-> [TEXT:tgt]",
    "table to text": 'structured knowledge: " [STRUCT:database,uncased] "  . how to describe the tripleset ? '
    "-> [TEXT:tgt]",
    "table to text, as text": 'structured knowledge: " [TEXT:database] "  . how to describe the tripleset ? '
    "-> [TEXT:tgt] ",
    "table question": 'structured knowledge: " [STRUCT:database] "  . what is the answer of the question '
    '" [TEXT:src] " ? ->  [TEXT:tgt]',
    "sudoku": '" [STRUCT:src] " . solve the sudoku . -> [STRUCT:tgt]',
    "sudoku, as text": '" [TEXT:src] "  .  solve the sudoku .  -> [TEXT:tgt]',
    "text to motion": "motion capture: [TEXT:text] -> [MOTION:bvh_frames,preprocess=motion_6d,adaptor=motion_6d]",
}
REFUSED = {
    "[IMAGE:img] detect the objects in the image. -> [[BOUNDING_BOX] [TEXT]]*",
    "[IMAGE:img] detect the objects in the image. -> [[BOX][TEXT]]*",
    "[IMAGE] what does the region describe in the image? region: [BOUNDING_BOX] -> [TEXT]",
}
SMALLER = {
    "adaptor=image_vit": "adaptor=image_vit,model=test_vit,size=160",
    "adaptor=audio_tgt_fbank": "adaptor=audio_tgt_fbank,max_length=40",
}
SPECIAL = {
    "text to SQL": {"database": [{"tables": {"pet": ["name", "age"]}}, {"tables": {"cup": ["colour"]}}]},
    "table to text": {"database": [[("Ada", "born", "1815")], [("Bob", "age", "9"), ("Bob", "likes", "tea")]]},
    "sudoku": {
        "src": [[[1, 0, 3, 4], [3, 4, 0, 2], [2, 1, 4, 3], [4, 3, 2, 0]]] * 2,
        "tgt": [[[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]] * 2,
    },
}


def picture(number):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8))


def sound(number):
    wave = np.sin(np.arange(4800) * (0.05 + 0.01 * number)).astype(np.float32)
    return {"array": 0.3 * wave, "sampling_rate": 16000}


def motion(number):
    turns = np.tile(np.eye(3, dtype=np.float32), (16, 22, 1, 1))
    root = np.linspace(0, 1 + number, 16, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)
    return {"root": root, "rotations": turns, "fps": 20}


MAKERS = {
    "TEXT": lambda n: ("a red cup", "two dogs run")[n],
    "IMAGE": picture,
    "VIDEO": lambda n: np.random.default_rng(n).integers(0, 256, (4, 32, 40, 3), dtype=np.uint8),
    "AUDIO": sound,
    "MOTION": motion,
    "BOX": lambda n: (0.1, 0.2, 0.5 + 0.1 * n, 0.9),
    "PHONE": lambda n: ("HH AH0 L OW1", "K AH1 P")[n],
    "STRUCT": lambda n: [["name", "age"], ["Ada", str(n + 3)]],
}


def rows_for(name, plan):
    """Two rows with a value for every column that the line reads."""
    rows = [{}, {}]
    for slot in plan.alternatives[0].slots:
        for number, row in enumerate(rows):
            one = MAKERS[slot.modality](number)
            row[slot.path] = [one] * (1 + number) if slot.depth else one
    for column, values in SPECIAL.get(name, {}).items():
        for row, value in zip(rows, values, strict=True):
            row[column] = value
    return rows


def small(line):
    for written, smaller in SMALLER.items():
        line = line.replace(written, smaller)
    return line


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_compiles_as_it_is_printed(name):
    assert ol.check(TEMPLATES[name]) == []
    assert ol.check(small(TEMPLATES[name])) == []


@pytest.mark.parametrize("line", sorted(REFUSED))
def test_what_is_no_line_of_ours_is_refused_with_a_fix(line):
    found = ol.check(line)
    assert found and found[0].severity == "error" and (found[0].help or found[0].fixes)


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_trains_a_step_and_predicts(name):
    line = small(TEMPLATES[name])
    rows = rows_for(name, ol.compile(line))
    task = ol.Task("template", line, train=rows)
    model = ol.fit(task, backbone=BACKBONE, max_steps=1, enable_progress_bar=False)
    targets = {slot.path for slot in task.plan.targets if not slot.given}
    sources = {slot.path for slot in task.plan.alternatives[0].slots if slot.side == "source" or slot.given}
    asked = {path: rows[0][path] for path in rows[0] if path in sources or path not in targets}
    output = model.predict(line, asked, most_tokens=3)
    assert set(output) >= {slot.name for slot in task.plan.targets if not slot.given} - {"match"}
