"""Tampering of every kind is found, with its commit; honest histories hold, and what is not proved is said."""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from builder import World, cli
from courtroom import Courtroom, rules
from forging import Draft
from workshop import Workshop

from gitops_registry import paths
from gitops_registry.auditing.checkpoint import Checkpoint, read, write
from gitops_registry.auditing.verification import Verification
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.kinds import ForgeSettings
from gitops_registry.manifest.writing import dump
from gitops_registry.workplace import Workplace


@pytest.fixture
def court(shop: Workshop, tmp_path: Path) -> Courtroom:
    """Where histories are looked at."""
    return Courtroom(tmp_path, shop)


def test_an_edited_version_is_found_with_the_commit_that_edited_it(court: Courtroom, shop: Workshop) -> None:
    path = paths.version_path("fraud", 2)
    text = court.put(shop.tip).git("show", f"main:{path}").replace("0.96", "0.99")
    forged = shop.commit(shop.alice, {path: text.encode()})
    found = court.look(forged)
    assert "immutable" in rules(found)
    assert {one.commit for one in found} == {forged}


def test_a_forged_author_is_found(court: Courtroom, shop: Workshop) -> None:
    registered = shop.registration("fraud")
    forged = shop.commit(shop.dan, registered, author="Alice <alice@example.com>")
    assert rules(court.look(forged)) == {"author"}
    unsigned = shop.forge.unsigned(shop.commit(shop.alice, registered, message="register fraud 6"))
    (breach,) = court.look(unsigned)
    assert (breach.rule, breach.commit) == ("signature", unsigned)
    assert "nobody signed it" in breach.message
    stranger = shop.commit(shop.mallory, registered)
    assert rules(court.look(stranger)) == {"signature"}


def test_a_removed_approval_is_found(court: Courtroom, shop: Workshop) -> None:
    serve = shop.promotion("fraud@3", "production")
    assert court.look(shop.landed(shop.bob, serve, approved=shop.carol), policies=True) == []
    assert rules(court.look(shop.landed(shop.bob, serve))) == {"approvals"}
    own = shop.landed(shop.bob, serve, approved=shop.bob)
    assert rules(court.look(own)) == {"approvals"}, "whoever wrote it approved it"


def test_an_approval_of_another_plan_or_before_another_decision_counts_for_nothing(
    court: Courtroom, shop: Workshop
) -> None:
    head = shop.commit(shop.bob, shop.promotion("fraud@3", "production"))
    replayed = shop.approval(shop.carol, head, plan="0" * 64)
    assert rules(court.look(shop.landing(shop.bob, replayed))) == {"approvals"}
    old = shop.approval(shop.carol, head, base=shop.tip)
    between = shop.landed(shop.bob, shop.promotion("fraud@2", "archived"))
    assert "approvals" in rules(court.look(shop.landing(shop.bob, old, base=between)))
    elsewhere = shop.landed(shop.eve, shop.promotion("churn@2", "archived"))
    assert court.look(shop.landing(shop.bob, old, base=elsewhere)) == [], "an unrelated decision voids nothing"


def test_a_number_that_is_used_again_is_found(court: Courtroom, shop: Workshop) -> None:
    files = [
        path for path in shop.forge.files(shop.tip) if path.startswith(("models/fraud/versions/4/", "cards/fraud/v4."))
    ]
    gone = shop.commit(shop.alice, dict.fromkeys(files))
    assert "numbering" in rules(court.look(gone))
    again = shop.commit(shop.alice, {path: shop.forge.files(shop.tip)[path] for path in files}, base=gone)
    told = [one for one in court.look(again) if one.commit == again and one.rule == "numbering"]
    assert told
    assert "the number was given in" in told[0].message


def test_a_name_that_is_spent_and_given_again_is_found(court: Courtroom, shop: Workshop) -> None:
    files = [path for path in shop.forge.files(shop.tip) if path.startswith(("models/churn/", "cards/churn/"))]
    gone = shop.commit(shop.alice, dict.fromkeys(files))
    again = shop.commit(shop.alice, {path: shop.forge.files(shop.tip)[path] for path in files}, base=gone)
    found = court.look(again)
    assert {one.commit for one in found if one.rule == "names"} == {gone, again}


