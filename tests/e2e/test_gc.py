"""Bytes that nobody needs go, and only those: whatever anybody may still work from keeps its bytes, and doubt keeps all."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builder import World, asked, git

from gitops_registry import edits, paths
from gitops_registry.artifact import Store
from gitops_registry.collecting import collect
from gitops_registry.inventory import written
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.starting import Start
from gitops_registry.workplace import digest_of

OLD = 30 * 86_400


@pytest.fixture(scope="session")
def made(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a store outside git: fraud 1 was deleted, 2 lives; everything in the store is a month old."""
    base = tmp_path_factory.mktemp("gc")
    (base / "store").mkdir()
    world = World(base / "registry", start=Start(name="world", storage="../store"))
    world.model("fraud").version(payload=b"one" * 100).version(payload=b"two" * 100).commit()
    snapshot, store = world.registry.snapshot, world.registry.place.store()
    store.push([digest_of(a) for n in (1, 2) for a in getattr(snapshot.version("fraud", n), "artifacts", ())])
    world.git("branch", "before")
    world.commit(edits.delete_version(snapshot, Reference("fraud", 1)), "delete 1")
    return base


@pytest.fixture
def world(made: Path, tmp_path: Path) -> World:
    shutil.copytree(made / "store", tmp_path / "store")
    world = World(tmp_path / "registry", template=made / "registry")
    world.git("checkout", "-q", "main")
    world.git("branch", "-D", "before")
    aged(tmp_path / "store")
    return world


def aged(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - OLD,) * 2)


def held(folder: Path) -> set[str]:
    return {p.parent.name + p.name for p in folder.rglob("*") if p.is_file()}


def store_of(world: World) -> set[str]:
    return held(world.root.parent / "store")


def once(world: World) -> tuple[bytes, str]:
    """The pointer of the version that was deleted, and its object."""
    commit = world.git("log", "--format=%H", "--diff-filter=D", "--", "models/fraud/versions/1").split()[0]
    data = world.read("models/fraud/versions/1/model.bin.dvc", revision=f"{commit}^")
    return data, data.decode().split("md5: ")[1][:32]


def test_the_bytes_of_a_deleted_version_go_when_somebody_says_yes(world: World) -> None:
    name = once(world)[1]
    before = store_of(world)
    assert len(before) == 2
    told = asked(world, "gc")
    assert told.returncode == 0
    assert "would remove 1 object, 300 bytes, from" in told.stdout
    assert f"{name}  300" in told.stdout
    assert "fraud@1 model.bin" in told.stdout
    assert "nothing was removed; next: gitops-registry gc --yes" in told.stdout
    assert store_of(world) == before
    (found,) = json.loads(asked(world, "gc", "--json").stdout)
    assert [g["object"] for g in found["garbage"]] == [name]
    assert found["garbage"][0]["once"] == ["fraud@1 model.bin"]
    assert (found["needed"], found["young"], found["removed"], found["bytes"]) == (1, 0, None, 300)
    assert "removed 1 object, 300 bytes" in asked(world, "gc", "--yes").stdout
    assert store_of(world) == before - {name}
    assert "would remove 0 objects" in asked(world, "gc").stdout
    assert [v.problem for v in world.registry.verify()] == [""]


# ── what somebody may still work from


def on_a_branch(world: World, pointer: bytes) -> None:
    world.branch({"elsewhere/model.bin.dvc": pointer})


def on_a_tag(world: World, pointer: bytes) -> None:
    branch = world.branch({"elsewhere/model.bin.dvc": pointer})
    world.git("tag", "-a", "-m", "kept", "kept", branch)
    world.git("tag", "-a", "-m", "kept", "kept-twice", "kept")
    world.git("branch", "-D", branch)
    world.git("tag", "-d", "kept")


def at_the_remote_of_git(world: World, pointer: bytes) -> None:
    there = world.root.parent / "there.git"
    git(world.root.parent, "clone", "-q", "--bare", str(world.root), str(there))
    world.git("remote", "add", "origin", str(there))
    world.git("config", "remote.origin.fetch", "+refs/heads/main:refs/remotes/origin/main")
    bob = World(world.root.parent / "bob", template=world.root)
    branch = bob.branch({"elsewhere/model.bin.dvc": pointer})
    bob.git("push", "-q", "origin", f"{branch}:promote/fraud/1/staging")


