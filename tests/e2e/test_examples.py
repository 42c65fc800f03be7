"""The help of every command ends in examples, and each of them does what it says on a registry like the one it speaks of."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import team
import zygote
from builder import cli, git

from gitops_registry.cli.examples import EXAMPLES
from gitops_registry.cli.main import cli as program

FINDS = {"audit comply credit-risk --profile four-eyes", "import mlflow:mlflow.db --dry-run"}
"""Examples that answer with exit code 1 here: something is not met; some of what MLflow has cannot be brought."""


def commands(found: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(words), found
    if isinstance(found, click.Group):
        context = click.Context(found)
        for name in found.list_commands(context):
            below = found.get_command(context, name)
            assert below is not None
            yield from commands(below, (*words, name))


def test_the_help_of_every_command_says_what_it_does_and_ends_in_examples() -> None:
    found = dict(commands(program))
    assert set(found) == set(EXAMPLES)
    for words, command in found.items():
        with click.Context(command, info_name=f"gitops-registry {words}".strip()) as context:
            told = command.get_help(context)
        assert command.help, words
        _, _, behind = told.partition("Examples:\n")
        assert [line.strip() for line in behind.splitlines()] == [f"gitops-registry {line}" for line in EXAMPLES[words]]
        for line in EXAMPLES[words]:
            assert words in line, f"{words} has an example of something else: {line}"


def test_the_help_of_a_command_is_printed_as_it_stands(tmp_path: Path) -> None:
    told = cli(tmp_path, "policy", "explain", "--help").stdout
    assert told.endswith("Examples:\n    gitops-registry policy explain credit-risk@3 --to production\n")


def place(scene: Path, mlflow_made: Path, line: str, folder: Path) -> Path:
    """Return a folder of one's own to type an example in."""
    if "fraud" in line or line.startswith("access"):
        crew = team.Team(scene / "team").copy(folder / "team")
        if not line.startswith("approve"):
            shutil.copy(scene / "team" / "bob" / "carol.pub", crew.folder / "alice")
            return crew.folder / "alice"
        bob = crew.at("bob").root
        git(
            bob, "fetch", "--quiet", str(crew.folder / "alice"), "promote/fraud/1/production:promote/fraud/1/production"
        )
        return bob
    root = folder / "registry"
    shutil.copytree(scene / ("proposed" if "promote/credit-risk" in line else "plain"), root, symlinks=True)
    if line.startswith("init"):
        work = folder / "work"
        work.mkdir()
        for name in ("alice.pub", "alice"):
            shutil.copy(root / name, work)
        return work
    if "audit pushes" in line:
        shutil.copytree(scene / "team" / "server.git", root / "models.git", symlinks=True)
    elif line.startswith(("push", "release-tags", "hook")):
        git(root, "init", "--quiet", "--bare", "models.git")
    if line.startswith(("push", "release-tags")):
        git(root, "remote", "add", "origin", "models.git")
        git(root, "push", "--quiet", "-u", "origin", "main")
    if line.startswith("evaluation set"):
        assert cli(root, "evaluation", "remove", "credit-risk").returncode == 0
    if line.startswith("import"):
        shutil.copy(mlflow_made / "mlflow.db", root)
        shutil.copytree(mlflow_made / "mlruns", root / "mlruns")
    if line.startswith("interop status"):
        assert cli(root, "interop", "on").returncode == 0
    return root


LINES = sorted({line for lines in EXAMPLES.values() for line in lines} - {"site serve --port 8321"})


@pytest.mark.parametrize("line", LINES)
def test_an_example_does_what_it_says(line: str, scene: Path, mlflow_made: Path, tmp_path: Path) -> None:
    where = place(scene, mlflow_made, line, tmp_path)
    done = cli(where, *shlex.split(line), environment={"EDITOR": "true"})
    assert done.returncode == (1 if line in FINDS else 0), f"{line}\n{done.stdout}{done.stderr}"
    if "--json" in line:
        json.loads(done.stdout)
    assert done.stdout or "--output" in line


def test_the_example_of_site_serve_serves(scene: Path, mlflow_made: Path, tmp_path: Path) -> None:
    where = place(scene, mlflow_made, "site serve", tmp_path)
    running = zygote.Started(["site", "serve", "--port", "8321"], where, os.environ)
    try:
        assert running.has_begun(60)
    finally:
        running.kill()
