"""What is wrong with a policy is said where it is written, by the check of the change that writes it and of a whole registry."""

from __future__ import annotations

from textwrap import dedent
from typing import NamedTuple

import pytest
from builder import World, errors
from rules import ENGINE, Files, policy, proven, said, weighed

from gitops_registry.evidence import gatherer
from gitops_registry.policy.applying import Work
from gitops_registry.policy.check import check_whole
from gitops_registry.policy.report import Finding, Report
from gitops_registry.policy.rulebook import rulebook
from gitops_registry.policy.trials import prepare
from gitops_registry.snapshot import FILE_MODE, PathChange

HEAD = "kind: Policy\nschema_version: 1\nname: {name}\n"
RULE = "validations: [{id: holds, expression: 'model.is_new'}]\n"
WAIVER = """\
kind: Waiver
schema_version: 1
policy: floors
rules: [metrics]
model: fraud
version_yaml: "0123456789012345678901234567890123456789"
reason: The holiday season.
not_before: 2026-11-01T00:00:00Z
expires: 2026-11-20T00:00:00Z
"""


def whole(world: World, files: Files) -> Report:
    """Return what a check of the whole registry says where it has those files too."""
    place = world.registry.place
    after = place.snapshot("main").with_edits(files)
    every = {file.path: file for file in place.files("main")}
    every |= {path: PathChange(path, "", FILE_MODE, "", after.oid(path)) for path in files}
    return check_whole(after, list(every.values()), gatherer(place, None), ENGINE)


class Bad(NamedTuple):
    """What follows the head of a policy's file, and the place, the problem and the fix that are told."""

    text: str
    at: str
    problem: str
    hint: str = ""


# ── a file that is no policy

UNREADABLE = {
    "unknown-key": Bad(f"matches: {{}}\n{RULE}", "4:1", "unknown key 'matches'", "did you mean 'match'?"),
    "unknown-key-in-match": Bad(f"match: {{too: [production]}}\n{RULE}", "4:9", "unknown key 'too' in match", "to"),
    "unknown-key-in-a-rule": Bad("validations:\n- id: a\n  expresion: x\n  expression: x\n", "6:3", "unknown key 'expresion'", "expression"),
    "unknown-event": Bad(f"match: {{events: [promotion]}}\n{RULE}", "4:18", "match.events[0] must be 'stage_transition', 'alias_set'", "accepted words"),
    "unknown-enforcement": Bad("validations: [{id: a, expression: x, enforcement: firm}]\n", "4:51", "enforcement must be 'advisory', 'soft' or 'hard'", "accepted words"),
    "number-as-expression": Bad("validations: [{id: a, expression: 1}]\n", "4:35", "must be text, not the number 1", "quote it"),
    "truth-as-expression": Bad("validations: [{id: a, expression: true}]\n", "4:35", "must be text, not true", "quote"),
    "list-as-params": Bad(f"params: [1]\n{RULE}", "4:9", "params", ""),
    "no-rules": Bad("validations: []\n", "4:14", "validations", ""),
    "no-validations": Bad("description: x\n", "1:1", "validations is missing", ""),
    "two-rules-of-one-name": Bad("validations:\n- {id: a, expression: x}\n- {id: a, expression: y}\n", "1:1", "two rules are named 'a'", ""),
    "two-variables-of-one-name": Bad(
        f"variables: [{{name: a, expression: x}}, {{name: a, expression: y}}]\n{RULE}", "1:1", "two variables are named 'a'", ""
    ),
    "two-conditions-of-one-name": Bad(
        f"match_conditions: [{{name: a, expression: x}}, {{name: a, expression: y}}]\n{RULE}", "1:1", "two conditions are named 'a'", ""
    ),
    "a-rule-with-two-messages": Bad(
        "validations: [{id: a, expression: x, message: y, message_expression: z}]\n", "4:15", "has a message and a message_expression", ""
    ),
    "a-test-of-no-rule": Bad(f"tests: [{{name: t, expect: {{b: pass}}}}]\n{RULE}", "1:1", "'b', which is no rule here", ""),
    "a-test-that-expects-nothing": Bad(f"tests: [{{name: t, expect: {{}}}}]\n{RULE}", "4:27", "expect", ""),
    "a-test-that-expects-a-waiver": Bad(f"tests: [{{name: t, expect: {{holds: waived}}}}]\n{RULE}", "4:35", "expect.holds must be 'pass', 'fail', 'error', 'skip' or 'not-checked'", ""),
    "an-id-with-capitals": Bad("validations: [{id: Accuracy_Floor, expression: x}]\n", "4:20", "must be lower-case words", ""),
    "a-variable-of-a-reserved-word": Bad(f"variables: [{{name: in, expression: x}}]\n{RULE}", "4:20", "cannot be written in an expression", ""),
    "a-parameter-with-a-dash": Bad(f"params: {{min-rows: 1}}\n{RULE}", "4:10", "cannot be written in an expression", ""),
    "an-expression-of-nothing": Bad("validations: [{id: a, expression: ''}]\n", "4:35", "expression", ""),
    "an-expression-too-long": Bad(f"validations: [{{id: a, expression: '{'x' * 2_001}'}}]\n", "4:35", "2000", ""),
    "an-alias": Bad(f"params: &p {{a: 1}}\n{RULE}", "4:9", "anchor &p is not accepted", ""),
    "infinity": Bad(f"params: {{a: .inf}}\n{RULE}", "4:13", "is not a finite number", ""),
    "a-duplicate-key": Bad(f"params: {{a: 1, a: 2}}\n{RULE}", "4:16", "key 'a' is written twice", ""),
    "broken": Bad("match: {to: [production}\n", "4:24", "is not YAML", ""),
}  # fmt: skip


