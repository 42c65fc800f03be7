"""Ways round a policy that somebody found, each closed: what may be written by many must not decide, nor what is gone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from builder import FINISHED_CARD, World, errors
from rules import NOW, Files, came, measured, pinned, policy, promoted, said, weighed

from gitops_registry import edits, governing, paths
from gitops_registry.manifest.facts import Evaluation, EvaluationData, Person
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.writing import dump
from gitops_registry.policy.report import DECISION, Report
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content, Snapshot

LAW = "registry.yaml"
NO_WORSE = "champion == null || champion.measured.accuracy - candidate.measured.accuracy <= 0.01"
BETTER = policy(rules={"better": NO_WORSE})


def refused(report: Report) -> set[str]:
    return {finding.rule for finding in report.refusals(DECISION)}


def on_main(world: World) -> Snapshot:
    return world.registry.place.snapshot("main")


def ruled(world: World, **changed: object) -> dict[str, Content | None]:
    """Return another constitution."""
    return {LAW: dump(on_main(world).constitution.model_copy(update=changed), LAW)}


def after(world: World, *more: Files) -> tuple[Snapshot, dict[str, Content | None]]:
    """Return main with edits on top of each other, and the edits."""
    seen = on_main(world)
    for files in more:
        seen = seen.with_edits(files)
    return seen, {path: content for files in more for path, content in files.items()}


# ── measurements, which anybody may record who may write


def test_a_bad_measurement_of_the_champion_does_not_lower_the_bar(court: World) -> None:
    seen, there = after(court, pinned(on_main(court)))
    there |= {**measured(seen, 2, accuracy=0.99), **measured(seen, 3, accuracy=0.91), **BETTER}
    assert came(weighed(court, promoted(court, 3, base=seen), on=there))["x/better"] == "fail"
    low = Evaluation(
        created=NOW - timedelta(days=1), author=Person(name="Mallory"), metrics={"accuracy": 0.1},
        dataset=EvaluationData(target="label", sha256=_pin(seen), rows=500),
    )  # fmt: skip
    there |= edits.add_evaluation(seen, Reference("fraud", 2), low)
    assert came(weighed(court, promoted(court, 3, base=seen), on=there))["x/better"] == "fail"


def _pin(seen: Snapshot) -> str:
    data = seen.known_model("fraud").evaluation
    assert data is not None
    return data.sha256


def test_a_good_measurement_of_the_candidate_hides_no_bad_one(court: World) -> None:
    seen, there = after(court, pinned(on_main(court)))
    there |= {**measured(seen, 3, accuracy=0.5), **policy(rules={"floor": "candidate.measured.accuracy > 0.9"})}
    there |= _second(seen, accuracy=0.99)
    assert came(weighed(court, promoted(court, 3, base=seen), on=there))["x/floor"] == "fail"


def _second(seen: Snapshot, *, days: int = 1, **metrics: float) -> Files:
    found = Evaluation(
        created=NOW - timedelta(days=days), author=Person(name="Mallory"), metrics=metrics,
        dataset=EvaluationData(target="label", sha256=_pin(seen), rows=500),
    )  # fmt: skip
    return edits.add_evaluation(seen, Reference("fraud", 3), found)


@pytest.mark.parametrize(("metric", "result"), [("wer", "fail"), ("false_negative_rate", "fail"), ("zeal", "error")])
def test_of_two_measurements_the_worse_counts_and_neither_where_nobody_knows_which_that_is(
    court: World, metric: str, result: str
) -> None:
    seen, there = after(court, pinned(on_main(court)))
    there |= {**measured(seen, 3, **{metric: 0.5}), **policy(rules={"low": f"candidate.measured.{metric} <= 0.1"})}
    there |= _second(seen, **{metric: 0.01})
    assert came(weighed(court, promoted(court, 3, base=seen), on=there))["x/low"] == result


def test_a_measurement_from_the_future_counts_for_nothing(court: World) -> None:
    seen, there = after(court, pinned(on_main(court)))
    there |= {**_second(seen, days=-2, accuracy=0.99), **policy(rules={"floor": "candidate.measured.accuracy > 0.9"})}
    assert came(weighed(court, promoted(court, 3, base=seen), on=there))["x/floor"] == "error"
    assert (
        came(weighed(court, promoted(court, 3, base=seen), on=there, now=NOW + timedelta(days=3)))["x/floor"] == "pass"
    )


# ── the champion


def test_a_champion_that_was_deleted_is_still_who_held_the_stage_last(tmp_path: Path, template: Path) -> None:
    world = World(tmp_path / "world", template=template)
    world.model("fraud").version(metrics={"accuracy": 0.99}).version(metrics={"accuracy": 0.91}).in_stage(
        "production", 1
    ).in_stage("staging", 2).commit()
    world.commit(BETTER, "no worse")
    assert world.registry.archive("fraud", 1, direct=True)
    assert world.registry.delete("fraud", 1)
    outcome = world.registry.promote("fraud", 2, to="production", dry_run=True)
    assert [finding.rule for finding in outcome.refusals] == ["x/better"]
    (move,) = outcome.report.moves
    assert (move.champion, [row.left for row in move.rows if row.name == "accuracy"]) == (1, [0.99])


def test_the_champion_of_an_alias_is_what_it_named_before(court: World) -> None:
    rules = policy(
        match={"events": ["alias_set"], "aliases": ["best"]}, rules={"better": NO_WORSE.replace("measured", "metrics")}
    )
    moved = edits.set_alias(on_main(court), Reference("fraud", 5), "best")
    assert came(weighed(court, moved, on=rules))["x/better"] == "fail"
    new = edits.set_alias(on_main(court), Reference("fraud", 5), "other")
    any_alias = policy(match={"events": ["alias_set"]}, rules={"none": "champion == null"})
    assert came(weighed(court, new, on=any_alias))["x/none"] == "pass"


# ── stages


def test_words_are_asked_for_also_where_the_stage_that_serves_is_the_last_one(court: World) -> None:
    stages = sorted(on_main(court).constitution.stages, key=lambda stage: stage.name == "production")
    report = weighed(court, promoted(court, 8), on=ruled(court, stages=tuple(stages)))
    assert "cards" in refused(report)


def test_a_stage_that_begins_to_serve_is_judged_with_what_it_holds(court: World) -> None:
    stages = on_main(court).constitution.stages
    opened = ruled(
        court, stages=tuple(s.model_copy(update={"serving": s.serving or s.name == "staging"}) for s in stages)
    )
    rules = policy(match={"to": ["staging"]}, rules={"floor": "candidate.measured.accuracy > 0.9"})
    report = weighed(court, opened, on=rules)
    found = {(verdict.version, verdict.result) for verdict in report.verdicts if verdict.policy == "x"}
    assert {(3, "pass"), (5, "fail"), (7, "error")} <= found
    assert "default-deny" in refused(weighed(court, opened))


def test_who_was_there_before_the_stage_served_does_not_come_back_unasked(tmp_path: Path, template: Path) -> None:
    world = World(tmp_path / "world", template=template)
    law, stages = world.read(LAW), on_main(world).constitution.stages
    closed = tuple(stage.model_copy(update={"serving": False}) for stage in stages)
    world.commit(ruled(world, stages=closed), "nobody is served")
    world.model("fraud").version(metrics={"accuracy": 0.1}).version().in_stage("production", 1).commit()
    world.commit(edits.moved(on_main(world), "fraud", {1: "archived", 2: "production"}), "serve 2")
    world.commit({LAW: law}, "customers come")
    assert "floors/metrics" in errors(world.judged(edits.promote(on_main(world), Reference("fraud", 1), "production")))


def test_a_rerun_is_about_the_stage_whatever_touched_the_version(court: World) -> None:
    rules = policy(
        match_conditions=[{"name": "a-move", "expression": "change.kind == 'stage_transition'"}],
        rules={"card": "size(candidate.card.limitations) > 5"},
    )
    reference = Reference("fraud", 2)
    empty = {paths.card_path(*reference): _dumped(FINISHED_CARD.model_copy(update={"limitations": "x"}))}
    assert came(weighed(court, empty, on=rules))["x/card"] == "fail"


def _dumped(card: Card) -> bytes:
    return dump(card, paths.card_path("fraud", 2))


@pytest.mark.parametrize("event", ["alias_set", "version_registered", "card_updated"])
def test_a_policy_that_cannot_be_read_may_be_about_any_event(court: World, event: str) -> None:
    broken: Files = {"policies/x.yaml": b"kind: Policy\nschema_version: 9\nname: x\n"}
    changes: dict[str, Files] = {
        "alias_set": edits.set_alias(on_main(court), Reference("fraud", 4), "best"),
        "version_registered": {
            paths.version_path("fraud", 9): court.read(paths.version_path("fraud", 4)),
            **{f"models/fraud/versions/9/{name}": court.read(f"models/fraud/versions/4/{name}") for name in ("model.bin.dvc", "card.yaml")},
        },
        "card_updated": {paths.card_path("fraud", 4): _dumped(FINISHED_CARD.model_copy(update={"contact": "alice"}))},
    }  # fmt: skip
    assert "policies" in refused(weighed(court, changes[event], on=broken))
    archived = edits.moved(on_main(court), "fraud", {3: "archived"})
    assert "policies" not in refused(weighed(court, archived, on=broken))


# ── what is told


def test_explain_refuses_what_nothing_speaks_for_as_check_does(tmp_path: Path, template: Path) -> None:
    world = World(tmp_path / "world", template=template)
    world.model("fraud").version().in_stage("staging").commit()
    world.commit({"policies/floors.yaml": None}, "ask nothing")
    found = governing.explain(world.registry.place, "fraud", 1, "production")
    assert (found.is_closed, found.refusals) == (True, 1)
    done = world.cli("policy", "explain", "fraud@1", "--to", "production", check=1)
    assert "default-deny: no policy that can refuse speaks for production" in done.stdout
    world.commit(policy(rules={"titled": "true || model.title == ''"}, enforcement="advisory"), "advise")
    assert governing.explain(world.registry.place, "fraud", 1, "production").is_closed


def test_a_policy_for_a_stage_that_is_none_is_said_to_refuse_nothing(tmp_path: Path, template: Path) -> None:
    world = World(tmp_path / "world", template=template)
    (path, content), *_ = policy(match={"to": ["Production"]}).items()
    assert isinstance(content, bytes)
    assert "is no stage of registry.yaml" in said(world.judged({path: content}), "policies").message
    (world.root / path).write_bytes(content)
    assert any(
        "is no stage of registry.yaml" in one.message for one in governing.tested(world.registry.place, ("x",)).findings
    )


@pytest.mark.parametrize("match", [{"events": ["alias_set"], "to": ["production"]}, {"aliases": ["champion"]}])
def test_a_match_that_no_event_reads_is_refused(court: World, match: dict[str, object]) -> None:
    assert "schema" in errors(weighed(court, policy(match=match)))
