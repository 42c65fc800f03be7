"""The commands of policies as people type them: text, JSON, exit codes, in a checkout, a bare repository and at a URL."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builder import World, cli, git
from rules import policy, promoted, proven, waiver

SHY = proven("shy", rules={"titled": "model.title != ''"}, match={"to": ["production"], "models": ["other-*"]})


@pytest.fixture(scope="module")
def desk(court: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The court's registry with a policy about other models, a waiver and a note of a person."""
    world = court.clone(tmp_path_factory.mktemp("desk") / "world")
    note = proven("production-title", description="So that people know what they look at.", enforcement="advisory")
    today = datetime.now(UTC).replace(microsecond=0)
    lifts = waiver(court, 5, not_before=today - timedelta(days=1), expires=today + timedelta(days=1))
    world.commit({**SHY, **note, **lifts})
    return world


@pytest.fixture(scope="module")
def bare(desk: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same registry, bare."""
    folder = tmp_path_factory.mktemp("bare") / "registry.git"
    git(desk.root, "clone", "--quiet", "--bare", desk.root.as_uri(), str(folder))
    return folder


def places(desk: World, bare: Path) -> list[tuple[str, ...]]:
    """The same registry in its three forms, as options of the command line."""
    return [(), ("-C", str(bare)), ("-C", bare.as_uri())]


def refusal(world: World, *words: str, code: int = 2) -> tuple[str, str]:
    """Return the one line and the hint of an error; nothing is printed as a result."""
    done = world.cli(*words, check=code)
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    assert "Traceback" not in done.stdout + done.stderr
    return lines[0].removeprefix("error: "), lines[1].removeprefix("hint: ")


# ── list


def test_policies_and_waivers_are_listed_with_what_they_are_about(desk: World, bare: Path) -> None:
    texts = [desk.cli(*at, "policy", "list").stdout for at in places(desk, bare)]
    assert texts[0] == texts[1] == texts[2]
    lines = [re.split(r"  +", line.strip()) for line in texts[0].splitlines()]
    assert ["floors", "production", "1 hard, 1 soft"] in lines
    assert ["production-title", "production", "1 advisory", "So that people know what they look at."] in lines
    assert ["shy", "production; models other-*", "1 hard"] in lines
    assert any(line[:3] == ["w", "floors/metrics", "fraud@5"] and line[-1] == "The holiday season." for line in lines)


def test_a_list_as_json_holds_everything(desk: World, bare: Path) -> None:
    found = [json.loads(desk.cli(*at, "policy", "list", "--json").stdout) for at in places(desk, bare)]
    assert found[0] == found[1] == found[2]
    assert [one["name"] for one in found[0]["policies"]] == ["floors", "production-title", "shy"]
    assert found[0]["policies"][0]["validations"][1]["enforcement"] == "soft"
    (lifts,) = found[0]["waivers"]
    assert (lifts["name"], lifts["versions"], lifts["rules"]) == ("w", [5], ["metrics"])
    assert found[0]["broken"] == []


def test_a_policy_that_cannot_be_read_is_listed_as_broken(court: World, tmp_path: Path) -> None:
    world = court.clone(tmp_path / "world")
    (world.root / "policies" / "broken.yaml").write_text("kind: Policy\nname: [\n")
    told = world.cli("policy", "list").stdout
    assert "policies/broken.yaml:" in told
    assert json.loads(world.cli("policy", "list", "--json").stdout)["broken"][0]["path"] == "policies/broken.yaml"
    told = world.cli("policy", "test", check=1).stdout
    assert "policies/broken.yaml:3:1" in told or "policies/broken.yaml:2" in told
    assert "is not YAML" in world.cli("policy", "test", "broken", check=1).stdout
    for path in (world.root / "policies").glob("*.yaml"):
        path.unlink()
    assert "no policy yet: nothing can come to a stage that serves" in world.cli("policy", "list").stdout
    assert world.cli("policy", "test").stdout == "no policy here\n"


# ── test


def test_tests_of_policies_that_are_met_are_counted(desk: World, bare: Path) -> None:
    for at in places(desk, bare):
        told = desk.cli(*at, "policy", "test").stdout
        assert told.splitlines() == [
            "✓ floors: 3 of 3 tests pass",
            "✓ production-title: 2 of 2 tests pass",
            "✓ shy: 2 of 2 tests pass",
        ]
    assert desk.cli("policy", "test", "floors").stdout == "✓ floors: 3 of 3 tests pass\n"
    assert desk.cli("policy", "test", "policies/floors.yaml").stdout == "✓ floors: 3 of 3 tests pass\n"


def test_tests_as_json_say_what_each_rule_came_to(desk: World, bare: Path) -> None:
    for at in places(desk, bare):
        found = json.loads(desk.cli(*at, "policy", "test", "floors", "--json").stdout)
        assert found["ok"] is True
        assert [(one["name"], one["ok"]) for one in found["tests"]] == [("good", True), ("low", True), ("other", True)]
        assert found["tests"][1]["rules"] == [
            {"rule": "metrics", "expected": "fail", "came": "fail", "message": "accuracy 0.5 is below 0.9"}
        ]


def test_a_policy_of_the_work_tree_is_tried_as_it_lies_there(court: World, tmp_path: Path) -> None:
    world = court.clone(tmp_path / "world")
    files = policy(
        "mine",
        rules={"a": "candidate.version > 5", "b": "candidate.metrixs.f1 > 1"},
        tests=[{"name": "t", "expect": {"a": "pass"}}],
    )
    for path, content in files.items():
        (world.root / path).write_bytes(content)  # type: ignore[arg-type]
    told = world.cli("policy", "test", "mine", check=1).stdout
    assert "✗ mine: 0 of 1 tests pass" in told
    assert "policies/mine.yaml:" in told
    assert "candidate has no 'metrixs'; did you mean 'metrics'?" in told
    assert "candidate.metrixs.f1 > 1" in told
    assert re.search(r"^ +\| +\^$", told, re.MULTILINE)
    assert "findings to mend" in told
    found = json.loads(world.cli("policy", "test", "mine", "--json", check=1).stdout)
    assert found["ok"] is False
    assert found["tests"][0]["problem"] == "the policy does not compile"
    assert world.cli("policy", "test", "floors").returncode == 0
    assert "mine" in world.cli("check", check=1).stdout


def test_a_policy_that_is_not_there_is_said_with_the_nearest(desk: World) -> None:
    assert refusal(desk, "policy", "test", "flors") == ("no policy 'flors' here", "did you mean floors?")


# ── explain


def test_an_explanation_says_why_a_policy_applies_and_what_each_part_was(desk: World, bare: Path) -> None:
    texts = [desk.cli(*at, "policy", "explain", "fraud", "4", "--to", "production").stdout for at in places(desk, bare)]
    assert texts[0] == texts[1] == texts[2]
    lines = texts[0].splitlines()
    assert lines[0] == "fraud@4 → production"
    assert "floors: applies (stage_transition to production; models: *); policies/floors.yaml" in lines
    assert "  ✓ metrics (soft): pass" in lines
    assert '      variables.floors = {"accuracy": 0.9}' in lines
    assert "      variables.missed = []" in lines
    assert "      size(variables.missed) = 0" in lines
    assert "      candidate.task = binary-classification" in lines
    assert "- shy: it is about models named other-*" in lines
    assert "  ✗ titled (advisory): fail: model.title != '' is false" in lines
    assert lines[-1] == "nothing in the policies stands in the way"


def test_what_stands_in_the_way_is_counted_and_the_exit_code_says_it(desk: World) -> None:
    told = desk.cli("policy", "explain", "fraud@6", "--to", "production", check=1).stdout.splitlines()
    assert "  ✗ known-task (hard): fail: nothing says what a model for other must reach" in told
    assert "      candidate.task = other" in told
    assert told[-1] == "refused: 1 rule stands in the way"
    missing = desk.cli("policy", "explain", "fraud@7", "--to", "production", check=1).stdout
    assert "✗ metrics (soft): error: candidate.measured has no 'accuracy'" in missing


def test_a_waiver_and_a_rollback_are_explained(desk: World) -> None:
    told = desk.cli("policy", "explain", "fraud@5", "--to", "production").stdout
    assert re.search(r"~ metrics \(soft\): waived: accuracy 0.5 is below 0.9 WAIVED until \S+ by w", told)
    back = desk.cli("policy", "explain", "fraud@1", "--to", "production").stdout
    assert "- metrics (soft): skip: it goes back to a stage that it held before" in back


def test_a_version_in_its_stage_and_a_stage_that_nothing_is_about_are_explained(desk: World) -> None:
    assert desk.cli("policy", "explain", "fraud@production", "--to", "production").stdout.startswith(
        "fraud@2 in production\n"
    )
    told = desk.cli("policy", "explain", "fraud@4", "--to", "staging").stdout
    assert "- floors: it is about production, not staging" in told
    message, hint = refusal(desk, "policy", "explain", "fraud@3", "--to", "staging")
    assert message == "fraud@3 is in staging, where nothing is asked of a version"
    assert hint.startswith("name where it would go: ")


def test_an_explanation_as_json_holds_conditions_variables_and_parts(desk: World, bare: Path) -> None:
    for at in places(desk, bare):
        found = json.loads(desk.cli(*at, "policy", "explain", "fraud@4", "--to", "production", "--json").stdout)
        assert (found["version"], found["stage"], found["refusals"]) == ("fraud@4", "production", 0)
        floors = next(one for one in found["policies"] if one["policy"] == "floors")
        assert floors["is_about"] is True
        metrics: dict[str, Any] = next(rule for rule in floors["rules"] if rule["rule"] == "metrics")
        assert metrics["result"] == "pass"
        assert {"text": "size(variables.missed)", "value": 0, "problem": ""} in metrics["parts"]
        assert {"text": "variables.missed", "value": [], "problem": ""} in metrics["variables"]


def test_policies_of_the_work_tree_explain_only_when_asked(court: World, tmp_path: Path) -> None:
    world = court.clone(tmp_path / "world")
    (world.root / "policies" / "mine.yaml").write_bytes(
        next(iter(policy("mine", rules={"never": "false"}).values()))  # type: ignore[arg-type]
    )
    assert "mine" not in world.cli("policy", "explain", "fraud@3", "--to", "production").stdout
    told = world.cli("policy", "explain", "fraud@3", "--to", "production", "--work-tree", check=1).stdout
    assert "✗ never (hard): fail: false is false" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fraud@99", "--to", "production"), "no version 99 of fraud"),
        (("froud@1", "--to", "production"), "no model 'froud'"),
        (("fraud@3", "--to", "prodction"), "no stage 'prodction'"),
    ],
)
def test_what_is_not_there_cannot_be_explained(desk: World, words: tuple[str, ...], message: str) -> None:
    assert message in refusal(desk, "policy", "explain", *words)[0]


# ── new


def test_a_new_policy_is_written_tested_and_counts_once_it_is_committed(court: World, tmp_path: Path) -> None:
    world = court.clone(tmp_path / "world")
    told = world.cli("policy", "new", "production-fairness").stdout
    assert "wrote policies/production-fairness.yaml; it counts once it has landed" in told
    assert world.cli("policy", "test", "production-fairness").stdout == "✓ production-fairness: 3 of 3 tests pass\n"
    assert world.cli("check").returncode == 0
    written = world.root / "policies" / "production-fairness.yaml"
    content = written.read_bytes()
    assert (
        refusal(world, "policy", "new", "production-fairness")[0]
        == "policies/production-fairness.yaml is there already"
    )
    assert written.read_bytes() == content
    git(world.root, "add", "policies")
    git(world.root, "commit", "--quiet", "-m", "Add the policy production-fairness")
    told = world.cli("policy", "explain", "fraud@5", "--to", "production", check=1).stdout
    assert "✗ accuracy-floor (soft): fail: accuracy 0.5 is below 0.9" in told


def test_a_new_policy_can_be_looked_at_first_and_anywhere(desk: World, bare: Path) -> None:
    for at in places(desk, bare):
        assert "to: [staging]" in desk.cli(*at, "policy", "new", "x", "--to", "Staging", "--dry-run").stdout
    assert not (desk.root / "policies" / "x.yaml").exists()
    done = cli(bare.parent, "-C", str(bare), "policy", "new", "x")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: there is no work tree here to write it to")


@pytest.mark.parametrize(
    ("words", "message"),
    [(("../x",), "name '../x' must be"), (("x/y",), "name 'x/y' must be"), (("",), "name '' must be"), (("x", "--to", "nowhere"), "no stage 'nowhere'")],
)  # fmt: skip
def test_a_policy_of_no_name_or_for_no_stage_is_not_written(desk: World, words: tuple[str, ...], message: str) -> None:
    before = sorted(path.name for path in (desk.root / "policies").iterdir())
    assert message in refusal(desk, "policy", "new", *words)[0]
    assert sorted(path.name for path in (desk.root / "policies").iterdir()) == before


def test_access_is_no_name_of_a_policy(desk: World, tmp_path: Path) -> None:
    world = desk.clone(tmp_path / "world")
    refusal(world, "policy", "new", "access")
    assert not (world.root / "policies" / "access.yaml").exists()


# ── waive


def test_a_waiver_lands_and_is_printed_wherever_it_lifts(court: World, tmp_path: Path) -> None:
    world = court.clone(tmp_path / "world")
    told = world.cli("promote", "fraud", "5", "--to", "production", check=1).stdout
    assert "gitops-registry policy waive fraud@5 floors/metrics" in told
    dry = world.cli("policy", "waive", "fraud@5", "floors/metrics", "-m", "Bob accepts it.", "--dry-run").stdout
    assert "waive floors/metrics for fraud@5" in dry
    assert not (world.root / "policies" / "waivers").exists()
    world.cli("policy", "waive", "fraud@5", "floors/metrics", "-m", "Bob accepts it.", "--days", "30")
    assert "Bob accepts it." in world.cli("policy", "list").stdout
    told = world.cli("promote", "fraud", "5", "--to", "production").stdout
    assert re.search(r"WAIVED until \d{4}-\d\d-\d\dT\S+ by fraud-5-floors: accuracy 0.5 is below 0.9", told)
    assert "Bob accepts it." in git(world.root, "log", "-1", "--format=%B", "main")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fraud@5", "floors/metrics"), "a waiver needs a reason"),
        (("fraud@5", "floors/metrics", "-m", "x", "--days", "31"), "a waiver lasts 1 to 30 days"),
        (("fraud@5", "floors/known-task", "-m", "x"), "floors/known-task is hard: nothing lifts it"),
        (("fraud@5", "production-title/titled", "-m", "x"), "production-title/titled is advisory: it refuses nothing"),
        (("fraud@5", "-m", "x"), "a waiver is for rules of one policy"),
        (("fraud@99", "floors/metrics", "-m", "x"), "no version 99 of fraud"),
    ],
)
def test_what_cannot_be_waived_is_said_in_a_line(desk: World, words: tuple[str, ...], message: str) -> None:
    assert message in refusal(desk, "policy", "waive", *words)[0]


# ── facts, and a check of what somebody proposes


def test_the_facts_are_a_table_anywhere(tmp_path: Path) -> None:
    told = cli(tmp_path, "policy", "facts")
    assert told.returncode == 0
    rows = [re.split(r"  +", line.strip()) for line in told.stdout.splitlines()]
    assert ["change.approvals[].role", "string", '"ml_engineer"', "their role"] in rows
    assert "champion.…  as candidate.…" in told.stdout
    found = json.loads(cli(tmp_path, "policy", "facts", "--json").stdout)
    assert all(set(one) == {"name", "type", "example", "meaning"} for one in found)
    assert {"candidate.measured", "champion.measured", "now"} <= {one["name"] for one in found}


def test_a_check_says_the_same_in_a_checkout_and_in_a_bare_repository(desk: World, tmp_path: Path) -> None:
    head = desk.branch(dict(promoted(desk, 6)))
    git(desk.root, "clone", "--quiet", "--bare", desk.root.as_uri(), str(tmp_path / "bare.git"))
    texts = [
        desk.cli(*at, "check", "--base", "main", "--head", head, check=1).stdout
        for at in ((), ("-C", str(tmp_path / "bare.git")))
    ]
    assert texts[0] == texts[1].replace(f" -C {tmp_path / 'bare.git'}", "")
    assert "nothing says what a model for other must reach" in texts[0]
    found = json.loads(desk.cli("check", "--base", "main", "--head", head, "--json", check=1).stdout)
    assert {(one["rule"], one["result"]) for one in found["policies"] if one["policy"] == "floors"} == {
        ("known-task", "fail"),
        ("metrics", "pass"),
    }
    assert "fraud: production 2 → 6" in [move["text"] for move in found["moves"]]
