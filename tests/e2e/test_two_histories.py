"""Two people decide while neither sees the other: what each decided lands on top of the other's, as it was meant."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from builder import World, git
from story import Trained, started

HUB = "hub.git"


@pytest.fixture(scope="module")
def met(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a hub and Alice's and Bob's clones of it; both know versions 1 to 3 of fraud."""
    folder = tmp_path_factory.mktemp("met")
    world = World(folder / "world", template=template)
    world.model("fraud").version().version().version().commit()
    git(folder, "clone", "--quiet", "--bare", world.root.as_uri(), HUB)
    for name in ("alice", "bob"):
        git(folder, "clone", "--quiet", str(folder / HUB), name)
        git(folder / name, "config", "user.name", name)
        git(folder / name, "config", "user.email", f"{name}@example.com")
    return folder


@pytest.fixture
def two(met: Path, tmp_path: Path) -> tuple[World, World]:
    """Such clones of the test's own."""
    shutil.copytree(met / HUB, tmp_path / HUB, symlinks=True)
    found = [World(tmp_path / name, template=met / name) for name in ("alice", "bob")]
    for clone in found:
        config = clone.root / ".git" / "config"
        config.write_text(config.read_text().replace(str(met), str(tmp_path)))
        clone.git("status")  # a copy has other inodes
    return found[0], found[1]


class Away:
    """The hub cannot be reached for as long as the block lasts."""

    def __init__(self, clone: World) -> None:
        self.hub = clone.root.parent / HUB

    def __enter__(self) -> None:
        self.hub.rename(self.hub.with_name("away"))

    def __exit__(self, *_: object) -> None:
        self.hub.with_name("away").rename(self.hub)


def stages(world: World, name: str = "fraud") -> dict[str, list[int]]:
    model = world.registry.snapshot.known_model(name)
    return {stage: list(numbers) for stage, numbers in model.stages.items()}


def subjects(world: World) -> list[str]:
    return world.git("log", "--first-parent", "--format=%an: %s", "main").splitlines()


def is_level(world: World) -> bool:
    world.git("fetch", "--quiet")
    return (
        world.git("rev-parse", "main") == world.git("rev-parse", "origin/main")
        and not world.git("status", "--porcelain").strip()
    )


def rules(who: World, path: str, old: str, new: str) -> None:
    """Write another rule into a file, and push it."""
    file = who.root / path
    file.write_text(file.read_text().replace(old, new))
    who.git("commit", "--quiet", "--all", "--message", "other rules")
    who.git("push", "--quiet")


def test_promotions_of_different_versions_both_land_with_their_authors(two: tuple[World, World]) -> None:
    alice, bob = two
    with Away(bob):
        bob.cli("promote", "fraud@1", "--to", "staging")
        bob.cli("merge", "promote/fraud/1/staging", "--reason", "bob is sure")
    alice.cli("promote", "fraud@2", "--to", "staging", "--direct")
    assert "pushed 1 decision to origin" in alice.cli("push").stdout
    said = bob.cli("push").stdout
    assert "1 decision(s) of yours were put on top of what others decided meanwhile" in said
    assert is_level(bob)
    assert stages(bob) == {"staging": [1, 2]}
    assert subjects(bob)[:2] == ["bob: promote fraud 1 to staging", "alice: promote fraud 2 to staging"]
    log = json.loads(bob.cli("log", "fraud", "--json").stdout)
    assert (log[0]["proposal"], log[0]["reason"]) == ("promote/fraud/1/staging", "bob is sure")
    bob.cli("check")


def test_words_land_on_a_template_that_others_changed_meanwhile(two: tuple[World, World], tmp_path: Path) -> None:
    alice, bob = two
    words = tmp_path / "card.yaml"
    words.write_bytes(bob.read("models/fraud/versions/1/card.yaml") + b"contact: risk@example.com\n")
    with Away(bob):
        bob.cli("card", "fraud@1", "--from", str(words))
    alice.commit(
        {"cards/templates/card.md.j2": b"# {{ name }} {{ version }}\n\n{{ contact | text }}\n"}, "a template of ours"
    )
    alice.cli("push")
    bob.cli("push")
    assert is_level(bob)
    assert (bob.root / "cards/fraud/v1.md").read_text().startswith("# fraud 1\n\nrisk@example.com\n")


