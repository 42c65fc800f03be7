"""A copy of an MLflow registry's SQLite database, and what MLflow's own client does not tell of it.

The original is opened for reading only; SQLite's own backup makes the copy, so it is whole while others write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from gitops_registry.errors import NotFound, RegistryError

Progress = Callable[[str, int, int], None]


def copy_database(database: Path, copy: Path, progress: Progress | None) -> None:
    """Copy the database of an MLflow registry as it is at one moment, whoever writes to it; it is only read.

    Raises NotFound where there is no file, RegistryError for one that is something else.
    """
    if not database.is_file():
        raise NotFound(f"there is no file {database}", hint="name the database of the MLflow registry: mlflow.db")

    def report(_status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress("copying the database", total - remaining, total)

    try:
        source = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)
        target = sqlite3.connect(copy)
        try:
            source.backup(target, pages=4096, progress=report)
            tables = {name for (name,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            source.close()
            target.close()
    except sqlite3.Error as error:
        hint = "name the database of the MLflow registry: mlflow.db"
        raise RegistryError(f"{database} cannot be read as a SQLite database: {error}", hint=hint) from error
    if not {"registered_models", "model_versions", "runs"} <= tables:
        raise RegistryError(f"{database} is no MLflow registry", hint="name the database that MLflow was started with")


def looked_into(copy: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return model → the numbers of its deleted versions, which MLflow remembers and tells nobody; and the live versions."""
    found: dict[str, list[int]] = {}
    database = sqlite3.connect(copy)
    try:
        rows = database.execute(
            "SELECT name, version FROM model_versions WHERE current_stage = 'Deleted_Internal' ORDER BY version LIMIT 1000000"
        )
        for name, number in rows:
            if isinstance(name, str) and isinstance(number, int):
                found.setdefault(name, []).append(number)
        (count,) = database.execute(
            "SELECT count(*) FROM model_versions WHERE current_stage <> 'Deleted_Internal'"
        ).fetchone()
    except sqlite3.Error as error:
        raise RegistryError(f"the database cannot be read: {error}", hint="is it MLflow's?") from error
    finally:
        database.close()
    return {name: tuple(numbers) for name, numbers in found.items()}, count
