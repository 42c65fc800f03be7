"""Rules about the data that a model is measured on: pinned as it lies in the store, and there for whoever measures."""

from __future__ import annotations

from collections.abc import Iterator

from gitops_registry import paths
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.facts import Evaluation
from gitops_registry.pointer import pointer
from gitops_registry.policy.report import Finding, Judgement, Spot
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot


def evaluation_data(judgement: Judgement) -> Iterator[Finding]:
    """The pointer of evaluation data is the one that we would write from `model.yaml`, and its bytes are in the store."""
    for name in judgement.models:
        model = None if paths.name_problem(name) else judgement.after.model(name)
        data = model.evaluation if model else None
        folder = paths.data_folder(name)
        wanted = paths.data_path(name, data.file) if data else ""
        for child in judgement.after.children(folder):
            if (path := f"{folder}/{child}") != wanted and child.endswith(".dvc"):
                message = "is a pointer that model.yaml does not name as its evaluation data"
                yield _about(
                    name, message, f"remove it, or: gitops-registry evaluation set {name} FILE --target COLUMN", path
                )
        if data is None:
            continue
        try:
            agrees = judgement.after.read(wanted) == pointer(data.as_artifact())
        except RegistryError as error:
            yield _about(name, error.message, error.hint, paths.model_path(name))
            continue
        if not agrees:
            hint = f"pin it again: gitops-registry evaluation set {name} FILE --target COLUMN"
            yield _about(name, "does not agree with model.yaml", hint, wanted)
        yield from _presence(judgement, name, data.sha256, wanted)


def measurements(snapshot: Snapshot, reference: Reference) -> list[Evaluation]:
    """Return the later measurements of a version, oldest first. Raises ManifestError where one cannot be read."""
    folder = f"{paths.version_folder(*reference)}/evaluations"
    files = [f"{folder}/{name}" for name in snapshot.children(folder) if name.endswith(".yaml")]
    found = [parsed.document for path in files if (parsed := snapshot.parsed(path, Evaluation))]
    return sorted(found, key=lambda evaluation: evaluation.created)


def _presence(judgement: Judgement, name: str, sha256: str, path: str) -> Iterator[Finding]:
    is_new = any(change.model == name and change.subject == "evaluation" for change in judgement.changes)
    if not is_new and judgement.before is not None:
        return
    state = (judgement.facts.presence or {}).get(sha256)
    if state is None:
        message = "nobody looked whether the store has the evaluation data"
        yield Finding.unchecked(
            "evaluation-data", "presence", message, "see: gitops-registry doctor", Spot(path, 0, 0, name)
        )
    elif state != "present":
        yield _about(name, f"the evaluation data is {state} in the store", "pin it again from where it lies", path)


def _about(name: str, message: str, hint: str, path: str) -> Finding:
    return Finding.error("evaluation-data", message, hint, Spot(path, 1, 1, name))
