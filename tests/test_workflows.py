"""The files that forges read for a registry: well formed, hardened, and the same here as in the package."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from builder import World, cli, git
from jobs import ROOT

from gitops_registry import __version__, paths
from gitops_registry.errors import RegistryError
from gitops_registry.workflows import requirement, workflows

OURS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORGES = ("github", "gitea", "gitlab")
MAY_WRITE = {
    ("validate.yml", "check"): {"pull-requests", "statuses", "security-events"},
    ("publish.yml", "tags"): {"contents"},
    ("publish.yml", "deploy"): {"pages", "id-token"},
    ("monitor.yml", "monitor"): {"contents", "pull-requests"},
}
"""The jobs that may write anything, and what."""
IS_DANGEROUS = re.compile(r"zizmor: ignore\[dangerous-triggers\] .{20,}")


def tool(folder: Path, *arguments: str) -> None:
    """Run a tool of this environment in a folder, with every way to the network closed, and insist that it finds nothing."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(arguments[0])), *arguments[1:]],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each forge with the files it reads, as `init` would write them; and `ours` for this repository."""
    root = tmp_path_factory.mktemp("written")
    for kind in FORGES:
        for path, content in workflows(kind, branch="main", requirement=requirement(__version__)).items():
            (root / kind / path).parent.mkdir(parents=True, exist_ok=True)
            (root / kind / path).write_bytes(content)
    return root


