"""GitLab: merge requests, approvals on the version that stood there, notes, statuses, merges and settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forge_gitlab import LocalGitLab
from forges import grown

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.forge.gitlab import GitLab
from gitops_registry.forge.http import Api, Token
from gitops_registry.forge.interface import Guarded, Person, PullRequest, Refused, Status, Wanted

BRANCH = "promote/fraud/1/production"
WANTED = Wanted(BRANCH, "main", "Promote fraud@1", "the plan\n", ("registry", "promotion"), ("bob", "carol"))
GUARDED = Guarded("main", "registry/verdict")
MARKER = "<!-- gitops-registry: check -->"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalGitLab]:
    with LocalGitLab.running(tmp_path) as forge:
        grown(forge, "main", "start")
        grown(forge, BRANCH, "one", base="main")
        yield forge


def client(forge: LocalGitLab, login: str = "alice") -> GitLab:
    """Return the client with somebody's token; it does not really wait."""
    token = Token(forge.accounts[login].token, "PRIVATE-TOKEN", "", "GITLAB_TOKEN") if login else None
    api = Api(f"{forge.url}/api/v4/", name="GitLab", token=token, ask_for="export GITLAB_TOKEN=…", wait=lambda _: None)
    return GitLab(api, forge.url, forge.path, wait=lambda _: None)


def opened(forge: LocalGitLab, number: int = 1) -> PullRequest:
    return client(forge).request(number)


# ── opening


def test_it_opens_a_merge_request_with_labels_and_reviewers(server):
    got = client(server).open(WANTED)
    assert (got.is_new, got.notes) == (True, ())
    assert (got.request.number, got.request.branch, got.request.base) == (1, BRANCH, "main")
    assert (got.request.head, got.request.author) == (server.tip(BRANCH), Person(1001, "alice"))
    assert got.request.url == f"{server.url}/acme/models/-/merge_requests/1"
    assert (got.request.state, got.request.is_foreign, got.request.merged_as) == ("open", False, "")
    assert server.pulls[1]["labels"] == ["registry", "promotion"]
    assert server.pulls[1]["asked"] == ["bob", "carol"]


def test_only_what_differs_is_written_and_nobody_is_taken_away(server):
    client(server).open(Wanted(BRANCH, "main", "Promote fraud@1", "the plan", ("registry",), ("bob",)))
    before = len(server.writes())
    client(server).open(Wanted(BRANCH, "main", "Promote fraud@1", "another", ("urgent",), ("carol",)))
    told = [asked.body for asked in server.writes()[before:]]
    assert told == [{"description": "another"}, {"add_labels": "urgent"}, {"reviewer_ids": [1002, 1003]}]
    assert server.pulls[1]["labels"] == ["registry", "urgent"]


def test_that_of_a_fork_of_another_target_or_a_closed_one_is_not_taken_for_it(server):
    grown(server, "other", "two", base="main")
    server.pulls[server.open_by("carol", BRANCH)]["fork"] = "carol/models"
    server.open_by("carol", BRANCH, base="other")
    server.pulls[server.open_by("carol", BRANCH)]["state"] = "closed"
    got = client(server).open(WANTED)
    assert (got.is_new, got.request.number) == (True, 4)
    assert opened(server, 1).is_foreign


def test_who_was_faster_is_no_error(server):
    server.fail(
        "POST", "/merge_requests$", 409, data={"message": ["Another open merge request already exists"]}, after=True
    )
    got = client(server).open(WANTED)
    assert (got.is_new, got.request.number) == (False, 1)


def test_what_cannot_be_opened_is_said(server):
    with pytest.raises(Refused, match="does not exist"):
        client(server).open(Wanted("nowhere", "main", "t", "b"))


def test_the_author_is_not_asked_and_who_is_not_taken_is_a_note(server):
    got = client(server).open(Wanted(BRANCH, "main", "t", "b", reviewers=("Alice", "nobody", "bob")))
    assert [note.partition(" was not asked")[0] for note in got.notes] == ["nobody"]
    assert server.pulls[1]["asked"] == ["bob"]


