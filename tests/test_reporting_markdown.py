"""A comment shows what people wrote as text: nothing in it becomes an element, a mention, a reference or a link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hearing import CHANGES, MODEL, RULES, granted, hearing, move, verdict
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gitops_registry.changes import Change
from gitops_registry.policy.report import DECISION, Finding, Report, Spot
from gitops_registry.reporting.markdown import MARKER, code, escaped, markdown, plan
from gitops_registry.reporting.review import Review
from gitops_registry.reporting.values import plain

READER = MarkdownIt("gfm-like", {"html": True, "linkify": True})
SNIPPETS = [
    "@alice", "#1", "GH-1", "!12", "a@b.example", "https://x.example", "www.x.example", "x.com", "<b>x</b>", "<!--",
    "-->", "</details>", "&lt;", "&#64;alice", "[a](b)", "![a](b)", "`", "``", "```", "|", "\\", "\\|", "**a**", "_a_",
    "~~a~~", "\n\n# a", "\n- a", "- ", "1. ", "---", "===", "+ a", "> a", "    a", "$x$", ":tada:", "[^1]", "\u202e", "\x00",
    "\udcff", "0123456789abcdef0123456789abcdef01234567", "| --- |", "/close", "<https://x.example>", "[x]: y",
]  # fmt: skip
wild = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=5), min_size=1, max_size=6).map("".join)


def review_of(said: str) -> Review:
    """Return a refused change in which people wrote one text wherever they can write."""
    said = f"{said}x"  # never empty, so that both sides of a comparison have the same shape
    findings = (
        Finding.error(said, said, said, Spot(said, 1, 1, said, 1)),
        Finding.warning("plain", said, said, Spot(MODEL, 0, 0, "", 0)),
    )
    changes = (Change("unknown_file_changed", subject=said, after="x"), Change("model_registered", said))
    some = next(row for row in move().rows if row.section == "metrics")
    rows = tuple(
        replace(some, section=section, name=said, left=said, right=f"{said}{section}", difference=None, percent=None)
        for section in ("metrics", "params", "artifacts")
    )
    moves = (move(model=said, stage=said, rows=rows), move(stage=said, champion=None, holders=(), rows=()))
    verdicts = (
        verdict(said, "fail", policy=said, until=said),
        verdict(said, "waived", policy=f"{said}2", until=said, waiver=said),
    )
    return Review.at(DECISION, Report(findings, changes, RULES, verdicts, moves), base=said, head=said)


def tokens(text: str) -> Iterator[Token]:
    """Yield all tokens, those within a line after the line itself."""
    for token in READER.parse(text):
        yield token
        yield from token.children or ()


def shape(text: str) -> list[tuple[str, str, str]]:
    """Return the elements of a document, with our own HTML, without text and code."""
    found = [(t.type, t.tag, t.content if t.type.startswith("html") else "") for t in tokens(text)]
    return [one for one in found if one[0] not in {"text", "code_inline"}]


def cells(text: str) -> list[str]:
    """Return what a reader sees in each line of text."""
    return ["".join(t.content for t in line.children or ()) for line in READER.parse(text) if line.type == "inline"]


def squeezed(value: Any) -> str:
    return "".join(plain(value).split())


@settings(max_examples=60, deadline=None)
@example("|\\|`|")
@example("1. a")
@example("- ---")
@example("\n\n## x\n\n<img src=x>")
@given(wild)
def test_nothing_that_people_write_changes_the_elements_of_a_comment(said: str) -> None:
    assert shape(markdown(review_of(said))) == shape(markdown(review_of("a")))


@settings(max_examples=50, deadline=None)
@given(wild)
def test_what_people_write_is_shown_as_it_is(said: str) -> None:
    seen = {squeezed(cell) for cell in cells(markdown(review_of(said)))}
    shown = squeezed(f"{said}x")
    assert {f"{shown}added,afiletheregistrydoesnotknow", f"{shown}:newmodel"} <= seen
    in_a_cell = {f"{shown}metrics", shown.replace("\\|", "\\¦") + "metrics"}  # the second only in code
    assert in_a_cell & seen


@settings(max_examples=50, deadline=None)
@given(wild)
def test_what_forges_act_on_stands_in_code_only(said: str) -> None:
    for text in (markdown(review_of(said)), plan(review_of(said).report.changes, base=said, head=said)):
        for token in tokens(text):
            if token.type == "text":
                assert not re.search(r"@\w|#\w|\bGH-\d|://|www\.|:\w+:|\$\S", token.content), token.content
            assert token.type not in {"link_open", "image"}


def test_the_verdict_comes_first_and_the_marker_before_it() -> None:
    lines = markdown(hearing()).splitlines()
    assert lines[0] == MARKER
    assert lines[2] == "## ❌ The change is refused: 4 findings stand in the way"
    assert lines[4] == "`promote/credit-risk/3/production` into `main`"
    assert markdown(granted()).splitlines()[2] == "## ✅ The change passes 5 rules and 1 policy"
    whole = Review.at(DECISION, Report((), (), RULES), head="main")
    assert markdown(whole) == f"{MARKER}\n\n## ✅ The registry passes 5 rules\n\n`main`\n"


def test_metrics_stand_open_and_the_rest_is_folded() -> None:
    text = markdown(hearing())
    assert "| f1 | 0.9 | 0.88 | -0.02 (-2.2 %) | worse |" in text.split("<details>")[0]
    assert "| max\\_depth | 10 | 15 | +5 (+50.0 %) |  |" in text.split("<details><summary>3 more differences")[1]


def test_findings_say_where_and_what_is_needed_and_policies_what_is_waived_until_when() -> None:
    lines = markdown(hearing()).splitlines()
    assert (
        "| ❌ | `production-quality/no-regression` | `credit-risk@3` f1 fell by 0.02 "
        "| `models/credit-risk/model.yaml:5` | f1 of at least 0.89 |" in lines
    )
    assert "| ⚠️ | `fair` | 1 rule | 0 of 1 pass; 1 WAIVED until 2026-12-20 (`fairness`) |" in lines
    assert "| ❌ | `production-quality` | 6 rules | 1 of 6 pass; 3 refuse; 1 advises against it; 1 skipped |" in lines


def test_a_comment_keeps_to_its_limit_and_says_how_much_it_leaves_out() -> None:
    findings = tuple(Finding.error("cards", "x" * 900, "y" * 900, Spot(f"p{n}")) for n in range(3_000))
    changes = tuple(Change("model_registered", f"m{n}") for n in range(3_000))
    review = Review.at(DECISION, Report(findings, changes, RULES), base="main", head="x")
    text = markdown(review)
    assert 10_000 < len(text.encode()) <= 65_000
    shown = text.count("| ❌ |")
    assert f"{3_000 - shown} more findings" in text
    assert f"- … and {3_000 - text.count(': new model')} more" in text
    tiny = markdown(review, limit=400)
    assert tiny.splitlines()[2] == "## ❌ The change is refused: 3000 findings stand in the way"
    assert len(tiny.encode()) <= 400
    assert len(plan(changes, base="main", head="x", limit=2_000).encode()) <= 2_000


def test_a_plan_is_a_comment_of_its_own() -> None:
    assert plan(CHANGES[2:], base="main", head="x").splitlines()[2:] == [
        "## 1 change",
        "",
        "`x` into `main`",
        "",
        "### What changes",
        "",
        "- credit-risk: alias champion 2 → 3",
    ]
    assert "## Nothing changes" in plan((), base="main", head="x")


def test_words_become_code_only_where_a_forge_would_act_on_them() -> None:
    assert escaped("ask @bob about credit-risk@3 in card.yaml") == "ask `@bob` about `credit-risk@3` in `card.yaml`"
    assert escaped("0.95 is *fine* (a_b)") == r"0.95 is \*fine\* (a\_b)"
    assert (code(""), code("a`b"), code("`a")) == ("`—`", "``a`b``", "`` `a ``")
