"""The code that people know from MLflow's tutorials, run against a registry: each step does what it says, and the log tells it.

Everything goes through `mlflow` and `MlflowClient` as it stands in those tutorials; only the address of the registry is ours.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builder import World
from mlflow_pair import freed

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

NAME = "credit-risk-classifier"
TREES = ["sklearn.tree._tree.Tree"]


def log_of(world: World) -> str:
    """Return what `gitops-registry log` prints of the model."""
    return world.cli("log", NAME).stdout


@pytest.fixture(scope="module")
def lesson(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Three forests, each logged by a run of its own and registered by the same call, as the first page of a tutorial does."""
    import mlflow
    from mlflow import MlflowClient
    from mlflow.models import infer_signature
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
    from sklearn.model_selection import train_test_split

    root = tmp_path_factory.mktemp("tutorial")
    world = freed(World(root / "registry", template=template))
    patch = pytest.MonkeyPatch()
    patch.chdir(root)
    warnings.simplefilter("ignore")
    mlflow.set_tracking_uri(f"sqlite:///{root}/runs.db")
    mlflow.set_registry_uri(f"gitops://{world.root}")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("credit", artifact_location=f"file://{root}/mlruns"))
    X, y = make_classification(400, 6, random_state=7)  # noqa: N806 - the field's own name
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=7)  # noqa: N806
    runs = []
    for trees in (3, 6, 9):
        with mlflow.start_run(run_name=f"forest-{trees}") as run:
            model = RandomForestClassifier(n_estimators=trees, random_state=7).fit(X_train, y_train)
            predicted = model.predict(X_test)
            (tn, fp), (fn, tp) = confusion_matrix(y_test, predicted)
            mlflow.log_params({"n_estimators": trees, "random_state": 7})
            mlflow.log_metrics({
                "accuracy": accuracy_score(y_test, predicted), "f1": f1_score(y_test, predicted),
                "true_negatives": tn, "false_positives": fp, "false_negatives": fn, "true_positives": tp,
            })  # fmt: skip
            how: dict[str, Any] = {"pip_requirements": ["scikit-learn==1.9.1", "skops"]}
            if trees == 9:
                how = {"conda_env": {"name": "credit", "channels": ["conda-forge"], "dependencies": ["python=3.11", "pip", {"pip": ["mlflow", "scikit-learn==1.9.1"]}]}}  # fmt: skip
            mlflow.sklearn.log_model(
                model, name="model", signature=infer_signature(X_train, predicted), input_example=X_train[:2],
                skops_trusted_types=TREES, registered_model_name=NAME, **how,
            )  # fmt: skip
            runs.append(run.info.run_id)
    yield SimpleNamespace(world=world, client=MlflowClient(), runs=runs, rows=X_test, truth=y_test, mlflow=mlflow)
    mlflow.set_registry_uri("")
    os.environ.pop("MLFLOW_REGISTRY_URI", None)
    patch.undo()


def test_logging_a_model_registers_it_with_what_its_run_recorded(lesson: SimpleNamespace) -> None:
    found = lesson.client.search_model_versions(f"name = '{NAME}'", order_by=["version_number ASC"])
    assert [(mv.version, mv.run_id, mv.status) for mv in found] == [
        (n, run, "READY") for n, run in enumerate(lesson.runs, 1)
    ]
    version = lesson.world.registry.snapshot.version(NAME, 3)
    assert version is not None
    assert version.params["n_estimators"] == 9
    assert version.metrics["accuracy"] > 0.8
    assert set(version.claimed) == set(version.metrics), "nothing of it was measured here"
    assert version.confusion_matrix is not None
    assert sum(map(sum, version.confusion_matrix.counts)) == len(lesson.truth)
    assert version.lineage is not None
    assert version.lineage.run == f"mlflow:{lesson.runs[2]}"
    assert version.artifacts[0].format == "mlflow"
    for number in (1, 2, 3):
        assert f"{NAME}: version {number} registered" in log_of(lesson.world)


def test_the_signature_that_was_inferred_is_the_versions(lesson: SimpleNamespace) -> None:
    version = lesson.world.registry.snapshot.version(NAME, 1)
    assert version is not None
    assert version.signature is not None
    assert [(column.name, column.type, column.shape) for column in version.signature.inputs] == [
        ("input", "double", (-1, 6))
    ]
    assert lesson.mlflow.models.get_model_info(f"models:/{NAME}/1").signature is not None


