"""Merge requests on GitLab, which we call pull requests as everywhere: REST, API v4.

GitLab's approvals name no commit. Each push is a version of the merge request with its moment, and an approval is on
the version that stood there when it was given; where either moment is missing, the commit is not known.
"""

from __future__ import annotations

import time
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
    Verdict,
    Wanted,
)
from gitops_registry.forge.reading import dig, entries, moment, number, part, person, text

_STATES: dict[str, State] = {"opened": "open", "locked": "open", "closed": "closed", "merged": "merged"}
_VERDICTS: dict[Verdict, str] = {"success": "success", "failure": "failed", "error": "failed", "pending": "pending"}
_PAGE = 100
_LOOKS = 10
_PAUSE = 1.0
_MAINTAINER = 40


class GitLab:
    """One project on a GitLab server. `path` is its full path, groups and all."""

    kind: Kind = "gitlab"

    def __init__(self, api: Api, server: str, path: str) -> None:
        self._api = api
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
        return sorted((r for r in found if r.state != "closed" or commit == r.head), key=lambda one: -one.number)

    def _read(self, data: Any) -> PullRequest:
        state = _STATES.get(text(data, "state"), "closed")
        landed = text(data, "merge_commit_sha") or text(data, "squash_commit_sha") or text(data, "sha")
        merger = dig(data, "merge_user") or dig(data, "merged_by")
        return PullRequest(
            number=number(data, "iid"), url=text(data, "web_url"), title=text(data, "title"), body=text(data, "description"),
            branch=text(data, "source_branch"), base=text(data, "target_branch"), head=text(data, "sha"),
            author=person(dig(data, "author"), login="username"), state=state,
            is_foreign=dig(data, "source_project_id") != dig(data, "target_project_id"),
            merged_as=landed if state == "merged" else "",
            merged_by=person(merger, login="username") if merger else None,
        )  # fmt: skip

    def reviews(self, request: PullRequest) -> list[Review]:
        """Return who approves now and who asks for changes, oldest first, each on the version they saw."""
        here = f"{self._here}/merge_requests/{request.number}"
        versions = sorted(
            (moment(text(one, "created_at")), text(one, "head_commit_sha"))
            for one in self._api.pages(f"{here}/versions", per_page=_PAGE)
        )
        given = {
            person(dig(one, "user"), login="username"): text(one, "approved_at")
            for one in entries(self._api.get(f"{here}/approvals"), "approved_by")
        }
        noted = self._noted(here) if not all(given.values()) else {}
        found = []
        for who, at in given.items():
            when = at or noted.get(who, "")
            seen = [oid for created, oid in versions if when and created <= moment(when)]
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
        there = self._open_one(wanted)
        is_new = there is None
        if there is None:
            there = self._create(wanted)
        told = {}
        if (text(there, "title"), text(there, "description").rstrip()) != (wanted.title, wanted.body.rstrip()):
            told = {"title": wanted.title, "description": wanted.body}
        missing = [label for label in wanted.labels if label not in entries(there, "labels")]
        reviewers, notes = self._new_reviewers(there, wanted.reviewers)
        change = {
            **told,
            **({"add_labels": ",".join(missing)} if missing else {}),
            **({"reviewer_ids": reviewers} if reviewers else {}),
        }
        if change:
            there = self._api.send("PUT", f"{self._here}/merge_requests/{number(there, 'iid')}", json=change).data
        return Opened(self._read(there), is_new, tuple(notes))

    def _open_one(self, wanted: Wanted) -> Any:
        found = self._api.pages(
            f"{self._here}/merge_requests", state="opened", source_branch=wanted.branch, target_branch=wanted.base, per_page=_PAGE
        )  # fmt: skip
        return next((one for one in found if not self._read(one).is_foreign), None)

    def _create(self, wanted: Wanted) -> Any:
        """Open one; where its answer is lost, or somebody was first, look for it: it may be there."""
        told = {
            "source_branch": wanted.branch, "target_branch": wanted.base, "title": wanted.title, "description": wanted.body,
            "squash": False, "remove_source_branch": False,
        }  # fmt: skip
        try:
            return self._api.send("POST", f"{self._here}/merge_requests", json=told).data
        except (Unanswered, Refused) as error:
            if isinstance(error, Refused) and error.status != 409:
                raise
            found = self._open_one(wanted)
            if found is None:
                raise
            return found

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
        me = person(self._api.get("user"), login="username")
        here = f"{self._here}/merge_requests/{request.number}/notes"
        for one in self._api.pages(here, per_page=_PAGE, sort="asc", order_by="created_at"):
            if text(one, "body").startswith(marker) and person(dig(one, "author"), login="username") == me:
                if text(one, "body").rstrip() != body.rstrip():
                    self._api.send("PUT", f"{here}/{number(one, 'id')}", json={"body": body})
                return f"{request.url}#note_{number(one, 'id')}"
        return f"{request.url}#note_{number(self._api.send('POST', here, json={'body': body}).data, 'id')}"

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a commit came to. GitLab refuses to say the same again, which is as well."""
        told = {"state": _VERDICTS[status.verdict], "name": status.name, "description": status.text[:255]}
        told |= {"target_url": status.url} if status.url else {}
        try:
            self._api.send("POST", f"{self._here}/statuses/{part(commit)}", json=told)
        except Refused as error:
            if error.status != 400 or "cannot transition" not in error.message.lower():
                raise

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Let GitLab make a merge commit of exactly that head, and return it."""
        here = f"{self._here}/merge_requests/{request.number}"
        for _ in range(_LOOKS):  # it finds out in the background whether it can be merged
            if text(self._api.get(here), "detailed_merge_status") not in {"checking", "unchecked", "preparing"}:
                break
            time.sleep(_PAUSE)
        try:
            done = self._api.send(
                "PUT", f"{here}/merge", json={"sha": head, "squash": False, "merge_commit_message": message}
            )
            made = self._read(done.data)
        except (Refused, Unanswered) as error:
            made = self.request(request.number)
            if made.head != head:
                raise Moved(
                    f"pull request {request.number} has another commit by now, {made.head[:12]}",
                    hint="look at it again",
                ) from error
            if made.state != "merged":
                raise
        return made.merged_as

    # ── settings

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return how GitLab guards the branch: the project's ways to merge, protected branches and tags, where CI comes from."""
        project, page = self._api.get(self._here), f"{self.url}/-/settings"
        found = [*_merging(project, guarded, page), _configuration(project, page)]
        try:
            branches = list(self._api.pages(f"{self._here}/protected_branches", per_page=_PAGE))
            tags = list(self._api.pages(f"{self._here}/protected_tags", per_page=_PAGE))
        except Refused:
            told = "how branches and tags are protected is shown to maintainers only"
            return [*found, Setting("protection", None, told, f"{page}/repository")]
        rule = next((one for one in branches if text(one, "name") == guarded.branch), None)
        found += _branch(rule, guarded.branch, f"{page}/repository")
        told = "tags are protected" if tags else "tags may be moved and deleted by whoever writes"
        return [*found, Setting("tags", not tags, told, "" if tags else f"{page}/repository: protected tags")]

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the ref that has a merge request's head."""
        return f"refs/merge-requests/{request.number}/head"


