"""What GitHub's answers mean: a pull request, a review, and when a branch was rewritten; texts as GitHub takes and keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.forge.interface import PullRequest, Review, State, Word
from gitops_registry.forge.reading import are_one, dig, is_commit, moment, number, person, text

WORDS: dict[str, Word] = {
    "APPROVED": "approved", "CHANGES_REQUESTED": "rejected", "COMMENTED": "commented", "DISMISSED": "dismissed",
}  # fmt: skip


def pull_request(data: Any, page: str) -> PullRequest:
    """Return a pull request of the repository whose page is given. Raises RegistryError where what it is about is missing."""
    oid, head, merged = number(data, "number"), text(data, "head", "sha"), bool(dig(data, "merged_at"))
    if not is_commit(head) or not text(data, "base", "ref"):
        raise RegistryError(
            f"GitHub shows pull request {oid} without its head or its base", hint="try again in a while"
        )
    state: State = "merged" if merged else "open" if text(data, "state") == "open" else "closed"
    # By number: a repository that was renamed is still found under its old name.
    own, source = dig(data, "base", "repo", "id"), dig(data, "head", "repo", "id")
    return PullRequest(
        number=oid, url=text(data, "html_url") or f"{page}/pull/{oid}", title=text(data, "title"),
        body=text(data, "body"), branch=text(data, "head", "ref"), base=text(data, "base", "ref"), head=head,
        author=person(dig(data, "user")), state=state, is_foreign=not are_one(source, own),
        merged_as=text(data, "merge_commit_sha") if merged else "",
        merged_by=person(dig(data, "merged_by")) if dig(data, "merged_by") else None,
    )  # fmt: skip


def review(data: Any) -> Review:
    """Return a review, as one of whose states WORDS has it. Raises RegistryError for one without its number or its time.

    The newest word of a person counts, so one whose time is not known could be older or newer than another.
    """
    commit, time = text(data, "commit_id"), moment(text(data, "submitted_at"))
    if time.timestamp() <= 0:
        raise RegistryError("GitHub shows a review without its time", hint="try again in a while")
    return Review(
        str(number(data, "id")), person(dig(data, "user")), WORDS[text(data, "state").upper()],
        commit if is_commit(commit) else "", time, text(data, "body"),
    )  # fmt: skip


def rewritten(event: Any) -> datetime:
    """Return when a branch was rewritten; the end of time where GitHub does not say, so that no older review counts."""
    told = moment(text(event, "created_at"))
    return told if told.timestamp() > 0 else datetime.max.replace(tzinfo=told.tzinfo)
