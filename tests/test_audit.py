"""History answers what was decided and who held a stage when, and never believes a message."""

from __future__ import annotations

import pytest
from builder import World

from gitops_registry import edits
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.history import before_present, held
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.snapshot import Content

MODEL = "models/fraud/model.yaml"


@pytest.fixture
def fraud(world: World) -> World:
    """Four versions in development."""
    return world.model("fraud").version().version().version().version().commit()


def put(world: World, **stages: tuple[int, ...]) -> None:
    """Decide by hand which version is where."""
    model = world.registry.snapshot.known_model("fraud")
    world.commit(edits.rewritten(world.registry.snapshot, model.model_copy(update={"stages": stages})), "put")


def back(world: World, stage: str = "production") -> tuple[int, dict[int, str]]:
    """Return which version a rollback goes to and where the present holders go."""
    place = world.registry.place
    found = before_present(place.repository, place.tip(), place.snapshot(), name="fraud", stage=stage)
    return found.reference.number, dict(found.back)


def events(world: World) -> list[tuple[str, list[str]]]:
    """Return subject and sentences of each decision, newest first."""
    return [(event.commit.subject, [str(change) for change in event.changes]) for event in world.registry.log("fraud")]


def test_each_verb_is_one_event_of_the_same_words(fraud: World) -> None:
    fraud.registry.promote("fraud", 1, to="staging", direct=True)
    proposed = fraud.registry.promote("fraud", 1, to="production", reason="Best on the holdout.").proposal
    assert proposed is not None
    assert len(events(fraud)) == 2, "a proposal is no decision"
    fraud.registry.merge(proposed, reason="Agreed.")
    fraud.registry.promote("fraud", 2, to="staging", direct=True)
    fraud.registry.promote("fraud", 2, to="production", direct=True)
    fraud.registry.rollback("fraud", direct=True)
    assert events(fraud) == [
        ("rollback fraud production to 1", ["fraud: version 1 archived → production", "fraud: version 2 production → staging"]),
        ("promote fraud 2 to production", ["fraud: version 1 production → archived", "fraud: version 2 staging → production"]),
        ("promote fraud 2 to staging", ["fraud: version 2 development → staging"]),
        ("promote fraud 1 to production", ["fraud: version 1 staging → production"]),
        ("promote fraud 1 to staging", ["fraud: version 1 development → staging"]),
        ("prepare fraud", ["fraud: new model", *(f"fraud: version {n} registered" for n in (1, 2, 3, 4))]),
    ]  # fmt: skip
    merged = list(fraud.registry.log("fraud"))[3].to_json()
    assert merged["proposal"] == "promote/fraud/1/production"
    assert merged["actor"] == {"name": "Alice", "email": "alice@example.com"}
    assert merged["time"].endswith("Z")
    assert merged["changes"][0]["kind"] == "stage_transition"


def test_an_event_says_what_changed_whatever_its_message_says(fraud: World) -> None:
    model = fraud.registry.snapshot.known_model("fraud").model_copy(update={"stages": {"production": (3,)}})
    fraud.commit(edits.rewritten(fraud.registry.snapshot, model), "promote fraud 1 to staging")
    assert events(fraud)[0] == ("promote fraud 1 to staging", ["fraud: version 3 development → production"])


def test_an_event_that_cannot_be_read_says_why_and_hides_no_other(fraud: World) -> None:
    good = fraud.read(MODEL)
    fraud.commit({MODEL: b"kind: Model\nname: [\n"}, "break it")
    fraud.commit({MODEL: good}, "mend it")
    put(fraud, staging=(1,))
    told = list(Registry.open(fraud.root).log("fraud"))
    assert [event.commit.subject for event in told] == ["put", "mend it", "break it", "prepare fraud"]
    assert [bool(event.problem) for event in told] == [False, True, True, False]
    assert told[1].problem.startswith(f"{MODEL}:")
    assert "problem" in told[1].to_json()


