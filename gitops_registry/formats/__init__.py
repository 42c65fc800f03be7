"""The formats a model can be stored in: which one a file is, and how to open it.

The table below is the whole registry of formats. A format is one module with `is_format(path)` and
`load(path, trusted)`; it is imported when it is first needed and knows nothing of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import LoadedModel

FORMATS = {
    "skops": "gitops_registry.formats.sklearn",
    "onnx": "gitops_registry.formats.onnx",
}
SUFFIXES = {".skops": "skops", ".onnx": "onnx"}
FOLDERS = {"MLmodel": "mlflow"}
"""Formats of whole folders, by a file that such a folder holds. They are stored as they are and never opened here."""
_CODE = {".pkl", ".pickle", ".joblib"}


def by_file(path: Path) -> str:
    """Return the format of a model file, on which its suffix and its content must agree.

    Raises for anything else: a pickle under another name would otherwise reach a reader that trusts it.
    """
    if path.is_dir():
        raise RegistryError(f"{path} is a folder, not a model file", hint="name the model file inside it")
    if not path.is_file():
        raise RegistryError(f"there is no file {path}", hint="check the path")
    suffix = path.suffix.lower()
    name = SUFFIXES.get(suffix)
    if name is None:
        raise RegistryError(
            f"{path.name} is in no format the registry stores (it stores {', '.join(sorted(SUFFIXES))})",
            hint="a pickle runs code when it is opened: save the model as skops instead"
            if suffix in _CODE
            else "save scikit-learn models as skops, anything else as ONNX",
        )
    try:
        is_format = bool(import_module(FORMATS[name]).is_format(path))
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}", hint="check its permissions") from error
    if not is_format:
        raise RegistryError(
            f"{path.name} is named {suffix} but its content is not {name}",
            hint="the file is damaged, empty or renamed from another format; save the model again",
        )
    return name


def by_folder(path: Path) -> str:
    """Return the format of a folder, which a file in it tells."""
    return next((name for file, name in FOLDERS.items() if (path / file).is_file()), "folder")


def is_code(path: Path) -> bool:
    """Say whether a file is named like a pickle, which runs code when it is opened."""
    return path.suffix.lower() in _CODE


def open_model(format: str, path: Path, *, trusted: Sequence[str]) -> LoadedModel:  # noqa: A002
    """Return the model in the file, ready to predict. Nothing in the file runs.

    `trusted` are the type names that registry.yaml allows beyond the reviewed list. The caller has compared
    the file's digest with the registered one. Raises for unknown formats, damaged files and untrusted types.
    """
    module = FORMATS.get(format)
    if module is None:
        raise RegistryError(f"unknown model format {format!r}", hint=f"known formats: {', '.join(FORMATS)}")
    model: LoadedModel = import_module(module).load(path, trusted)
    return model
