"""What a server's hook takes to judge one promotion, in a small registry and in a large one.

    .venv/bin/python benchmarks/hook.py [MODELS …]     # 50 versions each; 2 and 200 without any

The objects of the push are on the server and no ref has them, as while git waits for the hook; it is asked again and again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bulk import EACH, fill
from ground import folder, in_turns, started, table, verdict

from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.manifest.writing import dump
from gitops_registry.receiving.installing import install
from gitops_registry.registry import Registry

TIMES, AIM = 7, 1.0
NAME = "model-001"
PEOPLE = {"alice": "admin", "bob": "ml_engineer"}


def main(sizes: list[int]) -> None:
    """Print the table."""
    with folder() as there:
        for name in PEOPLE:
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(there / name)], check=True
            )
        cases: dict[str, Callable[[], float]] = {}
        for models in sizes:
            for what, case in made(there, models).items():
                cases[f"{what}\t{models * EACH:,} versions"] = case
        found = in_turns(cases, times=TIMES)
        rows = []
        for label, value in found.items():
            what, size = label.split("\t")
            small = next(found[other] for other in found if other.startswith(f"{what}\t"))
            rows.append([what, size, f"{value:.2f}", f"{value / small:.2f}", verdict(value, AIM)])
        table(
            f"one push, seconds of the hook, median of {TIMES}; aim {AIM:.0f} s",
            ["push", "registry", "seconds", "ratio", ""],
            rows,
        )


def made(there: Path, models: int) -> Mapping[str, Callable[[], float]]:
    """Return the pushes to a server whose registry has so many models, by what they do."""
    home = there / str(models)
    (home / "store").mkdir(parents=True)
    root, server = home / "registry", home / "server.git"
    fill(root, started(root, storage=str(home / "store")), models)
    members = tuple(
        Member(
            name=name,
            role=role,
            email=f"{name}@example.com",
            keys=(Key(key=(there / f"{name}.pub").read_text().strip()),),
        )
        for name, role in PEOPLE.items()
    )
    (root / "policies/access.yaml").write_bytes(dump(Access(members=members), "policies/access.yaml"))
    for words in (["add", "policies"], ["commit", "--quiet", "-m", "Say who may"], ["config", "gpg.format", "ssh"]):
        git(root, *words)
    sign_as(root, there, "alice")
    registry = Registry.open(root)
    registry.promote(NAME, 2, to="staging", direct=True)
    git(root.parent, "clone", "--quiet", "--bare", str(root), str(server))
    install(server)
    old = git(root, "rev-parse", "main")
    pushes = {}
    registry.promote(NAME, 3, to="staging", direct=True)
    pushes["to staging, at once"] = git(root, "rev-parse", "main")
    git(root, "reset", "--quiet", "--hard", old)
    for finding in Registry.open(root).promote(NAME, 2, to="production", draft=True).refusals:
        print(f"  ! {finding.message}")
    sign_as(root, there, "bob")
    Registry.open(root).approve(f"promote/{NAME}/2/production")
    outcome = Registry.open(root).merge(f"promote/{NAME}/2/production")
    for finding in outcome.refusals:
        print(f"  ! {finding.message}")
    pushes["to production, approved and merged"] = git(root, "rev-parse", "main")
    for new in pushes.values():
        pack = subprocess.run(["git", "-C", str(root), "pack-objects", "--revs", "--stdout", "-q"], input=f"{new}\n^{old}\n".encode(), capture_output=True, check=True)  # fmt: skip
        subprocess.run(["git", "-C", str(server), "unpack-objects", "-q"], input=pack.stdout, check=True)
    return {what: partial(judged, server, f"{old} {new} refs/heads/main\n") for what, new in pushes.items()}


def judged(server: Path, told: str) -> float:
    """Return the seconds that the hook takes for a push."""
    environment = {**os.environ, "GIT_DIR": "."}
    start = time.perf_counter()
    done = subprocess.run([server / "hooks/pre-receive"], input=told.encode(), cwd=server, env=environment, capture_output=True, check=False)  # fmt: skip
    spent = time.perf_counter() - start
    if done.returncode:
        print(f"  ! refused: {done.stderr.decode()}")
    return spent


def sign_as(root: Path, there: Path, name: str) -> None:
    """Let what is committed be somebody's."""
    for role in ("AUTHOR", "COMMITTER"):
        os.environ |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": f"{name}@example.com"}
    git(root, "config", "user.signingKey", str(there / name))


def git(root: Path, *words: str) -> str:
    """Run git and return what it printed."""
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [2, 200])
