"""A new version on its way in: what MLflow says of it, and where its files come from, as the wish to register it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.utils.models import _parse_model_uri as parse_model_uri

from gitops_registry import adopting
from gitops_registry.adopting import Said
from gitops_registry.deciding import Intent
from gitops_registry.manifest.facts import Lineage
from gitops_registry.mlflow_store.desk import Desk
from gitops_registry.mlflow_store.entities import RUN
from gitops_registry.mlflow_store.sources import Runs, is_prompt, text_of_prompt
from gitops_registry.reference import Reference
from gitops_registry.registering import made


@dataclass(frozen=True)
class NewVersion:
    """What `create_model_version` was told. `local` is a folder of this machine with the same files as `source`."""

    name: str
    source: str
    run_id: str | None
    tags: Mapping[str, str]
    run_link: str | None
    description: str | None
    local: str | None
    model_id: str | None


@contextmanager
def arrival(desk: Desk, runs: Runs, new: NewVersion) -> Iterator[Intent]:
    """Yield the wish to register a version, as long as its files are at hand. Raises MlflowException for a source that is none.

    Downloading goes on beside what other threads do.
    """
    new, copied, where = _resolved(desk, runs, new)
    said = _said(runs, new)
    if copied is not None:
        with desk.looking() as view, desk.place() as place:
            yield adopting.copy(place, view.model(new.name).name, copied, said)
        return
    files = text_of_prompt(new.tags) if is_prompt(new.tags) else runs.files(where, new.local)
    with files as path, desk.looking() as view, desk.place() as place:
        kind = "prompt" if is_prompt(new.tags) else ""
        yield adopting.adoption(place, view.model(new.name).name, path, said, format=kind)


def _resolved(desk: Desk, runs: Runs, new: NewVersion) -> tuple[NewVersion, Reference | None, str]:
    """Return a version with its run, the version here that it is a copy of, and else where its files are."""
    where = new.source
    copied = None
    if urlsplit(new.source).scheme == "models":
        try:
            parsed = parse_model_uri(new.source)
            if parsed.model_id is not None:
                model = runs.client().get_logged_model(parsed.model_id)
                new = replace(new, run_id=new.run_id or model.source_run_id, model_id=new.model_id or parsed.model_id)
                where = model.artifact_location
            else:
                with desk.looking() as view:
                    copied = view.version(parsed.name, int(parsed.version))[1].reference
        except Exception as error:  # whatever is wrong with it, MLflow's own store says it so
            raise MlflowException(
                f"Unable to fetch model from model URI source artifact location '{new.source}'.Error: {error}"
            ) from error
    if not new.run_id and new.model_id:
        new = replace(new, run_id=runs.client().get_logged_model(new.model_id).source_run_id)
    return new, copied, where


def _said(runs: Runs, new: NewVersion) -> Said:
    lineage = made(
        Lineage, run=f"{RUN}{new.run_id}" if new.run_id else None, source=new.source, link=new.run_link or ""
    )
    return Said(new.description or "", new.tags, lineage, runs.recorded(new.run_id, new.model_id))
