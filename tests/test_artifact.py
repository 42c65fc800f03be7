"""The bytes of versions, on real DVC and real git: nothing wrong is ever handed out, nothing good is ever lost."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import builder
import pytest
import zygote

from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.manifest.facts import Artifact
from gitops_registry.paths import store_path
from gitops_registry.pointer import pointer
from gitops_registry.storage import detached_config, embedded_config, remote_config, shared_by_others

DATA = b"the bytes of a model\n" * 5000
WHAT = "credit-risk@3 model.skops"


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in {
        "HOME": "home", "XDG_CONFIG_HOME": "home/config", "XDG_CACHE_HOME": "home/cache", "XDG_CONFIG_DIRS": "home/etc",
        "DVC_GLOBAL_CONFIG_DIR": "home/dvc", "DVC_SYSTEM_CONFIG_DIR": "home/etc", "DVC_SITE_CACHE_DIR": "home/site",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / folder))
    for name, value in {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Alice")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "alice@example.com")


def run(*command: str, cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def git(*arguments: str, cwd: Path) -> str:
    return run("git", *arguments, cwd=cwd)


def dvc(*arguments: str, cwd: Path) -> str:
    done = builder.dvc(cwd, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_repository(root: Path, config: bytes) -> Path:
    root.mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=root)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_bytes(config)
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    git("add", "-A", cwd=root)
    git("commit", "-qm", "Start", cwd=root)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return make_repository(tmp_path / "registry", remote_config("../data"))


@pytest.fixture
def store(root: Path) -> Store:
    return Store(root)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.skops"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def stored(store: Store, source: Path) -> Digest:
    """A digest whose bytes are in the cache and in the remote."""
    digest = store.add(source)
    store.push([digest])
    return digest


def in_remote(root: Path, digest: Digest) -> Path:
    return root.parent / "data" / "files" / "md5" / digest.md5[:2] / digest.md5[2:]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    write(path, bytes(data))


def write(path: Path, data: bytes) -> None:
    """Damage a protected file as a bad disk would: content only, mode 0444 stays."""
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


def truncate(path: Path) -> None:
    write(path, path.read_bytes()[:-100])


def artifact_of(digest: Digest, file: str) -> Artifact:
    return Artifact(name="model", file=file, format="x", size=digest.size, md5=digest.md5, sha256=digest.sha256)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.tmp") if path.is_file()]


# ── adding


def test_add_says_what_the_bytes_are_and_keeps_them_read_only(store: Store, source: Path) -> None:
    digest = store.add(source)
    assert digest == Digest(hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest(), len(DATA))
    path = store.cached(digest)
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o444
    assert source.stat().st_ino != path.stat().st_ino
    assert not leftovers(path.parents[3])


def test_adding_again_changes_nothing(store: Store, source: Path) -> None:
    digest = store.add(source)
    before = store.cached(digest).stat()
    assert store.add(source) == digest
    after = store.cached(digest).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damage", [flip_a_bit, truncate])
def test_adding_again_heals_a_corrupt_object(store: Store, source: Path, damage: object) -> None:
    digest = store.add(source)
    damage(store.cached(digest))  # type: ignore[operator]
    assert store.add(source) == digest
    assert store.cached(digest).read_bytes() == DATA


@pytest.mark.parametrize("name", ["with space.skops", "モデル.onnx", "😀", "a'b\"c"])
def test_file_names_of_any_language_are_stored(store: Store, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(name.encode())
    digest = store.add(path)
    store.push([digest])
    store.materialise(digest, tmp_path / "out" / name, WHAT)
    assert (tmp_path / "out" / name).read_bytes() == name.encode()


def test_a_file_of_no_bytes_is_a_file(store: Store, root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    digest = store.add(tmp_path / "empty")
    store.push([digest])
    assert digest.size == 0
    assert store.presence(digest) == "present"
    store.cached(digest).unlink()
    store.materialise(digest, tmp_path / "copy", WHAT)
    assert (tmp_path / "copy").read_bytes() == b""


def test_what_is_no_readable_file_is_refused_with_a_hint(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "pipe"):
        with pytest.raises(RegistryError) as caught:
            store.add(path)
        assert str(path) in caught.value.message
        assert caught.value.hint


def test_two_files_with_one_md5_are_not_mixed_up(store: Store, source: Path, tmp_path: Path) -> None:
    first = bytes.fromhex(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
        "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
        "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
    )
    second = bytearray(first)
    for index in (19, 45, 59, 83, 109, 123):
        second[index] ^= 0x80
    assert hashlib.md5(first).digest() == hashlib.md5(second).digest()
    (tmp_path / "first").write_bytes(first)
    (tmp_path / "second").write_bytes(second)
    digest = store.add(tmp_path / "first")
    with pytest.raises(Damaged, match="other bytes"):
        store.add(tmp_path / "second")
    forged = Digest(digest.md5, hashlib.sha256(second).hexdigest(), digest.size)
    with pytest.raises(Damaged, match="other bytes"):
        store.fetch(forged, WHAT)
    assert store.cached(digest).read_bytes() == first


@pytest.mark.slow
def test_a_large_file_is_read_once_in_little_memory(root: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    block = os.urandom(1 << 20)
    large.write_bytes(block * 60)
    script = """
