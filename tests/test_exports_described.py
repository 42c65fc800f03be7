"""A version described to others: the Hub's folder, a bill of materials, a signature, and files of its environment.

One small model is trained for all of them, and each is read back by the library of whoever it is for.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from packaging.pylock import Pylock
from packaging.requirements import Requirement

from gitops_registry import locking
from gitops_registry.card.content import card_content
from gitops_registry.card.rendering import MARKDOWN, stamped
from gitops_registry.environment import capture
from gitops_registry.errors import RegistryError
from gitops_registry.exports import cyclonedx, huggingface, sigstore
from gitops_registry.exports.addresses import public
from gitops_registry.exports.requirements import write_conda, write_pylock, write_requirements
from gitops_registry.exports.subject import Subject
from gitops_registry.manifest.columns import Column, Signature
from gitops_registry.manifest.facts import (
    Artifact,
    Code,
    Environment,
    Evaluation,
    EvaluationData,
    Framework,
    Lineage,
    Person,
    Training,
    Version,
)
from gitops_registry.manifest.figures import Group, Slice
from gitops_registry.manifest.kinds import Card
from gitops_registry.printing import Job, printed
from gitops_registry.printing.templates import packaged
from gitops_registry.reference import Reference

CREATED = datetime(2026, 11, 22, 10, tzinfo=UTC)
ALICE = Person(name="Alice", email="alice@example.com")


def measured(path: Path, name: str, form: str, **more: Any) -> Artifact:
    data = path.read_bytes()
    return Artifact(
        name=name, file=path.name, format=form, size=len(data), md5="0" * 32, sha256=sha256(data).hexdigest(), **more
    )


def _card(reference: Reference, version: Version, words: Card) -> str:
    (text,) = printed(MARKDOWN, packaged("en"), [Job(card_content(reference, version, words))])
    return stamped(str(text), packaged("en")).decode()


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A forest of two trees as skops and ONNX, with everything that a version can say."""
    import pandas
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    from gitops_registry.formats import onnx, sklearn

    folder = tmp_path_factory.mktemp("model")
    rows, truth = load_iris(return_X_y=True, as_frame=True)
    rows.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert isinstance(rows, pandas.DataFrame)
    forest = RandomForestClassifier(n_estimators=2, random_state=0).fit(rows, truth)
    sklearn.save(forest, folder / "model.skops")
    onnx.convert(forest, folder / "model.onnx", sample=rows)
    evaluation = EvaluationData(dataset="holdout", rows=150, target="species", sha256="e" * 64)
    version = Version(
        release="1.2.0", created=CREATED, author=ALICE, task="multiclass-classification",
        model_type="RandomForestClassifier", framework=Framework(name="scikit-learn", version="1.9.1"),
        params={"n_estimators": 2, "max_depth": None}, metrics={"accuracy": 0.96, "f1": 0.95, "cost": 3.5},
        claimed=("cost",), evaluation=evaluation,
        slices=(Slice(column="garden", groups=(Group(value="north", rows=90, metrics={"accuracy": 0.9}), Group(value=None, rows=60, metrics={"accuracy": 0.99}))),),
        training=Training(dataset="gardens", rows=600, features=4, data_sha256="d" * 64,
                          code=Code(repository="git@example.com:team/code.git", commit="c" * 40, dirty=True)),
        signature=Signature(
            inputs=tuple(Column(name=name, type="double", required=name != "petal_width") for name in rows.columns),
            outputs=(Column(name="label", type="long"), Column(name="probabilities", type="double", shape=(-1, 3))),
        ),
        artifacts=(measured(folder / "model.skops", "model", "skops"), measured(folder / "model.onnx", "onnx", "onnx", derived_from="model")),
        environment=capture(["sklearn", "skops", "numpy", "onnxruntime"]),
        lineage=Lineage(parents=("iris@2",), run="mlflow:abc"),
    )  # fmt: skip
    words = Card(
        description="Tells irises apart.", intended_use="Gardens.", out_of_scope="Tulips.", limitations="Three kinds.",
        training_data="Fisher's.", ethical_considerations="None that we know.", license="Apache-2.0",
        tags={"domain": "botany"},
    )  # fmt: skip
    later = Evaluation(
        created=datetime(2026, 12, 1, tzinfo=UTC), author=ALICE, metrics={"accuracy": 0.91},
        dataset=EvaluationData(dataset="december", rows=40, sha256="f" * 64),
    )  # fmt: skip
    reference = Reference("iris", 3)
    return Subject(
        reference, version, words,
        card_text=_card(reference, version, words),
        files={"model": folder / "model.skops", "onnx": folder / "model.onnx"}, title="Irises",
        home="https://alice:hunter2@example.com/team/registry.git", commit="a" * 40, evaluations=(later,),
    )  # fmt: skip


