"""Policies at work: which of them are about a version, what their rules come to, and what is said of it.

Everything that is to run is collected first and runs in one go. Nothing that went wrong passes: not a policy that cannot
be read, not a condition or a rule that cannot be worked out, not a fact that nobody found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from gitops_registry import paths
from gitops_registry.manifest.policies import Rule, Waiver
from gitops_registry.policy.engine import Answer, Case, Engine, Run, Step
from gitops_registry.policy.grammar import ITEM, UNKNOWN, Path
from gitops_registry.policy.report import Came, Verdict
from gitops_registry.policy.rulebook import Expression, Rulebook, Sheet
from gitops_registry.policy.subjects import Subject
from gitops_registry.policy.vocabulary import Gathered
from gitops_registry.snapshot import Snapshot

_WHO: Mapping[Gathered, str] = {
    "history": "nobody read who held the stage before (git fetch --unshallow)",
    "actor": "nobody verified who decides",
    "approvals": "nobody verified any approvals",
    "now": "nobody said what time it is",
}


@dataclass
class Work:
    """What is to run: programs, each once, and cases over sets of facts."""

    programs: dict[str, int] = field(default_factory=dict)
    facts: list[Mapping[str, Any]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    def program(self, text: str) -> int:
        """Return the number of a program."""
        return self.programs.setdefault(text, len(self.programs))

    def add_facts(self, facts: Mapping[str, Any]) -> int:
        """Return the number of a set of facts."""
        self.facts.append(facts)
        return len(self.facts) - 1

    def add_case(self, facts: int, params: Mapping[str, Any], steps: Sequence[Step]) -> int:
        """Return the number of a case."""
        self.cases.append(Case(facts, params, tuple(steps)))
        return len(self.cases) - 1

    def run(self, engine: Engine) -> Run:
        """Return what all of it comes to; nothing is started where there is nothing to run."""
        return engine.run(list(self.programs), self.facts, self.cases) if self.programs else Run((), {}, ())


@dataclass(frozen=True)
class Question:
    """One policy about one version: why it applies, and where the answers will be. `speaks` is whether it matched on what
    the base says, and not for want of knowing.
    """

    subject: Subject
    sheet: Sheet
    why: str
    speaks: bool
    conditions: int | None
    rules: int
    steps: Mapping[str, int]
    messages: Mapping[str, int]
    variables: Mapping[str, int]
    was: int | None = None


@dataclass(frozen=True)
class Applied:
    """What a policy came to for a version. `is_about` is false where a condition says that it is not meant."""

    question: Question
    is_about: bool
    speaks: bool
    verdicts: tuple[Verdict, ...] = ()
    conditions: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def why_not(self) -> str:
        """Which condition says that the version is not meant; empty where it is."""
        untrue = (name for name, answer in self.conditions.items() if answer.type == "bool" and not answer.is_true)
        return "" if self.is_about else f"its condition {next(untrue)} is false"


def match_problem(sheet: Sheet, subject: Subject) -> tuple[str, bool]:
    """Say why a policy is not about a version (empty: it is), and whether what speaks for that is known of the base."""
    match = sheet.policy.match
    if subject.event not in match.events:
        return f"it is about {', '.join(match.events)}, not {subject.event}", True
    if subject.event == "stage_transition" and match.to and subject.stage not in match.to:
        return f"it is about {', '.join(match.to)}, not {subject.stage}", True
    if (
        subject.event == "alias_set"
        and match.aliases
        and subject.alias.lower() not in {a.lower() for a in match.aliases}
    ):
        return f"it is about the alias {', '.join(match.aliases)}, not {subject.alias}", True
    if not any(fnmatchcase(name.lower(), pattern.lower()) for name in subject.names for pattern in match.models):
        return f"it is about models named {', '.join(match.models)}", True
    if subject.tags is None:
        return "", not match.tags
    for key, value in match.tags.items():
        if subject.tags.get(key) != value:
            has = f"is {subject.tags[key]!r}" if key in subject.tags else "is not set"
            return f"it is about the tag {key}: {value}, which {has} in the base", True
    return "", True


def ask(
    work: Work,
    sheet: Sheet,
    subject: Subject,
    *,
    facts: int,
    base: int,
    was: int | None = None,
    params: Mapping[str, Any] | None = None,
) -> Question:
    """Put everything that a policy asks of a version among the work, with other parameters where they are given.

    `facts`, `base` and `was` are the numbers of its facts, of those of the base, and of those before the change.
    """
    params = sheet.policy.params if params is None else params
    for expression in sheet.all():
        work.program(expression.text)
    conditions = None
    if sheet.policy.match_conditions:
        steps = [Step(work.program(condition.expression)) for condition in sheet.policy.match_conditions]
        conditions = work.add_case(base, params, steps)
    run, places, messages = steps_of(work, sheet, subject)
    variables = {step.keep: at for at, step in enumerate(run) if step.keep}
    number = work.add_case(facts, params, run)
    before = None if was is None else work.add_case(was, params, run)
    return Question(subject, sheet, _why(sheet, subject), match_problem(sheet, subject)[1], conditions, number, places, messages, variables, before)  # fmt: skip


def steps_of(work: Work, sheet: Sheet, subject: Subject) -> tuple[list[Step], dict[str, int], dict[str, int]]:
    """Return the steps that work out the rules which can be worked out, and rule → its step and that of its message."""
    wanted = [e for e in sheet.all() if e.use in {"rule", "message"} and not _unknown(e, subject)]
    steps = [Step(work.program(e.text), e.name) for e in sheet.variables_for(*wanted) if not _unknown(e, subject)]
    places: dict[str, int] = {}
    messages: dict[str, int] = {}
    for rule in sheet.policy.validations:
        expression = sheet.expressions["rule", rule.id]
        if _unknown(expression, subject) or _left_out(sheet, rule, subject):
            continue
        places[rule.id] = len(steps)
        steps.append(Step(work.program(expression.text)))
        message = sheet.expressions.get(("message", rule.id))
        if message is not None and not _unknown(message, subject):
            messages[rule.id] = len(steps)
            steps.append(Step(work.program(message.text), unless=places[rule.id]))
    return steps, places, messages


def _unknown(expression: Expression, subject: Subject) -> list[Gathered]:
    return sorted(expression.needs & subject.missing)


def _left_out(sheet: Sheet, rule: Rule, subject: Subject) -> str:
    """Say why a rule is not asked: a version that goes back where it was, or one that stands where it is."""
    change = subject.facts.get("change", {})
    if rule.on_rollback == "skip" and change.get("is_rollback"):
        return "it goes back to a stage that it held before"
    expression = sheet.expressions["rule", rule.id]
    read = (expression, *sheet.variables_for(expression))
    if subject.is_standing and any(one.reads_of("champion", "change") for one in read):
        return "nothing moves"
    return ""


def _why(sheet: Sheet, subject: Subject) -> str:
    """Say what made a policy apply, in the words of its match."""
    match = sheet.policy.match
    told = [f"{subject.event} to {subject.stage}" if subject.stage else f"{subject.event} {subject.alias}".strip()]
    meant = (p for p in match.models for name in subject.names if fnmatchcase(name.lower(), p.lower()))
    told += [f"models: {pattern}" for pattern in [*meant][:1]]  # none where its own tests ask it of the example
    if match.tags:
        tags = ", ".join(f"{key}: {value}" for key, value in match.tags.items())
        told.append(f"tags: {tags}" if subject.tags is not None else f"tags: {tags} (the base does not know the model)")
    return "; ".join(told)


def came_of(question: Question, run: Run, after: Snapshot, book: Rulebook, now: datetime | None) -> Applied:
    """Return what a policy came to for a version."""
    subject, sheet = question.subject, question.sheet
    conditions: dict[str, Answer] = {}
    if question.conditions is not None:
        names = [condition.name for condition in sheet.policy.match_conditions]
        conditions = dict(zip(names, run.answers[question.conditions], strict=True))
        if any(answer.type == "bool" and not answer.is_true for answer in conditions.values()):
            return Applied(question, False, False, (), conditions)
    speaks = question.speaks and all(answer.is_true for answer in conditions.values())
    answers = run.answers[question.rules]
    verdicts = [_verdict(question, rule, answers) for rule in sheet.policy.validations]
    if question.was is not None:
        before = [_verdict(question, rule, run.answers[question.was]) for rule in sheet.policy.validations]
        verdicts = [_ratcheted(now, was) for now, was in zip(verdicts, before, strict=True)]
    object_id = after.oid(paths.version_path(*subject.reference)) if book.waivers else ""
    verdicts = [_waived(verdict, book.waivers, object_id, now) for verdict in verdicts]
    return Applied(question, True, speaks, tuple(verdicts), conditions)


def _verdict(question: Question, rule: Rule, answers: Sequence[Answer]) -> Verdict:
    sheet, subject = question.sheet, question.subject
    place = next(n for n, one in enumerate(sheet.policy.validations) if one.id == rule.id)
    plain = Verdict(
        sheet.name, rule.id, "pass", rule.enforcement, *subject.reference, subject.stage or subject.alias,
        needed=rule.hint, path=sheet.parsed.path, line=sheet.line("validations", place),
        asks_people="approvals" in sheet.expressions["rule", rule.id].needs,
    )  # fmt: skip
    if subject.is_standing and rule.on_rollback == "skip" and subject.came_back is not False:
        plain = replace(plain, enforcement="advisory")  # it may have come back there, where the rule is left out
    expression = sheet.expressions["rule", rule.id]
    unknown = _unknown(expression, subject)
    if rule.on_rollback == "skip" and "history" in subject.missing and not (subject.is_standing or subject.is_rerun):
        unknown = sorted({*unknown, "history"})
    if left_out := _left_out(sheet, rule, subject):
        return replace(plain, result="skip", message=left_out)
    if unknown:
        return replace(plain, result="not-checked", message="; ".join(_WHO[one] for one in unknown))
    result, message = read(answers[question.steps[rule.id]])
    if result == "error":
        for variable in sheet.variables_for(expression):
            if (at := question.variables.get(variable.name)) is not None and answers[at].type == "error":
                expression, message = variable, str(answers[at].value)
                break
        message = what_was_missing(expression.reads, subject.facts, message)
    if result == "fail":
        told = answers[question.messages[rule.id]] if rule.id in question.messages else Answer("")
        message = (
            told.value
            if told.type == "string" and told.value
            else rule.message or f"{_short(rule.expression)} is false"
        )
    return replace(plain, result=result, message=message)


def read(answer: Answer) -> tuple[Came, str]:
    """Return what a rule came to, and why where it is an error. Only the boolean true passes."""
    if answer.is_true:
        return "pass", ""
    if answer.type == "bool":
        return "fail", ""
    if answer.type == "error":
        return "error", str(answer.value)
    return "error", f"is of type {answer.type}, not true or false" if answer.type else "does not compile"


def what_was_missing(reads: Iterable[tuple[Path, int]], facts: Mapping[str, Any], message: str) -> str:
    """Return an error of the engine in words: which fact was missing, where that is what went wrong."""
    wanted = re.search(r'Key not found in map : "(.*)"', message)
    for path, _ in reads:
        if path[0] in {"params", "variables"}:
            continue
        told, value = _followed(path, facts)
        if told:
            return _or_claimed(told, facts)
        if wanted and UNKNOWN in path and isinstance(value, Mapping) and wanted[1] not in value:
            return _or_claimed(f"{'.'.join(path[: path.index(UNKNOWN)])} has no {wanted[1]!r}", facts)
        if value is None and "overload" in message:
            return f"{'.'.join(path)} is null"
    if "Iteration budget" in message:
        return "goes through more than 10,000 items"
    head, _, rest = message.partition(": ")
    return rest.removesuffix(" [INTERNAL]") if head.isupper() and rest else message


def _or_claimed(told: str, facts: Mapping[str, Any]) -> str:
    """Say of a metric that is missing among the measured ones that somebody claims it, where that is so."""
    name = re.fullmatch(r"candidate\.measured has no '(.*)'", told)
    if name and name[1] in facts["candidate"].get("claimed", ()):
        return f"{told}: {name[1]} is a claim that nobody measured"
    return told


def _followed(path: Path, facts: Mapping[str, Any]) -> tuple[str, Any]:
    """Return why a path leads nowhere, or what it leads to: as far as it is known before the expression runs."""
    value: Any = facts
    for at, step in enumerate(path):
        told = ".".join(path[:at])
        if step in {UNKNOWN, ITEM} or not isinstance(value, Mapping):
            break
        if step not in value:
            return (f"{told} has no {step!r}" if at else f"{step} is not known"), None
        value = value[step]
        if value is None and at + 1 < len(path):
            return (f"{told}.{step} is null" if told else f"{step} is null"), None
    return "", value


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:99] + "…"


def _ratcheted(verdict: Verdict, was: Verdict) -> Verdict:
    """A change to what serves answers for what it makes worse, not for what was so before it."""
    if verdict.result in {"fail", "error"} and was.result in {"fail", "error"}:
        return replace(verdict, enforcement="advisory", message=f"{verdict.message} (so it was before this change)")
    return verdict


def _waived(verdict: Verdict, waivers: Mapping[str, Waiver], object_id: str, now: datetime | None) -> Verdict:
    """Lift what a waiver of the base lifts at this moment: soft rules that failed, of exactly these facts."""
    if verdict.enforcement != "soft" or verdict.result not in {"fail", "error"} or now is None:
        return verdict
    for name, waiver in waivers.items():
        is_meant = (waiver.policy, waiver.model, waiver.version_yaml) == (verdict.policy, verdict.model, object_id)
        if is_meant and verdict.rule in waiver.rules and waiver.not_before <= now < waiver.expires:
            return replace(verdict, result="waived", waiver=name, until=waiver.expires.isoformat())
    return verdict
