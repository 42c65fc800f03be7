"""The one language in which tests say what a registry holds.

    world.model("fraud").version(metrics={"accuracy": 0.95}).version().in_stage("production", 2).commit()

Everything is real: git, DVC's cache, the store committed with git, the manifests as `register` writes them. Only
the bytes are small, for most tests never load them.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zygote
from filelock import FileLock

from gitops_registry import edits, paths
from gitops_registry.__main__ import main
from gitops_registry.edits import Edit
from gitops_registry.git.landing import local_file, move_branches, write_commit, writer
from gitops_registry.manifest.facts import Artifact, Person, Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.pointer import pointer
from gitops_registry.policy.report import Report
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.snapshot import Content, Edits, Snapshot, Stored
from gitops_registry.starting import Start, init
from gitops_registry.workplace import digest_of

FINISHED_CARD = Card(
    description="Scores applications.",
    intended_use="Support for a person who decides.",
    limitations="Trained on one region.",
    training_data="Applications of 2025.",
)
FLOORS = b"""\
kind: Policy
schema_version: 1
name: floors
match: {to: [production]}
params: {floors: {binary-classification: {accuracy: 0.9}, multiclass-classification: {accuracy: 0.9}, regression: {r2: 0.4}}}
variables:
- {name: floors, expression: "params.floors[candidate.task]"}
- {name: missed, expression: "keys(variables.floors).filter(m, candidate.measured[m] < variables.floors[m])"}
validations:
- id: known-task
  expression: candidate.task in params.floors
  message_expression: "'nothing says what a model for ' + candidate.task + ' must reach'"
  on_rollback: skip
- id: metrics
  expression: "!(candidate.task in params.floors) || size(variables.missed) == 0"
  message_expression: "variables.missed.map(m, m + ' ' + string(candidate.measured[m]) + ' is below ' + string(variables.floors[m])).join(', ')"
  enforcement: soft
  on_rollback: skip
