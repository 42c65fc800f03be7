"""Tests that wait for a program of the system are named at the end of a run, and are missed where all must run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SETTINGS = "[pytest]\nmarkers = needs(group): x\naddopts = -q --strict-markers\n"
SAMPLE = "import pytest\n\n@pytest.mark.needs('ssh')\ndef test_waits(): pass\n\ndef test_runs(): pass\n"


@pytest.mark.parametrize("every", ["", "1"])
def test_a_group_that_waits_is_named_or_fails_the_run(tmp_path: Path, every: str) -> None:
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    conftest = (TESTS / "conftest.py").read_text()
    assert "/usr/sbin/sshd" in conftest
    (tmp_path / "conftest.py").write_text(conftest.replace("/usr/sbin/sshd", "/nowhere/sshd"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/base"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "EVERY_GROUP": every, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""}, check=False,
    )  # fmt: skip
    told = done.stdout + done.stderr
    if every:
        assert done.returncode != 0
        assert "passed" not in told
        assert "ssh cannot run: make system-packages" in told
    else:
        assert (done.returncode, "1 passed, 1 deselected" in told) == (0, True)
        assert "1 group of tests waits for: make system-packages (ssh)" in told
