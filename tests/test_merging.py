"""Two people's changes land as values: different things both land, the same thing twice is a conflict in words."""

from __future__ import annotations

import pytest
import yaml
from builder import CREATED, FINISHED_CARD, World

from gitops_registry import edits
from gitops_registry.changes import Change, meaning
from gitops_registry.difference import diff
from gitops_registry.errors import Conflict
from gitops_registry.manifest.facts import Evaluation, EvaluationData, Person
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content

MODEL = "models/fraud/model.yaml"
FOLDER = "models/fraud/versions"
Files = dict[str, Content | None]


def state(world: World, *pairs: tuple[str, str]) -> Files:
    """Return an edit of fraud's model.yaml, made by hand."""
    text = world.read(MODEL).decode()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {MODEL: text.encode()}


def deletion(world: World, number: int) -> Files:
    """Return the deletion of a version that nothing names."""
    names = world.git("ls-tree", "-r", "--name-only", "main", f"{FOLDER}/{number}/").split()
    gone: Files = dict.fromkeys([*names, f"cards/fraud/v{number}.md"])
    return gone | state(world, ("aliases:", f"deleted: [{number}]\naliases:"))


def landed(world: World, mine: Files, meanwhile: Files) -> tuple[list[Change], bytes]:
    """Land `mine` on what others did meanwhile; return what it changes and the model.yaml that results."""
    tip, head = world.branch(meanwhile), world.branch(mine)
    shown = world.registry.plan(base="main", head=head)
    before, after, changed = world.registry.place.landed(tip, head)
    changes = diff(before, after, changed)
    assert meaning(changes) == meaning(shown)
    return changes, after.read(MODEL) or b""


def conflict(world: World, mine: Files, meanwhile: Files) -> str:
    """Return why the two cannot both land; which of them comes first does not matter."""
    told = []
    for tip, head in ((meanwhile, mine), (mine, meanwhile)):
        with pytest.raises(Conflict) as caught:
            world.registry.place.landed(world.branch(tip), world.branch(head))
        assert caught.value.hint
        told.append(caught.value.message)
    return " | ".join(told)


@pytest.mark.parametrize(
    ("mine", "meanwhile"),
    [
        (("best: 3", "best: 4"), ("champion: 2", "champion: 1")),
        (("best: 3", "best: 4"), ("description: Scores payments.", "description: 支払いを採点する。")),
        (("best: 3", "best: 3\n  one: 1"), ("best: 3", "best: 3\n  two: 4")),
        (("name: fraud", "name: fraud\ntags: {a: b}"), ("name: fraud", "name: fraud\ntags: {c: d}")),
        (("name: fraud", "name: fraud\nowners: [risk]"), ("name: fraud", "name: fraud\ntitle: Fraud")),
        (("staging: [3, 5,", "staging: [3, 4, 5,"), ("6, 7, 8]", "6, 7]")),
    ],
)
def test_different_things_of_one_model_both_land(
    court: World, mine: tuple[str, str], meanwhile: tuple[str, str]
) -> None:
    changes, text = landed(court, state(court, mine), state(court, meanwhile))
    assert len(changes) == 1
    other, again = landed(court, state(court, meanwhile), state(court, mine))
    assert len(other) == 1
    assert yaml.safe_load(text) == yaml.safe_load(again)


def test_a_promotion_and_the_next_one_of_other_versions_both_land(court: World) -> None:
    snapshot = court.registry.place.snapshot("main")
    mine = dict(edits.promote(snapshot, Reference("fraud", 4), "staging"))
    meanwhile = dict(edits.promote(snapshot, Reference("fraud", 3), "production"))
    changes, text = landed(court, mine, meanwhile)
    assert [str(change) for change in changes] == ["fraud: version 4 development → staging"]
    assert b"staging: [4, 5, 6, 7, 8]" in text
    assert b"production: [3]" in text


def test_two_deletions_both_land_and_each_number_is_remembered(court: World) -> None:
    files = deletion(court, 4)
    other = dict(files)
    names = court.git("ls-tree", "-r", "--name-only", "main", f"{FOLDER}/8/").split()
    other = dict.fromkeys([*names, "cards/fraud/v8.md"]) | state(
        court, (", 8]", "]"), ("aliases:", "deleted: [8]\naliases:")
    )
    changes, text = landed(court, files, other)
    assert {change.kind for change in changes} == {"version_deleted", "model_updated"}
    assert b"deleted: [4, 8]" in text


