"""A promotion from a laptop to a merged pull request, as each side types and sees it; on a forge that keeps state."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from builder import git
from forge_github import LocalGitHub
from hub import Hub, copied, founded

import gitops_registry
from gitops_registry import edits
from gitops_registry.reference import Reference

pytestmark = pytest.mark.needs("signing")
TEMPLATES = Path(gitops_registry.__file__).parent / "templates" / "policies"
BRANCH = "promote/fraud/1/production"
PROMOTE = ("promote", "fraud", "1", "--to", "production", "--pull-request")


@pytest.fixture(scope="module")
def made(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return founded("github", LocalGitHub, tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def opened(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a promotion was opened as pull request 1, with a clone for the jobs."""

    def then(hub: Hub) -> None:
        hub.run("carol", *PROMOTE)
        git(hub.folder, "clone", "--quiet", hub.forge.remote, "job")

    return founded("github", LocalGitHub, tmp_path_factory.mktemp("opened"), then=then)


@pytest.fixture
def proposed(opened: Path, tmp_path: Path) -> Iterator[Hub]:
    """Everybody's checkouts where carol has proposed a version for production."""
    with copied(opened, "github", LocalGitHub, tmp_path / "hub") as team:
        yield team


@pytest.fixture
def hub(made: Path, tmp_path: Path) -> Iterator[Hub]:
    with copied(made, "github", LocalGitHub, tmp_path / "hub") as team:
        yield team


def judged(hub: Hub, head: str = "", *more: str, check: int | None = None, number: str = "auto") -> dict:
    """Return what the job of a pull request says: in a clone of the base, with the head fetched as objects."""
    job = hub.folder / "job"
    if not job.exists():
        git(hub.folder, "clone", "--quiet", hub.forge.remote, "job")
    git(job, "pull", "--quiet")
    oid = head or hub.forge.tip(BRANCH)
    git(job, "fetch", "--quiet", "origin", oid)
    words = ("check", "--base", "origin/main", "--head", oid, "--pull-request", number, "--json", *more)
    done = hub.run("job", *words, check=None, as_="robot")
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else {"error": done.stderr}


def rules(report: dict) -> set[str]:
    """Return the rules that refuse, or are not checked where they must be."""
    return {finding["rule"] for finding in report["findings"] if finding["result"] == "error"}


def pull(hub: Hub) -> dict:
    return hub.forge.pulls[1]  # type: ignore[attr-defined]


# ── opening


def test_a_promotion_is_pushed_and_opened_with_its_plan_labels_and_reviewers(hub):
    done = hub.run("carol", *PROMOTE, "-m", "better on every segment")
    assert "pull request 1" in done.stdout
    assert f"{hub.forge.url}/acme/models/pull/1" in done.stdout
    assert hub.forge.tip(BRANCH) == git(hub.folder / "carol", "rev-parse", BRANCH).strip()
    told = pull(hub)
    assert (told["title"], told["branch"], told["base"]) == ("promote fraud 1 to production", BRANCH, "main")
    assert {"registry", "promotion", "production", "fraud"} <= set(told["labels"])
    assert told["asked"] == ["alice", "bob"]
    for words in (
        "fraud: production (empty) → 1",
        "better on every segment",
        "No champion",
        "- [ ] ",
        "cards/fraud/v1.md",
    ):
        assert words in told["body"], words


def test_the_same_command_again_changes_nothing_on_the_forge(proposed):
    before, asked = proposed.forge.tip(BRANCH), len(proposed.forge.writes())
    again = proposed.run("carol", *PROMOTE, "--json")
    assert json.loads(again.stdout)["pull_request"]["number"] == 1
    assert proposed.forge.tip(BRANCH) == before
    assert proposed.forge.writes()[asked:] == []


def test_a_new_reason_updates_the_text_and_what_people_wrote_and_ticked_stays(hub):
    hub.run("carol", *PROMOTE, "-m", "first words")
    pull(hub)["body"] = (
        "Please look by Friday.\n\n" + pull(hub)["body"].replace("- [ ]", "- [x]", 1) + "\ncc the team\n"
    )
    hub.run("carol", *PROMOTE, "-m", "other words")
    body = pull(hub)["body"]
    assert body.startswith("Please look by Friday.")
    assert body.rstrip().endswith("cc the team")
    assert "other words" in body
    assert "first words" not in body
    assert body.count("- [x]") == 1


