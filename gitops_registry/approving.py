"""Approvals without a forge: signed empty commits on a proposal's branch, and which of them hold.

One binds to the digest of the plan and to the decision it was judged on. It holds as long as the plan is that one, nobody
decided about the same things since, and whoever gave it may decide such a plan, is a person and wrote none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from gitops_registry import paths
from gitops_registry.access import holds, needed
from gitops_registry.changes import Change, plan_digest
from gitops_registry.difference import is_unmanaged
from gitops_registry.errors import RegistryError
from gitops_registry.git.parsing import Commit
from gitops_registry.git.repository import Repository
from gitops_registry.identity import Witnesses, deciding_member
from gitops_registry.snapshot import PathChange, Snapshot

Verb = Literal["approve", "reject"]
_MOST = 500
"""Commits of one proposal that are looked at: more are no proposal that anybody could read."""
_WORDS: tuple[tuple[str, Verb], ...] = (("Approves", "approve"), ("Rejects", "reject"))


class Word(NamedTuple):
    """One approval or rejection: the plan's digest and the decision it was judged on, as the commit says."""

    oid: str
    kind: Verb
    plan: str
    base: str
    comment: str


@dataclass(frozen=True)
class Consent:
    """What members say of one plan. `given`: whose approval holds; `objections`: who rejected it, and why; `discounted`:
    approvals that do not hold, each with the reason; `contributors`: who wrote it; `unsigned`: commits that no member signed,
    so that nobody knows who wrote them.
    """

    given: tuple[str, ...] = ()
    objections: tuple[tuple[str, str], ...] = ()
    discounted: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()


def message(verb: Verb, subject: str, plan: str, base: str) -> tuple[str, str]:
    """Return the subject and the trailers of the commit that approves or rejects."""
    word = "Approves" if verb == "approve" else "Rejects"
    return f"{verb} {subject}", f"{word}-Plan: {plan}\n{word}-Base: {base}"


def word(repository: Repository, commit: Commit) -> Word | None:
    """Return the approval or rejection that a commit is; None for one that changes anything, or says neither or both."""
    return word_of(commit, lambda oid: repository.commit(oid).tree)


def word_of(commit: Commit, tree_of: Callable[[str], str]) -> Word | None:
    """Return what `word` does, where `tree_of` knows the tree of a commit."""
    said = [(kind, commit.trailers(f"{name}-Plan"), commit.trailers(f"{name}-Base")) for name, kind in _WORDS]
    spoken = [(kind, plans, bases) for kind, plans, bases in said if plans or bases]
    if len(spoken) != 1 or len(spoken[0][1]) != 1 or len(spoken[0][2]) != 1:
        return None
    if len(commit.parents) != 1 or tree_of(commit.parents[0]) != commit.tree:
        return None
    kind, (plan,), (base,) = spoken[0]
    told = commit.body.strip().split("\n\n")[1:-1]
    return Word(commit.oid, kind, plan, base, "\n\n".join(told).strip())


def own_commits(repository: Repository, tip: str, head: str) -> list[Commit]:
    """Return the commits of a proposal that no decision has, oldest first. Raises RegistryError for more than anybody reads."""
    told = repository.run("rev-list", "--topo-order", "--reverse", f"--max-count={_MOST + 1}", head, f"^{tip}").split()
    if len(told) > _MOST:
        raise RegistryError(
            f"the proposal has more than {_MOST} commits", hint="make it again from the newest decision, in fewer"
        )
    return [repository.commit(oid) for oid in told]


def contribution(repository: Repository, head: str, tip: str = "") -> Commit:
    """Return the newest commit of a proposal that is no approval, no rejection, and (where `tip` says what was decided) no
    merge that only brings it up to date.
    """
    commit = repository.commit(head)
    for _ in range(_MOST):
        if not commit.parents:
            break
        proposed = brought_up(repository, commit, tip) if tip else ""
        if not proposed and word(repository, commit) is None:
            break
        commit = repository.commit(proposed or commit.parents[0])
    return commit


