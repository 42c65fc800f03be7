"""The tables of the cache, with what keeps count of their rows."""

from __future__ import annotations

VERSION = 3
"""Of the tables and of what is read from a manifest: a file of another version is made anew."""

_TABLES = (
    """
    CREATE TABLE standing (
  only INTEGER PRIMARY KEY CHECK (only = 1), revision TEXT NOT NULL, first_stage TEXT NOT NULL
)
    """,
    """
    CREATE TABLE document (
  id INTEGER PRIMARY KEY, oid TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, problem TEXT NOT NULL,
  crc INTEGER NOT NULL, UNIQUE (oid, kind)
)
    """,
    "CREATE TABLE metric (document INTEGER, name TEXT, value REAL NOT NULL, PRIMARY KEY (document, name)) WITHOUT ROWID",
    "CREATE INDEX metric_by_value ON metric (name, value, document)",
    "CREATE TABLE param (document INTEGER, name TEXT, text TEXT, number REAL, PRIMARY KEY (document, name)) WITHOUT ROWID",
    "CREATE INDEX param_by_value ON param (name, text, document)",
    "CREATE TABLE tag (document INTEGER, name TEXT, text TEXT NOT NULL, PRIMARY KEY (document, name)) WITHOUT ROWID",
    "CREATE INDEX tag_by_value ON tag (name, text, document)",
    """
    CREATE TABLE model (
  name TEXT PRIMARY KEY COLLATE NOCASE, document INTEGER NOT NULL, title TEXT, description TEXT, owners TEXT NOT NULL
) WITHOUT ROWID
    """,
    """
    CREATE TABLE alias (
  model TEXT COLLATE NOCASE, alias TEXT COLLATE NOCASE, number INTEGER NOT NULL, PRIMARY KEY (model, alias)
) WITHOUT ROWID
    """,
    """
    CREATE TABLE card (
  model TEXT COLLATE NOCASE, number INTEGER, document INTEGER NOT NULL, PRIMARY KEY (model, number)
) WITHOUT ROWID
    """,
    """
    CREATE TABLE version (
  model TEXT COLLATE NOCASE, number INTEGER, document INTEGER NOT NULL, card INTEGER, stage TEXT COLLATE NOCASE,
  created REAL, author TEXT, email TEXT, task TEXT, type TEXT, framework TEXT, framework_version TEXT, release TEXT,
  description TEXT, crc INTEGER NOT NULL, PRIMARY KEY (model, number)
) WITHOUT ROWID
    """,
    "CREATE INDEX version_by_stage ON version (stage)",
    "CREATE TABLE tally (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID",
)
SUMMED = {
    "version": "crc", "document": "crc", "card": "document", "alias": "number", "model": "document", "metric": "document",
    "param": "document", "tag": "document",
}  # fmt: skip
"""Table → the column whose sum, with the number of rows, tells whether rows are missing or too many."""


def _triggers() -> tuple[str, ...]:
    """What keeps the tally of each table: a sum that has to be counted anew would cost more than the search."""
    return tuple(
        f"CREATE TRIGGER {table}_{word} AFTER {event} ON {table} BEGIN "
        f"UPDATE tally SET rows = rows {sign} 1, sum = sum {sign} {side}.{column} WHERE name = '{table}'; END"
        for table, column in SUMMED.items()
        for word, event, sign, side in (("in", "INSERT", "+", "new"), ("out", "DELETE", "-", "old"))
    ) + tuple(f"INSERT INTO tally VALUES ('{table}', 0, 0)" for table in SUMMED)


SCHEMA: tuple[str, ...] = (*_TABLES, *_triggers())
"""The statements that make an empty cache."""
