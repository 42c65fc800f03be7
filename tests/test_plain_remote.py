"""A plain folder is looked into without DVC, and what is found there is what DVC finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from builder import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_layers import loaded_by

from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
from gitops_registry.errors import RegistryError
from gitops_registry.plain_remote import Folder, plain_folder, shared_files
from gitops_registry.storage import default_remote, embedded_config, read_config, remote_config, remote_objects

PLAIN = "[core]\n    remote = store\n['remote \"store\"']\n    url = {}\n"


def configured(root: Path, text: str | bytes, local: str = "") -> Path:
    folder = root / ".dvc"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_bytes(text.encode() if isinstance(text, str) else text)
    if local:
        (folder / "config.local").write_text(local)
    return root


def by_dvc(root: Path) -> dict[str, object] | None:
    """What DVC reads: the options of the default remote; None where it reads nothing."""
    try:
        return default_remote(read_config(root))
    except RegistryError:
        return None


@pytest.mark.parametrize(
    "text",
    [
        embedded_config(), remote_config("../data"), remote_config("/srv/models-1/x.y_z"), PLAIN.format("../../a/./b"), PLAIN.format("/srv//x/"),
        "\n[core]\nremote=store\n\tanalytics = true\n['remote \"other\"']\nurl = /o\n['remote \"store\"']\nurl=s\n",
    ],
)  # fmt: skip
def test_a_configuration_that_means_only_one_folder_is_read_without_dvc(text: str | bytes, tmp_path: Path) -> None:
    root = configured(tmp_path, text)
    assert plain_folder(root) != ""
    assert by_dvc(root) == {"url": plain_folder(root), "verify": False, "slow_link_warning": True, "protected": False}


@pytest.mark.parametrize(
    "text",
    [
        "", "[core]\nremote = store\n", "[core]\nremote = Store\n['remote \"store\"']\nurl = /x\n", PLAIN.format("s3://bucket/x"),
        PLAIN.format("remote://other/x"), PLAIN.format("~/x"), PLAIN.format("/a b"), PLAIN.format("'/x'"), PLAIN.format("/x # y"), PLAIN.format("/x,/y"),
        PLAIN.format("/x") + "version_aware = true\n", PLAIN.format("/x") + "worktree = true\n", PLAIN.format("/x") + "url = /y\n",
        PLAIN.format("/x") + "[cache]\ndir = /c\n", PLAIN.format("/x") + "[core]\nremote = other\n", PLAIN.format("/x") + "no sense\n",
        PLAIN.format("/é"), "url = /x\n" + PLAIN.format("/x"), PLAIN.format("/x").replace("store\n", "store\nanalytics = maybe\n", 1),
        PLAIN.format("%(home)s"), PLAIN.format("$HOME"), PLAIN.format('"""/x'), PLAIN.format("/x") + "\x00", PLAIN.format("/x").encode("utf-16"),
        PLAIN.format("/x").replace("\n", "\r\n"), PLAIN.format("/x").replace("    url", "    URL"), PLAIN.format("/x").replace("[core]", "[CORE]"),
    ],
)  # fmt: skip
def test_anything_else_is_left_to_dvc(text: str | bytes, tmp_path: Path) -> None:
    assert plain_folder(configured(tmp_path, text)) == ""


LINES = [
    "[core]", "['remote \"store\"']", "['remote \"b\"']", "[cache]", "remote = store", "remote = b", "url = /x", "url = ../y", "url = a,b", "url = s3://b/c",
    "analytics = false", "jobs = 2", "", "# said", "  url = z", "[feature]", "remote = STORE", "shared = group", "verify = true", "[[core]]",
]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(LINES), max_size=9))
def test_it_never_reads_what_dvc_does_not(tmp_path: Path, lines: list[str]) -> None:
    """Whatever lines stand together: where a folder is told, DVC tells the same one, and no option beside it."""
    root = configured(tmp_path, "\n".join(lines))
    if found := plain_folder(root):
        assert by_dvc(root) == {"url": found, "verify": False, "slow_link_warning": True, "protected": False}


