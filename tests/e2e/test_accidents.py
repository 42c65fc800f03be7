"""A newcomer's accidents, each made for real: nothing is lost, the fault is named, and the repair that is printed repairs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builder import World, asked, cli, dvc, git
from story import Lived, Trained, files, from_a_shell, started

from gitops_registry.starting import Start


def cache_object(world: World, md5: str) -> Path:
    (found,) = [p for p in (world.root / ".dvc/cache").rglob("*") if p.parent.name + p.name == md5]
    return found


def store_object(world: World, md5: str) -> Path:
    (found,) = [p for p in (world.root / ".dvc/store").rglob("*") if p.parent.name + p.name == md5]
    return found


def md5(world: World, reference: str, index: int = 0) -> str:
    return json.loads(world.cli("show", reference, "--json").stdout)["artifacts"][index]["md5"]


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def forget_cache(world: World) -> None:
    shutil.rmtree(world.root / ".dvc/cache")


def in_words(done: subprocess.CompletedProcess[str]) -> str:
    both = done.stdout + done.stderr
    assert "Traceback" not in both
    return both


# ---- bytes that are not what was registered


@pytest.fixture(scope="module")
def made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registries that the fixtures below copy."""
    folder = tmp_path_factory.mktemp("made")
    fraud = World(folder / "fraud", template=template)
    fraud.model("fraud").version(payload=b"the true bytes of the model").in_stage("production").commit()
    outside = World(folder / "outside", start=Start(name="world", storage=str(folder / "store")))
    outside.model("fraud").version(payload=b"the true bytes of the model").in_stage("production").commit()
    assert dvc(outside.root, "push").returncode == 0
    moved = World(folder / "moved", template=template)
    moved.model("fraud").version().version().commit()
    for number in (1, 2):
        for stage in ("staging", "production"):
            moved.registry.promote("fraud", number, to=stage, direct=True)
    World(folder / "proposed", template=moved.root).registry.promote("fraud", 1, to="staging")
    two = World(folder / "two", template=template)
    two.model("fraud").version().commit()
    return folder


@pytest.fixture
def fraud(made: Path, tmp_path: Path) -> World:
    return World(tmp_path / "world", template=made / "fraud")


@pytest.fixture
def outside(made: Path, tmp_path: Path) -> World:
    """The same model, its bytes in a DVC remote outside the repository."""
    world = World(tmp_path / "outside", template=made / "outside")
    shutil.copytree(made / "store", tmp_path / "store")
    config = world.root / ".dvc/config"
    config.write_text(config.read_text().replace(str(made / "store"), str(tmp_path / "store")))
    world.git("commit", "--quiet", "--all", "--message", "move the store")
    return world


def stored(world: World) -> Path:
    (found,) = [p for p in (world.root.parent / "store").rglob("*") if p.is_file()]
    return found


def remove(path: Path) -> None:
    path.chmod(0o644)
    path.unlink()


def test_a_corrupted_cache_object_is_never_handed_out(fraud: World, tmp_path: Path) -> None:
    overwrite(cache_object(fraud, md5(fraud, "fraud@1")), b"the evil bytes of the model")
    in_words(fraud.cli("pull", "fraud@1", "--to", str(tmp_path / "out"), check=None))
    assert files(tmp_path / "out") in ({}, {"model.bin": b"the true bytes of the model"})


