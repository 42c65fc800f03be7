"""policies/access.yaml: roles, members, their keys and what they are called on forges."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from gitops_registry.manifest.keys import PublicKey, public_key
from gitops_registry.manifest.parts import Alias, Document, Name, Part, Permission

_LITERAL = re.compile(r"[^\s@<>(),;:\"*?!\[\]\\]+@[^\s@<>(),;:\"*?!\[\]\\]+")
"""An e-mail that no reader of signers takes for a pattern or for two."""


def _email(value: str) -> str:
    if value and (not _LITERAL.fullmatch(value) or not value.isprintable()):
        raise ValueError(f"e-mail {value!a} must be one literal address, like alice@example.com")
    return value


def _key(value: str) -> str:
    public_key(value)
    return value


def _pattern(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._*?\[\]!-]{1,128}", value):
        raise ValueError(f"{value!a} is no pattern of model names; write it like fraud-*")
    return value


Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class Key(Part):
    """An SSH public key, as its .pub file has it. `not_after`: signatures made from then on count no more. `revoked`: none does."""

    flow: ClassVar[bool] = True
    key: Annotated[str, StringConstraints(max_length=4096), AfterValidator(_key)]
    not_after: AwareDatetime | None = None
    revoked: bool = False

    @property
    def public(self) -> PublicKey:
        """The key itself."""
        return public_key(self.key)

    def is_good(self, now: datetime) -> bool:
        """Say whether a signature made and received now counts."""
        return not self.revoked and (self.not_after is None or now < self.not_after)


class Identity(Part):
    """What a member is called on a forge: the number, which stays, and the login, which people read."""

    flow: ClassVar[bool] = True
    forge: Literal["github", "gitlab", "gitea"]
    login: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")]
    id: Annotated[int, Field(ge=1)] | None = None


class Member(Part):
    """Somebody who may do something. `models`: patterns of model names; empty means all of them."""

    name: Name
    kind: Literal["person", "service"] = "person"
    role: Name
    email: Email = ""
    models: tuple[Pattern, ...] = ()
    keys: tuple[Key, ...] = ()
    identities: tuple[Identity, ...] = ()


DEFAULT_ROLES: dict[str, tuple[Permission, ...]] = {
    "viewer": ("read",),
    "data_scientist": ("read", "write"),
    "ml_engineer": ("read", "write", "deploy"),
    "admin": ("read", "write", "deploy", "delete", "administer"),
}


class Access(Document):
    """policies/access.yaml: roles and the members who hold them. Always read from the base of a change."""

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "access"
    kind: Literal["Access"] = "Access"
    schema_version: Literal[1] = 1
    roles: dict[Name, tuple[Permission, ...]] = DEFAULT_ROLES
    members: tuple[Member, ...] = ()
    protected_aliases: tuple[Alias, ...] = ("champion",)

    @model_validator(mode="after")
    def _members_agree(self) -> Access:
        for what, values in (
            ("name", (member.name.lower() for member in self.members)),
            ("e-mail", (member.email.lower() for member in self.members if member.email)),
            ("key", (key.public.fingerprint for member in self.members for key in member.keys)),
            ("identity", (f"{i.forge} {i.login.lower()}" for member in self.members for i in member.identities)),
        ):
            if twice := _twice(values):
                raise ValueError(f"two members have the same {what}, or one has it twice: {twice}")
        for member in self.members:
            if member.role not in self.roles:
                raise ValueError(f"member {member.name!r} has the role {member.role!r}, which is not listed")
            if member.models and "administer" in self.roles[member.role]:
                raise ValueError(f"member {member.name!r} is limited to some models and cannot administer")
        return self

    def member(self, name: str) -> Member | None:
        """Return the member of that name."""
        return next((member for member in self.members if member.name == name), None)

    def may(self, member: Member, permission: Permission) -> bool:
        """Say whether a member's role has a permission, for whichever models."""
        return permission in self.roles.get(member.role, ())

    def may_write(self, name: str) -> bool:
        """Say whether somebody is a member who may write, for whichever models."""
        member = self.member(name)
        return member is not None and self.may(member, "write")


def _twice(values: Iterable[str]) -> str:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return ""
