"""A team's registry on a forge on loopback: everybody's checkout, their tokens, and what each types."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import team
from builder import FLOORS, World, git
from forges import LocalForge

from gitops_registry.codeowners import owned
from gitops_registry.manifest.kinds import Constitution
from gitops_registry.manifest.members import Access, Identity, Key, Member
from gitops_registry.manifest.writing import dump
from gitops_registry.starting import Start, init

PEOPLE = {"alice": "admin", "bob": "ml_engineer", "carol": "data_scientist"}


@dataclass(frozen=True)
class Hub:
    """One forge with `acme/models`, and a folder with a checkout for each of PEOPLE."""

    forge: LocalForge
    kind: str
    folder: Path

    def at(self, name: str) -> World:
        """Return somebody's checkout."""
        found = World.__new__(World)
        found.root = self.folder / name
        return found

    def environment(self, name: str) -> dict[str, str]:
        """Return what says on somebody's machine who they are on the forge."""
        token = self.forge.accounts[name].token if name else ""
        variables = {"github": ("GITHUB_TOKEN", "GITHUB_SERVER_URL"), "gitlab": ("GITLAB_TOKEN", "CI_SERVER_URL"), "gitea": ("GITEA_TOKEN", "GITEA_SERVER_URL")}  # fmt: skip
        secret, server = variables[self.kind]
        return {secret: token, server: self.forge.url}

    def run(self, name: str, *words: str, check: int | None = 0, as_: str | None = None) -> Any:
        """Let somebody type a command in their checkout; `as_` is whose token they have, where it is not theirs."""
        return self.at(name).cli(*words, check=check, environment=self.environment(name if as_ is None else as_))

    def lands(self, name: str, *words: str) -> None:
        """Let somebody decide something at once and push it."""
        self.run(name, *words)
        git(self.folder / name, "push", "--quiet", "origin", "main")


def found(forge: LocalForge, kind: str, folder: Path) -> Hub:
    """Make a team's registry on a forge: fraud@1 waits in staging, production asks for one approval and a good accuracy."""
    folder.mkdir()
    members = tuple(
        Member(
            name=name, role=role, email=f"{name}@example.com",
            keys=(Key(key=team.key(folder, name).read_text().strip()),),
            identities=(Identity.model_validate({"forge": kind, "login": name, "id": forge.accounts[name].id}),),
        )
        for name, role in PEOPLE.items()
    )  # fmt: skip
    alice = folder / "alice"
    alice.mkdir()
    git(alice, "init", "--quiet", "--initial-branch=main")
    _configure(alice, folder, "alice")
    init(alice, Start(name="models", team=True, policies={"policies/floors.yaml": FLOORS}))
    hub = Hub(forge, kind, folder)
    world = hub.at("alice")
    before = world.registry.place.snapshot()
    law = Constitution.model_validate({**before.constitution.model_dump(by_alias=True), "forge": {"kind": kind}})
    access = Access(members=members)
    files = {"policies/access.yaml": dump(access, "policies/access.yaml"), "registry.yaml": dump(law, "registry.yaml")}
    world.commit({**files, **owned(before, access)}, "let everybody in")
    world.model("fraud", owners=("alice",)).version().version().in_stage("staging", 1).commit()
    git(alice, "remote", "add", "origin", forge.remote)
    git(alice, "push", "--quiet", "-u", "origin", "main")
    for name in ("bob", "carol"):
        subprocess.run(["git", "clone", "--quiet", forge.remote, str(folder / name)], check=True)
        _configure(folder / name, folder, name)
    return hub


KEPT = ("pulls", "comments", "statuses", "_id")
"""What a forge keeps beside its repository."""


def founded(kind: str, forge: type[LocalForge], folder: Path, *, then: Callable[[Hub], object] | None = None) -> Path:
    """Make a team's registry on a forge that runs no more, to copy for each test; `then` is what has happened there before."""
    with forge.running(folder / "forge") as there:
        hub = found(there, kind, folder / "people")
        if then is not None:
            then(hub)
            kept = {name: getattr(there, name) for name in KEPT}
            (folder / "kept.json").write_text(json.dumps({"url": there.url, **kept}))
    return folder


@contextmanager
def copied(template: Path, kind: str, forge: type[LocalForge], folder: Path) -> Iterator[Hub]:
    """Run a copy of such a registry in a folder of its own, until the block ends."""
    shutil.copytree(template, folder, symlinks=True, dirs_exist_ok=True)
    with forge.running(folder / "forge") as there:
        hub = Hub(there, kind, folder / "people")
        for config in hub.folder.glob("*/.git/config"):
            text = re.sub(r"(?m)^(\turl = ).*$", rf"\g<1>{there.remote}", config.read_text())
            config.write_text(text.replace(str(template), str(folder)))
        if (folder / "kept.json").exists():
            text = (folder / "kept.json").read_text()
            kept = json.loads(text.replace(json.loads(text)["url"], there.url))
            kept["pulls"] = {int(number): pull for number, pull in kept["pulls"].items()}
            vars(there).update({name: kept[name] for name in KEPT})
        yield hub


def _configure(root: Path, folder: Path, name: str) -> None:
    for what, value in {
        "user.name": name.capitalize(), "user.email": f"{name}@example.com", "gpg.format": "ssh",
        "user.signingKey": str(folder / f"{name}.key"),
    }.items():  # fmt: skip
        git(root, "config", what, value)
