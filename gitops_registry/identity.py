"""Whose word a commit is: the member whose key signed it, never the name on its author line.

Keys are those of the registry that the commit was made on. A signature that does not count is told with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitops_registry import paths
from gitops_registry.git.parsing import Commit
from gitops_registry.git.repository import Repository
from gitops_registry.git.signatures import GitVerdict, Signer, verified
from gitops_registry.git.signing import signs_with
from gitops_registry.manifest.members import Access
from gitops_registry.snapshot import Snapshot

if TYPE_CHECKING:
    from gitops_registry.signing.verdict import Keyring, State

_KEPT = 64


@dataclass(frozen=True)
class Signature:
    """What is known of one commit's signature. `member` is whose key it is, also where the signature does not count."""

    state: State
    member: str = ""
    fingerprint: str = ""
    problem: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it is the word of a member."""
        return self.state == "good" and bool(self.member)

    def __str__(self) -> str:
        """`signed by alice`, or why nobody's word stands behind it."""
        if self.is_good:
            return f"signed by {self.member}"
        if self.state == "unsigned":
            return "unsigned"
        return f"a signature{f' of {self.member}' if self.member else ''} that does not count: {self.problem}"

    def to_json(self) -> dict[str, Any]:
        """Return the signature as JSON-ready data."""
        return {
            "state": self.state,
            "member": self.member or None,
            "fingerprint": self.fingerprint or None,
            "problem": self.problem or None,
        }


class Witnesses:
    """Reads signatures under the keys of one registry after another; the keys of each access.yaml are prepared once."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._rings: dict[str, tuple[Access, Keyring]] = {}
        self._told_by_git: dict[tuple[str, str], GitVerdict] = {}

    def members(self, side: Snapshot) -> Access:
        """Return the members of a registry at one revision; none where it names none."""
        return self._known(side)[0]

    def _known(self, side: Snapshot) -> tuple[Access, Keyring]:
        from gitops_registry.signing.verdict import keyring

        oid = side.oid(paths.ACCESS)
        if oid not in self._rings:
            if len(self._rings) >= _KEPT:
                self._rings.clear()
            access = side.access or Access()
            self._rings[oid] = access, keyring(access)
        return self._rings[oid]

    def signature(self, oid: str, side: Snapshot, *, now: datetime | None = None) -> Signature:
        """Return what is known of a commit's signature under the keys of a registry at one revision.

        Whether a key has expired is judged at `now`; without it, at the moment the commit itself names.
        """
        found = self.repository.objects.get(oid)
        return self.signature_of(found.data if found and found.data else b"", side, now=now)

    def signature_of(self, data: bytes, side: Snapshot, *, now: datetime | None = None) -> Signature:
        """Return what `signature` does, of the bytes of a commit object."""
        from gitops_registry.signing.verdict import verify

        _, ring = self._known(side)
        verdict = verify(data, ring, at=now)
        return Signature(verdict.state, ring.member(verdict.fingerprint), verdict.fingerprint, verdict.problem)

    def tag_signature(self, data: bytes, side: Snapshot, *, now: datetime) -> Signature:
        """Return what is known of the signature of a tag object's bytes, received now."""
        from gitops_registry.signing.verdict import verify_tag

        _, ring = self._known(side)
        verdict = verify_tag(data, ring, at=now)
        return Signature(verdict.state, ring.member(verdict.fingerprint), verdict.fingerprint, verdict.problem)

    def told_by_git(self, oids: Sequence[str], side: Snapshot) -> list[GitVerdict]:
        """Return what git itself says of commits' signatures, in their order; it is asked once of each, for all at a time."""
        ring = side.oid(paths.ACCESS)
        new = [oid for oid in oids if (ring, oid) not in self._told_by_git]
        if new:
            members = self.members(side).members
            keys = [Signer(m.name, k.public.line, k.not_after, k.revoked) for m in members for k in m.keys]
            found = verified(self.repository, new, keys)
            self._told_by_git |= {(ring, oid): verdict for oid, verdict in found.items()}
        return [self._told_by_git[ring, oid] for oid in oids]

    def named(self, name: str, email: str, side: Snapshot) -> set[str]:
        """Return the members that a name or an e-mail is of."""
        known, mail = name.lower(), email.lower()
        return {
            m.name for m in self.members(side).members if m.name.lower() == known or (mail and m.email.lower() == mail)
        }

    def authors(self, oid: str, side: Snapshot) -> set[str]:
        """Return the members that a commit names as its author or committer, by their e-mail or name: a claim, no proof."""
        return self.authors_of(self.repository.commit(oid), side)

    def authors_of(self, commit: Commit, side: Snapshot) -> set[str]:
        """Return what `authors` does, of a commit."""
        by, through = (commit.author, commit.email), (commit.committer, commit.committer_email)
        return self.named(*by, side) | self.named(*through, side)


def deciding_member(repository: Repository, access: Access | None) -> tuple[str | None, str]:
    """Return the member whose key signs what is committed here, and the key in words.

    None where nothing is signed, or nobody's keys are known; an empty name where the key is no member's.
    """
    if access is None or not any(member.keys for member in access.members):
        return None, ""
    key = signs_with(repository)
    if key is None:
        return None, ""
    owners = (m.name for m in access.members for k in m.keys if k.public.blob == key.blob)
    return next(owners, ""), f"the key {key.fingerprint}"