import sys, tracemalloc
from pathlib import Path
from gitops_registry.artifact import Store
store = Store(Path(sys.argv[1]))
store._cache
def read(): return int(Path("/proc/self/io").read_text().split()[1])
tracemalloc.start()
before = read()
digest = store.add(Path(sys.argv[2]))
print(digest.size, read() - before, tracemalloc.get_traced_memory()[1])
"""
    size, read, peak = map(int, run(sys.executable, "-c", script, str(root), str(large), cwd=tmp_path).split())
    assert size == 60 << 20
    assert size <= read < size + (1 << 20)
    assert peak < 8 << 20


@pytest.mark.slow
def test_many_processes_may_add_the_same_file_at_once(root: Path, source: Path) -> None:
    script = source.with_name("adding.py")
    script.write_text("""
import sys
from pathlib import Path
from gitops_registry.artifact import Store
print(Store(Path(sys.argv[1])).add(Path(sys.argv[2])).sha256)
""")
    words = [str(script), str(root), str(source)]
    children = [zygote.Started(words, root, os.environ, program="python") for _ in range(6)]
    answers = {child.communicate(timeout=60)[0].strip() for child in children}
    assert [child.returncode for child in children] == [0] * 6
    assert answers == {hashlib.sha256(DATA).hexdigest()}
    objects = [path for path in (root / ".dvc" / "cache").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in objects] == [DATA]


@pytest.mark.slow
def test_many_processes_may_heal_the_same_object_at_once(root: Path, store: Store, stored: Digest) -> None:
    script = """
import sys
from pathlib import Path
from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
store, digest = Store(Path(sys.argv[1])), Digest(sys.argv[2], sys.argv[3], int(sys.argv[4]))
store._remote.odb
sys.stdin.readline()
for _ in range(100):
    store.fetch(digest, "x")
"""
    command = [sys.executable, "-c", script, str(root), stored.md5, stored.sha256, str(stored.size)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    flip_a_bit(store.cached(stored))
    for child in children:
        child.communicate(b"go\n")
    assert [child.returncode for child in children] == [0] * 4
    assert store.cached(stored).read_bytes() == DATA


KILLED = """
import sys
from pathlib import Path
from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
store = Store(Path(sys.argv[1]))
store._cache
digest = Digest(sys.argv[4], sys.argv[5], int(sys.argv[6]))
print("go", flush=True)
if sys.argv[3] == "add":
    store.add(Path(sys.argv[2]))
elif sys.argv[3] == "fetch":
    store.fetch(digest, "x")
else:
    store.materialise(digest, Path(sys.argv[1]) / "out.bin", "x")