tests:
- {name: good, expect: {known-task: pass, metrics: pass}}
- {name: low, set: {candidate.measured.accuracy: 0.5}, expect: {metrics: fail}}
- {name: other, set: {candidate.task: other}, expect: {known-task: fail}}
"""
"""What the worlds of most tests ask for: the floors of metrics, and nothing else."""
CREATED = datetime(2026, 11, 22, 10, tzinfo=UTC)


class World:
    """One registry in a folder of its own, and the ways to fill, change and look at it."""

    def __init__(self, root: Path, *, start: Start | None = None, template: Path | None = None) -> None:
        self.root = root
        if template is not None:
            shutil.copytree(template, root, symlinks=True)
        else:
            init(root, replace(start or Start(name="world"), policies={"policies/floors.yaml": FLOORS}))

    @property
    def registry(self) -> Registry:
        """The registry, opened anew."""
        return Registry.open(self.root)

    def model(self, name: str, **state: Any) -> ModelBuilder:
        """Start to say what a model holds; `commit` writes it."""
        return ModelBuilder(self, name, state)

    def commit(self, files: Mapping[str, Content | None], message: str = "prepare", *, branch: str = "main") -> str:
        """Commit files as they are, unjudged, and return the commit."""
        place = self.registry.place
        ref = f"refs/heads/{branch}"
        with writer(place.repository):
            tip = place.repository.tip(ref)
            parents = [tip] if tip else [place.commit("HEAD")]
            commit, scratch = write_commit(place.repository, files, parents=parents, message=message)
            move_branches(place.repository, {ref: (tip or "0" * 40, commit)}, scratch=scratch, follow=ref)
        return commit

    def branch(self, files: Mapping[str, Content | None], *, base: str = "main") -> str:
        """Commit files on a new branch that starts at `base`, unjudged, and return the branch."""
        name = f"case/{uuid.uuid4().hex}"
        self.git("branch", name, base)
        self.commit(files, branch=name)
        return name

    def judged(self, files: Mapping[str, Content | None], *, base: str = "main") -> Report:
        """Return what the check says of files on a branch of their own, as they would land on `base`."""
        return self.registry.check(base=base, head=self.branch(files, base=base))

    def read(self, path: str, *, revision: str = "main") -> bytes:
        """Return the bytes of a file in a commit."""
        return self.git("show", f"{revision}:{path}").encode()

    def stored(self, content: bytes, mode: str) -> Stored:
        """Put content into git and return it with a mode: 100755, 120000 (a symbolic link's target)."""
        done = subprocess.run(
            ["git", "-C", str(self.root), "hash-object", "-w", "--stdin"],
            input=content,
            capture_output=True,
            check=True,
        )
        return Stored(done.stdout.decode().strip(), mode)

    def git(self, *arguments: str, check: bool = True) -> str:
        """Run git here and return what it printed."""
        return git(self.root, *arguments, check=check)

    def dated(self, *moments: str) -> None:
        """Give the last decisions on main those dates, the newest the last one, and all before them the first."""
        line = self.git("rev-list", "--first-parent", "--reverse", "main").split()
        dates = [*moments[:1] * (len(line) - len(moments)), *moments]
        new = ""
        for oid, when in zip(line, dates, strict=True):
            others = self.git("rev-list", "--parents", "--max-count=1", oid).split()[2:]
            parents = [word for parent in (new, *others) if parent for word in ("-p", parent)]
            command = ["git", "-C", str(self.root), "commit-tree", f"{oid}^{{tree}}", *parents]
            dated = {**os.environ, "GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
            message = self.git("log", "--max-count=1", "--format=%B", oid)
            done = subprocess.run(command, input=message, capture_output=True, text=True, check=True, env=dated)
            new = done.stdout.strip()
        self.git("update-ref", "refs/heads/main", new)

    def cli(self, *arguments: str, check: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process of its own; `check` is the exit code that is expected."""
        done = cli(self.root, *arguments, **options)
        assert check is None or done.returncode == check, (
            f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def clone(self, target: Path, *options: str) -> World:
        """Clone this registry with git and return the clone."""
        git(self.root.parent, "clone", "--quiet", *options, self.root.as_uri(), str(target))
        found = World.__new__(World)
        found.root = target
        return found


class ModelBuilder:
    """Says what one model holds."""

    def __init__(self, world: World, name: str, state: dict[str, Any]) -> None:
        self._world = world
        self._name = name
        self._state = state
        self._versions: list[dict[str, Any]] = []
        self._stages: dict[int, str] = {}

    def version(self, *, payload: bytes | None = None, card: Card = FINISHED_CARD, **facts: Any) -> ModelBuilder:
        """Add the next version; `facts` are fields of version.yaml."""
        self._versions.append({"payload": payload, "card": card, "facts": facts})
        return self

    def in_stage(self, stage: str, *numbers: int) -> ModelBuilder:
        """Put versions into a stage (the newest one, without numbers)."""
        for number in numbers or (len(self._versions),):
            self._stages[number] = stage
        return self

    def commit(self) -> World:
        """Write all of it in one commit, unjudged, and return the world."""
        place = self._world.registry.place
        after = place.snapshot("main")
        for number, entry in enumerate(self._versions, edits.next_number(after, self._name)):
            version, files = self._version(number, entry)
            written = dict(
                edits.register(after, self._name, version, card=entry["card"], files=files, model=self._state)
            )
            after = after.with_edits(written)
            reference = Reference(self._name, number)
            rendered = {paths.rendered_card_path(*reference): place.card(after, reference)}
            stored = {
                paths.store_path(a.md5): local_file(place.repository, place.store(after).cached(digest_of(a)))
                for a in version.artifacts
            }
            after = after.with_edits({**rendered, **stored})
        if after.model(self._name) is None:
            after = after.with_edits(edits.rewritten(after, Model(name=self._name, **self._state)))
        if self._stages:
            after = after.with_edits(edits.moved(after, self._name, self._stages))
        self._world.commit(after.edits, f"prepare {self._name}")
        return self._world

    def _version(self, number: int, entry: dict[str, Any]) -> tuple[Version, dict[str, Content]]:
        place = self._world.registry.place
        store = place.store()
        folder = place.repository.common_dir / "made"
        folder.mkdir(exist_ok=True)
        file = folder / f"{self._name}-{number}.bin"
        file.write_bytes(entry["payload"] if entry["payload"] is not None else f"{self._name} {number}\n".encode() * 20)
        digest = store.add(file)
        artifact = Artifact(
            name="model", file="model.bin", format="bytes", size=digest.size, md5=digest.md5, sha256=digest.sha256
        )
        facts: dict[str, Any] = {
            "created": CREATED,
            "author": Person(name="Alice", email="alice@example.com"),
            "task": "binary-classification",
            "metrics": {"accuracy": 0.95},
            "artifacts": (artifact,),
            **entry["facts"],
        }
        version = Version(**facts)
        return version, {f"{a.file}.dvc": pointer(a) for a in version.artifacts}


def errors(report: Report) -> set[str]:
    """Return the rules that refuse."""
    return {finding.rule for finding in report.findings if finding.result == "error"}


def together(*steps: Edit) -> Edit:
    """Return one edit that does the steps in turn, each seeing what the ones before it wrote."""

    def all_steps(snapshot: Snapshot) -> Edits:
        written: dict[str, Content | None] = {}
        for step in steps:
            written |= step(snapshot.with_edits(written))
        return written

    return all_steps


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run git in a folder and return what it printed."""
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def cli(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, in a process of its own; from the start of Python where that is what matters."""
    whole = {**os.environ, **(environment or {})}
    if not any(name.startswith("PYTHON") for name in environment or {}):
        return zygote.run(list(arguments), folder, whole, stdin, timeout=120)
    return subprocess.run(
        [sys.executable, "-m", "gitops_registry", *arguments],
        cwd=folder, capture_output=True, text=True, input=stdin, env=whole, check=False, timeout=120,
    )  # fmt: skip


def asked(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process: the same answers without the start of an interpreter, for long tables."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["gitops-registry", *arguments]
    code: object = 0
    try:
        with chdir(world.root), redirect_stdout(out), redirect_stderr(err):
            code = main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(list(arguments), int(str(code or 0)), out.getvalue(), err.getvalue())


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC's own command line in a folder, in a process without any module of ours."""
    return zygote.run(list(arguments), folder, os.environ, timeout=120, program="dvc")


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Make a folder once for all workers of a run."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not (folder / "made").exists():
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder
