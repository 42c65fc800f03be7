"""What a check is given and what it says: facts, findings, and the verdict of a gate.

A fact that nobody gathered is None, and a rule that needs it says `not-checked`. Whether that is refused is the
gate's business: it names the facts it requires. What one rule of a policy came to is a verdict; those that stand in
the way, or that somebody should read, are findings too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NamedTuple

from gitops_registry.changes import Change
from gitops_registry.comparison import Row
from gitops_registry.manifest.kinds import Access, Constitution
from gitops_registry.manifest.policies import Enforcement
from gitops_registry.reference import Reference
from gitops_registry.snapshot import PathChange, Snapshot

Result = Literal["error", "warning", "not-checked"]
Fact = Literal["actor", "approvals", "presence", "history", "cards", "policies"]
Presence = Literal["present", "missing", "damaged"]

ADVICE: frozenset[Fact] = frozenset({"cards"})
"""What a look at a change on somebody's own machine requires."""
DECISION: frozenset[Fact] = frozenset({"cards", "presence", "history", "approvals", "policies"})
"""What landing a change requires: `policies` is whatever fact a policy asks for. Who acts is proved where a server or a
forge can prove it.
"""

Came = Literal["pass", "fail", "error", "skip", "waived", "not-checked"]
"""What a rule of a policy can come to. Only `pass`, `skip` and `waived` let a change through, and advice never refuses one."""


class Alteration(NamedTuple):
    """A file of a version's facts that is not as it was registered: the commits that changed it last and brought it."""

    path: str
    changed: str
    registered: str


class Tenures(NamedTuple):
    """Who held a stage, the last one first; those of them that came there as one is judged today (`earned`).

    `departed`: where the base has the last one no more, the registry when it still did, and what it was called there.
    """

    order: tuple[int, ...]
    earned: tuple[int, ...]
    departed: tuple[Snapshot, Reference] | None = None


@dataclass(frozen=True)
class Facts:
    """What was found out about a change outside the registry's files.

    `actor`: the verified member who decides; empty where the `signer` is none. `approvals`: the members whose approval
    holds; `objections`: who rejected it, and why; `discounted`: approvals that do not hold, in words; `contributors`: the
    members who wrote it; `unsigned`: commits of it that no member signed. `presence`: per
    SHA-256, whether the store has the artifact. `history`: per (model, stage), who held it. `altered`: the
    versions whose facts are not those they were registered with. `cards`: per path, what the rendered card must be.
    `templates`: what is wrong with the templates of cards: path, what, and what to do. `now`: the moment.
    """

    actor: str | None = None
    signer: str = ""
    approvals: tuple[str, ...] | None = None
    objections: tuple[tuple[str, str], ...] = ()
    discounted: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()
    presence: Mapping[str, Presence | None] | None = None
    history: Mapping[tuple[str, str], Tenures] | None = None
    altered: Mapping[Reference, Alteration] | None = None
    cards: Mapping[str, bytes] | None = None
    templates: Sequence[tuple[str, str, str]] = ()
    now: datetime | None = None


class Spot(NamedTuple):
    """Where a finding points, and the model and version it is about; line 0 means the file as such."""

    path: str = ""
    line: int = 0
    column: int = 0
    model: str = ""
    version: int = 0


@dataclass(frozen=True)
class Finding:
    """One thing that one rule says. `line` 0 means that no line is meant; `fact` is the one that was missing.

    `excerpt` is a line of an expression and, below it, a caret under the place that is meant.
    """

    rule: str
    result: Result
    message: str
    hint: str = ""
    path: str = ""
    line: int = 0
    column: int = 0
    model: str = ""
    version: int = 0
    fact: Fact | None = None
    excerpt: str = ""

    @classmethod
    def error(cls, rule: str, message: str, hint: str, spot: Spot) -> Finding:
        """Return what refuses a change."""
        return cls(rule, "error", message, hint, *spot)

    @classmethod
    def warning(cls, rule: str, message: str, hint: str, spot: Spot) -> Finding:
        """Return what is pointed out and refuses nothing."""
        return cls(rule, "warning", message, hint, *spot)

    @classmethod
    def unchecked(cls, rule: str, fact: Fact, message: str, hint: str, spot: Spot) -> Finding:
        """Return what could not be judged for want of a fact."""
        return cls(rule, "not-checked", message, hint, *spot, fact=fact)

    @property
    def where(self) -> str:
        """`path:line:column` as far as it is known."""
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON-ready data, without what is empty."""
        return {key: value for key, value in self.__dict__.items() if value not in ("", 0, None)}


@dataclass(frozen=True)
class Verdict:
    """What one rule of one policy came to for one version in, or on its way to, a stage (or an alias).

    `path` and `line` are where the rule stands in its policy. `reading` says of a `fail` what was found; `needed` what
    would make it pass. `waiver` and `until` name what lifts it. `asks_people`: the rule reads who approved.
    """

    policy: str
    rule: str
    result: Came
    enforcement: Enforcement
    model: str
    version: int
    stage: str
    message: str = ""
    needed: str = ""
    path: str = ""
    line: int = 0
    waiver: str = ""
    until: str = ""
    asks_people: bool = False

    @property
    def is_in_the_way(self) -> bool:
        """Whether it refuses the change where every fact is required."""
        return self.enforcement != "advisory" and self.result in {"fail", "error", "not-checked"}

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON-ready data, without what is empty."""
        return {key: value for key, value in self.__dict__.items() if value not in ("", 0, None)}


