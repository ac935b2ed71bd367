"""A complete outside package, installed for real: its parts are found, named, and behave as the contracts say."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "example_plugin"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a new environment that has this one's packages and the example, installed by pip."""
    room = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(room)], check=True)
    interpreter = room / "bin" / "python"
    site = subprocess.run(
        [interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    parent = sysconfig.get_path("purelib")
    Path(site, "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")
    source = room / "source"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(interpreter),
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", str(source)]
    done = subprocess.run([*pip, *offline], capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stderr
    return interpreter


def _environment():
    return {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "OMNILINE_"))}


def run(python, code, **environment):
    """What `code` printed as JSON on its last line, run in the environment."""
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=False, env={**_environment(), **environment}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_its_parts_are_found_without_torch(python):
    found = run(
        python,
        "import json, sys\nfrom omniline.plugins.manager import installed\nc = installed()\n"
        "owners = [c.entry(k, n).owner.package + ' ' + c.entry(k, n).owner.version for k, n in "
        "(('modalities', 'DEPTH'), ('adapters', 'depth'), ('losses', 'huber'), ('backbones', 'drift'))]\n"
        "print(json.dumps([owners, list(c.heavy), len(c.broken), 'torch' in sys.modules]))",
    )
    assert found == [["acme-depth 0.3"] * 4, [], 0, False]


def test_its_slots_compile_beside_ours(python):
    found = run(
        python,
        "import json, omniline as ol\np = ol.compile('[IMAGE:img] how far is it? -> [DEPTH:far,size=32,delta=0.5]')\n"
        "o = p.alternatives[0].objectives[0]\n"
        "print(json.dumps([p.slots[1].budget.least, o.loss.name, o.loss.options(), o.loss.package]))",
    )
    assert found == [16, "huber", {"delta": 0.5}, "acme-depth"]


def test_the_environment_can_leave_it_out(python):
    found = run(
        python,
        "import json, omniline as ol\nprint(json.dumps([d.code for d in ol.check('[DEPTH:d] -> [TEXT:t]')]))",
        OMNILINE_PLUGINS="",
    )
    assert found[0] == "OL103"


NETWORK = """
import json, sys, torch
from omniline.core.layout import plain_layout
from omniline.core.networks import NewRows
from acme_depth.drift import DriftNetwork
torch.manual_seed(0)
net = DriftNetwork(width=16, depth=3).double()
source, target = [3, 5, 1], [4, 0, 6]
packed, padded = plain_layout(source, target), plain_layout(source, target, padded=True)
x = torch.randn(packed.rows, 16, dtype=torch.float64)
wide = torch.full((padded.rows, 16), 7.0, dtype=torch.float64)
real = torch.cat([padded.source.real, padded.target.real])
wide[real] = x
whole = net(x, packed)
same = torch.allclose(whole, net(wide, padded)[real], atol=1e-12)
cache = net.prefill(x[: sum(source)], plain_layout(source, [0, 0, 0]))
rows = list(torch.split(x[sum(source):], target))
block = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=3.0)
two = net.extend(NewRows(block[:, :2], torch.tensor([2, 0, 2]), torch.zeros(3, 2)), cache)
order = torch.tensor([2, 0, 1])
cache.select(order)
rest = net.extend(NewRows(block[order][:, 2:], torch.tensor([4, 2, 0]), torch.zeros(3, 4)), cache)
ends = torch.cat([two[0], rest[1][:2], two[2], rest[0]])
print(json.dumps([same, torch.allclose(ends, whole[sum(source):], atol=1e-12)]))
"""


def test_its_backbone_is_the_same_packed_padded_and_step_by_step(python):
    assert run(python, NETWORK) == [True, True]


CODEC = """
import json, numpy as np, torch
from omniline import Reading
from acme_depth.parts import DepthCodec, DepthPort, HuberLoss
codec, port = DepthCodec(size=16, far=10.0), DepthPort(width=8)
metres = np.arange(256, dtype=np.float32).reshape(16, 16)
made = codec.encode(metres, Reading(side="target"))
back = codec.decode({"values": torch.as_tensor(made.labels["values"])})
x = port.embed(values=torch.as_tensor(made.tensors["values"]))
rows = HuberLoss(delta=1.0)(x, port, {"values": torch.as_tensor(made.labels["values"])}, torch.ones(4), None)
rows.total.backward()
try:
    codec.encode([1.0, 2.0], Reading())
    cause = ""
except ValueError as error:
    cause = str(error)
none = port.embed(values=torch.zeros(0, 64))
learns = bool(port.leave.weight.grad.abs().sum() > 0)
same = bool(np.allclose(metres, back))
print(json.dumps([same, made.rows == codec.measure(metres, Reading()), list(x.shape), list(none.shape), learns, cause]))
"""


def test_its_codec_port_and_loss_work(python):
    found = run(python, CODEC)
    assert found[:5] == [True, True, [4, 8], [0, 8], True]
    assert found[5] == "a depth map must be an array [height, width], but has the shape [2]"
