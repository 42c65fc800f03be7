"""What a forge vouches for: who opened a pull request, and whose reviews are approvals of what would land.

A review counts as an approval where a member who may decide gave it, on a commit whose plan is the plan that lands, and
nobody decided about the same since. So a branch that is brought up to date, or tried in a queue, keeps its approvals, and
one whose plan changed loses them. A member is the number of an account that access.yaml names; a login can change hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gitops_registry.approving import Case, Word, may_reject, unplanned
from gitops_registry.approving import may_approve as may
from gitops_registry.changes import Change, plan_digest
from gitops_registry.difference import diff
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.evidence import Said, agreed
from gitops_registry.forge.interface import Forge, Kind, Person, PullRequest, Review
from gitops_registry.forge.reading import is_commit
from gitops_registry.identity import deciding_member
from gitops_registry.manifest.members import Access, Member
from gitops_registry.policy.report import Facts
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace


@dataclass(frozen=True)
class Vouched:
    """A pull request and what was said of it, as a forge of some kind tells."""

    kind: Kind
    request: PullRequest
    reviews: tuple[Review, ...] = ()


@dataclass(frozen=True)
class Counted:
    """A review that counts: the member who gave it, and the digest of the plan it is about."""

    member: str
    review: Review
    plan: str


def asked(forge: Forge, head: str, base: str, number: int | None = None, others: Sequence[str] = ()) -> Vouched | None:
    """Return the pull request of a number, or the open one into `base` whose head is a commit (or one of `others`), with
    its reviews; None where no number is given and there is none.

    Raises RegistryError where the pull request of that number goes elsewhere, or has another head by now: what is
    judged must be what its reviews are about.
    """
    if number is None:
        found = [one for commit in (head, *others) for one in forge.requests_of(commit)]
        wanted = [one for one in found if one.state == "open" and one.base == base and one.head in {head, *others}]
        request = next(iter(wanted), None)
    else:
        request = forge.request(number)
        if request.base != base:
            raise RegistryError(
                f"pull request {number} goes into {request.base}, and decisions land on {base}", hint="name another one"
            )
        if request.state == "open" and request.head not in {head, *others}:
            raise RegistryError(
                f"pull request {number} has a newer commit by now, {request.head[:12]}", hint="judge that one"
            )
    return Vouched(forge.kind, request, tuple(forge.reviews(request))) if request else None


def member_of(access: Access | None, kind: Kind, person: Person) -> tuple[Member | None, str]:
    """Return the member an account is, and why it is nobody that counts."""
    named = f"{person.login} ({kind} {person.id})"
    for member in access.members if access else ():
        for one in member.identities:
            if one.forge == kind and one.id == person.id and person.id:
                return member, ""
            if one.forge == kind and one.id is None and one.login.lower() == person.login.lower():
                step = f"access.yaml names no number for {one.login}: add id: {person.id} after asking {member.name}"
                return None, f"{named} is not known for certain: {step}"
    return None, f"{named} is no member"


def said_with(
    place: Workplace, vouched: Vouched, base: str, head: str, *, facts: Facts | None = None, is_decision: bool = False
) -> Said:
    """Return what finds out who approved the landing of `head` on `base`: by signed commits, and by reviews on a forge.

    `facts` are those of who decides, where that is known; of a `decision` here, it is whoever has the key that signs.
    """

    def said(changes: Sequence[Change]) -> Facts:
        before = place.snapshot(base)
        known = facts or Facts()
        if is_decision:
            actor, signer = deciding_member(place.repository, before.access)
            known = Facts(actor=actor, signer=signer)
        wrote = _authors(before, vouched)
        signed = agreed(place, base, head, changes, known, authors=wrote)
        heard = _Hearing(place, vouched, before, changes, base, head, frozenset(signed.contributors))
        counted, objections, discounted = heard.all()
        against = {**dict(signed.objections), **dict(objections)}
        named = dict.fromkeys((*(signed.approvals or ()), *(one.member for one in counted)))
        given = [name for name in named if name not in against]
        if given and signed.unsigned and _signs(before.access):
            discounted.append(_set_aside(given.pop(), signed.unsigned[0]))
        return replace(
            signed,
            approvals=tuple(given),
            objections=tuple(against.items()),
            discounted=tuple(dict.fromkeys((*signed.discounted, *discounted))),
        )

    return said


def _signs(access: Access | None) -> bool:
    """Say whether members have keys: only then is an unsigned commit more than what everybody does."""
    return any(member.keys for member in access.members) if access else False


def _set_aside(member: str, commit: str) -> str:
    """Say why one approval more is asked for: a forge does not tell who pushed a commit, and an author line is nobody's word."""
    return (
        f"the approval of {member} is set aside: {commit[:12]} is signed by no member, so whoever wrote it may be"
        " among those who approve; one more makes up for it, or a proposal that is signed"
    )


