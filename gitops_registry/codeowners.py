"""docs/CODEOWNERS, written from policies/access.yaml: whom a forge asks to review what.

GitHub and GitLab read it: patterns as in gitignore without brackets, the last line that matches a path wins. So lines go
from the general to the special, and whoever owns a path by a general line stands in the special ones too. Where two patterns
overlap and none is within the other, the later line asks fewer people than could decide, never anybody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from gitops_registry.errors import Conflict
from gitops_registry.manifest.members import Access, Member
from gitops_registry.manifest.parts import Permission
from gitops_registry.paths import ACCESS, CODEOWNERS
from gitops_registry.snapshot import Edits, Snapshot

HEADING = f"# Written from {ACCESS}; change that with: gitops-registry access\n"
GOVERNED = ("policies/", "registry.yaml", ".github/", ".dvc/", ".gitattributes", "cards/templates/", CODEOWNERS)
"""What only administrators change, though a line before it may own the folder."""
SHADOWS = (".github/CODEOWNERS", "CODEOWNERS")
"""Where forges look first; what stands there is read instead."""


def codeowners(access: Access) -> bytes | None:
    """Return the bytes of docs/CODEOWNERS; None where nobody who could own anything has a login or an e-mail.

    People who administer own everything, and those who deploy the models they deploy. A person is written as the login of
    their first identity, else as their e-mail; who has neither is named in a comment. Services own nothing. The order
    depends on nothing but what is written.
    """
    people = [member for member in access.members if member.kind == "person"]
    rulers = _owners(access, people, "administer")
    lines = _lines(("*",), rulers)
    deployers = [member for member in people if access.may(member, "deploy")]
    everywhere = _owners(access, [member for member in deployers if not member.models], "deploy")
    folders = ("models", "cards") if rulers else ("models",)  # with nobody for cards/templates, nobody owns cards
    lines += _lines([f"/{folder}/" for folder in folders], everywhere)
    for pattern in _general_first({pattern for member in deployers for pattern in member.models}):
        own = [member for member in deployers if any(_covers(wider, pattern) for wider in member.models)]
        owners = _owners(access, own, "deploy")
        lines += _lines([f"/{folder}/{pattern}/" for folder in folders], owners and owners | everywhere)
    if not lines:
        return None
    lines += _lines([f"/{path}" for path in GOVERNED], rulers)
    return (HEADING + "".join(f"{line}\n" for line in (*_left_out(access, people), *lines))).encode()


def is_ours(content: bytes) -> bool:
    """Say whether a file of owners was written from members, whoever changed it since."""
    return content.startswith(HEADING.encode().split(b";")[0])


def owned(before: Snapshot, access: Access) -> Edits:
    """Return the edit that makes docs/CODEOWNERS what the members give; ours goes where nobody can own anything.

    Raises Conflict where people wrote one themselves.
    """
    wanted, there = codeowners(access), before.read(CODEOWNERS)
    if there is not None and not is_ours(there):
        if wanted is None:
            return {}
        raise Conflict(
            f"{CODEOWNERS} was written by hand, and is to be written from {ACCESS}",
            hint=f"say in {ACCESS} who decides, remove it and commit that: git rm {CODEOWNERS}",
        )
    return {} if wanted is None and there is None else {CODEOWNERS: wanted}


def _lines(patterns: Iterable[str], owners: set[str]) -> list[str]:
    return [f"{pattern} {' '.join(sorted(owners, key=_folded))}" for pattern in patterns] if owners else []


def _owners(access: Access, members: Iterable[Member], permission: Permission) -> set[str]:
    return {_called(member) for member in members if access.may(member, permission)} - {""}


def _called(member: Member) -> str:
    """Return what a forge calls a member; empty where it has no word for them. A `#` would begin a comment."""
    if member.identities:
        return f"@{member.identities[0].login}"
    return member.email if "#" not in member.email else ""


def _folded(text: str) -> tuple[str, str]:
    return text.casefold(), text


def _general_first(patterns: Iterable[str]) -> list[str]:
    """Return the patterns that forges read as we do, each behind all that cover it."""
    plain = [pattern for pattern in patterns if _is_plain(pattern)]
    return sorted(plain, key=lambda pattern: (sum(_covers(other, pattern) for other in plain), pattern))


def _is_plain(pattern: str) -> bool:
    return not set(pattern) & set("[]!")


def _covers(wide: str, narrow: str) -> bool:
    """Say whether every name that fits `narrow` fits `wide`; False where that is not plain to see."""
    if not _is_plain(wide) or ("?" in wide and "*" in narrow):
        return wide == narrow
    return fnmatchcase(narrow, wide)


def _left_out(access: Access, people: Iterable[Member]) -> list[str]:
    """Return comments about who is missing, and why."""
    owning = [member for member in people if access.may(member, "administer") or access.may(member, "deploy")]
    nameless = sorted((member.name for member in owning if not _called(member)), key=_folded)
    found = [f"# No login and no e-mail that a forge would take: {', '.join(nameless)}"] if nameless else []
    for member in sorted(owning, key=lambda one: _folded(one.name)):
        strange = sorted(pattern for pattern in member.models if not _is_plain(pattern))
        if strange and _called(member):
            found.append(f"# Patterns of {member.name} that no line can say: {' '.join(strange)}")
    return found
