"""Every claim of a version is measured again in a child process, on pinned data or on the rows that the version keeps."""

from __future__ import annotations

import json
import os
import resource
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from builder import World
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from gitops_registry import RegistryError, cage, paths
from gitops_registry.claims import differences
from gitops_registry.digests import sha256_of
from gitops_registry.evaluating import Wish, remeasure
from gitops_registry.formats.sklearn import save
from gitops_registry.manifest.columns import Column, Parameter, Signature
from gitops_registry.manifest.facts import EvaluationData, Version
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("forked_cage")
WINE, CULTIVAR = load_wine(return_X_y=True, as_frame=True)
CULTIVAR = CULTIVAR.rename("cultivar")


@pytest.fixture(scope="module")
def kept(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two versions of a model of wine that keep their rows and an example, measured by group; the second is a regression."""
    world = World(tmp_path_factory.mktemp("kept") / "world", template=template)
    banded = WINE.assign(strong=np.where(WINE["alcohol"] > 13, "strong", "light"))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(WINE, CULTIVAR)
    world.registry.register(
        "wine", model, X=banded, y=CULTIVAR, slices=["strong"], example=3, keep_rows=True,
        tags={"source": "UCI"},
    )  # fmt: skip
    inputs, progress = load_diabetes(return_X_y=True, as_frame=True)
    world.registry.register("diabetes", LinearRegression().fit(inputs, progress), X=inputs, y=progress, keep_rows=True)
    return world


@pytest.fixture
def world(kept: World, tmp_path: Path) -> World:
    return World(tmp_path / "world", template=kept.root)


def rewritten(world: World, name: str, **changed: Any) -> None:
    """Write facts of a version anew, as nobody may."""
    path = paths.version_path(name, 1)
    version = world.registry.snapshot.known_version(Reference(name, 1))
    world.commit({path: dump(version.model_copy(update=changed), path)})


def test_what_was_asked_for_is_kept_beside_the_model(kept: World) -> None:
    version = kept.registry.snapshot.known_version(Reference("wine", 1))
    assert [(a.name, a.file, a.format) for a in version.artifacts] == [
        ("model", "model.skops", "skops"), ("onnx", "model.onnx", "onnx"),
        ("evaluation", "evaluation.csv", "csv"), ("input_example", "input_example.json", "json"),
    ]  # fmt: skip
    assert version.evaluation is not None
    assert (version.evaluation.artifact, version.evaluation.target) == ("evaluation", "cultivar")
    assert version.evaluation.sha256 == version.artifacts[2].sha256
    (strength,) = version.slices
    assert [(group.value, group.rows) for group in strength.groups] == [
        ("light", int((WINE["alcohol"] <= 13).sum())), ("strong", int((WINE["alcohol"] > 13).sum())),
    ]  # fmt: skip
    card = kept.read("cards/wine/v1.md").decode()
    assert "## Metrics by strong" in card
    assert "| light | 86 |" in card


def test_the_metrics_of_a_group_are_those_of_its_rows_alone(kept: World) -> None:
    version = kept.registry.snapshot.known_version(Reference("wine", 1))
    model = kept.registry.load("wine@1", format="skops")
    for group, rows in zip(version.slices[0].groups, (WINE["alcohol"] <= 13, WINE["alcohol"] > 13), strict=True):
        right = (model.predict(WINE[rows]) == CULTIVAR[rows]).mean()
        assert group.metrics["accuracy"] == pytest.approx(right, abs=1e-12)


def test_a_version_is_measured_on_the_rows_it_keeps_and_everything_agrees(kept: World) -> None:
    one, other = kept.registry.remeasure([Reference("wine", 1), Reference("diabetes", 1)])
    assert one.found is not None
    assert not one.is_wrong
    assert one.found.is_as_registered
    assert one.found.metrics == kept.registry.snapshot.known_version(Reference("wine", 1)).metrics
    assert one.found.example == 3
    assert one.found.parities["onnx"].agreement == 1.0
    assert one.found.slices == kept.registry.snapshot.known_version(Reference("wine", 1)).slices
    assert other.found is not None
    assert set(other.found.metrics) == {"mae", "rmse", "r2"}
    assert other.found.notes == ("it has no input example",)


@pytest.mark.parametrize(("by", "is_wrong"), [(1e-10, False), (1e-6, True)])
def test_in_the_same_environment_a_claim_is_held_to_the_ninth_digit(world: World, by: float, is_wrong: bool) -> None:
    metrics = world.registry.snapshot.known_version(Reference("wine", 1)).metrics
    rewritten(world, "wine", metrics={**metrics, "accuracy": metrics["accuracy"] - by})
    (one,) = world.registry.remeasure([Reference("wine", 1)])
    assert one.is_wrong is is_wrong
    assert ("accuracy is registered as" in one.reason) is is_wrong


def test_in_another_environment_rounding_is_allowed_and_no_more() -> None:
    version = Version.model_validate(
        {
            "created": "2026-01-01T00:00:00Z", "author": {"name": "alice"}, "task": "binary-classification",
            "metrics": {"accuracy": 0.9, "roc_auc": 0.95, "mae": 10.0, "f1": 0.8, "mine": 0.5}, "claimed": ("f1", "mine"),
            "evaluation": {"sha256": "a" * 64, "target": "y"},
            "artifacts": ({"name": "m", "file": "m", "format": "skops", "size": 1, "md5": "0" * 32, "sha256": "0" * 64},),
        },
        strict=False,
    )  # fmt: skip
    data = EvaluationData(sha256="a" * 64, target="y", rows=5000)
    found = {"accuracy": 0.9019, "roc_auc": 0.9511, "mae": 10.00009, "f1": 0.81}
    far = {one.name: (one.is_far, one.is_claim) for one in differences(version, data, found)}
    assert far == {"accuracy": (False, False), "roc_auc": (True, False), "mae": (False, False), "f1": (True, True)}
    assert differences(version, data.model_copy(update={"sha256": "b" * 64}), found) == ()
    few = data.model_copy(update={"rows": 100})
    assert not {one.name: one for one in differences(version, few, found)}["f1"].is_far


def test_what_is_wrong_is_named_with_claimed_and_measured_values(world: World) -> None:
    version = world.registry.snapshot.known_version(Reference("wine", 1))
    rewritten(world, "wine", metrics={**version.metrics, "accuracy": 0.5})
    done = world.cli("verify", "wine@1", check=1)
    assert "✗ wine@1: accuracy is registered as 0.5 and measured as 1" in done.stdout
    told = json.loads(world.cli("verify", "wine@1", "--json", check=1).stdout)["measured"][0]
    assert told["wrong"] == ["accuracy is registered as 0.5 and measured as 1"]
    assert {"name": "accuracy", "registered": 0.5, "measured": 1.0, "is_far": True, "is_claim": False} in told[
        "differences"
    ]


def test_an_example_that_the_version_would_not_take_is_named(world: World) -> None:
    version = world.registry.snapshot.known_version(Reference("wine", 1))
    assert version.signature is not None
    first = version.signature.inputs[0].model_copy(update={"maximum": 13.2})
    narrow = version.signature.model_copy(update={"inputs": (first, *version.signature.inputs[1:])})
    rewritten(world, "wine", signature=narrow)
    (one,) = world.registry.remeasure([Reference("wine", 1)])
    assert one.is_wrong
    assert "alcohol" in one.reason


def test_a_conversion_that_does_not_agree_is_named(world: World) -> None:
    """The registered ONNX file is another model's."""
    other = make_pipeline(StandardScaler(), LogisticRegression(C=1e-5)).fit(WINE, CULTIVAR)
    made = world.registry.register("worse", other, X=WINE, y=CULTIVAR)
    swapped = next(a for a in made.version.artifacts if a.name == "onnx")
    version = world.registry.snapshot.known_version(Reference("wine", 1))
    rewritten(world, "wine", artifacts=tuple(swapped if a.name == "onnx" else a for a in version.artifacts))
    (one,) = world.registry.remeasure([Reference("wine", 1)])
    assert one.is_wrong
    assert "onnx agrees on" in one.reason


def test_groups_can_be_asked_for_later_and_are_pinned_with_the_data(world: World, tmp_path: Path) -> None:
    file = tmp_path / "holdout.csv"
    WINE.assign(cultivar=CULTIVAR, harvest=[1990 + n % 3 for n in range(len(WINE))]).to_csv(file, index=False)
    world.cli("evaluation", "set", "wine", str(file), "--target", "cultivar", "--slice-by", "harvest")
    told = world.cli("evaluate", "wine@1").stdout
    assert [line.split()[:2] for line in told.splitlines() if line.startswith("199")] == [
        ["1990", "60"], ["1991", "59"], ["1992", "59"],
    ]  # fmt: skip
    (recorded,) = json.loads(world.cli("show", "wine@1", "--json").stdout)["evaluations"]
    assert [group["value"] for group in recorded["slices"][0]["groups"]] == [1990, 1991, 1992]
    refused = world.cli("evaluate", "wine@1", "--slice-by", "vineyard", check=2)
    assert "there is no column 'vineyard' to group by" in refused.stderr


# ── the child process


def task(world: World, name: str = "wine") -> dict[str, Any]:
    version = world.registry.snapshot.known_version(Reference(name, 1))
    artifact = version.artifacts[0]
    file = world.registry.place.store().fetch(
        __import__("gitops_registry.workplace", fromlist=["digest_of"]).digest_of(artifact), "it"
    )
    return {
        "name": f"{name}@1",
        "model": {"format": "skops", "file": str(file), "sha256": artifact.sha256},
        "trust": {"types": [], "formats": []},
    }


@pytest.mark.usefixtures("real_child")
def test_the_child_has_no_environment_and_compares_the_digest_itself(
    kept: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    good, wrong = task(kept), task(kept)
    wrong["model"] = {**wrong["model"], "sha256": "0" * 64}
    missing = {**good, "model": {**good["model"], "file": str(tmp_path / "none.skops")}}
    found = cage.examine([good, wrong, missing])
    assert [one.error.partition(":")[0].partition(" ")[0] for one in found] == [
        "",
        Path(good["model"]["file"]).name,
        "it",
    ]
    assert "changed while it was looked at" in found[1].error
    assert "ghp_secret" not in json.dumps([one.error for one in found])


@pytest.mark.usefixtures("real_child")
def test_a_model_that_needs_too_much_memory_or_time_is_one_answer(kept: World, tmp_path: Path) -> None:
    good = task(kept)
    flood = LinearRegression().fit([[1.0]], [1.0])
    flood.coef_ = np.zeros(25_000_000)  # a file of some kilobytes, and 200 MB of numbers
    save(flood, tmp_path / "flood.skops")
    large = {
        **good,
        "model": {
            "format": "skops",
            "file": str(tmp_path / "flood.skops"),
            "sha256": sha256_of(tmp_path / "flood.skops"),
        },
    }
    starved, fed = cage.examine([large, good], limits=cage.Limits(memory=700 << 20))
    assert starved.error
    assert fed.error == ""
    hurried = cage.examine([good, good], limits=cage.Limits(wait=0))
    assert [one.error for one in hurried] == ["it took more than 0 s", "was not tried: all together took more than 0 s"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0  # limits are the child's alone


@pytest.mark.usefixtures("real_child")
def test_a_file_that_ends_the_child_is_one_answer_and_the_others_go_on(kept: World, tmp_path: Path) -> None:
    """A fifo is no file of anybody's: whoever reads it waits for ever."""
    good = task(kept)
    os.mkfifo(tmp_path / "model.skops")
    stuck = {**good, "model": {**good["model"], "file": str(tmp_path / "model.skops")}}
    found = cage.examine([good, stuck], limits=cage.Limits(wait=6))
    assert found[0].error == ""
    assert found[1].error == "it took more than 6 s"


def test_versions_are_told_apart_where_one_cannot_be_measured(world: World) -> None:
    rewritten(world, "diabetes", evaluation=None)
    one, other = remeasure(
        world.registry.place,
        world.registry.snapshot,
        [Reference("wine", 1), Reference("diabetes", 1)],
        Wish(keeps=True),
    )
    assert one.found is not None
    assert other.found is None
    assert "pins no evaluation data" in other.reason


# ── what can be registered


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 24), torch.nn.ReLU(), torch.nn.Linear(24, 10))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(pixels)
        return found


@cache
def trained_net() -> tuple[Net, pd.DataFrame, pd.Series]:
    digits, classes = load_digits(return_X_y=True, as_frame=True)
    digits = digits / 16
    torch.manual_seed(0)
    net = Net()
    step = torch.optim.Adam(net.parameters(), lr=0.02)
    inputs, truth = torch.tensor(digits.to_numpy(), dtype=torch.float32), torch.tensor(classes.to_numpy())
    for _ in range(60):
        step.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), truth).backward()
        step.step()
    return net, digits, classes.rename("digit")


