"""Pull requests on GitHub, and on a GitHub Enterprise Server: REST, API version 2022-11-28.

GitHub moves a review that was given to the commit that a forced push puts in its place, so a review that is older than a
forced push is told without a commit. A list names no merger, and who a job's token belongs to is told by GraphQL alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from gitops_registry.errors import Moved, NotFound, RegistryError
from gitops_registry.forge import github_answers as answers
from gitops_registry.forge.guards import github_settings
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
    Status,
    Unanswered,
    Wanted,
    fitting,
)
from gitops_registry.forge.reading import NOBODY, dig, entries, is_commit, is_same, number, part, person, short, text

_TEXT_LIMIT = 65_536
_TITLE_LIMIT = 256
_LABEL_LIMIT = 50
_STATUS_LIMIT = 140
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between looks at a pull request of which GitHub does not know yet whether it merges."""
_JOB = "github-actions[bot]"


class GitHub:
    """One repository on a GitHub server. `path` is `owner/name`."""

    kind: Kind = "github"

    def __init__(self, api: Api, server: str, path: str, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._owner, _, name = path.partition("/")
        self._here = f"repos/{part(self._owner)}/{part(name)}"
        self._wait = wait
        self._own: Person | None = None
        self.url = f"{server}/{path}"

    # ── looking

    def person(self, login: str) -> Person:
        """Return the account of that login."""
        found = person(self._api.get(f"users/{part(login)}"))
        if found == NOBODY:
            raise RegistryError(f"GitHub shows the account {login} without a number", hint="is that address its API?")
        return found

    def request(self, number: int) -> PullRequest:
        """Return one pull request."""
        return self._read(self._api.get(f"{self._here}/pulls/{number}"))

    def requests_of(self, commit: str) -> list[PullRequest]:
        """Return the pull requests whose head is a commit, or that brought it to where it landed, newest first."""
        try:
            listed = list(self._api.pages(f"{self._here}/commits/{part(commit)}/pulls", per_page=100))
        except NotFound:
            self._api.get(self._here)  # without a right to look, nothing is there; that must not read as none
            return []
        except Refused as error:
            if error.status != 422:  # no commit of that id is known there
                raise
            return []
        found = [self._read(one) for one in listed]
        found = [one for one in found if one.state == "merged" or one.head == commit]
        return sorted((self._whole(one) for one in found), key=lambda one: -one.number)

    def _whole(self, request: PullRequest) -> PullRequest:
        """Return a merged pull request with who let it: lists do not say that."""
        return self.request(request.number) if request.state == "merged" else request

    def _read(self, data: Any) -> PullRequest:
        return answers.pull_request(data, self.url)

    def reviews(self, request: PullRequest) -> list[Review]:
        """Return what was said, oldest first; a review that nobody submitted yet is left out.

        One from before the branch was rewritten has no commit: GitHub may have moved it to one that nobody looked at.
        """
        found = [
            answers.review(one)
            for one in self._api.pages(f"{self._here}/pulls/{request.number}/reviews", per_page=100)
            if text(one, "state").upper() in answers.WORDS
        ]
        if any(one.word == "approved" for one in found):
            rewritten = self._rewritten(request)
            found = [replace(one, commit="") if rewritten and one.time <= rewritten else one for one in found]
        return sorted(found, key=lambda review: (review.time, int(review.id)))

    def _rewritten(self, request: PullRequest) -> datetime | None:
        """Return when a pull request's branch was last pushed to by force; None where it never was."""
        try:
            events = list(self._api.pages(f"{self._here}/issues/{request.number}/events", per_page=100))
        except (NotFound, Refused) as error:
            raise RegistryError(
                f"GitHub does not show whether the branch of pull request {request.number} was rewritten after its reviews: {error.message}",
                hint="the token needs to read issues (in a workflow: permissions: issues: read)",
            ) from error
        return max(
            (answers.rewritten(one) for one in events if text(one, "event") == "head_ref_force_pushed"),
            default=None,
        )

    # ── writing

    def open(self, wanted: Wanted) -> Opened:
        """Open a pull request, or bring the open one of that branch and base to what is wanted."""
        title, body = short(" ".join(wanted.title.split()), _TITLE_LIMIT), short(wanted.body, _TEXT_LIMIT)
        there, is_new = self._open_one(wanted), False
        if there is None:
            there, is_new = self._create(wanted, title, body)
        change = {} if text(there, "title") == title else {"title": title}
        if not is_same(text(there, "body"), body):
            change["body"] = body
        if change:
            there = self._api.send("PATCH", f"{self._here}/pulls/{number(there, 'number')}", json=change).data
        notes = [*self._label(there, wanted.labels), *self._ask(there, wanted.reviewers)]
        return Opened(self._read(there), is_new, tuple(notes))

    def _open_one(self, wanted: Wanted, *, anywhere: bool = False) -> Any:
        """Return the open pull request of a branch and base; `anywhere`: also of an owner whose name is another by now."""
        params = {} if anywhere else {"head": f"{self._owner}:{wanted.branch}"}
        for one in self._api.pages(f"{self._here}/pulls", state="open", base=wanted.base, per_page=100, **params):
            found = self._read(one)
            if (found.branch, found.base, found.is_foreign, found.state) == (wanted.branch, wanted.base, False, "open"):
                return one
        return None

    def _create(self, wanted: Wanted, title: str, body: str) -> tuple[Any, bool]:
        """Open one and say that it is new; where its answer is lost, or somebody was first, look for it: it may be there."""
        told = {"title": title, "body": body, "head": wanted.branch, "base": wanted.base}
        try:
            return self._api.send("POST", f"{self._here}/pulls", json=told).data, True
        except (Unanswered, Refused) as error:
            if isinstance(error, Refused) and error.status != 422:
                raise
            found = self._open_one(wanted, anywhere=True)
            if found is None:
                raise
            return found, isinstance(error, Unanswered)

    def _label(self, there: Any, labels: Sequence[str]) -> list[str]:
        has = {text(label, "name").lower() for label in entries(there, "labels")}
        wanted = {label[:_LABEL_LIMIT].lower(): label[:_LABEL_LIMIT] for label in labels if label}
        missing = [label for name, label in wanted.items() if name not in has]
        if not missing:
            return []
        try:
            self._api.send("POST", f"{self._here}/issues/{number(there, 'number')}/labels", json={"labels": missing})
        except RegistryError as error:
            return [f"without the labels {', '.join(missing)}: {error.message}"]
        return []

    def _ask(self, there: Any, reviewers: Sequence[str]) -> Iterator[str]:
        """Ask people to review, each on their own: one whom GitHub does not know keeps nobody else from being asked."""
        asked = {text(one, "login").lower() for one in entries(there, "requested_reviewers")}
        asked.add(text(there, "user", "login").lower())
        missing = {login.lower(): login for login in reviewers if login.lower() not in asked}
        if not missing:
            return
        request = self._read(there)
        for one in self._api.pages(f"{self._here}/pulls/{request.number}/reviews", per_page=100):
            missing.pop(text(one, "user", "login").lower(), None)  # GitHub forgets whom it asked when they answer
        for login in missing.values():
            try:
                path = f"{self._here}/pulls/{request.number}/requested_reviewers"
                self._api.send("POST", path, json={"reviewers": [login]})
            except RegistryError as error:
                yield f"{login} was not asked to review: {error.message}"

    def comment(self, request: PullRequest, marker: str, body: str) -> str:
        """Write the comment that begins with a marker, or bring this account's own one to these words; return its page."""
        body = short(body, _TEXT_LIMIT)
        path = f"{self._here}/issues/{request.number}/comments"
        found = self._api.once(lambda: self._comment_of(request, marker), path, json={"body": body})
        oid = number(found, "id")
        if not is_same(text(found, "body"), body):
            found = self._api.send("PATCH", f"{self._here}/issues/comments/{oid}", json={"body": body}).data
        return text(found, "html_url") or f"{request.url}#issuecomment-{oid}"

    def _comment_of(self, request: PullRequest, marker: str) -> Any:
        """Return the oldest comment of this token's own account that begins with a marker; None without one."""
        for one in self._api.pages(f"{self._here}/issues/{request.number}/comments", per_page=100):
            if text(one, "body").startswith(marker) and self._is_own(dig(one, "user")):
                return one
        return None

    def _is_own(self, author: Any) -> bool:
        """Say whether an account is this token's: by its number, or by its login where GitHub tells nothing but that."""
        me = self._me()
        if me.id:
            return person(author).id == me.id
        return text(author, "login") == me.login and text(author, "type") == "Bot"

    def _me(self) -> Person:
        """Return whose token this is; that of an app, or of its job, may not ask the usual way."""
        if self._own is not None:
            return self._own
        try:
            self._own = person(self._api.get("user"))
        except (NotFound, Refused) as error:
            if isinstance(error, Refused) and error.status in {401, 429}:
                raise
            self._own = NOBODY
        if self._own == NOBODY:
            self._own = self._viewer()
        return self._own

    def _viewer(self) -> Person:
        query = {"query": "query { viewer { login databaseId } }"}
        try:
            found = dig(self._api.send("POST", "../graphql", json=query).data, "data", "viewer")
        except RegistryError:
            found = None
        oid = dig(found, "databaseId")
        known = isinstance(oid, int) and not isinstance(oid, bool)
        return Person(oid if known else 0, text(found, "login") or _JOB)

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a commit came to; the newest status of a name counts."""
        description = short(" ".join(status.text.split()), _STATUS_LIMIT)
        told = {"state": status.verdict, "context": status.name, "description": description}
        told |= {"target_url": status.url} if status.url else {}
        self._api.send("POST", f"{self._here}/statuses/{part(commit)}", json=told, may_repeat=True)

    # ── landing

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Let GitHub make a merge commit of exactly that head, and return it."""
        now, merges = self._settled(request.number)
        if now.state == "merged":
            return self._landed(now, head)
        _insist(now, head)
        if now.state == "closed" or merges is False:
            why = "is closed" if now.state == "closed" else f"does not merge into {now.base}: the two conflict"
            raise Refused(f"pull request {now.number} {why}", hint="run the command that made it once more", status=405)
        title, _, body = message.strip().partition("\n")
        told = {"merge_method": "merge", "sha": head, "commit_title": title, "commit_message": body.strip()}
        try:
            made = text(self._api.send("PUT", f"{self._here}/pulls/{now.number}/merge", json=told).data, "sha")
        except (Refused, Unanswered) as error:
            now = self.request(now.number)
            if now.state == "merged":
                return self._landed(now, head)
            _insist(now, head)
            if isinstance(error, Refused) and (
                error.status == 409 or "base branch was modified" in error.message.lower()
            ):
                raise Moved(f"{now.branch} or {now.base} moved while it was merged", hint="check it again") from error
            raise
        return made if is_commit(made) else self._landed(self.request(now.number), head)

    def _settled(self, number: int) -> tuple[PullRequest, Any]:
        """Return a pull request and whether it merges; after a push, GitHub needs a moment to find that out."""
        path = f"{self._here}/pulls/{number}"
        data = self._api.get(path)
        for pause in _PAUSES:
            if dig(data, "mergeable") is not None or text(data, "state") != "open":
                break
            self._wait(pause)
            data = self._api.get(path)
        return self._read(data), dig(data, "mergeable")

    def _landed(self, now: PullRequest, head: str) -> str:
        """Return the commit that a pull request landed as. Raises Refused where that is no merge commit of a head."""
        _insist(now, head)
        if now.state != "merged" or not is_commit(now.merged_as):
            raise Unanswered("GitHub took the merge and does not show it yet", hint="run it again in a moment")
        shown = self._api.get(f"{self._here}/git/commits/{part(now.merged_as)}")
        parents = [text(parent, "sha") for parent in entries(shown, "parents")]
        if len(parents) != 2 or parents[1] != head:
            raise Refused(
                f"pull request {now.number} was merged another way than by a merge commit of what was judged",
                hint="gitops-registry check --landed says what that means",
            )
        return now.merged_as

    # ── settings

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return how GitHub guards the branch: rulesets, which everybody may read, and what else the token may."""
        return fitting(github_settings(self._api, self._here, guarded, f"{self.url}/settings"))

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the ref that has a pull request's head."""
        return f"refs/pull/{request.number}/head"


def _insist(now: PullRequest, head: str) -> None:
    if now.head != head:
        raise Moved(f"{now.branch} is at {now.head[:12]} by now, not at {head[:12]}", hint="check it again, then merge")
