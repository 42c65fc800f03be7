"""Registries of the same content for the peers: MLflow's in sqlite, and tags as GTO makes them. Rows and tags are written in bulk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

MODELS = 100


class Entry(NamedTuple):
    """One version: `accuracy` and `domain` differ, so that a search finds some of them."""

    name: str
    number: int
    accuracy: float
    domain: str


def entries(size: int) -> Iterator[Entry]:
    """Yield so many versions over 100 models, in the order in which they are registered."""
    for position in range(size):
        model, number = position % MODELS, position // MODELS + 1
        accuracy = round(0.7 + 0.3 * ((position * 7919) % 1000) / 1000, 4)
        yield Entry(f"model-{model:03}", number, accuracy, f"domain-{model % 20}")


def mlflow_registry(root: Path, size: int) -> Any:
    """Fill an MLflow registry in sqlite (the newest version of each model in Production) and return its client."""
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    root.mkdir(parents=True)
    import mlflow
    from mlflow import MlflowClient

    uri = f"sqlite:///{root}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("benchmark", artifact_location=str(root / "artifacts"))
    run = client.create_run(experiment)  # the rows below look like what these calls write
    client.log_metric(run.info.run_id, "accuracy", 0.5)
    client.create_registered_model("first")
    client.create_model_version("first", source=f"{root}/artifacts/first", run_id=run.info.run_id)
    with sqlite3.connect(root / "mlflow.db") as database:
        template = _rows(database, "runs", "run_uuid = ?", run.info.run_id)[0]
        metric = _rows(database, "latest_metrics", "run_uuid = ?", run.info.run_id)[0]
        version = _rows(database, "model_versions", "name = ?", "first")[0]
        model = _rows(database, "registered_models", "name = ?", "first")[0]
        newest = {entry.name: entry.number for entry in entries(size)}
        _insert(database, "registered_models", ({**model, "name": name} for name in newest))
        _insert(
            database, "registered_model_tags",
            ({"workspace": model["workspace"], "name": e.name, "key": "domain", "value": e.domain} for e in entries(min(size, MODELS))),
        )  # fmt: skip
        _insert(
            database, "runs",
            ({**template, "run_uuid": _run(e), "name": _run(e), "artifact_uri": f"{root}/artifacts/{_run(e)}"} for e in entries(size)),
        )  # fmt: skip
        _insert(
            database, "latest_metrics", ({**metric, "run_uuid": _run(e), "value": e.accuracy} for e in entries(size))
        )
        _insert(
            database, "model_versions",
            ({**version, "name": e.name, "version": e.number, "run_id": _run(e), "source": f"{root}/artifacts/{_run(e)}", "current_stage": "Production" if newest[e.name] == e.number else "None"} for e in entries(size)),
        )  # fmt: skip
        _insert(
            database, "model_version_tags",
            ({"workspace": version["workspace"], "name": e.name, "version": e.number, "key": "domain", "value": e.domain} for e in entries(size)),
        )  # fmt: skip
    return client


def _run(entry: Entry) -> str:
    return f"{entry.name}-{entry.number:06}".replace("-", "").ljust(32, "0")[:32]


def _rows(database: sqlite3.Connection, table: str, where: str, value: str) -> list[dict[str, Any]]:
    cursor = database.execute(f"SELECT * FROM {table} WHERE {where}", (value,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _insert(database: sqlite3.Connection, table: str, rows: Iterator[Mapping[str, Any]]) -> None:
    first = next(rows)
    columns, signs = ", ".join(first), ", ".join("?" * len(first))
    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({signs})", tuple(first.values()))
    database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({signs})", (tuple(row.values()) for row in rows))


def gto_registry(root: Path, size: int) -> Path:
    """Make a repository whose annotated tags are versions and stages as GTO reads them, one second apart, and return it."""
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(root)], check=True)
    when = int(time.time()) - 3 * size
    stream: list[str] = []
    newest = {entry.name: entry.number for entry in entries(size)}
    for position, entry in enumerate(entries(size)):
        tags = [f"{entry.name}@v{entry.number}.0.0"]
        tags += [f"{entry.name}#production#1"] if newest[entry.name] == entry.number else []
        if position % MODELS == 0:  # GTO takes one version of an artifact on a commit
            stream.append(
                f"commit refs/heads/main\ncommitter Alice <alice@example.com> {when + position} +0000\ndata 5\nmore\n"
            )
        who = f"tagger Alice <alice@example.com> {when + 2 * position} +0000"
        stream += [f"tag {tag}\nfrom refs/heads/main\n{who}\ndata {len(tag)}\n{tag}\n" for tag in tags]
    subprocess.run(["git", "-C", str(root), "fast-import", "--quiet"], input="".join(stream).encode(), check=True)
    subprocess.run(["git", "-C", str(root), "reset", "--quiet", "--hard"], check=True)
    subprocess.run(["git", "-C", str(root), "pack-refs", "--all"], check=True)
    return root


def gto() -> str:
    """Return GTO's command: what GTO names, or what is on the PATH; empty where there is none."""
    return os.environ.get("GTO") or shutil.which("gto") or ""
