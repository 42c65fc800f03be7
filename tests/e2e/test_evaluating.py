"""Evaluation data of the registry: pinned by digest, measured on, recorded, and judged by."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builder import CREATED, World, dvc, errors
from story import Trained

from gitops_registry import edits, paths
from gitops_registry.errors import Conflict, NotFound, RegistryError
from gitops_registry.manifest.facts import Evaluation, EvaluationData, Person
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

PIN = ("evaluation", "set", "tumour")


pytestmark = pytest.mark.usefixtures("forked_cage")


@pytest.fixture(scope="module")
def base(trained: Trained, template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two forests, the second with an accuracy that is claimed; evaluation data is pinned."""
    world = World(tmp_path_factory.mktemp("measured") / "world", template=template)
    given = ("--card", str(trained.card))
    world.cli("register", "tumour", str(trained.model(3)), "--data", str(trained.data), "--target", "diagnosis", *given)
    world.cli("register", "tumour", str(trained.model(2)), "--metric", "accuracy=0.99", *given)
    world.cli(*PIN, str(trained.data), "--target", "diagnosis")
    return world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    return World(tmp_path / "world", template=base.root)


def test_data_is_pinned_by_digest_as_dvc_tracks_it(world: World, trained: Trained) -> None:
    pinned = world.registry.snapshot.known_model("tumour").evaluation
    assert pinned is not None
    assert (pinned.file, pinned.target, pinned.size) == ("holdout.csv", "diagnosis", trained.data.stat().st_size)
    assert json.loads(world.cli("evaluation", "show", "tumour", "--json").stdout)["sha256"] == pinned.sha256
    pointer = world.root / "models/tumour/evaluation/holdout.csv.dvc"
    assert dvc(world.root, "pull", str(pointer)).returncode == 0
    assert pointer.with_suffix("").read_bytes() == trained.data.read_bytes()
    assert world.git("status", "--short") == ""
    assert "holdout (holdout.csv), 190 rows, truth in diagnosis" in world.cli("show", "tumour").stdout
    assert world.registry.check().findings == ()


def test_what_was_measured_is_appended_and_nothing_else_changes(world: World) -> None:
    before = world.git("rev-parse", "HEAD").strip()
    told = world.cli("evaluate", "tumour@1", "-m", "After the holidays.").stdout
    assert "evaluation of version 1 added" in told
    changed = world.git("diff", "--name-status", before, "HEAD").split()
    assert changed[0] == "A"
    assert changed[1].startswith("models/tumour/versions/1/evaluations/")
    assert len(changed) == 2
    (evaluation,) = json.loads(world.cli("show", "tumour@1", "--json").stdout)["evaluations"]
    version = world.registry.snapshot.known_version(Reference("tumour", 1))
    assert evaluation["metrics"] == pytest.approx(version.metrics, abs=1e-9)
    assert evaluation["dataset"]["dataset"] == "holdout"
    assert "measured 20" in world.cli("show", "tumour@1").stdout


def test_any_table_can_be_measured_on(world: World, trained: Trained, tmp_path: Path) -> None:
    lines = trained.data.read_text().splitlines()
    (tmp_path / "some.csv").write_text(
        "\n".join([f"id,{lines[0]}", *(f"{n},{line}" for n, line in enumerate(lines[1:51]))]) + "\n"
    )
    done = json.loads(world.cli("evaluate", "tumour", "1", str(tmp_path / "some.csv"), "--json").stdout)
    assert done["measured"]["data"]["rows"] == 50
    assert done["measured"]["differences"] == []
    assert done["commit"] == world.git("rev-parse", "HEAD").strip()
    dry = world.cli("evaluate", "tumour@1", str(tmp_path / "some.csv"), "--dry-run").stdout
    assert "dry run" in dry
    assert done["commit"] == world.git("rev-parse", "HEAD").strip()


def test_verify_measures_versions_that_are_named_and_says_where_they_are_not_as_registered(world: World) -> None:
    done = json.loads(world.cli("verify", "tumour@1", "--json").stdout)
    (measured,) = done["measured"]
    assert measured["as_registered"] is True
    assert json.loads(world.cli("verify", "--json").stdout)["measured"] == []
    version = world.registry.snapshot.known_version(Reference("tumour", 1))
    wrong = version.model_copy(update={"metrics": {**version.metrics, "accuracy": 0.99}})
    path = paths.version_path("tumour", 1)
    world.commit({path: dump(wrong, path)})
    told = world.cli("verify", "tumour@1", check=1).stdout
    assert [line.split()[-1] for line in told.splitlines() if line.startswith("accuracy")] == ["differs"]
    assert world.cli("verify", "tumour@1", "--bytes-only").returncode == 0


def test_verify_says_of_a_named_version_that_nothing_of_it_could_be_measured(world: World, trained: Trained) -> None:
    world.cli("register", "other", str(trained.model(2)), "--data", str(trained.data), "--target", "diagnosis")
    why = "it keeps no rows of its evaluation, and its model pins none"
    assert f"· other@1: not measured: {why}" in world.cli("verify", "other@1").stdout
    told = json.loads(world.cli("verify", "other@1", "--json").stdout)
    assert (told["measured"], told["unmeasured"]) == ([], [{"version": "other@1", "reason": why}])


