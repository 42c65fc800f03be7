"""The verbs as edits: each writes what it says and keeps what people wrote around it."""

from __future__ import annotations

import pytest
from builder import CREATED, FINISHED_CARD, World, together

from gitops_registry import edits
from gitops_registry.errors import Conflict, Damaged, NotFound, RegistryError
from gitops_registry.manifest.facts import Artifact, Person, Version
from gitops_registry.manifest.kinds import Card
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

MODEL = "models/fraud/model.yaml"
VERSION = Version(
    created=CREATED,
    author=Person(name="Bob"),
    artifacts=(Artifact(name="model", file="m.bin", format="bytes", size=1, md5="0" * 32, sha256="a" * 64),),
)


@pytest.fixture(scope="module")
def snapshot(court: World) -> Snapshot:
    return court.registry.place.snapshot("main")


def stages(snapshot: Snapshot) -> dict[str, tuple[int, ...]]:
    return snapshot.known_model("fraud").stages


def test_a_promotion_to_an_exclusive_stage_sends_its_holder_where_the_constitution_says(snapshot: Snapshot) -> None:
    after = snapshot.with_edits(edits.promote(snapshot, Reference("fraud", 3), "Production"))
    assert stages(after) == {"production": (3,), "staging": (5, 6, 7, 8), "archived": (1, 2)}


def test_a_promotion_to_the_first_stage_takes_the_number_off_every_list(snapshot: Snapshot) -> None:
    after = snapshot.with_edits(edits.promote(snapshot, Reference("fraud", 2), "development"))
    assert stages(after) == {"staging": (3, 5, 6, 7, 8), "archived": (1,)}
    assert after.stage_of(Reference("fraud", 2)) == "development"


def test_a_promotion_changes_one_file_and_keeps_its_comments(snapshot: Snapshot) -> None:
    text = (snapshot.read(MODEL) or b"").replace(b"description:", b"# asked for by risk\ndescription:")
    commented = snapshot.with_edits({MODEL: text})
    written = edits.promote(commented, Reference("fraud", 4), "staging")
    assert list(written) == [MODEL]
    content = written[MODEL]
    assert isinstance(content, bytes)
    assert b"# asked for by risk\ndescription:" in content


@pytest.mark.parametrize(
    ("number", "stage", "error"), [(2, "production", Conflict), (77, "production", NotFound), (3, "canary", NotFound)]
)
def test_a_promotion_that_makes_no_sense_says_why(
    snapshot: Snapshot, number: int, stage: str, error: type[RegistryError]
) -> None:
    with pytest.raises(error) as caught:
        edits.promote(snapshot, Reference("fraud", number), stage)
    assert caught.value.hint


def test_a_restoration_puts_the_holder_back_where_it_came_from(snapshot: Snapshot) -> None:
    after = snapshot.with_edits(edits.restore(snapshot, Reference("fraud", 1), "production", {2: "staging"}))
    assert stages(after) == {"production": (1,), "staging": (2, 3, 5, 6, 7, 8)}
    without = snapshot.with_edits(edits.restore(snapshot, Reference("fraud", 1), "production", {}))
    assert without.stage_of(Reference("fraud", 2)) == "archived"
    with pytest.raises(Conflict):
        edits.restore(snapshot, Reference("fraud", 2), "production", {})


def test_a_number_is_one_more_than_any_that_ever_was(world: World) -> None:
    world.model("fraud", deleted=(7,)).commit()
    snapshot = world.registry.snapshot
    assert edits.next_number(snapshot, "fraud") == 8
    assert edits.next_number(snapshot, "nobody") == 1


def test_a_registration_writes_the_version_and_makes_the_model_once(snapshot: Snapshot) -> None:
    new = edits.register(
        snapshot, "new", VERSION, card=FINISHED_CARD, files={"m.bin.dvc": b"x"}, model={"title": "New"}
    )
    assert set(new) == {
        "models/new/model.yaml", "models/new/versions/1/version.yaml", "models/new/versions/1/card.yaml",
        "models/new/versions/1/m.bin.dvc",
    }  # fmt: skip
    after = snapshot.with_edits(new)
    assert after.known_model("new").title == "New"
    assert after.known_version(Reference("new", 1)) == VERSION
    again = edits.register(after, "new", VERSION, card=Card(), files={}, model={"title": "ignored"})
    assert set(again) == {"models/new/versions/2/version.yaml", "models/new/versions/2/card.yaml"}


def test_numbers_are_spent_also_of_a_model_that_is_not_there_yet(snapshot: Snapshot) -> None:
    after = snapshot.with_edits(edits.spend(snapshot, "new", (1, 2), model={"title": "New"}))
    assert (after.known_model("new").deleted, after.known_model("new").title) == ((1, 2), "New")
    assert edits.next_number(after, "new") == 3
    again = after.with_edits(edits.spend(after, "new", (3,), model={"title": "ignored"}))
    assert (again.known_model("new").deleted, again.known_model("new").title) == ((1, 2, 3), "New")
    with pytest.raises(Conflict):
        edits.spend(snapshot, "Fraud", (1,))


@pytest.mark.parametrize(("name", "error"), [("Fraud", Conflict), ("a/b", RegistryError), ("templates", RegistryError)])
def test_a_registration_under_a_name_that_cannot_be_is_refused(
    snapshot: Snapshot, name: str, error: type[RegistryError]
) -> None:
    with pytest.raises(error) as caught:
        edits.register(snapshot, name, VERSION, card=Card(), files={})
    assert caught.value.hint


def test_steps_together_see_what_the_ones_before_them_wrote(snapshot: Snapshot) -> None:
    both = together(
        lambda seen: edits.promote(seen, Reference("fraud", 4), "staging"),
        lambda seen: edits.promote(seen, Reference("fraud", 4), "production"),
    )
    assert snapshot.with_edits(both(snapshot)).in_stage("fraud", "production") == (4,)


def test_versions_without_their_model_are_never_taken_for_a_new_model(world: World) -> None:
    world.model("fraud").version().in_stage("production").commit()
    world.commit({"models/fraud/model.yaml": None})
    snapshot = world.registry.snapshot
    with pytest.raises(Damaged, match=r"fraud has versions and no model\.yaml"):
        edits.register(snapshot, "fraud", snapshot.known_version(Reference("fraud", 1)), card=Card(), files={})


def test_a_rollback_puts_no_present_holder_into_a_stage_that_serves(world: World) -> None:
    world.model("fraud").version().version().in_stage("staging", 2).commit()
    snapshot = world.registry.snapshot
    after = snapshot.with_edits(edits.restore(snapshot, Reference("fraud", 1), "staging", {2: "production"}))
    assert after.stage_of(Reference("fraud", 2)) == "archived"
    assert after.stage_of(Reference("fraud", 1)) == "staging"
