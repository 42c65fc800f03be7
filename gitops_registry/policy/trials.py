"""The tests that a policy brings: its rules on the example facts, some of them set or taken away.

Every rule needs a test in which it passes and one in which it fails, for a rule that nothing fails may as well be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gitops_registry.manifest.policies import Trial
from gitops_registry.policy import vocabulary
from gitops_registry.policy.applying import Question, Work, ask, came_of
from gitops_registry.policy.engine import Run
from gitops_registry.policy.grammar import ITEM, UNKNOWN, NotUnderstood, Path, parse
from gitops_registry.policy.report import Finding, Spot
from gitops_registry.policy.rulebook import Rulebook, Sheet
from gitops_registry.policy.subjects import Subject
from gitops_registry.policy.vocabulary import Gathered
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

_NEEDED = ("pass", "fail")


@dataclass(frozen=True)
class Tried:
    """One test of a policy: per rule what was expected and what it came to, and why; `problem` where it cannot be run."""

    policy: str
    name: str
    path: str
    line: int
    outcomes: tuple[tuple[str, str, str, str], ...] = ()
    problem: str = ""

    @property
    def is_met(self) -> bool:
        """Whether all came to what was expected."""
        return not self.problem and all(expected == came for _, expected, came, _ in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Return the test as JSON-ready data."""
        rules = [
            {"rule": rule, "expected": expected, "came": came, "message": message}
            for rule, expected, came, message in self.outcomes
        ]
        told = {"policy": self.policy, "name": self.name, "path": self.path, "line": self.line, "ok": self.is_met}
        return {**told, "rules": rules, "problem": self.problem}


@dataclass(frozen=True)
class Prepared:
    """A test that is among the work."""

    sheet: Sheet
    trial: Trial
    at: int
    subject: Subject
    problem: str
    question: Question | None = None

    def of(self, sheet: Sheet) -> Prepared:
        """Return the test with its policy as it is known by now."""
        question = replace(self.question, sheet=sheet) if self.question else None
        return replace(self, sheet=sheet, question=question)


def prepare(work: Work, sheet: Sheet) -> list[Prepared]:
    """Put the tests of a policy among the work."""
    found = []
    for expression in sheet.all():  # the compiler looks at all of them, whether or not a test gets as far
        work.program(expression.text)
    for at, trial in enumerate(sheet.policy.tests):
        subject, params, problem = _arranged(sheet, trial)
        question = None
        if not problem and not sheet.problems:
            facts = work.add_facts(subject.facts)
            question = ask(work, sheet, subject, facts=facts, base=facts, params=params)
        found.append(Prepared(sheet, trial, at, subject, problem, question))
    return found


def tried(prepared: Sequence[Prepared], run: Run, after: Snapshot) -> list[Tried]:
    """Return what the tests came to, in order."""
    found = []
    for one in prepared:
        sheet, line = one.sheet, one.sheet.line("tests", one.at)
        plain = Tried(sheet.name, one.trial.name, sheet.parsed.path, line, problem=one.problem)
        if one.question is None or sheet.problems:
            found.append(plain if one.problem else Tried(*_head(plain), problem="the policy does not compile"))
            continue
        applied = came_of(one.question, run, after, Rulebook(), None)
        came = {verdict.rule: (verdict.result, verdict.message) for verdict in applied.verdicts}
        left_out = ("skip", applied.why_not)  # what a policy that is not about the version says of it
        outcomes = [(rule, expected, *came.get(rule, left_out)) for rule, expected in one.trial.expect.items()]
        found.append(Tried(*_head(plain), outcomes=tuple(outcomes)))
    return found


def _head(one: Tried) -> tuple[str, str, str, int]:
    return one.policy, one.name, one.path, one.line


def findings(sheets: Sequence[Sheet], results: Sequence[Tried]) -> list[Finding]:
    """Return what is wrong with tests: those that were not met, and rules that no test passes or fails."""
    found = []
    for one in results:
        spot = Spot(one.path, one.line, 1)
        if one.problem and one.problem != "the policy does not compile":
            found.append(Finding.error("policy-tests", f"{one.name!r}: {one.problem}", "mend the test", spot))
        for rule, expected, came, message in one.outcomes:
            if expected != came:
                why = f": {message}" if message else ""
                told = f"{one.name!r}: {rule} came to {came}, not {expected}{why}"
                hint = f"mend the rule or the test; see: gitops-registry policy test {one.policy}"
                found.append(Finding.error("policy-tests", told, hint, spot))
    return found + [finding for sheet in sheets for finding in _untested(sheet)]


