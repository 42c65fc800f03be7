"""GitHub: pull requests, reviews, comments, statuses, merges and settings, against a server that keeps state like it.

Every request that these tests send, and every answer that the server makes, is compared with GitHub's published description.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forge_github import LocalGitHub
from forges import Account, Asked, Reply, grown
from github_api import Described, check

from gitops_registry.errors import Moved, NotFound, RegistryError
from gitops_registry.forge.github import GitHub
from gitops_registry.forge.http import Api, Token
from gitops_registry.forge.interface import Guarded, Person, PullRequest, Refused, Status, Unanswered, Wanted

BRANCH = "promote/fraud/1/production"
WANTED = Wanted(BRANCH, "main", "Promote fraud@1", "the plan\n", ("registry", "promotion"), ("bob", "carol"))
GUARDED = Guarded("main", "registry/verdict")
MARKER = "<!-- gitops-registry: check -->"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalGitHub]:
    with Described.running(tmp_path) as forge:
        grown(forge, "main", "start")
        grown(forge, BRANCH, "one", base="main")
        yield forge
        forge.check()


def client(forge: LocalGitHub, login: str = "alice") -> GitHub:
    """Return the client with somebody's token; it does not really wait."""
    token = Token(forge.accounts[login].token, source="GITHUB_TOKEN") if login else None
    api = Api(f"{forge.url}/api/v3/", name="GitHub", token=token, ask_for="gh auth login", wait=lambda _: None)
    return GitHub(api, forge.url, forge.path, wait=lambda _: None)


def opened(forge: LocalGitHub, number: int = 1) -> PullRequest:
    return client(forge).request(number)


# ── the description


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "words"),
    [
        ("GET", "pull/1", {}, None, "no such request"),
        ("GET", "pulls", {"author": "alice"}, None, "takes no"),
        ("POST", "pulls", {}, {"head": "b"}, "needs base"),
        ("POST", "pulls", {}, {"head": "b", "base": "main", "reviewers": ["bob"]}, "has no reviewers"),
        ("POST", "pulls", {}, {"head": "b", "base": None}, "is str"),
        ("POST", "issues/1/labels", {}, {"labels": [1]}, "labels"),
        ("POST", "statuses/x", {}, {"state": "fine"}, "is not 'fine'"),
        ("PUT", "pulls/1/merge", {}, {"merge_method": "octopus"}, "is not 'octopus'"),
        ("GET", "pulls/1", {}, {"a": 1}, "takes no body"),
    ],
)
def test_a_request_that_is_not_described_does_not_pass(method, path, query, body, words):
    with pytest.raises(AssertionError, match=words):
        check(Asked(method, f"/api/v3/repos/acme/models/{path}", query, body, {}))


def test_an_answer_that_is_not_described_does_not_pass():
    asked = Asked("GET", "/api/v3/repos/acme/models/pulls/1", {}, None, {})
    check(asked, Reply(200, {"number": 1, "user": {"login": "alice"}, "mergeable": None}))
    for data in ({"number": "1"}, {"merger": "bob"}, {"user": {"name": 1}}, {"head": {"sha": None}}, []):
        with pytest.raises(AssertionError, match="pulls/1: "):
            check(asked, Reply(200, data))


# ── opening


def test_it_opens_a_pull_request_with_labels_and_reviewers(server):
    got = client(server).open(WANTED)
    assert (got.is_new, got.notes) == (True, ())
    assert (got.request.number, got.request.branch, got.request.base) == (1, BRANCH, "main")
    assert (got.request.head, got.request.author) == (server.tip(BRANCH), Person(1001, "alice"))
    assert got.request.url == f"{server.url}/acme/models/pull/1"
    assert (got.request.state, got.request.is_foreign, got.request.merged_as) == ("open", False, "")
    assert server.pulls[1]["labels"] == ["registry", "promotion"]
    assert server.pulls[1]["asked"] == ["bob", "carol"]


