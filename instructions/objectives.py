"""What is optimised: an objective for each supervised target slot, or one for a match, a ranking or an alignment."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.catalog import Catalog
from ..core.errors import Label
from ..core.loss import Loss
from ..core.plan import Objective
from ..core.settings import Value
from .diagnostics import Findings
from .drafts import USUAL_LOSS, Draft, Place
from .nodes import Wording
from .resolve import Found, filled, find
from .routing import Universal
from .suits import suitable_loss

USUAL_SAMPLES = 8


def matching_loss(places: Sequence[Place], wording: Wording, catalog: Catalog, findings: Findings) -> Found | None:
    """The loss of a `<->`: the one that a slot writes, else the usual one."""
    name, span = USUAL_LOSS["match"], wording.span
    for place in places:
        for attribute in place.slot.attributes:
            if attribute.key == "loss" and attribute.values:
                name, span = attribute.values[0].text, attribute.value_span
    return find(catalog, "losses", name, span, findings)


def objectives_of(
    drafts: Sequence[Draft], wording: Wording, matching: Found | None, findings: Findings
) -> tuple[Objective, ...]:
    """All objectives of one wording, those of the target first, then alignments."""
    if wording.arrow == "<->":
        found = _match(drafts, wording, matching, findings)
        return (found,) if found else ()
    out: list[Objective] = []
    ranked = tuple(draft.place.index for draft in drafts if draft.place.rank is not None)
    for draft in drafts:
        if draft.place.role != "target" or draft.losing is None:
            continue
        if draft.place.rank is not None:
            out.append(Objective(kind="rank", loss=draft.losing, weight=_weight(draft.universal), slots=ranked))
        elif draft.reward is not None:
            out.append(_rollout(draft))
        else:
            one = (draft.place.index,)
            out.append(Objective(kind="predict", loss=draft.losing, weight=_weight(draft.universal), slots=one))
    out += [found for draft in drafts if (found := _align(draft, drafts, findings))]
    return tuple(out)


def _weight(universal: Universal) -> float:
    value = universal.values.get("weight", 1.0)
    return float(value) if isinstance(value, (int, float)) else 1.0


def _rollout(draft: Draft) -> Objective:
    assert draft.losing is not None, "asked by the caller"
    samples = draft.universal.values.get("samples", USUAL_SAMPLES)
    return Objective(
        kind="rollout",
        loss=draft.losing,
        weight=_weight(draft.universal),
        slots=(draft.place.index,),
        reward=draft.reward,
        samples=samples if isinstance(samples, int) else USUAL_SAMPLES,
    )


def _align(draft: Draft, drafts: Sequence[Draft], findings: Findings) -> Objective | None:
    """An objective for a source slot whose `loss=` aligns it to the first target of tokens."""
    if draft.place.role != "source" or draft.losing is None or draft.loss is None:
        return None
    span = draft.universal.span("loss", draft.slot)
    needs = draft.loss.entry.part.needs or ("tokens",)
    targets = [d for d in drafts if d.place.role == "target" and d.made and d.made.predicts in needs]
    against = next((d for d in targets if not d.given), targets[0] if targets else None)
    name = draft.loss.entry.name
    if against is None:
        if all(d.made for d in drafts):
            findings.error(
                "OL214",
                f"the loss `{name}` aligns to a target of {' or '.join(needs)}, but there is none",
                span,
                help="add one, as `-> [TEXT:text]`",
            )
        return None
    if draft.place.depth or against.place.depth:
        findings.error("OL214", f"the loss `{name}` cannot align slots inside groups", span)
        return None
    return Objective(
        kind="align",
        loss=draft.losing,
        weight=_weight(draft.universal),
        slots=(draft.place.index,),
        against=against.place.index,
    )


def _match(drafts: Sequence[Draft], wording: Wording, matching: Found | None, findings: Findings) -> Objective | None:
    for side in ("source", "target"):
        if not any(draft.place.side == side for draft in drafts):
            findings.error(
                "OL215",
                "`<->` matches two sides, but one of them has no slot",
                wording.span,
                help="write `[IMAGE:img] <-> [TEXT:cap]`",
            )
            return None
    for key in ("loss", "weight"):
        writing = [draft for draft in drafts if key in draft.universal.places]
        if len(writing) > 1:
            places = [draft.universal.places[key].span for draft in writing]
            findings.error(
                "OL215",
                f"one slot beside `<->` may have `{key}`, but {len(writing)} have",
                places[1],
                labels=tuple(Label(span, "here") for span in places),
                help="keep one",
            )
    if matching is None:
        return None
    return _matched(drafts, wording, matching, findings)


def _matched(drafts: Sequence[Draft], wording: Wording, matching: Found, findings: Findings) -> Objective | None:
    writer = next((draft for draft in drafts if "loss" in draft.universal.places), None)
    span = writer.universal.span("loss", writer.slot) if writer else wording.span
    if not suitable_loss(matching, drafts[0].slot.type, None, "match", span, findings):
        return None
    part: type[Loss] = matching.entry.part
    for draft in drafts[1:]:
        if part.modalities and not suitable_loss(matching, draft.slot.type, None, "match", span, findings):
            return None
    settings: dict[str, Value] = {}
    for draft in drafts:
        for key, value in draft.loss_settings.items():
            if settings.setdefault(key, value) != value:
                findings.error(
                    "OL215", f"the slots beside `<->` write different `{key}`", draft.slot.inside, help="keep one"
                )
    made = filled(matching, settings, span, findings)
    weighted = next((draft for draft in drafts if "weight" in draft.universal.values), drafts[0])
    if made is None:
        return None
    return Objective(kind="match", loss=matching.part(made.settings()), weight=_weight(weighted.universal))
