"""The model card inside a CycloneDX bill: what the model is, on what data, how good, for what and for what not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gitops_registry.exports.subject import Subject
from gitops_registry.manifest.facts import Column, EvaluationData
from gitops_registry.manifest.figures import Slice

_FAMILIES = {
    "Forest": "random forest", "ExtraTrees": "random forest", "GradientBoosting": "gradient boosted trees",
    "XGB": "gradient boosted trees", "LGBM": "gradient boosted trees", "CatBoost": "gradient boosted trees",
    "DecisionTree": "decision tree", "Logistic": "linear model", "Linear": "linear model", "Ridge": "linear model",
    "Lasso": "linear model", "ElasticNet": "linear model", "SGD": "linear model", "SVC": "support vector machine",
    "SVR": "support vector machine", "MLP": "neural network", "KNeighbors": "nearest neighbours", "NB": "naive Bayes",
    "GaussianProcess": "Gaussian process",
}  # fmt: skip
"""Part of a class's name → the family of models it is of; the first that fits."""


def model_card(subject: Subject) -> dict[str, Any]:
    """Return the `modelCard` object of CycloneDX 1.6, without the parts that nothing is known of."""
    metrics = list(_metrics(subject))
    parts = {
        "modelParameters": _parameters(subject),
        "quantitativeAnalysis": {"performanceMetrics": metrics} if metrics else {},
        "considerations": _considerations(subject),
        "properties": list(_properties(subject)),
    }
    return {name: part for name, part in parts.items() if part}


def _parameters(subject: Subject) -> dict[str, Any]:
    version = subject.version
    family = next((told for part, told in _FAMILIES.items() if part in version.model_type), "")
    signature = version.signature
    has_truth = version.task != "other"
    found = {
        "approach": {"type": "supervised"} if has_truth else None,
        "task": version.task if has_truth else "",
        "architectureFamily": family,
        "modelArchitecture": version.model_type,
        "datasets": list(_datasets(subject)),
        "inputs": [{"format": _format(column)} for column in signature.inputs] if signature else [],
        "outputs": [{"format": _format(column)} for column in signature.outputs] if signature else [],
    }
    return {name: value for name, value in found.items() if value}


def _format(column: Column) -> str:
    """Return a column in one line: name, exact type, shape, and whether it may be left out."""
    shape = f" {list(column.shape)}" if column.shape is not None else ""
    return f"{column.name}: {column.dtype or column.type}{shape}{'' if column.required else ', optional'}"


def _datasets(subject: Subject) -> Iterator[dict[str, Any]]:
    version, card = subject.version, subject.card
    if (training := version.training) is not None or card.training_data:
        facts: dict[str, Any] = {}
        if training is not None:
            facts = {"rows": training.rows, "features": training.features, "sha256": training.data_sha256}
        name = training.dataset if training is not None else ""
        yield _dataset("training", name, card.training_data or "what the model was trained on", facts)
    if version.evaluation is not None:
        yield _dataset(
            "evaluation", version.evaluation.dataset, "what the metrics were measured on", _rows(version.evaluation)
        )
    for later in subject.evaluations:
        said = f"what was measured on {later.created.date()}"
        yield _dataset("evaluation", later.dataset.dataset, said, _rows(later.dataset))


def _rows(data: EvaluationData) -> dict[str, Any]:
    return {"rows": data.rows, "target": data.target or None, "sha256": data.sha256}


def _dataset(use: str, name: str, description: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    properties = [_property("use", use), *(_property(key, value) for key, value in facts.items() if value is not None)]
    return {"type": "dataset", "name": name or use, "contents": {"properties": properties}, "description": description}


def _metrics(subject: Subject) -> Iterator[dict[str, str]]:
    """Yield the metrics: on all rows, on each group, and then those of later measurements, which say when and on what."""
    version = subject.version
    yield from _measured(version.metrics, "")
    yield from _sliced(version.slices, "")
    for later in subject.evaluations:
        when = f"{later.dataset.dataset or 'evaluation'} on {later.created.date()}"
        yield from _measured(later.metrics, when)
        yield from _sliced(later.slices, f"{when}: ")


def _sliced(slices: tuple[Slice, ...], before: str) -> Iterator[dict[str, str]]:
    for one in slices:
        for group in one.groups:
            yield from _measured(group.metrics, f"{before}{one.column}={json.dumps(group.value, ensure_ascii=False)}")


def _measured(metrics: Mapping[str, float], where: str) -> Iterator[dict[str, str]]:
    for name, value in metrics.items():
        yield {"type": name, "value": repr(value), **({"slice": where} if where else {})}


def _considerations(subject: Subject) -> dict[str, Any]:
    card = subject.card
    limits = [card.limitations, f"Out of scope: {card.out_of_scope}" if card.out_of_scope else ""]
    found = {
        "useCases": [card.intended_use] if card.intended_use else [],
        "technicalLimitations": [text for text in limits if text],
        "ethicalConsiderations": [{"name": card.ethical_considerations}] if card.ethical_considerations else [],
    }
    return {name: texts for name, texts in found.items() if texts}


def _properties(subject: Subject) -> Iterator[dict[str, str]]:
    version = subject.version
    for name, value in version.params.items():
        yield _property(f"param:{name}", json.dumps(value, ensure_ascii=False))
    if version.claimed:
        yield _property("claimed-metrics", ", ".join(version.claimed))
    if version.confusion_matrix is not None:
        yield _property("confusion-matrix", version.confusion_matrix.model_dump_json())


def _property(name: str, value: Any) -> dict[str, str]:
    return {"name": f"gitops-registry:{name}", "value": str(value)}
