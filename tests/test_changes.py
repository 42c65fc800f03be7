"""The difference of two registries says what a reviewer wants to know, and nothing where they mean the same."""

from __future__ import annotations

import pytest
from builder import FINISHED_CARD, World

from gitops_registry import edits
from gitops_registry.changes import Change, meaning, plan_digest, to_json
from gitops_registry.difference import is_unmanaged
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content, PathChange

MODEL = "models/fraud/model.yaml"


def told(world: World, files: dict[str, Content | None], *, base: str = "main") -> list[str]:
    """Return the plan of files as sentences."""
    return [str(change) for change in world.registry.plan(base=base, head=world.branch(files, base=base))]


def state(world: World, old: str, new: str, *, base: str = "main") -> dict[str, Content | None]:
    return {MODEL: world.read(MODEL, revision=base).decode().replace(old, new).encode()}


def test_a_promotion_says_who_comes_and_who_goes(court: World) -> None:
    files = dict(edits.promote(court.registry.place.snapshot("main"), Reference("fraud", 3), "production"))
    assert told(court, files) == ["fraud: version 2 production → archived", "fraud: version 3 staging → production"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("best: 3", "best: 4", ["fraud: alias best 3 → 4"]),
        ("best: 3", "best: 3\n  new: 1", ["fraud: alias new → 1"]),
        ("\n  best: 3", "", ["fraud: alias best removed (was 3)"]),
        ("name: fraud", "name: fraud\ntitle: 不正検知", ['fraud: title (empty) → "不正検知"']),
        ("name: fraud", "name: fraud\nowners: [a, b]", ['fraud: owners (empty) → ["a", "b"]']),
        (
            "name: fraud",
            "name: fraud\ntags: {b: x, a: y}",
            ['fraud: tags.a (empty) → "y"', 'fraud: tags.b (empty) → "x"'],
        ),
        ("Scores payments.", "x" * 100, [f'fraud: description "Scores payments." → "{"x" * 56}…']),
        ("aliases:", "deleted: [50]\naliases:", ["fraud: number 50 never given again"]),
        ("name: fraud", "name:   'fraud'  # quoted", []),
        ("production: [2]", "production: [2]\n  development: [4]", []),
    ],
)
def test_an_edit_by_hand_is_told_in_a_sentence_each(court: World, old: str, new: str, said: list[str]) -> None:
    assert told(court, state(court, old, new)) == said


def test_versions_cards_and_files_are_told(court: World) -> None:
    path = "models/fraud/versions/3/card.yaml"
    words = dump(FINISHED_CARD.model_copy(update={"limitations": "more"}), path)
    files: dict[str, Content | None] = {
        path: words, "cards/fraud/v3.md": b"x", "cards/fraud/v4.md": None, "policies/q.yaml": b"x", "policies/access.yaml": b"kind: Access\nschema_version: 1\n",
        "src/x.py": b"x", "models/fraud/versions/2/model.bin.dvc": None,
    }  # fmt: skip
    assert told(court, files) == [
        "policies/access.yaml added",
        "policies/q.yaml added",
        "src/x.py added, a file the registry does not know",
        "models/fraud/versions/2/model.bin.dvc removed, but it must never change",
        "fraud: card of version 3 changed",
        "fraud: card of version 4 removed",
    ]


def test_a_whole_registration_is_one_change_with_all_its_paths(court: World) -> None:
    names = court.git("ls-tree", "-r", "--name-only", "main", "models/fraud/versions/4").split()
    version = court.registry.place.snapshot("main").known_version(Reference("fraud", 4))
    stored = f".dvc/store/files/md5/{version.artifacts[0].md5[:2]}/{version.artifacts[0].md5[2:]}"
    without = court.branch(dict.fromkeys([*names, "cards/fraud/v4.md", stored]))
    back: dict[str, Content | None] = {path: court.read(path) for path in [*names, "cards/fraud/v4.md", stored]}
    head = court.branch(back, base=without)
    changes = court.registry.plan(base=without, head=head)
    assert [str(change) for change in changes] == ["fraud: version 4 registered"]
    assert {path.path for path in changes[0].paths} == set(back)
    assert [change.inverse().kind for change in changes] == ["version_deleted"]


@pytest.mark.parametrize(
    "change",
    [
        Change("alias_set", "m", 3, "best", None, 3),
        Change("alias_set", "m", 3, "best", 2, 3),
        Change("alias_removed", "m", 2, "best", 2, None),
        Change("stage_transition", "m", 3, "3", "staging", "production"),
        Change("model_updated", "m", 4, "deleted", None, 4),
        Change("version_registered", "m", 3, "", None, "abc"),
        Change("evaluation_added", "m", 3, "models/m/versions/3/evaluations/x.yaml", None, "abc"),
        Change("immutable_violated", "m", 3, "models/m/versions/3/evaluations/x.yaml", "abc", "def"),
        Change("policy_changed", subject="policies/x.yaml", after="abc", paths=(PathChange("policies/x.yaml", "", "100644", "", "abc"),)),
    ],
)  # fmt: skip
def test_undoing_twice_is_doing(change: Change) -> None:
    assert change.inverse() != change
    assert change.inverse().inverse() == change


def test_the_alias_that_goes_back_is_about_the_version_it_goes_back_to() -> None:
    assert Change("alias_set", "m", 3, "best", 2, 3).inverse() == Change("alias_set", "m", 2, "best", 3, 2)


def test_a_digest_binds_the_contents_and_the_meaning_does_not(court: World) -> None:
    one = court.registry.plan(base="main", head=court.branch(state(court, "best: 3", "best: 4")))
    same = court.registry.plan(base="main", head=court.branch(state(court, "best: 3", "best: 4")))
    other = court.registry.plan(base="main", head=court.branch(state(court, "best: 3", "best: 4 # noted")))
    assert plan_digest(one) == plan_digest(same) != plan_digest(other)
    assert meaning(one) == meaning(other)


def test_a_change_is_json_with_its_sentence(court: World) -> None:
    (change,) = court.registry.plan(base="main", head=court.branch(state(court, "best: 3", "best: 4")))
    assert to_json(change) == {
        "kind": "alias_set", "text": "fraud: alias best 3 → 4", "model": "fraud", "version": 4, "subject": "best",
        "before": 3, "after": 4, "paths": [MODEL],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "globs", "is_somebody_elses"),
    [
        ("src/a.py", ["src/**"], True), ("src/deep/a.py", ["src/**"], True), ("srcs/a.py", ["src/**"], False), ("README.md", ["*.md"], True),
        ("README.md", [], False), ("models/x/a.bin", ["models/**"], False), ("registry.yaml", ["**"], False), ("policies/x", ["**"], False),
        ("cards/x/y", ["*"], False), ("Cards/x", ["*"], False), (".github/CODEOWNERS", ["**"], False), (".dvc/store/x", ["**"], False),
        ("CodeOwners", ["*"], False),
    ],
)  # fmt: skip
def test_unmanaged_globs_name_other_peoples_files_only(path: str, globs: list[str], is_somebody_elses: bool) -> None:
    assert is_unmanaged(path, globs) == is_somebody_elses
