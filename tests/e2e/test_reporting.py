"""check and plan in every format, as a job of continuous integration runs them on a real repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from builder import World

from gitops_registry import edits
from gitops_registry.reference import Reference


@pytest.fixture(scope="module")
def branches(court: World) -> dict[str, str]:
    """A branch that promotes version 3 of fraud, which is good, and one for version 5, which is not."""
    snapshot = court.registry.place.snapshot("main")
    return {
        name: court.branch(dict(edits.promote(snapshot, Reference("fraud", number), "production")))
        for name, number in (("good", 3), ("weak", 5))
    }


def asked(court: World, branch: str, *options: str, code: int, **environment: str) -> str:
    told = {"GITHUB_STEP_SUMMARY": "", **environment}
    done = court.cli("check", "--base", "main", "--head", branch, *options, check=code, environment=told)
    return done.stdout


def test_what_passes_exits_with_0_in_every_format(court: World, branches: dict[str, str]) -> None:
    for how in ("sarif", "github"):
        assert "::error" not in asked(court, branches["good"], "--format", how, code=0)


def test_the_text_says_what_changes_what_refuses_and_what_would_pass(court: World, branches: dict[str, str]) -> None:
    lines = asked(court, branches["weak"], code=1).splitlines()
    assert lines[0] == "fraud: production 2 → 5 (from staging)"
    assert [line.split() for line in lines[1:3]] == [
        ["champion", "2", "challenger", "5", "difference"],
        ["accuracy", "0.95", "0.5", "-0.45", "(-47.4", "%)", "worse"],
    ]
    assert "fraud: version 2 production → archived" in lines
    refused = next(number for number, line in enumerate(lines) if line.startswith("✗ floors/metrics: fraud@5: "))
    assert "(models/fraud/model.yaml:" in lines[refused]
    assert lines[refused + 1].startswith("    to pass: ")
    assert lines[-2:] == ["✗ floors 2 rules, 1 refuses", "the change: 1 finding(s) to mend"]
    assert asked(court, branches["good"], code=0).splitlines()[-1].startswith("the change passes ")


def test_machines_read_one_verdict_in_all_formats(court: World, branches: dict[str, str]) -> None:
    data = json.loads(asked(court, branches["weak"], "--format", "json", code=1))
    assert data == json.loads(asked(court, branches["weak"], "--json", code=1))
    (refused,) = [finding for finding in data["findings"] if finding["result"] == "error"]
    assert (data["ok"], data["base"], refused["rule"]) == (False, "main", "floors/metrics")
    run: dict[str, Any] = json.loads(asked(court, branches["weak"], "--format", "sarif", code=1))["runs"][0]
    (result,) = [result for result in run["results"] if result["level"] == "error"]
    assert result["ruleId"] == "floors/metrics"
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (refused["line"], refused["column"])
    assert run["properties"]["policies"] == {"floors": {"pass": 1, "fail": 1}}
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} >= set(data["rules"])
    root = ElementTree.fromstring(asked(court, branches["weak"], "--format", "junit", code=1))
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed == ["metrics (fraud@5 → production)"]
    (error,) = [
        line
        for line in asked(court, branches["weak"], "--format", "github", code=1).splitlines()
        if line.startswith("::error")
    ]
    assert f"file=models/fraud/model.yaml,line={refused['line']},col={refused['column']}," in error
    comment = asked(court, branches["weak"], "--format", "markdown", code=1)
    assert f"`models/fraud/model.yaml:{refused['line']}`" in comment


def test_a_whole_registry_is_told_in_every_format(court: World) -> None:
    assert "the registry passes" in court.cli("check", "--head", "main").stdout
    log = json.loads(court.cli("check", "--head", "main", "--format", "sarif").stdout)
    assert log["runs"][0]["automationDetails"]["id"] == "gitops-registry/registry/"
    assert "## ✅ The registry passes" in court.cli("check", "--head", "main", "--format", "markdown").stdout
    assert json.loads(court.cli("check", "--head", "main", "--json").stdout)["plan"] is None


def test_a_step_of_github_gets_annotations_a_log_and_a_summary(
    court: World, branches: dict[str, str], tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    done = court.cli(
        "check", "--base", "main", "--head", branches["weak"], "--format", "github",
        check=1, environment={"GITHUB_STEP_SUMMARY": str(summary)},
    )  # fmt: skip
    assert all(line.startswith("::") for line in done.stdout.splitlines())
    assert done.stderr.endswith("the change: 1 finding(s) to mend\n")
    assert summary.read_text().startswith("<!-- gitops-registry: check -->\n\n## ❌ The change is refused")


def test_a_document_goes_to_a_file_and_the_text_to_the_log(
    court: World, branches: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "report.sarif"
    said = asked(court, branches["weak"], "--format", "sarif", "--output", str(file), code=1)
    assert said == asked(court, branches["weak"], code=1)
    assert json.loads(file.read_text())["version"] == "2.1.0"


def test_what_cannot_be_asked_or_written_is_one_line_and_a_hint(court: World, tmp_path: Path) -> None:
    for words, problem in (
        (["--base", ""], "--base and --head must name a revision"),
        (["--base", "main", "--head", ""], "--base and --head must name a revision"),
        (["--json", "--format", "sarif"], "--json and --format sarif are two formats"),
        (["--format", "sarif", "--output", str(tmp_path / "none" / "x")], "No such file or directory"),
        (["--format", "sarif", "--output", str(tmp_path)], "is a directory"),
        (["--format", "html"], "html"),
    ):
        done = court.cli("check", *words, check=2)
        assert done.stdout == ""
        assert problem in done.stderr
        assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_documents_are_whole_whatever_the_terminal_can_show(court: World) -> None:
    branch = court.branch({"notes/信用 ü ::error::x.md": b"x"})
    for how in ("json", "junit"):
        said = asked(court, branch, "--format", how, code=0, PYTHONIOENCODING="ascii")
        assert said.isascii()
        is_xml = how == "junit"
        read = "".join(ElementTree.fromstring(said).itertext()) if is_xml else str(json.loads(said))
        assert "信用" in read


def test_a_plan_is_text_json_or_a_comment(court: World, branches: dict[str, str]) -> None:
    text = court.cli("plan", branches["good"]).stdout
    assert "fraud: version 3 staging → production" in text.splitlines()
    data = json.loads(court.cli("plan", branches["good"], "--format", "json").stdout)
    assert [change["text"] for change in data["changes"]] == text.splitlines()
    comment = court.cli("plan", branches["good"], "--format", "markdown").stdout
    assert f"`{branches['good']}` into `main`" in comment
    assert "- fraud: version 3 staging → production" in comment.splitlines()
    here = court.cli("plan", "--format", "markdown").stdout
    assert "## Nothing changes\n\n`the work tree` into `HEAD`" in here