"""


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["add", "fetch", "materialise"])
def test_a_killed_process_leaves_no_wrong_object_under_a_good_name(root: Path, tmp_path: Path, verb: str) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(1 << 20) * 40)
    store = Store(root)
    digest = store.add(large)
    store.push([digest])
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    killed = 0
    for delay in (0, 0.02, 0.06, 0.12, 0.2):
        if verb != "materialise":
            store.cached(digest).unlink(missing_ok=True)
        (root / "out.bin").unlink(missing_ok=True)
        arguments = [str(root), str(large), verb, digest.md5, digest.sha256, str(digest.size)]
        child = zygote.Started([str(script), *arguments], root, os.environ, program="python")
        assert child.has_begun(60)
        time.sleep(delay)
        child.kill()
        child.communicate(timeout=60)
        killed += child.returncode == -signal.SIGKILL
        for path in (store.cached(digest), root / "out.bin"):
            if path.exists():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == digest.sha256
    assert killed
    assert store.fetch(digest, WHAT).is_file()


def test_what_a_killed_process_left_is_swept_after_a_day(store: Store, root: Path, source: Path) -> None:
    digest = store.add(source)
    folder = store.cached(digest).parent.parent
    old, young = folder / ".gitops-registry-old.tmp", folder / ".gitops-registry-young.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 100_000,) * 2)
    Store(root).add(source)
    assert not old.exists()
    assert young.exists()


# ── agreement with the DVC command line


@pytest.mark.slow
def test_what_we_store_is_what_dvc_expects(root: Path, tmp_path: Path) -> None:
    store = Store(root)
    folder = root / "models" / "credit" / "versions" / "1"
    files = {"model.skops": DATA, "with space モデル.onnx": b"other", "empty": b""}
    digests = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        digest = store.add(tmp_path / name)
        digests.append(digest)
        store.materialise(digest, folder / name, name)
        (folder / f"{name}.dvc").write_bytes(pointer(artifact_of(digest, name)))
    (folder / ".gitignore").write_text("".join(f"/{name}\n" for name in files))
    store.push(digests)
    git("add", "-A", cwd=root)
    git("commit", "-qm", "Register", cwd=root)
    assert "up to date" in dvc("status", cwd=root)
    assert "in sync" in dvc("status", "-c", cwd=root)
    assert "up to date" in dvc("push", cwd=root)
    git("clone", "-q", str(root), str(tmp_path / "clone"), cwd=tmp_path)
    dvc("pull", cwd=tmp_path / "clone")
    for name, data in files.items():
        assert (tmp_path / "clone" / "models/credit/versions/1" / name).read_bytes() == data
    assert git("status", "--porcelain", cwd=tmp_path / "clone") == ""


@pytest.mark.slow
def test_what_dvc_stores_is_what_we_expect(root: Path, tmp_path: Path) -> None:
    files = {"model.skops": DATA, "with space モデル.onnx": b"other", "1e5": b"5", "empty": b""}
    for name, data in files.items():
        (root / name).write_bytes(data)
    dvc("add", *files, cwd=root)
    dvc("push", cwd=root)
    store = Store(root)
    for name, data in files.items():
        digest = Digest(hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest(), len(data))
        assert store.presence(digest) == "present"
        assert store.fetch(digest, name).read_bytes() == data
        assert (root / f"{name}.dvc").read_bytes() == pointer(artifact_of(digest, name))


def test_the_cache_is_where_the_configuration_says(root: Path, source: Path, tmp_path: Path) -> None:
    (root / ".dvc" / "config.local").write_text("[cache]\n    dir = ../../elsewhere\n    shared = group\n")
    store = Store(root)
    digest = store.add(source)
    assert store.cached(digest) == tmp_path / "elsewhere" / "files" / "md5" / digest.md5[:2] / digest.md5[2:]
    assert store.cached(digest).parent.stat().st_mode & 0o7777 == 0o2775


# ── damage


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, Path.unlink])
def test_a_damaged_cache_is_healed_from_the_remote(store: Store, stored: Digest, damage: object) -> None:
    path = store.cached(stored)
    damage(path)  # type: ignore[operator]
    assert store.fetch(stored, WHAT) == path
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize(
    ("damage", "state"), [(flip_a_bit, "damaged"), (truncate, "damaged"), (Path.unlink, "missing")]
)
@pytest.mark.parametrize("cache", [Path.unlink, flip_a_bit])
def test_a_damaged_remote_is_never_used(
    store: Store, root: Path, stored: Digest, damage: object, state: str, cache: object
) -> None:
    damage(in_remote(root, stored))  # type: ignore[operator]
    cache(store.cached(stored))  # type: ignore[operator]
    assert store.presence(stored) == state
    with pytest.raises(Damaged) as caught:
        store.fetch(stored, WHAT)
    assert caught.value.message.startswith(f"{WHAT} is {state}")
    assert str(root.parent / "data") in caught.value.message
    assert stored.md5[2:] in caught.value.message
    assert state == "missing" or stored.sha256 in caught.value.message
    assert caught.value.hint
    assert not store.cached(stored).exists()
    assert not leftovers(root)
    with pytest.raises(Damaged):
        store.materialise(stored, root / "model.skops", WHAT)
    assert not (root / "model.skops").exists()
    with pytest.raises(RegistryError):
        store.push([stored])


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, Path.unlink])
def test_a_push_heals_a_damaged_remote(store: Store, root: Path, stored: Digest, damage: object) -> None:
    damage(in_remote(root, stored))  # type: ignore[operator]
    store.push([stored])
    assert in_remote(root, stored).read_bytes() == DATA
    assert store.presence(stored) == "present"


def test_a_push_never_sends_a_damaged_object(store: Store, root: Path, source: Path) -> None:
    digest = store.add(source)
    flip_a_bit(store.cached(digest))
    with pytest.raises(Damaged, match=r"model\.skops"):
        store.push([digest])
    assert not in_remote(root, digest).exists()


def test_a_push_of_what_only_the_remote_has_is_done_already(store: Store, stored: Digest) -> None:
    store.cached(stored).unlink()
    store.push([stored])
    assert not store.cached(stored).exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_store_that_is_the_cache_alone_fetches_nothing(root: Path, source: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    shutil.copyfile(source, folder / "one.bin")
    digest = Store(root).add(source if kind == "file" else folder)
    Store(root).push([digest])
    alone = Store(root)
    alone.is_cache_alone = True
    alone.materialise(digest, tmp_path / "out", "it")
    for harm, said in ((flip_a_bit, "damaged"), (Path.unlink, "missing")):
        (harmed,) = [path for name, path in alone.objects(digest).items() if not name.endswith(".dir")]
        harm(harmed)
        for use in (lambda: alone.fetch(digest, "it"), lambda: alone.materialise(digest, tmp_path / "other", "it")):
            with pytest.raises(Damaged, match=f"{said} in the cache"):
                use()
    assert not (tmp_path / "other").exists()
    Store(root).fetch(digest, "it")


def test_a_digest_whose_md5_belongs_to_other_bytes_costs_nobody_the_good_object(store: Store, stored: Digest) -> None:
    forged = Digest(stored.md5, "0" * 64, stored.size)
    with pytest.raises(Damaged):
        store.fetch(forged, WHAT)
    assert store.fetch(stored, WHAT).read_bytes() == DATA
    assert store.presence(forged) == "damaged"


# ── the copy for the user


def test_the_copy_is_private_and_writable(store: Store, stored: Digest, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "model.skops"
    store.materialise(stored, target, WHAT)
    assert target.read_bytes() == DATA
    assert target.stat().st_mode & 0o200
    assert target.stat().st_nlink == 1
    assert target.stat().st_ino != store.cached(stored).stat().st_ino
    target.write_bytes(b"mine")
    assert store.cached(stored).read_bytes() == DATA
    assert [path.name for path in target.parent.iterdir()] == ["model.skops"]


def test_a_users_file_is_never_overwritten(store: Store, stored: Digest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA[:-1] + b"!")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("file", "link", "folder"):
        with pytest.raises(RegistryError, match="exists") as caught:
            store.materialise(stored, tmp_path / name, WHAT)
        assert caught.value.hint
    assert (tmp_path / "file").read_bytes() == DATA[:-1] + b"!"
    assert not (tmp_path / "nowhere").exists()


def test_the_same_bytes_are_left_alone(store: Store, stored: Digest, tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.write_bytes(DATA)
    before = target.stat()
    store.materialise(stored, target, WHAT)
    assert target.stat() == before


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, Path.unlink])
def test_a_copy_of_a_damaged_cache_is_healed_first(
    store: Store, stored: Digest, tmp_path: Path, damage: object
) -> None:
    damage(store.cached(stored))  # type: ignore[operator]
    store.materialise(stored, tmp_path / "copy", WHAT)
    assert (tmp_path / "copy").read_bytes() == DATA
    assert store.cached(stored).read_bytes() == DATA


# ── the store inside the repository


def test_the_embedded_store_is_read_at_the_revision(tmp_path: Path, source: Path) -> None:
    root = make_repository(tmp_path / "embedded", embedded_config())
    plain = Store(root)
    digest = plain.add(source)
    assert plain.is_embedded
    assert plain.location == ".dvc/store"
    plain.push([digest])
    assert not (root / ".dvc" / "store").exists()
    assert Store(root, committed=lambda _path: None).presence(digest) == "missing"
    assert plain.presence(digest) == "missing"
    unsaved = plain.cached(digest).rename(tmp_path / "unsaved")
    with pytest.raises(Damaged, match=f"^{WHAT} is missing"):
        plain.fetch(digest, WHAT)
    unsaved.rename(plain.cached(digest))

    target = root / store_path(digest.md5)
    target.parent.mkdir(parents=True)
    shutil.copyfile(plain.cached(digest), target)
    assert plain.presence(digest) == "present"
    git("add", "-A", cwd=root)
    git("commit", "-qm", "Register", cwd=root)

    def committed(path: str) -> bytes | None:
        result = subprocess.run(["git", "cat-file", "blob", f"HEAD:{path}"], cwd=root, capture_output=True, check=False)
        return result.stdout if result.returncode == 0 else None

    store = Store(root, committed=committed)
    assert store.presence(digest) == "present"
    target.unlink()
    shutil.rmtree(root / ".dvc" / "cache")
    assert store.presence(digest) == "present"
    assert store.fetch(digest, WHAT).read_bytes() == DATA

    wrong = Store(root, committed=lambda _path: DATA[:-1] + b"!")
    store.cached(digest).unlink()
    assert wrong.presence(digest) == "damaged"
    with pytest.raises(Damaged, match=r"\.dvc/store/files/md5"):
        wrong.fetch(digest, WHAT)


@pytest.mark.slow
def test_dvc_pulls_from_a_committed_store(tmp_path: Path, source: Path) -> None:
    root = make_repository(tmp_path / "embedded", embedded_config())
    store = Store(root)
    digest = store.add(source)
    target = root / store_path(digest.md5)
    target.parent.mkdir(parents=True)
    shutil.copyfile(store.cached(digest), target)
    (root / "model.skops.dvc").write_bytes(pointer(artifact_of(digest, "model.skops")))
    (root / ".gitignore").write_text("/model.skops\n")
    git("add", "-A", cwd=root)
    git("commit", "-qm", "Register", cwd=root)
    git("clone", "-q", str(root), str(tmp_path / "clone"), cwd=tmp_path)
    dvc("pull", cwd=tmp_path / "clone")
    assert (tmp_path / "clone" / "model.skops").read_bytes() == DATA


# ── remotes


def test_a_folder_without_git_is_enough(tmp_path: Path, source: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "private" / ".dvc").mkdir(parents=True)
    (tmp_path / "private" / ".dvc" / "config").write_bytes(remote_config("../data"))
    store = Store(tmp_path / "private")
    digest = store.add(source)
    store.push([digest])
    assert store.presence(digest) == "present"


def test_without_a_remote_the_error_says_how_to_add_one(tmp_path: Path, source: Path) -> None:
    store = Store(make_repository(tmp_path / "lonely", b"[core]\n    analytics = false\n"))
    digest = store.add(source)
    assert store.location == ""
    assert not store.is_embedded
    assert store.presence(digest) is None
    with pytest.raises(RegistryError, match=r"model\.skops.*no default remote") as caught:
        store.push([digest])
    assert "dvc remote" in caught.value.hint
    store.cached(digest).unlink()
    with pytest.raises(RegistryError, match="no default remote"):
        store.fetch(digest, WHAT)


def test_a_folder_that_is_gone_is_not_a_missing_object(store: Store, root: Path, stored: Digest) -> None:
    (root.parent / "data").rename(root.parent / "unmounted")
    assert store.presence(stored) is None
    store.cached(stored).unlink()
    with pytest.raises(RegistryError, match=f"cannot fetch {WHAT} from .*data: that folder does not exist") as caught:
        store.fetch(stored, WHAT)
    assert not isinstance(caught.value, Damaged)
    assert "dvc remote list" in caught.value.hint


def test_a_remote_that_refuses_is_named_with_the_artifact(root: Path, source: Path) -> None:
    (root.parent / "data").rmdir()
    (root.parent / "data").write_text("a file where a folder should be")
    store = Store(root)
    digest = store.add(source)
    with pytest.raises(RegistryError, match=r"cannot store model\.skops .*data") as caught:
        store.push([digest])
    assert "gitops-registry doctor" in caught.value.hint


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("[core]\n    remote = gone\n", "gone"),
        ("[core\n", "configuration"),
        ("password = s3cret\n[core]\n    nonsense\n", "configuration"),
        ("['remote \"r\"']\n    url = foo://x\n", "foo"),
    ],
)
def test_a_broken_configuration_is_an_error_to_act_on(root: Path, config: str, problem: str) -> None:
    (root / ".dvc" / "config").write_text(config)
    with pytest.raises(RegistryError, match=problem) as caught:
        _ = Store(root).location
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)
    assert shared_by_others(root) == caught.value.message


def test_a_folder_without_dvc_is_an_error_to_act_on(tmp_path: Path, source: Path) -> None:
    with pytest.raises(RegistryError, match=r"no \.dvc folder"):
        Store(tmp_path).add(source)


def test_a_remote_that_keeps_no_hashes_is_refused(root: Path, source: Path) -> None:
    (root / ".dvc" / "config").write_bytes(remote_config("../data") + b"    version_aware = true\n")
    store = Store(root)
    digest = store.add(source)
    assert store.presence(digest) is None
    with pytest.raises(RegistryError, match="own names"):
        store.push([digest])


class _Objects(http.server.BaseHTTPRequestHandler):
    """A web server that keeps what is sent to it: the least that DVC's HTTP remote needs."""

    files: dict[str, bytes]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        data = self.files.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data or b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers["Content-Length"]))
        if "refused" in self.path:
            self.send_error(403)
            return
        self.files[self.path] = data
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def web() -> Iterator[tuple[str, dict[str, bytes]]]:
    files: dict[str, bytes] = {}
    handler = type("Handler", (_Objects,), {"files": files})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files
    server.shutdown()
    server.server_close()


