"""A team by the command line: signing, approving, rejecting, landing, and a server that says why not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import team as teams
from builder import World, cli, git
from team import Team

pytestmark = pytest.mark.needs("signing")

BRANCH = "promote/fraud/1/production"


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team whose alice proposed to let fraud@1 serve, pushed; nothing happens to it."""
    team = teams.found(tmp_path_factory.mktemp("team") / "team", is_quick=True)
    alice = team.at("alice")
    alice.cli("promote", "fraud@1", "--to", "production")
    alice.cli("push")
    for name in ("bob", "dan"):
        git(team.folder / name, "fetch", "--quiet")
    return team


@pytest.fixture
def team(standing: Team, tmp_path: Path) -> Team:
    return standing.copy(tmp_path / "team")


def told(world: World, *words: str, check: int = 0) -> dict:
    return json.loads(world.cli(*words, "--json", check=check).stdout)


# ── signing


def test_what_the_tool_commits_is_signed_and_the_log_says_by_whom(team: Team) -> None:
    bob = team.at("bob")
    bob.cli("approve", BRANCH)
    bob.cli("merge", BRANCH)
    newest = json.loads(bob.cli("log", "-n", "1", "--json").stdout)[0]
    assert newest["signature"]["state"] == "good"
    assert newest["signature"]["member"] == "bob"
    assert "signed by bob" in bob.cli("log", "-n", "1").stdout
    assert git(bob.root, "cat-file", "commit", "main").count("gpgsig ") == 1


def test_nothing_is_signed_where_git_is_told_not_to(team: Team) -> None:
    dan = team.at("dan")
    git(dan.root, "config", "commit.gpgSign", "false")
    dan.cli("tag", "fraud@2", "region=eu")
    branch = dan.git("for-each-ref", "--format=%(refname)", "refs/heads/tag").strip()
    assert "gpgsig" not in dan.git("cat-file", "commit", branch)


def test_a_key_that_cannot_sign_stops_the_change_and_leaves_nothing(team: Team) -> None:
    bob = team.at("bob")
    before = bob.git("for-each-ref", "refs/heads")
    git(bob.root, "config", "user.signingKey", str(team.folder / "lost.key"))
    done = bob.cli("tag", "fraud@2", "region=eu", check=2)
    assert "git could not sign the commit" in done.stderr
    assert "hint: look at the key" in done.stderr
    assert bob.git("for-each-ref", "refs/heads") == before


def test_an_unsigned_decision_is_told_as_one(team: Team) -> None:
    alice = team.at("alice")
    (alice.root / "models/fraud/model.yaml").write_bytes(alice.read("models/fraud/model.yaml") + b"title: Fraud\n")
    alice.git("-c", "commit.gpgSign=false", "commit", "--all", "--quiet", "-m", "nobody's")
    assert "claimed: unsigned, commit" in alice.cli("log", "-n", "1").stdout


def test_init_names_the_key_and_signs_its_first_commit(team: Team, tmp_path: Path) -> None:
    public = team.folder / "alice.key.pub"
    data = told(
        World.__new__(World) if False else team.at("alice"),
        "-C",
        str(tmp_path),
        "init",
        "new",
        "--team",
        "--key",
        str(public),
    )
    root = tmp_path / "new"
    assert (
        data["key"]
        == subprocess.run(
            ["ssh-keygen", "-l", "-f", public], capture_output=True, text=True, check=True
        ).stdout.split()[1]
    )
    assert git(root, "config", "user.signingKey").strip() == str(public)
    event = json.loads(cli(root, "log", "--json").stdout)[-1]
    assert event["signature"]["state"] == "good"
    assert "docs/CODEOWNERS" in data["files"]
    assert cli(root, "check").returncode == 0


