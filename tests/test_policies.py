"""Policies of the base decide what may serve: which are about a version, what they come to, and that nothing else passes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builder import CREATED, FINISHED_CARD, World, together
from rules import MODEL, Files, came, card_of, measured, pinned, policy, promoted, proven, said, weighed

from gitops_registry import edits, paths
from gitops_registry.manifest.facts import Person, Version
from gitops_registry.manifest.figures import Group, Slice
from gitops_registry.pointer import pointer
from gitops_registry.policy.report import ADVICE, DECISION, Report
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

RULES = "policies/floors.yaml"
ACCESS = "policies/access.yaml"
LAW = "registry.yaml"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOTHING: Files = {RULES: None}


def on_main(world: World) -> Snapshot:
    return world.registry.place.snapshot("main")


def tagged(world: World, **tags: str) -> Files:
    """Return the edit that tags fraud."""
    return edits.describe_model(on_main(world), "fraud", tags=tags)


def refused(report: Report) -> set[str]:
    """Return the rules that refuse at a decision."""
    return {finding.rule for finding in report.refusals(DECISION)}


def message(report: Report, rule: str) -> str:
    return said(report, rule).message


# ── what a policy is about


@pytest.mark.parametrize(
    ("match", "is_about"),
    [
        ({}, True),
        ({"to": ["production"]}, True),
        ({"to": ["staging", "production"]}, True),
        ({"to": ["staging"]}, False),
        ({"models": ["fraud"]}, True),
        ({"models": ["fra*"]}, True),
        ({"models": ["FRAUD"]}, True),
        ({"models": ["credit-*", "*aud"]}, True),
        ({"models": ["credit-*"]}, False),
        ({"models": ["frau"]}, False),
        ({"tags": {"domain": "payments"}}, True),
        ({"tags": {"domain": "credit"}}, False),
        ({"tags": {"region": "eu"}}, False),
        ({"tags": {"domain": "payments", "region": "eu"}}, False),
        ({"events": ["alias_set"]}, False),
        ({"events": ["version_registered", "stage_transition"]}, True),
    ],
)
def test_a_policy_is_about_what_its_match_says(court: World, match: dict[str, Any], is_about: bool) -> None:
    base = {**tagged(court, domain="payments"), **policy(match=match)}
    report = weighed(
        court, edits.promote(on_main(court).with_edits(base), Reference("fraud", 3), "production"), on=base
    )
    assert ("x/holds" in came(report)) == is_about


@pytest.mark.parametrize(("there", "written", "is_about"), [(None, "payments", False), ("payments", None, True)])
def test_tags_written_in_the_same_change_do_not_count(
    court: World, there: str | None, written: str | None, is_about: bool
) -> None:
    match = {"to": ["production"], "tags": {"domain": "payments"}}
    base = {**policy(match=match, rules={"never": "false"}), **(tagged(court, domain=there) if there else {})}
    steps = together(
        lambda seen: edits.promote(seen, Reference("fraud", 3), "production"),
        lambda seen: edits.describe_model(seen, "fraud", tags={"domain": written}),
    )
    report = weighed(court, steps(on_main(court).with_edits(base)), on=base)
    assert ("x/never" in refused(report)) == is_about


def test_a_tag_that_only_the_change_writes_lets_no_policy_speak(court: World) -> None:
    lenient = {**policy(match={"to": ["production"], "tags": {"domain": "payments"}}), **NOTHING}
    both = edits.describe_model(on_main(court).with_edits(promoted(court, 5)), "fraud", tags={"domain": "payments"})
    assert "default-deny" in refused(weighed(court, both, on=lenient))


@pytest.mark.parametrize(
    ("alias", "aliases", "is_about"),
    [
        ("champion", [], True),
        ("champion", ["champion"], True),
        ("Champion", ["champion"], True),
        ("best", ["champion"], False),
    ],
)
def test_a_policy_about_an_alias_judges_who_gets_it(
    court: World, alias: str, aliases: list[str], is_about: bool
) -> None:
    base = policy(match={"events": ["alias_set"], "aliases": aliases}, rules={"never": "change.alias == 'nobody'"})
    report = weighed(court, edits.set_alias(on_main(court), Reference("fraud", 5), alias), on=base)
    assert came(report) == ({"x/never": "fail"} if is_about else {})
    assert ("x/never" in refused(report)) == is_about
    if is_about:
        assert said(report, "x/never").path == MODEL


@pytest.mark.parametrize("event", ["version_registered", "card_updated", "evaluation_added", "stage_transition"])
def test_a_policy_is_asked_at_its_event_and_at_no_other(court: World, event: str) -> None:
    pins = pinned(on_main(court))
    base = {**pins, **policy(match={"events": [event]}, rules={"never": "candidate.version < 0"})}
    before = on_main(court).with_edits(pins)
    happenings = {
        "version_registered": registered(court, "fraud"),
        "card_updated": card_of(court, before, 4, contact="risk-team@example.com"),
        "evaluation_added": measured(before, 4, accuracy=0.9),
        "stage_transition": edits.promote(before, Reference("fraud", 4), "staging"),
    }
    for happened, files in happenings.items():
        assert came(weighed(court, files, on=base)) == ({"x/never": "fail"} if happened == event else {}), happened


def by_side(left: float, right: float | None) -> tuple[Slice, ...]:
    """Return the accuracy of two groups, of the second none where it was not measured."""
    groups = [Group(value="left", rows=300, metrics={"accuracy": left})]
    groups.append(Group(value="right", rows=200, metrics={} if right is None else {"accuracy": right}))
    return (Slice(column="side", groups=tuple(groups)),)


@pytest.mark.parametrize(
    ("found", "result"),
    [
        ([by_side(0.95, 0.9)], "pass"),
        ([by_side(0.95, 0.7)], "fail"),
        ([by_side(0.95, 0.9), by_side(0.7, 0.9)], "fail"),
        ([by_side(0.95, None)], "error"),
        ([(by_side(0.95, 0.9)[0].model_copy(update={"column": "region"}),)], "error"),
        ([()], "error"),
        ([], "error"),
    ],
    ids=["good", "one is worse", "the worst of two counts", "not of all", "of another column", "of none", "nothing"],
)  # fmt: skip
def test_a_policy_judges_every_group_of_what_was_measured_and_one_that_is_missing_refuses(
    court: World, found: list[Any], result: str
) -> None:
    rule = "keys(candidate.measured_slices.side).all(g, candidate.measured_slices.side[g].accuracy >= 0.8)"
    base: dict[str, Any] = {**pinned(on_main(court)), **policy(rules={"no-group-left-behind": rule})}
    for slices in found:
        base |= measured(on_main(court).with_edits(base), 3, slices=slices, accuracy=0.93)
    report = weighed(court, promoted(court, 3, base=on_main(court).with_edits(base)), on=base)
    assert came(report)["x/no-group-left-behind"] == result
    assert ("x/no-group-left-behind" in refused(report)) == (result != "pass")


def test_groups_that_only_the_change_itself_brings_count_for_nothing(court: World) -> None:
    base = {**pinned(on_main(court)), **policy(rules={"measured": "'side' in candidate.measured_slices"})}
    own = measured(on_main(court).with_edits(base), 3, slices=by_side(0.95, 0.9), accuracy=0.93)
    report = weighed(court, {**promoted(court, 3, base=on_main(court).with_edits(base)), **own}, on=base)
    assert came(report)["x/measured"] == "fail"


def registered(world: World, name: str, *, stage: str = "", alias: str = "", **facts: Any) -> Files:
    """Return the edit that registers one more version whose bytes are there already, into a stage or with an alias."""
    before = on_main(world)
    artifact = before.known_version(Reference("fraud", 3)).artifacts[0]
    known: dict[str, Any] = {"task": "binary-classification", "metrics": {"accuracy": 0.95}, **facts}
    version = Version(created=CREATED, author=Person(name="Bob"), artifacts=(artifact,), **known)
    number = edits.next_number(before, name)
    written = dict(
        edits.register(before, name, version, card=FINISHED_CARD, files={"model.bin.dvc": pointer(artifact)})
    )
    after = before.with_edits(written)
    written[paths.rendered_card_path(name, number)] = world.registry.place.card(after, Reference(name, number))
    if stage:
        written |= edits.moved(after, name, {number: stage})
    if alias:
        written |= edits.set_alias(after.with_edits(written), Reference(name, number), alias)
    return written


def test_stages_and_aliases_that_a_new_model_starts_with_are_judged_like_promotions(court: World) -> None:
    rules = {"never": "candidate.name != 'loan'"}
    base = policy(match={"events": ["stage_transition", "alias_set"], "models": ["lo*"]}, rules=rules)
    report = weighed(
        court, registered(court, "loan", stage="production", alias="champion", metrics={"accuracy": 0.5}), on=base
    )
    assert {(verdict.stage, verdict.rule): verdict.result for verdict in report.verdicts} == {
        ("production", "never"): "fail",
        ("champion", "never"): "fail",
        ("production", "metrics"): "fail",
        ("production", "known-task"): "pass",
    }
    assert {"x/never", "floors/metrics"} <= refused(report)


def test_a_policy_for_a_tag_judges_a_new_model_whose_tags_nobody_knows_and_does_not_speak_for_it(court: World) -> None:
    base = {
        **NOTHING,
        **policy(
            match={"to": ["production"], "tags": {"domain": "credit"}},
            rules={"good": "candidate.metrics.accuracy > 0.9"},
        ),
    }
    report = weighed(court, registered(court, "loan", stage="production"), on=base)
    assert came(report) == {"x/good": "pass"}
    assert "default-deny" in refused(report)
    report = weighed(court, registered(court, "loan", stage="production", metrics={"accuracy": 0.1}), on=base)
    assert came(report) == {"x/good": "fail"}


# ── conditions


@pytest.mark.parametrize(
    ("text", "is_about"),
    [
        ("model.name == 'fraud'", True), ("size(model.versions) > 100", False), ("change.to == 'production'", True),
        ("change.from == 'development'", False), ("params.on", True), ("registry.approvals == 0", True), ("now > timestamp('2030-01-01T00:00:00Z')", False),
        ("model.title == ''", True), ("model.stages.production == [2]", True),
    ],
)  # fmt: skip
def test_a_condition_looks_at_the_base(court: World, text: str, is_about: bool) -> None:
    base = policy(match_conditions=[{"name": "c", "expression": text}], params={"on": True})
    after = on_main(court).with_edits(promoted(court, 3))
    files = edits.describe_model(after, "fraud", tags={}, title="A title of this change")
    assert ("x/holds" in came(weighed(court, files, on=base))) == is_about


@pytest.mark.parametrize("text", ["model.tags.domain == 'credit'", "model.stages.nowhere == []", "params.word"])
def test_a_condition_that_cannot_be_worked_out_makes_the_policy_apply_and_not_speak(court: World, text: str) -> None:
    base = {**NOTHING, **policy(match_conditions=[{"name": "c", "expression": text}], params={"word": "true"})}
    report = weighed(court, promoted(court, 3), on=base)
    assert came(report) == {"x/holds": "pass"}
    assert refused(report) == {"default-deny"}


# ── a stage that serves takes nothing that no policy speaks for

UNSPOKEN: dict[str, Files] = {
    "no policy at all": {},
    "only an advisory one": policy(enforcement="advisory"),
    "only one for another stage": policy(match={"to": ["staging"]}),
    "only one for other models": policy(match={"models": ["credit-*"]}),
    "only one for a tag it has not": policy(match={"tags": {"domain": "credit"}}),
    "only one for another event": policy(match={"events": ["alias_set", "version_registered", "card_updated"]}),
    "only one whose condition is false": policy(
        match_conditions=[{"name": "c", "expression": "size(model.versions) > 100"}]
    ),
    "only one whose condition is an error": policy(
        match_conditions=[{"name": "c", "expression": "model.tags.domain == 'x'"}]
    ),
}


@pytest.mark.parametrize("case", UNSPOKEN)
def test_a_stage_that_serves_takes_nothing_that_no_policy_speaks_for(court: World, case: str) -> None:
    report = weighed(court, promoted(court, 3), on={**NOTHING, **UNSPOKEN[case]})
    assert refused(report) == {"default-deny"}
    finding = said(report, "default-deny")
    assert finding.message.startswith("no policy speaks for production, so it is refused")
    assert "policy new production-quality --to production" in finding.hint
    assert (finding.path, finding.model, finding.version) == (MODEL, "fraud", 3)
    assert ("x only advises" in finding.message) == (case == "only an advisory one")
    assert weighed(court, promoted(court, 4, "staging"), on={**NOTHING, **UNSPOKEN[case]}).refusals(DECISION) == ()


def test_a_policy_that_the_same_change_brings_does_not_speak_yet(court: World) -> None:
    report = weighed(court, {**promoted(court, 3), **proven("mine")}, on=NOTHING)
    assert "default-deny" in refused(report)
    assert [f.path for f in report.findings if f.rule == "governance"] == ["policies/mine.yaml"]


def test_a_policy_that_the_same_change_deletes_still_judges(court: World) -> None:
    report = weighed(court, {**promoted(court, 5), RULES: None})
    assert came(report)["floors/metrics"] == "fail"
    assert "floors/metrics" in refused(report)
    assert [f.path for f in report.findings if f.rule == "governance"] == [RULES]
    good = weighed(court, {**promoted(court, 3), RULES: None})
    assert refused(good) == set()
    after_that = weighed(court, promoted(court, 3), on={RULES: None})
    assert refused(after_that) == {"default-deny"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"kind: Policy\nname: [\n", "policies/x.yaml may be about it and cannot be read: is not YAML"),
        (b"kind: Policy\nschema_version: 9\nname: x\n", "policies/x.yaml may be about it and cannot be read: schema_version must be 1"),
        (policy(rules={"a": "candidate.metrixs.f1 > 1"})["policies/x.yaml"], "x is about it and cannot be worked out: validations a: candidate has no 'metrixs'"),
        (policy(rules={"a": "1 +"})["policies/x.yaml"], "x is about it and cannot be worked out: validations a: "),
        (policy(rules={"a": "'true'"})["policies/x.yaml"], "x is about it and cannot be worked out: validations a: is of type string"),
        (policy(rules={"a": "candidate.unheard('x')"})["policies/x.yaml"], "x is about it and cannot be worked out: validations a: "),
        (policy("another")["policies/another.yaml"], "x is about it and cannot be worked out: name 'another' is not its file's"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", [{}, NOTHING], ids=["beside another", "alone"])
def test_a_policy_of_the_base_that_does_not_work_lets_nothing_pass(
    court: World, beside: Files, content: bytes, told: str
) -> None:
    report = weighed(court, promoted(court, 3), on={**beside, "policies/x.yaml": content})
    finding = said(report, "policies")
    assert finding.result == "error"
    assert finding.message.startswith(told)
    assert (finding.path, finding.line > 0) == ("policies/x.yaml", True)
    assert refused(report) == ({"policies", "default-deny"} if beside else {"policies"})


def test_in_a_shallow_clone_what_history_would_tell_is_not_checked_and_refused_at_a_decision(
    court: World, tmp_path: Path
) -> None:
    shallow = court.clone(tmp_path / "shallow", "--depth", "1")
    report = shallow.registry.check(base="HEAD", head=shallow.branch(promoted(court, 3), base="HEAD"))
    assert came(report) == {"floors/known-task": "not-checked", "floors/metrics": "not-checked"}
    assert report.refusals(ADVICE) == ()
    assert refused(report) >= {"floors/known-task", "floors/metrics"}
    assert "nobody read who held the stage before (git fetch --unshallow)" in message(report, "floors/metrics")


# ── nothing that went wrong passes


ERRORS = [
    ("candidate.measured.f1 > 0.5", "candidate.measured has no 'f1'"),
    ("candidate.measured['f1'] > 0.5", "candidate.measured has no 'f1'"),
    ("candidate.measured[params.name] > 0.5", "candidate.measured has no 'f1'"),
    ("!(candidate.measured.f1 < 0.5)", "candidate.measured has no 'f1'"),
    ("candidate.training.data_sha256 == ''", "candidate.training is null"),
    ("candidate.release > '1.0.0'", "candidate.release is null"),
    ("candidate.measured_rows > 100", "candidate.measured_rows is null"),
    ("candidate.formats[7] == 'onnx'", "Index error"),
    ("1 / (candidate.version - 3) == 1", "divide by zero"),
    ("candidate.params.flag", "candidate.params has no 'flag'"),
    ("params.word", "is of type string, not true or false"),
    ("params.number", "is of type int, not true or false"),
    ("params.nothing", "is of type null, not true or false"),
    ("variables.broken > 0.5", "candidate.measured has no 'f1'"),
    ("variables.outer == 1", "candidate.measured has no 'f1'"),
    ("timestamp(params.word) < now", "String to Timestamp conversion failed"),
    ("model.versions.all(a, model.versions.all(b, model.versions.all(c, model.versions.all(d, model.versions.all(e, a + b + c + d + e > 0)))))",
     "goes through more than 10,000 items"),


]  # fmt: skip


@pytest.fixture(scope="module")
def broken(court: World) -> Report:
    """What is said of a promotion under one rule for each error, and one that passes."""
    base = policy(
        rules={**{f"r{at}": text for at, (text, _) in enumerate(ERRORS)}, "fine": "true"},
        params={"name": "f1", "word": "yes", "number": 1, "nothing": None},
        variables=[
            {"name": "broken", "expression": "candidate.measured.f1"},
            {"name": "outer", "expression": "variables.broken > 0.5 ? 1 : 2"},
        ],
    )
    return weighed(court, promoted(court, 3), on=base)


@pytest.mark.parametrize("at", range(len(ERRORS)), ids=[text[:40] for text, _ in ERRORS])
def test_a_rule_that_cannot_be_worked_out_does_not_pass(broken: Report, at: int) -> None:
    assert came(broken)[f"x/r{at}"] == "error"
    assert f"x/r{at}" in refused(broken)
    assert message(broken, f"x/r{at}").startswith("cannot be worked out: ")
    assert ERRORS[at][1] in message(broken, f"x/r{at}")


def test_rules_beside_one_that_cannot_be_worked_out_get_their_answers(broken: Report) -> None:
    assert {rule for rule, result in came(broken).items() if result != "error"} == {
        "floors/known-task",
        "floors/metrics",
        "x/fine",
    }


@pytest.mark.parametrize(
    ("text", "fact", "told"),
    [
        ("change.approvals.exists(a, a.role == 'admin')", "approvals", "nobody verified any approvals"),
        ("change.actor.role == 'admin'", "actor", "nobody verified who decides"),
        ("champion == null || true", "history", "nobody read who held the stage before"),
        ("change.is_rollback || true", "history", "nobody read who held the stage before"),
        ("now > candidate.created || true", "now", "nobody said what time it is"),
        ("size(variables.who) > 0 || true", "approvals", "nobody verified any approvals"),
        ("size(change) > 0", "approvals", "nobody verified"),
    ],
)
def test_a_fact_that_nobody_found_out_is_not_checked_and_refused_at_a_decision(
    court: World, text: str, fact: str, told: str
) -> None:
    rules = [{"id": kind, "expression": text, "enforcement": kind} for kind in ("hard", "soft", "advisory")]
    base = policy(validations=rules, variables=[{"name": "who", "expression": "change.approvals.map(a, a.name)"}])
    report = weighed(court, promoted(court, 3), on=base, **{fact: None})
    for kind in ("hard", "soft", "advisory"):
        finding = said(report, f"x/{kind}")
        assert came(report)[f"x/{kind}"] == "not-checked"
        assert told in finding.message
        assert (finding.result, finding.fact) == (
            ("warning", None) if kind == "advisory" else ("not-checked", "policies")
        )
    assert refused(report) >= {"x/hard", "x/soft"}
    assert "x/advisory" not in refused(report)
    assert report.refusals(ADVICE) == ()


def test_facts_that_were_found_out_are_judged(court: World) -> None:
    members = "kind: Access\nschema_version: 1\nmembers:\n- {name: ann, role: admin}\n- {name: bot, role: admin, kind: service}\n"
    rules = {
        "eyes": "change.approvals.exists(a, a.kind == 'person' && a.role == 'admin')",
        "who": "change.actor.name == 'ann'",
    }
    base = {ACCESS: members.encode(), **policy(rules=rules)}
    given: Mapping[tuple[str, ...], str] = {
        ("ann",): "pass",
        ("bot",): "fail",
        ("mallory",): "fail",
        ("bot", "ann"): "pass",
        (): "fail",
    }
    for approvals, result in given.items():
        report = weighed(court, promoted(court, 3), on=base, approvals=approvals, actor="ann")
        assert (came(report)["x/eyes"], came(report)["x/who"]) == (result, "pass")
        assert ("x/eyes" in refused(report)) == (result == "fail")


def test_an_advisory_rule_warns_and_a_message_says_why(court: World) -> None:
    base = policy(
        enforcement="advisory",
        validations=[
            {"id": "said", "expression": "candidate.version > 5", "enforcement": "advisory", "hint": "NAME@VERSION to STAGE after CHAMPION",
             "message_expression": "'version ' + string(candidate.version) + ' is early'"},
            {"id": "plain", "expression": "candidate.version > 5", "enforcement": "advisory", "message": "it is early"},
            {"id": "silent", "expression": "candidate.version  >  5", "enforcement": "advisory"},
            {"id": "broken", "expression": "candidate.version > 5", "enforcement": "advisory", "message_expression": "candidate.measured.f1 + ''"},
            {"id": "error", "expression": "candidate.measured.f1 > 1", "enforcement": "advisory"},
        ],
    )  # fmt: skip
    report = weighed(court, promoted(court, 3), on=base)
    assert refused(report) == set()
    found = {f.rule.removeprefix("x/"): (f.result, f.message) for f in report.findings}
    assert found == {
        "said": ("warning", "version 3 is early"),
        "plain": ("warning", "it is early"),
        "silent": ("warning", "candidate.version > 5 is false"),
        "broken": ("warning", "candidate.version > 5 is false"),
        "error": ("warning", "cannot be worked out: candidate.measured has no 'f1'"),
    }
    assert said(report, "x/said").hint == "fraud@3 to production after 2"


# ── the champion


def test_the_champion_is_the_last_holder_in_history_also_when_it_was_archived_first(court: World) -> None:
    base = policy(
        rules={"two": "champion.version == 2 && champion.name == 'fraud'", "back": "champion.stage == params.stage"},
        params={"stage": "production"},
    )
    assert came(weighed(court, promoted(court, 3), on=base))["x/two"] == "pass"
    archived = court.branch(edits.moved(on_main(court), "fraud", {2: "archived"}))
    before = court.registry.place.snapshot(archived)
    base = policy(
        rules={"two": "champion.version == 2", "back": "champion.stage == params.stage"}, params={"stage": "archived"}
    )
    report = weighed(court, promoted(court, 3, base=before), on=base, base=archived)
    assert {rule: result for rule, result in came(report).items() if rule.startswith("x/")} == {
        "x/two": "pass",
        "x/back": "pass",
    }
    (move,) = report.moves
    assert (move.holders, move.champion) == ((), 2)


def test_archiving_the_champion_in_the_same_change_changes_nothing(court: World) -> None:
    both = together(
        lambda s: edits.moved(s, "fraud", {2: "archived"}),
        lambda s: edits.promote(s, Reference("fraud", 3), "production"),
    )
    report = weighed(court, both(on_main(court)), on=policy(rules={"two": "champion.version == 2"}))
    assert came(report)["x/two"] == "pass"


def test_where_nobody_held_the_stage_there_is_no_champion(court: World) -> None:
    base = policy(
        match={"to": ["staging"]}, rules={"none": "champion == null", "worse": "champion.measured.accuracy < 1.0"}
    )
    report = weighed(court, edits.promote(on_main(court), Reference("churn", 1), "staging"), on=base)
    assert came(report) == {"x/none": "pass", "x/worse": "error"}
    assert message(report, "x/worse") == "cannot be worked out: champion is null"


def test_the_champions_metrics_are_compared_with_the_candidates(court: World) -> None:
    drop = "champion == null ? 0.0 : champion.measured.accuracy - candidate.measured.accuracy"
    base = {
        **NOTHING,
        **policy(rules={"no-regression": "variables.drop <= 0.01"}, variables=[{"name": "drop", "expression": drop}]),
    }
    assert came(weighed(court, promoted(court, 3), on=base)) == {"x/no-regression": "pass"}
    assert came(weighed(court, promoted(court, 5), on=base)) == {"x/no-regression": "fail"}
