"""One decision becomes events of the audit log: the right ones, however it was committed, with ids that stay."""

from __future__ import annotations

import json
import sqlite3
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builder import World, git

from gitops_registry import edits
from gitops_registry.audit.decision import Event, entries_of
from gitops_registry.audit.deriving import decisions
from gitops_registry.audit.entries import TYPES
from gitops_registry.audit.storing import event_of, text_of
from gitops_registry.audit.wanted import Wanted
from gitops_registry.errors import NotFound
from gitops_registry.manifest.writing import dump
from gitops_registry.registry import Registry

MODEL = "models/fraud/model.yaml"


@pytest.fixture
def fraud(world: World) -> World:
    """Two versions in development."""
    return world.model("fraud").version().version().commit()


def told(world: World, name: str = "fraud", **how: object) -> list[list[str]]:
    """Return the types of events of each decision, newest first."""
    return [[entry.event for entry in entries_of(event)] for event in world.registry.log(name, **how)]  # type: ignore[arg-type]


def staged(world: World, stage: str, *numbers: int) -> dict[str, bytes]:
    """Return what putting versions into a stage by hand writes."""
    return dict(edits.moved(world.registry.snapshot, "fraud", dict.fromkeys(numbers, stage)))  # type: ignore[arg-type]


def test_a_move_into_a_stage_that_serves_is_a_deployment_too(fraud: World) -> None:
    fraud.commit(staged(fraud, "staging", 1))
    fraud.commit(staged(fraud, "production", 1))
    fraud.commit(staged(fraud, "archived", 1))
    assert told(fraud)[:3] == [["stage_transition"], ["stage_transition", "model_deployed"], ["stage_transition"]]
    entry = entries_of(list(fraud.registry.log("fraud"))[1])[1]
    assert (entry.text, entry.before, entry.after) == (
        "fraud: version 1 deployed to production",
        "staging",
        "production",
    )


def test_whether_a_stage_serves_is_what_the_constitution_before_says(fraud: World) -> None:
    law = fraud.registry.snapshot.constitution
    loud = law.model_copy(
        update={"stages": tuple(s.model_copy(update={"serving": s.name == "staging"}) for s in law.stages)}
    )
    fraud.commit({"registry.yaml": dump(loud, "registry.yaml"), **staged(fraud, "staging", 1)})
    assert "model_deployed" not in told(fraud)[0], "by the rules before it nobody was served"
    fraud.commit(staged(fraud, "staging", 2))
    assert told(fraud)[0] == ["stage_transition", "model_deployed"]


def test_merge_squash_rebase_and_direct_commits_give_the_same_events(fraud: World, tmp_path: Path) -> None:
    base = fraud.git("rev-parse", "main").strip()
    fraud.branch(staged(fraud, "staging", 1))
    branch = fraud.git("for-each-ref", "--format=%(refname:short)", "refs/heads/case").strip()
    found = []
    for how in (
        ("merge", "--quiet", "--no-ff", "-m", "anything", branch),
        ("cherry-pick", branch),
        ("merge", "--quiet", "--squash", branch),
        ("merge", "--quiet", "--ff-only", branch),
    ):
        fraud.git("reset", "--quiet", "--hard", base)
        fraud.git(*how)
        if "--squash" in how:
            fraud.git("commit", "--quiet", "-m", "squashed (#7)")
        found.append(told(fraud))
    assert found == [[["stage_transition"], ["model_registered", "version_registered", "version_registered"]]] * 4


def test_a_commit_that_changes_nothing_we_know_gives_no_event(fraud: World) -> None:
    before = len(told(fraud, ""))
    fraud.git("commit", "--quiet", "--allow-empty", "-m", "promote fraud 1 to production")
    spaced = fraud.read(MODEL) + b"\n# a comment\n"
    fraud.commit({MODEL: spaced}, "promote fraud 2 to production")
    assert len(told(fraud, "")) == before
    assert len(told(fraud)) == 1


def test_commits_before_there_was_a_registry_give_no_event(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "old")
    (tmp_path / "old" / "code.py").write_text("print(1)\n")
    git(tmp_path / "old", "add", ".")
    git(tmp_path / "old", "commit", "--quiet", "-m", "code")
    world = World(tmp_path / "old")
    assert len(list(world.registry.log())) == 1


