"""Pull requests on Gitea and Forgejo: REST, API v1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitops_registry.errors import Moved, NotFound, RegistryError
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

_WORDS: dict[str, Word] = {"APPROVED": "approved", "REQUEST_CHANGES": "rejected", "COMMENT": "commented"}
_COLOUR = "#5319e7"
_PAGE = 50


class Gitea:
    """One repository on a Gitea or Forgejo server. `path` is `owner/name`."""

    kind: Kind = "gitea"

    def __init__(self, api: Api, server: str, path: str) -> None:
        self._api = api
        self._path = path
        owner, _, name = path.partition("/")
        self._here = f"repos/{part(owner)}/{part(name)}"
        self.url = f"{server}/{path}"

    # ── looking

    def person(self, login: str) -> Person:
        """Return the account of that login."""
        return person(self._api.get(f"users/{part(login)}"))

    def request(self, number: int) -> PullRequest:
        """Return one pull request."""
        return self._read(self._api.get(f"{self._here}/pulls/{number}"))

    def requests_of(self, commit: str) -> list[PullRequest]:
        """Return the pull requests whose head is a commit, or that landed as it, newest first.

        The server knows the one that a commit landed as; open ones are looked through, for it has no question for them.
        """
        found = self._api.find(f"{self._here}/commits/{part(commit)}/pull")
        known = {one.number: one for one in [self._read(found)] if commit in {one.head, one.merged_as}} if found else {}
        for data in self._api.pages(f"{self._here}/pulls", state="open", limit=_PAGE):
            one = self._read(data)
            if one.head == commit:
                known[one.number] = one
        return sorted(known.values(), key=lambda one: -one.number)

    def _read(self, data: Any) -> PullRequest:
        merged = dig(data, "merged") is True
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
        """Return what was said, oldest first: neither what is not submitted yet, nor who was merely asked."""
        found = []
        for one in self._api.pages(f"{self._here}/pulls/{request.number}/reviews", limit=_PAGE):
            word = _WORDS.get(text(one, "state").upper())
            if word is not None:
                said: Word = "dismissed" if dig(one, "dismissed") is True else word
                found.append(
                    Review(
                        str(number(one, "id")), person(dig(one, "user")), said, text(one, "commit_id"),
                        moment(text(one, "submitted_at")), text(one, "body"),
                    )
                )  # fmt: skip
        return sorted(found, key=lambda review: (review.time, int(review.id)))

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
        for data in self._api.pages(f"{self._here}/pulls", state="open", limit=_PAGE):
            one = self._read(data)
            if (one.branch, one.base, one.is_foreign) == (wanted.branch, wanted.base, False):
                return data
        return None

    def _create(self, wanted: Wanted) -> Any:
        """Open one; where its answer is lost, or somebody was first, look for it: it may be there."""
        told = {"title": wanted.title, "body": wanted.body, "head": wanted.branch, "base": wanted.base}
        try:
            return self._api.send("POST", f"{self._here}/pulls", json=told).data
        except (Unanswered, Refused) as error:
            if isinstance(error, Refused) and error.status not in {409, 422}:
                raise
            found = self._open_one(wanted)
            if found is None:
                raise
            return found

    def _label(self, there: Any, labels: Sequence[str]) -> list[str]:
        """Add labels, which are numbers here; one that the repository does not have is made."""
        has = {text(label, "name").lower() for label in entries(there, "labels")}
        missing = [label for label in labels if label.lower() not in has]
        if not missing:
            return []
        try:
            known = {
                text(one, "name").lower(): number(one, "id")
                for one in self._api.pages(f"{self._here}/labels", limit=_PAGE)
            }
            for label in missing:
                if label.lower() not in known:
                    made = self._api.send("POST", f"{self._here}/labels", json={"name": label, "color": _COLOUR}).data
                    known[label.lower()] = number(made, "id")
            told = {"labels": [known[label.lower()] for label in missing]}
            self._api.send("POST", f"{self._here}/issues/{number(there, 'number')}/labels", json=told)
        except RegistryError as error:
            return [f"without the labels {', '.join(missing)}: {error.message}"]
        return []

    def _ask(self, there: Any, reviewers: Sequence[str]) -> list[str]:
        """Ask people to review, each on their own: one whom the server does not know keeps nobody else from being asked."""
        if not reviewers:
            return []
        author = person(dig(there, "user")).login.lower()
        asked = {text(one, "login").lower() for one in entries(there, "requested_reviewers")} | {author}
        missing = [login for login in reviewers if login.lower() not in asked]
        if missing:
            said = {review.author.login.lower() for review in self.reviews(self._read(there))}
            missing = [login for login in missing if login.lower() not in said]
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
        for one in self._api.pages(f"{self._here}/issues/{request.number}/comments", limit=_PAGE):
            if text(one, "body").startswith(marker) and me is not None and person(dig(one, "user")) == me:
                if text(one, "body").rstrip() != body.rstrip():
                    path = f"{self._here}/issues/comments/{number(one, 'id')}"
                    one = self._api.send("PATCH", path, json={"body": body}).data
                return text(one, "html_url")
        made = self._api.send("POST", f"{self._here}/issues/{request.number}/comments", json={"body": body}).data
        return text(made, "html_url")

    def _me(self) -> Person | None:
        """Return whose token this is; None where it may not ask."""
        try:
            return person(self._api.get("user"))
        except (Refused, NotFound):
            return None

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a commit came to; the newest status of a name counts."""
        told = {"state": status.verdict, "context": status.name, "description": status.text, "target_url": status.url}
        self._api.send("POST", f"{self._here}/statuses/{part(commit)}", json=told)

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Let the server make a merge commit of exactly that head, and return it."""
        title, _, body = message.strip().partition("\n")
        told = {"Do": "merge", "head_commit_id": head, "MergeTitleField": title, "MergeMessageField": body.strip()}
        try:
            self._api.send("POST", f"{self._here}/pulls/{request.number}/merge", json=told)
        except (Refused, Unanswered) as error:
            now = self.request(request.number)
            if now.head != head:
                raise Moved(
                    f"pull request {request.number} has another commit by now, {now.head[:12]}", hint="look at it again"
                ) from error
            if now.state != "merged":
                raise
        return self.request(request.number).merged_as

    # ── settings

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return how the server guards the branch; its protection is shown to those who may change it."""
        page = f"{self.url}/settings"
        repository = self._api.get(self._here)
        found = [_merges(repository, page)]
        try:
            rules = list(self._api.pages(f"{self._here}/branch_protections", limit=_PAGE))
            tags = list(self._api.pages(f"{self._here}/tag_protections", limit=_PAGE))
        except (Refused, NotFound):
            told = "how branches and tags are protected is shown to administrators only"
            return [*found, Setting("protection", None, told, f"{page}/branches")]
        rule = next(
            (one for one in rules if guarded.branch in {text(one, "rule_name"), text(one, "branch_name")}), None
        )
        if rule is None:
            told = f"{guarded.branch} is not protected: it takes pushes, rewriting and deletion by whoever writes"
            found.append(Setting("pushes", True, told, f"{page}/branches: protect {guarded.branch}"))
        else:
            found += _protected(rule, guarded, f"{page}/branches")
        told = "tags are protected" if tags else "tags may be moved and deleted by whoever writes"
        return [*found, Setting("tags", not tags, told, "" if tags else f"{page}/tags: protect tags")]

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the ref that has a pull request's head."""
        return f"refs/pull/{request.number}/head"