def test_commits_of_somebody_else_on_the_branch_stay(proposed):
    bob = proposed.at("bob")
    git(bob.root, "fetch", "--quiet", "origin")
    git(bob.root, "switch", "--quiet", BRANCH)
    git(bob.root, "commit", "--quiet", "--allow-empty", "-S", "-m", "looked at it")
    git(bob.root, "push", "--quiet", "origin", BRANCH)
    theirs = proposed.forge.tip(BRANCH)
    proposed.run("carol", *PROMOTE)
    assert proposed.forge.tip(BRANCH) == theirs
    assert len(proposed.forge.pulls) == 1


def test_a_branch_that_does_something_else_by_now_is_refused_and_left_alone(proposed):
    bob = proposed.at("bob")
    git(bob.root, "fetch", "--quiet", "origin")
    snapshot = bob.registry.place.snapshot(f"origin/{BRANCH}")
    git(bob.root, "branch", "--quiet", BRANCH, f"origin/{BRANCH}")
    other = edits.promote(snapshot, Reference("fraud", 2), "staging")
    bob.commit(other, "and version 2 to staging", branch=BRANCH)
    git(bob.root, "push", "--quiet", "origin", BRANCH)
    theirs = proposed.forge.tip(BRANCH)
    done = proposed.run("carol", *PROMOTE, check=2)
    assert "does something else" in done.stderr
    assert proposed.forge.tip(BRANCH) == theirs


@pytest.mark.parametrize(
    "fault", [{"status": 0}, {"status": 0, "after": True}, {"status": 502}, {"status": 500, "after": True}]
)
def test_a_failure_while_opening_leaves_nothing_half_and_the_next_run_completes_it(hub, fault):
    status = fault.pop("status")
    hub.forge.fail("POST", "/pulls$", status, **fault)
    first = hub.run("carol", *PROMOTE, check=None)
    if first.returncode:
        assert "pushed" in first.stderr
        assert "hint:" in first.stderr
    hub.run("carol", *PROMOTE)
    assert len(hub.forge.pulls) == 1
    assert pull(hub)["asked"] == ["alice", "bob"]
    assert "registry" in pull(hub)["labels"]


@pytest.mark.parametrize("path", ["/labels$", "/requested_reviewers$"])
def test_what_the_forge_does_not_take_of_labels_and_reviewers_is_a_note(hub, path):
    hub.forge.fail("POST", path, 422, data={"message": "no such thing"}, times=9)
    done = hub.run("carol", *PROMOTE)
    assert "no such thing" in done.stdout
    hub.forge.faults.clear()
    hub.run("carol", *PROMOTE)
    assert pull(hub)["asked"] == ["alice", "bob"]
    assert "registry" in pull(hub)["labels"]


def test_every_verb_opens_a_pull_request(hub):
    alice = hub.at("alice")
    alice.commit(edits.set_alias(alice.registry.snapshot, Reference("fraud", 1), "old"))
    git(alice.root, "push", "--quiet", "origin", "main")
    verbs = {
        ("archive", "fraud", "1"): "archive fraud 1",
        ("alias", "set", "fraud", "1", "shadow"): "alias fraud shadow",
        ("alias", "remove", "fraud", "old"): "alias fraud old",
        ("delete", "fraud", "2"): "delete fraud 2",
    }
    for number, (words, title) in enumerate(verbs.items(), 1):
        hub.run("alice", *words, "--pull-request")
        assert title in hub.forge.pulls[number]["title"]
        assert hub.forge.pulls[number]["state"] == "open"


def test_a_registration_is_a_pull_request_once(hub):
    folder = hub.folder / "forest"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights" * 100)
    for _ in range(2):
        done = hub.run("carol", "register", "churn", str(folder), "--pull-request")
        assert "pull request 1, register/churn/1" in done.stdout
    assert len(hub.forge.pulls) == 1
    assert pull(hub)["title"] == "register churn 1"
    assert {"new version", "churn"} <= set(pull(hub)["labels"])
    assert "version 1 registered" in pull(hub)["body"]
    assert not hub.forge.git("ls-tree", "main", "models/churn/")


