"""Who is a member: adding one, taking one away, giving one another key, each as an intent like any other change.

docs/CODEOWNERS is written in the same commit, and comments that people wrote in policies/access.yaml stay. A key that was
given up keeps its place with the moment it ended, so that what it signed still names its signer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gitops_registry.codeowners import owned
from gitops_registry.deciding import Intent
from gitops_registry.errors import Conflict, NotFound, RegistryError
from gitops_registry.manifest.keys import PublicKey, public_key
from gitops_registry.manifest.members import Access, Identity, Key, Member
from gitops_registry.manifest.parts import Part
from gitops_registry.manifest.writing import dump, revise
from gitops_registry.paths import ACCESS
from gitops_registry.reference import did_you_mean
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.standing import known_member
from gitops_registry.workplace import Workplace

P = TypeVar("P", bound=Part)
_LARGEST_KEY_FILE = 1 << 16
_KINDS = ("ssh-", "ecdsa-", "sk-")
_A_LINE = re.compile(r"(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+\s")
_PRIVATE = ("PRIVATE KEY", "PuTTY-User-Key-File")


def rules_now(place: Workplace) -> Snapshot:
    """Return the registry whose members decide: at the branch of decisions, or the revision this was opened at."""
    return place.snapshot() if place.revision else place.snapshot(place.tip())


# ── what people give


def key_given(given: str | Path, not_after: str | datetime | None = None) -> Key:
    """Return a public key from its line, or from the .pub file that holds it. Raises RegistryError that says what is wrong."""
    line = _line_of(given)
    try:
        public_key(line)
    except ValueError as error:
        raise RegistryError(str(error), hint="give the .pub file: --key ~/.ssh/id_ed25519.pub") from error
    return _taken(Key, key=line, not_after=_moment(not_after))


def _line_of(given: str | Path) -> str:
    text = str(given).strip()
    if isinstance(given, str) and (_A_LINE.match(text) or "\n" in text or any(sign in text for sign in _PRIVATE)):
        return _one_line(text, "what was given")
    shown = text if len(text) <= 200 else "what was given"
    try:
        with Path(given).expanduser().open("rb") as stream:
            content = stream.read(_LARGEST_KEY_FILE + 1)
    except (OSError, ValueError, RuntimeError) as error:  # the last one: a home that nobody has
        why = getattr(error, "strerror", None) or "it cannot be opened"
        raise RegistryError(
            f"no key in {shown}: {why}", hint="give the .pub file or its line; make one with: ssh-keygen -t ed25519"
        ) from error
    if len(content) > _LARGEST_KEY_FILE:
        raise RegistryError(f"{shown} is too large for a public key", hint="give the .pub file")
    return _one_line(content.decode("utf-8", "replace"), shown)


def _one_line(text: str, shown: str) -> str:
    """Return the only line of a key. What is no public key is never shown: it may be a secret."""
    if any(sign in text for sign in _PRIVATE):
        raise RegistryError(f"{shown} is a private key, which nobody else may see", hint="give its .pub file")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1 or not lines[0].startswith(_KINDS):
        told = f"holds {len(lines)} lines" if len(lines) > 1 else "is no SSH public key"
        raise RegistryError(f"{shown} {told}", hint="one key is one line: ssh-ed25519 AAAA… alice@laptop")
    return lines[0]


def _moment(given: str | datetime | None) -> datetime | None:
    """Return when a key ends: a date is its first moment in UTC, as is a time without a zone."""
    if given is None:
        return None
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(given)
        if isinstance(given, str) and len(given.strip()) <= 10:
            moment = datetime.combine(date.fromisoformat(given.strip()), time())
    except ValueError as error:
        raise RegistryError(f"{given!r} is no date", hint="write it like 2027-01-31") from error
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).replace(microsecond=0)
    if moment <= datetime.now(UTC):
        raise RegistryError(f"{given} is past, and the key would never count", hint="give a day to come")
    return moment


def identity_given(text: str) -> Identity:
    """Return what a member is called on a forge from `FORGE:LOGIN` or `FORGE:LOGIN:ID`. Raises RegistryError."""
    forge, _, rest = text.partition(":")
    login, sign, number = rest.partition(":")
    if (
        forge not in {"github", "gitlab", "gitea"}
        or not login
        or (sign and not (number.isascii() and number.isdigit()))
    ):
        raise RegistryError(f"identity {text!r} is not FORGE:LOGIN[:ID]", hint="write it like github:alice:583231")
    return _taken(Identity, forge=forge, login=login, id=int(number) if number else None)


def member_given(name: str, role: str, **said: Any) -> Member:
    """Return a member; `said` are the other fields, as the manifest has them. Raises RegistryError."""
    return _taken(Member, name=name, role=role, **{field: value for field, value in said.items() if value})


def _taken(kind: type[P], /, **values: Any) -> P:
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = str(first["loc"][0]) if first["loc"] else "it"
        told = first["msg"].removeprefix("Value error, ")
        if first["type"] == "string_pattern_mismatch":
            told = f"nobody is called {first['input']!a} there"
        raise RegistryError(
            f"{where} cannot be taken: {told}", hint="see: gitops-registry access add --help"
        ) from error


# ── the intents


def addition(member: Member, *, reason: str = "") -> Intent:
    """Return the wish that somebody be a member. The first one must administer, and makes policies/access.yaml."""

    def edit(before: Snapshot) -> Edits:
        access = before.access or Access()
        _refuse_member(access, member)
        return _rewritten(before, access, (*access.members, member))

    return Intent(
        edit=edit,
        subject=lambda _: f"access add {member.name} as {member.role}",
        branch=lambda _: f"access/add/{member.name}",
        reason=reason,
    )


def _refuse_member(access: Access, member: Member) -> None:
    if member.role not in access.roles:
        raise NotFound(f"no role {member.role!r} here", hint=did_you_mean(member.role, tuple(access.roles)))
    there = next((one for one in access.members if one.name.lower() == member.name.lower()), None)
    if there is not None:
        raise Conflict(
            f"{there.name} is a member already, as {there.role}",
            hint=f"another key: gitops-registry access rotate-key {there.name} --key FILE; another role: {ACCESS}",
        )
    administers = access.may(member, "administer")
    if not access.members and not administers:
        ruling = next((role for role, held in access.roles.items() if "administer" in held), "admin")
        raise RegistryError(
            f"the first member must administer, and the role {member.role} does not",
            hint=f"first whoever leads: gitops-registry access add NAME --role {ruling}",
        )
    if not access.members and member.kind != "person":
        raise RegistryError(
            f"the first member must be a person, and {member.name} is a service", hint="leave out --service"
        )
    if administers and member.models:
        raise RegistryError(
            f"the role {member.role} administers, which is never for some models only", hint="leave out --model"
        )
    for one in access.members:
        if member.email and one.email.lower() == member.email.lower():
            raise Conflict(f"the e-mail {member.email} is that of {one.name}", hint="each member has their own")
        for mine in member.identities:
            if any((mine.forge, mine.login.lower()) == (i.forge, i.login.lower()) for i in one.identities):
                raise Conflict(f"{mine.forge}:{mine.login} is {one.name}", hint="each member has their own logins")
    _refuse_keys(access, member.name, [key.public for key in member.keys])


def _refuse_keys(access: Access, name: str, keys: Sequence[PublicKey]) -> None:
    """Raise Conflict where a key is somebody's already, also where it is given up or revoked: it named its signer."""
    prints = [key.fingerprint for key in keys]
    if len(set(prints)) < len(prints):
        raise Conflict("a key is given twice", hint="give each once")
    for one in access.members:
        for key in one.keys:
            if key.public.fingerprint in prints:
                whose = "theirs" if one.name == name else f"that of {one.name}"
                raise Conflict(
                    f"the key {key.public.fingerprint} is {whose} already",
                    hint="make another one: ssh-keygen -t ed25519",
                )


