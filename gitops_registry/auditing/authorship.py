"""Who decided, and whether they might: signatures, permissions, approvals, and the shape of what landed.

The rules are those of the hook, asked of a history that may never have met one. Whether a key had expired is judged when a
server received the commit, where it wrote that down, else at the commit's own date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gitops_registry import paths
from gitops_registry.access import holds, needed
from gitops_registry.approving import brought_up, word_of
from gitops_registry.audit.decision import Event
from gitops_registry.audit.deriving import Landed
from gitops_registry.audit.proof import attested_by
from gitops_registry.audit.walking import Step, is_registry
from gitops_registry.auditing.findings import Breach, Note
from gitops_registry.changes import DIRECT, Change
from gitops_registry.difference import meaning_the_same
from gitops_registry.errors import RegistryError
from gitops_registry.git.parsing import Commit
from gitops_registry.identity import Signature, Witnesses
from gitops_registry.manifest.members import Access
from gitops_registry.policy import authority
from gitops_registry.policy.report import Facts, Judgement
from gitops_registry.receiving import signers
from gitops_registry.receiving.steps import wording
from gitops_registry.workplace import Workplace

_RULES = (
    authority.permissions, authority.approvals, authority.objections, authority.second_administrator, authority.administrators,
)  # fmt: skip
_PGP = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n"
"""How a forge signs what its own buttons make."""


@dataclass
class Deciders:
    """Looks at who made each decision; what it could not prove is told at the end (`notes`).

    `is_strict`: what a forge alone attests is a breach too.
    """

    place: Workplace
    witnesses: Witnesses
    received: Mapping[str, datetime]
    is_strict: bool = False
    line: set[str] = field(default_factory=set)
    keyless: list[str] = field(default_factory=list)
    attested: list[str] = field(default_factory=list)
    reviewed: int = 0
    by_date: int = 0
    latest: int = 0
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def look(self, step: Step, event: Event | None, landed: Landed | None) -> Iterator[Breach]:
        """Yield what is wrong with who decided."""
        self.line.add(step.commit.oid)
        yield from self._plain(step)
        access = self.witnesses.members(step.law)
        if not any(member.keys for member in access.members):
            self.keyless.append(step.commit.oid)
            return
        received = self.received.get(step.commit.oid)
        known = event.signature if event and received is None else None  # by the commit's own date
        found = known or self.witnesses.signature_of(step.data, step.law, now=received)
        if not found.is_good:
            button = attested_by(step.commit, step.before)
            is_forges = found.state == "unsigned" or _PGP in step.data.partition(b"\n\n")[0]
            if self.is_strict or button is None or not button.is_merge or not is_forges:
                yield Breach("signature", step.commit.oid, _unsigned(step, found))
                return
            self.attested.append(step.commit.oid)
            yield from self._landing(step, event.changes if event else (), landed, access)
            return
        self.by_date += step.commit.oid not in self.received
        for refusal in signers.spoofed(self.witnesses, step.commit, step.law, found.member):
            yield Breach("author", step.commit.oid, refusal.message)
        yield from self._permitted(step, event, found.member, access)
        yield from self._landing(step, event.changes if event else (), landed, access)

    def _plain(self, step: Step) -> Iterator[Breach]:
        """What a commit says of itself can be shown, and it is no older than what it follows."""
        for refusal in signers.texts(step.commit):
            yield Breach("text", step.commit.oid, refusal.message)
        for refusal in signers.dates(step.commit, now=self.now, after=self.latest, is_history=True):
            yield Breach("dates", step.commit.oid, refusal.message)
        self.latest = max(self.latest, step.commit.time)

    def _permitted(self, step: Step, event: Event | None, member: str, access: Access) -> Iterator[Breach]:
        changes = event.changes if event else ()
        if not is_registry(step.before):
            if not holds(access, member, "administer"):
                yield Breach(
                    "permissions", step.commit.oid, f"{member} started the registry and does not administer it"
                )
            return
        if not access.may_write(member):
            yield Breach("permissions", step.commit.oid, f"{member} may not write")
        given = [one for one in (event.approvals if event else ()) or () if not one.problem]
        self.reviewed += any(one.grade == "attested" for one in given)
        facts = Facts(
            actor=member,
            approvals=tuple(dict.fromkeys(one.member for one in given if not one.is_rejection)),
            objections=tuple((one.member, one.comment) for one in given if one.is_rejection),
            now=self.received.get(step.commit.oid) or (event.time if event else None),
        )
        judgement = _judgement(step, changes, facts, access)
        for rule in _RULES:
            for finding in rule(judgement):
                if finding.result == "error":
                    yield Breach(finding.rule, step.commit.oid, finding.message, finding.path)
        same = [] if event and event.problem else meaning_the_same(step.before, changes, step.changed)
        for refusal in wording(step.before, step.commit, same, member):
            yield Breach("permissions", step.commit.oid, refusal.message, refusal.where)
        law = step.before.constitution
        is_direct = len(step.commit.parents) < 2
        if is_direct and not law.direct and (same or any(change.kind not in DIRECT for change in changes)):
            yield Breach(
                "direct", step.commit.oid, "is a direct decision, and this registry took changes as proposals only"
            )

    # ── what landed

    def _landing(
        self, step: Step, changes: Sequence[Change], landed: Landed | None, access: Access
    ) -> Iterator[Breach]:
        """A merge joins one proposal, on the side where it belongs, to exactly what `merge` would make, by members who may write."""
        commit = step.commit
        if len(commit.parents) < 2:
            return
        if len(commit.parents) > 2:
            yield Breach(
                "landing", commit.oid, f"joins {len(commit.parents)} histories, and a decision lands one proposal"
            )
            return
        if commit.parents[1] in self.line or landed == []:
            yield Breach(
                "landing",
                commit.oid,
                "has what was decided before as its second parent: its parents are swapped, or it lands nothing",
            )
            return
        if landed is None:
            yield Breach("landing", commit.oid, "lands more commits than anybody can read")
            return
        yield from self._merged(step, landed)
        models = {model for _, model in needed(changes, step.law, step.law.constitution, access) if model}
        yield from self._contributed(step, landed, access, models)

    def _merged(self, step: Step, landed: Landed) -> Iterator[Breach]:
        own = {commit.oid for commit, _ in landed}
        below = {parent for commit, _ in landed for parent in commit.parents} - own
        head = step.commit.parents[1]
        if below == {step.parent}:  # it was up to date: what lands is what was proposed
            last = next(commit for commit, _ in landed if commit.oid == head)
            if last.tree != step.commit.tree:
                yield Breach("landing", step.commit.oid, "does not hold what its proposal holds")
            return
        try:
            wanted = self.place.landed(step.parent, head)[2]
        except RegistryError as error:
            yield Breach("landing", step.commit.oid, f"joins what could not land: {error.message}")
            return
        there = {(change.path, change.new_mode, change.new_oid) for change in step.changed}
        unlike = sorted(path for path, _, _ in there ^ {(c.path, c.new_mode, c.new_oid) for c in wanted})
        if unlike:
            message = f"is not the merge that would be made of its proposal: {unlike[0]} differs"
            yield Breach("landing", step.commit.oid, message, unlike[0])

    def _contributed(self, step: Step, landed: Landed, access: Access, models: set[str]) -> Iterator[Breach]:
        """Where no forge takes part, every commit of a proposal is the work of a member who may write."""
        has_forge = is_registry(step.before) and step.before.constitution.forge is not None
        trees = {commit.oid: commit.tree for commit, _ in landed}
        for commit, data in landed:
            found = self.witnesses.signature_of(data, step.law, now=self.received.get(commit.oid))
            is_word = word_of(commit, lambda oid: trees.get(oid) or self.place.repository.commit(oid).tree) is not None
            if found.is_good:
                barred = [model for model in sorted(models) if not holds(access, found.member, "write", model)]
                if not is_word and (barred or not access.may_write(found.member)) and not self._joins(commit, step):
                    message = f"lands {commit.oid[:12]}, which {found.member} made, who may not write{' for ' + barred[0] if barred else ''}"
                    yield Breach("permissions", step.commit.oid, message)
                for refusal in signers.spoofed(self.witnesses, commit, step.law, found.member):
                    yield Breach(
                        "author", step.commit.oid, f"lands a commit that lies about its author: {refusal.message}"
                    )
            elif found.state != "unsigned" or not (has_forge or self._joins(commit, step)):
                yield Breach("signature", step.commit.oid, f"lands {commit.oid[:12]}, which is {found}")

    def _joins(self, commit: Commit, step: Step) -> bool:
        return len(commit.parents) == 2 and brought_up(self.place.repository, commit, step.parent) != ""

    def notes(self) -> Iterator[Note]:
        """Yield what was not proved."""
        if self.keyless:
            first, last = self.keyless[0][:12], self.keyless[-1][:12]
            told = f"no keys at that time: {len(self.keyless)} commits from {first} to {last} are claimed by whoever their author lines name"
            yield Note("claimed", told)
        if self.attested:
            some = ", ".join(oid[:12] for oid in self.attested[:3])
            told = (
                f"{len(self.attested)} decisions were made by a forge's button and cannot be verified offline ({some})"
            )
            yield Note("attested", f"{told}; a forge can be asked: gitops-registry check --landed")
        if self.reviewed:
            yield Note(
                "reviews",
                f"the approvals of {self.reviewed} decisions are reviews on a forge, as whoever decided wrote them down",
            )
        if self.by_date:
            yield Note(
                "receipts",
                f"no receipt of {self.by_date} decisions is here: expiry of keys was judged by their own dates",
            )


def _unsigned(step: Step, found: Signature) -> str:
    who = f"{step.commit.author} <{step.commit.email}>"
    if found.state == "unsigned":
        return f"nobody signed it, when members had keys; it names {who} as its author"
    return f"has {found}; it names {who} as its author"


def _judgement(step: Step, changes: Sequence[Change], facts: Facts, access: Access) -> Judgement:
    return Judgement(
        step.before, step.after, changes, step.changed, facts, law=step.before.constitution,
        access=access if step.before.oid(paths.ACCESS) else None,
        models=tuple(sorted({change.model for change in changes} - {""})),
    )  # fmt: skip
