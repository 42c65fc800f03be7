"""A GitHub on loopback: what its REST API does with pull requests of one repository, kept in a real bare repository."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from forges import Account, Asked, Reply, route
from pulls import LocalPulls

_BASE = "/repos/{owner}/{name}"


class LocalGitHub(LocalPulls):
    """One repository with issues' labels and comments, pull requests, reviews, statuses and rules."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.rules: list[dict[str, Any]] = []
        self.rulesets: list[dict[str, Any]] = []
        self.protection: dict[str, Any] | None = None

    # ── what it answers

    def answer(self, asked: Asked) -> Reply:
        """Answer as GitHub does: 404 for what somebody may not see, 403 for what they may not do."""
        if asked.account is None and asked.method != "GET":
            return Reply(401, {"message": "Requires authentication"})
        if asked.account is None and self.is_private:
            return Reply(404, {"message": "Not Found"})
        if asked.account is not None and asked.account.may == "none":
            return Reply(404, {"message": "Not Found"})
        if asked.account is not None and asked.account.may == "read" and asked.method != "GET":
            return Reply(403, {"message": "Resource not accessible by personal access token"})
        if (asked.method, asked.path) == ("POST", "/api/graphql"):
            # The one question that is asked: who am I? Jobs and apps are answered here, and not by GET /user.
            viewer = self._user(asked.account.login) if asked.account else None
            return Reply(200, {"data": {"viewer": viewer and {"login": viewer["login"], "databaseId": viewer["id"]}}})
        return super().answer(asked)

    def _user(self, login: str) -> dict[str, Any] | None:
        account = self.accounts.get(login)
        if account is None:
            return None
        name = "github-actions[bot]" if account.is_bot else login
        return {"id": account.id, "login": name, "type": "Bot" if account.is_bot else "User"}

    def _pull(self, number: int, *, whole: bool = False) -> dict[str, Any]:
        head, pull = self.head(number), self.pulls[number]
        merged = bool(pull["merged_as"])
        repository = {"id": 2 if pull["fork"] else 1, "full_name": pull["fork"] or self.path}
        data = {
            "number": number, "title": pull["title"], "body": pull["body"], "state": pull["state"], "draft": False,
            "html_url": f"{self.url}/{self.path}/pull/{number}", "user": self._user(pull["user"]),
            "head": {"ref": pull["branch"], "sha": head, "repo": repository},
            "base": {"ref": pull["base"], "sha": self.tip(pull["base"]), "repo": {"id": 1, "full_name": self.path}},
            "labels": [{"name": label} for label in pull["labels"]],
            "requested_reviewers": [self._user(login) for login in pull["asked"]],
            "merged_at": "2026-11-25T08:00:00Z" if merged else None, "merge_commit_sha": pull["merged_as"] or None,
        }  # fmt: skip
        if not whole:
            return data
        fits = None if merged else self._fits(pull["base"], head)
        return data | {"merged": merged, "merged_by": self._user(pull["merged_by"]), "mergeable": fits}

    def _fits(self, base: str, head: str) -> bool:
        try:
            self.git("merge-tree", "--write-tree", f"refs/heads/{base}", head)
        except subprocess.CalledProcessError:
            return False
        return True

    @route("GET", "/user")
    def user(self, asked: Asked) -> Reply:
        if asked.account is None or asked.account.is_bot:
            return Reply(403, {"message": "Resource not accessible by integration"})
        return Reply(200, self._user(asked.account.login))

    @route("GET", "/users/{login}")
    def account(self, asked: Asked, login: str) -> Reply:
        found = self._user(login)
        return Reply(200, found) if found else Reply(404, {"message": "Not Found"})

    @route("GET", _BASE)
    def get_repository(self, asked: Asked, owner: str, name: str) -> Reply:
        shown = {f"allow_{way}_merge" if way != "merge" else "allow_merge_commit": on for way, on in self.ways.items()}
        return Reply(200, {"full_name": self.path, "private": self.is_private, **(shown if asked.account else {})})

    @route("GET", _BASE + "/pulls")
    def list_pulls(self, asked: Asked, owner: str, name: str) -> Reply:
        found = [self._pull(number) for number in sorted(self.pulls, reverse=True)]
        query = asked.query
        found = [p for p in found if query.get("state", "open") in (p["state"], "all")]
        found = [p for p in found if query.get("base") in (None, p["base"]["ref"])]
        found = [p for p in found if query.get("head") in (None, f"acme:{p['head']['ref']}")]
        return self.paged(asked, found)

    @route("POST", _BASE + "/pulls")
    def create_pull(self, asked: Asked, owner: str, name: str) -> Reply:
        body, account = asked.body, self._account(asked)
        if not self.tip(body["head"]):
            return self._invalid("PullRequest", "head", "invalid")
        same = [
            p
            for p in self.pulls.values()
            if p["state"] == "open" and (p["branch"], p["base"], p["fork"]) == (body["head"], body["base"], "")
        ]
        if same:
            return Reply(
                422,
                {
                    "message": "Validation Failed",
                    "errors": [
                        {
                            "resource": "PullRequest",
                            "code": "custom",
                            "message": f"A pull request already exists for acme:{body['head']}.",
                        }
                    ],
                },
            )
        if self._contains(body["base"], self.tip(body["head"])):
            return Reply(
                422,
                {
                    "message": "Validation Failed",
                    "errors": [
                        {
                            "resource": "PullRequest",
                            "code": "custom",
                            "message": f"No commits between {body['base']} and {body['head']}",
                        }
                    ],
                },
            )
        number = self.open_by(account.login, body["head"], body["title"], body["base"])
        self.pulls[number]["body"] = body.get("body", "")
        return Reply(201, self._pull(number, whole=True))

    @route("GET", _BASE + "/pulls/{number}")
    def get_pull(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        return Reply(200, self._pull(int(number), whole=True)) if int(number) in self.pulls else self.wrong_path

    @route("PATCH", _BASE + "/pulls/{number}")
    def change_pull(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        self.pulls[int(number)] |= {key: asked.body[key] for key in ("title", "body", "state") if key in asked.body}
        return Reply(200, self._pull(int(number), whole=True))

    @route("GET", _BASE + "/pulls/{number}/reviews")
    def list_reviews(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        reviews = self.pulls[int(number)]["reviews"]
        return self.paged(asked, [{**review, "user": self._user(review["user"])} for review in reviews])

    @route("POST", _BASE + "/pulls/{number}/requested_reviewers")
    def ask(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        pull = self.pulls[int(number)]
        for login in asked.body["reviewers"]:
            if login not in self.accounts or self.accounts[login].may == "none":
                return Reply(
                    422,
                    {
                        "message": f"Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the {self.path} repository."
                    },
                )
            if login == pull["user"]:
                return Reply(422, {"message": "Review cannot be requested from pull request author."})
            pull["asked"].append(login)
        return Reply(201, self._pull(int(number)))

    @route("PUT", _BASE + "/pulls/{number}/merge")
    def merge(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        pull, body = self.pulls[int(number)], asked.body
        if pull["state"] != "open" or not self.ways[body.get("merge_method", "merge")]:
            return Reply(405, {"message": "Pull Request is not mergeable"})
        if body.get("sha") not in (None, self.head(int(number))):
            return Reply(409, {"message": "Head branch was modified. Review and try the merge again."})
        message = f"{body['commit_title']}\n\n{body.get('commit_message', '')}"
        made = self.merge_by_button(int(number), login=self._account(asked).login, message=message)
        return Reply(200, {"sha": made, "merged": True, "message": "Pull Request successfully merged"})

    @route("GET", _BASE + "/git/commits/{oid}")
    def git_commit(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        parents = self.git("rev-list", "--parents", "--max-count=1", oid).split()[1:]
        return Reply(200, {"sha": oid, "parents": [{"sha": parent} for parent in parents]})

    @route("GET", _BASE + "/commits/{oid}/pulls")
    def pulls_of(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        found = [self._pull(number) for number in self.pulls]
        if oid not in self.git("rev-list", "--all").split():
            return Reply(422, {"message": f"No commit found for SHA: {oid}"})
        return self.paged(asked, [pull for pull in found if self._is_of(oid, pull)])

    def _is_of(self, oid: str, pull: dict[str, Any]) -> bool:
        """Say whether GitHub lists a pull request for a commit: it landed as it, or has it."""
        if oid in {pull["head"]["sha"], pull["merge_commit_sha"], *self.pulls[pull["number"]].get("rebased", ())}:
            return True
        base, head = pull["base"]["sha"], pull["head"]["sha"]
        return pull["state"] == "open" and oid in self.git("rev-list", f"{base}..{head}").split()

    @route("GET", _BASE + "/issues/{number}/events")
    def list_events(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        self.head(int(number))
        return self.paged(asked, self.pulls[int(number)].get("events", []))

    @route("POST", _BASE + "/issues/{number}/labels")
    def label(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        labels = self.pulls[int(number)]["labels"]
        labels += [label for label in asked.body["labels"] if label not in labels]
        return Reply(200, [{"name": label} for label in labels])

    @route("GET", _BASE + "/issues/{number}/comments")
    def list_comments(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        found = [comment for comment in self.comments if comment["issue"] == int(number)]
        return self.paged(asked, [self._comment(comment) for comment in found])

    @route("POST", _BASE + "/issues/{number}/comments")
    def write_comment(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        if len(asked.body["body"]) > 65_536:
            return Reply(
                422,
                {
                    "message": "Validation Failed",
                    "errors": [{"field": "body", "code": "custom", "message": "body is too long"}],
                },
            )
        oid = self.number()
        comment = {
            "id": oid,
            "issue": int(number),
            "user": self._account(asked).login,
            "body": asked.body["body"],
            "html_url": f"{self.url}/{self.path}/pull/{number}#issuecomment-{oid}",
        }
        self.comments.append(comment)
        return Reply(201, self._comment(comment))

    def _comment(self, comment: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in comment.items() if key != "issue"} | {"user": self._user(comment["user"])}

    @route("PATCH", _BASE + "/issues/comments/{oid}")
    def change_comment(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        comment = next(comment for comment in self.comments if comment["id"] == int(oid))
        comment["body"] = asked.body["body"]
        return Reply(200, self._comment(comment))

    @route("POST", _BASE + "/statuses/{oid}")
    def set_status(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        if len(asked.body.get("description", "")) > 140:
            return self._invalid("Status", "description", "too_long")
        self.statuses.append({**asked.body, "sha": oid, "creator": self._account(asked).login})
        return Reply(201, {**asked.body, "id": self.number()})

    @route("GET", _BASE + "/rules/branches/{branch}")
    def branch_rules(self, asked: Asked, owner: str, name: str, branch: str) -> Reply:
        return self.paged(asked, self.rules)

    @route("GET", _BASE + "/rulesets")
    def list_rulesets(self, asked: Asked, owner: str, name: str) -> Reply:
        return self.paged(asked, [{k: v for k, v in one.items() if k != "bypass_actors"} for one in self.rulesets])

    @route("GET", _BASE + "/rulesets/{oid}")
    def get_ruleset(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        found = next((dict(one) for one in self.rulesets if one["id"] == int(oid)), None)
        if found and self._account(asked).may != "admin":
            found.pop("bypass_actors", None)
        return Reply(200, found) if found else self.wrong_path

    @route("GET", _BASE + "/branches/{branch}/protection")
    def get_protection(self, asked: Asked, owner: str, name: str, branch: str) -> Reply:
        if self._account(asked).may != "admin":
            return Reply(403, {"message": "Resource not accessible by personal access token"})
        return Reply(200, self.protection) if self.protection else Reply(404, {"message": "Branch not protected"})

    def _account(self, asked: Asked) -> Account:
        return asked.account or Account(0, "nobody", "", "read")

    def _invalid(self, resource: str, field: str, code: str) -> Reply:
        return Reply(
            422, {"message": "Validation Failed", "errors": [{"resource": resource, "field": field, "code": code}]}
        )
