"""log, show --at and audit as their users type them, in a registry of a team whose every step was signed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builder import World, cli
from courtroom import Courtroom
from workshop import Workshop

from gitops_registry import edits
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference


@pytest.fixture(scope="module")
def court(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Courtroom:
    """The honest past of the workshop, and one more approved deployment, in a bare repository."""
    found = Courtroom(tmp_path_factory.mktemp("commands"), shop)
    return found.put(shop.landed(shop.bob, shop.promotion("fraud@3", "production"), approved=shop.carol))


def said(court: Courtroom, *arguments: str, code: int = 0) -> str:
    """Return what a command prints; `code` is the exit code that is expected."""
    done = cli(court.root.parent, "-C", str(court.root), *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_the_log_says_what_happened_first_and_the_hash_last(court: Courtroom) -> None:
    first = said(court, "log", "fraud", "-n", "1").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d  Bob  \(through promote/x\)", first[0])
    assert first[1:4] == [
        "    fraud: version 1 production → archived",
        "    fraud: version 3 staging → production",
        "    fraud: version 3 deployed to production",
    ]
    assert "    approved by carol (signed)" in first
    assert re.search(r"verified: signed by bob \(ml_engineer\), commit [0-9a-f]{9}$", first[-4])
    assert first[-3] == "older ones follow: gitops-registry log fraud --all"
    assert "the history begins with the pinned root SHA256:" in first[-2]
    assert first[-1] == "note: policies: not checked (--policies asks them again)"


def test_what_show_tells_of_the_past_is_graded_and_says_what_anchors_it(court: Courtroom, world: World) -> None:
    (head,) = [line for line in said(court, "show", "fraud@3").splitlines() if line.startswith("when")]
    assert head.split() == ["when", "what", "who", "proof", "why", "commit"]
    (moved,) = [line for line in said(court, "show", "fraud@3").splitlines() if "staging → production" in line]
    assert re.search(r" bob +verified ", moved)
    today = datetime.now(UTC).date().isoformat()
    for words in (("fraud@3",), ("fraud@3", "--at", today), ("fraud", "--at", today)):
        assert "the history begins with the pinned root SHA256:" in said(court, "show", *words).splitlines()[-1]
    none = "note: no anchor (a pinned root, a checkpoint) says that this history is whole"
    world.model("fraud").version().commit()
    for words in (("show", "fraud@1"), ("show", "fraud@1", "--at", today), ("show", "fraud", "--at", today)):
        told = world.cli(*words).stdout.splitlines()
        assert told[-1] == none
        anchor = json.loads(world.cli(*words, "--json").stdout)["anchor"]
        assert (anchor["holds"], f"note: {anchor['text']}") == (False, none)
    assert re.search(r" Alice +claimed ", world.cli("show", "fraud@1").stdout)
    assert none not in world.cli("show", "fraud").stdout, "which tells nothing of the past"


def test_the_log_as_json_grades_each_event_and_says_what_anchors_it(court: Courtroom, world: World) -> None:
    world.model("fraud").version().commit()
    told = json.loads(world.cli("log", "--json").stdout)
    assert {entry["grade"] for row in told for entry in row["entries"]} == {"claimed"}
    assert {row["anchor"] for row in told} == {None}
    rows = json.loads(said(court, "log", "fraud@3", "--json"))
    assert rows[0]["anchor"].startswith("the history begins with the pinned root SHA256:")
    assert [entry["grade"] for entry in rows[0]["entries"]] == ["verified", "verified"]
    assert {row["anchor"] for row in csv.DictReader(world.cli("audit", "export", "--format", "csv").stdout.splitlines())} == {"none"}  # fmt: skip


def test_the_log_asks_the_policies_of_its_time_again_where_that_is_wanted(world: World) -> None:
    world.model("fraud").version().version(metrics={"accuracy": 0.5}).commit()
    for number in (1, 2):
        world.commit(edits.promote(world.registry.snapshot, Reference("fraud", number), "production"))
    told = world.cli("log", "fraud", "--policies").stdout
    lines = [line.strip() for line in told.splitlines() if "policies: " in line]
    assert lines == [
        "policies: refused today: floors/metrics, 1 passed", "policies: 2 passed", "policies: none was about it",
    ]  # fmt: skip
    assert "not checked" not in told
    rows = json.loads(world.cli("log", "fraud", "--policies", "--json").stdout)
    exported = world.cli("audit", "export", "--policies").stdout.splitlines()
    same = {row["id"]: row["policies"] for row in map(json.loads, exported)}
    entries = [entry for row in rows for entry in row["entries"]]
    assert entries
    assert all(entry["policies"] == same[entry["id"]] for entry in entries)
    assert "fail" in {one["result"] for entry in rows[0]["entries"] for one in entry["policies"]}
    plain = json.loads(world.cli("log", "fraud", "--json").stdout)
    assert {entry["policies"] for row in plain for entry in row["entries"]} == {"not-checked"}
    assert "(--policies asks them again)" in world.cli("audit", "verify", check=None).stdout


def test_who_approved_version_three(court: Courtroom) -> None:
    rows = json.loads(said(court, "log", "fraud@3", "--event", "model_deployed", "--json"))
    (row,) = rows
    assert [(one["member"], one["role"], one["grade"], one["counts"]) for one in row["approvals"]] == [
        ("carol", "admin", "verified", True)
    ]
    assert len(row["approvals"][0]["plan"]) == 64


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--version", "2"), 4), (("--event", "model-deployed"), 4), (("--event", "version_registered"), 5), (("--actor", "dan"), 4),
(("--stage", "Production"), 4), (("--stage", "archived"), 3), (("--until", "2001-01-01"), 0),
        (("--since", "2001-01-01", "--event", "alias_set"), 1), (("--stage", "staging", "--version", "5"), 1),
    ],
)  # fmt: skip
def test_filters_leave_what_fits(court: Courtroom, filters: tuple[str, ...], count: int) -> None:
    told = json.loads(said(court, "log", "fraud", *filters, "--json"))
    assert len(told) == count
    assert json.loads(said(court, "log", "--model", "fraud", *filters, "--json", "--no-cache")) == told


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("log", "--since", "yesterday"), "write --since 2026-11-25"),
        (("log", "--until", "2026-02-30"), "write --until 2026-11-25"),
        (("log", "--since", "2026-02-01", "--until", "2026-01-01"), "swap the two"),
        (("log", "--event", "model_deplyed"), "did you mean model_deployed"),
        (("log", "fraud", "--model", "churn"), "name one of them"),
        (("log", "frod"), "did you mean fraud"),
        (("log", "--model", "frod"), "did you mean fraud"),
        (("log", "models:/frod/2"), "did you mean fraud"),
        (("log", "--stage", "prodction"), "did you mean production"),
        (("log", "fraud@99"), "fraud has 1, 2, 3, 4, 5;"),
        (("log", "models:/fraud/99", "--json"), "fraud has 1, 2, 3, 4, 5;"),
        (("log", "fraud", "--version", "99"), "fraud has 1, 2, 3, 4, 5;"),
        (("log", "--version", "99"), "gitops-registry list"),
        (("log", "fraud", "--actor", "alcie"), "did you mean alice"),
        (("log", "--actor", "nobody", "--json"), "there is: "),
        (("log", "fraud@canary"), "there is"),
        (("show", "fraud@production", "--at", "25.11.2026"), "write --at 2026-11-25"),
        (("show", "fraud", "--at", "1999-01-01"), "see when it began"),
        (("audit", "comply", "fraud", "--profile", "five-eyes"), "did you mean four-eyes"),
        (("audit", "report", "frod"), "did you mean fraud"),
        (("audit", "export", "--format", "xml"), "--help"),
        (("audit", "verify", "--checkpoint", "nowhere.json"), "name a file that"),
    ],
)
def test_bad_input_is_refused_in_one_line_with_a_hint(court: Courtroom, arguments: tuple[str, ...], hint: str) -> None:
    lines = said(court, *arguments, code=2).splitlines()
    assert len(lines) == 2, lines
    assert lines[0].startswith("error: ")
    assert hint in lines[1]


@pytest.mark.parametrize(("written", "plain"), [("models:/fraud/2", "fraud@2"), ("models:/fraud", "fraud"), ("models:/fraud/Production", "fraud@3"), ("models:/fraud@champion", "fraud@1")])  # fmt: skip
def test_the_log_reads_a_reference_as_show_does(court: Courtroom, written: str, plain: str) -> None:
    assert said(court, "log", written, "--json") == said(court, "log", plain, "--json")


def test_what_is_spent_keeps_its_log_and_what_never_was_is_refused(world: World) -> None:
    world.model("fraud").version().version().in_stage("staging", 2).commit()
    world.registry.delete("fraud", 2, direct=True, force=True)
    law = world.registry.snapshot.constitution
    keep = [stage for stage in law.stages if stage.name != "staging"]
    stages = tuple(
        stage.model_copy(update={"from_": stage.from_ and tuple(name for name in stage.from_ if name != "staging")})
        for stage in keep
    )
    fewer = law.model_copy(update={"stages": stages})
    world.commit({"registry.yaml": dump(fewer, "registry.yaml")}, "no staging any more")
    told = lambda *words: json.loads(world.cli("log", *words, "--json").stdout)  # noqa: E731
    assert "version_deleted" in {entry["event"] for entry in told("fraud@2")[0]["entries"]}
    assert told("fraud", "--version", "2") == told("fraud@2")
    assert len(told("--stage", "Staging")) == 1, "an older registry.yaml had it"
    world.registry.rename("fraud", "payments", direct=True)
    world.registry.delete("payments", direct=True, force=True)
    assert told("fraud@2")[-1] == told("payments@2")[-1]
    for words in (("fraud@3",), ("payments@3",), ("--stage", "canary"), ("--version", "3")):
        assert len(world.cli("log", *words, check=2).stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    ["2030-01-01", "2030-01-01T12:00", "2030-01-01 12:00:30Z", "2030-01-01T12:00:00+09:00", "2030-01-01T12:00:00.5Z"],
)
def test_dates_are_iso_with_utc_where_no_zone_is_named(court: Courtroom, text: str) -> None:
    told = said(court, "show", "fraud@production", "--at", text)
    assert "version 3" in told or "fraud@3" in told


def test_what_was_in_production_on_a_day(world: World) -> None:
    world.model("fraud").version().version().commit()
    for number in (1, 2):
        world.commit(edits.promote(world.registry.snapshot, Reference("fraud", number), "production"))
    world.dated("2020-01-01T12:00:00Z", "2020-03-01T12:00:00Z", "2020-04-01T12:00:00Z")
    at = lambda day: json.loads(world.cli("show", "fraud@production", "--at", day, "--json").stdout)["number"]  # noqa: E731
    assert (at("2020-03-01"), at("2020-03-31"), at("2020-04-01")) == (1, 1, 2)
    world.cli("show", "fraud@production", "--at", "2020-03-01T11:59:59", check=2)
    between = world.cli("log", "--since", "2020-03-15", "--until", "2020-04-15").stdout
    assert "fraud: version 2 deployed to production" in between
    assert "registered" not in between


def test_what_was_in_production_is_found_by_the_name_that_the_model_has_now(world: World) -> None:
    world.model("fraud").version().version().in_stage("production", 2).commit()
    world.registry.rename("fraud", "payments", direct=True)
    world.dated("2020-01-01T12:00:00Z", "2020-02-01T12:00:00Z")
    world.registry.delete("payments", direct=True, force=True)
    for name in ("payments", "fraud"):
        told = world.cli("show", f"{name}@production", "--at", "2020-01-15")
        assert told.stdout.startswith("fraud@2\n")
        assert ("payments was called fraud then" in told.stderr) is (name == "payments")
    told = world.cli("show", "models:/payments/2", "--at", "2020-01-15", "--json")
    assert json.loads(told.stdout)["name"] == "fraud"
    assert "no model 'nobody'" in world.cli("show", "nobody@production", "--at", "2020-01-15", check=2).stderr


def test_a_name_that_stands_in_the_address_of_mlflow_is_found_where_it_is_meant(world: World) -> None:
    world.model("fraud").version().commit()
    world.registry.rename("fraud", "models", direct=True)
    world.dated("2020-01-01T12:00:00Z", "2020-02-01T12:00:00Z")
    for address in ("models:/models/1", "models@1"):
        told = world.cli("show", address, "--at", "2020-01-15", "--json")
        assert json.loads(told.stdout)["name"] == "fraud"


def test_refused_pushes_are_events_that_the_server_recorded(court: Courtroom) -> None:
    record = court.root / "gitops-registry/denials.jsonl"
    record.parent.mkdir(exist_ok=True)
    denial = {
        "time": "2035-01-01T10:00:00Z", "key": "SHA256:abc", "account": "git", "result": "refused", "signer": "dan",
        "refs": [{"ref": "refs/heads/main", "old": "0" * 40, "new": "1" * 40}],
        "reasons": [{"rule": "permissions", "message": "dan may not deploy for fraud\x1b[2J", "where": "models/fraud/model.yaml"}],
    }  # fmt: skip
    record.write_text(json.dumps(denial) + "\n{cut short")
    try:
        for about in ((), ("fraud",)):
            told = said(court, "log", *about, "-n", "1")
            assert "a push of main was refused: dan may not deploy for fraud" in told
            assert "recorded: recorded by the server" in told
            assert "\x1b" not in told
        assert "refused" not in said(court, "log", "churn", "-n", "1")
        (row,) = json.loads(said(court, "log", "--event", "access_denied", "--json"))
        assert (row["event"], row["grade"], row["commit"], row["model"]) == ("access_denied", "recorded", None, "fraud")
        exported = said(court, "audit", "export").splitlines()
        assert json.loads(exported[-1])["id"] == row["id"]
    finally:
        record.unlink()


def test_a_refused_push_is_in_the_log_of_each_model_that_it_was_about(court: Courtroom) -> None:
    record = court.root / "gitops-registry/denials.jsonl"
    record.parent.mkdir(exist_ok=True)
    places = ("models/fraud/versions/2/version.yaml:1:1", "models/churn/model.yaml:6:15", "policies/access.yaml:1:1")
    reasons = [{"rule": "x", "message": "no", "where": where} for where in places]
    record.write_text(
        json.dumps({"time": "2035-01-01T10:00:00Z", "result": "refused", "refs": [], "reasons": reasons}) + "\n"
    )
    try:
        for about, count in (
            (("fraud",), 1), (("churn",), 1), (("fraud@2",), 1), (("fraud@3",), 0), (("churn@1",), 1),
            (("fraud", "--version", "2"), 1), (("fraud", "--version", "3"), 0), (("--stage", "production"), 0),
        ):  # fmt: skip
            assert len(json.loads(said(court, "log", *about, "--event", "access_denied", "--json"))) == count, about
    finally:
        record.unlink()


def test_a_renamed_model_keeps_the_pushes_that_were_refused(world: World) -> None:
    world.model("fraud").version().commit()
    world.registry.rename("fraud", "payments", direct=True)
    record = world.root / ".git/gitops-registry/denials.jsonl"
    record.parent.mkdir(exist_ok=True)
    reasons = [{"rule": "x", "message": "no", "where": "models/fraud/model.yaml:6:15"}]
    record.write_text(
        json.dumps({"time": "2035-01-01T10:00:00Z", "result": "refused", "refs": [], "reasons": reasons}) + "\n"
    )
    for name in ("fraud", "payments"):
        assert [one.model for one in world.registry.denials(name)] == ["fraud"]


def test_a_checkpoint_and_what_comes_after_it(court: Courtroom, shop: Workshop, tmp_path: Path) -> None:
    file, out = tmp_path / "kept" / "cp.json", tmp_path / "events.jsonl"
    tip = court.git("rev-parse", "main").strip()
    told = said(court, "audit", "export", "--checkpoint", str(file), "--output", str(out))
    whole = out.read_text().splitlines()
    assert f"checkpoint at {tip[:12]}, {len(whole)} events" in told
    assert "the checkpoint is not signed, so it is a claim" in told
    assert "the history holds" in said(court, "audit", "verify", "--checkpoint", str(file))
    assert out.read_text() == "".join(f"{line}\n" for line in whole)
    said(court, "audit", "export", "--since-last", "--checkpoint", str(file), "--output", str(out))
    assert out.read_text() == ""
    court.put(shop.tip)
    try:
        refused = said(
            court, "audit", "export", "--since-last", "--checkpoint", str(file), "--output", str(out), code=2
        )
        assert "history does not go on from the checkpoint" in refused
        assert out.read_text() == "", "what could not be written left the file as it was"
        assert "rewritten:" in said(court, "audit", "verify", "--checkpoint", str(file), code=1)
    finally:
        court.put(tip)


def test_what_is_no_plain_file_is_written_to_and_never_replaced(court: Courtroom, tmp_path: Path) -> None:
    """As root, a file put in the place of /dev/null breaks the machine."""
    pipe, kept = tmp_path / "pipe", tmp_path / "kept.json"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        said(court, "audit", "report", "churn", "--output", str(pipe))
        assert pipe.is_fifo()
        assert os.read(end, 1 << 16).startswith(b"# Audit report: churn")
    finally:
        os.close(end)
    told = said(court, "audit", "export", "--checkpoint", str(pipe), "--output", str(tmp_path / "out"), code=2)
    assert "is no plain file" in told
    assert pipe.is_fifo()
    kept.write_text("of before")
    link = tmp_path / "link"
    link.symlink_to(kept)
    said(court, "audit", "report", "fraud", "--output", str(link))
    assert link.is_symlink()
    assert kept.read_text().startswith("# Audit report: fraud")
    said(court, "audit", "export", "--checkpoint", str(link), "--output", str(tmp_path / "out"))
    assert link.is_symlink()
    assert json.loads(kept.read_text())["kind"] == "AuditCheckpoint"
    kept.unlink()  # the link leads to what is not there yet
    for option in ("--checkpoint", "--output"):
        said(
            court,
            "audit",
            "export",
            option,
            str(link),
            *(("--output", str(tmp_path / "out")) if "check" in option else ()),
        )
        assert link.is_symlink()
        assert kept.read_text().startswith("{")
        kept.unlink()
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for option in ("--checkpoint", "--output"):
        assert "leads nowhere" in said(court, "audit", "export", option, str(circle), code=2)
        assert circle.is_symlink()


def test_without_a_file_the_checkpoint_lies_in_the_git_directory(court: Courtroom) -> None:
    first = said(court, "audit", "export", "--since-last", "--format", "csv")
    again = said(court, "audit", "export", "--since-last", "--format", "csv")
    assert len(list(csv.reader(io.StringIO(first)))) > 20
    assert "id,time" not in again
    (court.root / "gitops-registry/audit-checkpoint.json").unlink()


def test_verify_tells_each_breach_with_its_commit(court: Courtroom, shop: Workshop) -> None:
    tip = court.git("rev-parse", "main").strip()
    forged = shop.forge.unsigned(shop.commit(shop.alice, shop.registration("fraud")))
    court.put(forged)
    try:
        told = said(court, "audit", "verify", code=1)
        assert re.search(rf"signature: nobody signed it.*commit {forged[:12]}", told)
        assert "the history does not hold: 1 breach" in told
        data = json.loads(said(court, "audit", "verify", "--json", code=1))
        assert [(one["rule"], one["commit"]) for one in data["breaches"]] == [("signature", forged)]
        assert data["ok"] is False
    finally:
        court.put(tip)
    data = json.loads(said(court, "audit", "verify", "--policies", "--json"))
    assert data["ok"] is True
    assert data["grades"] == {"verified": data["decisions"]}
    assert data["anchor"]["holds"] is True


# ── report


def test_a_report_says_who_did_what_and_what_is_not_known(court: Courtroom) -> None:
    data = json.loads(said(court, "audit", "report", "fraud", "--json"))
    third = data["versions"][2]
    assert [one["event"] for one in third["life"]] == [
        "version_registered",
        "stage_transition",
        "stage_transition",
        "model_deployed",
    ]
    (duty,) = third["separation"]
    assert (duty["registered_by"], duty["approved_by"], duty["decided_by"], duty["separated"]) == (
        "bob",
        ["carol"],
        "bob",
        "yes",
    )
    assert third["evidence"]["policies"][0]["results"][0]["result"] == "pass"
    assert data["versions"][0]["separation"][0]["registered_by"] == "dan"
    people = {one["name"]: one for one in data["people"]}
    assert people["carol"]["roles"] == ["admin"]
    assert people["dan"]["did"]["version_registered"] == 4
    assert "it was not measured again since it was registered" in third["gaps"]
    assert data["anchor"]["holds"] is True
    assert json.loads(said(court, "audit", "report", "fraud", "--format", "json")) == data


def test_a_report_as_markdown_and_as_a_page_shows_the_same(court: Courtroom, tmp_path: Path) -> None:
    text = said(court, "audit", "report", "fraud")
    for heading in (
        "# Audit report: fraud",
        "## What is not known",
        "## Who did what",
        "## Version 3 (production)",
        "### Separation of duties",
        "### Gaps",
    ):
        assert f"{heading}\n" in text
    page = tmp_path / "report.html"
    said(court, "audit", "report", "fraud", "--format", "html", "--output", str(page))
    html = page.read_text()
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert not re.search(r"(src|href)=", html)
    assert "Version 3 (production)" in html


def test_what_people_wrote_is_text_in_every_report(world: World) -> None:
    evil = "<script>alert(1)</script> @everyone | [x](https://evil.example) \x1b[2J {{ 7*7 }}"
    world.model("fraud", owners=(evil.replace("\x1b", ""),)).version(metrics={"accuracy": 0.9}).commit()
    world.commit(edits.promote(world.registry.snapshot, Reference("fraud", 1), "staging"), f"promote\n\n{evil}")
    world.git(
        "-c", "user.name=<img src=x onerror=alert(1)>", "commit", "--quiet", "--amend", "--no-edit", "--reset-author"
    )
    html = world.cli("audit", "report", "fraud", "--format", "html").stdout
    assert "<script" not in html
    assert "<img" not in html
    assert "{{ 7*7 }}" in html
    assert "\x1b" not in html
    markdown = world.cli("audit", "report", "fraud").stdout
    assert "<script" not in markdown
    assert "`[x](https://evil.example)`" in markdown, "a link is code, and no link"
    assert "\x1b" not in markdown
    assert "`@everyone`" in markdown


def test_a_deleted_model_has_its_report(world: World) -> None:
    world.model("fraud").version().commit()
    world.registry.rename("fraud", "payments", direct=True)
    world.registry.delete("payments", direct=True)
    data = world.registry.audit_report("payments")
    assert (data["state"], data["former_names"]) == ("deleted", ["fraud"])
    assert data["versions"][0]["state"] == "deleted"
    assert data["versions"][0]["evidence"]["metrics"][0]["registered"] == 0.95
    assert data["versions"][0]["life"][0]["event"] == "version_registered"
    assert "nobody proved who registered it" in data["versions"][0]["gaps"]


# ── comply


def test_shipped_profiles_are_met_by_an_honest_team(court: Courtroom) -> None:
    for profile in ("registered-staged-approved-deployed", "four-eyes"):
        told = said(court, "audit", "comply", "fraud", "--profile", profile)
        assert "0 not met, 0 not checked" in told
    told = said(court, "audit", "comply", "fraud", "--profile", "eu-ai-act-documentation", code=1)
    assert "no statement that a system" in told
    assert re.search(r"not checked +Measures of human oversight", told)
    assert re.search(r"met +fraud@3  The intended purpose", told)


def test_whoever_merges_a_version_did_not_register_it(court: Courtroom, shop: Workshop) -> None:
    """Alice makes a version, bob merges it, and alice approves that it serves: one person, not two."""
    tip = court.git("rev-parse", "main").strip()
    merged = shop.landed(shop.alice, shop.registration("fraud"), decided=shop.bob)
    staged = shop.landed(shop.bob, shop.promotion("fraud@6", "staging", base=merged), base=merged)
    serves = shop.promotion("fraud@6", "production", base=staged)
    for approver, outcome in ((shop.alice, "not met"), (shop.carol, "met")):
        court.put(shop.landed(shop.bob, serves, approved=approver, base=staged))
        try:
            data = json.loads(
                said(court, "audit", "comply", "fraud", "--profile", "four-eyes", "--json", code=int(outcome != "met"))
            )
            (found,) = [one for one in data["answers"] if (one["requirement"], one["version"]) == ("second-person", 6)]
            assert found["outcome"] == outcome
            report = json.loads(said(court, "audit", "report", "fraud", "--json"))
            (duty,) = report["versions"][5]["separation"]
            assert (duty["registered_by"], duty["decided_by"], duty["separated"]) == ("alice", "bob", "yes")
            alice = next(one for one in report["people"] if one["name"] == "alice")
            assert (alice["did"]["proposed"], alice["roles"]) == (1, ["admin"])
            assert "    proposed by alice (signed)\n" in said(court, "log", "fraud@6")
            last = json.loads(said(court, "log", "fraud@6", "--event", "version_registered", "--json", "--no-cache"))
            assert last[0]["authors"] == [{"name": "alice", "role": "admin", "grade": "verified"}]
        finally:
            court.put(tip)


def test_a_version_whose_maker_no_key_proves_is_not_checked(court: Courtroom, shop: Workshop) -> None:
    tip = court.git("rev-parse", "main").strip()
    head = shop.forge.unsigned(shop.commit(shop.dan, shop.registration("fraud")))
    merged = shop.landing(shop.bob, head)
    staged = shop.landed(shop.bob, shop.promotion("fraud@6", "staging", base=merged), base=merged)
    court.put(
        shop.landed(shop.bob, shop.promotion("fraud@6", "production", base=staged), approved=shop.carol, base=staged)
    )
    try:
        told = said(court, "audit", "comply", "fraud", "--profile", "four-eyes")
        assert re.search(r"not checked +fraud@6  Somebody who did not register it", told)
        report = json.loads(said(court, "audit", "report", "fraud", "--json"))
        assert report["versions"][5]["separation"][0]["separated"] == "not known"
        assert "nobody proved who registered it" in report["versions"][5]["gaps"]
    finally:
        court.put(tip)


def test_what_nobody_approved_is_not_met_and_what_nobody_can_know_is_not_checked(
    court: Courtroom, shop: Workshop, world: World
) -> None:
    tip = court.git("rev-parse", "main").strip()
    court.put(shop.landed(shop.bob, shop.promotion("fraud@3", "production")))
    try:
        told = said(court, "audit", "comply", "fraud", "--profile", "four-eyes", code=1)
        assert re.search(r"not met +fraud@3  Somebody who did not register it", told)
    finally:
        court.put(tip)
    world.model("churn").version().commit()
    told = world.cli("audit", "comply", "churn", "--profile", "four-eyes").stdout
    assert "no version of churn was ever deployed" in told
    assert "0 met, 0 not met, 2 not checked" in told


PROFILE = """\
kind: AuditProfile
schema_version: 1
name: ours
versions: all
requirements:
- {id: words, title: Words, documentation: [card.description, card.license]}
- {id: never, title: Never in archived, event: {type: stage_transition, to: archived}}
- {id: two, title: Two approvals, approvals: {of: model_deployed, count: 2, independent: false, roles: [admin]}}
- {id: kept, title: Kept, retention: {days: 36500, bytes: true}}
"""


def test_a_profile_of_ones_own(court: Courtroom, tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(PROFILE)
    data = json.loads(said(court, "audit", "comply", "fraud", "--profile", str(file), "--json", code=1))
    found = {(one["requirement"], one["version"]): one["outcome"] for one in data["answers"]}
    assert found["words", 1] == "not met"
    assert (found["never", 1], found["never", 2]) == ("met", "not met")
    assert (found["two", 3], found["two", 4]) == ("not met", "not checked")
    assert found["kept", 1] == "met"
    assert data["met"] is False


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("versions: all", "versions: some"), "ours.yaml:4:"), (("title: Words, ", "title: Words, x: 1, "), "ours.yaml:6:"),
        (("kind: AuditProfile", "kind: Policy"), "kind must be"), (("id: two", "id: words"), "two requirements are named"),
        (("documentation: [card.description, card.license]", "source: x"), "exactly one thing"), (("model_deployed", "model_shipped"), "there is no event model_shipped"),
        (("card.license", "card.licence"), "there is no field card.licence"),
    ],
)  # fmt: skip
def test_a_profile_is_read_strictly(court: Courtroom, tmp_path: Path, change: tuple[str, str], told: str) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(PROFILE.replace(*change))
    assert told in said(court, "audit", "comply", "fraud", "--profile", str(file), code=2)
