"""What a commit's signature is worth under the keys of a registry, without starting a process.

Git says the same of every canonical commit (`gitops_registry.git.signatures`), and tests hold the two together. Nothing here
raises for what a commit holds, and everything but `good` means that nobody is known to have signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from gitops_registry.manifest.keys import PublicKey, fingerprint
from gitops_registry.manifest.members import Access
from gitops_registry.signing.commits import Signed, committed, irregularity, split
from gitops_registry.signing.sshsig import ALGORITHMS, NAMESPACE, Signature, is_by, key_of, load, parse
from gitops_registry.signing.tags import split_tag, tagged

if TYPE_CHECKING:
    from gitops_registry.signing.sshsig import Loaded

State = Literal["good", "unknown", "expired", "revoked", "tampered", "wrong-namespace", "unsigned", "not-canonical"]


class Verdict(NamedTuple):
    """What was found. `fingerprint` is that of the key the signature names, which it may do wrongly: only `good` counts.

    It is empty where there is no signature or none that can be read. `problem` is one sentence, empty when good.
    """

    state: State
    fingerprint: str
    problem: str


class Signer(NamedTuple):
    """A key and whose it is. `key` is a line without a comment; signatures made at `not_after` or later do not count."""

    member: str
    key: str
    not_after: datetime | None
    revoked: bool


class Keyring:
    """The keys of all members at one revision, each made ready when it is first needed, and once."""

    def __init__(self, keys: Mapping[PublicKey, Signer]) -> None:
        self._signers = {key.blob: signer for key, signer in keys.items()}
        self._members = {key.fingerprint: signer.member for key, signer in keys.items()}
        self._loaded: dict[bytes, Loaded | None] = {}

    @property
    def signers(self) -> list[Signer]:
        """All keys, revoked and expired ones too, in the order of the members."""
        return list(self._signers.values())

    def member(self, fingerprint: str) -> str:
        """Return the name of the member whose key has that fingerprint; empty where nobody has it."""
        return self._members.get(fingerprint, "")

    def signer(self, blob: bytes) -> Signer | None:
        """Return whose key has those bytes; None where it is nobody's."""
        return self._signers.get(blob)

    def is_by(self, signature: Signature, payload: bytes) -> bool:
        """Say whether a signature is one of the payload, by the key it names. Raises ValueError where it is not canonical."""
        if signature.key not in self._signers:
            return is_by(load(key_of(signature)), signature, payload)
        if signature.key not in self._loaded:
            self._loaded[signature.key] = load(PublicKey(signature.kind, signature.key))
        return is_by(self._loaded[signature.key], signature, payload)


def keyring(access: Access) -> Keyring:
    """Return the keys of all members of a registry."""
    held = ((member.name, key, key.public) for member in access.members for key in member.keys)
    return Keyring({public: Signer(name, public.line, key.not_after, key.revoked) for name, key, public in held})


def verify(data: bytes, ring: Keyring, *, at: datetime | None = None) -> Verdict:
    """Return what the signature of a raw commit object is worth. Never raises, whatever the bytes are.

    Whether a key had expired is judged `at` an aware time, the one of receipt, and without one at the committer's, which the
    signer chose. Of several faults the one is told that no other key and no other time would mend: `revoked` wins
    over `expired`, and a signature by a kind of key that is not taken here is `unknown`, unchecked.

    An ECDSA signature has a twin that is as good and that anybody can work out. So a commit signed by such a key may come
    under two ids, with one payload (`signing.commits.split`): count signers or payloads, never ids.
    """
    parts = split(data)
    if problem := irregularity(data, parts):
        return Verdict("not-canonical", "", problem)
    if not parts.armor:
        return Verdict("unsigned", "", "the commit is not signed")
    return _worth(parts, ring, committed(parts.payload), at)


def verify_tag(data: bytes, ring: Keyring, *, at: datetime | None = None) -> Verdict:
    """Return what the signature of a raw tag object is worth, as `verify` does for a commit. Never raises."""
    parts = split_tag(data)
    if (made := tagged(parts.payload)) is None or b"\0" in data:
        return Verdict("not-canonical", "", "the tag is not as git writes one of a commit")
    if not parts.armor:
        return Verdict("unsigned", "", "the tag is not signed")
    return _worth(parts, ring, made, at)


def _worth(parts: Signed, ring: Keyring, made: int, at: datetime | None) -> Verdict:
    """Return what the signature of a payload is worth that was made, as it says itself, so many seconds after 1970."""
    try:
        signature = parse(parts.armor)
        name = fingerprint(signature.key)
        if signature.kind not in ALGORITHMS:
            problem = f"it is signed by a key of the kind {signature.kind[:60]!a}, which is not taken here"
            return Verdict("unknown", name, problem)
        is_true = ring.is_by(signature, parts.payload)
    except ValueError as error:
        return Verdict("not-canonical", "", str(error))
    if signature.namespace != NAMESPACE.encode():
        purpose = signature.namespace[:60].decode(errors="replace")
        return Verdict("wrong-namespace", name, f"the signature was made for {purpose!a}, not for git")
    if not is_true:
        return Verdict("tampered", name, "the signature is not one of this text by the key that it names")
    return _standing(name, ring.signer(signature.key), made, at)


def _standing(name: str, signer: Signer | None, made: int, at: datetime | None) -> Verdict:
    """Return what a true signature is worth, by whose key it is and when it was made or received."""
    if signer is None:
        return Verdict("unknown", name, f"the key {name} is no member's")
    if signer.revoked:
        return Verdict("revoked", name, f"the key {name} of {signer.member} was revoked")
    moment = made if at is None else at.timestamp()
    if signer.not_after is not None and moment >= signer.not_after.timestamp():
        when = signer.not_after.astimezone(UTC).isoformat(timespec="seconds")
        return Verdict("expired", name, f"the key {name} of {signer.member} expired at {when}")
    return Verdict("good", name, "")
