"""`fit`, the data module, and what is said while and after training."""

import importlib
import logging
import warnings

import lightning as L
import pytest
import torch

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.core.example import RowId
from omniline.tasks.ledger import Failure, Ledger, report, summary
from omniline.tasks.memory import keep_pages
from omniline.tasks.progress import Progress

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128"
QUIET = {"enable_progress_bar": False, "limit_val_batches": 0}


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.network.parameters()])


def test_fit_is_a_function_of_its_seed(small):
    def run(seed):
        return weights(ol.fit(small.task("text"), backbone=SMALL + ",dropout=0.3", seed=seed, max_steps=3, **QUIET))

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_fit_does_not_depend_on_workers(small):
    tasks = [small.task("text"), small.task("image"), small.task("group")]
    runs = [weights(ol.fit(tasks, backbone=SMALL, workers=n, max_steps=4, batch_tokens=150, **QUIET)) for n in (0, 2)]
    assert torch.equal(*runs)


def test_fit_leaves_torchs_own_draws_alone(small):
    task = small.task("text")
    torch.manual_seed(5)
    ol.Model.build(backbone=SMALL, tasks=task)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))


def test_fit_goes_on_with_a_model(small):
    model = ol.fit(small.task("text"), backbone=SMALL, max_steps=1, **QUIET)
    before = weights(model)
    assert ol.fit([small.task("text"), small.task("text")][:1], model=model, max_steps=1, **QUIET) is model
    assert not torch.equal(before, weights(model))
    with pytest.raises(ConfigError, match="backbone= and tokenizer= belong to a new model"):
        ol.fit(small.task("text"), model=model, backbone=SMALL, max_steps=1)


def test_fit_with_the_users_own_trainer(small, tmp_path):
    trainer = L.Trainer(
        max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, accelerator="cpu", limit_val_batches=0,
    )  # fmt: skip
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    ol.fit(small.task("text"), backbone=SMALL, trainer=trainer)
    assert trainer.global_step == 2
    with pytest.raises(ConfigError, match="with your own trainer, `max_steps` must be set on it, not here"):
        ol.fit(small.task("text"), backbone=SMALL, trainer=trainer, max_steps=3)


def test_fit_resumes(small, tmp_path):
    """`resume=` takes a Lightning checkpoint and reads it without pickle's powers."""
    keep = L.pytorch.callbacks.ModelCheckpoint(
        dirpath=tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1
    )
    settings = {"backbone": SMALL + ",dropout=0.2", "batch_tokens": 150, "max_steps": 4, **QUIET}
    whole = ol.fit(small.task("text"), callbacks=[keep], enable_checkpointing=True, **settings)
    warnings.filterwarnings("ignore", ".*callbacks used to create the checkpoint.*")
    again = ol.fit(small.task("text"), resume=tmp_path / "step=2.ckpt", **settings)
    assert torch.equal(weights(whole), weights(again))


def test_fit_restores_loggers_and_filters(small):
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level, list(warnings.filters)
    ol.fit(small.task("text"), backbone=SMALL, max_steps=1, **QUIET)
    assert (logger.level, list(warnings.filters)) == before


def test_half_precision_and_accumulation(small):
    tasks = [small.task("text"), small.task("category")]
    settings = {"precision": "bf16-mixed", "accumulate_grad_batches": 2, "gradient_clip_val": 1.0}
    model = ol.fit(tasks, backbone=SMALL, max_steps=3, batch_tokens=120, **settings, **QUIET)
    assert torch.isfinite(weights(model)).all()


