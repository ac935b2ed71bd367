"""Whether a loss or a decoder suits a slot: matched by what is predicted and by objective, never by lists of names."""

from __future__ import annotations

from ..core.decoder import Decoder
from ..core.errors import Span
from ..core.loss import Loss, ObjectiveKind
from .diagnostics import Findings
from .resolve import Found

STANDS = {
    "predict": "on a target slot",
    "match": "beside `<->`",
    "rank": "on the first slot of a ranking `>`",
    "rollout": "with `reward=`",
    "align": "on a source slot",
}


def suitable_loss(
    found: Found, kind_of_slot: str, predicts: str | None, kind: ObjectiveKind, span: Span, findings: Findings
) -> bool:
    """Whether the loss serves this kind of objective for this slot; records why not."""
    part = found.entry.part
    name = found.entry.name
    if not (isinstance(part, type) and issubclass(part, Loss)):
        findings.error("OL220", f"the loss `{name}` must be a subclass of Loss, but is {part!r}", span)
        return False
    if part.kind != kind:
        findings.error(
            "OL212" if "rollout" in (part.kind, kind) else "OL209",
            f"the loss `{name}` stands {STANDS[part.kind]}, not {STANDS[kind]}",
            span,
            help=_advice(part.kind, kind),
        )
        return False
    needs = part.needs if kind not in ("align", "match") else ()
    return _fits("loss", found, kind_of_slot, predicts, needs, part.modalities, span, findings)


def suitable_decoder(found: Found, kind_of_slot: str, predicts: str | None, span: Span, findings: Findings) -> bool:
    """Whether the decoder can make what the slot's adapter predicts; records why not."""
    part = found.entry.part
    if not (isinstance(part, type) and issubclass(part, Decoder)):
        name = found.entry.name
        findings.error("OL220", f"the decoder `{name}` must be a subclass of Decoder, but is {part!r}", span)
        return False
    return _fits("decoder", found, kind_of_slot, predicts, part.needs, part.modalities, span, findings)


def _fits(
    word: str,
    found: Found,
    kind_of_slot: str,
    predicts: str | None,
    needs: tuple[str, ...],
    modalities: tuple[str, ...],
    span: Span,
    findings: Findings,
) -> bool:
    whole = f"the {word} `{found.entry.name}`"
    if modalities and kind_of_slot not in modalities:
        findings.error(
            "OL209",
            f"{whole} suits {', '.join(modalities)}, not {kind_of_slot}",
            span,
            help=f"drop `{word}=` for the usual one",
        )
        return False
    if needs and predicts not in needs:
        findings.error(
            "OL209",
            f"{whole} needs {' or '.join(needs)}, but {kind_of_slot} is predicted as {predicts}",
            span,
            help=f"drop `{word}=` for the usual one",
        )
        return False
    return True


def _advice(has: ObjectiveKind, wanted: ObjectiveKind) -> str:
    if has == "rollout":
        return "write `reward=equal`, or another installed reward, beside it"
    if wanted == "rollout":
        return "drop `reward=`, or write a loss that learns from rewards"
    return f"drop `loss=`, or use it {STANDS[has]}"
