"""Models, versions, runs and artifacts of an MLflow registry, as plain values. The only module that knows MLflow.

Nothing is written there: of a SQLite database a copy is read, made by SQLite itself, and an old schema is brought up to
date in that copy. Nothing is sent anywhere: MLflow's telemetry is off before it is imported. What a registry names as the
place of its artifacts is not believed: on this machine only folders below the given ones are read.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.foreign import EPOCH, ForeignModel, ForeignRun, ForeignVersion
from gitops_registry.model_folder import found_model, is_model, no_folder, scheme_of, shown, steps_out
from gitops_registry.sqlite_copy import copy_database, looked_into

_PAGE = 100
_LONGEST = 100_001
"""Characters of a text that are kept: more than any manifest takes, so that what is too long is still seen to be."""
_REMOTE = frozenset({"s3", "gs", "wasbs", "abfss", "hdfs"})
"""Where MLflow fetches artifacts from, beside the registry's own server."""
_SETTINGS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_CERTAIN = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""What MLflow says of what is not there, and will not be there the next time."""
_LOG_IN = "for a server that asks who you are, set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Address:
    """Where an MLflow registry is: a SQLite database on this machine, or the URL of a tracking server."""

    database: Path | None = None
    server: str = ""

    @property
    def shown(self) -> str:
        """The address for people: no credentials in it."""
        if self.database is not None:
            return str(self.database)
        url = urlsplit(self.server)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def address(text: str) -> Address:
    """Return what an address means: `mlflow:` and a path, `sqlite:///path`, or the http(s) URL of a tracking server.

    Raises RegistryError for anything else.
    """
    rest = text.removeprefix("mlflow:")
    inner = rest.removeprefix("//")
    if re.match(r"https?://[^/]", inner):
        return Address(server=inner.rstrip("/"))
    if match := re.fullmatch(r"sqlite:///([^?]+)", inner):
        return Address(database=Path(match[1]).absolute())
    if rest == text or not rest or "://" in inner:
        raise RegistryError(
            f"{text.split('@')[-1]!r} is no address of an MLflow registry",
            hint="mlflow:/path/mlflow.db, mlflow:sqlite:////path/mlflow.db or mlflow:https://HOST",
        )
    path = Path(unquote(inner) if rest.startswith("//") else rest).absolute()
    return Address(database=path / "mlflow.db" if path.is_dir() else path)


@contextmanager
def opened(where: Address, *, folders: Sequence[Path] = (), progress: Progress | None = None) -> Iterator[MlflowSource]:
    """Yield a registry that is read. `folders` hold artifacts on this machine, beside the folder of its database.

    Raises RegistryError where it cannot be read, and where MLflow is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as scratch:
        roots = [folder.absolute() for folder in folders]
        uri, count = where.server, 0
        spent: dict[str, tuple[int, ...]] = {}
        if where.database is not None:
            copy = Path(scratch) / "mlflow.db"
            copy_database(where.database, copy, progress)
            spent, count = looked_into(copy)
            uri, roots = f"sqlite:///{copy}", [*roots, where.database.parent]
        client = _client(uri)
        try:
            yield MlflowSource(client, where, roots, spent, count)
        finally:
            _dispose(uri)