@dataclass(frozen=True)
class Landing:
    """A proposal `head` on its way onto `tip`, and what stands beside its commits.

    `others` are the files that land with it and stand in no plan; `also` are rejections that other branches carry;
    `authors` are the members who wrote part of it as a forge says.
    """

    tip: str
    head: str
    others: Sequence[PathChange] = ()
    also: Sequence[Commit] = ()
    authors: frozenset[str] = frozenset()


def consent(
    witnesses: Witnesses, before: Snapshot, changes: Sequence[Change], landing: Landing, now: datetime | None = None
) -> Consent:
    """Return what members say of a plan that lands, under the keys and roles of `before`.

    A rejection stands until the same member approves on top of it. A merge that only brings a branch up to date is
    nobody's contribution.
    """
    now, repository, tip = now or datetime.now(UTC), witnesses.repository, landing.tip
    said: list[Word] = []
    unsigned: list[str] = []
    contributors = set(landing.authors)
    commits = own_commits(repository, tip, landing.head)
    elsewhere = [found for commit in landing.also if (found := word(repository, commit)) and found.kind == "reject"]
    for commit in commits:
        found = word(repository, commit)
        if found is not None:
            said.append(found)
        elif not brought_up(repository, commit, tip):
            signature = witnesses.signature(commit.oid, before, now=now)
            contributors |= witnesses.authors(commit.oid, before) | ({signature.member} - {""})
            unsigned += [] if signature.is_good else [commit.oid]
    case = Case(witnesses, before, changes, landing.others, tip, frozenset(contributors), now)
    heard: dict[str, list[Word]] = {}
    discounted: list[str] = []
    for one in (*said, *elsewhere):
        member, problem = case.speaker(one)
        if problem:
            discounted.append(problem)
        else:
            heard.setdefault(member, []).append(one)
    given, objections = [], []
    for member, words in heard.items():
        if standing := case.rejection(words):
            objections.append((member, standing.comment))
            continue
        problems = [case.void(member, one) for one in words if one.kind == "approve"]
        if "" in problems:
            given.append(member)
        else:
            discounted += problems[-1:]
    told = tuple(dict.fromkeys(discounted))
    return Consent(tuple(given), tuple(objections), told, tuple(sorted(contributors)), tuple(unsigned))


@dataclass(frozen=True)
class Case:
    """One plan, and what an approval of it is measured by."""

    witnesses: Witnesses
    before: Snapshot
    changes: Sequence[Change]
    others: Sequence[PathChange]
    tip: str
    contributors: frozenset[str]
    now: datetime

    def speaker(self, one: Word) -> tuple[str, str]:
        """Return the member whose word it is, and why it is nobody's that counts."""
        what = "approval" if one.kind == "approve" else "rejection"
        signature = self.witnesses.signature(one.oid, self.before, now=self.now)
        if not signature.is_good:
            return "", f"the {what} {one.oid[:12]} does not count: {signature.problem or 'it is unsigned'}"
        member = signature.member
        asked = may_approve if one.kind == "approve" else may_reject
        problem = asked(self.before, self.changes, member)
        return member, f"the {what} of {member} does not count: {problem}" if problem else ""

    def rejection(self, words: Sequence[Word]) -> Word | None:
        """Return the rejection of one member that stands: none of their approvals was said on top of it."""
        approved = [one.oid for one in words if one.kind == "approve"]
        rejected = [one for one in words if one.kind == "reject"]
        return next(
            (r for r in rejected if not any(self.witnesses.repository.is_ancestor(r.oid, oid) for oid in approved)),
            None,
        )

    def void(self, member: str, one: Word) -> str:
        """Say why an approval does not hold for this plan; empty where it does."""
        if member in self.contributors:
            return f"the approval of {member} does not count: {member} wrote part of it"
        if one.plan != plan_digest(self.changes, self.others):
            return f"the approval of {member} does not count: it approves another plan than what would land now"
        if not self.witnesses.repository.follows(self.tip, one.base):
            return (
                f"the approval of {member} does not count: it was judged on {one.base[:12]}, which is no decision here"
            )
        if newer := self._decided_since(one.base):
            return f"the approval of {member} does not count: {newer[:12]} decided about the same since"
        return ""

    def _decided_since(self, base: str) -> str:
        """Return a decision after `base` that touched what this plan touches; empty where none did."""
        return self.witnesses.repository.first_step(self.tip, base, *touched(self.changes))