def test_verify_records_what_it_measured_in_one_decision(world: World) -> None:
    before = world.git("rev-parse", "HEAD").strip()
    told = world.cli("verify", "tumour", "--record", check=1).stdout
    assert "✗ tumour@2: accuracy is claimed as 0.99 and measured as 0.9" in told
    assert "evaluate 2 versions" in told
    assert world.git("rev-list", "--count", f"{before}..HEAD").strip() == "1"
    assert world.registry.check(base=before, head="HEAD").refusals(frozenset()) == ()
    assert len(json.loads(world.cli("show", "tumour@2", "--json").stdout)["evaluations"]) == 1


def test_a_claim_counts_for_production_once_it_was_measured_on_the_pinned_data(
    world: World, trained: Trained, tmp_path: Path
) -> None:
    registry = world.registry
    assert registry.promote("tumour", 2, to="staging", direct=True)
    refused = registry.promote("tumour", 2, to="production")
    assert [finding.rule for finding in refused.refusals] == ["floors/metrics"]
    assert "gitops-registry evaluate tumour@2" in refused.refusals[0].hint
    easy = tmp_path / "easy.csv"
    easy.write_text("\n".join(trained.data.read_text().splitlines()[:20]) + "\n")
    assert registry.record([registry.evaluate("tumour", 2, data=easy)])
    assert not registry.promote("tumour", 2, to="production")  # measured on something else
    assert registry.record([registry.evaluate("tumour", 2)])
    assert registry.promote("tumour", 2, to="production", direct=True)


def test_a_change_cannot_bring_its_own_measurement_or_data(world: World) -> None:
    registry = world.registry
    registry.promote("tumour", 2, to="staging", direct=True)
    before = registry.snapshot
    pinned = before.known_model("tumour").evaluation
    assert pinned is not None
    data = EvaluationData(dataset="holdout", rows=190, target="diagnosis", sha256=pinned.sha256)
    forged = Evaluation(created=CREATED, author=Person(name="Bob"), dataset=data, metrics={"accuracy": 1.0})
    files = dict(edits.add_evaluation(before, Reference("tumour", 2), forged))
    files |= edits.promote(before.with_edits(files), Reference("tumour", 2), "production")
    assert errors(world.judged(files)) == {"floors/metrics"}


def measured(world: World, **metrics: float) -> None:
    """Record a measurement of version 2 on the pinned data, as anybody who may write can."""
    snapshot = world.registry.snapshot
    pinned = snapshot.known_model("tumour").evaluation
    assert pinned is not None
    data = EvaluationData(dataset="holdout", rows=190, target="diagnosis", sha256=pinned.sha256)
    when = datetime(9990 + len(metrics), 1, 1, tzinfo=UTC)
    told = Evaluation(created=when, author=Person(name="Bob"), dataset=data, metrics=metrics)
    world.commit(edits.add_evaluation(snapshot, Reference("tumour", 2), told))


def test_the_worst_measurement_counts_whatever_time_another_one_claims(world: World) -> None:
    registry = world.registry
    registry.promote("tumour", 2, to="staging", direct=True)
    measured(world, accuracy=0.55)
    measured(world, accuracy=0.99, f1=0.9)
    assert [finding.rule for finding in registry.promote("tumour", 2, to="production").refusals] == ["floors/metrics"]


def test_a_measurement_of_nothing_hides_nothing(world: World) -> None:
    registry = world.registry
    registry.promote("tumour", 1, to="staging", direct=True)
    snapshot = registry.snapshot
    pinned = snapshot.known_model("tumour").evaluation
    assert pinned is not None
    data = EvaluationData(dataset="holdout", rows=190, target="diagnosis", sha256=pinned.sha256)
    empty = Evaluation(created=CREATED, author=Person(name="Bob"), dataset=data, metrics={})
    world.commit(edits.add_evaluation(snapshot, Reference("tumour", 1), empty))
    assert "candidate.measured has no 'accuracy'" in registry.promote("tumour", 1, to="production").refusals[0].message


def test_a_rename_is_no_way_past_what_was_measured(world: World) -> None:
    registry = world.registry
    registry.promote("tumour", 2, to="staging", direct=True)
    measured(world, accuracy=0.55)
    before = registry.snapshot
    files = dict(edits.rename(before, "tumour", "cancer"))
    files |= edits.promote(before.with_edits(files), Reference("cancer", 2), "production")
    assert "floors/metrics" in errors(world.judged(files))


def test_a_data_file_may_have_any_name(world: World, trained: Trained, tmp_path: Path) -> None:
    long = tmp_path / f"{'y' * 250}.csv"
    long.write_bytes(trained.data.read_bytes()[:-1] + b"\n")
    assert world.registry.set_evaluation("tumour", long, target="diagnosis", dataset="x")
    (name,) = world.registry.snapshot.children("models/tumour/evaluation")
    assert len(name) < 100
    with pytest.raises(RegistryError, match="dataset cannot be recorded"):
        world.registry.set_evaluation("tumour", trained.data, target="diagnosis", dataset="x" * 200_000)


