"""The tables of the cache, and every way to write and read them.

Documents are kept by their object id, so that what was parsed once is never parsed again, whatever commit is looked
at. Which of them belong to the commit that the tables stand at is in `model`, `alias` and `version`; another commit is
reached by applying what differs.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from pydantic_core import from_json

from gitops_registry.catalog.schema import SUMMED
from gitops_registry.manifest.facts import Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.manifest.parts import Document, plain

_KINDS: dict[str, type[Document]] = {"model": Model, "version": Version, "card": Card}
ROLES: Mapping[str, type[Document]] = _KINDS
"""The roles of the paths whose documents are kept, with their kinds."""
_COLUMNS = (
    "model", "number", "document", "card", "stage", "created", "author", "email", "task", "type", "framework",
    "framework_version", "release", "description",
)  # fmt: skip


class Untrusted(Exception):
    """What the cache holds does not hold together."""


class Unusable(Exception):
    """The file of the cache cannot be used now, and is not known to be wrong."""


class Standing(NamedTuple):
    """What the tables show: a commit, and the name of the stage of versions that none lists."""

    revision: str
    first_stage: str


class Move(NamedTuple):
    """A file that differs between two commits: its role, whose it is, and its object now; empty where it is gone."""

    role: str
    model: str
    number: int
    oid: str


class Catalog:
    """The tables in one connection. Everything that writes is called within `writing`."""

    def __init__(self, connection: sqlite3.Connection, *, is_sealed: bool = False) -> None:
        """`is_sealed`: nobody touched the file since it was last closed in order, so its rows need no counting."""
        self.connection = connection
        self._is_counted = is_sealed

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Look at one moment, whatever others write."""
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write alone, all or nothing."""
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.connection.execute(begin)
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def standing(self) -> Standing | None:
        """Return what the tables show; None where that is nothing yet."""
        row = self.connection.execute("SELECT revision, first_stage FROM standing").fetchone()
        if not self._is_counted:
            self._count()
            self._is_counted = True
        return Standing(*row) if row else None

    def _count(self) -> None:
        """Raise Untrusted where a table has other rows than its tally says."""
        tally = {name: rest for name, *rest in self.connection.execute("SELECT name, rows, sum FROM tally")}
        for table, column in SUMMED.items():
            there = self.connection.execute(f"SELECT count(*), COALESCE(sum({column}), 0) FROM {table}").fetchone()
            if tally.get(table) != list(there):
                raise Untrusted(f"rows of {table} are missing")

    # ── documents

    def missing(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those of (object id, role) whose documents are not kept, each once, in order."""
        found = self.connection.execute
        is_kept = "SELECT 1 FROM document WHERE oid = ? AND kind = ?"
        return [key for key in dict.fromkeys(wanted) if found(is_kept, key).fetchone() is None]

    def keep(self, oid: str, role: str, document: Document | None, problem: str = "") -> None:
        """Keep what was parsed from an object, or why it could not be."""
        body = json.dumps(plain(document), ensure_ascii=False) if document is not None else ""
        row = (oid, role, body, problem, _sum_of_body(oid, role, body, problem))
        done = self.connection.execute(
            "INSERT OR IGNORE INTO document (oid, kind, body, problem, crc) VALUES (?, ?, ?, ?, ?)", row
        )
        if not done.rowcount or document is None:
            return
        many = self.connection.executemany
        if isinstance(document, Version):
            many("INSERT INTO metric VALUES (?, ?, ?)", [(done.lastrowid, *item) for item in document.metrics.items()])
            params = [(done.lastrowid, name, *_param(value)) for name, value in document.params.items()]
            many("INSERT INTO param VALUES (?, ?, ?, ?)", params)
        elif isinstance(document, Model | Card):
            many("INSERT INTO tag VALUES (?, ?, ?)", [(done.lastrowid, *item) for item in document.tags.items()])

    def _document(self, oid: str, role: str) -> tuple[int, dict[str, Any] | None]:
        """Return the number and the body of a kept document; None where it could not be parsed."""
        row = self.connection.execute(
            "SELECT id, body, problem, crc FROM document WHERE oid = ? AND kind = ?", (oid, role)
        ).fetchone()
        if row is None:
            raise Untrusted(f"{oid} is not kept")
        return row[0], read_body(oid, role, *row[1:])

    # ── the commit that is shown

    def move(self, to: Standing, moves: Iterable[Move], *, anew: bool) -> None:
        """Show another commit: apply what differs, or, `anew`, take it for all there is."""
        if anew:
            for name in ("version", "alias", "model", "card"):
                self.connection.execute(f"DELETE FROM {name}")
        stages: dict[str, set[int] | None] = {}
        order = ("card", "version", "model")
        for found in sorted(moves, key=lambda move: (bool(move.oid), order.index(move.role))):  # what goes makes room
            self._apply(found, stages)
        for model, numbers in stages.items():
            self._set_stages(model, numbers, to.first_stage)
        self.connection.execute("DELETE FROM standing")
        self.connection.execute("INSERT INTO standing VALUES (1, ?, ?)", (to.revision, to.first_stage))

    def _apply(self, found: Move, stages: dict[str, set[int] | None]) -> None:
        """Write one file's row, and note whose stages are to be written again (None: those of all its versions)."""
        key = (found.model, found.number)
        if found.role == "model":
            stages[found.model] = None
            self._set_model(found)
        elif found.role == "version":
            self.connection.execute("DELETE FROM version WHERE model = ? AND number = ?", key)
            document, body = self._document(found.oid, "version") if found.oid else (0, None)
            if body is not None:
                self._write(
                    {**_of_version(body), "document": document, "model": key[0], "number": key[1], **self._card(*key)}
                )
                if stages.setdefault(found.model, set()) is not None:
                    stages[found.model].add(found.number)  # type: ignore[union-attr]
        else:
            self.connection.execute("DELETE FROM card WHERE model = ? AND number = ?", key)
            if found.oid:
                document, _ = self._document(found.oid, "card")
                self.connection.execute("INSERT INTO card VALUES (?, ?, ?)", (*key, document))
            if (row := self._version(*key)) is not None:
                self._write({**row, **self._card(*key)})

    def _card(self, model: str, number: int) -> dict[str, Any]:
        """Return the columns of a version that its card fills."""
        row = self.connection.execute(
            "SELECT d.id, d.oid, d.body, d.problem, d.crc FROM card c JOIN document d ON d.id = c.document "
            "WHERE c.model = ? AND c.number = ?", (model, number),
        ).fetchone()  # fmt: skip
        body = read_body(row[1], "card", *row[2:]) if row else None
        return {"card": row[0] if row else None, "description": (body or {}).get("description")}

    def _set_model(self, found: Move) -> None:
        for table in ("model", "alias"):
            column = "name" if table == "model" else "model"
            self.connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (found.model,))
        document, body = self._document(found.oid, "model") if found.oid else (0, None)
        if body is None or body["removed"] or body["renamed_to"]:
            return
        row = (found.model, document, body["title"], body["description"], json.dumps(body["owners"]))
        self.connection.execute("INSERT INTO model VALUES (?, ?, ?, ?, ?)", row)
        aliases = [(found.model, alias, number) for alias, number in body["aliases"].items()]
        self.connection.executemany("INSERT INTO alias VALUES (?, ?, ?)", aliases)

    def _set_stages(self, model: str, numbers: set[int] | None, first_stage: str) -> None:
        body = self.state(model)
        held = {number: stage for stage, listed in body["stages"].items() for number in listed}
        for number in self.numbers(model) if numbers is None else numbers:
            found = self._version(model, number)
            stage = held.get(number, first_stage)
            if found is not None and found["stage"] != stage:
                self._write({**found, "stage": stage})

    def body(self, document: int | None, role: str) -> str:
        """Return the text of a kept document by its number; empty for none. Raises Untrusted where it is not what was kept."""
        if document is None:
            return ""
        row = self.connection.execute(
            "SELECT oid, body, problem, crc FROM document WHERE id = ?", (document,)
        ).fetchone()
        if row is None or _sum_of_body(row[0], role, row[1], row[2]) != row[3]:
            raise Untrusted(f"document {document} is not what was kept")
        return str(row[1])

    def state(self, model: str) -> dict[str, Any]:
        """Return model.yaml as plain data; an empty one where the commit has none that can be read."""
        row = self.connection.execute(
            "SELECT d.oid, d.body, d.problem, d.crc FROM model m LEFT JOIN document d ON d.id = m.document WHERE m.name = ?",
            (model,),
        ).fetchone()
        if row is not None and row[0] is None:
            raise Untrusted(f"the state of {model} is not kept")
        return (read_body(row[0], "model", *row[1:]) if row else None) or plain(Model(name="none"))

    def numbers(self, model: str) -> tuple[int, ...]:
        """Return the numbers of a model's versions, in order."""
        told = self.connection.execute("SELECT number FROM version WHERE model = ? ORDER BY number", (model,))
        return tuple(number for (number,) in told)

    def _version(self, model: str, number: int) -> dict[str, Any] | None:
        columns = ", ".join((*_COLUMNS, "crc"))
        row = self.connection.execute(
            f"SELECT {columns} FROM version WHERE model = ? AND number = ?",
            (model, number),
        ).fetchone()
        return None if row is None else checked(row)

    def _write(self, row: Mapping[str, Any]) -> None:
        key = (row["model"], row["number"])
        self.connection.execute("DELETE FROM version WHERE model = ? AND number = ?", key)
        values = tuple(row.get(name) for name in _COLUMNS)
        signs = ", ".join("?" * (len(_COLUMNS) + 1))
        self.connection.execute(f"INSERT INTO version VALUES ({signs})", (*values, _sum(*values)))


