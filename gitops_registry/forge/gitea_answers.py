"""What Gitea and Forgejo answer, read with care: a field that is missing, null or of another kind raises no KeyError here.

What a value cannot do without raises RegistryError; everything else is empty where it is not well formed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from gitops_registry.errors import RegistryError
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import Person, PullRequest, Review, State, Word

NOBODY = Person(0, "ghost")
"""Whose account is gone."""
_PAGE = 50
_MOST_PAGES = 200
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WORDS: dict[str, Word] = {"APPROVED": "approved", "REQUEST_CHANGES": "rejected", "COMMENT": "commented"}
"""PENDING is nobody's word yet, and REQUEST_REVIEW is a question to somebody."""


def part(data: Any, name: str) -> dict[str, Any]:
    """Return a field that is an object; empty where it is none."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def entries(data: Any, name: str) -> list[Any]:
    """Return a field that is a list; empty where it is none."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, list) else []


def text(data: Any, name: str) -> str:
    """Return a field that is a text, as it is; empty where it is none."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""


def number(data: Any, name: str) -> int:
    """Return a field that is a whole number; 0 where it is none."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def flag(data: Any, name: str) -> bool | None:
    """Return a field that is yes or no; None where it is neither."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, bool) else None


def names(data: Any, name: str) -> list[str]:
    """Return a field that is a list of texts, without what is none."""
    return [found for found in entries(data, name) if isinstance(found, str)]


def commit(data: Any, name: str) -> str:
    """Return a field that is the full id of a commit; empty where it is none."""
    found = text(data, name)
    return found if _COMMIT.fullmatch(found) else ""


def person(data: Any) -> Person:
    """Return an account; NOBODY where it is gone."""
    found = Person(number(data, "id"), text(data, "login") or text(data, "username"))
    return found if found.id and found.login else NOBODY


def pull_request(data: Any, page: str) -> PullRequest:
    """Return a pull request of the repository whose page is given. Raises RegistryError where one has no number, head or base."""
    count, head, base = number(data, "number"), part(data, "head"), part(data, "base")
    if count < 1 or not commit(head, "sha") or not text(base, "ref"):
        raise RegistryError(
            f"Gitea shows the pull request {count or '?'} without its number, head or base",
            hint="look at its page: is its branch still there?",
        )
    state: State = "open"
    if flag(data, "merged"):
        state = "merged"
    elif text(data, "state") == "closed":
        state = "closed"
    branch = text(head, "label")  # `ref` is refs/pull/N/head once the branch is gone
    return PullRequest(
        number=count,
        url=f"{page}/pulls/{count}",
        title=text(data, "title"),
        body=text(data, "body"),
        branch=branch if branch or is_detached(data) else text(head, "ref"),
        base=text(base, "ref"),
        head=commit(head, "sha"),
        author=person(data.get("user")),
        state=state,
        is_foreign=number(head, "repo_id") != number(base, "repo_id"),
        merged_as=commit(data, "merge_commit_sha") if state == "merged" else "",
    )


def is_detached(data: Any) -> bool:
    """Whether a pull request shows the head that the forge keeps, and not that of its branch."""
    return text(part(data, "head"), "ref").startswith("refs/")


def review(data: Any) -> Review | None:
    """Return one review; None for what says nothing of the pull request. Raises RegistryError where it has no number or time."""
    word = _WORDS.get(text(data, "state"))
    if word is None:
        return None
    count, when = number(data, "id"), moment(text(data, "submitted_at"))
    if count < 1 or when is None:
        raise RegistryError(
            f"Gitea shows the review {count or '?'} without its number or time", hint="look at the pull request's page"
        )
    said = "dismissed" if flag(data, "dismissed") else word
    return Review(str(count), person(data.get("user")), said, commit(data, "commit_id"), when, text(data, "body"))


def moment(written: str) -> datetime | None:
    """Return a moment, with its zone; None where none is written."""
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def quoted(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")


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
        fresh = [entry for entry in found if number(entry, "id") not in seen]
        seen.update(number(entry, "id") for entry in fresh)
        yield from fresh
        longest = max(longest, len(found))
        total = answer.headers.get("X-Total-Count", "")
        if page * longest >= int(total) if total.isdigit() else not fresh:
            return
    raise RegistryError(f"{api.name} has more than {_MOST_PAGES} pages of {path}", hint="close what is not needed")
