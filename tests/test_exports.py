"""Exports that serve: what another system reads answers as the registry's own model does, and nothing is half-written."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from builder import World
from google.protobuf import text_format
from jsonschema import Draft202012Validator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gitops_registry.appraisal import Handling, Rows
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.exporting import targets
from gitops_registry.exports import bentoml, mlflow, openinference
from gitops_registry.exports.carrying import carried
from gitops_registry.exports.standalone import ExportedModel
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.formats.loaded import Unreviewed
from gitops_registry.manifest.columns import Parameter, Signature
from gitops_registry.manifest.facts import Artifact
from gitops_registry.manifest.kinds import Card
from gitops_registry.reference import Reference
from gitops_registry.registering import Submission, register

SOME = np.random.default_rng(0)
ROWS = 60
NUMBERS = pd.DataFrame(SOME.normal(size=(ROWS, 3)), columns=["mean radius", "是", "v3"])
MIXED = pd.DataFrame(
    {
        "age": SOME.integers(18, 80, ROWS),
        "income": SOME.normal(50, 9, ROWS).round(2),
        "city": np.where(SOME.random(ROWS) > 0.5, "東京", "Köln"),
    }
)


@pytest.fixture(scope="module")
def world(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """forest: a classifier of numbers; mixed: one of text and numbers with labels of text; line: a regressor, skops alone."""
    world = World(tmp_path_factory.mktemp("exports") / "world", template=template)
    registry = world.registry
    truth = (NUMBERS["v3"] > 0).astype(int)
    registry.register("forest", RandomForestClassifier(3, max_depth=3, random_state=0).fit(NUMBERS, truth), X=NUMBERS, y=truth)  # fmt: skip
    paid = np.where(MIXED["income"] > 50, "yes", "no")
    columns = ColumnTransformer([("n", "passthrough", ["age", "income"]), ("t", OneHotEncoder(handle_unknown="ignore"), ["city"])])  # fmt: skip
    registry.register("mixed", make_pipeline(columns, LogisticRegression(max_iter=500)).fit(MIXED, paid), X=MIXED, y=paid)  # fmt: skip
    line = LinearRegression().fit(NUMBERS, NUMBERS["v3"] * 2)
    rows = Rows(NUMBERS, NUMBERS["v3"] * 2)
    register(registry.place, "line", line, rows=rows, submission=Submission(how=Handling(onnx=False)))
    return world


def subject(world: World, name: str, folder: Path, **changes: Any) -> Subject:
    """Return what an exporter is given of a version; `changes` are fields of its version.yaml."""
    registry = world.registry
    reference = Reference(name, 1)
    version = registry.snapshot.known_version(reference)
    registry.pull(name, 1, to=folder)
    files = {artifact.name: folder / artifact.file for artifact in version.artifacts}
    return Subject(
        reference, version.model_copy(update=changes), Card(), f"# {name}\n", files, commit=registry.place.commit()
    )


TABLES = {"forest": NUMBERS, "mixed": MIXED, "line": NUMBERS}
PIXELS = pd.DataFrame(SOME.random((ROWS, 16)).round(4), columns=[f"p{n}" for n in range(16)])
BRIGHT = (PIXELS.mean(axis=1) > 0.5).astype(int)
PICTURES = PIXELS.to_numpy(dtype="float32").reshape(-1, 1, 4, 4)


@pytest.fixture(scope="module")
def programs(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """net and exported: a network in TorchScript and in .pt2 alone; graph: the same with ONNX; shares: two probabilities;
    pictures: one that takes images from a table; tensors: one that takes them as they are; value: a regression."""
    import torch
    from torch import nn

    from gitops_registry.formats.torch_module import save_export, save_torchscript

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("programs")
    world = World(folder / "world", template=template)
    net = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    images = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    save_export(net, folder / "net.pt2", example=PIXELS[:4])
    save_torchscript(images, folder / "images.pt", example=PICTURES[:4])
    names, alone = np.array(["dark", "bright"]), Handling(onnx=False)
    labelled = Handling(onnx=False, labels=("dark", "bright"))
    shares = nn.Sequential(net, nn.Softmax(dim=1))
    for name, model, rows, how in (
        ("net", net, Rows(PIXELS, BRIGHT), alone), ("exported", folder / "net.pt2", Rows(PIXELS, names[BRIGHT]), labelled),
        ("graph", net, Rows(PIXELS, BRIGHT), Handling()), ("shares", shares, Rows(PIXELS, BRIGHT), alone),
        ("pictures", folder / "images.pt", Rows(PIXELS, BRIGHT), alone), ("tensors", images, Rows(PICTURES, BRIGHT), alone),
        ("value", nn.Linear(16, 1), Rows(PIXELS, PIXELS["p0"]), alone),
    ):  # fmt: skip
        register(world.registry.place, name, model, rows=rows, submission=Submission(how=how))
    return world


PROGRAMS = ("net", "exported", "graph", "shares", "pictures", "tensors", "value")


# ── whole or not at all


def test_the_onnx_file_is_the_registered_one_and_has_a_name_that_says_what_it_is(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = world.registry.export("forest@latest", to="onnx")
    assert done.path == Path("forest-v1.onnx")
    wanted = {a.format: a.sha256 for a in world.registry.snapshot.known_version(Reference("forest", 1)).artifacts}
    assert hashlib.sha256(done.path.read_bytes()).hexdigest() == wanted["onnx"]
    assert any("agrees on 100.00%" in note for note in done.notes)


@pytest.mark.parametrize("is_folder", [False, True])
def test_nothing_that_is_there_is_overwritten(world: World, tmp_path: Path, is_folder: bool) -> None:
    there = tmp_path / "there"
    if is_folder:
        there.mkdir()
    else:
        there.write_text("mine")
    with pytest.raises(RegistryError, match="is there already"):
        world.registry.export("forest", 1, to="openinference", path=there)
    assert list(tmp_path.iterdir()) == [there]
    assert is_folder or there.read_text() == "mine"


def test_an_export_that_fails_leaves_nothing(world: World, tmp_path: Path) -> None:
    for target, problem in {"torchscript": "nothing in torchscript", "openinference": "has no ONNX"}.items():
        with pytest.raises(NotFound, match=problem):
            world.registry.export("line", 1, to=target, path=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_target_is_answered_with_the_one_that_is_close(world: World) -> None:
    with pytest.raises(NotFound) as error:
        world.registry.export("forest", 1, to="bentolm")
    assert error.value.hint == "did you mean bentoml?"


def test_a_place_that_cannot_be_written_to_is_one_line(world: World, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="cannot write to"):
        world.registry.export("forest", 1, to="onnx", path=tmp_path / "nowhere" / "x.onnx")


@pytest.mark.parametrize("target", ["bentoml", "mlflow"])
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    world: World, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == target]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, target, None)
    with pytest.raises(RegistryError) as error:
        world.registry.export("forest", 1, to=target, path=tmp_path / "out")
    assert error.value.hint == f"pip install 'gitops-registry[{target}]'"
    assert list(tmp_path.iterdir()) == []


def test_every_target_says_what_it_is() -> None:
    assert set(targets()) == {
        "bentoml", "mlflow", "onnx", "torchscript", "openinference", "huggingface", "cyclonedx", "sigstore", "conda",
        "requirements", "pylock",
    }  # fmt: skip
    assert all(targets().values())


# ── MLflow


@pytest.fixture(scope="module")
def folders(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("mlflow")
    return {name: world.registry.export(name, 1, to="mlflow", path=root / name).path for name in TABLES}


@pytest.mark.parametrize("name", TABLES)
def test_mlflow_answers_as_the_registered_model_does(world: World, folders: dict[str, Path], name: str) -> None:
    import mlflow

    ours, theirs = world.registry.load(name, 1), mlflow.pyfunc.load_model(str(folders[name]))
    table = TABLES[name]
    assert theirs.predict(table[list(reversed(table.columns))]).tolist() == ours.predict(table).tolist()
    if ours.labels is None:
        return
    told = theirs.predict(table, params={"probabilities": True})
    assert list(told.columns) == ["prediction", *(f"probability_{label}" for label in ours.labels)]
    assert told.iloc[:, 1:].to_numpy(float).tolist() == ours.predict_proba(table).astype(float).tolist()


def test_mlflows_own_flavors_read_the_same_bytes(folders: dict[str, Path]) -> None:
    import mlflow

    assert [entry.name for entry in mlflow.onnx.load_model(str(folders["mixed"])).graph.input] == list(MIXED.columns)
    assert mlflow.sklearn.load_model(str(folders["line"])).predict(NUMBERS).shape == (ROWS,)


def test_mlflow_knows_the_signature_and_where_the_model_is_from(world: World, folders: dict[str, Path]) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.pyfunc import load_model

    model = Model.load(str(folders["mixed"]))
    assert [(c.name, c.type.name) for c in model.signature.inputs] == [
        ("age", "long"),
        ("income", "double"),
        ("city", "string"),
    ]
    version = world.registry.snapshot.known_version(Reference("mixed", 1))
    assert model.metadata["gitops_registry.model"] == "mixed"
    assert model.metadata["gitops_registry.sha256"] in {artifact.sha256 for artifact in version.artifacts}
    assert model.metadata["gitops_registry.commit"] == world.registry.place.commit()
    needed = (folders["mixed"] / "requirements.txt").read_text()
    assert "onnxruntime==" in needed
    assert not list(folders["mixed"].rglob("*.pkl"))
    with pytest.raises(MlflowException, match="income"):
        load_model(str(folders["mixed"])).predict(MIXED.drop(columns="income"))


def test_an_mlflow_folder_whose_model_was_changed_is_not_opened(world: World, tmp_path: Path) -> None:
    import mlflow

    folder = world.registry.export("forest", 1, to="mlflow", path=tmp_path / "out").path
    file = folder / "data/model/model.onnx"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="is not what was registered as forest@1"):
        mlflow.pyfunc.load_model(str(folder))


def test_an_example_goes_along_and_what_mlflow_cannot_say_is_told(world: World, tmp_path: Path) -> None:
    from mlflow.models import Model

    registered = world.registry.snapshot.known_version(Reference("mixed", 1))
    assert registered.signature is not None
    age, income, city = registered.signature.inputs
    signature = Signature(
        inputs=(age.model_copy(update={"minimum": 18}), income.model_copy(update={"nullable": True}), city),
        parameters=(Parameter(name="threshold", type="double", default=0.5),),
    )
    example = tmp_path / "input_example.json"
    example.write_text(json.dumps(MIXED.head(2).to_dict(orient="records")))
    artifact = Artifact(
        name="input_example",
        file=example.name,
        format="json",
        size=example.stat().st_size,
        md5="0" * 32,
        sha256="0" * 64,
    )
    given = subject(
        world, "mixed", tmp_path / "files", signature=signature, artifacts=(*registered.artifacts, artifact)
    )
    given = Subject(**{**vars(given), "files": {**given.files, "input_example": example}})
    written = mlflow.write(given, tmp_path / "out")
    model = Model.load(str(written.path))
    assert model.load_input_example(str(written.path)).to_dict() == MIXED.head(2).to_dict()
    assert {param.name: param.default for param in model.signature.params} == {"threshold": 0.5, "probabilities": False}
    told = " ".join(written.notes)
    assert "no minimum, maximum or categories: 'age'" in told
    assert "missing values: 'income'" in told
    assert "threshold" in told


@pytest.mark.parametrize("name", PROGRAMS)
def test_mlflow_reads_a_program_of_torch_and_answers_as_the_registry_does(
    programs: World, name: str, tmp_path: Path
) -> None:
    import mlflow

    done = programs.registry.export(name, 1, to="mlflow", path=tmp_path / "out")
    kinds = {a.name: a for a in programs.registry.snapshot.known_version(Reference(name, 1)).artifacts}
    assert ("onnx" in kinds) == (name == "graph")
    ours, theirs = programs.registry.load(name, 1), mlflow.pyfunc.load_model(str(done.path))
    rows = PICTURES if name == "tensors" else PIXELS
    assert np.allclose(theirs.predict(rows), ours.predict(rows), atol=1e-5)if name == "value" else theirs.predict(rows).tolist() == ours.predict(rows).tolist()  # fmt: skip
    needed = (done.path / "requirements.txt").read_text()
    assert ("torch==" in needed) == (name != "graph")
    assert any(kinds["model"].sha256 in note for note in done.notes) == (name != "graph")
    assert not list(done.path.rglob("*.pkl"))
    if ours.labels is not None:
        told = theirs.predict(rows, params={"probabilities": True})
        assert list(told.columns) == ["prediction", *(f"probability_{label}" for label in ours.labels)]
        assert np.allclose(told.iloc[:, 1:].to_numpy(float), ours.predict_proba(rows), atol=1e-6)


def test_what_is_carried_of_a_program_is_what_was_reviewed_of_it_and_nothing_else(
    programs: World, tmp_path: Path
) -> None:
    from gitops_registry.formats.torch_archive import read

    given = subject(programs, "net", tmp_path / "files")
    path = given.files["model"]
    hidden = {"archive/extra/hidden.pkl": b"cos\nsystem\n.", "archive/code/readme.txt": b"hidden"}
    with zipfile.ZipFile(path, "a") as archive:
        for name, data in hidden.items():
            archive.writestr(name, data)
    carried(given).write(tmp_path)
    assert (tmp_path / "model.pt").is_file()
    assert not {"extra/hidden.pkl", "code/readme.txt"} & set(read(tmp_path / "model.pt").records)
    assert ExportedModel(tmp_path).answers(PIXELS)[0] == programs.registry.load("net", 1).predict(PIXELS).tolist()


def test_a_program_that_nobody_would_review_is_exported_to_nobody(programs: World, tmp_path: Path) -> None:
    from gitops_registry.formats.torch_archive import pack, read

    given, evil = subject(programs, "net", tmp_path / "files"), tmp_path / "evil"
    records = dict(read(given.files["model"]).records)
    code = next(name for name, data in records.items() if b"def forward" in data and name.endswith(".py"))
    first = re.compile(r"(-> Tensor:\n)( +)")
    records[code] = first.sub(rf'\1\2torch.save([1], "{evil}")\n\2', records[code].decode(), count=1).encode()
    given.files["model"].write_bytes(pack(records))
    for write in (mlflow.write, bentoml.write):
        with pytest.raises(Unreviewed, match="aten::save"):
            write(given, tmp_path / "out")
    assert not evil.exists()
    assert not (tmp_path / "out").exists()


def test_a_version_that_no_target_can_carry_says_what_to_do(world: World, tmp_path: Path) -> None:
    (original,) = world.registry.snapshot.known_version(Reference("line", 1)).artifacts
    pickled = original.model_copy(update={"format": "joblib"})
    for write in (mlflow.write, bentoml.write):
        with pytest.raises(NotFound, match="neither ONNX nor skops nor a program of torch's") as error:
            write(subject(world, "line", tmp_path / "files", artifacts=(pickled,)), tmp_path / "out")
        assert "gitops-registry pull line@1" in error.value.hint


# ── the Open Inference Protocol

TENSOR = {
    "type": "object", "required": ["name", "datatype", "shape"], "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "datatype": {"enum": ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
    },
}  # fmt: skip
METADATA = {
    "type": "object", "required": ["name", "platform", "inputs", "outputs"], "additionalProperties": False,
    "properties": {
        "name": {"type": "string"}, "platform": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "inputs": {"type": "array", "items": TENSOR}, "outputs": {"type": "array", "items": TENSOR},
    },
}  # fmt: skip
"""$metadata_model_response of the protocol's REST binding, and its table of datatypes."""