def test_the_requirements_of_pip_and_conda_are_kept(lesson: SimpleNamespace) -> None:
    versions = [lesson.world.registry.snapshot.version(NAME, number) for number in (1, 3)]
    for version in versions:
        assert version is not None
        assert version.environment is not None
        assert "scikit-learn==1.9.1" in version.environment.requirements
    folder = Path(lesson.mlflow.artifacts.download_artifacts(f"models:/{NAME}/3"))
    assert "conda-forge" in (folder / "conda.yaml").read_text()


def test_a_description_and_tags_are_written(lesson: SimpleNamespace) -> None:
    client = lesson.client
    client.update_registered_model(NAME, "Predicts who pays back.\n返済を予測する。")
    client.update_model_version(NAME, 2, "Six trees.")
    client.set_registered_model_tag(NAME, "task", "classification")
    client.set_model_version_tag(NAME, 2, "validation_status", "approved")
    assert client.get_registered_model(NAME).description.startswith("Predicts who pays back.")
    assert client.get_model_version(NAME, 2).description == "Six trees."
    assert [mv.version for mv in client.search_model_versions("tags.validation_status = 'approved'")] == [2]
    assert [model.name for model in client.search_registered_models("tags.task = 'classification'")] == [NAME]
    told = log_of(lesson.world)
    assert f"{NAME}: description" in told
    assert f"{NAME}: card of version 2 changed" in told


def test_versions_go_through_stages_and_are_asked_for_by_stage(lesson: SimpleNamespace) -> None:
    client = lesson.client
    client.transition_model_version_stage(NAME, 1, "Production")
    client.transition_model_version_stage(NAME, 2, stage="Staging")
    assert [mv.version for mv in client.get_latest_versions(NAME, stages=["Staging"])] == [2]
    assert {mv.current_stage: mv.version for mv in client.get_latest_versions(NAME)} == {
        "Production": 1,
        "Staging": 2,
        "None": 3,
    }
    client.transition_model_version_stage(NAME, 3, stage="Production", archive_existing_versions=True)
    assert client.get_model_version(NAME, 1).current_stage == "Archived"
    assert [mv.version for mv in client.get_latest_versions(NAME, stages=["Production"])] == [3]
    told = log_of(lesson.world)
    for line in ("version 1 development → production", "version 2 development → staging", "version 1 production → archived", "version 3 development → production"):  # fmt: skip
        assert f"{NAME}: {line}" in told


def test_two_versions_are_compared_by_their_runs_and_by_the_registry(lesson: SimpleNamespace) -> None:
    accuracy = {
        number: lesson.client.get_run(lesson.client.get_model_version(NAME, number).run_id).data.metrics["accuracy"]
        for number in (1, 3)
    }
    rows = lesson.world.registry.search(f"name = '{NAME}'", order_by="number")
    assert {
        found.reference.number: found.metrics["accuracy"] for found in rows if found.reference.number != 2
    } == accuracy
    said = lesson.world.cli("compare", f"{NAME}@1", f"{NAME}@3", check=None).stdout
    assert "accuracy" in said
    assert "n_estimators" in said


def test_an_alias_names_a_version_until_it_is_taken_away(lesson: SimpleNamespace) -> None:
    client = lesson.client
    client.set_registered_model_alias(NAME, "champion", 3)
    client.set_registered_model_alias(NAME, "challenger", 2)
    assert client.get_model_version_by_alias(NAME, "champion").version == 3
    assert sorted(client.get_registered_model(NAME).aliases.items()) == [("challenger", 2), ("champion", 3)]
    client.delete_registered_model_alias(NAME, "challenger")
    told = log_of(lesson.world)
    assert f"{NAME}: alias champion → 3" in told
    assert f"{NAME}: alias challenger removed (was 2)" in told


