"""Making what lasts without searching for garbage: the collector is then as it was."""

import gc

import pytest

import omniline as ol
from omniline.__main__ import main
from omniline.core.garbage import uncollected


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_as_it_was(on):
    (gc.enable if on else gc.disable)()
    try:
        with pytest.raises(KeyError), uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is on
    finally:
        gc.enable()


def test_what_lasts_is_left_out_of_later_searches():
    before = gc.get_freeze_count()
    with uncollected(freeze=True):
        pass
    try:
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_loading_and_a_command_within_a_program_leave_it_alone(tmp_path, capsys):
    task = ol.Task("t", "[TEXT:a] -> [TEXT:b]", train=[{"a": "x", "b": "y"}])
    ol.Model.build(backbone="ofa-tiny,width=16,heads=2", tasks=task).save(tmp_path / "m")
    ol.load(tmp_path / "m")
    frozen = gc.get_freeze_count()
    assert main(["predict", str(tmp_path / "m"), "t", "a=x", "--json"]) == 0
    assert gc.isenabled() and gc.get_freeze_count() == frozen
    assert '"b"' in capsys.readouterr().out