def test_versions_with_one_number_become_two_and_everything_said_of_them_follows(
    two: tuple[World, World], trained: Trained
) -> None:
    alice, bob = two
    with Away(bob):
        bob.cli("register", "fraud", str(trained.model(1)), "--no-onnx", "--card", str(trained.card))
        bob.cli("promote", "fraud@4", "--to", "staging", "--direct")
        bob.cli("register", "fresh", str(trained.model(1)), "--no-onnx")
    alice.cli("register", "fraud", str(trained.model(2)), "--no-onnx", "--card", str(trained.card))
    alice.cli("register", "fresh", str(trained.model(2)), "--no-onnx")
    alice.cli("push")
    theirs = {name: alice.cli("show", name, "--json").stdout for name in ("fraud@4", "fresh@1")}
    bytes_of_bob = json.loads(bob.cli("show", "fraud@4", "--json").stdout)["artifacts"]
    said = bob.cli("push").stdout
    assert "fraud@4 is fraud@5 now" in said
    assert "fresh@1 is fresh@2 now" in said
    assert is_level(bob)
    assert stages(bob) == {"staging": [5]}
    assert json.loads(bob.cli("show", "fraud@5", "--json").stdout)["artifacts"] == bytes_of_bob
    assert {name: bob.cli("show", name, "--json").stdout for name in theirs} == theirs
    assert subjects(bob)[:3] == ["bob: register fresh 2", "bob: promote fraud 5 to staging", "bob: register fraud 5"]
    assert "version 5" in (bob.root / "cards/fraud/v5.md").read_text()
    bob.cli("check")
    bob.cli("verify")


def test_the_next_change_does_it_too(two: tuple[World, World]) -> None:
    alice, bob = two
    with Away(bob):
        bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
    alice.cli("promote", "fraud@2", "--to", "staging", "--direct")
    alice.cli("push")
    said = bob.cli("promote", "fraud@3", "--to", "staging", "--direct").stdout
    assert "1 decision(s) of yours were put on top" in said
    assert stages(bob) == {"staging": [1, 2, 3]}
    assert "gitops-registry push" in said
    bob.cli("push")
    assert is_level(bob)


@pytest.mark.parametrize("verb", [["push"], ["promote", "fraud@3", "--to", "staging"]])
def test_what_does_not_fit_is_said_and_nothing_moves(two: tuple[World, World], verb: list[str]) -> None:
    alice, bob = two
    with Away(bob):
        bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
    alice.cli("promote", "fraud@1", "--to", "archived", "--direct")
    alice.cli("push")
    before = bob.git("for-each-ref", "refs/heads"), bob.git("status", "--porcelain")
    done = bob.cli(*verb, check=2)
    assert "'promote fraud 1 to staging' of yours does not fit what others decided meanwhile" in done.stderr
    assert "version 1 was moved to archived meanwhile" in done.stderr
    assert "git show" in done.stderr
    assert (bob.git("for-each-ref", "refs/heads"), bob.git("status", "--porcelain")) == before


def test_a_decision_that_the_newer_rules_refuse_is_not_put_on_top(two: tuple[World, World]) -> None:
    alice, bob = two
    with Away(bob):
        bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
        bob.cli("promote", "fraud@1", "--to", "production", "--direct")
    rules(alice, "policies/floors.yaml", "accuracy: 0.9", "accuracy: 0.99")
    done = bob.cli("push", check=2)
    assert "accuracy 0.95 is below 0.99" in done.stderr
    assert bob.git("rev-list", "--count", "origin/main..main").strip() == "2"


