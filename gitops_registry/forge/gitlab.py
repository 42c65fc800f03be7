"""Merge requests on GitLab, which we call pull requests as everywhere: REST, API v4.

GitLab's approvals name no commit. Each push is a version of the merge request with its moment, and an approval is on
the version that stood there when it was given; where either moment is missing, the commit is not known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from gitops_registry.errors import Moved, NotFound, RegistryError
from gitops_registry.forge.gitlab_answers import drafted, heads, own_account, why_not_merged
from gitops_registry.forge.gitlab_settings import approving, branch_rules, configuration, merging, tag_rule
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import (
    Guarded,
    Kind,
    Opened,
    Person,
    PullRequest,
    Refused,
    Review,
    Setting,
    State,
    Status,
    Unanswered,
    Verdict,
    Wanted,
    fitting,
)
from gitops_registry.forge.reading import (
    are_one,
    dig,
    entries,
    is_commit,
    is_same,
    moment,
    number,
    part,
    person,
    short,
    text,
)

_STATES: dict[str, State] = {"opened": "open", "locked": "open", "closed": "closed", "merged": "merged"}
_VERDICTS: dict[Verdict, str] = {"success": "success", "failure": "failed", "error": "failed", "pending": "pending"}
_TITLE_LIMIT = 255
_TEXT_LIMIT = 1_000_000
_STATUS_LIMIT = 255
_PAGE = 100
_LOOKS = 10
_PAUSE = 1.0


class GitLab:
    """One project on a GitLab server. `path` is its full path, groups and all."""

    kind: Kind = "gitlab"

    def __init__(self, api: Api, server: str, path: str, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._wait = wait
        self._here = f"projects/{part(path)}"
        self.url = f"{server}/{path}"
        self._own: int | None = None

    # ── looking

    def person(self, login: str) -> Person:
        """Return the account of that login. Raises NotFound where there is none."""
        for one in self._api.pages("users", username=login):
            if text(one, "username").lower() == login.lower():
                return person(one, login="username")
        raise NotFound(f"GitLab has no account {login}", hint="look at the spelling")

    def request(self, number: int) -> PullRequest:
        """Return one merge request."""
        return self._read(self._api.get(f"{self._here}/merge_requests/{number}"))

    def requests_of(self, commit: str) -> list[PullRequest]:
        """Return the merge requests whose head is a commit, or that landed as it, newest first."""
        try:
            listed = list(
                self._api.pages(f"{self._here}/repository/commits/{part(commit)}/merge_requests", per_page=_PAGE)
            )
        except NotFound:
            return []
        found = [self.request(number(one, "iid")) for one in listed]
        return sorted((r for r in found if r.state == "merged" or commit == r.head), key=lambda one: -one.number)

    def _read(self, data: Any) -> PullRequest:
        oid, state = number(data, "iid"), _STATES.get(text(data, "state"), "closed")
        if not is_commit(text(data, "sha")) or not text(data, "target_branch"):
            raise RegistryError(
                f"GitLab shows merge request {oid} without its head or its target", hint="try again in a while"
            )
        landed = text(data, "merge_commit_sha") or text(data, "squash_commit_sha") or text(data, "sha")
        merger = dig(data, "merge_user") or dig(data, "merged_by")
        return PullRequest(
            number=oid, url=text(data, "web_url") or f"{self.url}/-/merge_requests/{oid}", title=text(data, "title"), body=text(data, "description"),
            branch=text(data, "source_branch"), base=text(data, "target_branch"), head=text(data, "sha"),
            author=person(dig(data, "author"), login="username"), state=state,
            is_foreign=not are_one(dig(data, "source_project_id"), dig(data, "target_project_id")),
            merged_as=landed if state == "merged" else "",
            merged_by=person(merger, login="username") if merger else None,
        )  # fmt: skip

    def reviews(self, request: PullRequest) -> list[Review]:
        """Return who approves now and who asks for changes, oldest first, each on the version they saw."""
        here = f"{self._here}/merge_requests/{request.number}"
        versions = heads(self._api.pages(f"{here}/versions", per_page=_PAGE))
        given = {
            person(dig(one, "user"), login="username"): text(one, "approved_at")
            for one in entries(self._api.get(f"{here}/approvals"), "approved_by")
        }
        noted = self._noted(here) if not all(given.values()) else {}
        found = []
        for who, at in given.items():
            when = at or noted.get(who, "")
            seen = [oid for created, oid in versions if when and created < moment(when)]
            found.append(Review(f"approval-{who.id}", who, "approved", seen[-1] if seen else "", moment(when)))
        for one in self._reviewers(here):
            who = person(dig(one, "user"), login="username")
            if text(one, "state") == "requested_changes" and who not in given:
                found.append(
                    Review(
                        f"changes-{who.id}",
                        who,
                        "rejected",
                        request.head,
                        moment(text(one, "created_at")),
                        "asks for changes",
                    )
                )
        return sorted(found, key=lambda review: review.time)

    def _noted(self, here: str) -> dict[Person, str]:
        """Return when people approved last, as the notes of the system say: older servers say it nowhere else."""
        notes = self._api.pages(f"{here}/notes", per_page=_PAGE, sort="asc", order_by="created_at")
        return {
            person(dig(note, "author"), login="username"): text(note, "created_at")
            for note in notes
            if dig(note, "system") is True and text(note, "body") == "approved this merge request"
        }

    def _reviewers(self, here: str) -> list[Any]:
        try:
            return list(self._api.pages(f"{here}/reviewers", per_page=_PAGE))
        except NotFound:
            return []

    # ── writing

    def open(self, wanted: Wanted) -> Opened:
        """Open a merge request, or bring the open one of that branch and base to what is wanted."""
        title, body = short(" ".join(wanted.title.split()), _TITLE_LIMIT), short(wanted.body, _TEXT_LIMIT)
        there, is_new = self._open_one(wanted), False
        if there is None:
            there, is_new = self._create(wanted, title, body)
        title = drafted(text(there, "title"), title, _TITLE_LIMIT)
        change = {} if text(there, "title") == title else {"title": title}
        if not is_same(text(there, "description"), body):
            change["description"] = body
        here = f"{self._here}/merge_requests/{number(there, 'iid')}"
        if change:
            there = self._api.send("PUT", here, json=change).data
        notes = [*self._label(here, there, wanted.labels), *self._ask(here, there, wanted.reviewers)]
        return Opened(self._read(there), is_new, tuple(notes))

    def _label(self, here: str, there: Any, labels: Sequence[str]) -> list[str]:
        has = {label.lower() for label in entries(there, "labels") if isinstance(label, str)}
        missing = [label for label in labels if label.lower() not in has and "," not in label]
        if not missing:
            return []
        try:
            self._api.send("PUT", here, json={"add_labels": ",".join(missing)})
        except RegistryError as error:
            return [f"without the labels {', '.join(missing)}: {error.message}"]
        return []

    def _ask(self, here: str, there: Any, logins: Sequence[str]) -> list[str]:
        """Ask people to review who were not; nobody is taken away. Without a paid plan GitLab keeps one of them."""
        numbers, notes = self._new_reviewers(there, logins)
        if not numbers:
            return notes
        try:
            kept = self._api.send("PUT", here, json={"reviewer_ids": numbers}).data
        except RegistryError as error:
            return [*notes, f"nobody new was asked to review: {error.message}"]
        if len(entries(kept, "reviewers")) < len(numbers):
            notes.append("GitLab asks fewer people to review than the registry names")
        return notes

    def _open_one(self, wanted: Wanted) -> Any:
        found = self._api.pages(
            f"{self._here}/merge_requests", state="opened", source_branch=wanted.branch, target_branch=wanted.base, per_page=_PAGE
        )  # fmt: skip
        for one in found:
            seen = self._read(one)
            if (seen.branch, seen.base, seen.is_foreign, seen.state) == (wanted.branch, wanted.base, False, "open"):
                return one
        return None

    def _create(self, wanted: Wanted, title: str, body: str) -> tuple[Any, bool]:
        """Open one and say that it is new; where its answer is lost, or somebody was first, look for it: it may be there."""
        told = {
            "source_branch": wanted.branch, "target_branch": wanted.base, "title": title, "description": body,
            "squash": False, "remove_source_branch": False,
        }  # fmt: skip
        try:
            return self._api.send("POST", f"{self._here}/merge_requests", json=told).data, True
        except (Unanswered, Refused) as error:
            if isinstance(error, Refused) and error.status != 409:
                raise
            found = self._open_one(wanted)
            if found is None:
                raise
            return found, isinstance(error, Unanswered)

    def _new_reviewers(self, there: Any, logins: Sequence[str]) -> tuple[list[int], list[str]]:
        """Return the numbers of all reviewers where some are missing (nobody is taken away), and notes about unknown ones."""
        asked = {text(one, "username").lower(): number(one, "id") for one in entries(there, "reviewers")}
        author = person(dig(there, "author"), login="username").login.lower()
        missing = [login for login in logins if login.lower() not in {*asked, author}]
        notes, new = [], []
        for login in missing:
            try:
                new.append(self.person(login).id)
            except RegistryError as error:
                notes.append(f"{login} was not asked to review: {error.message}")
        return [*asked.values(), *new] if new else [], notes

    def comment(self, request: PullRequest, marker: str, body: str) -> str:
        """Write the note that begins with a marker, or bring this account's own one to these words."""
        body, here = short(body, _TEXT_LIMIT), f"{self._here}/merge_requests/{request.number}/notes"
        found = self._api.once(lambda: self._note_of(here, marker), here, json={"body": body})
        oid = number(found, "id")
        if not is_same(text(found, "body"), body):
            self._api.send("PUT", f"{here}/{oid}", json={"body": body})
        return f"{request.url}#note_{oid}"

    def _note_of(self, here: str, marker: str) -> Any:
        """Return the oldest note of this token's own account that begins with a marker; None without one."""
        if self._own is None:
            self._own = own_account(self._api)
        for one in self._api.pages(here, per_page=_PAGE, sort="asc", order_by="created_at"):
            if text(one, "body").startswith(marker) and dig(one, "author", "id") == self._own:
                return one
        return None

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a commit came to. GitLab refuses to call pending what is pending, which is as well."""
        description = short(" ".join(status.text.split()), _STATUS_LIMIT)
        told = {"state": _VERDICTS[status.verdict], "name": status.name, "description": description}
        told |= {"target_url": status.url} if status.url else {}
        try:
            self._api.send("POST", f"{self._here}/statuses/{part(commit)}", json=told, may_repeat=True)
        except Refused as error:
            said = "cannot transition" in error.message.lower() and "pending" in error.message.lower()
            if error.status != 400 or not said or told["state"] != "pending":
                raise

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Let GitLab make a merge commit of exactly that head, and return it."""
        here, reason = f"{self._here}/merge_requests/{request.number}", ""
        for _ in range(_LOOKS):  # it finds out in the background whether it can be merged
            reason = text(self._api.get(here), "detailed_merge_status")
            if reason not in {"checking", "unchecked", "preparing", "approvals_syncing"}:
                break
            self._wait(_PAUSE)
        told = {"sha": head, "squash": False, "merge_commit_message": message}
        try:
            made = self._read(self._api.send("PUT", f"{here}/merge", json=told).data)
        except (Refused, Unanswered) as error:
            made = self.request(request.number)
            if made.head != head:
                raise Moved(
                    f"pull request {request.number} has another commit by now, {made.head[:12]}",
                    hint="look at it again",
                ) from error
            if made.state != "merged":
                raise why_not_merged(error, reason) from error
        if made.head != head or made.state != "merged" or not made.merged_as:
            raise Unanswered("GitLab took the merge and does not show it yet", hint="run it again in a moment")
        parents = entries(self._api.get(f"{self._here}/repository/commits/{part(made.merged_as)}"), "parent_ids")
        if len(parents) != 2 or parents[1] != head:
            raise Refused(
                f"GitLab landed pull request {request.number} in another way than by a merge commit of its head",
                hint="gitops-registry check --landed says what to do",
                status=409,
            )
        return made.merged_as

    # ── settings

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return how GitLab guards the branch: the project's ways to merge, protected branches and tags, where CI comes from."""
        project, page = self._api.get(self._here), f"{self.url}/-/settings"
        found = [*merging(project, guarded, page), configuration(project, page)]
        found += approving(self._shown("approvals"), self._shown("approval_rules"), page)
        branches, tags = self._shown("protected_branches"), self._shown("protected_tags")
        if not isinstance(branches, list) or not isinstance(tags, list):
            told = "how branches and tags are protected is shown to maintainers only"
            return fitting([*found, Setting("protection", None, told, f"{page}/repository")])
        found += branch_rules(branches, guarded.branch, f"{page}/repository")
        return fitting([*found, tag_rule(tags, f"{page}/repository")])

    def _shown(self, what: str) -> Any:
        """Return a part of the settings; None where this token may not read it, or the server has none of it."""
        try:
            if what == "approvals":
                return self._api.get(f"{self._here}/{what}")
            return list(self._api.pages(f"{self._here}/{what}", per_page=_PAGE))
        except (Refused, NotFound):
            return None

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the ref that has a merge request's head."""
        return f"refs/merge-requests/{request.number}/head"
