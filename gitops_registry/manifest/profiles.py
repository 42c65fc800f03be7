"""What an auditor requires of a model, as a value: a profile of `audit comply`.

No file of a registry: an auditor brings one, or takes one of those that are shipped.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from gitops_registry.manifest.parts import Document, Name, Part, Text
from gitops_registry.manifest.policies import RuleId

Field_ = Annotated[str, StringConstraints(pattern=r"^(card|version|model)\.[a-z_]+$", max_length=100)]
Type = Annotated[str, StringConstraints(pattern=r"^[a-z]+(_[a-z]+)*$", max_length=60)]


class EventNeeded(Part):
    """An event that each version must have, into a stage where one is named, before its first event of another type."""

    type: Type
    to: Name | None = None
    before: Type | None = None


class ApprovalsNeeded(Part):
    """So many people must have approved each event of a type. `independent`: of them counts nobody who registered the
    version. `roles` are those that count (all, without any), `grades` how an approval may be proved.
    """

    of: Type = "model_deployed"
    count: Annotated[int, Field(ge=1, le=10)] = 1
    independent: bool = True
    roles: tuple[Name, ...] = ()
    grades: Annotated[tuple[Literal["verified", "attested", "claimed"], ...], Field(min_length=1)] = (
        "verified",
        "attested",
    )


class RetentionNeeded(Part):
    """What was registered in so many days must still be there: its events, and its bytes where `bytes` says so."""

    days: Annotated[int, Field(ge=1, le=36_525)]
    bytes: bool = False


class Requirement(Part):
    """One requirement: an event, approvals, fields that must say something, policies that must have passed, retention; or
    something that lies `elsewhere`, which is never met here.
    """

    id: RuleId
    title: Text
    source: Text = ""
    event: EventNeeded | None = None
    approvals: ApprovalsNeeded | None = None
    documentation: tuple[Field_, ...] = ()
    policies: Type | None = None
    retention: RetentionNeeded | None = None
    elsewhere: Text = ""

    @model_validator(mode="after")
    def _one_thing(self) -> Requirement:
        said = (self.event, self.approvals, self.documentation, self.policies, self.retention, self.elsewhere)
        if sum(bool(one) for one in said) != 1:
            raise ValueError(
                f"requirement {self.id!r} must ask for exactly one thing: event, approvals, documentation, policies, retention or elsewhere"
            )
        return self


class Profile(Document):
    """What is required of the versions of a model: of all of them, of those that were ever deployed, or of those that serve."""

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "audit-profile"
    kind: Literal["AuditProfile"] = "AuditProfile"
    schema_version: Literal[1] = 1
    name: Name
    title: Text = ""
    description: Text = ""
    disclaimer: Text = ""
    versions: Literal["all", "deployed", "serving"] = "deployed"
    requirements: Annotated[tuple[Requirement, ...], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _distinct(self) -> Profile:
        names = [one.id for one in self.requirements]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two requirements are named {name!r}")
        return self