def files_of(cases: dict[str, Bad]) -> Files:
    return {f"policies/{name}.yaml": (HEAD.format(name=name) + case.text).encode() for name, case in cases.items()}


@pytest.fixture(scope="module")
def unreadable(court: World) -> tuple[Report, Report]:
    """What is said of all of them at once, by the check of a change and of a whole registry."""
    files = files_of(UNREADABLE)
    return weighed(court, files), whole(court, files)


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_policy_is_read_strictly(unreadable: tuple[Report, Report], name: str) -> None:
    of_change, of_whole = ([f for f in report.findings if f.path == f"policies/{name}.yaml"] for report in unreadable)
    assert of_change == of_whole
    (finding,) = of_change
    case = UNREADABLE[name]
    assert (finding.rule, finding.result, finding.where) == ("schema", "error", f"policies/{name}.yaml:{case.at}"), (
        finding
    )
    assert case.problem in finding.message
    assert case.hint in finding.hint
    assert "\n" not in finding.message + finding.hint


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("expires: 2026-11-20", "expires: 2026-12-02", "by 30 days at most"),
        ("expires: 2026-11-20", "expires: 2026-11-01", "expires must come after not_before"),
        ("expires: 2026-11-20T00:00:00Z", "expires: 2026-11-20T00:00:00", "expires"),
        ("expires: 2026-11-20T00:00:00Z\n", "", "expires is missing"),
        ("rules: [metrics]", "rules: []", "rules"),
        ("rules: [metrics]", "rules: ['*']", "must be lower-case words"),
        ("reason: The holiday season.", "reason: ''", "reason"),
        ("model: fraud", "model: '*'", "name '*' must be"),
        ("0123456789012345678901234567890123456789", "HEAD", "version_yaml"),
        ("policy: floors", "policy: floors\nforever: true", "unknown key 'forever'"),
    ],
)
def test_a_waiver_is_read_strictly(court: World, old: str, new: str, problem: str) -> None:
    assert old in WAIVER
    path = "policies/waivers/w.yaml"
    finding = said(weighed(court, {path: WAIVER.replace(old, new).encode()}), "schema")
    assert (finding.result, finding.path) == ("error", path)
    assert problem in finding.message


