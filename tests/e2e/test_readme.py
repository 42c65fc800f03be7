"""The README is typed as it stands: its files are written, its commands run, their answers compared."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import zygote
from builder import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A shell's environment in which the commands are those of this installation, forked and not started anew."""
    commands = str(zygote.doors(tmp_path_factory.mktemp("bin") / "commands"))
    return {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "DEMO_COMMANDS": commands}


def files_of_the_readme(folder: Path) -> None:
    for language, text in BLOCK.findall(README):
        name = re.match(r"# (\w+\.(?:py|yaml))\n", text)
        if language in {"python", "yaml"} and name:
            (folder / name[1]).write_text(text, encoding="utf-8")


def plain(line: str) -> str:
    """A line without what differs from run to run: ids, times, names, measured digits."""
    line = re.sub(r"\b[0-9a-f]{9,40}\b", "<id>", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "<time>", line)
    line = re.sub(r"\d\.\d+", "<number>", line)
    return re.sub(r"<time>  \w+", "<time>  <who>", line.rstrip())


def agrees(told: list[str], shown: list[str]) -> bool:
    """Whether what was told is what the README shows, where `…` stands for anything."""
    pattern = "\n".join(re.escape(plain(line)) for line in shown)
    pattern = pattern.replace("\\…", "…").replace("  …", r"(?:  [^\n]*)?").replace("…", r"(?:[^\n]*(?:\n[^\n]*)*)")
    return re.fullmatch(pattern, "\n".join(plain(line) for line in told)) is not None


def test_every_command_of_the_readme_answers_what_the_readme_says(tmp_path: Path, environment: dict[str, str]) -> None:
    files_of_the_readme(tmp_path)
    console = next(text for language, text in BLOCK.findall(README) if language == "console")
    folder = tmp_path
    asked = 0
    for piece in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, *shown = piece.rstrip("\n").split("\n")
        words = shlex.split(command)
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        told = done.stdout.splitlines()
        assert not shown or agrees(told, shown), f"$ {command}\n" + "\n".join(told)
        asked += 1
    assert asked >= 9
    used = subprocess.run(
        ["python", "use.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert used.returncode == 0, used.stderr
    assert used.stdout.startswith("<breast-cancer@1 RandomForestClassifier from onnx> [")


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first = README.splitlines()[:20]
    assert any(line.startswith("make demo") for line in first)
    assert any(line.startswith("make test") for line in first)


def test_every_file_that_the_documents_link_to_is_there() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.slow
def test_the_demo_runs_to_its_end_and_leaves_a_registry_that_passes(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    told = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "demo.py")],
        env={**environment, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert "accuracy 0.8509 is below 0.9000" in told.stdout
    assert "breast-cancer: version 2 production → archived" in told.stdout
    assert "<breast-cancer@2 RandomForestClassifier from onnx>" in told.stdout
    (left,) = tmp_path.glob("gitops-registry-demo-*/registry")
    checked = cli(left, "check")
    assert checked.returncode == 0, checked.stdout
