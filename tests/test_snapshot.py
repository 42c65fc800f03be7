"""A snapshot answers what a reference means, with a hint where it means nothing, and shows edits as if they were made."""

from __future__ import annotations

import pytest
from builder import World

from gitops_registry.errors import ManifestError, NotFound, RegistryError
from gitops_registry.reference import Reference, split_reference
from gitops_registry.snapshot import LocalFile, Snapshot, Stored, blob_id, content_id


@pytest.fixture(scope="module")
def snapshot(court: World) -> Snapshot:
    return court.registry.place.snapshot("main")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("fraud@3", 3), ("fraud@v3", 3), ("fraud@V3", 3), ("fraud@latest", 8), ("fraud@LATEST", 8),
        ("fraud@production", 2), ("fraud@Production", 2), ("fraud@staging", 8), ("fraud@archived", 1), ("fraud@development", 4),
        ("fraud@champion", 2), ("fraud@Champion", 2), ("fraud@best", 3),
        ("models:/fraud/3", 3), ("models:/fraud/Production", 2), ("models:/fraud/Staging", 8), ("models:/fraud/Archived", 1),
        ("models:/fraud/None", 4), ("models:/fraud/latest", 8), ("models:/fraud@champion", 2), ("models:///fraud/3", 3),
    ],
)  # fmt: skip
def test_every_spelling_of_a_reference_finds_its_version(snapshot: Snapshot, text: str, number: int) -> None:
    assert snapshot.resolve(text) == Reference("fraud", number)


def test_a_model_and_what_is_wanted_of_it_may_come_apart(snapshot: Snapshot) -> None:
    assert snapshot.resolve("fraud", "champion") == Reference("fraud", 2)
    assert str(snapshot.resolve("fraud", "3")) == "fraud@3"


def test_mlflows_none_is_the_first_stage_whatever_it_is_called(court: World) -> None:
    law = court.read("registry.yaml").replace(b"development", b"lab")
    renamed = court.registry.place.snapshot("main").with_edits({"registry.yaml": law})
    assert renamed.resolve("models:/fraud/None") == Reference("fraud", 4)
    assert renamed.stage_of(Reference("fraud", 4)) == "lab"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("fruad", "no model 'fruad' in main", "did you mean fraud?"),
        ("FRAUDS@3", "no model 'FRAUDS' in main", "did you mean fraud?"),
        ("zzz", "no model 'zzz' in main", "there is: churn, fraud"),
        ("../etc", "no model '../etc' in main", "there is: churn, fraud"),
        ("fraud@prodction", "fraud has no alias or stage 'prodction'", "did you mean production?"),
        ("fraud@campion", "fraud has no alias or stage 'campion'", "did you mean champion?"),
        ("fraud@77", "no version 77 of fraud", "fraud has 1, 2, 3, 4, 5, 6, 7, 8; see: gitops-registry show fraud"),
        ("churn@production", "no version of churn is in production", "churn has 1; see: gitops-registry show churn"),
    ],
)
def test_a_reference_to_nothing_says_what_there_is(snapshot: Snapshot, text: str, message: str, hint: str) -> None:
    with pytest.raises(NotFound) as caught:
        snapshot.resolve(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    "text", ["fraud@0", "fraud@00", "fraud@-1", "fraud@1.0", "fraud@1234567890", "fraud@@3", "@3", ""]
)
def test_what_is_no_number_of_a_version_finds_nothing(snapshot: Snapshot, text: str) -> None:
    with pytest.raises(NotFound) as caught:
        snapshot.resolve(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["fraud", "models:/fraud"])
def test_a_bare_name_is_no_version_and_is_told_which_there_are(snapshot: Snapshot, text: str) -> None:
    with pytest.raises(NotFound, match="fraud names no version") as caught:
        snapshot.resolve(text)
    assert caught.value.hint == "say which: fraud@archived, fraud@production, fraud@latest"
    assert [found.number for found in snapshot.resolve_all(text)] == list(range(1, 9))