def test_init_refuses_what_is_no_key(tmp_path: Path) -> None:
    done = cli(tmp_path, "init", "new", "--team", "--key", "nothing.pub")
    assert (done.returncode, (tmp_path / "new").exists()) == (2, False)
    assert "cannot read the key" in done.stderr
    (tmp_path / "words.pub").write_text("hello\n")
    done = cli(tmp_path, "init", "new", "--team", "--key", "words.pub")
    assert (done.returncode, (tmp_path / "new").exists()) == (2, False)
    assert "is no kind of key" in done.stderr


def test_doctor_says_whose_key_signs_here(team: Team) -> None:
    bob = team.at("bob")
    assert "commits here are signed with a key of bob" in bob.cli("doctor", check=None).stdout
    git(bob.root, "config", "user.signingKey", str(teams.key(team.folder, "new")))
    assert "is no member's" in bob.cli("doctor", check=None).stdout
    git(bob.root, "config", "--unset", "gpg.format")
    assert "no key is configured here" in bob.cli("doctor", check=None).stdout


# ── approving


def test_approve_shows_the_plan_and_signs_that_very_one(team: Team) -> None:
    bob = team.at("bob")
    plan = told(bob, "plan", f"origin/{BRANCH}")["digest"]
    done = bob.cli("approve", BRANCH, "--comment", "looked at it")
    assert "fraud: version 1 staging → production" in done.stdout
    assert f"plan {plan[:12]}" in done.stdout
    assert f"gitops-registry merge {BRANCH}" in done.stdout
    message = bob.git("log", "-1", "--format=%B", BRANCH)
    assert f"Approves-Plan: {plan}" in message
    assert f"Approves-Base: {bob.git('rev-parse', 'main').strip()}" in message
    assert "looked at it" in message
    assert bob.git("rev-parse", f"{BRANCH}^{{tree}}") == bob.git("rev-parse", f"origin/{BRANCH}^{{tree}}")


def test_a_dry_run_and_another_plan_sign_nothing(team: Team) -> None:
    bob = team.at("bob")
    before = bob.git("for-each-ref", "refs/heads")
    assert told(bob, "approve", BRANCH, "--dry-run")["commit"] is None
    assert "dry run: nothing was written" in bob.cli("approve", BRANCH, "--dry-run").stdout
    done = bob.cli("approve", BRANCH, "--plan", "0" * 64, check=2)
    assert "would land another plan by now" in done.stderr
    assert bob.git("for-each-ref", "refs/heads") == before


@pytest.mark.parametrize(
    ("name", "reason"), [("alice", "alice wrote part of"), ("dan", "dan may not deploy for fraud")]
)
def test_whoever_could_not_count_is_told_before_they_sign(team: Team, name: str, reason: str) -> None:
    world = team.at(name)
    before = world.git("for-each-ref", "refs/heads")
    assert reason in world.cli("approve", BRANCH, check=2).stderr
    assert world.git("for-each-ref", "refs/heads") == before


def test_without_a_key_nobody_approves(team: Team) -> None:
    bob = team.at("bob")
    git(bob.root, "config", "--unset", "user.signingKey")
    done = bob.cli("approve", BRANCH, check=2)
    assert "no key that signs is configured here" in done.stderr
    git(bob.root, "config", "user.signingKey", str(teams.key(team.folder, "strange")))
    assert "belongs to no member" in bob.cli("approve", BRANCH, check=2).stderr


def test_a_merge_needs_the_approval_and_takes_it(team: Team) -> None:
    bob = team.at("bob")
    refused = told(bob, "merge", f"origin/{BRANCH}", check=1)
    assert [f["rule"] for f in refused["findings"] if f["result"] == "error"] == ["approvals"]
    bob.cli("approve", BRANCH)
    landed = told(bob, "merge", BRANCH)
    assert landed["commit"]
    assert landed["subject"] == "promote fraud 1 to production"
    bob.cli("push")
    assert git(team.server, "rev-parse", "main").strip() == landed["commit"]


