"""A package of a stranger, installed by pip: its parts train in one batch with ours, and are missed by name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import omniline as ol
from omniline.core.errors import PluginError

PACKAGE = Path(__file__).resolve().parents[1] / "example_plugin"

TRAIN = """
import json, sys
import numpy as np
import omniline as ol

near, far = np.full((16, 16), 1.0), np.full((16, 16), 9.0)
rows = [{"word": "near", "depth": near, "far": "no"}, {"word": "far", "depth": far, "far": "yes"}]
draw = ol.Task("draw", "draw [TEXT:word] -> [DEPTH:depth]", train=rows)
read = ol.Task("read", "[DEPTH:depth] is it far? -> [TEXT:far,closed_set=yes|no]", train=rows)
model = ol.Model.build(backbone="drift-tiny", tasks=[draw, read])
data = ol.DataModule([draw, read], model=model, batch_rows=8)
batch = next(iter(data.train_dataloader()))
settings = {"max_steps": 120, "batch_rows": 8, "learning_rate": 1e-2, "enable_progress_bar": False}
model = ol.fit([draw, read], model=model, **settings)
model.save(sys.argv[1])
model = ol.load(sys.argv[1])
drawn = [float(model.predict(draw.instruction, {"word": word}).depth.mean()) for word in ("near", "far")]
answers = [model.predict(read.instruction, {"depth": depth}).far for depth in (near, far)]
print(json.dumps([sorted({id.task for id in batch.ids}), sorted(batch.counts), drawn, answers]))
"""

CONTRACTS = """
import numpy as np
from omniline import testing
from acme_depth.plugin import Depth, Drift, Huber


class TestDepth(testing.AdapterContract):
    adapter = Depth(size=16)
    raws = (np.arange(256, dtype=np.float32).reshape(16, 16) / 32, np.zeros((16, 16), dtype=np.float32))

    def same(self, raw, decoded):
        return np.allclose(raw, decoded, atol=1e-5)


class TestHuber(testing.LossContract):
    loss = Huber()


class TestDrift(testing.BackboneContract):
    backbone = Drift(width=16, depth=2)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """What a process needs to see the package, which is installed into a folder of its own."""
    room = tmp_path_factory.mktemp("outside")
    shutil.copytree(PACKAGE, room / "source")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "OMNILINE_"))}
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", room / "installed", room / "source"],
        capture_output=True,
        text=True,
        check=False,
        env=plain,
    )
    assert done.returncode == 0, done.stderr
    return plain | {"PYTHONPATH": os.pathsep.join([str(room / "installed"), *(path for path in sys.path if path)])}


@pytest.fixture(scope="module")
def trained(environment, tmp_path_factory):
    """The bundle that a process with the package has saved, and what it printed."""
    bundle = tmp_path_factory.mktemp("bundles") / "depth"
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, bundle], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return bundle, json.loads(done.stdout.splitlines()[-1])


def test_it_trains_in_one_batch_with_ours(trained):
    tasks, counts, (near, far), answers = trained[1]
    assert tasks == ["draw", "read"] and counts == ["draw/depth", "read/far"]
    assert far - near > 4.0
    assert answers == ["no", "yes"]


def test_a_bundle_names_the_package_that_it_misses(trained):
    with pytest.raises(
        PluginError, match=r"the bundle needs the package `acme-depth` 0.3 \(for .*`depth`.*not installed"
    ):
        ol.load(trained[0])


def test_it_keeps_the_contracts(environment, tmp_path):
    path = tmp_path / "test_acme.py"
    path.write_text(CONTRACTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, path],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "failed" not in done.stdout
