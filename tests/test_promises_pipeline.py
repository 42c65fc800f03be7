"""What the pipeline and the command line promise in passing: a lost race, a lazy look, silence, a bug's own exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from builder import World

from gitops_registry import Registry
from gitops_registry.cli.main import GROUPS, cli

# Before the first transaction of refs, somebody else's git commits to the same branch.
RIVAL = """#!/bin/sh
case "$*" in
  *"update-ref --stdin"*)
    if mkdir "$RIVAL_FOLDER/once" 2>/dev/null; then
      "$REAL_GIT" -C "$RIVAL_ROOT" commit --quiet --allow-empty --message "a rival was first" || exit 70
    fi ;;
esac
exec "$REAL_GIT" "$@"
"""


def test_a_direct_change_that_loses_the_race_is_judged_again_and_lands_on_the_new_tip(
    world: World, tmp_path: Path
) -> None:
    world.model("fraud").version().commit()
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(RIVAL)
    git.chmod(0o755)
    real = shutil.which("git")
    assert real
    environment = {
        "PATH": f"{git.parent}:{os.environ['PATH']}", "REAL_GIT": real,
        "RIVAL_FOLDER": str(tmp_path), "RIVAL_ROOT": str(world.root),
    }  # fmt: skip
    world.cli("promote", "fraud@1", "--to", "staging", "--direct", environment=environment)
    subjects = world.git("log", "--first-parent", "--format=%s", "-2", "main").splitlines()
    assert subjects == ["promote fraud 1 to staging", "a rival was first"]
    assert world.git("status", "--porcelain") == ""


def test_a_proposal_is_judged_without_reading_the_models_it_does_not_touch(world: World) -> None:
    world.model("fraud").version().commit()
    world.commit(
        {"models/other/model.yaml": b"kind: Model\nname: [broken\n", "models/other/versions/1/version.yaml": b"{"}
    )
    world.cli("promote", "fraud@1", "--to", "staging")
    world.cli("check", "--head", "promote/fraud/1/staging")
    world.cli("merge", "promote/fraud/1/staging")
    assert world.registry.snapshot.in_stage("fraud", "staging") == (1,)


def test_a_snapshot_parses_a_file_once(world: World) -> None:
    world.model("fraud").version().commit()
    snapshot = world.registry.snapshot
    assert snapshot.model("fraud") is snapshot.model("fraud")
    assert snapshot.version("fraud", 1) is snapshot.version("fraud", 1)


def test_taking_a_serving_version_out_of_use_is_pointed_out(world: World) -> None:
    world.model("fraud").version().in_stage("production").commit()
    said = world.cli("archive", "fraud@1", "--dry-run").stdout
    assert "emptied" in said
    assert "production would hold no version" in said


def test_long_work_is_silent_in_a_pipe(world: World, tmp_path: Path) -> None:
    world.model("big").version(payload=bytes(8 << 20)).commit()
    shutil.rmtree(world.root / ".dvc/cache")
    assert world.cli("pull", "big@1", "--to", str(tmp_path / "out")).stderr == ""


def test_a_bug_ends_with_3_in_one_line_and_says_how_to_see_where(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise RuntimeError('a library that is broken here')\n")
    before = os.environ.get("PYTHONPATH", "")
    done = world.cli("list", check=3, environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{before}"})
    assert "a bug in gitops-registry: RuntimeError: a library that is broken here" in done.stderr
    assert "GITOPS_REGISTRY_DEBUG=1" in done.stderr
    assert "Traceback" not in done.stderr


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in (name for group in GROUPS.values() for name in group):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
        else:
            found[name] = command
    return found


CHANGING = {
    "init",
    "doctor",
    "interop on",
    "interop off",
    "register",
    "import",
    "promote",
    "archive",
    "rollback",
    "approve",
    "merge",
    "push",
    "release-tags",
    "monitor",
    "card",
    "proposals close",
    "alias set",
    "alias remove",
    "tag",
    "describe",
    "rename",
    "delete",
    "evaluation set",
    "evaluation remove",
    "evaluate",
    "formats",
    "migrate",
    "policy new",
    "policy waive",
    "hook install",
    "access add",
    "access remove",
    "access rotate-key",
}


@pytest.mark.parametrize(("name", "command"), commands().items(), ids=commands())
def test_whatever_reads_takes_json_and_whatever_changes_something_takes_dry_run(
    name: str, command: click.Command
) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--dry-run" in options) == (name in CHANGING)
    if name not in CHANGING - {"card", "push"} | {
        "schema",
        "access codeowners",
        "audit export",
        "site serve",
        "completion",
        "interop dvc-yaml",
    }:  # these print a file as it is to be, or none
        assert "--json" in options


def test_the_command_is_installed_under_both_its_names() -> None:
    bin_folder = Path(sys.executable).parent
    for name in ("gitops-registry", "git-registry"):
        done = subprocess.run([bin_folder / name, "--version"], capture_output=True, text=True, check=False)
        assert done.stdout.startswith("gitops-registry "), done.stderr


def test_a_registry_opened_at_a_revision_changes_nothing(world: World) -> None:
    world.model("fraud").version().commit()
    before = world.git("for-each-ref")
    for verb in (["promote", "fraud@1", "--to", "staging"], ["archive", "fraud@1", "--direct"]):
        done = world.cli("--revision", "HEAD", *verb, check=2)
        assert "the past is not changed" in done.stderr
    assert world.git("for-each-ref") == before
    assert Registry.open(world.root, revision="HEAD").resolve("fraud@latest").number == 1
