"""Loss curves as inline SVG: one small chart per objective."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 170, 38, 22, 22
OTHER = ("step", "tokens_per_second")


def curves(history: Sequence[Mapping[str, float]]) -> str:
    """One chart per name in the history, except the step and the speed.

    >>> curves([{"step": 1, "a/b": 2.0}, {"step": 2, "a/b": 1.0}]).count("<svg")
    1
    """
    names = list(dict.fromkeys(name for entry in history for name in entry if name not in OTHER))
    charts = []
    for name in names:
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        charts.append(_chart(name, points))
    return f"<div style='display:flex;flex-wrap:wrap;gap:18px'>{''.join(charts)}</div>"


def _chart(name: str, points: Sequence[tuple[float, float]]) -> str:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    most_x, most_y = max([*xs, 1.0]), max([*ys, 1e-9]) * 1.05

    def at(x: float, y: float) -> str:
        px = LEFT + (WIDTH - LEFT - 8) * x / most_x
        py = TOP + (HEIGHT - TOP - BOTTOM) * (1 - y / most_y)
        return f"{px:.1f},{py:.1f}"

    line = " ".join(at(x, y) for x, y in points)
    grid = "".join(
        f"<line x1='{LEFT}' x2='{WIDTH - 8}' y1='{at(0, most_y * k / 4).split(',')[1]}' "
        f"y2='{at(0, most_y * k / 4).split(',')[1]}' stroke='#e6e9f1'/>"
        f"<text x='{LEFT - 6}' y='{float(at(0, most_y * k / 4).split(',')[1]) + 4:.1f}' text-anchor='end'>"
        f"{most_y * k / 4:.2g}</text>"
        for k in range(5)
    )
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT}' viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>"
        f"<text x='{LEFT}' y='13' style='font-weight:600;fill:#1d2433'>{html.escape(name)}</text>{grid}"
        f"<polyline points='{line}' fill='none' stroke='#3558d4' stroke-width='1.8'/>"
        f"<text x='{WIDTH - 8}' y='{HEIGHT - 6}' text-anchor='end'>{most_x:,.0f} steps</text>"
        f"<text x='{WIDTH - 8}' y='{TOP + 4}' text-anchor='end'>{ys[-1]:.3f}</text></svg>"
    )
