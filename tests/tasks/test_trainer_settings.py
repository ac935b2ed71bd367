"""A Trainer's settings: loggers by name, and what does not suit said before a run."""

from pathlib import Path

import pytest
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.tasks.trainer_settings import suited


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"logger": "csw"}, "`logger` must be csv, .*, but is 'csw'; did you mean `csv`"),
        ({"logger": {"class_path": "CSVLogger"}}, "or one of Lightning's, but is {'class_path'"),
        ({"logger": "mlflow"}, "the logger `mlflow` is not installed"),
        ({"callbacks": "stop"}, "must be Lightning's callbacks, but one is 'stop'"),
        ({"callbacks": [EarlyStopping("x"), 3]}, "but one is 3"),
        ({"log_every_n_steps": "often"}, "`log_every_n_steps` must be int, but is 'often'"),
        ({"detect_anomaly": "maybe"}, "`detect_anomaly` must be bool"),
        ({"gradient_clip_val": True}, "`gradient_clip_val` must be int or float, but is True"),
        ({"profiler": 3}, "`profiler` must be Profiler or str"),
        ({"precision": 9}, "'bf16-mixed'.* but is 9"),
    ],
)
def test_what_does_not_suit_is_said(settings, wrong):
    with pytest.raises(ConfigError, match=wrong):
        suited(settings, Path())


def test_what_suits_stays_as_it_is(tmp_path):
    stop, own = EarlyStopping("x"), CSVLogger(tmp_path)
    given = {"precision": "bf16-mixed", "max_time": {"minutes": 3}, "gradient_clip_val": 1, "devices": [0]}
    assert suited(given, Path()) == given
    assert suited({"logger": own, "callbacks": stop}, Path()) == {"logger": own, "callbacks": stop}
    assert [suited({"logger": value}, Path())["logger"] for value in (True, False, None)] == [True, False, None]


def test_a_logger_by_name_writes_into_the_folder(small, tmp_path):
    ol.fit(
        small.task("box"), backbone=small.BACKBONES["ofa"], max_steps=2, batch_tokens=200, metric_rows=0,
        enable_progress_bar=False, logger=["csv"], default_root_dir=str(tmp_path), log_every_n_steps=1,
    )  # fmt: skip
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"step", "tokens_per_second"} <= set(header)