@pytest.mark.parametrize("text", ["fraud@", "models:/fraud/", "models:/fraud@"])
def test_a_reference_that_ends_too_early_says_how_to_go_on(text: str) -> None:
    with pytest.raises(RegistryError, match="names no version") as caught:
        split_reference(text)
    assert "fraud@3" in caught.value.hint


def test_a_deleted_version_is_told_apart_from_one_that_never_was(world: World) -> None:
    world.model("fraud", deleted=(2,)).version().commit()
    with pytest.raises(NotFound, match=r"^no version 2 of fraud; it was deleted"):
        world.registry.resolve("fraud@2")
    with pytest.raises(NotFound, match=r"^no version 3 of fraud"):
        world.registry.resolve("fraud@3")


def test_a_model_without_versions_says_how_to_register_one(world: World) -> None:
    world.model("empty").commit()
    with pytest.raises(NotFound, match="empty has no version yet") as caught:
        world.registry.resolve("empty@latest")
    assert caught.value.hint == "register one with: gitops-registry register empty FILE"


def test_an_unknown_stage_is_told_with_the_names_there_are(snapshot: Snapshot) -> None:
    assert snapshot.known_stage("PRODUCTION").name == "production"
    with pytest.raises(NotFound) as caught:
        snapshot.known_stage("stagin")
    assert caught.value.hint == "did you mean staging?"


def test_versions_come_in_order_of_number_and_stages_hold_them_in_order(snapshot: Snapshot) -> None:
    assert snapshot.models() == ("churn", "fraud")
    assert snapshot.versions("fraud") == (1, 2, 3, 4, 5, 6, 7, 8)
    assert snapshot.versions("nobody") == ()
    assert snapshot.in_stage("fraud", "staging") == (3, 5, 6, 7, 8)
    assert snapshot.in_stage("fraud", "development") == (4,)


def test_edits_are_seen_as_if_they_were_made(snapshot: Snapshot) -> None:
    model = snapshot.read("models/churn/model.yaml")
    assert model is not None
    after = snapshot.with_edits({"models/new/model.yaml": model, "models/churn/model.yaml": None})
    assert "new" in after.children("models")
    assert after.read("models/churn/model.yaml") is None
    assert after.children("models/churn") == ("versions",)
    assert snapshot.read("models/churn/model.yaml") == model


def test_a_folder_whose_files_all_go_is_gone(snapshot: Snapshot) -> None:
    files = ("version.yaml", "card.yaml", "model.bin.dvc")
    after = snapshot.with_edits({f"models/fraud/versions/4/{file}": None for file in files})
    assert after.versions("fraud") == (1, 2, 3, 5, 6, 7, 8)
    again = after.with_edits({"models/fraud/versions/4/card.yaml": b""})
    assert 4 in again.versions("fraud")


def test_only_edits_that_change_something_count_as_changed_paths(snapshot: Snapshot) -> None:
    model = snapshot.read("models/churn/model.yaml")
    after = snapshot.with_edits({"models/churn/model.yaml": model, "z.txt": b"z", "a.txt": None})
    assert [(change.path, change.old_oid, change.new_oid) for change in after.changed_paths()] == [
        ("z.txt", "", blob_id(b"z"))
    ]


def test_the_id_of_a_content_is_gits(court: World) -> None:
    assert court.git("rev-parse", "main:models/fraud/model.yaml").strip() == blob_id(
        court.read("models/fraud/model.yaml")
    )
    assert content_id(None) == ""
    assert content_id(Stored("abc", "100644")) == content_id(LocalFile("/nowhere", "abc", 3)) == "abc"


def test_bytes_where_a_manifest_is_expected_are_refused(snapshot: Snapshot) -> None:
    after = snapshot.with_edits({"models/fraud/model.yaml": LocalFile("/nowhere", "abc", 3)})
    with pytest.raises(ManifestError, match="bytes where a manifest is expected"):
        after.model("fraud")


def test_a_repository_that_is_no_registry_says_how_to_start_one(court: World) -> None:
    empty = court.registry.place.snapshot("main").with_edits({"registry.yaml": None})
    with pytest.raises(NotFound, match="is not a registry") as caught:
        _ = empty.constitution
    assert caught.value.hint == "start one with: gitops-registry init"