@pytest.fixture(scope="module")
def triton() -> Any:
    """Triton's own messages of model configurations; the rest of its client needs gRPC."""
    found = importlib.util.find_spec("tritonclient")
    assert found is not None
    assert found.submodule_search_locations
    file = Path(found.submodule_search_locations[0]) / "grpc/model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["forest", "mixed"])
def test_a_model_repository_says_the_same_to_triton_to_mlserver_and_by_the_protocol(
    world: World, triton: Any, name: str, tmp_path: Path
) -> None:
    import onnxruntime

    written = openinference.write(subject(world, name, tmp_path / "files"), tmp_path / "out")
    folder = written.path / name
    metadata = json.loads((folder / "metadata.json").read_text())
    Draft202012Validator(METADATA).validate(metadata)
    settings = json.loads((folder / "model-settings.json").read_text())
    assert {key: settings[key] for key in ("name", "platform", "versions", "inputs", "outputs")} == metadata
    session = onnxruntime.InferenceSession(folder / settings["parameters"]["uri"])
    assert [tensor["name"] for tensor in metadata["inputs"]] == [entry.name for entry in session.get_inputs()]
    config = text_format.Parse((folder / "config.pbtxt").read_text(), triton.ModelConfig())
    for side, tensors in (("inputs", config.input), ("outputs", config.output)):
        types = [triton.DataType.Name(t.data_type).removeprefix("TYPE_").replace("STRING", "BYTES") for t in tensors]
        assert [{"name": t.name, "datatype": kind, "shape": list(t.dims)} for t, kind in zip(tensors, types, strict=True)] == metadata[side]  # fmt: skip
    assert json.loads(config.parameters["registry.columns"].string_value) == list(TABLES[name].columns)
    labels = (folder / config.output[1].label_filename).read_text().split()
    assert labels == [str(label) for label in world.registry.load(name, 1).labels or ()]
    assert any("in this order" in note for note in written.notes) == (name == "forest")