@dataclass(frozen=True)
class Move:
    """A version on its way into a stage: who holds the stage, who held it last (the champion), and how the two compare."""

    model: str
    version: int
    stage: str
    holders: tuple[int, ...]
    champion: int | None = None
    rows: tuple[Row, ...] = ()

    def __str__(self) -> str:
        """`credit-risk: production 2 → 3`."""
        was = ", ".join(map(str, self.holders)) or "(empty)"
        return f"{self.model}: {self.stage} {was} → {self.version}"

    def to_json(self) -> dict[str, Any]:
        """Return the move as JSON-ready data; of the comparison, what differs."""
        differing = [row.to_json() for row in self.rows if not row.is_same]
        return {**self.__dict__, "text": str(self), "holders": list(self.holders), "rows": differing}


@dataclass(frozen=True)
class Judgement:
    """What the rules look at: both sides, their differences and the facts.

    `models` and `versions` are those the change touches (all of them for a check of the whole registry, where
    `before` is None). `law` is the constitution of the base, or of a registry that has none before this change.
    """

    before: Snapshot | None
    after: Snapshot
    changes: Sequence[Change]
    changed: Sequence[PathChange]
    facts: Facts
    law: Constitution
    access: Access | None
    models: tuple[str, ...] = ()
    versions: tuple[Reference, ...] = ()

    @cached_property
    def renamed(self) -> Mapping[str, str]:
        """What the change calls a model → what the base calls it."""
        return {str(change.after): change.model for change in self.changes if change.kind == "model_renamed"}

    @cached_property
    def renames(self) -> Mapping[str, str]:
        """What the base calls a model → what the change calls it."""
        return {old: new for new, old in self.renamed.items()}


Rule = Callable[[Judgement], Iterable[Finding]]


def needing_bytes(after: Snapshot, changes: Sequence[Change], law: Constitution) -> list[Reference]:
    """Return the versions whose bytes a change needs to be in the store: what it registers, and what it lets serve."""
    serving = {stage.name for stage in law.stages if stage.serving}
    wanted = {
        Reference(change.model, change.version)
        for change in changes
        if change.kind == "version_registered" or (change.kind == "stage_transition" and change.after in serving)
    }
    return sorted(reference for reference in wanted if after.version(*reference) is not None)


def serving_versions(snapshot: Snapshot, law: Constitution, among: Sequence[str] | None = None) -> list[Reference]:
    """Return the versions (of all models, or of those that are named) in serving stages, in order of model and stage."""
    stages = [stage.name for stage in law.stages if stage.serving]
    names = [name for name in snapshot.models() if among is None or name in among]
    models = {name: snapshot.model(name) for name in names}
    return [
        Reference(name, number)
        for name, model in models.items()
        for stage in stages
        for number in sorted(model.stages.get(stage, ()) if model else ())
        if snapshot.version(name, number) is not None
    ]


@dataclass(frozen=True)
class Report:
    """Everything a check said, in order of path, line and rule.

    `rules` are the built-in ones that were run; `verdicts` what the rules of policies came to, in order of version, policy
    and rule; `moves` what the change moves into stages.
    """

    findings: tuple[Finding, ...]
    changes: tuple[Change, ...] = ()
    rules: tuple[str, ...] = field(default=())
    verdicts: tuple[Verdict, ...] = ()
    moves: tuple[Move, ...] = ()

    def refusals(self, required: frozenset[Fact]) -> tuple[Finding, ...]:
        """Return the findings that refuse the change at a gate which requires those facts. Empty means accepted."""
        return tuple(
            f for f in self.findings if f.result == "error" or (f.result == "not-checked" and f.fact in required)
        )

    def waiting(self, required: frozenset[Fact]) -> tuple[Finding, ...]:
        """Return those of the refusals that an approval may lift: too few of them, or a rule that reads who approved."""
        asking = {f"{one.policy}/{one.rule}" for one in self.verdicts if one.asks_people} | {"approvals"}
        return tuple(finding for finding in self.refusals(required) if finding.rule in asking)

    def with_report(self, other: Report) -> Report:
        """Return what both checks said, each thing once, errors first."""
        both = {*self.findings, *other.findings}
        ordered = sorted(both, key=lambda f: (f.result != "error", f.path, f.line, f.rule, f.message))
        return Report(
            tuple(ordered),
            other.changes,
            tuple(dict.fromkeys((*self.rules, *other.rules))),
            tuple(dict.fromkeys((*self.verdicts, *other.verdicts))),
            (*self.moves, *other.moves),
        )

    def to_json(self, required: frozenset[Fact] = ADVICE) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        refused = self.refusals(required)
        return {
            "ok": not refused,
            "findings": [finding.to_json() for finding in self.findings],
            "rules": list(self.rules),
            "policies": [verdict.to_json() for verdict in self.verdicts],
            "moves": [move.to_json() for move in self.moves],
        }