def test_a_decision_where_others_decided_that_there_have_to_be_proposals_becomes_one(two: tuple[World, World]) -> None:
    alice, bob = two
    with Away(bob):
        bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
    rules(alice, "registry.yaml", "direct: true", "direct: false")
    done = bob.cli("push", check=2)
    assert (
        "'promote fraud 1 to staging' of yours was committed, and the registry takes changes as proposals only by now"
        in done.stderr
    )
    assert bob.git("rev-list", "--count", "origin/main..main").strip() == "1"
    hint = done.stderr.partition("make it one: ")[2].strip()
    for step in hint.split("; ")[:2]:
        bob.git(*step.split()[1:])
    assert bob.cli("push").returncode == 0
    assert subjects(bob)[0] == "alice: other rules"
    assert "change/mine" in alice.git("ls-remote", "origin")
    bob.cli("merge", "change/mine")
    assert stages(bob) == {"staging": [1]}


def test_a_new_version_may_be_put_on_top_where_everything_else_has_to_be_proposed(
    two: tuple[World, World], trained: Trained
) -> None:
    alice, bob = two
    with Away(bob):
        register(bob, trained, 1)
    rules(alice, "registry.yaml", "direct: true", "direct: false")
    assert "put on top of what others decided meanwhile" in bob.cli("push").stdout


def register(who: World, trained: Trained, number: int) -> None:
    who.cli("register", "fraud", str(trained.model(number)), "--no-onnx", "--card", str(trained.card))


def test_a_proposal_made_on_decisions_that_were_landed_again_goes_along(
    two: tuple[World, World], trained: Trained
) -> None:
    alice, bob = two
    with Away(bob):
        register(bob, trained, 1)
        bob.cli("promote", "fraud@4", "--to", "staging")
    register(alice, trained, 2)
    alice.cli("push")
    bob.cli("push")
    assert "version 5 development → staging" in bob.cli("merge", "promote/fraud/4/staging").stdout
    assert stages(bob) == {"staging": [5]}


def test_a_proposal_of_a_version_that_is_another_one_by_now_does_not_land(
    two: tuple[World, World], trained: Trained
) -> None:
    alice, bob = two
    with Away(bob):
        register(bob, trained, 1)
        bob.cli("promote", "fraud@4", "--to", "staging")
        bob.cli("alias", "set", "fraud@4", "best", "--propose")
    bob.git("switch", "--quiet", "promote/fraud/4/staging")  # a branch that somebody looks at stays as it is
    register(alice, trained, 2)
    alice.cli("push")
    bob.cli("push")
    bob.git("switch", "--quiet", "main")
    done = bob.cli("merge", "promote/fraud/4/staging", check=2)
    assert "version 4 of fraud" in done.stderr or "version 4 is another one than when this was proposed" in done.stderr
    assert stages(bob) == {}


def test_a_measurement_follows_its_version_to_another_number(two: tuple[World, World], trained: Trained) -> None:
    alice, bob = two
    with Away(bob):
        register(bob, trained, 1)
        bob.cli("promote", "fraud@1", "--to", "staging")
        bob.cli("merge", "promote/fraud/1/staging")
        bob.cli("evaluate", "fraud@4", str(trained.data), "--target", "diagnosis", "--propose")
    (branch,) = bob.git("for-each-ref", "--format=%(refname:short)", "refs/heads/evaluation").split()
    register(alice, trained, 2)
    alice.cli("push")
    bob.cli("push")
    bob.cli("merge", branch)
    there = {n: len(json.loads(bob.cli("show", f"fraud@{n}", "--json").stdout)["evaluations"]) for n in (4, 5)}
    assert there == {4: 0, 5: 1}


def test_subjects_name_the_numbers_of_now(two: tuple[World, World], trained: Trained) -> None:
    alice, bob = two
    with Away(bob):
        register(bob, trained, 1)
        register(bob, trained, 3)
        bob.cli("promote", "fraud@4", "--to", "staging", "--direct")
        bob.cli("alias", "set", "fraud@4", "best")
    register(alice, trained, 2)
    alice.cli("push")
    bob.cli("push")
    assert bob.git("log", "-4", "--format=%s").splitlines() == [
        "alias fraud best to 5", "promote fraud 5 to staging", "register fraud 6", "register fraud 5",
    ]  # fmt: skip


