"""Registries like those that examples and documents speak of, made once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import team
from builder import World
from story import Lived, Trained


def make(folder: Path, lived: Lived, trained: Trained) -> None:
    """Make `plain`, a registry with files beside it; `proposed`, the same with a proposal; `team`, with keys and a server."""
    plain = lived.copy(folder / "plain")
    plain.cli("rename", "tumour", "credit-risk")
    plain.cli("alias", "set", "credit-risk@2", "champion")
    for name, source in (
        ("model.skops", trained.model(3)),
        ("card.yaml", trained.card),
        ("rows.csv", trained.rows),
    ):
        shutil.copy(source, plain.root / name)
    table = trained.data.read_text().replace("diagnosis", "default", 1)
    (plain.root / "holdout.csv").write_text(table)
    plain.cli("evaluation", "set", "credit-risk", "holdout.csv", "--target", "default")
    team.key(plain.root, "alice")
    (plain.root / "alice.key").rename(plain.root / "alice")
    (plain.root / "alice.key.pub").rename(plain.root / "alice.pub")
    proposed = World(folder / "proposed", template=plain.root)
    proposed.cli("promote", "credit-risk@3", "--to", "production")
    crew = team.found(folder / "team")
    team.promote(crew.at("alice"), "fraud@1", "production")
    crew.at("alice").cli("push")
    for name in ("carol", "new"):
        shutil.copy(team.key(folder, name), folder / "team" / "bob" / f"{name}.pub")