def test_another_table_takes_the_place_of_the_pinned_one(world: World, trained: Trained, tmp_path: Path) -> None:
    other = tmp_path / "Daten 2026.csv"
    other.write_text("\n".join(trained.data.read_text().splitlines()[:30]) + "\n")
    assert world.registry.set_evaluation("tumour", other, target="diagnosis", dataset="Early rows")
    there = world.registry.snapshot.children("models/tumour/evaluation")
    assert there == ("Daten-2026.csv.dvc",)
    with pytest.raises(Conflict, match="already"):
        world.registry.set_evaluation("tumour", other, target="diagnosis", dataset="Early rows")
    assert world.registry.evaluate("tumour", 1).data.rows == 29
    assert world.registry.set_evaluation("tumour", None)
    assert world.registry.snapshot.children("models/tumour/evaluation") == ()
    with pytest.raises(NotFound, match="pins no evaluation data"):
        world.registry.evaluate("tumour", 1)
    assert world.registry.check().findings == ()


def test_data_is_proposed_merged_renamed_and_deleted_with_its_model(
    world: World, trained: Trained, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("\n".join(trained.data.read_text().splitlines()[:30]) + "\n")
    registry = world.registry
    proposed = registry.set_evaluation("tumour", other, target="diagnosis", direct=False)
    assert str(proposed.changes[0]).startswith("tumour: evaluation data holdout.csv (190 rows")
    registry.set_alias("tumour", "best", 1, direct=True)
    assert registry.merge(proposed.proposal or "")
    assert registry.rename("tumour", "cancer", direct=True)
    assert registry.evaluate("cancer", 1).data.rows == 29
    assert registry.check().findings == ()
    assert registry.delete("cancer", direct=True)
    assert registry.snapshot.children("models/cancer") == ("model.yaml",)
    assert registry.check().findings == ()


def tampered(base: Snapshot, how: str) -> dict[str, bytes | None]:
    path = paths.data_path("tumour", "holdout.csv")
    data = base.read(path) or b""
    if how == "another pointer":
        return {path: data.replace(b"size: ", b"size: 1", 1)}
    if how == "no pointer":
        return {path: None}
    if how == "a second pointer":
        return {paths.data_path("tumour", "more.csv"): data}
    model = base.read(paths.model_path("tumour")) or b""
    pinned = base.known_model("tumour").evaluation
    assert pinned is not None
    return {paths.model_path("tumour"): model.replace(pinned.sha256.encode(), b"0" * 64)}


@pytest.mark.parametrize("how", ["another pointer", "no pointer", "a second pointer", "another digest"])
def test_a_pointer_that_model_yaml_does_not_name_is_refused(world: World, how: str) -> None:
    report = world.judged(tampered(world.registry.snapshot, how))
    assert errors(report) == {"evaluation-data"}


def test_two_proposals_of_data_are_a_conflict(world: World, trained: Trained, tmp_path: Path) -> None:
    heads = []
    for number in (20, 30):
        file = tmp_path / f"{number}.csv"
        file.write_text("\n".join(trained.data.read_text().splitlines()[:number]) + "\n")
        outcome = world.registry.set_evaluation("tumour", file, target="diagnosis", direct=False)
        world.git("branch", "-m", outcome.proposal or "", f"evaluation/tumour/{number}")
        heads.append(f"evaluation/tumour/{number}")
    assert world.registry.merge(heads[0])
    with pytest.raises(Conflict, match="evaluation was changed meanwhile"):
        world.registry.merge(heads[1])


def test_damaged_or_missing_data_is_named_before_it_is_read(world: World, trained: Trained) -> None:
    registry = world.registry
    pinned = registry.snapshot.known_model("tumour").evaluation
    assert pinned is not None
    stored = paths.store_path(pinned.md5)
    cached = world.root / ".dvc" / "cache" / "files" / "md5" / pinned.md5[:2] / pinned.md5[2:]
    cached.chmod(0o644)
    cached.write_bytes(trained.data.read_bytes().replace(b"0", b"1"))
    assert registry.evaluate("tumour", 1).is_as_registered  # healed from the store
    world.commit({stored: None})
    cached.unlink()
    with pytest.raises(RegistryError, match="the evaluation data of tumour"):
        world.registry.evaluate("tumour", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*PIN, "missing.csv", "--target", "x"), "there is no file"),
        ((*PIN, "{data}", "--target", "diagnose"), "did you mean 'diagnosis'?"),
        (("evaluation", "set", "nobody", "{data}", "--target", "diagnosis"), "no model 'nobody'"),
        (("evaluate", "tumour@9"), "no version 9"),
        (("evaluate", "tumour@1", "{data}", "--target", "nothing"), "there is no column"),
        (("evaluation", "remove", "nobody"), "no model 'nobody'"),
    ],
)
def test_mistakes_are_answered_in_one_line(base: World, trained: Trained, words: tuple[str, ...], said: str) -> None:
    head = base.git("rev-parse", "HEAD")
    done = base.cli(*(word.format(data=trained.data) for word in words), check=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert base.git("rev-parse", "HEAD") == head
