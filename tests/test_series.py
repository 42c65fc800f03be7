"""Many decisions that land by one move: each judged on the one before it, one that is refused stops none of the others."""

from __future__ import annotations

import pytest
from builder import World

from gitops_registry import edits, series
from gitops_registry.deciding import Intent, Outcome
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.reference import Reference
from gitops_registry.series import Made, Step, decide_all, foresee_all
from gitops_registry.snapshot import Snapshot


def move(number: int, *stages: str, over: frozenset[str] = frozenset()) -> Step:
    """Return the step that moves a version of fraud to the first of the stages that takes it."""

    def intent(stage: str) -> Intent:
        return Intent(
            lambda before: edits.promote(before, Reference("fraud", number), stage), lambda _: f"{number} to {stage}"
        )

    return Step(tuple(map(intent, stages)), over)


STEPS = [
    move(1, "staging"),
    move(1, "production"),  # only after the step before it
    move(9, "staging"),
    move(2, "production", "archived"),  # it comes from development, so the second choice
    move(3, "production"),
    move(3, "production", over=frozenset({"stage-order"})),
]


@pytest.fixture
def fraud(world: World) -> World:
    return world.model("fraud").version().version().version().commit()


def told(made: list[Made]) -> list[object]:
    return [
        type(m) if isinstance(m, RegistryError) else (m.subject, sorted({f.rule for f in m.refusals})) for m in made
    ]


EXPECTED = [
    ("1 to staging", []),
    ("1 to production", []),
    NotFound,
    ("2 to archived", []),
    ("3 to production", ["stage-order"]),
    ("3 to production", []),
]


def test_each_decision_is_a_commit_judged_on_the_one_before_it(fraud: World) -> None:
    before = fraud.git("rev-list", "--count", "main").strip()
    made = decide_all(fraud.registry.place, STEPS)
    assert told(made) == EXPECTED
    commits = [m.commit for m in made if isinstance(m, Outcome) and m.commit]
    assert fraud.git("rev-list", "--reverse", f"HEAD~{len(commits)}..main").split() == commits
    assert int(fraud.git("rev-list", "--count", "main")) == int(before) + 4
    assert fraud.registry.snapshot.known_model("fraud").stages == {"production": (3,), "archived": (1, 2)}
    assert "- stage-order: version 3 comes from development" in fraud.git("show", "-s", "--format=%b", commits[-1])
    assert fraud.git("for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]
    assert fraud.git("status", "--porcelain") == ""


def test_what_is_foreseen_is_what_would_be_and_nothing_is_written(fraud: World) -> None:
    before = fraud.git("rev-parse", "main")
    assert told(foresee_all(fraud.registry.place, STEPS)) == EXPECTED
    assert fraud.git("rev-parse", "main") == before
    assert fraud.git("for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]


def test_where_somebody_else_decides_meanwhile_all_of_it_is_judged_again(fraud: World) -> None:
    pushed: list[str] = []

    def edit(before: Snapshot) -> dict[str, bytes]:
        if not pushed:  # as a push into this repository does: without our lock
            tree = fraud.git("rev-parse", "main^{tree}").strip()
            pushed.append(fraud.git("commit-tree", tree, "-p", "main", "-m", "theirs").strip())
            fraud.git("update-ref", "refs/heads/main", pushed[0])
        return dict(edits.promote(before, Reference("fraud", 2), "staging"))  # type: ignore[arg-type]

    steps = [move(1, "staging"), Step((Intent(edit, lambda _: "2 to staging"),))]
    made = decide_all(fraud.registry.place, steps)
    assert told(made) == [("1 to staging", []), ("2 to staging", [])]
    subjects = fraud.git("log", "--format=%s", "-3").splitlines()
    assert subjects == ["2 to staging", "1 to staging", "theirs"]
    assert fraud.git("for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]


def test_nothing_wanted_or_nothing_accepted_moves_nothing(fraud: World) -> None:
    before = fraud.git("rev-parse", "main")
    assert decide_all(fraud.registry.place, []) == []
    assert told(decide_all(fraud.registry.place, [move(3, "production"), series.Step(())])) == [
        ("3 to production", ["stage-order"]),
        RegistryError,
    ]
    assert fraud.git("rev-parse", "main") == before
