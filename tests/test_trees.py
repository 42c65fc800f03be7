"""Artifacts that are folders: real DVC agrees with every byte, and a file that is swapped, added or lost is noticed."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from builder import World, dvc, git

from gitops_registry import trees
from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.listing import dvc_listing, listing_name
from gitops_registry.manifest.facts import Artifact
from gitops_registry.pointer import Pointer, pointer, read_pointer
from gitops_registry.registry import Registry
from gitops_registry.starting import Start
from gitops_registry.storage import remote_config

WHAT = "fraud@3 model"
FILES = {
    "MLmodel": b"flavors:\n  python_function: {}\n",
    "data/model.pkl": b"weights\n" * 2000,
    "data/copy.pkl": b"weights\n" * 2000,
    "data/deep/er/モデル 1.bin": bytes(range(256)),
    "empty.txt": b"",
    "README.md": b"words\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of git and DVC whose default remote is a folder beside it."""
    root = tmp_path / "registry"
    (root / ".dvc").mkdir(parents=True)
    (tmp_path / "remote").mkdir()
    git(root, "init", "-q")
    (root / ".dvc/config").write_bytes(remote_config("../remote"))
    (root / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "model")


def made(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def artifact_of(digest: Digest) -> Artifact:
    return Artifact(
        name="model", file="model", format="folder",
        size=digest.size, files=digest.files, md5=digest.md5, sha256=digest.sha256,
    )  # fmt: skip


def remote_object(root: Path, name: str) -> Path:
    return root.parent / "remote/files/md5" / name[:2] / name[2:]


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"!" + path.read_bytes()[1:])


def stored(root: Path, folder: Path) -> Digest:
    digest = Store(root).add(folder)
    Store(root).push([digest])
    return digest


# ── agreement with DVC


@pytest.mark.slow
def test_dvc_stores_the_same_folder_in_the_same_way(root: Path, folder: Path) -> None:
    shutil.copytree(folder, root / "model")
    assert dvc(root, "add", "model").returncode == 0
    by_dvc = contents(root / ".dvc/cache")
    shutil.rmtree(root / ".dvc/cache")
    digest = Store(root).add(folder)
    assert contents(root / ".dvc/cache") == by_dvc
    assert (root / "model.dvc").read_bytes() == pointer(artifact_of(digest))
    told = Pointer(digest.md5, sum(map(len, FILES.values())), "model", len(FILES))
    assert read_pointer(pointer(artifact_of(digest)), "model.dvc") == told


@pytest.mark.slow
def test_what_we_push_dvc_pulls_and_what_dvc_pushes_we_pull(root: Path, folder: Path, tmp_path: Path) -> None:
    digest = stored(root, folder)
    (root / "model.dvc").write_bytes(pointer(artifact_of(digest)))
    assert "up to date" in dvc(root, "push").stdout
    shutil.rmtree(root / ".dvc/cache")
    assert dvc(root, "pull").returncode == 0
    assert contents(root / "model") == FILES
    assert "up to date" in dvc(root, "status").stdout
    shutil.rmtree(tmp_path / "remote")
    (tmp_path / "remote").mkdir()
    assert dvc(root, "push").returncode == 0
    shutil.rmtree(root / ".dvc/cache")
    assert Store(root).presence(digest) == "present"
    Store(root).materialise(digest, tmp_path / "out", WHAT)
    assert contents(tmp_path / "out") == FILES


# ── adding


def test_what_a_folder_is_depends_on_every_name_and_byte_and_on_nothing_else(folder: Path, tmp_path: Path) -> None:
    def digest_of(place: Path) -> Digest:
        return trees.digest_of_members(trees.read_folder(place, trees.only_digested))[0]

    first = digest_of(folder)
    assert (first.size, first.files) == (sum(map(len, FILES.values())), len(FILES))
    (folder / "assets").mkdir()
    os.utime(folder / "MLmodel", (0, 0))
    assert digest_of(folder) == first
    for change in (
        lambda: (folder / "MLmodel").write_bytes(b"FLAVORS:\n  python_function: {}\n"),
        lambda: (folder / "README.md").rename(folder / "README.txt"),
        lambda: (folder / "more").touch(),
        lambda: (folder / "empty.txt").unlink(),
    ):
        before = digest_of(folder)
        change()
        after = digest_of(folder)
        assert (after.md5, after.sha256) != (before.md5, before.sha256)
        assert after.sha256 != before.sha256


