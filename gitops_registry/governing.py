"""What people ask of policies: which there are, what one says of a version and why, whether their tests hold; and waivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gitops_registry import edits, paths
from gitops_registry.deciding import Intent
from gitops_registry.difference import diff
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.evidence import gatherer
from gitops_registry.manifest.parts import plain
from gitops_registry.manifest.policies import LONGEST_WAIVER, Waiver
from gitops_registry.manifest.writing import dump
from gitops_registry.policy import trials
from gitops_registry.policy.applying import Work
from gitops_registry.policy.explaining import Explained, explained
from gitops_registry.policy.gate import unknown_stages
from gitops_registry.policy.report import Finding, Judgement
from gitops_registry.policy.rulebook import Rulebook, rulebook
from gitops_registry.policy.subjects import subjects
from gitops_registry.reference import Reference, did_you_mean
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.workplace import Workplace


@dataclass(frozen=True)
class Explanation:
    """What the policies of the base say of a version on its way to a stage, or in it. `is_closed`: none speaks for it there."""

    reference: Reference
    stage: str
    is_there: bool
    policies: tuple[Explained, ...]
    broken: tuple[Finding, ...] = ()
    is_closed: bool = False

    @property
    def refusals(self) -> int:
        """How many rules refuse it where every fact is required."""
        found = sum(rule.verdict.is_in_the_way for one in self.policies for rule in one.rules)
        return found + len(self.broken) + sum(bool(one.problem) for one in self.policies) + self.is_closed

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "version": str(self.reference),
            "stage": self.stage,
            "is_there": self.is_there,
            "refusals": self.refusals,
            "is_closed": self.is_closed,
            "policies": [one.to_json() for one in self.policies],
            "broken": [finding.to_json() for finding in self.broken],
        }


def explain(place: Workplace, name: str, version: int | str, to: str, *, from_work_tree: bool = False) -> Explanation:
    """Return what the policies say of a version that would move to a stage, and why.

    The policies are those of the branch of decisions, which would judge it; `from_work_tree`: as their files lie there.
    Raises NotFound.
    """
    tip = place.tip()
    before = place.snapshot(tip)
    reference, stage = before.resolve_named(name, version), before.known_stage(to).name
    book = rulebook(current(place) if from_work_tree else before)
    is_there = before.stage_of(reference) == stage
    after = before if is_there else before.with_edits(edits.promote(before, reference, stage))
    changed = after.changed_paths()
    changes = diff(before, after, changed)
    facts = gatherer(place, None if is_there else tip)(after, changes, (reference.name,) if is_there else None)
    judgement = Judgement(
        None if is_there else before, after, changes, changed, facts, before.constitution, before.access,
        (reference.name,), (reference,),
    )  # fmt: skip
    asked = [one for one in subjects(judgement) if (one.reference, one.stage) == (reference, stage)]
    if not asked:
        raise RegistryError(
            f"{reference} is in {stage}, where nothing is asked of a version",
            hint=f"name where it would go: gitops-registry policy explain {reference} --to STAGE",
        )
    found = explained(judgement, asked[0], book, place.engine)
    is_way_out = stage in before.constitution.ways_out
    broken = tuple(one for one in book.broken if paths.place_of(one.path).role == "policy" and not is_way_out)
    is_closed = asked[0].is_serving and not is_there and not any(one.speaks for one in found)
    return Explanation(reference, stage, is_there, tuple(found), broken, is_closed)


def current(place: Workplace) -> Snapshot:
    """Return the registry as its files lie in the work tree; as HEAD has it in a bare repository or at a revision."""
    if place.repository.work_tree is None or place.revision is not None or place.mirror is not None:
        return place.snapshot()
    return place.work_tree()[1]


def book_of(place: Workplace, names: Sequence[str] = ()) -> tuple[Snapshot, Rulebook]:
    """Return the policies as their files lie here (those that are named). Raises NotFound for one that is not there."""
    snapshot = current(place)
    book = rulebook(snapshot)
    known = {sheet.name for sheet in book.sheets} | {paths.place_of(one.path).file for one in book.broken}
    wanted = [name.removeprefix(f"{paths.POLICIES}/").removesuffix(".yaml") for name in names]
    for name in wanted:
        if name not in known:
            raise NotFound(f"no policy {name!r} here", hint=did_you_mean(name, tuple(sorted(known))))
    if not wanted:
        return snapshot, book
    sheets = tuple(sheet for sheet in book.sheets if sheet.name in wanted)
    broken = tuple(one for one in book.broken if paths.place_of(one.path).file in wanted)
    return snapshot, Rulebook(sheets, broken, book.waivers)


@dataclass(frozen=True)
class Tested:
    """What the tests of policies came to, and all that is wrong with the policies."""

    tried: tuple[trials.Tried, ...]
    findings: tuple[Finding, ...]
    policies: tuple[str, ...]


def tested(place: Workplace, names: Sequence[str]) -> Tested:
    """Run the tests of the policies as they lie here. Raises NotFound for one that is not there."""
    return tested_in(place, *book_of(place, names))


def tested_in(place: Workplace, snapshot: Snapshot, book: Rulebook) -> Tested:
    """Run the tests of some policies of a revision."""
    work = Work()
    prepared = [one for sheet in book.sheets for one in trials.prepare(work, sheet)]
    run = work.run(place.engine)
    sheets = {sheet.name: sheet.checked(run, work.programs) for sheet in book.sheets}
    results = trials.tried([one.of(sheets[one.sheet.name]) for one in prepared], run, snapshot)
    problems = [finding for sheet in sheets.values() for finding in sheet.problems]
    problems += unknown_stages(snapshot, book)
    found = [*book.broken, *problems, *trials.findings(tuple(sheets.values()), results)]
    return Tested(tuple(results), tuple(found), tuple(sheets))


def waiving(place: Workplace, version: str, rules: Sequence[str], *, days: int, reason: str) -> Intent:
    """Return the wish to lift soft rules (`policy/rule`) for one version for some days, from now on.

    Raises RegistryError for a rule that is not there or that nothing lifts, more days than a waiver may have, no reason.
    """
    if not reason.strip():
        raise RegistryError(
            "a waiver needs a reason", hint="give it with -m: who accepts what, and until when it is mended"
        )
    if not 1 <= days <= LONGEST_WAIVER.days:
        raise RegistryError(f"a waiver lasts 1 to {LONGEST_WAIVER.days} days", hint=f"--days {LONGEST_WAIVER.days}")
    policy, names = _rules(place.snapshot(place.tip()), rules)
    now = datetime.now(UTC).replace(microsecond=0)

    def edit(before: Snapshot) -> Edits:
        reference = before.resolve(version)
        waiver = Waiver(
            policy=policy, rules=names, model=reference.name, version_yaml=before.oid(paths.version_path(*reference)),
            reason=reason, not_before=now, expires=now + timedelta(days=days),
        )  # fmt: skip
        path = _free_path(before, f"{reference.name}-{reference.number}-{policy}"[:120])
        return {path: dump(waiver, path)}

    def told(before: Snapshot) -> str:
        return f"waive {policy}/{','.join(names)} for {before.resolve(version)}"

    def branch(before: Snapshot) -> str:
        reference = before.resolve(version)
        return f"waive/{reference.name}/{reference.number}/{policy}"

    return Intent(edit=edit, subject=told, branch=branch, reason=reason)


def _rules(snapshot: Snapshot, rules: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the policy and the rules that words like `policy/rule` name."""
    sheets = {sheet.name: sheet for sheet in rulebook(snapshot).sheets}
    found: dict[str, list[str]] = {}
    for text in rules:
        policy, _, rule = text.partition("/")
        if policy not in sheets:
            raise NotFound(f"no policy {policy!r} in {snapshot.label}", hint=did_you_mean(policy, tuple(sheets)))
        known = {one.id: one.enforcement for one in sheets[policy].policy.validations}
        if rule not in known:
            raise NotFound(f"{policy} has no rule {rule!r}", hint=did_you_mean(rule, tuple(known)))
        if known[rule] != "soft":
            why = "nothing lifts it" if known[rule] == "hard" else "it refuses nothing"
            raise RegistryError(f"{text} is {known[rule]}: {why}", hint="only soft rules can be waived")
        found.setdefault(policy, []).append(rule)
    if len(found) != 1:
        raise RegistryError("a waiver is for rules of one policy", hint="make one for each: POLICY/RULE …")
    policy, names = next(iter(found.items()))
    return policy, tuple(dict.fromkeys(names))


def _free_path(snapshot: Snapshot, name: str) -> str:
    path, number = paths.waiver_path(name), 1
    while snapshot.oid(path):
        number += 1
        path = paths.waiver_path(f"{name}-{number}")
    return path


def waivers_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the waivers of a revision as data, each with what it is now: active, to come, expired, or of other facts."""
    now = datetime.now(UTC)
    found = []
    for name, waiver in rulebook(snapshot).waivers.items():
        meant = [
            number
            for number in snapshot.versions(waiver.model)
            if snapshot.oid(paths.version_path(waiver.model, number)) == waiver.version_yaml
        ]
        state = "to come" if now < waiver.not_before else "expired" if now >= waiver.expires else "active"
        found.append(
            {**plain(waiver), "name": name, "versions": meant, "state": state if meant else "of no version here"}
        )
    return found
