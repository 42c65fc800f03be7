"""Whose commits a push brings: each is signed by a member, says so in its own lines, and was made in our time.

A signature is read twice, here and by git itself; where the two do not agree nobody's word is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from gitops_registry.git.parsing import Commit
from gitops_registry.identity import Signature, Witnesses
from gitops_registry.manifest.members import Member
from gitops_registry.receiving.updates import Refusal
from gitops_registry.snapshot import Snapshot

SKEW = timedelta(minutes=10)
"""As much as the clocks of two machines may differ."""
OLDEST = timedelta(days=30)
"""How long a commit may lie on somebody's machine before it is pushed."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor or turns the direction of writing; a line may end and hold a tab."""


def signature(
    witnesses: Witnesses, commit: Commit, side: Snapshot, *, now: datetime | None
) -> tuple[Signature, list[Refusal]]:
    """Return a commit's signature under the keys of one revision, and why nobody's word is taken for it.

    `now`: when it was received, where that is now; without it, expiry is judged by the commit's own date.
    """
    found = witnesses.signature(commit.oid, side, now=now)
    refusals = [] if found.is_good else [_unsigned(commit, found)]
    if found.is_good:
        refusals += _unlike_git(witnesses, commit, side, found)
        refusals += spoofed(witnesses, commit, side, found.member)
    return found, refusals


def _unsigned(commit: Commit, found: Signature) -> Refusal:
    if found.state == "unsigned":
        hint = "git config gpg.format ssh; git config user.signingKey ~/.ssh/id_ed25519.pub; then make the change again"
        return Refusal("signature", f"{_called(commit)} is not signed", hint, "", commit.oid)
    hint = "an administrator adds your key: gitops-registry access add, or access rotate-key"
    if found.state in {"tampered", "wrong-namespace", "not-canonical"}:
        hint = "make the change again, signed by git itself: git commit -S"
    return Refusal("signature", f"{_called(commit)} has {found}", hint, "", commit.oid)


def _unlike_git(witnesses: Witnesses, commit: Commit, side: Snapshot, found: Signature) -> Iterator[Refusal]:
    (told,) = witnesses.told_by_git([commit.oid], side)
    if (told.letter, told.fingerprint, told.principal) != ("G", found.fingerprint, found.member):
        message = f"git does not take the signature of {_called(commit)}"
        yield Refusal("signature", message, "sign it again: git commit --amend --no-edit -S", "", commit.oid)


def spoofed(witnesses: Witnesses, commit: Commit, side: Snapshot, member: str) -> Iterator[Refusal]:
    """The author and the committer that a commit names are whoever signed it."""
    signer = witnesses.members(side).member(member)
    assert signer is not None
    for role, name, email in (
        ("committer", commit.committer, commit.committer_email),
        ("author", commit.author, commit.email),
    ):
        if not _is_theirs(signer, email, witnesses.named(name, email, side)):
            mail = signer.email or "an e-mail that no other member has"
            hint = f"git config user.email {mail}; git commit --amend --no-edit --reset-author -S"
            message = f"{_called(commit)} names {name} <{email}> as its {role}, and was signed by {member}"
            yield Refusal("identity", message, hint, "", commit.oid)
            return


def texts(commit: Commit) -> Iterator[Refusal]:
    """Yield why the words of a commit cannot be shown as they are: a terminal would act on them, or read them backwards."""
    for what, text in (("message", commit.body), ("author", commit.author_line), ("committer", commit.committer)):
        if found := _CONTROL.search(text):
            message = f"the {what} of {commit.oid[:12]} holds the control character {found[0]!a}"
            yield Refusal("text", message, "write it again in plain words: git commit --amend", "", commit.oid)
            return


def tag_text(witnesses: Witnesses, data: bytes, side: Snapshot, name: str, *, now: datetime) -> str:
    """Say why an annotated tag is nobody's word: it is signed by a member, who says to have made it, in words that show."""
    from gitops_registry.signing.tags import split_tag, tagger

    found = witnesses.tag_signature(data, side, now=now)
    if not found.is_good:
        return "has a tag object that is not signed" if found.state == "unsigned" else f"has {found}"
    says, who, email = tagger(split_tag(data).payload)
    signer = witnesses.members(side).member(found.member)
    if says != name or signer is None or not _is_theirs(signer, email, witnesses.named(who, email, side)):
        return f"names {who} <{email}> as its tagger, or another tag, and was signed by {found.member}"
    control = _CONTROL.search(data.decode(errors="replace"))
    return f"holds the control character {control[0]!a}" if control else ""


def _is_theirs(signer: Member, email: str, claimed: set[str]) -> bool:
    if claimed - {signer.name}:
        return False
    return not signer.email or email.lower() == signer.email.lower()


def dates(commit: Commit, *, now: datetime, after: int = 0, is_history: bool = False) -> Iterator[Refusal]:
    """Yield why the dates of a commit that arrives now cannot be its own; `after` is the time of the decision before it.

    A `history` that a first push brings may be as old as it is.
    """
    authored = re.search(r"> (\d+) ", commit.author_line)
    latest = max(commit.time, int(authored[1]) if authored else 0)
    hint = (
        "set the clock of the machine that made it, and make it again: git commit --amend --no-edit --reset-author -S"
    )
    if latest > (now + SKEW).timestamp():
        yield Refusal("dates", f"{_called(commit)} is dated in the future", hint, "", commit.oid)
    elif after and commit.time < after - SKEW.total_seconds():
        yield Refusal("dates", f"{_called(commit)} is dated before the decision it follows", hint, "", commit.oid)
    elif not is_history and commit.time < (now - OLDEST).timestamp():
        yield Refusal("dates", f"{_called(commit)} is dated more than {OLDEST.days} days ago", hint, "", commit.oid)


def contributions(
    witnesses: Witnesses, commits: Sequence[Commit], side: Snapshot,
    *, new: frozenset[str], now: datetime, is_history: bool = False,
) -> Iterator[Refusal]:  # fmt: skip
    """Yield why the commits of a proposal are not all the work of members who may write.

    What arrives now is judged now; what arrived before, when it was made. `is_history`: see `dates`.
    """
    access = witnesses.members(side)
    good = [commit.oid for commit in commits if witnesses.signature(commit.oid, side).is_good]
    witnesses.told_by_git(good, side)  # of all at a time
    for commit in commits:
        is_new = commit.oid in new
        found, refusals = signature(witnesses, commit, side, now=now if is_new else None)
        yield from refusals
        if is_new:
            yield from (*dates(commit, now=now, is_history=is_history), *texts(commit))
        if found.is_good and not access.may_write(found.member):
            message = f"{found.member} may not write, and made {_called(commit)}"
            yield Refusal("permissions", message, "see who may: gitops-registry access who-can write", "", commit.oid)


def _called(commit: Commit) -> str:
    subject = commit.subject if len(commit.subject) <= 60 else commit.subject[:59] + "…"
    return f"{commit.oid[:12]} ({subject or 'no subject'})"
