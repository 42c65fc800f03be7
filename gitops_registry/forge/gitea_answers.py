"""What Gitea and Forgejo answer, as our values, and their lists, page after page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import PullRequest, Review, State, Word
from gitops_registry.forge.reading import are_one, dig, entries, is_commit, moment, person, text

_PAGE = 50
_MOST_PAGES = 200
_WORDS: dict[str, Word] = {"APPROVED": "approved", "REQUEST_CHANGES": "rejected", "COMMENT": "commented"}
"""PENDING is nobody's word yet, and REQUEST_REVIEW is a question to somebody."""


def count(data: Any, *names: str) -> int:
    """Return a whole number below names; 0 where there is none."""
    found = dig(data, *names)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def names(data: Any, field: str) -> list[str]:
    """Return a field that is a list of texts, without what is none."""
    return [found for found in entries(data, field) if isinstance(found, str)]


def commit(data: Any, *names: str) -> str:
    """Return the full id of a commit below names; empty where there is none."""
    found = text(data, *names)
    return found if is_commit(found) else ""


def pull_request(data: Any, page: str) -> PullRequest:
    """Return a pull request of the repository whose page is given. Raises RegistryError where one has no number, head or base."""
    number, head, base = count(data, "number"), commit(data, "head", "sha"), text(data, "base", "ref")
    if number < 1 or not head or not base:
        raise RegistryError(
            f"Gitea shows the pull request {number or '?'} without its number, head or base",
            hint="look at its page: is its branch still there?",
        )
    is_merged = dig(data, "merged") is True
    state: State = "merged" if is_merged else "closed" if text(data, "state") == "closed" else "open"
    branch = text(data, "head", "label")  # `ref` is refs/pull/N/head once the branch is gone
    return PullRequest(
        number=number,
        url=f"{page}/pulls/{number}",
        title=text(data, "title"),
        body=text(data, "body"),
        branch=branch if branch or is_detached(data) else text(data, "head", "ref"),
        base=base,
        head=head,
        author=person(dig(data, "user")),
        state=state,
        is_foreign=not are_one(dig(data, "head", "repo_id"), dig(data, "base", "repo_id")),
        merged_as=commit(data, "merge_commit_sha") if is_merged else "",
        merged_by=person(dig(data, "merged_by")) if is_merged and dig(data, "merged_by") else None,
    )


def is_detached(data: Any) -> bool:
    """Whether a pull request shows the head that the forge keeps, and not that of its branch."""
    return text(data, "head", "ref").startswith("refs/")


def review(data: Any) -> Review | None:
    """Return one review; None for what says nothing of the pull request. Raises RegistryError where it has no number or time."""
    word = _WORDS.get(text(data, "state"))
    if word is None:
        return None
    number, when = count(data, "id"), moment(text(data, "submitted_at"))
    if number < 1 or when.year < 2000:
        raise RegistryError(
            f"Gitea shows the review {number or '?'} without its number or time", hint="look at the pull request's page"
        )
    said: Word = "dismissed" if dig(data, "dismissed") is True else word
    return Review(str(number), person(dig(data, "user")), said, commit(data, "commit_id"), when, text(data, "body"))


def listed(api: Api, path: str, **params: Any) -> Iterator[Any]:
    """Yield the entries of a list. Not by its links: of reviews, labels and comments Gitea only says how many there are.

    What one may not see (the pending reviews of others) counts and is left out, so that a page may even be empty.
    """
    seen: set[int] = set()
    longest = 1
    for page in range(1, _MOST_PAGES + 1):
        answer = api.send("GET", path, params={**params, "page": page, "limit": _PAGE})
        found = [] if answer.data is None else answer.data
        if not isinstance(found, list):
            raise RegistryError(f"{api.name} answered with no list for {path}", hint="is that address its API?")
        fresh = [entry for entry in found if count(entry, "id") not in seen]
        seen.update(count(entry, "id") for entry in fresh)
        yield from fresh
        longest = max(longest, len(found))
        total = answer.headers.get("X-Total-Count", "")
        if page * longest >= int(total) if total.isdigit() else not fresh:
            return
    raise RegistryError(f"{api.name} has more than {_MOST_PAGES} pages of {path}", hint="close what is not needed")
