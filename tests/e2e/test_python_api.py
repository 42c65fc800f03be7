"""The same life in Python: fitted estimators in, decisions and verified models out."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from builder import FINISHED_CARD, World, git
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import gitops_registry
from gitops_registry import Conflict, ManifestError, NotFound, Registry, RegistryError

CARD = FINISHED_CARD.model_dump(include={"description", "intended_use", "limitations", "training_data"})


@dataclass
class Life:
    """What the story gave back, step by step."""

    world: World
    registry: Registry
    models: list[Any]
    versions: list[Any]
    outcomes: dict[str, Any]
    table: pd.DataFrame
    truth: pd.Series


@pytest.fixture(scope="module")
def life(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Three wines' classifiers: 1 and 2 good, 3 worse; 1 served, then 2, then 1 again."""
    world = World(tmp_path_factory.mktemp("wine") / "registry", template=template)
    registry = Registry.open(world.root)
    table, truth = load_wine(return_X_y=True, as_frame=True)
    table = table.iloc[:, :6]
    test = np.arange(len(table)) % 3 == 0
    models = [
        make_pipeline(StandardScaler(), LogisticRegression()).fit(table[~test], truth[~test]),
        make_pipeline(StandardScaler(), LogisticRegression(C=10)).fit(table[~test], truth[~test]),
        DecisionTreeClassifier(max_depth=1, random_state=0).fit(table[~test], truth[~test]),
    ]
    versions = [
        registry.register(
            "wine", model, X=table[test], y=truth[test], params={"try": n}, tags={"by": "test"}, card=CARD,
            release=f"1.{n}.0",
        )
        for n, model in enumerate(models, 1)
    ]  # fmt: skip
    outcomes: dict[str, Any] = {}
    for number in (1, 2):
        for stage in ("staging", "production"):
            proposed = registry.promote("wine", number, to=stage)
            outcomes[f"propose {number} {stage}"] = proposed
            outcomes[f"merge {number} {stage}"] = registry.merge(proposed.proposal)
    outcomes["3 to staging"] = registry.promote("wine", 3, to="staging", direct=True)
    outcomes["refused"] = registry.promote("wine", 3, to="production")
    back = registry.rollback("wine", reason="customers complain")
    outcomes["rollback"] = back
    outcomes["merge rollback"] = registry.merge(back.proposal)
    return Life(world, registry, models, versions, outcomes, table[test], truth[test])


def test_the_public_names_are_at_most_twelve_and_all_exist() -> None:
    assert len(gitops_registry.__all__) <= 12
    for name in gitops_registry.__all__:
        assert getattr(gitops_registry, name) is not None


def test_importing_the_package_imports_no_heavy_library() -> None:
    code = "import sys, gitops_registry; print([m for m in ('dvc', 'sklearn', 'onnxruntime', 'git', 'rich', 'pandas') if m in sys.modules])"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_register_returns_versions_numbered_from_1(life: Life) -> None:
    assert [version.number for version in life.versions] == [1, 2, 3]


def test_a_multiclass_model_is_measured_with_a_confusion_matrix(life: Life) -> None:
    kept = yaml.safe_load((life.world.root / "models/wine/versions/1/version.yaml").read_text())
    assert kept["task"] == "multiclass-classification"
    assert kept["metrics"]["accuracy"] == pytest.approx((life.models[0].predict(life.table) == life.truth).mean())
    assert {"precision", "recall", "f1", "roc_auc"} <= set(kept["metrics"])
    assert np.sum(kept["confusion_matrix"]["counts"]) == len(life.table)
    assert kept["release"] == "1.1.0"
    assert kept["params"]["try"] == 1


def test_each_step_is_a_proposal_and_then_one_merge_commit(life: Life) -> None:
    for step in ("1 staging", "1 production", "2 staging", "2 production"):
        proposed, merged = life.outcomes[f"propose {step}"], life.outcomes[f"merge {step}"]
        assert proposed.proposal == f"promote/wine/{step.replace(' ', '/')}"
        assert len(life.world.git("rev-list", "--parents", "-1", merged.commit).split()) == 3
        assert [str(c) for c in merged.changes] == [str(c) for c in proposed.changes]


