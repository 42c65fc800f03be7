"""Importing a real MLflow registry: every field, every commit, what is refused, what is left out, killed and continued."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builder import FLOORS, World, asked, cli, dvc, errors

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.importing import Imported
from gitops_registry.manifest.facts import Code, Framework
from gitops_registry.mlflow_source import Address, address
from gitops_registry.starting import Start


@pytest.fixture(scope="session")
def built(mlflow_made: Path) -> Path:
    """A folder with a real MLflow registry; only looked at."""
    return mlflow_made


@pytest.fixture(scope="session")
def imported(built: Path, template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Imported]:
    """A registry that all of it was imported into; only looked at."""
    world = World(tmp_path_factory.mktemp("imported") / "world", template=template)
    return world, world.registry.import_mlflow(f"mlflow:{built}/mlflow.db")


def theirs(built: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    """Ask MLflow's database."""
    database = sqlite3.connect(built / "mlflow.db")
    try:
        return database.execute(query, values).fetchall()
    finally:
        database.close()


def notes(result: Imported, name: str, number: int = 0) -> str:
    return "\n".join(note for e in result.entries if (e.name, e.number) == (name, number) for note in e.notes)


def states(result: Imported, theirs: str) -> dict[int, str]:
    return {entry.number: entry.state for entry in result.entries if entry.theirs == theirs and entry.number}


# ── what comes


def test_versions_keep_their_numbers_stages_aliases_words_and_times(
    imported: tuple[World, Imported], built: Path
) -> None:
    world, _ = imported
    snapshot = world.registry.snapshot
    model = snapshot.known_model("iris")
    assert snapshot.versions("iris") == (1, 3, 4, 6)
    assert model.deleted == (2, 5, 7), "what MLflow deleted is never given again, the last one too"
    assert model.description == "Which iris it is.\nアヤメ"
    assert model.tags == {"domain": "flowers"}
    assert model.title == ""
    assert model.aliases == {"champion": 4, "old-one": 1}
    assert {n: model.stage_of(n) for n in (1, 3, 4, 6)} == {1: "archived", 3: "archived", 4: "staging", 6: "staging"}
    for number in (1, 3, 4, 6):
        version, card = snapshot.version("iris", number), snapshot.card("iris", number)
        ((created, run),) = theirs(
            built, "SELECT creation_time, run_id FROM model_versions WHERE name='iris' AND version=?", number
        )
        assert version is not None
        assert version.created == datetime.fromtimestamp(int(str(created)) / 1000, UTC)
        assert version.lineage is not None
        assert version.lineage.run == f"mlflow:{run}"
        assert version.task == "other"
        assert version.metrics == {"accuracy": 0.6 if number < 4 else 0.7}
        assert version.claimed == ("accuracy",)
        assert version.params["max_depth"] == (1 if number < 4 else 2)
        assert version.params["seed"] == "007"
        assert version.params.get("note") == (None if number < 4 else "short")
        assert version.framework == Framework(name="scikit-learn", version="1.9.1")
        assert version.model_type == "DecisionTreeClassifier"
        assert version.training is not None
        assert version.training.code == Code(commit="a" * 40)
        assert version.signature is not None
        assert [column.type for column in version.signature.inputs] == ["double"] * 4
        assert [column.type for column in version.signature.outputs] == ["long"]
        assert version.environment is not None
        assert "scikit-learn==1.9.1" in version.environment.requirements
        assert [(a.name, a.file, a.format, a.files) for a in version.artifacts] == [("model", "model", "mlflow", 5)]
        assert card.description == f"Take {number}."
        assert card.tags == {"take": str(number)}