def test_a_plan_that_takes_one_reviewer_is_a_note(server):
    server.most_reviewers = 1
    got = client(server).open(WANTED)
    assert got.notes == ("GitLab asks fewer people to review than the registry names",)
    assert server.pulls[1]["asked"] == ["bob"]


@pytest.mark.parametrize("status", [400, 403, 422])
def test_labels_and_reviewers_that_are_not_taken_are_notes(server, status):
    server.fail("PUT", "/merge_requests/1$", status, data={"message": "no"}, times=2)
    got = client(server).open(WANTED)
    assert [note.partition(":")[0] for note in got.notes] == [
        "without the labels registry, promotion",
        "nobody new was asked to review",
    ]
    assert client(server).open(WANTED).notes == ()


def test_a_text_is_as_long_as_gitlab_takes_it_and_stays_the_same(server):
    for _ in range(2):
        client(server).open(Wanted(BRANCH, "main", "x" * 300, "one\ntwo\n"))
        server.pulls[1]["body"] = "one\r\ntwo"
    assert len(server.pulls[1]["title"]) == 255
    assert [asked.method for asked in server.writes()] == ["POST"]


def test_a_project_in_groups_is_one_part_of_the_path(server):
    api = Api(f"{server.url}/api/v4/", name="GitLab")
    with pytest.raises(NotFound):
        GitLab(api, server.url, "acme/team/models").settings(GUARDED)
    assert server.asked[-1].path == "/api/v4/projects/acme%2Fteam%2Fmodels"


# ── finding


def test_requests_are_found_by_their_head_and_by_what_they_landed_as(server):
    server.open_by("alice", BRANCH)
    head, forge = server.tip(BRANCH), client(server)
    assert [one.number for one in forge.requests_of(head)] == [1]
    grown(server, BRANCH, "later")
    assert forge.requests_of(head) == []
    landed = server.merge_by_button(1)
    (found,) = forge.requests_of(landed)
    assert (found.state, found.merged_as, found.merged_by) == ("merged", landed, Person(1002, "bob"))
    assert forge.requests_of("0" * 40) == []


def test_people_are_found_by_login(server):
    assert client(server).person("bob") == Person(1002, "bob")
    with pytest.raises(NotFound):
        client(server).person("nobody")


@pytest.mark.parametrize(
    "data", [None, [], {}, {"iid": "1"}, {"iid": 1}, {"iid": 1, "sha": "no", "target_branch": "main"}]
)
def test_a_merge_request_that_is_not_well_formed_is_an_error_of_one_line(server, data):
    server.open_by("alice", BRANCH)
    server.fail("GET", "/merge_requests/1$", 200, data=data)
    with pytest.raises(RegistryError) as told:
        opened(server)
    assert "\n" not in told.value.message


def test_an_account_and_a_fork_that_are_gone_are_nobody_and_foreign(server):
    server.open_by("alice", BRANCH)
    data = server._shown(1) | {"author": None, "source_project_id": None, "description": None}
    server.fail("GET", "/merge_requests/1$", 200, data=data)
    got = opened(server)
    assert (got.author.id, got.is_foreign, got.body) == (0, True, "")


# ── reviews


@pytest.mark.parametrize("has_moments", [True, False])
def test_an_approval_is_on_the_version_that_stood_there_when_it_was_given(server, has_moments):
    server.has_moments = has_moments
    server.open_by("carol", BRANCH)
    first = server.tip(BRANCH)
    server.review("alice", 1)
    second = grown(server, BRANCH, "more")
    server.head(1)
    server.review("bob", 1)
    for text in ("a", "b", "c", "d"):
        grown(server, BRANCH, text)
        server.head(1)
    found = client(server).reviews(opened(server))
    assert [(one.author.login, one.word, one.commit) for one in found] == [
        ("alice", "approved", first),
        ("bob", "approved", second),
    ]


def test_an_approval_from_before_the_first_known_version_has_no_commit(server):
    server.open_by("carol", BRANCH)
    server.review("bob", 1)
    for version in server.pulls[1]["versions"]:
        version["created_at"] = server.now()
    (found,) = client(server).reviews(opened(server))
    assert (found.word, found.commit) == ("approved", "")


