"""Checkpoints as files: whole or as they were, and one that does not suit is said in a sentence."""

import json
import os
import signal

import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO

import omniline as ol
from omniline.__main__ import main
from omniline.core.errors import ConfigError
from omniline.tasks import saving
from omniline.tasks.saving import WholeFiles, check_weights, unreadable, with_whole_files

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1"


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "newest.ckpt"
    WholeFiles().save_checkpoint({"step": 1}, path)

    def full(checkpoint, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.torch, "save", full)
    with pytest.raises(ConfigError, match="newest.ckpt cannot be written: .*No space left.*; the one that was there"):
        WholeFiles().save_checkpoint({"step": 2}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"step": 1} and [*path.parent.iterdir()] == [path]
    WholeFiles().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 2} and [*path.parent.iterdir()] == [path]


def test_a_trainer_keeps_a_way_of_writing_of_its_own():
    own = TorchCheckpointIO()
    assert with_whole_files({"plugins": own}) == {"plugins": own}
    assert with_whole_files({"accelerator": "tpu"}) == {"accelerator": "tpu"}
    (made,) = with_whole_files({})["plugins"]
    assert isinstance(made, WholeFiles)


def test_files_that_are_no_checkpoints(tmp_path):
    whole = tmp_path / "a.ckpt"
    torch.save({"x": torch.ones(999)}, whole)
    assert unreadable(whole) == "" and unreadable(tmp_path) == "" and unreadable("s3://b/a.ckpt") == ""
    (tmp_path / "b.ckpt").write_bytes(whole.read_bytes()[:-40])
    assert "b.ckpt cannot be read, it may have been cut short" in unreadable(tmp_path / "b.ckpt")
    assert "there is no checkpoint" in unreadable(tmp_path / "c.ckpt")
    with pytest.raises(ConfigError, match="there is no checkpoint .*c.ckpt"):
        ol.fit(ol.Task("t", "[TEXT:q] -> [TEXT:a]", train=[{"q": "x", "a": "y"}]), resume=tmp_path / "c.ckpt")


def test_weights_of_other_tasks_are_named():
    told = {"state_dict": {"a": torch.ones(2), "b": torch.ones(3), "n": 1}}
    check_weights(told, lambda: {"a": torch.zeros(2), "b": torch.zeros(3)})
    check_weights({}, lambda: {"a": torch.zeros(2)})
    wrong = "of another backbone, tokenizer or set of tasks: `b` is .3,. in it and .4,. here; `c` is not there in it"
    with pytest.raises(ConfigError, match=wrong):
        check_weights(told, lambda: {"a": torch.zeros(2), "b": torch.zeros(4), "c": torch.zeros(1)})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A task file whose source has a bad row, and a run of it."""
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"q": f"w{n}", "a": "ab"[n % 2]}) for n in range(40)]
    rows[7] = rows[7][:-2]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "t.yaml").write_text(
        f'backbone: "{SMALL}"\nsave: out\nfit: {{batch_tokens: 200, metric_rows: 0, workers: 0}}\n'
        "trainer: {max_steps: 6, enable_progress_bar: false, accelerator: cpu}\n"
        'tasks:\n  t: {instruction: "[TEXT:q] -> [TEXT:a]", train: a.jsonl, on_error: skip}\n'
    )
    assert main(["train", "t.yaml"]) == 0
    return tmp_path


def test_a_run_goes_on_from_the_newest_whole_checkpoint_and_its_ledger(folder, capfd):
    """Behind a file that was cut short; the row that failed before is not listed again, but counted on."""
    kept, last = folder / "out.checkpoints" / "kept.ckpt", folder / "out.checkpoints" / "last.ckpt"
    kept.write_bytes(last.read_bytes())
    last.write_bytes(b"")
    os.utime(kept, (1, 1))
    counts = torch.load(kept, weights_only=True)["ledger"]
    assert counts["seen"]["t"] > 40 and counts["bad"]["t"] > 0
    ledger = folder / "out.checkpoints" / "skipped.jsonl"
    before = ledger.read_text()
    assert len(before.splitlines()) == 1
    capfd.readouterr()
    assert main(["train", "t.yaml", "trainer.max_steps=12", "--resume"]) == 0
    assert "last.ckpt cannot be read, it may have been cut short" in capfd.readouterr().err
    assert ledger.read_text() == before
    told = torch.load(last, weights_only=True)
    assert told["global_step"] == 12 and told["ledger"]["seen"]["t"] > counts["seen"]["t"]


def test_other_tasks_are_refused_at_the_command_line(folder, capfd):
    assert main(["train", "t.yaml", "tasks.t.instruction=[TEXT:q] -> [CATEGORY:a]", "--resume"]) == 1
    assert "error: the checkpoint is of another backbone, tokenizer or set of tasks" in capfd.readouterr().err


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_step_and_keeps_it(folder, capfd, monkeypatch, number):
    """In the middle of a step, twice a second one: going on gives the weights of a run that was never interrupted."""
    longer = ["train", "t.yaml", "trainer.max_steps=9", "trainer.accumulate_grad_batches=2"]
    assert main([*longer, "save=whole"]) == 0
    step = ol.Module.training_step

    def stopping(self, batch, index):
        if self.trainer.global_step == 3 and index % 2 == (number == signal.SIGTERM):
            signal.raise_signal(number)
        return step(self, batch, index)

    monkeypatch.setattr(ol.Module, "training_step", stopping)
    monkeypatch.setattr(signal, "default_int_handler", signal.getsignal(signal.SIGINT))
    assert main([*longer, "save=cut"]) == 130
    said = capfd.readouterr().err
    assert "kept at step 4: " in said and said.endswith("cut.checkpoints/last.ckpt; go on with --resume\ninterrupted\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert main([*longer, "save=cut", "--resume"]) == 0
    whole, cut = (weights(folder / name / "last.ckpt") for name in ("whole.checkpoints", "cut.checkpoints"))
    assert whole.keys() == cut.keys() and all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_second_interrupt_does_not_wait(folder, capfd, monkeypatch):
    def stopping(self, batch, index):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ol.Module, "training_step", stopping)
    monkeypatch.setattr(signal, "default_int_handler", signal.getsignal(signal.SIGINT))
    assert main(["train", "t.yaml", "save=cut"]) == 130
    assert "kept at step" not in capfd.readouterr().err


class Killing(torch.utils.data.Dataset):
    """Its process ends without a word, as one does that takes too much memory."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        if torch.utils.data.get_worker_info() is not None:
            signal.raise_signal(signal.SIGKILL)
        return {"q": "x", "a": "y"}


def test_a_loader_worker_that_is_killed_is_a_sentence():
    task = ol.Task("t", "[TEXT:q] -> [TEXT:a]", train=Killing())
    with pytest.raises(ConfigError, match=r"a loader worker ended at once \(DataLoader worker .*use fewer workers"):
        ol.fit(task, backbone=SMALL, max_steps=3, workers=1, worker_start="fork", enable_progress_bar=False)
