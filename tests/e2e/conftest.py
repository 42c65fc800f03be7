"""Real models for the end-to-end tests, and one registry that has lived its whole life by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builder import World
from story import Lived, Said, Trained, live, once, train


@pytest.fixture(scope="session")
def trained(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Four small forests on scikit-learn's breast cancer data."""
    return Trained(once(tmp_path_factory, "trained", train))


@pytest.fixture(scope="session")
def lived(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """A registry that went from `init` to a rollback, every step a command typed in a shell."""

    def make(folder: Path) -> None:
        (folder / "story.json").write_text(json.dumps(live(folder, trained)))

    folder = once(tmp_path_factory, "lived", make)
    world = World.__new__(World)
    world.root = folder / "registry"
    story = json.loads((folder / "story.json").read_text())
    return Lived(world, {step: Said(**said) for step, said in story.items()})
