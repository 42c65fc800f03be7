"""The workflows that guard this repository: well formed, hardened, and right about real pull requests.

`validate.yml` is run here as GitHub would run it: its expressions are filled in from an event, its actions are
done by hand, and each `run:` step goes through `bash -eo pipefail` in a real clone. Nothing needs the network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from builder import FINISHED_CARD, FLOORS, World, git

from gitops_registry import paths
from gitops_registry.git.landing import write_commit
from gitops_registry.manifest.writing import dump
from gitops_registry.registry import Registry

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SOURCE = ("gitops_registry", "pyproject.toml", "README.md", "LICENSE")
UNMANAGED = ("gitops_registry/**", "pyproject.toml", "README.md", "LICENSE")


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment on the repository, with every way to the network closed."""
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    return subprocess.run(
        [str(Path(sys.executable).with_name(arguments[0])), *arguments[1:]],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **closed},
    )  # fmt: skip


def test_the_workflows_are_what_the_forge_reads() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflows_pass_the_security_audit() -> None:
    done = tool("zizmor", "--offline", "--no-progress", *map(str, WORKFLOWS))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_nothing_it_does_not_name(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert set(job["permissions"].values()) <= {"read"}
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert len(step.get("run", "").splitlines()) <= 1, "one command a step"
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_check_runs_for_pull_requests_and_for_the_merge_queue() -> None:
    triggers = yaml.safe_load((ROOT / ".github/workflows/validate.yml").read_text())[True]  # YAML 1.1 reads `on` so
    assert set(triggers) == {"pull_request", "merge_group"}


# ── running validate.yml


class Runner:
    """A machine that runs one job of a workflow for one event, as far as the check needs."""

    def __init__(self, upstream: Path, folder: Path) -> None:
        self.upstream = upstream
        self.checkout = folder / "checkout"
        self.installed = folder / "installed"
        self.summary = folder / "summary.md"

    def run(self, event: dict[str, Any]) -> tuple[int, str]:
        """Run the steps until one fails; return its exit code and everything that was printed."""
        # The forge would run the base's workflow, as it is required from there.
        base = fill("${{ github.event.pull_request.base.sha || github.event.merge_group.base_sha }}", event)
        job = yaml.safe_load(git(self.upstream, "show", f"{base}:.github/workflows/validate.yml"))["jobs"]["check"]
        told = ""
        for step in job["steps"]:
            if "uses" in step:
                self._act(step, event)
                continue
            variables = {**job.get("env", {}), **step.get("env", {})}
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.checkout, capture_output=True, text=True, check=False, timeout=120,
                env={**self._environment(), **{name: fill(value, event) for name, value in variables.items()}},
            )  # fmt: skip
            told += done.stdout + done.stderr
            if done.returncode:
                return done.returncode, told
        return 0, told

    def _act(self, step: dict[str, Any], event: dict[str, Any]) -> None:
        if step["uses"].startswith("actions/checkout@"):
            git(self.upstream, "clone", "--quiet", "--no-local", str(self.upstream), str(self.checkout))
            git(self.checkout, "checkout", "--quiet", "--detach", fill(step["with"]["ref"], event))

    def _environment(self) -> dict[str, str]:
        """Return an environment where pip installs into a folder of our own and finds what it builds with here."""
        # pip reads this one the wrong way round: "0" is what --no-build-isolation says.
        quiet = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_CACHE_DIR": "1"}
        path = f"{self.installed / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        target = str(self.installed)
        summary = {"GITHUB_STEP_SUMMARY": str(self.summary)}
        return {**os.environ, **quiet, **summary, "PIP_TARGET": target, "PYTHONPATH": target, "PATH": path}


def fill(text: str, event: dict[str, Any]) -> str:
    """Return a text with its `${{ a || b }}` filled in. Raises where nothing is found."""

    def value(match: re.Match[str]) -> str:
        for name in match[1].split("||"):
            found: Any = {"github": {"event": event, "token": "not-a-token"}}
            for part in name.strip().split("."):
                found = (found or {}).get(part)
            if found:
                return str(found)
        raise AssertionError(f"{match[0]} is nothing in this event")

    return re.sub(r"\$\{\{(.*?)\}\}", value, str(text))


def pull_request(base: str, head: str) -> dict[str, Any]:
    """Return what GitHub says about a pull request, cut down to what a workflow could use."""
    return {
        "action": "synchronize",
        "number": 7,
        "pull_request": {
            "number": 7,
            "state": "open",
            "title": "Promote $(touch owned) `touch owned`",
            "user": {"login": "mallory", "id": 1004},
            "base": {"ref": "main", "sha": base},
            "head": {"ref": "promote", "sha": head, "repo": {"fork": True, "full_name": "mallory/registry"}},
        },
    }


