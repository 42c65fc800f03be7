"""The file of the cache: opened, shared, and made anew where it cannot be trusted.

Whoever uses the file holds a shared lock beside it; whoever throws it away holds the lock alone, so nobody reads a
new file with the journal of an old one. The kernel frees both when a process dies. Where the file cannot be used
(a read-only disk, somebody who keeps it), the same tables are made in memory for this one question.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from gitops_registry.catalog.rows import Catalog, Untrusted, Unusable
from gitops_registry.catalog.schema import SCHEMA, VERSION
from gitops_registry.errors import RegistryError

_NAME = "search.sqlite"
_SEAL = "search.seal"
_BUSY_SECONDS = 60.0
_T = TypeVar("_T")


def ask(folder: Path, question: Callable[[Catalog], _T]) -> _T:
    """Return the answer to a question, asked of the cache in `folder`.

    A file that is no database, is of another version or does not hold together is thrown away and made anew; then the
    question is asked again, so it must be safe to ask twice. Raises RegistryError where memory gives no answer either.
    """
    with suppress(Unusable):
        for _ in range(2):
            try:
                return _asked_of_file(folder, question)
            except _Wrong as wrong:
                _throw_away(folder, wrong.inode)
    try:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            for statement in SCHEMA:
                connection.execute(statement)
            return question(Catalog(connection, is_sealed=True))
    except (sqlite3.Error, Untrusted) as error:
        raise RegistryError(f"the search did not end: {error}", hint="search for less, or try again") from error


class _Wrong(Exception):
    def __init__(self, inode: int) -> None:
        super().__init__()
        self.inode = inode


def _asked_of_file(folder: Path, question: Callable[[Catalog], _T]) -> _T:
    file = folder / _NAME
    with _lock(folder, fcntl.LOCK_SH):
        try:
            is_sealed = _is_sealed(folder)
            with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
                _prepare(connection)
                answer = question(Catalog(connection, is_sealed=is_sealed))
            _seal(folder)
            return answer
        except sqlite3.OperationalError as error:
            if _is_busy_or_barred(error):
                raise Unusable from error
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR and "no such" not in str(error):
                raise RegistryError(f"the search did not end: {error}", hint="write a simpler filter") from error
            raise _Wrong(_inode(file)) from error
        except (sqlite3.DatabaseError, Untrusted, UnicodeDecodeError) as error:
            raise _Wrong(_inode(file)) from error


def _mark(folder: Path) -> str:
    """Return what tells the file from one that somebody wrote into."""
    found = (folder / _NAME).stat()
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _is_sealed(folder: Path) -> bool:
    try:
        return (folder / _SEAL).read_text() == _mark(folder) and not (folder / f"{_NAME}-journal").exists()
    except (OSError, UnicodeDecodeError):
        return False


def _seal(folder: Path) -> None:
    """Note how the file was left; whoever finds it otherwise counts its rows first."""
    with suppress(OSError):
        mark = _mark(folder)
        if not (folder / _SEAL).exists() or (folder / _SEAL).read_text(errors="replace") != mark:
            draft = folder / f"{_SEAL}.{os.getpid()}"
            draft.write_text(mark)
            draft.replace(folder / _SEAL)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version not in {0, VERSION} or (version == 0 and tables):
        connection.execute("ROLLBACK")
        raise Untrusted("another version")
    if version == 0:
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _is_busy_or_barred(error: sqlite3.OperationalError) -> bool:
    """Tell a file that cannot be used now from one that lacks what it must have."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL,
    }  # fmt: skip


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except OSError:
        return 0


def _throw_away(folder: Path, inode: int) -> None:
    """Remove the file that was found wrong, unless somebody made it anew meanwhile."""
    with _lock(folder, fcntl.LOCK_EX):
        try:
            if _inode(folder / _NAME) == inode:
                for name in (_NAME, f"{_NAME}-wal", f"{_NAME}-shm", f"{_NAME}-journal"):
                    (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise Unusable from error


@contextmanager
def _lock(folder: Path, kind: int) -> Iterator[None]:
    try:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder / "search.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise Unusable from error
    try:
        end = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                break
            except OSError as error:
                if not isinstance(error, BlockingIOError) or time.monotonic() >= end:
                    raise Unusable from error
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)
