"""The report of a run as one HTML file that opens from disk: numbers, curves, predictions with pictures, plans."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.plan import Plan
from .report_curves import curves

STYLE = """
:root { --ink: #1d2433; --soft: #667089; --line: #dfe3ec; --good: #0b7a4b; --card: #ffffff; --page: #f5f6fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 12px; }
p.lead { color: var(--soft); margin: 0 0 8px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 16px 18px; margin: 12px 0; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.above { color: var(--good); font-weight: 650; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; margin: 8px 0 0; }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; }
.shot { border: 1px solid var(--line); border-radius: 8px; padding: 10px; background: #fff; font-size: 13px; }
.shot img { width: 96px; height: 96px; image-rendering: pixelated; border-radius: 4px; }
.shot img { display: block; margin-bottom: 6px; }
.right { color: var(--good); } .wrong { color: #b3261e; } .soft { color: var(--soft); }
mark { background: #fdeeb8; border-radius: 3px; padding: 0 2px; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
"""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One row of the table: a metric beside its trivial baseline, both as shares, and what the number means."""

    task: str
    metric: str
    ours: float
    baseline: float
    baseline_name: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A prediction to show: `picture` or `text` in, what came out, whether it is right (None: no verdict)."""

    task: str
    answer: str
    truth: str
    score: float | None = None
    right: bool | None = None
    picture: Any = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report shows."""

    title: str
    lead: str
    scores: Sequence[Score]
    shots: Sequence[Shot]
    history: Sequence[Mapping[str, float]]
    plans: Mapping[str, Plan]
    facts: Mapping[str, str]
    caveats: Sequence[str] = field(default_factory=tuple)

    def to_html(self) -> str:
        """The page, complete in itself."""
        body = [
            f"<h1>{_safe(self.title)}</h1><p class=lead>{_safe(self.lead)}</p>",
            "<h2>Held-out metrics</h2>" + self._scores(),
            "<h2>Losses</h2><div class=card>" + curves(self.history) + "</div>",
            "<h2>Predictions on held-out rows</h2>" + self._shots(),
            "<h2>What the numbers do not prove</h2>" + self._caveats(),
            "<h2>Plans</h2>" + self._plans(),
            "<h2>The run</h2>" + self._facts(),
        ]
        head = (
            "<!doctype html><html lang=en><head><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width, initial-scale=1'>"
            f"<title>{_safe(self.title)}</title><style>{STYLE}</style></head>"
        )
        return head + "<body><main>" + "\n".join(body) + "</main></body></html>\n"

    def _scores(self) -> str:
        rows = "".join(
            f"<tr><td>{_safe(s.task)}</td><td>{_safe(s.metric)}</td><td class='number {_verdict(s)}'>{s.ours:.1%}</td>"
            f"<td class=number>{s.baseline:.1%}</td><td class=soft>{_safe(s.baseline_name)}</td>"
            f"<td class=number>{s.rows:,}</td></tr>"
            for s in self.scores
        )
        head = (
            "<tr><th>task</th><th>metric</th><th class=number>this model</th><th class=number>trivial</th>"
            "<th>the trivial answer</th><th class=number>rows</th></tr>"
        )
        return f"<div class=card><table>{head}{rows}</table></div>"

    def _shots(self) -> str:
        out = []
        for task in dict.fromkeys(shot.task for shot in self.shots):
            shots = [shot for shot in self.shots if shot.task == task]
            pictures = any(shot.picture is not None for shot in shots)
            inner = "".join(_shot(shot) for shot in shots)
            inner = f"<div class=shots>{inner}</div>" if pictures else inner
            out.append(f"<div class=card><b>{_safe(task)}</b>{inner}</div>")
        return "".join(out)

    def _caveats(self) -> str:
        return "<div class=card><ul>" + "".join(f"<li>{_safe(c)}</li>" for c in self.caveats) + "</ul></div>"

    def _plans(self) -> str:
        return "".join(
            f"<div class=card><b>{_safe(name)}</b> <code>{_safe(plan.text)}</code>"
            f"<pre>{_safe(plan.explain())}</pre></div>"
            for name, plan in self.plans.items()
        )

    def _facts(self) -> str:
        rows = "".join(f"<tr><th>{_safe(k)}</th><td>{_safe(v)}</td></tr>" for k, v in self.facts.items())
        return f"<div class=card><table>{rows}</table></div>"


def _verdict(score: Score) -> str:
    return "above" if score.ours > score.baseline else "wrong"


def _shot(shot: Shot) -> str:
    verdict = "" if shot.right is None else "right" if shot.right else "wrong"
    score = "" if shot.score is None else f" <span class=soft>{shot.score:.0%}</span>"
    answer = f"<span class='{verdict}'>{_safe(shot.answer or '(nothing)')}</span>{score}"
    truth = f"<div class=soft>true: {_safe(shot.truth)}</div>"
    if shot.picture is None:
        return (
            f"<p><span class=soft>in</span> {_safe(shot.text or '')}<br><span class=soft>out</span> {answer}{truth}</p>"
        )
    return f"<div class=shot><img alt='' src='{_data_uri(shot.picture)}'>{answer}{'' if shot.right else truth}</div>"


def _data_uri(picture: Any) -> str:
    held = io.BytesIO()
    picture.save(held, format="PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def _safe(text: str) -> str:
    return html.escape(str(text))