def test_the_labels_of_a_graph_that_gives_scores_alone_are_those_of_the_scores(
    programs: World, triton: Any, tmp_path: Path
) -> None:
    written = openinference.write(subject(programs, "graph", tmp_path / "files"), tmp_path / "out")
    config = text_format.Parse((written.path / "graph/config.pbtxt").read_text(), triton.ModelConfig())
    (output,) = config.output
    assert (written.path / "graph" / output.label_filename).read_text().split() == ["0", "1"]
    assert config.parameters["registry.scores"].string_value == "logits"


# ── a Bento


def test_a_bento_is_built_beside_the_users_own_store(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("BENTOML_HOME", str(home))
    before, modules = Path.cwd(), set(sys.path)
    for name in ("line", "forest"):
        done = world.registry.export(name, 1, to="bentoml", path=tmp_path / name)
        said = json.loads((done.path / "src/model.json").read_text())
        assert said["version"] == f"{name}@1"
        schema = json.loads((done.path / "apis/schema.json").read_text())
        (predict,) = [route for route in schema["routes"] if route["name"] == "predict"]
        assert predict["batchable"]
        assert list(predict["input"]["properties"]["rows"]["items"]["properties"]) == list(NUMBERS.columns)
    assert list(home.iterdir()) == []
    assert (Path.cwd(), set(sys.path)) == (before, modules)
    assert not {"registered_model", "registered_service"} & set(sys.modules)
    needed = (tmp_path / "line/env/python/requirements.txt").read_text().split()
    assert any(line.startswith("skops==") for line in needed)
    assert not any(line.startswith("gitops") for line in needed)


def test_a_version_without_a_signature_makes_no_bento(world: World, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="has no signature"):
        bentoml.write(subject(world, "forest", tmp_path / "files", signature=None), tmp_path / "out")


def test_what_rows_cannot_carry_makes_no_bento(world: World, tmp_path: Path) -> None:
    registered = world.registry.snapshot.known_version(Reference("forest", 1)).signature
    assert registered is not None
    odd = registered.inputs[0].model_copy(update={"shape": (-1, 3, 3)})
    with pytest.raises(RegistryError, match="is a tensor") as error:
        bentoml.write(
            subject(world, "forest", tmp_path / "files", signature=Signature(inputs=(odd,))), tmp_path / "out"
        )
    assert "--to openinference" in error.value.hint


@pytest.mark.parametrize("name", TABLES)
def test_what_lies_in_an_export_answers_without_the_registry(world: World, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "carried"
    folder.mkdir()
    carried(subject(world, name, tmp_path / "files")).write(folder)
    ours, model = world.registry.load(name, 1), ExportedModel(folder)
    values, scores = model.answers(TABLES[name])
    assert values == ours.predict(TABLES[name]).tolist()
    assert (scores is None) == (ours.labels is None)
    with pytest.raises(ValueError, match="lacks"):
        model.answers(TABLES[name].iloc[:, 1:])
    file = folder / model.said["file"]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="SHA-256"):
        ExportedModel(folder)


@contextmanager
def serving(written: Written, folder: Path) -> Iterator[httpx.Client]:
    """Serve a Bento as its note says, on a port here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (told,) = (note.removeprefix("serve it: ") for note in written.notes if note.startswith("serve it: "))
    typed = told.replace("bentoml serve", f"exec {sys.executable} -m bentoml serve")
    assert "exec" in typed
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            ["sh", "-c", f"{typed} --host 127.0.0.1 --port {port}"], cwd=folder,
            env={**os.environ, "BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "True"},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 60
            while not is_ready(client):
                assert child.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
            yield client
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(20)


@pytest.fixture
def served(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A Bento of `mixed`, whose signature knows limits and may lack an income."""
    monkeypatch.chdir(tmp_path)
    registered = world.registry.snapshot.known_version(Reference("mixed", 1)).signature
    assert registered is not None
    age, income, city = registered.inputs
    signature = Signature(
        inputs=(
            age.model_copy(update={"minimum": 18, "maximum": 99}),
            income.model_copy(update={"nullable": True}),
            city.model_copy(update={"categories": ("東京", "Köln"), "nullable": True}),
        )
    )
    written = bentoml.write(subject(world, "mixed", tmp_path / "files", signature=signature), Path("bento"))
    assert any("insists on 'city'" in note for note in written.notes)
    with serving(written, tmp_path) as client:
        yield client


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_a_bento_serves_over_http_and_refuses_what_does_not_fit_the_signature(
    world: World, served: httpx.Client
) -> None:
    rows = MIXED.to_dict(orient="records")
    ours = world.registry.load("mixed", 1)
    answer = served.post("/predict", json={"rows": rows})
    assert answer.status_code == 200, answer.text
    assert [row["prediction"] for row in answer.json()] == ours.predict(MIXED).tolist()
    scores = [[row["probabilities"][label] for label in ("no", "yes")] for row in answer.json()]
    assert np.allclose(scores, ours.predict_proba(MIXED))

    (alone,) = served.post("/predict", json={"rows": rows[0]}).json()
    assert alone["prediction"] == answer.json()[0]["prediction"]

    bad = [{"age": 17, "income": "much", "city": "Paris"}, {"age": 20.5, "income": None}]
    refused = served.post("/predict", json={"rows": [*rows[:1], *bad]})
    assert refused.status_code == 400
    places = {tuple(problem["loc"]): problem["msg"] for problem in refused.json()["detail"]}
    assert set(places) == {("rows", 1, "age"), ("rows", 1, "income"), ("rows", 1, "city"), ("rows", 2, "age"), ("rows", 2, "city")}  # fmt: skip
    assert "none of '東京', 'Köln'" in places["rows", 1, "city"]
    assert "Paris" not in refused.text

    for body in ({"rows": []}, {}, {"rows": [{**rows[0], "city": None}]}, {"rows": [{**rows[0], "age": True}]}):
        assert served.post("/predict", json=body).status_code == 400
    infinite = b'{"rows": {"age": 30, "income": 1e999, "city": "K\xc3\xb6ln"}}'
    assert served.post("/predict", content=infinite, headers={"content-type": "application/json"}).status_code == 400
    assert served.post("/version", json={}).json()["version"] == "mixed@1"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["net", "exported"])