def test_a_remote_over_the_network_works_like_a_folder(
    root: Path, source: Path, web: tuple[str, dict[str, bytes]]
) -> None:
    url, files = web
    (root / ".dvc" / "config").write_bytes(remote_config(f"{url}/store"))
    seen: list[tuple[str, int, int]] = []
    store = Store(root, progress=lambda what, done, total: seen.append((what, done, total)))
    digest = store.add(source)
    assert seen[-1] == ("model.skops", len(DATA), len(DATA))
    assert store.presence(digest) == "missing"
    store.push([digest])
    ((path, data),) = files.items()
    assert data == DATA
    assert path.startswith("/store/files/md5/")
    assert store.presence(digest) == "present"

    store.cached(digest).unlink()
    seen.clear()
    assert store.fetch(digest, WHAT).read_bytes() == DATA
    assert seen[-1] == (WHAT, len(DATA), len(DATA))

    files[path] = DATA[:-7]
    assert store.presence(digest) == "damaged"
    store.push([digest])
    assert files[path] == DATA

    store.cached(digest).unlink()
    files[path] = DATA[:-1] + b"!"
    with pytest.raises(Damaged, match=f"{WHAT} is damaged in {url}/store/files/md5"):
        store.fetch(digest, WHAT)
    del files[path]
    assert store.presence(digest) == "missing"
    with pytest.raises(Damaged, match="missing"):
        store.fetch(digest, WHAT)