def test_a_waiver_that_is_as_it_should_be_is_taken(court: World) -> None:
    assert errors(weighed(court, {"policies/waivers/w.yaml": WAIVER.encode()})) == set()


@pytest.mark.parametrize(
    "path",
    ["policies/x.yml", "policies/sub/x.yaml", "policies/x.yaml.bak", "policies/.x.yaml", "Policies/x.yaml",
     "policies/waivers/sub/w.yaml", "policies/waivers/w.yml", "policies/README.md"],
)  # fmt: skip
def test_a_file_beside_the_policies_that_would_judge_nothing_is_refused(court: World, path: str) -> None:
    content = next(iter(proven("x").values()))
    for report in (weighed(court, {path: content}), whole(court, {path: content})):
        finding = said(report, "strangers")
        assert (finding.result, finding.path) == ("error", path)


# ── expressions

WRONG = {
    "syntax": Bad("validations:\n- id: a\n  expression: candidate.version >\n", "6:15", "validations a: 'the end' is not expected here"),
    "misspelt": Bad("validations:\n- {id: a, expression: 'candidate.metrixs.f1 > 0.5'}\n", "5:23",
                    "validations a: candidate has no 'metrixs'; did you mean 'metrics'?"),
    "unknown-root": Bad("validations:\n- {id: a, expression: 'true && author.name == 1'}\n", "5:23", "undeclared reference to 'author.name'"),
    "unknown-function": Bad("validations:\n- {id: a, expression: 'now() == now'}\n", "5:23", "undeclared reference to 'now'"),
    "unknown-parameter": Bad("params: {floor: 1}\nvalidations:\n- {id: a, expression: 'candidate.version > params.flor'}\n", "6:23",
                             "params has no 'flor'; did you mean 'floor'?"),
    "unknown-variable": Bad("validations:\n- {id: a, expression: variables.drop > 1}\n", "5:23", "variables has no 'drop'"),
    "later-variable": Bad(
        "variables: [{name: a, expression: variables.b}, {name: b, expression: '1'}]\nvalidations:\n- {id: a, expression: variables.a > 1}\n",
        "4:35", "variables a: variables has no 'b'"),
    "number": Bad("validations:\n- {id: a, expression: size(candidate.formats)}\n", "5:23", "is of type int, and a rule must be true or false"),
    "text": Bad("validations:\n- {id: a, expression: \"'yes'\"}\n", "5:23", "is of type string, and a rule must be true or false"),
    "fact-that-is-text": Bad("validations:\n- {id: a, expression: candidate.stage}\n", "5:23", "is of type string, and a rule must be"),
    "fact-that-is-a-number": Bad("validations:\n- {id: a, expression: candidate.measured.f1}\n", "5:23", "is of type double, and a rule must be"),
    "message-that-is-no-text": Bad("validations:\n- {id: a, expression: model.is_new, message_expression: candidate.version}\n", "5:57",
                                   "is of type int, and a message must be text"),
    "condition-that-is-no-truth": Bad("match_conditions:\n- {name: c, expression: size(model.owners)}\n" + RULE, "5:25",
                                      "is of type int, and a condition must be true or false"),
    "condition-on-the-candidate": Bad("match_conditions:\n- {name: c, expression: 'candidate.version > 1'}\n" + RULE, "5:25",
                                      "match_conditions c: a match condition cannot read candidate"),
    "condition-on-the-champion": Bad("match_conditions:\n- {name: c, expression: 'champion != null'}\n" + RULE, "5:25",
                                     "a match condition cannot read champion"),
    "condition-on-a-variable": Bad("variables: [{name: v, expression: candidate.version}]\nmatch_conditions:\n- {name: c, expression: variables.v > 1}\n"
                                   + RULE, "6:25", "a match condition cannot read variables"),
    "condition-in-a-loop": Bad("match_conditions:\n- {name: c, expression: 'model.owners.all(o, o == candidate.name)'}\n" + RULE, "5:25",
                               "a match condition cannot read candidate"),
    "message-literal": Bad("validations:\n- {id: a, expression: 'google.protobuf.Timestamp{} == now'}\n", "5:23", "message literals are not accepted"),
    "too-deep": Bad(f"validations:\n- {{id: a, expression: '{'(' * 40}1 == 1{')' * 40}'}}\n", "5:23", "is nested deeper than 32 levels"),
    "name-of-another-file": Bad("", "3:7", "name 'another' is not its file's"),
}  # fmt: skip


