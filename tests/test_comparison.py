"""A comparison puts the right numbers side by side and says which side is better only where that is known."""

from __future__ import annotations

from typing import Any

import pytest
from builder import CREATED

from gitops_registry.comparison import Row, compare
from gitops_registry.manifest.facts import Artifact, Column, Environment, Framework, Person, Signature, Version

ARTIFACT = Artifact(name="model", file="m.bin", format="bytes", size=10, md5="0" * 32, sha256="a" * 64)


def version(**facts: Any) -> Version:
    return Version(**{"created": CREATED, "author": Person(name="Alice"), "artifacts": (ARTIFACT,), **facts})


def rows(left: Version, right: Version) -> dict[tuple[str, str], Row]:
    return {(row.section, row.name): row for row in compare(left, right)}


def test_the_difference_and_its_percentage_are_of_the_left_side() -> None:
    row = rows(version(metrics={"accuracy": 0.8}), version(metrics={"accuracy": 0.9}))["metrics", "accuracy"]
    assert (row.left, row.right, row.difference) == (0.8, 0.9, 0.1)
    assert row.percent == pytest.approx(12.5)
    assert row.verdict == "better"


def test_the_percentage_of_a_negative_value_keeps_the_direction() -> None:
    row = rows(version(metrics={"r2": -0.5}), version(metrics={"r2": -0.25}))["metrics", "r2"]
    assert (row.difference, row.percent, row.verdict) == (0.25, 50.0, "better")


def test_nothing_has_a_percentage_of_zero_or_of_what_is_missing() -> None:
    found = rows(version(metrics={"f1": 0.0, "gone": 1.0}), version(metrics={"f1": 0.5, "new": 1.0}))
    assert found["metrics", "f1"].percent is None
    assert found["metrics", "f1"].difference == 0.5
    for name in ("gone", "new"):
        row = found["metrics", name]
        assert (row.difference, row.percent, row.verdict) == (None, None, "")


@pytest.mark.parametrize(
    "name", ["false_positive_rate", "mae", "rmse", "mse", "log_loss", "loss", "error_rate", "brier_score"]
)
def test_a_smaller_error_is_better(name: str) -> None:
    assert rows(version(metrics={name: 0.2}), version(metrics={name: 0.1}))["metrics", name].verdict == "better"
    assert rows(version(metrics={name: 0.1}), version(metrics={name: 0.2}))["metrics", name].verdict == "worse"


def test_a_metric_whose_name_says_nothing_is_neither_better_nor_worse() -> None:
    assert (
        rows(version(metrics={"coverage": 0.2}), version(metrics={"coverage": 0.1}))["metrics", "coverage"].verdict
        == ""
    )


def test_equal_sides_are_the_same_and_neither_better_nor_worse() -> None:
    one = version(metrics={"accuracy": 0.9}, params={"depth": 3, "gpu": True})
    assert all(row.is_same and row.verdict == "" for row in compare(one, one))


def test_a_parameter_is_neither_better_nor_worse_and_true_is_no_number() -> None:
    found = rows(version(params={"depth": 3, "gpu": True}), version(params={"depth": 4, "gpu": False}))
    assert (found["params", "depth"].difference, found["params", "depth"].verdict) == (1, "")
    assert found["params", "gpu"].difference is None


def test_everything_else_is_compared_by_section_in_a_fixed_order() -> None:
    left = version(
        framework=Framework(name="scikit-learn", version="1.9"),
        signature=Signature(inputs=(Column(name="age", type="long"),)),
        environment=Environment(python="3.11", platform="linux", requirements=("numpy==2.4", "pandas")),
    )
    right = version(
        release="1.0.0",
        signature=Signature(inputs=(Column(name="age", type="double", required=False),)),
        artifacts=(ARTIFACT.model_copy(update={"size": 30}),),
    )
    found = rows(left, right)
    assert [section for section, _ in found] == sorted(
        (section for section, _ in found),
        key=["facts", "metrics", "params", "signature", "environment", "artifacts"].index,
    )
    assert found["facts", "framework"].left == "scikit-learn 1.9"
    assert found["facts", "framework"].right is None
    assert (found["signature", "input age"].left, found["signature", "input age"].right) == ("long", "double, optional")
    assert found["environment", "numpy"].left == "2.4"
    assert found["artifacts", "model bytes"].percent == 200.0
    assert found["artifacts", "model bytes"].to_json()["difference"] == 20
