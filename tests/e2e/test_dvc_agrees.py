"""What the registry writes and what DVC's own commands say of it are the same, in the registry and in every clone."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml
from builder import World, cli, dvc
from story import Lived, Trained, files

from gitops_registry.starting import Start


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def pulled(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """A fresh clone of the lived registry where DVC itself pulled everything, and what it said."""
    clone = lived.world.clone(tmp_path_factory.mktemp("dvc") / "clone")
    return clone, said(dvc(clone.root, "pull"))


def test_dvc_pull_in_a_fresh_clone_brings_every_artifact_with_its_sha256(pulled: tuple[World, str]) -> None:
    clone, _ = pulled
    for number in (1, 2, 3, 4):
        folder = clone.root / f"models/tumour/versions/{number}"
        for artifact in yaml.safe_load((folder / "version.yaml").read_text())["artifacts"]:
            content = (folder / artifact["file"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
            assert hashlib.md5(content).hexdigest() == artifact["md5"]
            assert len(content) == artifact["size"]


def test_dvc_status_and_dvc_status_c_are_clean_after_dvc_pull(pulled: tuple[World, str]) -> None:
    clone, _ = pulled
    assert "up to date" in said(dvc(clone.root, "status"))
    assert "in sync" in said(dvc(clone.root, "status", "-c"))


def test_dvc_push_has_nothing_to_do_after_us(pulled: tuple[World, str]) -> None:
    clone, _ = pulled
    assert "Everything is up to date" in said(dvc(clone.root, "push"))


def test_the_work_tree_of_git_is_clean_after_dvc_pull_and_git_add_stages_nothing(pulled: tuple[World, str]) -> None:
    clone, _ = pulled
    assert clone.git("status", "--porcelain") == ""
    clone.git("add", "--all")
    assert clone.git("diff", "--cached", "--name-only") == ""


def test_the_registry_verifies_what_dvc_pulled(pulled: tuple[World, str]) -> None:
    clone, _ = pulled
    clone.cli("verify")


def test_our_pull_of_one_version_is_a_clean_pull_for_dvc(lived: Lived, tmp_path: Path) -> None:
    clone = lived.world.clone(tmp_path / "clone")
    clone.cli("pull", "tumour@production")
    assert "up to date" in said(dvc(clone.root, "status", *pointers(clone, 2)))
    assert clone.git("status", "--porcelain") == ""
    clone.git("add", "--all")
    assert clone.git("diff", "--cached", "--name-only") == ""


def test_our_pull_of_one_version_fetches_no_other(lived: Lived, tmp_path: Path) -> None:
    clone = lived.world.clone(tmp_path / "clone")
    clone.cli("pull", "tumour@2")
    assert len(files(clone.root / ".dvc/cache")) == len(pointers(clone, 2))
    assert [p.parent.name for p in (clone.root / "models").rglob("*.skops")] == ["2"]


def test_our_pull_needs_no_pointer_of_another_model_to_be_readable(world: World) -> None:
    world.model("fraud").version(payload=b"bytes of fraud").commit()
    world.model("churn").version().commit()
    (world.root / "models/churn/versions/1/model.bin.dvc").write_text("outs: [broken")
    world.cli("pull", "fraud@1")
    assert (world.root / "models/fraud/versions/1/model.bin").read_bytes() == b"bytes of fraud"


def test_the_registry_where_versions_were_made_agrees_with_dvc_after_a_pull(lived: Lived, tmp_path: Path) -> None:
    world = lived.copy(tmp_path / "registry")
    said(dvc(world.root, "pull"))
    assert "up to date" in said(dvc(world.root, "status"))
    assert "in sync" in said(dvc(world.root, "status", "-c"))
    assert "Everything is up to date" in said(dvc(world.root, "push"))
    assert world.git("status", "--porcelain") == ""


def test_dvc_add_of_the_same_file_writes_the_pointer_that_is_there(world: World) -> None:
    world.model("fraud").version(payload=b"bytes of fraud").commit()
    folder = world.root / "models/fraud/versions/1"
    before = (folder / "model.bin.dvc").read_bytes()
    world.cli("pull", "fraud@1")
    said(dvc(folder, "add", "model.bin"))
    assert (folder / "model.bin.dvc").read_bytes() == before
    assert world.git("status", "--porcelain") == ""


def test_bytes_go_to_a_dvc_remote_outside_git_and_come_back_from_it(trained: Trained, tmp_path: Path) -> None:
    store = tmp_path / "store of everybody"
    cli(tmp_path, "init", "registry", "--storage", str(store))
    world = World.__new__(World)
    world.root = tmp_path / "registry"
    world.cli("register", "tumour", str(trained.model(1)), "--no-onnx")
    assert len([p for p in store.rglob("*") if p.is_file()]) == 1
    assert "in sync" in said(dvc(world.root, "status", "-c"))
    assert "Everything is up to date" in said(dvc(world.root, "push"))
    clone = world.clone(tmp_path / "clone")
    said(dvc(clone.root, "pull"))
    assert clone.git("status", "--porcelain") == ""
    other = world.clone(tmp_path / "other")
    other.cli("pull", "tumour@1")
    assert [p.name for p in (other.root / "models").rglob("*.skops")] == ["model.skops"]


def test_what_dvc_push_brought_is_what_verify_finds(tmp_path: Path) -> None:
    store = tmp_path / "store"
    world = World(tmp_path / "registry", start=Start(name="world", storage=str(store)))
    world.model("fraud").version().commit()
    assert world.cli("verify", check=None).returncode == 1
    said(dvc(world.root, "push"))
    assert world.cli("verify").returncode == 0


def pointers(world: World, number: int) -> list[str]:
    folder = world.root / f"models/tumour/versions/{number}"
    return [str(p.relative_to(world.root)) for p in sorted(folder.glob("*.dvc"))]
