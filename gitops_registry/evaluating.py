"""Measuring what is registered: on data that a model pins by digest, on rows a version keeps, or on a table somebody gives.

What is measured is the original of a version, verified and opened in a child process under limits. Measurements are appended
to a version and change nothing of what it was registered with.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

from gitops_registry import cage, edits, environment
from gitops_registry.claims import Difference, contradicted_slices, contradictions, differences, recorded_on, unmeasured
from gitops_registry.deciding import Intent
from gitops_registry.dossier import Desk, Table, kept_rows, original_of
from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import PARITY_FLOOR
from gitops_registry.manifest.facts import ConfusionMatrix, Evaluation, EvaluationData, Parity, Person, Version
from gitops_registry.manifest.figures import Slice
from gitops_registry.manifest.parts import of_plain, plain
from gitops_registry.policy.data import measurements
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.workplace import Workplace


class Found(Protocol):
    """What was found out about a version and can be appended to it. `verb` is how its commit's subject begins."""

    verb: ClassVar[str]

    @property
    def reference(self) -> Reference: ...

    def to_record(self, author: Person, created: datetime) -> Evaluation:
        """Return it as what is appended to the version."""
        ...


@dataclass(frozen=True)
class Evaluated:
    """One version, measured. `differences` are from the registered metrics, where both can be compared.

    `parities` are those of what was converted from it, by name of artifact; `example` is how many rows its input example
    has, None where there is none. `wrong` are reasons not to believe the version, `notes` what could not be looked at.
    """

    verb: ClassVar[str] = "evaluate"

    reference: Reference
    data: EvaluationData
    metrics: Mapping[str, float]
    confusion_matrix: ConfusionMatrix | None = None
    slices: tuple[Slice, ...] = ()
    differences: tuple[Difference, ...] = ()
    parities: Mapping[str, Parity] = field(default_factory=dict)
    example: int | None = None
    wrong: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_as_registered(self) -> bool | None:
        """Whether the registered metrics were measured again; None where there was nothing to compare."""
        return None if not self.differences else not any(difference.is_far for difference in self.differences)

    def to_record(self, author: Person, created: datetime) -> Evaluation:
        """Return it as what is appended to the version."""
        return Evaluation(
            created=created, author=author, dataset=self.data, metrics=dict(self.metrics),
            confusion_matrix=self.confusion_matrix, slices=self.slices,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        matrix = self.confusion_matrix
        return {
            "version": str(self.reference), "data": plain(self.data), "metrics": dict(self.metrics),
            "confusion_matrix": plain(matrix) if matrix else None, "as_registered": self.is_as_registered,
            "differences": [dict(one.__dict__) for one in self.differences],
            "slices": [plain(one) for one in self.slices],
            "parities": {name: plain(one) for name, one in self.parities.items()},
            "example": self.example, "wrong": list(self.wrong), "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True)
class Remeasured:
    """A version measured again; or why it was not. `is_wrong`: that is a reason to refuse it."""

    reference: Reference
    found: Evaluated | None = None
    reason: str = ""
    is_wrong: bool = False
    error: RegistryError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        told = self.found.to_json() if self.found else None
        return {"version": str(self.reference), "measured": told, "reason": self.reason or None, "wrong": self.is_wrong}


@dataclass(frozen=True)
class Wish:
    """On what to measure: a table with its column of truth, or without one what the models pin; and by which groups.

    `keeps`: on the rows that a version was registered with, too, where it keeps them.
    """

    file: Path | None = None
    target: str = ""
    slices: tuple[str, ...] = ()
    keeps: bool = False


PINNED = Wish()


def evaluate(
    place: Workplace, snapshot: Snapshot, references: Sequence[Reference], wish: Wish = PINNED
) -> list[Evaluated]:
    """Measure versions and return what was found, in order.

    Raises NotFound where there is no data, Damaged before wrong bytes are read, RegistryError where they do not fit.
    """
    found = []
    for one in remeasure(place, snapshot, references, wish):
        if one.found is None:
            raise one.error or RegistryError(f"{one.reference}: {one.reason}")
        found.append(one.found)
    return found


def remeasure(
    place: Workplace,
    snapshot: Snapshot,
    references: Sequence[Reference],
    wish: Wish = PINNED,
    *,
    pinned_by: Snapshot | None = None,
) -> list[Remeasured]:
    """Measure versions, each on every table that is wished for, and return what became of each, in order.

    Models pin data in `snapshot`, or in another registry, `pinned_by`. A version that cannot be measured is told with the
    reason, and keeps nobody from the others.
    """
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        desk = Desk(place, snapshot, pinned_by or snapshot, Path(folder))
        prepared: list[tuple[Reference, Table | None, dict[str, Any] | RegistryError, list[Evaluation]]] = []
        for reference in references:
            # What a change adds to a version counts for its policies, so it is measured again as well.
            recorded = measurements(snapshot, reference) if pinned_by else []
            prepared += [(reference, *one, recorded) for one in _prepared(desk, reference, wish, recorded)]
        tasks = [task for _, _, task, _ in prepared if isinstance(task, dict)]
        # What a change brings is nobody's yet, so no version of it shares a process with another one.
        answers = iter(cage.examine(tasks, tell=place.tell, apart=pinned_by is not None) if tasks else ())
        place.tell("")
        return [
            _failed(reference, task)
            if isinstance(task, RegistryError)
            else _told(_Asked(reference, snapshot.known_version(reference), table, task, recorded), next(answers))
            for reference, table, task, recorded in prepared
        ]


def _prepared(
    desk: Desk, reference: Reference, wish: Wish, recorded: Sequence[Evaluation]
) -> list[tuple[Table | None, dict[str, Any] | RegistryError]]:
    """Return the tables a version is measured on, each with its task, or with why there is none."""
    try:
        version = desk.snapshot.known_version(reference)
        kept = desk.kept(reference, version) if wish.keeps else None
        model = desk.law.model(reference.name)  # what a change brings may be the first version of a model
        pinned = model.evaluation if model else None
        if wish.file is not None:
            tables = [desk.given(wish.file, wish.target or (pinned.target if pinned else ""), wish.slices)]
        elif pinned is None and kept is not None:
            tables = [kept]
        else:
            table = desk.pinned(reference.name, wish.slices)
            columns = [part.column for one in recorded_on(table.as_evaluation(None), recorded) for part in one.slices]
            tables = [replace(table, slices=tuple(dict.fromkeys((*table.slices, *columns))))]
            tables += [kept] if kept is not None and kept.sha256 != tables[0].sha256 else []
        return [(table, desk.task(reference, version, table)) for table in tables]
    except RegistryError as error:
        return [(None, error)]


def _failed(reference: Reference, error: RegistryError) -> Remeasured:
    more = f" ({error.hint})" if error.hint else ""
    return Remeasured(reference, None, error.message + more, True, error)


@dataclass(frozen=True)
class _Asked:
    """What the child was asked about a version, and what others have measured of it."""

    reference: Reference
    version: Version
    table: Table | None
    task: Mapping[str, Any]
    recorded: Sequence[Evaluation]


def _told(asked: _Asked, answer: cage.Examined) -> Remeasured:
    """Return what the child says of a version, which is believed in nothing but what it was asked."""
    reference = asked.reference
    try:
        return _read(asked, answer)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        odd = RegistryError(f"{reference}: what was measured cannot be read: {type(error).__name__}", hint="try again")
        return Remeasured(reference, None, odd.message, True, odd)


def _read(asked: _Asked, answer: cage.Examined) -> Remeasured:
    reference, version, table = asked.reference, asked.version, asked.table
    assert table is not None
    if answer.error:
        error = RegistryError(f"{reference}: {answer.error}", hint=answer.hint)
        is_wrong = answer.found.get("unopened") is not True  # a folder that nothing here opens is no false claim
        return Remeasured(reference, None, answer.error + (f" ({answer.hint})" if answer.hint else ""), is_wrong, error)
    found = answer.found
    if found["misfits"]:
        some = found["misfits"][0] + (f" (and {len(found['misfits']) - 1} more)" if len(found["misfits"]) > 1 else "")
        error = RegistryError(
            f"{reference}: the rows do not fit its signature: {some}", hint=f"see: gitops-registry show {reference}"
        )
        return Remeasured(reference, None, error.message, True, error)
    _require_whole(asked.task, found)
    data = table.as_evaluation(found["rows"])
    is_exact = version.environment is not None and environment.is_here(version.environment)
    apart = differences(version, data, found["metrics"], is_exact=is_exact)
    matrix, slices = found["confusion_matrix"], tuple(of_plain(Slice, one) for one in found["slices"])
    wrong = [*_wrong(found, apart), *_contradicted(asked, data, found["metrics"], slices)]
    evaluated = Evaluated(
        reference, data, found["metrics"], of_plain(ConfusionMatrix, matrix) if matrix else None,
        slices, apart,
        {name: of_plain(Parity, one) for name, one in found["parities"].items() if "error" not in one},
        found["example"]["rows"] if found.get("example") else None,
        tuple(wrong), _notes(version, found),
    )  # fmt: skip
    return Remeasured(reference, evaluated, "; ".join(evaluated.wrong), bool(evaluated.wrong))


def _require_whole(task: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise ValueError where an answer leaves out what was asked, or says what nobody can measure."""
    numbers, rows = found["metrics"], found["rows"]
    is_plain = all(type(value) in {int, float} and math.isfinite(value) for value in numbers.values())
    is_asked = {one["name"] for one in task.get("derived") or ()} == set(found["parities"])
    if not numbers or not is_plain or type(rows) is not int or rows < 1 or not is_asked:
        raise ValueError("no measurement")
    if task.get("example") and (
        type(found["example"]["rows"]) is not int or type(found["example"]["problems"]) is not list
    ):
        raise ValueError("no example")


def _contradicted(
    asked: _Asked, data: EvaluationData, metrics: Mapping[str, float], slices: Sequence[Slice]
) -> Iterator[str]:
    """Yield in what others' measurements on the same rows, and the version's own by group, are not what is measured."""
    for one in recorded_on(data, asked.recorded):
        yield from contradictions(one, data, metrics, slices)
    own = asked.version.evaluation
    if own is not None and own.sha256 and (own.sha256, own.target) == (data.sha256, data.target):
        yield from (f"version.yaml says that {told}" for told in contradicted_slices(asked.version.slices, slices))


def _wrong(found: Mapping[str, Any], apart: Sequence[Difference]) -> tuple[str, ...]:
    """Return why a version is not to be believed: metrics that are others, conversions that disagree, an example it refuses."""
    told = [one.told for one in apart if one.is_far]
    for name, one in found["parities"].items():
        if "error" in one:
            told.append(f"{name} could not be compared with the original: {one['error']}")
        elif one["agreement"] < PARITY_FLOOR:
            told.append(
                f"{name} agrees on {one['agreement']:.2%} of {one['rows']} rows, and {PARITY_FLOOR:.1%} is the least"
            )
    problems = found["example"]["problems"] if found.get("example") else []
    return (*told, *(f"its own input example does not fit: {problem}" for problem in problems[:3]))


def _notes(version: Version, found: Mapping[str, Any]) -> tuple[str, ...]:
    claims = unmeasured(version, found["metrics"])
    notes = [f"nothing here measures {', '.join(claims)}: claimed only"] if claims else []
    if version.signature is None:
        notes.append("it has no signature")
    elif not found.get("example"):
        notes.append("it has no input example")
    return tuple(notes)


def measurable(snapshot: Snapshot, reference: Reference) -> bool:
    """Say whether a version can be measured on data of the registry: its model pins some, or it keeps its own."""
    return not unmeasurable(snapshot, reference)


def unmeasurable(snapshot: Snapshot, reference: Reference) -> str:
    """Return why a version cannot be measured on data of the registry; empty where it can."""
    version = snapshot.known_version(reference)
    if kept_rows(version) is None and snapshot.known_model(reference.name).evaluation is None:
        return "it keeps no rows of its evaluation, and its model pins none"
    return "" if readable(snapshot, reference) else "it has nothing in a format that can be loaded"


def readable(snapshot: Snapshot, reference: Reference) -> bool:
    """Say whether a version has a format that can be loaded here."""
    return original_of(snapshot.known_version(reference)) is not None


def recording(place: Workplace, found: Sequence[Found], *, reason: str = "") -> Intent:
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

    first, verb = found[0].reference, found[0].verb
    some = f"{first.name} {first.number}" if len(found) == 1 else f"{len(found)} versions"
    branch = f"evaluation/{first.name}/{first.number}/{now:%Y%m%dT%H%M%SZ}"
    return Intent(edit=edit, subject=lambda _: f"{verb} {some}", branch=lambda _: branch, reason=reason)