def merge_group(base: str, head: str) -> dict[str, Any]:
    """Return what GitHub says when its merge queue asks about a commit."""
    refs = {"base_ref": "refs/heads/main", "head_ref": "refs/heads/gh-readonly-queue/main/pr-7"}
    return {"action": "checks_requested", "merge_group": {"base_sha": base, "head_sha": head, **refs}}


@pytest.fixture(scope="module")
def upstream(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry with the code of its own check beside it, a good version 1 and a bad version 2."""
    world = World(tmp_path_factory.mktemp("upstream") / "registry", template=template)
    law = world.registry.snapshot.constitution.model_copy(update={"unmanaged": UNMANAGED})
    files: dict[str, Any] = {paths.CONSTITUTION: dump(law, paths.CONSTITUTION)}
    for name in SOURCE:
        found = [ROOT / name] if (ROOT / name).is_file() else [*(ROOT / name).rglob("*")]
        tracked = [file for file in found if file.is_file() and "__pycache__" not in file.parts]
        files |= {str(file.relative_to(ROOT)): file.read_bytes() for file in tracked}
    files |= {str(file.relative_to(ROOT)): file.read_bytes() for file in WORKFLOWS}
    world.commit(files, "Guard the registry")
    fraud = world.model("fraud").version(card=FINISHED_CARD, metrics={"accuracy": 0.95})
    fraud.version(card=FINISHED_CARD, metrics={"accuracy": 0.5}).in_stage("staging", 1, 2).commit()
    return world


@pytest.fixture
def runner(upstream: World, tmp_path: Path) -> Runner:
    """A fresh machine, and an upstream of its own."""
    shutil.copytree(upstream.root, tmp_path / "upstream", symlinks=True)
    return Runner(tmp_path / "upstream", tmp_path)


def proposed(runner: Runner, number: int, more: dict[str, bytes] | None = None) -> tuple[str, str]:
    """Propose a version for production as a fork would; return base and head.

    The head is on no branch of the upstream, only on the ref that the forge keeps for the pull request.
    """
    registry = Registry.open(runner.upstream)
    outcome = registry.promote("fraud", number, to="production", draft=True)
    head = outcome.commit
    assert head
    assert outcome.proposal
    if more:
        head, scratch = write_commit(registry.place.repository, more, parents=[head], message="Be lenient\n")
        git(runner.upstream, "update-ref", "-d", scratch)
    git(runner.upstream, "update-ref", "refs/pull/7/head", head)
    git(runner.upstream, "branch", "--quiet", "-D", outcome.proposal)
    return git(runner.upstream, "rev-parse", "main").strip(), head


def test_a_good_pull_request_passes(runner: Runner) -> None:
    code, told = runner.run(pull_request(*proposed(runner, 1)))
    assert (code, "the change passes" in told) == (0, True), told
    assert "production" in told


def test_the_merge_queue_gets_the_same_verdict(runner: Runner) -> None:
    code, told = runner.run(merge_group(*proposed(runner, 1)))
    assert code == 0, told


def test_a_bad_pull_request_is_refused_with_the_reason(runner: Runner) -> None:
    code, told = runner.run(pull_request(*proposed(runner, 2)))
    assert code == 1, told
    assert "floors/metrics: fraud@2: accuracy" in told
    assert "::error file=models/fraud/model.yaml,line=" in told
    assert "The change is refused" in runner.summary.read_text()


def test_what_a_pull_request_does_to_the_rules_and_to_the_check_does_not_matter(runner: Runner, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    spy = f"import pathlib\npathlib.Path({str(owned)!r}).touch()\nraise SystemExit(0)\n".encode()
    harmless = b"name: validate\non: pull_request\njobs: {check: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}}\n"
    law = Registry.open(runner.upstream).snapshot.constitution
    lenient = dump(law.model_copy(update={"unmanaged": ("**",)}), paths.CONSTITUTION)
    changed = {
        "gitops_registry/__init__.py": spy,
        "gitops_registry/cli/main.py": spy,
        "sitecustomize.py": spy,
        "setup.py": spy,
        ".github/workflows/validate.yml": harmless,
        "registry.yaml": lenient,
        "policies/floors.yaml": FLOORS.replace(b"{accuracy: 0.9}", b"{accuracy: 0.1}"),
    }
    base, head = proposed(runner, 2, changed)
    code, told = runner.run(pull_request(base, head))
    assert code == 1, told
    assert "floors/metrics: fraud@2: accuracy" in told
    assert "sitecustomize.py" in told  # a path that the base's rules do not know
    assert not owned.exists()
    assert git(runner.checkout, "rev-parse", "HEAD").strip() == base
    assert git(runner.checkout, "status", "--porcelain") == ""
