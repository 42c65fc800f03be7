"""A review as a comment on a pull request: the verdict first, then moves, changes, findings and policies.

What people wrote appears as the text it is: no element, link, image, mention or reference comes of it, neither by
CommonMark's rules nor by what forges make of `@`, `#` or a bare address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from gitops_registry.changes import Change
from gitops_registry.comparison import Row
from gitops_registry.policy.report import Finding, Move
from gitops_registry.reporting.review import Applied, Review, differing, subject_of
from gitops_registry.reporting.values import clipped, counted, difference, plain

MARKER = "<!-- gitops-registry: check -->"
"""The first line of every comment, by which the one to update is found."""
COMMENT_LIMIT = 65_000
"""Bytes; GitHub takes 65,536 characters in a comment."""
_MOST = 1_024
"""Rows of any list, where there is room."""
_CELL = 600
_MARKS = {"pass": "✅", "error": "❌", "warning": "⚠️", "not-checked": "❔"}
_ESCAPED = str.maketrans(
    {"\\": "&#92;", "&": "&amp;", "<": "&lt;", ">": "&gt;", **{sign: f"\\{sign}" for sign in "`*_[]~!^"}}
)
_ACTIVE = re.compile(r"[@#$]|[!%&~^]\w|:\S|//|\S\.[^\W\d]|\bGH-\d|\b[0-9a-f]{7,64}\b", re.IGNORECASE)
"""What forges make something of in text that is already rendered: mentions, references, addresses, formulas, emoji."""
_OPENING = re.compile(r"[-+=]|\d+[.)]")


def markdown(review: Review, *, limit: int = COMMENT_LIMIT) -> str:
    """Return the comment, at most `limit` bytes of UTF-8: of longer lists the first entries and how many more there are."""
    return _fitting(lambda most: _text(review, most), limit)


def plan(changes: Sequence[Change], *, base: str, head: str, limit: int = COMMENT_LIMIT) -> str:
    """Return what changes as a comment of its own, at most `limit` bytes of UTF-8."""
    heading = f"## {counted(len(changes), 'change')}" if changes else "## Nothing changes"
    start = [MARKER, heading, f"{code(head)} into {code(base)}"]
    return _fitting(lambda most: _joined([*start, *_changes(changes, most)]), limit)


def _fitting(render: Callable[[int], str], limit: int) -> str:
    """Return a text with as many rows in each list as fit; without any where nothing fits."""
    most = _MOST
    while len((text := render(most)).encode()) > limit and most:
        most //= 2
    return text


def escaped(value: Any) -> str:
    """Return a value as Markdown that shows it as one line of text; words that a forge would act on become code."""
    return " ".join(
        _code(word) if _ACTIVE.search(word) else word.translate(_ESCAPED)
        for word in clipped(plain(value), _CELL).split()
    )


def code(value: Any) -> str:
    """Return a value as one code span, in which nothing has a meaning; `—` where it is empty."""
    return _code(" ".join(clipped(plain(value), _CELL).split()) or "—")


def _code(text: str) -> str:
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}"


def row(cells: Sequence[str]) -> str:
    """Return one row of a table; the cells are Markdown, in which no `|` ends them."""
    # Readers disagree on whether a backslash before `\\|` keeps it from ending the cell.
    return "| " + " | ".join(cell.replace("\\|", "\\¦").replace("|", "\\|") for cell in cells) + " |"


def comparison(rows: Sequence[Row], left: str, right: str) -> str:
    """Return a table of two sides and by how much they differ; the headings are text."""
    lines = [row(["", escaped(left), escaped(right), "difference", ""]), "| --- | ---: | ---: | ---: | --- |"]
    lines += [row([escaped(r.name), escaped(r.left), escaped(r.right), difference(r), r.verdict]) for r in rows]
    return "\n".join(lines)


def _text(review: Review, most: int) -> str:
    parts = [MARKER, _heading(review)]
    moved = review.moves
    for move in moved[:most]:
        parts += [f"### {_line(review.heading(move))}", *_contest(move, most)]
    parts += [f"{len(moved) - most} more moves"] if len(moved) > most else []
    parts += _changes(review.other_changes, most) if review.base else []
    parts += _findings(review, most)
    parts += _policies(review.policies, most)
    return _joined(parts)


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(review: Review) -> str:
    count = len(review.refusals)
    what = review.what.capitalize()
    if count:
        told = f"## ❌ {what} is refused: {count} finding{' stands' if count == 1 else 's stand'} in the way"
    else:
        told = f"## ✅ {what}{review.verdict.removeprefix(review.what)}"
    sides = f"{code(review.head)} into {code(review.base)}" if review.base else code(review.head) if review.head else ""
    return f"{told}\n\n{sides}" if sides else told


def _contest(move: Move, most: int) -> Iterator[str]:
    if move.champion is None:
        yield "No champion to compare with."
        return
    rows = differing(move)
    if move.champion == move.version:
        yield f"Version {move.version} held {code(move.stage)} last itself."
    elif not rows:
        yield f"The same as champion {move.champion} in everything that is compared."
    sides = (f"champion {move.champion}", f"challenger {move.version}")
    metrics = [r for r in rows if r.section == "metrics"]
    rest = [r for r in rows if r.section != "metrics"]
    if metrics[:most]:
        yield comparison(metrics[:most], *sides)
    if len(metrics) > most:
        yield f"{len(metrics) - most} more metrics differ"
    if rest[:most]:
        tables = [
            f"**{section}**\n\n{comparison(list(some), *sides)}"
            for section, some in groupby(rest[:most], key=lambda r: r.section)
        ]
        yield _folded(f"{counted(len(rest), 'more difference')}", tables)


def _folded(summary: str, parts: Sequence[str]) -> str:
    """Return parts that are shown when somebody opens them; the summary is ours."""
    return "\n\n".join((f"<details><summary>{summary}</summary>", *parts, "</details>"))


def _line(value: Any) -> str:
    """Return a value as text at the start of a line or an item, where `-` or `1.` would begin something."""
    text = escaped(value)
    first, _, rest = text.partition(" ")
    return f"{_code(plain(value).split()[0])} {rest}".rstrip() if _OPENING.match(first) else text


def _changes(changes: Sequence[Change], most: int) -> list[str]:
    if not changes:
        return []
    lines = [f"- {_line(change)}" for change in changes[:most]]
    lines += [f"- … and {len(changes) - most} more"] if len(changes) > most else []
    return ["### What changes", "\n".join(lines)]


def _findings(review: Review, most: int) -> list[str]:
    found = review.findings
    if not found:
        return []
    lines = [row(["", "rule", "finding", "where", "to pass"]), "| --- | --- | --- | --- | --- |"]
    lines += [_finding(review, finding) for finding in found[:most]]
    more = [f"{len(found) - most} more findings"] if len(found) > most else []
    return ["### Findings", "\n".join(lines) if most else "", *more]


def _finding(review: Review, finding: Finding) -> str:
    about = f"{code(subject_of(finding))} " if finding.model else ""
    where = code(f"{finding.path}:{finding.line}" if finding.line else finding.path) if finding.path else ""
    mark = "❌" if finding in review.refused else _MARKS[finding.result]
    return row([mark, code(finding.rule), about + escaped(finding.message), where, escaped(finding.hint)])


def _policies(applied: Sequence[Applied], most: int) -> list[str]:
    if not applied:
        return []
    lines = [row(["", "policy", "", "came to"]), "| --- | --- | --- | --- |"]
    lines += [_policy(policy) for policy in applied[:most]]
    more = [f"{len(applied) - most} more policies"] if len(applied) > most else []
    return ["### Policies", "\n".join(lines) if most else "", *more]


def _policy(applied: Applied) -> str:
    passed = f"{applied.counts.get('pass', 0)} of {len(applied.verdicts)} pass"
    waivers = ", ".join(code(verdict.rule) for verdict in applied.waived)
    told = "; ".join((passed, *map(escaped, applied.remarks)))
    return row(
        [_MARKS[applied.result], code(applied.policy), applied.scope, told + (f" ({waivers})" if waivers else "")]
    )