def at_a_remote_branch_that_is_gone(world: World, pointer: bytes) -> None:
    branch = world.branch({"elsewhere/model.bin.dvc": pointer})
    world.git("update-ref", "refs/remotes/origin/register/fraud", branch)
    world.git("branch", "-D", branch)


def in_a_linked_work_tree(world: World, pointer: bytes) -> None:
    branch = world.branch({"elsewhere/model.bin.dvc": pointer})
    world.git("worktree", "add", "-q", "--detach", str(world.root.parent / "linked"), branch)
    world.git("branch", "-D", branch)


def in_the_files_of_a_linked_work_tree(world: World, pointer: bytes) -> None:
    world.git("worktree", "add", "-q", "--detach", str(world.root.parent / "linked"))
    (world.root.parent / "linked/mine.bin.dvc").write_bytes(pointer)


def in_the_work_tree(world: World, pointer: bytes) -> None:
    (world.root / "data").mkdir()
    (world.root / "data/dvc.lock").write_bytes(
        b"stages: {train: {outs: [{path: x, " + pointer.splitlines()[1][2:] + b"}]}}"
    )


def ignored_in_the_work_tree(world: World, pointer: bytes) -> None:
    (world.root / "models/fraud/versions/1").mkdir(parents=True, exist_ok=True)
    (world.root / "models/fraud/versions/1/deep").mkdir()
    (world.root / "models/fraud/versions/1/deep/model.bin.dvc").write_bytes(pointer)


def in_the_index(world: World, pointer: bytes) -> None:
    (world.root / "mine.bin.dvc").write_bytes(pointer)
    world.git("add", "-f", "mine.bin.dvc")
    (world.root / "mine.bin.dvc").unlink()


def in_an_older_stash_untracked(world: World, pointer: bytes) -> None:
    (world.root / "mine.bin.dvc").write_bytes(pointer)
    world.git("stash", "--include-untracked")
    (world.root / "registry.yaml").write_bytes((world.root / "registry.yaml").read_bytes() + b"# newer\n")
    world.git("stash")


def at_a_request_of_a_forge(world: World, pointer: bytes) -> None:
    there = world.root.parent / "there.git"
    git(world.root.parent, "clone", "-q", "--bare", str(world.root), str(there))
    world.git("remote", "add", "origin", str(there))
    bob = World(world.root.parent / "bob", template=world.root)
    branch = bob.branch({"elsewhere/model.bin.dvc": pointer})
    bob.git("push", "-q", "origin", f"{branch}:refs/pull/7/head")


def pinned_without_a_pointer(world: World, pointer: bytes) -> None:
    md5 = pointer.decode().split("md5: ")[1][:32]
    pinned = f"evaluation: {{file: x.csv, target: y, rows: 1, size: 300, md5: {md5}, sha256: {'0' * 64}}}\n"
    world.branch({"models/fraud/model.yaml": world.read("models/fraud/model.yaml") + pinned.encode()})


def in_the_stash(world: World, pointer: bytes) -> None:
    in_the_index(world, pointer)
    (world.root / "mine.bin.dvc").write_bytes(pointer)
    world.git("stash")


def spelled_oddly(world: World, pointer: bytes) -> None:
    name = pointer.decode().split("md5: ")[1][:32]
    text = f'outs:\n- {{"path": x, "md5": "\\x{ord(name[0]):02x}{name[1:]}"}}\n'
    world.branch({"elsewhere/model.bin.dvc": text.encode()})


def in_facts_without_a_pointer(world: World, pointer: bytes) -> None:
    commit = world.git("log", "--format=%H", "--diff-filter=D", "--", "models/fraud/versions/1").split()[0]
    path = paths.version_path("fraud", 1)
    world.branch({path: world.read(path, revision=f"{commit}^")})


@pytest.mark.parametrize(
    "keep",
    [
        on_a_branch, on_a_tag, at_the_remote_of_git, at_a_remote_branch_that_is_gone, in_a_linked_work_tree,
        in_the_files_of_a_linked_work_tree, in_the_work_tree, ignored_in_the_work_tree, in_the_index, in_the_stash, in_an_older_stash_untracked, at_a_request_of_a_forge, pinned_without_a_pointer,
        spelled_oddly, in_facts_without_a_pointer,
    ],
)  # fmt: skip
def test_bytes_that_somebody_names_stay(world: World, keep: Callable[[World, bytes], None]) -> None:
    keep(world, once(world)[0])
    before = store_of(world)
    (found,) = world.registry.gc(remove=True)
    assert (found.garbage, found.removed, found.needed) == ((), 0, 2)
    assert store_of(world) == before
    assert "gitops-registry" not in world.git("for-each-ref")