def _merging(project: Any, guarded: Guarded, page: str) -> list[Setting]:
    where = f"{page}/merge_requests"
    way, squash = text(project, "merge_method"), text(project, "squash_option")
    found = [
        Setting(
            "merges",
            True,
            f"merge requests land by {'fast-forward' if way == 'ff' else way or 'an unknown way'}, without a commit that decides",
            f"{where}: merge commit",
        )
        if way not in {"merge", "rebase_merge"}
        else Setting("merges", False, "merge requests land as merge commits")
    ]
    is_open = squash != "never"
    found.append(
        Setting(
            "squash",
            is_open,
            "commits may be squashed, which leaves what was reviewed out of the history"
            if is_open
            else "commits are never squashed",
            f"{where}: do not allow squashing" if is_open else "",
        )
    )
    return [*found, _verdict(project, guarded, where), _level(project, way, where)]


def _verdict(project: Any, guarded: Guarded, where: str) -> Setting:
    piped = dig(project, "only_allow_merge_if_pipeline_succeeds") is True
    skipped = dig(project, "allow_merge_on_skipped_pipeline") is True
    if piped and not skipped:
        return Setting("verdict", False, "pipelines must succeed")
    told = (
        "a skipped pipeline counts as one that succeeded"
        if piped
        else f"nothing requires that the pipeline, and the status {guarded.status} in it, succeeds"
    )
    return Setting("verdict", True, told, f"{where}: pipelines must succeed")


def _level(project: Any, way: str, where: str) -> Setting:
    if way == "rebase_merge" or dig(project, "merge_trains_enabled") is True:
        return Setting("up to date", False, "branches are up to date when they land")
    told = "a branch may land on another base than it was judged on"
    return Setting("up to date", True, told, f"{where}: merge commit with semi-linear history, or merge trains")


def _configuration(project: Any, page: str) -> Setting:
    """Whether the pipeline that judges is one that a writer's branch brings itself."""
    elsewhere = "@" in text(project, "ci_config_path") or text(project, "ci_config_path").startswith("https://")
    if elsewhere:
        return Setting(
            "workflow", False, "the pipeline's configuration is kept in another project: writers cannot replace it"
        )
    told = "a branch brings its own .gitlab-ci.yml: the judge can be replaced by whoever writes"
    return Setting("workflow", True, told, f"{page}/ci_cd: CI/CD configuration file: .gitlab-ci.yml@group/project")


def _branch(rule: Any, branch: str, page: str) -> list[Setting]:
    if rule is None:
        return [
            Setting(
                "pushes",
                True,
                f"{branch} is not protected: it takes pushes, rewriting and deletion",
                f"{page}: protected branches",
            )
        ]
    levels = [dig(one, "access_level") for one in entries(rule, "push_access_levels")]
    pushes = any(level != 0 for level in levels) or not levels
    told = f"{branch} takes pushes beside merge requests" if pushes else f"{branch} changes through merge requests only"
    forced = dig(rule, "allow_force_push") is True
    merges = [dig(one, "access_level") for one in entries(rule, "merge_access_levels")]
    wide = any(isinstance(level, int) and 0 < level < _MAINTAINER for level in merges)
    return [
        Setting("pushes", pushes, told, f"{page}: allowed to push and merge: no one" if pushes else ""),
        Setting("rewriting", forced, f"{branch} {'may' if forced else 'cannot'} be rewritten by a forced push", f"{page}: disallow force push" if forced else ""),
        Setting("bypass", False, f"{'whoever develops' if wide else 'maintainers'} may merge what the pipeline lets through"),
    ]  # fmt: skip
