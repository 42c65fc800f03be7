"""The central story of a promotion on GitLab and on Gitea: propose, wait, review, judge, land here or by the forge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builder import git
from forge_gitea import LocalGitea
from forge_gitlab import LocalGitLab
from hub import Hub, copied, founded

pytestmark = pytest.mark.needs("signing")
BRANCH = "promote/fraud/1/production"
PROMOTE = ("promote", "fraud", "1", "--to", "production", "--pull-request")
FORGES = {"gitlab": LocalGitLab, "gitea": LocalGitea}


@pytest.fixture(scope="module", params=FORGES)
def made(request: pytest.FixtureRequest, machine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, founded(request.param, FORGES[request.param], tmp_path_factory.mktemp("made"))


@pytest.fixture
def hub(made: tuple[str, Path], tmp_path: Path) -> Iterator[Hub]:
    with copied(made[1], made[0], FORGES[made[0]], tmp_path / "hub") as team:
        yield team


def judged(hub: Hub, check: int) -> dict:
    """Return what the job of a pull request says, in a clone of the base with the head fetched as objects."""
    job = hub.folder / "job"
    if not job.exists():
        git(hub.folder, "clone", "--quiet", hub.forge.remote, "job")
    oid = hub.forge.tip(BRANCH)
    git(job, "fetch", "--quiet", "origin", oid)
    words = ("check", "--base", "origin/main", "--head", oid, "--pull-request", "auto", "--publish", "--json")
    return json.loads(hub.run("job", *words, check=check, as_="robot").stdout)


def state(hub: Hub) -> str:
    return str(hub.forge.statuses[-1]["state"])


def test_a_promotion_waits_for_its_review_and_lands_with_it(hub: Hub) -> None:
    done = hub.run("carol", *PROMOTE, "-m", "better on every segment")
    assert "proposed as pull request 1" in done.stdout
    pull = hub.forge.pulls[1]
    assert "fraud: production (empty) → 1" in pull["body"]
    assert {"registry", "promotion"} <= set(pull["labels"])
    assert pull["asked"] == ["alice", "bob"]
    writes = len(hub.forge.writes())
    hub.run("carol", *PROMOTE)
    assert len(hub.forge.writes()) == writes
    assert "approvals" in {finding["rule"] for finding in judged(hub, 1)["findings"]}
    assert state(hub) == "pending"
    hub.forge.review("carol", 1)  # whoever wrote it approves nothing
    judged(hub, 1)
    hub.forge.review("bob", 1)
    assert judged(hub, 0)["ok"]
    assert state(hub) == "success"
    assert len([c for c in hub.forge.comments if c["user"] == "robot"]) == 1
    git(hub.folder / "bob", "pull", "--quiet")
    hub.run("bob", "merge", BRANCH)
    assert f"Attested-Approval: bob {hub.kind}:1002 " in git(hub.folder / "bob", "log", "-1", "--format=%B")


def test_another_plan_under_an_approval_voids_it(hub: Hub) -> None:
    hub.run("carol", *PROMOTE)
    hub.forge.review("bob", 1)
    judged(hub, 0)
    carol = hub.at("carol")
    text = (carol.root / "models/fraud/model.yaml").read_text()
    carol.commit({"models/fraud/model.yaml": text.replace("staging: [1]", "production: [2]").encode()}, branch=BRANCH)
    git(carol.root, "push", "--quiet", "origin", BRANCH)
    judged(hub, 1)
    assert state(hub) != "success"


def test_the_forge_makes_the_merge_that_was_judged(hub: Hub) -> None:
    hub.run("carol", *PROMOTE)
    hub.forge.review("bob", 1)
    judged(hub, 0)
    bob, before = hub.folder / "bob", hub.forge.tip("main")
    git(bob, "pull", "--quiet")
    head = hub.forge.tip(BRANCH)
    hub.run("bob", "merge", BRANCH, "--by-forge")
    made = hub.forge.tip("main")
    assert hub.forge.git("rev-list", "--parents", "-1", made).split()[1:] == [before, head]
    git(bob, "pull", "--quiet")
    done = hub.run("bob", "check", "--base", before, "--head", made, "--landed")
    assert done.returncode == 0
    assert f"attested by {hub.kind}" in hub.run("bob", "log", "fraud", "--limit", "1").stdout.lower()


@pytest.mark.parametrize("how", ["squash", "rebase"])
def test_what_was_not_merged_as_it_was_reviewed_is_explained(hub: Hub, how: str) -> None:
    hub.run("carol", *PROMOTE)
    hub.forge.review("bob", 1)
    judged(hub, 0)
    before = hub.forge.tip("main")
    made = hub.forge.merge_by_button(1, how=how)
    git(hub.folder / "job", "pull", "--quiet")
    done = hub.run("job", "check", "--base", before, "--head", made, "--landed", check=1, as_="robot")
    # Which of the two it was cannot be told of a single commit; GitLab brings a squashed one with a merge commit.
    assert f"ed on {hub.kind}: this commit is nobody's that was reviewed" in done.stdout
