"""A comparison puts the right numbers side by side and says which side is better only where that is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builder import CREATED, World

from gitops_registry.comparison import Row, compare
from gitops_registry.errors import NotFound
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


# ── whom a version is compared with


def contenders(world: World) -> World:
    model = (
        world.model("fraud").version().version().version().version(metrics={"accuracy": 0.97}, params={"a_b": "x|y"})
    )
    return model.in_stage("production", 2).in_stage("staging", 3).commit()


def test_champion_and_challenger_are_aliases_else_what_serves_and_what_waits(world: World) -> None:
    registry = contenders(world).registry
    sides = lambda *named: (str(registry.compare(*named).left), str(registry.compare(*named).right))  # noqa: E731
    assert sides("fraud") == ("fraud@2", "fraud@3")
    assert sides("fraud@4") == ("fraud@2", "fraud@4")
    assert sides("fraud@1", "fraud@latest") == ("fraud@1", "fraud@4")
    registry.set_alias("fraud", "challenger", 4, direct=True)
    assert sides("fraud") == ("fraud@2", "fraud@4")
    registry.set_alias("fraud", "champion", 1, direct=True)
    assert sides("fraud") == ("fraud@1", "fraud@4")
    registry.set_alias("fraud", "champion", 4, direct=True)
    with pytest.raises(NotFound, match="fraud has no challenger of fraud@4"):
        registry.compare("fraud")


def test_without_anything_in_staging_the_newest_is_the_challenger(world: World) -> None:
    registry = world.model("fraud").version().version().version().in_stage("production", 2).commit().registry
    assert str(registry.compare("fraud").right) == "fraud@3"


def test_without_anything_that_serves_there_is_no_champion(world: World) -> None:
    registry = world.model("fraud").version().version().commit().registry
    with pytest.raises(NotFound, match="fraud has no champion") as raised:
        registry.compare("fraud")
    assert raised.value.hint == "name two versions: gitops-registry compare fraud 1 2"


def test_one_version_has_nothing_to_be_compared_with(world: World) -> None:
    registry = world.model("fraud").version().commit().registry
    with pytest.raises(NotFound, match="fraud has no champion") as raised:
        registry.compare("fraud")
    assert raised.value.hint == "register another version of it first: gitops-registry register fraud FILE"


def test_a_comparison_is_a_table_json_or_markdown(world: World) -> None:
    contenders(world)
    table = world.cli("compare", "fraud@4").stdout
    assert "metrics accuracy 0.95 0.97 +0.02 (+2.1 %) better" in [" ".join(line.split()) for line in table.splitlines()]
    data = json.loads(world.cli("compare", "fraud@4", "--format", "json").stdout)
    assert json.loads(world.cli("compare", "fraud", "2", "4", "--json").stdout) == data
    accuracy = next(row for row in data["rows"] if row["name"] == "accuracy")
    assert (data["left"], accuracy["difference"], accuracy["verdict"]) == ("fraud@2", 0.02, "better")
    lines = world.cli("compare", "fraud@4", "--format", "markdown").stdout.splitlines()
    assert "| accuracy | 0.95 | 0.97 | +0.02 (+2.1 %) | better |" in lines
    assert r"| a\_b | — | x\|y |  |  |" in lines
    assert "two versions" in world.cli("compare", "fraud", "1", "2", "3", check=2).stderr


# ── the history of one version


def test_the_history_of_a_version_is_what_was_decided_about_it_under_all_names(world: World) -> None:
    registry = world.model("fraud").version().version().commit().registry
    registry.promote("fraud", 1, to="staging", direct=True, reason="Good enough.")
    registry.promote("fraud", 2, to="staging", direct=True)
    registry.set_alias("fraud", "best", 1, direct=True)
    registry.set_alias("fraud", "best", 2, direct=True)
    registry.rename("fraud", "payments", direct=True)
    registry.describe("payments", 1, description="Old.", direct=True)
    told = [[str(change) for change in event.changes] for event in registry.history("payments", 1)]
    assert told == [
        ["payments: card of version 1 changed"],
        ["fraud: alias best 1 → 2"],
        ["fraud: alias best → 1"],
        ["fraud: version 1 development → staging"],
        ["fraud: version 1 registered"],
    ]
    *shown, anchor = world.cli("show", "payments@1").stdout.splitlines()
    assert anchor.startswith("note: no anchor")
    assert [line.split()[2:7] for line in shown[-2:]] == [
        ["development", "→", "staging", "Alice", "claimed"],
        ["registered", "Alice", "claimed", "—", shown[-1].split()[-1]],
    ]
    assert "Good enough." in shown[-2]
    assert [line.split()[2:4] for line in shown if "card" in line] == [["card", "changed"]]
    history = json.loads(world.cli("show", "payments@1", "--json").stdout)["history"]
    assert [event["changes"][0]["text"] for event in history] == [one for (one,) in told]


def test_without_the_history_a_version_is_shown_and_that_is_said(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    world.registry.describe("fraud", 1, description="x", direct=True)
    clone = world.clone(tmp_path / "shallow", "--depth=1")
    assert "history: the log needs the history, and this clone is shallow" in clone.cli("show", "fraud@1").stdout
    assert json.loads(clone.cli("show", "fraud@1", "--json").stdout)["history"] is None
