"""A report as one gate reads it: what refuses, in which order things are told, and what each policy came to.

Every format tells the same review, so all of them agree on the verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from gitops_registry.changes import Change, plan_digest, to_json
from gitops_registry.comparison import Row
from gitops_registry.policy.report import Came, Fact, Finding, Move, Report, Result, Verdict
from gitops_registry.reporting.values import counted

_SECTIONS = ("metrics", "facts", "signature", "params", "environment", "artifacts")
_DECISIVE = frozenset({"metrics", "facts", "signature", "params"})
_UNDECISIVE_FACTS = frozenset({"created", "release"})


@dataclass(frozen=True)
class Applied:
    """What the rules of one policy came to; `refusing` are those that stand in the way at this gate."""

    policy: str
    verdicts: tuple[Verdict, ...]
    refusing: tuple[Verdict, ...]

    @property
    def counts(self) -> Mapping[Came, int]:
        """How many verdicts came to what."""
        return Counter(verdict.result for verdict in self.verdicts)

    @property
    def waived(self) -> tuple[Verdict, ...]:
        """The verdicts that a waiver lifts."""
        return tuple(verdict for verdict in self.verdicts if verdict.result == "waived")

    @property
    def result(self) -> Result | Literal["pass"]:
        """What all of it came to: an error where it refuses, a warning for advice and waivers, else what is left."""
        if self.refusing:
            return "error"
        if self.waived or any(v.enforcement == "advisory" and v.result in {"fail", "error"} for v in self.verdicts):
            return "warning"
        return "not-checked" if self.counts.get("not-checked") else "pass"

    @property
    def scope(self) -> str:
        """`5 rules`, or `5 rules on 2 versions`."""
        rules = len({verdict.rule for verdict in self.verdicts})
        judged = len({(verdict.model, verdict.version) for verdict in self.verdicts})
        return counted(rules, "rule") + (f" on {judged} versions" if judged > 1 else "")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What did not simply pass, in words: `2 refuse`, `1 advises against it`, `1 WAIVED until …`."""
        told: list[str] = []
        refuse = len(self.refusing)
        advise = sum(v.enforcement == "advisory" and v.result in {"fail", "error"} for v in self.verdicts)
        unchecked = self.counts.get("not-checked", 0) - sum(v.result == "not-checked" for v in self.refusing)
        skipped = self.counts.get("skip", 0)
        told += [f"{refuse} refuse{'s' if refuse == 1 else ''}"] if refuse else []
        told += [f"{advise} advise{'s' if advise == 1 else ''} against it"] if advise else []
        ends = Counter(verdict.until for verdict in self.waived)
        told += [f"{count} WAIVED" + (f" until {until}" if until else "") for until, count in sorted(ends.items())]
        told += [f"{unchecked} not checked"] if unchecked else []
        told += [f"{skipped} skipped"] if skipped else []
        return tuple(told)


