"""From a fitted estimator or a model file to the facts of a version: measured, described, stored.

The Python original is kept as skops and converted to ONNX; a pickle is never stored. What is recorded was
measured on the stored files, read back as a user would read them. Bytes reach the store before the commit that
needs them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitops_registry import edits, environment, formats, measure, paths, signature
from gitops_registry.artifact import Digest, digest_of_file
from gitops_registry.card import unfinished
from gitops_registry.deciding import Intent, Outcome, decide
from gitops_registry.edits import Edit
from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import LoadedModel
from gitops_registry.git.landing import local_file
from gitops_registry.manifest.kinds import (
    Artifact,
    Card,
    EvaluationData,
    Framework,
    Param,
    Parity,
    Person,
    Task,
    Training,
    Version,
)
from gitops_registry.pointer import pointer
from gitops_registry.snapshot import LARGEST_STORED, Content, Edits, Reference, Snapshot
from gitops_registry.workplace import Workplace

_ROWS_FOR_SIGNATURE = 1000


@dataclass(frozen=True)
class Rows:
    """Evaluation rows: inputs as a table and, where known, the truth, what the truth's column is called and where from."""

    inputs: Any
    truth: Any = None
    target: str = ""
    dataset: str = ""
    sha256: str | None = None


@dataclass(frozen=True)
class Submission:
    """What somebody says about a model when they register it; the rest is measured."""

    params: Mapping[str, Param] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    training: Training | None = None
    card: Card = field(default_factory=Card)
    release: str | None = None
    owners: tuple[str, ...] = ()
    title: str = ""
    onnx: bool = True


@dataclass(frozen=True, repr=False)
class Registered:
    """A version that was registered: its number (of a dry run: the one it would get), facts and what became of it."""

    name: str
    number: int
    version: Version
    outcome: Outcome

    @property
    def reference(self) -> str:
        """`name@number`."""
        return f"{self.name}@{self.number}"

    def __repr__(self) -> str:
        metrics = " ".join(f"{name}={value:.4f}" for name, value in list(self.version.metrics.items())[:3])
        return f"<{self.reference} {self.version.model_type} {metrics}>"


@dataclass(frozen=True)
class _File:
    """One file of a version before it is stored: what it is called, which it was made from, and how well it agrees."""

    name: str
    path: Path
    digest: Digest
    derived_from: str | None = None
    parity: Parity | None = None


@dataclass(frozen=True)
class _Measured:
    """What was found out about one model."""

    task: Task
    model_type: str
    framework: Framework
    params: Mapping[str, Param]
    files: tuple[_File, ...]
    loaded: LoadedModel
    rows: Rows | None = None
    notes: tuple[str, ...] = ()


def rows_of(file: Path, target: str) -> Rows:
    """Return the evaluation rows in a table file. Raises RegistryError for what cannot be read."""
    inputs, truth = measure.split_target(measure.read_table(file), target)
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    return Rows(inputs, truth, target, file.name, digest)


def register(
    place: Workplace, name: str, model: Any, *, rows: Rows | None, submission: Submission, dry_run: bool = False
) -> Registered:
    """Register a fitted estimator or a model file (a Path) as the next version and return it.

    Raises RegistryError where the model cannot be read, measured or stored; then nothing is committed.
    """
    if problem := paths.name_problem(name):
        raise RegistryError(f"name {name!r} {problem}", hint="try letters, digits and '-', like credit-risk")
    place.tip()
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        place.tell("reading the model")
        if isinstance(model, Path):
            measured = _from_file(place, model, Path(folder), onnx=submission.onnx, rows=rows)
        else:
            measured = _from_estimator(place, model, Path(folder), onnx=submission.onnx, rows=rows)
        place.tell("measuring")
        version = _facts(place, measured, rows=measured.rows, submission=submission)
        held = _kept(place, measured, dry_run=dry_run)
        place.tell("")
        subject = lambda before: f"register {name} {edits.next_number(before, name)}"  # noqa: E731
        intent = Intent(
            _edit(place, name, version, submission, held),
            subject,
            brings=frozenset(a.sha256 for a in version.artifacts),
        )
        outcome = decide(place, intent, dry_run=dry_run)
    number = next(
        (c.version for c in outcome.changes if c.kind == "version_registered"),
        edits.next_number(place.snapshot(), name),
    )
    return Registered(name, number, version, _with_notes(place, outcome, measured, version, Reference(name, number)))


