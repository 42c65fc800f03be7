"""What a place of objects holds, by name with size and age, and taking an object away. The place is a remote or the cache.

Nothing is decided here. What cannot be listed raises; an age that the place does not tell is None, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

SPARED = timedelta(days=14)
"""The age below which an object that nobody needs is left alone: bytes are stored before the commit that names them."""
_AT_ONCE = 8
_OBJECT = re.compile(r"(?:^|[/\\])([0-9a-f]{2})[/\\]([0-9a-f]{30}(?:\.dir)?)$")
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated")
"""How the file systems that DVC speaks call the time when a file was last written."""

Errors = Callable[[str], AbstractContextManager[None]]
"""Says in one line what a remote's file system raised; the argument is what was attempted."""


class Stocked(NamedTuple):
    """One object: its name in DVC, bytes, and when it was written (None where that is not known)."""

    name: str
    size: int
    written: datetime | None


class Inventory:
    """The objects of one of DVC's object databases. `location` is for people."""

    def __init__(self, odb: Any, location: str, errors: Errors) -> None:
        self._odb = odb
        self.location = location
        self._errors = errors

    def names(self) -> set[str]:
        """Return the names of all objects. Raises RegistryError where they cannot be listed."""
        with self._errors(f"cannot list {self.location}"):
            fs = self._odb.fs
            fs.fs.invalidate_cache()
            if not fs.exists(self._odb.path):
                return set()
            fs.ls(self._odb.path)  # raises where `find` would quietly see nothing
            found = (_OBJECT.search(str(path)) for path in fs.find(self._odb.path))
            return {match[1] + match[2] for match in found if match}

    def look(self, names: Iterable[str]) -> Iterator[Stocked]:
        """Yield those objects as they are now, in order of name; one that is gone is left out."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from filter(None, pool.map(self._look, sorted(names)))

    def _look(self, name: str) -> Stocked | None:
        with self._errors(f"cannot look at {name} in {self.location}"):
            try:
                info = self._odb.fs.info(self._odb.oid_to_path(name))
            except FileNotFoundError:
                return None
            return Stocked(name, int(info.get("size") or 0), written(info))

    def remove(self, name: str, *, unless: Callable[[Stocked], bool]) -> bool:
        """Take an object away unless it changed so that it is kept; say whether it was. Raises RegistryError."""
        self._odb.fs.fs.invalidate_cache()
        now = self._look(name)
        if now is None or unless(now):
            return False
        with self._errors(f"cannot remove {name} from {self.location}"):
            self._odb.fs.rm_file(self._odb.oid_to_path(name))
        return True


def written(info: dict[str, Any]) -> datetime | None:
    """Return when a file was last written, from what a file system says of it; None where it does not say."""
    for key in _TIMES:
        value = info.get(key)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    return None