def test_a_server_that_refuses_or_is_gone_is_not_a_missing_object(
    root: Path, source: Path, web: tuple[str, dict[str, bytes]]
) -> None:
    url, _files = web
    (root / ".dvc" / "config").write_bytes(remote_config(f"{url}/refused"))
    (root / ".dvc" / "config.local").write_text(
        "['remote \"storage\"']\n    auth = basic\n    user = alice\n    password = s3cret-pass\n"
    )
    store = Store(root)
    digest = store.add(source)
    with pytest.raises(RegistryError) as caught:
        store.push([digest])
    assert "model.skops" in caught.value.message
    assert "s3cret" not in caught.value.message + caught.value.hint
    (root / ".dvc" / "config").write_bytes(remote_config("http://127.0.0.1:9/store"))
    gone = Store(root)
    assert gone.presence(digest) is None
    gone.cached(digest).unlink()
    with pytest.raises(RegistryError) as caught:
        gone.fetch(digest, WHAT)
    assert not isinstance(caught.value, Damaged)
    assert WHAT in caught.value.message


def test_a_missing_plug_in_is_named(root: Path, source: Path) -> None:
    (root / ".dvc" / "config").write_bytes(remote_config("gs://bucket/path"))
    store = Store(root)
    digest = store.add(source)
    assert store.location == "gs://bucket/path"
    assert store.presence(digest) is None
    with pytest.raises(RegistryError, match="dvc-gs"):
        store.push([digest])