def test_a_model_is_loaded_by_number_stage_and_alias_from_a_copy_of_its_own(lesson: SimpleNamespace) -> None:
    client = lesson.client
    client.set_registered_model_alias(NAME, "champion", 3)
    client.transition_model_version_stage(NAME, 3, "Production", archive_existing_versions=True)
    expected = None
    for uri in (f"models:/{NAME}/3", f"models:/{NAME}/Production", f"models:/{NAME}@champion"):
        answers = lesson.mlflow.pyfunc.load_model(uri).predict(lesson.rows).tolist()
        expected = expected or answers
        assert answers == expected
    assert lesson.mlflow.sklearn.load_model(f"models:/{NAME}/1").n_estimators == 3
    folder = Path(lesson.mlflow.artifacts.download_artifacts(f"models:/{NAME}/3"))
    (folder / "MLmodel").write_text("spoilt")
    (folder / "more").write_text("mine")
    assert all(one.problem == "" for one in lesson.world.registry.verify([f"{NAME}@3"], deep=True))
    assert lesson.mlflow.pyfunc.load_model(f"models:/{NAME}/3").predict(lesson.rows).tolist() == expected


def test_a_spoilt_cache_is_noticed_and_never_loaded(lesson: SimpleNamespace) -> None:
    world = World(lesson.world.root.parent / "spoilt", template=lesson.world.root)
    expected = lesson.mlflow.pyfunc.load_model(f"models:/{NAME}/3").predict(lesson.rows).tolist()
    spoilt = [path for path in (world.root / ".dvc" / "cache").rglob("*") if path.is_file()]
    assert spoilt
    for path in spoilt:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"!")
    lesson.mlflow.set_registry_uri(f"gitops://{world.root}")
    try:
        assert lesson.mlflow.pyfunc.load_model(f"models:/{NAME}/3").predict(lesson.rows).tolist() == expected
    finally:
        lesson.mlflow.set_registry_uri(f"gitops://{lesson.world.root}")


def test_a_logged_model_and_a_folder_are_registered_by_hand(lesson: SimpleNamespace) -> None:
    by_run = lesson.mlflow.register_model(f"runs:/{lesson.runs[0]}/model", "by-hand", tags={"how": "run"})
    assert (by_run.version, by_run.run_id, by_run.tags) == (1, lesson.runs[0], {"how": "run"})
    folder = lesson.world.root.parent / "saved"
    lesson.mlflow.sklearn.save_model(
        lesson.mlflow.sklearn.load_model(f"models:/{NAME}/1"), str(folder), skops_trusted_types=TREES, pip_requirements=["skops"]
    )  # fmt: skip
    assert lesson.mlflow.register_model(str(folder), "by-hand").version == 2
    copied = lesson.client.copy_model_version(f"models:/{NAME}/2", "by-hand")
    assert (copied.version, copied.run_id) == (3, lesson.runs[1])
    for number in (1, 2, 3):
        assert lesson.mlflow.pyfunc.load_model(f"models:/by-hand/{number}").predict(lesson.rows[:3]).shape == (3,)
    assert "by-hand: version 3 registered" in lesson.world.cli("log", "by-hand").stdout


def test_a_version_registered_without_mlflow_is_loaded_by_it_too(lesson: SimpleNamespace) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(lesson.rows, lesson.truth)
    lesson.world.registry.register("native", model, X=lesson.rows, y=lesson.truth)
    assert lesson.client.get_model_version("native", 1).source.startswith("gitops+models:///native/1")
    answers = lesson.mlflow.pyfunc.load_model("models:/native/1").predict(
        {f"x{n}": lesson.rows[:, n] for n in range(6)}
    )
    assert len(answers) == len(lesson.rows)


def test_what_is_deleted_is_gone_for_mlflow_and_stays_in_the_log(lesson: SimpleNamespace) -> None:
    extra = lesson.client.create_model_version(NAME, f"models:/{NAME}/1", lesson.runs[0])
    lesson.client.delete_model_version(NAME, extra.version)
    assert extra.version not in [mv.version for mv in lesson.client.search_model_versions(f"name = '{NAME}'")]
    lesson.client.create_registered_model("scratch")
    lesson.client.rename_registered_model("scratch", "scratch-2")
    lesson.client.delete_registered_model("scratch-2")
    assert "scratch-2" not in [model.name for model in lesson.client.search_registered_models()]
    assert f"{NAME}: version {extra.version} deleted" in log_of(lesson.world)
    told = lesson.world.cli("log").stdout
    assert "scratch → scratch-2: model renamed" in told
    assert "scratch-2: model deleted" in told