def test_the_log_of_one_model_leaves_out_the_others(fraud: World) -> None:
    fraud.model("churn").version().commit()
    assert [subject for subject, _ in events(fraud)] == ["prepare fraud"]
    assert [event.commit.subject for event in fraud.registry.log()][:2] == ["prepare churn", "prepare fraud"]
    assert len(list(fraud.registry.log(limit=1))) == 1
    with pytest.raises(NotFound, match="no model 'fruad'"):
        list(fraud.registry.log("fruad"))


def test_a_stage_was_held_by_whom_decisions_put_there_and_by_nobody_a_branch_tried(fraud: World) -> None:
    put(fraud, production=(1,))
    put(fraud, archived=(1,), production=(2,))
    model = fraud.registry.snapshot.known_model("fraud").model_copy(update={"stages": {"production": (3,)}})
    fraud.branch(dict(edits.rewritten(fraud.registry.snapshot, model)))
    place = fraud.registry.place
    assert held(place.repository, place.tip(), "fraud", "production") == (2, 1)
    assert held(place.repository, place.tip(), "fraud", "staging") == ()


def test_a_rollback_goes_to_whom_held_the_stage_before(fraud: World) -> None:
    put(fraud, staging=(1, 2))
    put(fraud, production=(1,), staging=(2,))
    put(fraud, production=(2,), archived=(1,))
    assert back(fraud) == (1, {2: "staging"})


def test_a_rollback_looks_through_a_gap_in_which_nobody_held_the_stage(fraud: World) -> None:
    put(fraud, production=(1,))
    put(fraud, archived=(1,))
    put(fraud, archived=(1,), staging=(2,))
    put(fraud, archived=(1,), production=(2,))
    assert back(fraud) == (1, {2: "staging"})
    put(fraud, archived=(1, 2))
    assert back(fraud) == (2, {}), "an empty stage goes back to its last holder"


def test_rollbacks_one_after_the_other_toggle_between_the_last_two(fraud: World) -> None:
    put(fraud, staging=(1, 2))
    put(fraud, production=(1,), staging=(2,))
    put(fraud, production=(2,), archived=(1,))
    before = fraud.registry.snapshot.known_model("fraud").stages
    for expected in (1, 2, 1, 2):
        fraud.registry.rollback("fraud", direct=True)
        assert str(fraud.registry.resolve("fraud@production")) == f"fraud@{expected}"
    assert fraud.registry.snapshot.known_model("fraud").stages == before


def test_a_rollback_passes_over_versions_that_were_deleted(fraud: World) -> None:
    put(fraud, production=(1,))
    put(fraud, production=(2,))
    put(fraud, production=(3,))
    gone: dict[str, Content | None] = dict.fromkeys(
        fraud.git("ls-files", "models/fraud/versions/2", "cards/fraud/v2.md").split()
    )
    model = fraud.registry.snapshot.known_model("fraud").model_copy(update={"deleted": (2,)})
    fraud.commit({**gone, **edits.rewritten(fraud.registry.snapshot, model)}, "delete fraud 2")
    assert back(fraud)[0] == 1


def test_a_rollback_of_what_nobody_else_ever_held_says_so(fraud: World) -> None:
    put(fraud, production=(1,))
    with pytest.raises(NotFound, match="no other version of fraud ever was in production") as caught:
        back(fraud)
    assert caught.value.hint == "see: gitops-registry log fraud"


def test_a_shallow_clone_says_that_it_cannot_know(fraud: World, world: World) -> None:
    put(fraud, production=(1,))
    put(fraud, production=(2,))
    shallow = fraud.clone(fraud.root.parent / "shallow", "--depth=1")
    with pytest.raises(RegistryError, match="this clone is shallow") as caught:
        back(shallow)
    assert "git fetch --unshallow" in caught.value.hint
    assert Reference("fraud", 2) == shallow.registry.resolve("fraud@production")
