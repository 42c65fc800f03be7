"""How a model comes into a registry: `register`, and the import of another one; what the front door inherits.

Both have versions to return, so a refusal is an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_registry.errors import RegistryError
from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.forge.interface import Forge
    from gitops_registry.importing import Imported
    from gitops_registry.manifest.columns import Signature
    from gitops_registry.manifest.facts import Training
    from gitops_registry.manifest.kinds import Card
    from gitops_registry.manifest.parts import Param
    from gitops_registry.registering import Registered


class Intake:
    """The part of a registry that takes models in."""

    _place: Workplace

    def register(
        self,
        name: str,
        model: Any,
        *,
        X: Any = None,  # noqa: N803 - the field's own name
        y: Any = None,
        params: Mapping[str, Param] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        training: Training | Mapping[str, Any] | None = None,
        card: Card | Mapping[str, Any] | None = None,
        release: str | None = None,
        labels: Sequence[Any] | None = None,
        signature: Signature | None = None,
        slices: Sequence[str] = (),
        example: Any = None,
        keep_rows: bool = False,
        lock: bool = False,
        onnx: bool | int = True,
        dry_run: bool = False,
        forge: Forge | None = None,
    ) -> Registered:
        """Register a fitted estimator, a torch module, or a model's file or folder given as a Path; return the version.

        `X`, `y`: evaluation rows; with them the metrics are measured (also by group of each column of `slices`), the
        signature inferred, where none is given, and ONNX compared (`onnx`: whether, or of which operator set). `labels`: the
        classes in order, of a model that gives scores alone. `example` (a table, or how many of the rows), `keep_rows` and
        `lock` keep files beside the model. Raises RegistryError where it cannot be read, measured or stored, or is refused.
        """
        from gitops_registry.appraisal import Handling, Rows
        from gitops_registry.manifest.facts import Training
        from gitops_registry.manifest.kinds import Card
        from gitops_registry.registering import Submission, made, register

        rows = None if X is None else Rows(X, y, str(getattr(y, "name", "") or ""))
        submission = Submission(
            params=params or {}, metrics=metrics or {}, tags=tags or {},
            training=made(Training, **training) if isinstance(training, Mapping) else training,
            card=made(Card, **card) if isinstance(card, Mapping) else card, release=release,
            how=Handling(bool(onnx), 18 if isinstance(onnx, bool) else onnx, None if labels is None else tuple(labels)),
            signature=signature, slices=tuple(slices), example=example, keep_rows=keep_rows, lock=lock,
        )  # fmt: skip
        registered = register(self._place, name, model, rows=rows, submission=submission, dry_run=dry_run, forge=forge)
        if registered.outcome.is_refused:
            first = registered.outcome.refusals[0]
            raise RegistryError(f"{name} was not registered: {first.message}", hint=first.hint)
        return registered

    def import_mlflow(
        self,
        source: str,
        *,
        models: Sequence[str] = (),
        folders: Sequence[str | Path] = (),
        keep_stages: bool = False,
        dry_run: bool = False,
    ) -> Imported:
        """Import models of an MLflow registry with their versions, stages, aliases, words and bytes, a commit for each version.

        `source`: `mlflow:` and the path of its database or the address of its server; nothing is written there.
        `models`: patterns of names; `folders`: where artifacts lie beside the database. What was imported before is left
        as it is. False where something was left out or refused. Raises RegistryError where either side cannot be used.
        """
        from gitops_registry.importing import Wish, import_mlflow

        wish = Wish(tuple(models), tuple(map(Path, folders)), keep_stages)
        return import_mlflow(self._place, source, wish=wish, dry_run=dry_run)
