"""What is lifted and for whom: rollbacks, what serves already, waivers; and that no change lifts anything for itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from builder import World, errors
from rules import NOW, Files, came, card_of, measured, pinned, policy, promoted, said, waiver, weighed

from gitops_registry import edits, paths
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.policies import Waiver
from gitops_registry.policy.report import DECISION, Report
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content, Snapshot

RULES = "policies/floors.yaml"
ACCESS = "policies/access.yaml"
SERVING = Reference("fraud", 2)


def on_main(world: World) -> Snapshot:
    return world.registry.place.snapshot("main")


def refused(report: Report) -> set[str]:
    """Return the rules that refuse at a decision."""
    return {finding.rule for finding in report.refusals(DECISION)}


# ── rollbacks

TWO = policy(
    validations=[
        {"id": "skipped", "expression": "false", "on_rollback": "skip"},
        {"id": "checked", "expression": "false", "on_rollback": "check"},
        {"id": "plain", "expression": "false"},
        {"id": "told", "expression": "change.is_rollback"},
    ]
)


def test_a_rollback_is_exempt_from_exactly_what_says_so(court: World) -> None:
    report = weighed(court, promoted(court, 1), on=TWO)
    assert came(report) == {
        "floors/known-task": "skip", "floors/metrics": "skip",
        "x/skipped": "skip", "x/checked": "fail", "x/plain": "fail", "x/told": "pass",
    }  # fmt: skip
    assert refused(report) == {"x/checked", "x/plain"}
    assert all(
        v.message == "it goes back to a stage that it held before" for v in report.verdicts if v.result == "skip"
    )


def test_a_version_that_never_held_the_stage_is_exempt_from_nothing(court: World) -> None:
    report = weighed(court, promoted(court, 5), on=TWO)
    assert {rule: result for rule, result in came(report).items() if rule != "floors/known-task"} == {
        "floors/metrics": "fail", "x/skipped": "fail", "x/checked": "fail", "x/plain": "fail", "x/told": "fail",
    }  # fmt: skip


def test_a_version_that_only_a_branch_had_there_is_exempt_from_nothing(court: World) -> None:
    branch = court.branch(promoted(court, 5))
    back = edits.moved(court.registry.place.snapshot(branch), "fraud", {5: "staging", 2: "production"})
    court.commit(dict(back), "back again", branch=branch)
    before = court.registry.place.snapshot(branch)
    report = court.registry.check(base="main", head=branch)
    assert report.changes == ()
    again = edits.promote(before, Reference("fraud", 5), "production")
    court.commit(dict(again), "and again", branch=branch)
    report = court.registry.check(base="main", head=branch)
    assert came(report)["floors/metrics"] == "fail"
    assert "floors/metrics" in refused(report)


def test_a_version_that_held_another_stage_is_no_rollback(court: World) -> None:
    base = policy(match={"to": ["archived"]}, rules={"told": "change.is_rollback"})
    report = weighed(court, edits.moved(on_main(court), "fraud", {3: "archived"}), on=base)
    assert came(report) == {"x/told": "fail"}


def test_a_rollback_still_needs_a_policy_that_speaks(court: World) -> None:
    assert refused(weighed(court, promoted(court, 1), on={RULES: None})) == {"default-deny"}


# ── a change to what serves

SETTINGS: dict[str, tuple[str, Callable[[World, Snapshot], Files]]] = {
    "the card": (
        "candidate.card.limitations != 'None that we know of.'",
        lambda world, seen: card_of(world, seen, 2, limitations="None that we know of."),
    ),
    "the owners": ("size(model.owners) == 0", lambda world, seen: edits.describe_model(seen, "fraud", tags={}, owners=("somebody",))),
    "the tags": ("!('domain' in model.tags)", lambda world, seen: edits.describe_model(seen, "fraud", tags={"domain": "x"})),
    "the title": ("model.title == ''", lambda world, seen: edits.describe_model(seen, "fraud", tags={}, title="Fraud")),
    "the evaluation data": ("model.evaluation == null", lambda world, seen: pinned(seen)),
    "the name": ("model.name == 'fraud'", lambda world, seen: renamed(world, seen)),
}  # fmt: skip


def renamed(world: World, seen: Snapshot, new: str = "swindle") -> Files:
    """Return the edit that renames fraud, with its cards rendered under the new name."""
    written: dict[str, Content | None] = dict(edits.rename(seen, "fraud", new))
    after = seen.with_edits(written)
    for number in after.versions(new):
        written[paths.rendered_card_path(new, number)] = world.registry.place.card(after, Reference(new, number))
    return written


@pytest.mark.parametrize("what", SETTINGS)
def test_a_change_to_a_version_that_serves_runs_the_policies_of_its_stage_again(court: World, what: str) -> None:
    text, change = SETTINGS[what]
    base = policy(rules={"kept": text, "again": "change.is_rerun && !change.is_rollback && change.to == 'production'"})
    report = weighed(court, change(court, on_main(court)), on=base)
    assert {rule: result for rule, result in came(report).items() if rule.startswith("x/")} == {
        "x/kept": "fail",
        "x/again": "pass",
    }
    assert "x/kept" in refused(report)
    assert {verdict.version for verdict in report.verdicts} == {2}
    assert "default-deny" not in errors(report)


def test_a_change_to_its_facts_runs_them_again_too(court: World) -> None:
    path = paths.version_path("fraud", 2)
    lower = court.read(path).replace(b"accuracy: 0.95", b"accuracy: 0.10")
    report = weighed(court, {path: lower})
    assert came(report)["floors/metrics"] == "fail"
    assert {"immutable", "floors/metrics"} <= refused(report)


def test_a_measurement_of_what_serves_runs_them_again_and_what_it_brings_counts_for_nothing(court: World) -> None:
    pins = pinned(on_main(court))
    before = on_main(court).with_edits(pins)
    first = {**pins, **measured(before, 2, accuracy=0.95)}
    report = weighed(court, measured(on_main(court).with_edits(first), 2, accuracy=0.1, rows=400), on=first)
    assert came(report)["floors/metrics"] == "pass"
    assert refused(report) == set()


@pytest.mark.parametrize("number", [3, 4, 1])
def test_a_change_to_a_version_that_does_not_serve_runs_nothing_again(court: World, number: int) -> None:
    report = weighed(
        court, card_of(court, on_main(court), number, contact="risk@example.com"), on=policy(rules={"never": "false"})
    )
    assert report.verdicts == ()


def test_what_failed_before_a_change_is_only_a_warning_after_it(court: World) -> None:
    base = policy(
        rules={
            "owned": "size(model.owners) > 0",
            "error": "candidate.measured.f1 > 0.5",
            "short": "size(candidate.card.limitations) > 3",
        }
    )
    report = weighed(court, card_of(court, on_main(court), 2, limitations="Few"), on=base)
    assert came(report) == {
        "floors/known-task": "pass", "floors/metrics": "pass", "x/owned": "fail", "x/error": "error", "x/short": "fail",
    }  # fmt: skip
    assert refused(report) - {"cards"} == {"x/short"}
    told = said(report, "x/owned")
    assert (told.result, told.message) == ("warning", "size(model.owners) > 0 is false (so it was before this change)")
    assert said(report, "x/error").result == "warning"


def test_what_a_change_mends_is_said_no_more(court: World) -> None:
    base = policy(rules={"owned": "size(model.owners) > 0"})
    report = weighed(court, edits.describe_model(on_main(court), "fraud", tags={}, owners=("risk-team",)), on=base)
    assert came(report)["x/owned"] == "pass"
    assert report.findings == ()


def test_a_renamed_model_that_serves_is_judged_by_the_policies_of_both_names_with_the_champion_it_has(
    court: World,
) -> None:
    old = policy(
        "old",
        match={"to": ["production"], "models": ["fraud"]},
        rules={"same": "champion.version == 2 && champion.name == 'fraud'"},
    )
    new = policy("new", match={"to": ["production"], "models": ["swin*"]}, rules={"refuses": "model.name != 'swindle'"})
    report = weighed(court, renamed(court, on_main(court)), on={**old, **new})
    assert came(report) == {
        "floors/known-task": "pass",
        "floors/metrics": "pass",
        "old/same": "pass",
        "new/refuses": "fail",
    }
    real = court.registry.check(base="main", head=court.branch(dict(renamed(court, on_main(court)))))
    assert errors(real) == set()


def test_the_champion_of_a_model_that_a_change_renames_is_known_from_history(court: World) -> None:
    base = court.branch(policy(rules={"same": "champion != null && champion.version == 2"}))
    seen = court.registry.place.snapshot(base)
    report = weighed(court, renamed(court, seen), base=base)
    assert came(report)["x/same"] == "pass"


# ── a change judges itself by the old rules


def test_a_change_that_edits_its_own_policy_is_judged_by_the_old_one_and_says_so(court: World) -> None:
    lower = court.read(RULES).replace(b"accuracy: 0.9}, multi", b"accuracy: 0.1}, multi")
    report = weighed(court, {**promoted(court, 5), RULES: lower})
    assert "floors/metrics" in refused(report)
    told = said(report, "governance")
    assert (told.result, told.path) == ("warning", RULES)
    assert told.message == "changes a rule; the rest of this change is judged by the rules before it"


def test_a_change_that_brings_its_own_waiver_is_not_lifted_and_says_so(court: World) -> None:
    lifts = waiver(court, 5)
    report = weighed(court, {**promoted(court, 5), **lifts}, now=NOW)
    assert came(report)["floors/metrics"] == "fail"
    assert refused(report) == {"floors/metrics"}
    assert said(report, "governance").path == "policies/waivers/w.yaml"


def test_a_change_that_takes_a_role_is_judged_by_the_old_ones_and_says_so(court: World) -> None:
    members = (
        b"kind: Access\nschema_version: 1\nmembers:\n- {name: ann, role: admin}\n- {name: dan, role: data_scientist}\n"
    )
    raised = members.replace(b"data_scientist", b"admin")
    base: Files = {
        ACCESS: members,
        **policy(rules={"admin": "change.approvals.exists(a, a.role == 'admin') && change.actor.role == 'admin'"}),
    }
    report = weighed(court, {**promoted(court, 3), ACCESS: raised}, on=base, actor="dan", approvals=("dan",))
    assert came(report)["x/admin"] == "fail"
    assert {"permissions", "x/admin"} <= refused(report)
    assert said(report, "governance").path == ACCESS


def test_a_change_that_makes_its_stage_serve_no_more_is_judged_as_serving(court: World) -> None:
    law = court.read("registry.yaml").replace(b"    serving: true\n", b"")
    report = weighed(court, {**promoted(court, 3), "registry.yaml": law}, on={RULES: None})
    assert "default-deny" in refused(report)
    assert said(report, "governance").path == "registry.yaml"


# ── waivers


def test_a_waiver_lifts_a_soft_rule_and_is_printed_with_its_expiry(court: World) -> None:
    report = weighed(court, promoted(court, 5), on=waiver(court, 5), now=NOW)
    assert came(report) == {"floors/known-task": "pass", "floors/metrics": "waived"}
    assert refused(report) == set()
    told = said(report, "floors/metrics")
    assert (told.result, told.message) == (
        "warning",
        "WAIVED until 2026-11-29T12:00:00+00:00 by w: accuracy 0.5 is below 0.9",
    )
    (verdict,) = [verdict for verdict in report.verdicts if verdict.result == "waived"]
    assert (verdict.waiver, verdict.until) == ("w", "2026-11-29T12:00:00+00:00")


def test_a_waiver_lifts_what_cannot_be_worked_out_too(court: World) -> None:
    report = weighed(court, promoted(court, 7), on=waiver(court, 7), now=NOW)
    assert came(report)["floors/metrics"] == "waived"
    assert "cannot be worked out" not in said(report, "floors/metrics").message
    assert refused(report) == set()


LIFTS_NOTHING: dict[str, dict[str, Any]] = {
    "one of another version": {"number": 4},
    "one of another model": {"model": "churn"},
    "one of another policy": {"policy": "other"},
    "one of another rule": {"rules": ("known-task",)},
    "one that is to come": {"not_before": NOW + timedelta(seconds=1)},
    "one that has just expired": {"expires": NOW},
    "one that expired long ago": {"not_before": NOW - timedelta(days=30), "expires": NOW - timedelta(days=20)},
    "one of facts that nobody has": {"version_yaml": "0" * 40},
}


@pytest.mark.parametrize("case", LIFTS_NOTHING)
def test_a_waiver_lifts_nothing_but_what_it_says(court: World, case: str) -> None:
    said_of = dict(LIFTS_NOTHING[case])
    report = weighed(court, promoted(court, 5), on=waiver(court, said_of.pop("number", 5), **said_of), now=NOW)
    assert came(report)["floors/metrics"] == "fail"
    assert refused(report) == {"floors/metrics"}


def test_a_waiver_counts_from_its_first_moment_to_the_last_before_it_expires(court: World) -> None:
    lifts = waiver(court, 5)
    moments = (NOW - timedelta(days=5), NOW + timedelta(days=5, seconds=-1), NOW - timedelta(days=5, seconds=1), None)
    results = [came(weighed(court, promoted(court, 5), on=lifts, now=moment))["floors/metrics"] for moment in moments]
    assert results == ["waived", "waived", "fail", "fail"]


@pytest.mark.parametrize(("enforcement", "result"), [("soft", "waived"), ("hard", "fail"), ("advisory", "fail")])
def test_only_soft_rules_can_be_waived(court: World, enforcement: str, result: str) -> None:
    base = {
        **policy(rules={"never": "false"}, enforcement=enforcement),
        **waiver(court, 3, policy="x", rules=("never",)),
    }
    report = weighed(court, promoted(court, 3), on=base, now=NOW)
    assert came(report)["x/never"] == result
    assert ("x/never" in refused(report)) == (enforcement == "hard")


def test_a_waiver_lifts_no_fact_that_nobody_found_out(court: World) -> None:
    base = {
        **policy(rules={"eyes": "size(change.approvals) > 0"}, enforcement="soft"),
        **waiver(court, 3, policy="x", rules=("eyes",)),
    }
    report = weighed(court, promoted(court, 3), on=base, now=NOW, approvals=None)
    assert came(report)["x/eyes"] == "not-checked"
    assert "x/eyes" in refused(report)


def test_a_waiver_does_not_speak_for_a_stage(court: World) -> None:
    report = weighed(court, promoted(court, 5), on={**waiver(court, 5), RULES: None}, now=NOW)
    assert refused(report) == {"default-deny"}


def test_a_waiver_that_cannot_be_read_lifts_nothing_and_stops_nobody(court: World) -> None:
    (path,) = waiver(court, 5)
    content = (waiver(court, 5)[path] or b"").replace(b"reason", b"raison")  # type: ignore[union-attr, arg-type]
    assert came(weighed(court, promoted(court, 5), on={path: content}, now=NOW))["floors/metrics"] == "fail"
    assert refused(weighed(court, promoted(court, 3), on={path: content}, now=NOW)) == set()


def test_facts_that_change_in_the_same_change_are_not_those_that_were_waived(court: World) -> None:
    path = paths.version_path("fraud", 5)
    files = {**promoted(court, 5), path: court.read(path) + b"# x\n"}
    assert came(weighed(court, files, on=waiver(court, 5), now=NOW))["floors/metrics"] == "fail"


# ── the command that makes them


@pytest.fixture(scope="module")
def office(court: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry of its own in which waivers land."""
    return court.clone(tmp_path_factory.mktemp("office") / "world")


