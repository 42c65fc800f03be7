"""A bare repository with the hook, real pushes to it over both roads, and the table in which attacks are written.

Whoever is refused leaves nothing behind, so all attacks of a run meet the same server. What is accepted goes to a copy.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hooked
import servers
from builder import cli
from forging import Actor
from workshop import Workshop

OPEN = {"promote/fraud/3/production": "third rejected"}
"""Proposals that wait on the server, by the marks of their commits."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Pushed:
    """What became of a push: git's exit code, and what the pusher read, in lines without git's `remote: `."""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        return [line.removeprefix("remote: ").rstrip() for line in self.text.splitlines()]

    @property
    def refusals(self) -> list[str]:
        """What the hook said, reason by reason."""
        return [line.removeprefix("refused: ") for line in self.lines if line.startswith("refused: ")]

    @property
    def hints(self) -> list[str]:
        """The next steps that the hook named."""
        return [line.strip().removeprefix("hint: ") for line in self.lines if line.strip().startswith("hint: ")]


@dataclass(frozen=True)
class Server:
    """A bare repository with the hook. Over SSH it is reached at `port`, by whoever has one of the `authorized` keys.

    In `lanes` connections stay open for the next push of the same actor.
    """

    path: Path
    port: int = 0
    authorized: Path | None = None
    lanes: Path | None = None

    @property
    def refs(self) -> dict[str, str]:
        """Every ref with its commit."""
        told = subprocess.run(
            ["git", f"--git-dir={self.path}", "for-each-ref", "--format=%(refname) %(objectname)"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return dict(line.split(" ") for line in told.stdout.splitlines())  # type: ignore[misc]

    def put_back(self, refs: dict[str, str]) -> list[str]:
        """Give refs back what they had, so that what one attack wins spoils no other test; return those that had moved."""
        now = self.refs
        moved = sorted(name for name in {*now, *refs} if now.get(name) != refs.get(name))
        told = [f"update {name} {refs[name]}" if name in refs else f"delete {name}" for name in moved]
        if not moved:
            return []
        git = ["git", f"--git-dir={self.path}", "update-ref", "--stdin"]
        subprocess.run(git, input="\n".join([*told, ""]), text=True, check=True)
        return moved

    @property
    def denials(self) -> list[dict[str, Any]]:
        """What the server wrote down of refused pushes."""
        file = self.path / "gitops-registry/denials.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def url(self, road: str) -> str:
        """Return the address by a road: `file` or `ssh`."""
        return self.path.as_uri() if road == "file" else f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.path}"

    def push(self, shop: Workshop, by: Actor, *specs: str, road: str = "file", options: Sequence[str] = ()) -> Pushed:
        """Push from the workshop with somebody's key and say what became of it; a ref that would be lost is forced."""
        command = ["git", "-C", str(shop.root), "push", "--force", "--porcelain", *options, self.url(road), *specs]
        return pushed(command, {**os.environ, "GIT_SSH_COMMAND": self.ssh(by)})

    def ssh(self, by: Actor) -> str:
        """Return the command that connects with somebody's key."""
        kept = {"ControlMaster": "auto", "ControlPersist": "60", "ControlPath": f"{self.lanes}/{by.name}"}
        return ssh(by, *(f"-o {key}={value}" for key, value in kept.items() if self.lanes))

    def copy(self, target: Path) -> Server:
        """Return a server of one's own, which keeps what it accepts and lets nobody in over SSH."""
        shutil.copytree(self.path, target, symlinks=True)
        config = target / "config"
        lines = [line for line in config.read_text().splitlines() if "authorizedKeys" not in line]
        config.write_text("\n".join([*lines, ""]).replace(str(self.path), str(target)))
        return Server(target)


def ssh(by: Actor, *options: str) -> str:
    """Return the command that connects with somebody's key and nothing of this user's own."""
    told = {
        "IdentitiesOnly": "yes", "IdentityAgent": "none", "BatchMode": "yes", "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null", "LogLevel": "ERROR", "ConnectTimeout": "20",
    }  # fmt: skip
    return " ".join(["ssh", "-F", "none", "-i", str(by.key), *(f"-o {k}={v}" for k, v in told.items()), *options])


def pushed(command: Sequence[str], environment: dict[str, str], **how: Any) -> Pushed:
    """Run a push and say what became of it."""
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=120, env=environment, stdin=subprocess.DEVNULL, **how
    )
    return Pushed(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))