def saying(subject: Subject, words: dict[str, Any] | None = None, **facts: Any) -> Subject:
    """The same version, but for some words and facts."""
    return replace(
        subject, version=subject.version.model_copy(update=facts), card=subject.card.model_copy(update=words or {})
    )


# ── the Hugging Face Hub


def loaded(folder: Path) -> Any:
    from huggingface_hub import ModelCard

    return ModelCard.load(folder / "README.md")


def test_the_hub_reads_what_the_model_is_from_the_front_matter(subject: Subject, tmp_path: Path) -> None:
    written = huggingface.write(subject, tmp_path / "hub")
    data = loaded(written.path).data
    assert (data.library_name, data.pipeline_tag) == ("sklearn", "tabular-classification")
    assert (data.license, data.language) == ("apache-2.0", "en")
    assert data.tags == ["sklearn", "skops", "onnx", "tabular-classification", "gitops-registry", "domain:botany"]
    assert (data.model_format, data.model_file) == ("skops", "model.skops")
    assert loaded(written.path).text.strip() == subject.card_text.strip()


def test_the_hub_reads_each_result_with_its_data_its_group_and_that_nobody_verified_it(
    subject: Subject, tmp_path: Path
) -> None:
    data = loaded(huggingface.write(subject, tmp_path / "hub").path).data
    assert data.model_name == "iris"
    found = {(r.dataset_name, r.metric_type, r.metric_name): r for r in data.eval_results}
    assert {key: result.metric_value for key, result in found.items()} == {
        ("holdout", "accuracy", "accuracy"): 0.96,
        ("holdout", "f1", "f1"): 0.95,
        ('holdout (garden="north")', "accuracy", "accuracy"): 0.9,
        ("holdout (garden=null)", "accuracy", "accuracy"): 0.99,
        ("not said (claimed)", "cost", "cost (claimed)"): 3.5,
        ("december (2026-12-01)", "accuracy", "accuracy"): 0.91,
    }
    assert {r.verified for r in data.eval_results} == {False}
    assert {(r.task_type, r.dataset_type) for r in data.eval_results} == {("tabular-classification", "tabular")}
    assert found["holdout", "f1", "f1"].dataset_revision == "e" * 64
    assert found['holdout (garden="north")', "accuracy", "accuracy"].dataset_args == {"garden": "north"}
    written_again = yaml.safe_load(data.to_yaml())
    assert len(written_again["model-index"][0]["results"]) == 5


def test_the_hub_s_folder_has_the_files_unchanged_and_says_which_one_skops_opens(
    subject: Subject, tmp_path: Path
) -> None:
    folder = huggingface.write(subject, tmp_path / "hub").path
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.onnx", "model.skops"]
    for artifact in subject.version.artifacts:
        assert sha256((folder / artifact.file).read_bytes()).hexdigest() == artifact.sha256
    config = json.loads((folder / "config.json").read_text())["sklearn"]
    assert config["model"] == {"file": "model.skops"}
    assert config["columns"] == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert (config["model_format"], config["task"]) == ("skops", "tabular-classification")
    assert "scikit-learn=1.9.1" in config["environment"]


