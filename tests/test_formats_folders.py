"""The folders of MLflow and BentoML: described without running anything of theirs, opened where that is safe."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from gitops_registry.errors import RegistryError
from gitops_registry.formats import by_folder, describe, onnx, open_model
from gitops_registry.formats.loaded import Trust, Unreviewed

ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
TRUTH = (ROWS["a"] > 0).astype(int)
TREE = "sklearn.tree._tree.Tree"


@pytest.fixture(scope="module")
def tree() -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=2, random_state=0).fit(ROWS, TRUTH)


@pytest.fixture(scope="module")
def graph(tree: DecisionTreeClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx.convert(tree, path, sample=ROWS)
    return path


@pytest.fixture(scope="module")
def saved(tree: DecisionTreeClassifier, graph: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that MLflow itself wrote: of skops, of cloudpickle, of ONNX, and of a Python model."""
    import mlflow
    from mlflow.models import infer_signature
    from onnx import load

    root = tmp_path_factory.mktemp("mlflow")
    given: dict[str, Any] = {
        "signature": infer_signature(ROWS, tree.predict(ROWS)),
        "pip_requirements": ["scikit-learn"],
    }
    mlflow.sklearn.save_model(
        tree, str(root / "skops"), serialization_format="skops", skops_trusted_types=[TREE], **given
    )
    mlflow.sklearn.save_model(tree, str(root / "cloudpickle"), serialization_format="cloudpickle", **given)
    mlflow.onnx.save_model(load(graph), str(root / "onnx"), **given)

    class Own(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input

    mlflow.pyfunc.save_model(str(root / "own"), python_model=Own(), pip_requirements=["mlflow"])
    return {folder.name: folder for folder in root.iterdir()}


@pytest.mark.parametrize(
    ("name", "inner", "framework"),
    [
        ("skops", ("skops", "model.skops"), "scikit-learn"),
        ("cloudpickle", ("pickle", "model.pkl"), "scikit-learn"),
        ("onnx", ("onnx", "model.onnx"), "onnx"),
        ("own", None, "pyfunc"),
    ],
)
def test_a_folder_of_mlflow_is_described_by_what_it_says(
    saved: dict[str, Path], name: str, inner: tuple[str, str] | None, framework: str
) -> None:
    assert by_folder(saved[name]) == "mlflow"
    found = describe("mlflow", saved[name])
    assert found.inner == inner
    assert found.framework is not None
    assert found.framework.name == framework
    if name != "own":
        assert [(column.name, column.type) for column in found.inputs] == [("a", "double"), ("b", "double")]
    assert any("is a pickle" in note for note in found.notes) == (name in {"cloudpickle", "own"})


def test_code_that_a_folder_brings_is_named(saved: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved["skops"], folder)
    mlmodel = folder / "MLmodel"
    mlmodel.write_text(
        mlmodel.read_text().replace("loader_module: mlflow.sklearn", "loader_module: evil\n    code: code")
    )
    notes = describe("mlflow", folder).notes
    assert any("loader_module is evil" in note for note in notes)
    assert any("brings code in code" in note for note in notes)


@pytest.mark.parametrize("name", ["skops", "onnx"])
def test_a_folder_of_mlflow_opens_as_the_file_in_it_does(
    saved: dict[str, Path], tree: DecisionTreeClassifier, name: str
) -> None:
    model = open_model("mlflow", saved[name], trust=Trust())
    assert model.predict(ROWS).tolist() == tree.predict(ROWS).tolist()
    assert model.labels == [0, 1]


def test_types_that_only_the_folder_trusts_are_not_built(saved: dict[str, Path], tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    folder = tmp_path / "model"
    shutil.copytree(saved["skops"], folder)
    skops.io.dump(FunctionTransformer(shutil.rmtree), folder / "model.skops")
    mlmodel = folder / "MLmodel"
    mlmodel.write_text(mlmodel.read_text().replace(TREE, "shutil.rmtree"))
    with pytest.raises(Unreviewed, match=r"shutil\.rmtree"):
        open_model("mlflow", folder, trust=Trust())


def test_a_folder_of_code_is_not_opened(saved: dict[str, Path]) -> None:
    with pytest.raises(RegistryError, match="cannot be opened safely"):
        open_model("mlflow", saved["own"], trust=Trust())


def test_a_graph_whose_weights_mlflow_keeps_in_other_files_is_described_and_not_opened(tmp_path: Path) -> None:
    import mlflow
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((64, 64), dtype=np.float32), "w")
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 64])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "split", *ends, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    mlflow.onnx.save_model(model, str(tmp_path / "split"), pip_requirements=["onnx"])
    found = describe("mlflow", tmp_path / "split")
    assert found.inner is None
    assert any("keeps weights in other files" in note for note in found.notes)
    with pytest.raises(RegistryError, match="cannot be opened safely"):
        open_model("mlflow", tmp_path / "split", trust=Trust())


# ── hostile folders


def link(folder: Path) -> None:
    (folder / "model.skops").rename(folder.parent / "elsewhere")
    (folder / "model.skops").symlink_to(folder.parent / "elsewhere")


def link_above(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "model.skops").rename(folder / "real" / "model.skops")
    (folder / "data").symlink_to("real")
    says("data/model.skops")(folder)


