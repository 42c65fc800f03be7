"""Measuring what is registered: on data that a model pins by digest, or on a table somebody gives.

What is measured is the original of a version, verified and read back as a user would read it. Measurements are appended
to a version and change nothing of what it was registered with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitops_registry import edits, measure
from gitops_registry.appraisal import Rows, rows_of
from gitops_registry.deciding import Intent
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.formats import FORMATS
from gitops_registry.holding import committed_with, examine, hold
from gitops_registry.manifest.facts import Evaluation, EvaluationData, Person, PinnedData, Version
from gitops_registry.manifest.parts import plain
from gitops_registry.measure import Measured
from gitops_registry.reference import Reference
from gitops_registry.registering import made
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.using import load
from gitops_registry.workplace import Workplace, digest_of

_TINY = 1e-9
_LEAST = 2e-3
_AREA = 1e-3
"""How far a metric may be from the registered one: a few labels that flip at ties, and what float32 costs an area."""


@dataclass(frozen=True)
class Difference:
    """A metric as it was registered and as it is measured now; `is_far` where rounding does not explain the difference."""

    name: str
    registered: float
    measured: float | None
    is_far: bool


@dataclass(frozen=True)
class Evaluated:
    """One version, measured. `differences` are from the registered metrics, where those were measured on the same data."""

    reference: Reference
    data: EvaluationData
    found: Measured
    differences: tuple[Difference, ...] = ()

    @property
    def is_as_registered(self) -> bool | None:
        """Whether the registered metrics were measured again; None where they were measured on other data, or claimed."""
        return None if not self.differences else not any(difference.is_far for difference in self.differences)

    def to_record(self, author: Person, created: datetime) -> Evaluation:
        """Return it as what is appended to the version."""
        return Evaluation(
            created=created, author=author, dataset=self.data, metrics=self.found.metrics,
            confusion_matrix=self.found.confusion_matrix,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        matrix = self.found.confusion_matrix
        return {
            "version": str(self.reference), "data": plain(self.data), "metrics": self.found.metrics,
            "confusion_matrix": plain(matrix) if matrix else None, "as_registered": self.is_as_registered,
            "differences": [dict(one.__dict__) for one in self.differences],
        }  # fmt: skip


def pinning(
    place: Workplace, name: str, file: Path, target: str, *, dataset: str = "", reason: str = "", dry_run: bool = False
) -> Intent:
    """Bring a table into the store, and return the wish to pin it as what a model's versions are measured on.

    Raises RegistryError for what is no table, has no such column, or cannot be stored.
    """
    place.snapshot(place.tip()).known_model(name)
    rows = rows_of(file, target)
    held = examine(file) if dry_run else hold(place, [file])[0]
    if held.digest.sha256 != rows.sha256:
        raise RegistryError(f"{file} changed while it was read", hint="wait until it is written, then try again")
    data = made(
        PinnedData,
        dataset=_readable(dataset or file.stem), file=f"{_plain_stem(file)}{file.suffix.lower()}", target=target, rows=len(rows.inputs),
        size=held.digest.size, md5=held.digest.md5, sha256=held.digest.sha256,
    )  # fmt: skip

    def edit(before: Snapshot) -> Edits:
        return {**edits.set_evaluation(before, name, data), **committed_with(place, before, [held])}

    return Intent(
        edit=edit,
        subject=lambda _: f"evaluation data of {name}: {data.file}",
        branch=lambda _: f"evaluation/{name}/data",
        reason=reason,
        brings=frozenset({data.sha256}),
    )


def _readable(text: str) -> str:
    """Return a name as text that can be written down, whatever bytes the disk has for it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _plain_stem(file: Path) -> str:
    """Return the name of a file in letters that any system and DVC write the same way."""
    text = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "-" for sign in file.stem)
    return text.strip("-_")[:60] or "data"


def unpinning(name: str, *, reason: str = "") -> Intent:
    """Return the wish to measure a model's versions on no data of the registry any more."""
    return Intent(
        edit=lambda before: edits.set_evaluation(before, name, None),
        subject=lambda _: f"evaluation data of {name} removed",
        branch=lambda _: f"evaluation/{name}/data",
        reason=reason,
    )


def evaluate(
    place: Workplace,
    snapshot: Snapshot,
    references: Sequence[Reference],
    *,
    file: Path | None = None,
    target: str = "",
    pinned_by: Snapshot | None = None,
) -> list[Evaluated]:
    """Measure versions on a table, or on the data their models pin (in another registry, `pinned_by`); return what was found, in order.

    Raises NotFound where there is neither, Damaged before wrong bytes are read, RegistryError where they do not fit.
    """
    found, rows = [], {}
    law = pinned_by or snapshot
    for reference in references:
        place.tell(f"measuring {reference}")
        pinned = law.known_model(reference.name).evaluation
        key = reference.name if file is None else target or (pinned.target if pinned else "")
        if key not in rows:
            rows[key] = _pinned(place, law, reference.name, pinned) if file is None else _given(file, key)
        found.append(_measured(place, snapshot, reference, rows[key]))
    place.tell("")
    return found


