"""What `register` promises about a model before it is a version: only what agrees is stored, only what was measured is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from builder import World
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from gitops_registry import RegistryError
from gitops_registry.appraisal import Rows
from gitops_registry.registering import Submission, register

FACTS = "models/parity/versions/1/version.yaml"


@pytest.fixture
def rows() -> tuple[pd.DataFrame, pd.Series]:
    """Neighbours one apart, so far from zero that half the precision of a float cannot tell them from each other."""
    table = pd.DataFrame({"position": 1e9 + np.arange(200.0)})
    return table, pd.Series(np.arange(200) % 2, name="odd")


def test_a_conversion_that_does_not_agree_is_not_stored_and_the_reason_is_told(
    world: World, rows: tuple[pd.DataFrame, pd.Series]
) -> None:
    table, truth = rows
    model = KNeighborsClassifier(1).fit(table, truth)
    registered = world.registry.register("parity", model, X=table, y=truth)
    assert [artifact.format for artifact in registered.version.artifacts] == ["skops"]
    (note,) = [note for note in registered.outcome.notes if note.startswith("no ONNX")]
    assert "of 200 rows" in note
    assert world.registry.load("parity@1").format == "skops"


def test_without_rows_nothing_is_converted_because_nobody_could_say_whether_it_agrees(
    world: World, rows: tuple[pd.DataFrame, pd.Series]
) -> None:
    table, truth = rows
    registered = world.registry.register("parity", LogisticRegression().fit(table - 1e9, truth))
    assert [artifact.format for artifact in registered.version.artifacts] == ["skops"]
    assert any("without evaluation rows" in note for note in registered.outcome.notes)
    assert "metrics" not in yaml.safe_load(world.read(FACTS))


def test_a_metric_that_is_measured_cannot_be_claimed_too(
    world: World, rows: tuple[pd.DataFrame, pd.Series], tmp_path: Path
) -> None:
    table, truth = rows
    file = tmp_path / "model.skops"
    skops.io.dump(LogisticRegression().fit(table - 1e9, truth), file)
    before = world.git("rev-parse", "main")
    with pytest.raises(RegistryError, match="accuracy is measured here"):
        register(
            world.registry.place, "parity", file,
            rows=Rows(table - 1e9, truth), submission=Submission(metrics={"accuracy": 1.0}),
        )  # fmt: skip
    assert world.git("rev-parse", "main") == before


def test_bytes_too_large_for_git_are_pointed_out_with_the_way_to_a_real_store(
    world: World, rows: tuple[pd.DataFrame, pd.Series]
) -> None:
    world.commit({"registry.yaml": world.read("registry.yaml") + b"storage: {warn_above: 100}\n"})
    table, truth = rows
    registered = world.registry.register("parity", LogisticRegression().fit(table - 1e9, truth))
    assert any("dvc remote add -d" in note for note in registered.outcome.notes)