def test_a_permission_is_that_of_the_decision_before(court: Courtroom, shop: Workshop) -> None:
    serve = shop.landed(shop.dan, shop.promotion("fraud@4", "staging"))
    (breach,) = [one for one in court.look(serve) if one.rule == "permissions"]
    assert breach.message == "dan may not deploy for fraud"
    raised = shop.members(lambda access: access.model_copy(update={"members": tuple(
        m.model_copy(update={"role": "admin"}) if m.name == "dan" else m for m in access.members
    )}))  # fmt: skip
    assert "permissions" in rules(court.look(shop.landed(shop.dan, raised)))


# ── bytes and the chain


def test_changed_bytes_of_an_object_are_found(court: Courtroom, shop: Workshop, tmp_path: Path) -> None:
    court.put(shop.tip)
    blob = court.git("rev-parse", f"main:{paths.version_path('fraud', 1)}").strip()
    text = court.git("cat-file", "blob", blob).replace("0.95", "0.99").encode()
    file = court.root / "objects" / blob[:2] / blob[2:]
    file.parent.mkdir()
    file.write_bytes(zlib.compress(b"blob %d\0" % len(text) + text))
    (court.root / "objects/info/alternates").write_text(f"{shop.root}/.git/objects\n")
    found = court.look(objects=True)
    assert "objects" in rules(found)
    assert any(blob[2:] in one.message for one in found)


