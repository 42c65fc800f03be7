"""A check of a whole registry that remembers an earlier one says what a check that judges everything says."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from builder import FINISHED_CARD, World, errors

from gitops_registry import paths
from gitops_registry.policy.report import Report
from gitops_registry.registry import Registry

VERSION = "models/fraud/versions/2"
FACTS = f"{VERSION}/version.yaml"
KEPT = ("check.clean", "check.past")


@pytest.fixture(scope="module")
def plain(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two models: of fraud 2 serves and 1 and 3 do not; every test works on a copy of it that was found clean."""
    world = World(tmp_path_factory.mktemp("remembered") / "plain", template=template)
    world.model("fraud", aliases={"champion": 2}).version().version().version().in_stage("production", 2).commit()
    world.model("churn").version().version().commit()
    assert world.registry.check().findings == ()
    assert all((kept(world) / name).exists() for name in KEPT)
    return world


@pytest.fixture
def clean(plain: World, tmp_path: Path) -> World:
    world = World(tmp_path / "world", template=plain.root)
    world.git("status")  # a copy has other inodes
    return world


def kept(world: World) -> Path:
    return world.registry.place.repository.common_dir / "gitops-registry"


def agreed(world: World, **side: str) -> Report:
    """Return what a check says that may remember, which is what one says that may not, each time."""
    first = world.registry.check(**side)
    again = world.registry.check(**side)
    anew = world.registry.check(**side, anew=True)
    assert first.findings == again.findings == anew.findings
    return first


def edited(file: str, old: str, new: str) -> Callable[[World], None]:
    def edit(world: World) -> None:
        path = world.root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def written(file: str, text: str) -> Callable[[World], None]:
    def edit(world: World) -> None:
        (world.root / file).parent.mkdir(parents=True, exist_ok=True)
        (world.root / file).write_text(text)

    return edit


def removed(file: str) -> Callable[[World], None]:
    return lambda world: (world.root / file).unlink()


def executable(file: str) -> Callable[[World], None]:
    return lambda world: (world.root / file).chmod(0o755)


def tracked(file: str) -> Callable[[World], None]:
    def edit(world: World) -> None:
        (world.root / file).write_text("hello")
        world.git("add", "--force", file)

    return edit


def damaged(world: World) -> None:
    """Change a stored object of the version that serves."""
    file = stored(world)
    file.chmod(0o644)
    file.write_bytes(b"other bytes")


def stored(world: World) -> Path:
    version = world.registry.snapshot.version("fraud", 2)
    assert version is not None
    return world.root / paths.store_path(version.artifacts[0].md5)