def test_an_approval_without_any_moment_has_no_commit(server):
    server.open_by("carol", BRANCH)
    server.review("bob", 1)
    server.fail(
        "GET", "/approvals$", 200, data={"approved_by": [{"user": {"id": 1002, "username": "bob"}}, {"user": None}]}
    )
    server.fail("GET", "/notes$", 200, data=[])
    found = client(server).reviews(opened(server))
    assert {(one.author.id, one.commit) for one in found} == {(1002, ""), (0, "")}


def test_who_asks_for_changes_rejects_and_who_takes_an_approval_back_approves_no_more(server):
    server.open_by("carol", BRANCH)
    server.review("alice", 1, "rejected")
    taken = server.review("bob", 1)
    assert {(one.author.login, one.word) for one in client(server).reviews(opened(server))} == {
        ("alice", "rejected"),
        ("bob", "approved"),
    }
    server.dismiss(taken)
    assert [one.word for one in client(server).reviews(opened(server))] == ["rejected"]


# ── notes and statuses


def test_a_status_is_set_under_its_name_and_pending_stays_pending(server):
    oid, forge = server.tip(BRANCH), client(server)
    for verdict in ("pending", "pending", "failure", "success", "error"):
        forge.set_status(
            oid, Status("registry/verdict", verdict, "one\napproval " + "x" * 300, "https://example.com/1")
        )
    assert [one["state"] for one in server.statuses] == ["pending", "failed", "success", "failed"]
    assert server.statuses[0]["description"].startswith("one approval ")
    assert len(server.statuses[0]["description"]) == 255


def test_a_verdict_that_gitlab_does_not_take_is_no_secret(server):
    server.fail("POST", "/statuses/", 400, data={"message": "Cannot transition status via :drop from :success"})
    with pytest.raises(Refused, match="Cannot transition"):
        client(server).set_status(server.tip(BRANCH), Status("registry/verdict", "failure", "no"))


# ── landing


def test_it_merges_the_head_that_was_judged_with_a_merge_commit(server):
    server.open_by("alice", BRANCH)
    server.checking = 3
    head, base = server.tip(BRANCH), server.tip("main")
    made = client(server).merge(opened(server), head=head, message="Promote fraud@1\n\nPull-Request: 1")
    assert made == server.tip("main")
    assert server.git("rev-list", "--parents", "-1", made).split()[1:] == [base, head]
    assert server.writes()[-1].body["squash"] is False


@pytest.mark.parametrize("after", [True, False])
def test_a_merge_whose_answer_is_lost_is_looked_up(server, after):
    server.open_by("alice", BRANCH)
    server.fail("PUT", "/merge$", 0, after=after)
    made = client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    assert made == server.tip("main")
    assert server.git("rev-list", "--count", "--merges", "main") == "1"


def test_what_forbids_a_merge_is_said(server):
    server.open_by("alice", BRANCH)
    grown(server, BRANCH, "a", path="same")
    grown(server, "main", "b", path="same")
    with pytest.raises(Refused, match="conflicts with its target") as told:
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    assert told.value.status == 405


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("ci_must_pass", "pipeline has not succeeded"), ("not_approved", "approvals are missing"),
        ("discussions_not_resolved", "threads"), ("requested_changes", "asks for changes"), ("a_new_one", "405"),
    ],
)  # fmt: skip
def test_the_reason_stands_beside_the_refusal_and_is_said(server, status, words):
    server.open_by("alice", BRANCH)
    server.blocked, before = status, server.tip("main")
    with pytest.raises(Refused, match=words):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    assert server.tip("main") == before


def test_who_may_not_merge_is_told_so_and_not_that_the_token_is_wrong(server):
    server.open_by("alice", BRANCH)
    server.no_mergers = ["alice"]
    with pytest.raises(Refused, match="may not merge into that branch") as told:
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    assert "does not accept the token" not in str(told.value)