def test_an_unreadable_decision_is_an_event_of_its_own(fraud: World) -> None:
    fraud.commit({MODEL: b"kind: Model\nname: [\n"}, "break it")
    event = list(decisions(fraud.registry.place.repository, fraud.git("rev-parse", "main").strip()))[-1]
    (entry,) = entries_of(event)
    assert entry.event == "decision_unreadable"
    assert MODEL in entry.text


def test_ids_are_the_same_in_every_clone_and_differ_from_each_other(fraud: World, tmp_path: Path) -> None:
    fraud.commit(staged(fraud, "production", 1, 2))
    ids = [entry.id for event in fraud.registry.log() for entry in entries_of(event)]
    assert len(set(ids)) == len(ids)
    clone = fraud.clone(tmp_path / "clone", "--bare")
    again = [entry.id for event in clone.registry.log(anew=True) for entry in entries_of(event)]
    assert again == ids
    assert {entry.event for event in fraud.registry.log() for entry in entries_of(event)} <= set(TYPES)


def test_json_keeps_what_it_had_and_says_grade_and_entries(fraud: World) -> None:
    fraud.commit(staged(fraud, "production", 1), "whatever\n\nBecause.")
    data = next(fraud.registry.log("fraud")).to_json()
    assert {
        "commit",
        "time",
        "actor",
        "subject",
        "reason",
        "proposal",
        "changes",
        "signature",
        "attested",
        "reviews",
    } <= set(data)
    assert (data["grade"], data["signer"], data["role"], data["approvals"]) == ("claimed", None, None, [])
    assert [entry["event"] for entry in data["entries"]] == ["stage_transition", "model_deployed"]
    json.dumps(data)


def test_a_renamed_model_keeps_its_history_under_both_names_and_a_deleted_one_under_its_own(fraud: World) -> None:
    fraud.registry.rename("fraud", "payments", direct=True)
    assert told(fraud, "fraud") == told(fraud, "payments")
    assert told(fraud, "payments")[-1][0] == "model_registered"
    fraud.registry.delete("payments", direct=True)
    assert "model_deleted" in told(fraud, "payments")[0]
    assert told(fraud, "fraud") == told(fraud, "payments")
    assert told(fraud, "payments@1")[-1] == ["version_registered"]
    with pytest.raises(NotFound):
        list(fraud.registry.log("nobody"))


def test_bulk_reading_and_reading_one_by_one_agree(fraud: World) -> None:
    for stage in ("staging", "production", "archived"):
        fraud.commit(staged(fraud, stage, 1))
    fraud.registry.rename("fraud", "payments", direct=True)
    place = fraud.registry.place
    bulk = list(decisions(place.repository, place.tip()))[::-1]
    one_by_one = [
        event
        for oid in fraud.git("rev-list", "--first-parent", "main").split()
        for event in list(decisions(place.repository, oid, _parent(fraud, oid)))[-1:]
    ]
    assert [_plain(event) for event in bulk] == [_plain(event) for event in one_by_one]
    assert [_plain(event) for event in fraud.registry.log()] == [_plain(event) for event in bulk]


def _parent(world: World, oid: str) -> str:
    return [*world.git("rev-list", "--parents", "-1", oid).split(), ""][1]


def _plain(event: Event) -> str:
    return json.dumps(event.to_json(), sort_keys=True)


# ── the cache


def test_a_decision_survives_being_kept(fraud: World) -> None:
    fraud.commit(staged(fraud, "production", 1))
    for event in fraud.registry.log():
        kept = event_of(text_of(event))
        assert kept is not None
        assert _plain(kept) == _plain(event)
    assert event_of(text_of(None)) is None