def test_a_bare_repository_is_collected_too(world: World) -> None:
    (world.root.parent / "store").rename(world.root.parent / "elsewhere")
    config = world.read(".dvc/config").replace(b"../../store", os.fsencode(world.root.parent / "elsewhere"))
    world.commit({".dvc/config": config})
    git(world.root.parent, "clone", "-q", "--bare", str(world.root), "bare.git")
    git(world.root.parent / "bare.git", "remote", "remove", "origin")
    (found,) = Registry.open(world.root.parent / "bare.git").gc(remove=True)
    assert found.removed == 1
    assert len(held(world.root.parent / "elsewhere")) == 1


# ── age


def test_what_is_young_stays(world: World) -> None:
    path = next(p for p in (world.root.parent / "store").rglob("*") if p.is_file() and p.read_bytes() == b"one" * 100)
    os.utime(path, (time.time() - 13 * 86_400,) * 2)
    (found,) = world.registry.gc(remove=True)
    assert (found.removed, found.young) == (0, 1)
    os.utime(path, (time.time() + 86_400,) * 2)
    assert world.registry.gc(remove=True)[0].young == 1
    os.utime(path, (time.time() - 15 * 86_400,) * 2)
    assert world.registry.gc(remove=True)[0].removed == 1


def test_an_age_that_is_not_told_is_not_guessed() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert written({"mtime": moment.timestamp()}) == moment
    assert written({"LastModified": moment}) == moment
    assert written({"modified": moment.replace(tzinfo=None)}) == moment
    assert written({"size": 3, "modified": None, "created": moment}) is None
    assert written({"mtime": "yesterday"}) is None


