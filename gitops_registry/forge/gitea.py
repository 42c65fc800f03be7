"""Gitea and Forgejo (gitea.com, codeberg.org, one's own server): pull requests, reviews, statuses and merges by their API.

Written against Gitea 1.27 and Forgejo 11, whose APIs are the same here but for the rules of branches. What differs from
other forges: a list says how many entries there are and links pages only sometimes; the head of a pull request is read
from its branch, even after it merged; anybody who may write may set any status; labels have numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unicodedata import east_asian_width
from urllib.parse import quote

from gitops_registry.errors import Moved, NotFound, RegistryError
from gitops_registry.forge import gitea_answers as answers
from gitops_registry.forge.gitea_answers import count, listed
from gitops_registry.forge.gitea_marks import Marks
from gitops_registry.forge.gitea_settings import settings_of
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
from gitops_registry.forge.reading import NOBODY, entries, is_same, part, person, text

_WIDEST_TITLE = 250  # Gitea cuts at 255, and a title that it cut would never be the one that is wanted
_JOB = -2
"""The account that jobs of a workflow write as; nobody can register it."""
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the tries of a merge: after a push, Gitea needs a moment to find out whether a branch merges."""


class Gitea:
    """One repository on Gitea or Forgejo: `server` is `https://host`, `path` is `owner/name`."""

    def __init__(self, api: Api, server: str, path: str, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._owner, _, name = path.partition("/")
        self._there = f"repos/{part(self._owner)}/{part(name)}"
        self._page = f"{server}/{quote(path)}"
        self._wait = wait
        self._own: int | None = None

    @property
    def kind(self) -> Kind:
        """Which forge it is."""
        return "gitea"

    @property
    def url(self) -> str:
        """The repository's page, without a slash at the end."""
        return self._page

    def person(self, login: str) -> Person:
        """Return the account of that login."""
        found = person(self._api.get(f"users/{part(login)}"))
        if found == NOBODY:
            raise RegistryError(f"Gitea shows the account {login} without a number", hint="is that address its API?")
        return found

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the ref under which the repository has a pull request's head."""
        return f"refs/pull/{request.number}/head"

    # ── pull requests

    def request(self, number: int) -> PullRequest:
        """Return one pull request; the head of a merged one is what merged, whatever its branch is by now."""
        return self._settled(self._api.get(f"{self._there}/pulls/{number}"))

    def requests_of(self, commit: str) -> list[PullRequest]:
        """Return the pull requests into any branch whose head is a commit, or that landed as it, newest first."""
        found = {one.number: one for _, one in self._opened() if one.head == commit}
        landed = self._api.find(f"{self._there}/commits/{part(commit)}/pull")
        if landed is not None:
            one = self._settled(landed)
            if one.merged_as == commit:
                found[one.number] = one
        refs = self._api.find(f"{self._there}/git/refs/pull")  # all of them in one answer, closed and merged ones too
        for entry in refs if isinstance(refs, list) else [refs]:
            number = text(entry, "ref").removeprefix("refs/pull/").removesuffix("/head")
            is_it = answers.commit(entry, "object", "sha") == commit
            if is_it and number.isascii() and number.isdigit() and int(number) not in found:
                one = self.request(int(number))
                if one.head == commit:
                    found[one.number] = one
        return [found[number] for number in sorted(found, reverse=True)]

    def _settled(self, data: Any) -> PullRequest:
        found = answers.pull_request(data, self._page)
        if found.state != "merged" or answers.is_detached(data):
            return found
        kept = self._api.find(f"{self._there}/git/{self.ref(found)}")
        entry = kept[0] if isinstance(kept, list) and kept else kept
        head = answers.commit(entry, "object", "sha")
        return replace(found, head=head) if head and text(entry, "ref") == self.ref(found) else found

    def _opened(self) -> Iterator[tuple[Any, PullRequest]]:
        for entry in listed(self._api, f"{self._there}/pulls", state="open"):
            try:
                found = answers.pull_request(entry, self._page)
            except RegistryError:
                continue  # one that lost its branch and its head; nothing can be done with it
            if found.state == "open":
                yield entry, found

    # ── opening one

    def open(self, wanted: Wanted) -> Opened:
        """Open a pull request, or bring the open one of that branch and base to what is wanted; asked twice, there is one."""
        title = _title(wanted.title)
        is_new = False
        found = self._open_one(wanted)
        if found is None:
            found, is_new = self._made(wanted, title)
        request = answers.pull_request(found, self._page)
        change = {} if request.title == title else {"title": title}
        if not is_same(request.body, wanted.body):
            change["body"] = wanted.body
        if change:
            changed = self._api.send("PATCH", f"{self._there}/pulls/{request.number}", json=change).data
            request = answers.pull_request(changed, self._page)
        marks = Marks(self._api, self._there, self._owner, request, found)
        told = () if is_new else self.reviews(request) if wanted.reviewers else ()
        notes = [*marks.label(wanted.labels), *marks.ask(wanted.reviewers, told)]
        return Opened(request, is_new, tuple(notes))

    def _open_one(self, wanted: Wanted) -> Any:
        return next(
            (
                entry
                for entry, found in self._opened()
                if not found.is_foreign and (found.branch, found.base) == (wanted.branch, wanted.base)
            ),
            None,
        )

    def _made(self, wanted: Wanted, title: str) -> tuple[Any, bool]:
        body = {"head": wanted.branch, "base": wanted.base, "title": title, "body": wanted.body}
        try:
            return self._api.send("POST", f"{self._there}/pulls", json=body).data, True
        except (Refused, Unanswered) as error:
            if isinstance(error, Refused) and error.status not in {409, 422}:
                raise
            found = self._open_one(wanted)
            if found is None:
                raise
            return found, isinstance(error, Unanswered)

    # ── what is said of one

    def reviews(self, request: PullRequest) -> list[Review]:
        """Return what was said of a pull request, oldest first; a review that was taken back is `dismissed`."""
        found = [answers.review(entry) for entry in listed(self._api, f"{self._there}/pulls/{request.number}/reviews")]
        return sorted((one for one in found if one is not None), key=lambda one: (one.time, int(one.id)))

    def comment(self, request: PullRequest, marker: str, body: str) -> str:
        """Write the comment that begins with a marker, or bring that of this token's own account to these words; return its page."""
        path = f"{self._there}/issues/{request.number}/comments"
        found = self._api.once(lambda: self._comment_of(request, marker), path, json={"body": body})
        number = count(found, "id")
        if not is_same(text(found, "body"), body):
            self._api.send("PATCH", f"{self._there}/issues/comments/{number}", json={"body": body})
        return f"{request.url}#issuecomment-{number}"

    def _comment_of(self, request: PullRequest, marker: str) -> Any:
        if self._own is None:
            try:
                self._own = count(self._api.get("user"), "id")
            except (NotFound, Refused) as error:
                if isinstance(error, Refused) and error.status in {401, 429}:
                    raise
                self._own = 0
        # A token that may not say whose it is is that of a job.
        own = self._own or _JOB
        found = [
            entry
            for entry in listed(self._api, f"{self._there}/issues/{request.number}/comments")
            if count(entry, "user", "id") == own and text(entry, "body").startswith(marker)
        ]
        return min(found, key=lambda entry: count(entry, "id"), default=None)

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a commit came to, in place of what was said under that name before."""
        body = {"context": status.name, "state": status.verdict, "description": " ".join(status.text.split())}
        if status.url:
            body["target_url"] = status.url
        self._api.send("POST", f"{self._there}/statuses/{part(commit)}", json=body, may_repeat=True)

    # ── landing

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Let the forge make a merge commit of exactly that head, and return it. Raises Moved where the head is another."""
        now = self.request(request.number)
        _insist(now, head)
        if now.state == "closed":
            raise Refused(f"the pull request {now.number} is closed", hint="open it again, or run the command anew")
        title, _, rest = message.strip().partition("\n")
        body = {"Do": "merge", "head_commit_id": head, "MergeTitleField": title, "MergeMessageField": rest.strip()}
        tries = iter(_PAUSES)
        while now.state != "merged":
            try:
                self._api.send("POST", f"{self._there}/pulls/{now.number}/merge", json=body)
            except Unanswered:
                now = self.request(now.number)
                if now.state != "merged":
                    raise
            except Refused as error:
                now = self.request(now.number)
                _insist(now, head)
                if now.state != "merged":
                    self._hold(now, error, next(tries, None))
            else:
                now = self.request(now.number)
                if now.state != "merged":
                    raise Unanswered("Gitea took the merge and does not show it yet", hint="run it again in a moment")
        return self._landed(now, head)

    def _hold(self, now: PullRequest, error: Refused, pause: float | None) -> None:
        """Wait where a merge that was refused may be possible in a moment; raise what came of it otherwise."""
        told = error.message.lower()
        if error.status == 409 and "out of date" in told:
            raise Moved(f"{now.branch} or {now.base} moved while it was merged", hint="check it again") from error
        if error.status != 405 or "try again" not in told:
            raise error
        if pause is None:
            raise Refused(
                f"Gitea cannot merge {now.branch} into {now.base}: they conflict, or it is still looking",
                hint="run it again; if it stays so, merge the base into the branch",
                status=405,
            ) from error
        self._wait(pause)

    def _landed(self, now: PullRequest, head: str) -> str:
        """Return the commit that a pull request landed as. Raises Refused where that is no merge commit of a head."""
        _insist(now, head)
        params = {"stat": "false", "verification": "false", "files": "false"}
        shown = self._api.get(f"{self._there}/git/commits/{part(now.merged_as)}", **params) if now.merged_as else None
        parents = [answers.commit(parent, "sha") for parent in entries(shown, "parents")]
        if len(parents) != 2 or parents[1] != head:
            raise Refused(
                f"the pull request {now.number} was merged another way than by a merge commit of what was judged",
                hint="gitops-registry check --landed says what that means",
            )
        return now.merged_as

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return how the forge guards the branch, what it lets through first."""
        return fitting(settings_of(self._api, self._there, guarded))


def _insist(now: PullRequest, head: str) -> None:
    if now.head != head:
        raise Moved(f"{now.branch} is at {now.head[:12]} by now, not at {head[:12]}", hint="check it again, then merge")


def _title(title: str) -> str:
    """Return a title on one line and as wide as Gitea takes it; signs of East Asia count twice."""
    title = " ".join(title.split())
    widths = [2 if east_asian_width(sign) in "WF" else 1 for sign in title]
    if sum(widths) <= _WIDEST_TITLE:
        return title
    while sum(widths) > _WIDEST_TITLE - 2:
        widths.pop()
    return f"{title[: len(widths)]}…"