def _from_estimator(place: Workplace, estimator: Any, folder: Path, *, onnx: bool, rows: Rows | None) -> _Measured:
    from gitops_registry.formats import sklearn

    task, model_type, framework, params = sklearn.describe(estimator)
    rows, left_out = _inputs_only(rows, getattr(estimator, "feature_names_in_", None))
    original = folder / "model.skops"
    sklearn.save(estimator, original)
    loaded = sklearn.load(original, place.trusted_types)
    files = [_File("model", original, digest_of_file(original))]
    notes = [f"not inputs of the model, left out: {', '.join(left_out)}"] if left_out else []
    if onnx:
        place.tell("converting to ONNX")
        converted, note = _converted(estimator, loaded, folder / "model.onnx", rows)
        files += [converted] if converted else []
        notes += [note] if note else []
    return _Measured(task, model_type, framework, params, tuple(files), loaded, rows, tuple(notes))


def _inputs_only(rows: Rows | None, names: Any) -> tuple[Rows | None, list[str]]:
    """Return the rows with the columns the model was fitted on, in its order, and the names of the others."""
    if rows is None or names is None or not hasattr(rows.inputs, "columns"):
        return rows, []
    wanted, there = [str(name) for name in names], [str(name) for name in rows.inputs.columns]
    if wanted == there or not set(wanted) <= set(there) or len(set(there)) < len(there):
        return rows, []
    inputs = rows.inputs.set_axis(there, axis=1)[wanted]
    return replace(rows, inputs=inputs), [name for name in there if name not in set(wanted)]


def _converted(estimator: Any, original: LoadedModel, target: Path, rows: Rows | None) -> tuple[_File | None, str]:
    """Return the ONNX file and how well it agrees, or why there is none."""
    from gitops_registry.formats import onnx

    if rows is None:
        return None, "no ONNX: without evaluation rows nobody could say whether it agrees (give --data)"
    try:
        onnx.convert(estimator, target, sample=rows.inputs)
        parity = onnx.parity(original, onnx.load(target), rows.inputs)
    except RegistryError as error:
        return None, f"no ONNX: {error.message}"
    if parity.agreement < onnx.PARITY_FLOOR:
        return (
            None,
            f"no ONNX: it agrees on {parity.agreement:.2%} of {parity.rows} rows, and {onnx.PARITY_FLOOR:.1%} is the least",
        )
    return _File("onnx", target, digest_of_file(target), "model", parity), ""


def _from_file(place: Workplace, file: Path, folder: Path, *, onnx: bool, rows: Rows | None) -> _Measured:
    kind = formats.by_file(file)
    loaded = formats.open_model(kind, file, trusted=place.trusted_types)
    if kind == "skops":
        return _from_estimator(place, loaded.native, folder, onnx=onnx, rows=rows)
    task: Task = loaded.task if loaded.task is not None else "other"
    return _Measured(
        task,
        "ONNX graph",
        Framework(name="onnxruntime", version=_version_of("onnxruntime")),
        {},
        (_File("model", file, digest_of_file(file)),),
        loaded,
        rows,
    )


def from_pickle(file: Path) -> Any:
    """Return the estimator in a pickle, which runs whatever code the file holds: only for files of one's own."""
    from gitops_registry.formats import sklearn

    return sklearn.load_pickle(file).native