def says(file: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / "MLmodel").read_text()
        (folder / "MLmodel").write_text(text.replace("pickled_model: model.skops", f"pickled_model: {file}"))

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (says("../elsewhere"), "not in the folder"),
        (says("data/../../elsewhere"), "not in the folder"),
        (says("/etc/passwd"), "not in the folder"),
        (says('"a\\\\..\\\\b"'), "names no file"),
        (says("[model.skops]"), "names no file"),
        (says("nothing.skops"), "not there"),
        (says("."), "not in the folder"),
        (link, "a symbolic link"),
        (link_above, "a symbolic link"),
        (lambda folder: (folder / "MLmodel").write_text("flavors: &a [*a]\n"), "MLmodel"),
        (lambda folder: (folder / "MLmodel").write_text("- a\n"), "not a mapping"),
        (lambda folder: (folder / "MLmodel").write_bytes(b"a: \xff\n"), "not UTF-8"),
        (lambda folder: (folder / "MLmodel").write_text("a: " + "x" * (1 << 20)), "1 MiB"),
    ],
)
def test_a_folder_that_lies_about_its_files_is_refused_in_one_line(
    saved: dict[str, Path], tmp_path: Path, change: Callable[[Path], None], problem: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved["skops"], folder)
    change(folder)
    with pytest.raises(RegistryError, match=problem) as error:
        describe("mlflow", folder)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_skops_is_refused_before_it_is_read_as_one(saved: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved["skops"], folder)
    shutil.copyfile(saved["cloudpickle"] / "model.pkl", folder / "model.skops")
    with pytest.raises(RegistryError, match="is not skops"):
        open_model("mlflow", folder, trust=Trust())


def test_a_description_that_is_a_link_makes_no_folder_of_mlflow(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").symlink_to("/etc/passwd")
    assert by_folder(tmp_path) == "folder"


@pytest.mark.parametrize(
    "text", ["a: 1\n", "flavors: []\n", "flavors: {sklearn: 3}\nsignature: 7\n", "signature: {inputs: 'x'}\n"]
)
def test_a_description_that_says_little_is_enough(tmp_path: Path, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    found = describe("mlflow", tmp_path)
    assert (found.inner, found.inputs) == (None, ())


# ── BentoML


@pytest.fixture(scope="module")
def kept(tree: DecisionTreeClassifier, graph: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders as they lie in the store of BentoML, which wrote them."""
    import bentoml
    from onnx import load

    root = tmp_path_factory.mktemp("bentoml")
    found = {}
    for name, module, model in (("tree", bentoml.sklearn, tree), ("graph", bentoml.onnx, load(graph))):
        made = module.save_model(name, model)
        found[name] = Path(shutil.copytree(bentoml.models.get(made.tag).path, root / name))
    return found


def test_a_model_of_bentoml_is_described_by_what_it_says(kept: dict[str, Path]) -> None:
    assert by_folder(kept["tree"]) == "bentoml"
    found = describe("bentoml", kept["tree"])
    assert found.framework is not None
    assert (found.framework.name, found.framework.version) == ("scikit-learn", "1.9.1")
    assert found.inner == ("joblib", "saved_model.pkl")
    assert any("is a pickle" in note for note in found.notes)
    assert found.modules == ("sklearn",)


def test_a_graph_of_bentoml_opens(kept: dict[str, Path], tree: DecisionTreeClassifier) -> None:
    model = open_model("bentoml", kept["graph"], trust=Trust())
    assert model.predict(ROWS).tolist() == tree.predict(ROWS).tolist()


def test_a_bento_is_opened_through_the_one_model_in_it(kept: dict[str, Path], tmp_path: Path) -> None:
    bento = tmp_path / "bento"
    shutil.copytree(kept["graph"], bento / "models" / "graph" / "v1")
    (bento / "bento.yaml").write_text("service: service:Scorer\nname: scorer\nversion: v1\nbentoml_version: 1.4.40\n")
    found = describe("bentoml", bento)
    assert found.inner == ("onnx", "models/graph/v1/saved_model.onnx")
    assert any("service:Scorer is code" in note for note in found.notes)
    assert open_model("bentoml", bento, trust=Trust()).labels == [0, 1]
    shutil.copytree(kept["tree"], bento / "models" / "tree" / "v1")
    assert describe("bentoml", bento).inner is None


def test_a_bento_whose_model_lies_elsewhere_is_refused(kept: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "models" / "graph").mkdir(parents=True)
    (tmp_path / "models" / "graph" / "v1").symlink_to(kept["graph"])
    (tmp_path / "bento.yaml").write_text("service: s:S\n")
    with pytest.raises(RegistryError, match="a symbolic link"):
        describe("bentoml", tmp_path)


def test_what_another_library_saved_is_named_and_left_alone(kept: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(kept["graph"], folder)
    text = (folder / "model.yaml").read_text()
    (folder / "model.yaml").write_text(text.replace("bentoml.onnx", "bentoml.fastai"))
    (folder / "custom_objects.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    found = describe("bentoml", folder)
    assert found.inner is None
    assert any("bentoml.fastai" in note for note in found.notes)
    assert any("custom objects" in note for note in found.notes)
    with pytest.raises(RegistryError, match="cannot be opened safely"):
        open_model("bentoml", folder, trust=Trust())


def test_the_state_of_a_model_of_ours_is_no_folder_of_bentoml(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("kind: Model\nschema_version: 1\nname: fraud\n")
    assert by_folder(tmp_path) == "folder"