def test_only_what_differs_is_written(server):
    client(server).open(WANTED)
    before = len(server.writes())
    client(server).open(Wanted(BRANCH, "main", "Promote fraud@1", "another", ("registry", "urgent"), ("bob",)))
    told = [(asked.method, asked.path.rpartition("/")[2], asked.body) for asked in server.writes()[before:]]
    assert told == [("PATCH", "1", {"body": "another"}), ("POST", "labels", {"labels": ["urgent"]})]
    assert server.pulls[1]["asked"] == ["bob", "carol"]


def test_that_of_a_fork_of_another_base_or_a_closed_one_is_not_taken_for_it(server):
    grown(server, "other", "two", base="main")
    server.open_by("carol", BRANCH)
    server.pulls[1]["fork"] = "carol/models"
    server.open_by("carol", BRANCH, base="other")
    server.open_by("carol", BRANCH)
    server.pulls[3]["state"] = "closed"
    got = client(server).open(WANTED)
    assert (got.is_new, got.request.number) == (True, 4)
    assert opened(server, 1).is_foreign


def test_who_was_faster_is_no_error(server):
    server.fail("POST", "/pulls$", 422, data={"message": "Validation Failed"}, after=True)
    got = client(server).open(WANTED)
    assert (got.is_new, got.request.number) == (False, 1)


def test_what_cannot_be_opened_is_said(server):
    with pytest.raises(Refused, match="Validation Failed"):
        client(server).open(Wanted("nowhere", "main", "t", "b"))
    with pytest.raises(Refused, match="No commits between"):
        client(server).open(Wanted("main", "main", "t", "b"))


def test_the_author_is_not_asked_and_who_is_not_taken_is_a_note(server):
    got = client(server).open(Wanted(BRANCH, "main", "t", "b", reviewers=("Alice", "nobody", "bob")))
    assert [note.partition(" was not asked")[0] for note in got.notes] == ["nobody"]
    assert server.pulls[1]["asked"] == ["bob"]


def test_who_has_answered_is_not_asked_again(server):
    client(server).open(WANTED)
    server.pulls[1]["asked"].remove("bob")
    server.review("bob", 1, "commented")
    before = len(server.writes())
    client(server).open(WANTED)
    assert len(server.writes()) == before


@pytest.mark.parametrize("status", [0, 403, 404, 410, 422, 500])
def test_labels_that_are_not_taken_are_a_note(server, status):
    server.fail("POST", "/labels$", status, data={"message": "no"})
    got = client(server).open(WANTED)
    assert got.notes[0].startswith("without the labels registry, promotion: ")
    assert server.pulls[1]["asked"] == ["bob", "carol"]
    assert client(server).open(WANTED).notes == ()


def test_one_on_a_later_page_is_found(server):
    server.open_by("alice", BRANCH, "Promote fraud@1")
    for number in range(7):
        grown(server, f"b{number}", f"b{number}", base="main")
        server.open_by("bob", f"b{number}")
    server.fail("POST", "/pulls$", 422, data={"message": "Validation Failed"})  # it would find it without a filter too
    got = client(server).open(Wanted(BRANCH, "main", "Promote fraud@1", ""))
    assert (got.is_new, got.request.number, server.writes()) == (False, 1, [])


def test_a_change_whose_answer_is_lost_is_made_again(server):
    client(server).open(WANTED)
    server.fail("PATCH", "/pulls/1$", 502, after=True)
    assert client(server).open(Wanted(BRANCH, "main", "another", "b")).request.title == "another"


def test_labels_are_as_long_as_github_takes_them_and_written_once_whatever_their_case(server):
    for labels in (("Registry", "registry", "x" * 80, ""), ("REGISTRY", "x" * 80)):
        client(server).open(Wanted(BRANCH, "main", "t", "b", labels))
    (told,) = [asked.body["labels"] for asked in server.writes() if asked.path.endswith("/labels")]
    assert [label.lower() for label in told] == ["registry", "x" * 50]


@pytest.mark.parametrize("status", [0, 403, 404, 500])
def test_reviewers_who_could_not_be_asked_are_notes_and_asked_the_next_time(server, status):
    server.fail("POST", "/requested_reviewers$", status, data={"message": "no"}, times=2)
    got = client(server).open(WANTED)
    assert [note.partition(" was not asked to review: ")[0] for note in got.notes] == ["bob", "carol"]
    assert client(server).open(WANTED).notes == ()
    assert server.pulls[1]["asked"] == ["bob", "carol"]