def removal(name: str, *, reason: str = "") -> Intent:
    """Return the wish that somebody be a member no more. Who would leave nobody to administer cannot go."""

    def edit(before: Snapshot) -> Edits:
        member = known_member(before.access, name)
        access = before.access or Access()
        left = tuple(one for one in access.members if one.name != name)
        rulers = [one for one in left if one.kind == "person" and access.may(one, "administer")]
        is_ruler = member.kind == "person" and access.may(member, "administer")
        if is_ruler and not rulers:
            raise RegistryError(
                f"{name} is the last one who administers",
                hint="first add another: gitops-registry access add NAME --role " + member.role,
            )
        now = datetime.now(UTC)
        if is_ruler and _has_good_key(member, now) and not any(_has_good_key(one, now) for one in rulers):
            others = ", ".join(one.name for one in rulers)
            raise RegistryError(
                f"{name} has the last key of anybody who administers",
                hint=f"first give {others} one: gitops-registry access rotate-key {rulers[0].name} --key FILE",
            )
        return _rewritten(before, access, left)

    return Intent(
        edit=edit, subject=lambda _: f"access remove {name}", branch=lambda _: f"access/remove/{name}", reason=reason
    )


def rotation(name: str, key: Key, *, is_lost: bool = False, reason: str = "") -> Intent:
    """Return the wish that a member sign with another key from now on.

    Keys that still counted end now, so that what they signed still names its signer; with `is_lost` they are revoked, and
    nothing they ever signed counts. Raises RegistryError where then there is none to revoke.
    """

    def edit(before: Snapshot) -> Edits:
        member = known_member(before.access, name)
        access = before.access or Access()
        _refuse_keys(access, name, [key.public])
        now = datetime.now(UTC).replace(microsecond=0)
        if is_lost and not _has_good_key(member, now):
            raise RegistryError(
                f"{name} has no key that still counts, so there is none to revoke",
                hint=f"leave out --revoked, or mark an older one in {ACCESS}",
            )
        ended = {"revoked": True} if is_lost else {"not_after": now}
        old = tuple(one.model_copy(update=ended) if one.is_good(now) else one for one in member.keys)
        changed = member.model_copy(update={"keys": (*old, key)})
        return _rewritten(before, access, tuple(changed if one is member else one for one in access.members))

    return Intent(
        edit=edit,
        subject=lambda _: f"access rotate-key {name}",
        branch=lambda _: f"access/rotate-key/{name}",
        reason=reason,
    )


def _has_good_key(member: Member, now: datetime) -> bool:
    return any(key.is_good(now) for key in member.keys)


def _rewritten(before: Snapshot, access: Access, members: tuple[Member, ...]) -> Edits:
    """Return the edit that makes those the members, with the owners that forges read."""
    fields = {name: getattr(access, name) for name in Access.model_fields}
    after = _taken(Access, **{**fields, "members": members})
    old = before.read(ACCESS)
    written = dump(after, ACCESS) if old is None else revise(old, after, ACCESS)
    return {ACCESS: written, **owned(before, after)}
