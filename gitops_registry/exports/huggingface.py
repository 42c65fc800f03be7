"""A folder that can be uploaded to the Hugging Face Hub as it is: the card with its front matter, the files, config.json.

Nothing is asked of the Hub. Front matter is dumped from plain values of one line each, so no text of anybody becomes
a key of it. What it may hold: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement

from gitops_registry.errors import RegistryError
from gitops_registry.exports.pins import pinned, pins
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.exports.writing import copy_files, new_file, new_folder
from gitops_registry.formats.loaded import shown
from gitops_registry.manifest.facts import Artifact, EvaluationData
from gitops_registry.manifest.figures import Slice

_CARD, _CONFIG = "README.md", "config.json"
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
_CODE = re.compile("[a-z]{2,3}")
_HAN = re.compile("[\u4e00-\u9fff]")


def write(subject: Subject, target: Path) -> Written:
    """Write the folder: README.md, every artifact under its own name, and config.json where there is a skops model.

    `options["language"]` is the language that the card is in; without it, it is taken from the words.
    Raises RegistryError where an artifact has the name of a file that the Hub reads itself, and for what is no code of a
    language.
    """
    import yaml

    language = subject.options.get("language")
    if language is not None and not _CODE.fullmatch(language):
        raise RegistryError(f"{shown(language)!r} is no code of a language", hint="write one of ISO 639: --language ja")
    requirements, notes = pins(subject)
    front = yaml.safe_dump(_front(subject), sort_keys=False, allow_unicode=True, width=1_000_000)
    config = _config(subject, [_of_conda(one) for one in requirements])
    with new_folder(target) as folder:
        copy_files(subject, folder, reserved=(_CARD, _CONFIG))
        new_file(folder / _CARD, f"---\n{front}---\n\n{subject.card_text.strip()}\n")
        if config is not None:
            new_file(folder / _CONFIG, json.dumps({"sklearn": config}, ensure_ascii=False, indent=2) + "\n")
    return Written(target, (*notes, *_unsaid(subject)))


def _unsaid(subject: Subject) -> Iterator[str]:
    version = subject.version
    if version.metrics:
        yield "every metric is marked as not verified: the Hub verifies none that it has not computed itself"
    if not subject.card.license:
        yield "the card names no licence, so others may not use it: write one into card.yaml"
    if _task(subject) is None:
        yield "the Hub has no task for what this model does, so none is named"
    if code := [a.file for a in version.artifacts if a.format in {"joblib", "pickle"}]:
        yield f"{code[0]} can run code when it is opened, and the Hub warns of it"


# ── the front matter


def _front(subject: Subject) -> dict[str, Any]:
    card, task, library = subject.card, _task(subject), _library(subject)
    original = subject.artifact("skops", "joblib", "pickle")
    found: dict[str, Any] = {
        "language": subject.options.get("language") or _language(subject),
        **_licence(card.license),
        "library_name": library,
        "pipeline_tag": task,
        "tags": _tags(subject, library, task),
        "model_format": original[0].format if original and library == "sklearn" else None,
        "model_file": shown(original[0].file) if original and library == "sklearn" else None,
    }
    results = list(_results(subject, task or "other"))
    if results:
        found["model-index"] = [{"name": subject.reference.name, "results": results}]
    return {key: value for key, value in found.items() if value}


def _language(subject: Subject) -> str:
    card = subject.card
    words = " ".join((subject.title, card.description, card.intended_use, card.limitations, card.training_data))
    if _KANA.search(words):
        return "ja"
    return "zh" if _HAN.search(words) else "en"


def _licence(text: str) -> dict[str, str]:
    """Return the licence by the Hub's name of it, else as another one with the name that people gave it."""
    said = shown(" ".join(text.split()))
    if not said:
        return {}
    try:
        spdx = str(canonicalize_license_expression(said))
    except InvalidLicenseExpression:
        return {"license": "other", "license_name": said}
    known = re.sub(r"-(only|or-later)$", "", spdx.lower())
    return {"license": known} if known in _LICENCES else {"license": "other", "license_name": spdx}


def _library(subject: Subject) -> str | None:
    return next((_LIBRARIES[a.format] for a in subject.version.artifacts if a.format in _LIBRARIES), None)


def _task(subject: Subject) -> str | None:
    """Return the Hub's name of the task; None where the inputs are no table, or the task is another one."""
    signature = subject.version.signature
    is_table = signature is None or all(column.shape is None for column in signature.inputs)
    return _TASKS.get(subject.version.task) if is_table else None


def _tags(subject: Subject, library: str | None, task: str | None) -> list[str]:
    formats = [artifact.format for artifact in subject.version.artifacts if artifact.format in _LIBRARIES]
    own = [f"{name}:{value}" if value else name for name, value in subject.card.tags.items()]
    found = [library, *formats, task, "gitops-registry", *(shown(tag) for tag in own)]
    return list(dict.fromkeys(tag for tag in found if tag))


# ── results


def _results(subject: Subject, task: str) -> Iterator[dict[str, Any]]:
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
            yield from _result(task, data, group.metrics, config=config, args={shown(one.column): _plain(group.value)})


def _plain(value: Any) -> Any:
    return shown(value) if isinstance(value, str) else value


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
    name = shown(data.dataset) or "not said"
    about: dict[str, Any] = {"type": "tabular" if task.startswith("tabular") else "other", "name": name}
    if config:
        about |= {"name": f"{name} ({shown(config)})", "config": shown(config)}
    if data.sha256:
        about["revision"] = data.sha256
    if args:
        about["args"] = args
    rows = [
        {"type": shown(metric.partition(" (")[0]), "value": value, "name": shown(metric), "verified": False}
        for metric, value in metrics.items()
    ]
    yield {"task": {"type": task}, "dataset": about, "metrics": rows}


# ── what the Hub reads of a scikit-learn model


def _config(subject: Subject, requirements: list[str]) -> dict[str, Any] | None:
    """Return what skops' models say in config.json: which file it is, its columns and its environment."""
    found: tuple[Artifact, Path] | None = subject.artifact("skops")
    if found is None or _library(subject) != "sklearn":
        return None
    signature = subject.version.signature
    config: dict[str, Any] = {
        "columns": [column.name for column in signature.inputs] if signature else [],
        "environment": requirements,
        "model": {"file": found[0].file},
        "model_format": "skops",
        "task": _task(subject),
        "use_intelex": False,
    }
    return {key: value for key, value in config.items() if value is not None}


def _of_conda(requirement: Requirement) -> str:
    """Return a requirement as such files have it: the pin as conda writes it."""
    version = pinned(requirement)
    return f"{requirement.name}={version}" if version else str(requirement)
