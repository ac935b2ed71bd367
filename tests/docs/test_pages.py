"""Every code block of README and docs runs, and prints what the page shows."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import omniline

ROOT = Path(omniline.__file__).resolve().parent
RUNNER = ROOT / "tests" / "docs" / "pages.py"
OUTSIDE = "write-a-plugin.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.name != OUTSIDE]


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("pages", RUNNER)
    module = importlib.util.module_from_spec(spec)
    sys.modules["pages"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["pages"]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_page(page, pages, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = pages.blocks_of(page.read_text(encoding="utf-8"))
    assert pages.Runner(page).run().count("\n") >= len(blocks)


def test_the_page_that_installs_packages(tmp_path):
    """In a process of its own: it installs two packages, trains with one, and runs the other's contracts."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "OMNILINE_"))}
    kept |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(ROOT / "docs" / OUTSIDE)],
        cwd=tmp_path, env=kept, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_hook_has_a_heading():
    from omniline.plugins.hookspecs import Hooks

    hooks = [name for name in vars(Hooks) if not name.startswith("_")]
    text = (ROOT / "docs" / OUTSIDE).read_text(encoding="utf-8")
    chapter = text.partition("\n## The hooks\n")[2].partition("\n## ")[0]
    assert [line[4:] for line in chapter.splitlines() if line.startswith("### ")] == hooks


def test_links_lead_somewhere():
    """Between pages, and from pages to files."""
    lost = []
    for page in (*PAGES, ROOT / "docs" / OUTSIDE, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target.partition("#")[0]).exists():
                lost.append(f"{page.name}: {target}")
    assert lost == []


def test_the_settings_of_fit_are_all_in_the_table():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    names = [name for name in inspect.signature(omniline.fit).parameters if name not in ("tasks", "trainer_settings")]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_install_line_is_the_one_of_pyproject():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = [need for need in wanted["dependencies"] if need.startswith(("torch==", "torchvision=="))]
    pins += [need for need in wanted["optional-dependencies"]["audio"] if need.startswith("torchaudio==")]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(pins) == 3 and [pin for pin in pins if pin not in text] == []


def test_the_house_is_drawn_as_it_is():
    """Every room and every plugin room stands in CONTRIBUTING."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = [f"{name}/" for name in ("core", "instructions", "plugins", "tasks", "tests", "docs")]
    rooms += [f"{path.parent.name}/" for path in (ROOT / "plugins").glob("*/plugin.py")]
    assert [room for room in rooms if room not in text] == []


def test_the_runner_sees_what_it_is_for(pages, tmp_path, monkeypatch):
    """A wrong output, an output that is not shown, a failing command and a command that may not run are found."""
    monkeypatch.chdir(tmp_path)
    wrong = (
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nprint(1)\n```\n",
        "```console\n$ omniline check '[TEXT:a] -> [TEXT:b]'\nnot ok\n```\n",
        "```console\n$ rm -rf something\n```\n",
    )
    for number, text in enumerate(wrong):
        page = tmp_path / f"{number}.md"
        page.write_text(text, encoding="utf-8")
        with pytest.raises(pages.Mismatch):
            pages.Runner(page).run()
    page = tmp_path / "right.md"
    page.write_text("```python\nprint('a b')\n```\n\n```text\na ...\n```\n```text x.txt\nkept\n```\n", encoding="utf-8")
    assert pages.Runner(page).run() == page.read_text(encoding="utf-8")
    assert (tmp_path / "x.txt").read_text() == "kept\n"