@pytest.mark.parametrize("level", ["local", "user", "system"])
def test_a_file_of_this_computer_beside_it_is_left_to_dvc(level: str, tmp_path: Path) -> None:
    root = configured(tmp_path / "registry", remote_config("/srv/one"))
    user, system = shared_files()
    there = {"local": root / ".dvc" / "config.local", "user": user, "system": system}[level]
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("['remote \"storage\"']\nurl = /srv/two\n")
    try:
        assert plain_folder(root) == ""
        assert (by_dvc(root) or {})["url"] == ("/srv/two" if level == "local" else "/srv/one")
    finally:
        there.unlink()


def test_the_files_of_this_computer_are_where_dvc_has_them(tmp_path: Path) -> None:
    code = (
        "from dvc.config import Config; from gitops_registry.plain_remote import shared_files; from pathlib import Path\n"
        "assert shared_files() == tuple(Path(Config.get_dir(level), 'config') for level in ('global', 'system')), shared_files()"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "XDG_"))}
    for extra in ({}, {"XDG_CONFIG_HOME": "/c", "XDG_CONFIG_DIRS": "/d:/e"}, {"DVC_GLOBAL_CONFIG_DIR": "/g", "DVC_SYSTEM_CONFIG_DIR": "/s"}):  # fmt: skip
        subprocess.run([sys.executable, "-c", code], env={**plain, "HOME": str(tmp_path), **extra}, check=True)


def test_its_objects_are_where_dvc_has_them_and_as_it_sees_them(tmp_path: Path) -> None:
    root = configured(tmp_path / "registry", remote_config("../data"))
    (tmp_path / "model").write_bytes(b"bytes")
    (tmp_path / "data").mkdir()
    store = Store(root)
    digest = store.add(tmp_path / "model")
    store.push([digest])
    theirs, ours = remote_objects(read_config(root)), Folder(plain_folder(root))
    path = ours.oid_to_path(digest.md5)
    assert path == theirs.oid_to_path(digest.md5)
    assert ours.info(path).items() <= theirs.fs.info(path).items()
    assert ours.info(os.path.dirname(path))["type"] != "file" != theirs.fs.info(os.path.dirname(path))["type"]


def test_a_look_into_a_folder_says_what_is_wrong_there(tmp_path: Path) -> None:
    root = configured(tmp_path / "registry", remote_config("../data"))
    (tmp_path / "model").write_bytes(b"bytes")
    digest = Store(root).add(tmp_path / "model")
    assert Store(root).presence(digest) is None, (
        "the folder is not there, which is not known to mean that bytes are missing"
    )
    (tmp_path / "data").mkdir()
    assert Store(root).presence(digest) == "missing"
    Store(root).push([digest])
    assert Store(root).presence(digest) == "present"
    there = Path(Folder(str(tmp_path / "data")).oid_to_path(digest.md5))
    for wrong in (b"bytEs", b"byte", b""):
        there.chmod(0o644)
        there.write_bytes(wrong)
        assert Store(root).presence(digest) == "damaged"
    there.unlink()
    there.mkdir()
    assert Store(root).presence(digest) == "damaged"
    assert Store(root).presence(Digest("0" * 32, "0" * 64, 1)) == "missing"


def test_without_a_configuration_it_is_dvc_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"has no \.dvc folder"):
        Store(tmp_path / "registry").location  # noqa: B018 - read for what it raises


@pytest.mark.parametrize("storage", ["", "../data"])
def test_judging_a_move_to_what_serves_imports_no_dvc(storage: str, world: World) -> None:
    world.model("fraud").version().in_stage("staging").commit()
    if storage:
        (world.root / ".dvc" / "config").write_bytes(remote_config(storage))
        (world.root.parent / "data").mkdir()
    code = (
        "from gitops_registry.registry import Registry\n"
        "found = Registry.open('.').promote('fraud', 1, to='production', dry_run=True)\n"
        f"assert ['missing in the store' in one.message for one in found.refusals] == {[True] * bool(storage)}, found\n"
    )
    assert sorted(loaded_by(code, world.root) & {"dvc", "dvc_data", "dvc_objects", "fsspec", "configobj"}) == []
