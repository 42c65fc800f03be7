"""Registries on another machine: read and changed at a URL without a checkout, by many at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import githost
import pytest
from builder import World, cli, git

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.registry import Registry


@pytest.fixture
def hub(template: Path, tmp_path: Path) -> Path:
    """A bare repository that holds a registry with one model, and serves parts of clones."""
    world = World(tmp_path / "world", template=template)
    world.model("fraud").version(payload=os.urandom(1_200_000)).version().in_stage("production", 1).commit()
    git(tmp_path, "clone", "--quiet", "--bare", world.root.as_uri(), "hub.git")
    git(tmp_path / "hub.git", "config", "uploadpack.allowFilter", "true")
    git(tmp_path / "hub.git", "config", "http.receivepack", "true")
    return tmp_path / "hub.git"


def clone_of(cache: Path) -> Path:
    (found,) = (cache / "registries").glob("*.git")
    return found


def tip(hub: Path) -> str:
    return git(hub, "rev-parse", "main").strip()


# ── one user


def test_a_registry_is_read_and_changed_at_a_url_without_a_checkout(hub: Path, tmp_path: Path) -> None:
    with githost.served(tmp_path) as host:
        registry = Registry.open(f"{host}/hub.git", cache=tmp_path / "cache")
        assert str(registry.resolve("fraud@production")) == "fraud@1"
        assert registry.set_alias("fraud", "best", 2, direct=True).commit == tip(hub)
        outcome = registry.promote("fraud", 2, to="staging")
        assert "promote/fraud/2/staging" in git(hub, "branch", "--list")
        assert [one.branch for one in registry.proposals()] == ["promote/fraud/2/staging"]
        assert registry.merge(outcome.proposal or "").commit == tip(hub)
        assert "promote" not in git(hub, "branch", "--list")
        assert registry.archive("fraud", 2).proposal
        assert cli(tmp_path, "-C", f"{host}/hub.git", "proposals", "close", "archive/fraud/2").returncode == 0
        assert "archive" not in git(hub, "branch", "--list")
        assert (
            str(Registry.open(f"{host}/hub.git@HEAD~2", cache=tmp_path / "cache").compare("fraud@2").left) == "fraud@1"
        )
        with pytest.raises(NotFound):
            Registry.open(f"{host}/hub.git@main~2", cache=tmp_path / "cache").resolve("fraud@best")
    assert git(hub, "fsck", "--no-dangling") == ""


def test_only_manifests_come_with_the_clone_and_bytes_when_they_are_wanted(hub: Path, tmp_path: Path) -> None:
    registry = Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    clone = clone_of(tmp_path / "cache")
    assert git(clone, "config", "remote.origin.partialclonefilter").strip().startswith("blob:limit")
    missing = git(clone, "rev-list", "--objects", "--all", "--missing=print", "--filter-print-omitted")
    assert len([line for line in missing.splitlines() if line.startswith("?")]) == 1
    registry.verify(["fraud"])
    files = registry.pull("fraud", 1, to=tmp_path / "out")
    assert [file.stat().st_size for file in files] == [1_200_000]


def test_a_server_that_gives_no_parts_gives_all(hub: Path, tmp_path: Path) -> None:
    git(hub, "config", "uploadpack.allowFilter", "false")
    registry = Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    assert registry.pull("fraud", 1, to=tmp_path / "out")[0].stat().st_size == 1_200_000


def test_what_others_decide_is_seen_when_it_is_opened_or_refreshed(hub: Path, tmp_path: Path) -> None:
    alice, bob = (Registry.open(hub.as_uri(), cache=tmp_path / name) for name in ("alice", "bob"))
    alice.set_alias("fraud", "best", 2, direct=True)
    with pytest.raises(NotFound):
        bob.resolve("fraud@best")
    bob.refresh()
    assert bob.resolve("fraud@best").number == 2
    assert bob.set_alias("fraud", "best", 1, direct=True)
    assert Registry.open(hub.as_uri(), cache=tmp_path / "alice").resolve("fraud@best").number == 1


def test_the_address_on_the_command_line_is_repeated_in_what_to_type_next(hub: Path, tmp_path: Path) -> None:
    told = cli(tmp_path, "-C", hub.as_uri(), "promote", "fraud", "2", "--to", "staging").stdout
    assert f"next: gitops-registry -C {hub.as_uri()} merge promote/fraud/2/staging" in told
    assert cli(tmp_path, "-C", hub.as_uri(), "merge", "promote/fraud/2/staging").returncode == 0
    there = tmp_path / "elsewhere"
    assert (
        cli(
            tmp_path, "-C", hub.as_uri(), "list", "--json", environment={"GITOPS_REGISTRY_CACHE": str(there)}
        ).returncode
        == 0
    )
    assert clone_of(there).exists()


def test_a_checkout_named_by_a_file_url_is_worked_on_in_place(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    registry = Registry.open(world.root.as_uri(), cache=tmp_path / "cache")
    assert registry.set_alias("fraud", "best", 1, direct=True).commit == world.git("rev-parse", "HEAD").strip()
    assert not (tmp_path / "cache").exists()
    old = Registry.open(f"{world.root}@HEAD~1")
    assert old.snapshot.known_model("fraud").aliases == {}


# ── when it does not go well


def test_offline_nothing_is_decided_and_what_was_seen_last_can_be_read(hub: Path, tmp_path: Path) -> None:
    with githost.served(tmp_path) as host:
        url = f"{host}/hub.git"
        registry = Registry.open(url, cache=tmp_path / "cache")
    with pytest.raises(RegistryError, match="could not reach") as told:
        registry.set_alias("fraud", "best", 2, direct=True)
    assert "--offline" in told.value.hint
    with pytest.raises(RegistryError, match="could not reach"):
        Registry.open(url, cache=tmp_path / "cache")
    read = Registry.open(url, cache=tmp_path / "cache", offline=True)
    assert str(read.resolve("fraud@production")) == "fraud@1"
    assert git(clone_of(tmp_path / "cache"), "for-each-ref", "refs/gitops-registry") == ""
    with pytest.raises(RegistryError, match="was never seen"):
        Registry.open(f"{host}/other.git", cache=tmp_path / "cache", offline=True)


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_refused_push_says_why_and_leaves_the_next_one_alone(hub: Path, tmp_path: Path, hook: str) -> None:
    script = hub / "hooks" / hook
    script.write_text("#!/bin/sh\necho 'no registrations on Sundays' >&2\nexit 1\n")
    script.chmod(0o755)
    before = tip(hub)
    done = cli(tmp_path, "-C", hub.as_uri(), "alias", "set", "fraud@2", "best")
    assert done.returncode == 2
    assert "no registrations on Sundays" in done.stderr
    assert "nothing was decided" in done.stderr
    assert tip(hub) == before
    script.unlink()
    Registry.open(hub.as_uri()).set_alias("fraud", "other", 2, direct=True)
    assert git(hub, "log", "--format=%s", f"{before}..main").strip() == "alias fraud other to 2"


def test_an_answer_that_got_lost_is_looked_up(hub: Path, tmp_path: Path) -> None:
    """The server takes the push and its answer does not arrive: the decision was made, once."""
    script = hub / "hooks" / "post-receive"
    script.write_text("#!/bin/sh\nkill -9 $PPID\n")
    script.chmod(0o755)
    outcome = Registry.open(hub.as_uri(), cache=tmp_path / "cache").set_alias("fraud", "best", 2, direct=True)
    assert outcome.commit == tip(hub)


def test_a_password_is_asked_for_by_nobody_and_told_to_nobody(hub: Path, tmp_path: Path) -> None:
    with githost.served(tmp_path, login="alice:secret") as host:
        done = cli(tmp_path, "-C", f"{host}/hub.git", "list")
        assert done.returncode == 2
        assert "could not reach" in done.stderr
        helper = "!f() { echo username=alice; echo password=secret; }; f"
        given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": helper}
        done = cli(tmp_path, "-C", f"{host}/hub.git", "list", environment=given)
        assert done.returncode == 0, done.stderr
    files = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert not [file for file in files if b"secret" in file.read_bytes()]


def test_a_branch_that_was_moved_back_is_followed(hub: Path, tmp_path: Path) -> None:
    registry = Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    registry.set_alias("fraud", "best", 2, direct=True)
    git(hub, "update-ref", "refs/heads/main", "main~1")
    registry.refresh()
    with pytest.raises(NotFound):
        registry.resolve("fraud@best")
    assert registry.set_alias("fraud", "best", 1, direct=True).commit == tip(hub)


def test_push_has_nothing_to_do_where_every_change_is_at_the_remote(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="every change is made at"):
        Registry.open(hub.as_uri(), cache=tmp_path / "cache").push()


# ── many writers

WRITER = """
import os, sys
from pathlib import Path
import gitops_registry.appraisal, gitops_registry.registering, gitops_registry.formats.onnx, git, onnxruntime
import dvc.config, dvc.data_cloud, dvc_data.hashfile.db, jinja2.sandbox
import numpy
from onnx import TensorProto, helper, numpy_helper
from gitops_registry import Registry