def test_a_repository_that_got_another_name_is_followed(server):
    here = f"{server.url}/api/v3/repos/acme/models/pulls"
    server.fail("GET", "/pulls$", 301, headers={"Location": f"{here}?state=open&base=main"})
    server.fail("POST", "/pulls$", 307, headers={"Location": here})
    got = client(server).open(WANTED)
    assert (got.is_new, server.pulls[1]["title"], server.pulls[1]["body"]) == (True, "Promote fraud@1", "the plan\n")


def test_the_token_is_in_no_error_and_no_note(server):
    secret = server.accounts["alice"].token
    for method, path in (
        ("POST", "/labels$"),
        ("POST", "/requested_reviewers$"),
        ("PUT", "/merge$"),
        ("POST", "/comments$"),
    ):
        server.fail(method, path, 403, data={"message": f"the token {secret} may not"}, times=2)
    forge = client(server)
    notes = forge.open(WANTED).notes
    assert len(notes) == 3
    assert all("the token … may not" in note for note in notes)
    for asked in (
        lambda: forge.merge(opened(server), head=server.tip(BRANCH), message="m"),
        lambda: forge.comment(opened(server), MARKER, MARKER),
    ):
        with pytest.raises(Refused, match="the token … may not") as told:
            asked()
        assert secret not in str(told.value) + repr(told.value) + repr(forge) + repr(vars(forge))


def test_without_a_token_it_looks_and_writes_nothing(server):
    server.open_by("alice", BRANCH)
    forge = client(server, "")
    assert forge.request(1).number == 1
    for ask in (lambda: forge.open(WANTED), lambda: forge.comment(forge.request(1), MARKER, MARKER)):
        with pytest.raises(Refused, match="asks for a token") as told:
            ask()
        assert told.value.hint == "gh auth login"
    assert server.comments == []
    server.is_private = True
    with pytest.raises(NotFound, match="shows it to nobody without a token"):
        forge.request(1)


def test_a_text_is_as_long_as_github_takes_it_and_stays_the_same(server):
    for _ in range(2):
        client(server).open(Wanted(BRANCH, "main", "x" * 300, "y" * 70_000))
    assert len(server.pulls[1]["title"]) == 256
    assert len(server.pulls[1]["body"]) == 65_536
    assert [asked.method for asked in server.writes()] == ["POST"]


# ── finding


def test_requests_are_found_by_their_head_and_by_what_they_landed_as(server):
    server.open_by("alice", BRANCH)
    head, forge = server.tip(BRANCH), client(server)
    assert [one.number for one in forge.requests_of(head)] == [1]
    grown(server, BRANCH, "later")
    assert forge.requests_of(head) == []  # it is in the branch, and not its head any more
    landed = server.merge_by_button(1)
    (found,) = forge.requests_of(landed)
    assert (found.state, found.merged_as, found.merged_by) == ("merged", landed, Person(1002, "bob"))
    assert forge.requests_of("0" * 40) == []


def test_a_list_without_a_right_to_look_is_not_an_empty_one(server):
    server.fail("GET", "commits/.*/pulls$", 404)
    server.fail("GET", "models$", 404)
    with pytest.raises(NotFound):
        client(server).requests_of(server.tip(BRANCH))


def test_people_are_found_by_login(server):
    assert client(server).person("bob") == Person(1002, "bob")
    with pytest.raises(NotFound):
        client(server).person("no/body")
    server.fail("GET", "/users/bob$", 200, data={"login": "bob"})
    with pytest.raises(RegistryError, match="without a number"):
        client(server).person("bob")
    with pytest.raises(NotFound):
        client(server).request(7)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"number": "1"}, {"number": 1}, {"number": 1, "head": {"sha": "no"}, "base": {"ref": "main"}}],
)
def test_a_pull_request_that_is_not_well_formed_is_an_error_of_one_line(server, data):
    server.open_by("alice", BRANCH)
    server.fail("GET", "/pulls/1$", 200, data=data)
    with pytest.raises(RegistryError) as told:
        opened(server)
    assert "\n" not in told.value.message