def test_adding_again_reuses_what_the_cache_has(root: Path, folder: Path) -> None:
    Store(root).add(folder)
    before = {p: p.stat().st_ino for p in (root / ".dvc/cache").rglob("*") if p.is_file()}
    (folder / "README.md").write_bytes(b"other words\n")
    Store(root).add(folder)
    after = {p: p.stat().st_ino for p in (root / ".dvc/cache").rglob("*") if p.is_file()}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2


def test_each_file_is_read_once(root: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.mkdir()
    for number in range(3):
        (large / f"{number}.bin").write_bytes(os.urandom(4 << 20))
    store = Store(root)
    store._cache  # noqa: B018 - DVC's modules are imported now

    def read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = read()
    digest = store.add(large)
    assert digest.size <= read() - before < digest.size + (1 << 20)


def test_what_is_no_plain_folder_is_refused_and_named(root: Path, tmp_path: Path) -> None:
    def link(place: Path) -> None:
        (place / "link").symlink_to("/etc/passwd")

    def linked_folder(place: Path) -> None:
        (place / "out").symlink_to(tmp_path)

    def pipe(place: Path) -> None:
        os.mkfifo(place / "pipe")

    def listener(place: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place / "s"))

    def no_text(place: Path) -> None:
        (Path(os.fsdecode(os.fsencode(place) + b"/\xff"))).touch()

    def twins(place: Path) -> None:
        (place / "mlmodel").touch()

    def for_dvc(place: Path) -> None:
        (place / "dvc.yaml").touch()

    for spoil in (link, linked_folder, pipe, listener, no_text, twins, for_dvc):
        place = made(tmp_path / spoil.__name__)
        spoil(place)
        with pytest.raises(RegistryError, match=spoil.__name__) as caught:
            Store(root).add(place)
        assert caught.value.hint
        assert "\n" not in caught.value.message
    (tmp_path / "nothing" / "in it").mkdir(parents=True)
    with pytest.raises(RegistryError, match="holds no file"):
        Store(root).add(tmp_path / "nothing")


def test_a_folder_that_changes_while_it_is_read_is_refused(folder: Path) -> None:
    def put(reader: object, path: str) -> Digest:
        (folder / "late").touch()
        return trees.only_digested(reader, path)  # type: ignore[arg-type]

    with pytest.raises(RegistryError, match="changed while it was read"):
        trees.read_folder(folder, put)


# ── keeping and giving back


def test_presence_looks_at_every_file_of_the_folder(root: Path, folder: Path) -> None:
    digest = Store(root).add(folder)
    assert Store(root).presence(digest) == "missing"
    Store(root).push([digest])
    assert Store(root).presence(digest) == "present"
    for name in Store(root).objects(digest):
        good = remote_object(root, name).read_bytes()
        damage(remote_object(root, name)) if good else remote_object(root, name).unlink()
        assert Store(root).presence(digest) == ("damaged" if good else "missing")
        remote_object(root, name).unlink(missing_ok=True)
        assert Store(root).presence(digest) == "missing"
        Store(root).push([digest])
        assert Store(root).presence(digest) == "present"
    forged = Digest(digest.md5, "0" * 64, digest.size, digest.files)
    assert Store(root).presence(forged) == "damaged"


def test_a_damaged_cache_is_healed_from_the_remote(root: Path, folder: Path, tmp_path: Path) -> None:
    digest = stored(root, folder)
    store = Store(root)
    for number, (name, path) in enumerate(store.objects(digest).items()):
        if path.stat().st_size:
            damage(path)
            assert store.held(digest) == "damaged"
        else:
            path.unlink()
            assert store.held(digest) == "missing"
        if number % 2:
            store.materialise(digest, tmp_path / f"out {name}", WHAT)
            assert contents(tmp_path / f"out {name}") == FILES
        else:
            store.fetch(digest, WHAT)
        assert store.held(digest) == "present"
    shutil.rmtree(root / ".dvc/cache")
    assert store.held(digest) == "missing"
    assert store.fetch(digest, WHAT) == store.cached(digest)
    assert store.held(digest) == "present"