def test_a_commit_whose_bytes_are_not_its_own_breaks_the_chain(court: Courtroom, shop: Workshop) -> None:
    court.put(shop.tip)
    data = shop.forge.git("cat-file", "commit", shop.tip).replace(b"\nparent ", b"\nparent ", 1)
    data = re.sub(rb"committer ([^<]*)", rb"committer Somebody ", data, count=1)
    file = court.root / "objects" / shop.tip[:2] / shop.tip[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(zlib.compress(b"commit %d\0" % len(data) + data))
    try:
        found = court.look()
    except RegistryError:
        return  # git itself noticed
    assert {"chain", "signature"} & rules(found)


def test_grafts_that_hide_decisions_break_the_chain(court: Courtroom, shop: Workshop) -> None:
    court.put(shop.tip)
    line = court.git("rev-list", "--first-parent", "main").split()
    (court.root / "info").mkdir(exist_ok=True)
    (court.root / "info/grafts").write_text(f"{line[2]} {line[5]}\n")
    found = court.look()
    assert "chain" in rules(found)
    assert line[2] in {one.commit for one in found}


def test_replaced_objects_are_not_looked_at(court: Courtroom, shop: Workshop) -> None:
    court.put(shop.tip)
    other = shop.commit(shop.mallory, {"registry.yaml": b"x"})
    court.git("update-ref", f"refs/replace/{shop.tip}", other)
    assert court.look() == []


def test_parents_that_are_swapped_are_found(court: Courtroom, shop: Workshop) -> None:
    head = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    tree = shop.forge.edited(head, {})
    foxtrot = shop.forge.commit(shop.bob, Draft(tree, [head, shop.tip], "land"))
    assert {"direct", "landing"} & rules(court.look(foxtrot))


# ── anchors


def test_a_history_goes_on_from_its_checkpoint(court: Courtroom, shop: Workshop) -> None:
    kept = court.checkpoint(shop.marks["2 serves"])
    assert court.look(shop.tip, checkpoint=kept) == []
    assert court.look(shop.marks["2 serves"], checkpoint=kept) == []


def test_a_rewritten_history_is_found_by_its_checkpoint(court: Courtroom, shop: Workshop) -> None:
    kept = court.checkpoint(shop.tip)
    back = court.look(shop.marks["2 serves"], checkpoint=kept)
    assert [(one.rule, one.commit) for one in back] == [("rewritten", shop.tip)]
    again = shop.landed(
        shop.bob, shop.promotion("fraud@4", "staging", base=shop.marks["2 serves"]), base=shop.marks["2 serves"]
    )
    assert rules(court.look(again, checkpoint=kept)) == {"rewritten"}
    with pytest.raises(RegistryError, match="does not go on from the checkpoint"):
        court.registry.export_log(since=_written(kept, court.root / "cp.json"))


def test_another_root_is_found(court: Courtroom, shop: Workshop) -> None:
    court.put(shop.tip).git("config", "gitops-registry.root", shop.bob.fingerprint)
    (breach,) = court.look()
    assert breach.rule == "root"
    assert shop.alice.fingerprint in breach.message


def test_a_checkpoint_is_signed_and_what_was_changed_in_it_is_found(court: Courtroom, shop: Workshop) -> None:
    for what, value in {
        "user.name": "Alice",
        "user.email": "alice@example.com",
        "gpg.format": "ssh",
        "user.signingKey": str(shop.alice.key),
    }.items():
        court.git("config", what, value)
    kept = court.checkpoint(shop.tip)
    place = Workplace.open(court.root)
    assert str(kept.signature(place.witnesses, place.snapshot("main"))) == "signed by alice"
    assert court.look(checkpoint=kept) == []
    forged = replace(kept, events=replace(kept.events, count=1))
    assert rules(court.look(checkpoint=forged)) == {"checkpoint"}
    court.git("config", "user.signingKey", str(shop.mallory.key))
    assert rules(court.look(checkpoint=court.checkpoint(shop.tip))) == {"checkpoint"}, "signed by nobody we know"


def test_an_export_goes_on_from_no_checkpoint_that_was_changed(court: Courtroom, shop: Workshop) -> None:
    """What went on from it would be signed anew, and nobody would see any more what was changed."""
    kept = court.checkpoint(shop.tip)
    for forged, told in (
        (replace(kept, events=replace(kept.events, count=1)), "not as it was signed"),
        (replace(kept, registry="other", signed=b""), "is of the registry other"),
    ):
        with pytest.raises(RegistryError, match=told):
            court.registry.export_log(since=_written(forged, court.root / "forged.json"))
    court.registry.export_log(since=_written(kept, court.root / "kept.json"))


def test_an_export_that_goes_on_forgets_no_tag(court: Courtroom, shop: Workshop) -> None:
    court.put(shop.tip).git("tag", "fraud@v1", shop.marks["fraud@1"])
    file = _written(court.checkpoint(shop.tip), court.root / "kept.json")
    court.registry.export_log(since=file)
    court.git("tag", "--force", "fraud@v1", shop.marks["fraud@2"])
    with pytest.raises(RegistryError, match="the tag fraud@v1 of the checkpoint is moved"):
        court.registry.export_log(since=file)
    court.git("tag", "--delete", "fraud@v1")
    with pytest.raises(RegistryError, match="the tag fraud@v1 of the checkpoint is not here any more"):
        court.registry.export_log(since=file)


def test_an_unsigned_checkpoint_is_said_to_be_one(court: Courtroom, shop: Workshop) -> None:
    kept = court.checkpoint(shop.tip)
    looked = Verification(Workplace.open(court.root), kept, objects=False)
    assert list(looked.breaches()) == []
    assert any("not signed" in note.message for note in looked.notes)


def test_a_deleted_and_a_moved_tag_are_found(court: Courtroom, shop: Workshop) -> None:
    court.put(shop.tip).git("tag", "fraud@v1", shop.marks["fraud@1"])
    court.git("tag", "churn@v1", shop.marks["churn@1"])
    kept = court.checkpoint(shop.tip)
    assert court.look(checkpoint=kept) == []
    court.git("tag", "--delete", "fraud@v1")
    (breach,) = court.look(checkpoint=kept)
    assert breach.rule == "tags"
    assert "the tag fraud@v1 was deleted" in breach.message
    court.git("tag", "fraud@v1", shop.marks["fraud@2"])
    assert len([one for one in court.look(checkpoint=kept) if one.rule == "tags"]) == 2, (
        "moved, and it marks another version"
    )
    assert [one.rule for one in court.look()] == ["tags"], "without a checkpoint the mark alone is wrong"


def test_what_the_server_took_must_still_be_there(court: Courtroom, shop: Workshop) -> None:
    record = court.root / "gitops-registry/received.jsonl"
    record.parent.mkdir(exist_ok=True)
    refs = [{"ref": "refs/heads/main", "old": shop.marks["2 serves"], "new": shop.tip}]
    record.write_text(json.dumps({"time": "2026-11-20T10:00:00Z", "result": "accepted", "refs": refs}) + "\n")
    assert court.look(shop.tip) == []
    assert rules(court.look(shop.marks["2 serves"])) == {"rewritten"}


def test_a_record_of_refused_pushes_that_lost_lines_is_found(court: Courtroom, shop: Workshop) -> None:
    record = court.root / "gitops-registry/denials.jsonl"
    record.parent.mkdir(exist_ok=True)
    lines = [
        json.dumps(
            {
                "time": f"2026-11-20T10:00:0{n}Z",
                "result": "refused",
                "refs": [],
                "reasons": [{"rule": "x", "message": f"no {n}"}],
            }
        )
        for n in range(3)
    ]
    record.write_text("\n".join([*lines, ""]))
    kept = court.checkpoint(shop.tip)
    assert kept.refusals.count == 3
    assert court.look(checkpoint=kept) == []
    record.write_text("\n".join([lines[0], lines[2], ""]))
    assert rules(court.look(checkpoint=kept)) == {"record"}
    with pytest.raises(RegistryError, match="server's record"):
        list(court.registry.export_log(since=_written(kept, court.root / "cp.json")).lines())


def _written(kept: Checkpoint, file: Path) -> Path:
    write(kept, file)
    assert read(file) == kept
    return file


# ── keys and time


def test_a_registry_before_members_had_keys_is_claimed_and_does_not_fail(world: World) -> None:
    world.model("fraud").version().commit()
    looked = world.registry.verify_log(objects=False)
    assert list(looked.breaches()) == []
    assert looked.grades == {"claimed": 2}
    assert any("no keys at that time" in note.message for note in looked.notes)
    assert any("no anchor" in note.message for note in looked.notes)


def test_an_expired_key_is_judged_when_the_server_received_it(court: Courtroom, shop: Workshop) -> None:
    registered = shop.registration("fraud")
    back_dated = shop.commit(shop.gus, registered, date=1_700_000_000)
    assert "signature" not in rules(court.look(back_dated)), "by its own date the key was good"
    record = court.root / "gitops-registry/received.jsonl"
    record.parent.mkdir(exist_ok=True)
    refs = [{"ref": "refs/heads/main", "old": shop.tip, "new": back_dated}]
    record.write_text(json.dumps({"time": "2026-11-20T10:00:00Z", "result": "accepted", "refs": refs}) + "\n")
    assert "signature" in rules(court.look(back_dated))


def test_verify_reads_no_cache(court: Courtroom, shop: Workshop) -> None:
    forged = shop.forge.unsigned(shop.commit(shop.alice, shop.registration("fraud")))
    court.put(forged)
    list(court.registry.log())
    file = court.root / "gitops-registry/events.sqlite"
    before = (file.stat().st_mtime_ns, file.read_bytes())
    assert rules(court.look()) == {"signature"}
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before


def test_a_shallow_clone_cannot_be_verified(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    clone = world.clone(tmp_path / "shallow", "--depth=1")
    done = cli(clone.root, "audit", "verify")
    assert done.returncode == 2
    assert "git fetch --unshallow" in done.stderr


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"kind": "Other"}', '{"kind": "AuditCheckpoint", "schema_version": 9}', "[" * 100_000]
)
def test_a_file_that_is_no_checkpoint_is_refused_with_a_hint(world: World, tmp_path: Path, text: str) -> None:
    file = tmp_path / "cp.json"
    file.write_text(text)
    done = cli(world.root, "audit", "verify", "--checkpoint", str(file), environment=dict(os.environ))
    assert done.returncode == 2
    assert "hint: name a file that gitops-registry audit export --checkpoint FILE wrote" in done.stderr
    assert "Traceback" not in done.stderr