def test_a_torch_module_is_registered_measured_converted_and_loaded(kept: World, tmp_path: Path) -> None:
    world = World(tmp_path / "world", template=kept.root)
    net, digits, classes = trained_net()
    words = [f"digit {n}" for n in range(10)]
    named = classes.map(lambda n: words[n])
    with pytest.raises(RegistryError, match="3 classes are named, and the model gives 10 scores"):
        world.registry.register("digits", net, X=digits[:50], y=named[:50], labels=words[:3])
    made = world.registry.register("digits", net, X=digits, y=named, keep_rows=True, labels=words)
    assert [a.format for a in made.version.artifacts] == ["torchscript", "onnx", "csv"]
    assert made.version.task == "multiclass-classification"
    assert made.version.classes is not None
    assert (made.version.classes.labels, made.version.classes.scores) == (tuple(words), "logits")
    assert made.version.confusion_matrix is not None
    assert set(made.version.confusion_matrix.labels) == set(words)
    right = float((net(torch.tensor(digits.to_numpy(), dtype=torch.float32)).argmax(1).numpy() == classes).mean())
    assert right > 0.9
    assert made.version.metrics["accuracy"] == pytest.approx(right)
    for form in ("onnx", "torchscript"):
        model = world.registry.load("digits@1", format=form)
        assert model.labels == words
        assert (model.predict(digits) == named).mean() == pytest.approx(right, abs=2e-3)
        chances = model.predict_proba(digits)
        assert chances is not None
        assert chances.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    (one,) = world.registry.remeasure([Reference("digits", 1)])
    assert not one.is_wrong, one.reason
    assert one.found is not None
    assert one.found.parities["onnx"].agreement >= 0.995


