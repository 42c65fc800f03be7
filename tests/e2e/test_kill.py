"""SIGKILL at any moment leaves the old state or the new one, and the next command works.

A process of its own is killed: the whole group, as when a machine goes down, or Python alone, whose git then runs
on as an orphan. It is killed by the clock, before and after every git it starts, and inside git itself, while the
locks of the refs are held.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from builder import World

from gitops_registry.__main__ import main

pytestmark = pytest.mark.slow

Victim = Literal["group", "python"]
REAL_GIT = shutil.which("git")
WRAPPER = """#!/bin/sh
# Count this call; kill at the one that is asked for, before or after the real git ran.
{ read -r number < "$KILL_FOLDER/count"; } 2>/dev/null
number=$(( ${number:-0} + 1 ))
echo $number > "$KILL_FOLDER/count"
[ "$number$KILL_WHEN" = "${KILL_AT}before" ] && kill -9 $KILL_VICTIM$([ -n "$KILL_VICTIM" ] || echo $PPID)
"$REAL_GIT" "$@"
code=$?
[ "$number$KILL_WHEN" = "${KILL_AT}after" ] && kill -9 $KILL_VICTIM$([ -n "$KILL_VICTIM" ] || echo $PPID)
exit $code
"""
HOOK = """#!/bin/sh
# Called by git inside a transaction of refs: when "prepared", it holds their locks.
[ -n "$KILL_IN" ] && [ "$KILL_IN" = "$1" ] && grep -q "$KILL_REF" && kill -9 0
exit 0
"""


class Deed(NamedTuple):
    """One landing that is killed: how it is started, and what the registry holds when it is done."""

    name: str
    run: Callable[[World], int]
    holds: Callable[[World], bool]


KEPT = {"writer.lock", "check.clean", "check.past"}
"""What stays in the state folder for good: a lock nobody holds, and what a check remembers."""


def command(*arguments: str) -> Callable[[World], int]:
    def run(world: World) -> int:
        os.chdir(world.root)
        sys.argv = ["gitops-registry", *arguments]
        try:
            return int(main() or 0)  # type: ignore[func-returns-value]
        except SystemExit as end:
            return int(end.code or 0)

    return run


def fill(world: World) -> int:
    """Land what `register` lands: a version's files, its pointer and its bytes, with a new model."""
    world.model("churn").version(payload=b"weights" * 50_000).version().in_stage("staging", 1).commit()
    return 0


def is_staged(world: World) -> bool:
    return 1 in world.registry.place.snapshot("main").in_stage("fraud", "staging")


DEEDS = (
    Deed("promote", command("promote", "fraud@1", "--to", "staging", "--direct"), is_staged),
    Deed("merge", command("merge", "promote/fraud/1/staging"), is_staged),
    Deed("register", fill, lambda world: world.registry.place.snapshot("main").models() == ("churn", "fraud")),
)


@pytest.fixture(scope="module")
def prepared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two versions and an open proposal, its refs packed, and git's hook of refs in place."""
    world = World(tmp_path_factory.mktemp("kill") / "prepared", template=template)
    world.model("fraud").version().version().commit()
    assert start(world, command("promote", "fraud@1", "--to", "staging")).end() == 0
    world.git("pack-refs", "--all")
    hook = world.root / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)
    return world.root


@pytest.fixture(scope="module")
def wrapper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `git` that counts and kills."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "git").write_text(WRAPPER)
    (folder / "git").chmod(0o755)
    return folder


