"""What was read of decisions, kept by their commit: for display only, thrown away at the first doubt.

A decision never changes, so nothing here is ever updated. Whoever owns the disk can write here, so nothing that decides reads it.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

VERSION = 2
"""Of the table and of what is read from a decision: a file of another version is made anew."""
_NAME = "events.sqlite"
_AT_ONCE = 500
_SCHEMA = "CREATE TABLE decision (oid TEXT PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID"


class KeptEvents:
    """Text by commit, in a file of the folder. Where the file cannot be used nothing is known and nothing is kept."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _NAME
        self._connection: sqlite3.Connection | None = None
        with suppress(OSError, sqlite3.Error):
            folder.mkdir(exist_ok=True)
            try:
                self._connection = self._opened()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                    raise
                self._file.unlink(missing_ok=True)
                self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=2.0, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DROP TABLE IF EXISTS decision")
                connection.execute(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def get(self, oids: Sequence[str]) -> dict[str, str]:
        """Return commit → text for those that are kept whole."""
        found: dict[str, str] = {}
        if self._connection is None:
            return found
        try:
            for start in range(0, len(oids), _AT_ONCE):
                part = oids[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = self._connection.execute(f"SELECT oid, body, crc FROM decision WHERE oid IN ({marks})", part)
                found |= {oid: body for oid, body, crc in rows if zlib.crc32(f"{oid}{body}".encode()) == crc}
        except (sqlite3.Error, UnicodeError, TypeError):
            self._give_up()
        return found

    def put(self, rows: Iterable[tuple[str, str]]) -> None:
        """Keep text by commit, all or nothing."""
        if self._connection is None:
            return
        told = [(oid, body, zlib.crc32(f"{oid}{body}".encode())) for oid, body in rows]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO decision VALUES (?, ?, ?)", told)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._give_up()

    def _give_up(self) -> None:
        """Do without the file; one that is damaged is taken away, so that the next command makes a new one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(sqlite3.Error):
            is_sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            connection.close()
            if is_sound:
                return
        with suppress(OSError, sqlite3.Error):
            connection.close()
            self._file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
