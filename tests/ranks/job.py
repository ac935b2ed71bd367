"""One rank of a small job, started by torchrun or plainly: `job.py OUT STRATEGY [key=value ...]`.

Writes what rank 0 saw to the file OUT: gradients and losses of each step, rows of every rank, the final weights.
"""

import os
import signal
import sys
import warnings
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from PIL import Image

import omniline as ol

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128,dropout=0"
PICTURE = "[IMAGE:img,size=16,patch=8] what? -> [TEXT:cap,max_length=8]"
OTHER = "[IMAGE:img,size=16,patch=4] which? -> [CATEGORY:cap]"
TEXT = "say [TEXT:cap] ( [BOX:boxes] )* [TEXT:note,optional] -> [TEXT:cap,max_length=8]"


def rows(count):
    """Pictures with names; lists of boxes that may be empty, notes that may be absent."""
    draw = np.random.default_rng(0)
    names = ("red", "green", "blue")
    return [
        {
            "img": Image.fromarray(draw.integers(0, 255, (16, 16, 3), dtype=np.uint8)),
            "cap": names[n % 3],
            "boxes": [[0.1, 0.1, 0.5, 0.5]] * (n % 3),
            "note": "x" if n % 5 == 0 else None,
        }
        for n in range(count)
    ]


def tasks(kind):
    """Tasks of one modality each, so that ranks often differ."""
    data = rows(24)
    if kind == "broken":
        data[7] = data[7] | {"img": "none.png"}
    if kind == "held":  # one rank has rows, and the other none
        return [ol.Task("text", TEXT, train=data[1:2], valid=data[1:2])]
    if kind == "dealt":  # as split_dataset_by_node does
        return [ol.Task("text", TEXT, train=data[int(os.environ.get("RANK", "0")) :: 2])]
    made = [
        ol.Task("picture", PICTURE, train=data, on_error="skip"),
        ol.Task("other", OTHER, train=rows(24)),
        ol.Task("text", TEXT, train=rows(24)),
    ]
    return made[:1] if kind == "one" else made


class Record(L.Callback):
    """What each step saw."""

    def __init__(self, crash=False, asked=None):
        self.crash, self.asked = crash, asked
        self.gradients, self.rows, self.losses = [], [], []

    def on_train_batch_start(self, trainer, module, batch, index):
        if self.crash and trainer.global_rank == 1 and index == 2:
            raise RuntimeError("the disk of rank 1 is gone")
        if self.asked == trainer.global_rank and index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        self.rows.append([tuple(id) for id in batch.ids])

    def on_exception(self, trainer, module, exception):
        if self.asked is not None:
            print(f"rank {trainer.global_rank}: {exception!r} behind step {trainer.global_step}", file=sys.stderr)

    def on_before_optimizer_step(self, trainer, module, optimizer):
        found = {}
        for name, p in module.network.named_parameters():
            grad = torch.zeros_like(p) if p.grad is None else p.grad
            grad = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
            found[name] = grad.detach().clone()
        self.gradients.append(found)


def main():
    out, name, *given = sys.argv[1:]
    settings = dict(item.split("=", 1) for item in given)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    ranks = int(settings.get("ranks", 1))
    strategy = {
        "one": lambda: "auto",
        "ddp": lambda: DDPStrategy(process_group_backend="gloo", find_unused_parameters=True),
        "ddp_used": lambda: DDPStrategy(process_group_backend="gloo"),
        "fsdp": lambda: ModelParallelStrategy(
            data_parallel_size=ranks, tensor_parallel_size=1, process_group_backend="gloo"
        ),
    }[name]()
    record = Record("crash" in settings, int(settings["asked"]) if "asked" in settings else None)
    callbacks = [record]
    if "save" in settings:
        callbacks.append(ModelCheckpoint(settings["save"], filename="at", every_n_train_steps=int(settings["at"])))
    epochs = int(settings["epochs"]) if "epochs" in settings else None
    trainer = L.Trainer(
        max_steps=int(settings.get("steps", 4 if epochs is None else -1)), max_epochs=epochs, accelerator="cpu",
        devices=ranks, strategy=strategy, logger=False,
        callbacks=callbacks, enable_checkpointing="save" in settings, enable_progress_bar=False,
        enable_model_summary=False, accumulate_grad_batches=int(settings.get("accumulate", 1)),
        limit_val_batches=None if "held" in settings.values() else 0, num_nodes=1,
    )  # fmt: skip
    made = tasks(settings.get("kind", "three"))
    model = ol.Model.build(backbone=SMALL, tasks=made)
    module = ol.Module(model, made, metric_rows=2)
    data = ol.DataModule(made, model=model, batch_tokens=int(settings.get("tokens", 80)))
    trainer.fit(module, datamodule=data, ckpt_path=settings.get("resume"), weights_only=True)
    Path(f"{out}.{trainer.global_rank}").mkdir(parents=True, exist_ok=True)
    saved = {"rows": record.rows, "gradients": record.gradients, "skipped": len(module.ledger.failures)}
    saved["valid"] = {name: float(value) for name, value in trainer.callback_metrics.items() if "valid" in name}
    torch.save(saved, Path(f"{out}.{trainer.global_rank}") / "seen.pt")


if __name__ == "__main__":
    main()