def test_each_version_is_a_commit_that_says_where_it_came_from(imported: tuple[World, Imported], built: Path) -> None:
    world, result = imported
    for entry in result.entries:
        assert (entry.commit is not None) == (entry.state == "imported")
        if entry.commit and entry.number:
            subject, body = world.git("show", "-s", "--format=%s%n%b", entry.commit).split("\n", 1)
            assert subject == f"import {entry.name} {entry.number}"
            assert f"Version {entry.number} of {entry.theirs!r} in {built}/mlflow.db" in body
            assert all(note in body for note in entry.notes if "left out" in note)
            touched = world.git("show", "--name-only", "--format=", entry.commit).split()
            assert f"models/{entry.name}/versions/{entry.number}/version.yaml" in touched
            assert not any(f"/versions/{entry.number}/" not in path for path in touched if "/versions/" in path)
    assert world.git("status", "--porcelain") == ""
    assert world.git("for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]
    events = list(world.registry.log("iris"))
    assert len(events) == 4


def test_what_was_imported_passes_the_check_and_its_bytes_are_mlflows(
    imported: tuple[World, Imported], built: Path, tmp_path: Path
) -> None:
    world, _ = imported
    assert errors(world.registry.check()) == set()
    world.registry.pull("iris@4", to=tmp_path / "out")
    found = {path.name: path.read_bytes() for path in (tmp_path / "out" / "model").iterdir()}
    ((source,),) = theirs(built, "SELECT source FROM model_versions WHERE name='iris' AND version=4")
    assert found == {path.name: path.read_bytes() for path in Path(str(source).removeprefix("file://")).iterdir()}
    assert "skops" in " ".join(found)


def test_a_stage_that_serves_is_not_taken_over_and_the_way_to_it_is_told(imported: tuple[World, Imported]) -> None:
    _, result = imported
    assert "gitops-registry promote iris 4 --to production" in notes(result, "iris", 4)
    assert "production refused it: floors/known-task:" in notes(result, "iris", 4)
    assert "production takes one version, and 4 is newer; it is in archived" in notes(result, "iris", 3)


def test_names_that_cannot_be_here_are_spelled_anew_and_kept_as_titles(imported: tuple[World, Imported]) -> None:
    world, result = imported
    found = {entry.theirs: entry.name for entry in result.entries}
    assert found["credit model"] == "credit_x20_model"
    assert found["templates"] == "m_x_templates"
    assert found["a_x41_b"] == "a_x5F_x41_b"
    assert found["Iris"] == "m_x__x__x49_ris", "iris is older"
    for name in ("credit model", "信用リスク", "Iris", "templates", "a_x41_b"):
        assert world.registry.snapshot.known_model(found[name]).title == name
    assert world.registry.snapshot.known_model("empty").description == "Nothing yet."


def test_what_does_not_fit_is_named(imported: tuple[World, Imported]) -> None:
    _, result = imported
    assert "no finite number: metric 'loss', 'worst'" in notes(result, "iris", 1)
    assert "param 'note'" in notes(result, "iris", 1)
    assert "param 'note'" not in notes(result, "iris", 4)
    assert "tag 'odd'" in notes(result, "iris")
    assert "the alias 'staging' of version 3 is no name" in notes(result, "iris")
    assert not result
    assert result.count("refused") == 1


# ── attacks


def test_bytes_are_read_only_where_they_may_be(imported: tuple[World, Imported]) -> None:
    world, result = imported
    assert states(result, "hostile") == {n: "imported" if n in {5, 8} else "left out" for n in range(1, 9)}
    assert "leaves the folder" in notes(result, "hostile", 1)
    assert "leaves the folder" in notes(result, "hostile", 2)
    assert "--artifacts" in notes(result, "hostile", 3)
    assert "of a kind that is not read (http:)" in notes(result, "hostile", 4)
    assert "symbolic link" in notes(result, "hostile", 6)
    assert "no model folder /etc" in notes(result, "hostile", 7)
    assert world.registry.snapshot.known_model("hostile").deleted == (1, 2, 3, 4, 6, 7)


def test_a_yaml_bomb_is_not_expanded_and_its_version_comes_without_facts(imported: tuple[World, Imported]) -> None:
    world, result = imported
    assert "anchor &a is not accepted" in notes(result, "hostile", 5)
    version = world.registry.snapshot.version("hostile", 5)
    assert version is not None
    assert version.framework is None


def test_control_characters_and_ten_megabytes_of_a_tag_reach_no_file(imported: tuple[World, Imported]) -> None:
    world, result = imported
    snapshot = world.registry.snapshot
    version, card = snapshot.version("hostile", 8), snapshot.card("hostile", 8)
    assert version is not None
    assert version.author.name == "eve [31m"
    assert card.description.startswith("fine")
    assert card.description.isprintable()
    assert "huge" not in card.tags
    assert "tag 'huge'" in notes(result, "hostile", 8)
    assert "\x1b" not in world.git("log", "--format=%B")
    assert all(len(world.read(path)) < 1 << 20 for path in snapshot.files("models") if path.endswith(".yaml"))


def test_a_name_that_climbs_and_a_number_far_away_do_no_harm(imported: tuple[World, Imported]) -> None:
    world, result = imported
    assert states(result, "../../x") == {1: "left out"}
    assert "899,999,999 numbers before version 900000000 are missing" in notes(result, "far", 900_000_000)
    assert notes(result, "far", -3) == "-3 is no number that a version can have"
    assert "far" not in world.registry.snapshot.models()
    assert not (world.root.parent / "x").exists()


# ── again, killed, changed


def test_the_dry_run_tells_the_same_and_writes_nothing(
    imported: tuple[World, Imported], built: Path, world: World
) -> None:
    _, real = imported
    before = world.git("rev-parse", "HEAD")
    done = asked(world, "import", f"mlflow://{built}/mlflow.db", "--dry-run", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    shown = [(e["theirs"], e["number"], e["name"], e["stage"]) for e in told["versions"] if e["state"] == "imported"]
    for name, number in (("hostile", 6), ("awaited", 2), ("awaited", 3)):  # nothing is read, nothing fetched
        shown.remove((name, number, name, "development"))
    assert shown == [(e.theirs, e.number, e.name, e.stage) for e in real.entries if e.state == "imported"]
    assert world.git("rev-parse", "HEAD") == before
    assert world.git("status", "--porcelain") == ""
    assert not list((world.root / ".dvc").rglob("*.dir"))


def test_importing_again_brings_only_what_is_new(built: Path, world: World, tmp_path: Path) -> None:
    there = tmp_path / "mlflow"
    shutil.copytree(built, there)
    first = world.registry.import_mlflow(f"mlflow:{there}", models=["iris"])
    assert bool(first)
    tip = world.git("rev-parse", "HEAD")
    again = world.registry.import_mlflow(f"mlflow:sqlite:///{there}/mlflow.db", models=["iris"])
    assert again
    assert again.count("present") == 4
    assert world.git("rev-parse", "HEAD") == tip, "nothing was written"
    world.registry.set_alias("iris", "champion", 6)
    from mlflow import MlflowClient

    uri = f"sqlite:///{there}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    folder = next((there / "mlruns" / "models").glob("m-*/artifacts"))
    new = client.create_model_version("iris", folder.as_uri())
    client.set_registered_model_alias("iris", "newest", new.version)
    third = world.registry.import_mlflow(f"mlflow:{there}", models=["iris"])
    assert states(third, "iris") == {1: "present", 3: "present", 4: "present", 6: "present", 8: "imported"}
    assert "the alias champion names version 6 here and 4 there; it stays" in notes(third, "iris")
    model = world.registry.snapshot.known_model("iris")
    assert model.aliases == {"champion": 6, "old-one": 1, "newest": 8}
    assert model.deleted == (2, 5, 7)


@pytest.fixture(scope="session")
def killed(built: Path, template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, object]]:
    """A registry whose import was killed before iris@4, and what was so in that process until then."""
    world = World(tmp_path_factory.mktemp("killed") / "world", template=template)
    code = f"""
import json, os, signal, socket, sys
from gitops_registry import Registry, importing
importing._AT_ONCE = 1
sent = []
socket.socket.connect = lambda *to: sent.append(to)
def told(what, done, total):
    if what == 'iris@4':
        from mlflow.telemetry.utils import is_telemetry_disabled
        loaded = {{name.split('.')[0] for name in sys.modules}}
        so = {{'is_quiet': is_telemetry_disabled() and not sent, 'builds': sorted(loaded & {{'skops', 'sklearn', 'joblib'}})}}
        print(json.dumps(so), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
Registry.open({str(world.root)!r}, progress=told).import_mlflow('mlflow:{built}', models=['iris'])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stderr == ""
    return world, json.loads(done.stdout)


def test_telemetry_is_off_no_connection_is_made_and_no_model_is_built(killed: tuple[World, dict[str, object]]) -> None:
    assert killed[1] == {"is_quiet": True, "builds": []}


def test_a_killed_import_keeps_what_was_committed_and_goes_on(
    killed: tuple[World, dict[str, object]], built: Path, tmp_path: Path
) -> None:
    world = World(tmp_path / "world", template=killed[0].root)
    assert world.registry.snapshot.versions("iris") == (1, 3)
    assert world.git("status", "--porcelain") == ""
    result = world.registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    assert states(result, "iris") == {1: "present", 3: "present", 4: "imported", 6: "imported"}
    model = world.registry.snapshot.known_model("iris")
    assert (model.deleted, model.aliases) == ((2, 5, 7), {"champion": 4, "old-one": 1})
    assert errors(world.registry.check()) == set()


def test_interrupting_lands_what_is_ready(built: Path, world: World) -> None:
    def told(what: str, _done: int, _total: int) -> None:
        if what == "iris@6":
            raise KeyboardInterrupt

    registry = type(world.registry).open(world.root, progress=told)
    with pytest.raises(KeyboardInterrupt):
        registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    assert world.registry.snapshot.versions("iris") == (1, 3, 4)


def test_a_model_of_that_name_that_came_from_elsewhere_is_refused_as_a_whole(built: Path, world: World) -> None:
    world.model("iris").version().commit()
    before = world.git("rev-parse", "HEAD")
    result = world.registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    assert [(entry.number, entry.state) for entry in result.entries] == [(0, "refused")]
    assert "its version 1 is another one" in notes(result, "iris")
    assert not result
    assert world.git("rev-parse", "HEAD") == before
    world.registry.rename("iris", "our-iris")
    renamed = world.registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    assert "our-iris is here already" in notes(renamed, "iris"), "the old name means the renamed model"


def test_a_version_that_could_not_be_fetched_now_keeps_its_number(imported: tuple[World, Imported]) -> None:
    world, result = imported
    assert set(states(result, "awaited").values()) == {"left out"}
    assert "its artifacts cannot be located: Run with id=0" in notes(result, "awaited", 1), "it is gone for ever"
    assert "its artifacts cannot be downloaded: " in notes(result, "awaited", 2)
    assert notes(result, "awaited", 3) == "it waits for 2, whose number it would spend"
    assert "awaited" not in world.registry.snapshot.models()


def test_a_store_that_cannot_be_reached_ends_the_import_and_spends_no_number(built: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world", start=Start(name="world", storage=str(tmp_path / "store")))
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(RegistryError, match="cannot store artifacts"):
        world.registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    assert world.registry.snapshot.models() == ()
    (tmp_path / "store").unlink()
    assert world.registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    assert world.registry.snapshot.versions("iris") == (1, 3, 4, 6)


# ── stages


def test_an_administrator_takes_stages_over_as_they_are_and_the_commit_says_so(built: Path, world: World) -> None:
    result = world.registry.import_mlflow(f"mlflow:{built}", models=["iris"], keep_stages=True)
    assert result
    model = world.registry.snapshot.known_model("iris")
    assert model.stages == {"archived": (1, 3), "production": (4,), "staging": (6,)}
    commit = next(entry.commit for entry in result.entries if entry.number == 4)
    body = world.git("show", "-s", "--format=%b", str(commit))
    assert "Taken over as it is, although the check refuses it:" in body
    assert "- floors/known-task: nothing says what a model for other must reach" in body
    assert "- cards: the card lacks intended_use" in body


def test_a_version_that_the_rules_accept_serves_at_once(built: Path, world: World, tmp_path: Path) -> None:
    rules = FLOORS.replace(b"floors: {", b"floors: {other: {}, ", 1)
    rules = rules.replace(b"{candidate.task: other}", b"{candidate.task: another}")
    world.commit({"policies/floors.yaml": rules}, "let others serve")
    there = tmp_path / "mlflow"
    shutil.copytree(built, there)
    with sqlite3.connect(there / "mlflow.db") as database:
        for key in ("intended_use", "limitations", "training_data"):
            values = (key, f"Said under {key}.")
            database.execute(
                "INSERT INTO model_version_tags (name, version, key, value, workspace) VALUES ('iris', 4, ?, ?, 'default')",
                values,
            )
    database.close()
    result = world.registry.import_mlflow(f"mlflow:{there}", models=["iris"])
    assert {entry.number: entry.stage for entry in result.entries if entry.number}[4] == "production"
    assert world.registry.resolve("iris@production").number == 4
    card = world.registry.snapshot.card("iris", 4)
    assert (card.limitations, card.tags) == ("Said under limitations.", {"take": "4"})
    subjects = world.git("log", "--format=%s", "--reverse").splitlines()
    assert subjects[-4:] == ["import iris 3", "import iris 4", "promote iris 4 to production", "import iris 6"]
    assert errors(world.registry.check()) == set()


def test_a_team_that_takes_proposals_only_gets_every_version_in_the_first_stage(built: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "team", start=Start(name="team", team=True))
    result = world.registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    assert {entry.stage for entry in result.entries if entry.number} == {"development"}
    assert "moves as proposals only; gitops-registry promote iris 4 --to production" in notes(result, "iris", 4)


# ── where from


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mlflow:///data/mlflow.db", Address(Path("/data/mlflow.db"))),
        ("mlflow:/data/mlflow.db", Address(Path("/data/mlflow.db"))),
        ("mlflow:///my%20data/mlflow.db", Address(Path("/my data/mlflow.db"))),
        ("mlflow://sqlite:////data/mlflow.db", Address(Path("/data/mlflow.db"))),
        ("mlflow:sqlite:////data/mlflow.db", Address(Path("/data/mlflow.db"))),
        ("sqlite:////data/mlflow.db", Address(Path("/data/mlflow.db"))),
        ("mlflow:https://me:secret@host/base/", Address(server="https://me:secret@host/base")),
        ("mlflow://http://host:5000", Address(server="http://host:5000")),
    ],
)
def test_an_address_is_read_in_its_spellings(text: str, wanted: Address) -> None:
    assert address(text) == wanted
    assert "secret" not in wanted.shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mlflow:",
        "postgresql://me:secret@host/db",
        "mlflow:postgresql://me:secret@host/db",
        "/data/mlflow.db",
        "ftp://host",
    ],
)
def test_any_other_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        address(text)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_database_that_is_none_is_refused_in_one_line_and_not_made(world: World, tmp_path: Path) -> None:
    done = asked(world, "import", f"mlflow:{tmp_path}/none.db")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: there is no file {tmp_path}/none.db",
        "hint: name the database of the MLflow registry: mlflow.db",
    ]
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("not a database, whatever its name says" * 100)
    assert "cannot be read as a SQLite database" in asked(world, "import", f"mlflow:{tmp_path}/text.db").stderr
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (a)").connection.close()
    assert "is no MLflow registry" in asked(world, "import", f"mlflow:{tmp_path}/other.db").stderr


def test_a_database_is_read_where_nobody_may_write_and_while_somebody_writes(
    built: Path, world: World, tmp_path: Path
) -> None:
    there = tmp_path / "mlflow"
    shutil.copytree(built, there)
    writer = sqlite3.connect(there / "mlflow.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("UPDATE registered_models SET description='new' WHERE name='empty'")
    writer.commit()
    before = {
        path.name: path.read_bytes() for path in there.iterdir() if path.is_file() and not path.name.endswith("-shm")
    }
    result = world.registry.import_mlflow(f"mlflow:{there}", models=["empty"])
    assert result
    assert world.registry.snapshot.known_model("empty").description == "new"
    after = {
        path.name: path.read_bytes() for path in there.iterdir() if path.is_file() and not path.name.endswith("-shm")
    }
    writer.close()
    assert after == before


def test_a_pattern_that_fits_nothing_is_told(built: Path, world: World) -> None:
    with pytest.raises(NotFound, match="no model there is called 'fraud"):
        world.registry.import_mlflow(f"mlflow:{built}", models=["fraud*"])


def test_artifacts_that_moved_are_found_below_a_folder_that_is_named(built: Path, world: World, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    shutil.copy(built / "mlflow.db", tmp_path / "db")
    shutil.copytree(built / "mlruns", tmp_path / "kept" / "mlruns")
    lost = world.registry.import_mlflow(f"mlflow:{tmp_path}/db", models=["iris"])
    assert set(states(lost, "iris").values()) == {"left out"}
    assert "the alias champion of it is left out too" in notes(lost, "iris", 4)
    assert "iris" not in world.registry.snapshot.models(), "numbers are spent only by versions that came"
    found = world.registry.import_mlflow(f"mlflow:{tmp_path}/db", models=["iris"], folders=[tmp_path / "kept"])
    assert set(states(found, "iris").values()) == {"imported"}


def test_a_person_reads_what_came_and_what_did_not(built: Path, world: World) -> None:
    done = world.cli("import", f"mlflow:{built}", "--model", "credit*", "--model", "lost", check=1)
    assert done.stdout.splitlines() == [
        "imported credit_x20_model@1 in development (there: credit model)",
        "    left out, for it is no finite number: metric 'loss', 'worst'",
        "    left out, for it does not fit: param 'note'",
        "imported lost@1 in development",
        "    left out, for it is no finite number: metric 'loss', 'worst'",
        "    left out, for it does not fit: param 'note'",
        "left out lost@2",
        f"    there is no model folder {built}/gone (name the folder they lie in: --artifacts FOLDER)",
        "imported lost@3 in development",
        "    left out, for it is no finite number: metric 'loss', 'worst'",
        "    left out, for it does not fit: param 'note'",
        f"3 imported, 0 here already, 1 left out, of {built}/mlflow.db",
    ]
    assert done.stderr == ""


def test_bytes_go_to_a_real_store_where_there_is_one_and_dvc_finds_them(built: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world", start=Start(name="world", storage=str(tmp_path / "store")))
    assert world.registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    clone = world.clone(tmp_path / "clone")
    pointer = "models/iris/versions/3/model.dvc"
    done = dvc(clone.root, "pull", pointer)
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in (clone.root / "models/iris/versions/3/model").iterdir())
    assert files == ["MLmodel", "conda.yaml", "model.skops", "python_env.yaml", "requirements.txt"]
    assert not list((world.root / ".dvc").glob("store/**/*"))


def test_it_starts_from_what_others_decided_and_says_how_they_see_it(built: Path, world: World, tmp_path: Path) -> None:
    there = World(tmp_path / "bare", start=Start(name="shared", bare=True))
    clones = [there.clone(tmp_path / name) for name in ("one", "two")]
    assert clones[0].registry.import_mlflow(f"mlflow:{built}", models=["iris"])
    clones[0].registry.push()
    result = clones[1].registry.import_mlflow(f"mlflow:{built}", models=["iris", "empty"])
    assert result.count("present") == 4
    assert clones[1].registry.snapshot.models() == ("empty", "iris")
    assert clones[0].registry.import_mlflow(f"mlflow:{built}", models=["credit model"]).notes == [
        "others see it after: gitops-registry push (to origin)"
    ]


def test_without_mlflow_the_way_to_get_it_is_told(world: World, built: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "mlflow.py").write_text("raise ImportError('no module of that name')\n")
    done = cli(world.root, "import", f"mlflow:{built}", environment={"PYTHONPATH": str(hidden)})
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: MLflow is not installed", "hint: pip install 'gitops-registry[mlflow]'"]


# ── a server


@pytest.fixture
def server(built: Path, tmp_path: Path) -> Iterator[str]:
    """A real MLflow tracking server whose artifacts only it can reach."""
    there = tmp_path / "mlflow"
    shutil.copytree(built, there)
    with sqlite3.connect(there / "mlflow.db") as database:
        database.execute(
            "UPDATE model_versions SET storage_location = 'mlflow-artifacts:' || substr(storage_location, ?) WHERE name = 'iris' "
            "AND storage_location LIKE ?",
            (len(f"file://{built}/mlruns") + 1, f"file://{built}/mlruns/%"),
        )
    database.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{there}/mlflow.db", "--workers", "1",
        "--artifacts-destination", str(there / "mlruns"), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=tmp_path, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_server_is_read_and_its_artifacts_downloaded(server: str, world: World) -> None:
    result = world.registry.import_mlflow(f"mlflow:{server}", models=["iris"])
    assert states(result, "iris") == {1: "imported", 3: "imported", 4: "imported", 6: "left out"}
    assert "--artifacts" in notes(result, "iris", 6), "a folder of this machine that a server names is not read"
    model = world.registry.snapshot.known_model("iris")
    assert model.deleted == (2,), "5 is spent by whoever comes after it, and a server does not tell of 7"
    assert model.aliases == {"champion": 4, "old-one": 1}
    assert errors(world.registry.check()) == set()
    version = world.registry.snapshot.version("iris", 4)
    assert version is not None
    assert version.metrics == {"accuracy": 0.7}


def test_a_server_that_is_not_there_is_told_in_one_line_without_its_password(world: World) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = world.cli("import", f"mlflow:http://me:secret@127.0.0.1:{port}", check=2)
    assert "secret" not in done.stdout + done.stderr
    assert done.stderr.startswith("error: cannot read the registry: ")
    assert len(done.stderr.splitlines()) == 2
