"""A run under a plain Trainer that may kill itself: `killed.py OUT [workers=N] [kill=STEP] [resume=1]`.

Appends a line to OUT for each batch that is trained: its loss in hexadecimal, and a hash of all that it holds.
"""

import hashlib
import os
import signal
import sys
import warnings
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image

import omniline as ol

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128,dropout=0.2"
STEPS = 9


class Written(torch.utils.data.IterableDataset):
    """Rows that can only be read in order."""

    def __iter__(self):
        return iter([{"q": f"{n} + {n}", "a": str(2 * n)} for n in range(23)])


def mixture():
    """Pictures that are augmented, masked text, a stream; weights that change over the steps."""
    draw = np.random.default_rng(0)
    pictures = [
        {"img": Image.fromarray(draw.integers(0, 255, (20, 20, 3), dtype=np.uint8)), "cap": "abc"[n % 3] * (n % 7 + 1)}
        for n in range(60)
    ]
    look = "[IMAGE:img,size=16,patch=8,augment=strong,flip] what? -> [TEXT:cap,max_length=8]"
    made = [
        ol.Task("look", look, train=pictures, weight={0: 1.0, 8: 3.0}),
        ol.Task("fill", ["a [TEXT:cap,mask_ratio=0.4] -> [TEXT:cap]", "b [TEXT:cap] -> [TEXT:cap]"], train=pictures),
        ol.Task("add", "[TEXT:q]? -> [TEXT:a]", train=Written(), since=2),
    ]
    return ol.Mixture(made)


def print_of(batch):
    """A hash of everything that a batch holds."""
    found = hashlib.blake2b(digest_size=8)
    tensors = [t for i in batch.inputs for t in i.tensors.values()]
    for tensor in (*tensors, batch.order, batch.layout.kinds, *(t.rows for t in batch.targets)):
        found.update(tensor.numpy().tobytes())
    found.update(repr((batch.ids, batch.position, sorted(batch.counts.items()))).encode())
    return found.hexdigest()


class Watch(L.Callback):
    """Writes what was trained, and kills the process without a word."""

    def __init__(self, out, kill):
        self.out, self.kill = out, kill

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        with self.out.open("a") as file:
            file.write(f"{float(outputs['loss']).hex()} {print_of(batch)}\n")
        if trainer.global_step == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)


def main():
    out = Path(sys.argv[1])
    settings = dict(item.split("=", 1) for item in sys.argv[2:])
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    keep = ModelCheckpoint(out.parent, filename="kept", every_n_train_steps=2, enable_version_counter=False)
    trainer = L.Trainer(
        max_steps=STEPS, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[keep, Watch(out, int(settings.get("kill", -1)))], accumulate_grad_batches=2, limit_val_batches=0,
    )  # fmt: skip
    made = mixture()
    model = ol.Model.build(backbone=SMALL, tasks=made)
    data = ol.DataModule(made, batch_tokens=90, workers=int(settings.get("workers", 0)))
    resume = out.parent / "kept.ckpt" if "resume" in settings else None
    trainer.fit(ol.Module(model, made, metric_rows=0), datamodule=data, ckpt_path=resume, weights_only=True)
    weights = hashlib.blake2b(b"".join(p.detach().numpy().tobytes() for p in model.network.parameters()), digest_size=8)
    with out.open("a") as file:
        file.write(f"weights {weights.hexdigest()}\n")


if __name__ == "__main__":
    main()