def test_a_wrong_or_lost_file_in_the_remote_is_named_and_nothing_is_written(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    digest = stored(root, folder)
    shutil.rmtree(root / ".dvc/cache")
    (name,) = [n for n, p in Store(root).objects(digest).items() if "copy" not in n and n.startswith("e2c865db")]
    damage(remote_object(root, name))
    with pytest.raises(Damaged, match=r"fraud@3 model/data/deep/er/モデル 1\.bin is damaged in"):
        Store(root).materialise(digest, tmp_path / "out", WHAT)
    remote_object(root, name).unlink()
    with pytest.raises(Damaged, match=r"fraud@3 model/data/deep/er/モデル 1\.bin is missing"):
        Store(root).materialise(digest, tmp_path / "out", WHAT)
    with pytest.raises(Damaged, match=r"fraud@3 model/data/deep/er/モデル 1\.bin is missing"):
        Store(root).fetch(digest, WHAT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "registry", "remote"]
    shutil.rmtree(root / ".dvc/cache")
    remote_object(root, digest.md5).unlink()
    with pytest.raises(Damaged, match=r"fraud@3 model \(the list of its files\) is missing"):
        Store(root).fetch(digest, WHAT)


def test_a_list_that_would_write_outside_the_folder_writes_nothing(root: Path, folder: Path, tmp_path: Path) -> None:
    digest = stored(root, folder)
    for path in ("../evil", "/tmp/evil", "a/../../evil", ".git/hooks/pre-commit"):
        data = dvc_listing({path: next(iter(Store(root).objects(digest)))[:32]})
        forged = Digest(listing_name(data), "0" * 64, 1, 1)
        target = remote_object(root, forged.md5)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
        with pytest.raises(Damaged):
            Store(root).materialise(forged, tmp_path / "out", WHAT)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "registry", "remote"]


def test_a_folder_of_other_bytes_under_good_md5s_is_never_handed_out(root: Path, folder: Path, tmp_path: Path) -> None:
    digest = stored(root, folder)
    forged = Digest(digest.md5, "0" * 64, digest.size, digest.files)
    for use in (lambda: Store(root).fetch(forged, WHAT), lambda: Store(root).materialise(forged, tmp_path / "o", WHAT)):
        with pytest.raises(Damaged, match=f"expected sha256 {'0' * 64}"):
            use()
    assert not (tmp_path / "o").exists()
    with pytest.raises(Damaged, match="expected 7 files, found 6"):
        Store(root).fetch(Digest(digest.md5, digest.sha256, digest.size, 7), WHAT)