def test_a_corrupted_cache_object_is_named_where_the_store_cannot_replace_it(outside: World, tmp_path: Path) -> None:
    overwrite(cache_object(outside, md5(outside, "fraud@1")), b"the evil bytes of the model")
    remove(stored(outside))
    said = in_words(outside.cli("pull", "fraud@1", "--to", str(tmp_path / "out"), check=2))
    assert "model.bin" in said
    assert "fraud@1" in said
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("how", ["corrupted", "missing"])
def test_a_bad_store_object_is_named_by_pull_and_nothing_is_written(outside: World, tmp_path: Path, how: str) -> None:
    if how == "missing":
        remove(stored(outside))
    else:
        overwrite(stored(outside), b"the evil bytes of the model")
    forget_cache(outside)
    said = in_words(outside.cli("pull", "fraud@1", "--to", str(tmp_path / "out"), check=2))
    assert "fraud@1" in said
    assert "model.bin" in said
    assert "hint: " in said
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("where", ["cache", "store"])
@pytest.mark.parametrize("how", ["corrupted", "missing"])
def test_verify_names_the_version_the_file_and_what_is_wrong(outside: World, where: str, how: str) -> None:
    path = cache_object(outside, md5(outside, "fraud@1")) if where == "cache" else stored(outside)
    if how == "missing":
        remove(path)
    else:
        overwrite(path, b"the evil bytes of the model")
    done = outside.cli("verify", check=None)
    said = in_words(done)
    if (where, how) == ("cache", "missing"):
        assert done.returncode == 0
    else:
        assert done.returncode == 1
        row = next(line for line in said.splitlines() if "fraud@1" in line and "model.bin" in line)
        assert not row.rstrip().endswith(" ok")


def test_a_file_of_the_store_in_git_that_was_damaged_in_the_work_tree_is_named_and_restored(fraud: World) -> None:
    path = store_object(fraud, md5(fraud, "fraud@1"))
    overwrite(path, b"the evil bytes of the model")
    said = in_words(fraud.cli("doctor", check=None))
    assert str(path.relative_to(fraud.root)) in said
    assert "git checkout HEAD -- " in said
    fraud.git("checkout", "--quiet", "HEAD", "--", str(path))
    assert path.read_bytes() == b"the true bytes of the model"
    assert "git checkout" not in fraud.cli("doctor").stdout


def test_a_damaged_model_is_never_opened_by_predict_or_load(lived: Lived, trained: Trained, tmp_path: Path) -> None:
    from gitops_registry import Damaged, Registry

    world = lived.copy(tmp_path / "registry")
    config = world.root / ".dvc/config"
    config.write_text(config.read_text().replace("url = store", f"url = {tmp_path / 'elsewhere'}"))
    world.git("commit", "--quiet", "--all", "--message", "move the store")
    assert dvc(world.root, "push").returncode == 0
    for path in (tmp_path / "elsewhere").rglob("*"):
        if path.is_file():
            overwrite(path, b"PK\x03\x04 evil")
    forget_cache(world)
    done = world.cli("predict", "tumour@production", str(trained.rows), check=2)
    assert "tumour@2" in in_words(done)
    with pytest.raises(Damaged, match=r"tumour@2|model\.(skops|onnx)"):
        Registry.open(world.root).load("tumour@production")


def test_a_file_of_the_user_that_is_no_registered_bytes_is_not_overwritten_by_pull(fraud: World) -> None:
    mine = fraud.root / "models/fraud/versions/1/model.bin"
    mine.write_bytes(b"hours of work")
    done = fraud.cli("pull", "fraud@1", check=None)
    in_words(done)
    assert mine.read_bytes() == b"hours of work"
    assert done.returncode == 2


# ---- bytes and git


def test_bytes_never_end_up_in_git_however_hard_they_are_added(lived: Lived, tmp_path: Path) -> None:
    world = lived.copy(tmp_path / "registry")
    world.cli("pull", "tumour@production")
    (world.root / "models/tumour/versions/2/notes.pkl").write_bytes(b"pickle")
    (world.root / "models/tumour/loose.bin").write_bytes(b"bytes")
    world.git("add", "--all")
    assert world.git("diff", "--cached", "--name-only") == ""


def test_doctor_names_bytes_in_git_and_its_repair_repairs(fraud: World) -> None:
    stray = fraud.root / "models/fraud/versions/1/model.pkl"
    stray.write_bytes(b"bytes")
    fraud.git("add", "--force", str(stray))
    fraud.git("commit", "--quiet", "--message", "oops")
    said = in_words(fraud.cli("doctor", check=1))
    assert "models/fraud/versions/1/model.pkl" in said
    assert "git rm --cached models/fraud/versions/1/model.pkl" in said
    fraud.git("rm", "--cached", "--quiet", "models/fraud/versions/1/model.pkl")
    fraud.git("commit", "--quiet", "--message", "repair")
    fraud.cli("doctor")
    fraud.cli("check")


