"""Makes a real MLflow registry in a folder: models fitted, logged and registered by MLflow itself, in one process.

    python mlflow_world.py FOLDER

The folder can be copied: artifacts are found beside the database, wherever it lies.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
warnings.simplefilter("ignore")

LONG = "x" * 6_000


def build(root: Path) -> None:
    """Fill a folder with `mlflow.db` and `mlruns`."""
    import logging

    import mlflow
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    uri = f"sqlite:///{root}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    mlflow.set_experiment(experiment_id=client.create_experiment("e", artifact_location=f"file://{root}/mlruns"))
    runs = [_logged(mlflow, depth) for depth in (1, 2)]
    _iris(client, runs, root)
    _odd_names(client, runs[0])
    _troubled(client, runs[0], root)
    client.create_registered_model("empty", description="Nothing yet.")


def _logged(mlflow: Any, depth: int) -> tuple[str, str]:
    """Fit and log a tree and return its run and its model's URI."""
    from mlflow.models import infer_signature
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    rows, truth = load_iris(return_X_y=True, as_frame=True)
    with mlflow.start_run() as run:
        model = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(rows, truth)
        mlflow.log_params(
            {"max_depth": depth, "criterion": "gini", "note": LONG if depth == 1 else "short", "seed": "007"}
        )
        mlflow.log_metrics({"accuracy": 0.5 + depth / 10, "loss": float("nan"), "worst": float("inf")})
        mlflow.set_tags({"estimator_name": "DecisionTreeClassifier", "mlflow.source.git.commit": "a" * 40})
        logged = mlflow.sklearn.log_model(
            model, name="model", pip_requirements=["scikit-learn==1.9.1"], signature=infer_signature(rows, model.predict(rows)),
            skops_trusted_types=["sklearn.tree._tree.Tree"],
        )  # fmt: skip
    return run.info.run_id, logged.model_uri


def _iris(client: Any, runs: list[tuple[str, str]], root: Path) -> None:
    """iris: 1 archived, 2 and 5 deleted, 3 and 4 both in production (4 as a plain folder of its run), 6 new, 7 deleted."""
    client.create_registered_model(
        "iris", tags={"domain": "flowers", " odd ": "v"}, description="Which iris it is.\r\nアヤメ"
    )
    (first, model), (second, other) = runs
    plain = root / "mlruns" / second / "artifacts" / "model"
    shutil.copytree(next((root / "mlruns" / "models").glob(f"{other.removeprefix('models:/')}/artifacts")), plain)
    for number in range(1, 8):
        source = {4: plain.as_uri(), 6: f"runs:/{second}/model"}.get(number, model)
        client.create_model_version(
            "iris",
            source,
            run_id=first if number < 4 else second,
            description=f"Take {number}.",
            tags={"take": str(number)},
        )
    for number in (2, 5, 7):
        client.delete_model_version("iris", str(number))
    for number, stage in {1: "Archived", 3: "Production", 4: "Production", 6: "Staging"}.items():
        client.transition_model_version_stage("iris", str(number), stage)
    for alias, number in {"champion": 4, "old-one": 1, "staging": 3}.items():
        client.set_registered_model_alias("iris", alias, str(number))


def _odd_names(client: Any, run: tuple[str, str]) -> None:
    for name in ("Iris", "credit model", "信用リスク", "a_x41_b", "templates"):
        client.create_registered_model(name)
        client.create_model_version(name, run[1], run_id=run[0])


def _troubled(client: Any, run: tuple[str, str], root: Path) -> None:
    """Versions without bytes, and those of an attacker who writes into the database."""
    client.create_registered_model("lost")
    for source in (run[1], (root / "gone").as_uri(), run[1]):
        client.create_model_version("lost", source, run_id=run[0])
    client.create_registered_model("awaited")
    for _ in range(3):
        client.create_model_version("awaited", run[1], run_id=run[0])
    client.create_registered_model("hostile")
    for _ in range(8):
        client.create_model_version("hostile", run[1], run_id=run[0])
    secret = root.parent / f"{root.name}-elsewhere"
    secret.mkdir()
    (secret / "MLmodel").write_text("flavors: {}\n")
    bomb = root / "mlruns" / "models" / "bomb" / "artifacts"
    bomb.mkdir(parents=True)
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"] + [
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    (bomb / "MLmodel").write_text("\n".join(lines) + "\n")
    linked = root / "mlruns" / "models" / "linked" / "artifacts"
    linked.mkdir(parents=True)
    (linked / "MLmodel").write_text("flavors: {}\n")
    (linked / "passwd").symlink_to("/etc/passwd")
    sources = {
        1: f"file://{root}/mlruns/../../{secret.name}", 2: f"file://{root}/mlruns/%2e%2e/%2e%2e/{secret.name}",
        3: secret.as_uri(), 4: "http://127.0.0.1:9/model", 5: bomb.as_uri(), 6: linked.as_uri(),
        7: "file:///etc", 8: run[1],
    }  # fmt: skip
    with sqlite3.connect(root / "mlflow.db") as database:
        for number, source in sources.items():
            if number != 8:
                database.execute(
                    "UPDATE model_versions SET source = ?, storage_location = ? WHERE name = 'hostile' AND version = ?",
                    (source, source, number),
                )
        database.execute(
            "UPDATE model_versions SET description = ?, user_id = ? WHERE name = 'hostile' AND version = 8",
            ("fine\x1b[2J\x00\u202e words", "eve\x1b[31m"),
        )
        database.execute(
            "INSERT INTO model_version_tags (name, version, key, value, workspace) SELECT name, version, 'huge', ?, workspace "
            "FROM model_versions WHERE name = 'hostile' AND version = 8",
            ("y" * 10_000_000,),
        )
        database.execute(
            "INSERT INTO registered_models (name, creation_time, workspace) VALUES ('../../x', 1, 'default')"
        )
        database.execute(
            "INSERT INTO model_versions (name, version, creation_time, source, storage_location, current_stage, status, workspace) "
            "SELECT '../../x', 1, 99999999999999999, source, storage_location, 'Weird', 'READY', workspace "
            "FROM model_versions WHERE name = 'hostile' AND version = 8"
        )
        database.execute("INSERT INTO registered_models (name, creation_time, workspace) VALUES ('far', 1, 'default')")
        for number, source in {
            1: "runs:/00000000000000000000000000000000/model",
            2: "gs://nothing/here",
        }.items():
            database.execute(
                "UPDATE model_versions SET source = ?, storage_location = ? WHERE name = 'awaited' AND version = ?",
                (source, source, number),
            )
        for number in (900_000_000, -3):
            database.execute(
                "INSERT INTO model_versions (name, version, creation_time, source, storage_location, current_stage, status, workspace) "
                "SELECT 'far', ?, 1, source, storage_location, 'None', 'READY', workspace "
                "FROM model_versions WHERE name = 'hostile' AND version = 8",
                (number,),
            )


if __name__ == "__main__":
    build(Path(sys.argv[1]))