def test_scripts_of_torch_are_registered_by_the_command_line_and_numbers_are_their_classes(
    world: World, tmp_path: Path
) -> None:
    net, digits, classes = trained_net()
    scripted = tmp_path / "net.pt"
    torch.jit.save(torch.jit.script(net.eval()), scripted)
    file = tmp_path / "digits.csv"
    digits.assign(digit=classes).to_csv(file, index=False)
    given = ("--data", str(file), "--target", "digit", "--keep-data")
    assert "accuracy" in world.cli("register", "digits", str(scripted), *given).stdout
    version = world.registry.snapshot.known_version(Reference("digits", 1))
    assert version.classes is not None
    assert (version.classes.labels, version.classes.scores) == (tuple(range(10)), "logits")
    for artifact in version.artifacts:
        if artifact.format in {"onnx", "torchscript"}:
            assert world.registry.load("digits@1", format=artifact.format).labels == list(range(10))


@pytest.mark.usefixtures("real_child")
def test_a_program_of_torch_export_is_measured_again_where_no_file_can_be_written(world: World, tmp_path: Path) -> None:
    net, digits, classes = trained_net()
    pixels = torch.tensor(digits[:2].to_numpy(), dtype=torch.float32)
    program = tmp_path / "net.pt2"
    torch.export.save(
        torch.export.export(net.eval(), (pixels,), dynamic_shapes=({0: torch.export.Dim("rows")},)), program
    )
    file = tmp_path / "digits.csv"
    digits.assign(digit=classes).to_csv(file, index=False)
    world.cli("register", "digits", str(program), "--data", str(file), "--target", "digit", "--keep-data")
    (one,) = world.registry.remeasure([Reference("digits", 1)])
    assert one.found is not None, one.reason
    assert one.found.is_as_registered


