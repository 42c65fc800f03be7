"""card: shown in every form, edited in an editor, its gaps told, and renewed, as people type it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import team as teams
import yaml
from builder import FINISHED_CARD, World, cli
from story import Trained

from gitops_registry.manifest.kinds import Card

CARD = "models/fraud/versions/1/card.yaml"


@pytest.fixture(scope="module")
def made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("made") / "world", template=template)
    fraud = world.model("fraud", title="Fraud").version().version(card=Card())
    return fraud.in_stage("production", 1).in_stage("staging", 2).commit()


@pytest.fixture
def fraud(made: World, tmp_path: Path) -> World:
    return World(tmp_path / "world", template=made.root)


def editor(folder: Path, script: str) -> dict[str, str]:
    """Make an editor that does a line of sed or shell to the file it is given ($1), and return the environment that names it."""
    file = folder / "editor"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {"EDITOR": str(file), "VISUAL": ""}


def edit(world: World, folder: Path, script: str, *words: str, check: int = 0) -> subprocess.CompletedProcess[str]:
    return world.cli("card", "edit", *(words or ("fraud@1",)), environment=editor(folder, script), check=check)


def drafts(world: World) -> list[Path]:
    folder = world.root / ".git/gitops-registry/edits"
    return sorted(folder.iterdir()) if folder.exists() else []


# ── edit


def test_edit_commits_what_the_editor_leaves_with_the_card_rendered_from_it(fraud: World, tmp_path: Path) -> None:
    said = edit(
        fraud, tmp_path, """sed -i 's/^biases: ""$/biases: Young people are refused more often./' "$1" """
    ).stdout
    assert "card of fraud 1" in said
    assert "committed as" in said
    written = fraud.read(CARD).decode()
    assert yaml.safe_load(written)["biases"] == "Young people are refused more often."
    assert "#:" not in written
    assert '""' not in written
    assert "## Biases\n\nYoung people are refused more often.\n" in fraud.read("cards/fraud/v1.md").decode()
    assert drafts(fraud) == []
    fraud.cli("check")


def test_edit_asks_for_each_field_in_the_language_of_the_cards_and_keeps_comments(fraud: World, tmp_path: Path) -> None:
    law = fraud.read("registry.yaml").replace(b"card:\n  language: en\n", b"")
    fraud.commit({"registry.yaml": law + b"card:\n  language: ja\n", CARD: b"# ours\n" + fraud.read(CARD)})
    edit(
        fraud,
        tmp_path,
        f'cp "$1" {tmp_path}/seen; echo "contact: risk@example.com" >> "$1"; sed -i \'/^contact: ""$/d\' "$1"',
    )
    seen = (tmp_path / "seen").read_text()
    assert "#: 誰がどの判断に使い、人が何を決めるのか。 (本番で使う前に必要です)" in seen
    assert fraud.read(CARD).startswith(b"# ours\n")
    assert fraud.read(CARD).endswith(b"contact: risk@example.com\n")


def test_a_file_that_is_no_card_is_kept_and_edited_on(fraud: World, tmp_path: Path) -> None:
    before = fraud.git("rev-parse", "main")
    done = edit(fraud, tmp_path, 'echo "limitationz: oops" >> "$1"', check=2)
    (draft,) = drafts(fraud)
    assert len(done.stderr.splitlines()) == 2
    assert f"{draft}:" in done.stderr
    assert "unknown" in done.stderr or "limitationz" in done.stderr
    assert "go on with: gitops-registry card edit fraud@1" in done.stderr
    assert fraud.git("rev-parse", "main") == before
    edit(fraud, tmp_path, """sed -i 's/^limitationz: oops$/contact: risk@example.com/; /^contact: ""$/d' "$1" """)
    assert b"contact: risk@example.com" in fraud.read(CARD)
    assert drafts(fraud) == []


@pytest.mark.parametrize("script", ["exit 3", "no-such-program-at-all"])
def test_an_editor_that_fails_commits_nothing_and_says_where_the_words_are(
    fraud: World, tmp_path: Path, script: str
) -> None:
    before = fraud.git("rev-parse", "main")
    done = edit(fraud, tmp_path, script, check=2)
    assert f"the words are kept in {drafts(fraud)[0]}" in done.stderr
    assert fraud.git("rev-parse", "main") == before


def test_an_editor_that_changes_nothing_changes_nothing(fraud: World, tmp_path: Path) -> None:
    before = fraud.git("rev-parse", "main")
    assert edit(fraud, tmp_path, "true").stdout == "nothing changes\n"
    assert fraud.git("rev-parse", "main") == before
    assert drafts(fraud) == []


def test_words_that_somebody_else_changed_meanwhile_are_not_overwritten(fraud: World, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_bytes(fraud.read(CARD) + b"contact: bob@example.com\n")
    script = f'cd {fraud.root} && {sys.executable} -m gitops_registry card fraud@1 --from {other} >/dev/null; echo "license: MIT" >> "$1"; sed -i \'/^license: ""$/d\' "$1"'
    done = edit(fraud, tmp_path, script, check=2)
    assert "somebody changed the words of fraud@1 meanwhile; nothing was committed" in done.stderr
    assert fraud.read(CARD).endswith(b"contact: bob@example.com\n")
    assert len(drafts(fraud)) == 1


def test_words_that_would_be_refused_are_kept(fraud: World, tmp_path: Path) -> None:
    before = fraud.git("rev-parse", "main")
    done = edit(fraud, tmp_path, """sed -i 's/^limitations: .*/limitations: TODO/' "$1" """, check=1)
    assert "the card lacks limitations" in done.stdout
    assert str(drafts(fraud)[0]) in done.stderr
    assert fraud.git("rev-parse", "main") == before


def test_a_dry_run_of_edit_prints_the_plan_and_keeps_the_words(fraud: World, tmp_path: Path) -> None:
    before = fraud.git("rev-parse", "main")
    done = edit(
        fraud, tmp_path, 'echo "license: MIT" >> "$1"; sed -i \'/^license: ""$/d\' "$1"', "fraud@1", "--dry-run"
    )
    assert "card of version 1 changed" in done.stdout
    assert fraud.git("rev-parse", "main") == before
    assert len(drafts(fraud)) == 1


def test_edit_proposes_where_that_is_wanted_and_prints_json(fraud: World, tmp_path: Path) -> None:
    script = 'echo "license: MIT" >> "$1"; sed -i \'/^license: ""$/d\' "$1"'
    told = json.loads(edit(fraud, tmp_path, script, "fraud", "1", "--propose", "--json").stdout)
    assert told["proposal"] == "card/fraud/1"
    fraud.cli("merge", "card/fraud/1")
    assert b"license: MIT" in fraud.read(CARD)


def test_without_an_editor_and_a_terminal_nothing_is_opened(fraud: World) -> None:
    done = fraud.cli("card", "edit", "fraud@1", environment={"EDITOR": "", "VISUAL": ""}, check=2)
    assert "no editor is named" in done.stderr


def test_the_past_is_not_edited(fraud: World, tmp_path: Path) -> None:
    environment = editor(tmp_path, f"touch {tmp_path}/opened")
    done = fraud.cli("--revision", "HEAD", "card", "edit", "fraud@1", environment=environment, check=2)
    assert "the past is not changed" in done.stderr
    assert not (tmp_path / "opened").exists()


def test_a_model_may_be_called_edit_or_status(world: World) -> None:
    assert "name one version" in world.cli("card", "edit", check=2).stderr
    world.model("edit").version().commit()
    world.model("status").version().commit()
    assert world.cli("card", "edit@1").stdout.startswith("# edit — version 1\n")
    assert world.cli("card", "status@1").stdout.startswith("# status — version 1\n")
    assert json.loads(world.cli("card", "status", "edit@1", "--json").stdout)[0]["version"] == "edit@1"


# ── status


def test_status_says_what_is_missing_and_fails_only_for_what_serves(fraud: World) -> None:
    (told,) = json.loads(fraud.cli("card", "status", "--json").stdout)
    assert (told["version"], told["serves"], told["finished"], told["rendered"]) == (
        "fraud@1",
        True,
        True,
        "up to date",
    )
    done = fraud.cli("card", "status", "fraud@2")
    assert "description, intended_use, limitations, training_data" in done.stdout
    assert "next: gitops-registry card edit fraud@2" in done.stdout
    assert [one["version"] for one in json.loads(fraud.cli("card", "status", "fraud", "--json").stdout)] == [
        "fraud@1",
        "fraud@2",
    ]
    fraud.commit({CARD: fraud.read(CARD).replace(b"Trained on one region.", b"few")})
    (told,) = json.loads(fraud.cli("card", "status", "--json", check=1).stdout)
    assert (told["missing"], told["short"], told["finished"], told["rendered"]) == (
        [],
        ["limitations"],
        False,
        "not up to date",
    )


def test_status_of_a_registry_where_nothing_serves_is_clean(world: World) -> None:
    world.model("fraud").version(card=Card()).commit()
    assert world.cli("card", "status").stdout == "no version serves\n"
    assert json.loads(world.cli("card", "status", "--json").stdout) == []
    assert "no model" in world.cli("card", "status", "nosuch", check=2).stderr


# ── forms


def test_a_card_is_shown_in_every_form(fraud: World) -> None:
    assert (
        fraud.cli("card", "fraud@1").stdout
        == fraud.cli("card", "fraud@1", "--format", "markdown").stdout
        == fraud.read("cards/fraud/v1.md").decode()
    )
    told = json.loads(fraud.cli("card", "fraud@1", "--format", "json").stdout)
    assert told == json.loads(fraud.cli("card", "fraud@1", "--json").stdout)
    assert (told["name"], told["version"], told["title"], told["stage"]) == ("fraud", 1, "Fraud", "production")
    asked = (
        "date", "authors", "model_type", "architecture", "training_data", "metrics", "test_data", "intended_use", "out_of_scope", "limitations", "biases",
        "ethical_considerations", "recommendations", "license", "owners", "lineage", "signature", "environment", "slices", "formats", "later", "history", "approvals",
    )  # fmt: skip
    assert set(asked) <= set(told)
    html = fraud.cli("card", "fraud@1", "--format", "html", "--language", "ja").stdout
    assert html.startswith('<!DOCTYPE html>\n<html lang="ja">')


def test_the_readme_for_the_hub_is_what_the_export_writes_and_what_its_own_reader_loads(
    world: World, trained: Trained, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    given = ("--card", str(trained.card), "--data", str(trained.data), "--target", "diagnosis")
    world.cli("register", "tumour", str(trained.model(1)), *given, "--no-onnx")
    world.cli("evaluate", "tumour@1", str(trained.data), "--target", "diagnosis")
    assert "Measured later" in world.cli("card", "tumour@1").stdout
    world.cli("card", "tumour@1", "--format", "huggingface", "-o", str(tmp_path / "README.md"))
    world.cli("export", "tumour@1", "--to", "huggingface", "-o", str(tmp_path / "hub"))
    assert (tmp_path / "README.md").read_bytes() == (tmp_path / "hub/README.md").read_bytes()
    card: Any = ModelCard.load(tmp_path / "README.md")
    assert {result.metric_type for result in card.data.eval_results} >= {"accuracy", "f1"}
    assert "# tumour — version 1" in card.text


def test_output_is_a_new_file_and_never_somebodys(fraud: World, tmp_path: Path) -> None:
    target = tmp_path / "card.html"
    done = fraud.cli("card", "fraud@1", "--format", "html", "-o", str(target))
    assert (done.stdout, target.read_text()[:15]) == ("", "<!DOCTYPE html>")
    assert "is there already" in fraud.cli("card", "fraud@1", "-o", str(target), check=2).stderr
    assert target.read_text()[:15] == "<!DOCTYPE html>"


def test_a_language_that_there_is_not_is_one_line(fraud: World) -> None:
    for language in ("xx", "qq-QQ"):
        assert (
            "nobody wrote the labels of cards in"
            in fraud.cli("card", "fraud@1", "--language", language, check=2).stderr
        )


# ── renewal, words that are carried forward, a language of a registry


def test_after_a_new_template_everything_goes_on_and_one_command_renews_all(fraud: World) -> None:
    fraud.commit({"cards/templates/card.md.j2": b"# {{ name }} v{{ version }}\n{{ intended_use | text }}\n"})
    assert "rendered by another template" in fraud.cli("check").stdout
    fraud.cli("promote", "fraud@2", "--to", "archived", "--direct")
    before = fraud.git("rev-parse", "main")
    assert "render 2 cards anew" in fraud.cli("card", "--all", "--dry-run").stdout
    assert fraud.git("rev-parse", "main") == before
    told = json.loads(fraud.cli("card", "--all", "--json").stdout)
    assert (told["subject"], len(told["plan"]["changes"])) == ("render 2 cards anew", 2)
    assert fraud.read("cards/fraud/v1.md").startswith(b"# fraud v1\n")
    assert "rendered by another" not in fraud.cli("check").stdout
    assert "nothing changes" in fraud.cli("card", "--all").stdout
    assert "leave out what names one" in fraud.cli("card", "fraud@1", "--all", check=2).stderr


def test_the_next_version_is_registered_with_the_words_of_the_one_before(world: World, trained: Trained) -> None:
    world.cli("register", "tumour", str(trained.model(1)), "--no-onnx", "--card", str(trained.card))
    said = world.cli("register", "tumour", str(trained.model(2)), "--no-onnx", "--tag", "try=2").stdout
    assert "its card has the words of version 1; see that they hold: card edit tumour@latest" in said
    words = yaml.safe_load(world.read("models/tumour/versions/2/card.yaml"))
    first = yaml.safe_load(world.read("models/tumour/versions/1/card.yaml"))
    assert {**first, "tags": {"try": "2"}} == words
    assert str(first["limitations"]) in world.read("cards/tumour/v2.md").decode()


def test_init_takes_a_language_that_there_is(tmp_path: Path) -> None:
    assert "nobody wrote the labels of cards in 'tlh'" in cli(tmp_path, "init", "--language", "tlh").stderr
    assert not (tmp_path / ".git").exists()
    assert cli(tmp_path, "init", "--language", "ja").returncode == 0
    assert "language: ja" in (tmp_path / "registry.yaml").read_text()


def test_a_card_with_words_from_before_the_new_fields_reads_as_it_did(fraud: World) -> None:
    assert fraud.registry.snapshot.card("fraud", 1) == FINISHED_CARD
    assert "architecture" not in fraud.read(CARD).decode()


# ── history and approvals


@pytest.mark.needs("signing")
def test_who_approved_a_move_is_on_the_page_and_in_the_data_and_not_on_the_committed_card(tmp_path: Path) -> None:
    team = teams.found(tmp_path / "team")
    alice, bob = team.at("alice"), team.at("bob")
    before = bob.read("cards/fraud/v1.md")
    alice.cli("promote", "fraud@1", "--to", "production", "-m", "better than the old one")
    alice.cli("push")
    bob.git("fetch", "--quiet")
    bob.cli("approve", "promote/fraud/1/production")
    bob.cli("merge", "promote/fraud/1/production")
    told = json.loads(bob.cli("card", "fraud@1", "--json").stdout)
    (approval,) = told["approvals"]
    assert (approval["by"], approval["attested"], approval["what"]) == (
        "bob",
        False,
        "fraud: version 1 staging → production",
    )
    assert (told["history"][0]["actor"], told["history"][0]["signed"]) == ("Bob", True)
    assert "fraud: version 1 staging → production" in told["history"][0]["changes"]
    html = bob.cli("card", "fraud@1", "--format", "html").stdout
    assert "<bdi>bob</bdi>" in html[html.index('<section id="approvals"') :]
    assert bob.read("cards/fraud/v1.md") == before
    shallow = tmp_path / "shallow"
    bob.git("clone", "--quiet", "--depth", "1", bob.root.as_uri(), str(shallow))
    found = json.loads(cli(shallow, "card", "fraud@1", "--json").stdout)
    assert (found["history"], found["approvals"]) == (None, None)


def test_json_and_another_format_exclude_each_other(fraud: World) -> None:
    done = fraud.cli("card", "fraud@1", "--format", "html", "--json", check=2)
    assert (done.stdout, "error: --json and --format html exclude each other" in done.stderr) == ("", True)
    assert fraud.cli("card", "fraud@1", "--format", "json", "--json").stdout.startswith("{")
