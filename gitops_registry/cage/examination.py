"""What the child process finds out about one model: whether it is the registered one, what it is worth, and what agrees with it.

Everything is told as plain JSON. Files are compared with their SHA-256 here too, before anything opens them: between the
comparison of whoever asked and this moment they lay on a disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gitops_registry.digests import sha256_of
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.formats import FOLDERS, open_model
from gitops_registry.formats.loaded import LoadedModel, Trust
from gitops_registry.formats.scored import with_classes
from gitops_registry.grouping import slices_of
from gitops_registry.manifest.columns import Signature
from gitops_registry.manifest.figures import Classes
from gitops_registry.manifest.parts import of_plain, plain
from gitops_registry.measure import measure, read_table, split_target
from gitops_registry.signature import ordered, problems
from gitops_registry.trees import digest_of_members, only_digested, read_folder


def examined(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is found out about one model, in JSON-ready data.

    A task says: `model` (format, file, sha256), `trust`, `classes`, `signature`, `task`; and where they are known, `rows`
    (file, sha256, target), `slices` (columns), `derived` (models converted from it, by name) and `example` (file, sha256).
    The answer has `metrics`, `confusion_matrix`, `task`, `rows` and `slices` where there were rows, `misfits` of them,
    `parities` by name of what was converted, and what became of the `example`. Raises RegistryError for what cannot be
    opened or does not fit.
    """
    signature = of_plain(Signature, task["signature"]) if task.get("signature") else None
    model = _opened(task["model"], task)
    _require_task(model, task.get("task"))
    found: dict[str, Any] = {"parities": {}, "misfits": []}
    if task.get("example"):
        found["example"] = _example(model, signature, task["example"])
    if not task.get("rows"):
        return found
    inputs, truth, table = _rows(json.dumps(task["rows"]))
    wanted = _wanted(signature, inputs)
    if signature is not None and signature.inputs:
        found["misfits"] = problems(signature, wanted)
        if found["misfits"]:
            return found
        wanted = ordered(signature, wanted)
    predicted, probabilities = model.predict(wanted), model.predict_proba(wanted)
    how: dict[str, Any] = {"probabilities": probabilities, "labels": model.labels, "task": task.get("task")}
    measured = measure(truth, predicted, **how)
    matrix = measured.confusion_matrix
    found |= {
        "metrics": measured.metrics, "task": measured.task, "rows": measured.rows,
        "confusion_matrix": plain(matrix) if matrix else None,
    }  # fmt: skip
    slices = slices_of(table, task.get("slices") or (), truth, predicted, **{**how, "task": measured.task})
    found["slices"] = [plain(one) for one in slices]
    for converted in task.get("derived") or ():
        found["parities"][converted["name"]] = _parity(model, converted, task, wanted)
    return found


def _opened(told: Mapping[str, Any], task: Mapping[str, Any]) -> LoadedModel:
    path = _verified(told)
    trust = Trust(tuple(task["trust"]["types"]), frozenset(task["trust"]["formats"]))
    classes = of_plain(Classes, task["classes"]) if task.get("classes") else None
    return with_classes(open_model(told["format"], path, trust=trust), classes)


def _require_task(model: LoadedModel, said: str | None) -> None:
    """Refuse a version that calls a model what it is not: it would be measured by other metrics than its kind is."""
    if said not in {None, "other", model.task} and model.task != "other":
        raise RegistryError(
            f"version.yaml says that its task is {said}, and the model's is {model.task}", hint="register it again"
        )


def _verified(told: Mapping[str, Any]) -> Path:
    """Return the path of a file whose SHA-256 is the one that is told, or of a folder whose listing has it."""
    path = Path(told["file"])
    is_folder = told.get("format") in FOLDERS
    found = digest_of_members(read_folder(path, only_digested))[0].sha256 if is_folder else sha256_of(path)
    if told["sha256"] != found:
        raise Damaged(f"{path.name} changed while it was looked at", hint="try again")
    return path


@lru_cache(maxsize=4)
def _rows(told: str) -> tuple[Any, Any, Any]:
    """Return inputs, truth and the whole table of a file; several models are measured on one."""
    rows = json.loads(told)
    table = read_table(_verified({**rows, "format": ""}))
    return (*split_target(table, rows["target"]), table)


def _wanted(signature: Signature | None, table: Any) -> Any:
    """Return the columns that the version takes, where the table has them all and others besides."""
    names = [column.name for column in signature.inputs] if signature else []
    there = [str(name) for name in table.columns]
    return table.set_axis(there, axis=1)[names] if names and set(names) < set(there) else table


def _parity(model: LoadedModel, converted: Mapping[str, Any], task: Mapping[str, Any], table: Any) -> dict[str, Any]:
    """Return how far a converted model's answers are from the original's, or the error that says why nobody knows."""
    from gitops_registry.formats.onnx import parity

    try:
        return plain(parity(model, _opened(converted, task), table))
    except RegistryError as error:
        return {"error": error.message}


def _example(model: LoadedModel, signature: Signature | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many rows an input example has, and why the model does not take them: empty where it does."""
    import pandas

    path = _verified({**told, "format": ""})
    try:
        data = json.loads(path.read_bytes())
        table = pandas.DataFrame(data["data"], columns=data["columns"])
    except (ValueError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise RegistryError("the input example is no table in JSON", hint="register the model again") from error
    misfits = problems(signature, table) if signature is not None and signature.inputs else []
    if not misfits:
        try:
            model.predict(ordered(signature, table) if signature is not None and signature.inputs else table)
        except RegistryError as error:
            misfits = [error.message]
    return {"rows": len(table), "problems": misfits}
