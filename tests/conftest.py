"""What every test stands on: a machine of its own, with a name for git and nothing of the real user's.

Some tests need a program of the system. Where it is missing they are left out, and the end of the run says so;
`EVERY_GROUP=1`, which continuous integration sets, makes that a failure of the whole run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import zygote
from builder import FINISHED_CARD, World, once
from hypothesis import settings

from gitops_registry import cage, edits

GROUPS = {
    "ssh": ("/usr/sbin/sshd",),
    "signing": ("/usr/bin/ssh-keygen", "/usr/local/bin/ssh-keygen", "/opt/homebrew/bin/ssh-keygen"),
    "browser": ("/usr/bin/chromium",),
    "html": (f"{sys.prefix}/share/vnu.jar",),
    "zsh": ("/usr/bin/zsh", "/bin/zsh", "/usr/local/bin/zsh", "/opt/homebrew/bin/zsh"),
    "fish": ("/usr/bin/fish", "/usr/local/bin/fish", "/opt/homebrew/bin/fish"),
}
"""Groups of tests, by what `pytest.mark.needs` calls them, and the programs any of which is enough."""


if os.environ.get("EVERY_GROUP"):  # what is on main must not depend on chance; anybody's own run looks for more
    settings.register_profile("steady", derandomize=True, deadline=None)
    settings.load_profile("steady")


def waiting() -> list[str]:
    """Return the groups that cannot run here."""
    return [name for name, programs in GROUPS.items() if not any(Path(program).exists() for program in programs)]


def pytest_configure(config: pytest.Config) -> None:
    if waiting() and os.environ.get("EVERY_GROUP"):
        raise pytest.UsageError(f"EVERY_GROUP is set, and {', '.join(waiting())} cannot run: make system-packages")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    named = {item: {name for mark in item.iter_markers("needs") for name in mark.args} for item in items}
    unknown = sorted(set().union(*named.values()) - set(GROUPS))
    assert not unknown, f"no such group of tests: {unknown}"
    left_out = [item for item in items if named[item] & set(waiting())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]

    # One process runs a whole file, for what its tests share is made once then; long files first, else one is alone at the end.
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    many = Counter(item.path for item in items)
    items.sort(key=lambda item: ("e2e" not in item.path.parts, -slow[item.path], -many[item.path], item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if groups := waiting():
        count = f"{len(groups)} group{'s' if len(groups) > 1 else ''}"
        wait = "wait" if len(groups) > 1 else "waits"
        terminalreporter.write_line(f"{count} of tests {wait} for: make system-packages ({', '.join(groups)})")


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


@pytest.fixture(scope="session")
def mlflow_made(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real MLflow registry, made once for all workers; see mlflow_world.py. It can be copied."""

    def make(folder: Path) -> None:
        script = str(Path(__file__).with_name("mlflow_world.py"))
        subprocess.run([sys.executable, script, str(folder)], check=True, timeout=200, cwd=folder, capture_output=True)

    return once(tmp_path_factory, "mlflow", make)


@pytest.fixture
def forked_cage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child that measures models be forked from one that has imported what it needs; it limits itself as ever."""
    monkeypatch.setattr(cage, "python", zygote.cage_door())


@pytest.fixture
def real_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let that child be an interpreter of its own, also where the others of the file are forked."""
    monkeypatch.setattr(cage, "python", sys.executable)