MIXED = pd.DataFrame(
    {
        "age": [23.0, None, 41.0, 35.0, 52.0, 29.0, None, 60.0] * 10,
        "city": ["Rome", "Oslo", "Rome", "Bern", "Oslo", "Bern", "Rome", "Oslo"] * 10,
        "grade": pd.Categorical(["a", "b", "a", "c", "b", "c", "a", "b"] * 10, categories=["a", "b", "c"]),
        "visits": list(range(80)),
    }
)
REPAID = pd.Series(["no", "yes", "no", "yes", "yes", "no", "no", "yes"] * 10, name="repaid")


def test_a_table_of_strings_categories_and_missing_values_is_converted_and_judged(world: World) -> None:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "visits"]),
        (OneHotEncoder(handle_unknown="ignore"), ["city", "grade"]),
    )
    model = make_pipeline(columns, RandomForestClassifier(10, random_state=0)).fit(MIXED, REPAID)
    made = world.registry.register("loans", model, X=MIXED, y=REPAID, keep_rows=True, example=2, slices=["city"])
    assert made.version.signature is not None
    inputs = {column.name: column for column in made.version.signature.inputs}
    assert inputs["grade"].categories == ("a", "b", "c")
    assert not inputs["age"].required
    onnx = world.registry.load("loans@1", format="onnx")
    assert list(onnx.predict(MIXED)) == list(world.registry.load("loans@1", format="skops").predict(MIXED))
    with pytest.raises(RegistryError, match="grade"):
        onnx.predict(MIXED.assign(grade="z"))
    (one,) = world.registry.remeasure([Reference("loans", 1)])
    assert not one.is_wrong, one.reason


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=200)), "FunctionTransformer"),
        (VotingClassifier([("a", LogisticRegression(max_iter=200)), ("b", LogisticRegression(C=2, max_iter=200))],
                          voting="soft", flatten_transform=False), ""),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_said_in_one_line_and_registered_without(
    world: World, model: Any, said: str
) -> None:
    made = world.registry.register("odd", model.fit(WINE, CULTIVAR), X=WINE, y=CULTIVAR)
    formats = [a.format for a in made.version.artifacts]
    notes = [note for note in made.outcome.notes if note.startswith("no ONNX")]
    assert ("onnx" in formats) is not bool(notes)
    assert formats[0] == "skops"
    if said:
        (note,) = notes
        assert said in note
        assert "\n" not in note