def test_the_same_decision_on_both_sides_is_one(two: tuple[World, World]) -> None:
    alice, bob = two
    for who in (bob, alice):
        with Away(who):
            who.cli("promote", "fraud@1", "--to", "staging", "--direct")
    alice.cli("push")
    bob.cli("push")
    assert bob.git("rev-parse", "main") == alice.git("rev-parse", "main")


def test_a_history_that_was_rewritten_at_the_remote_is_refused_and_can_be_followed(two: tuple[World, World]) -> None:
    alice, bob = two
    alice.cli("alias", "set", "fraud@1", "best")
    alice.cli("push")
    bob.git("pull", "--quiet")
    alice.git("commit", "--quiet", "--amend", "--message", "another story")
    alice.git("push", "--quiet", "--force")
    for _ in range(2):
        done = bob.cli("promote", "fraud@1", "--to", "staging", "--direct", check=2)
        assert "the history of origin was rewritten" in done.stderr
    bob.git("reset", "--quiet", "--keep", "origin/main")
    bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
    bob.cli("push")
    assert bob.git("rev-list", "--count", f"{alice.git('rev-parse', 'main').strip()}..main").strip() == "1"


def test_a_merge_that_git_made_is_taken_apart_so_that_nobodys_decision_is_told_as_anothers(
    two: tuple[World, World],
) -> None:
    alice, bob = two
    with Away(bob):
        bob.cli("describe", "fraud@3", "Ours.")
    alice.cli("promote", "fraud@2", "--to", "staging", "--direct")
    alice.cli("push")
    bob.git("fetch", "--quiet")
    bob.git("merge", "--quiet", "--no-edit", "origin/main")
    bob.cli("push")
    assert bob.git("log", "-2", "--first-parent", "--format=%s").splitlines() == [
        "describe fraud 3",
        "promote fraud 2 to staging",
    ]
    assert bob.git("status", "--short") == ""


def test_a_proposal_that_grew_or_went_away_at_the_remote_is_not_pushed_over(two: tuple[World, World]) -> None:
    alice, bob = two
    bob.cli("promote", "fraud@1", "--to", "staging")
    bob.cli("promote", "fraud@2", "--to", "staging")
    bob.cli("push")
    alice.git("fetch", "--quiet")
    alice.git("switch", "--quiet", "promote/fraud/1/staging")
    alice.git("commit", "--quiet", "--allow-empty", "--message", "and this")
    alice.git("push", "--quiet")
    alice.git("push", "--quiet", "origin", "--delete", "promote/fraud/2/staging")
    alice.git("switch", "--quiet", "main")
    bob.cli("alias", "set", "fraud@1", "best")
    told = bob.cli("push").stdout
    assert "promote/fraud/1/staging has commits at origin that are not here" in told
    assert "promote/fraud/2/staging was pushed before and is gone at origin" in told
    assert alice.git("ls-remote", "origin", "promote/*").split()[0::2] == [
        alice.git("rev-parse", "promote/fraud/1/staging").strip()
    ]


def test_what_a_colleague_merged_and_took_away_stops_no_push(two: tuple[World, World]) -> None:
    alice, bob = two
    bob.cli("promote", "fraud@1", "--to", "staging")
    bob.cli("push")
    alice.git("fetch", "--quiet")
    alice.cli("merge", "origin/promote/fraud/1/staging")
    assert "promote/fraud/1/staging" in alice.cli("push").stdout
    bob.cli("alias", "set", "fraud@1", "best")
    bob.cli("push")
    assert bob.git("rev-parse", "main") == bob.git("rev-parse", "origin/main")


def test_branches_of_others_that_only_look_like_proposals_stay(two: tuple[World, World]) -> None:
    alice, bob = two
    alice.git("push", "--quiet", "origin", "main:refs/heads/card/redesign")
    bob.cli("alias", "set", "fraud@1", "best")
    bob.cli("push")
    assert "card/redesign" in bob.git("ls-remote", "origin")