def actions_of(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names and contents of workflows for GitHub Actions and for what speaks the same language."""
    for file in sorted(root.glob("git*/.git*/workflows/*.yml")):
        yield file.name, yaml.safe_load(file.read_text())
    for file in OURS:
        yield file.name, yaml.safe_load(file.read_text())


def test_the_files_are_what_the_forges_read(written: Path) -> None:
    files = [str(file) for file in [*written.glob("git*/.git*/workflows/*.yml"), *OURS]]
    assert len(files) == 5 + 5 + 6
    tool(ROOT, "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    tool(ROOT, "check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout", *files)
    tool(ROOT, "check-jsonschema", "--builtin-schema", "vendor.github-actions", ".github/actions/check/action.yml")
    for name in (".gitlab-ci.yml", ".gitlab/registry.yml"):
        tool(written / "gitlab", "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", name)  # fmt: skip


def test_the_hooks_are_what_pre_commit_reads() -> None:
    tool(ROOT, "pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")


def test_the_files_pass_the_security_audit(written: Path, tmp_path: Path) -> None:
    tool(written, "zizmor", "--offline", "--no-progress", "github/.github/workflows")
    tool(ROOT, "zizmor", "--offline", "--no-progress", ".github/workflows", ".github/actions/check/action.yml")
    for file in written.glob("gitea/.gitea/workflows/*.yml"):  # zizmor looks for workflows in GitHub's folder only
        (tmp_path / ".github/workflows").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".github/workflows" / file.name).write_bytes(file.read_bytes())
    tool(tmp_path, "zizmor", "--offline", "--no-progress", ".github/workflows")


def test_nothing_is_hidden_from_the_audit_but_the_events_with_their_reason(written: Path) -> None:
    for file in [*written.glob("git*/.git*/workflows/*.yml"), *OURS]:
        for line in file.read_text().splitlines():
            if "zizmor:" in line:
                assert line.startswith("on:")
                assert IS_DANGEROUS.search(line), file


def test_a_job_may_do_nothing_it_does_not_name(written: Path) -> None:
    for name, workflow in actions_of(written):
        assert workflow["permissions"] == {}, name
        for job, said in workflow["jobs"].items():
            writes = {what for what, how in said["permissions"].items() if how == "write"}
            assert writes <= MAY_WRITE.get((name, job), set()), (name, job)
            assert set(said["permissions"].values()) <= {"read", "write"}


def test_steps_take_values_from_variables_and_actions_by_their_commits(written: Path) -> None:
    for name, workflow in actions_of(written):
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), name
                assert len(step.get("run", "").splitlines()) <= 1, "one command a step"
                if "uses" in step:
                    assert re.fullmatch(r"[\w-]+(/[\w-]+){1,2}@[0-9a-f]{40}", step["uses"])
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_nothing_of_a_pull_request_is_ever_checked_out_or_restored(written: Path) -> None:
    for name, workflow in actions_of(written):
        if name == "ci.yml":
            continue  # runs the pull request's own code, and may only read
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["ref"] == "refs/heads/main", name
                assert "cache" not in step.get("uses", "")
                assert "cache" not in step.get("with", {})


def test_a_job_that_opens_models_has_no_secret_and_no_permission(written: Path) -> None:
    for name, workflow in actions_of(written):
        for title, job in workflow["jobs"].items():
            if "--measure" not in str(job):
                continue
            assert (name, title) == ("verify.yml", "measure")
            assert job["permissions"] == {}
            assert "secrets." not in str(job)
            assert "github.token" not in str(job)
            assert "environment" not in job
            last = job["steps"][-1]["run"]
            assert last.startswith("sudo unshare --net ")
            assert "--no-new-privs" in last


def test_a_review_runs_nothing_and_the_check_runs_after_it(written: Path) -> None:
    folder = written / "github/.github/workflows"
    review, check = (yaml.safe_load((folder / name).read_text()) for name in ("review.yml", "validate.yml"))
    assert set(review[True]["pull_request_review"]["types"]) == {"submitted", "edited", "dismissed"}
    assert [step["run"] for job in review["jobs"].values() for step in job["steps"]] == ["true"]
    assert set(check[True]) == {"pull_request_target", "merge_group", "workflow_run"}
    assert check[True]["workflow_run"]["workflows"] == [review["name"]]


def test_the_workflows_here_are_those_of_the_package() -> None:
    rendered = workflows("github", branch="main", requirement=".")
    assert {path: (ROOT / path).read_bytes() for path in rendered} == rendered
    assert {f".github/workflows/{file.name}" for file in OURS} == {*rendered, ".github/workflows/ci.yml"}


def test_each_command_of_the_jobs_pins_this_release(written: Path) -> None:
    for path, content in workflows(
        "github", branch="main", requirement=requirement(__version__, "s3://bucket")
    ).items():
        if b"pip install" in content:
            assert f"REGISTRY: gitops-registry[s3]=={__version__}\n".encode() in content, path


@pytest.mark.parametrize("storage", ["", "/srv/store", "ssh://host/x", "WEBDAVS://host/x"])
def test_a_job_installs_what_its_store_needs(storage: str) -> None:
    extra = {"ssh": "[ssh]", "webdavs": "[webdav]"}.get(storage.partition(":")[0].lower(), "")
    assert requirement("1.2.3", storage) == f"gitops-registry{extra}==1.2.3"


@pytest.mark.parametrize("branch", ["a+b", "!main", "it's", "-x", "a b"])
def test_a_branch_that_a_pattern_would_read_otherwise_is_refused(branch: str) -> None:
    with pytest.raises(RegistryError, match="cannot be tied"):
        workflows("github", branch=branch, requirement=".")


# ── init


def test_who_has_not_pushed_yet_is_told_the_next_step(tmp_path: Path) -> None:
    made = cli(tmp_path, "init", "models", "--forge", "github")
    assert "git push -u origin main; gitops-registry doctor --forge" in made.stdout
    told = cli(tmp_path / "models", "doctor", "--forge")
    assert told.returncode == 1
    assert "registry.yaml says that pull requests are on github, and no remote here is on one" in told.stdout
    assert "git remote add origin URL" in told.stdout
    cli(tmp_path, "init", "plain")
    told = cli(tmp_path / "plain", "doctor", "--forge")
    assert told.returncode == 0
    assert "is on no forge: nothing there guards main" in told.stdout


@pytest.mark.parametrize(("kind", "folder"), [("github", ".github/workflows/validate.yml"), ("gitea", ".gitea/workflows/validate.yml"), ("gitlab", ".gitlab/registry.yml")])  # fmt: skip
def test_init_writes_the_jobs_of_a_forge_and_names_it(kind: str, folder: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk", "r")
    world = World.__new__(World)
    world.root = tmp_path / "r"
    world.cli("init", "--forge", kind)
    assert world.registry.snapshot.constitution.forge.kind == kind  # type: ignore[union-attr]
    assert b"refs/heads/trunk" in world.read(folder, revision="trunk") or kind == "gitlab"
    assert b"<" not in re.sub(rb"#.*|'[^']*'", b"", world.read(folder, revision="trunk"))
    assert f"gitops-registry=={__version__}".encode() in world.read(folder, revision="trunk")
    assert paths.place_of(folder).role == "governance"
    assert "passes" in world.cli("check").stdout


def test_a_gitlab_file_of_people_is_kept_and_told_what_it_needs(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "r")
    world = World.__new__(World)
    world.root = tmp_path / "r"
    (world.root / ".gitlab-ci.yml").write_text("build: {script: [make]}\n")
    git(world.root, "add", ".")
    git(world.root, "commit", "--quiet", "-m", "build")
    told = world.cli("init", "--forge", "gitlab").stdout
    assert "include: [{local: .gitlab/registry.yml}]" in told
    assert world.read(".gitlab-ci.yml") == b"build: {script: [make]}\n"
    assert b"registry-check" in world.read(".gitlab/registry.yml")


def test_a_workflow_of_people_is_never_overwritten(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "r")
    world = World.__new__(World)
    world.root = tmp_path / "r"
    (world.root / ".github/workflows").mkdir(parents=True)
    (world.root / ".github/workflows/publish.yml").write_text("on: push\n")
    git(world.root, "add", ".")
    git(world.root, "commit", "--quiet", "-m", "publish")
    before = git(world.root, "rev-parse", "HEAD")
    done = world.cli("init", "--forge", "github", check=2)
    assert ".github/workflows/publish.yml is there already" in done.stderr
    assert git(world.root, "rev-parse", "HEAD") == before
    assert git(world.root, "status", "--porcelain") == ""


# ── hooks of pre-commit


@pytest.mark.parametrize("hook", yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()), ids=lambda hook: hook["id"])  # fmt: skip
def test_a_hook_passes_what_is_right_and_stops_what_is_not(hook: dict[str, Any], world: World) -> None:
    world.model("fraud").version().commit()
    words = shlex.split(hook["entry"])
    assert words[0] == "gitops-registry"
    changed = "policies/floors.yaml"
    assert re.search(hook["files"], changed)
    world.cli(*words[1:])
    file = world.root / changed
    file.write_text(
        file.read_text().replace("{candidate.measured.accuracy: 0.5}", "{candidate.measured.accuracy: 0.99}")
    )
    world.cli(*words[1:], check=1)


def test_what_pages_shows_is_built_beside_the_checkout() -> None:
    """A folder that somebody committed could hold pages of its own, and say that they are as they should be."""
    job = yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text(encoding="utf-8"))["jobs"]["site"]
    build = next(step for step in job["steps"] if step.get("name") == "Build the site")
    upload = next(step for step in job["steps"] if "upload-pages-artifact" in step.get("uses", ""))
    assert build["env"]["SITE"] == upload["with"]["path"] == "${{ runner.temp }}/site"
    assert '--out "$SITE"' in build["run"]
