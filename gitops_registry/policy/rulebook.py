"""The policies and waivers of one revision, read and looked at before anything runs.

Every expression is taken apart, so that a misspelt fact is found when the policy is written and not when it should have
refused something; and it is known which facts a rule needs somebody to have found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gitops_registry import paths
from gitops_registry.errors import ManifestError
from gitops_registry.manifest.kinds import Constitution
from gitops_registry.manifest.policies import Policy, Waiver
from gitops_registry.manifest.reading import Parsed
from gitops_registry.policy import lists, vocabulary
from gitops_registry.policy.engine import Run, Trouble
from gitops_registry.policy.grammar import Node, NotUnderstood, Path, parse, reads
from gitops_registry.policy.report import Finding, Spot
from gitops_registry.policy.vocabulary import Gathered
from gitops_registry.snapshot import Snapshot

Use = Literal["condition", "variable", "rule", "message"]
_RESULTS: Mapping[Use, tuple[frozenset[str], str]] = {
    "condition": (frozenset({"BOOL", "DYN"}), "true or false"),
    "rule": (frozenset({"BOOL", "DYN"}), "true or false"),
    "message": (frozenset({"STRING", "DYN"}), "text"),
}


@dataclass(frozen=True)
class Expression:
    """One expression of a policy, where it stands, and what it reads. `needs` is who must have found something out."""

    text: str
    use: Use
    name: str
    place: tuple[str | int, ...]
    node: Node
    reads: tuple[tuple[Path, int], ...]
    variables: frozenset[str] = frozenset()
    needs: frozenset[Gathered] = frozenset()

    def reads_of(self, *roots: str) -> bool:
        """Whether it reads one of those facts itself."""
        return any(path[0] in roots for path, _ in self.reads)


@dataclass(frozen=True)
class Sheet:
    """One policy with its expressions by use and name. `problems` is what is wrong with it; one that has any decides nothing."""

    parsed: Parsed[Policy]
    expressions: Mapping[tuple[Use, str], Expression]
    problems: tuple[Finding, ...] = ()

    @property
    def policy(self) -> Policy:
        """What its file says."""
        return self.parsed.document

    @property
    def name(self) -> str:
        """Its name, which is that of its file."""
        return paths.place_of(self.parsed.path).file

    def variables_for(self, *expressions: Expression) -> list[Expression]:
        """Return the variables that expressions read, also through others, in the order they are worked out."""
        wanted = set().union(*(expression.variables for expression in expressions))
        return [self.expressions["variable", one.name] for one in self.policy.variables if one.name in wanted]

    def line(self, *place: str | int) -> int:
        """Return the line of a part of its file."""
        return self.parsed.position(*place)[0]

    def all(self) -> Iterator[Expression]:
        """Yield its expressions in the order of the file."""
        yield from self.expressions.values()

    def checked(self, run: Run, programs: Mapping[str, int]) -> Sheet:
        """Return it with what the compiler said of its expressions."""
        found = []
        told = {(problem.line, problem.column) for problem in self.problems}
        scope = {"params": lists.of_params(self.policy.params)}
        for expression in self.expressions.values():
            program = programs[expression.text]
            trouble = _trouble_of(expression, run, program)
            if trouble is None and (found_map := lists.trouble(expression.node, scope)):
                trouble = _at(expression.text, *found_map)
            if expression.use == "variable":
                value = lists.known(expression.node, scope)
                is_list = run.types[program].startswith("LIST") and not value.is_list
                scope[f"variables.{expression.name}"] = lists.Known("list") if is_list else value
            if trouble is not None and self.parsed.position(*expression.place) not in told:
                found.append(_finding(self.parsed, expression.place, expression.text, trouble))
        return replace(self, problems=(*self.problems, *found))


@dataclass(frozen=True)
class Rulebook:
    """The policies of a revision in order of name, those that cannot be read, and its waivers by name."""

    sheets: tuple[Sheet, ...] = ()
    broken: tuple[Finding, ...] = ()
    waivers: Mapping[str, Waiver] = field(default_factory=dict)

    @property
    def events(self) -> frozenset[str] | None:
        """The events that some policy is about; None where that is not known of one."""
        if any(paths.place_of(problem.path).role == "policy" for problem in self.broken):
            return None
        return frozenset(event for sheet in self.sheets for event in sheet.policy.match.events)


def judged_stages(snapshot: Snapshot, law: Constitution) -> set[str]:
    """Return the stages whose newcomers are judged by what they are: those that serve, and those that a policy is about."""
    found = {stage.name for stage in law.stages if stage.serving}
    for parsed in _policies(snapshot):
        match = parsed.document.match if isinstance(parsed, Parsed) else None
        if match is not None and "stage_transition" in match.events:
            found |= set(match.to or (stage.name for stage in law.stages))
    return found


def rulebook(snapshot: Snapshot, only: frozenset[str] | None = None) -> Rulebook:
    """Return the policies and waivers of a revision (those at the paths in `only`, if it is given)."""
    found = list(_policies(snapshot, only))
    sheets = [sheet_of(parsed) for parsed in found if isinstance(parsed, Parsed)]
    broken = [_unreadable(error) for error in found if isinstance(error, ManifestError)]
    waivers: dict[str, Waiver] = {}
    for name in snapshot.children(paths.WAIVERS):
        path = f"{paths.WAIVERS}/{name}"
        if paths.place_of(path).role == "waiver" and (only is None or path in only):
            try:
                if waiver := snapshot.parsed(path, Waiver):
                    waivers[name.removesuffix(".yaml")] = waiver.document
            except ManifestError as error:  # it lifts nothing
                broken.append(_unreadable(error))
    return Rulebook(tuple(sheets), tuple(broken), waivers)


def _policies(snapshot: Snapshot, only: frozenset[str] | None = None) -> Iterator[Parsed[Policy] | ManifestError]:
    for name in snapshot.children(paths.POLICIES):
        path = f"{paths.POLICIES}/{name}"
        if paths.place_of(path).role == "policy" and (only is None or path in only):
            try:
                if parsed := snapshot.parsed(path, Policy):
                    yield parsed
            except ManifestError as error:
                yield error


def sheet_of(parsed: Parsed[Policy]) -> Sheet:
    """Return a policy with its expressions taken apart."""
    problems = []
    if parsed.document.name != paths.place_of(parsed.path).file:
        line, column = parsed.position("name")
        message = f"name {parsed.document.name!r} is not its file's"
        hint = f"write name: {paths.place_of(parsed.path).file}, or rename the file"
        problems.append(Finding.error("policies", message, hint, Spot(parsed.path, line, column)))
    found: dict[tuple[Use, str], Expression] = {}
    for use, name, text, place in _texts(parsed.document):
        known = {
            "params": tuple(parsed.document.params),
            "variables": tuple(name for kind, name in found if kind == "variable"),
        }
        expression, trouble = _taken_apart(text, use, name, place, known, found)
        found[use, name] = expression
        if trouble is not None:
            problems.append(_finding(parsed, place, text, trouble))
    return Sheet(parsed, found, tuple(problems))


def _texts(policy: Policy) -> Iterator[tuple[Use, str, str, tuple[str | int, ...]]]:
    for at, condition in enumerate(policy.match_conditions):
        yield "condition", condition.name, condition.expression, ("match_conditions", at, "expression")
    for at, variable in enumerate(policy.variables):
        yield "variable", variable.name, variable.expression, ("variables", at, "expression")
    for at, rule in enumerate(policy.validations):
        yield "rule", rule.id, rule.expression, ("validations", at, "expression")
        if rule.message_expression is not None:
            yield "message", rule.id, rule.message_expression, ("validations", at, "message_expression")


def _taken_apart(
    text: str,
    use: Use,
    name: str,
    place: tuple[str | int, ...],
    known: Mapping[str, tuple[str, ...]],
    before: Mapping[tuple[Use, str], Expression],
) -> tuple[Expression, Trouble | None]:
    try:
        node = parse(text)
    except NotUnderstood as error:
        nothing = Expression(text, use, name, place, Node("literal", 0, len(text)), ())
        return nothing, _at(text, error.offset, error.message)
    paths_read = tuple(reads(node))
    trouble = None
    allowed = vocabulary.CONDITION_ROOTS if use == "condition" else vocabulary.ROOTS
    variables: set[str] = set()
    needs: set[Gathered] = set()
    for path, offset in paths_read:
        message = vocabulary.problem(path, known)
        if path[0] in vocabulary.ROOTS and path[0] not in allowed:
            message = f"a match condition cannot read {path[0]}: it sees {', '.join(allowed)}, as the base has them"
        if message and trouble is None:
            trouble = _at(text, offset, message)
        needs |= vocabulary.gathered_for(path)
        if path[0] == "variables":
            names = path[1:2] if len(path) > 1 and path[1] in known["variables"] else known["variables"]
            for one in names:
                variables |= {one, *before["variable", one].variables}
                needs |= before["variable", one].needs
    return Expression(text, use, name, place, node, paths_read, frozenset(variables), frozenset(needs)), trouble


def _trouble_of(expression: Expression, run: Run, program: int) -> Trouble | None:
    if program in run.troubles:
        return run.troubles[program]
    kinds, wanted = _RESULTS.get(expression.use, (None, ""))
    found = run.types[program]
    if found == "DYN" and expression.node.kind == "read":  # the table knows more of a fact than the compiler
        told = vocabulary.type_of(expression.node.path).removesuffix(" | null")
        found = "DYN" if told in {"", "dyn"} else told.upper()
    if kinds is None or found in kinds:
        return None
    what = {"condition": "a condition", "rule": "a rule", "message": "a message"}[expression.use]
    return Trouble(f"is of type {found.lower()}, and {what} must be {wanted}")


def _at(text: str, offset: int, message: str) -> Trouble:
    """Return a trouble at an offset, in lines and columns of the expression."""
    before = text[:offset].split("\n")
    return Trouble(message, len(before), len(before[-1]) + 1)


def _finding(parsed: Parsed[Policy], place: tuple[str | int, ...], text: str, trouble: Trouble) -> Finding:
    """What is wrong with an expression: at its line of the file, with a caret under the place."""
    line, column = parsed.position(*place)
    lines = text.split("\n")
    shown = lines[trouble.line - 1] if trouble.line <= len(lines) else ""
    caret = " " * (trouble.column - 1) + "^"
    told = ".".join(str(part) for part in place[:-1] if not isinstance(part, int))
    owner = _owner(parsed.document, place)
    message = f"{told} {owner}: {trouble.message}"
    finding = Finding.error(
        "policies", message, "see what it may read: gitops-registry policy facts", Spot(parsed.path, line, column)
    )
    return replace(finding, excerpt=f"{shown}\n{caret}")


def _owner(policy: Policy, place: tuple[str | int, ...]) -> str:
    kind, at = place[0], place[1]
    assert isinstance(at, int)
    if kind == "validations":
        return policy.validations[at].id
    return policy.variables[at].name if kind == "variables" else policy.match_conditions[at].name


def _unreadable(error: ManifestError) -> Finding:
    return Finding.error("policies", error.problem, error.hint, Spot(error.path, error.line, error.column))