@dataclass(frozen=True)
class Review:
    """A report and the findings of it that refuse; `base` and `head` say in words what was judged.

    Without a `base` it is about a whole registry, not about a change.
    """

    report: Report
    refusals: tuple[Finding, ...] = ()
    base: str = ""
    head: str = ""

    @classmethod
    def at(cls, required: frozenset[Fact], report: Report, *, base: str = "", head: str = "") -> Review:
        """Return the report as a gate reads it that requires those facts."""
        return cls(report, report.refusals(required), base, head)

    @property
    def what(self) -> str:
        """`the change` or `the registry`."""
        return "the change" if self.base else "the registry"

    @property
    def verdict(self) -> str:
        """One line: how many findings are to mend, or how much it passes."""
        if self.refusals:
            return f"{self.what}: {len(self.refusals)} finding(s) to mend"
        policies = len(self.policies)
        also = f" and {policies} polic{'y' if policies == 1 else 'ies'}" if policies else ""
        return f"{self.what} passes {len(self.report.rules)} rules{also}"

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings: those that refuse, then warnings, then what nobody checked; otherwise in the report's order."""
        return tuple(sorted(self.report.findings, key=lambda f: (f not in self.refused, f.result == "not-checked")))

    @cached_property
    def refused(self) -> frozenset[Finding]:
        """The refusals, to look one up."""
        return frozenset(self.refusals)

    def next_step(self, finding: Finding) -> str:
        """Return the hint of a finding; of one that refuses, as `to pass: …`. Empty where there is none."""
        return f"to pass: {finding.hint}" if finding.hint and finding in self.refused else finding.hint

    def heading(self, move: Move) -> str:
        """Return a move and where its version comes from: `credit-risk: production 2 → 3 (from staging)`."""
        for change in self.report.changes:
            if change.kind == "stage_transition" and (change.model, change.version, change.after) == _key(move):
                return f"{move} (from {change.before})"
        return str(move)

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """The moves that a reviewer decides about: into a stage that has a champion, or that nobody holds.

        A version that another one displaces is told as a change, and so is one that joins others in a stage.
        """
        displaced = {(move.model, holder) for move in self.report.moves for holder in move.holders}
        return tuple(
            move
            for move in self.report.moves
            if move.champion is not None or not (move.holders or (move.model, move.version) in displaced)
        )

    @property
    def other_changes(self) -> tuple[Change, ...]:
        """The changes that no such move tells already."""
        told = {_key(move) for move in self.moves}
        return tuple(
            change
            for change in self.report.changes
            if change.kind != "stage_transition" or (change.model, change.version, change.after) not in told
        )

    @cached_property
    def policies(self) -> tuple[Applied, ...]:
        """What each policy that applied came to, in order of name."""
        by_name: dict[str, list[Verdict]] = {}
        for verdict in self.report.verdicts:
            by_name.setdefault(verdict.policy, []).append(verdict)
        return tuple(
            Applied(name, tuple(some), tuple(verdict for verdict in some if self.is_refusing(verdict)))
            for name, some in sorted(by_name.items())
        )

    def is_refusing(self, verdict: Verdict) -> bool:
        """Whether a verdict refuses at this gate; what nobody checked does so only where the gate requires it."""
        if verdict.result != "not-checked":
            return verdict.is_in_the_way
        return verdict.is_in_the_way and (rule_of(verdict), verdict.model, verdict.version) in self._refused

    @cached_property
    def _refused(self) -> frozenset[tuple[str, str, int]]:
        return frozenset((finding.rule, finding.model, finding.version) for finding in self.refusals)

    def verdict_of(self, finding: Finding) -> Verdict | None:
        """Return the verdict that a finding tells; None for a finding of a built-in rule."""
        same = self._verdicts.get((finding.rule, finding.model, finding.version), [])
        noted = [verdict for verdict in same if verdict.result not in {"pass", "skip"}]
        return next(iter(noted or same), None)

    @cached_property
    def _verdicts(self) -> dict[tuple[str, str, int], list[Verdict]]:
        found: dict[tuple[str, str, int], list[Verdict]] = {}
        for verdict in self.report.verdicts:
            found.setdefault((rule_of(verdict), verdict.model, verdict.version), []).append(verdict)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the review as JSON-ready data: the report, the verdict, counts, and the plan of a change."""
        changes = self.report.changes
        plan = {"digest": plan_digest(changes), "changes": [to_json(change) for change in changes]}
        return {
            **self.report.to_json(),
            "ok": not self.refusals,
            "verdict": self.verdict,
            "base": self.base or None,
            "head": self.head or None,
            "counts": {
                "refusals": len(self.refusals),
                "findings": dict(Counter(finding.result for finding in self.report.findings)),
                "verdicts": dict(Counter(verdict.result for verdict in self.report.verdicts)),
            },
            "plan": plan if self.base else None,
        }


def _key(move: Move) -> tuple[str, int, str]:
    return move.model, move.version, move.stage


def rule_of(verdict: Verdict) -> str:
    """Return the rule of a policy as findings name it: `<policy>/<rule>`."""
    return f"{verdict.policy}/{verdict.rule}"


def subject_of(finding: Finding) -> str:
    """Return what a finding is about: `credit-risk@3`, `credit-risk`, or nothing."""
    return f"{finding.model}@{finding.version}" if finding.model and finding.version else finding.model


def differing(move: Move) -> tuple[Row, ...]:
    """Return what differs between champion and challenger: metrics first, then what else a reviewer decides by."""
    rows = [row for row in move.rows if not row.is_same]
    return tuple(sorted(rows, key=lambda row: (not is_decisive(row), _SECTIONS.index(row.section))))


def is_decisive(row: Row) -> bool:
    """Whether a reviewer decides by this row; environment, digests and dates differ nearly always."""
    return row.section in _DECISIVE and not (row.section == "facts" and row.name in _UNDECISIVE_FACTS)
