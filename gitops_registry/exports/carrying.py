"""What exports share that carry a model to where this package is not: which file, and what stands beside it.

Beside the model's bytes lie `registered_model.py` (`standalone`, as it is here) and model.json, its description. The bytes are the
registered ones; of torch's formats, those written anew of what was reviewed, for torch may be given no others. Types that a skops
file may hold were reviewed here; the list is exactly what this file holds.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.exports.standalone import DESCRIPTION
from gitops_registry.exports.subject import Subject
from gitops_registry.formats import open_model, rewritten
from gitops_registry.formats.loaded import LoadedModel, Trust
from gitops_registry.formats.scored import with_classes
from gitops_registry.manifest.columns import Column, Signature
from gitops_registry.manifest.facts import Artifact
from gitops_registry.manifest.parts import plain

MODULE = "registered_model"
_COLUMNS = "gitops_registry.columns"
_EXACTLY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([0-9A-Za-z.!+_-]+)")
_NEEDED = {
    "onnx": ("numpy", "onnxruntime", "pandas"), "skops": ("numpy", "pandas", "scikit-learn", "skops"),
    "torchscript": ("numpy", "pandas", "torch"), "torch-export": ("numpy", "pandas", "torch"),
}  # fmt: skip
_SUFFIXES = {"torchscript": "pt", "torch-export": "pt2"}


@dataclass(frozen=True)
class Carried:
    """The model of a version that is carried: its file, what model.json says, and what it needs to be installed.

    `anew` are the bytes that take the place of the file's own, where others may not be given to its library.
    """

    artifact: Artifact
    path: Path
    said: Mapping[str, Any]
    requirements: tuple[str, ...]
    anew: bytes | None = None

    @property
    def file(self) -> str:
        """What the model's file is called: our word, for a name of the version's would be a module beside a service's own."""
        return str(self.said["file"])

    def write(self, folder: Path) -> None:
        """Write the model and its description into a folder that is there."""
        if self.anew is None:
            shutil.copyfile(self.path, folder / self.file)
        else:
            (folder / self.file).write_bytes(self.anew)
        text = json.dumps(self.said, ensure_ascii=False, indent=2, allow_nan=False)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def write_module(folder: Path) -> Path:
        """Write the module that answers into a folder, and return its file."""
        source = resources.files("gitops_registry.exports") / "standalone.py"
        (folder / f"{MODULE}.py").write_bytes(source.read_bytes())
        return folder / f"{MODULE}.py"


def carried(subject: Subject) -> Carried:
    """Return the model of a version to carry: ONNX where it has it, else skops, else torch's. It is opened once, so that it can be.

    Raises RegistryError where it has none of them, or is not trusted, or needs columns that its signature does not name.
    """
    found = subject.artifact(*_NEEDED)
    if found is None:
        there = ", ".join(sorted({artifact.format for artifact in subject.version.artifacts}))
        raise NotFound(
            f"{subject.reference} has neither ONNX nor skops nor a program of torch's, one of which this target needs",
            hint=f"it has: {there}; register the estimator or module itself, or get the files: gitops-registry pull {subject.reference}",
        )
    artifact, path = found
    trust = Trust(types=tuple(subject.options.get("trusted_types", "").split()))
    opened = open_model(artifact.format, path, trust=trust)
    anew = rewritten(artifact.format, path, trust=trust)
    model = with_classes(opened, subject.version.classes)
    signature = subject.version.signature or Signature()
    missing = sorted(getattr(opened, "missing", ()))
    said = {
        "version": str(subject.reference),
        "registry": subject.home,
        "commit": subject.commit,
        "file": f"model.{_SUFFIXES.get(artifact.format, artifact.format)}",
        "format": artifact.format,
        "sha256": artifact.sha256 if anew is None else hashlib.sha256(anew).hexdigest(),
        "registered": artifact.sha256,
        "task": model.task,
        "labels": model.labels,
        "scores": subject.version.classes.scores if subject.version.classes and model is not opened else None,
        "probabilities": model is not opened or _has_scores(opened),
        "columns": _columns(subject, opened, signature),
        "missing": missing,
        "tensor": getattr(opened, "takes", None),
        "inputs": [_input(column, artifact.format, missing) for column in signature.inputs],
        "trusted_types": _types(artifact.format, path),
    }
    return Carried(artifact, path, said, _requirements(subject, artifact.format), anew)


