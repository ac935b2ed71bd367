"""Small models and rows that several rooms' tests share; loaded by `tests/*/conftest.py` as the fixture `small`."""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

import omniline as ol
from omniline.core.example import RowId
from omniline.core.packing import pack

BACKBONES = {
    "ofa": "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=2,positions=256,dropout=0",
    "decoder": "decoder-tiny,width=32,heads=2,key_heads=1,ffn=48,layers=2,positions=384",
}
WORDS = ("zero", "one", "two", "three", "four", "five", "six")


def picture(seed: int, size: int = 20) -> Image.Image:
    """A picture of noise."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size + 3, 3), dtype=np.uint8))


def talk(i: int) -> list[dict[str, object]]:
    """A conversation, of every third row longer, in every other one with a picture."""
    asked: object = [{"type": "image", "image": picture(i)}, f"and {i}?"] if i % 2 else f"what is {i}?"
    more = [{"role": "user", "content": "sure?"}, {"role": "assistant", "content": "yes"}] if i % 3 == 0 else []
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": WORDS[i % 7]}, *more]


def dance(frames: int) -> dict[str, object]:
    """A motion of 22 joints whose root turns."""
    angle = np.linspace(0, 2, frames)
    turns = np.tile(np.eye(3), (frames, 22, 1, 1))
    turns[:, 0, 0, 0] = turns[:, 0, 2, 2] = np.cos(angle)
    turns[:, 0, 0, 2], turns[:, 0, 2, 0] = np.sin(angle), -np.sin(angle)
    return {"root": np.ones((frames, 3)) * angle[:, None], "rotations": turns, "fps": 30}


def rows(count: int, least: int = 0) -> list[dict[str, object]]:
    """Rows with a column for every modality, of uneven lengths; no two alike."""
    out = []
    for i in range(count):
        many = least + i % 3
        names = [WORDS[(i + j) % 7] for j in range(many)]
        boxes = [(0.1, 0.2, 0.3 + 0.1 * j, 0.9) for j in range(many)]
        out.append(
            {
                "text": " ".join(WORDS[(i + j) % 7] for j in range(1 + i % 5)) + f" {i}",
                "word": WORDS[i % 7],
                "other": WORDS[(i + 3) % 7] + "!",
                "label": "abc"[i % 3],
                "maybe": f"m{i}" if i % 2 else None,
                "img": picture(i),
                "table": [["name", "n"], [WORDS[i % 7], str(i)]],
                "phones": "HH AH0 L OW1"[: 2 + 3 * (i % 4)].strip(),
                "box": (0.1, 0.05 * (i % 8), 0.5, 0.9),
                "boxes": boxes,
                "names": names,
                "deep": [names[: j + 1] for j in range(many)],
                "talk": talk(i),
                "clip": {"frames": [picture(i) for _ in range(2 + i % 2)], "fps": 2.0},
                "sound": (np.sin(np.arange(3200 + 800 * i) * (0.1 + 0.02 * i)).astype(np.float32), 16_000),
                "dance": dance(4 + i),
            }
        )
    return out


LINES = {
    "text": "say [TEXT:text] -> so: [TEXT:word,max_length=6] !",
    "language model": "-> [TEXT:text]",
    "closed set": "[TEXT:text] -> [TEXT:word,closed_set]",
    "category": "which [TEXT:text] -> [CATEGORY:label]",
    "category read": "[CATEGORY:label] -> [TEXT:word]",
    "image": "[IMAGE:img,size=16,patch=8] what? -> [TEXT:word]",
    "timm": "[IMAGE:img,adapter=timm,model=test_resnet,size=32] what? -> [TEXT:word]",
    "struct": "[STRUCT:table] -> [STRUCT:table]",
    "phone": "say [TEXT:word] -> [PHONE:phones]",
    "box": "[IMAGE:img,size=16,patch=8] where, about [BOX:box]? -> [BOX:box]",
    "group": "list [TEXT:text] ( [TEXT:names] , )* -> ( [BOX:boxes] is [TEXT:names] )*",
    "nested": "list [TEXT:text] -> ( [TEXT:names] ( [TEXT:deep] ){0,3} )* done",
    "optional": "[TEXT:text] [TEXT:perhaps,column=maybe,optional] -> ( [TEXT:maybe] ){0,1} [TEXT:word]",
    "box text": "[IMAGE:img,size=16,patch=8] where? -> [BOX:box,adapter=box_text]",
    "two outputs": "[TEXT:text] -> [TEXT:word] and [CATEGORY:label]",
    "given": "[TEXT:text] -> [TEXT:other,no_loss] [TEXT:word]",
    "ranking": "[TEXT:text] -> it is [TEXT:word] > [TEXT:other]",
    "chat": '-> [CHAT:talk,template=plain,holds="image,size=16,patch=8"]',
    "chat read": 'what was said? [CHAT:talk,template=plain,holds="image,size=16,patch=8"] -> [TEXT:word]',
    "box regression": "[TEXT:word] where? -> [BOX:box,adapter=box_values]",
    "codes": "[TEXT:word] -> [IMAGE:img,size=16,factor=4,codes=64,channels=16]",
    "video": "[VIDEO:clip,size=16,patch=8,max_frames=3] what? -> [TEXT:word]",
    "video tower": "[VIDEO:clip,adapter=timm_video,model=test_resnet,size=32,max_frames=2] what? -> [TEXT:word]",
    "video codes": "[TEXT:word] -> [VIDEO:clip,size=16,codes=64,channels=16,max_frames=2]",
    "audio": "[AUDIO:sound,bands=16,loss=ctc,max_seconds=1] say [TEXT:word] -> [TEXT:word] "
    "[AUDIO:sound,bands=16,prenet_dropout=0,max_seconds=1]",
    "motion": "[TEXT:word] -> [MOTION:dance,min_length=2,max_frames=16]",
    "match": "[IMAGE:img,size=16,patch=8] a picture <-> of [TEXT:word]",
}


def task(kind: str, count: int = 6, **more: object) -> ol.Task:
    """A task of one of `LINES` over rows of every length."""
    return ol.Task(kind.replace(" ", "_"), LINES[kind], train=rows(count), **more)


def build(tasks: list[ol.Task], backbone: str = "ofa", seed: int = 0) -> ol.Model:
    """A small model whose every parameter is away from its start, so that each has an effect."""
    model = ol.Model.build(backbone=BACKBONES[backbone], tasks=tasks, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def readers(model: ol.Model, tasks: list[ol.Task]) -> dict[str, object]:
    """A reader of each task, by name."""
    return {task.name: model.reader(model.bound(task)) for task in tasks}


def examples(model: ol.Model, tasks: list[ol.Task], *, mode: str = "train") -> list[object]:
    """The training rows of the tasks as examples, the tasks mixed."""
    found = []
    for one in tasks:
        bound = model.bound(one)
        reader = model.reader(bound)
        found += [
            reader.example(bound.read("train", i), RowId(one.name, i), mode=mode) for i in range(bound.size("train"))
        ]
    order = np.random.default_rng(0).permutation(len(found))
    return [found[i] for i in order]


def gradient(model: ol.Model) -> torch.Tensor:
    """The gradient of the whole network, flat."""
    parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.network.parameters()]
    return torch.cat([part.flatten().double() for part in parts])


def loss_and_gradient(model: ol.Model, tasks: list[ol.Task], chosen: list[object], *, padded: bool) -> SimpleNamespace:
    """The descended loss, its parts and the whole gradient of one batch."""
    batch = pack(chosen, readers(model, tasks), padded=padded)
    model.network.train()
    model.network.zero_grad()
    losses = model.network.loss(batch)
    losses.total.backward()
    sums = {key: float(value) for key, value in losses.sums.items()}
    return SimpleNamespace(total=float(losses.total.detach()), sums=sums, gradient=gradient(model), batch=batch)