def test_a_waiver_is_made_by_a_command_and_lifts_from_then_on(office: World) -> None:
    assert refused_by(office, 5) == ["floors/metrics"]
    outcome = office.registry.waive("fraud@5", ["floors/metrics"], days=3, reason="Bob accepts it until the next one.")
    assert outcome
    (name,) = office.registry.snapshot.children("policies/waivers")
    assert name == "fraud-5-floors.yaml"
    parsed = office.registry.snapshot.parsed(f"policies/waivers/{name}", Waiver)
    assert parsed is not None
    made = parsed.document
    assert (made.expires - made.not_before, made.rules, made.reason) == (
        timedelta(days=3), ("metrics",), "Bob accepts it until the next one.",
    )  # fmt: skip
    assert refused_by(office, 5) == []
    assert office.registry.waive("fraud@5", ["floors/metrics"], reason="Once more.")
    assert sorted(office.registry.snapshot.children("policies/waivers")) == [
        "fraud-5-floors-2.yaml",
        "fraud-5-floors.yaml",
    ]


def refused_by(world: World, number: int) -> list[str]:
    return [finding.rule for finding in world.registry.promote("fraud", number, to="production", dry_run=True).refusals]


@pytest.mark.parametrize(
    ("rules", "given", "problem"),
    [
        (["floors/metrics"], {"reason": ""}, "a waiver needs a reason"),
        (["floors/metrics"], {"reason": "  "}, "a waiver needs a reason"),
        (["floors/metrics"], {"days": 31}, "a waiver lasts 1 to 30 days"),
        (["floors/metrics"], {"days": 0}, "a waiver lasts 1 to 30 days"),
        (["floors/metrics"], {"days": -1}, "a waiver lasts 1 to 30 days"),
        (["floors/known-task"], {}, "floors/known-task is hard: nothing lifts it"),
        (["floors/metrix"], {}, "floors has no rule 'metrix'"),
        (["flors/metrics"], {}, "no policy 'flors' in this registry"),
        (["floors"], {}, "floors has no rule ''"),
        ([], {}, "a waiver is for rules of one policy"),
        (["floors/metrics", "x/y"], {}, "no policy 'x' in this registry"),
    ],
)
def test_a_waiver_that_could_not_lift_anything_is_not_made(
    court: World, rules: list[str], given: dict[str, Any], problem: str
) -> None:
    tip = court.git("rev-parse", "main")
    with pytest.raises(RegistryError) as caught:
        court.registry.waive("fraud@5", rules, **{"reason": "x", **given})
    assert caught.value.message == problem
    assert caught.value.hint
    assert court.git("rev-parse", "main") == tip


@pytest.mark.parametrize("version", ["fraud@99", "froud@1", "fraud@nowhere"])
def test_a_version_that_is_not_there_cannot_be_waived(court: World, version: str) -> None:
    with pytest.raises(RegistryError):
        court.registry.waive(version, ["floors/metrics"], reason="x")
