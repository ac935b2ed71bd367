"""Training in numbers that are not float32 all through: Lightning's true precisions, with every kind of value."""

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

import omniline as ol

BACKBONES = {
    "ofa": "ofa-tiny,width=32,heads=2,ffn=32,encoder_layers=1,decoder_layers=1,positions=1024",
    "decoder": "decoder-tiny,width=32,heads=2,key_heads=1,ffn=32,layers=1,positions=1024",
}
LINES = {
    "text": "say [TEXT:word] -> [TEXT:word]",
    "image": "[IMAGE:img,size=16,patch=8] -> [BOX:box,adapter=box_values]",
    "picture": "[TEXT:word] -> [IMAGE:img,size=32,codes=64]",
    "sound": "[AUDIO:wav,sample_rate=8000] -> [TEXT:word]",
    "speech": "[TEXT:word] -> [AUDIO:wav,sample_rate=8000,max_seconds=1]",
    "motion": "[TEXT:word] -> [MOTION:turns,fps=20,max_frames=20]",
}


def rows():
    draw = np.random.default_rng(0)
    return [
        {
            "img": Image.fromarray(draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)),
            "word": word,
            "box": [0.1, 0.1, 0.5, 0.6],
            "wav": (draw.standard_normal(4000) * 0.1).astype("float32"),
            "turns": {"rotations": np.tile([1.0, 0.0, 0.0, 0.0], (20, 24, 1)), "root": np.zeros((20, 3))},
        }
        for word in ("cat", "dog", "owl", "elk")
    ]


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_everything_trains_and_answers(backbone, precision):
    tasks = [ol.Task(name, line, train=rows()) for name, line in LINES.items()]
    model = ol.fit(
        tasks, backbone=BACKBONES[backbone], max_steps=3, batch_tokens=1500, metric_rows=0, precision=precision,
        enable_progress_bar=False,
    )  # fmt: skip
    weights = dict(model.network.named_parameters())
    wanted = torch.bfloat16 if precision == "bf16-true" else torch.float64
    assert {weight.dtype for weight in weights.values()} == {wanted}
    assert all(bool(weight.isfinite().all()) for weight in weights.values())
    for task in tasks:
        assert model.predict(task.instruction, rows()[0], most_tokens=3).to_dict()


def test_with_the_users_own_trainer():
    task = ol.Task("t", LINES["text"], train=rows(), valid=rows())
    model = ol.Model.build(backbone=BACKBONES["ofa"], tasks=task)
    trainer = L.Trainer(
        max_steps=2, precision="bf16-true", accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(ol.Module(model, task), datamodule=ol.DataModule(task, batch_tokens=200))
    assert "valid/t/word" in trainer.callback_metrics
