"""`register`: from what was found out about a model to the facts of a version, its bytes in the store, and the commit.

Bytes reach the store before the commit that needs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from gitops_registry import edits, environment, formats, measure, paths, signature
from gitops_registry.accompanying import input_example, kept_rows, lock_file
from gitops_registry.appraisal import Appraisal, Handling, NewFile, Rows, appraise
from gitops_registry.deciding import Intent, Outcome, decide
from gitops_registry.digests import Digest
from gitops_registry.edits import Edit
from gitops_registry.errors import RegistryError
from gitops_registry.forge.interface import Forge
from gitops_registry.formats.loaded import LoadedModel, shown
from gitops_registry.grouping import slices_of
from gitops_registry.holding import Held, committed_with, examine, hold
from gitops_registry.manifest.columns import Signature
from gitops_registry.manifest.facts import Artifact, EvaluationData, Person, Training, Version
from gitops_registry.manifest.figures import Slice
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.parts import Param, Part
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.requesting import request
from gitops_registry.snapshot import Content, Edits, Snapshot
from gitops_registry.workplace import Workplace

P = TypeVar("P", bound=Part)

_ROWS_FOR_SIGNATURE = 1000
_UNREAD = Digest("0" * 32, "0" * 64, 0)


@dataclass(frozen=True)
class Submission:
    """What somebody says about a model when they register it; the rest is measured.

    `slices` are columns of the rows by whose groups is measured, too; `keep_rows` keeps the rows with the version; `example` is
    a table that shows what goes in, or how many of the rows (True: five); `lock` keeps a lock of its packages. Without a `card`
    the words are those of the version before, to be edited.
    """

    params: Mapping[str, Param] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    training: Training | None = None
    card: Card | None = None
    release: str | None = None
    how: Handling = field(default_factory=Handling)
    signature: Signature | None = None
    slices: tuple[str, ...] = ()
    example: Any = None
    keep_rows: bool = False
    lock: bool = False


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


def register(
    place: Workplace, name: str, model: Any, *, rows: Rows | None, submission: Submission, dry_run: bool = False, forge: Forge | None = None,
) -> Registered:  # fmt: skip
    """Register a fitted estimator, or a model's file or folder (a Path), as the next version and return it.

    On a `forge`, where one is given, it is proposed as a pull request.

    Raises RegistryError where the model cannot be read, measured or stored; then nothing is committed.
    """
    if problem := paths.name_problem(name):
        raise RegistryError(f"name {name!r} {problem}", hint="try letters, digits and '-', like credit-risk")
    place.tip()
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        place.tell("reading the model")
        measured = _accompanied(
            appraise(place, model, Path(folder), rows=rows, how=submission.how), submission, Path(folder)
        )
        place.tell("measuring")
        modules = _modules(measured)
        facts = _facts(place, measured, modules, submission=submission)
        if submission.lock and facts.environment is not None:
            place.tell("locking the packages it needs")
            locked = lock_file(facts.environment, Path(folder))
            measured = replace(measured, files=(*measured.files, locked))
        new = [file.path for file in measured.files]
        held = [examine(path) for path in new] if dry_run else hold(place, new)
        artifacts = tuple(_artifact(file, one.digest) for file, one in zip(measured.files, held, strict=True))
        version = facts.model_copy(update={"artifacts": artifacts})
        measured = replace(measured, notes=(*measured.notes, *_notes(place, name, modules, submission)))
        place.tell("")
        subject = lambda before: f"register {name} {edits.next_number(before, name)}"  # noqa: E731
        intent = Intent(
            registration(place, name, version, submission, held),
            subject,
            branch=lambda before: f"register/{name}/{edits.next_number(before, name)}",
            brings=frozenset(a.sha256 for a in version.artifacts),
        )
        outcome = request(place, intent, forge, dry_run=dry_run) if forge else decide(place, intent, dry_run=dry_run)
    number = next(
        (c.version for c in outcome.changes if c.kind == "version_registered"),
        edits.next_number(place.snapshot(), name),
    )
    return Registered(name, number, version, _with_notes(place, outcome, measured, version, Reference(name, number)))


def _facts(place: Workplace, measured: Appraisal, modules: Sequence[str], *, submission: Submission) -> Version:
    """Return the facts but for the digests: what cannot be recorded is refused before any byte is stored."""
    who, email = place.repository.identity()
    rows = measured.rows
    results, slices = _results(measured, rows, submission.slices)
    claimed = sorted(set(submission.metrics) & set(results.metrics if results else ()))
    if claimed:
        raise RegistryError(
            f"{claimed[0]} is measured here, so it cannot be given too", hint=f"leave out the metric {claimed[0]}"
        )
    return made(
        Version,
        release=submission.release,
        created=datetime.now(UTC).replace(microsecond=0),
        author=Person(name=who, email=email),
        task=results.task if results else measured.task,
        model_type=measured.model_type,
        framework=measured.framework,
        params={**measured.params, **{name: _recorded(value) for name, value in submission.params.items()}},
        metrics={**(results.metrics if results else {}), **submission.metrics},
        claimed=tuple(submission.metrics),
        confusion_matrix=results.confusion_matrix if results else None,
        slices=slices,
        evaluation=_evaluation(measured),
        training=submission.training,
        signature=_signature(measured.loaded, rows, submission.signature),
        classes=measured.classes,
        artifacts=tuple(_artifact(file, _UNREAD) for file in measured.files),
        environment=environment.capture(modules),
    )


def _accompanied(measured: Appraisal, submission: Submission, folder: Path) -> Appraisal:
    """Return what was found out with the files that somebody asked for beside the model."""
    files, rows = list(measured.files), measured.rows
    if submission.keep_rows:
        kept, rows = kept_rows(rows, folder)
        files.append(kept)
    if submission.example is not None and submission.example is not False:
        files.append(input_example(submission.example, rows, folder))
    return replace(measured, files=tuple(files), rows=rows)


def _modules(measured: Appraisal) -> list[str]:
    """Return the modules that whoever opens the files of a version needs: those they name, and what makes their inputs."""
    known = [file for file in measured.files if file.format in formats.FORMATS]
    named = {module for file in known for module in formats.describe(file.format, file.path).modules}
    return sorted(named | ({"pandas"} if formats.needs_table(measured.loaded) else set()))


def _recorded(value: Any) -> Any:
    """Return a parameter as a manifest keeps it: a list as a tuple, NumPy's scalars as Python's."""
    if isinstance(value, list | tuple):
        return tuple(_recorded(item) for item in value)
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def made(kind: type[P], **values: Any) -> P:
    """Return a part of a manifest from what somebody said. Raises RegistryError that names what cannot be recorded."""
    from pydantic import ValidationError

    try:
        return kind(**values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        where = ".".join(str(step) for step in found[0]["loc"][:2])
        told = found[0]["msg"].removeprefix("Value error, ") if len(found) == 1 else "it is no plain value"
        raise RegistryError(
            f"{where} cannot be recorded: {told}",
            hint="give text, finite numbers, true, false, or lists of these",
        ) from error


def _artifact(file: NewFile, digest: Digest) -> Artifact:
    return Artifact(
        name=file.name,
        file=file.stored or ("model" if digest.files is not None else f"model{file.path.suffix.lower()}"),
        format=file.format,
        size=digest.size,
        files=digest.files,
        md5=digest.md5,
        sha256=digest.sha256,
        derived_from=file.derived_from,
        parity=file.parity,
    )


def _results(
    measured: Appraisal, rows: Rows | None, columns: Sequence[str]
) -> tuple[measure.Measured | None, tuple[Slice, ...]]:
    """Return what the model is worth on the rows, and by groups of columns; nothing without rows and their truth."""
    loaded = measured.loaded
    if rows is None or rows.truth is None or loaded is None:
        if columns:
            raise RegistryError(
                "nothing was measured, so not by groups either", hint="give evaluation rows and their truth"
            )
        return None, ()
    predicted, probabilities = loaded.predict(rows.inputs), loaded.predict_proba(rows.inputs)
    found = measure.measure(
        rows.truth, predicted, probabilities=probabilities, labels=loaded.labels, task=measured.task
    )  # fmt: skip
    if not columns:
        return found, ()
    how: dict[str, Any] = {"probabilities": probabilities, "labels": loaded.labels, "task": found.task}
    table = rows.table if rows.table is not None else rows.inputs
    return found, slices_of(table, columns, rows.truth, predicted, **how)


def _evaluation(measured: Appraisal) -> EvaluationData | None:
    rows = measured.rows
    if rows is None:
        return None
    kept = next((file.name for file in measured.files if file.name == "evaluation"), None)
    return EvaluationData(
        dataset=rows.dataset, rows=len(rows.inputs), target=rows.target, sha256=rows.sha256, artifact=kept
    )


def _signature(loaded: LoadedModel | None, rows: Rows | None, given: Signature | None) -> Signature | None:
    """Return the signature that somebody wrote, with outputs where they named none, or the one the rows show.

    Raises RegistryError where the rows are not what is written.
    """
    if rows is None or loaded is None:
        return given
    some = rows.inputs[:_ROWS_FOR_SIGNATURE]
    outputs = {"value" if loaded.labels is None else "label": loaded.predict(some)}
    probabilities = loaded.predict_proba(some)
    if probabilities is not None:
        outputs["probabilities"] = probabilities
    found = signature.infer(rows.inputs, outputs)
    if given is None:
        return found
    wrong = signature.problems(given, rows.inputs)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise RegistryError(
            f"the evaluation rows do not fit the signature: {wrong[0]}{more}", hint="correct the signature, or the rows"
        )
    return given if given.outputs else given.model_copy(update={"outputs": found.outputs})


def registration(place: Workplace, name: str, version: Version, submission: Submission, held: Sequence[Held]) -> Edit:
    """Return the edit that registers a version with its words, its rendered card and the bytes that git is to hold."""

    def edit(snapshot: Snapshot) -> Edits:
        given = edits.words_before(snapshot, name) if submission.card is None else submission.card
        words = given.model_copy(update={"tags": {**given.tags, **submission.tags}})
        files: dict[str, Content] = {f"{artifact.file}.dvc": pointer(artifact) for artifact in version.artifacts}
        written = dict(edits.register(snapshot, name, version, card=words, files=files))
        reference = Reference(name, edits.next_number(snapshot, name))
        after = snapshot.with_edits(written)
        written[paths.rendered_card_path(*reference)] = place.card(after, reference)
        return {**written, **committed_with(place, snapshot, held)}

    return edit


def _notes(place: Workplace, name: str, modules: Sequence[str], submission: Submission) -> list[str]:
    """Say what somebody should look at, whatever becomes of the version."""
    found = []
    if own := environment.unpinned(modules):
        found.append(f"it needs code that no installed package provides: {shown(', '.join(own))}; make a package of it")
    snapshot = place.snapshot(place.tip())
    if submission.card is None and edits.words_before(snapshot, name) != Card():
        number = snapshot.versions(name)[-1]
        found.append(f"its card has the words of version {number}; see that they hold: card edit {name}@latest")
    return found


def _with_notes(
    place: Workplace, outcome: Outcome, measured: Appraisal, version: Version, reference: Reference
) -> Outcome:
    notes = [*outcome.notes, *measured.notes]
    limit = place.snapshot().constitution.storage.warn_above
    large = [artifact for artifact in version.artifacts if artifact.size > limit]
    if large and place.store().is_embedded:
        size = max(artifact.size for artifact in large) / 1e6
        notes.append(
            f"{large[0].file} has {size:.0f} MB and is committed with git; for models this large use a real store: dvc remote add -d storage URL"
        )
    return replace(outcome, notes=(*notes, *_unlike_the_last(place.snapshot(place.tip()), version, reference)))


def _unlike_the_last(snapshot: Snapshot, version: Version, reference: Reference) -> list[str]:
    """Say in what a version is unlike the one before it where that would surprise whoever uses the model."""
    earlier = [number for number in snapshot.versions(reference.name) if number < reference.number]
    last = snapshot.version(reference.name, earlier[-1]) if earlier else None
    if last is None:
        return []
    sides = [
        {
            "task": v.task,
            "inputs": v.signature and v.signature.inputs,
            "classes": v.confusion_matrix and v.confusion_matrix.labels,
        }
        for v in (last, version)
    ]
    unlike = [what for what, was in sides[0].items() if was and sides[1][what] and was != sides[1][what]]
    return (
        [f"unlike version {earlier[-1]} in its {', '.join(unlike)}; another model would be a name of its own"]
        if unlike
        else []
    )
