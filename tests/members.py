"""Members as tests speak of them: keys that are well formed and nobody's, and the files that a team has."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from gitops_registry.codeowners import codeowners
from gitops_registry.manifest.members import Access, Identity, Key, Member
from gitops_registry.manifest.writing import dump
from gitops_registry.paths import ACCESS, CODEOWNERS
from gitops_registry.snapshot import Content


def key_line(owner: str) -> str:
    """Return the line of a key; the same for the same owner."""
    parts = (b"ssh-ed25519", hashlib.sha256(owner.encode()).digest())
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {owner}@laptop"


def member(name: str, role: str, *, login: str = "", keys: tuple[Key, ...] = (), **said: Any) -> Member:
    """Return a member; `login` is what GitHub calls them."""
    identities = (Identity(forge="github", login=login),) if login else ()
    return Member(name=name, role=role, keys=keys, identities=identities, **said)


def files(*members: Member, **said: Any) -> dict[str, Content | None]:
    """Return the files of a team: its members and the owners that follow from them."""
    access = Access(members=members, **said)
    owners = codeowners(access)
    return {ACCESS: dump(access, ACCESS), **({CODEOWNERS: owners} if owners else {})}
