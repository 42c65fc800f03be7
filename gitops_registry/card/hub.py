"""The front matter of a card on the Hugging Face Hub: what a version is, its licence, and its results as `model-index`.

It is dumped from plain values of one line each, so no text of anybody becomes a key of it. What it may hold:
https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from gitops_registry.manifest.facts import Evaluation, EvaluationData, Version
from gitops_registry.manifest.figures import Slice
from gitops_registry.manifest.kinds import Card
from gitops_registry.reference import Reference

_ORIGINALS = ("skops", "joblib", "pickle")
_LIBRARIES = {
    "skops": "sklearn", "joblib": "sklearn", "onnx": "onnx", "torchscript": "pytorch", "torch-export": "pytorch",
    "mlflow": "mlflow", "bentoml": "bentoml",
}  # fmt: skip
"""Format of the first artifact that has one → the library the Hub shows how to open it with."""
_LICENCES = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "isc", "ncsa", "zlib", "wtfpl",
    "unlicense", "artistic-2.0", "ms-pl", "postgresql", "osl-3.0", "ecl-2.0", "ofl-1.1", "lppl-1.3c", "lgpl-lr", "afl-3.0",
    "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2",
    "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
})  # fmt: skip
"""The licences that the Hub knows by a name of SPDX in small letters."""
_TASKS = {
    "binary-classification": "tabular-classification",
    "multiclass-classification": "tabular-classification",
    "regression": "tabular-regression",
}
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Described:
    """What the front matter is about: a version, its words, the title of its model, and what was measured later, oldest first.

    `language` is the one that the words are in; empty where nobody said.
    """

    reference: Reference
    version: Version
    card: Card
    title: str = ""
    evaluations: Sequence[Evaluation] = ()
    language: str = ""


def readme(subject: Described, text: str) -> str:
    """Return the file README.md of a version on the Hub: the front matter and its card."""
    import yaml

    front = yaml.safe_dump(front_matter(subject), sort_keys=False, allow_unicode=True, width=1_000_000)
    return f"---\n{front}---\n\n{text.strip()}\n"


def front_matter(subject: Described) -> dict[str, Any]:
    """Return the front matter of a card for the Hub, as plain values: what it is, its licence, and its results."""
    card, task, library = subject.card, hub_task(subject.version), hub_library(subject.version)
    original = next((a for wanted in _ORIGINALS for a in subject.version.artifacts if a.format == wanted), None)
    found: dict[str, Any] = {
        "language": subject.language or _language(subject),
        **_licence(card.license),
        "library_name": library,
        "pipeline_tag": task,
        "tags": _tags(subject, library, task),
        "model_format": original.format if original and library == "sklearn" else None,
        "model_file": one_line(original.file) if original and library == "sklearn" else None,
    }
    results = list(_results(subject, task or "other"))
    if results:
        found["model-index"] = [{"name": subject.reference.name, "results": results}]
    return {key: value for key, value in found.items() if value}


def _language(subject: Described) -> str:
    card = subject.card
    words = " ".join((subject.title, card.description, card.intended_use, card.limitations, card.training_data))
    if _KANA.search(words):
        return "ja"
    return "zh" if _HAN.search(words) else "en"


def _licence(text: str) -> dict[str, str]:
    """Return the licence by the Hub's name of it, else as another one with the name that people gave it."""
    said = one_line(" ".join(text.split()))
    if not said:
        return {}
    try:
        spdx = str(canonicalize_license_expression(said))
    except InvalidLicenseExpression:
        return {"license": "other", "license_name": said}
    known = re.sub(r"-(only|or-later)$", "", spdx.lower())
    return {"license": known} if known in _LICENCES else {"license": "other", "license_name": spdx}


def hub_library(version: Version) -> str | None:
    """Return the library that the Hub shows how to open a version with; None where it knows none."""
    return next((_LIBRARIES[a.format] for a in version.artifacts if a.format in _LIBRARIES), None)


def hub_task(version: Version) -> str | None:
    """Return the Hub's name of the task; None where the inputs are no table, or the task is another one."""
    signature = version.signature
    is_table = signature is None or all(column.shape is None for column in signature.inputs)
    return _TASKS.get(version.task) if is_table else None


def _tags(subject: Described, library: str | None, task: str | None) -> list[str]:
    formats = [artifact.format for artifact in subject.version.artifacts if artifact.format in _LIBRARIES]
    own = [f"{name}:{value}" if value else name for name, value in subject.card.tags.items()]
    found = [library, *formats, task, "gitops-registry", *(one_line(tag) for tag in own)]
    return list(dict.fromkeys(tag for tag in found if tag))


# ── results


def _results(subject: Described, task: str) -> Iterator[dict[str, Any]]:
    """Yield what was measured, as https://github.com/huggingface/hub-docs has it in modelcard.md: one for each set of rows."""
    version = subject.version
    measured = {name: value for name, value in version.metrics.items() if name not in version.claimed}
    claimed = {f"{name} (claimed)": version.metrics[name] for name in version.claimed}
    data = version.evaluation or EvaluationData()
    yield from _result(task, data, measured)
    yield from _sliced(task, data, version.slices)
    yield from _result(task, EvaluationData(dataset="not said"), claimed, config="claimed")
    for later in subject.evaluations:
        when = later.created.date().isoformat()
        yield from _result(task, later.dataset, later.metrics, config=when)
        yield from _sliced(task, later.dataset, later.slices, when=when)


def _sliced(task: str, data: EvaluationData, slices: tuple[Slice, ...], when: str = "") -> Iterator[dict[str, Any]]:
    for one in slices:
        for group in one.groups:
            which = f"{one.column}={json.dumps(group.value, ensure_ascii=False)}"
            config = f"{when}, {which}" if when else which
            yield from _result(
                task, data, group.metrics, config=config, args={one_line(one.column): _plain(group.value)}
            )


def _plain(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value


def _result(
    task: str,
    data: EvaluationData,
    metrics: Mapping[str, float],
    *,
    config: str = "",
    args: dict[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the result of one set of rows, where anything was measured; `config` is what tells it from the others."""
    if not metrics:
        return
    name = one_line(data.dataset) or "not said"
    about: dict[str, Any] = {"type": "tabular" if task.startswith("tabular") else "other", "name": name}
    if config:
        about |= {"name": f"{name} ({one_line(config)})", "config": one_line(config)}
    if data.sha256:
        about["revision"] = data.sha256
    if args:
        about["args"] = args
    rows = [
        {"type": one_line(metric.partition(" (")[0]), "value": value, "name": one_line(metric), "verified": False}
        for metric, value in metrics.items()
    ]
    yield {"task": {"type": task}, "dataset": about, "metrics": rows}


def one_line(text: str) -> str:
    """Return text as a line of at most 200 signs, without control characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:400])
    return text if len(text) <= 200 else text[:197] + "..."