def measurable(snapshot: Snapshot, reference: Reference) -> bool:
    """Say whether a version can be measured on data of the registry: its model pins some, and it can be loaded."""
    return snapshot.known_model(reference.name).evaluation is not None and readable(snapshot, reference)


def readable(snapshot: Snapshot, reference: Reference) -> bool:
    """Say whether a version has a format that can be loaded here."""
    return any(artifact.format in FORMATS for artifact in snapshot.known_version(reference).artifacts)


def _given(file: Path, target: str) -> Rows:
    if not target:
        raise RegistryError("nothing says which column of the data is the truth", hint="--target COLUMN")
    return rows_of(file, target)


def _pinned(place: Workplace, snapshot: Snapshot, name: str, pinned: PinnedData | None) -> Rows:
    if pinned is None:
        raise NotFound(
            f"{name} pins no evaluation data",
            hint=f"gitops-registry evaluation set {name} FILE --target COLUMN, or name a table",
        )
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        copy = Path(folder) / pinned.file
        place.store(snapshot).materialise(digest_of(pinned.as_artifact()), copy, f"the evaluation data of {name}")
        rows = rows_of(copy, pinned.target)
    return Rows(rows.inputs, rows.truth, pinned.target, pinned.dataset, pinned.sha256)


def _measured(place: Workplace, snapshot: Snapshot, reference: Reference, rows: Rows) -> Evaluated:
    version = snapshot.known_version(reference)
    model = load(place, snapshot, reference, format=_original(version))
    inputs = _wanted(version, rows.inputs)
    found = measure.measure(
        rows.truth, model.predict(inputs), probabilities=model.predict_proba(inputs), labels=model.labels, task=version.task
    )  # fmt: skip
    data = EvaluationData(dataset=rows.dataset, rows=found.rows, target=rows.target, sha256=rows.sha256)
    return Evaluated(reference, data, found, _differences(version, data, found))


def _original(version: Version) -> str | None:
    """Return the format of what was registered, before anything was converted from it; None for whichever can be loaded."""
    formats = [artifact.format for artifact in version.artifacts if artifact.derived_from is None]
    return next((name for name in formats if name in FORMATS), None)


def _wanted(version: Version, table: Any) -> Any:
    """Return the columns that the version takes, where the table has them all and others besides."""
    names = [column.name for column in version.signature.inputs] if version.signature else []
    there = [str(name) for name in table.columns]
    return table.set_axis(there, axis=1)[names] if names and set(names) < set(there) else table


def _differences(version: Version, data: EvaluationData, found: Measured) -> tuple[Difference, ...]:
    registered = version.evaluation
    if (
        registered is None
        or registered.sha256 is None
        or (registered.sha256, registered.target) != (data.sha256, data.target)
    ):
        return ()
    measured: Mapping[str, float] = found.metrics
    return tuple(
        Difference(name, value, measured.get(name), _is_far(name, value, measured.get(name), found.rows))
        for name, value in version.metrics.items()
        if name not in version.claimed
    )


def _is_far(name: str, registered: float, measured: float | None, rows: int) -> bool:
    """Say whether a metric is another one. Shares of rows may differ by two of them, areas by what float32 costs."""
    if measured is None:
        return True
    if name == "roc_auc":
        allowed = _AREA
    elif name in {"mae", "rmse", "r2"}:
        allowed = max(_TINY, 1e-5 * abs(registered))
    else:
        allowed = max(2 / rows, _LEAST)
    return abs(registered - measured) > allowed


def recording(place: Workplace, found: Sequence[Evaluated], *, reason: str = "") -> Intent:
    """Return the wish to append measurements to their versions."""
    author = Person(**dict(zip(("name", "email"), place.repository.identity(), strict=True)))
    now = datetime.now(UTC)  # to the microsecond, so that two measurements are two
    written = {one.reference: one.to_record(author, now) for one in found}

    def edit(before: Snapshot) -> Edits:
        return {
            path: data
            for one, told in written.items()
            for path, data in edits.add_evaluation(before, one, told).items()
        }

    first = found[0].reference
    some = f"{first.name} {first.number}" if len(found) == 1 else f"{len(found)} versions"
    branch = f"evaluation/{first.name}/{first.number}/{now:%Y%m%dT%H%M%SZ}"
    return Intent(edit=edit, subject=lambda _: f"evaluate {some}", branch=lambda _: branch, reason=reason)