def test_a_rejection_stays_until_whoever_gave_it_approves(team: Team) -> None:
    bob = team.at("bob")
    bob.cli("approve", BRANCH, "--reject", "--comment", "recall fell")
    refused = told(bob, "merge", BRANCH, check=1)
    assert "bob rejected it: recall fell" in [f["message"] for f in refused["findings"]]
    assert "bob rejected it" in bob.cli("check", "--head", BRANCH, check=1).stdout
    bob.cli("approve", BRANCH, "--comment", "it was my mistake")
    assert told(bob, "merge", BRANCH)["commit"]


def test_an_approval_is_void_once_the_plan_is_another(team: Team) -> None:
    bob, alice = team.at("bob"), team.at("alice")
    bob.cli("approve", BRANCH)
    bob.cli("push")
    alice.git("fetch", "--quiet")
    alice.git("branch", "--quiet", "--force", BRANCH, f"origin/{BRANCH}")
    words = alice.read("models/fraud/model.yaml", revision=BRANCH).replace(b"owners: [alice]", b"owners: [alice, eve]")
    alice.commit({"models/fraud/model.yaml": words}, "one more thing", branch=BRANCH)
    refused = told(alice, "merge", BRANCH, check=1)
    warned = [f["message"] for f in refused["findings"] if f["rule"] == "objections"]
    assert warned == ["the approval of bob does not count: it approves another plan than what would land now"]


def test_an_approval_outlives_a_decision_about_another_model_and_not_one_about_the_same(team: Team) -> None:
    bob = team.at("bob")
    bob.cli("approve", BRANCH)
    bob.model("churn").version().commit()
    assert told(bob, "merge", BRANCH, "--dry-run")["refused"] is False
    bob.model("fraud").version().commit()
    refused = told(bob, "merge", BRANCH, "--dry-run", check=1)
    assert any("decided about the same since" in f["message"] for f in refused["findings"])


