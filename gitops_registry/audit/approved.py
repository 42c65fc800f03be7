"""Who agreed to what a decision landed: signed approvals on the proposal's branch, and reviews that the decision wrote down.

The rules are those that landing itself goes by (`approving`), asked for the whole history at a time: which commits a merge
brought follows from the decisions before it, and so does who decided about the same in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gitops_registry.approving import Word, brought_up, may_approve, may_reject, touched, unplanned, word_of
from gitops_registry.audit.proof import Approval, Author, Grade
from gitops_registry.audit.walking import Step
from gitops_registry.changes import Change, plan_digest
from gitops_registry.git.line import graph
from gitops_registry.git.parsing import Commit, parse_commit
from gitops_registry.git.repository import Repository
from gitops_registry.identity import Signature, Witnesses
from gitops_registry.manifest.members import Access
from gitops_registry.paths import place_of
from gitops_registry.snapshot import Snapshot

_MOST = 500
"""Commits of one proposal that are looked at: more are no proposal that anybody could read."""
_LARGEST = 1 << 20
_REVIEW = re.compile(r"(?P<member>\S+) \S+ review:\S+ commit:[0-9a-f]{40} plan:(?P<plan>[0-9a-f]{64})")
"""How `merge` writes a review down (`Attested-Approval`)."""


class Agreement:
    """What is known of the proposals that the decisions after a commit, up to a tip, landed. `see` is told of each, oldest first.

    `is_whole`: every decision in between is told, so that who decided about the same since is known without asking git.
    """

    def __init__(self, repository: Repository, witnesses: Witnesses, tip: str, after: str, *, is_whole: bool) -> None:
        self._repository, self._witnesses = repository, witnesses
        self._tip, self._after, self._is_whole = tip, after, is_whole
        self._landed: dict[str, list[str]] | None = None
        self._position: dict[str, int] = {}
        self._touched: dict[str, int] = {}

    def see(self, step: Step) -> None:
        """Take note of a decision, after it was asked about."""
        at = len(self._position)
        self._position[step.commit.oid] = at
        for change in step.changed:
            model = place_of(change.path).model
            for name in (f"models/{model}", f"cards/{model}") if model else ():
                self._touched[name] = at
            self._touched[change.path] = at

    def contributed(self, step: Step) -> list[tuple[Commit, bytes]] | None:
        """Return the commits that a merge landed, oldest first, with their bytes; None where they are more than anybody reads."""
        if self._landed is None:
            self._landed = _landed(graph(self._repository, self._tip, self._after), self._tip)
        own = self._landed.get(step.commit.oid, [])
        if len(own) > _MOST:
            return None
        found = self._repository.objects.get_many(own, limit=_LARGEST)
        return [
            (parse_commit(one.oid, one.data), one.data) for one in found if one is not None and one.data is not None
        ]

    def told(
        self, step: Step, changes: Sequence[Change], contributed: Sequence[tuple[Commit, bytes]], signer: str
    ) -> tuple[list[Approval], list[Author]]:
        """Return what members said of the plan that a merge landed, in the order in which they said it, and who wrote it,
        in order of name: whoever merges wrote nothing by that.
        """
        law = step.law
        access = self._witnesses.members(law)
        trees = {commit.oid: commit.tree for commit, _ in contributed}
        words: list[tuple[Word, Signature]] = []
        wrote: set[str] = set()
        authors: set[Author] = set()
        for commit, data in contributed:
            signature = self._witnesses.signature_of(data, law)
            if found := word_of(commit, lambda oid: trees.get(oid) or self._repository.commit(oid).tree):
                words.append((found, signature))
            elif not (len(commit.parents) == 2 and brought_up(self._repository, commit, step.parent)):
                named = self._witnesses.authors_of(commit, law)
                wrote |= named | ({signature.member} - {""})
                signed = {signature.member} if signature.is_good else set()
                authors |= {Author(name, "verified", role_of(access, name)) for name in signed}
                claimed = named - signed or (set() if signed else {commit.author})
                authors |= {Author(name, "claimed", role_of(access, name)) for name in claimed}
        digest = ""
        found_words = []
        for word, signature in words:
            digest = digest or plan_digest(changes, unplanned(step.changed, law))
            problem = _unheard(word, signature, law, changes) or self._void(
                word, step.parent, signature.member in wrote, digest, changes
            )
            found_words.append(_approval(word, signature, access, problem))
        said = [*self._standing(found_words), *self._reviews(step, access, signer, wrote, changes)]
        return said, sorted(authors)

    def _reviews(
        self, step: Step, access: Access, signer: str, wrote: set[str], changes: Sequence[Change]
    ) -> Iterator[Approval]:
        """Yield the reviews on a forge that whoever signed a merge wrote down. In a registry that is on no forge, or where
        nobody signed the merge, they are nobody's word.
        """
        for told in step.commit.trailers("Attested-Approval"):
            match = _REVIEW.fullmatch(told)
            name, plan = (match["member"], match["plan"]) if match else ("", "")
            problem = "" if signer else "nobody signed the decision that names it"
            if not problem and step.law.constitution.forge is None:
                problem = "this registry is on no forge"
            if not problem and plan != plan_digest(changes, unplanned(step.changed, step.law)):
                problem = "it approves another plan than what landed"
            if not problem and name in wrote:
                problem = f"{name} wrote part of it"
            problem = problem or may_approve(step.law, changes, name)
            source = told.removeprefix(f"{name} ") if name else told
            grade: Grade = "attested" if signer else "claimed"
            yield Approval(name, grade, source, plan, role_of(access, name), problem)

    def _standing(self, words: Sequence[Approval]) -> Iterator[Approval]:
        """Yield the words as they count: a rejection stands unless its member approved on top of it, and then none of
        their approvals counts.
        """
        rejected = {one.member for one in words if one.is_rejection and not one.problem}
        standing = {
            one.member
            for one in words
            if one.is_rejection and not one.problem
            and not any(self._is_on_top(other, one) for other in words if not other.is_rejection)
        }  # fmt: skip
        for one in words:
            if not one.problem and one.member in standing and not one.is_rejection:
                one = one._replace(problem=f"{one.member} rejected it")
            elif not one.problem and one.is_rejection and one.member in rejected - standing:
                one = one._replace(problem=f"{one.member} took it back")
            yield one

    def _is_on_top(self, approval: Approval, rejection: Approval) -> bool:
        is_same = approval.member == rejection.member
        return is_same and self._repository.is_ancestor(rejection.source, approval.source)

    def _void(self, word: Word, parent: str, is_author: bool, digest: str, changes: Sequence[Change]) -> str:
        """Say why an approval does not hold for a plan; empty where it does, and for a rejection."""
        if word.kind == "reject":
            return ""
        if is_author:
            return "whoever gave it wrote part of it"
        if word.plan != digest:
            return "it approves another plan than what landed"
        return self._outdated(word.base, parent, changes)

    def _outdated(self, base: str, parent: str, changes: Sequence[Change]) -> str:
        at = self._position.get(base) if self._is_whole else None
        if at is None and (self._after or not self._is_whole):  # before what is read here, or nowhere: git knows
            if not self._repository.follows(parent, base):
                return f"it was judged on {base[:12]}, which is no decision here"
            newer = self._repository.first_step(parent, base, *touched(changes))
            return f"{newer[:12]} decided about the same since" if newer else ""
        if at is None:
            return f"it was judged on {base[:12]}, which is no decision here"
        if any(self._touched.get(path, -1) > at for path in touched(changes)):
            return "somebody decided about the same since"
        return ""


def _landed(parents: Mapping[str, tuple[str, ...]], tip: str) -> dict[str, list[str]]:
    """Return decision → the commits that it brought and none before it, oldest first, of those decisions that brought any."""
    order = {oid: at for at, oid in enumerate(parents)}
    line: list[str] = []
    at = tip
    while at in parents:
        line.append(at)
        at = (parents[at] or ("",))[0]
    known, found = set[str](), {}
    for decision in reversed(line):
        known.add(decision)
        waiting, own = list(parents[decision][1:]), set[str]()
        while waiting:
            oid = waiting.pop()
            if oid not in own and oid not in known and oid in parents:
                own.add(oid)
                waiting += parents[oid]
        known |= own
        if own:
            found[decision] = sorted(own, key=order.__getitem__, reverse=True)
    return found


def _unheard(word: Word, signature: Signature, law: Snapshot, changes: Sequence[Change]) -> str:
    """Say why a word is nobody's that counts; empty where it is somebody's."""
    if not signature.is_good:
        return signature.problem or "it is unsigned"
    asked = may_approve if word.kind == "approve" else may_reject
    return asked(law, changes, signature.member)


def _approval(word: Word, signature: Signature, access: Access, problem: str) -> Approval:
    return Approval(
        signature.member, "verified" if signature.is_good else "claimed", word.oid, word.plan, role_of(access, signature.member),
        problem, is_rejection=word.kind == "reject", comment=word.comment,
    )  # fmt: skip


def role_of(access: Access, name: str) -> str:
    """Return the role of a member; empty for who is none."""
    member = access.member(name) if name else None
    return member.role if member else ""