def test_it_waits_while_gitlab_finds_out_and_not_for_ever(server):
    server.open_by("alice", BRANCH)
    server.checking = 99
    with pytest.raises(Refused, match="still finds out"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")
    assert opened(server).state == "open"


@pytest.mark.parametrize(("how", "way"), [("squash", "merge"), ("squash", "ff"), ("rebase", "ff")])
def test_one_that_landed_another_way_meanwhile_is_not_taken_for_the_merge(server, how, way):
    server.open_by("alice", BRANCH)
    server.project["merge_method"] = way
    grown(server, "main", "meanwhile")
    server.merge_by_button(1, how=how)
    with pytest.raises(Refused, match="another way"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")


def test_one_that_landed_by_the_button_as_it_would_here_is_the_merge(server):
    server.open_by("alice", BRANCH)
    made = server.merge_by_button(1)
    assert client(server).merge(opened(server), head=server.tip(BRANCH), message="x") == made


@pytest.mark.parametrize("prefix", ["Draft: ", "[Draft] ", "(draft) ", "draft:"])
def test_a_draft_stays_one_and_is_not_merged(server, prefix):
    client(server).open(WANTED)
    server.pulls[1]["title"] = prefix + "other words"
    got = client(server).open(WANTED)
    assert got.request.title == "Draft: Promote fraud@1"
    writes = len(server.writes())
    client(server).open(WANTED)
    assert len(server.writes()) == writes
    with pytest.raises(Refused, match="it is a draft"):
        client(server).merge(opened(server), head=server.tip(BRANCH), message="x")


def test_a_jobs_own_token_is_told_what_it_may_not(server):
    server.open_by("alice", BRANCH)
    token = Token(server.accounts["robot"].token, "JOB-TOKEN", "", "CI_JOB_TOKEN")
    api = Api(f"{server.url}/api/v4/", name="GitLab", token=token, wait=lambda _: None)
    with pytest.raises(Refused, match="CI_JOB_TOKEN has none") as told:
        GitLab(api, server.url, server.path).comment(opened(server), MARKER, f"{MARKER}\nthe plan")
    assert "GITLAB_TOKEN" in told.value.hint
    assert token.secret not in repr(told.value) + str(told.value) + told.value.hint
    assert server.writes() == []


def test_versions_are_in_the_order_in_which_they_came(server):
    server.open_by("alice", BRANCH)
    for text in ("two", "three", "four"):
        grown(server, BRANCH, text)
        opened(server)
    head = server.tip(BRANCH)
    for one in server.pulls[1]["versions"]:
        one["created_at"] = "2026-11-25T08:00:00.000Z"
    server.review("bob", 1)
    (found,) = client(server).reviews(opened(server))
    assert found.commit == head


def test_a_version_without_its_time_is_not_passed_over(server):
    server.open_by("alice", BRANCH)
    server.review("bob", 1)
    server.pulls[1]["versions"][0]["created_at"] = None
    with pytest.raises(RegistryError, match="without its time"):
        client(server).reviews(opened(server))


# ── settings

GOOD: dict[str, Any] = {
    "merge_method": "rebase_merge", "squash_option": "never", "only_allow_merge_if_pipeline_succeeds": True,
    "allow_merge_on_skipped_pipeline": False, "ci_config_path": ".gitlab-ci.yml@acme/judges",
}  # fmt: skip
RULE: dict[str, Any] = {
    "name": "main", "push_access_levels": [{"access_level": 0}], "merge_access_levels": [{"access_level": 40}],
    "allow_force_push": False,
}  # fmt: skip


def said(server: LocalGitLab, login: str = "alice") -> dict[str, bool | None]:
    return {one.what: one.is_open for one in client(server, login).settings(GUARDED)}


def guard(server: LocalGitLab, rule: dict[str, Any] | None = None, **project: Any) -> None:
    server.accounts["alice"].may = "admin"
    server.project, server.branches, server.tags = {**GOOD, **project}, [{**RULE, **(rule or {})}], [{"name": "*"}]
    server.rights = {"reset_approvals_on_push": True, "disable_overriding_approvers_per_merge_request": True}
    server.approval_rules = [{"id": 1, "name": "who decides", "approvals_required": 1}]


def test_nothing_is_open_where_everything_is_guarded(server):
    guard(server)
    assert set(said(server).values()) == {False}


def test_everything_is_open_where_nothing_is_guarded(server):
    server.accounts["alice"].may = "admin"
    assert {what for what, is_open in said(server).items() if is_open} == {
        "squash",
        "verdict",
        "up to date",
        "workflow",
        "pushes",
        "tags",
    }


@pytest.mark.parametrize(
    ("what", "rule", "project"),
    [
        ("merges", {}, {"merge_method": "ff"}),
        ("squash", {}, {"squash_option": "default_off"}),
        ("verdict", {}, {"only_allow_merge_if_pipeline_succeeds": False}),
        ("verdict", {}, {"allow_merge_on_skipped_pipeline": True}),
        ("up to date", {}, {"merge_method": "merge"}),
        ("workflow", {}, {"ci_config_path": None}),
        ("pushes", {"push_access_levels": [{"access_level": 40}]}, {}),
        ("pushes", {"push_access_levels": None}, {}),
        ("rewriting", {"allow_force_push": True}, {}),
    ],
)
def test_each_setting_that_lets_through_is_said(server, what, rule, project):
    guard(server, rule, **project)
    assert said(server)[what] is True


def test_what_only_maintainers_see_is_not_called_good(server):
    guard(server)
    assert said(server, "bob")["protection"] is None


def test_tags_of_releases_are_kept_by_what_takes_them_all_in(server):
    guard(server)
    server.tags = [{"name": "v*"}]
    assert said(server)["tags"] is True


@pytest.mark.parametrize("pattern", ["*", "m*", "*ai*", "main"])
def test_the_most_permissive_rule_that_takes_the_branch_in_decides(server, pattern):
    guard(server)
    server.branches += [{**RULE, "name": f"other-{n}"} for n in range(3)]
    server.branches.append({"name": pattern, "push_access_levels": [{"access_level": 30}], "allow_force_push": True})
    found = said(server)
    assert (found["pushes"], found["rewriting"]) == (True, True)


@pytest.mark.parametrize("pattern", ["release/*", "ma", "mai.", "main*x", ""])
def test_a_rule_of_other_branches_neither_opens_nor_guards_this_one(server, pattern):
    guard(server)
    server.branches.append({"name": pattern, "push_access_levels": [{"access_level": 30}], "allow_force_push": True})
    assert set(said(server).values()) == {False}
    server.branches = [{**RULE, "name": pattern}]
    assert said(server)["pushes"] is True


def test_one_rule_with_a_pattern_guards_as_well(server):
    guard(server, {"name": "*"})
    assert set(said(server).values()) == {False}


@pytest.mark.parametrize("who", ["user_id", "group_id", "deploy_key_id"])
def test_somebody_who_is_named_may_push(server, who):
    guard(server, {"push_access_levels": [{"access_level": 0}, {"access_level": 0, who: 7}]})
    assert said(server)["pushes"] is True


def test_what_gitlab_asks_of_approvals_is_said_and_is_no_way_around_the_verdict(server):
    def told() -> tuple[bool | None, str]:
        (one,) = (one for one in client(server).settings(GUARDED) if one.what == "reviews")
        return one.is_open, one.message

    guard(server)
    assert told() == (False, "GitLab itself asks for approvals too, and takes them away when commits come")
    server.rights |= {"reset_approvals_on_push": False, "disable_overriding_approvers_per_merge_request": False}
    assert told() == (False, "GitLab itself asks for approvals too, which whoever opens a merge request may change")
    server.approval_rules = [{"id": n, "approvals_required": 0} for n in range(4)]
    assert told()[0] is False
    assert "asks for no approval" in told()[1]
    server.rights = None
    assert told()[0] is None


def test_what_a_project_does_not_show_is_neither_open_nor_closed(server):
    guard(server)
    server.project = {}
    found = client(server).settings(GUARDED)
    unknown = {one.what for one in found if one.is_open is None}
    assert unknown == {"merges", "squash", "verdict", "up to date", "workflow"}
    assert all(one.repair for one in found if one.is_open is not False)


def test_it_says_where_a_head_is(server):
    server.open_by("alice", BRANCH)
    request = opened(server)
    assert server.git("rev-parse", client(server).ref(request)) == request.head


def test_no_token_shows(server):
    forge = client(server)
    server.fail("GET", "/merge_requests/1$", 403, data={"message": f"you sent {server.accounts['alice'].token}"})
    with pytest.raises(Refused) as told:
        forge.request(1)
    assert server.accounts["alice"].token not in repr(told.value) + str(told.value) + repr(forge._api.__dict__)
