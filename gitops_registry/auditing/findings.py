"""What a look at a history finds: what breaks a promise, and what could not be proved."""

from __future__ import annotations

from typing import Any, NamedTuple


class Breach(NamedTuple):
    """A promise that a history breaks: which one, in which commit (empty where it is in none), what is wrong, and where."""

    rule: str
    commit: str
    message: str
    path: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {key: value for key, value in self._asdict().items() if value}


class Note(NamedTuple):
    """Something that is no breach and that whoever relies on the history must know."""

    about: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return dict(self._asdict())
