"""Older schema versions: read for ever, rewritten by `migrate` in one commit, never told as a change of meaning."""

from __future__ import annotations

import json

import pytest
from builder import World, errors

from gitops_registry import paths
from gitops_registry.errors import ManifestError
from gitops_registry.manifest.kinds import KINDS, Model
from gitops_registry.manifest.migrations import STEPS, upgraded
from gitops_registry.manifest.reading import parse
from gitops_registry.manifest.writing import renewed, revise

OLD = b"# who answers: the risk team\nkind: Model\nschema_version: 1 # since spring\nname: fraud\ntitle: 'Fraud'\nstages: {production: [1]}\n"
PATH = "models/fraud/model.yaml"


def older(world: World) -> World:
    """A registry whose model.yaml is of version 1 and whose other files are as an older release made them."""
    world.model("fraud").version().version().commit()
    ignored = world.read(".gitignore").replace(b"!/models/*/evaluation/*.dvc\n", b"")
    world.commit({PATH: OLD, ".schemas/model.json": b"{}\n", ".gitignore": ignored}, "as it was")
    return world


def test_an_older_file_is_read_as_what_it_means_now() -> None:
    parsed = parse(OLD, PATH, Model)
    assert (parsed.written_for, parsed.document.schema_version) == (1, 2)
    assert parsed.document.stages == {"production": (1,)}
    assert parsed.position("title") == (5, 8)


def test_every_kind_is_read_in_every_version_it_ever_had() -> None:
    for kind in KINDS.values():
        word, current = kind.model_fields["kind"].default, kind.model_fields["schema_version"].default
        for version in range(1, current + 1):
            found = upgraded(word, {"kind": word, "schema_version": version}, current)
            assert found == ({"kind": word, "schema_version": current}, version)
        assert upgraded(word, {"schema_version": current + 1}, current) is None
    assert all(version >= 1 for _, version in STEPS)


@pytest.mark.parametrize("written", ["0", "-1", "3", "1.0", "'1'", "true", "null", "[1]"])
def test_a_version_that_never_was_is_refused(written: str) -> None:
    with pytest.raises(ManifestError, match="schema_version must be 2"):
        parse(f"kind: Model\nschema_version: {written}\nname: fraud\n".encode(), PATH, Model)


def test_what_people_wrote_stays_where_only_the_version_differs() -> None:
    new = renewed(OLD, PATH, Model)
    assert new == OLD.replace(b"schema_version: 1", b"schema_version: 2")
    assert renewed(new, PATH, Model) == new
    assert renewed(b"kind: [", PATH, Model) == b"kind: ["
    odd = b'{"kind": "Model", "schema_version": 1, "name": "fraud"}\n'
    assert renewed(odd, PATH, Model) == odd


def test_a_verb_that_rewrites_an_older_file_writes_the_present_version() -> None:
    model = parse(OLD, PATH, Model).document
    new = revise(OLD, model.model_copy(update={"title": "Payments"}), PATH)
    assert b"schema_version: 2 # since spring" in new
    assert b"# who answers: the risk team" in new
    assert parse(new, PATH, Model).document.title == "Payments"


def test_an_older_registry_is_used_as_it_is(world: World) -> None:
    registry = older(world).registry
    assert registry.resolve("fraud@production").number == 1
    assert registry.check().refusals(frozenset()) == ()
    assert [str(found.reference) for found in registry.search("stage = production")] == ["fraud@1"]
    assert registry.set_alias("fraud", "best", 2, direct=True)
    assert b"schema_version: 2" in world.read(PATH)


def test_migrate_rewrites_what_is_old_in_one_commit_that_changes_no_meaning(world: World) -> None:
    older(world)
    told = world.cli("doctor", check=None).stdout
    assert "file(s) are as an older release wrote them" in told
    assert "gitops-registry migrate" in told
    before = world.git("rev-parse", "HEAD").strip()
    facts = world.read(paths.version_path("fraud", 1))
    plan = json.loads(world.cli("migrate", "--dry-run", "--json").stdout)
    assert world.git("rev-parse", "HEAD").strip() == before
    assert {change["kind"] for change in plan["plan"]["changes"]} == {"registry_changed"}
    world.cli("migrate", "-m", "For the new release.")
    assert world.git("diff", "--name-only", before, "HEAD").split() == [".gitignore", ".schemas/model.json", PATH]
    assert world.read(PATH) == OLD.replace(b"schema_version: 1", b"schema_version: 2")
    assert world.read(paths.version_path("fraud", 1)) == facts
    assert world.git("rev-list", "--count", f"{before}..HEAD").strip() == "1"
    assert "as this release writes them" in world.cli("doctor", check=None).stdout
    assert "nothing changes" in world.cli("migrate").stdout
    assert world.registry.check().refusals(frozenset()) == ()


def test_a_migration_can_be_proposed_and_lands_beside_other_decisions(world: World) -> None:
    registry = older(world).registry
    proposed = registry.migrate(direct=False)
    assert proposed.proposal == "migrate/formats"
    registry.promote("fraud", 2, to="staging", direct=True)
    assert registry.merge("migrate/formats")
    model = registry.snapshot.known_model("fraud")
    assert model.stages == {"production": (1,), "staging": (2,)}
    assert b"schema_version: 2" in world.read(PATH)


def test_a_newer_file_says_that_a_newer_release_is_needed(world: World) -> None:
    older(world)
    report = world.judged({PATH: OLD.replace(b"version: 1", b"version: 3")})
    assert errors(report) == {"schema"}
    assert "a newer gitops-registry is needed" in report.findings[0].hint


def test_a_line_that_keeps_things_out_is_nobodys_to_move(world: World) -> None:
    older(world)
    mine = world.read(".gitignore").replace(b"/models/**\n", b"/models/**   \n") + b"!fixtures/*.h5\n"
    world.commit({".gitignore": mine})
    world.registry.migrate(direct=True)
    assert world.read(".gitignore") == mine + b"!/models/*/evaluation/*.dvc\n"
    assert world.registry.migrate(direct=True).commit is None


def test_a_file_that_is_spelled_in_a_way_of_its_own_stays(world: World) -> None:
    world.model("fraud").version().commit()
    odd = b'# mine\nkind: Model\n"schema_version": 1\nname: fraud\n'
    world.commit({PATH: odd})
    world.registry.migrate(direct=True)
    assert world.read(PATH) == odd
