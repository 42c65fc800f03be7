"""Rules about the data that a model is measured on: pinned as it lies in the store, and there for whoever measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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


def measured_again(judgement: Judgement, reference: Reference) -> Mapping[str, float] | None:
    """Return the metrics that earlier decisions recorded of a version, measured on what its model pins in the base.

    Of several measurements the worst counts, for their times are what somebody wrote, and anybody who may write may add
    one. None where there is none. What the change itself writes counts for nothing here: no measurement, no other data.
    """
    model = judgement.before.model(reference.name) if judgement.before else None
    if judgement.before is None or model is None or model.evaluation is None:
        return None
    pinned = (model.evaluation.sha256, model.evaluation.target)
    there = measurements(judgement.before, reference)
    found = [one.metrics for one in there if (one.dataset.sha256, one.dataset.target) == pinned]
    if not found:
        return None
    return {name: min(one[name] for one in found if name in one) for name in set().union(*found)}


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
