"""`monitor`: what serves, measured again on the data its model pins, and judged by the policies of today.

A version that holds no more gets a proposal to take its stage away: back to who held it before, where that one holds, else out
of use. What was measured is told in the reason of the proposal, and recorded by nobody but `evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gitops_registry import edits, evaluating, moving
from gitops_registry.deciding import Intent, Outcome
from gitops_registry.errors import Conflict, Damaged, NotFound, RegistryError
from gitops_registry.evaluating import Evaluated
from gitops_registry.evidence import gatherer
from gitops_registry.forge.interface import Forge
from gitops_registry.history import before_present, came_back
from gitops_registry.manifest.facts import Person
from gitops_registry.policy.check import check
from gitops_registry.policy.gate import standing
from gitops_registry.policy.report import ADVICE, Facts, Judgement, Verdict, serving_versions
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

_NOBODY = Person(name="monitor")
"""Who measures: the measurement is looked at and not written down."""


@dataclass(frozen=True)
class Watched:
    """A version in a stage that serves: what was measured (None, and why in `unmeasured`), and the rules that it fails now.

    `is_damaged`: its bytes, or those of its data, are not what was registered. `outcome` is its demotion, None where it holds,
    or where it could not be proposed, as `note` says.
    """

    reference: Reference
    stage: str
    measured: Evaluated | None = None
    unmeasured: str = ""
    is_damaged: bool = False
    failed: tuple[Verdict, ...] = ()
    outcome: Outcome | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it may stay where it is."""
        return not self.failed and not self.is_damaged

    @property
    def is_worse(self) -> bool:
        """Whether that is known: a rule that could not be worked out because nothing could be measured says nothing of it."""
        return any(one.result == "fail" or self.measured is not None for one in self.failed)

    @property
    def reason(self) -> str:
        """Why it must go: each rule that it fails and what was found, and what was measured."""
        told = [f"{one.policy}/{one.rule}: {one.message}" for one in self.failed]
        if self.measured is not None:
            found = ", ".join(f"{name} {value:.4f}" for name, value in self.measured.metrics.items())
            told.append(f"measured again on {self.measured.data.dataset}, {self.measured.data.rows} rows: {found}")
        return f"{self.reference} holds {self.stage} no more.\n" + "\n".join(told)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "version": str(self.reference), "stage": self.stage, "holds": self.holds, "worse": self.is_worse, "damaged": self.is_damaged,
            "measured": self.measured.to_json() if self.measured else None, "unmeasured": self.unmeasured or None,
            "failed": [one.to_json() for one in self.failed],
            "demotion": self.outcome.to_json() if self.outcome else None, "note": self.note or None,
        }  # fmt: skip


def monitor(place: Workplace, *, forge: Forge | None = None, dry_run: bool = False) -> list[Watched]:
    """Measure and judge what serves, and propose demotions (as pull requests, on a `forge`); in order of model and version.

    What cannot be measured is judged by what is recorded. Raises RegistryError where a policy cannot be worked out.
    """
    tip = place.tip()
    snapshot = place.snapshot(tip)
    serving = serving_versions(snapshot, snapshot.constitution)
    watched = [_looked_at(place, snapshot, reference) for reference in serving]
    after = _with_measurements(snapshot, [one.measured for one in watched if one.measured])
    failed = _failed(place, after, tip, [one.reference.name for one in watched])
    found = []
    for one in watched:
        now = replace(
            one, failed=tuple(v for v in failed if (v.model, v.version, v.stage) == (*one.reference, one.stage))
        )
        found.append(_demoted(place, after, tip, now, forge, dry_run=dry_run) if now.is_worse else now)
    place.tell("")
    return found


def _looked_at(place: Workplace, snapshot: Snapshot, reference: Reference) -> Watched:
    one = Watched(reference, snapshot.stage_of(reference))
    try:
        return replace(one, measured=_measured(place, snapshot, reference))
    except Damaged as error:
        return replace(one, unmeasured=error.message, is_damaged=True)
    except RegistryError as error:
        return replace(one, unmeasured=error.message)


def _measured(place: Workplace, snapshot: Snapshot, reference: Reference) -> Evaluated:
    if snapshot.known_model(reference.name).evaluation is not None and not evaluating.measurable(snapshot, reference):
        raise RegistryError("nothing here reads its format")
    return evaluating.evaluate(place, snapshot, [reference])[0]


def _with_measurements(snapshot: Snapshot, found: Iterable[Evaluated]) -> Snapshot:
    """Return the registry as if what was measured now were recorded."""
    now = datetime.now(UTC)
    for one in found:
        written = edits.add_evaluation(snapshot, one.reference, one.to_record(_NOBODY, now))
        snapshot = snapshot.with_edits(written)
    return snapshot


def _failed(place: Workplace, after: Snapshot, tip: str, names: Sequence[str]) -> tuple[Verdict, ...]:
    """Return the rules that what serves fails. History is read of the models that fail one only, to see who was put back."""

    def judged(names: Sequence[str], back: dict[tuple[str, str], frozenset[int]]) -> tuple[Verdict, ...]:
        models = tuple(sorted(set(names)))
        judgement = Judgement(
            None, after, (), (), Facts(now=datetime.now(UTC)), after.constitution, after.access, models
        )
        return standing(judgement, place.engine, lambda one, stage: one.number in back.get((one.name, stage), ()))

    first = judged(names, {})
    places = {(one.model, one.stage) for one in first}
    known = {at: came_back(place.repository, tip, *at) for at in places}
    return judged([name for name, _ in places], known) if any(known.values()) else first


def _demoted(
    place: Workplace, after: Snapshot, tip: str, one: Watched, forge: Forge | None, *, dry_run: bool
) -> Watched:
    name, number = one.reference
    if _successor(place, after, tip, one.reference, one.stage) is None:
        intent: Intent = moving.archival(name, number, reason=one.reason)
    else:
        intent = moving.rollback(place, name, one.stage, None, reason=one.reason)
    try:
        outcome = moving.change(place, intent, direct=False, dry_run=dry_run, forge=forge)
    except RegistryError as error:
        return replace(one, note=f"{error.message} ({error.hint})" if error.hint else error.message)
    return replace(one, outcome=outcome)


def _successor(place: Workplace, after: Snapshot, tip: str, reference: Reference, stage: str) -> Reference | None:
    """Return who held an exclusive stage before, if that version may come back today: measured again, and by every rule."""
    if not after.known_stage(stage).exclusive:
        return None
    try:
        last = before_present(place.repository, tip, after, name=reference.name, stage=stage)
        edit = edits.restore(after, last.reference, stage, last.back)
    except (NotFound, Conflict):
        return None
    looked = _looked_at(place, after, last.reference)
    if looked.is_damaged:
        return None
    base = _with_measurements(after, [looked.measured] if looked.measured else [])
    there = base.with_edits(edit)
    changed = [change for change in there.changed_paths() if change.path in edit]
    if check(base, there, changed, gatherer(place, tip), place.engine).refusals(ADVICE):
        return None
    failed = _failed(place, there, tip, [reference.name])
    return None if any((v.model, v.version) == last.reference for v in failed) else last.reference