def test_check_refuses_bytes_in_git(fraud: World) -> None:
    stray = fraud.root / "models/fraud/versions/1/model.pkl"
    stray.write_bytes(b"bytes")
    fraud.git("add", "--force", str(stray))
    fraud.git("commit", "--quiet", "--message", "oops")
    assert "model.pkl" in in_words(fraud.cli("check", check=1))


def repairs(world: World) -> list[str]:
    return [
        row["repair"] for row in json.loads(world.cli("doctor", "--json", check=None).stdout) if row["state"] != "ok"
    ]


def typed(world: World, command: str) -> None:
    """Type a command that was printed, in a shell at the root of the registry."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        command, shell=True, check=True, cwd=world.root, capture_output=True, env={**os.environ, "PATH": path}
    )


@pytest.mark.parametrize("rule", ["*.dvc", "models/", "*.yaml"])
def test_doctor_names_what_git_ignores_and_its_repair_repairs(fraud: World, rule: str) -> None:
    ignore = fraud.root / ".gitignore"
    ignore.write_text(ignore.read_text() + rule + "\n")
    fraud.git("commit", "--quiet", "--all", "--message", "tidy")
    fraud.cli("doctor", check=1)
    for repair in repairs(fraud):
        typed(fraud, repair)
    fraud.cli("doctor")
    ignored = git(fraud.root, "check-ignore", "--no-index", "models/fraud/versions/2/model.bin.dvc", check=False)
    assert ignored == ""


def test_doctor_names_bytes_that_git_would_take(fraud: World) -> None:
    (fraud.root / ".gitignore").write_text("")
    fraud.git("commit", "--quiet", "--all", "--message", "tidy")
    assert "ignore" in in_words(fraud.cli("doctor", check=1))


# ---- the machine


def test_doctor_names_a_missing_identity_and_its_repair_repairs(fraud: World, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("[user]\n\tuseConfigOnly = true\n")
    nobody = {"GIT_CONFIG_GLOBAL": str(tmp_path / "empty"), "EMAIL": ""}
    done = fraud.cli("doctor", check=1, environment=nobody)
    said = in_words(done)
    assert "identity" in said
    assert "git config" in said
    repair = next(line.strip() for line in said.splitlines() if "git config" in line)
    for command in repair.replace(" and ", "; ").replace(" && ", "; ").split("; "):
        subprocess.run(
            command.replace("…", "Alice").strip(), shell=True, check=True, cwd=fraud.root,
            env={**os.environ, **nobody},
        )  # fmt: skip
    fraud.cli("doctor", environment=nobody)


def test_a_change_without_an_identity_is_refused_with_the_repair_and_changes_nothing(
    fraud: World, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("[user]\n\tuseConfigOnly = true\n")
    nobody = {"GIT_CONFIG_GLOBAL": str(tmp_path / "empty"), "EMAIL": ""}
    before = fraud.git("for-each-ref")
    done = fraud.cli("archive", "fraud@1", "--direct", check=2, environment=nobody)
    assert "git config" in in_words(done)
    assert "user.name" in done.stderr
    assert fraud.git("for-each-ref") == before


def test_doctor_names_a_store_that_others_cannot_reach(tmp_path: Path) -> None:
    world = World(tmp_path / "registry", start=Start(name="world", storage=str(tmp_path / "store")))
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    world.git("remote", "add", "origin", (tmp_path / "hub.git").as_uri())
    world.git("push", "--quiet", "--set-upstream", "origin", "main")
    done = world.cli("doctor", check=None)
    row = next(r for r in json.loads(world.cli("doctor", "--json", check=None).stdout) if r["what"] == "storage")
    assert row["state"] != "ok"
    assert str(tmp_path / "store") in row["message"]
    assert row["repair"]
    assert row["repair"] in in_words(done)


def test_doctor_says_that_serving_bytes_are_missing_and_its_repair_brings_them_back(outside: World) -> None:
    def row() -> dict[str, str]:
        rows = json.loads(outside.cli("doctor", "--json", check=None).stdout)
        return next(r for r in rows if r["what"] == "serving bytes")

    remove(stored(outside))
    assert row()["state"] == "error"
    assert "fraud@1" in row()["message"]
    typed(outside, row()["repair"])
    assert row()["state"] == "ok"


def test_doctor_says_that_serving_bytes_are_nowhere(outside: World) -> None:
    remove(stored(outside))
    forget_cache(outside)
    assert "fraud@1" in in_words(outside.cli("doctor", check=1))


def test_a_folder_that_is_no_registry_is_said_with_the_command_that_makes_one(tmp_path: Path) -> None:
    for folder in ("nothing", "repository"):
        (tmp_path / folder).mkdir()
    git(tmp_path / "repository", "init", "--quiet")
    for folder in ("nothing", "repository"):
        done = cli(tmp_path / folder, "list")
        assert done.returncode == 2
        assert "gitops-registry init" in in_words(done)
        assert done.stdout == ""


# ---- clones


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> World:
    """Production went from 1 to 2; the history tells it."""
    return World(tmp_path / "world", template=made / "moved")


@pytest.mark.parametrize("verb", [["log"], ["rollback", "fraud"]])
def test_a_shallow_clone_is_named_where_history_is_needed(moved: World, tmp_path: Path, verb: list[str]) -> None:
    clone = moved.clone(tmp_path / "clone", "--depth", "1")
    said = in_words(clone.cli(*verb, check=None))
    assert "shallow" in said
    assert "git fetch --unshallow" in said


def test_rollback_in_a_shallow_clone_is_refused_and_works_after_the_repair(moved: World, tmp_path: Path) -> None:
    clone = moved.clone(tmp_path / "clone", "--depth", "1")
    clone.cli("rollback", "fraud", check=2)
    clone.git("fetch", "--quiet", "--unshallow")
    assert "version 1 archived → production" in clone.cli("rollback", "fraud").stdout


def test_doctor_names_a_shallow_clone_and_its_repair_repairs(moved: World, tmp_path: Path) -> None:
    clone = moved.clone(tmp_path / "clone", "--depth", "1")
    assert "git fetch --unshallow" in in_words(clone.cli("doctor", check=1))
    clone.git("fetch", "--quiet", "--unshallow")
    clone.cli("doctor")


def test_reading_and_loading_work_in_a_shallow_clone(moved: World, tmp_path: Path) -> None:
    clone = moved.clone(tmp_path / "clone", "--depth", "1")
    for command in (["list"], ["show", "fraud@production"], ["check"], ["pull", "fraud@production"]):
        clone.cli(*command)


@pytest.fixture
def two(made: Path, tmp_path: Path) -> tuple[World, World]:
    """Two clones of one hub, Alice's and Bob's; both know version 1 of fraud."""
    git(tmp_path, "clone", "--quiet", "--bare", (made / "two").as_uri(), "hub.git")
    clones = []
    for name in ("alice", "bob"):
        git(tmp_path, "clone", "--quiet", (tmp_path / "hub.git").as_uri(), name)
        clone = World.__new__(World)
        clone.root = tmp_path / name
        clones.append(clone)
    return clones[0], clones[1]


def test_register_in_a_clone_that_is_behind_takes_the_next_free_number(
    two: tuple[World, World], trained: Trained
) -> None:
    alice, bob = two
    alice.model("fraud").version().commit()
    alice.git("push", "--quiet", "origin", "main")
    said = bob.cli("register", "fraud", str(trained.model(1)), "--no-onnx").stdout
    assert "version 3 registered" in said
    assert alice.git("rev-parse", "main").strip() in bob.git("rev-list", "main")
    assert bob.git("status", "--porcelain") == ""


def test_promote_in_a_clone_that_is_behind_is_judged_on_what_others_pushed(two: tuple[World, World]) -> None:
    alice, bob = two
    alice.model("fraud").version().in_stage("staging", 2).commit()
    alice.git("push", "--quiet", "origin", "main")
    bob.cli("promote", "fraud", "2", "--to", "production")
    assert bob.git("merge-base", "promote/fraud/2/production", "origin/main") == alice.git("rev-parse", "main")


def test_a_direct_change_in_a_clone_that_is_behind_can_be_pushed_afterwards(two: tuple[World, World]) -> None:
    alice, bob = two
    alice.model("churn").version().commit()
    alice.git("push", "--quiet", "origin", "main")
    bob.cli("promote", "fraud", "1", "--to", "staging", "--direct")
    bob.git("push", "--quiet", "origin", "main")
    alice.git("pull", "--quiet", "--ff-only")
    assert json.loads(alice.cli("show", "fraud@1", "--json").stdout)["stage"] == "staging"
    assert (bob.root / "models/churn/model.yaml").exists()


def test_an_unreachable_remote_is_said_by_name(two: tuple[World, World]) -> None:
    _, bob = two
    bob.git("remote", "set-url", "origin", "file:///nowhere/hub.git")
    done = bob.cli("promote", "fraud", "1", "--to", "staging", check=None)
    said = in_words(done)
    assert "origin" in said or "/nowhere/hub.git" in said
    assert "reach" in said


def test_doctor_says_that_a_branch_is_behind_its_upstream_and_its_repair_repairs(two: tuple[World, World]) -> None:
    alice, bob = two
    alice.model("churn").version().commit()
    alice.git("push", "--quiet", "origin", "main")
    bob.git("fetch", "--quiet")
    said = in_words(bob.cli("doctor", check=None))
    assert "behind" in said
    assert "git pull" in said
    bob.git("pull", "--quiet", "--ff-only")
    bob.cli("doctor")


# ---- what the user has not committed


def edit(path: Path) -> str:
    text = path.read_text() + "\n# half a thought\n"
    path.write_text(text)
    return text


PROPOSAL = "promote/fraud/1/staging"
VERBS = {
    "promote": ["promote", "fraud@2", "--to", "staging"],
    "promote --direct": ["promote", "fraud@2", "--to", "staging", "--direct"],
    "archive --direct": ["archive", "fraud@1", "--direct"],
    "rollback --direct": ["rollback", "fraud", "--direct"],
    "merge": ["merge", PROPOSAL],
    "close": ["proposals", "close", PROPOSAL],
}


@pytest.mark.parametrize("staged", [False, True], ids=["in the work tree", "in the index"])
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())
def test_no_verb_loses_an_edit_of_the_user(made: Path, tmp_path: Path, verb: list[str], staged: bool) -> None:
    moved = World(tmp_path / "world", template=made / "proposed")
    assert PROPOSAL in moved.git("branch", "--list", PROPOSAL)
    state, card = moved.root / "models/fraud/model.yaml", moved.root / "models/fraud/versions/1/card.yaml"
    mine = [edit(state), edit(card)]
    new = moved.root / "models/fraud/versions/2/idea.txt"
    new.write_text("an idea")
    if staged:
        moved.git("add", str(state), str(card))
    in_words(asked(moved, *verb))
    assert [state.read_text(), card.read_text()] == mine
    assert new.read_text() == "an idea"
    if staged:
        kept = [moved.git("show", f":{p.relative_to(moved.root)}") for p in (state, card)]
        assert kept == mine


def test_an_edit_that_stays_is_told_to_the_user(moved: World) -> None:
    edit(moved.root / "models/fraud/model.yaml")
    said = in_words(moved.cli("promote", "fraud@1", "--to", "staging", "--direct", check=None))
    assert "models/fraud/model.yaml" in said


def test_an_untracked_file_in_the_way_of_a_new_version_is_not_overwritten(world: World, trained: Trained) -> None:
    world.model("fraud").version().commit()
    mine = world.root / "models/fraud/versions/2/version.yaml"
    mine.parent.mkdir()
    mine.write_text("my own notes")
    said = in_words(world.cli("register", "fraud", str(trained.model(1)), "--no-onnx", check=None))
    assert mine.read_text() == "my own notes"
    assert "models/fraud/versions/2/version.yaml" in said


def test_edits_on_another_branch_stay_while_decisions_land_on_main(moved: World) -> None:
    moved.git("switch", "--quiet", "--create", "work")
    mine = edit(moved.root / "models/fraud/model.yaml")
    moved.cli("promote", "fraud@1", "--to", "staging", "--direct")
    assert moved.git("branch", "--show-current").strip() == "work"
    assert (moved.root / "models/fraud/model.yaml").read_text() == mine
    assert "staging: [1]" in moved.git("show", "main:models/fraud/model.yaml")


def test_comments_in_model_yaml_survive_a_promotion(moved: World) -> None:
    path = moved.root / "models/fraud/model.yaml"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("stages:"))
    lines[at] += "  # ask Bob before touching these"
    lines.insert(at, "# the risk team reads this every Monday")
    path.write_text("\n".join(lines) + "\n")
    moved.git("commit", "--quiet", "--all", "--message", "say who to ask")
    moved.cli("promote", "fraud@1", "--to", "staging")
    moved.cli("merge", "promote/fraud/1/staging")
    text = path.read_text()
    assert "# ask Bob before touching these" in text
    assert "# the risk team reads this every Monday" in text
    assert "staging: [1]" in text


# ---- proposals that meet


def test_a_proposal_made_on_an_old_tip_lands_on_the_new_one(moved: World) -> None:
    moved.cli("promote", "fraud@1", "--to", "staging")
    moved.model("churn").version().in_stage("staging").commit()
    moved.model("fraud").version().commit()
    tip = moved.git("rev-parse", "main").strip()
    moved.cli("merge", "promote/fraud/1/staging")
    assert moved.git("rev-parse", "main^1").strip() == tip
    state = json.loads(moved.cli("list", "--json").stdout)
    assert {m["name"]: m["stages"].get("staging") for m in state} == {"churn": [1], "fraud": [1]}
    assert next(m for m in state if m["name"] == "fraud")["versions"] == 3


def test_two_proposals_for_one_exclusive_stage_leave_one_holder(world: World) -> None:
    world.model("fraud").version().version().in_stage("staging", 1, 2).commit()
    for number in (1, 2):
        world.cli("promote", f"fraud@{number}", "--to", "production")
    world.cli("merge", "promote/fraud/1/production")
    done = world.cli("merge", "promote/fraud/2/production", check=None)
    said = in_words(done)
    stages = json.loads(world.cli("show", "fraud", "--json").stdout)["stages"]
    assert len(stages["production"]) == 1
    assert done.returncode == 0 or "production" in said
    world.cli("check")


def test_proposals_that_move_one_version_to_two_stages_are_a_conflict_in_words(world: World) -> None:
    world.model("fraud").version().version().in_stage("staging", 1, 2).commit()
    world.cli("promote", "fraud@1", "--to", "production")
    world.cli("archive", "fraud@1")
    branches = [p["branch"] for p in json.loads(world.cli("proposals", "list", "--json").stdout)]
    assert len(branches) == 2
    world.cli("merge", next(b for b in branches if b.endswith("archived") or b.startswith("archive")))
    before = world.git("rev-parse", "main")
    said = in_words(world.cli("merge", "promote/fraud/1/production", check=2))
    assert "fraud" in said
    assert "version 1" in said
    assert "archived" in said
    assert "hint: " in said
    assert "<<<<<<<" not in said
    assert world.git("rev-parse", "main") == before


def test_a_proposal_that_is_refused_is_listed_as_refused(world: World) -> None:
    world.model("fraud").version(metrics={"accuracy": 0.5}).in_stage("staging").commit()
    world.cli("promote", "fraud@1", "--to", "production", "--draft", check=1)
    said = world.cli("proposals", "list").stdout
    assert "lands as it is" not in said
    assert "refused" in said


def test_an_edit_of_one_card_lands_in_that_card_though_another_version_looks_alike(world: World) -> None:
    world.model("fraud").version().version().commit()
    world.git("switch", "--quiet", "--create", "words")
    card = world.root / "models/fraud/versions/1/card.yaml"
    card.write_text(card.read_text().replace("Trained on one region.", "Trained on two regions."))
    world.cli("card", "fraud@1", "--update", check=None)
    world.git("switch", "--quiet", "main", check=False)
    assert "two regions" not in (world.root / "models/fraud/versions/2/card.yaml").read_text()


# ---- several processes, and an interrupt


def test_versions_registered_at_the_same_time_all_land_with_numbers_of_their_own(
    world: World, trained: Trained
) -> None:
    running = [started(world.root, "register", "tumour", str(trained.model(n)), "--no-onnx") for n in (1, 2, 3)]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
    said = json.loads(world.cli("list", "tumour", "--json").stdout)
    assert [v["number"] for v in said] == [1, 2, 3]
    digests = {md5(world, f"tumour@{n}") for n in (1, 2, 3)}
    assert len(digests) == 3
    assert world.git("status", "--porcelain") == ""
    world.cli("check")
    world.cli("verify")


def test_promotions_at_the_same_time_all_land(world: World) -> None:
    world.model("fraud").version().version().version().commit()
    running = [started(world.root, "promote", f"fraud@{n}", "--to", "staging", "--direct") for n in (1, 2, 3)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    assert json.loads(world.cli("show", "fraud", "--json").stdout)["stages"]["staging"] == [1, 2, 3]
    assert world.git("status", "--porcelain") == ""


def test_ctrl_c_during_register_exits_130_and_leaves_nothing_half_written(world: World, trained: Trained) -> None:
    codes = []
    for delay in (0.5, 1.0, 1.6):
        before = world.git("for-each-ref"), world.git("status", "--porcelain")
        process = from_a_shell(
            world.root, "register", "tumour", str(trained.model(3)), "--data", str(trained.data),
            "--target", "diagnosis",
        )  # fmt: skip
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        codes.append(process.returncode)
        assert process.returncode in (0, 130), out + err
        assert "Traceback" not in out + err
        assert world.git("status", "--porcelain") == ""
        if process.returncode == 130:
            assert (world.git("for-each-ref"), world.git("status", "--porcelain")) == before
    assert 130 in codes
    world.cli("register", "tumour", str(trained.model(1)), "--no-onnx")
    world.cli("check")
    assert not [p for p in (world.root / ".git").rglob("*.lock") if p.parent.name != "made" and p.name == "index.lock"]


# ---- joining what is there


@pytest.fixture
def project(tmp_path: Path) -> World:
    """Somebody's repository: source code, an edit, a .gitignore of its own."""
    world = World.__new__(World)
    world.root = tmp_path / "project"
    (world.root / "src").mkdir(parents=True)
    (world.root / "src/train.py").write_text("print('train')\n")
    (world.root / "README.md").write_text("# Ours\n")
    (world.root / ".gitignore").write_text("*.pyc\n# secrets\n.env")
    world.git("init", "--quiet")
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "first")
    return world


