"""How long it holds what the policies said of versions that stand where they are.

It follows from files, and from the moment in three ways: a waiver begins or ends, a measurement that says it comes from the future
begins to count, and a rule reads the time. What such a rule says is worked out for later moments too. Where each part of it that
reads the time is one comparison, and no `||` joins any, it can change but once: what passes now and then passes in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gitops_registry.errors import ManifestError
from gitops_registry.policy.applying import Applied, Question, Work, ask, came_of, match_problem
from gitops_registry.policy.data import measurements
from gitops_registry.policy.engine import Engine
from gitops_registry.policy.facts import SKEW
from gitops_registry.policy.grammar import ITEM, UNKNOWN, Node, reads
from gitops_registry.policy.report import Judgement
from gitops_registry.policy.rulebook import Rulebook, Sheet, rulebook
from gitops_registry.policy.subjects import Subject

AHEAD = (timedelta(days=30), timedelta(days=1))
"""How far ahead the rules that read the time are worked out, the longest first."""
_ORDERS = frozenset({"<", "<=", ">", ">="})


def ends(judgement: Judgement, engine: Engine, asked: Sequence[Subject]) -> list[datetime]:
    """Return until when holds what the policies say at the moment of the judgement, of each subject, in order.

    That moment itself where nothing can be said. Everything else that it follows from is in files.
    """
    now = judgement.facts.now
    assert now is not None
    book = rulebook(judgement.after)
    found = [_next_moment(judgement, book, one, now) for one in asked]
    timed = [sheet for sheet in book.sheets if any(part.reads_of("now") for part in sheet.all())]
    work = Work()
    open_to: list[list[list[Question]]] = []
    for at, subject in enumerate(asked):
        meant = [sheet for sheet in timed if not match_problem(sheet, subject)[0]]
        if not all(map(_is_plain, meant)):
            found[at] = now
        moments = [now, *(now + ahead for ahead in AHEAD)] if meant and found[at] > now else []
        open_to.append([[_asked(work, sheet, subject, moment) for sheet in meant] for moment in moments])
    run = work.run(engine)
    for at, (first, *later) in ((at, moments) for at, moments in enumerate(open_to) if moments):
        come = [[_told(came_of(one, run, judgement.after, book, None)) for one in same] for same in (first, *later)]
        steady = (now + ahead for ahead, then in zip(AHEAD, come[1:], strict=True) if then == come[0])
        found[at] = min(found[at], next(steady, now)) if run.is_whole else now
    return found


def _asked(work: Work, sheet: Sheet, subject: Subject, moment: datetime) -> Question:
    facts = work.add_facts(_read_by(sheet, {**subject.facts, "now": moment}))
    base = work.add_facts(_read_by(sheet, {**subject.base, "now": moment}))
    return ask(work, sheet, subject, facts=facts, base=base)


def _read_by(sheet: Sheet, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return of some facts what a policy reads: they are handed over once for every moment."""
    found: dict[str, Any] = {}
    for path, _ in (read for part in sheet.all() for read in part.reads):
        root, step = path[0], path[1] if len(path) > 1 else UNKNOWN
        if root not in facts or (root in found and found[root] is facts[root]):
            continue
        if step in {ITEM, UNKNOWN} or not isinstance(facts[root], Mapping):
            found[root] = facts[root]
        else:
            part = found.setdefault(root, {})
            part |= {step: facts[root][step]} if step in facts[root] else {}
    return found


def _told(applied: Applied) -> tuple[Any, ...]:
    return applied.is_about, applied.speaks, applied.verdicts


def _next_moment(judgement: Judgement, book: Rulebook, subject: Subject, now: datetime) -> datetime:
    """Return when the next waiver begins or ends, or a measurement begins to count."""
    moments = [
        moment
        for waiver in book.waivers.values()
        for moment in (waiver.not_before, waiver.expires)
        if waiver.model in subject.names
    ]
    try:
        moments += [one.created - SKEW for one in measurements(judgement.after, subject.reference)]
    except ManifestError:
        return now
    return min((moment for moment in moments if moment > now), default=datetime.max.replace(tzinfo=now.tzinfo))


def _is_plain(sheet: Sheet) -> bool:
    """Whether what a policy says changes but once as time goes by; how it says that something fails may read what it likes."""
    return all(
        not part.reads_of("now") or part.use == "message" or (part.use == "rule" and _changes_once(part.node))
        for part in sheet.all()
    )


def _changes_once(node: Node) -> bool:
    if not _reads_time(node):
        return True
    if node.kind == "operator" and node.name == "&&":
        return all(map(_changes_once, node.children))
    return (
        node.kind == "operator"
        and node.name in _ORDERS
        and len(node.children) == 2
        and all(map(_is_shifted, node.children))
    )


def _is_shifted(node: Node) -> bool:
    """Whether a part is the time with something added or taken away, or does not read it."""
    if not _reads_time(node):
        return True
    if node.kind == "operator" and node.name in {"+", "-"} and len(node.children) > 1:
        return all(map(_is_shifted, node.children))
    return node.kind == "read" and node.path == ("now",)


def _reads_time(node: Node) -> bool:
    return any(path[0] == "now" for path, _ in reads(node))
