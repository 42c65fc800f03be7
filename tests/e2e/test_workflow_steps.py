"""Every step of every job, run with bash for recorded events: right about good and bad changes, and deaf to hostile ones."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from builder import FLOORS, cli, git
from forge_gitea import LocalGitea
from forge_github import LocalGitHub
from hub import Hub, found
from hub import copied as copied_hub
from jobs import ROOT, Ran, Runner, event, wheel
from story import Trained

from gitops_registry import __version__, edits, paths
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference
from gitops_registry.workflows import requirement, workflows

pytestmark = pytest.mark.needs("signing")
BRANCH = "promote/fraud/1/production"
VALIDATE, PUBLISH = ".github/workflows/validate.yml", ".github/workflows/publish.yml"


PROBE = """
import json, pathlib, socket, subprocess, sys
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
    network = "reached"
except OSError:
    network = "unreachable"
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps(dict([
    ("words", sys.argv[1:]), ("network", network), ("new privileges", str(1 - int(status["NoNewPrivs"]))),
    ("capabilities", status["CapEff"].strip()),
    ("processes", 1 + len([p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and p.name != "self"])),
    ("head", subprocess.check_output(["git", "rev-parse", sys.argv[2] + "^0"], text=True).strip()),
])))
"""
"""What looks round in the cage that measuring runs in, and prints what it found as JSON."""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with this package, as an index would have it."""
    return wheel(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it was installed into."""
    target = tmp_path_factory.mktemp("installed")
    words = [
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--find-links",
        str(wheels),
        "--target",
        str(target),
    ]
    subprocess.run([sys.executable, "-m", *words, f"gitops-registry=={__version__}"], check=True, timeout=120)
    return target


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, machine: Path) -> Path:
    """A team's registry on a forge, with the jobs that `init --forge` writes for each kind."""
    folder = tmp_path_factory.mktemp("guarded")
    with LocalGitHub.running(folder / "forge") as forge:
        team = found(forge, "github", folder / "people")
        alice = team.at("alice")
        for kind in ("github", "gitea", "gitlab"):
            alice.commit(workflows(kind, branch="main", requirement=requirement(__version__)), f"guard it on {kind}")
        git(alice.root, "push", "--quiet", "origin", "main")
        git(team.folder / "bob", "pull", "--quiet")
        git(team.folder / "carol", "pull", "--quiet")
    return folder


@pytest.fixture
def hub(guarded: Path, tmp_path: Path) -> Iterator[Hub]:
    """One of one's own."""
    with copied_hub(guarded, "github", LocalGitHub, tmp_path) as team:
        yield team


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that is there only if something hostile ran."""
    return tmp_path / "canary"


@pytest.fixture
def runner(hub: Hub, wheels: Path, installed: Path, tmp_path: Path) -> Runner:
    """A machine with the token of a job."""
    folder, token = tmp_path / "machine", hub.forge.accounts["robot"].token
    folder.mkdir()
    return Runner(folder, hub.forge.remote, wheels, hub.forge.url, token, installed=installed, forked=True)


def trusted(hub: Hub, path: str) -> bytes:
    """Return a workflow as the forge takes it for these events: from the default branch."""
    return (hub.forge.git("show", f"main:{path}") + "\n").encode()


def opened(hub: Hub, number: int = 1) -> str:
    """Let carol propose a version for production and open the pull request; return its head."""
    if number == 1:
        hub.run("carol", "promote", "fraud", "1", "--to", "production", "--pull-request")
        return hub.forge.tip(BRANCH)
    snapshot = hub.at("carol").registry.place.snapshot("main")
    git(hub.folder / "carol", "branch", "--quiet", "weak", "main")
    hub.at("carol").commit(edits.promote(snapshot, Reference("fraud", number), "production"), "promote", branch="weak")
    git(hub.folder / "carol", "push", "--quiet", "origin", "weak")
    hub.forge.open_by("carol", "weak")  # type: ignore[attr-defined]
    return hub.forge.tip("weak")


def check(hub: Hub, runner: Runner, name: str, recorded: str, **said: Any) -> Ran:
    """Run the job of `validate` for an event."""
    return runner.run(trusted(hub, VALIDATE), "check", name, event(recorded, **said))


def requested(hub: Hub, runner: Runner, head: str, recorded: str = "pull_request_opened") -> Ran:
    """Run the job of `validate` for a pull request; what the event says of the base is old, as it may be."""
    stale = hub.forge.git("rev-list", "--max-parents=0", "main")
    return check(hub, runner, "pull_request_target", recorded, number=1, head=head, stale=stale)


def verdicts(hub: Hub) -> list[tuple[str, str, str]]:
    """Return commit, name and state of each status, oldest first."""
    return [(s["sha"], s["context"], s["state"]) for s in hub.forge.statuses]  # type: ignore[attr-defined]


# ── validate


def test_a_pull_request_waits_for_its_review_and_passes_after_it(hub: Hub, runner: Runner, installed: Path) -> None:
    head = opened(hub)
    runner.installed = None
    first = requested(hub, runner, head)
    runner.installed = installed
    assert first.code == 1, first.told
    assert verdicts(hub) == [(head, "registry/verdict", "pending")]
    hub.forge.review("bob", 1)  # type: ignore[attr-defined]
    again = check(hub, runner, "workflow_run", "review_completed", event="pull_request_review", head=head)
    assert again.code == 0, again.told
    assert verdicts(hub)[-1] == (head, "registry/verdict", "success")
    assert len(hub.forge.comments) == 1  # type: ignore[attr-defined]
    assert "passes" in runner.summary.read_text()


def test_a_refused_change_says_why_in_the_log_in_code_scanning_and_as_the_verdict(hub: Hub, runner: Runner) -> None:
    alice = hub.at("alice")
    alice.model("fraud").version(metrics={"accuracy": 0.5}).in_stage("staging", 3).commit()
    git(alice.root, "push", "--quiet", "origin", "main")
    git(hub.folder / "carol", "pull", "--quiet")
    head = opened(hub, 3)
    ran = requested(hub, runner, head)
    assert ran.code == 1
    assert "::error file=models/fraud/model.yaml,line=" in ran.told
    assert verdicts(hub) == [(head, "registry/verdict", "failure")]
    (upload,) = ran.uploads
    assert (upload["ref"], upload["sha"]) == ("refs/pull/1/head", head)
    assert "floors/metrics" in {result["ruleId"] for result in upload["sarif"]["runs"][0]["results"]}


def test_a_merge_queue_is_judged_on_what_it_is_built_on_with_the_reviews_of_its_pull_request(
    hub: Hub, runner: Runner
) -> None:
    opened(hub)
    hub.forge.review("bob", 1)  # type: ignore[attr-defined]
    base, tried = hub.forge.tip("main"), hub.forge.merge_group(1)  # type: ignore[attr-defined]
    ran = check(hub, runner, "merge_group", "merge_group", head=tried, base=base)
    assert ran.code == 0, ran.told
    assert verdicts(hub) == [(tried, "registry/verdict", "success")]
    assert ran.uploads == []


def test_a_run_after_something_else_than_a_review_does_nothing(hub: Hub, runner: Runner) -> None:
    ran = check(hub, runner, "workflow_run", "review_completed", event="push", head=opened(hub))
    assert ran.code is None
    assert verdicts(hub) == []


def test_the_run_that_a_review_starts_has_nothing_and_does_nothing(hub: Hub, runner: Runner) -> None:
    head = opened(hub)
    said = event("review_submitted", number=1, head=head, stale=head)
    ran = runner.run(trusted(hub, ".github/workflows/review.yml"), "reviewed", "pull_request_review", said)
    assert (ran.code, ran.told) == (0, "")
    assert list(runner.workspace.iterdir()) == []


def test_a_forge_that_fails_leaves_no_verdict_that_could_pass(hub: Hub, runner: Runner) -> None:
    head = opened(hub)
    hub.forge.review("bob", 1)  # type: ignore[attr-defined]
    hub.forge.fail("GET", "/pulls/1/reviews", 403, data={"message": "Resource not accessible by integration"}, times=9)
    ran = requested(hub, runner, head)
    assert ran.code == 2
    assert "success" not in {state for _, _, state in verdicts(hub)}
    assert hub.forge.accounts["robot"].token not in ran.told


def hostile(hub: Hub, runner: Runner, canary: Path, *, update: str = "none") -> str:
    """Propose, from a fork, a promotion with everything that could make somebody else's machine run it; return the head.

    That machine starts every interpreter itself, for that is when it would.
    """
    runner.forked = False
    carol = hub.at("carol")
    place = carol.registry.place
    spy = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n".encode()

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (canary,))

    law = place.snapshot("main").constitution
    files = {
        **edits.promote(place.snapshot("main"), Reference("fraud", 1), "production"),
        **{
            f"{name}.py": spy
            for name in ("setup", "conftest", "sitecustomize", "usercustomize", "pip", "encodings", "yaml")
        },
        "gitops_registry/__init__.py": spy,
        "gitops_registry/cli/main.py": spy,
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n',
        ".gitattributes": b"* filter=spy diff=spy merge=spy\n",
        ".gitconfig": f'[filter "spy"]\n\tsmudge = touch {canary}\n[core]\n\tfsmonitor = touch {canary}\n'.encode(),
        ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = {hub.forge.remote}\n\tupdate = {update}\n'.encode(),
        ".dvc/config": b"[core]\n    remote = theirs\n['remote \"theirs\"']\n    url = /nowhere/at/all\n",
        VALIDATE: b"name: validate\non: pull_request\njobs: {check: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}}\n",
        "registry.yaml": dump(law.model_copy(update={"unmanaged": ("**",), "approvals": 0}), paths.CONSTITUTION),
        "policies/floors.yaml": FLOORS.replace(b"{accuracy: 0.9}", b"{accuracy: 0.1}"),
        "models/fraud/versions/9/model.pkl": pickle.dumps(Payload()),
        "registry.sarif": b"{}",
    }
    git(carol.root, "branch", "--quiet", "theirs", "main")
    head = carol.commit(files, "Be lenient", branch="theirs")
    git(carol.root, "push", "--quiet", "origin", "theirs:refs/pull/1/head")  # as a forge keeps what comes from a fork
    hub.forge.open_by("carol", "theirs")  # type: ignore[attr-defined]
    hub.forge.pulls[1] |= {"head": head, "fork": "mallory/models"}  # type: ignore[attr-defined]
    return head


def test_what_a_pull_request_brings_is_never_run_and_its_rules_decide_nothing(
    hub: Hub, runner: Runner, canary: Path
) -> None:
    head = hostile(hub, runner, canary)
    ran = requested(hub, runner, head, "pull_request_fork")
    assert ran.code == 1, ran.told
    assert verdicts(hub)[-1][0::2] == (head, "failure")
    assert "sitecustomize.py" in ran.told  # a path that the base's rules do not know
    assert not canary.exists()
    assert not list(runner.folder.rglob("canary"))  # nor what the title and the body of the pull request would touch
    work = runner.workspace
    assert git(work, "rev-parse", "HEAD").strip() == hub.forge.tip("main")
    assert git(work, "status", "--porcelain").split("\n") == ["?? registry.sarif", ""]
    assert not (work / "sitecustomize.py").exists()
    assert "secret" not in (work / ".git/config").read_text()


def test_this_repository_s_own_copy_installs_the_base_and_not_the_index(
    hub: Hub, runner: Runner, tmp_path: Path
) -> None:
    alice = hub.at("alice")
    kept = ("gitops_registry", "pyproject.toml", "README.md", "LICENSE")
    source: dict[str, Any] = {}
    for name in kept:
        there = [ROOT / name] if (ROOT / name).is_file() else [*(ROOT / name).rglob("*")]
        source |= {
            str(f.relative_to(ROOT)): f.read_bytes() for f in there if f.is_file() and "__pycache__" not in f.parts
        }
    law = alice.registry.snapshot.constitution.model_copy(update={"unmanaged": ("gitops_registry/**", *kept[1:])})
    source |= {"registry.yaml": dump(law, paths.CONSTITUTION), VALIDATE: (ROOT / VALIDATE).read_bytes()}
    alice.commit(source, "bring the code")
    git(alice.root, "push", "--quiet", "origin", "main")
    git(hub.folder / "carol", "pull", "--quiet")
    runner.wheels, runner.installed = tmp_path / "empty", None
    head = opened(hub)
    hub.forge.review("bob", 1)  # type: ignore[attr-defined]
    ran = requested(hub, runner, head)
    assert ran.code == 0, ran.told


def test_objects_that_git_itself_finds_hostile_are_not_even_kept(hub: Hub, runner: Runner, canary: Path) -> None:
    head = hostile(hub, runner, canary, update=f"!touch {canary}")
    ran = requested(hub, runner, head, "pull_request_fork")
    assert ran.code == 128
    assert "gitmodulesUpdate" in ran.told
    assert verdicts(hub) == []  # and what is required and missing does not land
    assert not canary.exists()


# ── verify


def test_who_measures_gets_base_and_head_without_any_access_and_cannot_reach_anything(
    hub: Hub, runner: Runner, canary: Path
) -> None:
    head = hostile(hub, runner, canary)
    verify = trusted(hub, ".github/workflows/verify.yml")
    said = event("pull_request_fork", number=1, head=head, stale=head)
    runner.secrets = {"REGISTRY_STORAGE_KEY_ID": "key-of-the-store", "REGISTRY_STORAGE_KEY": "secret-of-the-store"}
    first = runner.run(verify, "bytes", "pull_request_target", said)
    assert first.code == 0, first.told
    assert [line.split()[-1] for line in first.told.splitlines() if line.startswith("fraud@1 ")] == ["ok"]
    handed = runner.folder / "artifacts/registry-bytes"
    fetched = [file.relative_to(handed) for file in (handed / ".dvc/cache/files").rglob("*") if file.is_file()]
    assert (handed / "registry.bundle").exists()
    runner.remote, runner.token, runner.secrets = "/nowhere", "", {}
    *steps, last = yaml.safe_load(verify)["jobs"]["measure"]["steps"]
    probe = PROBE.format(port=hub.forge.url.rpartition(":")[2])
    cage, _, asked = last["run"].partition("gitops-registry ")
    assert asked.strip() == 'verify --changed --measure --base "$BASE" --head "$HEAD"'
    caged = {**last, "run": f'{cage} python -c \'{probe}\' "$BASE" "$HEAD"'}
    changed = yaml.safe_dump({**yaml.safe_load(verify), "jobs": {"measure": {"steps": [*steps, caged]}}}).encode()
    ran = runner.run(changed, "measure", "pull_request_target", said)
    assert ran.code == 0, ran.told
    registry = runner.workspace / "registry"
    assert json.loads(ran.told.splitlines()[-1]) == {
        "words": ["main", head], "network": "unreachable", "new privileges": "0", "capabilities": "0000000000000000",
        "processes": 2, "head": head,
    }  # fmt: skip
    assert fetched
    assert all((registry / file).exists() for file in fetched)
    assert git(registry, "rev-parse", "HEAD").strip() == hub.forge.tip("main")
    assert git(registry, "status", "--porcelain") == ""
    measured = runner.run(verify, "measure", "pull_request_target", said)
    assert measured.code == 0, measured.told
    assert "fraud@1: not measured: the base pins no evaluation data for fraud" in measured.told
    assert not canary.exists()


def test_a_false_claim_in_a_merge_queue_is_found_by_the_job_that_measures(
    hub: Hub, runner: Runner, trained: Trained
) -> None:
    given = ("--card", str(trained.card), "--data", str(trained.data), "--target", "diagnosis")
    hub.lands("alice", "register", "tumour", str(trained.model(2)), *given)
    hub.run("alice", "evaluation", "set", "tumour", str(trained.data), "--target", "diagnosis")
    hub.lands("alice", "merge", "evaluation/tumour/data")
    git(hub.folder / "carol", "pull", "--quiet")
    hub.run("carol", "register", "tumour", str(trained.model(3)), *given, "--pull-request")
    carol, branch, path = hub.at("carol"), "register/tumour/2", paths.version_path("tumour", 2)
    version = carol.registry.place.snapshot(branch).known_version(Reference("tumour", 2))
    claim = version.model_copy(update={"metrics": {**version.metrics, "accuracy": 0.999}})
    carol.commit({path: dump(claim, path)}, branch=branch)
    git(carol.root, "push", "--quiet", "origin", branch)
    base, tried = hub.forge.tip("main"), hub.forge.merge_group(1)  # type: ignore[attr-defined]
    verify, said = trusted(hub, ".github/workflows/verify.yml"), event("merge_group", head=tried, base=base)
    fetched = runner.run(verify, "bytes", "merge_group", said)
    assert fetched.code == 0, fetched.told
    runner.remote, runner.token, runner.forked = "/nowhere", "", False  # what is forked would be outside the cage
    measured = runner.run(verify, "measure", "merge_group", said)
    assert measured.code == 1
    assert "✗ tumour@2: accuracy is registered as 0.999 and measured as 0.9" in measured.told


# ── the other forges, up to where the forge is asked


@pytest.mark.parametrize(("name", "recorded"), [("pull_request_target", "pull_request_fork"), ("issue_comment", "comment_created"), ("workflow_run", "review_completed")])  # fmt: skip
def test_gitea_fetches_the_head_as_objects_for_each_of_its_events(
    hub: Hub, runner: Runner, canary: Path, name: str, recorded: str
) -> None:
    head = hostile(hub, runner, canary)
    said = event(recorded, number=1, head=head, stale=head, body="/check please", event="pull_request_review")
    workflow = trusted(hub, ".gitea/workflows/validate.yml")
    ran = runner.run(workflow, "check", name, said, until="Judge")
    assert ran.code == 0, ran.told
    work = runner.workspace
    assert git(work, "rev-parse", "refs/registry/head").strip() == head
    assert (
        "The change is refused"
        in cli(work, "check", "--base", "main", "--head", "refs/registry/head", "--format", "markdown").stdout
    )
    assert not canary.exists()
    assert "secret" not in (work / ".git/config").read_text()


@pytest.mark.parametrize("body", ["please look", "no /check"])
def test_a_comment_that_asks_for_nothing_starts_nothing_on_gitea(hub: Hub, runner: Runner, body: str) -> None:
    said = event("comment_created", number=1, body=body)
    assert runner.run(trusted(hub, ".gitea/workflows/validate.yml"), "check", "issue_comment", said).code is None


@pytest.mark.parametrize("job", ["registry-check", "registry-bytes"])
def test_gitlab_works_in_a_folder_of_its_own_with_the_head_as_objects(
    hub: Hub, runner: Runner, canary: Path, job: str
) -> None:
    head = hostile(hub, runner, canary)
    hub.forge.git("update-ref", "refs/merge-requests/1/head", head)
    runner.workspace.mkdir(parents=True)
    for name in ("pip.py", "sitecustomize.py", "setup.py"):  # what the job of another merge request left
        (runner.workspace / name).write_text(f"import pathlib; pathlib.Path({str(canary)!r}).touch()\n")
    said = yaml.safe_load(hub.forge.git("show", "main:.gitlab/registry.yml"))
    whole = said[".registry"] | said[".registry-request"] | said[job]
    *lines, last = [*whole["before_script"], *whole["script"]]
    assert last.startswith("gitops-registry ")
    told = {
        "CI_PROJECT_URL": hub.forge.remote.removesuffix(".git"),
        "CI_MERGE_REQUEST_IID": "1",
        "CI_COMMIT_SHA": head,
        "CI_JOB_TOKEN": "x",
        "GITLAB_TOKEN": "secret-x",
    }
    words = last.partition(" --pull-request")[0] if job == "registry-check" else f"git cat-file -e {head}^{{commit}}"
    ran = runner.script([*lines, words], {**said[".registry"]["variables"], **told})
    assert ran.code == (1 if job == "registry-check" else 0), ran.told
    assert "Permission" not in ran.told
    assert ("finding(s) to mend" in ran.told) == (job == "registry-check")
    assert not canary.exists()
    assert sorted(file.name for file in runner.workspace.iterdir()) == ["pip.py", "setup.py", "sitecustomize.py"]


# ── publish


def landed(hub: Hub, runner: Runner, before: str, job: str = "landed") -> Ran:
    said = event("push", before=before, after=hub.forge.tip("main"))
    return runner.run(trusted(hub, PUBLISH), job, "push", said, ref="refs/heads/main")


def test_what_landed_as_it_should_passes_and_a_squash_is_explained(hub: Hub, runner: Runner) -> None:
    opened(hub)
    hub.forge.review("bob", 1)  # type: ignore[attr-defined]
    before = hub.forge.tip("main")
    hub.forge.merge_by_button(1)  # type: ignore[attr-defined]
    good = landed(hub, runner, before)
    assert good.code == 0, good.told
    assert "attested by github" in good.told
    hub.run("bob", "promote", "fraud", "2", "--to", "staging", "--pull-request")
    before = hub.forge.tip("main")
    hub.forge.merge_by_button(2, "squash")  # type: ignore[attr-defined]
    bad = landed(hub, runner, before)
    assert bad.code == 1, bad.told
    assert "squashed" in bad.told


def test_the_first_push_of_all_has_nothing_to_look_back_to(hub: Hub, runner: Runner) -> None:
    assert landed(hub, runner, "0" * 40).code is None


def one_card_fails(hub: Hub) -> None:
    """Land a template of cards that fails at one version."""
    alice = hub.at("alice")
    alice.commit({"cards/templates/card_body.html.j2": b"<p>{{ 1 // (version - 1) }}</p>"}, "shorten cards")
    git(alice.root, "push", "--quiet", "origin", "main")


def test_the_site_is_published_only_where_somebody_wants_it_and_a_card_that_cannot_be_shown_keeps_no_other_page_back(
    hub: Hub, runner: Runner
) -> None:
    one_card_fails(hub)
    assert landed(hub, runner, hub.forge.tip("main"), "site").code is None
    runner.variables["REGISTRY_PAGES"] = "true"
    ran = landed(hub, runner, hub.forge.tip("main"), "site")
    assert ran.code == 0, ran.told
    assert "models/fraud/v1.html has no card: card_body.html.j2:1" in ran.told
    pages = runner.folder / "pages"
    assert '<a href="models/fraud/index.html" dir="auto">fraud</a>' in (pages / "index.html").read_text()
    assert "The card cannot be shown" in (pages / "models/fraud/v1.html").read_text()
    assert "<p>1</p>" in (pages / "models/fraud/v2.html").read_text()
    assert 'href="https://acme.example.com/models/decisions/' in (pages / "feed.xml").read_text()
    assert json.loads((pages / "audit/index.json").read_text())["decisions"][0]["url"].startswith("http")
    assert landed(hub, runner, hub.forge.tip("main"), "deploy").code == 0


def test_what_was_registered_is_tagged_once_by_the_job(hub: Hub, runner: Runner) -> None:
    for _ in range(2):
        ran = landed(hub, runner, hub.forge.tip("main"), "tags")
        assert ran.code == 0, ran.told
        assert hub.forge.git("tag").split() == ["fraud@1", "fraud@2"]
    told = hub.forge.git("cat-file", "tag", "fraud@1")
    assert "tagger github-actions[bot] <" in told
    assert "0 tagged; 0 pushed to origin" in ran.told
    assert runner.token not in ran.told


# ── monitor


def no_more(hub: Hub) -> None:
    """Let a version serve that the policies refuse by now."""
    alice = hub.at("alice")
    alice.model("churn").version(metrics={"accuracy": 0.4}).in_stage("production").commit()
    git(alice.root, "push", "--quiet", "origin", "main")


def test_what_holds_no_more_gets_one_pull_request_from_the_job(hub: Hub, runner: Runner) -> None:
    monitored(hub, runner, ".github/workflows/monitor.yml")


def test_what_holds_no_more_gets_one_pull_request_from_the_job_on_gitea(
    wheels: Path, installed: Path, tmp_path: Path
) -> None:
    with LocalGitea.running(tmp_path / "forge") as forge:
        team = found(forge, "gitea", tmp_path / "people")
        team.at("alice").commit(workflows("gitea", branch="main", requirement=requirement(__version__)), "guard it")
        git(team.at("alice").root, "push", "--quiet", "origin", "main")
        (tmp_path / "machine").mkdir()
        token = forge.accounts["robot"].token
        runner = Runner(tmp_path / "machine", forge.remote, wheels, forge.url, token, installed=installed, forked=True)
        monitored(team, runner, ".gitea/workflows/monitor.yml")


def monitored(hub: Hub, runner: Runner, path: str) -> None:
    """Run the job once before and twice after something serves that must go."""
    said, workflow = event("schedule"), trusted(hub, path)
    assert runner.run(workflow, "monitor", "schedule", said).code == 0
    no_more(hub)
    for _ in range(2):
        ran = runner.run(workflow, "monitor", "schedule", said)
        assert ran.code == 1, ran.told  # a run that found something is not green
        (pull,) = hub.forge.pulls.values()  # type: ignore[attr-defined]
        assert (pull["title"], pull["branch"], pull["user"]) == ("archive churn 1", "archive/churn/1", "robot")
        assert "floors/metrics: accuracy 0.4 is below 0.9" in pull["body"]
    assert runner.token not in ran.told


@pytest.mark.parametrize(
    ("job", "code", "words"),
    [
        ("registry-landed", 0, "passes"),
        ("registry-tags", 0, "2 tagged; 2 pushed to origin"),
        ("registry-monitor", 1, "archive churn 1: proposed as archive/churn/1"),
    ],
)
def test_the_jobs_of_gitlab_after_a_merge_do_what_they_say(
    hub: Hub, runner: Runner, job: str, code: int, words: str
) -> None:
    before = hub.forge.tip("main")
    if job == "registry-monitor":
        no_more(hub)
    elif job == "registry-landed":
        opened(hub)
        hub.forge.review("bob", 1)  # type: ignore[attr-defined]
        git(hub.folder / "bob", "pull", "--quiet")
        hub.run("bob", "merge", BRANCH)
        hub.run("bob", "push")
    said = yaml.safe_load(hub.forge.git("show", "main:.gitlab/registry.yml"))
    whole = said[".registry"] | said[job]
    told = {
        "CI_PROJECT_URL": hub.forge.remote.removesuffix(".git"), "CI_JOB_TOKEN": "x", "GITLAB_TOKEN": "secret-x",
        "CI_COMMIT_BEFORE_SHA": before, "CI_COMMIT_SHA": hub.forge.tip("main"), "GITHUB_TOKEN": runner.token,
    }  # fmt: skip
    ran = runner.script([*whole["before_script"], *whole["script"]], {**said[".registry"]["variables"], **told})
    assert (ran.code, words in ran.told) == (code, True), ran.told


def test_gitlab_publishes_the_site_as_its_pages_and_nothing_that_lay_there(hub: Hub, runner: Runner) -> None:
    said = yaml.safe_load(hub.forge.git("show", "main:.gitlab/registry.yml"))
    whole = said[".registry"] | said["pages"]
    assert whole["artifacts"] == {"paths": ["public"]}
    assert "$REGISTRY_PAGES" in whole["rules"][0]["if"]
    public = runner.workspace / "public"
    public.mkdir(parents=True)
    (public / "index.html").write_text("fraud serves, all is well")
    (public / "more.html").write_text("mine")
    one_card_fails(hub)
    told = {
        "CI_PROJECT_URL": hub.forge.remote.removesuffix(".git"), "CI_JOB_TOKEN": "x", "GITLAB_TOKEN": "secret-x",
        "CI_PROJECT_DIR": str(runner.workspace), "CI_PAGES_URL": "https://acme.example.com/models",
    }  # fmt: skip
    variables = {**said[".registry"]["variables"], **whole["variables"], **told}
    ran = runner.script([*whole["before_script"], *whole["script"]], variables)
    assert ran.code == 0, ran.told
    assert '<a href="models/fraud/index.html" dir="auto">fraud</a>' in (public / "index.html").read_text()
    assert 'href="https://acme.example.com/models/decisions/' in (public / "feed.xml").read_text()
    assert not (public / "more.html").exists()
    assert "models/fraud/v1.html has no card: card_body.html.j2:1" in ran.told


# ── the reusable action


@pytest.mark.parametrize("version", ["", __version__])
def test_the_action_judges_with_the_release_that_is_asked_for_or_its_own(
    hub: Hub, runner: Runner, tmp_path: Path, version: str
) -> None:
    head = opened(hub)
    job = tmp_path / "job"
    git(tmp_path, "clone", "--quiet", hub.forge.remote, str(job))
    git(job, "fetch", "--quiet", "origin", head)
    action = ROOT / ".github/actions/check"
    inputs = {"base": "main", "head": head, "version": version}
    if not version:  # the action's own repository, as a runner has it: without what a checkout has beside it
        shutil.copytree(
            ROOT, tmp_path / "own", ignore=shutil.ignore_patterns(".venv", ".git", "tests", "__pycache__", ".*_cache")
        )
        action, inputs = (
            tmp_path / "own/.github/actions/check",
            {**inputs, "pull-request": "auto", "publish": "true", "token": runner.token},
        )
        runner.installed = None
    runner.forked = False
    ran = runner.composite(action, inputs, job)
    assert ran.code == 1, ran.told
    assert (job / "registry.sarif").exists()
    assert "approval" in ran.told
    assert verdicts(hub) == ([] if version else [(head, "registry/verdict", "pending")])