class MlflowSource:
    """One MLflow registry at one moment (of a server: as it is while it is read)."""

    def __init__(
        self,
        client: Any,
        where: Address,
        roots: Sequence[Path],
        spent: Mapping[str, tuple[int, ...]],
        count: int,
    ) -> None:
        self.count = count
        """How many versions there are; 0 where nobody knows."""
        self._client = client
        self._where = where
        self._roots = roots
        self._spent = spent

    def models(self) -> Iterator[ForeignModel]:
        """Yield all models in order of name."""
        for found in self._pages(self._client.search_registered_models, ["name ASC"]):
            name = str(found.name)
            yield ForeignModel(
                name=name,
                created=_time(found.creation_timestamp),
                description=_told(found.description),
                tags=_texts(found.tags),
                aliases={str(alias): _number(number) for alias, number in dict(found.aliases or {}).items()},
                spent=self._spent.get(name, ()),
            )

    def versions(self) -> Iterator[ForeignVersion]:
        """Yield all versions of all models in order of name, then number."""
        for found in self._pages(self._client.search_model_versions, ["name ASC", "version_number ASC"]):
            yield ForeignVersion(
                model=str(found.name),
                number=_number(found.version),
                created=_time(found.creation_timestamp),
                user=_told(found.user_id),
                description=_told(found.description),
                tags=_texts(found.tags),
                stage=_told(found.current_stage),
                run=_told(found.run_id),
                location=_told(found.source),
            )

    def _pages(self, search: Callable[..., Any], order: list[str]) -> Iterator[Any]:
        token = None
        while True:
            with self._errors("cannot read the registry"):
                page = search(max_results=_PAGE, order_by=order, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def run(self, version: ForeignVersion) -> tuple[ForeignRun, tuple[str, ...]]:
        """Return what was recorded while a version was trained, and why that is not all."""
        logged = re.fullmatch(r"models:/+(m-[0-9a-zA-Z]+)", version.location)
        if not version.run and not logged:
            return ForeignRun(), ()
        try:
            with self._errors(f"run {version.run or version.location} cannot be read"):
                if version.run:
                    found = self._client.get_run(version.run)
                    data, user = found.data, _told(found.info.user_id)
                    metrics = {str(key): float(value) for key, value in data.metrics.items()}
                    return ForeignRun(user, _texts(data.params), metrics, _texts(data.tags)), ()
                model = self._client.get_logged_model(logged[1] if logged else "")
                metrics = {str(metric.key): float(metric.value) for metric in model.metrics or ()}
                return ForeignRun("", _texts(model.params), metrics, _texts(model.tags)), ()
        except RegistryError as error:
            return ForeignRun(), (error.message,)

    # ── artifacts

    @contextmanager
    def folder(self, version: ForeignVersion, *, fetch: bool = True) -> Iterator[Path | None]:
        """Yield the model folder of a version; it is not to be changed. Raises NotFound where there is none to be read.

        Without `fetch` nothing is downloaded: None stands for a folder that would be.
        """
        place = self._place_of(version)
        if not scheme_of(place):
            yield found_model(place, self._roots)
        elif not fetch:
            yield None
        else:
            with tempfile.TemporaryDirectory(prefix="gitops-registry-") as scratch:
                yield self._downloaded(place, Path(scratch))

    def _place_of(self, version: ForeignVersion) -> str:
        """Return where a version's artifacts are: a path on this machine, or a URI that MLflow fetches."""
        with self._errors("its artifacts cannot be located", kind=NotFound):
            location = _told(self._client.get_model_version_download_uri(version.model, str(version.number)))
            for _ in range(4):
                if match := re.fullmatch(r"runs:/+([0-9a-zA-Z]+)/(.+)", location):
                    location = f"{self._client.get_run(match[1]).info.artifact_uri}/{match[2]}"
                elif match := re.fullmatch(r"models:/+(m-[0-9a-zA-Z]+)", location):
                    location = _told(self._client.get_logged_model(match[1]).artifact_location)
                elif match := re.fullmatch(r"models:/+([^/@]+)/([0-9]+)", location):
                    location = _told(self._client.get_model_version_download_uri(unquote(match[1]), match[2]))
                else:
                    break
        if steps_out(location):
            raise no_folder("its source leaves the folder it names", "look at it in MLflow")
        scheme = scheme_of(location)
        if scheme == "file" or (scheme == "mlflow-artifacts" and not self._where.server):
            return unquote(urlsplit(location).path)  # of a server that kept them, its folder may be here
        if not scheme or scheme in _REMOTE or scheme == "mlflow-artifacts":
            return location
        raise no_folder(f"its source is of a kind that is not read ({scheme}:)", "copy it to a folder of this machine")

    def _downloaded(self, uri: str, scratch: Path) -> Path:
        import mlflow.artifacts

        with self._errors("its artifacts cannot be downloaded", kind=NotFound):
            folder = Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=uri, dst_path=str(scratch), tracking_uri=self._where.server or None
                )
            )
        if not is_model(folder) or not folder.resolve().is_relative_to(scratch.resolve()):
            raise no_folder("what lies there is no model folder", "look at it in MLflow")
        return folder

    @contextmanager
    def _errors(self, trouble: str, *, kind: type[RegistryError] = RegistryError) -> Iterator[None]:
        """Say in one line what MLflow, its database driver or its network library raised."""
        try:
            yield
        except RegistryError:
            raise
        except Exception as error:
            is_certain = getattr(error, "error_code", "") in _CERTAIN  # then no cause: trying again changes nothing
            hint = _LOG_IN if self._where.server and not is_certain else ""
            raise kind(f"{trouble}: {_reason(error)}", hint=hint) from (None if is_certain else error)


def _reason(error: Exception) -> str:
    """Return the first line of what a library complains of, without credentials."""
    line = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    return shown(re.sub(r"//[^/@\s]*@", "//", line[0]))


def _told(value: Any) -> str:
    return "" if value is None else str(value)[:_LONGEST]


def _texts(values: Any) -> dict[str, str]:
    return {_told(key): _told(value) for key, value in dict(values or {}).items()}


def _number(value: Any) -> int:
    """Return a number; 0, which no version has, for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _time(milliseconds: Any) -> datetime:
    """Return a time in UTC; the epoch where there is none that a calendar has."""
    try:
        whole, rest = divmod(int(milliseconds or 0), 1000)
        return datetime.fromtimestamp(max(whole, 0), UTC).replace(microsecond=rest * 1000)
    except (OverflowError, ValueError, OSError):
        return EPOCH


# ── the client


def _client(uri: str) -> Any:
    """Return MLflow's client of a registry, of a database only once its schema is the one that this MLflow reads."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when it is imported
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise RegistryError("MLflow is not installed", hint="pip install 'gitops-registry[mlflow]'") from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if uri.startswith("sqlite:"):
        _bring_up_to_date(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _bring_up_to_date(uri: str) -> None:
    from mlflow.db import commands

    try:
        commands.main(["upgrade", uri], standalone_mode=False)
    except Exception as error:
        hint = "a newer MLflow may have written it: pip install --upgrade mlflow"
        raise RegistryError(
            f"the database is of no schema that this MLflow knows: {_reason(error)}", hint=hint
        ) from error


def _dispose(uri: str) -> None:
    """Close the connections that MLflow keeps to a database that is going away."""
    if not uri.startswith("sqlite:"):
        return
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    for store in (Registry, Tracking):
        engine = getattr(store, "_engine_map", {}).pop(uri, None)
        if engine is not None:
            engine.dispose()
