"""Under the user's own Trainer: resuming, accumulation, precision, callbacks, loggers, optimiser."""

import csv
import warnings
from collections import Counter
from dataclasses import replace

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.tasks.drawing import Position
from omniline.tasks.evaluation import evaluate
from omniline.tasks.module import Module

DROPOUT = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128,dropout=0.2"


@pytest.fixture(autouse=True)
def _workers_hint():
    with warnings.catch_warnings():
        known = ("does not have many workers", "callbacks used to create the checkpoint", "exists and is not empty")
        for message in known:
            warnings.filterwarnings("ignore", f".*{message}.*")
        yield


@pytest.fixture
def tasks(small):
    masked = ol.Task("masked", "[TEXT:text,mask_ratio=0.4] -> [TEXT:text]", train=small.rows(12), valid=small.rows(4))
    return [masked, ol.Task("label", "[TEXT:text] -> [CATEGORY:label]", train=small.rows(9), valid=small.rows(5))]


class Losses(L.Callback):
    """The exact loss of every batch, with its position."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append((batch.position, float(outputs["loss"])))


def trainer(tmp_path, *callbacks, **settings):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    settings.setdefault("enable_checkpointing", any(isinstance(c, ModelCheckpoint) for c in callbacks))
    return L.Trainer(default_root_dir=tmp_path, callbacks=list(callbacks), **(quiet | settings))


def run(tmp_path, tasks, *callbacks, workers=0, ckpt_path=None, batch_tokens=120, **settings):
    """Two lines of omniline under a Trainer."""
    model = ol.Model.build(backbone=DROPOUT, tasks=tasks, seed=3)
    losses = Losses()
    module = ol.Module(model, tasks, seed=3)
    data = ol.DataModule(tasks, seed=3, batch_tokens=batch_tokens, workers=workers)
    trainer(tmp_path, losses, *callbacks, **settings).fit(
        module, datamodule=data, ckpt_path=ckpt_path, weights_only=None if ckpt_path is None else True
    )
    return losses.seen, module


@pytest.mark.parametrize(
    ("accumulate", "workers", "stop"),
    [(1, 0, 5), (1, 2, 7), (2, 0, 3)],
    ids=["plain", "other number of workers", "accumulated"],
)
def test_resuming_is_bit_identical(tmp_path, tasks, accumulate, workers, stop):
    """From a checkpoint in the middle of an epoch, the rest of the run is the same to the last bit."""
    steps = {"limit_val_batches": 0, "accumulate_grad_batches": accumulate}
    keep = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=stop, save_top_k=-1)
    whole, trained = run(tmp_path, tasks, keep, max_steps=10, **steps)
    (path,) = tmp_path.glob(f"*step={stop}.ckpt")
    torch.load(path, weights_only=True)
    rest, resumed = run(tmp_path, tasks, workers=workers, ckpt_path=path, max_steps=10, **steps)
    assert len(whole) == 10 * accumulate
    assert rest == whole[stop * accumulate :]
    for name, value in trained.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_resuming_across_epochs(tmp_path, tasks):
    """Lightning's epochs are marks on an endless stream."""

    def go(**more):
        model = ol.Model.build(backbone=DROPOUT, tasks=tasks, seed=3)
        losses, keep = Losses(), ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", save_top_k=-1)
        data = ol.DataModule(tasks, seed=3, batch_tokens=120, steps_per_epoch=4)
        path = more.pop("ckpt_path", None)
        trainer(tmp_path, losses, keep, limit_val_batches=0, **more).fit(
            ol.Module(model, tasks, seed=3), datamodule=data, ckpt_path=path, weights_only=path and True
        )
        return losses.seen

    whole = go(max_epochs=3)
    assert len(whole) == 12 and len({position for position, _ in whole}) == 12
    assert go(max_epochs=3, ckpt_path=tmp_path / "epoch=0.ckpt") == whole[4:]