def test_the_operator_set_can_be_chosen(world: World) -> None:
    import onnx

    made = world.registry.register(
        "old", LogisticRegression().fit(WINE[:60], CULTIVAR[:60]), X=WINE[:60], y=CULTIVAR[:60], onnx=15
    )
    path = world.registry.pull("old@1", to=world.root.parent / "out")[1]
    assert made.version.artifacts[1].format == "onnx"
    assert {one.domain: one.version for one in onnx.load(path).opset_import}[""] <= 15


def test_a_signature_that_somebody_wrote_is_kept_and_held_against_the_rows(world: World, tmp_path: Path) -> None:
    names = list(WINE.columns)
    written = Signature(inputs=tuple(Column(name=name, type="double", minimum=0) for name in names))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(WINE, CULTIVAR)
    made = world.registry.register("strict", model, X=WINE, y=CULTIVAR, signature=written)
    assert made.version.signature is not None
    assert made.version.signature.inputs == written.inputs
    assert [column.name for column in made.version.signature.outputs] == ["label", "probabilities"]
    with pytest.raises(RegistryError, match="alcohol"):
        world.registry.load("strict@1").predict(WINE.assign(alcohol=-1.0))
    file = tmp_path / "signature.yaml"
    file.write_text("kind: Signature\ninputs:\n- {name: alcohol, type: double, maximum: 13}\n")
    rows = tmp_path / "rows.csv"
    WINE.assign(cultivar=CULTIVAR).to_csv(rows, index=False)
    import skops.io

    skops.io.dump(model, tmp_path / "model.skops")
    given = ("--data", str(rows), "--target", "cultivar", "--signature", str(file))
    refused = world.cli("register", "strict", str(tmp_path / "model.skops"), *given, check=2)
    assert "the evaluation rows do not fit the signature" in refused.stderr


def test_parameters_of_prediction_are_those_of_the_signature(world: World) -> None:
    rows, truth = WINE[:40], WINE["hue"][:40]
    inputs = tuple(Column(name=name, type="double") for name in WINE.columns)
    known = (Parameter(name="return_std", type="boolean", default=False),)
    model = BayesianRidge().fit(rows, truth)
    world.registry.register("hue", model, X=rows, y=truth, signature=Signature(inputs=inputs, parameters=known))
    loaded = world.registry.load("hue@1", format="skops")
    assert loaded.predict(rows).shape == (40,)
    assert loaded.predict(rows, parameters={"return_std": True}).shape == (2, 40)
    with pytest.raises(RegistryError, match=r"'return_cov' is none that the model knows; .*must be boolean"):
        loaded.predict(rows, parameters={"return_cov": True, "return_std": 3})
    with pytest.raises(RegistryError, match="is none that the model knows"):
        world.registry.load("wine@1", format="onnx").predict(WINE, parameters={"threshold": 0.5})


def test_a_folder_that_nothing_here_opens_is_told_and_is_no_false_claim(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  tensorflow: {data: data}\n")
    world.cli("register", "wine", str(folder), "--metric", "accuracy=0.9")
    rows = tmp_path / "holdout.csv"
    WINE.assign(cultivar=CULTIVAR).to_csv(rows, index=False)
    world.cli("evaluation", "set", "wine", str(rows), "--target", "cultivar")
    one, other = world.registry.remeasure([Reference("wine", 2), Reference("wine", 1)])[:2]
    assert (one.found, one.is_wrong) == (None, False)
    assert "cannot be opened safely here" in one.reason
    assert other.found is not None