def test_no_text_of_anybody_becomes_a_key_of_the_front_matter(subject: Subject, tmp_path: Path) -> None:
    attack = "x\n---\nlicense: mit\ninference: true\n'\"]}: &a *a !!python/object:os.system \u2028\u0085"
    evil = saying(
        subject, {"license": attack, "tags": {"a": attack, "b": ""}}, metrics={attack: 1.0}, claimed=(), slices=(),
        evaluation=EvaluationData(dataset=attack),
    )  # fmt: skip
    folder = huggingface.write(replace(evil, title=attack), tmp_path / "hub").path
    front, body = (folder / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)
    data = yaml.safe_load(front)
    assert set(data) == {
        "language", "license", "license_name", "library_name", "pipeline_tag", "tags", "model_format", "model_file", "model-index",
    }  # fmt: skip
    assert data["license"] == "other"
    assert body.strip() == subject.card_text.strip()
    assert loaded(folder).data.eval_results[0].metric_value == 1.0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("MIT", {"license": "mit"}),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}),
        ("MIT OR Apache-2.0", {"license": "other", "license_name": "MIT OR Apache-2.0"}),
        ("for us alone", {"license": "other", "license_name": "for us alone"}),
        ("", {}),
    ],
)
def test_a_licence_is_the_hub_s_own_name_of_it_or_another_one(
    said: str, expected: dict[str, str], subject: Subject, tmp_path: Path
) -> None:
    written = huggingface.write(saying(subject, {"license": said}), tmp_path / "hub")
    front = yaml.safe_load((written.path / "README.md").read_text().split("\n---\n")[0])
    assert {key: front[key] for key in front if key.startswith("license")} == expected
    assert any("no licence" in note for note in written.notes) == (said == "")


def test_the_language_is_that_of_the_words_or_the_one_that_was_asked_for(subject: Subject, tmp_path: Path) -> None:
    japanese = saying(subject, {"description": "アヤメを分類します。"})
    assert loaded(huggingface.write(japanese, tmp_path / "one").path).data.language == "ja"
    asked = replace(japanese, options={"language": "fr"})
    assert loaded(huggingface.write(asked, tmp_path / "two").path).data.language == "fr"


def test_a_graph_of_tensors_is_of_the_onnx_library_and_of_no_task_of_tables(subject: Subject, tmp_path: Path) -> None:
    only = subject.version.artifacts[1].model_copy(update={"derived_from": None})
    image = Signature(inputs=(Column(name="image", type="float", shape=(-1, 3, 8, 8)),))
    written = huggingface.write(saying(subject, artifacts=(only,), signature=image), tmp_path / "hub")
    data = loaded(written.path).data
    assert (data.library_name, data.pipeline_tag) == ("onnx", None)
    assert not (written.path / "config.json").exists()
    assert any("no task" in note for note in written.notes)