def test_an_account_or_a_fork_that_is_gone_is_nobody_and_foreign(server):
    server.open_by("alice", BRANCH)
    data = server._pull(1, whole=True)
    data["user"], data["head"]["repo"], data["body"] = None, None, None
    server.fail("GET", "/pulls/1$", 200, data=data)
    got = opened(server)
    assert (got.author.id, got.is_foreign, got.body) == (0, True, "")


# ── reviews


def test_reviews_are_read_to_the_last_page_oldest_first_with_their_commits(server):
    server.open_by("carol", BRANCH)
    first = server.tip(BRANCH)
    taken = server.review("alice", 1)
    server.review("bob", 1, "rejected", comment="too slow")
    second = grown(server, BRANCH, "more")
    for _ in range(3):
        server.review("bob", 1, "commented")
    server.review("bob", 1)
    server.review("robot", 1)
    server.dismiss(taken)
    found = client(server).reviews(opened(server))
    assert [(one.author.login, one.word) for one in found] == [
        ("alice", "dismissed"), ("bob", "rejected"), *[("bob", "commented")] * 3, ("bob", "approved"), ("github-actions[bot]", "approved"),
    ]  # fmt: skip
    assert [one.commit for one in found[:2]] == [first, first]
    assert found[-2].commit == second
    assert found[1].comment == "too slow"


def test_a_review_from_before_the_branch_was_rewritten_has_no_commit(server):
    server.open_by("carol", BRANCH)
    server.review("bob", 1)
    server.git("update-ref", f"refs/heads/{BRANCH}", grown(server, "rewritten", "other", base="main"))
    (found,) = client(server).reviews(opened(server))
    assert (found.word, found.commit) == ("approved", "")
    server.review("bob", 1)
    assert client(server).reviews(opened(server))[-1].commit == server.tip(BRANCH)


def test_reviews_are_not_believed_where_it_is_not_shown_whether_the_branch_was_rewritten(server):
    server.open_by("carol", BRANCH)
    server.review("bob", 1)
    server.fail("GET", "/events$", 403, data={"message": "Resource not accessible by integration"})
    with pytest.raises(RegistryError, match="does not show whether the branch"):
        client(server).reviews(opened(server))


def test_a_review_that_is_not_submitted_and_one_by_nobody_are_no_trouble(server):
    server.open_by("carol", BRANCH)
    server.review("bob", 1)
    reviews = server.pulls[1]["reviews"]
    reviews += [
        {**reviews[0], "id": 9001, "state": "PENDING"},
        {**reviews[0], "id": 9002, "user": "gone", "commit_id": None},
    ]
    found = client(server).reviews(opened(server))
    assert [(one.author.id, one.commit) for one in found] == [(1002, server.tip(BRANCH)), (0, "")]


@pytest.mark.parametrize(
    ("lost", "words"), [({"submitted_at": None}, "without its time"), ({"submitted_at": "soon"}, "without its time"), ({"id": None}, "no id")]
)  # fmt: skip
def test_a_word_without_its_time_or_number_is_not_passed_over(server, lost, words):
    server.open_by("carol", BRANCH)
    server.review("bob", 1, "rejected")
    server.fail("GET", "/reviews$", 200, data=[{**server.pulls[1]["reviews"][0], "user": None, **lost}])
    with pytest.raises(RegistryError, match=words):
        client(server).reviews(opened(server))


@pytest.mark.parametrize("moment", [None, "soon", 7])
def test_a_rewriting_whose_time_is_not_told_comes_after_every_review(server, moment):
    server.open_by("carol", BRANCH)
    server.review("bob", 1)
    server.fail("GET", "/events$", 200, data=[{"event": "head_ref_force_pushed", "created_at": moment}])
    assert [one.commit for one in client(server).reviews(opened(server))] == [""]


def test_a_rewriting_on_a_later_page_of_events_counts(server):
    server.open_by("carol", BRANCH)
    server.review("bob", 1)
    client(server).reviews(opened(server))
    events = [{"event": "labeled", "created_at": server.now()} for _ in range(7)]
    server.pulls[1]["events"] = [*events, {"event": "head_ref_force_pushed", "created_at": server.now()}]
    assert [one.commit for one in client(server).reviews(opened(server))] == [""]


