"""History answers what was decided and who held a stage when, and never believes a message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builder import World

from gitops_registry import edits
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.history import before_present, held, tenures
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


def walks(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how often a report on fraud has git walk the history."""
    told, settings = folder / f"told-{len(list(folder.iterdir()))}", folder / "settings"
    settings.write_text(f"[trace2]\n\teventTarget = {told}\n")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        report = world.registry.audit_report("fraud")
    assert all(one["results"] != "not-checked" for v in report["versions"] for one in v["evidence"]["policies"])
    starts = [row["argv"] for row in map(json.loads, told.read_text().splitlines()) if row["event"] == "start"]
    return sum("log" in argv or "rev-list" in argv for argv in starts)


def test_a_report_walks_the_history_as_often_for_many_deployments_as_for_one(
    fraud: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("traced")
    put(fraud, production=(1,))
    once = walks(fraud, folder, monkeypatch)
    for number in (2, 1, 2, 1):
        put(fraud, production=(number,))
    assert once > 0
    assert walks(fraud, folder, monkeypatch) == once


def test_a_history_that_was_walked_once_tells_the_same_of_each_of_its_decisions(fraud: World) -> None:
    for stages in (
        {"production": (1,)},
        {"production": (2,)},
        {"production": (2,), "archived": (1,)},
        {"staging": (2,)},
    ):
        put(fraud, **stages)
    fraud.registry.rename("fraud", "payments", direct=True)
    fraud.model("churn").version().commit()
    told, asked = fraud.registry.place, fraud.registry.place
    tip = told.commit()
    for name in ("payments", "fraud"):
        told.repository.walk_once(tip, f"models/{name}", f"cards/{name}")
    for commit in fraud.git("rev-list", "main").split():
        for name in ("payments", "fraud"):
            for folders in (
                (f"models/{name}/model.yaml",),
                (f"models/{name}", f"cards/{name}"),
                (f"models/{name}/versions/2",),
            ):
                assert list(told.repository.steps(commit, *folders)) == list(asked.repository.steps(commit, *folders))
            assert tenures(told.repository, commit, name, "production") == tenures(
                asked.repository, commit, name, "production"
            )
    assert list(told.repository.steps("HEAD", "models/churn")) == list(asked.repository.steps("HEAD", "models/churn"))
