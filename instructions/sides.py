"""One side of an arrow: brackets become groups or text, `>` becomes a ranking or text, white space is settled."""

from __future__ import annotations

from typing import NamedTuple

from ..core.errors import Label, Span
from ..core.plan import Arrow, Side
from .brackets import group_brackets
from .diagnostics import Findings
from .lexer import Token
from .nodes import Group, Item, Ranking, Slot, Text

MOST_DEPTH = 8


class Gt(NamedTuple):
    """A lone `>` that is not yet known to rank or to be text."""

    span: Span


class Nothing(NamedTuple):
    """A slot that could not be read: it parts text as a slot does, and leaves nothing behind."""

    span: Span


Entry = Item | Gt | Nothing


def build(text: str, tokens: list[Token], side: Side, arrow: Arrow, findings: Findings) -> tuple[Item, ...]:
    """The items of one side."""
    groups = group_brackets(text, tokens, side, arrow, findings)
    level: list[Entry] = []
    stack: list[list[Entry]] = []
    opened: list[Token] = []
    finish = _Finish(text, side, arrow, findings)
    for index, token in enumerate(tokens):
        if index in groups and token.kind == "open":
            stack.append(level)
            opened.append(token)
            level = []
            if len(stack) == MOST_DEPTH + 1:
                findings.error(
                    "OL118", f"groups nest at most {MOST_DEPTH} deep", token.span, help="read the inner part as STRUCT"
                )
        elif index in groups:
            least, most = 0, None
            if token.quantifier and token.quantifier.least is not None:
                least, most = token.quantifier.least, token.quantifier.most
            span = Span(opened.pop().start, token.end)
            items = finish(level, grouped=True) if len(stack) <= MOST_DEPTH else ()
            level = stack.pop()
            level.append(Group(items, least, most, span))
        else:
            level.append(_entry(token))
    return finish(level, grouped=False)


def _entry(token: Token) -> Entry:
    if token.kind == "slot" and token.slot:
        return token.slot
    if token.kind == "bad":
        return Nothing(token.span)
    if token.kind == "gt":
        return Gt(token.span)
    return Text(token.text, token.span)


