"""DVC's and GTO's own commands on a registry with `interop: gto`: what they find is what the registry says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import team
import zygote
from builder import World, dvc, git
from mlflow_pair import freed, model_folder
from story import Lived, Trained

from gitops_registry.mlflow_store.store import RegistryStore


def gto(folder: Path, *arguments: str) -> Any:
    """Run GTO's own command line and return what it printed as JSON."""
    done = zygote.run([*arguments, "--json"], folder, os.environ, timeout=120, program="gto")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def got(folder: Path, *arguments: str) -> bytes:
    """Return the bytes that a `dvc … get` brings, run in an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"file{len(list(folder.iterdir()))}"
    done = dvc(folder, *arguments, "-o", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    return out.read_bytes()


def stored(world: World, number: int, file: str) -> bytes:
    """Return the bytes of a file of a version as git has them in the store."""
    told = world.read(f"models/tumour/versions/{number}/{file}.dvc").decode()
    md5 = told.split("md5: ")[1][:32]
    return subprocess.run(
        ["git", "-C", str(world.root), "show", f"main:.dvc/store/files/md5/{md5[:2]}/{md5[2:]}"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def kept(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry kept in agreement from its first version on: 1 to production, 2 took its place, then a rollback."""
    world = World(tmp_path_factory.mktemp("gto") / "registry")
    world.cli("interop", "on")
    for number in (1, 2):
        world.cli(
            "register", "tumour", str(trained.model(number + 1)), "--data", str(trained.data), "--target", "diagnosis",
            "--card", str(trained.card), *(["--no-onnx"] if number == 1 else ["--release", "2.1.0"]),
        )  # fmt: skip
        world.cli("promote", "tumour", str(number), "--to", "staging", "--direct")
        world.cli("promote", "tumour", str(number), "--to", "production")
        world.cli("merge", f"promote/tumour/{number}/production")
    return world


def test_gto_shows_the_versions_and_stages_of_the_registry(kept: World) -> None:
    shown = gto(kept.root, "show")
    assert shown["tumour"]["version"] == "v2.1.0"
    assert shown["tumour"]["stage"]["production"] == "v2.1.0"
    versions = {one["version"] for one in gto(kept.root, "show", "tumour")}
    assert versions == {"v1.0.0", "v2.1.0"}


def test_gto_tells_the_history_in_the_order_it_was_decided(kept: World) -> None:
    told = [(one["event"], one["stage"] or one["version"]) for one in reversed(gto(kept.root, "history", "tumour"))]
    assert told == [
        ("registration", "v1.0.0"), ("assignment", "staging"), ("unassignment", "staging"), ("assignment", "production"),
        ("registration", "v2.1.0"), ("assignment", "staging"), ("unassignment", "production"), ("unassignment", "staging"),
        ("assignment", "archived"), ("assignment", "production"),
    ]  # fmt: skip


def test_the_dates_of_a_models_tags_rise_by_whole_seconds(kept: World) -> None:
    told = kept.git("for-each-ref", "--format=%(taggerdate:unix) %(objecttype)", "--sort=taggerdate", "refs/tags/")
    lines = [line.split() for line in told.splitlines()]
    times = [int(time) for time, _ in lines]
    assert {kind for _, kind in lines} == {"tag"}
    assert times == sorted(set(times))


def test_dvc_artifacts_get_brings_the_bytes_of_a_stage_and_of_a_version(kept: World, tmp_path: Path) -> None:
    url = str(kept.root)
    assert got(tmp_path, "artifacts", "get", url, "tumour", "--stage", "production") == stored(kept, 2, "model.onnx")
    assert got(tmp_path, "artifacts", "get", url, "tumour", "--rev", "v1.0.0") == stored(kept, 1, "model.skops")
    assert got(tmp_path, "artifacts", "get", url, "tumour") == stored(kept, 2, "model.onnx")


