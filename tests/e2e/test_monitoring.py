"""`monitor`: what serves is measured again, and what holds no more gets a proposal to go back or out of use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builder import World
from story import Trained

from gitops_registry import Registry, edits, paths
from gitops_registry.reference import Reference

BACK = "rollback/tumour/production"


def share(registry: Registry, trained: Trained, file: Path, *, good: int, bad: int) -> None:
    """Write a table of 20 rows on which the version `good` is always right, and `bad` four times wrong."""
    table = pd.read_csv(trained.data)
    rows = table.drop(columns="diagnosis")
    right, wrong = (registry.load("tumour", number).predict(rows) for number in (good, bad))
    table["diagnosis"] = right
    pd.concat([table[right != wrong][:4], table[right == wrong][:16]]).to_csv(file, index=False)


@pytest.fixture(scope="module")
def base(trained: Trained, template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two forests: the first served production until the second took its place."""
    folder = tmp_path_factory.mktemp("monitored")
    world = World(folder / "world", template=template)
    given = ("--card", str(trained.card), "--data", str(trained.data), "--target", "diagnosis")
    for number in (3, 2):
        world.cli("register", "tumour", str(trained.model(number)), *given)
    registry = world.registry
    for number in (1, 2):
        assert registry.promote("tumour", number, to="staging", direct=True)
        assert registry.promote("tumour", number, to="production", direct=True)
    share(registry, trained, folder / "second.csv", good=1, bad=2)
    share(registry, trained, folder / "first.csv", good=2, bad=1)
    return world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    return World(tmp_path / "world", template=base.root)


def pin(world: World, base: World, file: str) -> None:
    assert world.registry.set_evaluation("tumour", base.root.parent / file, target="diagnosis")


def told(world: World, *words: str, check: int) -> dict[str, Any]:
    (one,) = json.loads(world.cli("monitor", "--json", *words, check=check).stdout)["serving"]
    return one


def test_what_holds_is_measured_and_left(world: World, base: World) -> None:
    pin(world, base, "first.csv")
    before = world.git("for-each-ref")
    done = world.cli("monitor")
    assert "✓ tumour@2 in production: accuracy 1.0000" in done.stdout
    assert "1 serve; 0 hold no more" in done.stdout
    assert world.git("for-each-ref") == before


def test_what_holds_no_more_is_proposed_to_go_back_to_who_held_the_stage(world: World, base: World) -> None:
    pin(world, base, "second.csv")
    done = world.cli("monitor", check=1)
    assert "✗ tumour@2 in production: accuracy 0.8000" in done.stdout
    assert "floors/metrics: accuracy 0.8 is below 0.9" in done.stdout
    assert f"proposed as {BACK}" in done.stdout
    reason = world.git("log", "-1", "--format=%B", BACK)
    assert "tumour@2 holds production no more." in reason
    assert "floors/metrics: accuracy 0.8 is below 0.9" in reason
    assert "measured again on second, 20 rows: accuracy 0.8000" in reason
    assert world.registry.snapshot.in_stage("tumour", "production") == (2,)
    assert world.registry.merge(BACK)
    assert world.registry.snapshot.in_stage("tumour", "production") == (1,)


def test_a_proposal_that_is_open_is_said_and_stays(world: World, base: World) -> None:
    pin(world, base, "second.csv")
    world.cli("monitor", check=1)
    before = world.git("for-each-ref")
    assert "open already" in told(world, check=1)["note"]
    assert world.git("for-each-ref") == before


def test_a_dry_run_proposes_nothing(world: World, base: World) -> None:
    pin(world, base, "second.csv")
    before = world.git("for-each-ref")
    one = told(world, "--dry-run", check=1)
    assert one["holds"] is False
    assert one["demotion"]["subject"] == "rollback tumour production to 1"
    assert one["demotion"]["commit"] is None
    assert world.git("for-each-ref") == before