# ── what an auditor's adversary would try


def reviewed(shop: Workshop, member: str, head: str, plan: str = "") -> str:
    """Return the message of a merge that writes a review down."""
    plan = plan or shop.digest(shop.tip, head)
    return f"land\n\nProposal: promote/x\nAttested-Approval: {member} github:7 review:8 commit:{head} plan:{plan}"


def on_a_forge(shop: Workshop) -> str:
    """Return a decision that puts the registry on a forge."""
    law = shop.at().constitution.model_copy(update={"forge": ForgeSettings(kind="github"), "direct": True})
    return shop.landed(shop.alice, {"registry.yaml": dump(law, "registry.yaml")}, approved=shop.carol)


def test_a_review_that_a_merger_made_up_counts_for_nothing_where_there_is_no_forge(
    court: Courtroom, shop: Workshop
) -> None:
    assert shop.at().constitution.forge is None
    head = shop.commit(shop.bob, shop.promotion("fraud@3", "production"))
    made_up = shop.landing(shop.bob, head, message=reviewed(shop, "carol", head))
    assert rules(court.look(made_up)) == {"approvals"}
    (approval,) = next(court.registry.log("fraud")).approvals or ()
    assert approval.problem == "this registry is on no forge"


def test_a_review_counts_for_its_plan_and_by_those_who_may(court: Courtroom, shop: Workshop) -> None:
    base = on_a_forge(shop)
    head = shop.commit(shop.bob, shop.promotion("fraud@3", "production", base=base), base=base)
    plan = shop.digest(base, head)
    good = shop.landing(shop.bob, head, base=base, message=reviewed(shop, "carol", head, plan))
    looked = Verification(Workplace.open(court.put(good).root), objects=False)
    assert list(looked.breaches()) == []
    assert any("reviews on a forge" in note.message for note in looked.notes)
    for member, digest in (("carol", "0" * 64), ("dan", plan), ("bob", plan), ("nobody", plan), ("rob", plan)):
        bad = shop.landing(shop.bob, head, base=base, message=reviewed(shop, member, head, digest))
        assert rules(court.look(bad)) == {"approvals"}, member