def test_a_bento_serves_a_program_of_torch(
    programs: World, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = bentoml.write(subject(programs, name, tmp_path / "files"), Path("bento"))
    assert "torch==" in Path("bento/env/python/requirements.txt").read_text()
    ours = programs.registry.load(name, 1)
    assert ours.labels is not None
    with serving(written, tmp_path) as client:
        answer = client.post("/predict", json={"rows": PIXELS.to_dict(orient="records")})
        assert answer.status_code == 200, answer.text
        refused = client.post("/predict", json={"rows": [{"p0": "bright"}]})
        version = client.post("/version", json={}).json()
    assert [row["prediction"] for row in answer.json()] == ours.predict(PIXELS).tolist()
    scores = [[row["probabilities"][str(label)] for label in ours.labels] for row in answer.json()]
    assert np.allclose(scores, ours.predict_proba(PIXELS), atol=1e-6)
    assert refused.status_code == 400
    assert version["version"] == f"{name}@1"


TOWNS = MIXED.assign(city=MIXED["city"].mask(np.arange(ROWS) % 4 == 0))


@pytest.fixture(scope="module")
def towns(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """filled: a pipeline that fills in missing text, with ONNX; original: the same in skops alone."""
    world = World(tmp_path_factory.mktemp("towns") / "world", template=template)
    fill = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("n", "passthrough", ["age", "income"]), ("t", fill, ["city"])])
    model = make_pipeline(columns, RandomForestClassifier(20, random_state=0)).fit(TOWNS, MIXED["city"] == "Köln")
    for name, onnx in (("filled", True), ("original", False)):
        rows, how = Rows(TOWNS, MIXED["city"] == "Köln"), Handling(onnx=onnx)
        register(world.registry.place, name, model, rows=rows, submission=Submission(how=how))
    return world


