"""What every forge's client promises in the same words: asked twice nothing is written, a lost answer is looked up, no other head lands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forge_gitea import LocalGitea
from forge_gitlab import LocalGitLab
from forges import LocalForge, grown
from github_api import Described

from gitops_registry.errors import Moved
from gitops_registry.forge.gitea import Gitea
from gitops_registry.forge.github import GitHub
from gitops_registry.forge.gitlab import GitLab
from gitops_registry.forge.http import Api, Token
from gitops_registry.forge.interface import Forge, Status, Unanswered, Wanted

BRANCH = "promote/fraud/1/production"
WANTED = Wanted(BRANCH, "main", "Promote fraud@1", "one\ntwo\n", ("registry", "promotion"), ("bob", "carol"))
MARKER = "<!-- gitops-registry: check -->"


@dataclass(frozen=True)
class Kind:
    """One kind of forge: the one on loopback, its client, how it takes a token, and where things are added to it."""

    local: type[LocalForge]
    client: type[Any]
    token: tuple[str, str]
    pulls: str
    comments: str


KINDS = {
    "github": Kind(Described, GitHub, ("Authorization", "Bearer"), "/pulls$", "/comments$"),
    "gitlab": Kind(LocalGitLab, GitLab, ("PRIVATE-TOKEN", ""), "/merge_requests$", "/notes$"),
    "gitea": Kind(LocalGitea, Gitea, ("Authorization", "token"), "/pulls$", "/comments$"),
}


@dataclass(frozen=True)
class Side:
    """A server, and clients of it that do not really wait."""

    kind: Kind
    server: Any

    def client(self, login: str = "alice") -> Forge:
        """Return the client with somebody's token."""
        token = Token(self.server.accounts[login].token, *self.kind.token, source="A_TOKEN")
        api = Api(f"{self.server.url}{self.server.api}/", name="It", token=token, wait=lambda _: None)
        found: Forge = self.kind.client(api, self.server.url, self.server.path, wait=lambda _: None)
        return found

    def writes(self) -> int:
        """Return how many requests changed something so far."""
        return len(self.server.writes())


@pytest.fixture(params=KINDS)
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Side]:
    kind = KINDS[request.param]
    with kind.local.running(tmp_path) as server:
        grown(server, "main", "start")
        grown(server, BRANCH, "one", base="main")
        yield Side(kind, server)
        if isinstance(server, Described):
            server.check()


def test_asked_twice_there_is_one_and_nothing_is_written(side: Side) -> None:
    first = side.client().open(WANTED)
    before = side.writes()
    again = side.client().open(WANTED)
    assert (again.request.number, again.is_new, again.notes) == (first.request.number, False, ())
    assert side.writes() == before


def test_ends_of_lines_that_a_browser_changed_are_no_difference(side: Side) -> None:
    side.client().open(WANTED)
    side.server.pulls[1]["body"] = "one\r\ntwo"
    before = side.writes()
    side.client().open(WANTED)
    assert side.writes() == before


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("status", [0, 502])
def test_an_answer_that_is_lost_is_looked_up(side: Side, status: int, after: bool) -> None:
    side.server.fail("POST", side.kind.pulls, status, after=after)
    if after:
        assert side.client().open(WANTED).is_new
        assert side.server.pulls[1]["asked"] == ["bob", "carol"]
    else:
        with pytest.raises(Unanswered):
            side.client().open(WANTED)
        assert side.client().open(WANTED).is_new
    assert len(side.server.pulls) == 1


def test_a_comment_is_written_once_and_then_brought_up_to_date(side: Side) -> None:
    side.server.open_by("alice", BRANCH)
    for text in (f"{MARKER} mine", "a", "b", "c"):
        comment = {"id": side.server.number(), "issue": 1, "user": "bob", "body": text, "html_url": ""}
        side.server.comments.append({**comment, "created_at": side.server.now()})
    forge = side.client("robot")
    page = forge.comment(forge.request(1), MARKER, f"{MARKER}\nfirst")
    assert forge.comment(forge.request(1), MARKER, f"{MARKER}\nsecond") == page
    before = side.writes()
    forge.comment(forge.request(1), MARKER, f"{MARKER}\nsecond")
    assert side.writes() == before
    assert [c["body"] for c in side.server.comments if c["user"] == "robot"] == [f"{MARKER}\nsecond"]
    assert side.server.comments[0]["body"] == f"{MARKER} mine"


@pytest.mark.parametrize("after", [True, False])
def test_a_comment_whose_answer_is_lost_is_not_written_twice(side: Side, after: bool) -> None:
    side.server.open_by("alice", BRANCH)
    side.server.fail("POST", side.kind.comments, after=after)
    forge = side.client()
    if not after:
        with pytest.raises(Unanswered):
            forge.comment(forge.request(1), MARKER, f"{MARKER} x")
    forge.comment(forge.request(1), MARKER, f"{MARKER} x")
    assert len(side.server.comments) == 1


@pytest.mark.parametrize("after", [True, False])
def test_a_status_whose_answer_is_lost_is_said_again(side: Side, after: bool) -> None:
    side.server.fail("POST", "/statuses/", 502, after=after)
    side.client().set_status(side.server.tip(BRANCH), Status("registry/verdict", "success", "fine"))
    assert side.server.statuses[-1]["state"] == "success"
    assert side.writes() == 2


def test_another_head_is_not_merged(side: Side) -> None:
    side.server.open_by("alice", BRANCH)
    judged, before = side.server.tip(BRANCH), side.server.tip("main")
    request = side.client().request(1)
    grown(side.server, BRANCH, "sneaked in")
    with pytest.raises(Moved, match="by now"):
        side.client().merge(request, head=judged, message="x")
    assert side.server.tip("main") == before


def test_a_merge_that_was_made_is_found_where_its_answer_is_lost(side: Side) -> None:
    side.server.open_by("alice", BRANCH)
    head, base = side.server.tip(BRANCH), side.server.tip("main")
    side.server.fail("*", "/merge$", 0, after=True)
    made = side.client().merge(side.client().request(1), head=head, message="Decide it\n\nfraud: production")
    assert made == side.server.tip("main")
    assert side.server.git("show", "-s", "--format=%P", made).split() == [base, head]
    assert side.server.git("show", "-s", "--format=%B", made).strip() == "Decide it\n\nfraud: production"