@pytest.fixture(scope="module")
def wrong(court: World) -> tuple[Report, Report]:
    files = dict(files_of(WRONG))
    files["policies/name-of-another-file.yaml"] = (HEAD.format(name="another") + RULE).encode()
    return weighed(court, files), whole(court, files)


def of(report: Report, path: str, rule: str = "policies") -> list[Finding]:
    """Return what is said of a policy itself, not of a version that it cannot judge."""
    return [finding for finding in report.findings if (finding.path, finding.rule, finding.model) == (path, rule, "")]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_an_expression_is_said_where_it_stands(wrong: tuple[Report, Report], name: str) -> None:
    path, case = f"policies/{name}.yaml", WRONG[name]
    of_change, of_whole = (of(report, path) for report in wrong)
    assert of_change == of_whole
    (finding,) = of_change
    assert (finding.result, finding.where) == ("error", f"{path}:{case.at}"), finding
    assert case.problem in finding.message
    assert finding.hint


def test_a_caret_stands_under_the_place_that_is_meant(court: World) -> None:
    files = policy(
        "y", rules={"a": "candidate.version > 1 &&\n  candidate.metrixs.f1 > 1", "b": "true && author == 1", "c": "1 +"}
    )
    shown = [finding.excerpt for finding in of(weighed(court, files), "policies/y.yaml")]
    assert shown == [
        "  candidate.metrixs.f1 > 1\n  ^",
        "true && author == 1\n        ^",
        "1 +\n   ^",
    ]


def test_every_expression_that_is_wrong_is_told_not_only_the_first(court: World) -> None:
    text = """\
        variables:
        - {name: v, expression: candidate.versoin}
        match_conditions:
        - {name: c, expression: candidate.version}
        validations:
        - {id: a, expression: '1'}
        - {id: b, expression: model.is_new, message_expression: model.titel}
        """
    files = {"policies/y.yaml": (HEAD.format(name="y") + dedent(text)).encode()}
    assert [finding.line for finding in of(weighed(court, files), "policies/y.yaml")] == [5, 7, 9, 10]


def test_what_may_be_true_or_false_is_taken_though_only_running_it_tells(court: World) -> None:
    files = policy(
        "y",
        params={"is_strict": True, "word": "x"},
        rules={
            "a": "params.is_strict", "b": "candidate.params.flag", "c": "candidate.training.code.dirty", "d": "model.is_new",
            "e": "candidate.params['a'] ? model.is_new : params.is_strict", "f": "keys(model.tags).all(k, k != '')",
        },
    )  # fmt: skip
    assert of(weighed(court, files), "policies/y.yaml") == []


# ── tests that a policy brings


def tests_said(world: World, **told: object) -> list[str]:
    files = {**proven("y", **told)}
    return [finding.message for finding in of(weighed(world, files), "policies/y.yaml", "policy-tests")]


def test_a_policy_with_a_passing_and_a_failing_test_of_each_rule_is_taken(court: World) -> None:
    assert weighed(court, proven("y")).findings == ()
    assert of(whole(court, proven("y")), "policies/y.yaml") == []


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ([], "y/titled has no test in which it passes and none in which it fails"),
        (["pass"], "y/titled has no test in which it fails"),
        (["fail"], "y/titled has no test in which it passes"),
        (["pass", "error"], "y/titled has no test in which it fails"),
    ],
)
def test_a_rule_without_a_passing_and_a_failing_test_is_a_finding(
    court: World, expected: list[str], message: str
) -> None:
    given = {"pass": {}, "fail": {"set": {"model.title": ""}}, "error": {"unset": ["model.title"]}}
    cases = [{"name": came, **given[came], "expect": {"titled": came}} for came in expected]
    assert tests_said(court, tests=cases) == [message]
    path = "policies/y.yaml"
    found = of(whole(court, proven("y", tests=cases)), path, "policy-tests")
    assert [(f.message, f.result, f.line) for f in found] == [(message, "error", 11)]


