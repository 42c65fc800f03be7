"""A model whose file gives scores and does not say of which classes: the version says it, and here they become labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import LoadedModel
from gitops_registry.manifest.figures import Classes
from gitops_registry.manifest.parts import Task

_SLACK = 1e-3


class ScoredModel:
    """A classifier made of a model's scores and the classes they belong to, behind the interface of `LoadedModel`."""

    def __init__(self, scoring: LoadedModel, classes: Classes) -> None:
        self._scoring, self._is_logits = scoring, classes.scores == "logits"
        self.format, self.native = scoring.format, scoring.native
        self.labels: list[Any] | None = list(classes.labels)
        self.task: Task = "binary-classification" if len(classes.labels) == 2 else "multiclass-classification"

    def predict(self, table: Any) -> Any:
        import numpy

        assert self.labels is not None
        best = self._probabilities(table).argmax(axis=1)
        return numpy.asarray(self.labels, dtype=object if isinstance(self.labels[0], str) else None)[best]

    def predict_proba(self, table: Any) -> Any | None:
        return self._probabilities(table)

    def _probabilities(self, table: Any) -> Any:
        import numpy

        assert self.labels is not None
        scores = numpy.asarray(self._scoring.predict(table), dtype=float)
        if scores.ndim == 1 and len(self.labels) == 2:  # one score: that of the second class
            one = 1 / (1 + numpy.exp(-scores)) if self._is_logits else scores
            return numpy.stack([1 - one, one], axis=1)
        if scores.ndim != 2 or scores.shape[1] != len(self.labels):
            raise RegistryError(
                f"the model gives {_columns(scores)} for each row, and there are {len(self.labels)} classes",
                hint="name the classes in the order of the scores, one for each",
            )
        if not self._is_logits:
            return scores
        raised = numpy.exp(scores - scores.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)


def _columns(scores: Any) -> str:
    return f"{scores.shape[1]} scores" if scores.ndim == 2 else "one value" if scores.ndim == 1 else "an array"


def with_classes(model: LoadedModel, classes: Classes | None) -> LoadedModel:
    """Return the model as a classifier where it does not say its classes itself and the version does."""
    return ScoredModel(model, classes) if classes is not None and model.labels is None else model


def classes_of(scores: Any, truth: Any, labels: Sequence[Any] | None) -> Classes | None:
    """Return what a model's outputs on some rows are scores of: of the given labels, else of 0, 1, … where the truth is such.

    None where they are no scores of classes. Whether they are probabilities is told by the rows: none is negative, and
    each row's sum is 1. Raises RegistryError where labels are given and do not fit.
    """
    import numpy

    scores, true = numpy.asarray(scores), numpy.asarray(truth)
    many = 2 if scores.ndim == 1 and labels else scores.shape[1] if scores.ndim == 2 else 0
    if scores.dtype.kind != "f" or many < 2:
        return None
    if labels is None:
        if true.dtype.kind not in "iub" or (true < 0).any() or (true >= many).any():
            return None
        labels = list(range(many))
    if len(labels) != many:
        raise RegistryError(
            f"{len(labels)} classes are named, and the model gives {_columns(scores)} for each row",
            hint="name the classes in the order of the scores, one for each",
        )
    total = scores.sum(axis=1) if scores.ndim == 2 else numpy.ones(1)
    is_share = bool((scores >= 0).all() and (scores <= 1 + _SLACK).all() and (abs(total - 1) < _SLACK).all())
    return Classes(labels=tuple(labels), scores="probabilities" if is_share else "logits")
