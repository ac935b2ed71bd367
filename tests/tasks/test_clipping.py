"""Gradients are clipped in every precision, with the fused optimiser."""

import warnings

import lightning as L
import pytest
import torch

import omniline as ol

BACKBONE = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=64"
MOST = 1e-3


class Norm(L.Callback):
    """The norm of the gradients that a step was made of."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        grads = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        self.norm = float(torch.cat(grads).norm())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped(tmp_path, precision):
    rows = [{"text": "a cat"}, {"text": "two dogs"}]
    task = ol.Task("echo", "[TEXT:text] -> [TEXT:text]", train=rows, valid=rows)
    norm = Norm()
    trainer = L.Trainer(
        max_steps=1,
        accelerator="cpu",
        precision=precision,
        gradient_clip_val=MOST,
        callbacks=[norm],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    module = ol.Module(ol.Model.build(backbone=BACKBONE, tasks=task), task)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer.fit(module, datamodule=ol.DataModule(task))
    assert norm.norm == pytest.approx(MOST, rel=0.01)