def test_a_checkpoint_holds_the_position_as_plain_numbers(tmp_path, tasks):
    keep = ModelCheckpoint(dirpath=tmp_path, filename="x")
    losses, module = run(tmp_path, tasks, keep, max_steps=3, limit_val_batches=0)
    (path,) = tmp_path.glob("x*.ckpt")
    state = torch.load(path, weights_only=True)["DataModule"]
    made = state.pop("made")
    assert state.pop("before") == {"masked": 0.0, "label": 0.0} and {*state.pop("after")} == {"masked", "label"}
    at = {"window": 0, "step": 3, "began": 0, "drawn": [], "cut": [], "until": []}
    assert state == at | {"steps": 3, "seed": 3}
    assert all(type(value) in (int, list) for value in state.values())
    assert made["ranks"] == 1 and made["rows"] == {task.name: len(task.train) for task in tasks}


def test_a_checkpoint_of_any_callback_holds_what_was_trained(tmp_path, tasks):
    class Saver(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.save_checkpoint(tmp_path / f"{batch_idx}.ckpt")

    whole, _ = run(tmp_path, tasks, Saver(), max_steps=5, limit_val_batches=0)
    rest, _ = run(tmp_path, tasks, ckpt_path=tmp_path / "2.ckpt", max_steps=5, limit_val_batches=0)
    assert [position for position, _ in rest] == [position for position, _ in whole[3:]]


def test_a_checkpoint_inside_an_accumulation_window_says_so(tmp_path, tasks):
    class Saver(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 0:
                trainer.save_checkpoint(tmp_path / "x.ckpt")

    with pytest.warns(UserWarning, match="inside an accumulation window: the gradients of 1 batches are not kept"):
        run(tmp_path, tasks, Saver(), max_steps=2, limit_val_batches=0, accumulate_grad_batches=3)


def test_a_checkpoint_of_validation_inside_an_accumulation_window_says_so(tmp_path, tasks):
    keep = ModelCheckpoint(dirpath=tmp_path, filename="x", monitor="valid/masked/text")
    with pytest.warns(UserWarning, match="inside an accumulation window"):
        run(
            tmp_path,
            tasks,
            keep,
            max_steps=2,
            val_check_interval=4,
            check_val_every_n_epoch=None,
            accumulate_grad_batches=3,
        )


def test_an_epoch_that_ends_inside_an_accumulation_window(tmp_path, tasks):
    """The step that is cut short takes the mean of its own batches, and the next epoch goes on behind them."""

    class Seen(L.Callback):
        batches = []

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.batches.append(batch)

    run(tmp_path, tasks, Seen(), max_epochs=2, limit_val_batches=0, limit_train_batches=3, accumulate_grad_batches=2)
    first, second, last, *then = Seen.batches
    assert len(then) == 3 and last.totals == last.counts and then[2].totals == then[2].counts
    assert first.totals == second.totals == Counter(first.counts) + Counter(second.counts)
    assert last.after == then[0].position or tuple(last.after[:2]) == then[0].position


def test_a_held_out_stream_is_read_once(tmp_path, small):
    """A pass of five rows is five rows, not as many as might be asked for."""

    class Streamed(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(small.rows(5))

    task = ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=small.rows(5), valid=Streamed())
    model = small.build([task])
    (loader,) = ol.DataModule(task, model=model).val_dataloader()
    assert [id.row for batch in loader for id in batch.ids] == [0, 1, 2, 3, 4]
    (found,) = evaluate(model, task)
    assert found.rows == 5


def test_a_stream_that_has_changed_is_said(tmp_path, tasks):
    run(tmp_path, tasks, ModelCheckpoint(dirpath=tmp_path, filename="x"), max_steps=2, limit_val_batches=0)
    model = ol.Model.build(backbone=DROPOUT, tasks=tasks)
    data = ol.DataModule(tasks, seed=3, batch_tokens=333)
    with pytest.warns(UserWarning, match=r"does not go on exactly as it was: batch_tokens was \d+ and is 333"):
        trainer(tmp_path, max_steps=3, limit_val_batches=0).fit(
            ol.Module(model, tasks), datamodule=data, ckpt_path=tmp_path / "x.ckpt", weights_only=True
        )


@pytest.mark.parametrize("kind", ["listed", "streamed", "drawing"])
def test_the_start_says_whether_a_run_is_exactly_restorable(tmp_path, small, capsys, kind):
    """Through a plain Trainer."""

    class Streamed(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(small.rows(5))

    class Drawing(torch.utils.data.Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return {"text": f"row {torch.rand(())}", "word": "w"}

    source = {"listed": small.rows(5), "streamed": Streamed(), "drawing": Drawing()}[kind]
    task = ol.Task(kind, "[TEXT:text] -> [TEXT:word]", train=source)
    run(tmp_path, [task], max_steps=1, limit_val_batches=0)
    said = {
        "listed": "restorable: exactly, from any checkpoint at an optimiser step, with any number of workers",
        "streamed": "restorable: task `streamed`: its rows can only be read from the beginning",
        "drawing": "restorable: task `drawing`: a row is another one when it is read again",
    }
    assert said[kind] in capsys.readouterr().err


def test_another_seed_is_refused(tmp_path, tasks):
    run(tmp_path, tasks, ModelCheckpoint(dirpath=tmp_path, filename="x"), max_steps=2, limit_val_batches=0)
    model = ol.Model.build(backbone=DROPOUT, tasks=tasks)
    with pytest.raises(ConfigError, match="the checkpoint's stream has seed 3, but this run has 4: pass the same"):
        trainer(tmp_path, max_steps=3).fit(
            ol.Module(model, tasks), datamodule=ol.DataModule(tasks, seed=4), ckpt_path=tmp_path / "x.ckpt",
            weights_only=True,
        )  # fmt: skip


def test_the_step_does_not_depend_on_the_cut(tmp_path, small):
    """The same rows in one batch or in four accumulated ones, with uneven counts of two tasks, take one and the same
    optimiser step."""
    rows = small.rows(8)
    tasks = [
        ol.Task("a", "[TEXT:text] -> [TEXT:word]", train=rows, weight=3.0),
        ol.Task("b", "[TEXT:text] -> [CATEGORY:label]", train=rows),
    ]
    found = []
    for accumulate, settings in ((1, {}), (4, {"batch_rows": 4})):
        model = ol.Model.build(backbone=DROPOUT.replace("0.2", "0"), tasks=tasks)
        data = ol.DataModule(tasks, model=model, **settings)
        data._stream = replace(data.stream, window=16)
        assert len(data.stream.plan(Position()).batches) == accumulate
        grads = Gradient()
        trainer(tmp_path, grads, max_steps=1, accumulate_grad_batches=accumulate, limit_val_batches=0).fit(
            ol.Module(model, tasks), datamodule=data
        )
        found.append(grads.found)
    assert torch.cosine_similarity(*found, dim=0) > 0.99999
    assert float(found[0].norm()) == pytest.approx(float(found[1].norm()), rel=1e-4)


class Gradient(L.Callback):
    """The gradient at the optimiser step."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        grads = (p.grad if p.grad is not None else torch.zeros_like(p) for p in pl_module.network.parameters())
        self.found = torch.cat([grad.flatten().double() for grad in grads])


def test_callbacks_and_loggers_see_losses_by_task(tmp_path, tasks):
    logger = CSVLogger(tmp_path, name="logs")
    best = ModelCheckpoint(dirpath=tmp_path / "best", monitor="valid/label/label", mode="min")
    stop = EarlyStopping("valid/masked/text", patience=2, min_delta=1e9)
    losses, module = run(
        tmp_path, tasks, best, stop, max_steps=40, logger=logger, log_every_n_steps=2, val_check_interval=2,
        check_val_every_n_epoch=None,
    )  # fmt: skip
    with open(tmp_path / "logs" / "version_0" / "metrics.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert {"masked/text", "label/label", "tokens_per_second", "valid/masked/text", "valid/label/label"} <= set(
        table[0]
    )
    assert any(row["masked/text"] for row in table) and any(row["valid/masked/text"] for row in table)
    assert len(losses) == 6, "early stopping counts validations of every other step"
    assert best.best_model_path and best.best_model_score > 0
    assert module.history[0].keys() == {"step", "tokens_per_second", "masked/text", "label/label"}


def test_validation_is_the_mean_over_all_its_rows(tmp_path, tasks):
    """However the rows are cut into batches."""
    model = ol.Model.build(backbone=DROPOUT, tasks=tasks)
    found = []
    for batch_tokens in (40, 10_000):
        data = ol.DataModule(tasks, batch_tokens=batch_tokens)
        fitted = trainer(tmp_path)
        fitted.validate(ol.Module(model, tasks), datamodule=data, verbose=False)
        found.append({name: float(value) for name, value in fitted.callback_metrics.items()})
    losses = {"valid/masked/text", "valid/label/label"}
    assert found[0].keys() == losses | {
        "valid/masked/text/exact_match", "valid/masked/text/rouge_l", "valid/label/label/accuracy",
    }  # fmt: skip
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_half_precision(tmp_path, tasks):
    exact, _ = run(tmp_path, tasks, max_steps=2, limit_val_batches=0)
    half, module = run(tmp_path, tasks, max_steps=2, limit_val_batches=0, precision="bf16-mixed")
    assert half[0][1] == pytest.approx(exact[0][1], rel=0.02) and half[0][1] != exact[0][1]
    assert all(p.dtype == torch.float32 for p in module.network.parameters())


def test_the_optimiser(tmp_path, tasks):
    model = ol.Model.build(backbone=DROPOUT, tasks=tasks)
    rates = []

    class Rates(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    module = ol.Module(model, tasks, learning_rate=0.5, warmup=0.5, schedule="linear")
    fitted = trainer(tmp_path, Rates(), max_steps=8, limit_val_batches=0)
    fitted.fit(module, datamodule=ol.DataModule(tasks, batch_tokens=120))
    assert rates[:4] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert rates[4:] == sorted(rates[4:], reverse=True) and 0.05 < rates[-1] < 0.3
    decayed, plain = fitted.optimizers[0].param_groups
    assert decayed["weight_decay"] > 0 == plain["weight_decay"]
    tables = {id(m.weight) for m in model.network.modules() if isinstance(m, torch.nn.Embedding)}
    assert all(p.ndim >= 2 and id(p) not in tables for p in decayed["params"])
    assert len(decayed["params"]) + len(plain["params"]) == len(list(model.network.parameters()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "cosin"}, "schedule must be one of cosine, linear, constant, but is 'cosin'"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, but is 0.0"),
        ({"warmup": 2}, "warmup must be a share of the steps, 0 to 1, but is 2"),
    ],
)
def test_settings_out_of_range(small, settings, message):
    task = small.task("text")
    with pytest.raises(ConfigError, match=message):
        Module(small.build([task]), task, **settings)


def test_a_data_module_finds_its_model_in_the_trainer(tmp_path, tasks):
    with pytest.raises(ConfigError, match="DataModule needs its model: pass model=, or fit it with an omniline Module"):
        ol.DataModule(tasks).train_dataloader()


def test_blocks_compiled_by_torch(tmp_path, small):
    """Compiled in place, as torch offers it: the same losses, and the same names in checkpoints."""
    task = small.task("text")

    def losses(compiled):
        model = ol.Model.build(backbone=DROPOUT.replace("0.2", "0"), tasks=task)
        names = set(model.network.state_dict())
        if compiled:
            for block in [*model.network.backbone.encoder, *model.network.backbone.decoder]:
                block.ffn.compile(backend="eager")
        assert set(model.network.state_dict()) == names
        seen = Losses()
        data = ol.DataModule(task, model=model)
        trainer(tmp_path, seen, max_steps=2, limit_val_batches=0).fit(ol.Module(model, task), datamodule=data)
        return [loss for _, loss in seen.seen]

    torch._dynamo.reset()
    warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor that is not a leaf")
    assert losses(True) == pytest.approx(losses(False), rel=1e-4)
