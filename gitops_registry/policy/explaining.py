"""Why a policy applies and what each part of its rules was, for one version on its way to a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitops_registry.policy.applying import Applied, Work, ask, came_of, match_problem, steps_of, what_was_missing
from gitops_registry.policy.engine import Answer, Engine, Run, Step
from gitops_registry.policy.grammar import parse, reads, shown_parts
from gitops_registry.policy.report import Judgement, Verdict
from gitops_registry.policy.rulebook import Rulebook, Sheet
from gitops_registry.policy.subjects import Subject

_PARTS = 40


@dataclass(frozen=True)
class Shown:
    """A part of an expression and what it was; `problem` where it could not be worked out."""

    text: str
    value: Any = None
    problem: str = ""


@dataclass(frozen=True)
class ExplainedRule:
    """A rule, what it came to, and its parts from the outside in; first of all the variables that it reads."""

    verdict: Verdict
    expression: str
    variables: tuple[Shown, ...] = ()
    parts: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Explained:
    """One policy: whether it is about the version and why, or why not, and its rules. `problem` where it cannot be worked out.

    `speaks` is whether it may let a version into a stage that serves: it can refuse, and it matched on what the base says.
    """

    policy: str
    description: str
    path: str
    is_about: bool
    why: str
    speaks: bool = False
    conditions: tuple[Shown, ...] = ()
    rules: tuple[ExplainedRule, ...] = ()
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            **{
                key: getattr(self, key)
                for key in ("policy", "description", "path", "is_about", "why", "speaks", "problem")
            },
            "conditions": [one.__dict__ for one in self.conditions],
            "rules": [
                {
                    **rule.verdict.to_json(),
                    "expression": rule.expression,
                    "variables": [one.__dict__ for one in rule.variables],
                    "parts": [one.__dict__ for one in rule.parts],
                }
                for rule in self.rules
            ],
        }


def explained(judgement: Judgement, subject: Subject, book: Rulebook, engine: Engine) -> list[Explained]:
    """Return what each policy of a revision says of a version, in order of name."""
    work = Work()
    facts, base = work.add_facts(subject.facts), work.add_facts(subject.base)
    asked = {
        sheet.name: ask(work, sheet, subject, facts=facts, base=base)
        for sheet in book.sheets
        if not match_problem(sheet, subject)[0]
    }
    traces = {name: _trace(work, question.sheet, subject, facts) for name, question in asked.items()}
    run = work.run(engine)
    found = []
    for sheet in book.sheets:
        plain = Explained(
            sheet.name, sheet.policy.description, sheet.parsed.path, False, match_problem(sheet, subject)[0]
        )
        if sheet.name not in asked:
            found.append(plain)
            continue
        checked = sheet.checked(run, work.programs)
        if checked.problems:
            first = checked.problems[0]
            found.append(replace(plain, is_about=True, problem=f"{first.where}: {first.message}"))
            continue
        applied = came_of(asked[sheet.name], run, judgement.after, book, judgement.facts.now)
        found.append(_told(plain, applied, traces[sheet.name], run))
    return found


def _trace(work: Work, sheet: Sheet, subject: Subject, facts: int) -> dict[str, tuple[int, list[str], list[str]]]:
    """Put the parts of every rule among the work; rule → its case, the names of the variables and the texts of the parts."""
    found = {}
    known = steps_of(work, sheet, subject)[1]
    for rule in sheet.policy.validations:
        expression = sheet.expressions["rule", rule.id]
        if rule.id not in known:
            continue
        variables = sheet.variables_for(expression)
        texts = [expression.text[part.start : part.end] for part in shown_parts(expression.node)]
        texts = list(dict.fromkeys(texts))[:_PARTS]
        steps = [Step(work.program(one.text), one.name, is_wanted=True) for one in variables]
        steps += [Step(work.program(text)) for text in texts]
        names = [one.name for one in variables]
        found[rule.id] = (work.add_case(facts, sheet.policy.params, steps), names, texts)
    return found


def _told(
    plain: Explained, applied: Applied, traces: dict[str, tuple[int, list[str], list[str]]], run: Run
) -> Explained:
    sheet = applied.question.sheet
    texts = {one.name: one.expression for one in sheet.policy.match_conditions}
    conditions = tuple(_shown(texts[name], answer) for name, answer in applied.conditions.items())
    if not applied.is_about:
        return replace(plain, why=applied.why_not, conditions=conditions)
    rules = []
    for rule, verdict in zip(sheet.policy.validations, applied.verdicts, strict=True):
        case, names, parts = traces.get(rule.id, (0, [], []))
        answers: Sequence[Answer] = run.answers[case] if rule.id in traces else ()
        facts = applied.question.subject.facts
        variables = [_shown(f"variables.{name}", answer) for name, answer in zip(names, answers, strict=False)]
        shown = [_shown(text, answer, facts) for text, answer in zip(parts, answers[len(names) :], strict=False)]
        rules.append(ExplainedRule(verdict, rule.expression, tuple(variables), tuple(shown)))
    speaks = applied.speaks and sheet.policy.is_binding
    return replace(
        plain, is_about=True, why=applied.question.why, speaks=speaks, conditions=conditions, rules=tuple(rules)
    )


def _shown(text: str, answer: Answer, facts: Mapping[str, Any] | None = None) -> Shown:
    line = " ".join(text.split())
    if answer.type != "error":
        return Shown(line, answer.value)
    return Shown(
        line, None, what_was_missing(reads(parse(text)), facts, str(answer.value)) if facts else str(answer.value)
    )