def test_a_forges_button_is_a_note_and_with_strict_a_breach(court: Courtroom, shop: Workshop) -> None:
    base = on_a_forge(shop)
    head = shop.commit(shop.bob, shop.promotion("fraud@4", "staging", base=base), base=base)
    signed = shop.landing(shop.bob, head, base=base, message="Merge pull request #5 from bob/x\n\nx")
    pressed = shop.forge.unsigned(signed)
    looked = Verification(Workplace.open(court.put(pressed).root), objects=False)
    assert list(looked.breaches()) == []
    assert any("cannot be verified offline" in note.message for note in looked.notes)
    event = next(court.registry.log())
    assert (event.grade, event.signer) == ("attested", "")
    strict = Verification(Workplace.open(court.root), objects=False, is_strict=True)
    assert [(one.rule, one.commit) for one in strict.breaches()] == [("signature", pressed)]
    stranger = shop.landing(shop.mallory, head, base=base, message="Merge pull request #5 from bob/x\n\nx")
    assert rules(court.look(stranger)) == {"signature"}, "a stranger's signature is no forge's"
    assert next(court.registry.log()).grade == "claimed"


def test_a_registry_that_is_taken_away_for_a_moment_is_found(court: Courtroom, shop: Workshop) -> None:
    law = shop.forge.files(shop.tip)["registry.yaml"]
    gone = shop.commit(shop.alice, {"registry.yaml": None})
    path = paths.version_path("fraud", 1)
    edited = shop.commit(shop.mallory, {path: b"x"}, base=gone)
    back = shop.commit(shop.mallory, {"registry.yaml": law}, base=edited)
    assert {gone, edited, back} <= {one.commit for one in court.look(back)}


def test_whoever_takes_all_keys_away_is_found(court: Courtroom, shop: Workshop) -> None:
    bare = shop.members(
        lambda access: access.model_copy(
            update={"members": tuple(m.model_copy(update={"keys": ()}) for m in access.members)}
        )
    )
    gone = shop.landed(shop.alice, bare, approved=shop.carol)
    after = shop.forge.unsigned(shop.commit(shop.mallory, shop.registration("fraud", base=gone), base=gone))
    found = court.look(after)
    assert [(one.rule, one.commit) for one in found] == [("administrators", gone)]


def test_an_approval_that_was_taken_back_counts_for_nothing(court: Courtroom, shop: Workshop) -> None:
    head = shop.commit(shop.bob, shop.promotion("fraud@3", "production"))
    approved = shop.approval(shop.carol, head)
    rejected = shop.approval(shop.carol, approved, word="Rejects", plan=shop.digest(shop.tip, head))
    assert {"approvals", "objections"} <= rules(court.look(shop.landing(shop.bob, rejected)))
    again = shop.approval(shop.carol, rejected, plan=shop.digest(shop.tip, head))
    assert court.look(shop.landing(shop.bob, again)) == []
    words = next(court.registry.log("fraud")).approvals or ()
    assert [(one.is_rejection, one.problem) for one in words] == [
        (False, ""),
        (True, "carol took it back"),
        (False, ""),
    ]
