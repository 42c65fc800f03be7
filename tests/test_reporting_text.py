"""On a terminal a reviewer reads the moves first, then what else changes, what refuses, and last the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hearing import CHANGES, MODEL, RULES, SPOT, granted, hearing, move, verdict
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_registry.changes import Change
from gitops_registry.policy.report import ADVICE, DECISION, Finding, Report
from gitops_registry.reporting import text
from gitops_registry.reporting.review import Review, differing
from gitops_registry.reporting.values import clean, clipped, columns, counted, json_text, plain

GOLDEN = """\
credit-risk: production 2 → 3 (from staging)
             champion 2      challenger 3  difference
  accuracy         0.95              0.97  +0.02 (+2.1 %)  better
  f1                0.9              0.88  -0.02 (-2.2 %)  worse
  log_loss          0.2               0.1  -0.1 (-50.0 %)  better
  input age        long  double, optional
  max_depth          10                15  +5 (+50.0 %)
  1 more: gitops-registry compare credit-risk 2 3
credit-risk: version 2 production → archived
credit-risk: alias champion 2 → 3
✗ cards: credit-risk@3: the card has no limitations (models/credit-risk/versions/3/card.yaml:3:1)
    to pass: fill in limitations in card.yaml
✗ production-quality/no-regression: credit-risk@3: f1 fell by 0.02 (models/credit-risk/model.yaml:5:3)
    to pass: f1 of at least 0.89
✗ production-quality/recall-floor: credit-risk@3: no such key: recall (models/credit-risk/model.yaml:5:3)
    to pass: a measured recall
? production-quality/four-eyes: credit-risk@3: nobody asked who approved (models/credit-risk/model.yaml:5:3)
    to pass: ask a forge
! emptied: credit-risk@3: nothing is left in staging (models/credit-risk/model.yaml:5:3)
    promote another
! fair/fairness: credit-risk@3: WAIVED until 2026-12-20: gap 0.08 (models/credit-risk/model.yaml:5:3)
! production-quality/drift: credit-risk@3: drift 0.2 (models/credit-risk/model.yaml:5:3)
    drift below 0.1
? permissions: nobody proved who decides (models/credit-risk/model.yaml)
    let a server decide