@pytest.mark.parametrize(
    ("mine", "meanwhile", "said"),
    [
        (("best: 3", "best: 4"), ("best: 3", "best: 1"), "fraud: alias best was changed meanwhile"),
        (("champion: 2", "a: 1"), ("champion: 2", "champion: 4"), "fraud: alias champion was changed meanwhile"),
        (("Scores", "Judges"), ("Scores", "Rates"), "fraud: description was changed meanwhile"),
        (("6, 7, 8]", "6, 7]"), ("6, 7, 8]\n", "6, 7]\n  archived: [1, 8]\n"), "fraud: version 8 was moved to"),
        (("best: 3", "best: 3\n  New: 1"), ("best: 3", "best: 3\n  new: 1"), "differ only in case"),
    ],
)
def test_the_same_thing_twice_is_a_conflict_in_words(
    court: World, mine: tuple[str, str], meanwhile: tuple[str, str], said: str
) -> None:
    pairs = [mine, meanwhile]
    files = [
        state(court, pair) if "archived" not in pair[1] else state(court, ("\n  archived: [1]", ""), pair)
        for pair in pairs
    ]
    assert said in conflict(court, *files)


def test_two_promotions_to_an_exclusive_stage_are_a_conflict_that_names_who_holds_it(court: World) -> None:
    snapshot = court.registry.place.snapshot("main")
    mine = dict(edits.promote(snapshot, Reference("fraud", 3), "production"))
    meanwhile = dict(edits.promote(snapshot, Reference("fraud", 1), "production"))
    message = conflict(court, mine, meanwhile)
    assert "fraud: production holds 1 since, and the proposal changes it too" in message


def test_an_alias_for_a_version_that_was_deleted_meanwhile_is_a_conflict(court: World) -> None:
    said = conflict(court, state(court, ("best: 3", "best: 4")), deletion(court, 4))
    assert "version 4 was deleted on one side and changed on the other" in said


def test_a_measurement_of_a_version_that_was_deleted_meanwhile_is_a_conflict(court: World) -> None:
    path = f"{FOLDER}/4/evaluations/live.yaml"
    evaluation = Evaluation(created=CREATED, author=Person(name="Bob"), dataset=EvaluationData(), metrics={})
    said = conflict(court, {path: dump(evaluation, path)}, deletion(court, 4))
    assert said.count("version 4 of fraud was deleted on one side and changed on the other") == 2


def test_one_model_registered_on_both_sides_is_a_conflict(court: World) -> None:
    mine: Files = {"models/new/model.yaml": b"kind: Model\nschema_version: 2\nname: new\n"}
    other: Files = {"models/new/model.yaml": b"kind: Model\nschema_version: 2\nname: new\ntitle: New\n"}
    assert "new: the model was registered meanwhile" in conflict(court, mine, other)


def test_a_model_removed_on_one_side_is_a_conflict(court: World) -> None:
    said = conflict(court, {MODEL: None}, state(court, ("best: 3", "best: 4")))
    assert "fraud: the model was deleted on one side and changed on the other" in said


def test_one_card_edited_on_both_sides_is_a_conflict(court: World) -> None:
    path = f"{FOLDER}/3/card.yaml"
    one = dump(FINISHED_CARD.model_copy(update={"limitations": "one"}), path)
    other = dump(FINISHED_CARD.model_copy(update={"limitations": "other"}), path)
    assert f"{path} was changed meanwhile" in conflict(court, {path: one}, {path: other})


def test_names_that_differ_only_in_case_are_a_conflict(court: World) -> None:
    assert "differ only in case" in conflict(court, {"docs/A.md": b"a"}, {"docs/a.md": b"a"})


@pytest.mark.parametrize(
    ("file", "below"), [("docs", "docs/a.md"), ("policies", "policies/access.yaml"), ("X", "x/y/z")]
)
def test_a_file_does_not_land_over_a_folder_that_came_meanwhile(court: World, file: str, below: str) -> None:
    said = conflict(court, {file: b"file"}, {below: b"kind: Access\nschema_version: 1\n"})
    assert f"{file} cannot be where {below} is since" in said
    assert f"{below} cannot be where {file} is since" in said


def test_a_change_of_mode_is_part_of_what_lands(court: World) -> None:
    head = court.branch({MODEL: court.stored(court.read(MODEL), "100755")})
    before, after, changed = court.registry.place.landed("main", head)
    assert [(change.path, change.old_mode, change.new_mode) for change in changed] == [(MODEL, "100644", "100755")]
    assert before.read(MODEL) == after.read(MODEL)
