"""What a snapshot reads from: a commit, the work tree, or anything else that has files by path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Source(Protocol):
    """Where the bytes of one revision come from."""

    label: str

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the bytes of a file; None where there is none. Raises ManifestError over `limit` or for a folder."""
        ...

    def read_object(self, oid: str, path: str, limit: int) -> bytes | None:
        """Return the bytes of an object by id, named `path` in errors; None where there is none."""
        ...

    def oid(self, path: str) -> str:
        """Return the object id of a file; empty where there is none."""
        ...

    def children(self, folder: str) -> tuple[str, ...]:
        """Return the names in a folder; empty where there is no such folder."""
        ...

    def read_ahead(self, oids: Mapping[str, str], limit: int) -> None:
        """Fetch the files of those paths, which have those object ids here, together: they are about to be read.

        What was fetched before is let go of. What cannot be had, or has more than `limit` bytes, is read in its turn.
        """
        ...
