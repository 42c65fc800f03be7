"""The model's file itself, as it was registered, under a name that says what it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from gitops_registry.errors import NotFound
from gitops_registry.exports.subject import Subject, Written


def write_onnx(subject: Subject, target: Path) -> Written:
    """Write the ONNX file of a version. Raises NotFound where it has none."""
    return _write(subject, target, "onnx")


def write_torchscript(subject: Subject, target: Path) -> Written:
    """Write the TorchScript file of a version. Raises NotFound where it has none."""
    return _write(subject, target, "torchscript")


def _write(subject: Subject, target: Path, format: str) -> Written:  # noqa: A002
    found = subject.artifact(format)
    if found is None:
        there = ", ".join(sorted({artifact.format for artifact in subject.version.artifacts}))
        raise NotFound(f"{subject.reference} has nothing in {format}", hint=f"it has: {there}")
    artifact, path = found
    shutil.copyfile(path, target)
    notes = [f"SHA-256 {artifact.sha256}, as registered; the file says nothing of its card and its metrics"]
    if artifact.parity is not None:
        notes.append(
            f"converted from {artifact.derived_from}: agrees on {artifact.parity.agreement:.2%} of {artifact.parity.rows} rows"
        )
    return Written(target, tuple(notes))
