"""What leaves the audit log is read by the tools it is for, goes on where it stopped, and cannot command a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from builder import World
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from gitops_registry import edits
from gitops_registry.audit.entries import TYPES, Entry
from gitops_registry.auditing import outlets
from gitops_registry.auditing.checkpoint import Chain, read, write
from gitops_registry.snapshot import Content

CONTEXT = outlets.Context("world", "", lambda _: ())


@pytest.fixture
def fraud(world: World) -> World:
    """Two versions, one of which serves."""
    return world.model("fraud").version().version().in_stage("production", 1).commit()


def exported(world: World, form: outlets.Format, **how: object) -> list[str]:
    """Return the lines of an export."""
    return list(world.registry.export_log(form, **how).lines())  # type: ignore[arg-type]


def test_json_lines_hold_every_event_oldest_first_with_all_its_keys(fraud: World) -> None:
    rows = [json.loads(line) for line in exported(fraud, "jsonl")]
    assert [row["event"] for row in rows if row["model"]] == [
        "model_registered", "stage_transition", "model_deployed", "version_registered", "version_registered",
    ]  # fmt: skip
    assert {row["event"] for row in rows} <= set(TYPES)
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}
    deployed = next(row for row in rows if row["event"] == "model_deployed")
    assert (deployed["before"], deployed["after"], deployed["version"]) == ("development", "production", 1)
    assert (deployed["grade"], deployed["signer"], deployed["policies"], deployed["anchor"]) == (
        "claimed",
        None,
        "not-checked",
        None,
    )
    assert all("\n" not in line[:-1] for line in exported(fraud, "jsonl"))


def test_policies_are_judged_again_where_that_is_asked_for(fraud: World) -> None:
    rows = [json.loads(line) for line in exported(fraud, "jsonl", judges=True)]
    deployed = next(row for row in rows if row["event"] == "model_deployed")
    assert {one["result"] for one in deployed["policies"]} == {"pass"}
    assert {one["policy"] for one in deployed["policies"]} == {"floors"}


def test_cloud_events_are_read_by_the_sdk_of_their_makers(fraud: World) -> None:
    lines = exported(fraud, "cloudevents")
    assert lines
    ids = set()
    for line in lines:
        event = JSONFormat().read(CloudEvent, line)
        assert event.get_specversion() == "1.0"
        assert event.get_type().startswith("gitops-registry.audit.")
        assert event.get_source() == "urn:gitops-registry:world"
        time = event.get_time()
        assert time is not None
        assert time.tzinfo is not None
        data = event.get_data()
        assert isinstance(data, dict)
        assert data["id"] == event.get_id()
        assert event.get_extension("grade") == "claimed"
        ids.add(event.get_id())
    assert len(ids) == len(lines)


def test_statements_are_read_by_the_bindings_of_in_toto(fraud: World) -> None:
    for line in exported(fraud, "intoto"):
        message = statement_pb2.Statement()
        json_format.Parse(line, message)
        found = Statement.copy_from_pb(message)
        found.validate()
        assert message.type == "https://in-toto.io/Statement/v1"
        assert message.predicate["registry"] == "world"
    registered = [json.loads(line) for line in exported(fraud, "intoto") if '"version_registered"' in line]
    names = [one["name"] for one in registered[0]["subject"]]
    assert names[0] == "fraud@1/model.bin"
    facts = fraud.registry.snapshot.version("fraud", 1)
    assert facts is not None
    assert registered[0]["subject"][0]["digest"]["sha256"] == facts.artifacts[0].sha256
    assert "gitCommit" in registered[0]["subject"][1]["digest"]


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", '"=1', "＝1", "|calc", "%0A=1"]
)
def test_no_cell_begins_a_formula(evil: str) -> None:
    entry = Entry(
        "1", "model_updated", evil, "2026-01-01T00:00:00Z", "claimed", actor=evil, email=evil, reason=evil, subject=evil
    )
    (row,) = csv.reader(io.StringIO(outlets.line("csv", entry, CONTEXT), newline=""))
    for cell in row:
        assert not cell.lstrip('\t\r\n \u3000"').startswith(("=", "+", "-", "@", "＝", "|", "%")), cell
    assert sum(evil.strip() in cell for cell in row) >= 4 or "\\r" in "".join(row) or "\n" in evil or "\t" in evil


def test_a_table_has_a_heading_and_a_row_for_each_event_whatever_people_wrote(fraud: World) -> None:
    fraud.registry.describe("fraud", description='evil", "=cmd|\' /C calc\'!A0"\nsecond line', direct=True)
    text = "".join(exported(fraud, "csv"))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(exported(fraud, "jsonl"))
    assert {row["event"] for row in rows} <= set(TYPES)
    assert text.count("\r\n") >= len(rows) + 1


def test_what_comes_after_a_checkpoint_is_exported_once(fraud: World, tmp_path: Path) -> None:
    file = tmp_path / "cp.json"
    first = fraud.registry.export_log()
    whole = list(first.lines())
    write(first.checkpoint(), file)
    assert list(fraud.registry.export_log(since=file).lines()) == []
    fraud.commit(dict[str, Content | None](edits.moved(fraud.registry.snapshot, "fraud", {2: "staging"})))
    second = fraud.registry.export_log(since=file)
    new = list(second.lines())
    assert [json.loads(line)["event"] for line in new] == ["stage_transition"]
    write(second.checkpoint(), file)
    again = fraud.registry.export_log()
    ids = [json.loads(line)["id"] for line in again.lines()]
    assert ids == [json.loads(line)["id"] for line in [*whole, *new]]
    assert read(file).events == again.checkpoint().events, "the digest goes on as if all had been read"
    assert json.loads(new[0])["anchor"].startswith("it goes on from the checkpoint at ")


def test_a_heading_comes_with_the_first_export_alone(fraud: World, tmp_path: Path) -> None:
    file = tmp_path / "cp.json"
    first = fraud.registry.export_log("csv")
    assert next(iter(first.lines())).startswith("id,time,event,")
    for _ in first.lines():
        pass
    write(first.checkpoint(), file)
    assert list(fraud.registry.export_log("csv", since=file).lines()) == []


def test_the_digest_is_a_chain_over_the_ids(fraud: World) -> None:
    export = fraud.registry.export_log()
    chain = Chain()
    for line in export.lines():
        chain = chain.with_event(json.loads(line)["id"])
    assert export.checkpoint().events == chain
    assert chain != Chain().with_event("x")


def test_the_cache_and_the_work_tree_are_left_alone_by_an_export(fraud: World) -> None:
    before = fraud.git("status", "--porcelain")
    exported(fraud, "intoto")
    assert fraud.git("status", "--porcelain") == before
    assert not (fraud.root / ".git/gitops-registry/events.sqlite").exists()
