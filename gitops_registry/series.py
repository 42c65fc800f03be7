"""Many decisions in a row: each judged on the one before it, all of them landed by one move of the branch.

What one of them costs does not grow with their number, and a work tree is brought along once. Whoever is killed before
the move leaves the registry as it was; the decisions are the same ones that `decide` would make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitops_registry.deciding import Intent, Outcome, about_kept, deciding, judge, message_of
from gitops_registry.errors import Conflict, Moved, RegistryError
from gitops_registry.evidence import gatherer
from gitops_registry.git.landing import forget_unlanded, write_commit
from gitops_registry.gto import agreed
from gitops_registry.policy.check import check
from gitops_registry.policy.report import DECISION, Finding
from gitops_registry.snapshot import Content, Snapshot
from gitops_registry.workplace import Workplace

_TRIES = 20


@dataclass(frozen=True)
class Step:
    """One decision that is wanted: the first of its `choices` that is accepted.

    Refusals by the rules that `over` names do not count (`policies`: by any policy); the commit says what they were.
    """

    choices: tuple[Intent, ...]
    over: frozenset[str] = frozenset()


Made = Outcome | RegistryError
"""What became of a step: its outcome, or why it could not be made at all."""


def decide_all(place: Workplace, steps: Sequence[Step], *, is_caught_up: bool = False) -> list[Made]:
    """Commit the steps that are accepted, in order, and return what became of each.

    A step that is refused or cannot be made changes nothing and stops none of the others. The outcomes of refused steps
    are those of their last choice. Raises Conflict where somebody else keeps moving the branch.
    """
    with deciding(place, dry_run=False, is_caught_up=is_caught_up):
        for _ in range(_TRIES):
            tip = at = place.tip()
            scratch, made = "", []
            for step in steps:
                found, kept = _decided(place, step, at)
                made.append(found)
                if isinstance(found, Outcome) and found.commit is not None:
                    at, scratch = found.commit, kept
            if at == tip:
                return made
            try:
                left = place.move({place.ref: (tip, at)}, scratch=scratch)
            except Moved:
                if place.mirror is not None:
                    place.mirror.refresh()
                continue
            forget_unlanded(place.repository)
            if left and isinstance(made[-1], Outcome):
                made[-1] = replace(made[-1], notes=(*made[-1].notes, *about_kept(left)))
            return made
    raise Conflict(f"{place.branch} keeps changing; nothing was written", hint="try again")


def _decided(place: Workplace, step: Step, at: str) -> tuple[Made, str]:
    """Return what becomes of a step on the commit `at`, and the ref that keeps its commit."""
    found: Made = RegistryError("nothing was wanted")
    for intent in step.choices:
        before = place.snapshot(at)
        try:
            after, report = judge(place, intent, at, dry_run=False)
            subject = intent.subject(before)
        except RegistryError as error:
            found = error
            continue
        refusals, lifted = _sorted_out(report.refusals(DECISION), step.over)
        if refusals or not after.changed_paths():
            found = Outcome(subject, report, refusals)
            continue
        message = message_of(subject, intent.reason, _taken_over(lifted))
        commit, scratch = write_commit(place.repository, after.edits, parents=[at], message=message)
        return Outcome(subject, report, commit=commit, notes=_told(lifted)), scratch
    return found, ""


def foresee_all(place: Workplace, steps: Sequence[Step]) -> list[Made]:
    """Return what would become of the steps, each on the ones before it; nothing is written."""
    tip = place.tip()
    before, made = place.snapshot(tip), []
    for step in steps:
        found: Made = RegistryError("nothing was wanted")
        for intent in step.choices:
            try:
                found, after = _foreseen(place, intent, before, tip, step.over)
            except RegistryError as error:
                found = error
                continue
            if not found.is_refused:
                before = after
                break
        made.append(found)
    return made


def _foreseen(
    place: Workplace, intent: Intent, before: Snapshot, tip: str, over: frozenset[str]
) -> tuple[Outcome, Snapshot]:
    written: dict[str, Content | None] = dict(agreed(before, intent.edit(before)))
    after = before.with_edits(written)
    changed = [change for change in after.changed_paths() if change.path in written]
    report = check(before, after, changed, gatherer(place, tip, brings=intent.brings), place.engine)
    refusals, lifted = _sorted_out(report.refusals(DECISION), over)
    return Outcome(intent.subject(before), report, refusals, notes=_told(lifted)), after


def _sorted_out(refusals: Sequence[Finding], over: frozenset[str]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return the refusals that stand, and those that are taken over; a rule of a policy goes by the name `policies`."""
    taken = [f for f in refusals if f.rule in over or ("/" in f.rule and "policies" in over)]
    return tuple(f for f in refusals if f not in taken), tuple(taken)


def _told(lifted: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(f"taken over although {finding.rule}: {finding.message}" for finding in lifted)


def _taken_over(lifted: Sequence[Finding]) -> str:
    if not lifted:
        return ""
    lines = (f"- {finding.rule}: {finding.message}" for finding in lifted)
    return "\n".join(("Taken over as it is, although the check refuses it:", *lines))