class Losses(L.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(float(outputs["loss"]))


def test_padded_training_is_the_same_training(small):
    tasks = [small.task("text"), small.task("group")]
    runs = []
    for padded in (False, True):
        losses = Losses()
        settings = {"batch_rows": 4, "batch_tokens": 10_000, "max_steps": 4, "callbacks": [losses], **QUIET}
        ol.fit(tasks, backbone=SMALL + ",dropout=0", padded=padded, **settings)
        runs.append(losses.seen)
    assert runs[0] == pytest.approx(runs[1], rel=1e-4)


def test_tasks_without_training_rows(small):
    rows = small.rows(3)
    model = small.build([small.task("text")])
    with pytest.raises(ConfigError, match="no task has training rows: pass train= to at least one"):
        ol.fit(ol.Task("text", small.LINES["text"], valid=rows), model=model, max_steps=1, **QUIET)


def test_an_epoch_is_one_pass_over_the_rows(small):
    rows = [{"text": "x", "word": "y"}] * 700
    data = ol.DataModule(ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=rows), model=None, batch_rows=10)
    data.model = small.build(list(data.mixture))
    assert len(data.train_dataloader()) == 70
    state = data.state_dict()
    assert state.pop("made")["rows"] == {"t": 700}
    assert (state["window"], state["step"], state["before"], state["after"]) == (0, 0, {"t": 0.0}, {"t": 350.0})


def failure(row, cause="broken", task="t"):
    return Failure(RowId(task, row), f"rows[{row}]", cause)


def test_the_ledger_counts_by_cause():
    lines = summary([failure(3), failure(5), failure(4, "cut"), failure(1, task="u")])
    assert lines == [
        "task `t`: 2 rows skipped, first rows[3]: broken",
        "task `t`: 1 row skipped, first rows[4]: cut",
        "task `u`: 1 row skipped, first rows[1]: broken",
    ]


def test_nothing_skipped_says_nothing(capfd):
    report(Ledger())
    assert capfd.readouterr().err == ""


def test_keeping_pages_says_whether_it_could(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert keep_pages() is False
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert keep_pages() is False


def test_progress_on_a_pipe_is_plain_lines(small, capfd):
    tasks = [small.task("text"), small.task("category")]
    bar = Progress(every=0.0)
    ol.fit(tasks, backbone=SMALL, max_steps=3, callbacks=[bar], log_every_n_steps=1, limit_val_batches=0)
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) >= 3
    assert lines[-1].startswith("step 3/3") and "\x1b" not in "".join(lines)
    for part in ("text/word", "category/label", "tokens/s"):
        assert part in " ".join(lines)


def test_progress_of_another_rank_is_silent(small, capfd):
    bar = Progress(every=0.0)
    bar.disable()
    ol.fit(small.task("text"), backbone=SMALL, max_steps=1, callbacks=[bar], limit_val_batches=0)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("restorable: exactly")


PUBLIC = [
    "parse",
    "check",
    "compile",
    "Instruction",
    "Plan",
    "Diagnostic",
    "Span",
    "Label",
    "Fix",
    "Source",
    "InstructionError",
    "Task",
    "Mixture",
    "fit",
    "Model",
    "load",
    "Output",
    "Catalog",
    "hookimpl",
    "setting",
    "Modality",
    "Adapter",
    "Backbone",
    "Loss",
    "Decoder",
    "Metric",
    "Tokens",
    "TensorSpec",
    "Codec",
    "Port",
    "Module",
    "DataModule",
    "testing",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_and_documented(name):
    found = getattr(ol, name)
    if name != "hookimpl":
        assert found.__doc__ and len(found.__doc__) > 20
    assert name in ol.__all__ and name in dir(ol)


def test_an_unknown_public_name():
    with pytest.raises(AttributeError, match="has no attribute 'Taks'"):
        _ = ol.Taks
    assert importlib.import_module("omniline") is ol


def test_workers_may_be_started_afresh(small):
    """The batches of workers that inherit nothing are those of the process itself."""
    sums = []
    for loading in ({}, {"workers": 1, "worker_start": "spawn"}):
        model = ol.fit(
            small.task("box"), backbone=small.BACKBONES["ofa"], max_steps=2, batch_tokens=200, metric_rows=0,
            enable_progress_bar=False, **loading,
        )  # fmt: skip
        sums.append(sum(float(weight.detach().double().sum()) for weight in model.network.parameters()))
    assert sums[0] == sums[1]
    with pytest.raises(ConfigError, match="worker_start must be one of .*, but is 'thread'"):
        ol.DataModule(small.task("box"), worker_start="thread")
