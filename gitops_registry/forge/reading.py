"""Reading what a forge answers: fields of JSON that may be missing or null, as values of the right type or an error in one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from gitops_registry.errors import RegistryError
from gitops_registry.forge.interface import Person

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
NOBODY = Person(0, "nobody")
"""An account that was deleted."""


def dig(data: Any, *names: str) -> Any:
    """Return what is below names, one after the other; None where any of them is missing."""
    for name in names:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def text(data: Any, *names: str) -> str:
    """Return a text below names; empty where there is none. Halves of a sign, which nothing can write, become `?`."""
    found = dig(data, *names)
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else ""


def number(data: Any, *names: str) -> int:
    """Return a whole number below names. Raises RegistryError where there is none."""
    found = dig(data, *names)
    if isinstance(found, bool) or not isinstance(found, int):
        raise RegistryError(f"the forge's answer has no {'.'.join(names)}", hint="is that address its API?")
    return found


def entries(data: Any, *names: str) -> list[Any]:
    """Return a list below names; empty where there is none."""
    found = dig(data, *names)
    return found if isinstance(found, list) else []


def moment(value: str) -> datetime:
    """Return a moment as forges write it; the beginning of time for what is none."""
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def person(data: Any, *, login: str = "login") -> Person:
    """Return an account; nobody where it was deleted."""
    found = dig(data, "id")
    if isinstance(found, bool) or not isinstance(found, int):
        return NOBODY
    return Person(found, text(data, login))


def part(value: str) -> str:
    """Return a text as one part of a path."""
    return quote(value, safe="")


def short(words: str, most: int) -> str:
    """Return a text that is at most so many signs long."""
    return words if len(words) <= most else words[: most - 1] + "…"


def is_same(one: str, other: str) -> bool:
    """Say whether two texts are the same to readers: a browser that edits one changes its ends of lines."""
    return one.replace("\r\n", "\n").rstrip() == other.replace("\r\n", "\n").rstrip()


def is_commit(value: str) -> bool:
    """Say whether a text is the full name of a commit."""
    return _COMMIT.fullmatch(value) is not None


def are_one(one: Any, other: Any) -> bool:
    """Say whether two numbers of repositories are there and the same: one that is missing is nobody's."""
    return isinstance(one, int) and not isinstance(one, bool) and one == other