def test_init_joins_a_repository_and_leaves_its_source_code_unmanaged(project: World) -> None:
    project.cli("init")
    project.cli("check")
    assert project.git("rev-list", "--count", "HEAD").strip() == "2"
    (project.root / "src/train.py").write_text("print('better')\n")
    (project.root / "src/new.py").write_text("print('new')\n")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "code")
    project.cli("check")
    project.cli("check", "--base", "HEAD^", "--head", "HEAD")


def test_init_keeps_the_lines_of_a_gitignore_that_was_there(project: World) -> None:
    project.cli("init")
    lines = (project.root / ".gitignore").read_text().splitlines()
    assert lines[:3] == ["*.pyc", "# secrets", ".env"]
    assert project.git("check-ignore", ".env", "models/m/versions/1/model.skops", "a.pyc").split() == [
        ".env", "models/m/versions/1/model.skops", "a.pyc",
    ]  # fmt: skip


def test_init_keeps_uncommitted_edits_of_a_repository_it_joins(project: World) -> None:
    (project.root / "src/train.py").write_text("print('half done')\n")
    (project.root / ".gitignore").write_text("*.pyc\n*.tmp\n")
    project.git("add", "src/train.py")
    in_words(project.cli("init", check=None))
    assert (project.root / "src/train.py").read_text() == "print('half done')\n"
    assert "*.tmp" in (project.root / ".gitignore").read_text()
    assert "half done" not in project.git("show", "HEAD:src/train.py")