def test_out_of_use_it_goes_where_who_was_there_before_would_not_hold_either(
    world: World, trained: Trained, tmp_path: Path
) -> None:
    table = pd.read_csv(trained.data)[:20]
    table["diagnosis"] = table["diagnosis"].to_numpy()[::-1]
    table.to_csv(tmp_path / "drifted.csv", index=False)
    assert world.registry.set_evaluation("tumour", tmp_path / "drifted.csv", target="diagnosis")
    one = told(world, check=1)
    assert one["measured"]["metrics"]["accuracy"] < 0.9
    assert one["demotion"]["proposal"] == "archive/tumour/2"


def test_one_that_was_put_back_is_not_asked_what_a_rollback_is_not_asked(world: World, base: World) -> None:
    assert world.registry.rollback("tumour", direct=True)
    assert world.registry.snapshot.in_stage("tumour", "production") == (1,)
    pin(world, base, "first.csv")
    one = told(world, check=0)
    assert one["measured"]["metrics"]["accuracy"] == pytest.approx(0.8)
    assert one["failed"] == []


def test_a_floor_that_was_raised_counts_for_what_serves_without_data(world: World) -> None:
    path = "policies/floors.yaml"
    text = (world.root / path).read_bytes()
    world.commit({path: text.replace(b"{accuracy: 0.9}", b"{accuracy: 0.999}")})
    one = told(world, "--dry-run", check=1)
    assert "pins no evaluation data" in one["unmeasured"]
    assert [rule["rule"] for rule in one["failed"]] == ["metrics"]


def test_a_waiver_lifts_it_until_it_ends(world: World, base: World) -> None:
    pin(world, base, "second.csv")
    assert world.registry.waive("tumour@2", ["floors/metrics"], reason="Until the new one is trained.", direct=True)
    assert told(world, check=0)["holds"] is True
    (name,) = world.registry.snapshot.children(paths.WAIVERS)
    path = f"{paths.WAIVERS}/{name}"
    lines = (world.root / path).read_text().splitlines()
    ended = ["expires: 2026-01-08T00:00:00Z" if one.startswith("expires:") else "not_before: 2026-01-01T00:00:00Z" if one.startswith("not_before:") else one for one in lines]  # fmt: skip
    world.commit({path: ("\n".join(ended) + "\n").encode()})
    assert told(world, "--dry-run", check=1)["failed"][0]["rule"] == "metrics"


def test_damaged_bytes_are_told_and_nothing_is_read_of_them(world: World, base: World) -> None:
    pin(world, base, "first.csv")
    version = world.registry.snapshot.known_version(Reference("tumour", 2))
    for artifact in version.artifacts:
        world.commit({paths.store_path(artifact.md5): b"no model"})
        cached = world.root / ".git" / "gitops-registry"
        for file in [*cached.rglob(artifact.md5[2:]), *(world.root / ".dvc" / "cache").rglob(artifact.md5[2:])]:
            file.chmod(0o644)
            file.write_bytes(b"no model")
    one = told(world, check=1)
    assert one["damaged"] is True
    assert one["worse"] is False
    assert one["demotion"] is None


def test_a_policy_that_cannot_be_read_stops_it(world: World) -> None:
    world.commit({"policies/odd.yaml": b"kind: Policy\nschema_version: 1\nname: odd\nvalidations: 3\n"})
    assert "policies/odd.yaml cannot be read" in world.cli("monitor", check=2).stderr


def test_nothing_that_serves_is_nothing_to_do(template: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world", template=template)
    world.model("fraud").version().commit()
    assert "0 serve" in world.cli("monitor").stdout


def test_a_version_that_nothing_here_reads_is_judged_by_what_is_recorded(template: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world", template=template)
    world.model("fraud").version(metrics={"accuracy": 0.4}).in_stage("production").commit()
    assert edits.next_number(world.registry.snapshot, "fraud") == 2
    one = told(world, check=1)
    assert one["measured"] is None
    assert one["demotion"]["proposal"] == "archive/fraud/1"