VERSION_COLUMNS = ", ".join(f"v.{name}" for name in (*_COLUMNS, "crc"))
"""What a query selects of a version to have it `checked`."""


def checked(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row of `version` by column. Raises Untrusted where it is not what was written."""
    if _sum(*row[: len(_COLUMNS)]) != row[len(_COLUMNS)]:
        raise Untrusted("a row is not what was written")
    return dict(zip(_COLUMNS, row, strict=False))


def read_body(oid: str, role: str, body: str, problem: str, crc: int) -> dict[str, Any] | None:
    """Return a document's data, None where it could not be parsed. Raises Untrusted where it is not what was kept."""
    if _sum_of_body(oid, role, body, problem) != crc:
        raise Untrusted(f"{oid} is not what was kept")
    found: dict[str, Any] | None = from_json(body) if body else None
    return found


def _sum_of_body(oid: str, role: str, body: str, problem: str) -> int:
    return zlib.crc32(
        body.encode(errors="surrogatepass"), zlib.crc32(f"{oid} {role} {problem}".encode(errors="surrogatepass"))
    )


def _sum(*values: Any) -> int:
    return zlib.crc32(repr(values).encode(errors="surrogatepass"))


def _of_version(body: Mapping[str, Any]) -> dict[str, Any]:
    framework = body["framework"] or {}
    return {
        "created": datetime.fromisoformat(body["created"]).timestamp(),
        "author": body["author"]["name"], "email": body["author"]["email"], "task": body["task"], "type": body["model_type"],
        "framework": framework.get("name"), "framework_version": framework.get("version"), "release": body["release"],
    }  # fmt: skip


def _param(value: Any) -> tuple[str | None, float | None]:
    """Return a parameter as text, as people write it, and as a number where it is one."""
    if value is None:
        return None, None
    if isinstance(value, bool):
        return str(value).lower(), None
    if isinstance(value, int | float):
        return str(value), float(value) if abs(value) < 1e300 else None
    return (value, None) if isinstance(value, str) else (json.dumps(value, ensure_ascii=False), None)