def about_bytes(model: Carried) -> Iterator[str]:
    """Yield what whoever compares the model's bytes with the registered ones must know."""
    if model.anew is not None:
        yield f"{model.file} is the file of SHA-256 {model.artifact.sha256} written anew of what was reviewed of it"


def _has_scores(model: LoadedModel) -> bool:
    if model.labels is None:
        return False
    return len(model.native.get_outputs()) > 1 if model.format == "onnx" else hasattr(model.native, "predict_proba")


def _columns(subject: Subject, model: LoadedModel, signature: Signature) -> list[str] | None:
    """Return the columns that the model takes, in its order; None where nobody knows, or where it takes tensors."""
    if any(column.shape for column in signature.inputs):
        return None
    named = [column.name for column in signature.inputs]
    if model.format == "onnx":
        told = model.native.get_modelmeta().custom_metadata_map.get(_COLUMNS)
        inputs = [entry.name for entry in model.native.get_inputs()]
        known = (json.loads(told) if told else None) or (inputs if len(inputs) > 1 else named)
    else:
        known = [str(name) for name in getattr(model.native, "feature_names_in_", named)]
    lost = [name for name in known if named and name not in named]
    if lost:
        raise RegistryError(
            f"the model of {subject.reference} takes a column {lost[0]!r} that its signature does not name",
            hint="register it again with rows that have it",
        )
    return known or None


_RANGES = {
    "int8": (-(2**7), 2**7 - 1), "int16": (-(2**15), 2**15 - 1), "uint8": (0, 2**8 - 1), "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1), "integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1),
}  # fmt: skip


def _input(column: Column, format: str, missing: Sequence[str]) -> dict[str, Any]:  # noqa: A002
    """Return a column as model.json says it: its limits are those of its type, too, and text of a graph is never missing.

    `filled`: but for the columns that the graph fills in, which take no empty text.
    """
    low, high = _RANGES.get(column.dtype or "", _RANGES.get(column.type, (None, None)))
    minimum = column.minimum if low is None or column.minimum is None else max(low, column.minimum)
    maximum = column.maximum if high is None or column.maximum is None else min(high, column.maximum)
    is_text = must_be_there(column, format, missing)
    return {
        **plain(column),
        "filled": column.name in missing,
        "required": column.required or is_text,
        "nullable": (column.may_be_missing or not column.required) and not is_text,
        "minimum": low if minimum is None else minimum,
        "maximum": high if maximum is None else maximum,
    }


def must_be_there(column: Column, format: str, missing: Sequence[str]) -> bool:  # noqa: A002
    """Say whether a column is text that ONNX takes and does not fill in, which cannot be missing there."""
    return format == "onnx" and column.type == "string" and column.name not in missing


def _types(format: str, path: Path) -> list[str]:  # noqa: A002
    """Return the types in a skops file that its reader wants to be told; all of them are trusted by now."""
    if format != "skops":
        return []
    import skops.io

    return sorted(skops.io.get_untrusted_types(data=path.read_bytes()))


def _requirements(subject: Subject, format: str) -> tuple[str, ...]:  # noqa: A002
    """Return what must be installed, pinned: as it was where the version was made, else as it is here."""
    environment = subject.version.environment
    known = dict(filter(None, map(_pin, environment.requirements if environment else ())))
    return tuple(f"{name}=={known.get(name) or metadata.version(name)}" for name in _NEEDED[format])


def _pin(line: str) -> tuple[str, str] | None:
    """Return name and version of an exact pin; None for anything else, which is text that somebody wrote."""
    found = _EXACTLY.fullmatch(line)
    return (canonicalize_name(found[1]), found[2]) if found and _is_version(found[2]) else None


def _is_version(text: str) -> bool:
    with suppress(InvalidVersion):
        return bool(Version(text))
    return False


def python_of(subject: Subject) -> str:
    """Return the Python that a version was made with, as `3.11`; this one's where nobody knows."""
    import platform

    environment = subject.version.environment
    told = environment.python if environment else ""
    parts = told.split(".")
    known = parts if re.fullmatch(r"3\.[0-9]{1,2}(\..*)?", told) else platform.python_version_tuple()
    return ".".join(known[:2])
