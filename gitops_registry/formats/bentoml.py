"""BentoML's folders: recognised by bento.yaml or model.yaml, and described by what it says. No code of theirs is run."""

from __future__ import annotations

from pathlib import Path

from gitops_registry.formats.loaded import Description


def is_format(path: Path) -> bool:
    """True for a folder of a Bento."""
    return path.is_dir() and (path / "bento.yaml").is_file()


def describe(path: Path) -> Description:  # noqa: ARG001
    """Return what a folder of BentoML says of itself."""
    return Description("bentoml", "Bento")