def test_bytes_that_are_registered_again_are_young_again(world: World, tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    (tmp_path / "same/model.bin").write_bytes(b"one" * 100)
    aged(world.root / ".dvc/cache")
    registry = world.registry
    registry.register("fraud", tmp_path / "same")
    world.git("branch", "-D", "main", check=False)
    world.git("update-ref", "refs/heads/main", "main~1")  # somebody else, who has not seen it yet, collects
    world.git("reset", "-q", "--hard")
    found = Registry.open(world.root).gc(cache=True, remove=True)
    assert [one.removed for one in found] == [0, 0]
    assert [one.young for one in found] == [2, 2]


# ── folders


@pytest.fixture
def folder(world: World, tmp_path: Path) -> tuple[str, set[str]]:
    """An artifact of three files, registered and a month old; its name and all its objects."""
    (tmp_path / "m").mkdir()
    for name in "abc":
        (tmp_path / "m" / name).write_bytes(name.encode() * 10)
    version = world.registry.register("fraud", tmp_path / "m").version
    digest = digest_of(version.artifacts[0])
    aged(tmp_path / "store")
    aged(world.root / ".dvc/cache")
    return digest.md5, set(world.registry.place.store().objects(digest))


def test_the_files_of_a_folder_stay_with_it_and_go_with_it(world: World, folder: tuple[str, set[str]]) -> None:
    gone = once(world)[1]
    assert [one.removed for one in world.registry.gc(cache=True, remove=True)] == [1, 1]
    assert folder[1] <= store_of(world)
    assert world.registry.verify(["fraud@3"])[0].problem == ""
    world.commit(edits.delete_version(world.registry.snapshot, Reference("fraud", 3)))
    world.git("reset", "-q", "--hard")
    (found,) = world.registry.gc()
    assert {one.name for one in found.garbage} == folder[1]
    assert {one.once for one in found.garbage if one.name.endswith(".dir")} == {("fraud@3 model",)}
    assert [one.removed for one in world.registry.gc(cache=True, remove=True)] == [4, 4]
    assert not store_of(world) & {gone, *folder[1]}
    assert len(store_of(world)) == 1


def test_the_old_files_of_a_young_folder_stay(world: World, folder: tuple[str, set[str]]) -> None:
    world.git("update-ref", "refs/heads/main", "main~1")
    world.git("reset", "-q", "--hard")
    shutil.rmtree(world.root / ".dvc/cache")
    listing = world.root.parent / "store/files/md5" / folder[0][:2] / folder[0][2:]
    os.utime(listing)
    (found,) = world.registry.gc(remove=True)
    assert (found.removed, found.young) == (1, 4)
    assert folder[1] <= store_of(world)


# ── doubt


def broken_pointer(world: World) -> None:
    world.branch({"elsewhere/x.dvc": b"outs: [broken"})


def pointer_of_nothing(world: World) -> None:
    world.branch({"models/fraud/versions/2/model.bin.dvc": b"outs: []\n"})


def linked_pointer(world: World) -> None:
    world.branch({"elsewhere/x.dvc": world.stored(b"y.txt", "120000")})


def wrong_md5(world: World) -> None:
    world.branch({"elsewhere/x.dvc": b"outs:\n- md5: 123\n  path: x\n"})


def binary_lock(world: World) -> None:
    (world.root / "dvc.lock").write_bytes(b"\xff\xfe\x00")


def broken_ref(world: World) -> None:
    (world.root / ".git/refs/heads/half").write_text("0123456789abcdef0123456789abcdef01234567\n")


def lost_object(world: World) -> None:
    branch = world.branch({"elsewhere/x.dvc": once(world)[0] + b"# kept\n"})
    oid = world.git("rev-parse", f"{branch}:elsewhere/x.dvc").strip()
    (world.root / ".git/objects" / oid[:2] / oid[2:]).unlink()


def remote_away(world: World) -> None:
    world.git("remote", "add", "origin", str(world.root.parent / "nowhere.git"))


def store_away(world: World) -> None:
    (world.root.parent / "store").rename(world.root.parent / "unmounted")


def work_tree_away(world: World) -> None:
    world.git("worktree", "add", "-q", "--detach", str(world.root.parent / "linked"))
    shutil.rmtree(world.root.parent / "linked")


def partial(world: World) -> None:
    world.git("config", "remote.origin.promisor", "true")


def shallow(world: World) -> None:
    (world.root / ".git/shallow").write_text(world.git("rev-parse", "main"))


def lost_list(world: World) -> None:
    name = "0" * 32 + ".dir"
    world.branch(
        {"elsewhere/x.dvc": f"outs:\n- md5: {name}\n  size: 1\n  nfiles: 1\n  hash: md5\n  path: x\n".encode()}
    )


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (broken_pointer, "elsewhere/x.dvc at case/"), (pointer_of_nothing, "names no object"), (wrong_md5, "an md5 in it"), (linked_pointer, "no plain file"),
        (binary_lock, "dvc.lock"), (broken_ref, "half"), (lost_object, "git has lost"), (remote_away, "could not reach origin"),
        (store_away, "does not exist"), (work_tree_away, "a work tree of this repository is away"),
        (partial, "this clone is partial"), (shallow, "this clone is shallow"), (lost_list, "nobody knows what the folder"),
    ],
)  # fmt: skip
def test_where_not_everything_can_be_known_nothing_is_removed(
    world: World, spoil: Callable[[World], None], told: str
) -> None:
    before = store_of(world)
    spoil(world)
    done = asked(world, "gc", "--cache", "--yes")
    assert done.returncode == 2, done.stdout
    assert told in done.stderr
    assert "hint: " in done.stderr
    assert held(world.root.parent / ("unmounted" if spoil is store_away else "store")) == before
    assert len(held(world.root / ".dvc/cache")) == 2


def test_the_store_inside_the_repository_is_never_touched(template: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world", template=template)
    world.model("fraud").version(payload=b"one").version(payload=b"two").commit()
    world.commit(edits.delete_version(world.registry.snapshot, Reference("fraud", 1)))
    world.git("reset", "-q", "--hard")
    aged(world.root / ".dvc")
    inside = held(world.root / ".dvc/store")
    assert len(inside) == 2
    told = asked(world, "gc", "--yes")
    assert "committed with git and only grows" in told.stdout
    assert len(held(world.root / ".dvc/cache")) == 2
    later = datetime.now(UTC) + timedelta(days=15)
    assert [one.removed for one in collect(world.registry.place, cache=True, remove=True, now=later)] == [None, 1]
    assert held(world.root / ".dvc/store") == inside
    assert len(held(world.root / ".dvc/cache")) == 1
    assert world.git("status", "--porcelain") == ""
    assert Store(world.root).is_embedded


def test_nothing_is_removed_in_the_middle_of_a_rebase(world: World) -> None:
    (world.root / ".git" / "rebase-merge").mkdir()
    done = asked(world, "gc", "--yes")
    assert done.returncode == 2
    assert "git is in the middle of something" in done.stderr