def _version_of(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _kept(place: Workplace, measured: _Measured, *, dry_run: bool) -> dict[str, Path]:
    """Put the files where others find them and return MD5 → file; a dry run leaves them where they are."""
    if dry_run:
        return {file.digest.md5: file.path for file in measured.files}
    store = place.store()
    digests = [store.add(file.path) for file in measured.files]
    store.push(digests)
    return {digest.md5: store.cached(digest) for digest in digests}


def _facts(place: Workplace, measured: _Measured, *, rows: Rows | None, submission: Submission) -> Version:
    who, email = place.repository.identity()
    results = _results(measured, rows)
    claimed = sorted(set(submission.metrics) & set(results.metrics if results else ()))
    if claimed:
        raise RegistryError(
            f"{claimed[0]} is measured here, so it cannot be given too", hint=f"leave out the metric {claimed[0]}"
        )
    artifacts = tuple(_artifact(file) for file in measured.files)
    needed = {"skops": "skops", "onnx": "onnxruntime"}
    frameworks = [measured.framework.name, *(needed[artifact.format] for artifact in artifacts)]
    return Version(
        release=submission.release,
        created=datetime.now(UTC).replace(microsecond=0),
        author=Person(name=who, email=email),
        task=results.task if results else measured.task,
        model_type=measured.model_type,
        framework=measured.framework,
        params={**measured.params, **submission.params},
        metrics={**(results.metrics if results else {}), **submission.metrics},
        confusion_matrix=results.confusion_matrix if results else None,
        evaluation=_evaluation(rows),
        training=submission.training,
        signature=_signature(measured.loaded, rows),
        artifacts=artifacts,
        environment=environment.capture(frameworks),
    )


def _artifact(file: _File) -> Artifact:
    return Artifact(
        name=file.name,
        file=f"model{file.path.suffix.lower()}",
        format=formats.by_file(file.path),
        size=file.digest.size,
        md5=file.digest.md5,
        sha256=file.digest.sha256,
        derived_from=file.derived_from,
        parity=file.parity,
    )


def _results(measured: _Measured, rows: Rows | None) -> measure.Measured | None:
    if rows is None or rows.truth is None:
        return None
    return measure.measure(
        rows.truth, measured.loaded.predict(rows.inputs),
        probabilities=measured.loaded.predict_proba(rows.inputs), labels=measured.loaded.labels, task=measured.task,
    )  # fmt: skip


def _evaluation(rows: Rows | None) -> EvaluationData | None:
    if rows is None:
        return None
    return EvaluationData(dataset=rows.dataset, rows=len(rows.inputs), target=rows.target, sha256=rows.sha256)


def _signature(loaded: LoadedModel, rows: Rows | None) -> Any:
    if rows is None:
        return None
    some = rows.inputs[:_ROWS_FOR_SIGNATURE]
    outputs = {"value" if loaded.labels is None else "label": loaded.predict(some)}
    probabilities = loaded.predict_proba(some)
    if probabilities is not None:
        outputs["probabilities"] = probabilities
    return signature.infer(rows.inputs, outputs)


def _edit(place: Workplace, name: str, version: Version, submission: Submission, held: Mapping[str, Path]) -> Edit:
    words = submission.card.model_copy(update={"tags": {**submission.card.tags, **submission.tags}})
    first = {key: value for key, value in (("title", submission.title), ("owners", submission.owners)) if value}

    def edit(snapshot: Snapshot) -> Edits:
        files: dict[str, Content] = {f"{artifact.file}.dvc": pointer(artifact) for artifact in version.artifacts}
        written = dict(edits.register(snapshot, name, version, card=words, files=files, model=first))
        reference = Reference(name, edits.next_number(snapshot, name))
        after = snapshot.with_edits(written)
        written[paths.rendered_card_path(*reference)] = place.card(after, reference)
        return {**written, **_committed_objects(place, snapshot, held)}

    return edit


def _committed_objects(place: Workplace, snapshot: Snapshot, held: Mapping[str, Path]) -> Edits:
    """The objects a store inside the repository gets with this commit; none where bytes go to a real remote."""
    if not place.store(snapshot).is_embedded:
        return {}
    large = [file for file in held.values() if file.stat().st_size > LARGEST_STORED]
    if large:
        raise RegistryError(
            f"{large[0].stat().st_size / 1e6:.0f} MB are too much to commit with git",
            hint="use a real store: dvc remote add -d storage URL",
        )
    return {paths.store_path(md5): local_file(place.repository, file) for md5, file in held.items()}


def _with_notes(
    place: Workplace, outcome: Outcome, measured: _Measured, version: Version, reference: Reference
) -> Outcome:
    notes = [*outcome.notes, *measured.notes]
    limit = place.snapshot().constitution.storage.warn_above
    large = [artifact for artifact in version.artifacts if artifact.size > limit]
    if large and place.store().is_embedded:
        size = max(artifact.size for artifact in large) / 1e6
        notes.append(
            f"{large[0].file} has {size:.0f} MB and is committed with git; for models this large use a real store: dvc remote add -d storage URL"
        )
    missing = unfinished(place.snapshot().card(*reference)) if outcome.commit else []
    if missing:
        notes.append(f"the card lacks {', '.join(missing)}; before it serves, write {paths.card_path(*reference)}")
    return replace(outcome, notes=tuple(notes))
