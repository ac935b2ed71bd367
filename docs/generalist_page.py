"""The page that `generalist.py` writes: the table of both kinds of model, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = """# One model, all of it

One tiny `ofa` model learns {count} tasks at once, with {modalities} in and out.
Beside it, for each task, a specialist with the same budget for that task: as many steps, as many of its rows in each,
the same backbone, tokenizer, learning rate and schedule. All begin from random weights. `make generalist` makes this
page again.

| task | metric | generalist | specialist | ratio | constant | above constant | rows seen |
|---|---|---:|---:|---:|---:|---:|---:|
"""

TAIL = """
**Mean ratio {ratio}** over {counted} tasks, with **{share:.0%} of the parameters**: {general:,} in the generalist,
{special:,} in the {count} specialists together. OFASys reports 95% with 16% for its own tasks, measured the same way:
the generalist's metric over the specialist's (the inverse where less is better), averaged, and parameters over the
sum of the specialists'.

Training took {general_seconds:,.0f} s for the generalist ({steps:,} steps of {rows} rows) and {special_seconds:,.0f} s
for all specialists, on {threads} threads of a CPU. Each figure is on {judged} held-out rows at most.

| | |
|---|---|
| backbone | `{backbone}` |
| learning rate | {learning_rate:g}, cosine |
{lines}

## What it shows, and what not

- It shows that every modality trains in one model and one batch, in and out, through one line of text each, and what
  a task loses or gains by the company of the others.
- "Above constant" is the fairer figure: (generalist - constant) / (specialist - constant), where the constant is what
  the best constant answer scores on the same rows. A ratio can be high only because both are near the constant; a dash
  stands where the specialist itself does not beat it.
- The budget is equal in steps and in rows of a task, and a specialist's batches are small for that: it sees {each} rows
  a step on average. A specialist with larger batches, or one that was tuned for its task, may do better or worse; so
  may the generalist, of which only the weights of two losses were chosen, by their size.
- A specialist is as large as the generalist, so {count} of them have about {count} times its parameters. What a model
  of a {count}th of the size could do alone with its task is not measured.
- The models are tiny, the training short, the data small or made, and many held-out rows resemble training rows. With
  {judged} rows an accuracy moves by some points by chance alone, and there is one seed. It does not show that tasks
  help each other, nor how large models behave.
"""


def written(results: Mapping[str, Any]) -> str:
    """The page."""
    general, special = results["generalist"], results["specialists"]
    lines, ratios = [], []
    for member in results["members"]:
        name = member["name"]
        ours, own = general["tasks"][name], special[name]["tasks"][name]
        ratio = ratio_of(ours["value"], own["value"], lower=own["lower"])
        above = above_constant(ours["value"], own["value"], own["trivial"], lower=own["lower"])
        ratios += [ratio] if ratio is not None else []
        figures = [figure(ours["value"]), figure(own["value"]), percent(ratio), figure(own["trivial"]), percent(above)]
        way = "↓" if own["lower"] else "↑"
        seen = f"{general['rows'].get(name, 0):,}"
        lines.append(f"| {name} | {member['metric']} {way} | {' | '.join(figures)} | {seen} |")
    total = sum(one["parameters"] for one in special.values())
    return (
        HEAD.format(count=len(lines), modalities=modalities_of(results))
        + "\n".join(lines)
        + "\n"
        + TAIL.format(
            ratio=percent(sum(ratios) / len(ratios) if ratios else None),
            counted=len(ratios),
            share=general["parameters"] / max(total, 1),
            general=general["parameters"],
            special=total,
            count=len(lines),
            general_seconds=general["seconds"],
            special_seconds=sum(one["seconds"] for one in special.values()),
            steps=general["steps"],
            rows=results["settings"]["rows"],
            threads=results["threads"],
            each=f"{results['settings']['rows'] / max(len(lines), 1):.1f}",
            judged=results["judged"],
            backbone=results["settings"]["backbone"],
            learning_rate=results["settings"]["learning_rate"],
            lines="\n".join(f"| {m['name']} | `{m['line'].replace('|', '&#124;')}` |" for m in results["members"]),
        )
    )


def ratio_of(ours: float | None, own: float | None, *, lower: bool) -> float | None:
    """The generalist's share of the specialist's metric; the inverse where less is better.

    >>> ratio_of(0.9, 1.0, lower=False), ratio_of(10.0, 8.0, lower=True), ratio_of(0.1, 0.0, lower=False)
    (0.9, 0.8, None)
    """
    if ours is None or own is None:
        return None
    above, below = (own, ours) if lower else (ours, own)
    return above / below if below > 0 and above >= 0 else None


def above_constant(ours: float | None, own: float | None, constant: float | None, *, lower: bool) -> float | None:
    """The same of what lies above the best constant answer; None where the specialist does not beat it."""
    if ours is None or own is None or constant is None:
        return None
    sign = -1 if lower else 1
    gain = sign * (own - constant)
    return sign * (ours - constant) / gain if gain > 0 else None


def modalities_of(results: Mapping[str, Any]) -> str:
    """The types that stand in the lines."""
    kinds = ("TEXT", "IMAGE", "VIDEO", "AUDIO", "MOTION", "BOX", "STRUCT", "PHONE", "CATEGORY", "CHAT")
    text = " ".join(member["line"] for member in results["members"])
    found = [kind for kind in kinds if f"[{kind}" in text]
    return ", ".join(found)


def figure(value: float | None) -> str:
    """Three places, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    """As a share of a hundred, or a dash."""
    return "-" if value is None else f"{100 * value:.0f}%"