def _merges(repository: Any, page: str) -> Setting:
    keys = {"squash": "allow_squash_merge", "rebase": "allow_rebase", "rebase with a merge": "allow_rebase_explicit", "fast-forward": "allow_fast_forward_only_merge"}  # fmt: skip
    ways = [way for way, key in keys.items() if dig(repository, key) is True]
    if ways:
        told = f"pull requests may be merged by {', '.join(ways)}, which leaves what was reviewed out of the history"
        return Setting("merges", True, told, f"{page}: pull requests: merge commits only")
    return Setting("merges", False, "pull requests land as merge commits only")


def _protected(rule: Any, guarded: Guarded, page: str) -> list[Setting]:
    """Return what one rule of branch protection holds."""
    contexts = entries(rule, "status_check_contexts")
    required = dig(rule, "enable_status_check") is True and guarded.status in contexts
    pushes = dig(rule, "enable_push") is True
    forced = dig(rule, "enable_force_push") is True
    behind = dig(rule, "block_on_outdated_branch") is True
    admins = dig(rule, "block_admin_merge_override") is True or dig(rule, "apply_to_admins") is True
    name, status = guarded.branch, guarded.status
    table = (
        ("pushes", pushes, f"{name} takes pushes beside pull requests", f"{name} changes through pull requests only", "disable push"),
        ("rewriting", forced, f"{name} may be rewritten by a forced push", f"{name} cannot be rewritten", "disable force push"),
        ("verdict", not required, f"nothing requires the status {status}", f"the status {status} is required", f"status check patterns: {status}"),
        ("up to date", not behind, "a branch may land on another base than it was judged on", "branches must be up to date before they land", "block merge if the branch is outdated"),
        ("bypass", not admins, "administrators may merge past all of it", "administrators are not exempt", "apply the rule to administrators"),
    )  # fmt: skip
    found = [
        Setting(what, is_open, bad if is_open else good, f"{page}: {step}" if is_open else "")
        for what, is_open, bad, good, step in table
    ]
    told = f"whoever may push a branch can let a workflow of their own set {status}: the judge can be replaced"
    repair = "let writers propose from forks only, or let a service of yours set the status and protect its token"
    return [*found, *([Setting("workflow", True, told, repair)] if required else [])]
