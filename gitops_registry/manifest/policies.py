"""Policies and waivers as frozen values: rules in CEL over what is known of a version, and dated exceptions from them.

The words are those of Kubernetes' ValidatingAdmissionPolicy. Whether an expression compiles, and what it may read, is not
decided here.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from gitops_registry.manifest.parts import Alias, Document, Name, Part, Text

Enforcement = Literal["advisory", "soft", "hard"]
"""`advisory` warns; `soft` refuses unless a waiver lifts it; nothing lifts `hard`."""
Event = Literal["stage_transition", "alias_set", "version_registered", "card_updated", "evaluation_added"]
Expected = Literal["pass", "fail", "error", "skip", "not-checked"]

LONGEST_EXPRESSION = 2_000
LONGEST_WAIVER = timedelta(days=30)
_RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "null",
        "package",
        "namespace",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)
"""Words that CEL keeps for itself (the specification's grammar)."""


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", value) or value in _RESERVED:
        raise ValueError(f"{value!r} cannot be written in an expression: use letters, digits and '_'")
    return value


def _rule_id(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) or len(value) > 64:
        raise ValueError(f"{value!r} must be lower-case words with '-' between them, like accuracy-floor")
    return value


def _distinct(values: list[str], what: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"two {what} are named {value!r}")


Identifier = Annotated[str, AfterValidator(_identifier)]
RuleId = Annotated[str, AfterValidator(_rule_id)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_EXPRESSION)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Line = Annotated[str, StringConstraints(max_length=1_000)]
ObjectId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


class Match(Part):
    """Which changes a policy is about, by facts of the base alone. `models` are patterns; `tags` must all agree.

    `to` are stages (none: every stage), `aliases` the aliases whose setting it is about (none: every alias).
    """

    events: Annotated[tuple[Event, ...], Field(min_length=1)] = ("stage_transition",)
    to: tuple[Name, ...] = ()
    aliases: tuple[Alias, ...] = ()
    models: Annotated[tuple[Pattern, ...], Field(min_length=1)] = ("*",)
    tags: dict[str, Text] = {}

    @model_validator(mode="after")
    def _read_by_some_event(self) -> Match:
        if self.to and "stage_transition" not in self.events:
            raise ValueError("to names stages, and no event is stage_transition")
        if self.aliases and "alias_set" not in self.events:
            raise ValueError("aliases are named, and no event is alias_set")
        return self


class Condition(Part):
    """A further condition of a match: an expression over the base, the change and the parameters."""

    name: RuleId
    expression: Expression


class Variable(Part):
    """A value that rules and later variables read as `variables.<name>`; worked out only where one does."""

    name: Identifier
    expression: Expression


class Rule(Part):
    """One rule: it passes where its expression is true. `description` tells people what must hold, `hint` what would make it
    pass.

    `on_rollback: skip` leaves it out where a version goes back to a stage that an approved decision gave it before.
    """

    id: RuleId
    description: Line = ""
    expression: Expression
    message: Line = ""
    message_expression: Expression | None = None
    hint: Line = ""
    enforcement: Enforcement = "hard"
    on_rollback: Literal["check", "skip"] = "check"

    @model_validator(mode="after")
    def _one_message(self) -> Rule:
        if self.message and self.message_expression:
            raise ValueError(f"rule {self.id!r} has a message and a message_expression; keep one")
        return self


class Trial(Part):
    """A test of a policy: the example facts, some of them set or taken away, and what its rules must come to."""

    name: Line
    set: dict[str, Any] = {}
    unset: tuple[str, ...] = ()
    expect: Annotated[dict[RuleId, Expected], Field(min_length=1)]


class Policy(Document):
    """policies/<name>.yaml: what must hold before a change lands. Always read from the base of the change."""

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "policy"
    kind: Literal["Policy"] = "Policy"
    schema_version: Literal[1] = 1
    name: Name
    description: Text = ""
    match: Match = Match()
    match_conditions: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()
    params: dict[Identifier, Any] = {}
    variables: Annotated[tuple[Variable, ...], Field(max_length=50)] = ()
    validations: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=50)]
    tests: Annotated[tuple[Trial, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> Policy:
        _distinct([rule.id for rule in self.validations], "rules")
        _distinct([variable.name for variable in self.variables], "variables")
        _distinct([condition.name for condition in self.match_conditions], "conditions")
        rules = {rule.id for rule in self.validations}
        for trial in self.tests:
            for rule in trial.expect:
                if rule not in rules:
                    raise ValueError(f"test {trial.name!r} expects something of {rule!r}, which is no rule here")
        return self

    @property
    def is_binding(self) -> bool:
        """Whether a rule of it can refuse anything."""
        return any(rule.enforcement != "advisory" for rule in self.validations)


class Waiver(Document):
    """policies/waivers/<name>.yaml: soft rules of a policy that one version need not meet for a while.

    `version_yaml` is git's id of that version's `version.yaml`, so the waiver is for these facts and no others. It counts
    from the base alone, from `not_before` to `expires`, 30 days at most.
    """

    by_people: ClassVar[bool] = True
    schema_name: ClassVar[str] = "waiver"
    kind: Literal["Waiver"] = "Waiver"
    schema_version: Literal[1] = 1
    policy: Name
    rules: Annotated[tuple[RuleId, ...], Field(min_length=1)]
    model: Name
    version_yaml: ObjectId
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    not_before: AwareDatetime
    expires: AwareDatetime

    @model_validator(mode="after")
    def _bounded(self) -> Waiver:
        if not self.not_before < self.expires <= self.not_before + LONGEST_WAIVER:
            raise ValueError(f"expires must come after not_before, by {LONGEST_WAIVER.days} days at most")
        return self