@pytest.mark.parametrize("damage", [b"", b"no database at all", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_cache_is_made_anew_and_changes_no_answer(fraud: World, damage: bytes) -> None:
    first = told(fraud, "")
    file = fraud.root / ".git/gitops-registry/events.sqlite"
    assert file.exists()
    file.write_bytes(damage)
    assert told(fraud, "") == first
    assert told(fraud, "") == first


def test_rows_that_somebody_cut_or_that_say_nonsense_are_read_anew(fraud: World) -> None:
    first = told(fraud, "")
    file = fraud.root / ".git/gitops-registry/events.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE decision SET body = substr(body, 1, 40)")
    assert told(fraud, "") == first


def test_a_forged_cache_deceives_the_display_only_and_no_cache_reads_anew(fraud: World) -> None:
    list(fraud.registry.log())
    oid = fraud.git("rev-parse", "main").strip()
    file = fraud.root / ".git/gitops-registry/events.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute(
            "UPDATE decision SET body = 'null', crc = ? WHERE oid = ?", (zlib.crc32(f"{oid}null".encode()), oid)
        )
    assert told(fraud) == []
    assert len(told(fraud, anew=True)) == 1
    lines = list(fraud.registry.export_log().lines())
    assert any('"version_registered"' in line for line in lines)
    assert [e["number"] for e in fraud.registry.audit_report("fraud")["versions"]] == [1, 2]


def test_a_read_only_repository_is_read_without_a_cache(fraud: World) -> None:
    folder = fraud.root / ".git/gitops-registry"
    (folder / "events.sqlite").unlink(missing_ok=True)
    (folder / "events.sqlite").mkdir()
    assert len(told(fraud)) == 1


def between(registry: Registry, since: str, until: str) -> list[str]:
    """Return the stages that fraud came to between two days, newest first."""
    days = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (since, until)]
    found = registry.log("fraud", wanted=Wanted(since=days[0], until=days[1]))
    return [str(change.after) for event in found for change in event.changes]


def test_the_registry_at_a_moment_is_what_the_last_decision_by_then_left(fraud: World) -> None:
    for stage in ("staging", "production", "archived"):
        fraud.commit(staged(fraud, stage, 1))
    fraud.dated("2019-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "2019-05-01T00:00:00Z")
    registry = Registry.open(fraud.root)
    at = lambda text: registry.at(datetime.fromisoformat(text).replace(tzinfo=UTC))  # noqa: E731
    assert at("2020-01-15").snapshot.in_stage("fraud", "staging") == (1,)
    assert at("2020-02-01").snapshot.in_stage("fraud", "archived") == (1,), (
        "a back-dated decision is no older than those before it"
    )
    assert at("2020-01-31").snapshot.in_stage("fraud", "archived") == ()
    assert between(registry, "2020-01-15", "2020-03-01") == ["archived", "production"], "so is it for the log"
    assert between(registry, "2019-02-01", "2019-12-31") == []
    assert between(registry, "2020-01-01", "2020-01-31") == ["staging"]
    with pytest.raises(NotFound, match="nothing was decided here by 2001"):
        at("2001-01-01")


def test_a_decision_dated_in_the_future_hides_none_that_follow_it(fraud: World) -> None:
    for stage in ("staging", "production", "archived"):
        fraud.commit(staged(fraud, stage, 1))
    fraud.dated("2019-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z")
    registry = Registry.open(fraud.root)
    at = lambda text: registry.at(datetime.fromisoformat(text).replace(tzinfo=UTC)).snapshot  # noqa: E731
    assert at("2020-02-15").in_stage("fraud", "production") == (1,)
    assert at("2020-03-15").in_stage("fraud", "archived") == (1,)
    assert between(registry, "2020-01-01", "2020-02-15") == ["production", "staging"], "it was made before the next one"
    assert between(registry, "2020-02-15", "2020-03-15") == ["archived"]
    fraud.commit(staged(fraud, "staging", 1))
    fraud.dated("2019-01-01T00:00:00Z", "2099-01-01T00:00:00Z")
    now = datetime.now(UTC).date().isoformat()
    assert next(row["time"] for row in json.loads(fraud.cli("log", "fraud", "--until", now, "--json").stdout)) == (
        "2099-01-01T00:00:00Z"
    ), "the last one was made by now"
    assert json.loads(fraud.cli("show", "fraud@1", "--at", now, "--json").stdout)["stage"] == "staging"


def test_the_log_as_json_is_one_list_whether_empty_or_long(fraud: World) -> None:
    assert json.loads(fraud.cli("log", "--json", "--event", "model_renamed").stdout) == []
    assert len(json.loads(fraud.cli("log", "--json").stdout)) == 2
