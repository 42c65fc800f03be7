"""A rule goes through lists only: a map has no order, and what is said of it would differ each time."""

from __future__ import annotations

import pytest
from builder import World
from rules import ENGINE, policy, promoted, said, weighed

from gitops_registry.policy.engine import Case, Step
from gitops_registry.policy.grammar import parse
from gitops_registry.policy.lists import A_MAP, MAY_BE_A_MAP, Known, known, of_params, trouble

PARAMS = {
    "roles": ["admin"],
    "floors": {"a": {"f1": 1}, "b": {}},
    "per_task": {"a": ["x"], "b": ["y"]},
    "mixed": {"a": ["x"], "b": {}},
    "pairs": [["a", "b"], ["c"]],
    "word": "x",
    "nothing": [],
}
SCOPE = {
    "params": of_params(PARAMS),
    "variables.floors": known(parse("params.floors[candidate.task]"), {"params": of_params(PARAMS)}),
    "variables.missed": known(parse("champion == null ? [] : keys(params.floors).filter(m, m != '')"), {}),
    "variables.compiled": Known("list"),
    "variables.opaque": Known(),
}


@pytest.mark.parametrize(
    "through",
    [
        "[1, 2]", "[]", "candidate.formats", "candidate.artifacts", "champion.signature.inputs", "change.approvals", "model.versions",
        "model.stages['production']", "model.stages[change.to]", "keys(model.tags)", "keys(candidate.params)", "'a,b'.split(',')",
        "candidate.card.unfinished.filter(u, u != '')", "candidate.artifacts.map(a, a.name)", "candidate.artifacts.map(a, a.size > 1, a.name)",
        "params.roles", "params['roles']", "params.per_task[candidate.task]", "params.per_task.a", "params.pairs", "params.pairs[0]", "params.nothing",
        "variables.missed", "variables.compiled", "([] + candidate.params.layers)", "(candidate.params.layers + [1])", "(candidate.formats + params.roles)",
        "(model.is_new ? params.roles : keys(model.tags))", "[params.roles, params.nothing][0]", "[[1], candidate.formats][change.is_rerun ? 0 : 1]",
        "candidate.artifacts.map(a, [a.name])[0]", "candidate.signature.inputs[0].shape", "candidate.signature.inputs[size(params.roles)].shape",
        "registry.trusted_types.filter(t, t in params.roles).map(t, t)",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "macro",
    ["all(x, true)", "exists(x, true)", "exists_one(x, true)", "map(x, x)", "map(x, true, x)", "filter(x, true)"],
)
def test_what_is_known_to_be_a_list_may_be_gone_through(through: str, macro: str) -> None:
    assert trouble(parse(f"{through}.{macro} == y"), SCOPE) is None


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("model.tags.all(k, k != '')", "model", A_MAP),
        ("true && candidate.measured.exists(k, k == 'f1')", "candidate", A_MAP),
        ("candidate.map(k, k)", "candidate", A_MAP),
        ("{'a': 1}.all(k, true)", "{", MAY_BE_A_MAP),
        ("candidate.params.all(k, true)", "candidate", A_MAP),
        ("candidate.params.layers.all(k, true)", "candidate", MAY_BE_A_MAP),
        ("params.floors.all(k, true)", "params", A_MAP),
        ("params.floors[candidate.task].all(k, true)", "params", A_MAP),
        ("params.mixed[candidate.task].all(k, true)", "params", MAY_BE_A_MAP),
        ("params.mixed.b.all(k, true)", "params", A_MAP),
        ("params.word.all(k, true)", "params", MAY_BE_A_MAP),
        ("params.all(k, true)", "params", A_MAP),
        ("variables.floors.filter(m, true)", "variables", A_MAP),
        ("variables.opaque.filter(m, true)", "variables", MAY_BE_A_MAP),
        ("variables.compiled.all(x, x.all(y, true))", "x.all", MAY_BE_A_MAP),
        ("keys(model.tags).all(k, model.stages.exists(s, s == k))", "model.stages", A_MAP),
        ("[model.tags].all(t, t.all(k, true))", "t.all", A_MAP),
        ("[model.tags, model.tags][0].all(k, true)", "[", A_MAP),
        ("(model.is_new ? [] : candidate.params.a).all(k, true)", "(", MAY_BE_A_MAP),
        ("candidate.artifacts.all(a, a.parity.exists(p, true))", "a.parity", A_MAP),
        ("candidate.artifacts.all(params, params.all(x, true))", "params.all", A_MAP),
        ("candidate.formats.map(f, model.tags).all(t, t.all(k, true))", "t.all", A_MAP),
        ("dyn([1]).all(x, true)", "dyn", MAY_BE_A_MAP),
        ("keys(model.tags.filter(k, true)).size() > 0", "model", A_MAP),
        ("candidate.measured[candidate.measured.map(k, k)[0]] > 0.5", "candidate.measured.map", A_MAP),
    ],
)  # fmt: skip
def test_what_is_or_may_be_a_map_is_refused_at_its_place(text: str, place: str, message: str) -> None:
    assert trouble(parse(text), SCOPE) == (text.index(place), message)


def test_a_policy_that_goes_through_a_map_is_refused_with_a_caret_and_judges_nothing(court: World) -> None:
    told = "validations tags: a map has no order: go through keys(…)"
    through_map = policy("y", rules={"tags": "model.is_new ||\n  model.tags.all(k, model.tags[k] != '')"})
    written = said(weighed(court, through_map), "policies")
    assert (written.message, written.excerpt) == (told, "  model.tags.all(k, model.tags[k] != '')\n  ^")
    report = weighed(court, promoted(court, 3), on=through_map)
    assert said(report, "policies").message == f"y is about it and cannot be worked out: {told}"


def test_variables_are_known_by_what_they_hold_or_by_what_the_compiler_says(court: World) -> None:
    variables = [
        {"name": "tags", "expression": "model.tags"},
        {"name": "names", "expression": "keys(variables.tags)"},
        {"name": "halves", "expression": "model.name.split('-')"},
        {"name": "chosen", "expression": "variables.names.size() > 1 ? variables.names : variables.halves"},
    ]
    good = {name: f"variables.{name}.all(n, n != '')" for name in ("names", "halves", "chosen")}
    assert [
        f for f in weighed(court, policy("y", variables=variables, rules=good)).findings if f.rule == "policies"
    ] == []
    wrong = policy("y", variables=variables, rules={"tags": "variables.tags.all(n, n != '')"})
    assert said(weighed(court, wrong), "policies").message.endswith(A_MAP)


def test_a_message_over_three_missed_metrics_is_the_same_in_every_run() -> None:
    facts = {"candidate": {"measured": {"recall": 0.1, "accuracy": 0.2, "f1": 0.3, "precision": 0.9}}}
    floors = {"f1": 0.9, "recall": 0.9, "accuracy": 0.9, "precision": 0.5}
    missed = "keys(params.floors).filter(m, candidate.measured[m] < params.floors[m])"
    programs = (
        f"{missed}.map(m, m + ' ' + string(candidate.measured[m])).join(', ')",
        "keys(params.floors)[0]",
        "params.floors",
    )
    cases = [Case(0, {"floors": floors}, tuple(Step(at) for at in range(3)))]
    told = [ENGINE.run(programs, [facts], cases).answers[0] for _ in range(8)]  # each in a process of its own
    values = ["accuracy 0.2, f1 0.3, recall 0.1", "accuracy", dict(sorted(floors.items()))]
    assert [[answer.value for answer in answers] for answers in told] == [values] * 8
    assert {str(answers) for answers in told} == {str(told[0])}