def test_a_rollback_is_a_pull_request_too(hub):
    alice = hub.at("alice")
    before = alice.registry.place.snapshot()
    for number in (1, 2):
        alice.commit(
            edits.promote(alice.registry.place.snapshot(), Reference("fraud", number), "production"), f"serve {number}"
        )
    assert before is not None
    git(alice.root, "push", "--quiet", "origin", "main")
    hub.run("alice", "rollback", "fraud", "--pull-request", "-m", "complaints")
    assert pull(hub)["title"] == "rollback fraud production to 1"


def test_the_monitor_opens_a_pull_request_once_for_what_holds_no_more(hub):
    alice = hub.at("alice")
    alice.model("churn").version(metrics={"accuracy": 0.4}).in_stage("production").commit()
    git(alice.root, "push", "--quiet", "origin", "main")
    for _ in range(2):
        done = hub.run("alice", "monitor", "--pull-request", check=1)
        assert f"{hub.forge.url}/acme/models/pull/1" in done.stdout
    assert (pull(hub)["title"], pull(hub)["branch"]) == ("archive churn 1", "archive/churn/1")
    assert "floors/metrics: accuracy 0.4 is below 0.9" in pull(hub)["body"]
    assert len(hub.forge.pulls) == 1


def test_a_dry_run_sends_nothing_anywhere(hub):
    done = hub.run("carol", *PROMOTE, "--dry-run")
    assert "nothing was written" in done.stdout
    assert hub.forge.writes() == []
    assert hub.forge.tip(BRANCH) == ""


def test_without_a_token_the_branch_is_pushed_and_the_next_step_is_said(hub):
    done = hub.run("carol", *PROMOTE, check=2, as_="")
    assert "pushed" in done.stderr
    assert "GITHUB_TOKEN" in done.stderr
    hub.run("carol", *PROMOTE)
    assert pull(hub)["state"] == "open"


def test_no_token_is_ever_printed(hub):
    secret = hub.forge.accounts["carol"].token
    hub.forge.fail("POST", "/pulls$", 403, data={"message": f"token {secret} may not"})
    done = hub.run("carol", *PROMOTE, check=2)
    assert secret not in done.stdout + done.stderr
    assert "does not allow it" in done.stderr


# ── reviews


def test_a_review_of_who_may_decide_is_an_approval_and_the_verdict_follows_it(proposed):
    assert "approvals" in rules(judged(proposed, check=1))
    review = proposed.forge.review("bob", 1)
    assert judged(proposed, check=0)["ok"]
    proposed.forge.dismiss(review)
    assert "approvals" in rules(judged(proposed, check=1))


def test_other_reviews_are_no_approval(proposed):
    for who, word in (("carol", "approved"), ("robot", "approved"), ("bob", "commented"), ("bob", "rejected")):
        proposed.forge.review(who, 1, word)
        assert "approvals" in rules(judged(proposed, check=1)), (who, word)


def test_who_wrote_it_and_who_opened_it_approve_nothing(hub):
    hub.run("bob", *PROMOTE)
    pull(hub)["user"] = "alice"
    hub.forge.review("alice", 1)
    hub.forge.review("bob", 1)
    report = judged(hub, check=1)
    told = " ".join(finding["message"] for finding in report["findings"])
    assert "alice wrote part of it" in told
    assert "bob wrote part of it" in told


def test_whoever_hides_behind_an_unsigned_commit_does_not_approve_it_alone(proposed):
    bob = proposed.at("bob")
    git(bob.root, "fetch", "--quiet", "origin", BRANCH)
    git(bob.root, "switch", "--quiet", "-c", BRANCH, "FETCH_HEAD")
    path = bob.root / "models/fraud/model.yaml"
    path.write_text(path.read_text().replace("production: [1]", "production: [2]"))
    named = ("-c", "user.name=Carol", "-c", "user.email=carol@example.com", "-c", "commit.gpgSign=false")
    git(bob.root, *named, "commit", "--quiet", "-am", "promote fraud 2")
    git(bob.root, "push", "--quiet", "origin", BRANCH)
    proposed.forge.review("bob", 1)
    report = judged(proposed)
    assert "approvals" in rules(report)
    assert "is signed by no member" in json.dumps(report)
    proposed.forge.review("alice", 1)
    assert "approvals" not in rules(judged(proposed))