def test_the_worse_version_is_refused_as_a_result_and_not_as_an_exception(life: Life) -> None:
    refused = life.outcomes["refused"]
    assert refused.is_refused
    assert refused.commit is None
    assert refused.proposal is None
    assert any("accuracy" in finding.message for finding in refused.refusals)
    json.dumps(refused.to_json())


def test_promoting_2_archived_1_and_the_rollback_gave_production_back(life: Life) -> None:
    assert "archived" in json.dumps(life.outcomes["merge 2 production"].to_json())
    assert life.registry.resolve("wine@production").number == 1
    assert life.registry.resolve("wine@latest").number == 3


def test_the_production_version_loads_and_predicts_what_the_estimator_predicts(life: Life) -> None:
    loaded = life.registry.load("wine@production")
    assert (np.asarray(loaded.predict(life.table)) == life.models[0].predict(life.table)).all()
    assert np.asarray(loaded.predict_proba(life.table)) == pytest.approx(
        life.models[0].predict_proba(life.table), abs=1e-5
    )
    assert list(loaded.labels) == [0, 1, 2]


@pytest.mark.parametrize("name", ["skops", "onnx"])
def test_every_stored_format_loads_and_predicts_the_same(life: Life, name: str) -> None:
    loaded = life.registry.load("wine@1", format=name)
    assert loaded.format == name
    assert (np.asarray(loaded.predict(life.table)) == life.models[0].predict(life.table)).all()


def test_columns_in_another_order_are_no_other_prediction(life: Life) -> None:
    loaded = life.registry.load("wine@1")
    turned = life.table[life.table.columns[::-1]]
    assert list(loaded.predict(turned)) == list(loaded.predict(life.table))


def test_a_missing_column_is_named_before_the_model_runs(life: Life) -> None:
    with pytest.raises(RegistryError, match="alcohol"):
        life.registry.load("wine@1").predict(life.table.drop(columns="alcohol"))


def test_the_log_is_an_iterator_of_decisions_newest_first(life: Life) -> None:
    subjects = [event.to_json()["subject"] for event in life.registry.log("wine")]
    assert "rollback" in subjects[0]
    assert "register wine 1" in subjects[-1]
    assert len(list(life.registry.log("wine", limit=2))) == 2


def test_the_card_check_and_verify_agree_with_the_command_line(life: Life) -> None:
    assert life.registry.card("wine@1") == life.world.cli("card", "wine@1").stdout
    assert life.registry.check().to_json()["ok"]
    assert life.registry.verify()


def test_pull_returns_the_files_it_wrote(life: Life, tmp_path: Path) -> None:
    written = life.registry.pull("wine@1", to=tmp_path / "out")
    assert sorted(path.name for path in written) == ["model.onnx", "model.skops"]
    assert all(path.is_file() for path in written)


def test_an_older_revision_still_resolves_to_what_was_true_then(life: Life) -> None:
    then = Registry.open(life.world.root, revision=life.outcomes["merge 2 production"].commit)
    assert then.resolve("wine@production").number == 2


def test_an_open_registry_sees_what_others_decide(world: World) -> None:
    world.model("fraud").version().commit()
    ours, theirs = world.registry, world.registry
    theirs.promote("fraud", 1, to="staging", direct=True)
    assert ours.resolve("fraud@staging").number == 1


def test_unknown_names_raise_not_found_with_a_hint(life: Life) -> None:
    for reference in ("vine@1", "wine@9", "wine@prodution", "vine@production"):
        with pytest.raises(NotFound) as caught:
            life.registry.load(reference)
        assert caught.value.hint
    with pytest.raises(NotFound) as caught:
        life.registry.promote("wine", 1, to="stagng")
    assert "staging" in caught.value.hint


def test_opening_what_is_no_registry_raises_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        Registry.open(tmp_path)
    assert "gitops-registry init" in caught.value.hint


def test_a_git_url_can_be_opened(life: Life) -> None:
    registry = Registry.open(life.world.root.as_uri())
    assert registry.resolve("wine@production").number == 1
    assert len(np.asarray(registry.load("wine@production").predict(life.table))) == len(life.table)