def install(path: Path, shop: Workshop, *, authorized: Path | None = None, root: str = "") -> Server:
    """Make a bare repository's server of it, with the command an administrator types."""
    if not path.exists():
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
    keys = ["--authorized-keys", str(authorized)] if authorized else []
    done = cli(path.parent, "hook", "install", str(path), "--root", root or shop.alice.fingerprint, *keys)
    assert done.returncode == 0, done.stdout + done.stderr
    return Server(path, authorized=authorized)


def filled(path: Path, shop: Workshop) -> None:
    """Put the workshop's past into a bare repository, and the proposals that wait: what the hook has accepted by now."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
    specs = [f"{shop.marks[mark]}:refs/heads/{branch}" for branch, mark in OPEN.items()]
    specs += [f"{shop.tip}:refs/heads/main", f"{shop.marks['churn@1']}:refs/tags/churn@v1"]
    subprocess.run(["git", "-C", str(shop.root), "push", "--quiet", path.as_uri(), *specs], check=True)


@contextmanager
def standing(folder: Path, filled_server: Path, shop: Workshop, *, is_quick: bool = False) -> Iterator[Server]:
    """Yield a server that has the workshop's past, behind an sshd where there is one; `is_quick`: see `hooked`."""
    folder.mkdir()
    path, keys = folder / "server.git", folder / "authorized_keys"
    shutil.copytree(filled_server, path)
    server = install(path, shop, authorized=keys)
    if is_quick:
        hooked.quicken(path, path / "hooks/pre-receive", path / "hooks/post-receive", keys)
    if not Path(servers.SSHD).exists():
        yield server
        return
    with servers.sshd(folder, keys) as port, tempfile.TemporaryDirectory(prefix="lanes-") as lanes:
        yield replace(server, port=port, lanes=Path(lanes) if is_quick else None)


# ── the table


@dataclass(frozen=True)
class Case:
    """One row: who attacks, how (a function that returns what is pushed), and what the pusher must read."""

    actor: str
    attack: Callable[[Workshop], list[str]]
    reason: str
    by_git: bool = False

    @property
    def name(self) -> str:
        """The attack as words."""
        return self.attack.__name__.replace("_", "-")


class Table(list[Case]):
    """The attacks of one file, in order, each with the roads it takes."""

    def __init__(self) -> None:
        super().__init__()
        self._roads: dict[str, tuple[str, ...]] = {}

    def attack(
        self, actor: str, reason: str, *, ssh: bool = False, by_git: bool = False
    ) -> Callable[[Callable[[Workshop], list[str]]], Callable[[Workshop], list[str]]]:
        """Add the function that follows; `ssh` sends it over SSH too, `by_git`: git itself refuses it, before the hook."""

        def added(function: Callable[[Workshop], list[str]]) -> Callable[[Workshop], list[str]]:
            case = Case(actor, function, reason, by_git)
            self.append(case)
            self._roads[case.name] = ("file", "ssh") if ssh else ("file",)
            return function

        return added

    def rows(self, road: str) -> list[Case]:
        """Return the cases that take a road."""
        return [case for case in self if road in self._roads[case.name]]


def refuse(server: Server, shop: Workshop, case: Case, *, road: str) -> None:
    """Run an attack, and insist that it was refused for its reason, moved nothing, and was written down."""
    specs = case.attack(shop)
    refs, told = server.refs, len(server.denials)
    result = server.push(shop, shop.cast[case.actor], *specs, road=road)
    moved = server.put_back(refs)
    assert result.code != 0, f"it got through\n{result.text}"
    assert not moved, f"something moved: {moved}\n{result.text}"
    where = result.text if case.by_git else "\n".join(result.refusals)
    assert re.search(case.reason, where), f"not because of {case.reason!r}\n{result.text}"
    assert not CONTROL.search(result.text.replace("\x1b[K", "")), f"a terminal would act on this: {result.text!r}"
    if not case.by_git:
        assert result.hints, result.text
        denials = server.denials[told:]
        assert len(denials) == 1, denials
        assert re.search(case.reason, json.dumps(denials[0], ensure_ascii=False)), denials


def accept(server: Server, shop: Workshop, by: Actor, *specs: str, road: str = "file") -> Pushed:
    """Push something honest, and insist that it was accepted and nothing was said against it."""
    told = len(server.denials)
    result = server.push(shop, by, *specs, road=road)
    assert result.code == 0, result.text
    assert not result.refusals
    assert len(server.denials) == told
    refs = server.refs
    for spec in specs:
        source, _, ref = spec.partition(":")
        assert refs.get(ref, "") == source, spec
    return result
