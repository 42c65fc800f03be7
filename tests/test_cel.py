"""The cage of the engine: whatever a policy or a manifest says, a check ends, says why, and answers everything else."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from pathlib import Path
from typing import Any

import click
import pytest
from builder import World

import gitops_registry
from gitops_registry.cel import CommonExpressions, Limits
from gitops_registry.child import talk
from gitops_registry.policy.engine import Answer, Case, Run, Step, Trouble

ENGINE = CommonExpressions(Limits(seconds=0.3, memory=400 << 20))
FACTS: dict[str, Any] = {
    "candidate": {
        "numbers": list(range(9_000)),
        "long": "a" * 1_000_000 + "!",
        "texts": ["a" * 1_000] * 2_000,
        "metrics": {"accuracy": 0.95},
    },
    "now": datetime(2026, 11, 22, 10, tzinfo=UTC),
}
TEN = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
LONG_LOOP = "".join(f"{TEN}.all({name}, " for name in "abcde") + "a + b + c + d + e > 0" + ")" * 5
SLOW = "candidate.numbers.all(n, candidate.long.matches('^(.*a.*a.*a)*b$') || true)"
LARGE = "candidate.texts.join(candidate.long).size() > 0"


def ran(*programs: str, facts: dict[str, Any] | None = None, **params: Any) -> Run:
    """Run each program in a case of its own."""
    cases = [Case(0, params, (Step(number),)) for number in range(len(programs))]
    return ENGINE.run(programs, [FACTS if facts is None else facts], cases)


def answers(*programs: str, facts: dict[str, Any] | None = None, **params: Any) -> list[Answer]:
    """Return what each program came to."""
    return [case[0] for case in ran(*programs, facts=facts, **params).answers]


def test_only_the_boolean_true_is_true() -> None:
    found = answers("1 + 1 == 2", "'true'", "1", "candidate.metrics.nothing", "null")
    assert [answer.is_true for answer in found] == [True, False, False, False, False]
    assert [answer.type for answer in found] == ["bool", "string", "int", "error", "null"]


def test_an_error_is_an_answer_and_says_what_went_wrong() -> None:
    missing, zero, mixed = answers("candidate.metrics.f1 > 0.5", "1 / 0 == 1", "candidate.long > 1")
    assert missing == Answer("error", 'NOT_FOUND: Key not found in map : "f1"')
    assert (zero.type, "divide by zero" in zero.value) == ("error", True)
    assert (mixed.type, "overload" in mixed.value) == ("error", True)


def test_types_are_known_before_anything_runs() -> None:
    run = ran("candidate.metrics.accuracy", "1 < 2", "'a' + 'b'", "size([1])", "now")
    assert list(run.types) == ["DYN", "BOOL", "STRING", "INT", "TIMESTAMP"]


def test_what_does_not_compile_is_told_with_its_place_and_the_rest_runs() -> None:
    run = ran("1 +", "1 == 1", "1 == 1 &&\n  unheard_of", "1 + 'a'")
    assert {at: (trouble.line, trouble.column) for at, trouble in run.troubles.items()} == {
        0: (1, 4),
        2: (2, 3),
        3: (1, 3),
    }
    assert run.troubles[2].message == "undeclared reference to 'unheard_of'"
    assert [case[0] for case in run.answers] == [Answer(""), Answer("bool", True), Answer(""), Answer("")]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 900 + "1" + ")" * 900, "[" * 900 + "]" * 900, "[1]" + ".map(x, [x])" * 150, "1" + " + 1" * 450, "", " ",
        "tru\0e", "'" + "x" * 200_000 + "'", "\x7f", "{" * 30, "a" * 2_000, "\\", "'''", "0x" + "f" * 500,
    ],
)  # fmt: skip
def test_a_program_that_no_compiler_should_have_to_read_has_a_trouble_and_nothing_else_has(text: str) -> None:
    run = ran("1 == 1", text, "2 == 2")
    assert set(run.troubles) == {1}
    assert run.troubles[1].message
    assert "\n" not in run.troubles[1].message
    assert [case[0].is_true for case in run.answers] == [True, False, True]


def test_a_loop_over_too_many_items_is_an_error() -> None:
    before, loop, after = answers("true", LONG_LOOP, "true")
    assert (loop.type, "Iteration budget exceeded" in loop.value) == ("error", True)
    assert before.is_true
    assert after.is_true


def test_what_takes_too_long_is_ended_and_the_rest_still_gets_its_answers() -> None:
    run = ENGINE.run(
        ("true", SLOW), [FACTS], [*[Case(0, {}, (Step(0),))] * 30, Case(0, {}, (Step(0), Step(1), Step(0))), Case(0, {}, (Step(0),))]
    )  # fmt: skip
    *before, stuck, after = run.answers
    assert len(before) == 30
    assert all(answer.is_true for case in (*before, after) for answer in case)
    assert stuck[0].is_true
    assert stuck[1] == Answer("error", "took more than 0.3 s of processor time")
    assert stuck[2] == Answer("error", "was not tried: a rule before it took too much")


def test_what_needs_too_much_memory_is_ended_and_the_rest_still_gets_its_answers() -> None:
    engine = CommonExpressions(Limits(seconds=20, memory=256 << 20))
    cases = [Case(0, {}, (Step(number),)) for number in range(3)]
    (before,), (large,), (after,) = engine.run(("true", LARGE, "1 == 1"), [FACTS], cases).answers
    assert large == Answer("error", "needed more than 256 MB of memory")
    assert before.is_true
    assert after.is_true


def test_variables_that_double_each_other_end_as_an_error() -> None:
    programs = ["'0123456789'", *(f"variables.v{n} + variables.v{n}" for n in range(40))]
    steps = tuple(Step(n, f"v{n}", is_wanted=True) for n in range(41))
    doubled, after = ENGINE.run(programs, [{}], [Case(0, {}, steps), Case(0, {}, steps[:1])]).answers
    assert doubled[0] == after[0] == Answer("string", "0123456789")
    assert doubled[-1].type == "error"
    assert all(len(str(answer.value)) <= 20_000 for answer in doubled)


def test_a_hostile_regular_expression_answers_at_once_or_is_refused() -> None:
    greedy, large, wrong = answers(
        "candidate.long.matches('^(a+)+$')",
        "candidate.long.matches('((((a{1,100}){1,100}){1,100}){1,10})b')",
        "candidate.long.matches('(')",
    )
    assert greedy == Answer("bool", False)
    assert (large.type, wrong.type) == ("error", "error")


def test_when_too_many_take_too_much_the_rest_is_given_up_and_passes_nothing() -> None:
    engine = CommonExpressions(Limits(seconds=0.1, failures=2))
    cases = [*[Case(0, {}, (Step(0),))] * 5, Case(0, {}, (Step(1),))]
    *_, last, innocent = engine.run((SLOW, "true"), [FACTS], cases).answers
    assert last == innocent == [Answer("error", "was not tried: 3 others took too much")]


def test_a_run_that_does_not_end_in_time_is_ended_and_what_was_answered_before_stays() -> None:
    engine = CommonExpressions(Limits(seconds=60, wait=1.5))
    cases = [*[Case(0, {}, (Step(0),))] * 50, Case(0, {}, (Step(1),)), Case(0, {}, (Step(0),))]
    *before, late, after = engine.run(("true", SLOW), [FACTS], cases).answers
    assert all(case[0].is_true for case in before)
    assert late == after == [Answer("error", "was not tried: the policies took more than 1.5 s")]


def test_all_work_together_has_a_budget_of_processor_time_and_what_comes_first_has_it_first() -> None:
    engine = CommonExpressions(Limits(seconds=0.6, total=1.0))
    cases = [Case(0, {}, (Step(0),)), *[Case(0, {}, (Step(1),))] * 6, Case(0, {}, (Step(0),))]
    run = engine.run(("true", SLOW, "1 == 1", "2 == 2"), [FACTS], cases)
    over = "was not tried: the policies took more than 1 s of processor time"
    assert run.answers[0][0].is_true
    assert run.answers[1][0].type == "error"
    assert [case[0] for case in run.answers[3:]] == [Answer("error", over)] * 5
    assert run.types[:2] == ["BOOL", "BOOL"]
    assert run.troubles == {
        2: Trouble(over),
        3: Trouble(over),
    }  # compiled when all cases are answered: they were never reached


NESTED = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(x, {})"


def test_what_is_told_of_one_answer_is_bounded_however_it_is_nested() -> None:
    programs = [f"'{'a' * 1_000}'", *(NESTED.format(f"variables.v{n}") for n in range(4))]
    steps = [Step(n, f"v{n}", is_wanted=True) for n in range(5)]
    told, untold = ENGINE.run(
        programs, [{}], [Case(0, {}, tuple(s._replace(is_wanted=w) for s in steps)) for w in (True, False)]
    ).answers
    assert all(0 < len(json.dumps(answer.value)) < 30_000 for answer in told)
    assert "\\u2026" in json.dumps(told[4].value)
    assert [tuple(answer) for answer in untold] == [("string", None), *[("list<dyn>", None)] * 4]


def test_what_is_told_of_one_case_is_bounded_and_true_stays_true() -> None:
    steps = (*[Step(0)] * 60, Step(1))
    *long, last = ENGINE.run(("candidate.long", "1 < 2"), [FACTS], [Case(0, {}, steps)]).answers[0]
    assert 100_000 < sum(len(answer.value) for answer in long) < 210_000
    assert last.is_true


def test_what_is_told_by_a_whole_run_is_bounded() -> None:
    engine = CommonExpressions(Limits(answers=100_000))
    cases = [*[Case(0, {}, (Step(0),))] * 3, *[Case(0, {}, (Step(1),))] * 20]
    *before, last = engine.run(("true", "candidate.long"), [FACTS], cases).answers
    assert all(case[0].is_true for case in before[:3])
    assert last == [Answer("error", "was not tried: the policies said more than 0.0953674 MB")]


def test_a_child_that_floods_its_pipes_or_reads_nothing_is_heard_within_bounds() -> None:
    flood = "import sys\nwhile True: sys.stderr.write('e' * 99_999); sys.stdout.write('o' * 99_999)"
    done = talk([sys.executable, "-c", flood], b"x" * 1_000_000, until=time.monotonic() + 60, longest=300_000)
    assert done.is_long
    assert (done.code, set(done.output), set(done.errors)) == (-9, {ord("o")}, {ord("e")})
    assert 300_000 < len(done.output) < 400_000
    assert len(done.errors) <= 4096
    asleep = talk(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        b"x" * 1_000_000,
        until=time.monotonic() + 0.3,
        longest=9,
    )
    assert (asleep.is_late, asleep.code, asleep.output) == (True, -9, b"")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_version_with_more_facts_than_anybody_reads_is_an_error_and_no_other_is(place: int) -> None:
    facts: list[dict[str, Any]] = [{"candidate": {}}] * 3
    facts[place] = {"candidate": {"long": "x" * (5 << 20)}}
    found = ENGINE.run(("true",), facts, [Case(number, {}, (Step(0),)) for number in range(3)]).answers
    assert [case[0].is_true for case in found] == [number != place for number in range(3)]
    assert found[place][0] == Answer("error", "there are more facts than 4 MB")


def test_a_number_that_the_engine_cannot_hold_is_an_error() -> None:
    read, unread = answers("params.n > 0", "1 == 1", n=10**30)
    assert (read.type, "10000000" in read.value) == ("error", True)
    assert unread.is_true


def test_parameters_that_many_cases_share_are_sent_once() -> None:
    engine = CommonExpressions(Limits(memory=256 << 20))
    params = {"texts": ["a" * 1_000] * 3_000}  # a hundred copies would be more than the child may hold
    cases = [Case(0, params if at % 2 else dict(params), (Step(0),)) for at in range(100)]
    assert all(case[0].is_true for case in engine.run(("size(params) == 1",), [{}], cases).answers)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"candidate": {"created": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))}},
         "its facts cannot be handed in: candidate.created is 0001-01-01T00:00:00+14:00, which is no moment in UTC"),
        ({"candidate": {"a": [{"at": datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14)))}]}},
         "its facts cannot be handed in: candidate.a[0].at is 9999-12-31T23:59:00-14:00, which is no moment in UTC"),
        ({"candidate": {"n": 10**5_000}}, "its facts cannot be handed in: Exceeds the limit"),
        ({"candidate": {"n": float("inf")}}, "its facts cannot be handed in: Out of range float values"),
        ({"candidate": {"n": object()}}, "its facts cannot be handed in: object"),
        ({"candidate": {"a": reduce(lambda inner, _: [inner], range(5_000), 1)}}, "its facts are nested too deep"),
        ({"candidate": {"a": reduce(lambda inner, _: {"a": inner}, range(700), 1)}}, "its facts are nested too deep"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_param", [False, True])
def test_facts_that_cannot_be_handed_in_are_an_error_of_their_own_cases(
    facts: dict[str, Any], message: str, is_param: bool
) -> None:
    sides = ({}, facts) if is_param else (facts, {})
    cases = [Case(1, {}, (Step(0),)), Case(0, sides[1], (Step(0), Step(1))), Case(1, {"b": 1}, (Step(0),))]
    before, wrong, after = ENGINE.run(("1 == 1", "2 == 2"), [sides[0], {}], cases).answers
    assert before[0].is_true
    assert after[0].is_true
    assert [answer.type for answer in wrong] == ["error", "error"]
    assert wrong[0].value.startswith(message)


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**70),
        [2**64],
        {"a": 10**400},
        {"\ud800": 1},
        "\ud800",
        {"": {"": ""}},
        reduce(lambda inner, _: [inner], range(300), 1),
    ],
)
def test_a_value_that_the_engine_refuses_stops_nothing_but_what_reads_it(value: Any) -> None:
    programs = ("params.a == params.a", "1 == 1", "string(params.a) == ''", "[params.a][0]")
    steps = tuple(Step(at, f"v{at}", is_wanted=True) for at in range(4))
    own, other = ENGINE.run(programs, [{}], [Case(0, {"a": value}, steps), Case(0, {}, (Step(1),))]).answers
    assert own[1].is_true
    assert other[0].is_true


@pytest.mark.parametrize(("opening", "closing"), [("[" * 30, "]" * 30), ("{'a': " * 30, "}" * 30)])
def test_variables_that_wrap_each_other_deeper_than_anybody_can_follow_are_an_error_of_their_step(
    opening: str, closing: str
) -> None:
    programs = ["1", *(f"{opening}variables.v{n}{closing}" for n in range(48)), "1 == 1"]
    steps = [Step(n, f"v{n}", is_wanted=True) for n in range(49)]
    found, after = ENGINE.run(programs, [{}], [Case(0, {}, (*steps, Step(49))), Case(0, {}, (Step(49),))]).answers
    assert found[1].type != "error"
    assert found[48].type == "error"
    assert found[49].is_true
    assert after[0].is_true


def test_moments_and_durations_come_out_as_they_went_in_and_over_their_edges_is_an_error() -> None:
    facts = {**FACTS, "candidate": {"created": datetime(2026, 11, 22, 9, tzinfo=UTC)}}
    age, kept, over = answers(
        "now - candidate.created", "candidate.created", "now + duration('99999999h')", facts=facts
    )
    assert age == Answer("duration", "3600s")
    assert kept == Answer("timestamp", "2026-11-22T09:00:00+00:00")
    assert over.type == "error"


@pytest.mark.parametrize("key", ["\0time", "", "moment", "a b", "'", "__class__", "日本"])
def test_no_key_of_a_mapping_means_anything_to_the_engine(key: str) -> None:
    nested, whole = answers("params.a[params.key] == 'x'", "size(params) == 2", a={key: "x"}, key=key)
    assert nested.is_true
    assert whole.is_true


def test_a_variable_is_known_to_the_steps_after_it_and_an_error_in_it_is_an_error_in_them() -> None:
    programs = (
        "candidate.metrics.accuracy",
        "variables.a > 0.9",
        "candidate.metrics.f1",
        "variables.b > 0.9 || true",
        "variables.b",
    )
    steps = (Step(0, "a"), Step(1), Step(2, "b"), Step(3), Step(4))
    found = ENGINE.run(programs, [FACTS], [Case(0, {}, steps)]).answers[0]
    assert [answer.type for answer in found] == ["double", "bool", "error", "bool", "error"]


def test_a_step_waits_for_another_not_to_be_true() -> None:
    steps = (Step(0), Step(1, unless=0), Step(2), Step(1, unless=2), Step(3), Step(1, unless=4))
    found = ENGINE.run(("true", "'said'", "false", "1 / 0 == 0"), [{}], [Case(0, {}, steps)]).answers[0]
    assert [answer.type for answer in found] == ["bool", "", "bool", "string", "error", "string"]


def test_nothing_is_started_where_there_is_nothing_to_run() -> None:
    assert ENGINE.run((), [], []) == Run([], {}, [])


def test_two_runs_say_the_same() -> None:
    programs = ("candidate.metrics", "1 +", LONG_LOOP, "{'b': 1, 'a': [now]}")
    assert ran(*programs) == ran(*programs)


def test_the_keys_of_a_map_are_in_order() -> None:
    facts = {"candidate": {"metrics": {f"m{at}": at for at in range(30, 0, -1)}}}
    found = answers("keys(candidate.metrics)", "keys({2: 'a', 10: 'b', 'x': 'c', true: 'd'})", "keys({})", facts=facts)
    assert found[0].value == sorted(facts["candidate"]["metrics"])
    assert found[1].value == [True, 2, 10, "x"]
    assert found[2].value == []


def test_what_is_no_map_has_no_keys() -> None:
    run = ran("keys(candidate.numbers)", "keys(candidate.nothing)", "keys('a')", "keys([1])", "candidate.keys()")
    assert set(run.troubles) == {2, 3, 4}
    assert [case[0].type for case in run.answers] == ["error", "error", "", "", ""]


@pytest.mark.parametrize("package", ["cel_expr_python", "google"])
def test_no_package_of_the_current_folder_is_taken_for_the_engine(package: str, tmp_path: Path) -> None:
    inner = tmp_path / package / ("protobuf" if package == "google" else "")
    inner.mkdir(parents=True)
    for folder in {inner, tmp_path / package}:
        (folder / "__init__.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'w').close()\n")
    ask = "from gitops_registry.cel import *; from gitops_registry.policy.engine import *\n"
    ask += "print(CommonExpressions().run(('1 + 1',), [{}], [Case(0, {}, (Step(0),))]).answers)"
    (tmp_path / "ask.py").write_text(ask)
    for command in (["-m", "ask"], ["ask.py"], ["-c", ask]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert "Answer(type='int', value=2)" in done.stdout, done.stderr
    assert not (tmp_path / "taken").exists()


def test_where_the_engine_is_missing_one_line_says_what_to_install(court: World, tmp_path: Path) -> None:
    installed = Path(click.__file__).parents[1]
    for entry in installed.iterdir():
        if not entry.name.startswith("cel_expr_python"):
            (tmp_path / entry.name).symlink_to(entry)
    package = Path(gitops_registry.__file__).parents[1]
    start = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(package)!r}]; from gitops_registry.__main__ import main; main()"
    command = [sys.executable, "-S", "-c", start, "-C", str(court.root), "policy", "test"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines() == [
        "error: the package cel_expr_python is not installed",
        "hint: install it: pip install cel-expr-python",
    ]
