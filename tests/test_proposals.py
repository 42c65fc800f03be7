"""A proposal waits as a branch, is judged as it would land on the present tip, and lands as one merge commit."""

from __future__ import annotations

from pathlib import Path

import pytest
from builder import World, errors, git

from gitops_registry import edits, proposals
from gitops_registry.changes import meaning
from gitops_registry.errors import Conflict, NotFound, RegistryError
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry

MODEL = "models/fraud/model.yaml"


@pytest.fixture
def fraud(world: World) -> World:
    """1 serves, 2 and 3 wait in staging, 4 is weak and waits, 5 is new."""
    model = world.model("fraud").version().version().version().version(metrics={"accuracy": 0.5}).version()
    return model.in_stage("production", 1).in_stage("staging", 2, 3, 4).commit()


def test_a_proposal_moves_nothing_but_its_branch(fraud: World) -> None:
    tip = fraud.git("rev-parse", "main")
    outcome = fraud.registry.promote("fraud", 2, to="production", reason="Best so far.")
    assert outcome.proposal == "promote/fraud/2/production"
    assert outcome.commit == fraud.git("rev-parse", outcome.proposal).strip()
    assert fraud.git("rev-parse", "main") == tip
    assert (
        fraud.git("log", "-1", "--format=%B", outcome.proposal).strip()
        == "promote fraud 2 to production\n\nBest so far."
    )
    assert fraud.git("status", "--porcelain") == ""
    assert [(found.branch, found.problem) for found in fraud.registry.proposals()] == [(outcome.proposal, "")]


def test_a_merge_is_one_commit_of_the_tip_and_the_proposal_and_ends_the_branch(fraud: World) -> None:
    tip = fraud.git("rev-parse", "main").strip()
    proposed = fraud.registry.promote("fraud", 2, to="production")
    merged = fraud.registry.merge("promote/fraud/2/production", reason="Agreed.")
    assert fraud.git("rev-list", "--parents", "-1", "main").split() == [merged.commit, tip, proposed.commit]
    assert meaning(merged.changes) == meaning(proposed.changes)
    assert fraud.git("branch", "--list", "promote/*") == ""
    assert "Proposal: promote/fraud/2/production" in fraud.git("log", "-1", "--format=%B", "main")
    assert fraud.git("status", "--porcelain") == ""
    assert b"production: [2]" in (fraud.root / MODEL).read_bytes()


def test_a_dry_run_shows_the_plan_and_writes_nothing(fraud: World) -> None:
    refs = fraud.git("for-each-ref")
    outcome = fraud.registry.promote("fraud", 2, to="production", dry_run=True)
    assert (outcome.commit, len(outcome.changes)) == (None, 2)
    assert fraud.git("for-each-ref") == refs
    fraud.registry.promote("fraud", 2, to="production")
    refs = fraud.git("for-each-ref")
    outcome = fraud.registry.merge("promote/fraud/2/production", dry_run=True)
    assert (outcome.commit, len(outcome.changes)) == (None, 2)
    assert fraud.git("for-each-ref") == refs


def test_a_refused_proposal_is_not_written_unless_it_is_a_draft_and_never_lands(fraud: World) -> None:
    outcome = fraud.registry.promote("fraud", 4, to="production")
    assert outcome.is_refused
    assert outcome.commit is None
    draft = fraud.registry.promote("fraud", 4, to="production", draft=True)
    assert draft.is_refused
    assert draft.commit is not None
    tip = fraud.git("rev-parse", "main")
    merged = fraud.registry.merge("promote/fraud/4/production")
    assert errors(merged.report) == {"floors/metrics"}
    assert merged.commit is None
    assert fraud.git("rev-parse", "main") == tip
    assert fraud.git("branch", "--list", "promote/*").split() == ["promote/fraud/4/production"]


def test_the_same_proposal_twice_is_a_conflict(fraud: World) -> None:
    fraud.registry.promote("fraud", 2, to="production")
    with pytest.raises(Conflict, match="is open already") as caught:
        fraud.registry.promote("fraud", 2, to="production")
    assert "proposals show promote/fraud/2/production" in caught.value.hint


def test_a_proposal_that_lost_the_race_says_so_and_stays(fraud: World) -> None:
    fraud.registry.promote("fraud", 2, to="production")
    fraud.registry.promote("fraud", 3, to="production")
    fraud.registry.merge("promote/fraud/2/production")
    tip = fraud.git("rev-parse", "main")
    (waiting,) = fraud.registry.proposals()
    assert "production holds 2 since" in waiting.problem
    with pytest.raises(Conflict, match="production holds 2 since"):
        fraud.registry.merge("promote/fraud/3/production")
    assert fraud.git("rev-parse", "main") == tip


def test_a_proposal_is_judged_by_the_rules_that_hold_when_it_lands(fraud: World) -> None:
    fraud.registry.promote("fraud", 2, to="production")
    law = fraud.read("policies/floors.yaml").replace(b"accuracy: 0.9}", b"accuracy: 0.99}")
    fraud.commit({"policies/floors.yaml": law}, "raise the floor")
    assert errors(fraud.registry.merge("promote/fraud/2/production").report) == {"floors/metrics"}