def test_a_branch_may_follow_one_of_another_name(two: tuple[World, World]) -> None:
    alice, bob = two
    alice.git("push", "--quiet", "origin", "main:refs/heads/trunk")
    bob.git("fetch", "--quiet")
    bob.git("branch", "--quiet", "--set-upstream-to=origin/trunk", "main")
    bob.cli("alias", "set", "fraud@1", "best")
    bob.cli("push")
    assert bob.git("ls-remote", "origin", "refs/heads/trunk").split()[0] == bob.git("rev-parse", "main").strip()
    assert bob.git("ls-remote", "origin", "refs/heads/main").split()[0] == alice.git("rev-parse", "main").strip()


def test_a_remote_of_another_registry_is_told_and_nothing_moves(
    two: tuple[World, World], template: Path, tmp_path: Path
) -> None:
    _, bob = two
    other = World(tmp_path / "other")
    git(tmp_path, "clone", "--quiet", "--bare", other.root.as_uri(), "stranger.git")
    bob.git("remote", "set-url", "origin", (tmp_path / "stranger.git").as_uri())
    done = bob.cli("alias", "set", "fraud@1", "best", check=2)
    assert "no history in common" in done.stderr


def test_tags_that_git_pushes_along_are_no_refusal(two: tuple[World, World]) -> None:
    _, bob = two
    bob.git("config", "push.followTags", "true")
    bob.cli("alias", "set", "fraud@1", "best")
    bob.git("tag", "--annotate", "--message", "x", "v1", "main")
    bob.cli("push")
    assert bob.git("rev-parse", "main") == bob.git("rev-parse", "origin/main")


def test_proposals_travel_and_landed_ones_are_taken_away(two: tuple[World, World]) -> None:
    alice, bob = two
    bob.cli("promote", "fraud@1", "--to", "staging")
    assert "promote/fraud/1/staging: proposed there" in bob.cli("push").stdout
    alice.git("fetch", "--quiet")
    assert "origin/promote/fraud/1/staging" in alice.cli("proposals").stdout
    done = alice.cli("promote", "fraud@1", "--to", "staging", check=2)
    assert "the proposal is open already, as origin/promote/fraud/1/staging" in done.stderr
    assert (
        "git push origin --delete promote/fraud/1/staging"
        in alice.cli("proposals", "close", "origin/promote/fraud/1/staging", check=2).stderr
    )
    alice.cli("merge", "origin/promote/fraud/1/staging")
    assert "no proposal is open" in alice.cli("proposals").stdout
    assert "promote/fraud/1/staging: landed, taken away there" in alice.cli("push").stdout
    hub = alice.root.parent / HUB
    assert git(hub, "for-each-ref", "--format=%(refname)").splitlines() == ["refs/heads/main"]
    bob.git("fetch", "--quiet")
    bob.git("pull", "--quiet", "--ff-only")
    assert "no proposal is open" in bob.cli("proposals").stdout


def test_a_refusal_of_the_remote_is_told_in_its_words_and_everything_stays(two: tuple[World, World]) -> None:
    _, bob = two
    hook = bob.root.parent / HUB / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is closed on Sundays'\nexit 1\n")
    hook.chmod(0o755)
    bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
    before = bob.git("rev-parse", "main")
    done = bob.cli("push", check=2)
    assert "origin refused: main is closed on Sundays" in done.stderr
    assert "what is here stays here" in done.stderr
    assert bob.git("rev-parse", "main") == before


def test_a_push_without_the_remote_says_so_and_keeps_everything(two: tuple[World, World]) -> None:
    _, bob = two
    with Away(bob):
        bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
        done = bob.cli("push", check=2)
    assert "could not reach origin" in done.stderr
    assert "what is here stays here" in done.stderr
    assert stages(bob) == {"staging": [1]}


def test_a_dry_run_says_what_would_be_pushed_and_touches_nothing(two: tuple[World, World]) -> None:
    _, bob = two
    bob.cli("promote", "fraud@1", "--to", "staging", "--direct")
    bob.cli("promote", "fraud@2", "--to", "staging")
    hub = bob.root.parent / HUB
    before = bob.git("for-each-ref"), git(hub, "for-each-ref")
    said = bob.cli("push", "--dry-run").stdout
    assert "would push 1 decision to origin" in said
    assert "promote/fraud/2/staging" in said
    assert (bob.git("for-each-ref"), git(hub, "for-each-ref")) == before