def test_a_registry_that_joined_registers_promotes_and_pulls(project: World, trained: Trained) -> None:
    project.cli("init")
    project.cli("register", "tumour", str(trained.model(1)), "--no-onnx")
    project.cli("promote", "tumour@1", "--to", "staging")
    project.cli("merge", "promote/tumour/1/staging")
    project.cli("pull", "tumour@staging")
    assert project.git("status", "--porcelain") == ""
    assert (project.root / "src/train.py").read_text() == "print('train')\n"


def test_init_in_a_repository_that_ignores_models_still_gets_pointers_into_git(
    project: World, trained: Trained
) -> None:
    (project.root / ".gitignore").write_text("models/\n")
    project.git("commit", "--quiet", "--all", "--message", "ignore")
    project.cli("init")
    project.cli("register", "tumour", str(trained.model(1)), "--no-onnx")
    project.cli("doctor")
    ignored = project.git("check-ignore", "--no-index", "models/t/versions/9/m.onnx.dvc", "models/t/model.yaml", check=False)  # fmt: skip
    assert ignored == ""


def test_init_twice_is_said_and_changes_nothing(world: World) -> None:
    before = world.git("for-each-ref")
    in_words(world.cli("init", check=2))
    assert world.git("for-each-ref") == before


def test_a_registry_that_takes_no_direct_changes_says_so_and_takes_the_proposal(world: World) -> None:
    world.model("fraud").version().commit()
    path = world.root / "registry.yaml"
    path.write_text(path.read_text().replace("direct: true", "direct: false"))
    world.git("commit", "--quiet", "--all", "--message", "proposals only")
    before = world.git("for-each-ref")
    for verb in (
        ["promote", "fraud@1", "--to", "staging", "--direct"],
        ["archive", "fraud@1", "--direct"],
        ["rollback", "fraud", "--to", "1", "--direct"],
    ):
        done = world.cli(*verb, check=None)
        assert done.returncode in (1, 2)
        in_words(done)
        assert world.git("for-each-ref") == before
    said = world.cli("promote", "fraud@1", "--to", "staging", "--direct", check=None)
    assert "direct" in in_words(said)
    assert "registry.yaml" in in_words(said)
    world.cli("promote", "fraud@1", "--to", "staging")
    world.cli("merge", "promote/fraud/1/staging")


def test_in_a_team_registering_needs_no_proposal_and_every_move_to_a_stage_does(
    tmp_path: Path, trained: Trained
) -> None:
    cli(tmp_path, "init", "registry", "--team")
    world = World.__new__(World)
    world.root = tmp_path / "registry"
    world.cli("register", "tumour", str(trained.model(1)), "--no-onnx")
    before = world.git("rev-parse", "main")
    refused = world.cli("promote", "tumour@1", "--to", "staging", "--direct", check=2)
    assert "proposals only" in refused.stderr
    world.cli("promote", "tumour@1", "--to", "staging")
    assert world.git("rev-parse", "main") == before
    (proposal,) = json.loads(world.cli("proposals", "list", "--json").stdout)
    world.cli("merge", proposal["branch"])
    assert json.loads(world.cli("show", "tumour@1", "--json").stdout)["stage"] == "staging"
