"""Aliases, tags, words, renames and deletions: what each writes, what it is called in the plan, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builder import World, errors

from gitops_registry import edits
from gitops_registry.changes import Change
from gitops_registry.difference import diff
from gitops_registry.errors import Conflict, NotFound, RegistryError
from gitops_registry.history import altered, held
from gitops_registry.manifest.kinds import Model
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot


@pytest.fixture(scope="module")
def made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("made") / "world", template=template)
    world.model(
        "fraud", title="Fraud", owners=("risk",), tags={"domain": "cards"}
    ).version().version().version().in_stage("production", 1).in_stage("staging", 3).commit()
    world.commit(edits.moved(world.registry.snapshot, "fraud", {1: "archived", 2: "production"}), "serve 2")
    world.commit(edits.set_alias(world.registry.snapshot, Reference("fraud", 2), "champion"), "champion")
    world.model("churn").version().commit()
    return world


@pytest.fixture
def fraud(made: World, tmp_path: Path) -> World:
    """fraud: 1 archived after it served, 2 serves and is champion, 3 waits in staging; churn beside it."""
    return World(tmp_path / "world", template=made.root)


def plan(before: Snapshot, written: Edits) -> list[Change]:
    after = before.with_edits(written)
    changes = diff(before, after, after.changed_paths())
    swapped = [
        type(path)(path.path, path.new_mode, path.old_mode, path.new_oid, path.old_oid)
        for path in after.changed_paths()
    ]
    back = diff(after, before, swapped)
    key = lambda c: (c.kind, c.model, c.version, c.subject, str(c.before), str(c.after))  # noqa: E731
    if not any(change.kind == "model_renamed" for change in changes):
        assert sorted(map(key, back)) == sorted(key(change.inverse()) for change in changes), "the undo is not exact"
    return changes


def lines(changes: list[Change]) -> list[str]:
    return [str(change) for change in changes]


# ── aliases


def test_an_alias_names_one_version_whatever_it_named_before(fraud: World) -> None:
    assert fraud.registry.set_alias("fraud", "challenger", 3)
    outcome = fraud.registry.set_alias("fraud@3", "Champion")
    assert lines(list(outcome.changes)) == ["fraud: alias champion 2 → 3"]
    assert fraud.registry.snapshot.known_model("fraud").aliases == {"champion": 3, "challenger": 3}
    assert fraud.registry.resolve("fraud@CHAMPION").number == 3
    assert fraud.registry.remove_alias("fraud", "CHALLENGER")
    assert fraud.registry.snapshot.known_model("fraud").aliases == {"champion": 3}


@pytest.mark.parametrize(
    ("alias", "error", "message"),
    [
        ("latest", RegistryError, "alias 'latest' is reserved"),
        ("v3", RegistryError, "alias 'v3' is reserved"),
        ("3", RegistryError, "alias '3' is reserved"),
        ("a b", RegistryError, "must be 1 to 128"),
        ("Production", Conflict, "production is a stage"),
        ("champion", Conflict, "champion names fraud@2 already"),
    ],
)
def test_an_alias_that_cannot_be_is_refused_in_one_line(
    fraud: World, alias: str, error: type[RegistryError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        fraud.registry.set_alias("fraud", alias, 2)
    assert caught.value.hint


def test_an_alias_that_is_not_there_cannot_be_taken_away(fraud: World) -> None:
    with pytest.raises(NotFound, match="fraud has no alias 'campion'") as caught:
        fraud.registry.remove_alias("fraud", "campion")
    assert caught.value.hint == "did you mean champion?"


# ── tags and words


def test_tags_and_words_of_a_model_and_of_a_version(fraud: World) -> None:
    registry = fraud.registry
    assert registry.describe(
        "fraud", title="詐欺", description="Scores.", owners=["a", "b"], tags={"domain": None, "tier": "1"}
    )
    model = registry.snapshot.known_model("fraud")
    assert (model.title, model.description, model.owners, model.tags) == ("詐欺", "Scores.", ("a", "b"), {"tier": "1"})
    assert registry.describe("fraud", 3, description="The third.", tags={"seed": "7"})
    card = registry.snapshot.card("fraud", 3)
    assert (card.description, card.tags, card.limitations) == ("The third.", {"seed": "7"}, "Trained on one region.")
    assert "The third." in fraud.read("cards/fraud/v3.md").decode()
    assert errors(registry.check()) == set()


def test_people_keep_the_comments_they_wrote(fraud: World) -> None:
    path = "models/fraud/model.yaml"
    fraud.commit({path: fraud.read(path).replace(b"title: Fraud", b"title: Fraud  # say it short")})
    fraud.registry.describe("fraud", tags={"tier": "1"})
    fraud.registry.set_alias("fraud", "challenger", 3)
    assert "title: Fraud  # say it short" in fraud.read(path).decode()


def test_what_says_nothing_or_belongs_elsewhere_is_refused(fraud: World) -> None:
    with pytest.raises(RegistryError, match="nothing to say was given"):
        fraud.registry.describe("fraud")
    with pytest.raises(RegistryError, match="a version has no owners"):
        fraud.registry.describe("fraud@2", owners=["bob"])


# ── rename


def test_a_rename_moves_everything_and_is_one_line_in_the_plan(fraud: World) -> None:
    before = {n: fraud.read(f"models/fraud/versions/{n}/version.yaml") for n in (1, 2, 3)}
    outcome = fraud.registry.rename("fraud", "card-fraud")
    assert lines(list(outcome.changes)) == ["fraud → card-fraud: model renamed"]
    snapshot = fraud.registry.snapshot
    assert {n: fraud.read(f"models/card-fraud/versions/{n}/version.yaml") for n in (1, 2, 3)} == before
    assert snapshot.model("fraud") == Model(name="fraud", renamed_to="card-fraud")
    assert snapshot.known_model("card-fraud").aliases == {"champion": 2}
    assert snapshot.live_models() == ("card-fraud", "churn")
    assert snapshot.files("models/fraud") == ["models/fraud/model.yaml"]
    assert fraud.git("ls-tree", "--name-only", "main", "cards/fraud").strip() == ""
    assert errors(fraud.registry.check()) == set()
    assert fraud.git("status", "--porcelain") == ""


def test_the_old_name_still_finds_the_model_and_is_nobody_elses(fraud: World) -> None:
    registry = fraud.registry
    registry.rename("fraud", "card-fraud")
    registry.rename("card-fraud", "cards")
    assert registry.resolve("fraud@production") == Reference("cards", 2)
    assert registry.resolve("models:/card-fraud@champion") == Reference("cards", 2)
    with pytest.raises(NotFound, match="fraud was renamed to card-fraud") as caught:
        registry.snapshot.known_model("fraud")
    assert caught.value.hint == "use cards"
    for name in ("fraud", "FRAUD", "card-fraud"):
        with pytest.raises(Conflict, match=r"is spent|exists"):
            registry.rename("churn", name)
    with pytest.raises(Conflict, match="a model 'churn' exists"):
        registry.rename("cards", "churn")
    with pytest.raises(RegistryError, match="is reserved"):
        registry.rename("cards", "templates")


def test_history_goes_on_under_the_new_name(fraud: World) -> None:
    registry = fraud.registry
    registry.rename("fraud", "card-fraud")
    place = registry.place
    assert held(place.repository, place.tip(), "card-fraud", "production") == (2, 1)
    told = [str(change) for event in registry.log("card-fraud") for change in event.changes]
    assert told[0] == "fraud → card-fraud: model renamed"
    assert "fraud: version 2 development → production" in told
    assert [event.commit.oid for event in registry.log("fraud")] == [e.commit.oid for e in registry.log("card-fraud")]
    rolled = registry.rollback("card-fraud", direct=True)
    assert "card-fraud: version 1 archived → production" in lines(list(rolled.changes))


def test_facts_altered_before_a_rename_are_found_after_it(fraud: World) -> None:
    path = "models/fraud/versions/3/version.yaml"
    bad = fraud.commit({path: fraud.read(path).replace(b"0.95", b"0.99")})
    fraud.registry.rename("fraud", "card-fraud")
    place, reference = fraud.registry.place, Reference("card-fraud", 3)
    one = altered(place.repository, place.tip(), reference)
    everything = altered(place.repository, place.tip())
    assert [found.changed for found in one.values()] != []
    assert reference in everything
    assert bad
    assert "intact" in errors(fraud.registry.check())
    assert altered(place.repository, place.tip(), Reference("card-fraud", 2)) == {}


def test_a_rename_that_changes_something_on_the_way_is_said_and_refused(fraud: World) -> None:
    snapshot = fraud.registry.snapshot
    written = dict(edits.rename(snapshot, "fraud", "card-fraud"))
    facts = fraud.read("models/fraud/versions/2/version.yaml")
    swapped = fraud.judged({**written, "models/card-fraud/versions/2/version.yaml": facts.replace(b"0.95", b"0.99")})
    assert "kept" in errors(swapped)
    assert {"version_deleted", "version_registered"} <= {change.kind for change in swapped.changes}
    moved = snapshot.with_edits(written)
    state = edits.moved(moved, "card-fraud", {3: "production", 2: "archived"})
    told = lines(plan(snapshot, {**written, **state}))
    assert "card-fraud: version 3 staging → production" in told
    assert "fraud → card-fraud: model renamed" in told
    half = {path: content for path, content in written.items() if "versions/1/" not in path}
    assert {"kept", "names"} <= errors(fraud.judged(half))


def test_a_tombstone_holds_no_versions_and_stays_as_it_is(fraud: World) -> None:
    fraud.registry.rename("fraud", "card-fraud")
    tombstone = "models/fraud/model.yaml"
    assert "kept" in errors(fraud.judged({tombstone: fraud.read(tombstone).replace(b"card-fraud", b"churn")}))
    assert "kept" in errors(fraud.judged({tombstone: b"kind: Model\nschema_version: 2\nname: fraud\n"}))
    assert "kept" in errors(fraud.judged({tombstone: None}))
    versions = {
        f"models/fraud/versions/4/{name}": fraud.read(f"models/card-fraud/versions/2/{name}")
        for name in ("version.yaml", "card.yaml", "model.bin.dvc")
    }
    assert "names" in errors(fraud.judged(versions))


# ── delete


def test_a_deleted_version_takes_its_stage_and_aliases_along_and_its_number_is_spent(fraud: World) -> None:
    registry = fraud.registry
    registry.set_alias("fraud", "challenger", 3)
    outcome = registry.delete("fraud", 3)
    assert lines(list(outcome.changes)) == [
        "fraud: alias challenger removed (was 3)", "fraud: number 3 never given again", "fraud: version 3 deleted",
    ]  # fmt: skip
    snapshot = registry.snapshot
    assert snapshot.known_model("fraud").deleted == (3,)
    assert snapshot.versions("fraud") == (1, 2)
    assert edits.next_number(snapshot, "fraud") == 4
    with pytest.raises(NotFound, match="no version 3 of fraud; it was deleted"):
        registry.resolve("fraud@3")
    assert errors(registry.check()) == set()
    assert fraud.git("status", "--porcelain") == ""


def test_what_serves_is_deleted_only_by_force(fraud: World) -> None:
    for version in ("2", "production", "champion", ""):
        with pytest.raises(Conflict, match="fraud@2 is in production, and customers use it") as caught:
            fraud.registry.delete("fraud", version)
        assert "--force" in caught.value.hint
    outcome = fraud.registry.delete("fraud", 2, force=True)
    assert outcome.commit
    assert any("serves and is deleted all the same" in finding.message for finding in outcome.report.findings)
    assert fraud.registry.snapshot.in_stage("fraud", "production") == ()


def test_a_deleted_model_leaves_a_tombstone_and_a_log(fraud: World) -> None:
    registry = fraud.registry
    outcome = registry.delete("fraud", force=True)
    assert lines(list(outcome.changes)) == [
        "fraud: model deleted", "fraud: version 1 deleted", "fraud: version 2 deleted", "fraud: version 3 deleted",
    ]  # fmt: skip
    assert registry.snapshot.model("fraud") == Model(name="fraud", deleted=(1, 2, 3), removed=True)
    assert registry.snapshot.live_models() == ("churn",)
    with pytest.raises(NotFound, match="fraud was deleted"):
        registry.resolve("fraud@latest")
    assert next(registry.log("fraud")).commit.subject == "delete fraud"
    with pytest.raises(Conflict, match="the name fraud is spent: that model was deleted"):
        registry.rename("churn", "Fraud")
    assert errors(registry.check()) == set()


def test_the_undo_of_every_verb_is_exact(fraud: World) -> None:
    snapshot = fraud.registry.snapshot
    for written in (
        edits.delete_model(snapshot, "fraud", force=True),
        edits.delete_version(snapshot, Reference("fraud", 3)),
        edits.set_alias(snapshot, Reference("fraud", 3), "champion"),
        edits.remove_alias(snapshot, "fraud", "champion"),
        edits.describe_model(snapshot, "fraud", tags={"domain": None}, title="x"),
        edits.describe_version(snapshot, Reference("fraud", 3), tags={"a": "b"}),
    ):
        assert plan(snapshot, written)


# ── together with what others do


def test_a_proposal_for_a_model_that_was_renamed_or_deleted_meanwhile_does_not_land(fraud: World) -> None:
    registry = fraud.registry
    registry.promote("fraud", 3, to="production")
    registry.rename("fraud", "card-fraud")
    with pytest.raises(Conflict, match="the model was renamed to card-fraud on one side"):
        registry.merge("promote/fraud/3/production")
    registry.promote("churn", 1, to="staging")
    registry.delete("churn")
    with pytest.raises(Conflict, match="the model was deleted on one side"):
        registry.merge("promote/churn/1/staging")


def test_each_verb_can_be_proposed_and_lands_as_it_said(fraud: World) -> None:
    registry = fraud.registry
    for outcome in (
        registry.set_alias("fraud", "challenger", 3, direct=False),
        registry.describe("fraud", title="New", direct=False),
        registry.describe("fraud@1", description="First.", direct=False),
        registry.delete("churn", 1, direct=False),
        registry.rename("fraud", "card-fraud", direct=False),
    ):
        assert outcome.proposal
    assert registry.merge("alias/fraud/challenger")
    assert registry.merge("describe/fraud/model")
    assert registry.merge("describe/fraud/1")
    assert registry.merge("delete/churn/1")
    with pytest.raises(Conflict):
        registry.merge("rename/fraud/card-fraud")
    model = registry.snapshot.known_model("fraud")
    assert (model.title, model.aliases["challenger"]) == ("New", 3)


def test_the_command_line_says_the_same(fraud: World) -> None:
    fraud.cli("alias", "set", "fraud", "3", "challenger")
    fraud.cli("alias", "remove", "fraud", "challenger")
    fraud.cli("tag", "fraud@3", "seed=7", "--remove", "nothing")
    fraud.cli("describe", "fraud", "Scores cards.", "--title", "Cards", "--owner", "risk", "--owner", "ops")
    shown = json.loads(fraud.cli("show", "fraud", "--json").stdout)
    assert (shown["title"], shown["description"], shown["owners"]) == ("Cards", "Scores cards.", ["risk", "ops"])
    dry = fraud.git("rev-parse", "main")
    for verb in (
        ["rename", "fraud", "cards"],
        ["delete", "fraud@3"],
        ["tag", "fraud", "a=b"],
        ["alias", "set", "fraud@3", "x"],
    ):
        assert "dry run: nothing was written" in fraud.cli(*verb, "--dry-run").stdout
    assert fraud.git("rev-parse", "main") == dry
    fraud.cli("rename", "fraud", "cards")
    assert "cards@2" in fraud.cli("show", "fraud@production").stdout
    assert "fraud was renamed to cards" in fraud.cli("show", "fraud", check=2).stderr
    fraud.cli("delete", "cards", "1")
    assert [row["version"] for row in json.loads(fraud.cli("list", "fraud", "--json").stdout)] == ["cards@2", "cards@3"]
    assert "customers use it" in fraud.cli("delete", "cards", check=2).stderr
    fraud.cli("delete", "cards", "--force")
    assert "cards" not in fraud.cli("list").stdout
    fraud.cli("check")


def test_a_model_that_serves_takes_its_stages_along_and_nothing_is_called_emptied(world: World) -> None:
    world.model("fraud").version().in_stage("production", 1).commit()
    outcome = world.registry.rename("fraud", "scams")
    assert outcome.commit
    assert world.registry.resolve("scams@production").number == 1
    assert "emptied" not in {finding.rule for finding in outcome.report.findings}