# ── comment and status


def test_an_app_finds_its_own_comment_and_not_one_that_somebody_wrote_under_its_marker(server):
    server.accounts["app"] = Account(2001, "app", "secret-of-app", is_bot=True)
    server.open_by("alice", BRANCH)
    for number, login in ((1, "robot"), (2, "carol"), (3, "app"), (4, "app")):
        server.comments.append({"id": number, "issue": 1, "user": login, "body": f"{MARKER} {login}", "html_url": f"c{number}"})  # fmt: skip
    assert client(server, "app").comment(opened(server), MARKER, f"{MARKER} now") == "c3"
    assert [one["body"].removeprefix(MARKER) for one in server.comments] == [" robot", " carol", " now", " app"]


@pytest.mark.parametrize("status", [0, 403, 404, 502])
def test_a_job_that_is_not_told_who_it_is_takes_only_what_a_job_wrote(server, status):
    server.open_by("alice", BRANCH)
    server.comments = [
        {"id": 1, "issue": 1, "user": "carol", "body": f"{MARKER} mine", "html_url": "c1"},
        {"id": 2, "issue": 1, "user": "robot", "body": f"{MARKER} job", "html_url": "c2"},
    ]
    server.fail("POST", "/graphql$", status, times=9)
    assert client(server, "robot").comment(opened(server), MARKER, f"{MARKER} now") == "c2"
    assert server.comments[0]["body"] == f"{MARKER} mine"


def test_a_comment_that_only_mentions_the_marker_is_left(server):
    server.open_by("alice", BRANCH)
    server.comments.append({"id": 1, "issue": 1, "user": "alice", "body": f"see {MARKER}", "html_url": "c1"})
    client(server).comment(opened(server), MARKER, f"{MARKER} now")
    assert [one["body"] for one in server.comments] == [f"see {MARKER}", f"{MARKER} now"]


def test_a_comment_is_as_long_as_github_takes_it_and_stays_the_same(server):
    server.open_by("alice", BRANCH)
    for _ in range(2):
        client(server).comment(opened(server), MARKER, MARKER + "y" * 70_000)
    assert (len(server.writes()), len(server.comments[0]["body"])) == (1, 65_536)


def test_a_status_that_may_not_be_set_or_is_lost_for_good_is_said(server):
    oid = server.tip(BRANCH)
    server.fail("POST", "/statuses/", 502, times=4)
    with pytest.raises(Unanswered, match="502"):
        client(server).set_status(oid, Status("registry/verdict", "success", "fine"))
    server.accounts["carol"].may = "read"
    with pytest.raises(Refused, match="not accessible by personal access token") as told:
        client(server, "carol").set_status(oid, Status("registry/verdict", "success", "fine"))
    assert told.value.status == 403
    assert server.statuses == []


def test_a_status_is_set_under_its_name_and_said_again_where_the_answer_is_lost(server):
    oid = server.tip(BRANCH)
    server.fail("POST", "/statuses/", after=True)
    client(server).set_status(
        oid, Status("registry/verdict", "pending", "one\napproval " + "x" * 200, "https://example.com/1")
    )
    told = server.statuses[-1]
    assert (told["context"], told["state"], told["sha"], told["target_url"]) == (
        "registry/verdict",
        "pending",
        oid,
        "https://example.com/1",
    )
    assert told["description"].startswith("one approval ")
    assert len(told["description"]) == 140


# ── landing


def test_it_merges_the_head_that_was_judged_with_a_merge_commit(server):
    server.open_by("alice", BRANCH)
    head, base = server.tip(BRANCH), server.tip("main")
    made = client(server).merge(opened(server), head=head, message="Promote fraud@1\n\nPull-Request: 1")
    assert made == server.tip("main")
    assert server.git("rev-list", "--parents", "-1", made).split()[1:] == [base, head]
    assert server.git("log", "-1", "--format=%B", made) == "Promote fraud@1\n\nPull-Request: 1"