def test_a_users_folder_is_never_overwritten_and_the_same_one_is_left_alone(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    digest = stored(root, folder)
    target = tmp_path / "out"
    Store(root).materialise(digest, target, WHAT)
    assert all(p.stat().st_mode & 0o200 for p in target.rglob("*"))
    before = target.stat().st_ino
    Store(root).materialise(digest, target, WHAT)
    assert target.stat().st_ino == before
    for spoil in (
        lambda: (target / "README.md").write_bytes(b"mine"),
        lambda: (target / "link").symlink_to("README.md"),
        lambda: shutil.rmtree(target) or target.mkdir(),
        lambda: target.rmdir() or target.write_bytes(b"a file"),
        lambda: target.unlink() or target.symlink_to(folder),
    ):
        spoil()
        with pytest.raises(RegistryError, match="exists and is not fraud@3 model"):
            Store(root).materialise(digest, target, WHAT)
    assert target.is_symlink()


# ── in a registry


def test_an_mlflow_folder_is_registered_checked_pulled_and_loads_nothing(world: World, tmp_path: Path) -> None:
    folder = made(tmp_path / "mlruns model")
    tried = world.cli("register", "fraud", str(folder), "--metric", "accuracy=0.93", "--dry-run")
    done = world.cli("register", "fraud", str(folder), "--metric", "accuracy=0.93")
    assert "fraud: version 1 registered" in tried.stdout
    assert "claimed, not measured: accuracy 0.9300" in done.stdout
    assert "data/copy.pkl in it is a pickle" in done.stdout + done.stderr
    version = world.registry.snapshot.version("fraud", 1)
    assert version is not None
    (artifact,) = version.artifacts
    assert (artifact.format, artifact.file, artifact.files) == ("mlflow", "model", len(FILES))
    assert world.git("status", "--porcelain") == ""
    world.cli("check")
    world.cli("verify")
    clone = world.clone(tmp_path / "clone")
    told = clone.cli("pull", "fraud@1")
    assert f"{sum(map(len, FILES.values())):,} bytes in {len(FILES)} files, verified" in told.stdout
    assert contents(clone.root / "models/fraud/versions/1/model") == FILES
    assert clone.git("status", "--porcelain") == ""
    assert "up to date" in dvc(clone.root, "status").stdout
    refused = clone.cli("predict", "fraud@1", str(folder / "MLmodel"), check=2)
    assert "fraud@1 is a folder (mlflow), which cannot be loaded here" in refused.stderr


def test_a_folder_needs_no_second_copy_of_what_the_store_has(world: World, tmp_path: Path) -> None:
    folder = made(tmp_path / "saved")
    (folder / "MLmodel").unlink()
    (folder / "data/model.pkl").rename(folder / "data/model.bin")
    (folder / "data/copy.pkl").unlink()
    registry = world.registry
    first = registry.register("churn", folder)
    (folder / "README.md").write_bytes(b"other words")
    second = registry.register("churn", folder)
    assert first.version.artifacts[0].format == "folder"
    assert not [note for note in second.outcome.notes if "pickle" in note]
    brought = world.git("show", "--format=", "--name-status", "HEAD", "--", ".dvc/store").splitlines()
    assert [line[0] for line in brought] == ["A", "A"]
    assert registry.check().refusals(frozenset()) == ()
    assert [found.problem for found in registry.verify()] == ["", ""]


def test_rows_for_a_folder_are_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="not opened here, so nothing can be measured"):
        world.registry.register("fraud", made(tmp_path / "m"), X=[[1.0]], y=[1])
    assert world.registry.snapshot.models() == ()


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_or_swapped_file_of_the_committed_store_is_named(world: World, tmp_path: Path, lost: bool) -> None:
    registry = world.registry
    registry.register("fraud", made(tmp_path / "m"))
    shutil.rmtree(world.root / ".dvc/cache")
    path = next(p for p in (world.root / ".dvc/store").rglob("*") if p.is_file() and p.read_bytes() == FILES["MLmodel"])
    name = path.relative_to(world.root).as_posix()
    world.commit({name: None if lost else b"swapped"})
    (found,) = Registry.open(world.root).verify()
    assert found.store == ("missing" if lost else "damaged")
    report = world.registry.check(base="HEAD~1", head="HEAD")
    assert {finding.rule for finding in report.findings if finding.result == "error"} == {"store"}
    if not lost:
        with pytest.raises(Damaged, match="fraud@1 model/MLmodel is damaged in"):
            world.registry.pull("fraud@1", to=tmp_path / "out")


def test_a_folder_goes_to_a_remote_outside_git(tmp_path: Path) -> None:
    world = World(tmp_path / "registry", start=Start(name="world", storage=str(tmp_path / "store")))
    (tmp_path / "store").mkdir()
    world.cli("register", "fraud", str(made(tmp_path / "m")))
    assert len(contents(tmp_path / "store")) == len(FILES)  # two files are the same, and one object lists them
    assert "up to date" in dvc(world.root, "push").stdout
    clone = world.clone(tmp_path / "clone")
    clone.cli("pull", "fraud@1", "--to", str(tmp_path / "out"))
    assert contents(tmp_path / "out/model") == FILES
