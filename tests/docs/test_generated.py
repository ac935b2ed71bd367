"""What the pages take from the code is what `docs/generate.py` writes now."""

import importlib.util
import sys
from pathlib import Path

import pytest

import omniline

DOCS = Path(omniline.__file__).resolve().parent / "docs"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["generate"]


def test_every_generated_page_is_up_to_date(generate):
    stale = [path.name for path, text in generate.pages().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python docs/generate.py`"


def test_every_code_has_a_heading_and_a_line_that_has_it(generate):
    page = (DOCS / "codes.md").read_text(encoding="utf-8")
    codes = list(generate.CODES)
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == codes
    assert [code for code in codes if f"[{code}]: " not in page] == []
    assert set(generate.EXAMPLES) == set(codes)