def test_a_head_that_moves_at_the_last_moment_is_not_merged(server):
    server.open_by("alice", BRANCH)
    server.fail("PUT", "/merge$", 409, data={"message": "Head branch was modified. Review and try the merge again."})
    with pytest.raises(Moved, match="moved while it was merged"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")


@pytest.mark.parametrize("after", [True, False])
def test_a_merge_whose_answer_is_lost_is_looked_up(server, after):
    server.open_by("alice", BRANCH)
    server.fail("PUT", "/merge$", 0, after=after, times=1)
    made = client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    assert made == server.tip("main")
    assert server.git("rev-list", "--count", "--merges", "main") == "1"


def test_run_again_a_merge_is_done_and_with_another_head_it_is_not(server):
    server.open_by("alice", BRANCH)
    head = server.tip(BRANCH)
    made = client(server).merge(opened(server), head=head, message="x")
    grown(server, BRANCH, "later")
    writes = len(server.writes())
    assert client(server).merge(opened(server), head=head, message="x") == made
    with pytest.raises(Moved):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    assert len(server.writes()) == writes


def test_a_base_that_moves_at_the_last_moment_is_to_be_checked_again(server):
    server.open_by("alice", BRANCH)
    server.fail("PUT", "/merge$", 405, data={"message": "Base branch was modified. Review and try the merge again."})
    with pytest.raises(Moved, match="moved while it was merged"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")


def test_it_waits_while_github_looks_whether_it_merges_and_not_for_ever(server):
    server.open_by("alice", BRANCH)
    waited: list[float] = []
    forge = client(server)
    forge._wait = waited.append
    unsure = server._pull(1, whole=True) | {"mergeable": None}
    server.fail("GET", "/pulls/1$", 200, data=unsure, times=3)
    request = forge.request(1)
    made = forge.merge(request, head=server.tip(BRANCH), message="x")
    assert (made, waited) == (server.tip("main"), [0.5, 1.0])


def test_one_of_which_github_never_knows_whether_it_merges_is_left_to_its_own_answer(server):
    server.open_by("alice", BRANCH)
    server.fail("GET", "/pulls/1$", 200, data=server._pull(1, whole=True) | {"mergeable": None}, times=99)
    server.fail("PUT", "/merge$", 405, data={"message": "Pull Request is not mergeable"})
    with pytest.raises(Refused, match="not mergeable"):
        client(server).merge(client(server).request(1), head=server.tip(BRANCH), message="x")


def test_a_merge_that_github_took_and_does_not_show_is_not_called_done(server):
    server.open_by("alice", BRANCH)
    server.fail("PUT", "/merge$", 200, data={"merged": True, "message": "fine"})
    with pytest.raises(Unanswered, match="does not show it yet"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")


def test_what_forbids_a_merge_is_said(server):
    server.open_by("alice", BRANCH)
    server.fail("PUT", "/merge$", 405, data={"message": 'Required status check "registry/verdict" is expected.'})
    with pytest.raises(Refused, match="registry/verdict"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    grown(server, BRANCH, "a", path="same")
    grown(server, "main", "b", path="same")
    with pytest.raises(Refused, match="the two conflict"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    server.pulls[1]["state"] = "closed"
    with pytest.raises(Refused, match="is closed"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")


@pytest.mark.parametrize("how", ["squash", "rebase"])
def test_one_that_was_merged_another_way_meanwhile_is_not_taken_for_it(server, how):
    server.open_by("alice", BRANCH)
    head = server.tip(BRANCH)
    server.merge_by_button(1, how)
    with pytest.raises(Refused, match="merged another way"):
        client(server).merge(opened(server), head=head, message="x")


# ── settings

RULES: list[dict[str, Any]] = [
    {"type": "pull_request", "ruleset_id": 7, "parameters": {"required_approving_review_count": 1, "allowed_merge_methods": ["merge"]}},
    {"type": "non_fast_forward", "ruleset_id": 7},
    {"type": "deletion", "ruleset_id": 7},
    {"type": "required_status_checks", "ruleset_id": 7, "parameters": {"strict_required_status_checks_policy": True, "required_status_checks": [{"context": "registry/verdict", "integration_id": 4242}]}},
]  # fmt: skip
TAGS = {
    "id": 8, "name": "tags", "target": "tag", "enforcement": "active", "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}}, "rules": [{"type": "update"}, {"type": "deletion"}],
}  # fmt: skip


def guard(server: LocalGitHub, rules: list[dict[str, Any]] = RULES) -> None:
    server.accounts["alice"].may = "admin"
    server.rules = rules
    server.rulesets = [
        {"id": 7, "name": "main", "target": "branch", "enforcement": "active", "bypass_actors": []},
        TAGS,
    ]


def said(server: LocalGitHub, login: str = "alice") -> dict[str, bool | None]:
    return {one.what: one.is_open for one in client(server, login).settings(GUARDED)}


def test_nothing_is_open_where_everything_is_guarded(server):
    guard(server)
    server.fail("GET", "apps/github-actions$", 200, data={"id": 15368})
    assert set(said(server).values()) == {False}


def test_everything_is_open_where_nothing_is_guarded(server):
    server.accounts["alice"].may = "admin"
    found = said(server)
    assert {what for what, is_open in found.items() if is_open} >= {"pushes", "rewriting", "deletion", "verdict", "up to date", "bypass", "tags"}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("pushes", "pull_request"),
        ("rewriting", "non_fast_forward"),
        ("deletion", "deletion"),
        ("verdict", "required_status_checks"),
    ],
)
def test_each_rule_that_is_missing_is_a_way_around(server, what, kind):
    guard(server, [rule for rule in RULES if rule["type"] != kind])
    assert said(server)[what] is True


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [({}, True), ({"integration_id": 15368}, True), ({"integration_id": 4242}, False)],
)
def test_a_status_that_writers_can_set_is_open(server, sources, wanted):
    check = {"context": "registry/verdict", **sources}
    rule = {"type": "required_status_checks", "ruleset_id": 7, "parameters": {"required_status_checks": [check]}}
    guard(server, [*RULES[:3], rule])
    server.fail("GET", "apps/github-actions$", 200, data={"id": 15368})
    found = said(server)
    assert (found["workflow"], found["up to date"]) == (wanted, True)


@pytest.mark.parametrize("way", ["squash", "rebase"])
def test_ways_to_merge_that_lose_what_was_reviewed_are_open(server, way):
    guard(server, RULES[1:])
    server.ways[way] = True
    assert said(server)["merges"] is True


def test_a_queue_that_squashes_and_a_linear_history_are_open(server):
    guard(server, [*RULES, {"type": "merge_queue", "parameters": {"merge_method": "SQUASH"}}])
    assert said(server)["merges"] is True
    guard(server, [*RULES, {"type": "required_linear_history"}])
    assert said(server)["merges"] is True
    guard(server, [*RULES, {"type": "merge_queue", "parameters": {"merge_method": "MERGE"}}])
    assert said(server)["merges"] is False


def test_the_older_protection_counts_too_and_administrators_it_lets_through_are_named(server):
    guard(server, [])
    server.protection = {
        "required_pull_request_reviews": {"required_approving_review_count": 1}, "allow_force_pushes": {"enabled": False},
        "allow_deletions": {"enabled": False}, "enforce_admins": {"enabled": False},
        "required_status_checks": {"strict": True, "checks": [{"context": "registry/verdict", "app_id": 4242}]},
    }  # fmt: skip
    found = said(server)
    assert [found[what] for what in ("pushes", "rewriting", "deletion", "verdict", "up to date")] == [False] * 5
    assert found["bypass"] is True
    server.protection["enforce_admins"] = {"enabled": True}
    assert said(server)["bypass"] is False


def test_who_may_bypass_is_open_and_not_known_to_who_may_not_see_it(server):
    guard(server)
    assert said(server, "bob")["bypass"] is None
    server.rulesets[0]["bypass_actors"] = [{"actor_type": "RepositoryRole", "actor_id": 5}]
    assert said(server)["bypass"] is True


def test_what_only_administrators_see_is_not_called_good(server):
    server.fail(
        "GET", "models/branches/main$", 200, data={"name": "main", "protected": True, "protection": {"enabled": True}}
    )
    found = said(server, "bob")
    assert {found[what] for what in ("pushes", "rewriting", "deletion", "bypass")} == {None}


def test_what_may_not_be_looked_at_is_not_known_and_no_error(server):
    guard(server)
    server.fail("GET", "rulesets/", 403, data={"message": "Resource not accessible by integration"}, times=9)
    server.fail("GET", "models/branches/main$", 403, data={"message": "Resource not accessible by integration"})
    server.fail("GET", "branches/main/protection$", 403, data={"message": "Resource not accessible by integration"})
    server.fail("GET", "apps/github-actions$", 403, data={"message": "Resource not accessible by integration"})
    found = said(server)
    assert (found["bypass"], found["workflow"], found["tags"], found["pushes"]) == (None, None, None, False)
    assert True not in {found[what] for what in ("rewriting", "deletion", "verdict", "up to date")}
    server.fail("GET", "branches/main/protection$", 403, data={"message": "Resource not accessible by integration"})
    server.fail("GET", "models/branches/main$", 403, data={"message": "Resource not accessible by integration"})
    guard(server, [])
    found = said(server)
    assert {what: found[what] for what in ("pushes", "rewriting", "deletion", "up to date")} == dict.fromkeys(
        ("pushes", "rewriting", "deletion", "up to date")
    )


def test_a_limit_is_no_lack_of_a_right_to_look(server):
    guard(server)
    server.fail("GET", "models/branches/main", 403, headers={"Retry-After": "3600"}, times=9)
    with pytest.raises(Refused, match="takes no more requests"):
        said(server)


def test_a_workflow_that_an_organisation_requires_is_one_that_writers_cannot_replace(server):
    path = ".github/workflows/registry-validate.yml"
    rule = {"type": "workflows", "ruleset_id": 7, "parameters": {"workflows": [{"path": path, "repository_id": 9}]}}
    guard(server, [*RULES[:3], rule])
    found = said(server)
    assert (found["verdict"], found["workflow"]) == (False, False)


@pytest.mark.parametrize(
    ("actor", "named"),
    [
        ({"actor_type": "RepositoryRole", "actor_id": 5}, "who has the role admin"),
        ({"actor_type": "OrganizationAdmin", "actor_id": None}, "OrganizationAdmin"),
        ({"actor_type": "Integration", "actor_id": 77, "bypass_mode": "always"}, "Integration 77"),
        ({"actor_type": "DeployKey", "actor_id": None, "bypass_mode": "pull_request"}, "DeployKey"),
    ],
)
@pytest.mark.parametrize("ruleset", [0, 1])
def test_who_is_exempt_is_named_for_branches_and_for_tags(server, actor, named, ruleset):
    guard(server)
    server.rulesets[ruleset] = {**server.rulesets[ruleset], "bypass_actors": [actor]}
    (one,) = [one for one in client(server).settings(GUARDED) if one.what == "bypass"]
    assert one.is_open is True
    assert f"{named} of the ruleset {server.rulesets[ruleset]['name']}" in one.message


def test_a_ruleset_of_tags_that_leaves_some_out_or_is_not_active_keeps_them_not(server):
    guard(server)
    server.rulesets[1] = {**TAGS, "conditions": {"ref_name": {"include": ["~ALL"], "exclude": ["refs/tags/fraud@*"]}}}
    assert said(server)["tags"] is None
    server.rulesets[1] = {**TAGS, "enforcement": "evaluate"}
    assert said(server)["tags"] is True
    server.rulesets[1] = {**TAGS, "rules": [{"type": "deletion"}]}
    assert said(server)["tags"] is True


@pytest.mark.parametrize(("include", "wanted"), [(["refs/tags/v*"], None), (["~ALL"], False)])
def test_tags_are_kept_where_a_ruleset_takes_all_of_them_in(server, include, wanted):
    guard(server)
    server.rulesets[1] = {**TAGS, "conditions": {"ref_name": {"include": include, "exclude": []}}}
    assert said(server)["tags"] is wanted


def test_every_open_setting_says_where_to_change_it(server):
    server.accounts["alice"].may = "admin"
    for one in client(server).settings(GUARDED):
        assert one.is_open is False or one.repair.startswith((f"{server.url}/acme/models/settings", "an organisation"))


def test_it_says_where_a_head_is(server):
    server.open_by("alice", BRANCH)
    request = opened(server)
    assert server.git("rev-parse", client(server).ref(request)) == request.head
