"""Registries on another machine: read and changed at a URL without a checkout, by many at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import githost
import pytest
import servers
import zygote
from builder import World, cli, git

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.registry import Registry


@pytest.fixture(scope="module")
def hubs(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry of one model, and a bare repository of it that serves parts of clones."""
    folder = tmp_path_factory.mktemp("hubs")
    world = World(folder / "world", template=template)
    world.model("fraud").version(payload=os.urandom(1_200_000)).version().in_stage("production", 1).commit()
    git(folder, "clone", "--quiet", "--bare", world.root.as_uri(), "hub.git")
    git(folder / "hub.git", "config", "uploadpack.allowFilter", "true")
    git(folder / "hub.git", "config", "http.receivepack", "true")
    return folder


@pytest.fixture
def hub(hubs: Path, tmp_path: Path) -> Path:
    """A bare repository that holds a registry with one model; beside it lies `world`, where it was cloned from."""
    shutil.copytree(hubs, tmp_path, symlinks=True, dirs_exist_ok=True)
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


@pytest.mark.parametrize("at_once", [True, None])
def test_a_registry_that_takes_proposals_only_by_now_gets_no_commit(
    hub: Path, tmp_path: Path, at_once: bool | None
) -> None:
    """Alice looked when decisions could be committed; meanwhile the registry says that they cannot."""
    alice = Registry.open(hub.as_uri(), cache=tmp_path / "alice")
    assert alice.snapshot.constitution.direct
    world = World.__new__(World)
    world.root = tmp_path / "world"
    world.commit({"registry.yaml": world.read("registry.yaml").replace(b"direct: true", b"direct: false")})
    git(world.root, "push", "--quiet", hub.as_uri(), "main")
    before = tip(hub)
    if at_once:
        with pytest.raises(RegistryError, match="takes changes as proposals only"):
            alice.set_alias("fraud", "best", 2, direct=True)
    else:
        assert alice.set_alias("fraud", "best", 2).proposal == "alias/fraud/best"
    assert tip(hub) == before


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
    assert git(clone_of(tmp_path / "cache"), "for-each-ref", "refs/gitops-registry/scratch") == ""
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


def writers(hub: Path, folder: Path, *, count: int, each: int, caches: int) -> zygote.Started:
    folder.mkdir(exist_ok=True)
    words = [str(Path(__file__).with_name("writers.py")), hub.as_uri(), str(count), str(each), str(caches), str(folder)]
    return zygote.Started(words, folder, os.environ, program="python")


