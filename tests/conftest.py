"""What every test stands on: a machine of its own, with a name for git and nothing of the real user's."""

from __future__ import annotations

from pathlib import Path

import pytest
from builder import FINISHED_CARD, World

from gitops_registry import edits


@pytest.fixture(scope="session", autouse=True)
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the tests' own: git knows Alice, DVC sends nothing anywhere."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Alice\n\temail = alice@example.com\n[init]\n\tdefaultBranch = main\n"
        '[protocol "file"]\n\tallow = always\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n'
    )
    patch = pytest.MonkeyPatch()
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
    }.items():
        patch.setenv(name, value)
    return home


@pytest.fixture(scope="session")
def template(machine: Path) -> Path:
    """An empty registry, made once by `init` and copied for each test."""
    root = machine / "template"
    World(root)
    return root


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    """An empty registry of one person."""
    return World(tmp_path / "world", template=template)


@pytest.fixture(scope="session")
def court(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry before which branches are judged; its main branch stays as it is.

    fraud: 1 served once with 0.85 and is archived, 2 serves, 3 waits in staging and is good, 4 is new and good, 5 to 8
    wait in staging: 5 is weak, 6 has a task that nothing speaks for, 7 was not measured, 8 has a card of placeholders.
    """
    world = World(tmp_path_factory.mktemp("court") / "world", template=template)
    fraud = world.model("fraud", description="Scores payments.", aliases={"champion": 2, "best": 3})
    fraud.version(metrics={"accuracy": 0.85}).version().version(metrics={"accuracy": 0.97}).version()
    fraud.version(metrics={"accuracy": 0.5}).version(task="other").version(metrics={})
    fraud.version(card=FINISHED_CARD.model_copy(update={"limitations": "TBD"}))
    fraud.in_stage("production", 1).in_stage("staging", 3, 5, 6, 7, 8).commit()
    world.model("churn").version().commit()
    world.commit(edits.moved(world.registry.snapshot, "fraud", {1: "archived", 2: "production"}), "serve 2")
    return world
