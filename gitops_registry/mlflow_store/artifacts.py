"""The files of a version, as MLflow loads them: always a copy whose bytes were verified, never what is in the cache.

A version that was registered here, without MLflow, is handed out as the MLflow folder that `export` makes of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.artifact.artifact_repo import ArtifactRepository, verify_artifact_path
from mlflow.utils.file_utils import create_tmp_dir

from gitops_registry.mlflow_store.refusing import in_mlflows_words, refuse
from gitops_registry.mlflow_store.uris import files_at, registry_address, settled
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.workplace import Workplace

_SERVER, _SERVERS_REGISTRY = "_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE"
"""What an MLflow server tells its own processes: that they are a server's, and which registry is its own."""
_EXPORTED = frozenset({"onnx", "skops"})
"""Formats of which `export` makes an MLflow folder."""


class VersionFiles(ArtifactRepository):  # type: ignore[misc]
    """One version's files, made by MLflow for `gitops+models:` addresses. Nothing can be written to them."""

    @in_mlflows_words
    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._files, self._below = files_at(artifact_uri)
        _refuse_strangers(self._files.registry, os.environ)
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> NoReturn:
        """Refuse."""
        _refuse_writing()

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> NoReturn:
        """Refuse."""
        _refuse_writing()

    def delete_artifacts(self, artifact_path: str | None = None) -> NoReturn:
        """Refuse."""
        _refuse_writing()

    @in_mlflows_words
    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return what is in a folder of the version, in order; nothing for a file."""
        root = self._root()
        at = self._at(root, path)
        if not at.is_dir():
            return []
        return [
            FileInfo(one.relative_to(root).as_posix(), one.is_dir(), None if one.is_dir() else one.stat().st_size)
            for one in sorted(at.iterdir())
        ]

    @in_mlflows_words
    def download_artifacts(self, artifact_path: str | None, dst_path: str | None = None, **_: Any) -> str:
        """Write the version's files, or what is at a path among them, into a folder, and return where it is."""
        target = Path(dst_path).absolute() if dst_path else Path(create_tmp_dir())
        if not target.is_dir():
            refuse(f"The destination path for downloaded artifacts must be a directory that exists: {target}")
        root = self._root()
        source = self._at(root, artifact_path)
        if not source.exists():
            refuse(f"No such artifact: {artifact_path}", codes.RESOURCE_DOES_NOT_EXIST)
        there = target / (source.relative_to(root) if source != root or root.is_dir() else root.name)
        if source.is_dir():
            shutil.copytree(source, there, dirs_exist_ok=True)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, there)
        return str(there)

    @in_mlflows_words
    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        source = self._at(self._root(), remote_file_path)
        if not source.is_file():
            refuse(f"No such file: {remote_file_path}", codes.RESOURCE_DOES_NOT_EXIST)
        shutil.copyfile(source, local_path)

    # ── the copy that all of it is read from

    def _root(self) -> Path:
        """Return the folder that MLflow sees as the version, verified once for each of these objects."""
        with self._lock:
            if self._copy is None:
                scratch = tempfile.TemporaryDirectory(prefix="gitops-registry-")
                _write(Path(scratch.name), *self._files)
                self._copy = scratch
            return Path(self._copy.name) / "model" / self._below

    @staticmethod
    def _at(root: Path, path: str | None) -> Path:
        if not path:
            return root
        verify_artifact_path(path)
        return root / path


def _refuse_strangers(registry: str, environ: Mapping[str, str]) -> None:
    """Raise MlflowException in a server's process for another registry than its own: addresses there come from whoever asks it."""
    own = environ.get(_SERVERS_REGISTRY, "")
    if environ.get(_SERVER) and registry != (settled(own) if own.startswith("gitops") else own):
        refuse("A server reads no other registry than its own", codes.PERMISSION_DENIED)


def _write(folder: Path, reference: Reference, address: str) -> None:
    """Lay a version's files down in `model` below a folder: its MLflow folder, or what an export makes of it, or they themselves."""
    registry = Registry.open(registry_address(address))
    registry = Registry(Workplace(registry.place.repository, revision=_decided(registry), mirror=registry.place.mirror))
    version = registry.snapshot.known_version(reference)
    alone = version.artifacts[0]
    if len(version.artifacts) == 1 and alone.files is not None:
        registry.pull(*reference, to=folder)
        (folder / alone.file).rename(folder / "model")
        return
    if any(artifact.format in _EXPORTED for artifact in version.artifacts):
        registry.export(*reference, to="mlflow", path=folder / "model")
        return
    registry.pull(*reference, to=folder / "model")


def _decided(registry: Registry) -> str:
    return registry.place.revision or f"refs/heads/{registry.place.branch}"


def _refuse_writing() -> NoReturn:
    raise MlflowException(
        "A registered version is immutable: register another one.", error_code=codes.PERMISSION_DENIED
    )