def test_somebody_is_asked_on_a_terminal(team: Team) -> None:
    bob = team.at("bob")
    before = bob.git("for-each-ref", "refs/heads")
    script = "import pty, sys; sys.exit(pty.spawn([sys.executable, '-m', 'gitops_registry', *sys.argv[1:]]) >> 8)"
    done = subprocess.run(
        [sys.executable, "-c", script, "approve", BRANCH],
        cwd=bob.root,
        input="n\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "approve it?" in done.stdout
    assert bob.git("for-each-ref", "refs/heads") == before


# ── the server


def test_a_refused_push_says_why_and_is_written_down(team: Team) -> None:
    alice = team.at("alice")
    alice.git("merge", "--quiet", "--no-ff", "-S", "-m", "just this once", BRANCH)
    done = subprocess.run(
        ["git", "-C", alice.root, "push", "origin", "main"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "remote: refused: models/fraud/model.yaml:" in done.stderr
    assert "production asks for 1 approval, and none holds" in done.stderr
    assert "remote: hint: another member who may deploy it looks and approves" in done.stderr
    entries = json.loads(cli(team.folder, "-C", str(team.server), "audit", "pushes", "--refused", "--json").stdout)
    assert len(entries) == 1
    assert entries[0]["signer"] == "Alice <alice@example.com>"
    assert entries[0]["refs"][0]["new"] == alice.git("rev-parse", "main").strip()
    assert entries[0]["reasons"][0]["rule"] == "approvals"
    shown = cli(team.folder, "-C", str(team.server), "audit", "pushes").stdout
    assert "refused" in shown
    assert "accepted" in shown
    assert (
        json.loads(
            cli(team.folder, "-C", str(team.server), "audit", "pushes", "--since", "2999-01-01", "--json").stdout
        )
        == []
    )
    assert "is no date" in cli(team.folder, "-C", str(team.server), "audit", "pushes", "--since", "soon").stderr


def test_a_repository_whose_hook_never_ran_has_no_pushes_to_tell_of(team: Team) -> None:
    assert "no push was recorded here" in team.at("bob").cli("audit", "pushes", check=2).stderr


def test_a_hook_that_cannot_judge_refuses(team: Team) -> None:
    (team.server / "hooks/pre-receive").write_text(
        "#!/bin/sh\nexec /nowhere/python -m gitops_registry.hook pre-receive\n"
    )
    alice = team.at("alice")
    before = git(team.server, "for-each-ref")
    done = subprocess.run(
        ["git", "-C", alice.root, "push", "origin", "main:refs/heads/change/x"], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert git(team.server, "for-each-ref") == before


# ── hook install


def test_the_hook_is_installed_again_and_again_and_says_what_it_wrote(team: Team) -> None:
    keys = team.folder / "authorized_keys"
    keys.write_text("ssh-ed25519 AAAA somebody-else\n")
    words = ("hook", "install", str(team.server), "--authorized-keys", str(keys))
    for _ in range(2):
        done = cli(team.folder, *words)
        assert done.returncode == 0, done.stderr
        assert "a boundary for those who come through" in done.stdout
    lines = keys.read_text().splitlines()
    assert lines[0] == "ssh-ed25519 AAAA somebody-else"
    ours = [line for line in lines if line.startswith("restrict,command=")]
    assert [line.split()[-1] for line in ours] == ["alice", "bob", "dan"]
    assert all("gitops_registry.hook serve" in line for line in ours)
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert os.access(team.server / "hooks/pre-receive", os.X_OK)


def test_keys_follow_the_members(team: Team) -> None:
    keys = team.folder / "authorized_keys"
    assert cli(team.folder, "hook", "install", str(team.server), "--authorized-keys", str(keys)).returncode == 0
    alice = team.at("alice")
    alice.cli("access", "remove", "dan")
    alice.cli("merge", "access/remove/dan")
    alice.cli("push")
    assert [line.split()[-1] for line in keys.read_text().splitlines() if line.startswith("restrict")] == [
        "alice",
        "bob",
    ]


def test_a_dry_run_installs_nothing(team: Team, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "new.git")
    before = sorted(str(path) for path in (tmp_path / "new.git").rglob("*"))
    config = (tmp_path / "new.git/config").read_text()
    done = cli(tmp_path, "hook", "install", "new.git", "--root", str(team.folder / "alice.key.pub"), "--dry-run")
    assert "would judge every push to" in done.stdout
    assert sorted(str(path) for path in (tmp_path / "new.git").rglob("*")) == before
    assert (tmp_path / "new.git/config").read_text() == config


def test_what_cannot_be_a_server_is_refused(team: Team, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    for where, words, reason in (
        (tmp_path, ("empty.git",), "needs to know whose key starts its registry"),
        (tmp_path, ("empty.git", "--root", "SHA256:short"), "is no fingerprint of a key"),
        (team.folder, ("alice",), "is a checkout"),
        (tmp_path, ("nowhere.git",), "nowhere.git"),
    ):
        done = cli(where, "hook", "install", *words)
        assert done.returncode == 2, words
        assert reason in done.stderr
        assert "hint: " in done.stderr
    (team.server / "hooks/pre-receive").write_text("#!/bin/sh\nexit 0\n")
    assert "is a hook of somebody else's" in cli(team.folder, "hook", "install", str(team.server)).stderr


def test_a_registry_whose_members_have_no_keys_gets_no_hook(world: World, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(world.root), "bare.git")
    done = cli(tmp_path, "hook", "install", "bare.git")
    assert (done.returncode, "nobody could push" in done.stderr) == (2, True)


def test_an_approval_binds_to_files_that_stand_in_no_plan_too(team: Team) -> None:
    bob, alice = team.at("bob"), team.at("alice")
    law = alice.read("registry.yaml")
    alice.commit({"registry.yaml": law + b"unmanaged: [src/**]\n"}, "source code beside it")
    git(alice.root, "branch", "--quiet", "-D", BRANCH)
    teams.promote(alice, "fraud@1", "production")
    alice.commit({"src/score.py": b"print(1)\n"}, "code", branch=BRANCH)
    git(bob.root, "fetch", "--quiet", str(alice.root), "main", f"+{BRANCH}:{BRANCH}")
    git(bob.root, "reset", "--quiet", "--hard", "FETCH_HEAD")
    bob.cli("approve", BRANCH)
    assert told(bob, "merge", BRANCH, "--dry-run")["refused"] is False
    bob.commit({"src/score.py": b"print(2)\n"}, "other code", branch=BRANCH)
    refused = told(bob, "merge", BRANCH, "--dry-run", check=1)
    assert any("bob wrote part of it" in f["message"] for f in refused["findings"])
    git(alice.root, "fetch", "--quiet", str(bob.root), BRANCH)
    git(alice.root, "branch", "--quiet", "--force", BRANCH, "FETCH_HEAD~1")
    alice.commit({"src/score.py": b"print(3)\n"}, "other code", branch=BRANCH)
    refused = told(alice, "merge", BRANCH, "--dry-run", check=1)
    assert any("approves another plan" in f["message"] for f in refused["findings"])


def test_at_a_url_a_refusal_comes_with_its_reason_and_the_servers_hint(team: Team) -> None:
    url = team.server.as_uri()
    bob = {"GIT_CONFIG_GLOBAL": str(team.folder / "bob/.git/config")}
    done = cli(team.folder, "-C", url, "tag", "fraud@2", "region=eu", environment=bob)
    assert done.returncode == 0, done.stderr
    done = cli(team.folder, "-C", url, "merge", "tag/fraud/2", environment=bob)
    assert "committed as" in done.stdout
    assert git(team.server, "for-each-ref", "refs/heads/tag") == ""
    git(team.folder / "bob", "config", "user.signingKey", str(teams.key(team.folder, "strange")))
    done = cli(team.folder, "-C", url, "tag", "fraud@1", "region=eu", environment=bob)
    assert done.returncode == 2
    assert f"error: {url} refused: " in done.stderr
    assert "is no member's" in done.stderr
    assert "hint: an administrator adds your key" in done.stderr


def test_a_registry_that_is_older_than_its_server_starts_there(team: Team, tmp_path: Path) -> None:
    public = str(team.folder / "alice.key.pub")
    long_ago = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
    assert cli(tmp_path, "init", "old", "--team", "--key", public, environment=long_ago).returncode == 0
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "old.git")
    assert cli(tmp_path, "hook", "install", "old.git", "--root", public).returncode == 0
    git(tmp_path / "old", "push", "--quiet", str(tmp_path / "old.git"), "main")
    assert git(tmp_path / "old.git", "rev-parse", "main") == git(tmp_path / "old", "rev-parse", "main")


def test_what_was_said_of_a_server_stays_said(team: Team) -> None:
    for words in (("--without-store",), ()):
        assert cli(team.folder, "hook", "install", str(team.server), *words).returncode == 0
        assert git(team.server, "config", "gitops-registry.unseenBytes").strip() == "true"


def test_an_empty_repository_takes_main_whatever_git_calls_its_first_branch(team: Team, tmp_path: Path) -> None:
    public = team.folder / "alice.key.pub"
    keys = str(tmp_path / "keys")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=master", "new.git")
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", public], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    shut = cli(tmp_path, "hook", "install", "new.git", "--root", fingerprint, "--authorized-keys", keys)
    assert "judges every push to main" in shut.stdout
    assert "nobody comes in through" in shut.stdout
    opened = cli(tmp_path, "hook", "install", "new.git", "--root", str(public))
    assert "nobody comes in through" not in opened.stdout
    assert Path(keys).read_text().count("restrict,command=") == 1
    assert cli(tmp_path, "init", "new", "--team", "--key", str(public)).returncode == 0
    git(tmp_path / "new", "push", "--quiet", str(tmp_path / "new.git"), "main")