def test_a_login_without_its_number_is_nobody(proposed):
    proposed.forge.review("bob", 1)
    proposed.forge.accounts["bob"].id = 4711  # somebody else has the login by now
    report = judged(proposed, check=1)
    assert "4711" in " ".join(finding["message"] for finding in report["findings"])


def test_a_branch_brought_up_to_date_keeps_its_approval_whoever_pressed_the_button(proposed):
    proposed.forge.review("bob", 1)
    alice = proposed.at("alice")
    alice.model("churn", owners=("alice",)).version().commit()
    git(alice.root, "push", "--quiet", "origin", "main")
    proposed.forge.update_branch(1, "bob")
    assert judged(proposed, check=0)["ok"]


def test_a_decision_about_the_same_model_meanwhile_voids_it(proposed):
    proposed.forge.review("bob", 1)
    alice = proposed.at("alice")
    alice.commit(edits.promote(alice.registry.place.snapshot(), Reference("fraud", 2), "staging"), "stage 2")
    git(alice.root, "push", "--quiet", "origin", "main")
    assert "approvals" in rules(judged(proposed, check=1))
    proposed.run("carol", *PROMOTE)  # both changed the same file, which the forge cannot join
    assert proposed.forge.tip("main") in proposed.forge.git("rev-list", BRANCH).split()
    assert "approvals" in rules(judged(proposed, check=1))
    proposed.forge.review("bob", 1)
    assert judged(proposed, check=0)["ok"]


def test_another_plan_under_an_approval_voids_it(proposed):
    proposed.forge.review("bob", 1)
    carol = proposed.at("carol")
    snapshot = carol.registry.place.snapshot(BRANCH)
    carol.commit(edits.set_alias(snapshot, Reference("fraud", 2), "champion"), "and a champion", branch=BRANCH)
    git(carol.root, "push", "--quiet", "origin", BRANCH)
    report = judged(proposed, check=1)
    assert "another plan" in " ".join(finding["message"] for finding in report["findings"])


def test_a_merge_groups_commit_is_judged_with_the_reviews_of_its_pull_request(proposed):
    proposed.forge.review("bob", 1)
    group = proposed.forge.merge_group(1)
    assert judged(proposed, group, "--publish", check=0)["ok"]
    assert [(s["sha"], s["state"]) for s in proposed.forge.statuses] == [(group, "success")]


# ── the verdict where people look


def test_the_verdict_is_one_status_and_one_comment_that_is_kept_up_to_date(proposed):
    judged(proposed, "", "--publish")
    assert proposed.forge.statuses[-1]["context"] == "registry/verdict"
    assert proposed.forge.statuses[-1]["state"] == "pending"
    proposed.forge.review("bob", 1)
    judged(proposed, "", "--publish")
    judged(proposed, "", "--publish")
    assert proposed.forge.statuses[-1]["state"] == "success"
    assert [comment["user"] for comment in proposed.forge.comments] == ["robot"]
    assert proposed.forge.comments[0]["body"].startswith("<!-- gitops-registry: check -->")


def test_a_rule_of_the_policies_about_who_approved_is_waited_for_too(hub):
    alice, path = hub.at("alice"), "policies/production-four-eyes.yaml"
    alice.commit({path: (TEMPLATES / "production-four-eyes.yaml").read_bytes()})
    git(alice.root, "push", "--quiet", "origin", "main")
    git(hub.folder / "carol", "pull", "--quiet")
    hub.run("carol", *PROMOTE)
    assert "production-four-eyes/second-person" in rules(judged(hub, "", "--publish"))
    assert hub.forge.statuses[-1]["state"] == "pending"
    assert "- [ ] ask another member with that role to approve the proposal" in pull(hub)["body"]
    hub.forge.review("bob", 1)
    judged(hub, "", "--publish", check=0)
    assert hub.forge.statuses[-1]["state"] == "success"


def test_a_comment_that_somebody_else_wrote_under_the_marker_is_not_touched(proposed):
    proposed.forge.comments.append(
        {"id": 1, "issue": 1, "user": "carol", "body": "<!-- gitops-registry: check -->\nall fine", "html_url": ""}
    )
    judged(proposed, "", "--publish")
    assert [comment["user"] for comment in proposed.forge.comments] == ["carol", "robot"]
    assert proposed.forge.comments[0]["body"].endswith("all fine")