def test_a_proposal_whose_card_was_emptied_meanwhile_does_not_land(fraud: World) -> None:
    fraud.registry.promote("fraud", 2, to="production")
    card = b"kind: ModelCard\nschema_version: 1\ndescription: TODO\n"
    fraud.registry.update_card("fraud@2", card, direct=True)
    assert "cards" in errors(fraud.registry.merge("promote/fraud/2/production").report)


def test_an_approval_that_nobody_gave_stops_a_merge_and_not_a_proposal(fraud: World) -> None:
    law = fraud.read("registry.yaml").replace(b"approvals: 0", b"approvals: 1")
    fraud.commit({"registry.yaml": law}, "ask for an approval")
    assert fraud.registry.promote("fraud", 2, to="production").commit is not None
    merged = fraud.registry.merge("promote/fraud/2/production")
    assert [(finding.rule, finding.result) for finding in merged.refusals] == [("approvals", "error")]


def test_a_proposal_that_landed_cannot_land_again(fraud: World) -> None:
    proposed = fraud.registry.promote("fraud", 2, to="production")
    fraud.registry.merge("promote/fraud/2/production")
    assert proposed.commit is not None
    fraud.git("branch", "promote/fraud/2/production", proposed.commit)
    with pytest.raises(Conflict, match="has landed already"):
        fraud.registry.merge("promote/fraud/2/production")


def test_a_proposal_that_changes_nothing_is_refused(fraud: World) -> None:
    fraud.git("branch", "promote/empty")
    fraud.commit({}, "nothing", branch="promote/empty")
    with pytest.raises(Conflict, match="changes nothing any more"):
        fraud.registry.merge("promote/empty")


def test_an_unknown_proposal_is_told_with_those_that_are_open(fraud: World) -> None:
    fraud.registry.archive("fraud", 5)
    with pytest.raises(NotFound, match="no proposal 'promote/x' here") as caught:
        fraud.registry.merge("promote/x")
    assert caught.value.hint == "open: archive/fraud/5"


def test_a_proposal_can_be_closed_and_nothing_else_can(fraud: World) -> None:
    commit = fraud.registry.archive("fraud", 5).commit
    place = fraud.registry.place
    assert proposals.close(place, "archive/fraud/5", dry_run=True) == commit
    assert proposals.close(place, "archive/fraud/5") == commit
    assert list(fraud.registry.proposals()) == []
    with pytest.raises(RegistryError, match="is no proposal of this repository"):
        proposals.close(place, "main")


def test_a_proposal_that_is_checked_out_is_kept(fraud: World) -> None:
    fraud.registry.archive("fraud", 5)
    fraud.git("switch", "--quiet", "archive/fraud/5")
    with pytest.raises(RegistryError, match="is checked out"):
        proposals.close(fraud.registry.place, "archive/fraud/5")
    fraud.git("switch", "--quiet", "main")
    fraud.registry.merge("archive/fraud/5")
    assert fraud.git("branch", "--list", "archive/*") == ""


def test_a_manifest_broken_on_a_branch_is_told_with_its_position_and_never_lands(fraud: World) -> None:
    fraud.git("branch", "promote/broken")
    fraud.commit({MODEL: b"kind: Model\nname: [\n"}, "break", branch="promote/broken")
    outcome = fraud.registry.merge("promote/broken")
    assert {finding.rule for finding in outcome.refusals} == {"schema"}
    model = fraud.registry.snapshot.known_model("fraud").model_copy(update={"title": "Fraud"})
    fraud.commit(edits.rewritten(fraud.registry.snapshot, model), "entitle")
    (found,) = fraud.registry.proposals()
    assert found.problem.startswith(f"{MODEL}:")


def test_a_bare_repository_takes_the_same_proposals(fraud: World, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", fraud.root.as_uri(), "bare.git")
    registry = Registry.open(tmp_path / "bare.git")
    registry.promote("fraud", 2, to="production")
    registry.promote("fraud", 5, to="staging")
    for branch in ("promote/fraud/5/staging", "promote/fraud/2/production"):
        assert registry.merge(branch).commit is not None
    assert registry.resolve("fraud@production") == Reference("fraud", 2)
    assert errors(registry.check()) == set()


def test_an_older_proposal_takes_nothing_back_that_was_decided_since(fraud: World) -> None:
    fraud.registry.promote("fraud", 5, to="staging")
    fraud.registry.promote("fraud", 2, to="production", direct=True)
    fraud.model("churn").version().commit()
    merged = fraud.registry.merge("promote/fraud/5/staging")
    assert [str(change) for change in merged.changes] == ["fraud: version 5 development → staging"]
    assert fraud.registry.resolve("fraud@production") == Reference("fraud", 2)
    assert fraud.registry.resolve("churn@1") == Reference("churn", 1)
