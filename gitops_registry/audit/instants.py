"""Dates as people and machines write them: ISO 8601, in UTC where no zone is named."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gitops_registry.errors import RegistryError

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WITH_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d(:?\d\d(:?\d\d([.,]\d{1,6})?)?)?\s?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII | re.IGNORECASE
)


def instant(text: str, option: str, *, is_end: bool = False) -> datetime:
    """Return the moment that a date or a date with a time means, in UTC.

    A date alone is the beginning of that day, with `is_end` its last microsecond. Raises RegistryError for anything else,
    naming the option that held it.
    """
    told = text.strip()
    try:
        if _DAY.fullmatch(told):
            day = datetime.fromisoformat(told).replace(tzinfo=UTC)
            return day + timedelta(days=1, microseconds=-1) if is_end else day
        if _WITH_TIME.fullmatch(told):
            found = datetime.fromisoformat(told.upper().replace(" Z", "Z").replace(",", "."))
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise RegistryError(
        f"{option} {text!r} is no date",
        hint=f"write {option} 2026-11-25, or 2026-11-25T14:30:00+01:00; without a zone UTC is meant",
    )