# ── configuration


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("../data", "../../data"), ("data", "../data"), (".", ".."), ("./a//b", "../a/b"), ("file:///x", "/x"),
        ("../../a/../b", "../../../b"),
        ("/abs/x y", "/abs/x y"), ("~/x", "~/x"), ("s3://bucket/x%20y", "s3://bucket/x%20y"),
        ("ssh://alice@host/p", "ssh://alice@host/p"),
    ],
)  # fmt: skip
def test_a_remote_is_written_as_dvc_writes_it(given: str, written: str) -> None:
    assert remote_config(given) == (
        f"[core]\n    remote = storage\n    analytics = false\n['remote \"storage\"']\n    url = {written}\n".encode()
    )


@pytest.mark.slow
def test_dvc_reads_the_configuration_we_write(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "ours", remote_config("../a, b#c"))
    listed = dvc("remote", "list", cwd=root).replace("\n", " ").split()
    assert listed == ["storage", *f"{tmp_path}/a, b#c".split(), "(default)"]
    written = root / ".dvc" / "config"
    dvc("remote", "add", "--force", "-d", "storage", "../a, b#c", cwd=root)
    assert written.read_bytes() == remote_config("../a, b#c")


def test_a_remote_in_any_language_is_found(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "ours", remote_config("../データ"))
    assert Store(root).location == str(tmp_path / "データ")