def test_what_cannot_be_judged_gets_an_error_in_place_of_an_old_verdict(proposed):
    proposed.forge.review("bob", 1)
    judged(proposed, "", "--publish", check=0)
    alice = proposed.at("alice")
    snapshot = alice.registry.place.snapshot()
    alice.commit(edits.promote(snapshot, Reference("fraud", 1), "archived"), "take it away")
    git(alice.root, "push", "--quiet", "origin", "main")
    judged(proposed, "", "--publish", check=2)
    assert proposed.forge.statuses[-1]["state"] == "error"


def test_a_pull_request_that_moved_on_is_not_judged_under_its_old_head(proposed):
    old = proposed.forge.tip(BRANCH)
    carol = proposed.at("carol")
    snapshot = carol.registry.place.snapshot(BRANCH)
    carol.commit(edits.set_alias(snapshot, Reference("fraud", 2), "next"), "more", branch=BRANCH)
    git(carol.root, "push", "--quiet", "origin", BRANCH)
    assert "newer commit" in judged(proposed, old, check=2, number="1")["error"]


# ── landing


def test_merge_takes_reviews_for_approvals_and_writes_them_down_signed(hub):
    hub.run("carol", *PROMOTE, "-m", "better on every segment")
    refused = hub.run("alice", "merge", f"origin/{BRANCH}", check=1)
    assert "asks for 1 approval" in refused.stdout
    review = hub.forge.review("bob", 1)
    hub.run("alice", "merge", f"origin/{BRANCH}")
    hub.run("alice", "push")
    told = git(hub.folder / "alice", "log", "-1", "--format=%B", "main")
    head = git(hub.folder / "alice", "rev-parse", "main^2").strip()
    assert f"Pull-Request: {hub.forge.url}/acme/models/pull/1" in told
    assert f"Attested-Approval: bob github:1002 review:{review} commit:{head} plan:" in told
    assert pull(hub)["state"] == "open"
    hub.forge.head(1)
    assert pull(hub)["merged_as"] == hub.forge.tip("main")
    event = json.loads(hub.run("alice", "log", "--json").stdout)[0]
    assert event["reviews"][0].startswith("bob github:1002")
    assert event["signature"]["member"] == "alice"
    assert "approved by bob" in hub.run("alice", "log").stdout


def test_the_forges_own_merge_is_attested_and_says_so(proposed):
    proposed.forge.review("bob", 1)
    done = proposed.run("bob", "merge", f"origin/{BRANCH}", "--by-forge")
    assert "attested by github, not verifiable offline" in done.stdout
    assert pull(proposed)["merged_as"] == proposed.forge.tip("main")
    assert "attested by github (pull request 1)" in proposed.run("bob", "log").stdout


def landed(hub: Hub, base: str) -> tuple[int, str]:
    """Return what the job after a push to main says."""
    job = hub.folder / "job"
    git(job, "pull", "--quiet")
    done = hub.run("job", "check", "--base", base, "--head", "origin/main", "--landed", check=None, as_="robot")
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("merge", 0, "attested by github"),
        ("squash", 1, "was squashed on github"),
        ("rebase", 1, "was rebased on github"),
    ],
)
def test_what_the_button_landed_is_judged_and_squash_and_rebase_are_explained(proposed, how, code, words):
    proposed.forge.review("bob", 1)
    judged(proposed, check=0)
    base = proposed.forge.tip("main")
    if how == "rebase":
        carol = proposed.at("carol")
        git(carol.root, "switch", "--quiet", BRANCH)
        git(carol.root, "commit", "--quiet", "--allow-empty", "-S", "-m", "one more")
        (carol.root / "docs" / "note.md").write_text("more\n")
        git(carol.root, "add", "docs/note.md")
        git(carol.root, "commit", "--quiet", "-S", "-m", "a note")
        git(carol.root, "push", "--quiet", "origin", BRANCH)
        proposed.forge.head(1)
    proposed.forge.merge_by_button(1, how)
    ended, told = landed(proposed, base)
    assert ended == code, told
    assert words in told