! fair 1 rule, 1 WAIVED until 2026-12-20
✗ production-quality 6 rules, 3 refuse, 1 advises against it, 1 skipped
the change: 4 finding(s) to mend
"""


def told(review: Review) -> list[str]:
    return text.as_text(text.terminal(review)).splitlines()


def test_a_refused_promotion_is_told_in_the_order_a_reviewer_reads() -> None:
    assert text.as_text(text.terminal(hearing())) == GOLDEN


def test_a_promotion_that_passes_ends_in_how_much_it_passes() -> None:
    assert told(granted())[-2:] == ["✓ production-quality 2 rules", "the change passes 5 rules and 1 policy"]


def test_without_moves_and_policies_there_are_changes_findings_and_the_verdict() -> None:
    warning = Finding.warning("emptied", "nothing is left", "promote another", SPOT)
    review = Review.at(DECISION, Report((warning,), CHANGES[2:], RULES), base="main", head="x")
    assert told(review) == [
        "credit-risk: alias champion 2 → 3",
        f"! emptied: credit-risk@3: nothing is left ({MODEL}:5:3)",
        "    promote another",
        "the change passes 5 rules",
    ]


def test_a_whole_registry_is_told_without_changes() -> None:
    assert told(Review.at(ADVICE, Report((), CHANGES, RULES), head="main")) == ["the registry passes 5 rules"]


def test_what_nobody_checked_refuses_only_where_the_gate_asks_for_it() -> None:
    refused, looked_at = hearing(), Review.at(ADVICE, hearing().report, base="main")
    assert [policy.policy for policy in refused.policies if policy.refusing] == ["production-quality"]
    assert "✗ production-quality 6 rules, 2 refuse, 1 advises against it, 1 not checked, 1 skipped" in told(looked_at)
    assert "    ask a forge" in told(looked_at)


def test_policies_that_only_advise_or_were_not_checked_are_marked_so() -> None:
    verdicts = (
        verdict("drift", "fail", policy="advice", enforcement="advisory"),
        verdict("asked", "not-checked", policy="later"),
        verdict("asked", "skip", policy="rollback"),
        replace(verdict("asked", "pass", policy="two"), version=4),
        verdict("asked", "pass", policy="two"),
    )
    assert told(Review.at(ADVICE, Report((), (), RULES, verdicts), base="main"))[:-1] == [
        "! advice 1 rule, 1 advises against it",
        "? later 1 rule, 1 not checked",
        "✓ rollback 1 rule, 1 skipped",
        "✓ two 1 rule on 2 versions",
    ]
    assert [policy.result for policy in Review(Report((), (), RULES, verdicts)).policies] == [
        "warning",
        "not-checked",
        "pass",
        "pass",
    ]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"champion": None, "holders": (), "rows": ()}, "  no champion to compare with"),
        ({"champion": 3, "rows": ()}, "  version 3 held production last itself"),
        ({"rows": ()}, "  the same as champion 2 in everything that is compared"),
    ],
)
def test_a_move_without_a_contest_says_why(changed: dict[str, object], line: str) -> None:
    assert told(Review(Report((), (), RULES, (), (move(**changed),)), base="main"))[1] == line


def test_what_is_displaced_or_joins_others_is_a_change_and_no_move_to_decide_about() -> None:
    moves = (
        move(version=2, stage="archived", holders=(), champion=None, rows=()),  # displaced by 3
        move(version=1, stage="staging", holders=(4, 5), champion=None, rows=()),
        move(),
    )
    changes = (*CHANGES, Change("stage_transition", "credit-risk", 1, "1", "development", "staging"))
    review = Review(Report((), changes, RULES, (), moves), base="main")
    assert [str(each) for each in review.moves] == ["credit-risk: production 2 → 3"]
    assert told(review)[-4:-1] == [
        "credit-risk: version 2 production → archived",
        "credit-risk: alias champion 2 → 3",
        "credit-risk: version 1 development → staging",
    ]
    assert len(review.to_json()["moves"]) == 3


def test_what_differs_nearly_always_is_only_counted() -> None:
    rows = tuple(row for row in move().rows if row.section == "environment")
    lines = told(Review(Report((), (), RULES, (), (move(rows=rows),)), base="main"))
    assert lines[1] == "  1 more: gitops-registry compare credit-risk 2 3"


def test_metrics_come_first_and_equal_sides_are_left_out() -> None:
    assert [row.name for row in differing(move())][:3] == ["accuracy", "f1", "log_loss"]
    assert "same" not in {row.name for row in differing(move())}


def test_a_longer_comparison_ends_in_how_much_is_left_and_how_to_see_it() -> None:
    many = tuple(replace(move().rows[-1], section="metrics", name=f"m{n}", left=0, right=1) for n in range(30))
    review = Review(Report((), (), RULES, (), (move(rows=many),)), base="main")
    lines = text.as_text(text.moves(review, program="gitops-registry -C there")).splitlines()
    assert len(lines) == 1 + 1 + 12 + 1
    assert lines[-1] == "  18 more: gitops-registry -C there compare credit-risk 2 3"
    short = text.as_text(text.contests(review)).splitlines()
    assert (short[0], short[-1]) == (
        "credit-risk: production 2 → 3",
        "  24 more: gitops-registry compare credit-risk 2 3",
    )


def test_in_short_only_moves_with_a_champion_to_meet_are_told() -> None:
    alone = (move(champion=None, rows=()), move(champion=3, rows=()))
    assert list(text.contests(Review(Report((), (), RULES, (), alone), base="main"))) == []


def test_a_plan_of_nothing_says_so() -> None:
    assert text.as_text(text.plan([])) == "nothing changes\n"
    assert text.as_text(text.plan(CHANGES[2:])) == "credit-risk: alias champion 2 → 3\n"


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=40) | st.sampled_from(["::error::x", " ::add-mask::x", "##[error]x", "a\n::error::b", "\x1b[2J"])
)
def test_no_line_moves_the_cursor_or_commands_a_ci_service(wild: str) -> None:
    findings = (Finding.error(wild, wild, wild, SPOT._replace(path=wild, model=wild)),)
    changes = (Change("unknown_file_changed", subject=wild, after="x"),)
    verdicts = (verdict(wild, "fail", policy=wild, until=wild), verdict(wild, "waived", policy=wild, until=wild))
    rows = (replace(move().rows[0], section="metrics", name=wild, left=wild, right=f"{wild}x"),)
    moves = (move(model=wild, stage=wild, rows=rows),)
    review = Review.at(DECISION, Report(findings, changes, RULES, verdicts, moves), base="main", head=wild)
    lines = text.terminal(review)
    for line in text.as_text(lines).split("\n")[:-1]:
        assert line.isprintable()
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
    assert len(text.as_text(lines).split("\n")) == len(lines) + 1


# ── values


def test_values_are_told_shortly() -> None:
    shown = [plain(value) for value in (None, True, 0.0, 0.123456, 1e-9, 12345678.0, 7, ["a", 1.5], "a\tb\u202ec")]
    assert shown == ["—", "true", "0", "0.1235", "1e-09", "1.235e+07", "7", "a, 1.5", "a b c"]
    assert [clean("##[group]"), clean("  ::error::")] == ["## [group]", "'  ::error::'"]
    assert [clipped("abc", 3), clipped("abcd", 3)] == ["abc", "ab…"]
    assert [counted(1, "rule"), counted(0, "rule")] == ["1 rule", "0 rules"]


def test_columns_are_as_wide_as_a_terminal_shows_them() -> None:
    assert columns([["名前", "n"], ["a", 10]], numbers=(1,)) == ["名前   n", "a     10"]


@given(st.text(max_size=30))
def test_json_means_the_same_and_holds_nothing_that_does_not_print(wild: str) -> None:
    import json

    for ascii_only in (False, True):
        written = json_text({"a": [wild]}, ascii_only=ascii_only)
        assert json.loads(written) == {"a": [wild]}
        assert all(sign.isprintable() or sign == "\n" for sign in written)
