"""Proposals without a forge: branches of a plain repository, reviewed by signed commits on them.

What a forge keeps in its database git keeps as well: the text of a pull request is the description of its branch, a comment
and a status are notes on its newest commit, and an approval is a commit. Nothing here is believed: whose word a commit
is, its signature says, and that is judged elsewhere.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from gitops_registry.errors import NotFound
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
    Wanted,
    Word,
)
from gitops_registry.git.repository import Repository

_NOTES = "gitops-registry"
_WORDS: tuple[tuple[str, Word], ...] = (("Approves-Plan", "approved"), ("Rejects-Plan", "rejected"))
_MOST = 500


class Local:
    """The branches of a repository as pull requests into one of them. They have no numbers; `remote` is where they are pushed."""

    kind: Kind = "local"

    def __init__(self, repository: Repository, *, base: str, remote: str = "") -> None:
        self._repository = repository
        self._base = base
        self._remote = remote

    @property
    def url(self) -> str:
        """The folder of the repository, or the name of the remote that has its branches."""
        return self._remote or str(self._repository.folder)

    def person(self, login: str) -> Person:
        """Return somebody by name: a plain repository has no accounts."""
        return Person(0, login)

    def request(self, number: int) -> PullRequest:
        """Raise NotFound: proposals here have names."""
        raise NotFound(f"no pull request {number}: without a forge they are branches", hint="gitops-registry proposals")

    def requests_of(self, commit: str) -> list[PullRequest]:
        """Return the branches whose newest commit is that, as pull requests into the branch of decisions."""
        found = self._repository.branches()
        names = [ref.removeprefix("refs/heads/") for ref, oid in found.items() if oid == commit]
        return [self._as_request(name, commit) for name in names if name != self._base]

    def _as_request(self, branch: str, head: str) -> PullRequest:
        told = self._repository.config(f"branch.{branch}.description")
        title, _, body = told.partition("\n\n")
        commit = self._repository.commit(head)
        return PullRequest(
            0, self.url, title or commit.subject, body, branch, self._base, head, Person(0, commit.author), "open"
        )

    def open(self, wanted: Wanted) -> Opened:
        """Keep the text with the branch, and say whom to ask. Raises NotFound where there is no such branch here."""
        head = self._repository.tip(f"refs/heads/{wanted.branch}")
        if head is None:
            raise NotFound(f"no branch {wanted.branch} here", hint="gitops-registry proposals list")
        was = self._repository.config(f"branch.{wanted.branch}.description")
        told = f"{wanted.title}\n\n{wanted.body}"
        if was.rstrip("\n") != told.rstrip("\n"):
            self._repository.run("config", f"branch.{wanted.branch}.description", told)
        who = f"whoever may decide: gitops-registry approve {wanted.branch}"
        notes = (f"no forge is known for {self.url}, so this is a branch for {who}",)
        return Opened(self._as_request(wanted.branch, head), not was, notes)

    def reviews(self, request: PullRequest) -> list[Review]:
        """Return the commits of a branch that say to approve or reject, oldest first; what they say is not judged here."""
        tip = self._repository.tip(f"refs/heads/{request.base}")
        limits = (f"^{tip}",) if tip else ()
        told = self._repository.run(
            "rev-list", "--topo-order", "--reverse", f"--max-count={_MOST}", request.head, *limits
        ).split()
        found = []
        for oid in told:
            commit = self._repository.commit(oid)
            word = next((word for name, word in _WORDS if commit.trailers(name)), None)
            if word is not None and commit.parents:
                when = datetime.fromtimestamp(commit.time, UTC)
                found.append(Review(oid, Person(0, commit.author), word, commit.parents[0], when, commit.subject))
        return found

    def comment(self, request: PullRequest, marker: str, body: str) -> str:
        """Write a note on the newest commit, in place of the last one; `git log --notes` shows it."""
        self._note("comment", request.head, body if body.startswith(marker) else f"{marker}\n\n{body}")
        return self.url

    def set_status(self, commit: str, status: Status) -> None:
        """Write a note on a commit, in place of the last one."""
        self._note("status", commit, json.dumps({"name": status.name, "verdict": status.verdict, "text": status.text}))

    def _note(self, what: str, commit: str, text: str) -> None:
        self._repository.run("notes", f"--ref={_NOTES}/{what}", "add", "-f", "-F", "-", commit, stdin=text.encode())

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Raise Refused: there is no button here, the merge is made and signed by whoever decides."""
        raise Refused(
            f"a plain repository merges nothing of itself, {head[:12]} ({message.splitlines()[0][:60]}) neither",
            hint=f"gitops-registry merge {request.branch}",
        )

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return whether the repository judges pushes itself, where it is one that is pushed to."""
        if self._repository.work_tree is not None:
            return []
        is_there = (Path(self._repository.git_dir) / "hooks" / "pre-receive").is_file()
        message = f"pushes to {guarded.branch} are {'judged by a hook' if is_there else 'taken as they come'}"
        repair = "" if is_there else f"gitops-registry hook install {self._repository.git_dir}"
        return [Setting("hook", not is_there, message, repair)]

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the branch."""
        return f"refs/heads/{request.branch}"
