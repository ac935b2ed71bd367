"""The report as one page that opens from disk."""

import re
from html.parser import HTMLParser

import omniline as ol
from omniline.tasks.report import Report, Score, Shot


class Closed(HTMLParser):
    """Whether tags are closed in order."""

    void = {"meta", "img", "br"}

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"{tag} closes nothing"


def page(small):
    report = Report(
        title="<Title>",
        lead="& so on",
        scores=[Score(task="digit", metric="accuracy", ours=0.957, baseline=0.1, baseline_name="always “0”", rows=359)],
        shots=[
            Shot(task="digit", answer="<b>7</b>", truth="7", score=0.93, right=True, picture=small.picture(0)),
            Shot(task="digit", answer="1", truth="7", score=0.5, right=False, picture=small.picture(1)),
            Shot(task="fill", answer="a cat", truth="a cat", text="a ▢"),
        ],
        history=[{"step": 0, "digit/digit": 2.0, "tokens_per_second": 9.0}, {"step": 10, "digit/digit": 0.5}],
        plans={"digit": ol.compile("[IMAGE:img] which? -> [TEXT:digit]")},
        facts={"machine": "2 threads"},
        caveats=["not everything"],
    )
    return report.to_html()


def test_the_page_is_complete_in_itself(small):
    html = page(small)
    assert not re.search(r"(src|href)=['\"](?!data:)", html), "nothing is fetched"
    assert html.count("src='data:image/png;base64,") == 2
    parser = Closed()
    parser.feed(html)
    assert not parser.open or parser.open == ["html"]


def test_numbers_curves_predictions_plans_and_caveats(small):
    html = page(small)
    for part in ("95.7%", "10.0%", "359", "polyline", "digit/digit", "a ▢", "not everything", "2 threads", "93%"):
        assert part in html
    assert "[IMAGE:img] which? -&gt; [TEXT:digit]" in html


def test_what_was_predicted_is_never_markup(small):
    html = page(small)
    assert "<b>7</b>" not in html and "&lt;b&gt;7&lt;/b&gt;" in html and "&lt;Title&gt;" in html