def counted(place: Workplace, vouched: Vouched, base: str, head: str, changes: Sequence[Change]) -> list[Counted]:
    """Return the reviews that count as approvals of a plan, one of each member."""
    before = place.snapshot(base)
    signed = agreed(place, base, head, changes, Facts(), authors=_authors(before, vouched))
    return _Hearing(place, vouched, before, changes, base, head, frozenset(signed.contributors)).all()[0]


def _authors(before: Snapshot, vouched: Vouched) -> frozenset[str]:
    author = member_of(before.access, vouched.kind, vouched.request.author)[0]
    return frozenset({author.name} if author else ())


@dataclass(frozen=True)
class _Hearing:
    """One plan, and the reviews that are read for it."""

    place: Workplace
    vouched: Vouched
    before: Snapshot
    changes: Sequence[Change]
    base: str
    head: str
    contributors: frozenset[str]

    def all(self) -> tuple[list[Counted], list[tuple[str, str]], list[str]]:
        """Return the approvals that count, who rejected it and why, and approvals that do not count, in words."""
        by_member: dict[str, list[Review]] = {}
        discounted: list[str] = []
        for review in self.vouched.reviews:
            if review.word not in {"approved", "rejected"}:
                continue
            member, problem = member_of(self.before.access, self.vouched.kind, review.author)
            if member is None:
                if review.word == "approved":
                    discounted.append(f"the review of {problem}")
                continue
            by_member.setdefault(member.name, []).append(review)
        counted: list[Counted] = []
        objections: list[tuple[str, str]] = []
        for name, reviews in by_member.items():
            approvals, rejection = _standing(reviews)
            if rejection is not None:
                if not may_reject(self.before, self.changes, name):
                    objections.append((name, rejection.comment))
                continue
            problems = {review: self.void(name, review) for review in reversed(approvals)}
            good = next((review for review, problem in problems.items() if not problem), None)
            if good is not None:
                counted.append(Counted(name, good, self.digest))
            else:
                discounted += list(problems.values())[:1]
        return counted, objections, discounted

    @property
    def digest(self) -> str:
        """The digest of the plan that would land."""
        changed = self.place.landed(self.base, self.head)[2]
        return plan_digest(self.changes, unplanned(changed, self.before))

    def void(self, member: str, review: Review) -> str:
        """Say why an approving review does not count; empty where it does."""
        told = f"the approval of {member} does not count: "
        if problem := may(self.before, self.changes, member):
            return told + problem
        if not is_commit(review.commit):
            return f"{told}{self.vouched.kind} does not say which commit it was given on"
        try:
            plan, origin = self._plan_of(review.commit)
        except NotFound:
            return f"{told}it was given on {review.commit[:12]}, which the branch no longer has"
        except RegistryError:  # it could not land any more
            return f"{told}what it was given on, {review.commit[:12]}, could not land now"
        case = Case(
            self.place.witnesses, self.before, self.changes,
            unplanned(self.place.landed(self.base, self.head)[2], self.before), self.base, self.contributors, datetime.now(UTC),
        )  # fmt: skip
        return case.void(member, Word(review.commit, "approve", plan, origin, review.comment))

    def _plan_of(self, commit: str) -> tuple[str, str]:
        """Return the digest of what a commit would change on the base, and the decision it comes from."""
        oid = self.place.commit(commit)
        if oid == self.head:
            return self.digest, self.place.repository.merge_base(self.base, oid)
        before, after, changed = self.place.landed(self.base, oid)
        plan = plan_digest(diff(before, after, changed), unplanned(changed, before))
        return plan, self.place.repository.merge_base(self.base, oid)


def _standing(reviews: Sequence[Review]) -> tuple[list[Review], Review | None]:
    """Return the approvals of one member since they last rejected, and the rejection that stands, if one does."""
    approvals: list[Review] = []
    rejection: Review | None = None
    for review in reviews:
        if review.word == "approved":
            approvals.append(review)
            rejection = None
        else:
            approvals, rejection = [], review
    return approvals, rejection