class _Finish:
    """Turns the entries of one level into items."""

    __slots__ = ("arrow", "findings", "ranked", "side", "text")

    def __init__(self, text: str, side: Side, arrow: Arrow, findings: Findings) -> None:
        self.text, self.side, self.arrow, self.findings = text, side, arrow, findings
        self.ranked: Span | None = None

    def __call__(self, entries: list[Entry], *, grouped: bool) -> tuple[Item, ...]:
        merged = self._rankings(_merge(entries), grouped)
        return self._spaces(_merge(merged))

    def _rankings(self, entries: list[Entry], grouped: bool) -> list[Entry]:
        out: list[Entry] = []
        chain: list[Slot] = []
        at = 0
        while at < len(entries):
            entry = entries[at]
            if not isinstance(entry, Gt):
                out.append(entry)
                at += 1
                continue
            left = _beside(entries, at, -1)
            right = _beside(entries, at, 1)
            if left is None or right is None:
                self._touching(entry, entries, left, right)
                out.append(Text(">", entry.span))
                at += 1
                continue
            while not isinstance(out[-1], (Slot, Ranking, Nothing)):
                out.pop()
            following = entries[right]
            last = out.pop()
            chain = list(last.slots) if isinstance(last, Ranking) else [last] if isinstance(last, Slot) else []
            chain += [following] if isinstance(following, Slot) else []
            if not chain:
                out.append(Nothing(entry.span))
            else:
                end = following.span.end
                out.append(Ranking(tuple(chain), Span(chain[0].span.start, end)))
                self._placed(entry, grouped)
            at = right + 1
        self._judge(out, grouped)
        self._doubled(out)
        return out

    def _touching(self, gt: Gt, entries: list[Entry], left: int | None, right: int | None) -> None:
        if (left is None and right is None) or self.side == "source" or self.arrow == "<->":
            return
        self.findings.warning(
            "OL123",
            "`>` beside one slot is text",
            gt.span,
            label="ranks nothing",
            help=r"a ranking is `[TEXT:best] > [TEXT:worse]`; a literal one is `\>`",
            fix=r"\>",
        )

    def _doubled(self, entries: list[Entry]) -> None:
        """Warn of `>>` between two target slots, which is text."""
        if self.side == "source" or self.arrow == "<->":
            return
        for left, entry, right in zip(entries, entries[1:], entries[2:], strict=False):
            if not (isinstance(entry, Text) and isinstance(left, Slot) and isinstance(right, Slot)):
                continue
            written = self.text[entry.span.start : entry.span.end]
            run = written.strip()
            if len(run) > 1 and not run.strip(">"):
                start = entry.span.start + written.index(run)
                self.findings.warning(
                    "OL123",
                    f"`{run}` between two slots is text",
                    Span(start, start + len(run)),
                    help="a ranking has exactly one `>`",
                    fix=">",
                )

    def _placed(self, gt: Gt, grouped: bool) -> None:
        where = "inside a group" if grouped else "on the source side" if self.side == "source" else "beside `<->`"
        if not grouped and self.side == "target" and self.arrow == "->":
            return
        self.findings.error(
            "OL121",
            f"a ranking cannot stand {where}",
            gt.span,
            label="ranks the slots around it",
            help=r"it ends the target of `->`; a literal one is `\>`",
            fix=r"\>",
        )

    def _judge(self, entries: list[Entry], grouped: bool) -> None:
        rankings = [entry for entry in entries if isinstance(entry, Ranking)]
        for ranking in rankings:
            other = next((slot for slot in ranking.slots if slot.type != ranking.slots[0].type), None)
            if other:
                first = ranking.slots[0]
                self.findings.error(
                    "OL122",
                    "a ranking compares slots of one modality",
                    other.span,
                    labels=(Label(first.span, f"this is {first.type}"), Label(other.span, f"this is {other.type}")),
                    help=r"a literal `>` is `\>`",
                )
        if not rankings or grouped or self.side == "source" or self.arrow != "->":
            return
        if len(rankings) > 1:
            self.findings.error(
                "OL121",
                "an instruction holds at most one ranking",
                rankings[1].span,
                labels=(Label(rankings[0].span, "the first"), Label(rankings[1].span, "another")),
                help=r"a literal `>` is `\>`",
            )
            return
        after = [e for e in entries[entries.index(rankings[0]) + 1 :] if not _blank(e)]
        if after:
            self.findings.error(
                "OL121",
                "a ranking must be the last of the target",
                after[0].span,
                labels=(Label(rankings[0].span, "the ranking"), Label(after[0].span, "stands after it")),
                help=r"move it to the end; a literal `>` is `\>`",
            )

    def _spaces(self, entries: list[Entry]) -> tuple[Item, ...]:
        """Drop white space at the ends; between two slots it is one space on a side that is encoded, else nothing."""
        entries = [entry for entry in entries if not isinstance(entry, Nothing)]
        keep = " " if self.side == "source" or self.arrow == "<->" else ""
        out: list[Item] = []
        for index, entry in enumerate(entries):
            if not isinstance(entry, Text):
                assert not isinstance(entry, (Gt, Nothing)), "settled before"
                out.append(entry)
                continue
            words = entry.text
            ends = index in (0, len(entries) - 1)
            if not words.strip():
                words = "" if ends else keep
            else:
                words = words.lstrip() if index == 0 else words
                words = words.rstrip() if index == len(entries) - 1 else words
            if words:
                out.append(Text(words, entry.span))
        return tuple(out)


def _merge(entries: list[Entry]) -> list[Entry]:
    """Neighbouring texts become one."""
    out: list[Entry] = []
    run: list[Text] = []
    for entry in [*entries, None]:
        if isinstance(entry, Text):
            run.append(entry)
            continue
        if run:
            joined = "".join(text.text for text in run)
            out.append(Text(joined, Span(run[0].span.start, run[-1].span.end)))
            run = []
        if entry is not None:
            out.append(entry)
    return out


def _blank(entry: Entry) -> bool:
    return isinstance(entry, Text) and not entry.text.strip()


def _beside(entries: list[Entry], at: int, step: int) -> int | None:
    """The index of the slot next to `at`, white space apart, or None."""
    other = at + step
    if 0 <= other < len(entries) and _blank(entries[other]):
        other += step
    if 0 <= other < len(entries) and isinstance(entries[other], (Slot, Nothing)):
        return other
    return None