@pytest.mark.slow
@pytest.mark.parametrize("name", ["filled", "original"])
def test_a_bento_takes_missing_text_where_the_model_fills_it_in(
    towns: World, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = towns.registry.load(name, 1)
    assert ours.format == ("onnx" if name == "filled" else "skops")
    rows = [{**row, "city": None if row["city"] != row["city"] else row["city"]} for row in TOWNS.to_dict("records")]
    with serving(bentoml.write(subject(towns, name, tmp_path / "files"), Path("bento")), tmp_path) as client:
        answer = client.post("/predict", json={"rows": rows})
        empty = client.post("/predict", json={"rows": [{**rows[1], "city": ""}]})
    assert answer.status_code == 200, answer.text
    assert [row["prediction"] for row in answer.json()] == ours.predict(TOWNS).tolist()
    assert empty.status_code == (400 if name == "filled" else 200)


def test_mlflow_takes_missing_text_where_the_model_fills_it_in(towns: World, tmp_path: Path) -> None:
    import mlflow

    ours, folder = (
        towns.registry.load("filled", 1),
        towns.registry.export("filled", 1, to="mlflow", path=tmp_path / "out"),
    )
    theirs = mlflow.pyfunc.load_model(str(folder.path))
    assert theirs.predict(TOWNS).tolist() == ours.predict(TOWNS).tolist()
    with pytest.raises(ValueError, match="'city' may not be empty"):
        theirs.predict(TOWNS.assign(city=""))


def test_an_exported_graph_gets_no_flood_of_memory(world: World, tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    model = carried(subject(world, "forest", tmp_path / "files"))
    model.write(tmp_path)
    initial = [helper.make_tensor("shape", TensorProto.INT64, [2], [1 << 18, 1 << 18])]
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["flood"]), helper.make_node("ReduceSum", ["flood"], ["sum"]),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]  # fmt: skip
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None])] for name in "xy"]
    graph = helper.make_graph(nodes, "flood", *ends, initial)
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(tmp_path / "model.onnx"))
    said = json.loads((tmp_path / "model.json").read_text())
    digest = hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    said |= {"sha256": digest, "labels": None, "probabilities": False}
    (tmp_path / "model.json").write_text(json.dumps(said))
    model.write_module(tmp_path)
    NUMBERS.to_csv(tmp_path / "rows.csv", index=False)
    # In a process of its own: no session of this package is there.
    code = "import pandas, pathlib, registered_model as m; m.ExportedModel(pathlib.Path()).answers(pandas.read_csv('rows.csv'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Available memory of" in done.stderr
