"""What people get wrong in their first hour is said, never answered with a wrong number or taken for done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from builder import World, git
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gitops_registry import RegistryError
from gitops_registry.manifest.kinds import Card


@pytest.fixture(scope="module")
def data() -> tuple[pandas.DataFrame, pandas.Series]:
    found = load_breast_cancer(as_frame=True)
    return found.data, found.target


@pytest.fixture(scope="module")
def fitted(data: tuple[pandas.DataFrame, pandas.Series]) -> object:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*data)


def test_a_missing_number_is_refused_where_the_graph_would_answer_with_nonsense(
    world: World, data: tuple, fitted: object
) -> None:
    inputs, truth = data
    world.registry.register("tumour", fitted, X=inputs, y=truth)
    model = world.registry.load("tumour@1")
    assert model.format == "onnx"
    hole = inputs.head(3).copy()
    hole.iloc[1, 0] = np.nan
    with pytest.raises(RegistryError, match="'mean radius' must be double, but some values are missing"):
        model.predict(hole)
    assert list(model.predict(inputs.head(3))) == [0, 0, 0]


def test_columns_that_the_model_was_not_fitted_on_are_left_out_of_its_signature(
    world: World, data: tuple, fitted: object
) -> None:
    inputs, truth = data
    shuffled = inputs[list(reversed(inputs.columns))].assign(**{"Unnamed: 0": range(len(inputs))})
    registered = world.registry.register("tumour", fitted, X=shuffled, y=truth)
    assert [column.name for column in registered.version.signature.inputs] == list(inputs.columns)
    assert "not inputs of the model, left out: Unnamed: 0" in registered.outcome.notes
    assert {artifact.format for artifact in registered.version.artifacts} == {"skops", "onnx"}
    assert len(world.registry.load("tumour@1").predict(inputs.head(2))) == 2


def test_a_refusal_is_false_in_python_and_says_why_in_one_line(world: World) -> None:
    world.model("fraud").version(card=Card()).in_stage("staging").commit()
    outcome = world.registry.promote("fraud", 1, to="production")
    assert not outcome
    assert repr(outcome).startswith("<promote fraud 1 to production: refused: the card lacks description")
    assert world.registry.archive("fraud", 1)


def test_the_environment_names_what_opens_each_stored_file(world: World, data: tuple, fitted: object) -> None:
    registered = world.registry.register("tumour", fitted, X=data[0], y=data[1])
    pinned = {line.split("==")[0] for line in registered.version.environment.requirements}
    assert {"scikit-learn", "skops", "onnxruntime"} <= pinned


def test_check_without_a_base_sees_what_the_work_tree_changes(world: World) -> None:
    world.model("fraud").version().commit()
    facts = world.root / "models/fraud/versions/1/version.yaml"
    facts.write_text(facts.read_text().replace("0.95", "0.99"))
    for arguments in (("check",), ("check", "--base", "HEAD")):
        told = world.cli(*arguments, check=1).stdout
        assert "must never change once it is registered (models/fraud/versions/1/version.yaml:1:1)" in told


def test_nothing_is_moved_by_guessing_which_version_was_meant(world: World) -> None:
    world.model("fraud").version().version().commit()
    with pytest.raises(RegistryError, match="fraud names no version"):
        world.registry.promote("fraud", to="staging")
    told = world.cli("promote", "fraud", "--to", "staging", check=2).stderr
    assert "fraud names no version" in told
    assert "fraud@latest" in told
    world.cli("promote", "fraud@latest", "--to", "staging")


def test_new_words_of_a_card_are_told_as_json_too(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    words = tmp_path / "card.yaml"
    words.write_text("kind: ModelCard\ndescription: New words.\n")
    told = json.loads(world.cli("card", "fraud@1", "--from", str(words), "--json").stdout)
    assert told["plan"]["changes"][0]["kind"] == "card_updated"


def test_a_repository_that_keeps_code_where_models_go_is_not_joined(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "models").mkdir(parents=True)
    (root / "models/net.py").write_text("x = 1\n")
    git(tmp_path, "init", "--quiet", str(root))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    world = World.__new__(World)
    world.root = root
    told = world.cli("init", check=2).stderr
    assert "models/ is where a registry keeps its own files, and models/net.py is none" in told
    assert git(root, "rev-list", "--count", "HEAD").strip() == "1"
