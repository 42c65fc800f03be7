"""The life of a model by the command line alone: from an empty folder to production, a refusal, a rollback, a prediction."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from builder import World, cli, dvc, git
from story import Lived, Trained, files

from gitops_registry import Registry

PROJECT = Path(__file__).parents[2]
PROPOSED = ["1 staging", "2 staging", "2 production", "3 production"]


def facts(lived: Lived, number: int) -> dict:
    return yaml.safe_load((lived.world.root / f"models/tumour/versions/{number}/version.yaml").read_text())


def stages(listed: str) -> dict[int, str]:
    return {v["number"]: v["stage"] for v in json.loads(listed)}


def test_every_step_of_the_life_but_the_refused_one_ends_with_0(lived: Lived) -> None:
    assert {step: said.code for step, said in lived.story.items() if said.code} == {"refused": 1}


def test_init_prints_the_two_commands_that_come_next(lived: Lived) -> None:
    after = [line for line in lived.story["init"].out.splitlines() if line.startswith("next: ")]
    assert len(after) == 2
    assert "register" in after[0]
    assert "promote" in after[1]


def test_init_leaves_one_commit_and_nothing_to_commit(lived: Lived) -> None:
    assert lived.world.git("rev-list", "--max-parents=0", "--count", "main").strip() == "1"
    assert lived.world.git("status", "--porcelain") == ""


def test_versions_are_numbered_in_the_order_of_registration(lived: Lived) -> None:
    for number in (1, 2, 3, 4):
        assert f"version {number} registered" in lived.story[f"register {number}"].out
    listed = json.loads(lived.story["after 3"].out)
    assert [(v["name"], v["number"]) for v in listed] == [("tumour", 1), ("tumour", 2), ("tumour", 3), ("tumour", 4)]


def test_register_measures_every_metric_of_a_binary_classifier(lived: Lived, trained: Trained) -> None:
    import pandas as pd
    import skops.io
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score

    rows = pd.read_csv(trained.data)
    truth, table = rows["diagnosis"], rows.drop(columns="diagnosis")
    untrusted = skops.io.get_untrusted_types(file=trained.model(2))
    forest = skops.io.load(trained.model(2), trusted=untrusted)
    said = forest.predict(table)
    table_of_errors = confusion_matrix(truth, said)
    (tn, fp), (fn, tp) = table_of_errors
    expected = {
        "accuracy": accuracy_score(truth, said),
        "precision": precision_score(truth, said),
        "recall": recall_score(truth, said),
        "f1": f1_score(truth, said),
        "roc_auc": roc_auc_score(truth, forest.predict_proba(table)[:, 1]),
        "false_positive_rate": fp / (fp + tn),
        "false_negative_rate": fn / (fn + tp),
    }
    measured = facts(lived, 2)
    assert {k: measured["metrics"][k] for k in expected} == pytest.approx(expected)
    assert measured["confusion_matrix"] == {"labels": [0, 1], "counts": table_of_errors.tolist()}
    assert measured["evaluation"]["rows"] == len(rows)
    assert measured["evaluation"]["target"] == "diagnosis"


def test_register_keeps_what_the_options_said_and_what_the_model_says_of_itself(lived: Lived) -> None:
    kept = facts(lived, 3)
    assert kept["params"]["attempt"] == 3
    assert kept["params"]["n_estimators"] == 15
    assert kept["metrics"]["cost"] == 3.5
    assert kept["model_type"] == "RandomForestClassifier"
    card = yaml.safe_load((lived.world.root / "models/tumour/versions/3/card.yaml").read_text())
    assert card["limitations"] == "One hospital, 569 cells."
    assert card["tags"] == {"team": "onco"}


def test_register_infers_the_signature_and_captures_the_environment(lived: Lived) -> None:
    kept = facts(lived, 2)
    assert [c["name"] for c in kept["signature"]["inputs"]] == [
        "mean radius", "mean texture", "mean perimeter", "mean area", "mean smoothness",
    ]  # fmt: skip
    assert {c["type"] for c in kept["signature"]["inputs"]} == {"double"}
    assert kept["environment"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert any(line.startswith("scikit-learn==") for line in kept["environment"]["requirements"])


def test_a_version_is_stored_as_skops_and_as_onnx_whose_agreement_was_measured(lived: Lived) -> None:
    kept = facts(lived, 3)
    first, second = kept["artifacts"]
    assert (first["format"], second["format"]) == ("skops", "onnx")
    assert second["derived_from"] == first["name"]
    assert second["parity"]["rows"] == kept["evaluation"]["rows"]
    assert second["parity"]["agreement"] >= 0.99


@pytest.mark.parametrize("step", PROPOSED)
def test_a_promotion_is_a_branch_and_says_which_commands_come_next(lived: Lived, step: str) -> None:
    number, stage = step.split()
    branch = f"promote/tumour/{number}/{stage}"
    said = lived.story[f"propose {step}"].out
    assert branch in said
    assert f"gitops-registry merge {branch}" in said
    assert f"version {number} " in said


def test_each_merge_is_one_merge_commit_whose_first_parent_is_the_old_tip(lived: Lived) -> None:
    decisions = lived.world.git("log", "--first-parent", "--reverse", "--format=%H %P", "main").split("\n")[:-1]
    merges = [line.split() for line in decisions if len(line.split()) == 3]
    assert len(merges) == len(PROPOSED) + 1
    for before, after in pairwise(decisions):
        assert after.split()[1] == before.split()[0]


def test_what_landed_is_what_the_plan_of_the_proposal_said(lived: Lived) -> None:
    for step in PROPOSED:
        planned = [t for t in lived.story[f"propose {step}"].out.splitlines() if "→" in t]
        landed = [t for t in lived.story[f"merge {step}"].out.splitlines() if "→" in t]
        assert planned
        assert planned == landed


def test_plan_and_check_of_the_proposal_say_the_same_before_it_lands(lived: Lived) -> None:
    said = {
        step: [t.strip() for t in lived.story[f"{step} 3 production"].out.splitlines() if "→" in t]
        for step in ("propose", "plan", "check")
    }
    assert [line for line in said["propose"] if ": version " in line] == said["plan"]
    assert said["propose"][-1] == "tumour: production 2 → 3"
    moved, *others = said["check"]
    assert moved == "tumour: production 2 → 3 (from staging)"
    assert [*others, "tumour: version 3 staging → production"] == said["plan"]


def test_a_promotion_changes_a_few_lines_of_one_file(lived: Lived) -> None:
    merge = lived.world.git("log", "--merges", "--first-parent", "--format=%H", "--grep=promote tumour 3 to production").split()[-1]  # fmt: skip
    added, removed, path = lived.world.git("diff", "--numstat", f"{merge}^1", merge).split()
    assert path == "models/tumour/model.yaml"
    assert int(added) + int(removed) <= 6


def test_the_worse_version_is_refused_with_the_number_and_the_floor(lived: Lived) -> None:
    said = lived.story["refused"]
    accuracy = facts(lived, 4)["metrics"]["accuracy"]
    assert accuracy < 0.9
    assert said.code == 1
    assert "accuracy" in said.both
    assert f"{accuracy:.4g}" in said.both
    assert "0.9" in said.both
    assert "production" in said.both
    assert "Traceback" not in said.both


def test_a_refused_promotion_leaves_no_branch_behind(lived: Lived) -> None:
    assert "promote/tumour/4/production" not in lived.world.git("for-each-ref")


def test_compare_shows_metrics_params_and_sizes_with_their_differences(lived: Lived) -> None:
    said = lived.story["compare"].out
    left, right = (facts(lived, n)["metrics"]["accuracy"] for n in (2, 3))
    line = next(line for line in said.splitlines() if " accuracy " in line)
    assert f"{left:.4g}" in line
    assert f"{right:.4g}" in line
    assert ("better" in line) == (right > left)
    assert "n_estimators" in said


def test_promoting_3_archives_2(lived: Lived) -> None:
    assert stages(lived.story["after 3"].out) == {1: "staging", 2: "archived", 3: "production", 4: "staging"}


def test_rollback_gives_production_back_to_2(lived: Lived) -> None:
    now = stages(lived.world.cli("list", "tumour", "--json").stdout)
    assert now[2] == "production"
    assert now[3] != "production"
    assert json.loads(lived.world.cli("show", "tumour@production", "--json").stdout)["number"] == 2


def test_the_log_tells_every_decision_newest_first_with_who_and_why(lived: Lived) -> None:
    said = lived.story["log"].out
    order = ["version 2 archived → production", "version 3 staging → production", "version 4 registered", "version 1 registered"]  # fmt: skip
    places = [said.index(text) for text in order]
    assert places == sorted(places)
    assert "Alice" in said
    assert "promote/tumour/3/production" in said
    assert "complaints about version 3" in said


def test_the_log_as_json_has_kinds_times_actors_and_commits(lived: Lived) -> None:
    events = json.loads(lived.world.cli("log", "tumour", "--json").stdout)
    assert [e["commit"] for e in events] == lived.world.git(
        "log", "--first-parent", "--format=%H", "main", "--", "models/tumour"
    ).split()  # fmt: skip
    kinds = {c["kind"] for e in events for c in e["changes"]}
    assert {"model_registered", "version_registered", "stage_transition"} <= kinds
    assert all(e["time"] and e["actor"]["name"] == "Alice" for e in events)


def test_the_card_shows_the_words_the_metrics_and_the_files(lived: Lived) -> None:
    said = lived.story["card"].out
    for text in ("A lesson about registries.", "One hospital, 569 cells.", "roc\\_auc", "model.skops", "version 2"):
        assert text in said


def test_the_committed_card_is_the_one_that_card_prints(lived: Lived) -> None:
    assert (lived.world.root / "cards/tumour/v2.md").read_text() == lived.story["card"].out


def test_pull_writes_the_files_whose_sha256_is_recorded(lived: Lived) -> None:
    import hashlib

    pulled = files(lived.world.root.parent / "pulled")
    recorded = {a["file"]: a["sha256"] for a in facts(lived, 2)["artifacts"]}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in pulled.items()} == recorded


def test_predict_prints_what_scikit_learn_predicts(lived: Lived, trained: Trained) -> None:
    import pandas as pd
    import skops.io

    said = list(csv.DictReader(io.StringIO(lived.story["predict"].out)))
    untrusted = skops.io.get_untrusted_types(file=trained.model(2))
    forest = skops.io.load(trained.model(2), trusted=untrusted)
    rows = pd.read_csv(trained.rows)
    assert [int(row["prediction"]) for row in said] == forest.predict(rows).tolist()
    assert [float(row["probability_1"]) for row in said] == pytest.approx(forest.predict_proba(rows)[:, 1], abs=1e-4)


def test_the_production_version_is_loaded_and_predicts_in_python(lived: Lived, trained: Trained) -> None:
    import pandas as pd

    model = Registry.open(lived.world.root).load("tumour@production")
    assert list(model.predict(pd.read_csv(trained.rows))) == [
        int(row["prediction"]) for row in csv.DictReader(io.StringIO(lived.story["predict"].out))
    ]


def test_the_whole_life_passes_check_verify_and_doctor(lived: Lived) -> None:
    for verb in ("check", "verify", "doctor"):
        lived.world.cli(verb)


def test_the_registry_is_read_as_it_was_at_an_older_revision(lived: Lived) -> None:
    before = lived.world.git("log", "--first-parent", "--format=%H", "--grep=promote tumour 3 to production").split()[0]
    said = lived.world.cli("--revision", f"{before}^1", "show", "tumour@production", "--json")
    assert json.loads(said.stdout)["number"] == 2
    then = lived.world.cli("--revision", before, "show", "tumour@production", "--json")
    assert json.loads(then.stdout)["number"] == 3


def test_a_bare_repository_lives_the_same_life(trained: Trained, tmp_path: Path) -> None:
    cli(tmp_path, "init", "registry.git", "--bare")
    bare = World.__new__(World)
    bare.root = tmp_path / "registry.git"
    assert bare.git("rev-parse", "--is-bare-repository").strip() == "true"
    bare.cli(
        "register", "tumour", str(trained.model(2)), "--data", str(trained.data), "--target", "diagnosis",
        "--card", str(trained.card),
    )  # fmt: skip
    for stage in ("staging", "production"):
        bare.cli("promote", "tumour", "1", "--to", stage)
        bare.cli("merge", f"promote/tumour/1/{stage}")
    bare.cli("check")
    bare.cli("pull", "tumour@production", "--to", str(tmp_path / "out"))
    assert set(files(tmp_path / "out")) == {"model.skops", "model.onnx"}
    said = bare.cli("predict", "tumour@production", str(trained.rows)).stdout
    assert len(list(csv.DictReader(io.StringIO(said)))) == 4
    assert "version 1 staging → production" in bare.cli("log", "tumour").stdout


def test_a_clone_of_a_bare_registry_pulls_the_bytes(world: World, tmp_path: Path) -> None:
    world.model("fraud").version(payload=b"the model").in_stage("production").commit()
    git(tmp_path, "clone", "--quiet", "--bare", world.root.as_uri(), "shared.git")
    bare = World.__new__(World)
    bare.root = tmp_path / "shared.git"
    bare.cli("pull", "fraud@production", "--to", str(tmp_path / "out"))
    assert files(tmp_path / "out") == {"model.bin": b"the model"}


def test_a_registry_lives_in_a_folder_with_spaces_and_japanese_letters(trained: Trained, tmp_path: Path) -> None:
    home = tmp_path / "信用 リスク (本番) [1]"
    home.mkdir()
    cli(home, "init", "モデル 台帳", "--name", "models")
    place = World.__new__(World)
    place.root = home / "モデル 台帳"
    data = home / "評価 データ.csv"
    data.write_bytes(trained.data.read_bytes())
    place.cli("register", "tumour", str(trained.model(2)), "--data", str(data), "--target", "diagnosis", "--no-onnx")
    place.cli("promote", "tumour@1", "--to", "staging")
    place.cli("merge", "promote/tumour/1/staging")
    place.cli("pull", "tumour@staging")
    assert "評価 データ.csv" in place.cli("show", "tumour@1").stdout
    assert place.git("status", "--porcelain") == ""
    assert "up to date" in dvc(place.root, "status").stdout
    place.cli("verify")


def test_cards_are_japanese_in_a_registry_that_init_made_so(tmp_path: Path) -> None:
    world = World.__new__(World)
    world.root = tmp_path / "registry"
    cli(tmp_path, "init", "registry", "--language", "ja")
    world.model("fraud", title="信用リスク分類モデル").version().commit()
    japanese = world.cli("card", "fraud@1").stdout
    english = world.cli("card", "fraud@1", "--language", "en").stdout
    assert "Intended use" in english
    assert "Intended use" not in japanese
    assert "意図" in japanese or "用途" in japanese
    assert (world.root / "cards/fraud/v1.md").read_text() == japanese


def test_one_japanese_card_can_be_printed_in_an_english_registry(lived: Lived) -> None:
    assert "Intended use" not in lived.world.cli("card", "tumour@2", "--language", "ja").stdout


def test_a_regressor_gets_its_own_metrics(world: World, tmp_path: Path) -> None:
    import skops.io
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    table, truth = load_diabetes(return_X_y=True, as_frame=True)
    skops.io.dump(Ridge().fit(table[:300], truth[:300]), tmp_path / "ridge.skops")
    table[300:].assign(progress=truth[300:]).to_csv(tmp_path / "holdout.csv", index=False)
    said = world.cli(
        "register", "progress", str(tmp_path / "ridge.skops"), "--data", str(tmp_path / "holdout.csv"),
        "--target", "progress",
    )  # fmt: skip
    assert "mae" in said.stdout
    kept = json.loads(world.cli("show", "progress@1", "--json").stdout)
    assert kept["task"] == "regression"
    assert {"mae", "rmse", "r2"} <= set(kept["metrics"])
    assert kept["confusion_matrix"] is None


def test_words_of_a_card_are_written_later_and_land_with_the_rendered_card(world: World, trained: Trained) -> None:
    world.cli("register", "tumour", str(trained.model(1)), "--no-onnx")
    words = world.root / "models/tumour/versions/1/card.yaml"
    words.write_text(trained.card.read_text())
    world.cli("card", "tumour@1", "--update")
    assert world.git("status", "--porcelain") == ""
    assert "One hospital, 569 cells." in (world.root / "cards/tumour/v1.md").read_text()


def test_this_repository_is_a_registry_whose_models_can_be_pulled_after_a_clone(tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", PROJECT.as_uri(), "clone")
    clone = World.__new__(World)
    clone.root = tmp_path / "clone"
    models = json.loads(clone.cli("list", "--json").stdout)
    assert any(model["versions"] in (2, 3) for model in models)
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    for model in models:
        clone.cli("pull", f"{model['name']}@latest", environment=offline)
    clone.cli("check")
    assert clone.git("status", "--porcelain") == ""
    assert yaml.safe_load((clone.root / "registry.yaml").read_text())["unmanaged"]


def test_pull_requests_of_this_repository_are_judged_by_the_same_check() -> None:
    workflows = [yaml.safe_load(p.read_text()) for p in (PROJECT / ".github/workflows").glob("*.y*ml")]
    on_pull_request = [w for w in workflows if "pull_request" in str(w.get("on", w.get(True)))]
    assert any("gitops-registry check" in str(w["jobs"]) for w in on_pull_request)


def test_continuous_integration_runs_three_targets_of_make_and_nothing_else() -> None:
    run = (PROJECT / ".ci/run").read_text().splitlines()
    made = [line.split() for line in run if line.startswith("make ")]
    assert made == [["make", "system-packages"], ["make", "check"], ["make", "test"]]


def test_git_finds_the_command_as_a_verb_of_its_own(lived: Lived) -> None:
    import os

    bin_folder = Path(sys.executable).parent
    done = subprocess.run(
        ["git", "registry", "list", "--json"], cwd=lived.world.root, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [m["name"] for m in json.loads(done.stdout)] == ["tumour"]


def test_nothing_is_noted_in_the_users_home_and_sent_away(lived: Lived, trained: Trained, tmp_path: Path) -> None:
    """onnxruntime keeps a database of its sessions there, and a number for the machine, unless it is told not to."""
    import os

    home = {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / ".cache"),
        "XDG_CONFIG_HOME": str(tmp_path / ".config"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "gitops_registry", "predict", "tumour@production", str(trained.rows), "--format", "onnx"],
        cwd=lived.world.root, env={**os.environ, **home}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