def test_dvc_get_and_dvc_api_open_read_a_version_by_its_tag(kept: World, tmp_path: Path) -> None:
    path = "models/tumour/versions/1/model.skops"
    assert got(tmp_path, "get", str(kept.root), path, "--rev", "tumour#production#3") == stored(kept, 1, "model.skops")
    script = f"import dvc.api,sys\nwith dvc.api.open({path!r}, repo={str(kept.root)!r}, rev='tumour@v1.0.0', mode='rb') as f: sys.stdout.buffer.write(f.read())"
    read = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=tmp_path)
    assert read.stdout == stored(kept, 1, "model.skops")


def test_dvc_pull_works_in_a_clone_of_it_and_the_check_finds_nothing(kept: World, tmp_path: Path) -> None:
    clone = kept.clone(tmp_path / "clone")
    assert dvc(clone.root, "pull").returncode == 0
    assert (clone.root / "models/tumour/versions/2/model.onnx").exists()
    assert clone.git("status", "--porcelain") == ""
    clone.cli("check")


def test_a_rollback_and_a_deletion_reach_gto_and_dvc(kept: World, tmp_path: Path) -> None:
    world = World(tmp_path / "registry", template=kept.root)
    world.cli("rollback", "tumour", "--direct")
    url = str(world.root)
    assert got(tmp_path / "out", "artifacts", "get", url, "tumour", "--stage", "production") == stored(
        world, 1, "model.skops"
    )
    assert gto(world.root, "show")["tumour"]["stage"]["production"] == "v1.0.0"
    world.cli("delete", "tumour@2")
    assert '"models/tumour/versions/1/model.skops"' in world.read("dvc.yaml").decode()
    assert {one["version"] for one in gto(world.root, "show", "tumour")} == {"v1.0.0"}
    assert world.git("cat-file", "-t", "tumour@v2.1.0!").strip() == "tag"
    world.cli("interop", "status")


def test_a_registry_that_lived_before_is_shown_and_what_dvc_cannot_find_is_said(lived: Lived, tmp_path: Path) -> None:
    world = lived.copy(tmp_path / "registry")
    world.cli("interop", "on")
    shown = gto(world.root, "show")["tumour"]
    assert (shown["version"], shown["stage"]["production"]) == ("v4.0.0", "v2.0.0")
    url = str(world.root)
    assert got(tmp_path / "out", "artifacts", "get", url, "tumour", "--rev", "v4.0.0") == stored(
        world, 4, "model.skops"
    )
    missing = dvc(tmp_path, "artifacts", "get", url, "tumour", "--stage", "production")
    assert missing.returncode != 0
    assert "Unable to find artifact 'tumour" in missing.stderr
    assert "tumour@2: registered before `interop: gto`" in world.cli("interop", "status").stdout


def test_tags_wait_for_push_and_everybody_gets_them(kept: World, tmp_path: Path) -> None:
    world = World(tmp_path / "registry", template=kept.root)
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", str(remote))
    world.git("remote", "add", "origin", str(remote))
    world.git("push", "--quiet", "-u", "origin", "main")
    before = world.git("tag")
    world.cli("archive", "tumour@2", "--direct")
    assert world.git("tag") == before
    assert "made when decisions are pushed" in world.cli("doctor", check=None).stdout
    assert "tags wait for: gitops-registry push" in world.cli("doctor", "--repair").stdout
    world.cli("push")
    new = sorted(set(world.git("tag").split()) - set(before.split()))
    assert [name.rsplit("#", 1)[0] for name in new] == ["tumour#archived", "tumour#production!"]
    assert git(remote, "tag") == world.git("tag")
    git(remote, "tag", "-d", new[0])
    assert f"made {new[0]}" in world.cli("doctor", "--repair").stdout
    assert git(remote, "tag") == world.git("tag")
    other = World.__new__(World)
    other.root = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(remote), str(other.root))
    other.cli("promote", "tumour@1", "--to", "staging", "--direct")
    other.cli("push")
    world.git("tag", "-d", *new)
    world.cli("promote", "tumour@2", "--to", "staging", "--direct")
    world.cli("push")
    assert git(remote, "tag") == world.git("tag")
    assert gto(world.root, "show")["tumour"]["stage"]["staging"] == "v2.1.0"