def test_a_push_past_the_pull_request_is_found(hub):
    judged_base = hub.forge.tip("main")
    git(hub.folder, "clone", "--quiet", hub.forge.remote, "job")
    carol = hub.at("carol")
    git(carol.root, "config", "commit.gpgsign", "false")
    git(carol.root, "config", "--unset", "user.signingKey")
    carol.commit(edits.promote(carol.registry.place.snapshot(), Reference("fraud", 2), "staging"), "quietly")
    git(carol.root, "push", "--quiet", "origin", "main")
    code, told = landed(hub, judged_base)
    assert code == 1
    assert "no pull request landed as it" in told


def test_a_merge_that_the_forge_made_otherwise_is_found(proposed):
    proposed.forge.review("bob", 1)
    judged(proposed, check=0)
    base, head = proposed.forge.tip("main"), proposed.forge.head(1)
    tree = proposed.forge.git("rev-parse", f"{base}^{{tree}}")  # the merge that takes nothing of the branch
    made = proposed.forge._commit(tree, [base, head], "Merge pull request #1 from acme/x", "bob")
    proposed.forge.git("update-ref", "refs/heads/main", made)
    pull(proposed).update({"state": "closed", "merged_as": made, "merged_by": "bob"})
    code, told = landed(proposed, base)
    assert code == 1
    assert "not the merge that would be made" in told


# ── doctor


def test_doctor_says_what_the_forge_lets_through(hub):
    done = hub.run("alice", "doctor", "--forge", check=1)
    for words in (
        "takes pushes beside pull requests",
        "nothing requires the status registry/verdict",
        "tags may be moved",
    ):
        assert words in done.stdout, words


def test_doctor_is_content_with_a_guarded_repository(hub):
    hub.forge.accounts["alice"].may = "admin"
    hub.forge.rules = [
        {"type": "pull_request", "ruleset_id": 7, "parameters": {"required_approving_review_count": 1, "allowed_merge_methods": ["merge"]}},
        {"type": "non_fast_forward", "ruleset_id": 7}, {"type": "deletion", "ruleset_id": 7},
        {"type": "required_status_checks", "ruleset_id": 7, "parameters": {"strict_required_status_checks_policy": True, "required_status_checks": [{"context": "registry/verdict"}]}},
        {"type": "workflows", "ruleset_id": 7, "parameters": {"workflows": [{"path": ".github/workflows/validate.yml"}]}},
    ]  # fmt: skip
    hub.forge.rulesets = [
        {"id": 7, "name": "main", "target": "branch", "enforcement": "active", "bypass_actors": []},
        {
            "id": 8, "name": "tags", "target": "tag", "enforcement": "active", "bypass_actors": [],
            "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}}, "rules": [{"type": "update"}, {"type": "deletion"}],
        },
    ]  # fmt: skip
    done = hub.run("alice", "doctor", "--forge")
    assert done.returncode == 0, done.stdout
    hub.forge.rulesets[0]["bypass_actors"] = [{"actor_type": "RepositoryRole", "actor_id": 5}]
    assert "exempt from all of it" in hub.run("alice", "doctor", "--forge", check=1).stdout


# ── the README


def test_the_readmes_promotion_is_what_each_side_sees(hub):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## On GitHub, GitLab")[2].partition("\n## ")[0]
    told, typed = "", 0
    for block in re.findall(r"```text\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            if match := re.fullmatch(r"(\w+)\$ gitops-registry (.*)", line):
                git(hub.folder / match[1], "pull", "--quiet", "--rebase=false")
                told, typed = hub.run(match[1], *shlex.split(match[2])).stdout, typed + 1
            elif match := re.fullmatch(r"registry/verdict +(\w+) +(.*)", line):
                judged(hub, "", "--publish")
                assert (hub.forge.statuses[-1]["state"], hub.forge.statuses[-1]["description"]) == match.groups()
                hub.forge.review("bob", 1)
            else:
                wanted = re.escape(line.rstrip(" …").replace("https://github.com", hub.forge.url))
                assert re.search(re.sub(r"[0-9a-f]{12}$|review:\d+", r"\\S+", wanted), told), line
    assert typed == 4
    assert "fraud: production (empty) → 1" in pull(hub)["body"]
