"""What a forge is asked for, in the same words whichever it is: a pull request, its reviews, a comment, a status, a merge.

A forge is believed in what it alone knows (who is logged in, who reviewed which commit), and in nothing that git can
say: commits are compared by their ids, trees by what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from gitops_registry.errors import RegistryError

Kind = Literal["local", "github", "gitlab", "gitea"]
State = Literal["open", "closed", "merged"]
Word = Literal["approved", "rejected", "commented", "dismissed"]
Verdict = Literal["success", "failure", "pending", "error"]


class Unanswered(RegistryError):
    """A request whose answer never came: what it asked for may have been done."""


class Refused(RegistryError):
    """What a forge does not do, in its own words; `status` is HTTP's (403, 405, 409, 422 …)."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Person(NamedTuple):
    """An account: the number that stays its own, and the login that people read."""

    id: int
    login: str


@dataclass(frozen=True)
class Review:
    """What one account said of a pull request, and the `commit` it looked at; empty where the forge does not know that."""

    id: str
    author: Person
    word: Word
    commit: str
    time: datetime
    comment: str = ""


@dataclass(frozen=True)
class PullRequest:
    """One pull request as it is now. `head` is its newest commit; `merged_as` the commit it landed as, `merged_by` who let it, where it did.

    `is_foreign`: its branch is in another repository (a fork).
    """

    number: int
    url: str
    title: str
    body: str
    branch: str
    base: str
    head: str
    author: Person
    state: State
    is_foreign: bool = False
    merged_as: str = ""
    merged_by: Person | None = None


@dataclass(frozen=True)
class Wanted:
    """A pull request as it should be: from `branch` into `base`. `reviewers` are logins; the author is never one."""

    branch: str
    base: str
    title: str
    body: str
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A pull request that is as wanted: `is_new` where it was opened now. `notes` say what the forge did not take."""

    request: PullRequest
    is_new: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """A verdict on one commit under a name of its own; `text` is one short line, `url` where more is said."""

    name: str
    verdict: Verdict
    text: str
    url: str = ""


class Setting(NamedTuple):
    """One thing about how a forge guards a branch. `is_open`: a way around the check; None where it may not be read.

    `repair`: where to close it, in the forge's own words.
    """

    what: str
    is_open: bool | None
    message: str
    repair: str = ""


class Guarded(NamedTuple):
    """What a forge's settings are compared with: the branch of decisions, and the name of the status that is required."""

    branch: str
    status: str


class Forge(Protocol):
    """One repository on one forge. Every method raises Refused for what the forge does not do, NotFound for what it does not
    have, Unanswered where no answer came, and RegistryError with the next step where a token is missing or not accepted.
    """

    @property
    def kind(self) -> Kind:
        """Which forge it is."""
        ...

    @property
    def url(self) -> str:
        """The repository's page, without a slash at the end."""
        ...

    def person(self, login: str) -> Person:
        """Return the account of that login."""
        ...

    def request(self, number: int) -> PullRequest:
        """Return one pull request."""
        ...

    def requests_of(self, commit: str) -> list[PullRequest]:
        """Return the pull requests into any branch whose head is a commit, or that landed as it, newest first."""
        ...

    def open(self, wanted: Wanted) -> Opened:
        """Open a pull request, or bring the open one of that branch and base to what is wanted; asked twice, there is one.

        Labels are added, none is taken away; reviewers that were asked stay asked. What the forge does not take of labels
        and reviewers is a note: the pull request is there all the same.
        """
        ...

    def reviews(self, request: PullRequest) -> list[Review]:
        """Return what was said of a pull request, oldest first; a review that was taken back is `dismissed`."""
        ...

    def comment(self, request: PullRequest, marker: str, body: str) -> str:
        """Write the comment that begins with a marker, or bring that of this token's own account to these words; return its page."""
        ...

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a commit came to, in place of what was said under that name before."""
        ...

    def merge(self, request: PullRequest, *, head: str, message: str) -> str:
        """Let the forge make a merge commit of exactly that head, and return it. Raises Moved where the head is another."""
        ...

    def settings(self, guarded: Guarded) -> list[Setting]:
        """Return how the forge guards the branch, what it lets through first."""
        ...

    def ref(self, request: PullRequest) -> str:
        """Return the full name of the ref under which the repository has a pull request's head."""
        ...


def fitting(settings: Sequence[Setting]) -> list[Setting]:
    """Return settings with what is open first, then what could not be read, then what holds."""
    return sorted(settings, key=lambda found: {True: 0, None: 1, False: 2}[found.is_open])
