"""Bytes on real servers: they arrive, come back, survive what interrupts them, and whatever is wrong there is named."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builder import World, asked, dvc
from servers import PASSWORD, SITES, Lane, Site, free_port
from story import Trained, started
from zygote import Started

from gitops_registry.artifact import Store
from gitops_registry.collecting import collect
from gitops_registry.digests import Named
from gitops_registry.errors import Damaged
from gitops_registry.starting import Start
from gitops_registry.workplace import digest_of

SSH = pytest.param("ssh", marks=pytest.mark.needs("ssh"))
NETWORK = [SSH, "s3", "webdav"]
EVERYWHERE = ["folder", *NETWORK]
LARGE = 3 << 19


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """Servers, each started when it is first asked for."""
    running: dict[str, Site] = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "1")  # else it waits for a server that is gone

        def site(kind: str) -> Site:
            if kind not in running:
                running[kind] = stack.enter_context(SITES[kind](tmp_path_factory.mktemp(kind)))
            return running[kind]

        yield site


@pytest.fixture
def site(request: pytest.FixtureRequest, sites: Callable[[str], Site]) -> Site:
    """A place of the test's own on the server it asked for."""
    return sites(request.param).below(hashlib.md5(request.node.name.encode()).hexdigest()[:8])


@pytest.fixture
def world(site: Site, tmp_path: Path) -> World:
    """A registry whose bytes go to that place."""
    world = World(tmp_path / "registry", start=Start(name="world", storage=site.url))
    site.opened_in(world.root)
    return world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact of three files, one of them large."""
    (tmp_path / "model/data").mkdir(parents=True)
    (tmp_path / "model/MLmodel").write_text("flavors: {}\n")
    (tmp_path / "model/data/weights.bin").write_bytes(os.urandom(LARGE))
    (tmp_path / "model/data/empty").touch()
    return tmp_path / "model"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def clone(world: World, site: Site, target: Path) -> World:
    found = world.clone(target)
    site.opened_in(found.root)
    return found


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def wrong_objects(root: Path) -> list[str]:
    """The objects of the cache that are not what their names say."""
    found = [p for p in (root / ".dvc/cache").rglob("*") if p.is_file() and not p.name.startswith(".")]
    return [str(p) for p in found if (p.parent.name + p.name).removesuffix(".dir") != md5(p)]


def killed(process: Started, lane: Lane) -> None:
    """Kill a command in the middle of a transfer."""
    assert lane.full.wait(60), process.communicate(timeout=5)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


# ── there and back


@pytest.mark.slow
@pytest.mark.parametrize("site", EVERYWHERE, indirect=True)
def test_what_is_registered_comes_back_in_a_fresh_clone_by_us_and_by_dvc(
    site: Site, world: World, trained: Trained, folder: Path, tmp_path: Path
) -> None:
    world.registry.register("fraud", trained.model(1))
    world.registry.register("fraud", folder)
    assert asked(world, "verify", "--deep").returncode == 0
    assert PASSWORD not in world.git("log", "-p", "--", ".dvc/config")
    other = clone(world, site, tmp_path / "clone")
    assert asked(other, "pull", "fraud@2", "--to", str(tmp_path / "out")).returncode == 0
    assert contents(tmp_path / "out/model") == contents(folder)
    assert other.registry.load("fraud@1").native.n_estimators == 2
    if site.kind == "folder":
        return  # as test_dvc_agrees does it
    third = clone(world, site, tmp_path / "third")
    done = dvc(third.root, "pull")
    assert done.returncode == 0, done.stderr
    assert contents(third.root / "models/fraud/versions/2/model") == contents(folder)
    assert third.git("status", "--porcelain") == ""


# ── interrupted


@pytest.mark.slow
@pytest.mark.parametrize("site", NETWORK, indirect=True)
def test_a_command_killed_in_the_middle_of_a_transfer_leaves_nothing_half(
    site: Site, world: World, folder: Path, tmp_path: Path
) -> None:
    before = world.git("for-each-ref")
    with Lane(site.port, limit=LARGE // 2, upwards=True) as lane:
        site.through(lane.port).opened_in(world.root)
        killed(started(world.root, "register", "fraud", str(folder)), lane)
    site.opened_in(world.root)
    assert world.git("for-each-ref") == before
    assert Store(world.root)._remote.state(Named(md5(folder / "data/weights.bin"))) == "missing"
    assert asked(world, "register", "fraud", str(folder)).returncode == 0
    assert asked(world, "verify", "--deep").returncode == 0
    other = clone(world, site, tmp_path / "clone")
    with Lane(site.port, limit=LARGE // 2, upwards=False) as lane:
        site.through(lane.port).opened_in(other.root)
        killed(started(other.root, "pull", "fraud@1", "--to", str(tmp_path / "out")), lane)
    site.opened_in(other.root)
    assert not (tmp_path / "out/model").exists()
    assert wrong_objects(other.root) == []
    assert asked(other, "pull", "fraud@1", "--to", str(tmp_path / "out")).returncode == 0
    assert contents(tmp_path / "out/model") == contents(folder)


@pytest.mark.slow
@pytest.mark.parametrize("site", [SSH, "webdav"], indirect=True)
def test_a_connection_that_is_cut_ends_in_one_line_and_nothing_is_registered(
    site: Site, world: World, folder: Path
) -> None:
    before = world.git("for-each-ref")
    with Lane(site.port, limit=LARGE // 2, upwards=True, cuts=True) as lane:
        site.through(lane.port).opened_in(world.root)
        done = asked(world, "register", "fraud", str(folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr)
    assert world.git("for-each-ref") == before
    site.opened_in(world.root)
    assert asked(world, "register", "fraud", str(folder)).returncode == 0
    assert asked(world, "verify", "--deep").returncode == 0


# ── collected


@pytest.mark.slow
@pytest.mark.parametrize("site", NETWORK, indirect=True)
def test_bytes_that_nobody_needs_are_taken_away_from_a_server_when_they_are_old(
    site: Site, world: World, folder: Path
) -> None:
    world.registry.register("fraud", folder)
    (folder / "data/weights.bin").write_bytes(b"others")
    world.registry.register("fraud", folder)
    world.registry.delete("fraud", 1, direct=True)
    (found,) = world.registry.gc(remove=True)
    assert (found.removed, found.young, found.needed) == (0, 2, 4)
    later = datetime.now(UTC) + timedelta(days=15)
    (found,) = collect(world.registry.place, remove=True, now=later)
    assert (found.removed, found.young, found.size > LARGE) == (2, 0, True)
    assert PASSWORD not in found.location
    assert asked(world, "verify", "--deep").returncode == 0


# ── lost, damaged, locked


def assert_one_line(said: str) -> None:
    """One line and a hint, and no secret in either."""
    assert len(said.strip().splitlines()) == 2, said
    assert "hint" in said
    assert PASSWORD not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("site", "harm"),
    [
        pytest.param("ssh", "lost", marks=pytest.mark.needs("ssh")),
        *(("folder", "lost"), ("folder", "damaged"), ("s3", "lost"), ("s3", "damaged"), ("webdav", "truncated")),
    ],
    indirect=["site"],
)
def test_an_object_that_is_lost_or_damaged_there_is_named_with_the_version_that_needs_it(
    site: Site, world: World, trained: Trained, tmp_path: Path, harm: str
) -> None:
    world.registry.register("fraud", trained.model(1))
    version = world.registry.snapshot.version("fraud", 1)
    assert version is not None
    other = clone(world, site, tmp_path / "clone")
    odb = Store(world.root)._remote.odb
    path = odb.oid_to_path(version.artifacts[0].md5)
    data = odb.fs.cat_file(path)
    odb.fs.rm_file(path)
    if harm != "lost":
        odb.fs.pipe_file(path, b"!" + data[1:] if harm == "damaged" else data[:-1])
    said = "missing" if harm == "lost" else "damaged"
    for use in (
        lambda: other.registry.pull("fraud@1", to=tmp_path / "out"),
        lambda: other.registry.load("fraud@1"),
    ):
        with pytest.raises(Damaged, match=f"^fraud@1 model.skops is {said}") as caught:
            use()
        assert_one_line(f"{caught.value.message}\nhint: {caught.value.hint}")
    assert not list((tmp_path / "out").glob("*"))
    assert wrong_objects(other.root) == []
    deep = ["--deep"] if harm == "damaged" else []
    told = asked(other, "verify", *deep)
    assert told.returncode == 1
    (row,) = [line for line in told.stdout.splitlines() if "fraud@1" in line]
    assert f"{said} in the store" in row
    if harm == "damaged":
        odb.fs.rm_file(path)  # as the hint says; with another size, a push alone heals it
    Store(world.root).push([digest_of(version.artifacts[0])])
    assert asked(other, "verify", "--deep").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("site", [SSH, "webdav"], indirect=True)
def test_a_key_that_does_not_open_it_is_one_line_without_the_secret(
    site: Site, world: World, folder: Path, tmp_path: Path
) -> None:
    wrong = {
        "ssh": lambda: site.with_options(keyfile=site.options["keyfile"].replace("/user", "/stranger")),
        "webdav": lambda: site.with_options(password="shut-sesame-43"),
    }[site.kind]()
    wrong.opened_in(world.root)
    done = asked(world, "register", "fraud", str(folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr)
    assert "check what opens it" in done.stderr
    assert "shut-sesame-43" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("site", NETWORK, indirect=True)
def test_a_server_that_is_gone_is_one_line_without_the_secret_and_no_missing_object(
    site: Site, world: World, folder: Path, tmp_path: Path
) -> None:
    world.registry.register("fraud", folder)
    other = clone(world, site.through(free_port()), tmp_path / "clone")
    done = asked(other, "pull", "fraud@1", "--to", str(tmp_path / "out"))
    assert done.returncode == 2
    assert_one_line(done.stderr)
    assert "fraud@1 model" in done.stderr
    told = asked(other, "verify")
    assert told.returncode == 1
    assert "cannot be reached" in told.stdout
    assert "missing in the store" not in told.stdout


def read_so_far() -> int:
    """Return the bytes that this process has read."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


def test_what_was_put_into_the_cache_a_moment_ago_is_not_read_again_to_be_sent(tmp_path: Path) -> None:
    world = World(tmp_path / "world", start=Start(name="world", storage=str(tmp_path / "store")))
    (tmp_path / "store").mkdir()
    file, size = tmp_path / "large.bin", 30_000_000
    file.write_bytes(os.urandom(size))
    store = world.registry.place.store()
    before = read_so_far()
    digest = store.add(file)
    assert read_so_far() - before < 1.2 * size
    sent = []
    for _ in range(2):
        before = read_so_far()
        store.push([digest])
        sent.append(read_so_far() - before)
        Path(store.cached(digest)).touch()  # somebody was there: now it is read before anything is sent
        for there in (tmp_path / "store").rglob(digest.md5[2:]):
            there.unlink()
    assert sent[1] - sent[0] > 0.8 * size
