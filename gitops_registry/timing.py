"""Comparing the formats that a version can be stored in: what applies, who measures it, and what it comes to.

The original is verified here and opened in child processes alone (`runs`). The figures are medians of runs, each in a
process of its own.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from gitops_registry.clocking import MOST_ROWS, WAYS, Job, rows_in
from gitops_registry.dossier import kept_rows
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.formats import FOLDERS, FORMATS, describe
from gitops_registry.manifest.facts import Artifact, Evaluation, EvaluationData, Person, Version
from gitops_registry.manifest.figures import FormatFigures
from gitops_registry.manifest.parts import plain
from gitops_registry.reference import Reference
from gitops_registry.runs import Limits, run
from gitops_registry.signature import problems
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace, digest_of

_ESTIMATORS = frozenset({"skops", "joblib", "pickle"})
"""Formats whose original is a scikit-learn estimator, which can be written in others."""
_EXAMPLE = "input_example"
_MOST_RUNS = 100
_NOT_INSTALLED = "not installed: pip install 'gitops-registry[mlflow]'"


@dataclass(frozen=True)
class Timed:
    """The formats of a version, measured. `original` is the format it was registered in, `data` the rows it was measured on.

    `left_out` says of the formats without figures why there are none.
    """

    reference: Reference
    original: str
    data: EvaluationData | None
    figures: tuple[FormatFigures, ...]
    left_out: Mapping[str, str]
    verb: ClassVar[str] = "compare formats of"

    def to_record(self, author: Person, created: datetime) -> Evaluation:
        """Return it as what is appended to the version. Raises RegistryError where there are no figures."""
        if not self.figures:
            raise RegistryError("no format was measured, so there is nothing to record", hint=self._first_reason())
        data = self.data or EvaluationData()
        return Evaluation(created=created, author=author, dataset=data, metrics={}, formats=self.figures)

    def _first_reason(self) -> str:
        return next((f"{name}: {why}" for name, why in self.left_out.items()), "")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "version": str(self.reference), "original": self.original, "data": plain(self.data) if self.data else None,
            "formats": [plain(one) for one in self.figures], "left_out": dict(self.left_out),
        }  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """The rows to measure on, as a file whose digest is known, and which of its columns are inputs."""

    file: Path
    columns: tuple[str, ...]
    data: EvaluationData


def time_formats(
    place: Workplace,
    snapshot: Snapshot,
    reference: Reference,
    *,
    file: Path | None = None,
    runs: int = 5,
    formats: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> Timed:
    """Measure a version in each format that applies (or in those that are named), and return what was found.

    The rows are those in `file`, else the data its model pins, else those it keeps, else its input example; without any,
    nothing is predicted.
    Raises NotFound where nothing of the version can be opened, Damaged before wrong bytes are, RegistryError where the rows
    do not fit.
    """
    if not 1 <= runs <= _MOST_RUNS:
        raise RegistryError(f"{runs} runs are not possible", hint=f"from 1 to {_MOST_RUNS}: --runs 5")
    unknown = next((name for name in formats if name not in FORMATS), None)
    if unknown is not None:
        raise RegistryError(f"unknown format {unknown!r}", hint=f"known formats: {', '.join(FORMATS)}")
    version = snapshot.known_version(reference)
    original = _original(version, reference)
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as name:
        folder = Path(name)
        files = _fetched(place, snapshot, reference, [original, *_own(version)], folder)
        table = _table(place, snapshot, reference, file, folder)
        kind = _kind(original, files[original.format], reference)
        left_out = _left_out(kind, files, formats)
        wanted = [one for one in _applying(kind, files) if one not in left_out and (not formats or one in formats)]
        common = Job("", (original.format, str(files[original.format])))
        if table is not None:
            common = replace(common, table=str(table.file), columns=table.columns)
        jobs = [
            replace(common, format=one, own=_file(one, kind, files), is_compared=number == 0)
            for one in wanted
            for number in range(runs)
        ]
        figures = run(jobs, folder, place.trust, place.tell, limits)
    failed = {one: told for one, told in figures.items() if isinstance(told, str)}
    return Timed(
        reference, original.format, table.data if table else None,
        tuple(told for told in figures.values() if not isinstance(told, str)), {**failed, **left_out},
    )  # fmt: skip


# ── what applies


def _original(version: Version, reference: Reference) -> Artifact:
    """Return what was registered, before anything was converted from it."""
    for artifact in version.artifacts:
        if artifact.derived_from is None and artifact.format in FORMATS:
            return artifact
    raise NotFound(
        f"{reference} has nothing in a format that can be opened here",
        hint=f"it has: {', '.join(artifact.format for artifact in version.artifacts)}",
    )


def _own(version: Version) -> list[Artifact]:
    return [artifact for artifact in version.artifacts if artifact.format in FORMATS or artifact.name == _EXAMPLE]


def _fetched(
    place: Workplace, snapshot: Snapshot, reference: Reference, artifacts: Sequence[Artifact], folder: Path
) -> dict[str, Path]:
    """Write the verified bytes of artifacts into a folder, and return where they are by format; the first of a format counts."""
    store, files = place.store(snapshot), dict[str, Path]()
    for artifact in artifacts:
        key = _EXAMPLE if artifact.name == _EXAMPLE else artifact.format
        if key not in files:
            files[key] = folder / "artifacts" / artifact.file
            store.materialise(digest_of(artifact), files[key], f"{reference} {artifact.file}")
    return files


def _kind(original: Artifact, file: Path, reference: Reference) -> str:
    """Return the format of what is opened: of a folder, that of the model in it."""
    if original.format not in FOLDERS:
        return original.format
    inner = describe(original.format, file).inner
    if inner is None:
        raise NotFound(
            f"{reference} is a folder ({original.format}) of a kind that cannot be opened here",
            hint=f"get its files, and open them with the library that wrote them: gitops-registry pull {reference} --to FOLDER",
        )
    return inner[0]


def _applying(kind: str, files: Mapping[str, Path]) -> list[str]:
    """Return the formats to measure, in order: all that an estimator can be written in, else those the version has."""
    return list(WAYS) if kind in _ESTIMATORS else [name for name in FORMATS if name in files]


def _left_out(kind: str, files: Mapping[str, Path], formats: Sequence[str]) -> dict[str, str]:
    """Return the formats that are wanted and do not apply, each with the reason."""
    applying = _applying(kind, files)
    why = f"a model in {kind} cannot be written in it"
    found = {name: why for name in formats if name not in applying}
    if kind in _ESTIMATORS and find_spec("mlflow") is None and (not formats or "mlflow" in formats):
        found["mlflow"] = _NOT_INSTALLED
    return found


def _file(format: str, kind: str, files: Mapping[str, Path]) -> str:  # noqa: A002
    """Return the version's own file to measure; empty where the model is written anew."""
    return str(files[format]) if format in files and (kind not in _ESTIMATORS or format == "onnx") else ""


