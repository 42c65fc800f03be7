"""Two people with keys, their checkouts and a server with the hook: a team's registry as its members type it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import hooked
from builder import FLOORS, World, cli, git

from gitops_registry import edits
from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.manifest.writing import dump
from gitops_registry.starting import Start, init

PEOPLE = {"alice": "admin", "bob": "ml_engineer", "dan": "data_scientist"}


@dataclass(frozen=True)
class Team:
    """One folder with everybody's keys, everybody's checkout by their name, and `server.git`."""

    folder: Path

    def at(self, name: str) -> World:
        """Return somebody's checkout."""
        found = World.__new__(World)
        found.root = self.folder / name
        return found

    @property
    def server(self) -> Path:
        """The bare repository."""
        return self.folder / "server.git"

    def copy(self, target: Path) -> Team:
        """Return a team of one's own, as it is now."""
        shutil.copytree(self.folder, target, symlinks=True)
        found = Team(target)
        for name in PEOPLE:
            git(target / name, "remote", "set-url", "origin", str(found.server))
            git(target / name, "config", "user.signingKey", str(target / f"{name}.key"))
        git(found.server, "config", "core.hooksPath", str(found.server / "hooks"))
        return found


def key(folder: Path, name: str, kind: str = "ed25519") -> Path:
    """Make a key pair and return its public half."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(folder / f"{name}.key")], check=True
    )
    return folder / f"{name}.key.pub"


def found(folder: Path, *, is_quick: bool = False) -> Team:
    """Make a team: fraud@1 waits in staging, production asks for one approval and a good accuracy; `is_quick`: see `hooked`."""
    folder.mkdir()
    keys = {name: key(folder, name).read_text().strip() for name in PEOPLE}
    members = tuple(
        Member(name=name, role=role, email=f"{name}@example.com", keys=(Key(key=keys[name]),))
        for name, role in PEOPLE.items()
    )
    access = {"policies/access.yaml": dump(Access(members=members), "policies/access.yaml")}
    alice = folder / "alice"
    alice.mkdir()
    git(alice, "init", "--quiet", "--initial-branch=main")
    _configure(alice, folder, "alice")
    start = Start(name="team", team=True, policies={"policies/floors.yaml": FLOORS})
    init(alice, start)
    team = Team(folder)
    world = team.at("alice")
    from gitops_registry.codeowners import owned

    before = world.registry.place.snapshot()
    world.commit({**access, **owned(before, Access(members=members))}, "let everybody in")
    world.model("fraud", owners=("alice",)).version().version().in_stage("staging", 1).commit()
    git(folder, "clone", "--quiet", "--bare", str(alice), str(team.server))
    done = cli(folder, "hook", "install", str(team.server))
    assert done.returncode == 0, done.stderr
    if is_quick:
        hooked.quicken(team.server, team.server / "hooks/pre-receive", team.server / "hooks/post-receive")
    git(alice, "remote", "add", "origin", str(team.server))
    git(alice, "fetch", "--quiet", "origin")
    git(alice, "branch", "--quiet", "--set-upstream-to=origin/main", "main")
    for name in ("bob", "dan"):
        git(folder, "clone", "--quiet", str(team.server), name)
        _configure(folder / name, folder, name)
    return team


def _configure(root: Path, folder: Path, name: str) -> None:
    for what, value in {
        "user.name": name.capitalize(), "user.email": f"{name}@example.com", "gpg.format": "ssh",
        "user.signingKey": str(folder / f"{name}.key"),
    }.items():  # fmt: skip
        git(root, "config", what, value)


def promote(world: World, reference: str, stage: str) -> str:
    """Write a proposal by hand and return its branch."""
    before = world.registry.place.snapshot("main")
    resolved = before.resolve(reference)
    branch = f"promote/{resolved.name}/{resolved.number}/{stage}"
    world.git("branch", branch, "main")
    world.commit(edits.promote(before, resolved, stage), f"promote {reference}", branch=branch)
    return branch