ATTACKS: dict[str, tuple[Callable[[World], None], str]] = {
    "facts": (edited(FACTS, "accuracy: 0.95", "accuracy: 0.99"), "cards"),
    "facts that cannot be read": (edited(FACTS, "task:", "tusk:"), "schema"),
    "the words of a version that serves": (edited(f"{VERSION}/card.yaml", FINISHED_CARD.limitations, "TBD"), "cards"),
    "no words": (removed(f"{VERSION}/card.yaml"), "cards"),
    "a rendered card": (edited("cards/fraud/v3.md", "0.95", "0.99"), "cards"),
    "no rendered card": (removed("cards/fraud/v3.md"), "cards"),
    "a pointer": (edited(f"{VERSION}/model.bin.dvc", "hash: md5", "hash: md4"), "pointers"),
    "no pointer": (removed(f"{VERSION}/model.bin.dvc"), "pointers"),
    "one pointer too many": (written(f"{VERSION}/other.bin.dvc", "outs: []\n"), "pointers"),
    "no facts": (removed(FACTS), "names"),
    "a stage that is not there": (edited("models/fraud/model.yaml", "production:", "produktion:"), "stages"),
    "an alias of a version that is not there": (edited("models/fraud/model.yaml", "champion: 2", "champion: 9"), "aliases"),
    "the name of a folder": (edited("models/fraud/model.yaml", "name: fraud", "name: freud"), "schema"),
    "no state": (removed("models/churn/model.yaml"), "names"),
    "the stages of the registry": (edited("registry.yaml", "production", "live"), "stages"),
    "the language of cards": (edited("registry.yaml", "kind: Registry", "kind: Registry\ncard: {language: ja}"), "cards"),
    "evaluation data that nobody named": (written("models/fraud/evaluation/rows.csv.dvc", "outs: []\n"), "evaluation-data"),
    "a measurement that cannot be read": (written(f"{VERSION}/evaluations/a.yaml", "kind: Evaluation\n"), "schema"),
    "a file nobody knows": (tracked(f"{VERSION}/notes.txt"), "strangers"),
    "an executable": (executable(FACTS), "modes"),
    "a twin in another case": (written("models/Fraud/model.yaml", "kind: Model\nschema_version: 2\nname: Fraud\n"), "names"),
    "a stored object": (damaged, "store"),
    "no stored object": (lambda world: stored(world).unlink(), "presence"),
    "a card of a version that is not there": (written("cards/fraud/v9.md", "# fraud\n"), "cards"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_check_refuses_is_refused_after_a_clean_one_was_remembered(clean: World, attack: str) -> None:
    edit, rule = ATTACKS[attack]
    edit(clean)
    known, anew = clean.registry.check(), clean.registry.check(anew=True)
    assert known.findings == anew.findings
    assert rule in {finding.rule for finding in known.findings if finding.result != "not-checked"}
    clean.git("add", "--all", "--force")
    clean.git("commit", "--quiet", "--message", "past the check")
    again, known, anew = (
        clean.registry.check(),
        clean.registry.check(head="main"),
        clean.registry.check(head="main", anew=True),
    )
    assert known.findings == anew.findings
    assert all(rule in {finding.rule for finding in report.findings} for report in (again, known))


def test_a_link_in_place_of_a_card_is_refused(clean: World) -> None:
    clean.commit({"cards/churn/v1.md": clean.stored(clean.read("cards/churn/v1.md"), "120000")})
    assert errors(agreed(clean, head="main")) == {"modes"}


def test_what_was_refused_is_accepted_when_it_is_as_it_was(clean: World) -> None:
    edit, _ = ATTACKS["a rendered card"]
    edit(clean)
    assert errors(agreed(clean))
    clean.git("checkout", "--", ".")
    assert agreed(clean).findings == ()


def test_facts_that_history_altered_are_found_though_the_check_before_was_clean(clean: World) -> None:
    clean.commit({FACTS: clean.read(FACTS).replace(b"0.95", b"0.96")}, "quietly")
    place = clean.registry.place
    from gitops_registry.reference import Reference

    clean.commit({"cards/fraud/v2.md": place.card(clean.registry.snapshot, Reference("fraud", 2))})
    assert errors(agreed(clean)) == {"intact"}
    clean.commit(
        {
            FACTS: clean.read(FACTS).replace(b"0.96", b"0.95"),
            "cards/fraud/v2.md": clean.read("cards/fraud/v2.md", revision="main~2"),
        }
    )
    assert agreed(clean).findings == ()


def test_facts_that_left_and_came_back_as_others_are_found(clean: World) -> None:
    gone = dict.fromkeys(clean.git("ls-files", "models/churn/versions/2", "cards/churn/v2.md").split())
    old = {path: clean.read(path) for path in gone}
    clean.commit(gone, "gone")
    agreed(clean)
    changed = {path: data.replace(b"0.95", b"0.97") for path, data in old.items()}
    clean.commit(changed, "back, and better")
    assert errors(agreed(clean)) == {"intact"}


def test_decisions_that_only_add_are_followed_and_rewritten_history_is_read_anew(clean: World) -> None:
    clean.model("churn").version().commit()
    assert agreed(clean).findings == ()
    clean.commit({FACTS: clean.read(FACTS).replace(b"0.95", b"0.96")}, "quietly")
    assert "intact" in errors(agreed(clean))
    clean.git("reset", "--quiet", "--hard", "HEAD~1")
    assert agreed(clean).findings == ()


def test_a_merge_that_swaps_its_parents_is_no_continuation(clean: World) -> None:
    clean.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    clean.commit({"models/churn/versions/9/card.yaml": b"kind: ModelCard\n"}, "beside", branch="side")
    clean.git("merge", "--quiet", "--no-ff", "--no-edit", "main")
    clean.git("branch", "--force", "main", "side")
    clean.git("checkout", "--quiet", "main")
    agreed(clean)


@pytest.mark.parametrize("how", ["empty", "cut", "one bit", "another's", "a folder", "appended"])
def test_what_is_remembered_wrongly_changes_no_verdict(clean: World, how: str) -> None:
    for name in KEPT:
        file = kept(clean) / name
        data = file.read_bytes()
        if how == "a folder":
            file.unlink()
            file.mkdir()
        else:
            other = {
                "empty": b"", "cut": data[: len(data) // 2], "one bit": data[:70] + bytes([data[70] ^ 1]) + data[71:],
                "another's": (kept(clean) / KEPT[1 - KEPT.index(name)]).read_bytes(), "appended": data + data[-32:],
            }  # fmt: skip
            file.write_bytes(other[how])
        assert agreed(clean).findings == ()
    damaged(clean)
    clean.commit({FACTS: clean.read(FACTS).replace(b"0.95", b"0.96")}, "quietly")
    assert {"store", "intact", "cards"} <= errors(agreed(clean))


def test_what_another_registry_remembers_is_of_no_use_for_other_content(
    clean: World, template: Path, tmp_path: Path
) -> None:
    other = World(tmp_path / "other", template=template)
    other.model("fraud").version().commit()
    broken = FINISHED_CARD.model_copy(update={"limitations": "TBD"})
    other.model("bad").version(card=broken).in_stage("production").commit()
    for name in KEPT:
        shutil.copy(kept(clean) / name, kept(other) / name)
    assert "cards" in errors(agreed(other))


def test_nothing_is_remembered_of_a_version_with_a_finding_of_any_kind(clean: World) -> None:
    clean.commit({"models/churn/versions/2/card.yaml": b"kind: ModelCard\n"}, "no words")
    clean.registry.check()
    for _ in range(2):
        found = clean.registry.check().findings
        assert {(f.rule, f.result, f.model, f.version) for f in found} == {
            ("cards", "error", "churn", 2), ("cards", "warning", "churn", 2),
        }  # fmt: skip


def test_words_that_nobody_wrote_are_missed_when_the_model_has_its_state_again(clean: World) -> None:
    card = clean.registry.place
    clean.commit({"models/churn/versions/2/card.yaml": b"kind: ModelCard\n"}, "no words")
    from gitops_registry.reference import Reference

    clean.commit({"cards/churn/v2.md": card.card(clean.registry.snapshot, Reference("churn", 2))})
    state = clean.read("models/churn/model.yaml")
    clean.commit({"models/churn/model.yaml": None}, "no state")
    assert {f.rule for f in agreed(clean).findings} == {"names"}
    clean.commit({"models/churn/model.yaml": state}, "state")
    assert {f.rule for f in agreed(clean).findings} == {"cards"}


def test_a_bare_repository_and_one_that_nobody_may_write_to_are_checked(clean: World, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    clean.git("clone", "--quiet", "--bare", ".", str(bare))
    assert Registry.open(bare).check().findings == Registry.open(bare).check().findings == ()
    shutil.rmtree(kept(clean))
    kept(clean).write_text("in the way, as where nobody may write")
    assert clean.registry.check().findings == clean.registry.check().findings == ()


def test_the_command_says_how_to_judge_everything_anew(clean: World) -> None:
    edit, _ = ATTACKS["a pointer"]
    assert "passes" in clean.cli("check", "--no-cache").stdout
    edit(clean)
    assert clean.cli("check", check=1).stdout == clean.cli("check", "--no-cache", check=1).stdout
    assert "anew" in clean.cli("check", "--help").stdout


def test_a_change_is_judged_without_what_was_remembered(clean: World) -> None:
    for name in KEPT:
        (kept(clean) / name).unlink()
    clean.registry.promote("churn", 1, to="staging", draft=True)
    clean.registry.check(base="main", head="promote/churn/1/staging")
    clean.registry.merge("promote/churn/1/staging")
    assert not [name for name in KEPT if (kept(clean) / name).exists()]


def test_files_that_only_git_s_filters_changed_are_as_they_are_committed(clean: World) -> None:
    file = clean.root / FACTS
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert clean.git("diff", "--name-only") == ""
    assert agreed(clean).findings == ()


def test_random_edits_are_judged_the_same_with_and_without_a_memory(clean: World) -> None:
    chance = random.Random(8)
    names = [
        name
        for name in clean.git("ls-files").split("\n")
        if name.startswith(("models/", "cards/", "registry", ".dvc/store"))
    ]
    verdicts = set()
    for turn in range(12):
        for _ in range(chance.randint(1, 2)):
            file = clean.root / chance.choice(names)
            kind = chance.choice(["flip", "line", "drop", "mode", "swap", "back"])
            if kind == "back":
                clean.git("checkout", "HEAD", "--", ".")
            elif file.exists() and not file.is_symlink():
                change(file, kind, clean.root / chance.choice(names), chance)
        if turn % 3 == 2:
            clean.git("add", "--all")
            clean.git("commit", "--quiet", "--allow-empty", "--message", f"turn {turn}")
        known, anew = clean.registry.check(), clean.registry.check(anew=turn % 2 == 0)
        assert known.findings == anew.findings
        verdicts.add(frozenset(errors(known)))
    assert len(verdicts) > 5


def change(file: Path, kind: str, other: Path, chance: random.Random) -> None:
    """Change a file in a random way."""
    data = bytearray(file.read_bytes())
    file.chmod(stat.S_IMODE(os.stat(file).st_mode) | 0o200)
    if kind == "flip" and data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(7)
        file.write_bytes(data)
    elif kind == "line":
        file.write_bytes(bytes(data) + b"more: 1\n")
    elif kind == "drop":
        file.unlink()
    elif kind == "mode":
        file.chmod(0o755)
    elif kind == "swap" and other.is_file():
        file.write_bytes(other.read_bytes())


def test_git_is_asked_to_note_changed_paths_once_and_not_where_it_cannot(clean: World, tmp_path: Path) -> None:
    from gitops_registry.git import graph

    repository = clean.registry.place.repository
    shutil.rmtree(repository.common_dir / "objects" / "info" / "commit-graphs", ignore_errors=True)
    assert not graph.has_changed_paths(repository)
    subprocess.run(
        ["git", "-C", str(clean.root), "commit-graph", "write", "--reachable"], check=True, capture_output=True
    )
    assert not graph.has_changed_paths(repository)
    clean.registry.check(anew=True)
    assert graph.has_changed_paths(repository)
    shallow = clean.clone(tmp_path / "shallow", "--depth=1")
    assert shallow.registry.check().findings
    assert not graph.has_changed_paths(shallow.registry.place.repository)