class Running(NamedTuple):
    """A process in a group of its own."""

    pid: int
    log: Path

    def kill(self, victim: Victim) -> None:
        os.kill(-self.pid if victim == "group" else self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start(world: World, run: Callable[[World], int], **variables: str) -> Running:
    """Start a deed in a process of its own group; it shares nothing with this one but the modules that are loaded."""
    log = world.root.with_suffix(".log")
    pid = os.fork()
    if pid:
        return Running(pid, log)
    code = 70
    try:
        os.setpgid(0, 0)
        os.environ.update(variables)
        with log.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with redirect_stdout(file), redirect_stderr(file):
                code = run(world)
    finally:
        os._exit(code)


def copy(prepared: Path, target: Path) -> World:
    shutil.copytree(prepared, target, symlinks=True)
    world = World.__new__(World)
    world.root = target
    return world


def litter(world: World) -> list[str]:
    """Return what is neither a commit nor a branch."""
    folder = world.root / ".git"
    found = [str(path) for path in folder.rglob("*.lock") if path.name != "writer.lock"]
    found += [path.name for path in (folder / "gitops-registry").glob("*") if path.name not in KEPT]
    found += [path.name for path in folder.glob("fast_import_crash_*")] + [
        p.name for p in folder.glob("packed-refs.new")
    ]
    return found + world.git("for-each-ref", "refs/gitops-registry").split()


def judge(world: World, deed: Deed, old: str, when: str) -> bool:
    """Hold the registry to its promise after a kill; return whether the deed was done."""
    tip = world.git("rev-parse", "main").strip()
    is_new = tip != old
    assert not is_new or world.git("rev-parse", "main^1").strip() == old, when
    assert (
        subprocess.run(
            ["git", "-C", str(world.root), "fsck", "--connectivity-only"], capture_output=True, check=False
        ).returncode
        == 0
    ), when
    assert deed.holds(world) == is_new, f"{when}: half a deed"
    log = world.root.with_suffix(".log")
    log.write_text("")
    assert start(world, command("list", "--json")).end() == 0, f"{when}: a read fails\n{log.read_text()}"
    assert start(world, command("promote", "fraud@2", "--to", "staging", "--direct")).end() == 0, (
        f"{when}: a write fails\n{log.read_text()}"
    )
    assert world.git("status", "--porcelain") == "", f"{when}: the work tree stayed behind"
    assert litter(world) == [], when
    assert deed.holds(world) == is_new, f"{when}: the next command changed what was decided"
    assert 2 in world.registry.place.snapshot("main").in_stage("fraud", "staging"), when
    return is_new


def calls(world: World, deed: Deed, wrapper: Path) -> int:
    """Return how many times a deed runs git when nobody kills it."""
    variables = killing(wrapper, world.root.parent, at=0, when="before", victim="group")
    assert start(world, deed.run, **variables).end() == 0, world.root.with_suffix(".log").read_text()
    assert deed.holds(world)
    return int((world.root.parent / "count").read_text())


def killing(wrapper: Path, folder: Path, *, at: int, when: str, victim: Victim) -> dict[str, str]:
    (folder / "count").unlink(missing_ok=True)
    return {
        "PATH": f"{wrapper}:{os.environ['PATH']}", "REAL_GIT": str(REAL_GIT), "KILL_FOLDER": str(folder),
        "KILL_AT": str(at), "KILL_WHEN": when, "KILL_VICTIM": "0" if victim == "group" else "",
    }  # fmt: skip


def kill_at(deed: Deed, number: int, victim: Victim, prepared: Path, wrapper: Path, folder: Path, of: int) -> bool:
    """Kill a deed before its git of that number (odd ones: after it); return whether it was done, promises kept."""
    when = ("before", "after")[number % 2]
    world = copy(prepared, folder / f"killed-{number}")
    old = world.git("rev-parse", "main").strip()
    start(world, deed.run, **killing(wrapper, folder, at=number, when=when, victim=victim)).end()
    return judge(world, deed, old, f"{deed.name}: {victim} killed {when} git {number} of {of}")


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name)
def test_a_kill_around_any_git_leaves_the_old_or_the_new(
    deed: Deed, prepared: Path, wrapper: Path, tmp_path: Path
) -> None:
    number = calls(copy(prepared, tmp_path / "whole"), deed, wrapper)
    # What writes is the end; before it an odd step is enough, so that kills before and after alternate.
    points = [*range(1, number - 8, 5), *range(max(number - 8, 1), number + 1)]
    victims: tuple[Victim, ...] = ("group", "group", "python", "python")
    outcomes = [kill_at(deed, at, victims[at % 4], prepared, wrapper, tmp_path, number) for at in points]
    assert set(outcomes) == {True, False}, "the kills were all on one side of the landing"


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/gitops-registry/scratch"])
@pytest.mark.parametrize("state", ["prepared", "committed"])
@pytest.mark.parametrize("deed", DEEDS[:2], ids=lambda deed: deed.name)
def test_a_kill_inside_git_leaves_no_lock_that_blocks(
    deed: Deed, state: str, ref: str, prepared: Path, tmp_path: Path
) -> None:
    world = copy(prepared, tmp_path / "killed")
    old = world.git("rev-parse", "main").strip()
    assert start(world, deed.run, KILL_IN=state, KILL_REF=ref).end() == -signal.SIGKILL
    assert state == "committed" or list((world.root / ".git").rglob("*.lock"))
    is_new = judge(world, deed, old, f"{deed.name}: killed when {ref} was {state}")
    assert is_new == (state == "committed" and ref == "refs/heads/main")


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name)
def test_a_kill_by_the_clock_leaves_the_old_or_the_new(deed: Deed, prepared: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    assert start(copy(prepared, tmp_path / "whole"), deed.run).end() == 0
    normal = time.monotonic() - started
    for number, share in enumerate((0.6, 0.8)):
        victim: Victim = ("group", "python")[number % 2]
        world = copy(prepared, tmp_path / f"killed-{number}")
        old = world.git("rev-parse", "main").strip()
        running = start(world, deed.run)
        time.sleep(normal * share)
        running.kill(victim)
        running.end()
        judge(world, deed, old, f"{deed.name}: {victim} killed at {share:.0%} of {normal:.2f} s")


def test_an_init_that_is_killed_leaves_nothing_or_a_registry_that_knows_its_branch(
    wrapper: Path, tmp_path: Path
) -> None:
    """Without its note of the branch in git's configuration, a registry would let a proposal say where it lands."""

    def init(world: World) -> int:
        os.chdir(world.root.parent)
        sys.argv = ["gitops-registry", "init", world.root.name]
        try:
            return int(main() or 0)  # type: ignore[func-returns-value]
        except SystemExit as end:
            return int(end.code or 0)

    def at(number: int, when: str) -> World:
        world = World.__new__(World)
        world.root = tmp_path / f"killed-{number}-{when}" / "registry"
        world.root.parent.mkdir()
        start(world, init, **killing(wrapper, tmp_path, at=number, when=when, victim="group")).end()
        return world

    at(0, "before")
    number, outcomes = int((tmp_path / "count").read_text()), set()
    for call in range(max(number - 11, 1), number + 1):
        world = at(call, ("before", "after")[call % 2])
        has_landed = bool(world.git("for-each-ref", "refs/heads/main", check=False))
        outcomes.add(has_landed)
        if has_landed:
            assert world.git("config", "gitops-registry.branch").strip() == "main", f"killed at git {call} of {number}"
        else:
            assert start(world, init).end() == 0, world.root.with_suffix(".log").read_text()
        assert start(world, command("check")).end() == 0, world.root.with_suffix(".log").read_text()
        assert world.git("status", "--porcelain") == ""
        assert litter(world) == []
    assert outcomes == {True, False}