@pytest.mark.parametrize(
    "url", ["https://u:p4ss@host/x", "https://t0ken@host/x", "webdavs://u:p4ss@h/x", "ssh://u:p4ss@h/x"]
)
def test_a_password_is_never_committed(url: str) -> None:
    with pytest.raises(RegistryError, match="password") as caught:
        remote_config(url)
    assert "dvc remote modify --local" in caught.value.hint
    assert "p4ss" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("url", ["", "  ", "a\nb", "foo://x"])
def test_what_is_no_place_is_refused(url: str) -> None:
    with pytest.raises(RegistryError) as caught:
        remote_config(url)
    assert caught.value.hint


def test_the_location_shows_no_credentials(root: Path) -> None:
    for url, shown in {
        "https://u:p4ss@host/x?sig=s3cret": "https://host/x",
        "ssh://alice:p4ss@host:22/p": "ssh://alice@host:22/p",
        "s3://bucket/path": "s3://bucket/path",
    }.items():
        (root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {url}\n")
        assert Store(root).location == shown


def test_who_else_can_reach_the_bytes(root: Path) -> None:
    config = root / ".dvc" / "config"
    assert str(root.parent / "data") in shared_by_others(root)
    config.write_bytes(embedded_config())
    assert shared_by_others(root) == ""
    config.write_bytes(remote_config("s3://bucket/path"))
    assert shared_by_others(root) == ""
    config.write_bytes(b"")
    assert "no default remote" in shared_by_others(root)


# ── cost


def test_importing_costs_no_dvc_and_a_cached_fetch_costs_no_repository(
    root: Path, stored: Digest, tmp_path: Path
) -> None:
    script = """
import sys
from pathlib import Path
from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
assert not {name.split(".")[0] for name in sys.modules} & {"dvc", "dvc_data", "dvc_objects", "fsspec", "ruamel"}
Store(Path(sys.argv[1])).fetch(Digest(sys.argv[2], sys.argv[3], int(sys.argv[4])), "x")
assert "dvc.repo" not in sys.modules
assert "dvc.data_cloud" not in sys.modules
"""
    run(sys.executable, "-c", script, str(root), stored.md5, stored.sha256, str(stored.size), cwd=tmp_path)


def test_nothing_of_dvc_is_locked_and_nothing_is_left_in_the_repository(
    root: Path, store: Store, stored: Digest
) -> None:
    store.materialise(stored, root.parent / "copy", WHAT)
    assert sorted(path.name for path in (root / ".dvc").iterdir()) == [".gitignore", "cache", "config"]
    assert git("status", "--porcelain", cwd=root) == ""


def test_a_bare_repository_takes_no_folder_that_is_seen_from_a_checkout() -> None:
    chained = b"[core]\nremote = a\n['remote \"a\"']\nurl = remote://b/x\n['remote \"b\"']\nurl = ../b\n"
    for config in (remote_config("shared/models"), remote_config("../models"), chained):
        with pytest.raises(RegistryError, match="a bare repository is none") as error:
            detached_config(config, cache=Path("/c"))
        assert "absolute path or a network URL" in error.value.hint
    looped = b"[core]\nremote = a\n['remote \"a\"']\nurl = remote://a/x\n"
    for config in (
        embedded_config(), remote_config("/srv/models"), remote_config("s3://bucket/x"), remote_config("~/models"),
        b"", b"[core]\n", b"core = x\n", b"[core\n", b"\xff", looped,
    ):  # fmt: skip
        found = detached_config(config, cache=Path("/c"))
        assert config in {found, b"[core\n", b"\xff"} or b"/c" in found


def test_a_bare_registry_with_a_relative_folder_says_what_to_change(tmp_path: Path) -> None:
    from gitops_registry.registry import Registry
    from gitops_registry.starting import Start, init

    init(tmp_path / "bare.git", Start(name="bare", bare=True, storage="../models"))
    with pytest.raises(RegistryError, match=r"the folder \.\./\.\./models"):
        Registry.open(tmp_path / "bare.git").place.store()


def test_a_remote_whose_plug_in_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_bytes(remote_config("oss://bucket/models"))
    (tmp_path / "model.bin").write_bytes(b"bytes")
    store = Store(tmp_path)
    with pytest.raises(RegistryError) as told:
        store.push([store.add(tmp_path / "model.bin")])
    assert told.value.hint == "pip install dvc-oss"