# ── the rows


def _table(
    place: Workplace, snapshot: Snapshot, reference: Reference, file: Path | None, folder: Path
) -> _Table | None:
    """Return a private copy of the rows to measure on; None where there are none. Raises RegistryError where they do not fit."""
    version = snapshot.known_version(reference)
    pinned = snapshot.known_model(reference.name).evaluation
    example = next((one for one in version.artifacts if one.name == _EXAMPLE and _is_table(one)), None)
    truths = {one.target for one in (pinned, version.evaluation) if one is not None}
    if file is not None:
        copy = _copied(file, folder)
        digest = hashlib.sha256(copy.read_bytes()).hexdigest()
        data = EvaluationData(dataset=_shown(file.name), sha256=digest)
    elif pinned is not None:
        copy = folder / "rows" / pinned.file
        place.store(snapshot).materialise(
            digest_of(pinned.as_artifact()), copy, f"the evaluation data of {reference.name}"
        )
        data = EvaluationData(dataset=pinned.dataset, sha256=pinned.sha256)
    elif (kept := kept_rows(version)) is not None and version.evaluation is not None:
        copy = folder / "rows" / kept.file
        place.store(snapshot).materialise(digest_of(kept), copy, f"{reference} {kept.file}")
        data = EvaluationData(dataset=version.evaluation.dataset, sha256=kept.sha256, artifact=kept.name)
    elif example is not None:
        copy = folder / "artifacts" / example.file
        data = EvaluationData(dataset=_EXAMPLE, sha256=example.sha256, artifact=example.name)
    else:
        return None
    rows = rows_in(copy)
    columns = _inputs(version, reference, rows, truths)
    return _Table(copy, columns, data.model_copy(update={"rows": min(len(rows), MOST_ROWS)}))


def _is_table(artifact: Artifact) -> bool:
    return artifact.files is None and artifact.file.lower().endswith((".csv", ".parquet", ".json"))


def _copied(file: Path, folder: Path) -> Path:
    """Return a copy of a file under a plain name: what is digested is what is measured on."""
    copy = folder / "rows" / f"rows{file.suffix.lower()}"
    if not file.is_file():
        rows_in(file)  # says what is wrong
    try:
        copy.parent.mkdir()
        copy.write_bytes(file.read_bytes())
    except OSError as error:
        raise RegistryError(f"cannot read {file}: {error.strerror or error}", hint="check the file") from error
    return copy


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _inputs(version: Version, reference: Reference, rows: Any, truths: set[str]) -> tuple[str, ...]:
    """Return the columns of the rows that go into the model: those it names, else all but the truth."""
    there = [str(name) for name in rows.columns]
    signature = version.signature
    if signature is None or not signature.inputs or any(column.shape for column in signature.inputs):
        return tuple(name for name in there if name not in truths)
    found = problems(signature, rows.set_axis(there, axis=1))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise RegistryError(
            f"the data does not fit {reference}: {found[0]}{more}",
            hint=f"see its inputs: gitops-registry show {reference}",
        )
    return tuple(column.name for column in signature.inputs if column.name in there)
