"""What a newcomer has and does, as values: trained files, a registry's whole life typed at the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import zygote
from builder import World, cli

CARD = """\
kind: ModelCard
schema_version: 1
description: Tells benign tumours from malign ones.
intended_use: A lesson about registries.
limitations: One hospital, 569 cells.
training_data: Breast cancer Wisconsin, two rows of three.
"""


@dataclass(frozen=True)
class Trained:
    """Files a newcomer has after training: four forests (the fourth is worse), rows with the truth, rows without."""

    folder: Path

    def model(self, number: int) -> Path:
        return self.folder / f"forest{number}.skops"

    @property
    def data(self) -> Path:
        return self.folder / "holdout.csv"

    @property
    def rows(self) -> Path:
        return self.folder / "rows.csv"

    @property
    def card(self) -> Path:
        return self.folder / "card.yaml"


@dataclass(frozen=True)
class Said:
    """What one command was, printed and returned."""

    command: list[str]
    code: int
    out: str
    err: str

    @property
    def both(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Lived:
    """The registry at the end of the story, and what each step said."""

    world: World
    story: dict[str, Said]

    def copy(self, target: Path) -> World:
        """Return a registry of one's own to change."""
        return World(target, template=self.world.root)


def train(folder: Path) -> None:
    import numpy as np
    import skops.io
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    table, truth = load_breast_cancer(return_X_y=True, as_frame=True)
    table = table.iloc[:, :5]
    held_out = np.arange(len(table)) % 3 == 0
    for number, (trees, depth) in enumerate([(2, 2), (8, 3), (15, 5), (1, 1)], start=1):
        forest = RandomForestClassifier(trees, max_depth=depth, random_state=number)
        skops.io.dump(forest.fit(table[~held_out], truth[~held_out]), folder / f"forest{number}.skops")
    table[held_out].assign(diagnosis=truth[held_out]).to_csv(folder / "holdout.csv", index=False)
    table[held_out].head(4).to_csv(folder / "rows.csv", index=False)
    (folder / "card.yaml").write_text(CARD)


def live(folder: Path, trained: Trained) -> dict[str, dict[str, object]]:
    story: dict[str, dict[str, object]] = {}
    root = folder / "registry"

    def do(step: str, *arguments: object, where: Path = root) -> None:
        command = [str(a) for a in arguments]
        done = cli(where, *command)
        story[step] = {"command": command, "code": done.returncode, "out": done.stdout, "err": done.stderr}

    def land(number: int, stage: str) -> None:
        do(f"propose {number} {stage}", "promote", f"tumour@{number}", "--to", stage)
        do(f"merge {number} {stage}", "merge", f"promote/tumour/{number}/{stage}")

    do("init", "init", "registry", where=folder)
    for number in (1, 2, 3, 4):
        do(
            f"register {number}", "register", "tumour", trained.model(number), "--data", trained.data,
            "--target", "diagnosis", "--param", f"attempt={number}", "--metric", f"cost={number}.5",
            "--tag", "team=onco", "--card", trained.card, *(["--no-onnx"] if number in (1, 4) else []),
        )  # fmt: skip
    land(1, "staging")
    land(2, "staging")
    land(2, "production")
    do("4 to staging", "promote", "tumour", "4", "--to", "staging", "--direct")
    do("refused", "promote", "tumour", "4", "--to", "production")
    do("compare", "compare", "tumour", "2", "3")
    do("3 to staging", "promote", "tumour", "3", "--to", "staging", "--direct")
    do("propose 3 production", "promote", "tumour@3", "--to", "production")
    do("check 3 production", "check", "--head", "promote/tumour/3/production")
    do("plan 3 production", "plan", "promote/tumour/3/production")
    do("merge 3 production", "merge", "promote/tumour/3/production")
    do("after 3", "list", "tumour", "--json")
    do("rollback", "rollback", "tumour", "--reason", "complaints about version 3")
    do("merge rollback", "merge", "rollback/tumour/production")
    do("log", "log", "tumour")
    do("card", "card", "tumour@production")
    do("pull", "pull", "tumour@production", "--to", folder / "pulled")
    do("predict", "predict", "tumour@production", trained.rows, "--proba")
    return story


def refs(world: World) -> str:
    """Every ref with its commit, what is checked out, and what git says of the work tree."""
    return world.git("for-each-ref") + world.git("rev-parse", "HEAD") + world.git("status", "--porcelain", "--ignored")


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def started(folder: Path, *arguments: str) -> zygote.Started:
    """Start the command line and leave it running, beside others and to be killed."""
    return zygote.Started(list(arguments), folder, os.environ)


def from_a_shell(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command line with the interpreter, as a shell does, for what may happen at any moment of it."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitops_registry", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