url, count, each, caches, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])

def model(value, file):
    made = [numpy_helper.from_array(numpy.array([float(value)], "float32"), "c")]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Mul", ["x", "c"], ["y"])], "g", sides[:1], sides[1:], made)
    file.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())
    return file

def write(number):
    numbers = []
    for turn in range(each):
        registry = Registry.open(url, cache=folder / f"cache-{number % caches}")
        file = model(number * 1000 + turn, folder / f"{number}-{turn}.onnx")
        found = registry.register("shared", file, tags={"writer": f"{number}-{turn}"})
        print(found.number, flush=True)

children = []
for number in range(count):
    child = os.fork()
    if child == 0:
        try:
            write(number)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(max(codes))
"""


def writers(hub: Path, folder: Path, *, count: int, each: int, caches: int) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    words = [hub.as_uri(), str(count), str(each), str(caches), str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def registered(hub: Path) -> dict[int, str]:
    """Return number → writer of every version that is there."""
    snapshot = Registry.open(hub).snapshot
    return {number: snapshot.card("shared", number).tags["writer"] for number in snapshot.versions("shared")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_processes_register_ten_versions_each_and_end_with_two_hundred(hub: Path, tmp_path: Path) -> None:
    start = int(git(hub, "rev-list", "--count", "main"))
    process = writers(hub, tmp_path / "work", count=20, each=10, caches=4)
    out, err = process.communicate(timeout=580)
    assert (process.returncode, err) == (0, "")
    assert sorted(map(int, out.split())) == list(range(1, 201))
    assert sorted(registered(hub).values()) == sorted(f"{n}-{t}" for n in range(20) for t in range(10))
    assert list(registered(hub)) == list(range(1, 201))
    assert int(git(hub, "rev-list", "--count", "--first-parent", "main")) == start + 200
    assert git(hub, "fsck", "--no-dangling") == ""
    assert Registry.open(hub).check().refusals(frozenset()) == ()


@pytest.mark.slow
def test_a_writer_that_is_killed_loses_nothing_of_anybody(hub: Path, tmp_path: Path) -> None:
    victims = [writers(hub, tmp_path / f"victim-{n}", count=1, each=50, caches=1) for n in range(2)]
    process = writers(hub, tmp_path / "work", count=3, each=4, caches=1)
    for wait, victim in zip((0.7, 1.1), victims, strict=True):
        assert victim.stdout is not None
        victim.stdout.readline()  # it is at work
        time.sleep(wait)
        children = Path(f"/proc/{victim.pid}/task/{victim.pid}/children").read_text().split()
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
        victim.communicate(timeout=60)
    out, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (0, "")
    there = registered(hub)
    assert list(there) == list(range(1, len(there) + 1))
    assert {number: there[number] for number in map(int, out.split())}.keys() == set(map(int, out.split()))
    assert (
        sorted(
            writer for writer in there.values() if writer in {f"{n}-{t}" for n in range(3) for t in range(4)}
        ).__len__()
        >= 12
    )
    after = writers(hub, tmp_path / "victim-0", count=1, each=1, caches=1)  # with what the dead one left in its cache
    out, err = after.communicate(timeout=100)
    assert (after.returncode, err, out.split()) == (0, "", [str(len(there) + 1)])
    assert git(hub, "fsck", "--no-dangling") == ""


def test_json_of_a_remote_registry_is_json(hub: Path, tmp_path: Path) -> None:
    done = cli(tmp_path, "-C", hub.as_uri(), "list", "--json")
    assert json.loads(done.stdout)[0]["name"] == "fraud"