def test_a_registry_without_a_remote_says_how_to_get_one(world: World) -> None:
    done = world.cli("push", check=2)
    assert "main follows no branch of a remote" in done.stderr
    assert "git remote add origin URL, and once: git push -u origin main" in done.stderr
    world.git("remote", "add", "hub", "../hub.git")
    assert "git push -u hub main says which, once" in world.cli("push", check=2).stderr


@pytest.fixture
def many(two: tuple[World, World], tmp_path: Path) -> list[World]:
    """Four clones of the hub."""
    found = [*two]
    for name in ("carol", "dave"):
        git(tmp_path, "clone", "--quiet", str(tmp_path / HUB), name)
        clone = World.__new__(World)
        clone.root = tmp_path / name
        found.append(clone)
    return found


@pytest.mark.slow
def test_four_clones_that_push_at_once_lose_nothing(many: list[World]) -> None:
    for number, clone in enumerate(many):
        clone.model("fraud").version(payload=f"weights {number}".encode() * 50).commit()
        clone.model(f"own-{number}").version().commit()
    running = [started(clone.root, "push") for clone in many]
    for process in running:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, out + err
    last = many[0]
    last.git("pull", "--quiet", "--ff-only")
    listed = {model["name"]: model["versions"] for model in json.loads(last.cli("list", "--json").stdout)}
    assert listed == {"fraud": 7, **{f"own-{number}": 1 for number in range(4)}}
    digests = {
        json.loads(last.cli("show", f"fraud@{n}", "--json").stdout)["artifacts"][0]["sha256"] for n in range(4, 8)
    }
    assert len(digests) == 4
    last.cli("check")
    last.cli("verify")


def test_what_both_changed_outside_the_registry_is_a_conflict_and_nobodys_is_lost(two: tuple[World, World]) -> None:
    alice, bob = two
    law = alice.root / "registry.yaml"
    law.write_text(law.read_text() + "unmanaged: [src/**]\n")
    alice.git("commit", "--quiet", "--all", "--message", "source beside the registry")
    alice.git("push", "--quiet")
    bob.git("pull", "--quiet")
    for who in (alice, bob):
        (who.root / "src").mkdir()
        (who.root / "src" / "train.py").write_text(f"# of {who.root.name}\n")
        who.git("add", "src")
        who.git("commit", "--quiet", "--message", "train")
    alice.git("push", "--quiet")
    mine = bob.git("rev-parse", "main")
    done = bob.cli("push", check=2)
    assert "src/train.py was changed meanwhile" in done.stderr
    assert bob.git("rev-parse", "main") == mine
    assert (bob.root / "src" / "train.py").read_text() == "# of bob\n"


def test_comments_that_both_wrote_are_a_conflict_and_nobodys_is_lost(two: tuple[World, World]) -> None:
    for who in two:
        file = who.root / "models" / "fraud" / "model.yaml"
        file.write_text(file.read_text() + f"# {who.root.name} was here\n")
        who.git("commit", "--quiet", "--all", "--message", "a remark")
    alice, bob = two
    alice.git("push", "--quiet")
    assert "both changed the wording of models/fraud/model.yaml" in bob.cli("push", check=2).stderr
    assert "bob was here" in (bob.root / "models" / "fraud" / "model.yaml").read_text()


def test_a_proposal_may_be_made_again_after_it_landed(two: tuple[World, World]) -> None:
    alice, bob = two
    bob.cli("tag", "fraud@3", "k=1", "--propose")
    bob.cli("push")
    alice.git("fetch", "--quiet")
    alice.cli("merge", "origin/tag/fraud/3")
    alice.cli("push")
    bob.git("pull", "--quiet")
    bob.cli("proposals", "close", "tag/fraud/3")
    bob.cli("tag", "fraud@3", "k=2", "--propose")
    assert "tag/fraud/3: proposed there" in bob.cli("push").stdout
