"""BentoML's folders: recognised by bento.yaml or model.yaml, and described by what it says. No code of theirs is run.

A model folder can be opened where BentoML wrote a file that is read here: scikit-learn (its pickles are joblib's), ONNX,
TorchScript, a pickle of anything, an MLflow folder. A Bento is opened through the one model that lies in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitops_registry.formats.folder import description_in, has_description, named, pickles_in
from gitops_registry.formats.loaded import Description, shown
from gitops_registry.manifest.facts import Framework

BENTO = "bento.yaml"
MODEL = "model.yaml"

_FILES = {
    "bentoml.sklearn": ("joblib", "saved_model.pkl"), "bentoml.picklable_model": ("pickle", "saved_model.pkl"),
    "bentoml.onnx": ("onnx", "saved_model.onnx"), "bentoml.torchscript": ("torchscript", "saved_model.pt"),
    "bentoml.mlflow": ("mlflow", "mlflow_model"),
}  # fmt: skip
_LIBRARIES = {"sklearn": "scikit-learn", "onnx": "onnxruntime", "torch": "torch"}
_MODULES = {"scikit-learn": "sklearn"}


def is_format(path: Path) -> bool:
    """True for a folder of a Bento, or of a model in BentoML's store."""
    if has_description(path, BENTO):
        return True
    # model.yaml is also what this registry calls the state of a model.
    if not has_description(path, MODEL):
        return False
    with (path / MODEL).open("rb") as reader:
        return b"\nmodule: " in b"\n" + reader.read(4096)


def describe(path: Path) -> Description:
    """Return what a folder of BentoML says of itself. Raises RegistryError for a damaged description, and a file outside."""
    if has_description(path, BENTO):
        return _bento(path)
    return _model(path)


def _bento(path: Path) -> Description:
    told = description_in(path, BENTO)
    notes = [f"its service {shown(str(told.get('service', '')))} is code, which is not run here"]
    models = _models(path)
    within = models[0] if len(models) == 1 else None
    inner: tuple[str, str] | None = None
    framework = Framework(name="bentoml", version=shown(str(told.get("bentoml_version", ""))))
    modules = {"bentoml"}
    if within is not None:
        model = _model(path / within)
        framework = model.framework or framework
        modules.update(model.modules)
        notes += model.notes
        inner = (model.inner[0], f"{within}/{model.inner[1]}") if model.inner else None
    elif models:
        notes.append(f"it holds {len(models)} models, and none of them is the one to open")
    elif pickles := pickles_in(path):
        notes.append(f"{shown(pickles[0])} in it is a pickle, and whoever opens it runs the code in it")
    return Description("bentoml", "Bento", framework, tuple(sorted(modules)), notes=tuple(notes), inner=inner)


def _models(path: Path) -> list[str]:
    """Return the folders of models in a Bento, as they lie: models/NAME/VERSION."""
    found = []
    for description in sorted((path / "models").glob("*/*/" + MODEL)):
        folder = description.parent.relative_to(path).as_posix()
        found.append(named(path, folder, is_folder=True))
    return found


def _model(path: Path) -> Description:
    told = description_in(path, MODEL)
    module = told.get("module")
    context = told.get("context")
    framework = _framework(context if isinstance(context, dict) else {})
    notes = []
    inner: tuple[str, str] | None = None
    if isinstance(module, str) and module in _FILES:
        kind, file = _FILES[module]
        inner = (kind, named(path, file, is_folder=kind == "mlflow"))
    if (path / "custom_objects.pkl").exists():
        notes.append("it has custom objects, a pickle that is not opened here")
    if pickles := [file for file in pickles_in(path) if file != "custom_objects.pkl"]:
        notes.append(f"{shown(pickles[0])} in it is a pickle, and whoever opens it runs the code in it")
    if inner is None:
        notes.append(f"it was saved by {shown(str(module))}, whose files are not opened here")
    modules = {_MODULES.get(framework.name, framework.name)} if framework else set()
    name = shown(str(module)) if isinstance(module, str) else "BentoML model"
    return Description("bentoml", name, framework, tuple(sorted(modules)), notes=tuple(notes), inner=inner)


def _framework(context: Mapping[str, Any]) -> Framework | None:
    name = context.get("framework_name")
    versions = context.get("framework_versions")
    if not isinstance(name, str) or not name:
        return None
    library = _LIBRARIES.get(name, name)
    told = versions.get(library, "") if isinstance(versions, dict) else ""
    return Framework(name=shown(library), version=shown(str(told)))