def registered(hub: Path) -> dict[int, str]:
    """Return number → writer of every version that is there."""
    snapshot = Registry.open(hub).snapshot
    return {number: snapshot.card("shared", number).tags["writer"] for number in snapshot.versions("shared")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_processes_register_ten_versions_each_and_end_with_two_hundred(hub: Path, tmp_path: Path) -> None:
    start = int(git(hub, "rev-list", "--count", "main"))
    process = writers(hub, tmp_path / "work", count=20, each=10, caches=2)
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
        assert victim.has_begun(60)  # it is at work
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


# ── a clone that is disposable, and remotes that are odd


@pytest.mark.parametrize("how", ["a lock", "no config", "no objects", "no HEAD", "an empty ref", "another repository"])
def test_a_clone_that_is_broken_is_made_anew(hub: Path, tmp_path: Path, how: str) -> None:
    Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    clone = clone_of(tmp_path / "cache")
    World(tmp_path / "w", template=tmp_path / "world").git(
        "push", "--quiet", hub.as_uri(), "HEAD:refs/heads/promote/x/1/staging"
    )
    if how == "a lock":
        (clone / "refs/heads/promote/x/1").mkdir(parents=True)
        (clone / "refs/heads/promote/x/1/staging.lock").touch()
    elif how == "an empty ref":
        (clone / "refs" / "heads" / "main").write_text("")
        (clone / "packed-refs").unlink(missing_ok=True)
    elif how == "another repository":
        git(tmp_path, "init", "--quiet", str(tmp_path / "around"))
        shutil.rmtree(clone)
        (tmp_path / "around" / "in").mkdir()
        clone.symlink_to(tmp_path / "around" / "in")
    else:
        gone = clone / how.removeprefix("no ")
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    registry = Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    assert str(registry.resolve("fraud@production")) == "fraud@1"
    assert registry.set_alias("fraud", "best", 2, direct=True).commit == tip(hub)


def test_the_default_branch_may_get_another_name_and_an_empty_remote_a_first_one(hub: Path, tmp_path: Path) -> None:
    registry = Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    git(hub, "branch", "--move", "main", "decisions")
    git(hub, "symbolic-ref", "HEAD", "refs/heads/decisions")
    registry.refresh()
    assert str(registry.resolve("fraud@production")) == "fraud@1"
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    url = (tmp_path / "empty.git").as_uri()
    with pytest.raises(RegistryError, match="no commit yet"):
        Registry.open(url, cache=tmp_path / "cache").resolve("fraud@1")
    git(hub, "push", "--quiet", str(tmp_path / "empty.git"), "decisions:refs/heads/trunk")
    git(tmp_path / "empty.git", "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert str(Registry.open(url, cache=tmp_path / "cache").resolve("fraud@production")) == "fraud@1"


def test_a_refusal_in_words_that_git_uses_for_races_is_one_refusal(hub: Path, tmp_path: Path) -> None:
    script = hub / "hooks" / "pre-receive"
    script.write_text("#!/bin/sh\necho 'please fetch first the new policy; stale info' >&2\nexit 1\n")
    script.chmod(0o755)
    done = cli(tmp_path, "-C", hub.as_uri(), "alias", "set", "fraud@2", "best")
    assert done.returncode == 2
    assert "fetch first the new policy" in done.stderr


def test_an_answer_that_got_lost_is_looked_up_below_what_others_decided_since(hub: Path, tmp_path: Path) -> None:
    script = hub / "hooks" / "post-receive"
    script.write_text(
        "#!/bin/sh\nrm -f hooks/post-receive\n"
        "git update-ref refs/heads/main $(git -c user.name=Bob -c user.email=b@x commit-tree -p main -m 'and more' main^{tree})\n"
        "kill -9 $PPID\n"
    )
    script.chmod(0o755)
    outcome = Registry.open(hub.as_uri(), cache=tmp_path / "cache").set_alias("fraud", "best", 2, direct=True)
    assert outcome.commit == git(hub, "rev-parse", "main~1").strip()


def test_what_the_remote_took_is_decided_whatever_happens_here(hub: Path, tmp_path: Path) -> None:
    registry = Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    (clone_of(tmp_path / "cache") / "refs" / "heads" / "main.lock").touch()
    place = registry.place
    before = place.tip()
    from gitops_registry import edits
    from gitops_registry.git.landing import write_commit, writer

    with writer(place.repository):
        edit = edits.set_alias(registry.snapshot, registry.resolve("fraud@2"), "best")
        commit, scratch = write_commit(place.repository, edit, parents=[before], message="alias\n")
        place.move({"refs/heads/main": (before, commit)}, scratch=scratch)
    assert tip(hub) == commit
    assert Registry.open(hub.as_uri(), cache=tmp_path / "cache").resolve("fraud@best").number == 2


def test_bytes_go_where_the_branch_of_decisions_says_whatever_anybody_looks_at(hub: Path, tmp_path: Path) -> None:
    work = World(tmp_path / "w", template=tmp_path / "world")
    for branch, where in (("main", "good"), ("promote/x/1/staging", "bad")):
        config = f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / where}\n"
        work.git("switch", "--quiet", "-C", branch)
        (work.root / ".dvc" / "config").write_text(config)
        work.git("commit", "--quiet", "--all", "--message", where)
        work.git("push", "--quiet", "--force", hub.as_uri(), f"HEAD:refs/heads/{branch}")
        (tmp_path / where).mkdir()
    registry = Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    assert registry.place.store().location == str(tmp_path / "good")
    there = Registry.open(f"{hub.as_uri()}@promote/x/1/staging", cache=tmp_path / "cache")
    assert there.place.store().location == str(tmp_path / "good")
    work.git("switch", "--quiet", "main")
    (work.root / ".dvc" / "config").write_text((work.root / ".dvc" / "config").read_text().replace("good", "new"))
    work.git("commit", "--quiet", "--all", "--message", "another store")
    work.git("push", "--quiet", hub.as_uri(), "main")
    registry.refresh()
    assert registry.place.store().location == str(tmp_path / "new")


def test_offline_is_for_reading(hub: Path, tmp_path: Path) -> None:
    Registry.open(hub.as_uri(), cache=tmp_path / "cache")
    there = Registry.open(hub.as_uri(), cache=tmp_path / "cache", offline=True)
    with pytest.raises(RegistryError, match="was opened offline"):
        there.set_alias("fraud", "best", 2, direct=True)
    with pytest.raises(RegistryError, match="was opened offline"):
        there.refresh()


def test_init_makes_no_registry_beside_the_one_that_is_named(hub: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    done = cli(tmp_path / "here", "-C", hub.as_uri(), "init")
    assert done.returncode == 2
    assert list((tmp_path / "here").iterdir()) == []
    assert cli(tmp_path, "-C", str(tmp_path / "here"), "init").returncode == 0
    assert (tmp_path / "here" / "registry.yaml").exists()
    told = cli(tmp_path, "-C", hub.as_uri(), "doctor").stdout
    assert f"every change is made at {hub.as_uri()}" in told


@pytest.mark.needs("ssh")
def test_a_registry_is_read_and_changed_over_ssh(hub: Path, tmp_path: Path) -> None:
    with servers.ssh_site(tmp_path / "ssh") as site:
        known = f"-o UserKnownHostsFile={tmp_path}/known -o StrictHostKeyChecking=accept-new -o IdentitiesOnly=yes"
        given = {"GIT_SSH_COMMAND": f"ssh -i {site.options['keyfile']} {known}"}
        url = f"ssh://{site.options['user']}@127.0.0.1:{site.port}{hub}"
        assert json.loads(cli(tmp_path, "-C", url, "list", "--json", environment=given).stdout)[0]["name"] == "fraud"
        done = cli(tmp_path, "-C", url, "alias", "set", "fraud@2", "best", environment=given)
        assert done.returncode == 0, done.stderr
        assert git(hub, "log", "-1", "--format=%s", "main").strip() == "alias fraud best to 2"
        stranger = {"GIT_SSH_COMMAND": f"ssh -i {tmp_path}/ssh/stranger -o BatchMode=yes {known}"}
        refused = cli(tmp_path, "-C", url, "list", environment=stranger)
        assert refused.returncode == 2
        assert "could not reach" in refused.stderr
