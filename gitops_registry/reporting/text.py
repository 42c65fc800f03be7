"""A review for a terminal: lines of spans that name a style; whoever prints them knows about colours.

No line can move a cursor or command the CI service that reads the log, whatever people wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from gitops_registry.changes import Change
from gitops_registry.policy.report import Move
from gitops_registry.reporting.review import Review, differing, is_decisive, subject_of
from gitops_registry.reporting.values import clean, clipped, columns, difference

Style = Literal["", "heading", "passed", "refused", "warning", "unchecked", "better", "worse"]
MARKS: dict[str, tuple[str, Style]] = {
    "pass": ("✓", "passed"),
    "error": ("✗", "refused"),
    "warning": ("!", "warning"),
    "not-checked": ("?", "unchecked"),
}
_ROWS = 12
"""As many lines of a comparison are told; `compare` tells all."""
_FEWER_ROWS = 6
_CELL = 40


class Span(NamedTuple):
    """Some words of a line and how they look."""

    text: str
    style: Style = ""


Line = tuple[Span, ...]


def terminal(review: Review, *, program: str = "gitops-registry") -> list[Line]:
    """Return the whole review: moves, other changes, findings, policies and, last, the verdict.

    `program` is what to type before a command.
    """
    lines = [*moves(review, program=program)]
    if review.base:
        lines += [(Span(clean(change)),) for change in review.other_changes]
    lines += findings(review)
    lines += policies(review)
    return [*lines, (Span(review.verdict, "refused" if review.refusals else "passed"),)]


def as_text(lines: Iterable[Line]) -> str:
    """Return lines without their styles."""
    return "".join("".join(span.text for span in line) + "\n" for line in lines)


def plan(changes: Sequence[Change]) -> list[Line]:
    """Return what changes, one line each."""
    return [(Span(clean(change)),) for change in changes] or [(Span("nothing changes"),)]


def moves(review: Review, *, program: str = "gitops-registry") -> Iterator[Line]:
    """Yield a line for each move and below it what differs between champion and challenger."""
    for move in review.moves:
        yield (Span(clean(review.heading(move)), "heading"),)
        yield from _contest(move, program, _ROWS)


def contests(review: Review, *, program: str = "gitops-registry") -> Iterator[Line]:
    """Yield the same in short, for whoever has the plan before their eyes: only the moves that have a champion to meet."""
    for move in review.report.moves:
        if move.champion not in (None, move.version):
            yield (Span(clean(move), "heading"),)
            yield from _contest(move, program, _FEWER_ROWS)


def _contest(move: Move, program: str, most: int) -> Iterator[Line]:
    if move.champion is None:
        yield (Span("  no champion to compare with"),)
        return
    if move.champion == move.version:
        yield (Span(f"  version {move.version} held {clean(move.stage)} last itself"),)
        return
    rows = differing(move)
    shown = [row for row in rows if is_decisive(row)][:most]
    if not rows:
        yield (Span(f"  the same as champion {move.champion} in everything that is compared"),)
    if shown:
        heading = ("", f"champion {move.champion}", f"challenger {move.version}", "difference", "")
        cells = [
            [clipped(clean(value), _CELL) for value in (row.name, row.left, row.right)] + [difference(row), row.verdict]
            for row in shown
        ]
        head, *body = columns([heading, *cells], numbers=(1, 2))
        yield (Span(f"  {head}"),)
        for row, line in zip(shown, body, strict=True):
            told = line.removesuffix(row.verdict) if row.verdict else line
            yield (Span(f"  {told}"), Span(row.verdict, row.verdict))
    if len(rows) > len(shown):
        asked = f"{program} compare {clean(move.model)} {move.champion} {move.version}"
        yield (Span(f"  {len(rows) - len(shown)} more: {asked}"),)


def findings(review: Review) -> Iterator[Line]:
    """Yield the findings, each with its place and the next step; of one that refuses, what would make it pass."""
    for finding in review.findings:
        mark, style = MARKS[finding.result]
        where = f" ({finding.where})" if finding.path else ""
        about = f"{subject_of(finding)}: " if finding.model else ""
        yield (
            Span(f"{mark} {clean(finding.rule)}: ", style),
            Span(clean(f"{about}{finding.message}{where}")),
        )
        for line in finding.excerpt.split("\n") if finding.excerpt else ():
            yield (Span(f"    | {clean(line)}"),)
        if finding.hint:
            yield (Span(f"    {clean(review.next_step(finding))}"),)


def policies(review: Review) -> Iterator[Line]:
    """Yield one line for each policy that applied."""
    for applied in review.policies:
        mark, style = MARKS[applied.result]
        told = ", ".join((applied.scope, *map(clean, applied.remarks)))
        yield (Span(f"{mark} {clean(applied.policy)} ", style), Span(told))
