"""The formats a model can be stored in: which one a file or folder is, what it says of itself, and how to open it.

The table below is the whole registry of formats. A format is one module with `is_format(path)`, `describe(path)` and
`load(path, trust)`; it is imported when it is first needed and knows nothing of the others.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import Description, LoadedModel, Trust, Unopened

FORMATS = {
    "skops": "gitops_registry.formats.sklearn",
    "onnx": "gitops_registry.formats.onnx",
    "joblib": "gitops_registry.formats.joblib",
    "pickle": "gitops_registry.formats.pickle",
    "torchscript": "gitops_registry.formats.torchscript",
    "torch-export": "gitops_registry.formats.torch_export",
    "mlflow": "gitops_registry.formats.mlflow",
    "bentoml": "gitops_registry.formats.bentoml",
}
SUFFIXES = {
    ".skops": "skops", ".onnx": "onnx", ".joblib": "joblib", ".pkl": "pickle", ".pickle": "pickle",
    ".pt": "torchscript", ".pth": "torchscript", ".ts": "torchscript", ".pt2": "torch-export",
}  # fmt: skip
FOLDERS = ("mlflow", "bentoml")
"""Formats of whole folders."""
CODE = frozenset({"joblib", "pickle"})
"""Formats that can run code when they are opened: only where registry.yaml trusts them, and after the bytes were read."""


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
            hint="save scikit-learn models as skops, torch modules as TorchScript or .pt2, anything else as ONNX",
        )
    try:
        module = import_module(FORMATS[name])
        is_format = bool(module.is_format(path))
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}", hint="check its permissions") from error
    if not is_format:
        raise RegistryError(
            f"{path.name} is named {suffix} but its content is not {name}",
            hint=getattr(
                module, "OTHERWISE", "the file is damaged, empty or renamed from another format; save the model again"
            ),
        )
    return name


def by_folder(path: Path) -> str:
    """Return the format of a folder, which files in it tell; `folder` for one that nothing is known of."""
    return next((name for name in FOLDERS if import_module(FORMATS[name]).is_format(path)), "folder")


def is_code(path: Path) -> bool:
    """Say whether a file is named like a pickle, which runs code when it is opened."""
    return SUFFIXES.get(path.suffix.lower()) in CODE


def describe(format: str, path: Path) -> Description:  # noqa: A002
    """Return what a file or folder of a known format says of itself; nothing of it runs. Raises for damaged ones."""
    found: Description = import_module(_module(format)).describe(path)
    return found


def open_model(format: str, path: Path, *, trust: Trust) -> LoadedModel:  # noqa: A002
    """Return the model in the file or folder, ready to predict. Nothing in it runs that is not trusted.

    The caller has compared its digest with the registered one. Raises for unknown formats, damaged files, formats and
    types that are not trusted. In a folder the file that holds the model is opened, by the rules of its own format.
    """
    if format not in FOLDERS:
        model: LoadedModel = import_module(_module(format)).load(path, trust)
        return model
    inner = describe(format, path).inner
    if inner is None:
        raise Unopened(
            f"{path.name} is a folder ({format}) of a kind that cannot be opened safely here",
            hint="get its files, and open them with the library that wrote them: gitops-registry pull NAME@REF --to FOLDER",
        )
    kind, file = inner
    if not import_module(_module(kind)).is_format(path / file):
        raise RegistryError(f"{file} in the folder is not {kind}", hint="the folder is damaged; save the model again")
    return open_model(kind, path / file, trust=trust)


def rewritten(format: str, path: Path, *, trust: Trust) -> bytes | None:  # noqa: A002
    """Return the bytes that a library may be given in a file's place; None where it may be given the file's own.

    Raises as `open_model` does for what is not trusted.
    """
    write_anew = getattr(import_module(_module(format)), "rewritten", None)
    return write_anew(path, trust) if write_anew else None


def needs_table(model: LoadedModel | None) -> bool:
    """Say whether an opened model takes a DataFrame and no array, for it picks columns by name."""
    if model is None or not hasattr(model.native, "get_params"):
        return False
    from gitops_registry.formats import estimator

    return estimator.needs_table(model.native)


def _module(format: str) -> str:  # noqa: A002
    module = FORMATS.get(format)
    if module is None:
        raise RegistryError(f"unknown model format {format!r}", hint=f"known formats: {', '.join(FORMATS)}")
    return module