def test_a_registry_at_a_url_tags_there_at_once(kept: World, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(kept.root), str(remote))
    before = git(remote, "tag").split()
    kept.cli("-C", remote.as_uri(), "promote", "tumour@1", "--to", "staging", "--direct")
    new = set(git(remote, "tag").split()) - set(before)
    assert {name.rsplit("#", 1)[0] for name in new} == {"tumour#archived!", "tumour#staging"}


def test_a_server_with_the_hook_takes_the_tags_that_are_true_and_no_others(tmp_path: Path) -> None:
    crew = team.found(tmp_path / "team", is_quick=True)
    alice, bob = crew.at("alice"), crew.at("bob")
    alice.cli("interop", "on")
    alice.cli("merge", "change/interop")
    alice.cli("push")
    assert set(git(crew.server, "tag").split()) == {"fraud@v1.0.0", "fraud@v2.0.0", "fraud#staging#1"}
    bob.git("pull", "--quiet", "--tags")
    for reference, stage in (("fraud@2", "staging"), ("fraud@1", "archived")):
        bob.cli("promote", reference, "--to", stage)
        bob.cli("merge", f"promote/{reference.replace('@', '/')}/{stage}")
    told = bob.cli("push").stdout
    new = [name for name in git(crew.server, "tag").split() if name.startswith("fraud#")]
    assert new == ["fraud#archived#3", "fraud#staging!#2", "fraud#staging#1", "fraud#staging#4"], told
    assert alice.cli("check").returncode == 0
    for untrue in ("fraud#production#5", "fraud@v1.0.0!", "fraud#staging!#5", "fraud#staging#6"):
        bob.git("tag", "-s", "-m", "untrue", untrue, "fraud@v2.0.0^{commit}")
        pushed = bob.git("push", "origin", f"refs/tags/{untrue}", check=False)
        assert untrue not in git(crew.server, "tag").split(), pushed
    bob.git("tag", "fraud#archived#5", "fraud@v1.0.0^{commit}")
    bob.git("push", "origin", "refs/tags/fraud#archived#5", check=False)
    assert "fraud#archived#5" not in git(crew.server, "tag").split()


def test_dvc_gives_what_is_in_a_stage_though_another_version_left_it_last(world: World, tmp_path: Path) -> None:
    world.cli("interop", "on")
    for number in (1, 2):
        world.model("fraud").version().commit()
        world.cli("doctor", "--repair")
        world.cli("promote", f"fraud@{number}", "--to", "staging", "--direct")
    world.cli("archive", "fraud@1", "--direct")
    get = ("artifacts", "get", str(world.root), "fraud", "--stage")
    assert got(tmp_path / "out", *get, "staging").startswith(b"fraud 2\n")
    assert got(tmp_path / "out", *get, "archived").startswith(b"fraud 1\n")
    assert gto(world.root, "show")["fraud"]["stage"] == {"staging": "v2.0.0", "archived": "v1.0.0"}


def test_dvc_gives_the_folder_of_a_model_that_mlflow_registered(world: World, tmp_path: Path) -> None:
    freed(world, interop="gto")
    source = model_folder(tmp_path / "source")
    store = RegistryStore(store_uri=f"gitops://{world.root}", tracking_uri=f"sqlite:///{tmp_path}/runs.db")
    store.create_registered_model("fraud")
    store.create_model_version("fraud", str(source))
    store.transition_model_version_stage("fraud", 1, "Staging", False)
    assert gto(world.root, "show")["fraud"]["stage"] == {"staging": "v1.0.0"}
    out = tmp_path / "out"
    done = dvc(tmp_path, "artifacts", "get", str(world.root), "fraud", "--stage", "staging", "-o", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one.name: one.read_bytes() for one in out.iterdir()} == {
        one.name: one.read_bytes() for one in source.iterdir()
    }
