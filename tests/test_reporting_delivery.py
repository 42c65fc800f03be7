"""Where a review goes: the terminal, a file, GitHub's log and the summary of a step, and below a change just made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hearing import granted, hearing, move

from gitops_registry.cli.output import print_outcome, told
from gitops_registry.cli.reporting import deliver
from gitops_registry.deciding import Outcome
from gitops_registry.policy.report import Report
from gitops_registry.reporting.github import SUMMARY_LIMIT
from gitops_registry.reporting.markdown import MARKER, markdown


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command line that named the registry `there`, outside GitHub."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    with click.Context(click.Command("gitops-registry")) as context:
        context.params["path"] = "there"
        yield


def test_github_reads_annotations_and_people_the_text_and_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("# before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    deliver(hearing(), "github", output=None, program="gitops-registry")
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["::error"] * 4 + ["::warning"] * 3 + ["::notice"]
    assert said.err.startswith("credit-risk: production 2 → 3 (from staging)\n")
    assert said.err.endswith("the change: 4 finding(s) to mend\n")
    assert summary.read_text() == f"# before\n{markdown(hearing())}\n"


def test_outside_github_only_the_annotations_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(hearing(), "github", output=None, program="gitops-registry")
    said = capsys.readouterr()
    assert all(line.startswith("::") for line in said.out.splitlines())
    assert said.err == ""


def test_only_the_format_github_writes_a_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    for how in ("text", "json", "sarif", "junit", "markdown"):
        deliver(hearing(), how, output=None, program="gitops-registry")
    assert not (tmp_path / "summary.md").exists()


@pytest.mark.parametrize("room", [0, 1, 900])
def test_a_summary_never_grows_beyond_what_github_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], room: int
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (SUMMARY_LIMIT - room))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    deliver(hearing(), "github", output=None, program="gitops-registry")
    assert summary.stat().st_size <= SUMMARY_LIMIT
    is_told = MARKER.encode() in summary.read_bytes()
    assert is_told == (room == 900)
    assert ("the summary of this step is full" in capsys.readouterr().err) == (not is_told)


def test_a_file_gets_the_document_and_the_log_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for how in ("text", "json", "github", "sarif", "junit", "markdown"):
        deliver(hearing(), how, output=None, program="gitops-registry")
        printed = capsys.readouterr().out
        deliver(hearing(), how, output=tmp_path / how, program="gitops-registry")
        assert (tmp_path / how).read_text(encoding="utf-8") == printed
        assert capsys.readouterr().out.endswith("the change: 4 finding(s) to mend\n")
    assert json.loads((tmp_path / "json").read_text())["ok"] is False


# ── below a change that somebody just made


def outcome(report: Report) -> Outcome:
    return Outcome("promote credit-risk 3 to production", report)


def test_a_change_is_told_with_its_plan_and_champion_against_challenger(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_outcome(outcome(granted().report), dry_run=True) == 0
    assert capsys.readouterr().out.splitlines() == [
        "promote credit-risk 3 to production",
        "  credit-risk: version 2 production → archived",
        "  credit-risk: version 3 staging → production",
        "  credit-risk: alias champion 2 → 3",
        "  credit-risk: production 2 → 3",
        "               champion 2      challenger 3  difference",
        "    accuracy         0.95              0.97  +0.02 (+2.1 %)  better",
        "    f1                0.9              0.88  -0.02 (-2.2 %)  worse",
        "    log_loss          0.2               0.1  -0.1 (-50.0 %)  better",
        "    input age        long  double, optional",
        "    max_depth          10                15  +5 (+50.0 %)",
        "    1 more: gitops-registry -C there compare credit-risk 2 3",
        "✓ production-quality 2 rules",
        "dry run: nothing was written",
    ]


def test_a_first_promotion_is_told_by_its_plan_alone(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report((), granted().report.changes[1:2], ("schema",), (), (move(champion=None, rows=()),))
    assert print_outcome(outcome(report), dry_run=True) == 0
    assert capsys.readouterr().out.splitlines()[1:-1] == ["  credit-risk: version 3 staging → production"]


def test_a_refusal_says_what_would_make_it_pass(capsys: pytest.CaptureFixture[str]) -> None:
    refused = Outcome("promote", hearing().report, hearing().refusals)
    assert print_outcome(refused, dry_run=False) == 1
    said = capsys.readouterr().out
    assert "    to pass: f1 of at least 0.89\n" in said
    assert said.endswith("refused: 4 findings stand in the way\n")


def test_a_change_as_json_holds_moves_and_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(outcome(granted().report), as_json=True, dry_run=True) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["moves"][0]["text"] == "credit-risk: production 2 → 3"
    assert [verdict["rule"] for verdict in data["policies"]] == ["accuracy-floor", "no-regression"]
