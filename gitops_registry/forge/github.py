"""Pull requests on GitHub, and on a GitHub Enterprise Server: REST, API version 2022-11-28."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gitops_registry.errors import Moved, NotFound, RegistryError
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
    State,
    Status,
    Unanswered,
    Wanted,
    Word,
)
from gitops_registry.forge.reading import dig, entries, moment, number, part, person, text

_WORDS: dict[str, Word] = {
    "APPROVED": "approved", "CHANGES_REQUESTED": "rejected", "COMMENTED": "commented", "DISMISSED": "dismissed",
}  # fmt: skip
_COMMENT_LIMIT = 65_536
_LABEL_LIMIT = 50


class GitHub:
    """One repository on a GitHub server. `path` is `owner/name`."""

    kind: Kind = "github"

    def __init__(self, api: Api, server: str, path: str) -> None:
        self._api = api
        self._path = path
        self._owner, _, name = path.partition("/")
        self._here = f"repos/{part(self._owner)}/{part(name)}"
        self.url = f"{server}/{path}"

    # ── looking

    def person(self, login: str) -> Person:
        """Return the account of that login."""
        return person(self._api.get(f"users/{part(login)}"))

    def request(self, number: int) -> PullRequest:
        """Return one pull request."""
        return self._read(self._api.get(f"{self._here}/pulls/{number}"))

    def requests_of(self, commit: str) -> list[PullRequest]:
        """Return the pull requests whose head is a commit, or that landed as it, newest first."""
        try:
            found = [
                self._read(one) for one in self._api.pages(f"{self._here}/commits/{part(commit)}/pulls", per_page=100)
            ]
        except (NotFound, Refused) as error:
            if isinstance(error, Refused) and error.status != 422:  # 422: no commit of that id is known there
                raise
            return []
        return sorted((self._whole(one) for one in found), key=lambda one: -one.number)

    def _whole(self, request: PullRequest) -> PullRequest:
        """Return a merged pull request with who let it: lists do not say that."""
        return self.request(request.number) if request.state == "merged" else request

    def _read(self, data: Any) -> PullRequest:
        merged = bool(dig(data, "merged_at"))
        state: State = "merged" if merged else "open" if text(data, "state") == "open" else "closed"
        return PullRequest(
            number=number(data, "number"), url=text(data, "html_url"), title=text(data, "title"), body=text(data, "body"),
            branch=text(data, "head", "ref"), base=text(data, "base", "ref"), head=text(data, "head", "sha"),
            author=person(dig(data, "user")), state=state,
            is_foreign=text(data, "head", "repo", "full_name").lower() != self._path.lower(),
            merged_as=text(data, "merge_commit_sha") if merged else "",
            merged_by=person(dig(data, "merged_by")) if dig(data, "merged_by") else None,
        )  # fmt: skip

    def reviews(self, request: PullRequest) -> list[Review]:
        """Return what was said, oldest first; a review that nobody submitted yet is left out."""
        found = self._api.pages(f"{self._here}/pulls/{request.number}/reviews", per_page=100)
        return sorted(
            (
                Review(
                    str(number(one, "id")), person(dig(one, "user")), _WORDS[text(one, "state").upper()],
                    text(one, "commit_id"), moment(text(one, "submitted_at")), text(one, "body"),
                )
                for one in found
                if text(one, "state").upper() in _WORDS
            ),
            key=lambda review: (review.time, int(review.id)),
        )  # fmt: skip

    # ── writing

    def open(self, wanted: Wanted) -> Opened:
        """Open a pull request, or bring the open one of that branch and base to what is wanted."""
        there = self._open_one(wanted)
        is_new = there is None
        if there is None:
            there = self._create(wanted)
        elif (text(there, "title"), text(there, "body").rstrip()) != (wanted.title, wanted.body.rstrip()):
            told = {"title": wanted.title, "body": wanted.body}
            there = self._api.send("PATCH", f"{self._here}/pulls/{number(there, 'number')}", json=told).data
        notes = [*self._label(there, wanted.labels), *self._ask(there, wanted.reviewers)]
        return Opened(self._read(there), is_new, tuple(notes))

    def _open_one(self, wanted: Wanted) -> Any:
        found = self._api.pages(
            f"{self._here}/pulls", state="open", head=f"{self._owner}:{wanted.branch}", base=wanted.base, per_page=100
        )
        return next((one for one in found if self._is(one, wanted)), None)

    def _is(self, data: Any, wanted: Wanted) -> bool:
        found = self._read(data)
        return (found.branch, found.base, found.is_foreign, found.state) == (wanted.branch, wanted.base, False, "open")

    def _create(self, wanted: Wanted) -> Any:
        """Open one; where its answer is lost, or somebody was first, look for it: it may be there."""
        told = {"title": wanted.title, "body": wanted.body, "head": wanted.branch, "base": wanted.base}
        try:
            return self._api.send("POST", f"{self._here}/pulls", json=told).data
        except (Unanswered, Refused) as error:
            if isinstance(error, Refused) and error.status != 422:
                raise
            found = self._open_one(wanted)
            if found is None:
                raise
            return found

    def _label(self, there: Any, labels: Sequence[str]) -> list[str]:
        has = {text(label, "name").lower() for label in entries(there, "labels")}
        missing = [label[:_LABEL_LIMIT] for label in labels if label[:_LABEL_LIMIT].lower() not in has]
        if not missing:
            return []
        try:
            self._api.send("POST", f"{self._here}/issues/{number(there, 'number')}/labels", json={"labels": missing})
        except RegistryError as error:
            return [f"without the labels {', '.join(missing)}: {error.message}"]
        return []

    def _ask(self, there: Any, reviewers: Sequence[str]) -> list[str]:
        """Ask people to review, each on their own: one whom GitHub does not know keeps nobody else from being asked."""
        if not reviewers:
            return []
        author = person(dig(there, "user")).login.lower()
        asked = {text(one, "login").lower() for one in entries(there, "requested_reviewers")} | {author}
        missing = [login for login in reviewers if login.lower() not in asked]
        if missing and (has_reviewed := {r.author.login.lower() for r in self.reviews(self._read(there))}):
            missing = [login for login in missing if login.lower() not in has_reviewed]
        notes = []
        for login in missing:
            try:
                path = f"{self._here}/pulls/{number(there, 'number')}/requested_reviewers"
                self._api.send("POST", path, json={"reviewers": [login]})
            except RegistryError as error:
                notes.append(f"{login} was not asked to review: {error.message}")
        return notes

    def comment(self, request: PullRequest, marker: str, body: str) -> str:
        """Write the comment that begins with a marker, or bring this account's own one to these words."""
        me = self._me()
        for one in self._api.pages(f"{self._here}/issues/{request.number}/comments", per_page=100):
            if text(one, "body").startswith(marker) and self._is_mine(one, me):
                if text(one, "body").rstrip() != body.rstrip():
                    path = f"{self._here}/issues/comments/{number(one, 'id')}"
                    one = self._api.send("PATCH", path, json={"body": body}).data
                return text(one, "html_url")
        path = f"{self._here}/issues/{request.number}/comments"
        return text(self._api.send("POST", path, json={"body": body[:_COMMENT_LIMIT]}).data, "html_url")

    def _me(self) -> Person | None:
        """Return whose token this is; None where it is that of an app's job, which may not ask."""
        with suppress(Refused, NotFound):
            return person(self._api.get("user"))
        return None

    def _is_mine(self, comment: Any, me: Person | None) -> bool:
        author = person(dig(comment, "user"))
        if me is not None:
            return author == me
        return text(comment, "user", "login") == "github-actions[bot]" and text(comment, "user", "type") == "Bot"

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a commit came to; the newest status of a name counts."""
        told = {"state": status.verdict, "context": status.name, "description": status.text[:140]}
        told |= {"target_url": status.url} if status.url else {}
        self._api.send("POST", f"{self._here}/statuses/{part(commit)}", json=told)

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Let GitHub make a merge commit of exactly that head, and return it."""
        title, _, body = message.strip().partition("\n")
        told = {"merge_method": "merge", "sha": head, "commit_title": title, "commit_message": body.strip()}
        try:
            made = self._api.send("PUT", f"{self._here}/pulls/{request.number}/merge", json=told).data
        except (Refused, Unanswered) as error:
            now = self.request(request.number)
            if now.state == "merged" and now.head == head:
                return now.merged_as
            if now.head != head or (isinstance(error, Refused) and error.status == 409):
                raise Moved(
                    f"pull request {request.number} has another commit by now, {now.head[:12]}", hint="look at it again"
                ) from error
            raise
        return text(made, "sha")

    # ── settings

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return how GitHub guards the branch: rulesets, which everybody may read, and what else the token may."""
        return github_settings(self._api, self._here, guarded, f"{self.url}/settings")

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the ref that has a pull request's head."""
        return f"refs/pull/{request.number}/head"