def _untested(sheet: Sheet) -> list[Finding]:
    expected = [(rule, result) for trial in sheet.policy.tests for rule, result in trial.expect.items()]
    found = []
    for at, rule in enumerate(sheet.policy.validations):
        missing = [result for result in _NEEDED if (rule.id, result) not in expected]
        if missing:
            words = " and none in which it ".join({"pass": "passes", "fail": "fails"}[result] for result in missing)
            hint = f"add one to tests: {{name: …, set: {{…}}, expect: {{{rule.id}: {missing[0]}}}}}"
            spot = Spot(sheet.parsed.path, sheet.line("validations", at), 1)
            found.append(
                Finding.error("policy-tests", f"{sheet.name}/{rule.id} has no test in which it {words}", hint, spot)
            )
    return found


def _arranged(sheet: Sheet, trial: Trial) -> tuple[Subject, dict[str, Any], str]:
    """Return the version a test is about, the parameters it uses, and what is wrong with what it sets."""
    facts: dict[str, Any] = {**vocabulary.example(), "params": sheet.policy.params}
    missing: set[Gathered] = set()
    problems: list[str] = []
    for text, is_set in (*((text, True) for text in trial.set), *((text, False) for text in trial.unset)):
        path, wrong = _path(text, sheet)
        if wrong:
            problems.append(wrong)
            continue
        if path[0] == "params" and facts["params"] is sheet.policy.params:
            facts["params"] = deepcopy(facts["params"])  # what a test sets is set for it alone
        if is_set:
            problems.append(_put(facts, path, trial.set[text]))
        else:
            missing |= vocabulary.missing_without(path)
            _take(facts, path)
    params = facts.pop("params", {})
    problems += [vocabulary.mistyped(facts), _unlike(params, sheet.policy.params)]
    change = facts.get("change")
    stage = str(change.get("to", "")) if isinstance(change, Mapping) else ""
    subject = Subject(
        Reference("credit-risk", 3), "stage_transition", stage, names=("credit-risk",), tags={},
        facts=facts, base=facts, missing=frozenset(missing),
    )  # fmt: skip
    return subject, params, next(filter(None, problems), "")


def _path(text: str, sheet: Sheet) -> tuple[Path, str]:
    try:
        node = parse(text)
    except NotUnderstood as error:
        return (), f"{text!r} names no fact: {error.message}"
    if node.kind != "read" or node.path[0] not in vocabulary.ROOTS or node.path[0] == "variables":
        return (), f"{text!r} names no fact; write one like candidate.measured.accuracy"
    if UNKNOWN in node.path or ITEM in node.path:
        return (), f"{text!r} cannot be set or unset alone; set what it is part of"
    return node.path, vocabulary.problem(node.path, {"params": tuple(sheet.policy.params), "variables": ()})


def _as_fact(path: Path, value: Any) -> Any:
    """Return a value of a test as the fact would be: moments are written as text. Raises OverflowError."""
    if isinstance(value, str) and vocabulary.type_of(path).startswith("timestamp"):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment if moment.tzinfo else value
    is_double = vocabulary.type_of(path) == "double"
    return float(value) if is_double and isinstance(value, int) and not isinstance(value, bool) else deepcopy(value)


def _unlike(value: Any, like: Any, path: str = "params") -> str:
    """Say which parameter is no list or no mapping in a test, though it is one in the policy; empty where none is."""
    for kind, told in ((list, "a list"), (dict, "a mapping")):
        if isinstance(like, kind) and isinstance(value, list | dict) and not isinstance(value, kind):
            return f"{path} is {told} in the policy, so it must be one in the test"
    if not isinstance(like, dict) or not isinstance(value, dict):
        return ""
    found = (_unlike(value[key], like[key], f"{path}.{key}") for key in like if key in value)
    return next(filter(None, found), "")


def _put(facts: dict[str, Any], path: Path, value: Any) -> str:
    """Set a fact, and say why that cannot be done."""
    place: Any = facts
    for at, step in enumerate(path[:-1]):
        if not isinstance(place, dict) or not isinstance(place.get(step, {}), dict):
            return f"{'.'.join(path)} cannot be set: {'.'.join(path[: at + 1])} has no fields in this test"
        place = place.setdefault(step, {})
    if not isinstance(place, dict):
        return f"{'.'.join(path)} cannot be set: {'.'.join(path[:-1])} has no fields in this test"
    try:
        place[path[-1]] = _as_fact(path, value)
    except OverflowError:
        return f"{'.'.join(path)} cannot be set: the number is larger than a double can be"
    return ""


def _take(facts: dict[str, Any], path: Path) -> None:
    place: Any = facts
    for step in path[:-1]:
        place = place.get(step) if isinstance(place, Mapping) else None
    if isinstance(place, dict):
        place.pop(path[-1], None)