def test_an_artifact_that_would_take_the_place_of_the_card_is_refused_and_nothing_is_left(
    subject: Subject, tmp_path: Path
) -> None:
    named = subject.version.artifacts[0].model_copy(update={"file": "readme.MD"})
    with pytest.raises(RegistryError, match="whose name this export needs"):
        huggingface.write(saying(subject, artifacts=(named,)), tmp_path / "hub")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_never_written_over(subject: Subject, tmp_path: Path) -> None:
    for write, name in ((huggingface.write, "hub"), (cyclonedx.write, "bom.json"), (write_conda, "environment.yml")):
        (tmp_path / name).write_text("mine")
        with pytest.raises(RegistryError, match="is there already"):
            write(subject, tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"


# ── CycloneDX


def bill(subject: Subject, target: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cyclonedx.write(subject, target).path.read_text(encoding="utf-8"))
    return found


def test_a_bill_of_materials_is_valid_and_the_same_each_time(subject: Subject, tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    written = cyclonedx.write(subject, tmp_path / "one.cdx.json")
    text = written.path.read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert cyclonedx.write(subject, tmp_path / "two.cdx.json").path.read_bytes() == written.path.read_bytes()
    said = json.loads(text)
    assert said["metadata"]["timestamp"] == "2026-11-22T10:00:00Z"
    assert not any("was not checked" in note for note in written.notes)
    moved_on = cyclonedx.write(replace(subject, commit="b" * 40), tmp_path / "later.cdx.json")
    assert moved_on.path.read_bytes() == written.path.read_bytes()
    other = bill(saying(subject, {"limitations": "More."}), tmp_path / "three.cdx.json")
    assert other["serialNumber"] != said["serialNumber"]


def test_the_bill_names_the_model_its_files_its_packages_and_where_it_is_from(subject: Subject, tmp_path: Path) -> None:
    said = bill(subject, tmp_path / "bom.json")
    model = said["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "iris", "1.2.0")
    assert model["licenses"] == [{"expression": "Apache-2.0"}]
    assert model["authors"] == [{"name": "Alice", "email": "alice@example.com"}]
    assert {one["name"]: one["hashes"][0]["content"] for one in model["components"]} == {
        artifact.file: artifact.sha256 for artifact in subject.version.artifacts
    }
    purls = [one["purl"] for one in said["components"]]
    assert "pkg:pypi/scikit-learn@1.9.1" in purls
    assert said["dependencies"][0] == {"ref": "model:iris@3", "dependsOn": purls}
    assert [one["url"] for one in model["externalReferences"]] == [
        "https://example.com/team/registry.git", "ssh://git@example.com/team/code.git",
    ]  # fmt: skip
    assert "hunter2" not in json.dumps(said)
    assert model["pedigree"]["ancestors"] == [{"type": "machine-learning-model", "name": "iris", "version": "2"}]


def test_the_bill_holds_the_model_card_with_metrics_by_group_and_what_to_consider(
    subject: Subject, tmp_path: Path
) -> None:
    inner = bill(subject, tmp_path / "bom.json")["metadata"]["component"]["modelCard"]
    parameters = inner["modelParameters"]
    assert (parameters["task"], parameters["architectureFamily"]) == ("multiclass-classification", "random forest")
    assert parameters["modelArchitecture"] == "RandomForestClassifier"
    assert [one["name"] for one in parameters["datasets"]] == ["gardens", "holdout", "december"]
    assert parameters["inputs"][-1] == {"format": "petal_width: double, optional"}
    assert parameters["outputs"][-1] == {"format": "probabilities: double [-1, 3]"}
    metrics = [
        (one["type"], one["value"], one.get("slice")) for one in inner["quantitativeAnalysis"]["performanceMetrics"]
    ]
    assert metrics == [
        ("accuracy", "0.96", None), ("f1", "0.95", None), ("cost", "3.5", None), ("accuracy", "0.9", 'garden="north"'),
        ("accuracy", "0.99", "garden=null"), ("accuracy", "0.91", "december on 2026-12-01"),
    ]  # fmt: skip
    assert inner["considerations"] == {
        "useCases": ["Gardens."], "technicalLimitations": ["Three kinds.", "Out of scope: Tulips."],
        "ethicalConsiderations": [{"name": "None that we know."}],
    }  # fmt: skip
    assert {"name": "gitops-registry:claimed-metrics", "value": "cost"} in inner["properties"]


def test_the_least_that_a_version_can_say_makes_a_valid_bill_and_a_folder_lists_its_files(
    subject: Subject, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/weights.bin").write_bytes(b"weights")
    whole = Artifact(
        name="model", file="model", format="folder", size=7, files=1, md5="0" * 32 + ".dir", sha256="9" * 64
    )
    least = Version(created=CREATED, author=Person(name="Bob", email="not an address"), artifacts=(whole,))
    said = bill(
        Subject(Reference("least", 1), least, Card(license="our own"), "", {"model": folder}), tmp_path / "b.json"
    )
    model = said["metadata"]["component"]
    assert model["authors"] == [{"name": "Bob"}]
    assert model["licenses"] == [{"license": {"name": "our own"}}]
    (inner,) = model["components"][0]["components"]
    assert (inner["name"], inner["hashes"][0]["content"]) == ("inner/weights.bin", sha256(b"weights").hexdigest())
    assert "hashes" not in model["components"][0]


def test_a_bill_is_written_without_the_library_and_says_that_nobody_checked_it(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cyclonedx.validation.json", None)
    notes = cyclonedx.write(subject, tmp_path / "bom.json").notes
    assert any("was not checked" in note and "gitops-registry[sbom]" in note for note in notes)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://alice:hunter2@example.com:8443/a.git", "https://example.com:8443/a.git"),
        ("https://token@example.com/a?private=1", "https://example.com/a"),
        ("bob@example.com:group/a b.git", ""),
        ("git@example.com:group/a.git", "ssh://git@example.com/group/a.git"),
        ("ssh://alice@[::1]:22/a", "ssh://git@[::1]:22/a"),
        ("/home/alice/registry", ""),
        ("file:///home/alice/registry", ""),
        ("https://exa mple.com/x", ""),
        ("https://example.com:port/x", ""),
        ("", ""),
    ],
)
def test_an_address_is_told_without_secrets_and_a_folder_is_not_told(address: str, expected: str) -> None:
    assert public(address) == expected


# ── model signing


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of keys: of a curve that model signing takes, of one that it does not, and one behind a passphrase."""
    from cryptography.hazmat.primitives import serialization as spelt
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    folder = tmp_path_factory.mktemp("keys")
    key = ec.generate_private_key(ec.SECP256R1())
    locked = spelt.BestAvailableEncryption(b"hunter2")
    for name, one, how in (
        ("good", key, spelt.NoEncryption()), ("locked", key, locked), ("curve", ec.generate_private_key(ec.SECP256K1()), spelt.NoEncryption()),
        ("edwards", ed25519.Ed25519PrivateKey.generate(), spelt.NoEncryption()),
    ):  # fmt: skip
        file = folder / f"{name}.pem"
        file.touch(mode=0o600)
        file.write_bytes(one.private_bytes(spelt.Encoding.PEM, spelt.PrivateFormat.PKCS8, how))
    public_half = key.public_key().public_bytes(spelt.Encoding.PEM, spelt.PublicFormat.SubjectPublicKeyInfo)
    (folder / "public.pem").write_bytes(public_half)
    return folder


def verify(folder: Path, keys: Path) -> tuple[int, str]:
    """Ask model signing's own command, with nothing of ours between."""
    from model_signing._cli import main

    done = CliRunner().invoke(
        main, ["verify", "key", str(folder), "--signature", str(folder / "model.sig"), "--public_key", str(keys / "public.pem")]
    )  # fmt: skip
    return done.exit_code, done.output


def test_model_signing_accepts_the_folder_and_refuses_it_after_any_change(
    subject: Subject, keys: Path, tmp_path: Path
) -> None:
    written = sigstore.write(replace(subject, options={"key": str(keys / "good.pem")}), tmp_path / "signed")
    folder = written.path
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "model.sig", "model.skops"]
    assert verify(folder, keys) == (0, "Verification succeeded\n")
    assert not any("can read" in note for note in written.notes)
    good = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(bytes([good[0] ^ 1]) + good[1:])
    assert verify(folder, keys)[0] == 1
    (folder / "model.onnx").write_bytes(good)
    assert verify(folder, keys)[0] == 0
    (folder / "more.txt").write_text("slipped in")
    assert verify(folder, keys)[0] == 1


def test_a_folder_of_a_version_is_signed_file_by_file(subject: Subject, keys: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner/.gitattributes").write_text("a")
    whole = Artifact(
        name="model", file="model", format="folder", size=1, files=1, md5="0" * 32 + ".dir", sha256="9" * 64
    )
    one = replace(saying(subject, artifacts=(whole,)), files={"model": source}, options={"key": str(keys / "good.pem")})
    folder = sigstore.write(one, tmp_path / "signed").path
    assert verify(folder, keys)[0] == 0
    (folder / "model/inner/.gitattributes").write_text("b")
    assert verify(folder, keys)[0] == 1


def test_without_a_key_one_line_says_how_to_make_one_and_give_it(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="needs a private key") as caught:
        sigstore.write(subject, tmp_path / "signed")
    assert "openssl ecparam" in caught.value.hint
    assert "--key signing.pem" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "why"), [("locked", "passphrase"), ("curve", "on a curve"), ("edwards", "on a curve"), ("public", "no private key"), ("none", "there is no")]
)  # fmt: skip
def test_another_key_is_refused_in_a_line_and_nothing_is_written(
    name: str, why: str, subject: Subject, keys: Path, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match=why) as caught:
        sigstore.write(replace(subject, options={"key": str(keys / f"{name}.pem")}), tmp_path / "signed")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_key_is_told_however_broken_it_is(subject: Subject, keys: Path, tmp_path: Path) -> None:
    good = (keys / "good.pem").read_text().splitlines()
    secret = good[1]
    for text in (f"{good[0]}\n{secret}\n", secret, f"{good[0]}\n{secret}\n{secret}\n{good[-1]}\n"):
        (tmp_path / "broken.pem").write_text(text)
        with pytest.raises(RegistryError) as caught:
            sigstore.write(replace(subject, options={"key": str(tmp_path / "broken.pem")}), tmp_path / "signed")
        error: BaseException | None = caught.value
        assert secret not in f"{caught.value}{caught.value.hint}{getattr(error, '__notes__', '')}"
        assert error is not None
        assert error.__cause__ is None


def test_a_key_that_others_can_read_is_told(subject: Subject, keys: Path, tmp_path: Path) -> None:
    open_to_all = tmp_path / "key.pem"
    open_to_all.write_bytes((keys / "good.pem").read_bytes())
    open_to_all.chmod(0o644)
    written = sigstore.write(replace(subject, options={"key": str(open_to_all)}), tmp_path / "signed")
    assert any("chmod 600" in note for note in written.notes)


# ── environments


def test_requirements_are_pins_under_lines_that_say_which_model_they_are_for(subject: Subject, tmp_path: Path) -> None:
    text = write_requirements(subject, tmp_path / "requirements.txt").path.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [str(Requirement(line)) for line in lines] == list(subject.version.environment.requirements)
    assert text.startswith("# iris@3, release 1.2.0\n")
    for artifact in subject.version.artifacts:
        assert f"# {artifact.file} sha256:{artifact.sha256}\n" in text


def test_conda_s_file_names_python_and_the_pins_for_pip(subject: Subject, tmp_path: Path) -> None:
    said = yaml.safe_load(write_conda(subject, tmp_path / "environment.yml").path.read_text())
    python, pip, packages = said["dependencies"]
    environment = subject.version.environment
    assert environment is not None
    assert (said["name"], said["channels"], python, pip) == (
        "iris-3",
        ["conda-forge"],
        f"python={environment.python}",
        "pip",
    )
    assert [str(Requirement(line)) for line in packages["pip"]] == list(environment.requirements)


def test_no_line_of_a_version_becomes_an_option_of_an_installer_or_another_line(
    subject: Subject, tmp_path: Path
) -> None:
    evil = Environment(
        python="3.11.7\nevil", platform="linux\nevil-package", requirements=(
            "--index-url https://example.com/simple", "-r /etc/passwd", "numpy==2.4.6\nevil==1", "evil @ file:///home/alice/evil",
            "numpy==2.4.6", "mine==1.0+local", "torch==2.13.0+cpu", "our @ git+https://example.com/our@" + "a" * 40,
        ),
    )  # fmt: skip
    written = write_requirements(saying(subject, environment=evil), tmp_path / "requirements.txt")
    lines = [line for line in written.path.read_text().splitlines() if not line.startswith("#")]
    assert lines == [
        "numpy==2.4.6",
        "mine==1.0+local",
        "torch==2.13.0+cpu",
        f"our @ git+https://example.com/our@{'a' * 40}",
    ]
    told = "\n".join(written.notes)
    assert told.count("left out") == 4
    assert "mine was installed from a folder" in told
    assert "serves +cpu" in told
    conda = yaml.safe_load(
        write_conda(saying(subject, environment=evil), tmp_path / "environment.yml").path.read_text()
    )
    assert conda["dependencies"] == ["python", "pip", {"pip": lines}]


def test_a_version_that_names_no_packages_has_no_environment_to_export(subject: Subject, tmp_path: Path) -> None:
    for write in (write_requirements, write_conda, write_pylock):
        with pytest.raises(RegistryError, match="names no packages"):
            write(saying(subject, environment=None), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package index of two small packages in a folder: `outer` needs `inner`."""
    return folder_of_wheels(tmp_path_factory.mktemp("index"))


def folder_of_wheels(folder: Path) -> Path:
    import zipfile

    for name, needs in (("outer", "Requires-Dist: inner>=1\n"), ("inner", "")):
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            about = f"{name}-1.0.dist-info"
            wheel.writestr(f"{name}.py", "")
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    return folder


@pytest.fixture
def cut_off(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip's own settings, which name that folder and no index on a network, and none of uv's."""
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    settings = tmp_path / "settings/pip.conf"
    settings.parent.mkdir()
    settings.write_text(f"[global]\nno-index = true\nfind-links = {index}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GH_TOKEN", "ghp_secret")
    return tmp_path


def test_a_lock_holds_what_the_packages_need_with_hashes_from_where_pip_is_set_to_look(
    subject: Subject, index: Path, cut_off: Path
) -> None:
    needs = Environment(python="3.11.7", platform="linux-x86_64", requirements=("outer==1.0",))
    written = write_pylock(saying(subject, environment=needs), cut_off / "pylock.toml")
    locked = Pylock.from_dict(tomllib.loads(written.path.read_text()))
    assert [package.name for package, _ in locked.select()] == ["inner", "outer"]
    hashes = {package.name: package.wheels[0].hashes["sha256"] for package in locked.packages if package.wheels}
    assert hashes == {
        name: sha256((index / f"{name}-1.0-py3-none-any.whl").read_bytes()).hexdigest() for name in hashes
    }
    assert any("folders of this machine" in note for note in written.notes)


@pytest.mark.parametrize(
    ("line", "python", "why"),
    [
        ("outer==2.0", "3.11.7", "found no way to lock"),
        ("outer @ git+https://example.com/outer@main", "3.11.7", "to lock it would be to run its code"),
        ("-r /etc/passwd", "3.11.7", "names no package"),
        ("outer==1.0", "unknown", "no Python"),
    ],
)
def test_what_cannot_be_locked_is_one_line(line: str, python: str, why: str, cut_off: Path) -> None:
    with pytest.raises(RegistryError, match=why) as caught:
        locking.lock([line], python=python)
    assert "\n" not in str(caught.value)


def test_a_package_that_would_have_to_be_built_is_not_locked_and_none_of_its_code_runs(
    index: Path, cut_off: Path
) -> None:
    import io
    import tarfile

    backend = f"open({str(cut_off / 'ran')!r}, 'w').close()"
    with tarfile.open(index / "trap-1.0.tar.gz", "w:gz") as archive:
        for name, text in (
            ("PKG-INFO", "Metadata-Version: 2.1\nName: trap\nVersion: 1.0\n"),
            ("pyproject.toml", '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'),
            ("backend.py", backend),
        ):
            entry = tarfile.TarInfo(f"trap-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    with pytest.raises(RegistryError, match="found no way to lock"):
        locking.lock(["trap==1.0"], python="3.11.7")
    assert not (cut_off / "ran").exists()


def test_settings_in_a_folder_above_the_resolver_s_own_are_not_read(
    cut_off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    (cut_off / "uv.toml").write_text('find-links = ["/nowhere"]\nno-such-setting = true\n')
    monkeypatch.setattr(tempfile, "tempdir", str(cut_off))
    assert b"inner" in locking.lock(["outer==1.0"], python="3.11.7")


def test_a_lock_from_an_index_behind_a_password_does_not_hold_it(
    index: Path, cut_off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import base64
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Guarded(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.path.strip("/").split("/")[-1]
            wheel = index / f"{asked}-1.0-py3-none-any.whl"
            known = f"Basic {base64.b64encode(b'alice:hunter2').decode()}"
            status = 401 if self.headers.get("Authorization") != known else 200
            digest = sha256(wheel.read_bytes()).hexdigest() if wheel.exists() else ""
            page = f'<a href="/files/{wheel.name}#sha256={digest}">{wheel.name}</a>'.encode()
            if "/files/" in self.path:
                page = (index / asked).read_bytes()
            self.send_response(status)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Type", "text/html" if "/files/" not in self.path else "application/octet-stream")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(page)

        do_HEAD = do_GET  # noqa: N815 - the server calls it so

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://alice:hunter2@127.0.0.1:{server.server_port}/simple"
        (cut_off / "settings/pip.conf").write_text(f"[global]\nindex-url = {place}\n")
        text = locking.lock(["outer==1.0"], python="3.11.7").decode()
        server.shutdown()
    assert f"http://127.0.0.1:{server.server_port}/files/inner-1.0" in text
    assert "hunter2" not in text
    assert "alice" not in text


def test_names_and_passwords_of_an_index_are_in_no_lock_and_no_error(
    cut_off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://alice:hunter2@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(RegistryError) as caught:
        locking.lock(["outer==1.0"], python="3.11.7")
    assert "hunter2" not in str(caught.value) + str(caught.value.hint)


def test_the_resolver_sees_no_secret_of_the_environment_and_the_indexes_that_pip_is_set_to(
    cut_off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shlex
    import sys

    programs, seen = cut_off / "bin", cut_off / "seen"
    programs.mkdir()
    for name, text in (
        ("python", f'exec {shlex.quote(sys.executable)} "$@"'),
        ("uv", f"env >{shlex.quote(str(seen))}; exit 1"),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.setenv("UV_PUBLISH_TOKEN", "pypi-secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret")
    (cut_off / "settings/pip.conf").write_text(
        "[global]\nindex-url = https://example.com/simple\nextra-index-url = https://example.com/a https://example.com/b\n"
        "[install]\nindex-url = https://example.org/simple\n"
    )
    with pytest.raises(RegistryError, match="it did not say why"):
        locking.lock(["outer==1.0"], python="3.11.7")
    environ = dict(line.split("=", 1) for line in seen.read_text().splitlines() if "=" in line)
    assert "secret" not in seen.read_text()
    assert environ["UV_DEFAULT_INDEX"] == "https://example.org/simple"
    assert environ["UV_INDEX"] == "https://example.com/a https://example.com/b"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://example.net/simple")
    with pytest.raises(RegistryError):
        locking.lock(["outer==1.0"], python="3.11.7")
    assert "UV_DEFAULT_INDEX=https://example.net/simple" in seen.read_text().splitlines()


def test_without_a_resolver_one_line_says_which_extra_brings_one(
    cut_off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(cut_off / "bin/python"))
    monkeypatch.setenv("PATH", str(cut_off))
    monkeypatch.setattr(locking, "_PIP_LOCKS_SINCE", locking.Version("9999"))
    with pytest.raises(RegistryError, match="nothing here can lock packages") as caught:
        locking.lock(["outer==1.0"], python="3.11.7")
    assert "gitops-registry[lock]" in caught.value.hint


@pytest.mark.parametrize("module", [cyclonedx, huggingface, sigstore, locking])
def test_no_export_loads_the_library_of_its_target_before_it_writes(module: ModuleType) -> None:
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    heavy = ("cyclonedx", "model_signing", "huggingface_hub", "yaml")
    assert not [
        line
        for line in text.splitlines()
        if line.startswith(tuple(f"{how} {name}" for name in heavy for how in ("import", "from")))
    ]