def test_a_bare_clone_loads_the_model(life: Life, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", life.world.root.as_uri(), "registry.git")
    loaded = Registry.open(tmp_path / "registry.git").load("wine@production")
    assert len(np.asarray(loaded.predict(life.table))) == len(life.table)


def test_a_regressor_is_measured_loaded_and_predicts(world: World) -> None:
    table, truth = load_diabetes(return_X_y=True, as_frame=True)
    ridge = Ridge().fit(table[:300], truth[:300])
    version = world.registry.register("progress", ridge, X=table[300:], y=truth[300:])
    kept = yaml.safe_load((world.root / "models/progress/versions/1/version.yaml").read_text())
    residuals = truth[300:] - ridge.predict(table[300:])
    assert kept["metrics"]["mae"] == pytest.approx(residuals.abs().mean())
    assert kept["metrics"]["rmse"] == pytest.approx(float((residuals**2).mean()) ** 0.5)
    assert "r2" in kept["metrics"]
    loaded = world.registry.load(f"progress@{version.number}")
    assert np.ravel(loaded.predict(table[300:])) == pytest.approx(ridge.predict(table[300:]), rel=1e-4)
    assert loaded.predict_proba(table[300:]) is None


def test_a_dry_run_returns_the_plan_and_changes_nothing(world: World) -> None:
    world.model("fraud").version().commit()
    before = world.git("for-each-ref"), world.git("status", "--porcelain", "--ignored")
    outcome = world.registry.promote("fraud", 1, to="staging", dry_run=True)
    assert outcome.changes
    assert outcome.commit is None
    table, truth = load_wine(return_X_y=True, as_frame=True)
    world.registry.register(
        "wine", DecisionTreeClassifier(max_depth=1).fit(table, truth), X=table, y=truth, dry_run=True
    )
    assert (world.git("for-each-ref"), world.git("status", "--porcelain", "--ignored")) == before


def test_a_conflict_is_raised_as_conflict_and_nothing_is_written(world: World) -> None:
    world.model("fraud").version().in_stage("staging").commit()
    registry = world.registry
    first = registry.promote("fraud", 1, to="production")
    registry.archive("fraud", 1, direct=True)
    before = world.git("for-each-ref")
    with pytest.raises(Conflict, match="fraud") as caught:
        registry.merge(first.proposal)
    assert caught.value.hint
    assert world.git("for-each-ref") == before


def test_a_broken_manifest_is_raised_with_its_place(world: World) -> None:
    world.model("fraud").version().commit()
    path = world.root / "models/fraud/model.yaml"
    path.write_text(path.read_text() + "ownerz: []\n")
    world.git("commit", "--quiet", "--all", "--message", "edit")
    with pytest.raises(ManifestError, match=r"^models/fraud/model.yaml:\d+:1: .*ownerz") as caught:
        world.registry.promote("fraud", 1, to="staging")
    assert caught.value.hint


def test_an_estimator_that_was_never_fitted_is_refused_with_a_hint(world: World) -> None:
    table, truth = load_wine(return_X_y=True, as_frame=True)
    before = world.git("for-each-ref")
    with pytest.raises(RegistryError) as caught:
        world.registry.register("wine", DecisionTreeClassifier(), X=table, y=truth)
    assert "fit" in str(caught.value) + caught.value.hint
    assert world.git("for-each-ref") == before


def test_rows_that_do_not_fit_their_truth_are_refused(world: World) -> None:
    table, truth = load_wine(return_X_y=True, as_frame=True)
    with pytest.raises(RegistryError):
        world.registry.register("wine", DecisionTreeClassifier().fit(table, truth), X=table, y=truth[:-1])


def test_a_traceback_of_an_error_ends_in_the_hint(world: World) -> None:
    script = "from gitops_registry import Registry; Registry.open('.').load('nothing@1')"
    done = subprocess.run([sys.executable, "-c", script], cwd=world.root, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-2:] == [
        "gitops_registry.errors.NotFound: no model 'nothing' in this registry",
        "hint: there is none yet",
    ]
