"""What a version keeps beside its model where somebody asks for it: evaluation rows, an example of its input, a lock of packages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitops_registry import locking
from gitops_registry.appraisal import NewFile, Rows
from gitops_registry.digests import sha256_of
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.facts import Environment

_EXAMPLE_ROWS = 5
_MOST_EXAMPLE_ROWS = 1000


def kept_rows(rows: Rows | None, folder: Path) -> tuple[NewFile, Rows]:
    """Return the evaluation rows as a file of the version, and as what was measured on it. Raises without rows and truth."""
    if rows is None or rows.truth is None or not hasattr(rows.inputs, "columns"):
        raise RegistryError(
            "there are no evaluation rows with their truth that could be kept",
            hint="give a table and its column of truth",
        )
    if rows.file is not None:
        suffix = rows.file.suffix.lower()
        return NewFile("evaluation", rows.file, suffix[1:], stored=f"evaluation{suffix}"), rows
    target = rows.target or "target"
    table = rows.table if rows.table is not None else rows.inputs
    if target in {str(name) for name in table.columns}:
        raise RegistryError(
            f"an input is called {target!r}, like the truth", hint="give y another name: y.rename('truth')"
        )
    path = folder / "evaluation.csv"
    # The shortest text of a float reads back as the same float.
    table.assign(**{target: list(rows.truth)}).to_csv(path, index=False)
    kept = NewFile("evaluation", path, "csv", stored="evaluation.csv")
    return kept, replace(rows, target=target, dataset=rows.dataset or "evaluation rows", sha256=sha256_of(path))


def input_example(example: Any, rows: Rows | None, folder: Path) -> NewFile:
    """Return rows that show what goes into the model as a JSON file of columns and data, as MLflow keeps them.

    `example` is a table, or how many of the evaluation rows (True: five). Raises where it is no table.
    """
    table = example
    if isinstance(example, bool | int):
        if rows is None or not hasattr(rows.inputs, "columns"):
            raise RegistryError(
                "there is no table of evaluation rows to take an example from", hint="give one, or none"
            )
        table = rows.inputs.head(_EXAMPLE_ROWS if example is True else example)
    if not hasattr(table, "columns") or not 0 < len(table) <= _MOST_EXAMPLE_ROWS:
        raise RegistryError(
            f"an input example is a table of 1 to {_MOST_EXAMPLE_ROWS} rows", hint="give a DataFrame of a few rows"
        )
    split = json.loads(table.to_json(orient="split", date_format="iso", double_precision=15, index=False))
    path = folder / "input_example.json"
    told = {"columns": [str(name) for name in split["columns"]], "data": split["data"]}
    path.write_text(json.dumps(told, ensure_ascii=False) + "\n", encoding="utf-8")
    return NewFile("input_example", path, "json", stored="input_example.json")


def lock_file(environment: Environment, folder: Path) -> NewFile:
    """Return the lock of everything the version's packages need, with hashes (pylock.toml, PEP 751)."""
    path = folder / "pylock.toml"
    path.write_bytes(locking.lock(environment.requirements, python=environment.python))
    return NewFile("lock", path, "pylock", stored="pylock.toml")
