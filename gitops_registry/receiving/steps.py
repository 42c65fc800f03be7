"""Decisions in a push: each first-parent step, judged under its own first parent as if it had come alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitops_registry import paths
from gitops_registry.access import holds, needed
from gitops_registry.approving import contribution, own_commits, unplanned
from gitops_registry.changes import DIRECT, Change, meaning, plan_digest
from gitops_registry.difference import diff, meaning_the_same
from gitops_registry.errors import RegistryError
from gitops_registry.evidence import agreed, gatherer
from gitops_registry.git.parsing import Commit
from gitops_registry.git.repository import EMPTY_TREE
from gitops_registry.manifest.parts import Permission
from gitops_registry.policy.check import check
from gitops_registry.policy.report import DECISION, Fact, Facts, Report
from gitops_registry.proposals import own_plan
from gitops_registry.receiving import elsewhere, signers
from gitops_registry.receiving.updates import Refusal
from gitops_registry.snapshot import PathChange, Snapshot
from gitops_registry.workplace import Workplace

REQUIRED: frozenset[Fact] = DECISION | {"actor"}


@dataclass(frozen=True)
class Court:
    """What a push is judged with: when it came, which of its commits are new, which proposals it brings, which facts
    must be known, and whether it is the first one, with all of the history.
    """

    now: datetime
    new: frozenset[str]
    proposed: tuple[str, ...] = ()
    required: frozenset[Fact] = REQUIRED
    is_first: bool = False


def step(place: Workplace, court: Court, oid: str, parent: str) -> Iterator[Refusal]:
    """Yield why one decision on `parent` is refused. The place knows no later decision than that parent."""
    place.decided = parent
    try:
        yield from _step(place, court, place.repository.commit(oid), place.repository.commit(parent))
    except RegistryError as error:
        yield Refusal("schema", error.message, error.hint, "", oid)


def _step(place: Workplace, court: Court, commit: Commit, parent: Commit) -> Iterator[Refusal]:
    before = place.snapshot(parent.oid)
    found, refusals = signers.signature(place.witnesses, commit, before, now=court.now)
    refusals += signers.dates(commit, now=court.now, after=parent.time, is_history=court.is_first)
    refusals += [*signers.texts(commit), *_shape(commit)]
    if refusals:  # whoever made it is nobody, or it is no decision: nothing else that is said of it would mean anything
        yield from refusals
        return
    head = commit.parents[1] if len(commit.parents) == 2 else ""
    changed = place.repository.changed_paths(parent.oid, commit.oid)
    if head:
        yield from _landing(place, court, commit, parent.oid, head, changed)
    elif not changed:
        yield Refusal("empty", "decides nothing", "leave it out", "", commit.oid)
    report = _report(place, court, commit, parent.oid, head, changed, found.member)
    yield from (Refusal(f.rule, f.message, f.hint, f.where, commit.oid) for f in report.refusals(court.required))
    same = meaning_the_same(before, report.changes, changed)
    yield from wording(before, commit, same, found.member)
    yield from _kind(place, before, report, commit, head, wording=bool(same))
    if not place.witnesses.members(before).may_write(found.member):
        message = f"{found.member} may not write"
        yield Refusal("permissions", message, "see who may: gitops-registry access who-can write", "", commit.oid)


def _shape(commit: Commit) -> Iterator[Refusal]:
    if len(commit.parents) > 2:
        message = f"joins {len(commit.parents)} histories, and a decision lands one proposal"
        yield Refusal("shape", message, "merge one proposal at a time: gitops-registry merge BRANCH", "", commit.oid)


def _report(
    place: Workplace, court: Court, commit: Commit, tip: str, head: str, changed: list[PathChange], member: str
) -> Report:
    """Return what the check says of a decision, with who made it and which approvals hold."""
    before, after = place.snapshot(tip), place.snapshot(commit.oid)

    def said(changes: Sequence[Change]) -> Facts:
        plan = plan_digest(changes, unplanned(changed, before))
        also = elsewhere.rejections(place, court.proposed, tip, head, plan) if head else []
        return agreed(place, tip, head, changes, Facts(actor=member), now=court.now, also=also)

    gather = gatherer(place, tip, said=said, now=court.now)
    return check(before, after, changed, gather, place.engine)


def _landing(
    place: Workplace, court: Court, commit: Commit, tip: str, head: str, changed: list[PathChange]
) -> Iterator[Refusal]:
    """A merge is the one that `merge` would make of a proposal, by members who may write what it is about."""
    hint = "let it be made anew: gitops-registry merge BRANCH"
    if place.repository.is_ancestor(head, tip):
        message = "has what was decided before as its second parent, so its parents are swapped or it lands nothing"
        onto = f"merge onto {place.branch}: git switch {place.branch}; gitops-registry merge BRANCH"
        yield Refusal("landing", message, onto, "", commit.oid)
        return
    if more := elsewhere.added(place, court.proposed, commit.oid, tip, head):
        message = f"lands a part of a proposal: {more.oid[:12]} ({more.subject[:60]}) was added to it since"
        whole = "land all of it, approved as it is now; or propose your part anew under another name"
        yield Refusal("landing", message, whole, "", commit.oid)
        return
    before, after, ours = place.landed(tip, head)
    wanted = {(change.path, change.new_mode, change.new_oid) for change in ours}
    there = {(change.path, change.new_mode, change.new_oid) for change in changed}
    if unlike := sorted(path for path, _, _ in wanted ^ there):
        message = f"is not the merge that would be made of its proposal: {unlike[0]} differs"
        yield Refusal("landing", message, hint, unlike[0], commit.oid)
        return
    if meaning(diff(before, after, ours)) != meaning(own_plan(place, tip, head)):
        yield Refusal("landing", "would land as something else than its proposal says", hint, "", commit.oid)
    own = own_commits(place.repository, tip, head)
    yield from signers.contributions(
        place.witnesses, own, before, new=court.new, now=court.now, is_history=court.is_first
    )
    if not changed:
        yield Refusal("empty", "decides nothing: its proposal changes nothing any more", "leave it out", "", commit.oid)


def wording(before: Snapshot, commit: Commit, same: Sequence[str], member: str) -> Iterator[Refusal]:
    """Yield a refusal for each file that changes and means the same, where its signer may not write it: no change speaks of it."""
    for path in same:
        model = paths.place_of(path).model
        wanted: Permission = "write" if model else "administer"
        if before.access is not None and not holds(before.access, member, wanted, model):
            message = f"{member} may not {wanted} {f'for {model}' if model else 'for the registry itself'}"
            yield Refusal("permissions", message, "see who may: gitops-registry access list", path, commit.oid)


def _kind(
    place: Workplace, before: Snapshot, report: Report, commit: Commit, head: str, *, wording: bool
) -> Iterator[Refusal]:
    """Direct decisions are for registries that take them; who wrote a proposal may write what it is about."""
    law = before.constitution
    if not head and not law.direct and (wording or any(change.kind not in DIRECT for change in report.changes)):
        message = "is a direct decision, and this registry takes changes as proposals only (direct: false)"
        yield Refusal("direct", message, "propose it on a branch, and merge that", "", commit.oid)
    if place.snapshot(commit.oid).constitution.branch != place.branch:
        message = f"decisions land on {place.branch} on this server"
        yield Refusal("branch", message, "whoever runs the server moves it first", paths.CONSTITUTION, commit.oid)
    access = before.access
    if not head or access is None:
        return
    models = sorted({model for _, model in needed(report.changes, before, law, access) if model})
    for one in own_commits(place.repository, commit.parents[0], head):
        writer = place.witnesses.signature(one.oid, before).member
        for model in models if writer and contribution(place.repository, one.oid).oid == one.oid else ():
            if not holds(access, writer, "write", model):
                message = f"{writer} may not write for {model}, and wrote part of this"
                hint = f"see who may: gitops-registry access who-can write {model}"
                yield Refusal("permissions", message, hint, "", commit.oid)


def first(place: Workplace, court: Court, tip: str, root: str) -> Iterator[Refusal]:
    """Yield why the history of a first push is refused: the registry is started by whoever holds the root key.

    What was committed before the registry was started is no decision of one; what follows is judged step by step.
    """
    if not root:
        hint = "whoever runs the server says once whose key starts it: gitops-registry hook install REPOSITORY --root SHA256:…"
        yield Refusal("root", "this server does not know whose registry it is", hint)
        return
    steps = place.repository.own_steps(tip, "0" * 40)
    start = next((at for at, oid in enumerate(steps) if _is_registry(place, oid)), None)
    if start is None:
        yield Refusal(
            "root", "is no registry: it has no registry.yaml", "start one: gitops-registry init --team", "", tip
        )
        return
    problems = list(_start(place, court, steps[start], steps[start - 1] if start else "", root))
    yield from problems
    if not problems:
        for parent, oid in zip(steps[start:], steps[start + 1 :], strict=False):
            yield from step(place, court, oid, parent)


def _is_registry(place: Workplace, oid: str) -> bool:
    return place.snapshot(oid).read(paths.CONSTITUTION) is not None


def _start(place: Workplace, court: Court, oid: str, parent: str, root: str) -> Iterator[Refusal]:
    """The first commit of a registry is signed by the root key, which an administrator named there holds."""
    place.decided = oid
    commit, after = place.repository.commit(oid), place.snapshot(oid)
    found, refusals = signers.signature(place.witnesses, commit, after, now=court.now)
    refusals += signers.dates(commit, now=court.now, is_history=True)
    if not refusals and found.fingerprint != root:
        message = f"the registry was started with {found.fingerprint}, and this server expects {root}"
        hint = "start it with that key: gitops-registry init --team --key FILE; or name another: gitops-registry hook install REPOSITORY --root"
        refusals.append(Refusal("root", message, hint, "", oid))
    access = after.access
    if not refusals and (access is None or not holds(access, found.member, "administer")):
        message = f"{found.member} started the registry and does not administer it"
        refusals.append(Refusal("root", message, f"say so in {paths.ACCESS}", paths.ACCESS, oid))
    yield from refusals
    if not refusals:
        before = Snapshot(place.repository.source(parent or EMPTY_TREE, "nothing"))
        changed = place.repository.changed_paths(parent or EMPTY_TREE, oid)

        gather = gatherer(place, oid, said=lambda _: Facts(actor=found.member, approvals=()), now=court.now)
        report = check(before, after, changed, gather, place.engine)
        yield from (Refusal(f.rule, f.message, f.hint, f.where, oid) for f in report.refusals(court.required))