def test_a_test_that_is_not_met_says_what_came_and_why(court: World) -> None:
    cases = [
        {"name": "wrong", "expect": {"titled": "fail"}},
        {"name": "gone", "unset": ["model.title"], "expect": {"titled": "pass"}},
    ]
    assert tests_said(court, tests=cases) == [
        "'wrong': titled came to pass, not fail",
        "'gone': titled came to error, not pass: model has no 'title'",
    ]


MET = (
    {"name": "p", "expect": {"titled": "pass"}},
    {"name": "f", "set": {"model.title": ""}, "expect": {"titled": "fail"}},
)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"set": {"model.titel": "x"}}, "model has no 'titel'; did you mean 'title'?"),
        ({"unset": ["candidate.metrixs"]}, "candidate has no 'metrixs'; did you mean 'metrics'?"),
        ({"set": {"title": "x"}}, "'title' names no fact; write one like candidate.measured.accuracy"),
        ({"set": {"variables.x": 1}}, "'variables.x' names no fact; write one like candidate.measured.accuracy"),
        ({"set": {"size(model)": 1}}, "'size(model)' names no fact; write one like candidate.measured.accuracy"),
        ({"set": {"model.": 1}}, "'model.' names no fact: a name is expected after '.', not 'the end'"),
        ({"set": {"params.nothing": 1}}, "params has no 'nothing'"),
        (
            {"set": {"champion": None, "champion.version": 1}},
            "champion.version cannot be set: champion has no fields in this test",
        ),
        ({"set": {"model.tags[model.name]": "x"}}, "'model.tags[model.name]' cannot be set or unset alone"),
        ({"unset": ["candidate.formats[0]"]}, "'candidate.formats[0]' cannot be set or unset alone"),
        (
            {"set": {"candidate.measured.accuracy": 10**400}},
            "candidate.measured.accuracy cannot be set: the number is larger",
        ),
        ({"set": {"change": 5}}, "change is a record and cannot be set to 5"),
        ({"set": {"candidate": None}}, "candidate is a record and cannot be set to null"),
        ({"set": {"model.owners": {"a": 1}}}, 'model.owners is a list(string) and cannot be set to {"a": 1}'),
        ({"set": {"model.tags": ["a"]}}, 'model.tags is a map(string, string) and cannot be set to ["a"]'),
        ({"set": {"model.stages.production": {"a": 1}}}, "model.stages.production is a list(int) and cannot be set to"),
        (
            {"set": {"candidate": {"artifacts": [{"parity": [1]}]}}},
            "candidate.artifacts.[].parity is a record and cannot",
        ),
    ],
)
def test_a_test_that_sets_what_is_no_fact_says_so(court: World, case: dict[str, object], message: str) -> None:
    found = tests_said(court, tests=[*MET, {"name": "t", **case, "expect": {"titled": "pass"}}])
    assert len(found) == 1
    assert found[0].startswith(f"'t': {message}")


def test_moments_and_numbers_are_set_as_the_facts_would_be(court: World) -> None:
    rules = {"young": "now - candidate.created < duration('1000h')", "good": "candidate.measured.accuracy - 0.5 > 0.1"}
    cases = [
        {"name": "p", "set": {"candidate.created": "2026-01-10T00:00:00Z", "candidate.measured.accuracy": 1}, "expect": {"young": "pass", "good": "pass"}},
        {"name": "f", "set": {"candidate.created": "2025-01-10T00:00:00Z", "candidate.measured.accuracy": 0}, "expect": {"young": "fail", "good": "fail"}},
    ]  # fmt: skip
    assert tests_said(court, rules=rules, tests=cases) == []


