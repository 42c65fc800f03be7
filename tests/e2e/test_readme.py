"""The README's first screen, its links and its demo; its commands are typed by test_docs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zygote
from builder import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A shell's environment in which the commands are those of this installation, forked and not started anew."""
    commands = str(zygote.doors(tmp_path_factory.mktemp("bin") / "commands"))
    return {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "DEMO_COMMANDS": commands}


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
