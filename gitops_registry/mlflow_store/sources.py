"""Where the files of a new version come from: a folder of this machine, or whatever MLflow can download from.

Nothing of them is opened. A prompt has no files; its text is what is stored of it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY, PROMPT_TEXT_TAG_KEY
from mlflow.utils.uri import is_local_uri, validate_path_is_safe

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.foreign import ForeignRun
from gitops_registry.mlflow_store.uris import without_secrets

_TRACKING, _DESTINATION = "_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
"""What an MLflow server tells its own processes: where runs are, and where the artifacts lie that it hands out."""
_PROXIED = "mlflow-artifacts:"
_USER = re.compile(r"://[^/\s]*@")
"""What stands before a host in an address that an error repeats."""


class Runs:
    """The runs that versions come from. In a server's process they are read where the server keeps them, not by asking it."""

    def __init__(self, tracking_uri: str | None, environ: Mapping[str, str] = os.environ) -> None:
        self.uri = environ.get(_TRACKING) or tracking_uri
        self._destination = environ.get(_DESTINATION, "")

    def client(self) -> Any:
        """Return MLflow's client of them."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def recorded(self, run_id: str | None, model_id: str | None) -> ForeignRun:
        """Return what was recorded of a run, and of a logged model; nothing where it cannot be read, which MLflow does not mind."""
        params: dict[str, str] = {}
        metrics: dict[str, float] = {}
        tags: dict[str, str] = {}
        try:
            if run_id:
                found = self.client().get_run(run_id).data
                params, metrics, tags = dict(found.params), dict(found.metrics), dict(found.tags)
            if model_id:
                model = self.client().get_logged_model(model_id)
                params |= dict(model.params or {})
                metrics |= {metric.key: metric.value for metric in model.metrics or ()}
        except Exception:  # noqa: S110 - a run that is somewhere else is no reason to refuse its model
            pass
        return ForeignRun("", params, metrics, tags)

    @contextmanager
    def files(self, source: str, local: str | None) -> Iterator[Path]:
        """Yield the folder, or the file, that a source means; it is not to be changed. Raises NotFound."""
        here = local or _local_path(source)
        if here is not None:
            path = Path(here).absolute()
            if not here or not path.exists():  # nothing would be the folder that this process is in
                raise NotFound(
                    f"the files of the version cannot be read: there is nothing at {source or 'an empty source'}",
                    hint="a registry here keeps the files themselves: give a source that can be read",
                )
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="gitops-registry-") as scratch:
            yield self._downloaded(source, Path(scratch))

    def _downloaded(self, source: str, scratch: Path) -> Path:
        import mlflow.artifacts

        where = source
        if self._destination and source.startswith(_PROXIED):
            path = validate_path_is_safe(urlsplit(source).path.lstrip("/"))
            where = f"{self._destination.rstrip('/')}/{path}"
        try:
            return Path(
                mlflow.artifacts.download_artifacts(artifact_uri=where, dst_path=str(scratch), tracking_uri=self.uri)
            )
        except RegistryError:
            raise
        except Exception as error:  # MLflow's, and of whatever library reaches the store
            shown = without_secrets(source)
            reason = (str(error).replace(source, shown).strip().splitlines() or [type(error).__name__])[0][:300]
            raise NotFound(
                f"the files of the version cannot be read from {shown}: {_USER.sub('://…@', reason)}",
                hint="a registry here keeps the files themselves: give a source that can be read",
            ) from error


def _local_path(source: str) -> str | None:
    """Return the path on this machine that a source means; None where it is elsewhere. Raises NotFound."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    try:
        return str(local_file_uri_to_path(source)) if is_local_uri(source) else None
    except MlflowException as error:
        raise NotFound(
            f"the files of the version cannot be read: {source!r} is no path of this machine",
            hint="a registry here keeps the files themselves: give a source that can be read",
        ) from error


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Whether a version is one of a prompt."""
    return tags.get(IS_PROMPT_TAG_KEY, "false").lower() == "true"


@contextmanager
def text_of_prompt(tags: Mapping[str, str]) -> Iterator[Path]:
    """Yield a file with the text of a prompt."""
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as scratch:
        file = Path(scratch) / "prompt.txt"
        file.write_bytes(tags.get(PROMPT_TEXT_TAG_KEY, "").encode(errors="surrogatepass"))
        yield file
