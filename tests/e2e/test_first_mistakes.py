"""What people get wrong in their first hour is said, never answered with a wrong number or taken for done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import scipy.sparse
import skops.io
from builder import World, cli, git
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gitops_registry import RegistryError
from gitops_registry.manifest.kinds import Card
from gitops_registry.reference import Reference
from gitops_registry.starting import Start, init


@pytest.fixture(scope="module")
def data() -> tuple[pandas.DataFrame, pandas.Series]:
    found = load_breast_cancer(as_frame=True)
    return found.data, found.target


@pytest.fixture(scope="module")
def fitted(data: tuple[pandas.DataFrame, pandas.Series]) -> object:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*data)


def test_a_missing_number_is_refused_where_the_graph_would_answer_with_nonsense(
    world: World, data: tuple, fitted: object
) -> None:
    inputs, truth = data
    world.registry.register("tumour", fitted, X=inputs, y=truth)
    model = world.registry.load("tumour@1")
    assert model.format == "onnx"
    hole = inputs.head(3).copy()
    hole.iloc[1, 0] = np.nan
    with pytest.raises(RegistryError, match="'mean radius' must be double, but some values are missing"):
        model.predict(hole)
    assert list(model.predict(inputs.head(3))) == [0, 0, 0]


def test_columns_that_the_model_was_not_fitted_on_are_left_out_of_its_signature(
    world: World, data: tuple, fitted: object
) -> None:
    inputs, truth = data
    shuffled = inputs[list(reversed(inputs.columns))].assign(**{"Unnamed: 0": range(len(inputs))})
    registered = world.registry.register("tumour", fitted, X=shuffled, y=truth)
    assert [column.name for column in registered.version.signature.inputs] == list(inputs.columns)
    assert "not inputs of the model, left out: Unnamed: 0" in registered.outcome.notes
    assert {artifact.format for artifact in registered.version.artifacts} == {"skops", "onnx"}
    assert len(world.registry.load("tumour@1").predict(inputs.head(2))) == 2


def test_a_refusal_is_false_in_python_and_says_why_in_one_line(world: World) -> None:
    world.model("fraud").version(card=Card()).in_stage("staging").commit()
    outcome = world.registry.promote("fraud", 1, to="production")
    assert not outcome
    assert repr(outcome).startswith("<promote fraud 1 to production: refused: the card lacks description")
    assert world.registry.archive("fraud", 1)


def test_the_environment_names_what_opens_each_stored_file(world: World, data: tuple, fitted: object) -> None:
    registered = world.registry.register("tumour", fitted, X=data[0], y=data[1])
    pinned = {line.split("==")[0] for line in registered.version.environment.requirements}
    assert {"scikit-learn", "skops", "onnxruntime"} <= pinned


def test_check_without_a_base_sees_what_the_work_tree_changes(world: World) -> None:
    world.model("fraud").version().commit()
    facts = world.root / "models/fraud/versions/1/version.yaml"
    facts.write_text(facts.read_text().replace("0.95", "0.99"))
    for arguments in (("check",), ("check", "--base", "HEAD")):
        told = world.cli(*arguments, check=1).stdout
        assert "must never change once it is registered (models/fraud/versions/1/version.yaml:1:1)" in told


def test_nothing_is_moved_by_guessing_which_version_was_meant(world: World) -> None:
    world.model("fraud").version().version().commit()
    with pytest.raises(RegistryError, match="fraud names no version"):
        world.registry.promote("fraud", to="staging")
    told = world.cli("promote", "fraud", "--to", "staging", check=2).stderr
    assert "fraud names no version" in told
    assert "fraud@latest" in told
    world.cli("promote", "fraud@latest", "--to", "staging")


def test_new_words_of_a_card_are_told_as_json_too(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    words = tmp_path / "card.yaml"
    words.write_text("kind: ModelCard\ndescription: New words.\n")
    told = json.loads(world.cli("card", "fraud@1", "--from", str(words), "--json").stdout)
    assert told["plan"]["changes"][0]["kind"] == "card_updated"


def test_a_repository_that_keeps_code_where_models_go_is_not_joined(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "models").mkdir(parents=True)
    (root / "models/net.py").write_text("x = 1\n")
    git(tmp_path, "init", "--quiet", str(root))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    world = World.__new__(World)
    world.root = root
    told = world.cli("init", check=2).stderr
    assert "models/ is where a registry keeps its own files, and models/net.py is none" in told
    assert git(root, "rev-list", "--count", "HEAD").strip() == "1"


# ---- arrays, and what cannot be recorded


def test_rows_may_be_arrays_lists_and_sparse_matrices(world: World, data: tuple) -> None:
    inputs, truth = data[0].to_numpy(), data[1].to_numpy()
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=1000)).fit(inputs, truth)
    metrics = []
    for rows in (inputs, inputs.tolist(), scipy.sparse.csr_matrix(inputs)):
        registered = world.registry.register(
            "tumour", model, X=rows, y=list(truth), params={"cut": [1, 2], "n": np.int64(3)}
        )
        metrics.append(registered.version.metrics)
        assert {artifact.format for artifact in registered.version.artifacts} == {"skops", "onnx"}
    assert metrics[0] == metrics[1] == metrics[2]
    assert [column.name for column in registered.version.signature.inputs][:2] == ["x0", "x1"]
    assert registered.version.params["cut"] == (1, 2)
    expected = list(model.predict(inputs[:5]))
    for stored in ("onnx", "skops"):
        assert list(world.registry.load("tumour", 3, format=stored).predict(inputs[:5])) == expected


def test_an_array_is_given_the_names_the_estimator_knows(world: World, data: tuple, fitted: object) -> None:
    registered = world.registry.register("tumour", fitted, X=data[0].to_numpy(), y=data[1])
    assert [column.name for column in registered.version.signature.inputs] == list(data[0].columns)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": {"a": float("nan")}}, "params.a cannot be recorded"),
        ({"params": {"a": object()}}, "params.a cannot be recorded"),
        ({"metrics": {"cost": float("nan")}}, "metrics.cost cannot be recorded"),
        ({"training": {"rows": "many"}}, "rows cannot be recorded"),
        ({"card": {"purpose": "?"}}, "purpose cannot be recorded"),
        ({"release": "v1"}, "release cannot be recorded: release 'v1' is no semantic version"),
        ({"X": np.zeros(3), "y": [0, 1, 0]}, r"the evaluation rows have 1 dimension\(s\), and a table has 2"),
    ],
)
def test_what_cannot_be_recorded_is_one_line_and_a_hint(
    world: World, fitted: object, given: dict, message: str
) -> None:
    with pytest.raises(RegistryError, match=message) as caught:
        world.registry.register("tumour", fitted, **given)
    assert caught.value.hint
    assert world.registry.snapshot.models() == ()


def test_what_was_not_measured_says_why(world: World, data: tuple, fitted: object) -> None:
    inputs, truth = data
    without = world.registry.register("tumour", fitted, X=inputs)
    assert "not measured: the truth of the evaluation rows was not given (y)" in without.outcome.notes
    clusters = world.registry.register("groups", KMeans(2, random_state=0).fit(inputs), X=inputs, y=truth)
    assert "not measured: KMeans is neither a classifier nor a regressor" in clusters.outcome.notes
    assert clusters.version.metrics == without.version.metrics == {}


def test_a_version_unlike_the_one_before_it_is_pointed_out(world: World, data: tuple, fitted: object) -> None:
    inputs, truth = data
    world.registry.register("tumour", fitted, X=inputs, y=truth)
    fewer = LogisticRegression(max_iter=1000).fit(inputs.iloc[:, :3], truth)
    second = world.registry.register("tumour", fewer, X=inputs.iloc[:, :3], y=truth)
    assert any(note.startswith("unlike version 1 in its inputs") for note in second.outcome.notes)
    assert not any(
        "unlike" in note
        for note in world.registry.register("tumour", fewer, X=inputs.iloc[:, :3], y=truth).outcome.notes
    )


def test_a_claimed_metric_is_marked_and_speaks_for_nothing(world: World, tmp_path: Path, fitted: object) -> None:
    skops.io.dump(fitted, tmp_path / "model.skops")
    (tmp_path / "card.yaml").write_text(
        "kind: ModelCard\ndescription: a\nintended_use: b\nlimitations: c\ntraining_data: d\n"
    )
    said = world.cli(
        "register",
        "tumour",
        str(tmp_path / "model.skops"),
        "--metric",
        "accuracy=0.99",
        "--card",
        str(tmp_path / "card.yaml"),
    ).stdout
    assert "claimed, not measured: accuracy 0.9900" in said
    assert "claimed" in world.cli("show", "tumour@1").stdout
    assert "0.99 (claimed, not measured)" in world.cli("card", "tumour@1").stdout
    world.cli("promote", "tumour@1", "--to", "staging", "--direct")
    refused = world.cli("promote", "tumour@1", "--to", "production", check=1).stdout
    assert "accuracy is a claim that nobody measured" in refused


# ---- what was committed past every check


def test_facts_that_were_altered_and_committed_are_found_and_serve_nobody(world: World) -> None:
    world.model("fraud").version(metrics={"accuracy": 0.5}).in_stage("staging").commit()
    world.cli("check")
    path = "models/fraud/versions/1/version.yaml"
    original = world.read(path)
    altered = world.commit({path: original.replace(b"0.5", b"0.99")})
    world.cli("card", "fraud@1", "--update", check=None)
    told = world.cli("check", check=1).stdout
    assert f"was altered after it was registered, in {altered[:12]}" in told
    refused = world.cli("promote", "fraud@1", "--to", "production", "--direct", check=1).stdout
    assert "was altered after it was registered" in refused
    repair = next(line for line in told.splitlines() if "bring back what was registered" in line).rpartition(": ")[2]
    world.git(*repair.split()[1:])
    world.git("commit", "--quiet", "--all", "--message", "bring it back")
    world.cli("card", "fraud@1", "--update")
    world.cli("check")


def test_a_damaged_object_of_the_store_is_brought_back_as_the_hint_says(world: World) -> None:
    world.model("fraud").version(payload=b"true bytes").commit()
    digest = world.registry.snapshot.known_version(Reference("fraud", 1)).artifacts[0].md5
    path = f".dvc/store/files/md5/{digest[:2]}/{digest[2:]}"
    good = world.git("rev-parse", "main").strip()
    world.commit({path: b"junk"})
    shutil.rmtree(world.root / ".dvc/cache")
    hint = world.cli("pull", "fraud@1", "--to", "out", check=2).stderr
    assert f"git log -- {path}, then git checkout COMMIT -- {path}" in hint
    world.git("checkout", good, "--", path)
    world.cli("check")
    world.git("commit", "--quiet", "--message", "bring it back")
    world.cli("check", "--base", "HEAD~1", "--head", "HEAD")
    world.cli("pull", "fraud@1", "--to", "out")
    world.git("rm", "--quiet", path)
    told = world.cli("check", check=1).stdout
    assert "an object of the store was removed or replaced" in told
    assert "git rm --cached" not in told


def test_a_model_file_that_lies_about_is_not_added_to_git(world: World) -> None:
    for name in ("forest.skops", "old.pkl", "data/net.pt", "x.joblib"):
        (world.root / name).parent.mkdir(exist_ok=True)
        (world.root / name).write_bytes(b"weights")
    world.git("add", "--all")
    assert world.git("status", "--porcelain") == ""


def test_bytes_that_are_only_staged_are_found(world: World) -> None:
    world.model("fraud").version().commit()
    (world.root / "models/fraud/versions/1/extra.bin").write_bytes(b"weights")
    world.git("add", "--force", "models/fraud/versions/1/extra.bin")
    told = world.cli("doctor", check=1).stdout
    assert "are no registry files: models/fraud/versions/1/extra.bin" in told


# ---- rules, stages and branches


def test_a_changed_rule_is_told_by_its_field(world: World) -> None:
    policy, law = world.root / "policies/floors.yaml", world.root / "registry.yaml"
    policy.write_text(policy.read_text().replace("accuracy: 0.9", "accuracy: 0.1", 1))
    told = world.cli("plan").stdout
    assert "policies/floors.yaml changed: params.floors.binary-classification.accuracy 0.9 → 0.1" in told
    world.git("checkout", "--", "policies")
    law.write_text(law.read_text().replace("direct: true", "direct: false"))
    assert "registry.yaml changed: direct true → false" in world.cli("plan").stdout
    world.git("checkout", "--", "registry.yaml")
    law.write_text(law.read_text() + "# a comment\n")
    assert "registry.yaml changed in its wording only" in world.cli("plan").stdout


def test_a_rollback_to_who_holds_the_stage_says_so(world: World) -> None:
    world.model("fraud").version().in_stage("production").commit()
    assert "version 1 of fraud is in production already" in world.cli("rollback", "fraud", "--to", "1", check=2).stderr


def test_a_decision_that_lands_on_another_branch_than_the_one_at_hand_says_so(world: World) -> None:
    world.model("fraud").version().commit()
    world.git("switch", "--quiet", "--create", "dev")
    said = world.cli("promote", "fraud@1", "--to", "staging", "--direct").stdout
    assert "it landed on main, and dev is checked out: git switch main" in said


@pytest.mark.parametrize("branch", ["feature#1", "本番", "release/2026.11"])
def test_decisions_may_land_on_any_branch_that_git_takes(tmp_path: Path, branch: str) -> None:
    git(tmp_path, "init", "--quiet", f"--initial-branch={branch}", "registry")
    world = World.__new__(World)
    world.root = tmp_path / "registry"
    world.cli("init")
    world.model("fraud").version()
    world.cli("check")
    assert f"decisions land on {branch}" in world.cli("doctor").stdout


def test_a_repository_with_a_file_name_that_is_no_text_is_joined(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "project")
    (tmp_path / "project" / "caf\udce9.txt").write_text("x")
    (tmp_path / "project" / "d\udcff").mkdir()
    (tmp_path / "project" / "d\udcff" / "a.txt").write_text("x")
    git(tmp_path / "project", "add", "--all")
    git(tmp_path / "project", "commit", "--quiet", "--message", "first")
    world = World.__new__(World)
    world.root = tmp_path / "project"
    world.cli("init")
    told = world.cli("check").stdout
    assert "strangers" not in told


def test_a_name_that_is_none_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    done = cli(tmp_path, "init", "registry", "--name", "bad name")
    assert (done.returncode, "name 'bad name' must be" in done.stderr) == (2, True)
    assert not (tmp_path / "registry").exists()


def test_without_an_identity_init_leaves_nothing_behind(tmp_path: Path) -> None:
    nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "EMAIL": "", "HOME": str(tmp_path)}
    nobody |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    done = cli(tmp_path, "init", "registry", environment=nobody)
    assert "git does not know who you are" in done.stderr
    assert not (tmp_path / "registry").exists()


def test_gits_own_options_reach_the_git_that_is_run(world: World) -> None:
    world.model("fraud").version().commit()
    bin_folder = str(Path(sys.executable).parent)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["git", "-c", "user.name=Bob", "registry", "archive", "fraud@1", "--direct"],
        cwd=world.root, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert world.git("log", "-1", "--format=%an").strip() == "Bob"


# ---- the default remote


def test_a_remote_of_a_repository_that_is_joined_is_kept_or_completed(tmp_path: Path) -> None:
    for name, config, default in (
        ("has", b"[core]\n    remote = old\n['remote \"old\"']\n    url = /tmp/nowhere\n", "old"),
        ("lacks", b"[core]\n    autostage = true\n", "store"),
    ):
        root = tmp_path / name
        git(tmp_path, "init", "--quiet", name)
        (root / ".dvc").mkdir()
        (root / ".dvc/config").write_bytes(config)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", "first")
        refused = cli(root, "init", "--storage", "s3://bucket/models") if name == "has" else None
        assert refused is None or "has the default remote 'old' already" in refused.stderr
        done = cli(root, "init")
        assert done.returncode == 0, done.stderr
        text = (root / ".dvc/config").read_text()
        assert f"remote = {default}" in text
        assert ("autostage = true" in text) == (name == "lacks")


def test_doctor_says_that_the_store_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    init(tmp_path / "registry", Start(storage=str(tmp_path / "store")))
    world = World.__new__(World)
    world.root = tmp_path / "registry"
    assert "others reach only if it is shared" in world.cli("doctor").stdout
    (tmp_path / "store").rmdir()
    told = world.cli("doctor", check=1).stdout
    assert "that folder does not exist" in told
    git(tmp_path, "clone", "--quiet", "--bare", "registry", "bare.git")
    assert "that folder does not exist" in cli(tmp_path / "bare.git", "doctor").stdout


def test_doctor_finds_what_git_has_lost(world: World) -> None:
    world.model("fraud").version().commit()
    oid = world.git("rev-parse", "HEAD:models/fraud/model.yaml").strip()
    (world.root / ".git/objects" / oid[:2] / oid[2:]).unlink()
    told = world.cli("doctor", check=1).stdout
    assert f"git has lost objects: missing blob {oid}" in told
    refused = world.cli("register", "fraud", "model.skops", check=2)
    assert "production" not in refused.stdout


def test_doctor_outside_a_registry_says_one_thing(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "plain")
    (tmp_path / "plain/a").write_text("a")
    git(tmp_path / "plain", "add", "a")
    git(tmp_path / "plain", "commit", "--quiet", "--message", "first")
    done = cli(tmp_path / "plain", "doctor")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("is not a registry") == 1


@pytest.mark.parametrize("words", ["list", "show fraud", "log", "log fraud", "card fraud@1", "compare fraud", "promote fraud 1 --to staging"])  # fmt: skip
def test_a_repository_that_is_no_registry_is_called_that(words: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "code")
    git(tmp_path / "code", "commit", "--quiet", "--allow-empty", "-m", "start")
    done = cli(tmp_path / "code", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a registry: it has no registry.yaml\nhint: start one with: gitops-registry init" in done.stderr


def test_a_hint_names_models_that_are_there(world: World) -> None:
    world.model("credit").version().commit()
    world.model("loan").version().commit()
    world.registry.rename("loan", "lending", direct=True)
    assert world.cli("show", "fraud", check=2).stderr == "error: no model 'fraud' in this registry\nhint: there is: credit, lending\n"  # fmt: skip
    assert "did you mean lending?" in world.cli("show", "landing", check=2).stderr