def brought_up(repository: Repository, commit: Commit, tip: str) -> str:
    """Return the commit of a proposal that a merge only joins with decisions: one side's files with exactly the edits of the
    other on top. Empty for any other commit.

    That is what a forge makes to bring a branch up to date, and to try it in a queue.
    """
    if len(commit.parents) != 2:
        return ""
    for decided, proposed in (commit.parents, commit.parents[::-1]):
        if repository.is_ancestor(decided, tip):
            origin = repository.merge_base(decided, proposed)
            brought, edits = repository.changed_paths(decided, commit.oid), repository.changed_paths(origin, proposed)
            if _results(brought) == _results(edits):
                return proposed
    return ""


def _results(changed: Sequence[PathChange]) -> set[tuple[str, str, str]]:
    return {(change.path, change.new_mode, change.new_oid) for change in changed}


def touched(changes: Sequence[Change]) -> list[str]:
    """Return the folders and files a plan is about: of a model everything, of anything else the files it changes."""
    found: set[str] = set()
    for change in changes:
        names = {change.model, str(change.after) if change.kind == "model_renamed" else ""} - {""}
        found |= {folder for name in names for folder in (f"{paths.MODELS}/{name}", f"cards/{name}")}
        found |= {p.path for p in change.paths if not names or paths.place_of(p.path).role == "unknown"}
    return sorted(found)


def unplanned(changed: Sequence[PathChange], before: Snapshot) -> list[PathChange]:
    """Return the changed files that stand in no plan: the registry leaves them to others, and an approval sees them all the same."""
    globs = before.constitution.unmanaged
    return [change for change in changed if is_unmanaged(change.path, globs)] if globs else []


def may_approve(before: Snapshot, changes: Sequence[Change], name: str) -> str:
    """Say why a member may not approve a plan: it takes a person who holds every permission that it needs. Empty if so."""
    access = before.access
    member = access.member(name) if access else None
    if access is None or member is None:
        return f"{name} is no member"
    if member.kind != "person":
        return f"{name} is a service"
    for permission, model in needed(changes, before, before.constitution, access):
        if not holds(access, name, permission, model):
            return f"{name} may not {permission} {f'for {model}' if model else 'for the registry itself'}"
    return ""


def may_reject(before: Snapshot, changes: Sequence[Change], name: str) -> str:
    """Say why a member may not reject a plan: it takes a person who may decide any of it. Empty if so."""
    access = before.access
    member = access.member(name) if access else None
    if access is None or member is None or member.kind != "person":
        return f"{name} is no member" if member is None else f"{name} is a service"
    pairs = needed(changes, before, before.constitution, access)
    return "" if any(holds(access, name, *pair) for pair in pairs) else f"{name} may decide nothing of it"


def who_speaks(repository: Repository, before: Snapshot, changes: Sequence[Change], verb: Verb) -> str:
    """Return the member whose key signs here. Raises RegistryError where that is nobody whose word on the plan counts."""
    member, key = deciding_member(repository, before.access)
    if member is None:
        raise RegistryError(
            "an approval is a signature, and no key that signs is configured here",
            hint="git config gpg.format ssh; git config user.signingKey ~/.ssh/id_ed25519.pub; an administrator adds that key: gitops-registry access add",
        )
    if not member:
        raise RegistryError(
            f"{key} belongs to no member",
            hint="an administrator adds it: gitops-registry access add, or access rotate-key",
        )
    if problem := (may_approve if verb == "approve" else may_reject)(before, changes, member):
        raise RegistryError(f"this would not count: {problem}", hint="see who may: gitops-registry access list")
    return member
