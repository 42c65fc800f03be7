"""MLflow's model folders: recognised by their MLmodel file, and described by what it says. No code of theirs is run.

A folder can be opened where its own flavor's file is in a format that is read safely here: skops and ONNX, and a pickle by
the rules of pickles. Everything else (code, other libraries' files) is named and left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gitops_registry.formats.folder import description_in, has_description, named, pickles_in
from gitops_registry.formats.loaded import Description, shown
from gitops_registry.formats.onnx_graph import is_split
from gitops_registry.manifest.columns import Signature
from gitops_registry.translation import flavor_of, framework_of, signature_of

DESCRIPTION = "MLmodel"

_GENERIC = "python_function"
_MODULES = {"sklearn": ("sklearn",), "onnx": ("onnxruntime",), "pytorch": ("torch",)}
_SERIALIZED = {"skops": "skops", "pickle": "pickle", "cloudpickle": "pickle"}


def is_format(path: Path) -> bool:
    """True for a folder with an MLmodel file in it."""
    return has_description(path, DESCRIPTION)


def describe(path: Path) -> Description:
    """Return what the MLmodel file of a folder says: its flavor, the columns of its signature, and what is not opened in it.

    Raises RegistryError for a damaged description, and one that names a file outside of the folder.
    """
    told = description_in(path, DESCRIPTION)
    flavors = _flavors(told)
    name, flavor = flavor_of(told)
    notes: list[str] = []
    signature = signature_of(told.get("signature"), notes) or Signature()
    inner = _inner(path, flavors)
    notes += _notes(path, flavors)
    kind = flavor.get("model_class")
    model_type = (
        kind.rpartition(".")[2] if isinstance(kind, str) else f"MLflow {name} model" if name else "MLflow model"
    )
    return Description(
        "mlflow", shown(model_type), framework_of(told), _modules(name, flavors, inner), signature.inputs, signature.outputs,
        tuple(notes), inner,
    )  # fmt: skip


def _flavors(told: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    flavors = told.get("flavors")
    return {k: v for k, v in flavors.items() if isinstance(v, dict)} if isinstance(flavors, dict) else {}


def _inner(path: Path, flavors: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the format and the file of the model where it is one of ours."""
    if "onnx" in flavors:
        file = named(path, flavors["onnx"].get("data"))
        return None if is_split(path / file) else ("onnx", file)
    if "sklearn" in flavors:
        # MLflow's releases before 1.0 did not write the format: it was pickle.
        stored = flavors["sklearn"].get("serialization_format", "pickle")
        kind = _SERIALIZED.get(stored) if isinstance(stored, str) else None
        return (kind, named(path, flavors["sklearn"].get("pickled_model"))) if kind else None
    return None


def _modules(name: str, flavors: Mapping[str, Mapping[str, Any]], inner: tuple[str, str] | None) -> tuple[str, ...]:
    """Return the top-level modules that somebody needs who opens the folder."""
    found = {*_MODULES.get(name, (name,) if name and name != _GENERIC else ())}
    if inner and inner[0] == "skops":
        found.add("skops")
    loader = flavors.get(_GENERIC, {}).get("loader_module")
    if isinstance(loader, str) and loader.isprintable():
        found.add(loader.partition(".")[0])
    return tuple(sorted(found))


def _notes(path: Path, flavors: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    generic = flavors.get(_GENERIC, {})
    loader = generic.get("loader_module")
    if isinstance(loader, str) and loader.partition(".")[0] != "mlflow":
        yield f"its loader_module is {shown(loader)}: code of its own, which is not run here"
    code = sorted({str(f["code"]) for f in flavors.values() if isinstance(f.get("code"), str)})
    if code:
        yield f"it brings code in {shown(code[0])}, which is not run here"
    if isinstance(generic.get("python_model"), str) or isinstance(generic.get("model_code_path"), str):
        yield "it holds a Python model of its own, which is not opened here"
    if "onnx" in flavors and is_split(path / named(path, flavors["onnx"].get("data"))):
        yield "its graph keeps weights in other files (MLflow's save_as_external_data), so it is not opened here"
    if pickles := pickles_in(path):
        more = f" and {len(pickles) - 1} more" if len(pickles) > 1 else ""
        yield f"{shown(pickles[0])}{more} in it is a pickle, and whoever opens it runs the code in it"