LIMITS = {"limits": {"low": [1, 2], "high": {"a": 1}}}


@pytest.mark.parametrize(
    ("set_", "message"),
    [
        ({"params.limits.low": {"a": 1}}, "params.limits.low is a list in the policy, so it must be one in the test"),
        ({"params": {"limits": {"high": [1]}}}, "params.limits.high is a mapping in the policy, so it must be one"),
    ],
)
def test_a_parameter_stays_a_list_or_a_mapping_in_a_test(court: World, set_: dict[str, object], message: str) -> None:
    found = tests_said(court, tests=[*MET, {"name": "t", "set": set_, "expect": {"titled": "pass"}}], params=LIMITS)
    assert [text[: len(message) + 5] for text in found] == [f"'t': {message}"]


def test_what_a_test_sets_is_set_for_it_alone(court: World) -> None:
    rule = "params.limits.high.a == 1 && candidate.measured.size() < 3"
    tests = [
        {"name": "set", "set": {"params.limits.high.a": 2}, "expect": {"titled": "fail"}},
        {"name": "more", "set": {"candidate.measured": {"f1": 1.0}, "candidate.measured.r2": 1}, "expect": {"titled": "pass"}},
        {"name": "as it was", "set": {"candidate.measured": {}}, "expect": {"titled": "pass"}},
    ]  # fmt: skip
    tests.append({"name": "back", "set": {"params.limits.high.a": 3}, "expect": {"titled": "fail"}})
    assert tests_said(court, rules={"titled": rule}, tests=tests, params=LIMITS) == []
    files = proven("y", rules={"titled": rule}, tests=tests, params=LIMITS)
    (sheet,) = rulebook(court.registry.place.snapshot("main").with_edits(files), frozenset({"policies/y.yaml"})).sheets
    told = sheet.policy.model_dump_json()
    assert len(prepare(Work(), sheet)) == 4
    assert sheet.policy.model_dump_json() == told


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:00-14:00"])
def test_a_moment_at_the_edge_of_time_is_an_error_of_its_test_alone(court: World, moment: str) -> None:
    tests = [*MET, {"name": "t", "set": {"candidate.created": moment}, "expect": {"titled": "error"}}]
    assert tests_said(court, tests=tests) == []


def test_the_tests_of_a_policy_that_is_not_about_the_example_run_all_the_same(court: World) -> None:
    other = {"events": ["alias_set"], "models": ["other-*"], "tags": {"a": "b"}, "aliases": ["best"]}
    assert tests_said(court, match=other) == []


def test_a_condition_that_the_example_does_not_meet_leaves_the_rules_out(court: World) -> None:
    condition = [{"name": "large", "expression": "size(model.versions) > 3"}]
    skipped = {"name": "small", "expect": {"titled": "skip"}}
    large = {"model.versions": [1, 2, 3, 4]}
    cases = [
        {"name": "p", "set": large, "expect": {"titled": "pass"}},
        {"name": "f", "set": {**large, "model.title": ""}, "expect": {"titled": "fail"}},
    ]
    assert tests_said(court, match_conditions=condition, tests=[skipped, *cases]) == []
    assert tests_said(court, match_conditions=condition, tests=[*cases, {"name": "small", "expect": {"titled": "pass"}}]) == [
        "'small': titled came to skip, not pass: its condition large is false"
    ]  # fmt: skip


def test_what_a_change_writes_is_tried_and_judges_nothing_yet(court: World) -> None:
    report = weighed(court, policy("y", rules={"never": "false"}))
    assert report.verdicts == ()
    assert {finding.rule for finding in report.findings} == {"policy-tests"}


def test_policies_that_a_change_leaves_alone_are_not_tried_again(court: World) -> None:
    untested = policy("y", rules={"holds": "true"})
    assert (
        weighed(
            court, {"models/fraud/model.yaml": court.read("models/fraud/model.yaml") + b"# x\n"}, on=untested
        ).findings
        == ()
    )
    assert errors(whole(court, untested)) == {"policy-tests"}
