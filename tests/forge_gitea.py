"""A Gitea or Forgejo on loopback: what its REST API does with the pull requests of one repository, kept in a bare one.

Written from what Gitea 1.27 and Forgejo 11 do. Of reviews, labels and comments the lists have no links to further pages, only a
count, in which the pending reviews of others are. A merge that is refused says 405, one that came too late 409.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forges import Account, Asked, LocalForge, Reply, route

_BASE = "/repos/{owner}/{name}"
_STATES = {
    "approved": "APPROVED", "rejected": "REQUEST_CHANGES", "commented": "COMMENT", "pending": "PENDING",
    "asked": "REQUEST_REVIEW",
}  # fmt: skip
_RULE: dict[str, Any] = {
    "enable_push": False, "enable_push_whitelist": False, "push_whitelist_usernames": [], "push_whitelist_teams": [],
    "push_whitelist_deploy_keys": False, "enable_merge_whitelist": False, "merge_whitelist_usernames": [],
    "merge_whitelist_teams": [], "enable_status_check": False, "status_check_contexts": [], "required_approvals": 0,
    "enable_approvals_whitelist": False, "approvals_whitelist_username": [], "approvals_whitelist_teams": [],
    "block_on_rejected_reviews": False, "block_on_official_review_requests": False, "block_on_outdated_branch": False,
    "dismiss_stale_approvals": False, "ignore_stale_approvals": False, "require_signed_commits": False,
    "protected_file_patterns": "", "unprotected_file_patterns": "",
}  # fmt: skip


class LocalGitea(LocalForge):
    """One repository with labels, comments, pull requests, reviews, statuses and rules. `is_forgejo`: with Forgejo's fields."""

    api = "/api/v1"
    wrong_path = Reply(404, {"message": "The target couldn't be found.", "errors": [], "url": "/api/swagger"})
    no_token = Reply(401, {"message": "user does not exist [uid: 0, name: ]", "url": "/api/swagger"})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_forgejo = False
        self.is_private = False
        self.is_looking = 0  # how often a merge is refused because the branch is still being tried
        self.autodetects = (
            False  # whether a push that has a pull request's head ends it; off at first, as on the real one
        )
        self.pulls: dict[int, dict[str, Any]] = {}
        self.comments: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.organisation_labels: list[dict[str, Any]] = []
        self.teams = ["deployers"]
        self.ways = {"merge_commits": True, "squash_merge": False, "rebase": False, "rebase_explicit": False, "fast_forward_only_merge": False}  # fmt: skip
        self.rules: list[dict[str, Any]] = []
        self.tag_rules: list[dict[str, Any]] = []

    # ── what people do on its pages

    def open_by(
        self, login: str, branch: str, title: str = "a change", base: str = "main", *, is_fork: bool = False
    ) -> int:
        """Open a pull request as somebody does on the page; from a fork that has the same branch, or from the repository itself."""
        number = len(self.pulls) + 1
        self.pulls[number] = {
            "number": number, "title": title, "body": "", "branch": branch, "base": base, "state": "open", "user": login,
            "labels": [], "asked": [], "teams": [], "reviews": [], "head": self.tip(branch), "merged_as": "",
            "merged_by": "", "is_fork": is_fork,
        }  # fmt: skip
        self.head(number)
        return number

    def review(
        self, login: str, number: int, word: str = "approved", commit: str | None = None, comment: str = ""
    ) -> int:
        """Review a pull request at its newest commit, or at another one; `pending` is not submitted yet."""
        oid = self.head(number) if commit is None else commit
        pull = self.pulls[number]
        pull["asked"] = [asked for asked in pull["asked"] if asked != login]
        found = {"id": self.number(), "user": login, "state": _STATES[word], "commit_id": oid, "body": comment, "submitted_at": self.now(), "dismissed": False}  # fmt: skip
        pull["reviews"].append(found)
        return int(found["id"])

    def dismiss(self, review_id: int) -> None:
        """Take a review back, as an administrator of the repository can."""
        for pull in self.pulls.values():
            for review in pull["reviews"]:
                review["dismissed"] = review["dismissed"] or review["id"] == review_id

    def head(self, number: int) -> str:
        """Return what the API shows as the head: the branch's newest commit, also after the merge; its ref stays then."""
        pull = self.pulls[number]
        tip = self.tip(pull["branch"])
        if pull["state"] == "open" and tip:
            pull["head"] = tip
            self.git("update-ref", f"refs/pull/{number}/head", tip)
            if self.autodetects and tip in self.git("rev-list", f"refs/heads/{pull['base']}").split():
                line = self.git(
                    "rev-list", "--ancestry-path", "--merges", "--reverse", f"{tip}..refs/heads/{pull['base']}"
                )
                pull |= {"state": "closed", "merged_as": (line.split() or [tip])[0], "merged_by": pull["user"]}
        return tip or str(pull["head"])

    def update_branch(self, number: int, login: str = "alice") -> str:
        """Merge the base into a pull request's branch, as the button does."""
        pull = self.pulls[number]
        title = f"Merge branch '{pull['base']}' into {pull['branch']}"
        made = self._joined(pull["branch"], self.tip(pull["base"]), title, login)
        self.git("update-ref", f"refs/heads/{pull['branch']}", made)
        self.head(number)
        return made

    def merge_by_button(self, number: int, how: str = "merge", login: str = "bob", message: str = "") -> str:
        """Land a pull request as a merge commit, by `squash` or by `rebase`, and return what the base is then."""
        pull = self.pulls[number]
        head, base = self.head(number), pull["base"]
        if how == "merge":
            title = f"Merge pull request '{pull['title']}' (#{number}) from {pull['branch']} into {base}"
            made = self._joined(base, head, message or title, login)
        elif how == "squash":
            tree = self.git("merge-tree", "--write-tree", f"refs/heads/{base}", head).splitlines()[0]
            made = self._commit(tree, [self.tip(base)], f"{pull['title']} (#{number})", login)
        else:
            made = self.tip(base)
            for oid in self.git("rev-list", "--reverse", f"refs/heads/{base}..{head}").split():
                tree = self.git("merge-tree", "--write-tree", made, oid).splitlines()[0]
                made = self._commit(tree, [made], self.git("log", "-1", "--format=%B", oid), login)
        self.git("update-ref", f"refs/heads/{base}", made)
        pull |= {"state": "closed", "merged_as": made, "merged_by": login}
        return made

    def protect(self, branch: str = "main", **fields: Any) -> None:
        """Protect a branch with a rule."""
        own = {"apply_to_admins": False} if self.is_forgejo else {"block_admin_merge_override": False, "enable_force_push": False, "enable_bypass_allowlist": False, "bypass_allowlist_usernames": []}  # fmt: skip
        self.rules.append({"rule_name": branch, "branch_name": branch, **_RULE, **own, **fields})

    def _joined(self, into: str, other: str, message: str, login: str) -> str:
        tree = self.git("merge-tree", "--write-tree", f"refs/heads/{into}", other).splitlines()[0]
        return self._commit(tree, [self.tip(into), other], message, login)

    def _commit(self, tree: str, parents: list[str], message: str, login: str) -> str:
        who = ["-c", f"user.name={login}", "-c", f"user.email={login}@example.com", "-c", "commit.gpgsign=false"]
        named = [word for oid in parents for word in ("-p", oid)]
        return self.git(*who, "commit-tree", tree, *named, stdin=message)

    # ── what it answers

    def answer(self, asked: Asked) -> Reply:
        """Answer as Gitea does: 404 for what somebody may not see, 401 and 403 for what they may not do."""
        account = asked.account
        if asked.headers.get("Authorization") and account is None:
            return self.no_token
        if (account is None and self.is_private) or (account is not None and account.may == "none"):
            return self.wrong_path
        if account is None and asked.method != "GET":
            return Reply(401, {"message": "token is required", "url": "/api/swagger"})
        if account is not None and account.may == "read" and asked.method != "GET":
            return Reply(403, {"message": "user should have a permission to write to a repo", "url": "/api/swagger"})
        return super().answer(asked)

    def counted(self, asked: Asked, entries: list[Any], hidden: list[Any] | None = None) -> Reply:
        """Return one page of a list that has no links, only a count; what is hidden counts."""
        size = min(self.page, int(asked.query.get("limit") or 30))
        number = int(asked.query.get("page", "1"))
        shown = [entry for entry in entries[(number - 1) * size : number * size] if entry not in (hidden or [])]
        return Reply(200, shown, {"X-Total-Count": str(len(entries))})

    def _user(self, login: str) -> dict[str, Any]:
        account = self.accounts.get(login)
        if account is None:
            return {"id": -1, "login": "Ghost", "username": "Ghost", "email": ""}
        name, oid = ("gitea-actions", -2) if account.is_bot else (login, account.id)
        return {"id": oid, "login": name, "username": name, "full_name": "", "email": f"{oid}+{name}@noreply.localhost"}

    def _pull(self, number: int) -> dict[str, Any]:
        head, pull = self.head(number), self.pulls[number]
        merged = bool(pull["merged_as"])
        kept = f"refs/pull/{number}/head"
        page = f"{self.url}/{self.path}/pulls/{number}"
        ref = pull["branch"] if self.tip(pull["branch"]) else kept
        return {
            "id": 7000 + number, "number": number, "url": page, "html_url": page, "title": pull["title"],
            "body": pull["body"], "state": pull["state"], "user": self._user(pull["user"]), "draft": False,
            "labels": [label for label in [*self.labels, *self.organisation_labels] if label["name"] in pull["labels"]],
            "requested_reviewers": [self._user(login) for login in pull["asked"]] or None,
            "requested_reviewers_teams": [{"id": 1, "name": team} for team in pull["teams"]] or None,
            "head": {"label": pull["branch"], "ref": ref, "sha": head, "repo_id": 2 if pull["is_fork"] else 1, "repo": {"id": 1}},
            "base": {"label": pull["base"], "ref": pull["base"], "sha": self.tip(pull["base"]), "repo_id": 1, "repo": {"id": 1}},
            "merged": merged, "merged_at": "2026-11-25T08:00:00Z" if merged else None, "mergeable": not merged,
            "merge_commit_sha": pull["merged_as"] or None,
            "merged_by": self._user(pull["merged_by"]) if merged else None,
        }  # fmt: skip

    def _invalid(self, message: str, status: int = 422) -> Reply:
        return Reply(status, {"message": message, "url": f"{self.url}/api/swagger"})

    @route("GET", "/user")
    def user(self, asked: Asked) -> Reply:
        if asked.account is None:
            return Reply(401, {"message": "token is required"})
        if asked.account.is_bot:
            return self._invalid("token does not have at least one of required scope(s): [read:user]", 403)
        return Reply(200, self._user(asked.account.login))

    @route("GET", "/users/{login}")
    def account(self, asked: Asked, login: str) -> Reply:
        known = {name.lower(): name for name in self.accounts}
        return Reply(200, self._user(known[login.lower()])) if login.lower() in known else self.wrong_path

    @route("GET", _BASE)
    def get_repository(self, asked: Asked, owner: str, name: str) -> Reply:
        shown = {f"allow_{way}": is_on for way, is_on in self.ways.items()}
        if not self.is_forgejo:  # which does not show these
            shown |= {"autodetect_manual_merge": self.autodetects, "allow_manual_merge": False}
        return Reply(200, {"id": 1, "full_name": self.path, "private": self.is_private, **shown})

    @route("GET", _BASE + "/pulls")
    def list_pulls(self, asked: Asked, owner: str, name: str) -> Reply:
        found = [self._pull(number) for number in sorted(self.pulls, reverse=True)]
        found = [p for p in found if asked.query.get("state", "open") in (p["state"], "all")]
        reply = self.paged(asked, found)  # these have links too
        return reply._replace(headers={**reply.headers, "X-Total-Count": str(len(found))})

    @route("POST", _BASE + "/pulls")
    def create_pull(self, asked: Asked, owner: str, name: str) -> Reply:
        body, account = asked.body, self._account(asked)
        if not self.tip(body["head"]) or not self.tip(body["base"]):
            return self.wrong_path
        if body["head"] == body["base"]:
            return self._invalid("Invalid PullRequest: There are no changes between the head and the base")
        same = (body["head"], body["base"], False)
        if any(p["state"] == "open" and (p["branch"], p["base"], p["is_fork"]) == same for p in self.pulls.values()):
            return self._invalid("pull request already exists for these targets [id: 1, issue_id: 1]", 409)
        number = self.open_by(account.login, body["head"], body["title"][:255], body["base"])
        self.pulls[number]["body"] = body.get("body", "")
        return Reply(201, self._pull(number))

    @route("GET", _BASE + "/pulls/{number}")
    def get_pull(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        return Reply(200, self._pull(int(number))) if int(number) in self.pulls else self.wrong_path

    @route("PATCH", _BASE + "/pulls/{number}")
    def change_pull(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        self.pulls[int(number)] |= {key: asked.body[key] for key in ("title", "body", "state") if key in asked.body}
        return Reply(201, self._pull(int(number)))

    @route("GET", _BASE + "/pulls/{number}/reviews")
    def list_reviews(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        me = self._account(asked).login
        found = [
            {**r, "user": self._user(r["user"]), "team": None, "stale": r["commit_id"] != self.head(int(number)), "official": True}
            for r in self.pulls[int(number)]["reviews"]
        ]  # fmt: skip
        return self.counted(asked, found, [r for r in found if r["state"] == "PENDING" and r["user"]["login"] != me])

    @route("POST", _BASE + "/pulls/{number}/requested_reviewers")
    def ask(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        pull = self.pulls[int(number)]
        for login in asked.body.get("reviewers", []):
            if login not in self.accounts:
                return Reply(404, {"message": "UserNotExist", "errors": [f"User '{login}' not exist"]})
        for team in asked.body.get("team_reviewers", []):
            if team not in self.teams:
                return Reply(404, {"message": "TeamNotExist", "errors": [f"Team '{team}' not exist"]})
            pull["teams"].append(team)
        for login in asked.body.get("reviewers", []):  # those before one that is not taken are asked
            if login == pull["user"]:
                return self._invalid("poster of pr can't be reviewer")
            if self.accounts[login].may == "none":
                return self._invalid("Reviewer can't read")
            pull["asked"] += [] if login in pull["asked"] else [login]
        return Reply(201, [])

    @route("POST", _BASE + "/pulls/{number}/merge")
    def merge(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        pull, body, login = self.pulls[int(number)], asked.body, self._account(asked).login
        if pull["merged_as"]:
            return self._invalid("", 405)
        if pull["state"] != "open":
            return self.wrong_path
        if self.is_looking > 0:
            self.is_looking -= 1
            return self._invalid("Please try again later", 405)
        rule = next((rule for rule in self.rules if rule["rule_name"] == pull["base"]), {})
        if rule.get("enable_merge_whitelist") and login not in rule["merge_whitelist_usernames"]:
            return self._invalid("User not allowed to merge PR", 405)
        good = {s["context"] for s in self.statuses if s["sha"] == self.head(int(number)) and s["state"] == "success"}
        if rule.get("enable_status_check") and not set(rule["status_check_contexts"]) <= good:
            return self._invalid("not ready to merge [reason: Not all required status checks successful]", 405)
        if body["Do"] != "merge" or not self.ways["merge_commits"]:
            return self._invalid(f"{body['Do']} is not allowed an allowed merge style for this repository", 405)
        if body.get("head_commit_id") not in (None, "", self.head(int(number))):
            return self._invalid("head out of date", 409)
        told = f"{body['MergeTitleField']}\n\n{body.get('MergeMessageField', '')}".strip()
        self.merge_by_button(int(number), login=login, message=told)
        return Reply(200)

    @route("GET", _BASE + "/commits/{oid}/pull")
    def pull_of(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        found = next((number for number, pull in self.pulls.items() if pull["merged_as"] == oid), None)
        return self.wrong_path if found is None else Reply(200, self._pull(found))

    @route("GET", _BASE + "/git/commits/{oid}")
    def get_commit(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        parents = self.git("show", "-s", "--format=%P", oid).split()
        return Reply(200, {"sha": oid, "parents": [{"sha": parent} for parent in parents]})

    @route("GET", _BASE + "/git/refs/pull")
    def list_refs(self, asked: Asked, owner: str, name: str, below: str = "refs/pull") -> Reply:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", below).splitlines()
        found = [{"ref": line.split()[0], "object": {"type": "commit", "sha": line.split()[1]}} for line in lines]
        if not found:
            return self.wrong_path
        return Reply(200, found[0] if len(found) == 1 and found[0]["ref"] == below else found)

    @route("GET", _BASE + "/git/refs/pull/{number}/head")
    def get_ref(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        return self.list_refs(asked, owner, name, f"refs/pull/{number}/head")

    @route("GET", _BASE + "/labels")
    def list_labels(self, asked: Asked, owner: str, name: str) -> Reply:
        return self.counted(asked, self.labels)

    @route("GET", "/orgs/{owner}/labels")
    def list_shared_labels(self, asked: Asked, owner: str) -> Reply:
        return self.counted(asked, self.organisation_labels)

    @route("POST", _BASE + "/labels")
    def make_label(self, asked: Asked, owner: str, name: str) -> Reply:
        self.labels.append({"id": self.number(), "name": asked.body["name"], "color": asked.body["color"].lstrip("#")})
        return Reply(201, self.labels[-1])

    @route("POST", _BASE + "/issues/{number}/labels")
    def label(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        labels = self.pulls[int(number)]["labels"]
        known = {label["id"]: label["name"] for label in [*self.labels, *self.organisation_labels]}
        labels += [known[oid] for oid in asked.body["labels"] if oid in known and known[oid] not in labels]
        return Reply(200, [])

    @route("GET", _BASE + "/issues/{number}/comments")
    def list_comments(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        found = [{**c, "user": self._user(c["user"])} for c in self.comments if c["issue"] == int(number)]
        return Reply(200, found, {"X-Total-Count": str(len(found))})  # never in pages

    @route("POST", _BASE + "/issues/{number}/comments")
    def write_comment(self, asked: Asked, owner: str, name: str, number: str) -> Reply:
        oid, page = self.number(), f"{self.url}/{self.path}/pulls/{number}"
        self.comments.append({"id": oid, "issue": int(number), "user": self._account(asked).login, "body": asked.body["body"], "html_url": f"{page}#issuecomment-{oid}"})  # fmt: skip
        return Reply(201, {**self.comments[-1], "user": self._user(self.comments[-1]["user"])})

    @route("PATCH", _BASE + "/issues/comments/{oid}")
    def change_comment(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        comment = next(comment for comment in self.comments if comment["id"] == int(oid))
        comment["body"] = asked.body["body"]
        return Reply(200, {**comment, "user": self._user(comment["user"])})

    @route("POST", _BASE + "/statuses/{oid}")
    def set_status(self, asked: Asked, owner: str, name: str, oid: str) -> Reply:
        self.statuses.append({**asked.body, "sha": oid, "creator": self._account(asked).login})
        return Reply(201, {**asked.body, "id": self.number()})

    @route("GET", _BASE + "/branches/{branch}")
    def get_branch(self, asked: Asked, owner: str, name: str, branch: str) -> Reply:
        if not self.tip(branch):
            return self.wrong_path
        rule = next((rule for rule in self.rules if rule["rule_name"] in (branch, "*")), None)
        shown: dict[str, Any] = {"name": branch, "commit": {"id": self.tip(branch)}, "protected": rule is not None}
        if rule is not None:
            shown |= {key: rule[key] for key in ("required_approvals", "enable_status_check", "status_check_contexts")}
            is_admin = self._account(asked).may == "admin"
            shown["effective_branch_protection_name"] = rule["rule_name"] if is_admin else ""
        return Reply(200, shown)

    @route("GET", _BASE + "/branch_protections")
    def list_rules(self, asked: Asked, owner: str, name: str) -> Reply:
        return self._of_admin(asked, self.rules)

    @route("GET", _BASE + "/tag_protections")
    def list_tag_rules(self, asked: Asked, owner: str, name: str) -> Reply:
        return self._of_admin(asked, self.tag_rules)

    def _of_admin(self, asked: Asked, found: list[Any]) -> Reply:
        if self._account(asked).may != "admin":
            return self._invalid("user should be an owner or a collaborator with admin write of a repository", 403)
        return Reply(200, found)

    def _account(self, asked: Asked) -> Account:
        return asked.account or Account(0, "nobody", "", "read")
