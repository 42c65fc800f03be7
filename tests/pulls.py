"""Pull requests as the forges on loopback keep them: what people do on its pages, made in a real bare repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from forges import LocalForge


class LocalPulls(LocalForge):
    """One repository with comments, pull requests, reviews and statuses."""

    words: ClassVar[dict[str, str]] = {
        "approved": "APPROVED",
        "rejected": "CHANGES_REQUESTED",
        "commented": "COMMENTED",
    }
    heads: ClassVar[str] = "refs/pull"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pulls: dict[int, dict[str, Any]] = {}
        self.comments: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.ways = {"merge": True, "squash": False, "rebase": False}
        self.is_private = False

    # ── what people do on its pages

    def open_by(self, login: str, branch: str, title: str = "a change", base: str = "main") -> int:
        """Open a pull request as somebody does on the page."""
        number = len(self.pulls) + 1
        self.pulls[number] = {
            "number": number, "title": title, "body": "", "branch": branch, "base": base, "state": "open", "user": login,
            "labels": [], "asked": [], "reviews": [], "head": self.tip(branch), "merged_as": "", "merged_by": "", "fork": "",
        }  # fmt: skip
        return number

    def review(self, login: str, number: int, word: str = "approved", commit: str = "", comment: str = "") -> int:
        """Review a pull request at its newest commit, or at another one."""
        oid = commit or self.head(number)
        found = {"id": self.number(), "user": login, "state": self.words[word], "commit_id": oid, "body": comment, "submitted_at": self.now()}  # fmt: skip
        self.pulls[number]["reviews"].append(found)
        return int(found["id"])

    def dismiss(self, review_id: int) -> None:
        """Take a review back."""
        for pull in self.pulls.values():
            for review in pull["reviews"]:
                if review["id"] == review_id:
                    review["state"] = "DISMISSED"

    def head(self, number: int) -> str:
        """Return the newest commit of a pull request, and let its ref follow."""
        pull = self.pulls[number]
        if pull["state"] == "open":
            was, pull["head"] = pull["head"], self.tip(pull["branch"]) or pull["head"]
            if was != pull["head"] and self.git("merge-base", was, pull["head"]) != was:
                event = {"event": "head_ref_force_pushed", "created_at": self.now(), "commit_id": None}
                pull.setdefault("events", []).append(event)
                pull["reviews"] = [{**review, "commit_id": pull["head"]} for review in pull["reviews"]]
            self.git("update-ref", f"{self.heads}/{number}/head", pull["head"])
            if self._contains(pull["base"], pull["head"]):
                pull |= {"state": "closed", "merged_as": self._joined(pull["base"], pull["head"])}
        return str(pull["head"])

    def _contains(self, base: str, oid: str) -> bool:
        return bool(self.tip(base)) and oid in self.git("rev-list", f"refs/heads/{base}").split()

    def _joined(self, base: str, oid: str) -> str:
        """Return the first decision that has a commit: a push that brings a merge closes its pull request."""
        line = self.git("rev-list", "--first-parent", "--reverse", f"{oid}..refs/heads/{base}").split()
        return next((one for one in line if oid in self.git("rev-list", one).split()), oid)

    def update_branch(self, number: int, login: str = "alice") -> str:
        """Merge the base into a pull request's branch, as the button does."""
        pull = self.pulls[number]
        made = self._merge(pull["branch"], pull["base"], f"Merge branch '{pull['base']}' into {pull['branch']}", login)
        self.git("update-ref", f"refs/heads/{pull['branch']}", made)
        self.head(number)
        return made

    def merge_group(self, number: int) -> str:
        """Make the commit that a merge queue tries, and return it."""
        pull = self.pulls[number]
        self.head(number)
        made = self._merge(
            pull["base"], "", f"Merge pull request #{number} from acme/{pull['branch']}", "", other=pull["head"]
        )
        self.git("update-ref", f"refs/heads/gh-readonly-queue/{pull['base']}/pr-{number}-{pull['head']}", made)
        return made

    def merge_by_button(self, number: int, how: str = "merge", login: str = "bob", message: str = "") -> str:
        """Land a pull request in one of GitHub's three ways, and return what the base is then."""
        pull = self.pulls[number]
        head, base = self.head(number), pull["base"]
        if how == "merge":
            title = message or f"Merge pull request #{number} from acme/{pull['branch']}\n\n{pull['title']}"
            made = self._merge(base, "", title, login, other=head)
        elif how == "squash":
            tree = self.git("merge-tree", "--write-tree", f"refs/heads/{base}", head).splitlines()[0]
            made = self._commit(tree, [self.tip(base)], f"{pull['title']} (#{number})", login)
        else:
            made = self.tip(base)
            for oid in self.git("rev-list", "--reverse", f"refs/heads/{base}..{head}").split():
                tree = self.git("merge-tree", "--write-tree", made, oid).splitlines()[0]
                made = self._commit(tree, [made], self.git("log", "-1", "--format=%B", oid), login)
                pull.setdefault("rebased", []).append(made)
        self.git("update-ref", f"refs/heads/{base}", made)
        pull |= {"state": "closed", "merged_as": made, "merged_by": login}
        return made

    def _merge(self, into: str, branch: str, message: str, login: str, other: str = "") -> str:
        other = other or self.tip(branch)
        tree = self.git("merge-tree", "--write-tree", f"refs/heads/{into}", other).splitlines()[0]
        return self._commit(tree, [self.tip(into), other], message, login)

    def _commit(self, tree: str, parents: list[str], message: str, login: str) -> str:
        who = ["-c", f"user.name={login or 'GitHub'}", "-c", f"user.email={login or 'noreply'}@example.com"]
        named = [word for oid in parents for word in ("-p", oid)]
        return self.git(*who, "-c", "commit.gpgsign=false", "commit-tree", tree, *named, stdin=message)
