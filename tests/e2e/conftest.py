"""Real models for the end-to-end tests, and one registry that has lived its whole life by the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fortress
import pytest
import scenes
import sites
import workshop
from builder import World, once
from fortress import Server
from story import Lived, Said, Trained, live, train
from workshop import Workshop


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


@pytest.fixture(scope="session")
def scene(lived: Lived, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Registries to copy, by the name of their folder."""
    return once(tmp_path_factory, "scenes", lambda folder: scenes.make(folder, lived, trained))


@pytest.fixture(scope="session")
def shop(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Everybody's keys and commits; each process of tests has a copy to forge in."""

    def make(folder: Path) -> None:
        workshop.make(folder / "workshop")
        fortress.filled(folder / "server.git", workshop.opened(folder / "workshop"))

    mine = tmp_path_factory.mktemp("fortress")
    shutil.copytree(once(tmp_path_factory, "fortress", make), mine, dirs_exist_ok=True)
    return workshop.opened(mine / "workshop")


@pytest.fixture(scope="session")
def server(shop: Workshop) -> Iterator[Server]:
    """The server that all attacks meet."""
    home = shop.folder.parent
    with fortress.standing(home / "standing", home / "server.git", shop, is_quick=True) as found:
        yield found


@pytest.fixture(scope="session")
def built(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a registry with two honest models and a hostile one."""

    def make(folder: Path) -> None:
        world = World(folder / "registry")
        sites.fill(world)
        world.cli("site", "build", "--out", str(folder / "site"))

    return once(tmp_path_factory, "site", make) / "site"
