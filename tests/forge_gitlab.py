"""A GitLab on loopback: what its REST API does with merge requests of one project, kept in a real bare repository.

An approval names no commit: it has the moment when it was given, and every push is a version with its moment.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, ClassVar

from forges import Account, Asked, Reply, route
from pulls import LocalPulls

_BASE = "/projects/{project}"
_ONE = _BASE + "/merge_requests/{number}"


class LocalGitLab(LocalPulls):
    """One project with merge requests, approvals, notes, statuses, and what it protects."""

    api: ClassVar[str] = "/api/v4"
    wrong_path: ClassVar[Reply] = Reply(404, {"message": "404 Not Found"})
    no_token: ClassVar[Reply] = Reply(401, {"message": "401 Unauthorized"})
    heads: ClassVar[str] = "refs/merge-requests"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.project: dict[str, Any] = {
            "merge_method": "merge", "squash_option": "default_off", "only_allow_merge_if_pipeline_succeeds": False,
            "allow_merge_on_skipped_pipeline": None, "ci_config_path": "",
        }  # fmt: skip
        self.rights: dict[str, Any] | None = None  # what a paid plan has to say about approvals
        self.approval_rules: list[dict[str, Any]] = []
        self.branches: list[dict[str, Any]] = []
        self.tags: list[dict[str, Any]] = []
        self.has_moments = True  # whether approvals say when they were given: since GitLab 18
        self.most_reviewers = 9
        self.no_mergers: list[str] = []  # who may not merge: that is a 401
        self.blocked = ""  # why nothing may be merged, in GitLab's word
        self.checking = 0  # looks for which it does not know yet whether a merge request merges

    def head(self, number: int) -> str:
        """Return the newest commit of a merge request; one that is new is a version."""
        oid, pull = super().head(number), self.pulls[number]
        versions = pull.setdefault("versions", [])
        if not versions or versions[-1]["head_commit_sha"] != oid:
            versions.append({"id": self.number(), "head_commit_sha": oid, "created_at": self.now()})
        return oid

    def open_by(self, login: str, branch: str, title: str = "a change", base: str = "main") -> int:
        """Open a merge request as somebody does on the page."""
        number = super().open_by(login, branch, title, base)
        self.head(number)
        return number

    # ── what it answers

    def answer(self, asked: Asked) -> Reply:
        """Answer as GitLab does: 403 for what somebody who may only read must not do."""
        if asked.account is None and asked.method != "GET":
            return self.no_token
        if asked.account is not None and asked.account.may == "read" and asked.method != "GET":
            return Reply(403, {"message": "403 Forbidden"})
        return super().answer(asked)

    def _user(self, login: str) -> dict[str, Any] | None:
        account = self.accounts.get(login)
        return {"id": account.id, "username": account.login, "name": account.login.title()} if account else None

    def _shown(self, number: int) -> dict[str, Any]:
        head, pull = self.head(number), self.pulls[number]
        merged = bool(pull["merged_as"])
        way, squashed = pull.get("how", "merge"), pull.get("squashed_as", "")
        return {
            "id": 5000 + number, "iid": number, "title": pull["title"], "description": pull["body"], "sha": head,
            "state": "merged" if merged else {"open": "opened"}.get(pull["state"], pull["state"]),
            "source_branch": pull["branch"], "target_branch": pull["base"], "target_project_id": 1,
            "source_project_id": 2 if pull["fork"] else 1, "author": self._user(pull["user"]), "labels": pull["labels"],
            "reviewers": [self._user(login) for login in pull["asked"]], "web_url": f"{self.url}/{self.path}/-/merge_requests/{number}",
            "merge_commit_sha": pull["merged_as"] if merged and pull["merged_as"] != squashed and way != "rebase" else None,
            "squash_commit_sha": squashed or None,
            "merge_user": self._user(pull["merged_by"]) if merged else None,
        }  # fmt: skip

    def _status(self, number: int) -> str:
        if self.checking > 0:
            self.checking -= 1
            return "checking"
        pull = self.pulls[number]
        if pull["state"] != "open":
            return "not_open"
        if pull["title"].lower().startswith(("draft:", "[draft]", "(draft)")):
            return "draft_status"
        if self.blocked:
            return self.blocked
        try:
            self.git("merge-tree", "--write-tree", f"refs/heads/{pull['base']}", pull["head"])
        except subprocess.CalledProcessError:
            return "conflict"
        return "mergeable"

    @route("GET", "/user")
    def user(self, asked: Asked) -> Reply:
        if asked.headers.get("JOB-TOKEN"):
            return self.no_token
        return Reply(200, self._user(asked.account.login)) if asked.account else self.no_token

    @route("GET", "/users")
    def users(self, asked: Asked) -> Reply:
        found = self._user(asked.query.get("username", "").lower())
        return self.paged(asked, [found] if found else [])

    @route("GET", _BASE)
    def get_project(self, asked: Asked, project: str) -> Reply:
        shown = {"id": 1, "path_with_namespace": self.path, **self.project}
        return Reply(200, shown) if project == self.path else self.wrong_path

    @route("GET", _BASE + "/merge_requests")
    def list_requests(self, asked: Asked, project: str) -> Reply:
        found, query = [self._shown(number) for number in sorted(self.pulls, reverse=True)], asked.query
        named = {"state": "state", "source_branch": "source_branch", "target_branch": "target_branch"}
        return self.paged(
            asked, [one for one in found if all(query.get(k) in (None, one[v]) for k, v in named.items())]
        )

    @route("POST", _BASE + "/merge_requests")
    def create(self, asked: Asked, project: str) -> Reply:
        body = asked.body
        if not self.tip(body["source_branch"]):
            return Reply(400, {"message": {"source_branch": ["does not exist"]}})
        for pull in self.pulls.values():
            if (pull["state"], pull["branch"], pull["base"], pull["fork"]) == ("open", body["source_branch"], body["target_branch"], ""):  # fmt: skip
                return Reply(409, {"message": [f"Another open merge request already exists for this source branch: !{pull['number']}"]})  # fmt: skip
        number = self.open_by(self._account(asked).login, body["source_branch"], body["title"], body["target_branch"])
        self.pulls[number]["body"] = body["description"]
        return Reply(201, self._shown(number))

    @route("GET", _ONE)
    def get_request(self, asked: Asked, project: str, number: str) -> Reply:
        if int(number) not in self.pulls:
            return self.wrong_path
        return Reply(200, {**self._shown(int(number)), "detailed_merge_status": self._status(int(number))})

    @route("PUT", _ONE)
    def change(self, asked: Asked, project: str, number: str) -> Reply:
        pull, body = self.pulls[int(number)], asked.body
        pull |= {ours: body[theirs] for theirs, ours in (("title", "title"), ("description", "body")) if theirs in body}
        pull["labels"] = [*dict.fromkeys([*pull["labels"], *filter(None, body.get("add_labels", "").split(","))])]
        if "reviewer_ids" in body:
            logins = {account.id: login for login, account in self.accounts.items()}
            pull["asked"] = [logins[oid] for oid in body["reviewer_ids"]][: self.most_reviewers]
        return Reply(200, self._shown(int(number)))

    @route("PUT", _ONE + "/merge")
    def merge(self, asked: Asked, project: str, number: str) -> Reply:
        pull, body = self.pulls[int(number)], asked.body
        if self._account(asked).login in self.no_mergers:
            return self.no_token
        if pull["state"] != "open" or self._status(int(number)) != "mergeable":
            return Reply(405, {"message": "405 Method Not Allowed"})
        if body.get("sha") != self.head(int(number)):  # looked at last, as the real one does
            return Reply(409, {"message": "SHA does not match HEAD of source branch: " + pull["head"]})
        self.merge_by_button(int(number), login=self._account(asked).login, message=body["merge_commit_message"])
        return Reply(200, self._shown(int(number)))

    @route("GET", _ONE + "/versions")
    def versions(self, asked: Asked, project: str, number: str) -> Reply:
        self.head(int(number))
        return self.paged(asked, [*reversed(self.pulls[int(number)]["versions"])])

    def _approvals(self, number: int) -> dict[str, dict[str, Any]]:
        newest: dict[str, dict[str, Any]] = {}
        for one in self.pulls[number]["reviews"]:
            if one["state"] in {"APPROVED", "CHANGES_REQUESTED"}:
                newest[one["user"]] = one
        return newest

    @route("GET", _ONE + "/approvals")
    def approvals(self, asked: Asked, project: str, number: str) -> Reply:
        given = [one for one in self._approvals(int(number)).values() if one["state"] == "APPROVED"]
        told = [
            {"user": self._user(one["user"]), **({"approved_at": one["submitted_at"]} if self.has_moments else {})}
            for one in given
        ]
        return Reply(200, {"approved_by": told, "approved": bool(told)})

    @route("GET", _ONE + "/reviewers")
    def reviewers(self, asked: Asked, project: str, number: str) -> Reply:
        states = {"APPROVED": "approved", "CHANGES_REQUESTED": "requested_changes"}
        said = self._approvals(int(number))
        logins = dict.fromkeys([*self.pulls[int(number)]["asked"], *said])
        return self.paged(
            asked,
            [
                {"user": self._user(who), "state": states[said[who]["state"]] if who in said else "unreviewed", "created_at": self.now()}
                for who in logins
            ],
        )  # fmt: skip

    @route("GET", _ONE + "/notes")
    def notes(self, asked: Asked, project: str, number: str) -> Reply:
        written = [
            {**c, "author": self._user(c["user"]), "system": False} for c in self.comments if c["issue"] == int(number)
        ]
        said = [
            {"id": one["id"], "body": "approved this merge request", "system": True, "author": self._user(one["user"]), "created_at": one["submitted_at"]}
            for one in self.pulls[int(number)]["reviews"] if one["state"] in {"APPROVED", "DISMISSED"}
        ]  # fmt: skip
        return self.paged(asked, sorted([*written, *said], key=lambda one: one["created_at"]))

    @route("POST", _ONE + "/notes")
    def write_note(self, asked: Asked, project: str, number: str) -> Reply:
        note = {"id": self.number(), "issue": int(number), "user": self._account(asked).login, "body": asked.body["body"], "created_at": self.now()}  # fmt: skip
        self.comments.append(note)
        return Reply(201, {**note, "author": self._user(note["user"])})

    @route("PUT", _ONE + "/notes/{oid}")
    def change_note(self, asked: Asked, project: str, number: str, oid: str) -> Reply:
        note = next(note for note in self.comments if note["id"] == int(oid))
        note["body"] = asked.body["body"]
        return Reply(200, {**note, "author": self._user(note["user"])})

    @route("POST", _BASE + "/statuses/{oid}")
    def set_status(self, asked: Asked, project: str, oid: str) -> Reply:
        last = next((one for one in reversed(self.statuses) if (one["sha"], one["name"]) == (oid, asked.body["name"])), None)  # fmt: skip
        if last and last["state"] == asked.body["state"] == "pending":
            return Reply(400, {"message": 'Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via "enqueue")'})  # fmt: skip
        self.statuses.append({**asked.body, "sha": oid, "context": asked.body["name"]})
        return Reply(201, {**asked.body, "id": self.number()})

    @route("GET", _BASE + "/repository/commits/{oid}")
    def get_commit(self, asked: Asked, project: str, oid: str) -> Reply:
        return Reply(200, {"id": oid, "parent_ids": self.git("show", "-s", "--format=%P", oid).split()})

    @route("GET", _BASE + "/repository/commits/{oid}/merge_requests")
    def requests_of(self, asked: Asked, project: str, oid: str) -> Reply:
        if oid not in self.git("rev-list", "--all").split():
            return Reply(404, {"message": "404 Commit Not Found"})
        found = []
        for number, pull in self.pulls.items():
            own = self.git("rev-list", f"{self.head(number)}", "--not", f"refs/heads/{pull['base']}").split()
            if oid in {pull["head"], pull["merged_as"], *own}:
                found.append(self._shown(number))
        return self.paged(asked, found)

    @route("GET", _BASE + "/approvals")
    def project_approvals(self, asked: Asked, project: str) -> Reply:
        return self.wrong_path if self.rights is None else Reply(200, self.rights)

    @route("GET", _BASE + "/approval_rules")
    def list_approval_rules(self, asked: Asked, project: str) -> Reply:
        return self.wrong_path if self.rights is None else self.paged(asked, self.approval_rules)

    @route("GET", _BASE + "/protected_branches")
    def protected_branches(self, asked: Asked, project: str) -> Reply:
        if self._account(asked).may != "admin":
            return Reply(403, {"message": "403 Forbidden"})
        return self.paged(asked, self.branches)

    @route("GET", _BASE + "/protected_tags")
    def protected_tags(self, asked: Asked, project: str) -> Reply:
        return self.paged(asked, self.tags)

    def merge_by_button(self, number: int, how: str = "merge", login: str = "bob", message: str = "") -> str:
        """Land a merge request in one of GitLab's ways, and return what the target is then.

        A squash is one commit more, and where merge commits are the way it is a merge commit that brings it.
        """
        base, pull = self.tip(self.pulls[number]["base"]), self.pulls[number]
        made = super().merge_by_button(number, how, login, message)
        pull |= {"how": how, "squashed_as": made if how == "squash" else ""}
        if how == "squash" and self.project.get("merge_method") != "ff":
            title = f"Merge branch '{pull['branch']}' into '{pull['base']}'"
            tree = self.git("rev-parse", f"{made}^{{tree}}")
            made = pull["merged_as"] = self._commit(tree, [base, made], title, login)
            self.git("update-ref", f"refs/heads/{pull['base']}", made)
        return made

    def _account(self, asked: Asked) -> Account:
        return asked.account or Account(0, "nobody", "", "read")
